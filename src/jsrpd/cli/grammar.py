"""Trees of words: abbreviations, ranges, what may follow, and what could stand where a word was wrong. Pure.

Both the commands of ``jsrp`` and what may follow ``|`` are such trees; parser, completion, ``?``, manual page and the
completion of bash all read them. ``grow`` makes a tree from one line a command.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
HELP = "?"
ENTER = "<[Enter]>"
EXECUTE = "Execute this command"


@dataclass(frozen=True, slots=True)
class Word(Generic[T]):
    """A place in a tree.

    ``below``: the words that may follow. ``command``: what is meant when the words end here. ``argument``: the value
    typed at this place is kept under this name; ``within``: and must be one of these numbers; ``among``: or one of these
    words, with their help; ``rest``: and it goes on to the end of the line, for a command that has a language of its own.
    """

    help: str
    below: Mapping[str, "Word[T]"] = field(default_factory=dict)
    command: T | None = None
    argument: str = ""
    within: range | None = None
    rest: bool = False
    among: Mapping[str, str] = field(default_factory=dict)


LONGEST_LINE, SHOWN_OF_A_LINE = 400, 120
"""Of a message."""
LONGEST_WORD = 64
"""No command has one that is longer."""


class GrammarError(Exception):
    """Words that lead nowhere; the text shows what is possible. ``at``: which word, counted from 0; None: their end."""

    def __init__(self, text: str, at: int | None = None) -> None:
        super().__init__(text)
        self.at = at


class Candidate(NamedTuple):
    """What may stand at a place. ``word`` is empty when there is only a description, as for a number."""

    shown: str
    help: str
    word: str = ""


# -- reading ----------------------------------------------------------------------------------------------------------


def parse(root: Word[T], words: Sequence[str], after: str = "") -> tuple[T, dict[str, str]]:
    """What the words mean, and the values among them by name. ``after``: what was typed before, for messages."""
    place, values, said = walk(root, words, after)
    if place.command is None:
        raise GrammarError(f"incomplete command: {said}\n{possible(place)}")
    return place.command, values


def completions(root: Word[T], words: Sequence[str]) -> str:
    """What may follow the words."""
    return possible(walk(root, words)[0])


def possible(place: Word[T]) -> str:
    """Possible completions, as Junos prints them."""
    return listed(candidates(place))


def listed(found: Iterable[Candidate]) -> str:
    """Candidates as a list with its title."""
    rows = list(found)
    width = max([20, *(len(one.shown) for one in rows)])
    return "\n".join(["Possible completions:", *(f"  {one.shown:<{width}} {one.help}".rstrip() for one in rows)])


def candidates(place: Word[T], partial: str = "", values: Mapping[str, Sequence[tuple[str, str]]] | None = None) -> list[Candidate]:
    """What may stand here and begins with ``partial``. ``values``: known values (and help) by the name of the argument."""
    found = [Candidate(ENTER, EXECUTE)] if place.command is not None and not partial else []
    for name, below in sorted(place.below.items(), key=lambda item: (bool(item[1].argument), item[0])):
        if not below.argument:
            found += [Candidate(name, below.help, name)] if name.startswith(partial) else []
            continue
        known = (values or {}).get(below.argument) or list(below.among.items())
        matching = [Candidate(word, help_, word) for word, help_ in known if word.startswith(partial)]
        found += matching or [Candidate(name, below.help)]
    return found


def commands(place: Word[T], said: str = "") -> list[tuple[str, str]]:
    """Every complete command with its help."""
    found = [(said, place.help)] if place.command is not None else []
    for name, below in place.below.items():
        found += commands(below, f"{said} {name}".strip())
    return found


def walk(root: Word[T], words: Sequence[str], said: str = "") -> tuple[Word[T], dict[str, str], str]:
    """Where the words lead, the values among them, and the words in full. GrammarError."""
    place, values = root, dict[str, str]()
    for at, word in enumerate(words):
        name = _name(place, word, said, at)
        place = place.below[name]
        if place.rest:
            values[place.argument] = " ".join(words[at:])
            break
        if place.argument:
            _check_value(word, place, said, at)
            values[place.argument] = name = word
        said = f"{said} {name}".strip()
    return place, values, said


def full(place: Word[T], word: str) -> str:
    """The word that ``word`` abbreviates here; itself when it abbreviates none, or several."""
    names = _matching(place, word)
    return names[0] if len(names) == 1 else word


def _matching(place: Word[T], word: str) -> list[str]:
    names = [name for name, below in place.below.items() if not below.argument]
    return [word] if word in names else [name for name in names if word and name.startswith(word)]


def _name(place: Word[T], word: str, said: str, at: int) -> str:
    """The name of the place below that the word stands for."""
    found = _matching(place, word)
    if len(found) == 1:
        return found[0]
    if found:
        raise GrammarError(f"'{word}' is ambiguous{_after(said)}: {', '.join(found)}", at)
    for name, below in place.below.items():
        if below.argument:
            return name
    raise GrammarError(f"syntax error at '{word}'{_after(said)}{_suggestion(word, list(place.below))}\n{possible(place)}", at)


def _after(said: str) -> str:
    return f" after {said}" if said else ""


def readable(error: Exception) -> str:
    """What it says, for a terminal: of what was typed, only as much as one recognizes it by, and no bytes that are no text."""
    lines = str(error).split("\n")
    short = (line if len(line) <= LONGEST_LINE else f"{line[:SHOWN_OF_A_LINE]} …" for line in lines)
    return "\n".join("".join(one if one.isprintable() else "?" for one in line) for line in short)


def _suggestion(word: str, names: Sequence[str]) -> str:
    if len(word) > LONGEST_WORD:
        return ""
    import difflib  # Only a typing error has to pay for it.

    nearest = difflib.get_close_matches(word, names, 1, 0.5)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def _check_value(word: str, place: Word[T], said: str, at: int) -> None:
    what, within = said.rpartition(" ")[2], place.within
    if within is not None and not (word.isascii() and word.isdigit() and len(word) < 20 and int(word) in within):
        raise GrammarError(f"error: {what} {word} is not within range {within[0]}..{within[-1]}", at)
    if place.among and word not in place.among:
        raise GrammarError(f"error: {what} {word} is not one of: {', '.join(place.among)}", at)


# -- growing ----------------------------------------------------------------------------------------------------------


class Entry(NamedTuple, Generic[T]):
    """One command: how it is written, with values in capitals and what may be left out in brackets, each alone or all in
    this order, as in ``show x [group GROUP] [last COUNT]``; what it is for; what it does.

    ``help`` is shown at its last word that is no value, of the shortest form. ``details``: help for other words and values
    of it, where the common one would not say it.
    """

    form: str
    help: str
    command: T
    details: Mapping[str, str] = {}


def grow(entries: Iterable[Entry[T]], values: Mapping[str, "Word[T]"], help_: Mapping[str, str]) -> Word[T]:
    """The tree of all entries.

    ``values``: a pattern of each value by its capitals. ``help_``: help of words on the way, by the way to them
    (``show chassis``) or by themselves. ValueError for a word without help, and for two commands of one form.
    """
    root: _Growing[T] = _Growing()
    for entry in entries:
        forms = sorted(_forms(entry.form), key=len)
        own = [name for name in forms[0] if name not in values][-1]
        for form in forms:
            root.add(entry, form, own, values, help_)
    return root.grown()


def _forms(form: str) -> list[list[str]]:
    """Every way to write it."""
    found: list[list[str]] = [[]]
    for piece in form.replace("[", "]?").split("]"):
        if piece.startswith("?"):
            found += [[*before, *piece[1:].split()] for before in found]
        else:
            found = [[*before, *piece.split()] for before in found]
    return found


class _Growing(Generic[T]):
    """A place while the tree grows."""

    def __init__(self, pattern: Word[T] | None = None, help_: str = "") -> None:
        self.pattern = pattern
        self.help = help_ or (pattern.help if pattern is not None else "")
        self.command: T | None = None
        self.below: dict[str, _Growing[T]] = {}

    def add(self, entry: Entry[T], form: list[str], own: str, values: Mapping[str, Word[T]], help_: Mapping[str, str]) -> None:
        """One form of an entry; ``own``: the word that the entry's help explains."""
        place, way = self, ""
        for name in form:
            way = f"{way} {name}".strip()
            if name not in place.below:
                place.below[name] = _Growing(values.get(name), entry.details.get(name, ""))
            place = place.below[name]
            if not place.help:
                place.help = entry.help if name == own else help_.get(way) or help_.get(name, "")
        if place.command is not None:
            raise ValueError(f"two commands are written {way}")
        place.command = entry.command

    def grown(self, way: str = "") -> Word[T]:
        """The place with all below it."""
        if way and not self.help:
            raise ValueError(f"no help for: {way}")
        below = {name: place.grown(f"{way} {name}".strip()) for name, place in self.below.items()}
        if self.pattern is None:
            return Word(self.help, below, self.command)
        of = self.pattern
        return Word(self.help, below, self.command, of.argument, of.within, of.rest, of.among)
