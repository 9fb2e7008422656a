"""Keeps a listening socket for as long as it is wanted: one that cannot be had is said once and tried again."""

import asyncio
import contextlib
import grp
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
RETRY_S = 2.0
BACKLOG = 16


async def serve(bind: Callable[[], socket.socket], client: Client, limit: int, failed: Callable[[OSError], None]) -> None:
    """Streams to ``client``, until cancelled."""

    async def accept(listener: socket.socket) -> None:
        server = await asyncio.start_server(client, sock=listener, limit=limit, backlog=BACKLOG)
        async with server:
            await server.serve_forever()

    await keep(bind, accept, failed)


async def keep(
    bind: Callable[[], socket.socket], accept: Callable[[socket.socket], Awaitable[None]], failed: Callable[[OSError], None]
) -> None:
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
        await accept(listener)


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


def unix(path: Path, for_all: bool = False, group: str = "") -> socket.socket:
    """Bound to a path that root and a group may use, or ``for_all``, in place of what an earlier gateway has left there.

    The group is root's where there is none called ``group``, or where we may not give the file to it.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        with contextlib.suppress(KeyError, PermissionError):
            if group:
                os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o666 if for_all else 0o660)
    except OSError:
        listener.close()
        raise
    return listener
