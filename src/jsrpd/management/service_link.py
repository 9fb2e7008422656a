"""Messages between the engine and the services process: msgpack on SOCK_SEQPACKET.

Both sides tell the whole truth each time: the engine which groups shall have their services here, the services process how
they stand. What is lost on the way is said again a second later.
"""

import msgspec

from jsrpd.management.monitor_link import MonitorFailed
from jsrpd.model.status import ServiceStatus


class GroupRole(msgspec.Struct, frozen=True):
    """A group as it stands here. ``run``: its services shall; false already while a planned hand-over waits for their end."""

    group: int
    state: str
    reason: str
    run: bool


class RolesTold(msgspec.Struct, frozen=True, tag=True):
    """Engine: all groups, at once on a change and as an answer to each report. ``version`` grows with each change."""

    version: int
    groups: tuple[GroupRole, ...]


class FailuresForgotten(msgspec.Struct, frozen=True, tag=True):
    """Engine: the operator clears failures, of one group or of all."""

    group: int | None


class ServicesReported(msgspec.Struct, frozen=True, tag=True):
    """Services: how things stand, at once on a change and every second.

    ``version``: of the newest ``RolesTold`` that this follows. ``idle``: groups of which nothing runs, nor is being stopped.
    """

    version: int
    idle: tuple[int, ...]
    failed: tuple[MonitorFailed, ...]
    services: tuple[ServiceStatus, ...]


class ServiceRemark(msgspec.Struct, frozen=True, tag=True):
    """Services: worth a line in the log."""

    text: str


Message = RolesTold | FailuresForgotten | ServicesReported | ServiceRemark
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One datagram."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """msgspec.DecodeError for anything that is not a message."""
    return _decoder.decode(data)
