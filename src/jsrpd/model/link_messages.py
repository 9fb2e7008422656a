"""What the two nodes tell each other, as values. Bytes are the business of ``jsrpd.wire``.

A path is one way between the nodes. Control links have the ids 0 to 3, fabric links 4 and 5, in-band segments
from 8 on. The same heartbeat, with the same sequence number, goes out on every path (SPEC section 5).
"""

from enum import IntEnum
from typing import TypeAlias

import msgspec

from jsrpd.model.roles import GroupState, RedundancyMode
from jsrpd.model.time import MILLISECOND, Timing

PathId: TypeAlias = int
Incarnation: TypeAlias = int
"""One life of a node's engine: the first 64 bits of its random start id."""

FIRST_FABRIC_PATH: PathId = 4
FIRST_IN_BAND_PATH: PathId = 8
MAX_PATHS = 16
MAX_IN_BAND_PATHS = MAX_PATHS - FIRST_IN_BAND_PATH


class PathKind(IntEnum):
    """The three kinds of path, each with its own failure semantics."""

    CONTROL = 0
    FABRIC = 1
    IN_BAND = 2


def path_kind(path: PathId) -> PathKind:
    """Kind of a path from its id."""
    if path >= FIRST_IN_BAND_PATH:
        return PathKind.IN_BAND
    return PathKind.FABRIC if path >= FIRST_FABRIC_PATH else PathKind.CONTROL


def path_name(path: PathId) -> str:
    """A path in an operator's words, without what only the configuration knows."""
    match path_kind(path):
        case PathKind.CONTROL:
            return f"control link {path}"
        case PathKind.FABRIC:
            return f"fabric link {path - FIRST_FABRIC_PATH}"
        case PathKind.IN_BAND:
            return f"segment {path - FIRST_IN_BAND_PATH}"


class GroupReport(msgspec.Struct, frozen=True):
    """One group's line in a heartbeat (10 bytes on the wire, SPEC section 5)."""

    group: int
    state: GroupState
    configured_priority: int
    effective_priority: int
    weight: int
    failures: int
    """24 bits, see ``FailureCode``."""
    manual: bool
    gate_open: bool
    generation: int
    """24 bits; grows with each claim, adopted from the peer on join."""


class RequestKind(IntEnum):
    """An operator's wish given on one node that the other must carry out."""

    FAILOVER = 0
    RESET = 1
    CLEAR_FAILOVER_COUNT = 2
    CLEAR_PREEMPT_COUNT = 3


class PeerRequest(msgspec.Struct, frozen=True):
    """A wish repeated in each heartbeat until the peer has echoed one that carried it. Ids grow from 1."""

    id: int
    kind: RequestKind
    group: int
    node: int


class Heartbeat(msgspec.Struct, frozen=True):
    """Everything a node says of itself, each interval and at once on any change."""

    mode: RedundancyMode
    software_version: str
    interval_ms: int
    """The sender's heartbeat-interval and -threshold: while they differ (a commit in flight) the lease follows the
    shorter dead time and a claim waits for the longer one."""
    threshold: int
    configuration_digest: bytes
    """8 bytes."""
    echo_incarnation: Incarnation
    """Whose sequence ``echo_sequence`` echoes; 0 when the peer was never heard."""
    echo_sequence: int
    paths_heard: int
    """Bit n set: the peer was heard on path n within the dead time."""
    interfaces_up: int
    """Bit n set: entry n of this node's ``ClusterConfiguration.watched_interfaces`` is up."""
    groups: tuple[GroupReport, ...]
    requests: tuple[PeerRequest, ...] = ()
    stopped: bool = False
    """Last words of a daemon that ends on purpose: its gates are shut, this life of it claims nothing any more."""

    @property
    def timing(self) -> Timing:
        """What its interval and threshold mean."""
        return Timing(self.interval_ms * MILLISECOND, self.threshold)


class Acknowledgement(msgspec.Struct, frozen=True):
    """The immediate answer to the newest heartbeat of a turn and path; the lease lives on it (LEASE 4 and 6)."""

    echo_incarnation: Incarnation
    echo_sequence: int
    primary_groups: int
    """Bit g set: the sender says it is primary for group g."""
    alone: bool = False
    """A gate of the sender stood open by itself because it had not heard the receiver (LEASE 7)."""
