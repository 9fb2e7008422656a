"""Messages between the gateway and the engine: msgpack on SOCK_SEQPACKET, answered by id."""

import msgspec

from jsrpd.model.status import ClusterStatus


class StatusRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway: how are things."""

    id: int


class FailoverCommanded(msgspec.Struct, frozen=True, tag=True):
    """Gateway: make ``node`` primary for ``group``."""

    id: int
    group: int
    node: int
    by: str = ""
    """Who wants it, for the journal; in the other commands too."""


class FailoverResetCommanded(msgspec.Struct, frozen=True, tag=True):
    """Gateway: end the manual failover of a group, or of all."""

    id: int
    group: int | None
    by: str = ""


class FailoverCountsCleared(msgspec.Struct, frozen=True, tag=True):
    """Gateway: set the failover counts to zero."""

    id: int
    by: str = ""


class ServiceFailuresCleared(msgspec.Struct, frozen=True, tag=True):
    """Gateway: forget what kept services from starting, of one group or of all."""

    id: int
    group: int | None
    by: str = ""


class PreemptCountsCleared(msgspec.Struct, frozen=True, tag=True):
    """Gateway: let a group preempt again, or all."""

    id: int
    group: int | None
    by: str = ""


class MaintenanceCommanded(msgspec.Struct, frozen=True, tag=True):
    """Gateway: this node owns nothing that the other can take, or may own again."""

    id: int
    on: bool
    by: str = ""


class RejoinCommanded(msgspec.Struct, frozen=True, tag=True):
    """Gateway: take this disabled node back."""

    id: int
    by: str = ""


class StateRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway: what does the core hold. Answered at the end of the turn."""

    id: int


class CheckpointWanted(msgspec.Struct, frozen=True, tag=True):
    """Gateway: let the next batch of the journal begin with a checkpoint."""


class SynchronizationTold(msgspec.Struct, frozen=True, tag=True):
    """Gateway, now and then: why this node's configuration is not the peer's; empty when it is."""

    difference: str


class StatusReported(msgspec.Struct, frozen=True, tag=True):
    """Engine's answer to StatusRequested."""

    id: int
    status: ClusterStatus


class StateReported(msgspec.Struct, frozen=True, tag=True):
    """Engine's answer to StateRequested: ``state`` as ``core.checkpoint`` encodes it, at ``now`` on the boot-time clock.

    ``wall_offset``: wall clock less boot-time clock, ns.
    """

    id: int
    now: int
    wall_offset: int
    state: bytes


class JournalClosed(msgspec.Struct, frozen=True, tag=True):
    """Engine: one batch of the journal, as ``core.journal`` makes it, to be kept."""

    batch: bytes


class CommandReplied(msgspec.Struct, frozen=True, tag=True):
    """Engine's answer to a command; ``text`` is for the operator."""

    id: int
    ok: bool
    text: str


Message = (
    StatusRequested
    | FailoverCommanded
    | FailoverResetCommanded
    | FailoverCountsCleared
    | ServiceFailuresCleared
    | PreemptCountsCleared
    | MaintenanceCommanded
    | RejoinCommanded
    | StateRequested
    | CheckpointWanted
    | SynchronizationTold
    | StatusReported
    | StateReported
    | JournalClosed
    | CommandReplied
)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One datagram."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """msgspec.DecodeError for anything that is not a message."""
    return _decoder.decode(data)
