"""What can be typed in configuration mode, for completion and ``?``: the verbs, and behind them the schema itself."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsrpd.cli.grammar import Word
from jsrpd.configuration.junos import Node
from jsrpd.configuration.places import TOP_PLACE, Place, Role, step
from jsrpd.configuration.schema import Statement, Value

VERBS = {
    "activate": "Put a statement in effect again",
    "annotate": "Say something of a statement",
    "commit": "Bring the candidate into force on both nodes",
    "copy": "Copy a statement",
    "deactivate": "Take a statement out of effect and keep it",
    "delete": "Delete a statement",
    "edit": "Edit further down",
    "exit": "Exit from this level",
    "insert": "Put an entry before or behind another",
    "load": "Load a configuration from a file or the terminal",
    "quit": "Exit from this level",
    "rename": "Rename a statement",
    "rollback": "Take up a past configuration",
    "run": "Run an operational command",
    "save": "Save the candidate to a file",
    "set": "Set a statement",
    "show": "Show the candidate",
    "status": "Show past commits",
    "top": "Go to the top level",
    "up": "Go one level up",
    "update": "Take up what others have committed",
}
CHOICE = " | "


class _Lazy(Mapping[str, Word[str]]):
    """Made when somebody looks: behind a value the statements of its container may follow again, without end."""

    def __init__(self, make: Callable[[], dict[str, Word[str]]]) -> None:
        self._make = make
        self._made: dict[str, Word[str]] | None = None

    def _words(self) -> dict[str, Word[str]]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, key: str) -> Word[str]:
        return self._words()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words())

    def __len__(self) -> int:
        return len(self._words())


def grammar(tree: Node, level: list[str]) -> Word[Any]:
    """Of a candidate at an edit level."""
    place, node = TOP_PLACE, tree
    for word in level:
        found = step(place, word)
        assert found is not None
        place, node = found, node.children.get(word, Node(node.word))
    anything = lambda: _below(place, node, (place, node), adding=False)  # noqa: E731
    setting = lambda: _below(place, node, (place, node), adding=True)  # noqa: E731
    below = dict[str, Word[str]]()
    for verb, help_ in VERBS.items():
        match verb:
            case "set" | "edit":
                below[verb] = Word(help_, _Lazy(setting), None)
            case "show" | "delete":
                below[verb] = Word(help_, _Lazy(anything), verb)
            case "activate" | "deactivate" | "annotate" | "rename" | "copy" | "insert":
                below[verb] = Word(help_, _Lazy(anything), None)
            case "commit":
                below[verb] = Word(help_, _Lazy(_commit_options), verb)
            case "rollback":
                below[verb] = Word(
                    help_, {"N": Word("Which, 0 is the newest", command=verb, argument="rollback", within=range(50))}, verb
                )
            case "load":
                below[verb] = Word(help_, {how: _source(said) for how, said in LOADS.items()})
            case "run" | "top" | "up":
                below[verb] = Word(help_, {"COMMAND": Word("A command", command=verb, argument="command", rest=True)}, verb)
            case "save":
                below[verb] = Word(help_, {"FILE": Word("File", command=verb, argument="file")})
            case _:
                below[verb] = Word(help_, command=verb)
    return Word("", below)


LOADS = {
    "merge": "Add to the candidate",
    "override": "Take the place of the candidate",
    "replace": "Add, statements with the tag replace: in place of their old selves",
    "set": "Carry out lines of set, delete and others that edit",
    "update": "Take the place of the candidate",
}


def _source(help_: str) -> Word[str]:
    return Word(
        help_,
        {
            "terminal": Word("What is typed next, up to ^D", command="load"),
            "FILE": Word("A file", command="load", argument="file"),
        },
    )


def _commit_options() -> dict[str, Word[str]]:
    after = _Lazy(_commit_options)
    return {
        "and-quit": Word("Leave configuration mode if it succeeds", after, "commit"),
        "check": Word("Only see whether it could be done", after, "commit"),
        "comment": Word("Say why", {"TEXT": Word("What is said", after, "commit", "comment")}),
        "confirmed": Word("Take it back unless confirmed within minutes (10)", _Lazy(lambda: _minutes(after)), "commit"),
    }


def _minutes(after: Mapping[str, Word[str]]) -> dict[str, Word[str]]:
    return {"MINUTES": Word("Minutes", after, "commit", "minutes", range(1, 65536)), **after}


Container = tuple[Place, Node]


def _below(place: Place, node: Node, container: Container, adding: bool) -> dict[str, Word[str]]:
    """The words that may follow a place. ``adding``: whatever the schema has, else what the candidate has."""
    statement = place.statement
    match place.role:
        case Role.CONTAINER | Role.ENTRY:
            names = [name for name, one in place.below.items() if name and not one.refuse]
            if not adding:
                names = [name for name in names if name in node.children]
            words = {name: _word(place, node, name, (place, node), adding, _help(place.below[name])) for name in names}
            if "" in place.below:
                keyed = place.below[""]
                words |= _entries(place, node, keyed, keyed.key, container=(place, node), adding=adding)
            return words
        case Role.LIST:
            assert statement is not None
            return _entries(place, node, statement, statement.key, container, adding)
        case Role.LEAF:
            assert statement is not None
            return _values(node, statement, container, adding)
        case Role.VALUE:
            return {}


def _help(statement: Statement) -> str:
    return f"{statement.help} (default {statement.default})" if statement.default else statement.help


def _word(place: Place, node: Node, name: str, container: Container, adding: bool, help_: str, argument: str = "") -> Word[str]:
    found = step(place, name)
    assert found is not None
    below = node.children.get(name, Node(node.word))
    within = (found, below) if found.role in (Role.CONTAINER, Role.ENTRY) else container
    complete = not adding or found.role in (Role.CONTAINER, Role.ENTRY)
    return Word(help_, _Lazy(lambda: _below(found, below, within, adding)), "path" if complete else None, argument)


def _entries(
    place: Place, node: Node, statement: Statement, key: Value | None, container: Container, adding: bool
) -> dict[str, Word[str]]:
    """The entries there are, and whatever the key allows."""
    assert key is not None
    words = {
        text: _word(place, node, text, container, adding, "")
        for text in node.children
        if text not in place.below or place.role is Role.LIST
    }
    if adding:
        words["NAME"] = _word(place, node, "NAME", container, adding, f"{statement.help}: {key.description}", "name")
    return words


def _values(node: Node, statement: Statement, container: Container, adding: bool) -> dict[str, Word[str]]:
    assert statement.value is not None
    if not adding:
        return {text: Word("", command="path") for text in node.children}
    after = _Lazy(lambda: _below(container[0], container[1], container, adding))
    described = statement.value.description
    if CHOICE in described:
        return {word: Word("", after, "path") for word in described.split(CHOICE)}
    return {"VALUE": Word(described, after, "path", "value")}
