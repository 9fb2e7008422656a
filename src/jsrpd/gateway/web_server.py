"""Connections of the REST interface: uvicorn's HTTP/1.1 machine, with the limits that a gateway of ours must have.

uvicorn reads, parses and writes; here stand how many may be connected and shaking hands, how long a request may take to
arrive and an answer to be read, who the kernel says is there, and certificates that are renewed while we run.
"""

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Any, cast

from h11 import LocalProtocolError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from jsrpd.gateway.access import Peer, peer
from jsrpd.model.configuration import TlsListener

MAX_CONNECTIONS = 256
MAX_HANDSHAKES = 64
MAX_HEAD_BYTES = 16 * 1024
REQUEST_TIMEOUT_S = 10.0
"""For a request to arrive whole."""
WRITE_TIMEOUT_S = 10.0
"""For a client to take what is waiting for it."""
KEEP_ALIVE_S = 30.0
HANDSHAKE_S = 5.0
WRITE_BUFFER_BYTES = 64 * 1024
BACKLOG = 128
ACCEPT_AGAIN_S = 0.5
PEER_STATE = "peer"
"""Of a request's state: the ``Peer`` on a UNIX socket, None over TCP."""


class WebServer:
    """Serves one application to all listeners."""

    def __init__(self, application: ASGIApp) -> None:
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        logging.getLogger("uvicorn").propagate = False
        self._config = Config(
            cast(Any, application),
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=cast(int, KEEP_ALIVE_S),
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        self._config.load()
        self._state = ServerState()
        # Who is not being answered, the longest waiting first.
        self.idle: dict[Connection, None] = {}

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._state.connections)

    async def serve(self, listener: socket.socket, tls: "Certificate | None" = None) -> None:
        """Accept from a bound socket until cancelled."""
        loop = asyncio.get_running_loop()
        handshakes: set[asyncio.Task[None]] = set()
        with listener:
            listener.listen(BACKLOG)
            while True:
                try:
                    client, _ = await loop.sock_accept(listener)
                except OSError:
                    await asyncio.sleep(ACCEPT_AGAIN_S)  # Out of descriptors, for instance: others will end.
                    continue
                while len(handshakes) >= MAX_HANDSHAKES:
                    await asyncio.wait(handshakes, return_when=asyncio.FIRST_COMPLETED)
                task = loop.create_task(self._connect(client, tls))
                handshakes.add(task)
                task.add_done_callback(handshakes.discard)

    async def _connect(self, client: socket.socket, tls: "Certificate | None") -> None:
        try:
            who = peer(client) if client.family == socket.AF_UNIX else None
            context = tls.context() if tls is not None else None
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self, self._config, self._state, who),
                client,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S if context is not None else None,
            )
        except (OSError, asyncio.CancelledError):
            client.close()

    def make_room(self) -> bool:
        """Who is not being answered gives way to who comes. Whether there is room now."""
        if self.connections <= MAX_CONNECTIONS:
            return True
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        del self.idle[longest]
        longest.transport.abort()
        return True


class Connection(H11Protocol):
    """One client."""

    def __init__(self, server: WebServer, config: Config, state: ServerState, who: Peer | None) -> None:
        super().__init__(config, state, {PEER_STATE: who})
        self._server = server
        self._whole: object = None
        """The request that has arrived last."""
        self._slow: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A place for it, if there is one."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if not self._server.make_room():
            transport.abort()
            return
        self._server.idle[self] = None
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left of it."""
        self._server.idle.pop(self, None)
        for timer in (self._slow, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        if self._slow is None:
            self._expect_request()
        try:
            super().data_received(data)
        except LocalProtocolError:
            # uvicorn answers what is no request with a body, which h11 refuses behind a HEAD whose own body was bad.
            self.transport.abort()
            return
        self._note_arrival()

    def on_response_complete(self) -> None:
        """The next request may come."""
        self._server.idle[self] = None
        super().on_response_complete()
        self._note_arrival()  # It may have been there already, behind the one before.

    def pause_writing(self) -> None:
        """The client does not take what it has asked for."""
        super().pause_writing()
        self._stalled = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _expect_request(self) -> None:
        self._slow = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.abort)

    def _note_arrival(self) -> None:
        if self.cycle is None or self.cycle.more_body or self.cycle is self._whole:
            return
        self._whole = self.cycle
        self._server.idle.pop(self, None)
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None


class Certificate:
    """A certificate and its key, read again when the files have changed. OSError (ssl.SSLError is one) at first only."""

    def __init__(self, listener: TlsListener) -> None:
        self._files = (Path(listener.certificate), Path(listener.private_key))
        self._seen = self._stamps()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """For the next connection. Files that are being replaced, or broken, leave the old one in use."""
        try:
            seen = self._stamps()
            if seen != self._seen:
                self._context, self._seen = self._load(), seen
        except OSError:
            pass
        return self._context

    def _stamps(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns for file in self._files)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        return context


class Limited:
    """The application with bodies of requests no longer than it takes: read before, and refused when longer."""

    def __init__(self, application: ASGIApp, max_bytes: int) -> None:
        self._application, self._max_bytes = application, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI 3)."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_bytes:
                await _refuse(send, f'{{"error": "a request has at most {self._max_bytes} bytes"}}\n'.encode())
                return
        read = False

        async def whole() -> Any:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._application(scope, whole, send)


async def _refuse(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
