"""Keeps a listening socket for as long as it is wanted: one that cannot be had is said once and tried again."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
RETRY_S = 2.0
BACKLOG = 16


async def serve(bind: Callable[[], socket.socket], client: Client, limit: int, failed: Callable[[OSError], None]) -> None:
    """Until cancelled. ``bind`` gives a bound stream socket; ``failed`` is told each error that differs from the last."""
    said = ""
    while True:
        try:
            listener = bind()
        except OSError as error:
            if said != str(error):
                said = str(error)
                failed(error)
            await asyncio.sleep(RETRY_S)
            continue
        said = ""
        server = await asyncio.start_server(client, sock=listener, limit=limit, backlog=BACKLOG)
        async with server:
            await server.serve_forever()


def tcp(address: str, port: int) -> socket.socket:
    """Bound to a TCP port. OSError when the address is not here, or not yet."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def unix(path: Path) -> socket.socket:
    """Bound to a path that root and its group may use, in place of what an earlier gateway has left there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o660)
    except OSError:
        listener.close()
        raise
    return listener
