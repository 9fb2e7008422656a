"""Decides a recorded life once more and compares: the same inputs at the same instants must give the same answers.

A step is one record. Between a loss and the next life or checkpoint nothing can be replayed, and that is said as a gap,
never as a difference. A checkpoint met on the way must equal what the replayed core holds by then.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from jsrpd.core import checkpoint
from jsrpd.core.actions import Action, Log
from jsrpd.core.checkpoint import CheckpointError
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import Event
from jsrpd.core.journal import (
    Batch,
    CheckpointTaken,
    Commanded,
    InterfacesChanged,
    JournalError,
    LifeStarted,
    Record,
    Told,
    TurnEnded,
    digest,
    unpack,
)
from jsrpd.core.words import action_text, event_text
from jsrpd.messages.rendering import render_text
from jsrpd.model.link_messages import Incarnation
from jsrpd.model.time import Instant


class Weight(Enum):
    """How much a step matters to a reader."""

    INPUT = 0
    """Replayed as recorded; only shown on demand."""
    NEWS = 1
    GAP = 2
    DIFFERENCE = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One record replayed. ``number``: through its life; ``wall``: ns since 1970; ``details``: a line each."""

    number: int
    now: Instant
    wall: int
    weight: Weight
    text: str
    details: list[str] = field(default_factory=list)


class Replay:
    """Goes through batches in order. ``records``, ``replayed``, ``skipped``, ``differences`` count."""

    def __init__(self) -> None:
        self.records = self.replayed = self.skipped = self.differences = 0
        self.cluster: Cluster | None = None
        self._incarnation: Incarnation | None = None
        self._next = 0
        self._skipping = 0

    def steps(self, batches: Iterable[Batch]) -> Iterator[Step]:
        """Every record's step. After a difference the core is no longer what it was: until the next life or checkpoint
        its answers are not compared."""
        for batch in batches:
            yield from self._continue(batch)
            number = batch.first
            try:
                for now, record, event in unpack(batch):
                    self.records += 1
                    step = self._step(number, now, now + batch.wall_offset, record, event)
                    if step is not None:
                        yield step
                    number += 1
            except JournalError as error:
                yield from self._lose(number, batch.began, batch.began + batch.wall_offset, f"not readable: {error}")
        yield from self._end_gap(0, 0)

    def _continue(self, batch: Batch) -> Iterator[Step]:
        same = batch.incarnation == self._incarnation
        expected = self._next if same else 0
        self._incarnation, self._next = batch.incarnation, batch.end
        if not same:
            self.cluster = None
        if batch.first != expected:
            what = (
                f"{batch.first - expected} records are not here"
                if same
                else f"the first {batch.first} records of this life are not here"
            )
            yield from self._lose(expected, batch.began, batch.began + batch.wall_offset, what)

    def _lose(self, number: int, now: Instant, wall: int, text: str) -> Iterator[Step]:
        self.cluster = None
        yield Step(number, now, wall, Weight.GAP, f"gap: {text}")

    def _step(self, number: int, now: Instant, wall: int, record: Record, event: Event | None) -> Step | None:
        match record:
            case LifeStarted(_, configuration, adopted, version):
                assert self._incarnation is not None
                self.cluster = Cluster(configuration, now, self._incarnation, adopted, version)
                groups = ", ".join(str(lease.group) for lease in adopted)
                how = f", re-adopts the lease of redundancy group {groups}" if adopted else ""
                text = f"node{configuration.node_id} of cluster {configuration.cluster_id} starts, jsrpd {version}{how}"
                return Step(number, now, wall, Weight.NEWS, text)
            case CheckpointTaken(_, state):
                return self._checkpoint(number, now, wall, state)
            case Commanded(_, by, command, _, answer):
                return Step(number, now, wall, Weight.NEWS, f"{by or 'somebody'}: {command}", [answer])
            case _:
                assert event is not None
        if self.cluster is None:
            self._skipping += 1
            self.skipped += 1
            return None
        return self._decide(self.cluster, Step(number, now, wall, Weight.INPUT, ""), record, event)

    def _decide(self, cluster: Cluster, at: Step, record: Record, event: Event) -> Step:
        text = event_text(event, cluster.configuration)
        actions = cluster.handle(at.now, event)
        self.replayed += 1
        recorded = record.digest if isinstance(record, TurnEnded) else 0
        details = [action_text(action, at.now) for action in actions]
        if digest(actions) != recorded:
            self.differences += 1
            self.cluster = None
            return Step(at.number, at.now, at.wall, Weight.DIFFERENCE, text, _difference(record, actions, details))
        loud = any(isinstance(action, Log) for action in actions) or isinstance(record, Told | InterfacesChanged)
        return Step(at.number, at.now, at.wall, Weight.NEWS if loud else Weight.INPUT, text, details)

    def _checkpoint(self, number: int, now: Instant, wall: int, state: bytes) -> Step:
        try:
            restored = checkpoint.decode(state)
        except CheckpointError as error:
            return Step(number, now, wall, Weight.GAP, f"gap: a checkpoint of another version: {error}")
        replayed, self.cluster = self.cluster, restored
        if replayed is None:
            skipped, self._skipping = self._skipping, 0
            after = f" after {skipped} records that cannot be replayed" if skipped else ""
            return Step(number, now, wall, Weight.NEWS, f"checkpoint: replay begins here{after}")
        # Encoded anew, because a release before this one had fewer words in its configuration.
        if checkpoint.encode(replayed) != checkpoint.encode(restored):
            self.differences += 1
            text = "checkpoint: the replayed core does not hold what the recorded one held"
            return Step(number, now, wall, Weight.DIFFERENCE, text, _states_differ(replayed, restored))
        return Step(number, now, wall, Weight.INPUT, "checkpoint: as replayed")

    def _end_gap(self, number: int, now: Instant) -> Iterator[Step]:
        if self._skipping:
            yield Step(number, now, 0, Weight.GAP, f"gap: the last {self._skipping} records follow no checkpoint")
            self._skipping = 0


def _difference(record: Record, actions: list[Action], decided: list[str]) -> list[str]:
    recorded = [f"recorded  {m.tag}: {render_text(m)}" for m in (record.messages if isinstance(record, TurnEnded) else ())]
    digests = f"digest recorded {record.digest if isinstance(record, TurnEnded) else 0:04x}, replayed {digest(actions):04x}"
    return [*recorded, *(f"replayed  {line}" for line in decided), digests]


def _states_differ(replayed: Cluster, restored: Cluster) -> list[str]:
    """The attributes that differ, by group where they belong to one."""
    lines = [
        f"{name} differs"
        for name in ("interfaces_up", "control_failed", "judged")
        if getattr(replayed, name) != getattr(restored, name)
    ]
    for number, group in restored.groups.items():
        other = replayed.groups.get(number)
        names = [] if other is None else [name for name in vars(group) if getattr(group, name) != getattr(other, name)]
        if other is None or names:
            lines.append(f"redundancy group {number}: {', '.join(names) or 'missing'} differ")
    return lines or ["what is known of the peer, or of what was sent, differs"]
