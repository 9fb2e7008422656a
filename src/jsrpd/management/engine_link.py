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


class FailoverResetCommanded(msgspec.Struct, frozen=True, tag=True):
    """Gateway: end the manual failover of a group, or of all."""

    id: int
    group: int | None


class FailoverCountsCleared(msgspec.Struct, frozen=True, tag=True):
    """Gateway: set the failover counts to zero."""

    id: int


class StatusReported(msgspec.Struct, frozen=True, tag=True):
    """Engine's answer to StatusRequested."""

    id: int
    status: ClusterStatus


class CommandReplied(msgspec.Struct, frozen=True, tag=True):
    """Engine's answer to a command; ``text`` is for the operator."""

    id: int
    ok: bool
    text: str


Message = StatusRequested | FailoverCommanded | FailoverResetCommanded | FailoverCountsCleared | StatusReported | CommandReplied
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One datagram."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """msgspec.DecodeError for anything that is not a message."""
    return _decoder.decode(data)
