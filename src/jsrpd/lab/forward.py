"""A node's UNIX socket at a TCP port of this machine's loopback, for a browser: what ``ssh -L`` does for a real node."""

import asyncio
import contextlib
from pathlib import Path

PIECE = 64 * 1024
FIRST_PORT = 9470


async def forward(path: Path, port: int) -> asyncio.Server:
    """Listens at 127.0.0.1. OSError when the port is taken."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            node_reader, node_writer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()  # The node is off; the browser tries again.
            return
        both = [asyncio.create_task(_copy(reader, node_writer)), asyncio.create_task(_copy(node_reader, writer))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        for end in (writer, node_writer):
            end.close()

    return await asyncio.start_server(client, "127.0.0.1", port)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
