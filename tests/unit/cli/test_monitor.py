"""``monitor chassis cluster`` on a terminal: drawn again and again, left by q, Ctrl-C or a signal, the terminal as it was."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsrpd.cli.main import main
from jsrpd.cli.monitor import ENTER, LEAVE
from jsrpd.management.requests import SOCKET_NAME, ReadEvents, Reply, decode_request, encode
from jsrpd.model.journal import EventKind, JournalEvent, encode_events
from tests.unit.management.daemon import cluster

PATIENCE_S = 20.0
EVENTS = Reply(True, events=encode_events((JournalEvent(1, 0, EventKind.PATH, "control link ctl0 up"),)))


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def answering(directory: Path) -> Iterator[None]:
    """A daemon that answers until it is no longer wanted."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET_NAME))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as lines:
                        asked = decode_request(lines.readline())
                        connection.sendall(encode(EVENTS if isinstance(asked, ReadEvents) else Reply(True, status=cluster())))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


class Screen:
    """``jsrp monitor chassis cluster`` on a terminal of this size."""

    def __init__(self, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jsrpd.cli.main", "monitor", "chassis", "cluster"],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
        )
        self.shown = ""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, condition: Callable[[str], bool]) -> None:
        """Read until what was shown fulfils it."""
        give_up = time.monotonic() + PATIENCE_S
        while not condition(self.shown):
            assert time.monotonic() < give_up, self.shown
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 1 << 16).decode()

    def drawn(self, times: int = 1) -> None:
        self.wait(lambda shown: shown.count("\x1b[J") >= times)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def left(self) -> None:
        """The command ends well, and the terminal is as it was."""
        assert self.process.wait(PATIENCE_S) == 0
        self.wait(lambda shown: shown.endswith(LEAVE))
        assert termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def on_screen(**environment: str) -> Iterator[Screen]:
    screen = Screen(**environment)  # type: ignore[arg-type]
    try:
        yield screen
    finally:
        screen.close()


@pytest.mark.parametrize("key", ["q", "Q", "\x03", "\x04"])
def test_left_by_a_key(directory: Path, key: str) -> None:
    with answering(directory), on_screen() as screen:
        screen.drawn()
        assert screen.shown.startswith(ENTER)
        assert "RG1" in screen.shown
        assert "control link ctl0 up" in screen.shown
        screen.type(key)
        screen.left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_left_by_a_signal(directory: Path, number: signal.Signals) -> None:
    with answering(directory), on_screen() as screen:
        screen.drawn()
        screen.process.send_signal(number)
        screen.left()


def test_drawn_again_at_another_size(directory: Path) -> None:
    with answering(directory), on_screen() as screen:
        screen.drawn()
        screen.resize(40, 3)
        screen.process.send_signal(signal.SIGWINCH)
        screen.wait(lambda shown: shown.rpartition("\x1b[H")[2].count("\r\n") == 2 and shown.endswith("\x1b[J"))
        screen.type("q")
        screen.left()


def test_colours_can_be_had_or_not(directory: Path) -> None:
    with answering(directory), on_screen() as screen:
        screen.drawn()
        assert "\x1b[32m" in screen.shown
        screen.type("c")
        screen.wait(lambda shown: "\x1b[32m" not in shown.rpartition("\x1b[H")[2] and shown.endswith("\x1b[J"))
        screen.type("q")
        screen.left()
    with answering_anew(directory), on_screen(NO_COLOR="1") as screen:
        screen.drawn()
        assert "\x1b[32m" not in screen.shown
        screen.type("q")
        screen.left()


@contextlib.contextmanager
def answering_anew(directory: Path) -> Iterator[None]:
    (directory / SOCKET_NAME).unlink()
    with answering(directory):
        yield


def test_a_daemon_that_comes_later(directory: Path) -> None:
    with on_screen() as screen:
        screen.wait(lambda shown: "jsrpd is not running" in shown)
        with answering(directory):
            screen.wait(lambda shown: "RG1" in shown)
            screen.type("q")
            screen.left()


def test_without_a_terminal(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One screen as text, whatever its length."""
    with answering(directory):
        assert main(["monitor", "chassis", "cluster", "interval", "5"]) == 0
    said = capsys.readouterr().out
    assert "every 5 s" in said
    assert "\x1b" not in said
