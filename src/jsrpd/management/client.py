"""The operator's end of the management socket."""

import socket
from pathlib import Path

from jsrpd.management.requests import MAX_LINE, Reply, Request, decode_reply, encode

TIMEOUT_S = 5.0


class DaemonUnreachable(Exception):
    """Nobody answers on the socket; the text says what to do."""


def ask(path: Path, request: Request) -> Reply:
    """One question, one answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(encode(request))
            return decode_reply(_line(connection))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise DaemonUnreachable("the daemon is not running; start it with: systemctl start jsrpd") from error
        except PermissionError as error:
            raise DaemonUnreachable("permission denied; run as root") from error
        except OSError as error:
            raise DaemonUnreachable(f"the daemon does not answer: {error}") from error


def _line(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = connection.recv(MAX_LINE)
        if not piece:
            raise ConnectionError("it closed the connection")
        data += piece
    return bytes(data)
