"""Replay: the same core agrees with itself, a changed one is caught at the step, and what is lost is a gap."""

import msgspec
import pytest

from jsrpd.core import checkpoint
from jsrpd.core.journal import Batch, CheckpointTaken, HeartbeatRepeated, InterfacesChanged, Packer, TurnEnded, read_batch
from jsrpd.core.replay import Replay, Step, Weight
from tests.unit.core import recorded

SCRIPT = """\
at 2s node0 interface lan down
at 4s node0 interface lan up
at 5s node0 request failover redundancy-group 1 node 0
until 8s
"""


def replayed(batches: list[Batch]) -> tuple[Replay, list[Step]]:
    """Everything said about some batches."""
    replay = Replay()
    return replay, list(replay.steps(batches))


def texts(steps: list[Step], weight: Weight) -> list[str]:
    return [step.text for step in steps if step.weight is weight]


@pytest.fixture
def batches() -> list[Batch]:
    """Node 0 of the script, with a checkpoint every twenty turns."""
    (life,) = recorded.lives(SCRIPT)
    return recorded.batches(life, checkpoints_every=20)


def test_the_same_core_agrees(batches: list[Batch]) -> None:
    replay, steps = replayed(batches)
    assert replay.differences == replay.skipped == 0
    assert replay.records == batches[-1].end
    assert replay.replayed == len([step for step in steps if "checkpoint" not in step.text]) - 1
    assert not texts(steps, Weight.GAP)
    assert texts(steps, Weight.NEWS)[0] == "node0 of cluster 1 starts, jsrpd 0.1.0"
    assert texts(steps, Weight.INPUT).count("checkpoint: as replayed") > 3


def changed(batch: Batch, at: int, record: object) -> Batch:
    return msgspec.structs.replace(batch, records=(*batch.records[:at], record, *batch.records[at + 1 :]))


def test_another_answer_is_a_difference_at_its_step(batches: list[Batch]) -> None:
    """As if the recorded core had done something else, once."""
    number, batch = next(
        (n, one) for n, one in enumerate(batches) if any(isinstance(r, TurnEnded) and r.messages for r in one.records)
    )
    at, record = next((n, one) for n, one in enumerate(batch.records) if isinstance(one, TurnEnded) and one.messages)
    batches[number] = changed(batch, at, msgspec.structs.replace(record, digest=record.digest ^ 1))
    replay, steps = replayed(batches)
    (difference,) = [step for step in steps if step.weight is Weight.DIFFERENCE]
    assert difference.number == batch.first + at
    assert replay.differences == 1
    assert f"digest recorded {record.digest ^ 1:04x}, replayed {record.digest:04x}" in difference.details
    assert any(line.startswith("recorded  JSRPD_") for line in difference.details)
    assert any(line.startswith("replayed  JSRPD_") for line in difference.details)


def test_another_input_is_a_difference(batches: list[Batch]) -> None:
    """As if the journal had been tampered with: the interface never failed."""
    number, batch = next((n, b) for n, b in enumerate(batches) if n and any(isinstance(r, InterfacesChanged) for r in b.records))
    at, record = next((n, one) for n, one in enumerate(batch.records) if isinstance(one, InterfacesChanged))
    batches[number] = changed(batch, at, msgspec.structs.replace(record, up=b"\x07"))
    replay, _ = replayed(batches)
    assert replay.differences


def test_a_hole_is_a_gap_and_replay_goes_on_at_the_next_checkpoint(batches: list[Batch]) -> None:
    replay, steps = replayed([*batches[:3], *batches[4:]])
    lost = batches[3].end - batches[3].first
    assert texts(steps, Weight.GAP) == [f"gap: {lost} records are not here"]
    assert replay.differences == 0
    assert replay.records == batches[-1].end - lost
    assert any(text.startswith("checkpoint: replay begins here") for text in texts(steps, Weight.NEWS))
    assert replay.replayed > 100


def test_a_journal_whose_beginning_was_rotated_away(batches: list[Batch]) -> None:
    first = next(n for n, batch in enumerate(batches) if isinstance(batch.records[0], CheckpointTaken))
    replay, steps = replayed(batches[first:])
    assert texts(steps, Weight.GAP) == [f"gap: the first {batches[first].first} records of this life are not here"]
    assert replay.differences == replay.skipped == 0


def test_without_a_beginning_nothing_can_be_replayed() -> None:
    (life,) = recorded.lives(SCRIPT)
    replay, steps = replayed(recorded.batches(life)[1:])
    assert replay.replayed == replay.differences == 0
    assert texts(steps, Weight.GAP)[-1] == f"gap: the last {replay.records} records follow no checkpoint"


def test_a_checkpoint_must_be_what_the_replayed_core_holds(batches: list[Batch]) -> None:
    number, batch = next((n, one) for n, one in enumerate(batches) if n > 5 and isinstance(one.records[0], CheckpointTaken))
    record = batch.records[0]
    assert isinstance(record, CheckpointTaken)
    other = checkpoint.decode(record.state)
    other.groups[1].generation += 1
    batches[number] = changed(batch, 0, msgspec.structs.replace(record, state=checkpoint.encode(other)))
    replay, steps = replayed(batches)
    (difference, *_) = [step for step in steps if step.weight is Weight.DIFFERENCE]
    assert difference.number == batch.first
    assert difference.details == ["redundancy group 1: generation differ"]
    assert replay.differences >= 1


def test_a_checkpoint_of_another_version_is_a_gap(batches: list[Batch]) -> None:
    number = next(n for n, one in enumerate(batches) if n > 5 and isinstance(one.records[0], CheckpointTaken))
    batches[number] = changed(batches[number], 0, CheckpointTaken(0, b"\x80"))
    replay, steps = replayed(batches)
    assert replay.differences == 0
    assert [text[:40] for text in texts(steps, Weight.GAP)] == ["gap: a checkpoint of another version: Ob"]


def test_several_lives() -> None:
    """A killed node that comes back: each life by itself."""
    lives = recorded.lives("at 2s node0 kill\nat 4s node0 start\nuntil 8s\n")
    assert len(lives) == 2
    replay, steps = replayed([batch for life in lives for batch in recorded.batches(life)])
    assert replay.differences == replay.skipped == 0
    assert sum("starts, jsrpd" in text for text in texts(steps, Weight.NEWS)) == 2
    assert not texts(steps, Weight.GAP)


def test_an_unreadable_batch_is_a_gap(batches: list[Batch]) -> None:
    nothing = HeartbeatRepeated(0, 0, 1, 0, 0)
    replay, steps = replayed([*batches[:2], msgspec.structs.replace(batches[2], records=(nothing,)), *batches[3:]])
    assert replay.differences == 0
    assert "gap: not readable: a heartbeat repeats one that is not there" in texts(steps, Weight.GAP)


def test_commands_are_shown() -> None:
    packer = Packer(1)
    packer.command(1, "root", "clear failover-count", True, "Cleared")
    packer.command(1, "", "clear failover-count", True, "Cleared")
    _, steps = replayed([read_batch(packer.close(0))])
    assert [(step.text, step.details) for step in steps] == [
        ("root: clear failover-count", ["Cleared"]),
        ("somebody: clear failover-count", ["Cleared"]),
    ]
