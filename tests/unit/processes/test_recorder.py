"""The recording core: what it hands over can be replayed, and a gateway that does not read costs records, not time."""

import socket
from collections.abc import Iterator

import pytest

from jsrpd.core import checkpoint
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import SocketsDrained
from jsrpd.core.journal import Batch, CheckpointTaken, Commanded, LifeStarted, read_batch
from jsrpd.core.replay import Replay, Weight
from jsrpd.management import engine_link
from jsrpd.model.time import SECOND
from jsrpd.processes import recorder
from jsrpd.processes.recorder import RecordedCluster
from simulator.history import Life
from tests.unit.core import recorded

SCRIPT = "at 2s node0 interface lan down\nuntil 8s\n"


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(the engine's end, the gateway's end)."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ends
    for end in ends:
        end.close()


def received(gateway: socket.socket) -> list[Batch]:
    """Everything that waits in the channel."""
    batches: list[Batch] = []
    while True:
        try:
            message = engine_link.decode(gateway.recv(1 << 20, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return batches
        assert isinstance(message, engine_link.JournalClosed)
        batches.append(read_batch(message.batch))


def born(life: Life) -> RecordedCluster:
    return RecordedCluster(life.configuration, life.started, life.incarnation, life.adopted, "0.1.0")


def live(cluster: RecordedCluster, life: Life, engine: socket.socket, start: int = 0, end: int | None = None) -> None:
    """A part of a life, turn by turn as the engine drives it."""
    for now, event, _, _ in life.turns[start:end]:
        cluster.handle(now, event)
        if isinstance(event, SocketsDrained):
            cluster.hand_over(now, engine)


def test_a_whole_life_is_handed_over(channel: tuple[socket.socket, socket.socket]) -> None:
    engine, gateway = channel
    (life,) = recorded.lives(SCRIPT)
    cluster = born(life)
    live(cluster, life, engine)
    cluster.hand_over(cluster.judged, engine, last=True)
    replay = Replay()
    steps = list(replay.steps(received(gateway)))
    assert replay.replayed == len(life.turns)
    assert replay.differences == 0
    assert not [step for step in steps if step.weight is Weight.GAP]


def test_batches_come_each_second_and_at_once_when_there_is_news(channel: tuple[socket.socket, socket.socket]) -> None:
    engine, gateway = channel
    (life,) = recorded.lives(SCRIPT)
    live(born(life), life, engine)
    batches = received(gateway)
    assert len(batches) < 20
    assert isinstance(batches[0].records[0], LifeStarted)
    for batch in batches:
        assert batch.records[-1].__class__.__name__ == "TurnEnded"
        assert sum(record.after for record in batch.records) <= 2 * SECOND
        news = [bool(getattr(record, "messages", ())) for record in batch.records]
        assert not any(news[:-1])


def test_a_checkpoint_begins_a_batch(channel: tuple[socket.socket, socket.socket]) -> None:
    engine, gateway = channel
    (life,) = recorded.lives(SCRIPT)
    cluster = born(life)
    half = len(life.turns) // 2
    live(cluster, life, engine, end=half)
    cluster.checkpoint_wanted = True
    live(cluster, life, engine, half)
    cluster.hand_over(cluster.judged, engine, last=True)
    batches = received(gateway)
    (found,) = [n for n, batch in enumerate(batches) if any(isinstance(record, CheckpointTaken) for record in batch.records)]
    assert isinstance(batches[found].records[0], CheckpointTaken)
    replay = Replay()
    assert not [step for step in replay.steps(batches[found:]) if step.weight is Weight.DIFFERENCE]
    assert replay.replayed > 100


def test_a_gateway_that_does_not_read(channel: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded; what is lost is counted; after it a checkpoint makes the rest replayable."""
    engine, gateway = channel
    monkeypatch.setattr(recorder, "WAITING_BYTES", 4000)
    engine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    (life,) = recorded.lives("until 60s\n")
    cluster = born(life)
    enough = len(life.turns) * 3 // 4
    live(cluster, life, engine, end=enough)
    assert cluster.dropped > 100
    assert cluster._waiting_bytes < 4000 + recorder.BATCH_BYTES
    before = received(gateway)
    monkeypatch.undo()
    engine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    live(cluster, life, engine, enough)
    cluster.hand_over(cluster.judged, engine, last=True)
    after = received(gateway)
    replay = Replay()
    steps = list(replay.steps([*before, *after]))
    assert replay.differences == 0
    lost = [int(step.text.split()[1]) for step in steps if step.weight is Weight.GAP]
    assert sum(lost) == cluster.dropped
    assert any(step.text.startswith("checkpoint: replay begins here") for step in steps)
    assert replay.records + cluster.dropped == after[-1].end


def test_a_gateway_that_is_gone(channel: tuple[socket.socket, socket.socket]) -> None:
    engine, gateway = channel
    gateway.close()
    (life,) = recorded.lives(SCRIPT)
    live(born(life), life, engine)


def test_recording_changes_no_answer(channel: tuple[socket.socket, socket.socket]) -> None:
    engine, _ = channel
    (life,) = recorded.lives(SCRIPT)
    cluster = born(life)
    plain = Cluster(life.configuration, life.started, life.incarnation, life.adopted, "0.1.0")
    for now, event, _, _ in life.turns:
        assert cluster.handle(now, event) == plain.handle(now, event)
        cluster.hand_over(now, engine)
    assert checkpoint.encode(cluster) == checkpoint.encode(plain)


def test_commands_are_kept(channel: tuple[socket.socket, socket.socket]) -> None:
    engine, gateway = channel
    (life,) = recorded.lives("until 1s\n")
    cluster = born(life)
    cluster.commanded(life.started, "root", "clear failover-count", True, "Cleared")
    cluster.hand_over(life.started, engine)
    (batch,) = received(gateway)
    assert batch.records[1] == Commanded(0, "root", "clear failover-count", True, "Cleared")
