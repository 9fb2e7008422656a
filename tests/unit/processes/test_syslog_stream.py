"""Syslog over TCP against a receiver played by the test, and against a real rsyslogd that is restarted."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.messages.catalogue import notice
from jsrpd.model.configuration import SyslogHost
from jsrpd.processes import syslog_stream
from jsrpd.processes.syslog import SyslogSender
from jsrpd.processes.syslog_stream import QUEUE_LENGTH, RETRY_S, SETTLE_S, StreamDestination, frame
from tests.peers import LIBRARIES, program

PATIENCE_S = 20.0
SMALL_BUFFER = 4096


class Clock:
    """Moves when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Receiver:
    """A listener that takes connections one after the other."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen()
        self.listener.settimeout(PATIENCE_S)
        self.place: tuple[str, int] = self.listener.getsockname()

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE_S)
        return connection


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.listener.close()


def until(predicate: Callable[[], object], destination: StreamDestination) -> None:
    """Flush until it is so."""
    give_up = time.monotonic() + PATIENCE_S
    while not predicate():
        assert time.monotonic() < give_up
        destination.flush()
        time.sleep(0.001)


def frames(data: bytes) -> list[bytes]:
    """Messages of a stream; fails when it is not one frame after the other."""
    found = []
    while data:
        length, _, rest = data.partition(b" ")
        assert len(rest) >= int(length)
        found.append(rest[: int(length)])
        data = rest[int(length) :]
    return found


def receive(connection: socket.socket, destination: StreamDestination, count: int) -> list[bytes]:
    """This many messages, flushing meanwhile."""
    data = b""
    connection.setblocking(False)

    def enough() -> bool:
        nonlocal data
        with contextlib.suppress(BlockingIOError):
            data += connection.recv(1 << 16)
        with contextlib.suppress(AssertionError, ValueError):
            return len(frames(data)) >= count
        return False

    until(enough, destination)
    return frames(data)


def settled(destination: StreamDestination, clock: Clock) -> None:
    """Long enough after the last message, with everything acknowledged."""
    clock.now += SETTLE_S
    until(lambda: destination.waiting == 0, destination)


def test_frames(receiver: Receiver) -> None:
    clock = Clock()
    destination = StreamDestination(receiver.place, clock)
    messages = [b"one", b"", "zw\u00f6lf".encode(), b"with 12 digits\nand a line end"]
    for message in messages:
        destination.put(message)
    destination.flush()
    connection = receiver.accept()
    assert receive(connection, destination, len(messages)) == messages
    assert destination.waiting == len(messages)
    settled(destination, clock)
    assert destination.dropped == 0
    connection.close()


def test_a_receiver_that_ends_early_gets_it_again(receiver: Receiver) -> None:
    """What was settled does not come again; what was not does, before what is new."""
    clock = Clock()
    destination = StreamDestination(receiver.place, clock)
    destination.put(b"settled")
    destination.flush()
    first = receiver.accept()
    assert receive(first, destination, 1) == [b"settled"]
    settled(destination, clock)
    destination.put(b"perhaps lost")
    assert receive(first, destination, 1) == [b"perhaps lost"]
    first.close()
    destination.put(b"new")
    until(lambda: not destination.sent, destination)
    clock.now += RETRY_S
    destination.flush()
    assert receive(receiver.accept(), destination, 2) == [b"perhaps lost", b"new"]


def test_an_end_is_noticed_though_nothing_is_to_be_sent(receiver: Receiver) -> None:
    destination = StreamDestination(receiver.place, Clock())
    destination.put(b"perhaps lost")
    destination.flush()
    receiver.accept().close()
    until(lambda: list(destination.queue) == [b"perhaps lost"], destination)


def test_nobody_listens_yet(receiver: Receiver) -> None:
    """Tried again, but not all the time."""
    clock = Clock()
    receiver.listener.close()
    destination = StreamDestination(receiver.place, clock)
    destination.put(b"early")
    until(lambda: destination._retry_at > clock.now, destination)
    later = Receiver(receiver.place[1])
    for _ in range(10):
        destination.flush()
    assert destination._socket is None
    clock.now += RETRY_S
    destination.flush()
    assert receive(later.accept(), destination, 1) == [b"early"]
    later.listener.close()


def test_a_receiver_that_does_not_read(receiver: Receiver) -> None:
    """Never blocks, keeps the newest, counts the others, and never tears a frame."""
    receiver.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    destination = StreamDestination(receiver.place, Clock())
    total = 10_000
    for number in range(total):
        destination.put(b"%d %b" % (number, b"x" * 4000))
        destination.flush()
    assert destination.waiting == QUEUE_LENGTH
    assert destination.dropped > 0
    connection = receiver.accept()
    numbers: list[int] = []

    def read() -> None:
        with connection.makefile("rb") as stream:
            while not numbers or numbers[-1] != total - 1:
                length = b""
                while (digit := stream.read(1)) != b" ":
                    length += digit
                numbers.append(int(stream.read(int(length)).split()[0]))

    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: not thread.is_alive(), destination)
    assert numbers == sorted(numbers)
    assert total - len(numbers) <= destination.dropped
    connection.close()


def test_a_child_does_not_write_into_its_parents_stream(receiver: Receiver) -> None:
    destination = StreamDestination(receiver.place, Clock())
    destination.put(b"parent's")
    until(lambda: destination.sent, destination)
    connection = receiver.accept()
    destination.put(b"still the parent's")
    pid = os.fork()
    if pid == 0:
        destination.put(b"child's")
        until(lambda: not destination.queue, destination)
        os._exit(0)
    child = receiver.accept()
    assert receive(child, destination, 1) == [b"child's"]
    assert receive(connection, destination, 2) == [b"parent's", b"still the parent's"]
    assert os.waitpid(pid, 0)[1] == 0


def test_statement() -> None:
    text = "set chassis cluster control-link 0 interface ctl\nset system syslog host 192.0.2.1 transport tcp\n"
    assert load(text, Identity(1, 0)).syslog_hosts == (SyslogHost("192.0.2.1", 514, False, "tcp"),)


# -- a real rsyslogd ------------------------------------------------------------------------------------------------

CONFIGURATION = """
global(workDirectory="{directory}")
module(load="imtcp" keepalive="on")
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="all")
ruleset(name="all") {{ action(type="omfile" file="{directory}/log" template="raw") }}
"""
FORM = {
    False: re.compile(r"<29>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ jsrpd\[\d+\]: JSRPD_NOTICE: number (\d+)"),
    True: re.compile(r'<29>1 \S+ \S+ jsrpd \d+ JSRPD_NOTICE \[junos@2636\.1\.1\.1\.2\.129 text="number (?:\d+)"\] number (\d+)'),
}


class Rsyslogd:
    """Debian's, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        (directory / "conf").write_text(CONFIGURATION.format(directory=directory, port=self.port))

    def start(self) -> subprocess.Popen[bytes]:
        """Until it listens."""
        options = ["-n", "-f", str(self.directory / "conf"), "-i", str(self.directory / "pid")]
        if LIBRARIES.exists():
            options += ["-M", str(LIBRARIES / "rsyslog")]
        running = subprocess.Popen([program("rsyslogd"), *options], env={"LD_LIBRARY_PATH": str(LIBRARIES)})
        give_up = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return running
            assert time.monotonic() < give_up and running.poll() is None
            time.sleep(0.01)

    def lines(self) -> list[str]:
        path = self.directory / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("structured", [False, True])
def test_nothing_is_lost_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals, structured: bool
) -> None:
    """Ended while messages flow, away for a while, started again: each number has arrived, in its form."""
    monkeypatch.setattr(syslog_stream, "RETRY_S", 0.05)
    server = Rsyslogd(tmp_path)
    running = server.start()
    sender = SyslogSender(tmp_path / "devlog", [SyslogHost("127.0.0.1", server.port, structured, "tcp")])
    (stream,) = sender._remote.values()
    assert isinstance(stream, StreamDestination)
    sent = 0

    def say(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sender.send(notice(f"number {sent}"))
            sent += 1

    try:
        say(300)
        until(lambda: len(server.lines()) >= 100, stream)
        say(50)
        running.send_signal(end)
        say(50)
        running.wait(PATIENCE_S)
        say(200)
        running = server.start()
        say(100)
        until(lambda: stream.waiting == 0, stream)
        found = [FORM[structured].fullmatch(line) for line in server.lines()]
        assert all(found)
        assert {int(line[1]) for line in found if line} == set(range(sent))
        assert stream.dropped == 0
    finally:
        running.kill()
        running.wait()


def test_length_is_in_octets() -> None:
    assert frame("zw\u00f6lf".encode()) == b"6 zw\xc3\xb6lf"
