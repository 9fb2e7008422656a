"""The thread that keeps the journal: everything is on disk, told in words beside it, and no disk hurts anybody."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsrpd.cli.history import events
from jsrpd.core.journal import read_batch
from jsrpd.core.replay import Replay, Weight
from jsrpd.management.journal import contents, segments
from jsrpd.messages.catalogue import LogMessage
from jsrpd.messages.rendering import render_text
from jsrpd.processes import journal_writer
from jsrpd.processes.journal_writer import JournalWriter
from tests.unit.core import recorded

PATIENCE_S = 10.0
SCRIPT = "at 2s node0 interface lan down\nuntil 5s\n"


class Kept:
    """A writer, what it asked for and what it reported."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked = 0
        self.reports: list[str] = []
        self.writer = JournalWriter(directory, self._ask, self._report)

    def _ask(self) -> None:
        self.asked += 1

    def _report(self, message: LogMessage) -> None:
        self.reports.append(render_text(message))

    def put(self, batches: Iterator[bytes] | list[bytes]) -> None:
        for batch in batches:
            self.writer.put(batch)

    def replayed(self) -> Replay:
        replay = Replay()
        self.steps = list(replay.steps(map(read_batch, contents(self.directory))))
        return replay


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        threading.Event().wait(0.01)


def a_life(script: str = SCRIPT, **options: int) -> list[bytes]:
    (life,) = recorded.lives(script)
    return list(recorded.written(life, **options))


def test_a_life_is_kept_and_told(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "journal")
    kept.put(a_life())
    kept.writer.close()
    replay = kept.replayed()
    assert replay.replayed > 200
    assert replay.differences == replay.skipped == 0
    told = [event.text for event in events(kept.directory)]
    assert told[0].startswith("engine of jsrpd 0.1.0 started")
    assert told[-1] == "secondary-hold -> secondary: Ready to become secondary"
    assert kept.asked == 1
    assert kept.reports == []


def test_a_second_writer_goes_on(tmp_path: Path) -> None:
    """The gateway died between two batches: nothing is missing, nothing is told twice."""
    batches = a_life(checkpoints_every=30)
    for part in (batches[:5], batches[5:]):
        kept = Kept(tmp_path / "journal")
        kept.put(part)
        kept.writer.close()
    replay = kept.replayed()
    assert replay.differences == replay.skipped == 0
    assert not [step for step in kept.steps if step.weight is Weight.GAP]
    told = [event.text for event in events(kept.directory)]
    assert len(told) == len(set(zip(told, [event.groups for event in events(kept.directory)], strict=True)))


def test_segments_begin_with_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full segment asks for one; what is left when the oldest are gone can be replayed from its beginning."""
    monkeypatch.setattr(journal_writer, "INPUT_SEGMENT_BYTES", 9_000)
    monkeypatch.setattr(journal_writer, "INPUT_BYTES", 36_000)
    kept = Kept(tmp_path / "journal")
    kept.put(a_life("until 40s\n", checkpoints_every=60))
    kept.writer.close()
    assert kept.asked > 3
    assert 2 <= len(segments(kept.directory, "inputs")) <= 8
    replay = kept.replayed()
    assert replay.differences == replay.skipped == 0
    assert replay.replayed > 100
    assert sum(step.weight is Weight.GAP for step in kept.steps) == 1


def test_a_disk_that_refuses_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "TRY_AGAIN_S", 0.0)
    directory = tmp_path / "journal"
    directory.write_text("in the way")
    kept = Kept(directory)
    batches = a_life(checkpoints_every=40)
    kept.put(batches[:4])
    until(lambda: kept.writer.lost == 4)
    assert kept.reports == [f"journal: {directory}: File exists; the cluster runs on without it"]
    directory.unlink()
    kept.put(batches[4:])
    kept.writer.close()
    assert kept.reports[1:] == ["journal: written again; 4 batches were lost"]
    assert kept.asked == 2
    replay = kept.replayed()
    assert replay.differences == 0
    assert replay.replayed > 50
    assert [step.text[:14] for step in kept.steps if step.weight is Weight.GAP] == ["gap: the first"]


def test_after_a_failure_the_disk_is_left_alone_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way")
    kept = Kept(tmp_path / "journal")
    batches = a_life()
    kept.put(batches[:1])
    until(lambda: kept.writer.lost == 1)
    (tmp_path / "journal").unlink()
    kept.put(batches[1:3])
    kept.writer.close()
    assert kept.writer.lost == 3
    assert not (tmp_path / "journal").exists()


def test_a_disk_that_hangs_costs_records_and_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "QUEUE_LENGTH", 3)
    released = threading.Event()
    kept = Kept(tmp_path / "journal")
    write = kept.writer.inputs.append

    def hang(*arguments: object, **options: object) -> None:
        released.wait(PATIENCE_S)
        write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(kept.writer.inputs, "append", hang)
    *batches, last = a_life(every=20)
    kept.put(batches)
    assert kept.writer.lost > 5
    released.set()
    until(kept.writer._queue.empty)
    kept.put([last])
    kept.writer.close()
    assert kept.replayed().differences == 0
    assert any(step.weight is Weight.GAP for step in kept.steps)


def test_bytes_that_are_no_batch(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "journal")
    kept.put([b"\xc1", *a_life()])
    kept.writer.close()
    assert kept.reports[0].startswith("journal: a batch is not understood")
