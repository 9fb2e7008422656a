"""What the sender of traps keeps over restarts, and how it fails. What it sends is judged by snmptrapd, end to end."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jsrpd.gateway import trap_sender
from jsrpd.gateway.trap_sender import BOOTS_FILE, QUEUE, TrapSender, engine_id
from jsrpd.gateway.traps import SWITCHOVER, Trap
from jsrpd.model.configuration import TrapGroup

TRAP = Trap(SWITCHOVER, ((1, "0"),))
NOWHERE = (TrapGroup("noc", ("192.0.2.1",), 1),)
PATIENCE_S = 10.0


def with_sender(directory: Path, test: Callable[[TrapSender, list[str]], Awaitable[None]]) -> list[str]:
    reports: list[str] = []

    async def run() -> None:
        sender = TrapSender(1, 0, directory, lambda: 5, reports.append)
        try:
            await test(sender, reports)
        finally:
            sender.close()

    asyncio.run(run())
    return reports


async def nothing(_sender: TrapSender, _reports: list[str]) -> None:
    pass


def test_boots_grow(tmp_path: Path) -> None:
    for boots in (1, 2, 3):
        assert with_sender(tmp_path, nothing) == []
        assert (tmp_path / BOOTS_FILE).read_text() == f"{boots}\n"


def test_a_count_that_is_lost_or_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / BOOTS_FILE).write_text("nonsense")
    (said,) = with_sender(tmp_path, nothing)
    assert "nonsense" in said
    (said,) = with_sender(tmp_path / "none", nothing)
    assert "may refuse version 3" in said


def test_engine_id() -> None:
    """RFC 3411, 5: the first bit, an enterprise, the format 4 and a text."""
    assert engine_id(7, 1) == bytes.fromhex("80001f8804") + b"jsrpd-7-1"


def test_too_many_are_lost_and_said_once(tmp_path: Path) -> None:
    async def flood(sender: TrapSender, _reports: list[str]) -> None:
        sender.send([TRAP] * (QUEUE + 10), NOWHERE)

    assert with_sender(tmp_path, flood) == ["SNMP traps: too many at once; some were not sent"]


def test_a_network_that_is_away_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    async def send(sender: TrapSender, reports: list[str]) -> None:
        sender.send([TRAP] * 3, NOWHERE)
        async with asyncio.timeout(PATIENCE_S):
            while not reports or not sender._waiting.empty():
                await asyncio.sleep(0.01)

    monkeypatch.setattr(trap_sender, "send_notification", refused)
    assert with_sender(tmp_path, send) == ["SNMP traps: to 192.0.2.1: Network is unreachable"]
