"""Two committers and the wire between them in one process: commits, deaths in the middle, and what both have afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jsrpd.configuration.candidate import read
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.render import text_of
from jsrpd.management.commits import KEPT, CommitStore, digest
from jsrpd.management.peer_messages import Decide, Message, Prepare
from jsrpd.processes.committer import CommitRefused, Committer, Surroundings, Wanted
from jsrpd.processes.peer_link import PeerAway
from tests.unit.configuration.texts import SOUND

BEFORE = text_of(read(SOUND))


def with_interval(milliseconds: int) -> str:
    return text_of(read(SOUND + f"set chassis cluster heartbeat-interval {milliseconds}\n"))


def with_threshold(number: int) -> str:
    return text_of(read(SOUND + f"set chassis cluster heartbeat-threshold {number}\n"))


@dataclass
class Node:
    """One node's directories, clock and committer; ``fault`` is asked before each message reaches the other."""

    number: int
    place: Path
    clock: "Clock"
    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refuse: str = ""
    fault: Callable[[Message], str] = lambda _message: ""
    other: "Node | None" = None
    committer: Committer = field(init=False)

    def __post_init__(self) -> None:
        self.etc.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            self.file.write_text(BEFORE)
        self.start()

    def start(self) -> None:
        """As after a restart: everything that is known comes from the disk."""
        around = Surroundings(
            self._apply, self.said.append, self.told.append, self._warnings, self.clock.wall, self.clock.boot, lambda: "boot"
        )
        self.committer = Committer(self.etc, CommitStore(self.place / "lib"), Identity(7, self.number), around)
        self.committer.ask = self._ask
        self.committer.connected = lambda: self.other is not None

    @property
    def etc(self) -> Path:
        return self.place / "etc"

    @property
    def file(self) -> Path:
        return self.etc / "jsrpd.conf"

    @property
    def history(self) -> list[str]:
        return [commit.text for commit in self.committer.store.history()]

    async def _apply(self) -> str:
        return self.refuse

    async def _warnings(self, _text: str) -> list[str]:
        return []

    async def _ask(self, message: Message, _timeout_s: float) -> Message:
        if self.other is None:
            raise PeerAway("no management connection")
        what = self.fault(message)
        if what == "lost":
            raise PeerAway("the connection was lost")
        await asyncio.sleep(0)
        answer = await self.other.committer.answer(message)
        await asyncio.sleep(0)
        if what == "answer lost":
            raise PeerAway("the connection was lost")
        return answer


@dataclass
class Clock:
    now: float = 1000.0

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now

    def boot(self) -> float:
        return self.now


@dataclass
class Pair:
    zero: Node
    one: Node
    clock: Clock

    def join(self) -> None:
        self.zero.other, self.one.other = self.one, self.zero

    def cut(self) -> None:
        self.zero.other = self.one.other = None
        for node in (self.zero, self.one):
            node.committer.connection_changed()

    async def meet(self) -> None:
        """They speak again, and come to rest."""
        self.join()
        for _ in range(2):
            for node in (self.zero, self.one):
                await node.committer.synchronize()
        await asyncio.sleep(0)

    def agree_on(self, text: str) -> None:
        """File, history and the commit in force are the same on both."""
        for node in (self.zero, self.one):
            assert node.file.read_text() == text
            assert node.history[0] == text
        assert self.zero.history == self.one.history
        assert self.zero.committer.difference() == self.one.committer.difference() == ""


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    clock = Clock()
    made = Pair(Node(0, tmp_path / "0", clock), Node(1, tmp_path / "1", clock), clock)
    made.join()
    return made


def run(body: Awaitable[None]) -> None:
    async def whole() -> None:
        await body

    asyncio.run(whole())


async def commit(node: Node, text: str, base: str | None = None, minutes: int = 0, author: str = "root") -> str:
    started = digest(node.committer.text()) if base is None else digest(base)
    return await node.committer.commit(Wanted(text, started, author, confirm_minutes=minutes))


def test_a_commit_is_in_force_on_both(pair: Pair) -> None:
    async def body() -> None:
        said = await commit(pair.zero, with_interval(50))
        assert "node1:\ncommit complete\nnode0:\ncommit complete\n" in said
        pair.agree_on(with_interval(50))
        assert pair.zero.history[1] == BEFORE, "what was there before the first commit can be rolled back to"
        await commit(pair.one, with_interval(60))
        pair.agree_on(with_interval(60))

    run(body())


def test_a_commit_under_way_is_no_difference(pair: Pair) -> None:
    """Although for a moment one node has it and the other has not: nobody is told of a failure by each commit."""

    def look(_message: Message) -> str:
        pair.zero.committer.tell()
        return ""

    async def body() -> None:
        pair.zero.fault = look
        await commit(pair.zero, with_interval(50))
        await commit(pair.zero, with_interval(60))
        assert not [one for one in pair.zero.said if "synchronized" in one]
        assert set(pair.zero.told) <= {""}

    run(body())


def test_what_the_peer_refuses_is_done_nowhere(pair: Pair) -> None:
    async def body() -> None:
        pair.one.committer.exclusive = "alice"
        with pytest.raises(CommitRefused, match="locked by: alice"):
            await commit(pair.zero, with_interval(50))
        assert pair.zero.history == pair.one.history == []
        assert pair.zero.file.read_text() == pair.one.file.read_text() == BEFORE

    run(body())


def test_a_configuration_that_cannot_be_used_is_refused(pair: Pair) -> None:
    async def body() -> None:
        bad = text_of(read(SOUND.replace("interface-monitor lan", "interface-monitor nowhere")))
        with pytest.raises(CommitRefused, match="Interface must be defined"):
            await commit(pair.zero, bad)
        assert pair.zero.history == []

    run(body())


@pytest.mark.parametrize("lost", ["lost", "answer lost"])
@pytest.mark.parametrize("at", [Prepare, Decide])
def test_a_peer_that_dies_midway_takes_it_over_when_it_returns(pair: Pair, at: type, lost: str) -> None:
    async def body() -> None:
        pair.zero.fault = lambda message: lost if isinstance(message, at) else ""
        said = await commit(pair.zero, with_interval(50))
        assert "it takes over commit 2 when it speaks with node0 again" in said
        assert pair.zero.file.read_text() == with_interval(50)
        pair.cut()
        pair.one.start()
        pair.zero.fault = lambda _message: ""
        await pair.meet()
        pair.agree_on(with_interval(50))

    run(body())


def test_the_peer_is_away(pair: Pair) -> None:
    """Recorded, said, and shown as CF until it returns."""

    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        pair.cut()
        said = await commit(pair.zero, with_interval(60))
        assert "not reached: no management connection" in said
        assert pair.zero.told[-1] == "node1 does not have the newest commit"
        assert pair.one.file.read_text() == with_interval(50)
        await pair.meet()
        pair.agree_on(with_interval(60))
        assert pair.zero.told[-1] == ""

    run(body())


def test_both_commit_alone_and_nothing_is_lost(pair: Pair) -> None:
    """The longer history wins; the other's commit is in both histories and said to be."""

    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        pair.cut()
        await commit(pair.zero, with_interval(60))
        await commit(pair.one, with_interval(70))
        await commit(pair.one, with_interval(80))
        await pair.meet()
        pair.agree_on(with_interval(80))
        assert with_interval(60) in pair.zero.history
        assert any("was made beside another and is not in force" in line for line in pair.zero.said + pair.one.said)

    run(body())


def test_two_operators_change_different_things(pair: Pair) -> None:
    async def body() -> None:
        await commit(pair.zero, with_interval(50), base=BEFORE)
        await commit(pair.one, with_threshold(7), base=BEFORE, author="bob")
        both = pair.zero.file.read_text()
        assert "heartbeat-interval 50;" in both
        assert "heartbeat-threshold 7;" in both
        pair.agree_on(both)

    run(body())


def test_two_operators_change_the_same(pair: Pair) -> None:
    async def body() -> None:
        await commit(pair.zero, with_interval(50), base=BEFORE, author="alice")
        with pytest.raises(CommitRefused, match=r"(?s)alice has committed another.*chassis cluster heartbeat-interval"):
            await commit(pair.one, with_interval(70), base=BEFORE, author="bob")
        pair.agree_on(with_interval(50))

    run(body())


def test_two_nodes_commit_at_once(pair: Pair) -> None:
    """Node 0's goes through, node 1's operator is told to try again."""

    async def body() -> None:
        outcomes = await asyncio.gather(
            commit(pair.zero, with_interval(50), BEFORE), commit(pair.one, with_interval(70), BEFORE), return_exceptions=True
        )
        refused = [one for one in outcomes if isinstance(one, CommitRefused)]
        assert len(refused) == 1
        assert "try again" in str(refused[0])
        await pair.meet()
        pair.agree_on(with_interval(50))

    run(body())


def test_a_confirmed_commit_is_taken_back_on_both(pair: Pair) -> None:
    """Each node does it for itself, with the connection cut, and both come to the same history."""

    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        said = await commit(pair.zero, with_interval(60), minutes=2)
        assert "automatically rolled back in 2 minutes" in said
        pair.cut()
        pair.clock.now += 119
        for node in (pair.zero, pair.one):
            await node.committer.look()
            assert node.file.read_text() == with_interval(60)
        pair.one.start()
        pair.clock.now += 2
        for node in (pair.zero, pair.one):
            await node.committer.look()
            assert node.file.read_text() == with_interval(50)
        await pair.meet()
        pair.agree_on(with_interval(50))
        assert len(pair.zero.history) == 4

    run(body())


def test_a_confirmed_commit_stays_once_confirmed(pair: Pair) -> None:
    async def body() -> None:
        await commit(pair.zero, with_interval(60), minutes=2)
        await commit(pair.one, with_interval(60))
        pair.clock.now += 1000
        for node in (pair.zero, pair.one):
            await node.committer.look()
        pair.agree_on(with_interval(60))

    run(body())


def test_a_confirmation_given_apart_wins_over_the_rollback(pair: Pair) -> None:
    async def body() -> None:
        await commit(pair.zero, with_interval(60), minutes=2)
        pair.cut()
        await commit(pair.zero, with_interval(60))
        pair.clock.now += 200
        await pair.one.committer.look()
        assert pair.one.file.read_text() == BEFORE
        await pair.meet()
        pair.agree_on(with_interval(60))

    run(body())


def test_an_edited_file_does_not_travel_and_is_not_overwritten(pair: Pair) -> None:
    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        pair.one.file.write_text(with_threshold(9))
        await pair.meet()
        assert pair.one.file.read_text() == with_threshold(9)
        assert pair.zero.file.read_text() == with_interval(50)
        assert "changed outside of a commit" in pair.one.committer.difference()
        await commit(pair.zero, with_interval(80))
        await pair.meet()
        pair.agree_on(with_interval(80))
        assert with_threshold(9) in pair.zero.history, "what the commit replaced can be rolled back to"

    run(body())


def test_a_replaced_node_takes_over_what_there_is(pair: Pair, tmp_path: Path) -> None:
    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        pair.one = Node(1, tmp_path / "new", pair.clock)
        pair.one.file.write_text(with_threshold(4))
        await pair.meet()
        pair.agree_on(with_interval(50))
        assert with_threshold(4) in pair.one.history

    run(body())


def test_death_between_the_record_and_the_file(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is decided; the next life of the gateway finishes it."""

    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        killed = RuntimeError("killed")

        async def die(*_arguments: object) -> str:
            raise killed

        with monkeypatch.context() as patched:
            patched.setattr(pair.zero.committer, "_put_in_force", die)
            with pytest.raises(RuntimeError):
                await commit(pair.zero, with_interval(60))
        assert pair.zero.file.read_text() == with_interval(50)
        pair.cut()
        pair.zero.start()
        await pair.meet()
        pair.agree_on(with_interval(60))

    run(body())


@pytest.mark.parametrize("where", ["file", "history"])
def test_a_full_disk(pair: Pair, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Nothing is done on either node, and the next commit works."""

    async def body() -> None:
        await commit(pair.zero, with_interval(50))
        target = "jsrpd.processes.committer.write_whole" if where == "file" else "jsrpd.management.commits.write_whole"

        def full(path: Path, *_rest: object) -> None:
            raise OSError(28, "No space left on device", str(path))

        with monkeypatch.context() as patched:
            patched.setattr(target, full)
            with pytest.raises(CommitRefused, match="No space left on device; nothing was committed"):
                await commit(pair.zero, with_interval(60))
        pair.agree_on(with_interval(50))
        await commit(pair.zero, with_interval(60))
        pair.agree_on(with_interval(60))

    run(body())


def test_a_check_changes_nothing(pair: Pair) -> None:
    async def body() -> None:
        said = await pair.zero.committer.commit(Wanted(with_interval(50), "", "root", check=True))
        assert said.endswith("node0:\nconfiguration check succeeds\nnode1:\nconfiguration check succeeds\n")
        assert pair.zero.history == []
        assert pair.one.committer.promised is None
        assert [path.name for path in pair.zero.etc.iterdir()] == ["jsrpd.conf"]
        assert [path.name for path in pair.one.etc.iterdir()] == ["jsrpd.conf"]

    run(body())


def test_fifty_are_kept(pair: Pair) -> None:
    async def body() -> None:
        for number in range(60):
            await commit(pair.zero, with_interval(50 + number))
        assert len(pair.zero.history) == KEPT
        pair.agree_on(with_interval(109))

    run(body())


def test_a_yaml_file_stays_one(pair: Pair) -> None:
    async def body() -> None:
        pair.one.file.unlink()
        (pair.one.etc / "jsrpd.yaml").write_text("chassis:\n  cluster:\n    reth-count: 2\n")
        await commit(pair.zero, with_interval(50))
        assert not pair.one.file.exists()
        assert "heartbeat-interval: 50" in (pair.one.etc / "jsrpd.yaml").read_text()
        assert pair.one.committer.text() == with_interval(50)
        assert pair.one.committer.difference() == ""

    run(body())
