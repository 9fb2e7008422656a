"""Messages of the monitors process: msgpack on SOCK_SEQPACKET.

To the engine it tells every change at once, and every second all that is failed. The second is the truth: what was lost
on the way, or was not told by a process that crashed, is put right by it, and its absence tells that the process is dead.
"""

import msgspec

from jsrpd.model.details import MonitoredObject
from jsrpd.model.ip_monitoring import IpGroupStatus
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import Instant


class MonitorFailed(msgspec.Struct, frozen=True, tag=True):
    """Monitors to engine: an object failed for a group."""

    group: int
    code: FailureCode
    name: str
    weight: int
    value: str
    limit: str


class MonitorRecovered(msgspec.Struct, frozen=True, tag=True):
    """Monitors to engine: the object is well again."""

    group: int
    code: FailureCode
    name: str
    value: str
    limit: str


class MonitorsAlive(msgspec.Struct, frozen=True, tag=True):
    """Monitors to engine, every second: everything that is failed now.

    ``settled``: every monitor has had the time for a verdict, so what is not among the failed is well.
    """

    failed: tuple[MonitorFailed, ...]
    settled: bool
    witness: bool | None = None
    """Whether the witness has answered what it was asked last; None: there is none, or it was not asked yet."""


class MonitorRemark(msgspec.Struct, frozen=True, tag=True):
    """Monitors to engine: worth a line in the log."""

    text: str


class ArbiterAnswered(msgspec.Struct, frozen=True, tag=True):
    """Monitors to engine: an address that arbitrates has answered the request sent at ``asked_at``."""

    asked_at: Instant


class WitnessGranted(msgspec.Struct, frozen=True, tag=True):
    """Monitors to engine: the witness's key, wanted as ``wish``, is this node's until ``until`` at the least."""

    wish: int
    until: Instant


class OwnedGroups(msgspec.Struct, frozen=True, tag=True):
    """Engine to monitors: the groups whose gate is open here, and those that are primary here behind a shut gate. ``wish``: number
    of the present wish for the witness's key; 0: it is not wanted, and no gate rests on it."""

    groups: tuple[int, ...]
    shut: tuple[int, ...]
    wish: int = 0


class IpMonitoringRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway to monitors: how do the addresses answer."""

    id: int


class IpFailureCountsCleared(msgspec.Struct, frozen=True, tag=True):
    """Gateway to monitors: set the failure counts to zero, of one address or of all (empty)."""

    id: int
    address: str = ""


class IpMonitoringReported(msgspec.Struct, frozen=True, tag=True):
    """Monitors to gateway, the answer to both."""

    id: int
    groups: tuple[IpGroupStatus, ...]


class ObjectsRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway to monitors: what is watched besides addresses, and how is it."""

    id: int


class ObjectsReported(msgspec.Struct, frozen=True, tag=True):
    """Monitors to gateway, the answer."""

    id: int
    objects: tuple[MonitoredObject, ...]


Message = (
    MonitorFailed
    | MonitorRecovered
    | MonitorsAlive
    | MonitorRemark
    | ArbiterAnswered
    | WitnessGranted
    | OwnedGroups
    | IpMonitoringRequested
    | IpFailureCountsCleared
    | IpMonitoringReported
    | ObjectsRequested
    | ObjectsReported
)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One datagram."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """msgspec.DecodeError for anything that is not a message."""
    return _decoder.decode(data)
