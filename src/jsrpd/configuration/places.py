"""Where a word stands in the schema: the one walk that editing, completion, display and the other file formats share.

A place says what may follow it. From a container or an entry of a list its statements follow; from a list its keys; from
a leaf its values; and behind a value, on the same line, more statements of the container the leaf stands in, as Junos
takes them (``preempt delay 60 limit 3``).
"""

from dataclasses import dataclass
from enum import Enum

from jsrpd.configuration.check import APPLY, GROUPS, NODE_VARIABLE, nearest
from jsrpd.configuration.schema import ANY, NAME, TOP, Statement, Value

GROUP_NAME = Value("the name of a group", lambda text: NAME.accepts(text) or text.replace("_", "").isalnum())
EDITABLE: dict[str, Statement] = {
    GROUPS: Statement("statements for some nodes, by name", key=GROUP_NAME, below=TOP),
    **TOP,
    APPLY: Statement(f"groups whose statements hold; {NODE_VARIABLE} is the group of the node itself", value=ANY, many=True),
}
"""What a file may hold at its top, which is what can be edited."""


class Role(Enum):
    """What a word is."""

    CONTAINER = 0
    LIST = 1
    ENTRY = 2
    LEAF = 3
    VALUE = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A word's role, its statement (None at the top), and the statements that may stand below."""

    role: Role
    statement: Statement | None
    below: dict[str, Statement]


TOP_PLACE = Place(Role.CONTAINER, None, EDITABLE)


class WrongWord(Exception):
    """A word that cannot stand there. ``at``: its number in the path."""

    def __init__(self, message: str, at: int, suggestion: str = "") -> None:
        super().__init__(f"{message} (did you mean {suggestion}?)" if suggestion else message)
        self.at = at


def step(place: Place, word: str) -> Place | None:
    """The place of ``word`` below; None where the schema has none. Values are not checked."""
    statement = place.statement
    match place.role:
        case Role.LIST:
            assert statement is not None
            return Place(Role.LEAF if statement.value else Role.ENTRY, statement, statement.below)
        case Role.LEAF:
            return Place(Role.VALUE, statement, {})
        case Role.VALUE:
            return None
        case Role.CONTAINER | Role.ENTRY:
            return _named(place, word)


def _named(place: Place, word: str) -> Place | None:
    statement = place.below.get(word) if word else None
    if statement is None:
        entry = place.below.get("")
        return Place(Role.ENTRY, entry, entry.below) if entry is not None else None
    if statement.key is not None:
        return Place(Role.LIST, statement, statement.below)
    if statement.value is not None:
        return Place(Role.LEAF, statement, {})
    return Place(Role.CONTAINER, statement, statement.below)


def objection(place: Place, word: str) -> str:
    """Why a word cannot stand below a place; empty when it can. The same words as ``check``."""
    statement = place.statement
    match place.role:
        case Role.LIST:
            assert statement is not None and statement.key is not None
            return _not_accepted(word, statement.key)
        case Role.LEAF:
            assert statement is not None and statement.value is not None
            return _not_accepted(word, statement.value)
        case Role.VALUE:
            return f"unexpected {word}"
        case Role.CONTAINER | Role.ENTRY:
            found = place.below.get(word)
            entry = place.below.get("")
            if found is not None:
                return f"{word} {found.refuse}" if found.refuse else ""
            if entry is not None and entry.key is not None:
                return _not_accepted(word, entry.key)
            return f"unknown statement {word}"


def _not_accepted(word: str, value: Value) -> str:
    within = "within " if value.description[0].isdigit() else ""
    return "" if value.accepts(word) else f"{word} is not {within}{value.description}"


def in_full(place: Place, word: str) -> str:
    """A statement's name from an unambiguous beginning of it; any other word as it is."""
    if place.role not in (Role.CONTAINER, Role.ENTRY) or word in place.below or "" in place.below:
        return word
    found = [name for name in place.below if name.startswith(word)]
    return found[0] if word and len(found) == 1 else word


@dataclass(frozen=True, slots=True)
class Step:
    """A word and its place."""

    word: str
    place: Place


def walk(words: list[str], start: Place = TOP_PLACE) -> list[Step]:
    """One path, checked word by word. WrongWord with what is wrong."""
    place, steps = start, list[Step]()
    for at, typed in enumerate(words):
        word = in_full(place, typed)
        wrong = objection(place, word)
        if wrong:
            near = nearest(word, place.below) if wrong.startswith("unknown") else ""
            raise WrongWord(wrong, at, near)
        found = step(place, word)
        assert found is not None
        place = found
        steps.append(Step(word, place))
    return steps


def statements(words: list[str], start: Place = TOP_PLACE) -> list[list[Step]]:
    """The statements of one line: behind a value the line may go on with another statement of the same container.

    ``[ a b ]`` gives a leaf several values. WrongWord with what is wrong; nothing is incomplete that a file could hold.
    """
    found, steps, listing = list[list[Step]](), list[Step](), False
    for at, typed in enumerate(words):
        place = steps[-1].place if steps else start
        if typed == "[" and place.role in (Role.LEAF, Role.LIST) and not listing:
            listing = True
            continue
        if typed == "]" and listing:
            listing = False
            continue
        if place.role is Role.VALUE:
            found.append(steps)
            several = listing and place.statement is not None and place.statement.many
            steps = steps[:-1] if several else _container_of(steps)
            place = steps[-1].place if steps else start
        (one,) = _checked(place, typed, at)
        steps = [*steps, one]
    if listing:
        raise WrongWord("[ is not closed", len(words) - 1)
    if steps:
        found.append(steps)
    for last in found:
        _must_be_complete(last[-1].place, len(words))
    return found


def _checked(place: Place, typed: str, at: int) -> list[Step]:
    try:
        return walk([typed], place)
    except WrongWord as error:
        error.at = at
        raise


def _container_of(steps: list[Step]) -> list[Step]:
    """The steps to the container or entry that the leaf at the end stands in."""
    above = list(steps)
    while above and above[-1].place.role not in (Role.CONTAINER, Role.ENTRY):
        above.pop()
    return above


def _must_be_complete(place: Place, at: int) -> None:
    statement = place.statement
    assert statement is not None
    if place.role is Role.LIST:
        assert statement.key is not None
        raise WrongWord(f"needs {statement.key.description}", at)
    if place.role is Role.LEAF and not statement.bare:
        assert statement.value is not None
        raise WrongWord(f"needs a value: {statement.value.description}", at)
