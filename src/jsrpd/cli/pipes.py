"""What may follow ``|``: match, except, find, last, count, no-more, display.

A pipe is checked and made before the command runs: a typing error in it must not leave half a command done.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jsrpd.cli.grammar import Entry, GrammarError, Word, grow, parse

Filter = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Display:
    """Another format than text; the command itself writes it."""

    format: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``display``: empty for text."""

    display: str
    filters: tuple[Filter, ...]

    def apply(self, text: str) -> str:
        """The text after all filters."""
        for change in self.filters:
            text = change(text)
        return text


def split(words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The command's words, and those of each pipe.

    The words are as the shell gives them, so one may be a piece of a command line (``"show … | count"``) with quotes
    of its own. A regular expression is taken as it is: the shell, or the quotes, have said where it ends.
    """
    pieces: list[list[str]] = [[]]
    for word in words:
        if len(pieces) > 1 and _wants_expression(pieces[-1]):
            pieces[-1].append(word)
            continue
        for token in _TOKEN.finditer(word):
            if token["bar"]:
                pieces.append([])
            elif token["lone"]:
                raise GrammarError(f"syntax error: the quote is not closed: {word[token.start() :]}")
            else:
                pieces[-1].append(token["word"] or token[0][1:-1])
    return pieces[0], pieces[1:]


_TOKEN = re.compile(r""" "[^"]*" | '[^']*' | (?P<bar>\|) | (?P<word>[^\s|"']+) | (?P<lone>["']) """, re.VERBOSE)


def _wants_expression(pipe: Sequence[str]) -> bool:
    return len(pipe) == 1 and any(name.startswith(pipe[0]) for name in ("match", "except", "find"))


def whole(line: str) -> bool:
    """Whether a line asks for its answer in one piece (``| no-more``)."""
    try:
        return any(piece and "no-more".startswith(piece[0]) for piece in split([line])[1])
    except GrammarError:
        return False


def pipeline(pipes: Sequence[Sequence[str]], displays: Sequence[str]) -> Pipeline:
    """The pipes, ready to run. ``displays``: the formats this command has. GrammarError for what is wrong in any."""
    display, filters = "", list[Filter]()
    for words in pipes:
        make, values = parse(PIPES, words, "|")
        pipe = make(values)
        if not isinstance(pipe, Display):
            filters.append(pipe)
        elif pipe.format not in displays:
            raise GrammarError(f"error: this command has no display {pipe.format}; it has {', '.join(displays) or 'only text'}")
        elif display:
            raise GrammarError("error: only one display at a time")
        else:
            display = pipe.format
    return Pipeline(display, tuple(filters))


def _expression(values: Mapping[str, str]) -> re.Pattern[str]:
    """Like Junos without regard to case."""
    try:
        return re.compile(values["expression"], re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise GrammarError(f"error: '{values['expression']}' is not a regular expression: {error}") from error


def _lines(values: Mapping[str, str], wanted: bool) -> Filter:
    """Keeps the lines of which ``wanted`` says whether they match."""
    expression = _expression(values)

    def keep(text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if bool(expression.search(line)) == wanted)

    return keep


def _find(values: Mapping[str, str]) -> Filter:
    """Everything from the first line on that matches."""
    expression = _expression(values)

    def keep(text: str) -> str:
        lines = text.splitlines(keepends=True)
        first = next((at for at, line in enumerate(lines) if expression.search(line)), None)
        return "".join(lines[first:]) if first is not None else "Pattern not found\n"

    return keep


def _last(lines: int) -> Filter:
    return lambda text: "".join(text.splitlines(keepends=True)[-lines:])


def _count(text: str) -> str:
    return f"Count: {len(text.splitlines())} lines\n"


Pipe = Word[Callable[[Mapping[str, str]], Filter | Display]]


EXPRESSION: Pipe = Word("Regular expression", argument="expression")
LINES: Pipe = Word("How many lines (1..9999)", argument="lines", within=range(1, 10_000))
ENTRIES: tuple[Entry[Callable[[Mapping[str, str]], Filter | Display]], ...] = (
    Entry("match EXPRESSION", "Show only lines that match", lambda values: _lines(values, True)),
    Entry("except EXPRESSION", "Show only lines that do not match", lambda values: _lines(values, False)),
    Entry("find EXPRESSION", "Begin with the first line that matches", _find),
    Entry("last", "Show the end only: 10 lines", lambda _values: _last(10)),
    Entry("last LINES", "Show so many lines of the end", lambda values: _last(int(values["lines"]))),
    Entry("count", "Count the lines", lambda _values: _count),
    Entry("no-more", "Do not stop at the end of a page", lambda _values: str),
    Entry("display json", "JSON", lambda _values: Display("json")),
    Entry("display xml", "XML, as NETCONF would carry it", lambda _values: Display("xml")),
    Entry("display set", "Lines that begin with set", lambda _values: Display("set")),
)
PIPES: Pipe = grow(
    ENTRIES,
    {"EXPRESSION": EXPRESSION, "LINES": LINES},
    {
        "match": "Show only lines that match",
        "except": "Show only lines that do not match",
        "find": "Begin with the first line that matches",
        "display": "Show in another format",
    },
)
