"""What the interactive shell drives: a mode has a prompt, a grammar and an answer to each line. Pure."""

from collections.abc import Sequence
from typing import Any, Protocol

from jsrpd.cli.grammar import Word


class Mode(Protocol):
    """Operational mode, or configuration mode. ``execute`` raises GrammarError and CommandFailed."""

    @property
    def prompt(self) -> str:
        """What stands before the cursor, its last blank included: ``user@host> ``."""

    @property
    def context(self) -> str:
        """A line above the prompt beside the banner, as ``[edit]``; empty for none."""

    @property
    def grammar(self) -> Word[Any]:
        """What can be typed now; it may change after every line."""

    @property
    def finished(self) -> bool:
        """Whether the shell goes back to where it was."""

    def execute(self, line: str) -> str:
        """What is printed for a line, its pipes applied."""

    def end_of_input(self) -> str | None:
        """Ctrl-D on an empty line: what came of a text that it ends; None: leave the mode."""

    def close(self) -> None:
        """The mode is left, however: nothing may stay locked."""

    def values(self, argument: str) -> Sequence[tuple[str, str]]:
        """Values that are known for an argument of the grammar, with help; none where they cannot be listed."""


class Enter(Exception):
    """Raised by a command: the shell goes on in this mode, after printing ``text``."""

    def __init__(self, mode: Mode, text: str = "") -> None:
        super().__init__(text)
        self.mode, self.text = mode, text


class Leave(Exception):
    """Raised by a command: the session, or this mode, ends."""
