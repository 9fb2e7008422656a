"""``jsrp`` without a command: the interactive session, also as a login shell (``jsrp -c COMMAND`` is what sshd runs then)."""

import contextlib
import os
import pwd
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from jsrpd.cli import completion, pipes
from jsrpd.cli.commands import CommandFailed, InputFailed, banner, known_values
from jsrpd.cli.editor import Asked, Editor, Ended, Interrupted
from jsrpd.cli.grammar import GrammarError, Word, readable
from jsrpd.cli.main import answer
from jsrpd.cli.modes import Enter, Leave, Mode
from jsrpd.cli.settings import SETTINGS
from jsrpd.cli.terminal import Hangup, Idle, Terminal, lines_from, restore_signals
from jsrpd.cli.tree import COMMANDS


def user() -> str:
    """Who is at the terminal: the name of the login, where several have one number."""
    name = os.environ.get("LOGNAME", "")
    with contextlib.suppress(KeyError):
        if pwd.getpwnam(name).pw_uid == os.geteuid():
            return name
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def who(mark: str) -> str:
    """``user@host>`` with another mark for another mode."""
    return f"{user()}@{socket.gethostname().partition('.')[0]}{mark} "


class Operational:
    """Operational mode."""

    finished = False
    context = ""

    @property
    def prompt(self) -> str:
        """``user@host>``, or what ``set cli prompt`` says."""
        return SETTINGS.prompt or who(">")

    @property
    def grammar(self) -> Word[Any]:
        """All commands."""
        return COMMANDS

    def execute(self, line: str) -> str:
        """As the one-shot form does it."""
        return answer([line])

    def values(self, argument: str) -> Sequence[tuple[str, str]]:
        """Groups, nodes, messages."""
        return known_values(argument)

    def end_of_input(self) -> None:
        """Ctrl-D ends the session."""

    def close(self) -> None:
        """Nothing is held."""


class Session:
    """A stack of modes over a terminal; it ends when the first one is left."""

    def __init__(self, terminal: Terminal, first: Mode | None = None) -> None:
        self.terminal = terminal
        self.modes: list[Mode] = [first or Operational()]
        self.history: list[str] = []

    def run(self) -> int:
        """Until the operator leaves or the terminal is gone."""
        restore_signals()
        try:
            with contextlib.suppress(Hangup), self.terminal.session():
                try:
                    while self.modes:
                        self._turn()
                except Idle:
                    self.terminal.write("\nIdle timeout exceeded: closing session\n")
                except KeyboardInterrupt:
                    self.terminal.write("\n")
        finally:
            while self.modes:
                self._pop()
        return 0

    def _turn(self) -> None:
        """One line: read, carried out, answered."""
        mode = self.modes[-1]
        line = self._line(mode)
        if line is None:
            self._end_of_input(mode)
        elif line.strip():
            try:
                self._execute(mode, line)
            except KeyboardInterrupt:
                self.terminal.write("^C\n")

    def _line(self, mode: Mode) -> str | None:
        """None for the end of input; empty when it was given up."""
        # A mode that asks back, or takes a text, shows its own words only.
        role = banner() if len(self.modes) == 1 or mode.context else ""
        above = [said for said in (role, mode.context) if said]
        self.terminal.write("".join(f"{said}\n" for said in (["", *above] if above else [])))
        editor = Editor(mode.prompt, self.terminal.size()[0], self.history, SETTINGS.complete_on_space)
        editor.draw()
        with self.terminal.keys():
            while True:
                outcome = self.terminal.edit(editor)
                if isinstance(outcome, Asked):
                    self._complete(mode, editor, outcome.key)
                elif isinstance(outcome, Ended):
                    return None
                else:
                    return "" if isinstance(outcome, Interrupted) else outcome.line

    def _complete(self, mode: Mode, editor: Editor, key: str) -> None:
        before = editor.text[: editor.cursor]
        found = completion.complete(completion.root_of(mode.grammar, before), before, key, mode.values)
        if found.more:
            editor.insert(found.more)
        if found.text:
            editor.sent.append(f"{'?' if key == '?' else ''}\n{found.text}\n")
            editor.draw()

    def _execute(self, mode: Mode, line: str) -> None:
        try:
            printed = mode.execute(line)
        except GrammarError as error:
            mark = completion.caret(line, error, len(mode.prompt))
            self.terminal.show(f"{mark}{readable(error)}", paged=False)
            return
        except CommandFailed as failed:
            self.terminal.show(failed.shown, paged=False)
            if str(failed):
                self.terminal.show(readable(failed), paged=False)
            return
        except Enter as enter:
            self.modes.append(enter.mode)
            self.terminal.write(enter.text)
            return
        except Leave:
            self._pop()
            return
        stamp = f"{time.strftime('%b %d %H:%M:%S')}\n" if SETTINGS.timestamp else ""
        self.terminal.show(stamp + printed, paged=not pipes.whole(line))
        if mode.finished:
            self._pop()

    def _end_of_input(self, mode: Mode) -> None:
        try:
            printed = mode.end_of_input()
        except (GrammarError, CommandFailed) as error:
            self.terminal.show(readable(error), paged=False)
            return
        if printed is None:
            self._pop()
        else:
            self.terminal.show(printed, paged=False)

    def _pop(self) -> None:
        self.modes.pop().close()


def run() -> int:
    """The session of this terminal; without one, the lines of standard input."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return Session(Terminal()).run()
    return batch()


def run_mode(enter: Enter) -> int:
    """The session of this terminal, in one mode only, as a command of the one-shot form has begun it."""
    sys.stdout.write(enter.text)
    return Session(Terminal(), enter.mode).run()


def batch() -> int:
    """Commands from a pipe or a file: 0, or 1 when any failed; no prompt, no pages."""
    modes: list[Mode] = [Operational()]
    failed = False
    for outcome in lines_from(iter(sys.stdin.readline, "")):
        if isinstance(outcome, Ended) or not modes:
            break
        line = getattr(outcome, "line", "")
        if not line.strip():
            continue
        try:
            sys.stdout.write(modes[-1].execute(line))
            sys.stdout.flush()
            if modes[-1].finished:
                modes.pop().close()
        except (GrammarError, CommandFailed) as error:
            failed = True
            sys.stdout.write(getattr(error, "shown", ""))
            sys.stdout.flush()
            sys.stderr.write(f"{readable(error)}\n")
            if isinstance(error, InputFailed):
                break
        except Enter as enter:
            modes.append(enter.mode)
        except Leave:
            modes.pop().close()
    while modes:
        modes.pop().close()
    return int(failed)
