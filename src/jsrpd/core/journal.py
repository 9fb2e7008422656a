"""The journal's records: everything a core was told, when, and what it answered, small enough to be kept at full rate.

Two classes write and read one format. ``Packer`` turns (now, event, actions) into bytes for batches; it may run in the
engine, so it costs microseconds and holds one batch. A batch stands for itself: it begins with the time and the first
heartbeat in full, what follows is told as differences. Records are numbered through a life, so whatever was lost on the
way shows as a gap. Replay can begin at a life's start or at a checkpoint, nowhere else.
"""

import zlib
from collections.abc import Iterator
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from jsrpd.core.actions import Action, Log, SendAcknowledgement, SendHeartbeat
from jsrpd.core.checkpoint import bits
from jsrpd.core.events import (
    AcknowledgementReceived,
    ArbiterAnswered,
    ConfigurationChanged,
    Event,
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    HeartbeatReceived,
    MaintenanceSet,
    MonitorFailed,
    MonitorRecovered,
    PreemptCountCleared,
    RejoinRequested,
    ServicesStopped,
    SessionLinkChanged,
    SessionsDrained,
    ShutdownRequested,
    SocketsDrained,
    StrangerHeard,
    WatchedInterfacesChanged,
    WitnessGranted,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.messages.catalogue import LogMessage
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.model.time import Duration, Instant

DIGEST_MASK = 0xFFFF
"""Sixteen bits: once a replayed core has gone astray, every further turn would have to collide."""


NARROW = (1 << 63) - 1
"""What msgpack can hold of a bitmap; a cluster may have more groups and interfaces than that."""


class JournalError(ValueError):
    """Bytes that are no batch of this version."""


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """``after``: since the record before, or since ``Batch.began``, ns; may be negative by a turn's length."""

    after: Duration


class LifeStarted(_Record, frozen=True, tag=0):
    """A core was made with exactly this."""

    configuration: ClusterConfiguration
    adopted: tuple[AdoptedLease, ...]
    software_version: str


class CheckpointTaken(_Record, frozen=True, tag=1):
    """All the core held (see ``core.checkpoint``) when the turn before had ended."""

    state: bytes


class HeartbeatHeard(_Record, frozen=True, tag=2):
    """``HeartbeatReceived``, complete. ``received_after``: since the record's instant, ns. ``wide``: of the interfaces' bitmap
    what is beyond ``NARROW``."""

    path: PathId
    incarnation: Incarnation
    sequence: int
    received_after: Duration
    heartbeat: Heartbeat
    wide: bytes


class HeartbeatRepeated(_Record, frozen=True, tag=3):
    """``HeartbeatReceived`` that says what the one before it in the batch said, but for its echo."""

    path: PathId
    sequence: int
    received_after: Duration
    echo_sequence: int


class AcknowledgementHeard(_Record, frozen=True, tag=4):
    """``AcknowledgementReceived``. ``wide``: of the groups' bitmap what is beyond ``NARROW``."""

    path: PathId
    incarnation: Incarnation
    received_after: Duration
    acknowledgement: Acknowledgement
    wide: bytes


class AcknowledgementRepeated(_Record, frozen=True, tag=5):
    """``AcknowledgementReceived`` that says what the one before it in the batch said, but for its echo."""

    path: PathId
    received_after: Duration
    echo_sequence: int


class TurnEnded(_Record, frozen=True, tag=6):
    """``SocketsDrained`` and the answer: ``digest`` of all actions (0: none), and what was logged in full."""

    drained_after: Duration
    woke_late_by: Duration
    digest: int
    messages: tuple[LogMessage, ...] = ()


class Told(_Record, frozen=True, tag=7):
    """Any other event by its name and fields. ``wide``: of the groups' bitmap of ``StrangerHeard`` what is beyond ``NARROW``."""

    name: str
    event: msgspec.Raw
    wide: bytes = b""


class InterfacesChanged(_Record, frozen=True, tag=9):
    """``WatchedInterfacesChanged``."""

    up: bytes


class ProbeAnswered(_Record, frozen=True, tag=10):
    """``ArbiterAnswered``, which comes many times a second. ``asked_after``: since the record's instant, ns; negative."""

    asked_after: Duration


class Commanded(_Record, frozen=True, tag=8):
    """An operator's command and the answer; what the core was told because of it stands just before."""

    by: str
    command: str
    ok: bool
    answer: str


Record: TypeAlias = (
    LifeStarted
    | CheckpointTaken
    | HeartbeatHeard
    | HeartbeatRepeated
    | AcknowledgementHeard
    | AcknowledgementRepeated
    | TurnEnded
    | Told
    | InterfacesChanged
    | ProbeAnswered
    | Commanded
)


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive records of one life. ``first``: number of the first one, the life's start being 0."""

    incarnation: Incarnation
    first: int
    began: Instant
    wall_offset: Duration
    """Wall clock less boot-time clock when the batch was closed, ns."""
    records: tuple[Record, ...]

    @property
    def end(self) -> int:
        """Number that the record after this batch has."""
        return self.first + len(self.records)


_TOLD: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        MonitorFailed,
        MonitorRecovered,
        FailoverRequested,
        FailoverReset,
        FailoverCountCleared,
        PreemptCountCleared,
        RejoinRequested,
        MaintenanceSet,
        ConfigurationChanged,
        ServicesStopped,
        SessionLinkChanged,
        SessionsDrained,
        ShutdownRequested,
        StrangerHeard,
        WitnessGranted,
    )
}
_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_told_decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in _TOLD.items()}


def digest(actions: list[Action]) -> int:
    """Of the kind, order and every value of the actions; 0 only when there are none."""
    if not actions:
        return 0
    said = _encoder.encode([(type(action).__name__, *_said(action)) for action in actions])
    return (zlib.crc32(said) & DIGEST_MASK) or 1


def _said(action: Action) -> tuple[object, ...]:
    """The values of an action in what msgpack can hold."""
    if type(action) is SendHeartbeat:
        heartbeat, wide = _narrowed(action.heartbeat)
        return action.sequence, heartbeat, wide
    if type(action) is SendAcknowledgement:
        acknowledgement, wide = _narrowed_acknowledgement(action.acknowledgement)
        return action.path, acknowledgement, wide
    return (action,)


def _narrowed(heartbeat: Heartbeat) -> tuple[Heartbeat, bytes]:
    up = heartbeat.interfaces_up
    return (heartbeat, b"") if up <= NARROW else (replace(heartbeat, interfaces_up=up & NARROW), bits(up >> 63))


def _narrowed_acknowledgement(echo: Acknowledgement) -> tuple[Acknowledgement, bytes]:
    groups = echo.primary_groups
    return (echo, b"") if groups <= NARROW else (replace(echo, primary_groups=groups & NARROW), bits(groups >> 63))


def _narrowed_stranger(event: StrangerHeard) -> tuple[StrangerHeard, bytes]:
    groups = event.primary_groups
    return (event, b"") if groups <= NARROW else (replace(event, primary_groups=groups & NARROW), bits(groups >> 63))


def _widened(narrow: int, wide: bytes) -> int:
    return narrow | int.from_bytes(wide) << 63


class Packer:
    """Collects records until ``close`` makes a batch of them. ``size`` bytes, ``count`` records wait."""

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.first = 0
        self.count = 0
        self.readable = False
        """Something in the batch is for an operator's eyes."""
        self._body = bytearray()
        self._began: Instant = 0
        self._last: Instant = 0
        self._heard: HeartbeatReceived | None = None
        self._acknowledged: AcknowledgementReceived | None = None

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return len(self._body)

    def start(self, now: Instant, configuration: ClusterConfiguration, adopted: tuple[AdoptedLease, ...], version: str) -> None:
        """The first record of a life."""
        self._put(LifeStarted(self._after(now), configuration, adopted, version))
        self.readable = True

    def checkpoint(self, now: Instant, state: bytes) -> None:
        """The core as it stands."""
        self._put(CheckpointTaken(self._after(now), state))

    def command(self, now: Instant, by: str, command: str, ok: bool, answer: str) -> None:
        """What an operator wanted, and got."""
        self._put(Commanded(self._after(now), by, command, ok, answer))
        self.readable = True

    def event(self, now: Instant, event: Event, actions: list[Action]) -> None:
        """What the core was told and answered."""
        after = self._after(now)
        if type(event) is SocketsDrained:
            messages = tuple(action.message for action in actions if type(action) is Log)
            self._put(TurnEnded(after, event.at - now, event.woke_late_by, digest(actions), messages))
            self.readable = self.readable or bool(messages)
        elif type(event) is HeartbeatReceived:
            self._put(self._heartbeat(now, after, event))
        elif type(event) is AcknowledgementReceived:
            self._put(self._acknowledgement(now, after, event))
        elif type(event) is ArbiterAnswered:
            self._put(ProbeAnswered(after, event.asked_at - now))
        elif type(event) is WatchedInterfacesChanged:
            self._put(InterfacesChanged(after, bits(event.up)))
            self.readable = True
        else:
            told, wide = _narrowed_stranger(event) if type(event) is StrangerHeard else (event, b"")
            self._put(Told(after, type(event).__name__, msgspec.Raw(_encoder.encode(told)), wide))
            self.readable = True

    def close(self, wall_offset: Duration) -> bytes:
        """The batch; the next one is empty."""
        head = [_encoder.encode(value) for value in (self.incarnation, self.first, self._began, wall_offset)]
        batch = b"".join([b"\x95", *head, b"\xdd", self.count.to_bytes(4, "big"), self._body])
        self.drop()
        return batch

    def drop(self) -> int:
        """Forget what waits, which leaves a gap; how many records."""
        dropped = self.count
        self.first += dropped
        self.count = 0
        self.readable = False
        self._body.clear()
        self._heard = self._acknowledged = None
        return dropped

    def _after(self, now: Instant) -> Duration:
        if not self.count:
            self._began = self._last = now
        after = now - self._last
        self._last = now
        return after

    def _put(self, record: Record) -> None:
        self._body += _encoder.encode(record)
        self.count += 1

    def _heartbeat(self, now: Instant, after: Duration, event: HeartbeatReceived) -> Record:
        before, self._heard = self._heard, event
        received = event.received_at - now
        if before is not None and before.incarnation == event.incarnation and _same(before.heartbeat, event.heartbeat):
            return HeartbeatRepeated(after, event.path, event.sequence, received, event.heartbeat.echo_sequence)
        return HeartbeatHeard(after, event.path, event.incarnation, event.sequence, received, *_narrowed(event.heartbeat))

    def _acknowledgement(self, now: Instant, after: Duration, event: AcknowledgementReceived) -> Record:
        before, self._acknowledged = self._acknowledged, event
        received, echo = event.received_at - now, event.acknowledgement
        if before is not None and before.incarnation == event.incarnation and _repeats(before.acknowledgement, echo):
            return AcknowledgementRepeated(after, event.path, received, echo.echo_sequence)
        return AcknowledgementHeard(after, event.path, event.incarnation, received, *_narrowed_acknowledgement(echo))


def _same(one: Heartbeat, other: Heartbeat) -> bool:
    if one.echo_sequence == other.echo_sequence:
        return one == other
    return replace(one, echo_sequence=other.echo_sequence) == other


def _repeats(one: Acknowledgement, other: Acknowledgement) -> bool:
    return (
        one.echo_incarnation == other.echo_incarnation and one.primary_groups == other.primary_groups and one.alone == other.alone
    )


def read_batch(data: bytes) -> Batch:
    """A batch from its bytes. JournalError for anything else."""
    try:
        return _batch_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise JournalError(str(error)) from error


def unpack(batch: Batch) -> Iterator[tuple[Instant, Record, Event | None]]:
    """(now, record, the event it tells) in order. JournalError where a record says what no core can be told."""
    now = batch.began
    heard: HeartbeatReceived | None = None
    acknowledged: AcknowledgementReceived | None = None
    for record in batch.records:
        now += record.after
        event: Event | None = None
        match record:
            case HeartbeatHeard(_, path, incarnation, sequence, received, heartbeat, wide):
                if wide:
                    heartbeat = replace(heartbeat, interfaces_up=_widened(heartbeat.interfaces_up, wide))
                event = heard = HeartbeatReceived(path, incarnation, sequence, now + received, heartbeat)
            case HeartbeatRepeated(_, path, sequence, received, echo):
                if heard is None:
                    raise JournalError("a heartbeat repeats one that is not there")
                heartbeat = replace(heard.heartbeat, echo_sequence=echo)
                event = heard = HeartbeatReceived(path, heard.incarnation, sequence, now + received, heartbeat)
            case AcknowledgementHeard(_, path, incarnation, received, echo_, wide):
                if wide:
                    echo_ = replace(echo_, primary_groups=_widened(echo_.primary_groups, wide))
                event = acknowledged = AcknowledgementReceived(path, incarnation, now + received, echo_)
            case AcknowledgementRepeated(_, path, received, echo):
                if acknowledged is None:
                    raise JournalError("an acknowledgement repeats one that is not there")
                echo_ = replace(acknowledged.acknowledgement, echo_sequence=echo)
                event = acknowledged = AcknowledgementReceived(path, acknowledged.incarnation, now + received, echo_)
            case TurnEnded(_, drained, late):
                event = SocketsDrained(now + drained, late)
            case ProbeAnswered(_, asked):
                event = ArbiterAnswered(now + asked)
            case InterfacesChanged(_, up):
                event = WatchedInterfacesChanged(int.from_bytes(up))
            case Told(_, name, fields, wide):
                event = _told(name, fields)
                if wide and isinstance(event, StrangerHeard):
                    event = replace(event, primary_groups=_widened(event.primary_groups, wide))
            case LifeStarted() | CheckpointTaken() | Commanded():
                pass
        yield now, record, event


def _told(name: str, fields: msgspec.Raw) -> Event:
    try:
        return _told_decoders[name].decode(fields)
    except (KeyError, msgspec.DecodeError) as error:
        raise JournalError(f"event {name}: {error}") from error
