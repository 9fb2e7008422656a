"""The words of ``jsrp``: a tree of statements, unique abbreviations, and what could stand at a point that was wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Arguments:
    """Values collected on the way, by name."""

    values: dict[str, str] = field(default_factory=dict)


Command = Callable[[Arguments], str]


@dataclass(slots=True)
class Word:
    """A place in the grammar: ``argument`` names a value; ``command`` runs when the words end here."""

    help: str
    below: dict[str, "Word"] = field(default_factory=dict)
    argument: str = ""
    command: Command | None = None


class GrammarError(Exception):
    """Words that lead nowhere; the text shows what is possible."""


def parse(root: Word, words: Sequence[str]) -> tuple[Command, Arguments]:
    """The command the words name."""
    place, arguments, said = root, Arguments(), ""
    for word in words:
        place = _step(place, word, arguments, said)
        said = f"{said} {word}".strip()
    if place.command is None:
        raise GrammarError(f"incomplete command: {said}\n{possible(place)}" if said else possible(place))
    return place.command, arguments


def _step(place: Word, word: str, arguments: Arguments, said: str) -> Word:
    argument = next((below for below in place.below.values() if below.argument), None)
    found = [name for name in place.below if name.startswith(word) and not place.below[name].argument]
    exact = [name for name in found if name == word]
    if exact or len(found) == 1:
        return place.below[(exact or found)[0]]
    if len(found) > 1:
        raise GrammarError(f"'{word}' is ambiguous: {', '.join(found)}")
    if argument is not None:
        arguments.values[argument.argument] = word
        return argument
    raise GrammarError(f"syntax error at '{word}'{' after ' + said if said else ''}\n{possible(place)}")


def possible(place: Word) -> str:
    """Possible completions, as Junos prints them."""
    lines = ["Possible completions:"]
    if place.command is not None:
        lines.append("  <[Enter]>            Execute this command")
    lines += [f"  {name:<20} {below.help}" for name, below in place.below.items()]
    return "\n".join(lines)


def commands(place: Word, said: str = "") -> list[tuple[str, str]]:
    """Every complete command with its help."""
    found = [(said, place.help)] if place.command is not None else []
    for name, below in place.below.items():
        found += commands(below, f"{said} {name}".strip())
    return found
