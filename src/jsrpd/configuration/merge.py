"""Two operators' changes of one configuration: both are taken where they are about different statements."""

from jsrpd.configuration.candidate import Candidate
from jsrpd.configuration.junos import Node, Word, copy
from jsrpd.configuration.places import TOP_PLACE, Place, Role, step

Path = tuple[str, ...]
Said = tuple[tuple[str, ...], bool, str]
"""Values of a statement, whether it is inactive, and its comment."""


def merged(base: Node, mine: Node, theirs: Node) -> tuple[Node, list[Path]]:
    """``theirs`` with what ``mine`` changed since ``base``; and the paths that both changed differently."""
    was, want, have = said(base), said(mine), said(theirs)
    result = Candidate(copy(theirs))
    conflicts = list[Path]()
    for path in [path for path in was if path not in want]:
        if have.get(path, was[path]) != was[path]:
            conflicts.append(path)
        elif path in have and result.tree.find(*path) is not None:
            result.delete(list(path))
    for path, value in want.items():
        if was.get(path) == value or have.get(path) == value:
            continue
        if have.get(path) != was.get(path):
            conflicts.append(path)
        else:
            _put(result.tree, path, value, mine)
    return result.tree, conflicts


def said(tree: Node) -> dict[Path, Said]:
    """Every statement with what it says, in order."""
    found = dict[Path, Said]()
    _collect(tree, TOP_PLACE, (), found)
    return found


def _collect(node: Node, place: Place, path: Path, found: dict[Path, Said]) -> None:
    for text, child in node.children.items():
        here = step(place, text)
        below = (*path, text)
        if here is None or here.role is Role.LEAF:
            found[below] = (_values(child), child.inactive, child.comment)
        else:
            if here.role is not Role.LIST or child.inactive or child.comment:
                found[below] = ((), child.inactive, child.comment)
            _collect(child, here, below, found)


def _values(leaf: Node) -> tuple[str, ...]:
    return tuple(f"{'inactive: ' if value.inactive else ''}{text}" for text, value in leaf.children.items())


def _put(tree: Node, path: Path, value: Said, mine: Node) -> None:
    node, own = tree, mine
    for text in path:
        own = own.children[text]
        node = node.child(Word(text, 1, 1))
    if value[0]:
        node.children = {text: copy(child) for text, child in own.children.items()}
    node.inactive, node.comment = own.inactive, own.comment
