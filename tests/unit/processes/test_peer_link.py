"""The management connection between two gateways over a socket pair: questions, answers, and questions of a newer release."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from jsrpd.management import peer_messages
from jsrpd.management.peer_messages import Answered, Asked, Decided, Envelope, Message, Ping
from jsrpd.management.requests import Reply, ShowStatus
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.processes.peer_link import _Connection

KEY = bytes(32)


async def answer(message: Message) -> Message:
    return Answered(Reply(True, f"asked by {message.by}")) if isinstance(message, Asked) else Ping()


def joined(body: Callable[[_Connection, _Connection], Awaitable[None]]) -> None:
    """Runs ``body`` with both ends of a connection that have greeted each other and read."""

    async def run() -> None:
        ends = []
        for node, one in enumerate(socket.socketpair()):
            reader, writer = await asyncio.open_connection(sock=one)
            ends.append(_Connection(ClusterConfiguration(cluster_id=1, node_id=node), KEY, reader, writer, answer))
        await asyncio.gather(*(end.greet() for end in ends))
        reading = [asyncio.ensure_future(end.read()) for end in ends]
        try:
            await asyncio.wait_for(body(*ends), 10)
        finally:
            for task, end in zip(reading, ends, strict=True):
                end.end()
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    asyncio.run(run())


def test_an_operators_question() -> None:
    async def body(near: _Connection, _far: _Connection) -> None:
        assert await near.ask(Asked(ShowStatus(), "root")) == Answered(Reply(True, "asked by root"))

    joined(body)


def test_a_question_of_a_newer_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered, and the connection stays."""
    plain = peer_messages.encode

    def newer(envelope: Envelope) -> bytes:
        return plain(envelope).replace(b"Decided", b"Unknown")

    monkeypatch.setattr("jsrpd.processes.peer_link.encode", newer)

    async def body(near: _Connection, _far: _Connection) -> None:
        assert await near.ask(Decided("")) == Ping()
        assert isinstance(await near.ask(Asked(ShowStatus(), "root")), Answered)

    joined(body)


def test_what_is_neither() -> None:
    with pytest.raises(msgspec.DecodeError):
        peer_messages.question_number(b"\x80")
    with pytest.raises(msgspec.DecodeError):
        peer_messages.question_number(peer_messages.encode(Envelope(1, True, Ping())))
    assert peer_messages.question_number(peer_messages.encode(Envelope(7, False, Ping()))) == 7
