"""Bytes of any client at the two HTTP servers of the gateway: an answer that is one, no defect, and nothing left behind.

The network is played: a transport that keeps what is written. Everything else is the gateway's own, up to the commands.
"""

import asyncio
import http.client
import io
import re
import socket
from collections.abc import Iterator
from typing import Any, cast

import starlette.requests
from starlette.types import Receive, Scope, Send

from jsrpd import __version__
from jsrpd.cli.grammar import GrammarError, parse
from jsrpd.cli.tree import COMMANDS
from jsrpd.gateway import api
from jsrpd.gateway import http as scraped
from jsrpd.gateway.access import Client, Peer, local
from jsrpd.gateway.api import Refused
from jsrpd.gateway.resources import Resource
from jsrpd.gateway.stream import Stream
from jsrpd.gateway.web_server import Connection, Limited, WebServer
from jsrpd.model.access import Access
from jsrpd.processes import api_resources
from jsrpd.processes.web_desk import MAX_BODY_BYTES

INTERIM_ALONE = re.compile(rb"HTTP/1\.1 100 [^\r]*\r\n\r\n")
"""The client was asked to go on, and did not."""
TURNS = 200
"""Of the loop, in which every answer must have been given."""
WORDS = (
    *(b"GET", b"HEAD", b"POST", b"OPTIONS", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n\r\n", b"Host: localhost\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: ", b"Expect: 100-continue\r\n", b"Connection: keep-alive\r\n"),
    *(b"Accept: application/openmetrics-text\r\n", b"Content-Type: application/json\r\n", b"Authorization: Bearer x\r\n"),
    *(b"Upgrade: websocket\r\n", b"Origin: http://localhost\r\n", b"/metrics", b"/api/v1/", b"Last-Event-ID: life-1\r\n"),
)
loop = asyncio.new_event_loop()


class Transport(asyncio.Transport):
    """A client that takes everything."""

    def __init__(self, over_tcp: bool) -> None:
        super().__init__()
        self.written = b""
        self.ended = False
        self._names = {"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 9470)} if over_tcp else {"peername": ""}

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio names them."""
        return self._names.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Kept."""
        assert not self.ended, "written behind the end"
        self.written += bytes(data)

    def is_closing(self) -> bool:
        """Either side has ended it."""
        return self.ended

    def close(self) -> None:
        """By the server."""
        self.ended = True

    abort = close

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Never full."""

    def pause_reading(self) -> None:
        """There is no more to read."""

    resume_reading = pause_reading


def answers(written: bytes, methods: list[str]) -> Iterator[http.client.HTTPResponse]:
    """Every answer in what a server has written, read as a client does that has sent requests with these methods, in this order; it
    must be whole, to the last byte."""
    methods = methods.copy()

    class Kept(io.BytesIO):
        def close(self) -> None:
            """A response closes what it reads from."""

    stream = Kept(written)
    while INTERIM_ALONE.fullmatch(rest := written[stream.tell() :]) is None and rest:
        holder = cast(socket.socket, type("Holder", (), {"makefile": lambda *_: stream}))
        response = http.client.HTTPResponse(holder, method=methods.pop(0) if methods else "GET")
        response.begin()
        yield response
        if response.getheader("content-type", "").startswith("text/event-stream"):
            return  # It has no end.
        response.read()


# -- the page for Prometheus --------------------------------------------------------------------------------------------


class Writer:
    """What ``scraped.Server`` uses of a writer."""

    def __init__(self) -> None:
        self.transport = Transport(over_tcp=True)
        self.write, self.close = self.transport.write, self.transport.close

    async def drain(self) -> None:
        """Sent at once."""

    def write_eof(self) -> None:
        """The client sees the end."""


def scrape(data: bytes) -> None:
    """One answer to whatever comes, unless the client goes without having asked."""

    async def answer(request: scraped.Request) -> scraped.Response:
        assert request.path.startswith("/")
        assert all(name == name.lower() for name in request.headers)
        return scraped.Response(200, "# EOF\n")

    async def served() -> Writer:
        reader = asyncio.StreamReader(limit=scraped.MAX_HEAD_BYTES)
        reader.feed_data(data)
        reader.feed_eof()
        writer = Writer()
        await server.client(reader, cast(asyncio.StreamWriter, writer))
        return writer

    server = scraped.Server(answer)
    written = loop.run_until_complete(served()).transport.written
    assert server.clients == 0
    asked = scraped.END in data or len(data) >= scraped.MAX_HEAD_BYTES + len(scraped.END)
    assert bool(written) is asked
    if written:
        head, _, body = written.partition(scraped.END)
        status = int(head.split(b" ")[1])
        assert status in scraped.REASONS
        assert f"Content-Length: {len(body)}".encode() in head or data.startswith(b"HEAD ")


def scrape_seeds() -> Iterator[bytes]:
    """Good requests, and the usual bad ones."""
    yield b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"
    yield b"HEAD /metrics?x HTTP/1.0\r\n\r\n"
    yield b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    yield b"GET / HTTP/1.1\r\n: x\r\n\r\n"
    yield b"\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03" + bytes(40)
    yield b"GET /" + b"a" * scraped.MAX_HEAD_BYTES


# -- REST -----------------------------------------------------------------------------------------------------------------


class Backend:
    """Takes every command as far as its grammar."""

    resources = api_resources.resources()

    def __init__(self) -> None:
        self.defects: list[str] = []
        self.stream = Stream(self._look, "life")

    @staticmethod
    async def _look() -> tuple[str, str]:
        return "{}", ""

    async def client(self, request: starlette.requests.Request) -> Client:
        """Root, or whoever shows any token."""
        who: Peer | None = request.state.peer
        if who is not None:
            return local(who, others_read=False, name="somebody")
        return Client(Access.ACT if "authorization" in request.headers else Access.NONE, "somebody", "a token is needed")

    async def answer(self, resource: Resource, values: dict[str, str], display: str, by: str) -> str:
        """What the command would be run with."""
        assert by == "somebody"
        try:
            parse(COMMANDS, api_resources.line(resource, values))
        except GrammarError as error:
            raise Refused(400, str(error)) from error
        return "{}" if display == "json" else "text"

    async def metrics(self, request: scraped.Request) -> scraped.Response:
        """A page."""
        return scraped.Response(200, request.headers["accept"][:0])

    def report(self, text: str) -> None:
        """A defect of ours."""
        self.defects.append(text)


backend = Backend()
understood: list[str] = []
"""Methods of the requests that were some, in their order; what was none is refused without one."""
application = Limited(api.application(backend, __version__), MAX_BODY_BYTES)


async def noted(scope: Scope, receive: Receive, send: Send) -> None:
    """One request (ASGI 3)."""
    understood.append(scope["method"])
    await application(scope, receive, send)


web = WebServer(noted)


def rest(data: bytes) -> None:
    """Over TCP or the UNIX socket, in one piece or several: whole answers, none of which admits a defect."""
    how, asked = data[:1], data[1:]
    over_tcp, step = bool(how and how[0] & 1), 1 + (how[0] >> 1) * 8 if how and how[0] > 1 else max(len(asked), 1)

    async def served() -> Transport:
        transport = Transport(over_tcp)
        connection = Connection(web, web._config, web._state, None if over_tcp else Peer(1, 0, (0,)))
        connection.connection_made(transport)
        for at in range(0, len(asked), step):
            if transport.ended:
                break
            connection.data_received(asked[at : at + step])
            await asyncio.sleep(0)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return transport

    understood.clear()
    written = loop.run_until_complete(served()).written
    assert not backend.defects, backend.defects
    assert web.connections == 0
    assert not web.idle
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    assert not left, left
    for response in answers(written, understood):
        assert response.status < 500, response.status


def rest_seeds() -> Iterator[bytes]:
    """A request of every kind."""
    host = b"Host: localhost\r\n"
    yield b"\0GET /api/v1/show/chassis/cluster/status HTTP/1.1\r\n" + host + b"\r\n"
    yield b"\1GET /api/v1/whoami HTTP/1.1\r\n" + host + b"Authorization: Bearer x\r\n\r\n"
    yield b"\1GET / HTTP/1.1\r\n" + host + b"Origin: http://elsewhere\r\n\r\n"
    yield b"\0GET /api/v1/openapi.json HTTP/1.1\r\n" + host + b"Accept: */*\r\n\r\nGET /metrics HTTP/1.1\r\n" + host + b"\r\n"
    yield b"\0GET /api/v1/stream HTTP/1.1\r\n" + host + b"Last-Event-ID: life-1\r\n\r\n"
    body = b'{"redundancy-group": 1, "node": 0.0}'
    posted = b"POST /api/v1/request/chassis/cluster/failover HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\n"
    yield b"\0" + posted + b"Content-Length: %d\r\n\r\n" % len(body) + body
    yield b"\7" + posted + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    yield b"\0" + posted + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    yield b"\0" + posted + b"Content-Length: 17000\r\n\r\n" + bytes(17000)
    for resource in list(api_resources.resources())[:12]:
        method = "POST" if resource.changes else "GET"
        values = "&".join(f"{one.name}=1" for one in resource.parameters)
        yield f"\0{method} {resource.path}?{values} HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n".encode()
