"""Several statements on one line, as Junos takes them: ``weight 100 interface reth0.0`` says two things of one address.

The syntax knows no schema and reads such a line as one path, each word below the one before. Here a statement that was
written behind the value of its neighbour is put beside it, where the schema has its place.
"""

from jsrpd.configuration.junos import Node
from jsrpd.configuration.schema import TOP, Statement

GROUPS = "groups"


def spread(tree: Node) -> None:
    """Change the tree in place, groups included."""
    for text, node in list(tree.children.items()):
        if text == GROUPS:
            for group in node.children.values():
                _block(group, TOP)
    _block(tree, TOP)


def _block(block: Node, allowed: dict[str, Statement]) -> None:
    waiting = list(block.children.items())
    while waiting:
        text, node = waiting.pop()
        statement = allowed.get(text) or allowed.get("")
        if statement is None:
            continue
        if text not in allowed:
            _block(node, statement.below)
        elif statement.key is not None:
            for entry in node.children.values():
                _block(entry, statement.below)
        elif statement.value is None:
            _block(node, statement.below)
        else:
            waiting += [(moved.word.text, moved) for moved in _move_up(node, block, allowed)]


def _move_up(node: Node, block: Node, allowed: dict[str, Statement]) -> list[Node]:
    """Statements behind the value of ``node`` that belong into ``block``; nothing that stands there is overwritten."""
    moved = []
    for value in node.children.values():
        for text in [text for text in value.children if text in allowed and text not in block.children]:
            block.children[text] = value.children.pop(text)
            moved.append(block.children[text])
    return moved
