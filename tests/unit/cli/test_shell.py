"""An interactive session in a real pseudo-terminal: prompt, banner, completion, pages, Ctrl-C, and without a terminal."""

import contextlib
import io
import os
import pty
import random
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from jsrpd import __version__
from jsrpd.cli import main as main_module
from jsrpd.cli import shell
from jsrpd.cli.commands import InputFailed
from jsrpd.cli.grammar import LONGEST_LINE, Word
from jsrpd.cli.modes import Enter
from jsrpd.cli.terminal import Hangup, Terminal
from jsrpd.management.requests import SOCKET_NAME, Reply
from jsrpd.model.status import GroupStatus
from tests.unit.management.daemon import cluster, daemon, row

PATIENCE_S = 20.0
JSRP = [sys.executable, "-m", "jsrpd.cli.main"]


class Session:
    """``jsrp`` at the other end of a pseudo-terminal of 24 lines and 80 columns."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(directory), "STATE_DIRECTORY": str(directory)}
        self.process = subprocess.Popen(
            [*JSRP, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=own_terminal,
        )
        self.said = ""
        self.until("> ")

    def until(self, wanted: str) -> str:
        """What is printed until ``wanted`` was."""
        give_up = time.monotonic() + PATIENCE_S
        while wanted not in self.said:
            assert time.monotonic() < give_up, f"no {wanted!r} in {self.said!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.said += os.read(self.master, 65536).decode()
        found, _, self.said = self.said.partition(wanted)
        return found + wanted

    def type(self, keys: str, wanted: str = "> ") -> str:
        """Keys, and what is printed until ``wanted`` was."""
        os.write(self.master, keys.encode())
        return self.until(wanted).replace("\r\n", "\n")

    def end(self) -> int:
        """After what should make it end; the terminal is as it was."""
        code = self.process.wait(PATIENCE_S)
        assert termios.tcgetattr(self.slave)[3] == self.before[3]
        return code


def own_terminal() -> None:
    """So that Ctrl-C reaches the session."""
    ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Without a daemon."""
    made = Session(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    os.close(made.master)
    os.close(made.slave)


def test_commands_and_leaving(session: Session) -> None:
    assert session.type("version\r").startswith(f"version\njsrpd {__version__}\n")
    assert "Count: 1 lines" in session.type("version | count\r")
    assert "jsrpd is not running" in session.type("show chassis cluster status\r")
    assert "^\nsyntax error at 'klister'" in session.type("show chassis klister\r")
    session.type("exit\r", "exit")
    assert session.end() == 0


def test_completion_by_space_tab_and_question_mark(session: Session) -> None:
    assert "show chassis cluster status" in session.type("sh ch cl statu\t", "status ")
    assert "redundancy-group     Redundancy group" in session.type("?", "status ")
    assert "^C" in session.type("\x03", "> ")
    assert "Disabling complete-on-space" in session.type("set cli complete-on-space off\r")
    assert session.type("ver \x03", "^C") == "ver ^C"
    session.until("> ")
    session.type("\x04", "\n")
    assert session.end() == 0


def test_long_answers_come_in_pages(session: Session) -> None:
    first = session.type("help syslog\r", "---(more)---")
    assert len(first.splitlines()) <= 24
    assert session.type("\r", "---(more)---").count("JSRPD_") == 1
    session.type("q")
    session.type("help syslog\r", "---(more)---")
    assert "JSRPD_USAGE" in session.type(" ")
    assert "---(more)---" not in session.type("help syslog | no-more\r")
    assert "Screen length set to 0" in session.type("set cli screen-length 0\r")
    assert "---(more)---" not in session.type("help syslog\r")
    assert "Screen width set to 511" in session.type("set cli screen-width 511\r")
    assert "CLI screen-width set to 511" in session.type("show cli\r")


def test_an_interrupt_ends_what_runs(session: Session, tmp_path: Path) -> None:
    """Here a command whose answer does not come."""
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / SOCKET_NAME))
        mute.listen()
        session.type("show chassis cluster status\r", "status")
        accepted, _ = mute.accept()
        with accepted:
            os.write(session.master, b"\x03")
            session.until("^C")
    session.until("> ")
    (tmp_path / SOCKET_NAME).unlink()
    assert jsrpd_version() in session.type("version\r")
    session.type("exit\r", "exit")
    assert session.end() == 0


def jsrpd_version() -> str:
    return f"jsrpd {__version__}\n"


def test_a_terminal_that_goes_away_ends_the_session(session: Session) -> None:
    os.close(session.master)
    session.master = os.dup(session.slave)
    assert session.process.wait(PATIENCE_S) in (0, -1)  # Ended by itself, or by the hang-up signal.


def test_the_banner_tells_the_role(tmp_path: Path) -> None:
    snapshot = cluster(GroupStatus(0, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))))
    with daemon(tmp_path / SOCKET_NAME, *[Reply(True, node=0, status=snapshot)] * 2):
        made = Session(tmp_path)
        assert "{primary:node0}\n" in made.type("version\r")
        os.write(made.master, b"exit\r")
        assert made.end() == 0


def test_lines_for_configuration_mode_are_never_taken_for_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake ends configuration mode; what was meant for it must not be carried out by operational mode."""
    done = list[str]()

    def answered(words: list[str]) -> str:
        done.extend(words)
        if words == ["configure"]:
            raise InputFailed("syntax error")
        return ""

    monkeypatch.setattr(shell, "answer", answered)
    monkeypatch.setattr("sys.stdin", io.StringIO("show version\nconfigure\nrequest daemon restart\n"))
    assert shell.run() == 1
    assert done == ["show version", "configure"]
    assert capsys.readouterr().err == "syntax error\n"


def test_without_a_terminal_one_command_a_line(tmp_path: Path) -> None:
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)}
    typed = "version\n\nshow nonsense\nversion | count\nexit\nversion\n"
    done = subprocess.run(JSRP, input=typed, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"jsrpd {__version__}\nCount: 1 lines\n"
    assert done.stderr.startswith("syntax error at 'nonsense'")
    assert done.returncode == 1


@pytest.mark.parametrize("typed", [random.Random(1).randbytes(5000), b"x" * 1_000_000, b"\x1b[2J\n", b"\xff" * 1000])
def test_garbage_is_answered_and_not_repeated(tmp_path: Path, typed: bytes) -> None:
    """With printable text, in a reasonable amount of it."""
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)}
    done = subprocess.run(JSRP, input=typed, env=environment, capture_output=True, check=False)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert "syntax error" in said
    assert all(one.isprintable() for one in said.replace("\n", ""))
    assert max(map(len, said.splitlines())) <= LONGEST_LINE


def test_as_a_login_shell_with_a_command() -> None:
    """As sshd starts it for ``ssh host 'version | count'``."""
    done = subprocess.run([*JSRP, "-c", "version | count"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Count: 1 lines\n")


class Level:
    """A mode of its own: takes lines until one says done; Ctrl-D ends a text once, then the mode."""

    context, prompt = "[edit]", "deep# "
    grammar: Word[Any] = Word("")

    def __init__(self) -> None:
        self.finished, self.closed, self.texts = False, False, 1

    def execute(self, line: str) -> str:
        self.finished = line == "done"
        return f"took {line}\n"

    def values(self, _argument: str) -> list[tuple[str, str]]:
        return []

    def end_of_input(self) -> str | None:
        self.texts -= 1
        return "text taken\n" if self.texts == 0 else None

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        (["one\r", "done\r"], ["took one", "took done"]),
        (["\x04", "\x04"], ["text taken"]),
        ([], []),
    ],
)
def test_a_mode_is_entered_driven_and_always_closed(monkeypatch: pytest.MonkeyPatch, typed: list[str], printed: list[str]) -> None:
    """Also when the terminal goes away in the middle."""
    level = Level()
    monkeypatch.setattr(shell, "answer", lambda _words: enter(level))
    terminal, shown = at_a_terminal(monkeypatch, ["deep\r", *typed])
    assert shell.Session(terminal).run() == 0
    said = "".join(shown)
    assert level.closed
    assert all(one in said for one in ["entering\n", "\n[edit]\n", *printed])


def test_a_mode_that_a_command_of_the_one_shot_form_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``jsrp configure`` in a shell is configuration mode, and back in the shell when it is left."""
    level = Level()
    terminal, shown = at_a_terminal(monkeypatch, ["one\r", "done\r"])
    monkeypatch.setattr(main_module, "answer", lambda _words: enter(level))
    monkeypatch.setattr(shell, "Terminal", lambda: terminal)
    assert main_module.main(["configure"]) == 0
    assert capsys.readouterr().out == "entering\n"
    said = "".join(shown)
    assert level.closed
    assert all(one in said for one in ["[edit]\n", "took one", "took done"])


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> tuple[Terminal, list[str]]:
    """One on which that is typed until it goes away, and what it shows."""
    keys = iter("".join(typed))
    shown: list[str] = []
    terminal = Terminal.__new__(Terminal)
    replacements: dict[str, Any] = {
        "session": contextlib.nullcontext,
        "keys": contextlib.nullcontext,
        "key": lambda _timeout=None: next(keys, None) or hang_up(),
        "size": lambda: (80, 24),
        "write": shown.append,
        "show": lambda text, **_how: shown.append(text),
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(Terminal, name, staticmethod(replacement))
    monkeypatch.setattr(shell, "banner", lambda: "")
    monkeypatch.setattr(shell, "restore_signals", lambda: None)
    return terminal, shown


def enter(level: Level) -> str:
    raise Enter(level, "entering\n")


def hang_up() -> str:
    raise Hangup
