"""A configuration in the format asked for: in braces, as ``set`` lines, as JSON, or as the vendor's XML.

In XML a statement is an element and the key of a list's entry its ``name``; what the schema does not know is nested as it stands.
"""

from collections.abc import Iterator

from jsrpd.cli.render_xml import Element, reply
from jsrpd.configuration import files
from jsrpd.configuration.junos import Node
from jsrpd.configuration.places import TOP_PLACE, Place, Role, step
from jsrpd.configuration.render import set_lines, text_of
from jsrpd.configuration.schema import RETH_UNIT

NAMESPACE = 'xmlns:junos="http://xml.juniper.net/junos/*/junos"'
NAMELESS = {"interfaces": "interface", "inet": "address", "inet6": "address"}
"""Lists whose word the text form leaves out, by the container they stand in."""
VALUES = {"address": "name", "member-interfaces": "name", "redundant-parent": "parent"}
"""Leaves whose values stand in an element of their own."""


def shown(tree: Node, display: str) -> str:
    """The whole of a tree."""
    if display == "json":
        return files.as_json(tree)
    if display == "xml":
        return reply(element(tree))
    return "".join(f"{line}\n" for line in set_lines(tree)) if display == "set" else text_of(tree)


def element(tree: Node) -> Element:
    """``configuration``."""
    return (f"configuration {NAMESPACE}", [*_comment(tree), *_below(tree, TOP_PLACE)])


def _below(node: Node, place: Place | None) -> Iterator[Element]:
    for text, child in node.children.items():
        found = step(place, text) if place is not None else None
        if found is not None and found.role is Role.LIST:
            for key, entry in child.children.items():
                yield from _entry(entry, text, step(found, key), child.inactive)
            yield from () if child.children else _marked(child, text, "")
        elif found is not None and found.role is Role.ENTRY:
            yield from _entry(child, NAMELESS[node.word.text], found)
        elif found is not None and found.role is Role.LEAF:
            yield from _leaf(child)
        else:
            yield from _marked(child, text, list(_below(child, found)))


def _entry(node: Node, name: str, place: Place | None, inactive: bool = False) -> Iterator[Element]:
    """Of a list. ``inactive``: all of the list is."""
    unit = place is not None and place.statement is not None and place.statement.key is RETH_UNIT
    key: Element = ("logical-interface-name" if unit else "name", node.word.text)
    if place is not None and place.role is Role.LEAF:
        below: list[Element] = [("value", value) for value in node.children]
    else:
        below = list(_below(node, place))
    yield from _marked(node, name, [key, *below], inactive)


def _leaf(node: Node) -> Iterator[Element]:
    name = node.word.text
    if not node.children:
        yield from _marked(node, name, "")
    else:
        yield from _comment(node)
    for text, value in node.children.items():
        yield from _marked(value, name, [(VALUES[name], text)] if name in VALUES else text, node.inactive)


def _marked(node: Node, name: str, content: str | list[Element], inactive: bool = False) -> Iterator[Element]:
    """With what stands beside the statement."""
    yield from _comment(node)
    yield (f'{name} inactive="inactive"' if node.inactive or inactive else name, content)


def _comment(node: Node) -> Iterator[Element]:
    if node.comment:
        yield ("junos:comment", f"/* {node.comment} */")
