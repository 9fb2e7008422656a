"""The terminal of an interactive session: raw keys, its size, and pages. Restored however the session ends."""

import codecs
import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator

from jsrpd.cli.editor import Editor, Ended, Outcome, Submitted, rows
from jsrpd.cli.settings import SETTINGS

MORE = "---(more)---"
READ = 4096


class Idle(Exception):
    """Nothing was typed for as long as ``set cli idle-timeout`` allows."""


class Hangup(Exception):
    """The terminal is gone."""


class Terminal:
    """Standard input and output as a terminal. Between lines, what is typed ahead is kept and not echoed."""

    def __init__(self) -> None:
        self.input, self.output = sys.stdin.fileno(), sys.stdout.fileno()
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._keys: list[str] = []

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Takes the terminal over, and gives it back as it was."""
        before = termios.tcgetattr(self.input)
        mode = termios.tcgetattr(self.input)
        mode[0] &= ~(termios.ICRNL | termios.INLCR | termios.IXON)
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.input, termios.TCSADRAIN, mode)
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.input, termios.TCSADRAIN, before)

    @contextlib.contextmanager
    def keys(self) -> Iterator[None]:
        """Ctrl-C is a key like others; outside it interrupts what runs."""
        self._signals(False)
        try:
            yield
        finally:
            self._signals(True)

    def _signals(self, on: bool) -> None:
        with contextlib.suppress(termios.error):
            mode = termios.tcgetattr(self.input)
            mode[3] = mode[3] | termios.ISIG if on else mode[3] & ~termios.ISIG
            termios.tcsetattr(self.input, termios.TCSANOW, mode)

    def key(self, timeout_s: float | None = None) -> str | None:
        """The next character; None when none came in time. Hangup."""
        give_up = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._keys:
            remaining = None if give_up is None else max(0.0, give_up - time.monotonic())
            ready, _, _ = select.select([self.input], [], [], remaining)
            if not ready:
                return None
            try:
                data = os.read(self.input, READ)
            except OSError as error:
                raise Hangup from error
            if not data:
                raise Hangup
            self._keys = list(self._decoder.decode(data))
        return self._keys.pop(0)

    def edit(self, editor: Editor) -> Outcome:
        """Keys to the editor until something has to be done. Idle, Hangup."""
        idle = SETTINGS.idle_timeout_min * 60 or None
        while True:
            self.flush(editor)
            key = self.key(idle)
            if key is None:
                raise Idle
            outcome = editor.feed(key)
            if outcome is not None:
                self.flush(editor)
                return outcome

    def flush(self, editor: Editor) -> None:
        """What the editor wants to have sent."""
        self.write("".join(editor.sent))
        editor.sent.clear()

    def write(self, text: str) -> None:
        """To the terminal, at once. Hangup."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            raise Hangup from error

    def size(self) -> tuple[int, int]:
        """Columns and rows; as ``set cli`` has set them, else as the terminal says, else 80x24. Columns 0: endless."""
        try:
            columns, lines = os.get_terminal_size(self.output)
        except OSError:
            columns, lines = 0, 0
        width, length = SETTINGS.screen_width, SETTINGS.screen_length
        return (width if width else columns) or 80, length if length is not None else lines or 24

    def show(self, text: str, paged: bool) -> None:
        """An answer, page by page where it is longer than the screen."""
        width, length = self.size()
        lines = text.splitlines()
        if not paged or length == 0 or rows(lines, width) < length:
            self.write("".join(f"{line}\n" for line in lines))
            return
        shown, room = 0, length - 1
        while shown < len(lines):
            taken = 0
            while shown < len(lines) and (taken == 0 or taken + rows([lines[shown]], width) <= room):
                taken += rows([lines[shown]], width)
                self.write(f"{lines[shown]}\n")
                shown += 1
            if shown < len(lines):
                room = self._more(length)
                if not room:
                    return

    def _more(self, length: int) -> int:
        """How many rows to show next; 0: no more."""
        with self.keys():
            self.write(MORE)
            try:
                while True:
                    key = self.key()
                    if key in ("q", "Q", "\x03", "\x04"):
                        return 0
                    if key in ("\r", "\n", "j"):
                        return 1
                    if key in (" ", "f", "\x06"):
                        return length - 1
            finally:
                self.write(f"\r{' ' * len(MORE)}\r")


def lines_from(stream: Iterator[str]) -> Iterator[Outcome]:
    """Without a terminal: each line of a stream, then its end."""
    for line in stream:
        yield Submitted(line.rstrip("\r\n"))
    yield Ended()


def restore_signals() -> None:
    """A login shell may have been started with these ignored."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
