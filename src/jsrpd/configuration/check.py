"""A tree against the schema: unknown words with the nearest known one, wrong values with their range, all at once."""

from collections.abc import Iterable

from jsrpd.configuration.junos import Node
from jsrpd.configuration.problems import Problem, problem_at
from jsrpd.configuration.schema import TOP, Statement
from jsrpd.model.roles import NODE_IDS

GROUPS, APPLY = "groups", "apply-groups"
NODE_VARIABLE = "${node}"
"""In ``apply-groups``: ``node0`` or ``node1``, the node the text is read on."""


def check(tree: Node, applied: bool = True) -> list[Problem]:
    """Every problem of a tree, groups included. ``applied``: whether the groups that are applied must be among them."""
    problems: list[Problem] = []
    for text, node in tree.children.items():
        if text == GROUPS:
            for group in node.children.values():
                problems += _block(group, TOP, f"groups {group.word.text}")
        elif text == APPLY:
            problems += _applied(tree, node) if applied else []
        else:
            problems += _statement(node, TOP, "")
    return problems


def _applied(tree: Node, apply: Node) -> list[Problem]:
    """Every name must be a group, on either node: a misspelt one would be a half of the cluster left out in silence."""
    if not apply.children:
        return [problem_at(apply.word, APPLY, "needs the name of a group")]
    groups = tree.find(GROUPS)
    known = set(groups.children) if groups else set()
    return [
        problem_at(node.word, APPLY, f"no group named {name}", nearest(name, known))
        for node in apply.children.values()
        for name in dict.fromkeys(for_node(node.word.text, node_id) for node_id in NODE_IDS)
        if name not in known
    ]


def for_node(name: str, node_id: int) -> str:
    """The group that a name in ``apply-groups`` stands for on a node."""
    return name.replace(NODE_VARIABLE, f"node{node_id}")


def nearest(text: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or nothing."""
    import difflib  # Only a mistake has to pay for it.

    close = difflib.get_close_matches(text, [word for word in known if word], 1, 0.5)
    return close[0] if close else ""


def _block(node: Node, allowed: dict[str, Statement], path: str) -> list[Problem]:
    problems: list[Problem] = []
    for child in node.children.values():
        problems += _statement(child, allowed, path)
    return problems


def _statement(node: Node, allowed: dict[str, Statement], path: str) -> list[Problem]:
    text = node.word.text
    here = f"{path} {text}".strip()
    if "" in allowed and text not in allowed:
        keyed = allowed[""]
        assert keyed.key is not None
        if not keyed.key.accepts(text):
            return [problem_at(node.word, path, f"{text} is not {keyed.key.description}")]
        return _block(node, keyed.below, here)
    statement = allowed.get(text)
    if statement is None:
        return [problem_at(node.word, path, f"unknown statement {text}", nearest(text, allowed))]
    if statement.refuse:
        return [problem_at(node.word, here, statement.refuse)]
    if statement.key is not None:
        return _entries(node, statement, here)
    if statement.value is not None:
        return _values(node, statement, here)
    return _block(node, statement.below, here)


def _entries(node: Node, statement: Statement, path: str) -> list[Problem]:
    assert statement.key is not None
    if not node.children:
        return [problem_at(node.word, path, f"needs {statement.key.description}")]
    problems: list[Problem] = []
    for entry in node.children.values():
        text = entry.word.text
        if not statement.key.accepts(text):
            problems.append(problem_at(entry.word, path, f"{text} is not {_within(statement.key.description)}"))
        elif statement.value is not None:
            problems += _values(entry, statement, f"{path} {text}")
        else:
            problems += _block(entry, statement.below, f"{path} {text}")
    return problems


def _within(description: str) -> str:
    return f"within {description}" if description[0].isdigit() else description


def _values(node: Node, statement: Statement, path: str) -> list[Problem]:
    assert statement.value is not None
    if not node.children:
        if statement.bare:
            return []
        return [problem_at(node.word, path, f"needs a value: {statement.value.description}")]
    problems: list[Problem] = []
    values = list(node.children.values())
    if len(values) > 1 and not statement.many:
        problems.append(problem_at(values[1].word, path, f"given twice: {values[0].word.text} and {values[1].word.text}"))
    for value in values:
        text = value.word.text
        if not statement.value.accepts(text):
            message = f"{text} is not {_within(statement.value.description)}"
            problems.append(problem_at(value.word, path, message))
        for extra in value.children.values():
            problems.append(problem_at(extra.word, path, f"unexpected {extra.word.text}"))
    return problems
