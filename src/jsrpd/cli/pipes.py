"""What may follow ``|``: match, except, count, no-more, display.

A pipe is checked and made before the command runs: a typing error in it must not leave half a command done.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jsrpd.cli.grammar import GrammarError, Word, parse

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
    return len(pipe) == 1 and any(name.startswith(pipe[0]) for name in ("match", "except"))


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


def _lines(values: Mapping[str, str], wanted: bool) -> Filter:
    """Keeps the lines of which ``wanted`` says whether they match; like Junos without regard to case."""
    try:
        expression = re.compile(values["expression"], re.IGNORECASE)
    except re.error as error:
        raise GrammarError(f"error: '{values['expression']}' is not a regular expression: {error}") from error

    def keep(text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if bool(expression.search(line)) == wanted)

    return keep


def _count(text: str) -> str:
    return f"Count: {len(text.splitlines())} lines\n"


Pipe = Word[Callable[[Mapping[str, str]], Filter | Display]]


def _with_expression(help_: str, wanted: bool) -> Pipe:
    expression: Pipe = Word("Regular expression", command=lambda values: _lines(values, wanted), argument="expression")
    return Word(help_, {"EXPRESSION": expression})


PIPES: Pipe = Word(
    "",
    {
        "match": _with_expression("Show only lines that match", True),
        "except": _with_expression("Show only lines that do not match", False),
        "count": Word("Count the lines", command=lambda _values: _count),
        "no-more": Word("Do not stop at the end of a page (jsrp never does)", command=lambda _values: str),
        "display": Word(
            "Show in another format",
            {
                "json": Word("JSON", command=lambda _values: Display("json")),
                "set": Word("Lines that begin with set", command=lambda _values: Display("set")),
            },
        ),
    },
)
