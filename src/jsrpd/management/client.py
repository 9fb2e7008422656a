"""The operator's end of the management socket."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from jsrpd.management.requests import MAX_LINE, MAX_REPLY, Reply, Request, decode_reply, encode

TIMEOUT_S = 5.0
RETRY_S = 0.02


class DaemonUnreachable(Exception):
    """Nobody answers on the socket; the text says what to do."""


def ask(path: Path, request: Request, timeout_s: float = TIMEOUT_S) -> Reply:
    """One question, one answer."""
    with begun(path, request, timeout_s) as answer:
        return answer()


@contextlib.contextmanager
def begun(path: Path, request: Request, timeout_s: float = TIMEOUT_S) -> Iterator[Callable[[], Reply]]:
    """A question that is under way, perhaps beside others: what is yielded waits for its answer. DaemonUnreachable from both."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        with _in_words(path):
            _connect(connection, path, timeout_s)
            # A gateway that refuses this client has answered and closed before it reads; the answer is still there.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(encode(request))

        def answer() -> Reply:
            with _in_words(path):
                return decode_reply(_line(connection, timeout_s))

        yield answer


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What went wrong, for the operator."""
    try:
        yield
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise DaemonUnreachable(f"jsrpd is not running (nobody listens on {path}); start it with: jsrpd") from error
    except PermissionError as error:
        raise DaemonUnreachable(f"{path}: permission denied; run as root") from error
    except OSError as error:
        raise DaemonUnreachable(f"jsrpd does not answer on {path}: {error}; look at: journalctl -u jsrpd") from error
    except msgspec.DecodeError as error:
        raise DaemonUnreachable("jsrpd's answer is not understood; restart it if jsrp is newer") from error


def _connect(connection: socket.socket, path: Path, timeout_s: float) -> None:
    """With a time limit, Linux does not wait for room in a listener's queue but says EAGAIN (unix(7))."""
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            return connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
        time.sleep(RETRY_S)


def _line(connection: socket.socket, timeout_s: float) -> bytes:
    """One line, bounded in length and in the time it may take as a whole."""
    data = bytearray()
    give_up = time.monotonic() + timeout_s
    while not data.endswith(b"\n"):
        remaining = give_up - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        if len(data) > MAX_REPLY:
            raise ConnectionError("its answer has no end")
        connection.settimeout(remaining)
        piece = connection.recv(MAX_LINE)
        if not piece:
            raise ConnectionError("it closed the connection")
        data += piece
    return bytes(data)
