"""``groups`` and ``apply-groups``: what stands in a group lies under the main text, which wins; earlier groups win too.

``"${node}"`` names the group of the node the text is read for: ``node0`` or ``node1``.
"""

from jsrpd.configuration.check import APPLY, GROUPS, for_node
from jsrpd.configuration.junos import Node, copy, root
from jsrpd.configuration.schema import TOP, Statement


def expanded(tree: Node, node_id: int) -> Node:
    """The tree as node ``node_id`` sees it, groups laid under and gone."""
    result = root()
    result.children = {text: copy(child) for text, child in tree.children.items() if text not in (GROUPS, APPLY)}
    groups, apply = tree.find(GROUPS), tree.find(APPLY)
    if groups is None or apply is None:
        return result
    for wanted in apply.children:
        group = groups.children.get(for_node(wanted, node_id))
        if group is not None:
            _lay_under(result, group, TOP)
    return result


def _lay_under(upper: Node, lower: Node, allowed: dict[str, Statement]) -> None:
    for text, child in lower.children.items():
        statement = allowed.get(text) or allowed.get("")
        if text not in upper.children:
            upper.children[text] = copy(child)
        elif statement is not None:
            _lay_statement(upper.children[text], child, statement, keyed="" in allowed)


def _lay_statement(upper: Node, lower: Node, statement: Statement, keyed: bool) -> None:
    if statement.key is not None and not keyed:
        for text, entry in lower.children.items():
            if text not in upper.children:
                upper.children[text] = copy(entry)
            elif statement.value is None:
                _lay_under(upper.children[text], entry, statement.below)
    elif statement.value is not None and not keyed:
        if statement.many:
            for text, value in lower.children.items():
                upper.children.setdefault(text, copy(value))
    else:
        _lay_under(upper, lower, statement.below)
