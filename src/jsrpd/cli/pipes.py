"""What may follow ``|``: match, except, count, no-more, display."""

import re
from collections.abc import Sequence


class PipeError(Exception):
    """A pipe that is not known or lacks its argument."""


def split(words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The command's words, and those of each pipe. ``|`` may stand alone or inside a quoted word."""
    pieces: list[list[str]] = [[]]
    for word in words:
        for number, part in enumerate(word.split("|")):
            if number:
                pieces.append([])
            pieces[-1] += part.split() if "|" in word else [part]
    return pieces[0], pieces[1:]


def display(pipes: list[list[str]]) -> str:
    """The format asked for with ``display``; empty for text."""
    return next((pipe[1] for pipe in pipes if len(pipe) == 2 and pipe[0] == "display"), "")


def apply(text: str, pipes: list[list[str]]) -> str:
    """The text after all pipes."""
    for pipe in pipes:
        match pipe:
            case ["match", pattern]:
                text = _lines(text, pattern, True)
            case ["except", pattern]:
                text = _lines(text, pattern, False)
            case ["count"]:
                text = f"Count: {len(text.splitlines())} lines\n"
            case ["no-more"] | ["display", "json" | "set"]:
                pass
            case _:
                raise PipeError(
                    f"unknown pipe: {' '.join(pipe)}\n"
                    "Possible completions: match RE, except RE, count, no-more, display json, display set"
                )
    return text


def _lines(text: str, pattern: str, wanted: bool) -> str:
    try:
        expression = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise PipeError(f"{pattern}: {error}") from error
    return "".join(line for line in text.splitlines(keepends=True) if bool(expression.search(line)) == wanted)
