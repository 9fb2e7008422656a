"""The operator's end of the socket: whatever the other end does, there is an answer or a sentence that says what to do."""

import contextlib
import itertools
import os
import socket
import threading
from pathlib import Path

import pytest

from jsrpd.management import client
from jsrpd.management.client import DaemonUnreachable, ask
from jsrpd.management.requests import Reply, ShowStatus, encode
from tests.unit.management.daemon import daemon


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is."""
    return tmp_path / "jsrpd.sock"


def refused(path: Path) -> str:
    """What is said when there is no answer."""
    with pytest.raises(DaemonUnreachable) as error:
        ask(path, ShowStatus())
    return str(error.value)


def test_question_and_answer(path: Path) -> None:
    with daemon(path, Reply(True, "yes", 1)) as asked:
        assert ask(path, ShowStatus()) == Reply(True, "yes", 1)
    assert asked == [encode(ShowStatus())]


def test_nobody_has_ever_listened(path: Path) -> None:
    assert refused(path) == f"jsrpd is not running (nobody listens on {path}); start it with: jsrpd"


def test_the_socket_of_a_daemon_that_died(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert "jsrpd is not running" in refused(path)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it closed the connection; look at: journalctl -u jsrpd"),
        (b'{"ok":true', "it closed the connection"),
        (b"garbage\n", "jsrpd's answer is not understood; restart it if jsrp is newer"),
        (b'{"ok":"yes"}\n', "jsrpd's answer is not understood"),
        (b"[" * 60_000 + b"\n", "jsrpd's answer is not understood"),
    ],
)
def test_an_answer_that_is_none(path: Path, answer: bytes, said: str) -> None:
    with daemon(path, answer):
        assert said in refused(path)


def test_an_answer_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_REPLY", 1000)
    with daemon(path, b"x" * 2000):
        assert "its answer has no end" in refused(path)


def test_a_daemon_that_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert refused(path) == f"jsrpd does not answer on {path}: timed out; look at: journalctl -u jsrpd"


def test_a_daemon_that_answers_byte_by_byte_has_no_more_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is for the whole answer, not for each piece of it."""
    clock = itertools.count(0, 2)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr(client, "MAX_LINE", 1)
    with daemon(path, b"xxxxxxxx\n"):
        assert "timed out" in refused(path)


def test_turned_away_before_the_question_was_sent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is full answers and closes at once; sending fails, and still the answer is read."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def encode_late(request: ShowStatus) -> bytes:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(encode(Reply(False, "full")))
            return encode(request)

        monkeypatch.setattr(client, "encode", encode_late)
        assert ask(path, ShowStatus()) == Reply(False, "full")


def full(path: Path, stack: contextlib.ExitStack) -> socket.socket:
    """A listener whose queue is full."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen(0)
    stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
    return listener


def test_a_queue_that_is_full_is_waited_for(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        listener = full(path, stack)

        def serve() -> None:
            for answer in (b"", encode(Reply(True))):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(answer)

        thread = threading.Timer(0.1, serve)
        thread.start()
        assert ask(path, ShowStatus()) == Reply(True)
        thread.join()


def test_a_queue_that_stays_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05)
    with contextlib.ExitStack() as stack:
        full(path, stack)
        assert "does not answer" in refused(path)


def test_a_path_longer_than_the_kernel_allows(tmp_path: Path) -> None:
    assert "AF_UNIX path too long" in refused(tmp_path / ("x" * 120))


def test_a_socket_of_somebody_else(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            assert refused(path) == f"{path}: permission denied; run as root"
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
