"""Trees of words: unique abbreviations, ranges, and what could stand where a word was wrong.

Both the commands of ``jsrp`` and what may follow ``|`` are such trees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
HELP = "?"


@dataclass(frozen=True, slots=True)
class Word(Generic[T]):
    """A place in a tree.

    ``below``: the words that may follow. ``command``: what is meant when the words end here. ``argument``: the value
    typed at this place is kept under this name; ``within``: and must be one of these numbers; ``rest``: and it goes on to
    the end of the line, for a command that has a language of its own.
    """

    help: str
    below: Mapping[str, "Word[T]"] = field(default_factory=dict)
    command: T | None = None
    argument: str = ""
    within: range | None = None
    rest: bool = False


class GrammarError(Exception):
    """Words that lead nowhere; the text shows what is possible."""


def parse(root: Word[T], words: Sequence[str], after: str = "") -> tuple[T, dict[str, str]]:
    """What the words mean, and the values among them by name. ``after``: what was typed before, for messages."""
    place, values, said = _walk(root, words, after)
    if place.command is None:
        raise GrammarError(f"incomplete command: {said}\n{possible(place)}")
    return place.command, values


def completions(root: Word[T], words: Sequence[str]) -> str:
    """What may follow the words."""
    return possible(_walk(root, words, "")[0])


def possible(place: Word[T]) -> str:
    """Possible completions, as Junos prints them."""
    lines = ["Possible completions:"]
    if place.command is not None:
        lines.append("  <[Enter]>            Execute this command")
    lines += [f"  {name:<20} {below.help}".rstrip() for name, below in place.below.items()]
    return "\n".join(lines)


def commands(place: Word[T], said: str = "") -> list[tuple[str, str]]:
    """Every complete command with its help."""
    found = [(said, place.help)] if place.command is not None else []
    for name, below in place.below.items():
        found += commands(below, f"{said} {name}".strip())
    return found


def _walk(root: Word[T], words: Sequence[str], said: str) -> tuple[Word[T], dict[str, str], str]:
    """Where the words lead, the values among them, and the words in full."""
    place, values = root, dict[str, str]()
    for at, word in enumerate(words):
        name = _name(place, word, said)
        place = place.below[name]
        if place.rest:
            values[place.argument] = " ".join(words[at:])
            break
        if place.argument:
            _check_range(word, place.within, said)
            values[place.argument] = name = word
        said = f"{said} {name}".strip()
    return place, values, said


def _name(place: Word[T], word: str, said: str) -> str:
    """The name of the place below that the word stands for."""
    names = [name for name, below in place.below.items() if not below.argument]
    found = [word] if word in names else [name for name in names if word and name.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise GrammarError(f"'{word}' is ambiguous{_after(said)}: {', '.join(found)}")
    for name, below in place.below.items():
        if below.argument:
            return name
    raise GrammarError(f"syntax error at '{word}'{_after(said)}{_suggestion(word, names)}\n{possible(place)}")


def _after(said: str) -> str:
    return f" after {said}" if said else ""


def _suggestion(word: str, names: Sequence[str]) -> str:
    import difflib  # Only a typing error has to pay for it.

    nearest = difflib.get_close_matches(word, names, 1, 0.5)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def _check_range(word: str, within: range | None, said: str) -> None:
    if within is None or (word.isascii() and word.isdigit() and int(word) in within):
        return
    what = said.rpartition(" ")[2]
    raise GrammarError(f"error: {what} {word} is not within range {within[0]}..{within[-1]}")
