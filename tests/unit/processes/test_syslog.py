"""Delivery of log messages: never blocks, never raises, loses nothing within the queue, counts what it loses."""

import contextlib
import os
import re
import select
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.messages.catalogue import notice, rg_state_change
from jsrpd.model.configuration import SyslogHost
from jsrpd.model.status import LogQueueStatus
from jsrpd.processes.syslog import MAX_DATAGRAM, QUEUE_LENGTH, SyslogSender

NOW = 1_790_000_000.5
BSD = re.compile(rb"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:\S+ )?jsrpd\[(\d+)\]: JSRPD_NOTICE: (.*)")
UNREACHABLE = "255.255.255.255"
"""Connecting to it is refused for good: nobody asked for broadcasts."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the local receiver stands, or not."""
    return tmp_path / "log"


def receiver(path: Path) -> socket.socket:
    """A syslog daemon that has just started."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.setblocking(False)
    return made


def host(address: str = "127.0.0.1") -> socket.socket:
    """A remote receiver on the loopback."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(20)
    return made


def sender(path: Path, *hosts: SyslogHost, copy: bool = False) -> SyslogSender:
    return SyslogSender(path, hosts, copy, now=lambda: NOW)


def say(log: SyslogSender, numbers: range) -> None:
    for number in numbers:
        log.send(notice(f"number {number}"))


def arrived(log: socket.socket) -> list[str]:
    """Texts that wait at the receiver."""
    texts = []
    with contextlib.suppress(BlockingIOError):
        while True:
            form = BSD.fullmatch(log.recv(1 << 16))
            assert form
            texts.append(form[3].decode())
    return texts


def numbers(span: range) -> list[str]:
    return [f"number {number}" for number in span]


# -- /dev/log -----------------------------------------------------------------------------------------------------------


def test_delivered_at_once(path: Path) -> None:
    with receiver(path) as log:
        sent = sender(path)
        say(sent, range(3))
        assert arrived(log) == numbers(range(3))
        assert (sent.pending, sent.dropped) == (0, 0)


def test_absent_then_there(path: Path) -> None:
    """What was said before it started arrives first, in order."""
    sent = sender(path)
    say(sent, range(5))
    assert (sent.pending, sent.pressing) == (5, False)
    with receiver(path) as log:
        sent.flush()
        say(sent, range(5, 7))
        assert arrived(log) == numbers(range(7))
    assert sent.dropped == 0


@pytest.mark.parametrize("unlink", [True, False], ids=["path gone", "path left behind"])
def test_restarted(path: Path, unlink: bool) -> None:
    """Nothing is lost between one receiver and the next."""
    sent = sender(path)
    with receiver(path) as log:
        say(sent, range(3))
        assert arrived(log) == numbers(range(3))
    if unlink:
        path.unlink()
    say(sent, range(3, 6))
    assert sent.pending == 3
    with receiver(path) as log:
        say(sent, range(6, 8))
        assert arrived(log) == numbers(range(3, 8))
    assert (sent.pending, sent.dropped) == (0, 0)


def test_what_waits_for_a_receiver_that_is_there_is_pressing(path: Path) -> None:
    """It may read any moment; one that is absent is not asked in every turn."""
    with receiver(path):
        sent = sender(path)
        say(sent, range(600))
        assert sent.pressing
        assert sent.pending


def test_full(path: Path) -> None:
    """A receiver that does not read is waited for without waiting; when it reads again everything comes in order."""
    with receiver(path) as log:
        sent = sender(path)
        say(sent, range(200))
        assert 0 < sent.pending < 200
        texts = arrived(log)
        while sent.pending:
            sent.flush()
            texts += arrived(log)
        assert texts == numbers(range(200))
    assert sent.dropped == 0


def test_beyond_the_queue(path: Path) -> None:
    """The oldest give way and are counted; the queue does not grow."""
    sent = sender(path)
    say(sent, range(QUEUE_LENGTH + 25))
    assert (sent.pending, sent.dropped) == (QUEUE_LENGTH, 25)
    with receiver(path) as log:
        texts: list[str] = []
        while sent.pending:
            sent.flush()
            texts += arrived(log)
    assert texts == numbers(range(25, QUEUE_LENGTH + 25))


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_huge_message_stops_nothing(path: Path, letter: str) -> None:
    """It is cut, between two characters; what comes behind it arrives."""
    with receiver(path) as log:
        sent = sender(path)
        sent.send(notice(letter * 300_000))
        say(sent, range(1))
        long, short = arrived(log)
    assert set(long) == {letter}
    assert MAX_DATAGRAM - 200 < len(long.encode()) <= MAX_DATAGRAM
    assert short == "number 0"


def test_text_of_one_line(path: Path) -> None:
    """Whatever the variables say, a message cannot pretend to be two."""
    with receiver(path) as log:
        sender(path).send(notice("a\n<0>Jan  1 00:00:00 x: b\0"))
        assert arrived(log) == ["a; <0>Jan  1 00:00:00 x: b "]


# -- remote hosts -------------------------------------------------------------------------------------------------------

MOVED = rg_state_change(1, "secondary", "primary", "Only node present")
TEXT = "Redundancy-group 1 transitioned from 'secondary' to 'primary' state due to Only node present"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_remote_bsd_form(path: Path, address: str) -> None:
    """Whether or not there is a local receiver."""
    with host(address) as remote:
        sent = sender(path, SyslogHost(address, remote.getsockname()[1]))
        sent.send(MOVED)
        stamp, _, rest = remote.recv(4096).decode().partition(f" {socket.gethostname()[:64]} ")
    assert re.fullmatch(r"<25>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", stamp)
    assert rest == f"jsrpd[{os.getpid()}]: JSRPD_RG_STATE_CHANGE: {TEXT}"
    assert sent.pending == 1, "the local one still waits"


def test_remote_structured_form(path: Path) -> None:
    with host() as remote:
        sender(path, SyslogHost("127.0.0.1", remote.getsockname()[1], structured_data=True)).send(MOVED)
        datagram = remote.recv(4096).decode()
    form = re.fullmatch(r"<25>1 (\S+) (\S+) jsrpd (\d+) JSRPD_RG_STATE_CHANGE (\[.*?\]) (.*)", datagram)
    assert form
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.500(Z|[+-]\d\d:\d\d)", form[1])
    assert (form[2], form[3], form[5]) == (socket.gethostname()[:64], str(os.getpid()), TEXT)
    assert form[4] == ('[junos@2636.1.1.1.2.129 rg-id="1" old-state="secondary" new-state="primary" reason="Only node present"]')


def test_each_in_its_own_form(path: Path) -> None:
    with host() as bsd, host() as structured, receiver(path) as log:
        hosts = (
            SyslogHost("127.0.0.1", bsd.getsockname()[1]),
            SyslogHost("127.0.0.1", structured.getsockname()[1], structured_data=True),
        )
        say(sender(path, *hosts), range(1))
        assert BSD.fullmatch(bsd.recv(4096))
        assert re.match(rb"<\d+>1 ", structured.recv(4096))
        assert arrived(log) == ["number 0"]


def test_nobody_listens_then_somebody_does(path: Path) -> None:
    """A refused datagram is an error of the next one, which must not be lost for it."""
    with host() as remote:
        port = remote.getsockname()[1]
    sent = sender(path, SyslogHost("127.0.0.1", port))
    say(sent, range(10))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as remote:
        remote.bind(("127.0.0.1", port))
        remote.settimeout(20)
        say(sent, range(10, 13))
        heard: list[str] = []
        while heard[-1:] != ["number 12"]:
            sent.flush()
            form = BSD.fullmatch(remote.recv(4096))
            assert form
            heard.append(form[3].decode())
    assert heard[-3:] == numbers(range(10, 13))


def test_one_that_cannot_be_reached_hinders_nobody(path: Path) -> None:
    """It costs its own messages, counted, and no others."""
    with host() as remote, receiver(path) as log:
        sent = sender(path, SyslogHost(UNREACHABLE), SyslogHost("127.0.0.1", remote.getsockname()[1]))
        for number in range(QUEUE_LENGTH + 3):
            say(sent, range(number, number + 1))
            assert arrived(log) == [f"number {number}"]
            assert BSD.fullmatch(remote.recv(4096))
    assert (sent.pending, sent.dropped) == (QUEUE_LENGTH, 3)
    assert sent.queues("engine") == (LogQueueStatus("engine", "local", 0, 0), LogQueueStatus("engine", "udp", QUEUE_LENGTH, 3))
    sent.reconfigure([])
    assert sent.queues("engine")[1] == LogQueueStatus("engine", "udp", 0, QUEUE_LENGTH + 3), "lost with its receiver"


def test_a_reload_keeps_what_waits_for_those_that_stay(path: Path) -> None:
    kept, gone = SyslogHost(UNREACHABLE, 514), SyslogHost(UNREACHABLE, 515)
    sent = sender(path, kept, gone)
    say(sent, range(4))
    assert sent.pending == 12
    sent.reconfigure([kept])
    assert sent.pending == 8
    with host() as remote:
        sent.reconfigure([SyslogHost("127.0.0.1", remote.getsockname()[1])])
        say(sent, range(4, 5))
        assert b"number 4" in remote.recv(4096)


# -- the last words of a process ------------------------------------------------------------------------------------------


def test_last_words_wait_for_a_receiver_that_is_there(path: Path) -> None:
    """A daemon that is refused ends right after: what a full queue did not take must go first."""
    with receiver(path) as log:
        sent = sender(path)
        say(sent, range(100))
        assert sent.pending
        texts: list[str] = []
        reader = threading.Thread(target=lambda: texts.extend(read_until(log, "number 99")))
        reader.start()
        sent.last_words(20)
        reader.join()
        assert sent.pending == 0
    assert texts == numbers(range(100))


def read_until(log: socket.socket, last: str) -> list[str]:
    texts: list[str] = []
    while texts[-1:] != [last]:
        texts += arrived(log)
    return texts


def test_last_words_do_not_wait_for_one_that_is_not_there(path: Path) -> None:
    sent = sender(path)
    say(sent, range(1))
    sent.last_words(1e9)
    assert sent.pending == 1


# -- option -l ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stderr_to_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard error is a pipe while the block runs; its reading end. No fixture, for pytest sets sys.stderr before a test."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    with os.fdopen(write, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        yield read
    os.close(read)


def test_copied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With microseconds instead of the priority."""
    with stderr_to_pipe(monkeypatch) as terminal:
        say(sender(path, copy=True), range(2))
        lines = os.read(terminal, 1 << 16).decode().splitlines()
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.500000\S+ \S+ jsrpd\[\d+\]: JSRPD_NOTICE: number (\d)"
    assert [match[1] for line in lines if (match := re.fullmatch(form, line))] == ["0", "1"]


def test_a_reader_that_does_not_read_costs_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines too are written whole or not at all: a pipe with room for less would block."""
    sent = sender(path, copy=True)
    with stderr_to_pipe(monkeypatch) as terminal:
        for _ in range(100):
            sent.send(notice("x" * 5000))
        lines = os.read(terminal, 1 << 20).splitlines(keepends=True)
    assert 0 < len(lines) == 100 - sent.copies_dropped < 100
    assert {len(line) for line in lines} == {select.PIPE_BUF}
    assert all(line.endswith(b"x\n") for line in lines)


def test_no_standard_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = sender(path, copy=True)
    with stderr_to_pipe(monkeypatch) as terminal:
        os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), terminal)
        say(sent, range(1))
    assert sent.copies_dropped == 1
