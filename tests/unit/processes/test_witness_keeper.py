"""The key at the witness: taken when wanted, kept, let go, taken over from a former life, and never believed in for too long."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from jsrpd.model.time import SECOND, Instant
from jsrpd.processes import witness_keeper
from jsrpd.processes.etcd_client import EtcdClient, EtcdError, Held
from jsrpd.processes.witness_keeper import ENGINE_PATIENCE, LASTS, WitnessKeeper

START = 1000 * SECOND
KEY = "/jsrpd/cluster-7/owner"


class Witness(EtcdClient):
    """One key and the leases, in memory. ``away``: it does not answer."""

    def __init__(self) -> None:
        super().__init__(())
        self.held: Held | None = None
        self.leases: set[int] = set()
        self.away = False
        self.calls: list[str] = []
        self.unheard: set[str] = set()
        """Requests that it carries out and whose answers are lost, once."""

    async def _called(self, what: str) -> None:
        self.calls.append(what)
        await asyncio.sleep(0)
        if self.away:
            raise EtcdError("no answer")

    def _answered(self, what: str) -> None:
        if what in self.unheard:
            self.unheard.discard(what)
            raise EtcdError("no answer")

    async def grant(self, lease: int, ttl_s: int) -> bool:
        assert ttl_s * SECOND > LASTS
        await self._called("grant")
        new = lease not in self.leases
        self.leases.add(lease)
        self._answered("grant")
        return new

    async def keep_alive(self, lease: int) -> bool:
        await self._called("keep alive")
        return lease in self.leases

    async def revoke(self, lease: int) -> None:
        await self._called("revoke")
        self.lapse(lease)

    async def read(self, key: str) -> Held | None:
        await self._called("read")
        assert key == KEY
        return self.held

    async def put_if(self, key: str, expected: str | None, value: str, lease: int) -> Held | None:
        await self._called("put")
        assert key == KEY
        assert lease in self.leases
        if (self.held.value if self.held else None) == expected:
            self.held = Held(value, lease)
        return self.held

    def lapse(self, lease: int) -> None:
        """The lease is over, and what rested on it."""
        self.leases.discard(lease)
        if self.held is not None and self.held.lease == lease:
            self.held = None


@dataclass
class Stage:
    """A keeper, its witness, and what it said."""

    witness: Witness = field(default_factory=Witness)
    now: Instant = START
    granted: list[tuple[int, Instant]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def keeper(self, node: int = 0) -> WitnessKeeper:
        tell = lambda wish, until: self.granted.append((wish, until))  # noqa: E731
        return WitnessKeeper(self.witness, 7, node, lambda: self.now, tell, self.remarks.append)

    async def until(self, predicate: Callable[[], object]) -> None:
        for _ in range(2000):
            if predicate():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"in vain: {self.witness.calls[-5:]} {self.remarks}")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RENEW_S", "RETRY_S", "LOOK_AGAIN_S"):
        monkeypatch.setattr(witness_keeper, name, 0.01)


def played(play: Callable[[Stage, WitnessKeeper], Coroutine[Any, Any, None]], stage: Stage | None = None) -> Stage:
    """A keeper runs while ``play`` does."""
    made = stage or Stage()

    async def whole() -> None:
        keeper = made.keeper()
        running = asyncio.create_task(keeper.run())
        try:
            await play(made, keeper)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())
    return made


def test_wanted_kept_and_let_go() -> None:
    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        await stage.until(lambda: stage.remarks == ["the witness answers"])
        keeper.want(5)
        await stage.until(lambda: stage.granted)
        assert stage.granted[0] == (5, START + LASTS)
        assert stage.witness.held is not None
        assert stage.witness.held.value.startswith("node0 ")
        stage.now += SECOND
        await stage.until(lambda: stage.granted[-1] == (5, START + SECOND + LASTS))
        keeper.want(0)
        await stage.until(lambda: stage.witness.held is None)
        assert stage.witness.leases == set()
        first = stage.granted[0]
        keeper.want(6)
        await stage.until(lambda: stage.granted[-1][0] == 6)
        assert stage.granted[0] == first

    stage = played(play)
    assert stage.remarks == [
        "the witness answers",
        "the witness has given its key to node0",
        "the witness answers",
        "the witness has given its key to node0",
    ]


def test_the_other_has_it_until_it_lapses() -> None:
    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        stage.witness.held = Held("node1 b", 99)
        keeper.want(5)
        await stage.until(lambda: "the witness has given its key to node1" in stage.remarks)
        await stage.until(lambda: stage.witness.calls.count("keep alive") > 3)
        assert stage.granted == []
        stage.witness.lapse(99)
        await stage.until(lambda: stage.granted)

    played(play)


def test_a_former_life_of_this_node_had_it() -> None:
    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        stage.witness.held = Held("node0 cafe", 99)
        keeper.want(5)
        await stage.until(lambda: stage.granted)
        assert stage.witness.held != Held("node0 cafe", 99)

    played(play)


def test_a_lease_that_is_lost_is_begun_anew() -> None:
    """The key may have been somebody else's meanwhile, so it is written anew, by comparison."""

    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        keeper.want(5)
        await stage.until(lambda: stage.granted)
        lost = stage.witness.held
        assert lost is not None
        stage.witness.lapse(lost.lease)
        stage.witness.held = Held("node1 b", 99)
        told = len(stage.granted)
        await stage.until(lambda: "the witness has given its key to node1" in stage.remarks)
        assert len(stage.granted) <= told + 1
        stage.witness.lapse(99)
        await stage.until(lambda: stage.witness.held is not None and stage.witness.held.value.startswith("node0"))
        assert stage.witness.held != lost

    played(play)


def test_a_lease_whose_begin_was_not_heard_is_counted_from_its_renewal() -> None:
    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        await stage.until(lambda: stage.remarks)
        stage.witness.unheard.add("grant")
        keeper.want(5)
        await stage.until(lambda: "the witness does not answer: no answer" in stage.remarks)
        stage.now += SECOND
        await stage.until(lambda: stage.granted)
        calls = stage.witness.calls
        assert calls.index("keep alive") > calls.index("grant")
        assert "keep alive" in calls[: calls.index("put")]
        assert stage.granted[0] == (5, START + SECOND + LASTS)

    played(play)


def test_a_witness_that_is_away_is_said_before_it_matters() -> None:
    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        stage.witness.away = True
        assert keeper.answers is None
        await stage.until(lambda: stage.remarks)
        assert keeper.answers is False
        keeper.want(5)
        await stage.until(lambda: len(stage.remarks) > 1)
        assert keeper.answers is False
        keeper.want(0)
        await stage.until(lambda: len(stage.remarks) > 2)
        stage.witness.away = False
        await stage.until(lambda: stage.remarks[-1] == "the witness answers")
        assert keeper.answers is True
        assert stage.granted == []

    assert played(play).remarks[:2] == [
        "the witness does not answer: no answer; alone, node0 would own nothing",
        "the witness does not answer: no answer",
    ]


def test_for_an_engine_that_is_silent_nothing_is_renewed_nor_let_go() -> None:
    """Its gate may be open to the end of what it was granted."""

    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        keeper.want(5)
        await stage.until(lambda: stage.granted)
        stage.now += ENGINE_PATIENCE
        await asyncio.sleep(0.05)
        calls = len(stage.witness.calls)
        await asyncio.sleep(0.05)
        assert len(stage.witness.calls) == calls
        assert stage.witness.held is not None
        keeper.want(5)
        await stage.until(lambda: len(stage.witness.calls) > calls)

    played(play)


def test_a_key_that_cannot_be_let_go_lapses() -> None:
    async def play(stage: Stage, keeper: WitnessKeeper) -> None:
        keeper.want(5)
        await stage.until(lambda: stage.granted)
        stage.witness.away = True
        keeper.want(0)
        await stage.until(lambda: "alone, node0 would own nothing" in stage.remarks[-1])
        stage.witness.away = False
        former = stage.witness.held
        keeper.want(6)
        await stage.until(lambda: stage.granted[-1][0] == 6)
        assert former is not None
        assert stage.witness.held != former

    played(play)
