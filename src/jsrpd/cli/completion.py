"""What a half-typed line can become: for Tab, blank and ``?``, from the grammar of the mode. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jsrpd.cli import pipes
from jsrpd.cli.grammar import ENTER, Candidate, GrammarError, Word, candidates, listed, walk

PIPE = Candidate("|", "Pipe through a command")
_TOKEN = re.compile(r""" "[^"]*(?:"|$) | '[^']*(?:'|$) | \| | [^\s|"']+ """, re.VERBOSE)

Values = Callable[[str], Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Found:
    """``more``: what to add to the line (with its blank, once a word is whole). ``text``: to be shown, empty for nothing."""

    more: str
    text: str


def complete(root: Word[Any], before: str, key: str, values: Values) -> Found:
    """What Tab, a blank or ``?`` does after ``before``, the line up to the cursor."""
    words, partial, piped = _words(before)
    try:
        place, _, _ = walk(root, words)
    except GrammarError as error:
        return Found(" " if key == " " else "", "" if key == " " else f"{caret(before, error)}{error}")
    known = {below.argument: values(below.argument) for below in place.below.values() if below.argument}
    found = candidates(place, partial, known)
    if key == "?":
        pipe = [PIPE] if found[:1] and found[0].shown == ENTER and not piped else []
        return Found("", listed([*found, *pipe]) if found else f"No completion begins with '{partial}'")
    fixed = [one.word for one in found if one.word]
    if not partial:
        return Found("", listed(found)) if key == "\t" else Found(" ", "")
    if partial in fixed or not fixed:
        return Found(" " if key == " " or partial in fixed else "", "")
    common = _common(fixed)
    if len(fixed) == 1 and len(found) == 1:
        return Found(f"{fixed[0][len(partial) :]} ", "")
    if key == " " and len(found) > len(fixed):
        return Found(" ", "")
    if key == "\t" and len(common) > len(partial):
        return Found(common[len(partial) :], "")
    return Found("", f"'{partial}' is ambiguous.\n{listed(found)}")


def caret(line: str, error: GrammarError, offset: int = 0) -> str:
    """A line with a mark under the word that is wrong; nothing where the error is about none."""
    if error.at is None:
        return ""
    spans = [match.start() for match in _TOKEN.finditer(line.split("|", 1)[0])]
    return f"{' ' * (offset + spans[error.at])}^\n" if error.at < len(spans) else ""


def _words(before: str) -> tuple[list[str], str, bool]:
    """The whole words of the last segment, the word being typed, and whether the segment stands behind a ``|``."""
    segments: list[list[str]] = [[]]
    end = 0
    for match in _TOKEN.finditer(before):
        end = match.end()
        if match[0] == "|":
            segments.append([])
        else:
            segments[-1].append(match[0].strip("\"'"))
    partial = segments[-1].pop() if segments[-1] and end == len(before) else ""
    return segments[-1], partial, len(segments) > 1


def root_of(root: Word[Any], before: str) -> Word[Any]:
    """The tree that the last segment of the line is read with."""
    return pipes.PIPES if _words(before)[2] else root


def _common(words: Sequence[str]) -> str:
    first, last = min(words), max(words)
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]
