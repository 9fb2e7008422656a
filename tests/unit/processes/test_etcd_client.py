"""Requests to etcd's JSON gateway, against members that answer, hang, refuse or babble. The real etcd: ``tests/end_to_end``."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from jsrpd.processes.etcd_client import EtcdClient, EtcdError, Held

T = TypeVar("T")
Member = Callable[[str, dict[str, Any]], tuple[int, bytes] | None]
"""Method and body to status and content; None: it never answers."""


async def serve(member: Member) -> tuple[asyncio.Server, str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
        said = member(head.split()[1].removeprefix("/v3/"), json.loads(await reader.readexactly(length)))
        if said is None:
            await reader.read()
            writer.close()
            return
        writer.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n\r\n%b" % said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return server, f"http://127.0.0.1:{port}"


def asked(ask: Callable[[EtcdClient], Awaitable[T]], *members: Member) -> T:
    """What a client of these members answers."""

    async def whole() -> T:
        served = [await serve(member) for member in members]
        try:
            return await ask(EtcdClient([url for _, url in served]))
        finally:
            for server, _ in served:
                server.close()

    return asyncio.run(whole())


def says(status: int = 200, **content: object) -> Member:
    return lambda _method, _body: (status, json.dumps(content).encode())


def hangs(_method: str, _body: dict[str, Any]) -> None:
    return None


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


KV = {"key": packed("/k"), "value": packed("node1 b"), "lease": "7"}


def test_leases() -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def member(method: str, body: dict[str, Any]) -> tuple[int, bytes]:
        seen.append((method, body))
        return 200, json.dumps({"result": {"ID": "5", "TTL": "3"}}).encode()

    assert asked(lambda client: client.grant(5, 3), member)
    assert asked(lambda client: client.keep_alive(5), member)
    asked(lambda client: client.revoke(5), member)
    assert seen == [
        ("lease/grant", {"ID": "5", "TTL": "3"}),
        ("lease/keepalive", {"ID": "5"}),
        ("lease/revoke", {"ID": "5"}),
    ]


def test_a_lease_that_is_there_or_gone() -> None:
    assert not asked(lambda client: client.grant(5, 3), says(400, error="etcdserver: lease already exists", code=9))
    assert not asked(lambda client: client.keep_alive(5), says(result={"ID": "5"}))
    asked(lambda client: client.revoke(5), says(404, error="etcdserver: requested lease not found", code=5))


def test_a_write_is_a_comparison_first() -> None:
    seen: list[dict[str, Any]] = []

    def member(_method: str, body: dict[str, Any]) -> tuple[int, bytes]:
        seen.append(body)
        return 200, json.dumps({"succeeded": True}).encode()

    assert asked(lambda client: client.put_if("/k", None, "node0 a", 5), member) == Held("node0 a", 5)
    assert asked(lambda client: client.put_if("/k", "node1 b", "node0 a", 5), member) == Held("node0 a", 5)
    first, second = (body["compare"][0] for body in seen)
    assert (first["target"], first["createRevision"]) == ("CREATE", "0")
    assert (second["target"], second["value"]) == ("VALUE", packed("node1 b"))
    assert seen[0]["success"] == [{"requestPut": {"key": packed("/k"), "value": packed("node0 a"), "lease": "5"}}]


def test_what_stands_there_instead() -> None:
    other = says(responses=[{"response_range": {"kvs": [KV]}}])
    assert asked(lambda client: client.put_if("/k", None, "node0 a", 5), other) == Held("node1 b", 7)
    gone = says(responses=[{"response_range": {}}])
    assert asked(lambda client: client.put_if("/k", "node1 b", "node0 a", 5), gone) is None
    assert asked(lambda client: client.read("/k"), says(kvs=[{"key": packed("/k")}])) == Held("", 0)
    assert asked(lambda client: client.read("/k"), says()) is None


@pytest.mark.parametrize(
    "first",
    [
        hangs,
        says(503, error="etcdserver: no leader", code=14),
        says(200, error={"message": "etcdserver: request timed out"}),
        lambda _method, _body: (200, b"<html>"),
        lambda _method, _body: (200, b"[]"),
        lambda _method, _body: (200, b"x" * (1 << 18)),
    ],
)
def test_a_member_that_does_not_answer_is_not_waited_for(first: Member) -> None:
    assert asked(lambda client: client.read("/k"), first, says(kvs=[KV])) == Held("node1 b", 7)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jsrpd.processes.etcd_client.TIMEOUT_S", 0.2)
    with pytest.raises(EtcdError, match="no answer"):
        asked(lambda client: client.read("/k"), hangs, hangs)
    with pytest.raises(EtcdError, match="no leader"):
        asked(lambda client: client.read("/k"), says(503, error="etcdserver: no leader"))
    with pytest.raises(EtcdError, match="refused"):
        asyncio.run(EtcdClient(["http://127.0.0.1:1"]).read("/k"))


def test_no_http() -> None:
    async def whole() -> None:
        async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"x" * (1 << 18))
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(EtcdError, match="does not speak HTTP"):
            await EtcdClient([url]).read("/k")
        server.close()

    asyncio.run(whole())
