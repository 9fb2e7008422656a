"""Problems of a configuration, reported all at once, each with its place and what to do about it."""

from dataclasses import dataclass

from jsrpd.configuration.junos import Word


@dataclass(frozen=True, slots=True)
class Problem:
    """``path``: the words that lead to the place."""

    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""

    def render(self, name: str) -> str:
        """``FILE:LINE:COLUMN: path: message (did you mean …?)``."""
        hint = f" (did you mean {self.suggestion}?)" if self.suggestion else ""
        where = f"{self.path}: " if self.path else ""
        return f"{name}:{self.line}:{self.column}: {where}{self.message}{hint}"


def problem_at(word: Word, path: str, message: str, suggestion: str = "") -> Problem:
    """A problem where a word stands."""
    return Problem(word.line, word.column, path, message, suggestion)


class ConfigurationError(Exception):
    """A configuration that cannot be used. ``problems``: each once, in order of the text."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.path, problem.message))
        super().__init__("\n".join(problem.render(name) for problem in self.problems))
