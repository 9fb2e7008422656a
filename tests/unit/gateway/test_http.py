"""The HTTP server on real sockets: good clients, bad ones, and too many."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.gateway import http, listening
from jsrpd.gateway.families import OLDER_TEXT, OPEN_METRICS
from jsrpd.gateway.http import MAX_CLIENTS, MAX_HEAD_BYTES, Request, Response, Server, parse
from jsrpd.gateway.metrics import ProcessStatus
from jsrpd.gateway.scrape import Scrape
from jsrpd.model.status import ClusterStatus
from tests.unit.management.daemon import cluster

PATIENCE_S = 10.0
LARGE = "x" * 1_000_000


async def page(request: Request) -> Response:
    """Says what was asked; ``/large`` is long."""
    return Response(200, LARGE if request.path == "/large" else f"{request.method} {request.path}\n")


class Running:
    """A server and where it listens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = Server(page)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    async def ask(self, sent: bytes) -> bytes:
        """The whole answer to these bytes."""
        reader, writer = await self.connect()
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE_S)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Running]:
    one = Running(directory / "http.sock")
    listener = listening.unix(one.path)
    async with await asyncio.start_server(one.server.client, sock=listener, limit=MAX_HEAD_BYTES):
        yield one


def with_server(directory: Path, test: Callable[[Running], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(directory) as one:
            await test(one)

    asyncio.run(run())


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    ("sent", "code", "body"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"GET /metrics\n"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", 200, b"GET /metrics\n"),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, b""),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405, b"only GET and HEAD\n"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", 200, b"GET /metrics\n"),
        (b"get /metrics HTTP/1.1\r\n\r\n", 400, b"this is not a request\n"),
        (b"GET metrics HTTP/1.1\r\n\r\n", 400, b"this is not a request\n"),
        (b"GET / HTTP/2.0\r\n\r\n", 400, b"this is not a request\n"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, b"this is not a request\n"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, b"this is not a request\n"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, b"this is not a request\n"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 2 * MAX_HEAD_BYTES, 431, b"the request is too long\n"),
    ],
)
def test_answers(tmp_path: Path, sent: bytes, code: int, body: bytes) -> None:
    async def test(one: Running) -> None:
        answer = await one.ask(sent)
        head, _, content = answer.partition(b"\r\n\r\n")
        assert (status(answer), content) == (code, body)
        assert b"\r\nConnection: close" in head
        if sent.startswith(b"GET") or body:
            assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head

    with_server(tmp_path, test)


def test_stalled_clients_give_way(tmp_path: Path) -> None:
    """Every place is taken by someone who does not finish asking; an honest client is served all the same."""

    async def test(one: Running) -> None:
        stalled = [await one.connect() for _ in range(MAX_CLIENTS)]
        for _, writer in stalled:
            writer.write(b"GET / HT")
        while one.server.clients < MAX_CLIENTS:
            await asyncio.sleep(0)
        for _ in range(3):
            assert status(await one.ask(b"GET / HTTP/1.1\r\n\r\n")) == 200
        assert await stalled[0][0].read() == b""
        for _, writer in stalled:
            writer.close()

    with_server(tmp_path, test)


def test_readers_that_stall_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for much and reads nothing holds a place for a while, and no longer."""
    monkeypatch.setattr(http, "WRITE_TIMEOUT_S", 0.05)

    async def test(one: Running) -> None:
        slow = [await one.connect() for _ in range(MAX_CLIENTS)]
        for _, writer in slow:
            writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            while status(await one.ask(b"GET / HTTP/1.1\r\n\r\n")) != 200:
                await asyncio.sleep(0.01)
            while one.server.clients:
                await asyncio.sleep(0.01)
        for _, writer in slow:
            writer.close()

    with_server(tmp_path, test)


def test_who_asks_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_TIMEOUT_S", 0.05)

    async def test(one: Running) -> None:
        assert await one.ask(b"GET / HTTP/1.1\r\n") == b""

    with_server(tmp_path, test)


def test_a_large_answer_arrives_whole(tmp_path: Path) -> None:
    async def test(one: Running) -> None:
        answer = await one.ask(b"GET /large HTTP/1.1\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n" + LARGE.encode())

    with_server(tmp_path, test)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_none(head: bytes) -> None:
    request = parse(head)
    assert request is None or (request.path.startswith("/") and request.method.isupper())


# -- the page -------------------------------------------------------------------------------------------------------


class Source:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.now = 0.0
        self.scrape = Scrape(self.status, lambda: [ProcessStatus("parent", 0)], lambda: self.now)

    async def status(self) -> ClusterStatus | None:
        self.asked += 1
        await asyncio.sleep(0)
        return cluster()


def get(accept: str) -> Request:
    return Request("GET", "/metrics", {"accept": accept})


def test_the_engine_is_asked_once_however_many_ask() -> None:
    async def test() -> None:
        source = Source()
        answers = await asyncio.gather(*(source.scrape.answer(get("")) for _ in range(50)))
        assert len({answer.body for answer in answers}) == source.asked == 1
        source.now = 1.5
        await source.scrape.answer(get(""))
        assert source.asked == 2

    asyncio.run(test())


def test_the_client_chooses_the_format() -> None:
    async def test() -> None:
        scrape = Source().scrape
        wanted = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
        modern, older = await scrape.answer(get(wanted)), await scrape.answer(get("*/*"))
        assert (modern.content_type, older.content_type) == (OPEN_METRICS, OLDER_TEXT)
        assert modern.body.endswith("# EOF\n")
        assert "# EOF" not in older.body
        assert (await scrape.answer(Request("GET", "/", {}))).status == 404

    asyncio.run(test())


# -- listening ------------------------------------------------------------------------------------------------------


def test_an_address_that_comes_later_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said once, tried until it can be had."""
    monkeypatch.setattr(listening, "RETRY_S", 0.01)
    said: list[OSError] = []
    place = tmp_path / "later"
    tried: list[None] = []

    def bind() -> socket.socket:
        tried.append(None)
        return listening.unix(place / "s")

    async def test() -> None:
        serving = asyncio.create_task(listening.serve(bind, Server(page).client, 100, said.append))
        while len(tried) < 3:
            await asyncio.sleep(0.01)
        place.mkdir()
        async with asyncio.timeout(PATIENCE_S):
            while not (place / "s").exists():
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_unix_connection(place / "s")
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert status(await reader.read()) == 200
            writer.close()
        serving.cancel()

    asyncio.run(test())
    assert len(said) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_tcp(address: str) -> None:
    with listening.tcp(address, 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use"), listening.tcp(address, port) as second:
            second.listen()
            listener.listen()
    with pytest.raises(OSError, match="assign"):
        listening.tcp("192.0.2.77", 1)


def test_a_socket_file_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening.unix(path), listening.unix(path) as fresh, socket.socket(socket.AF_UNIX) as client:
        fresh.listen()
        client.connect(str(path))
        assert path.stat().st_mode & 0o777 == 0o660
