"""``monitor chassis cluster``: the live view on a terminal. The terminal is given back as it was, however this ends."""

import contextlib
import os
import select
import signal
import socket
import sys
import termios
import time
from collections.abc import Iterator

import msgspec

from jsrpd.cli import live_view
from jsrpd.cli.commands import CommandFailed, ask
from jsrpd.management.requests import ReadEvents, Reply, ShowStatus
from jsrpd.model.journal import JournalEvent, decode_events
from jsrpd.model.status import ClusterStatus

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[0m\x1b[?25h\x1b[?1049l"
"""Another screen without a cursor, and back (xterm's private modes 1049 and 25)."""
TOP, TO_END_OF_LINE, TO_END = "\x1b[H", "\x1b[K", "\x1b[J"
QUIT = frozenset({"q", "Q", "\x03", "\x04"})
ASK_TIMEOUT_S = 1.0
EVENTS = 40
READ = 64


class Feed:
    """What is asked of the daemon, and what was known when it did not answer."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._host = socket.gethostname().partition(".")[0]
        self._status: ClusterStatus | None = None
        self._events: list[JournalEvent] = []
        self._asked_at = 0.0

    def view(self) -> live_view.View:
        """Now."""
        problem, rates = "", None
        try:
            status = ask(ShowStatus(), ASK_TIMEOUT_S).status
            at = time.monotonic()
            if status is not None:
                rates = live_view.rates(self._status, status, at - self._asked_at)
                self._status, self._asked_at = status, at
            self._events = _events_of(ask(ReadEvents(EVENTS), ASK_TIMEOUT_S))
        except CommandFailed as failed:
            problem = str(failed)
        return live_view.View(self._host, time.time_ns(), self._interval_s, self._status, self._events, rates, problem)


def _events_of(reply: Reply) -> list[JournalEvent]:
    try:
        return list(decode_events(reply.events))
    except msgspec.DecodeError:
        return []


def run(interval_s: float) -> str:
    """Until q, Ctrl-C, or the terminal is gone. Without a terminal: one screen as text."""
    feed = Feed(interval_s)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "".join(f"{line.rstrip()}\n" for line in live_view.screen(feed.view(), 80, 1000, colour=False))
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    with _terminal(sys.stdin.fileno()) as resized, contextlib.suppress(OSError):
        while True:
            _draw(feed.view(), colour)
            key = _key(interval_s, resized)
            if key in QUIT:
                break
            if key == "c":
                colour = not colour
    return ""


@contextlib.contextmanager
def _terminal(keyboard: int) -> Iterator[int]:
    """Keys one by one and unseen, another screen; yields a descriptor that becomes readable when the size changes.

    SIGTERM and SIGHUP end this like a key, so that the screen is given back then, too.
    """
    before = termios.tcgetattr(keyboard)
    mode = termios.tcgetattr(keyboard)
    mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    read, write = os.pipe()
    os.set_blocking(write, False)

    def tell(number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            os.write(write, b"r" if number == signal.SIGWINCH else b"q")

    handlers = {number: signal.signal(number, tell) for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP)}
    try:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, mode)
        _write(ENTER)
        yield read
    finally:
        with contextlib.suppress(OSError, termios.error):
            _write(LEAVE)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


def _draw(view: live_view.View, colour: bool) -> None:
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        columns, rows = 80, 24
    lines = live_view.screen(view, columns or 80, rows or 24, colour)
    _write(TOP + f"{TO_END_OF_LINE}\r\n".join(lines) + TO_END_OF_LINE + TO_END)


def _key(interval_s: float, resized: int) -> str:
    """What was pressed within the interval; empty for nothing, ``q`` when the terminal is gone."""
    ready, _, _ = select.select([sys.stdin.fileno(), resized], [], [], interval_s)
    if resized in ready:
        return "q" if b"q" in os.read(resized, READ) else ""
    if not ready:
        return ""
    try:
        return os.read(sys.stdin.fileno(), READ).decode(errors="replace")[:1] or "q"
    except OSError:
        return "q"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
