"""The management connection between the two gateways: TCP over whichever control link works, sealed by ``wire.management``.

Node 0 listens on its ends of the control links, node 1 calls, one link after the other. A connection counts only once it
has said something that opens; a newer one of the peer takes the older one's place. Either end asks, the other answers.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

import msgspec

from jsrpd.management.peer_messages import Envelope, Message, Ping, decode, encode, question_number
from jsrpd.model.addressing import MANAGEMENT_PORT
from jsrpd.model.configuration import ClusterConfiguration, ControlLink
from jsrpd.wire.management import GREETING, LENGTH, BrokenConnectionError, ManagementChannel, frame_length

GREETING_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
RETRY_S = 1.0
PING_EVERY_S = 2.0
ANSWER_TIMEOUT_S = 6.0
MAX_STRANGERS = 8
"""Connections that have not shown the key yet."""

Answerer = Callable[[Message], Awaitable[Message]]


class PeerAway(Exception):
    """There is no connection, or it ended before the answer came. The text says how it is."""


class PeerLink:
    """``answer``: to the peer's questions. ``changed``: told on each change of ``connected``."""

    def __init__(self, configuration: ClusterConfiguration, key: bytes, answer: Answerer, changed: Callable[[], None]) -> None:
        self.configuration, self._key = configuration, key
        self._answer, self._changed = answer, changed
        self._connection: _Connection | None = None
        self._strangers = 0
        self._tasks = set[asyncio.Task[None]]()
        self.problem = ""
        """Why the last attempt failed, for the operator."""

    @property
    def connected(self) -> bool:
        """Whether the peer has shown that it holds the key, on the connection there is."""
        return self._connection is not None

    def start(self) -> None:
        """Listen or call, for ever."""
        self._keep(self._serve() if self.configuration.node_id == 0 else self._call())
        self._keep(self._ping())

    def _keep(self, body: Awaitable[None]) -> None:
        task = asyncio.ensure_future(body)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """End everything."""
        for task in list(self._tasks):
            task.cancel()
        self._drop(self._connection)

    async def ask(self, message: Message, timeout_s: float = ANSWER_TIMEOUT_S) -> Message:
        """The peer's answer. PeerAway; then the connection is given up, so that no late answer is taken for another."""
        connection = self._connection
        if connection is None:
            raise PeerAway(self.problem or "no management connection")
        try:
            async with asyncio.timeout(timeout_s):
                return await connection.ask(message)
        except TimeoutError as error:
            self._drop(connection)
            raise PeerAway("no answer in time") from error
        except (OSError, BrokenConnectionError) as error:
            self._drop(connection)
            raise PeerAway("the connection was lost") from error

    # -- the connection ---------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """A listener per control link; a link that has no address yet is tried again."""
        listeners: dict[ControlLink, asyncio.Server] = {}
        while True:
            for gone in set(listeners) - set(self.configuration.control_links):
                listeners.pop(gone).close()
            for link in self.configuration.control_links:
                if link not in listeners:
                    with contextlib.suppress(OSError):
                        listeners[link] = await asyncio.start_server(self._stranger, sock=self._socket(link, listening=True))
            await asyncio.sleep(RETRY_S)

    async def _call(self) -> None:
        while True:
            for link in self.configuration.control_links:
                if not self.connected:
                    await self._call_over(link)
            await asyncio.sleep(RETRY_S)

    async def _call_over(self, link: ControlLink) -> None:
        try:
            caller = self._socket(link, listening=False)
        except OSError as error:
            self.problem = f"control link {link.index}: {error.strerror}"
            return
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(caller, self._end(link, self.configuration.peer_id))
            reader, writer = await asyncio.open_connection(sock=caller)
        except OSError as error:
            caller.close()
            self.problem = f"control link {link.index}: {error.strerror or 'no answer'}"
            return
        self._keep(self._stranger(reader, writer))
        await asyncio.sleep(RETRY_S)

    def _socket(self, link: ControlLink, listening: bool) -> socket.socket:
        end = self._end(link, self.configuration.node_id)
        made = socket.socket(socket.AF_INET6 if len(end) == 4 else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            made.setblocking(False)
            # No capability is needed for it (Linux 5.7): what comes by another interface is none of ours.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.interface.encode() + b"\0")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(end if listening else (end[0], 0, *end[2:]))
            if listening:
                made.listen(MAX_STRANGERS)
        except OSError:
            made.close()
            raise
        return made

    def _end(self, link: ControlLink, node: int) -> tuple[str, int] | tuple[str, int, int, int]:
        own, peer = self.configuration.control_ends(link)
        address = own if node == self.configuration.node_id else peer
        if ":" not in address:
            return (address, MANAGEMENT_PORT)
        scope = socket.if_nametoindex(link.interface) if address.lower().startswith("fe80") else 0
        return (address, MANAGEMENT_PORT, 0, scope)

    async def _stranger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greetings, then each end's first word; from then on it is the connection."""
        if self._strangers >= MAX_STRANGERS:
            writer.transport.abort()
            return
        self._strangers += 1
        connection = _Connection(self.configuration, self._key, reader, writer, self._answer)
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                await connection.greet()
        except (OSError, EOFError, BrokenConnectionError, TimeoutError) as error:
            self.problem = str(error) or "no answer"
            writer.transport.abort()
            return
        finally:
            self._strangers -= 1
        self._drop(self._connection)
        self._connection = connection
        self.problem = ""
        self._changed()
        try:
            await connection.read()
        except (OSError, EOFError, BrokenConnectionError, msgspec.DecodeError) as error:
            self.problem = str(error) or "the connection was lost"
        finally:
            self._drop(connection)

    def _drop(self, connection: "_Connection | None") -> None:
        if connection is None:
            return
        connection.end()
        if connection is self._connection:
            self._connection = None
            self._changed()

    async def _ping(self) -> None:
        """A peer without power is missed by this alone."""
        while True:
            await asyncio.sleep(PING_EVERY_S)
            with contextlib.suppress(PeerAway):
                if self.connected:
                    await self.ask(Ping())


class _Connection:
    """One connection: questions out, answers back, and the other way round."""

    def __init__(
        self,
        configuration: ClusterConfiguration,
        key: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Answerer,
    ) -> None:
        self._channel = ManagementChannel(configuration.cluster_id, configuration.node_id, key, os.urandom(16))
        self._reader, self._writer, self._answer = reader, writer, answer
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._number = 0
        self._sending = asyncio.Lock()
        self._answering = set[asyncio.Task[None]]()

    async def greet(self) -> None:
        """Both ends show that they hold the key. OSError, EOFError, BrokenConnectionError."""
        self._writer.write(self._channel.greeting())
        self._channel.greeted(await self._reader.readexactly(GREETING.size))
        await self._send(Envelope(0, True, Ping()))
        await self._receive()

    async def ask(self, message: Message) -> Message:
        """The answer. OSError when the connection ends before."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send(Envelope(number, False, message))
            return await answer
        finally:
            del self._waiting[number]

    async def read(self) -> None:
        """Until it ends, which is an exception."""
        while True:
            data = await self._receive()
            if data is None:
                continue
            try:
                envelope = decode(data)
            except msgspec.DecodeError:
                # A question of a newer release: answered, or its asker would wait and give the connection up.
                envelope = Envelope(question_number(data), False, Ping())
            if not envelope.answer:
                task = asyncio.ensure_future(self._reply(envelope))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
                continue
            waiting = self._waiting.get(envelope.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(envelope.message)

    async def _receive(self) -> bytes | None:
        length = frame_length(await self._reader.readexactly(LENGTH.size))
        return self._channel.open(await self._reader.readexactly(length))

    async def _reply(self, envelope: Envelope) -> None:
        with contextlib.suppress(OSError):
            await self._send(Envelope(envelope.number, True, await self._answer(envelope.message)))

    async def _send(self, envelope: Envelope) -> None:
        """Whole messages, one after the other, a piece at a time."""
        async with self._sending:
            for frame in self._channel.seal(encode(envelope)):
                self._writer.write(frame)
                await self._writer.drain()

    def end(self) -> None:
        """Nobody waits any longer."""
        self._writer.transport.abort()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection was lost"))
