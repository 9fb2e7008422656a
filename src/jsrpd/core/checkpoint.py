"""A core's whole state as bytes, and a core made from them that goes on exactly where the first one stood.

Replay starts at checkpoints, displays and what-if work on a copy. The structs below name every attribute that a core
holds at the end of a turn, when nothing is pending; a test compares the names, and runs original and copy side by side.
"""

from collections.abc import Collection
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from jsrpd.core import together
from jsrpd.core.actions import StoreLease
from jsrpd.core.arbitration import Arbitration
from jsrpd.core.cluster import Cluster, Speech
from jsrpd.core.lease import Lease
from jsrpd.core.peer import Peer, SentHeartbeats
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration
from jsrpd.model.link_messages import GroupReport, Heartbeat, Incarnation, PathId, PeerRequest
from jsrpd.model.roles import FailureCode, GroupState, RedundancyMode
from jsrpd.model.time import Duration, Instant, Timing

T = TypeVar("T")


class CheckpointError(ValueError):
    """The bytes are no checkpoint of this version of the core."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields named and typed as the attributes of the object they are taken from."""


class PeerState(_Record, frozen=True):
    """``Peer``."""

    own_incarnation: Incarnation
    incarnation: Incarnation | None
    heartbeat: Heartbeat | None
    interfaces_up: bytes
    """Of the heartbeat; bitmaps may be wider than msgpack's integers."""
    reports: dict[int, GroupReport]
    led: frozenset[int]
    newest_sequence: int
    echoed: int
    first_heard: Instant | None
    last_heard: Instant | None
    bound_at: Instant | None
    gone: bool
    heard_on: dict[PathId, Instant]
    control_heard: Instant | None
    control_run_since: Instant | None
    fabric_heard: Instant | None
    fabric_run_since: Instant | None
    echoed_at: Instant | None
    floor: Instant
    strangers: dict[Incarnation, Instant]
    stranger_since: Instant | None
    stranger_at: Instant
    stranger_led: dict[int, Instant | None]
    stranger_hears: bool
    stranger_dead: Duration = 0
    """Later than the others: checkpoints of former versions have none."""


class SentState(_Record, frozen=True):
    """``SentHeartbeats``."""

    newest: int
    newest_at: Instant | None
    _times: tuple[Instant, ...]


class RedundancyGroupState(_Record, frozen=True):
    """``RedundancyGroup``."""

    configuration: GroupConfiguration
    number: int
    node: int
    state: GroupState
    since: Instant
    reason: str
    priority_judged: int
    generation: int
    cleared_generation: int
    manual: bool
    failures: dict[tuple[FailureCode, str], int]
    lease: Lease
    stored: StoreLease | None
    hold_down_until: Instant
    grace_until: Instant
    gate_shut_since: Instant | None
    peer_preferred_since: Instant | None
    preempted: tuple[Instant, ...]
    preempt_held: bool
    yield_to_operator_until: Instant | None
    state_sent_at: Instant | None
    held_until: Instant
    unannounced: bool
    peer_interface_failed: bool
    confirm_until: Instant | None
    services_until: Instant | None
    services_wanted_at: Instant
    services_stopped: bool


class ClusterState(_Record, frozen=True):
    """``Cluster``; ``groups`` in the core's own order, what they say of themselves in ``_spoken``."""

    configuration: ClusterConfiguration
    software_version: str
    incarnation: Incarnation
    started: Instant
    judged: Instant
    _due: Instant
    peer: PeerState
    sent: SentState
    groups: tuple[RedundancyGroupState, ...]
    interfaces_up: bytes
    interfaces_known: bool
    control_failed: bool
    fabric_failed: bool
    maintenance: bool
    mode: RedundancyMode
    mode_mismatched: bool
    reboot_ordered: bool
    _rejoin: bool
    stopping_since: Instant | None
    stopped: bool
    session_link_up: bool
    _draining_until: Instant | None
    _drained: bool
    _requests: dict[int, tuple[PeerRequest, int]]
    _request_ids: int
    _peer_request_id: int
    _announcing: tuple[int, ...]
    _spoken: Speech | None
    spoken_interfaces_up: bytes
    _control_up: dict[PathId, bool]
    _told_timing: tuple[int, int] | None
    """Interval, threshold."""
    arbitration: Arbitration = Arbitration()
    """This and what follows later than the others: checkpoints of former versions have none."""
    arbitration_said: bool | None = None
    arbitrated_since: Instant = 0
    witness_wanted: bool = False


CONVERTED = {"peer", "sent", "groups", "interfaces_up", "_announcing", "_spoken", "_told_timing"}
"""Attributes of ``Cluster`` that are not stored as they are."""
ADDED = {"interfaces_up", "spoken_interfaces_up"}
"""Bitmaps taken out of what stands beside them."""
DERIVED = {
    Cluster: {"_timing", "_lease_timing", "_claim_timing", "_send_interval", "_joint"},
    RedundancyGroup: {"weight", "failure_bits"},
}
"""Attributes that follow from the others and are made anew."""
ALWAYS_EMPTY = {"_pending", "_unacknowledged"}
"""Attributes of ``Cluster`` that hold nothing at the end of a turn."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ClusterState)


def encode(cluster: Cluster) -> bytes:
    """Everything ``cluster`` holds. Only between a turn's end and its next event."""
    told, spoken, heartbeat = cluster._told_timing, cluster._spoken, cluster.peer.heartbeat
    state = _taken(
        ClusterState,
        cluster,
        peer=_taken(
            PeerState,
            cluster.peer,
            heartbeat=heartbeat and replace(heartbeat, interfaces_up=0),
            interfaces_up=bits(heartbeat.interfaces_up) if heartbeat else b"",
        ),
        interfaces_up=bits(cluster.interfaces_up),
        _spoken=spoken and replace(spoken, interfaces_up=0),
        spoken_interfaces_up=bits(spoken.interfaces_up) if spoken else b"",
        sent=_taken(SentState, cluster.sent, _times=tuple(cluster.sent._times)),
        groups=tuple(_taken(RedundancyGroupState, group) for group in cluster.groups.values()),
        _announcing=tuple(sorted(cluster._announcing)),
        _told_timing=None if told is None else (told.interval, told.threshold),
    )
    return _encoder.encode(state)


def decode(data: bytes) -> Cluster:
    """A core that answers as the one would that was encoded. CheckpointError for anything else."""
    try:
        state = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CheckpointError(str(error)) from error
    cluster = Cluster(state.configuration, state.started, state.incarnation, (), state.software_version)
    _put(cluster, state, CONVERTED | ADDED)
    _put(cluster.peer, state.peer, ADDED)
    if state.peer.heartbeat is not None:
        cluster.peer.heartbeat = replace(state.peer.heartbeat, interfaces_up=int.from_bytes(state.peer.interfaces_up))
    if state._spoken is not None:
        cluster._spoken = replace(state._spoken, interfaces_up=int.from_bytes(state.spoken_interfaces_up))
    cluster.interfaces_up = int.from_bytes(state.interfaces_up)
    _put(cluster.sent, state.sent, {"_times"})
    cluster.sent._times.extend(state.sent._times)
    cluster.groups = {group.number: _group(group) for group in state.groups}
    cluster._announcing = set(state._announcing)
    cluster._told_timing = None if state._told_timing is None else Timing(*state._told_timing)
    cluster._set_timings()
    cluster._joint = together.joint(cluster.mode, cluster.groups)
    return cluster


def _group(state: RedundancyGroupState) -> RedundancyGroup:
    group = RedundancyGroup(state.configuration, state.node, state.since)
    _put(group, state)
    group._recompute()
    return group


def bits(number: int) -> bytes:
    """A bitmap of any width as bytes; ``int.from_bytes`` is the way back."""
    return number.to_bytes((number.bit_length() + 7) // 8)


def _taken(kind: type[T], thing: object, **converted: object) -> T:
    """The attributes of ``thing`` that ``kind`` names; ``converted`` instead where given."""
    names: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    return kind(**{name: converted[name] if name in converted else getattr(thing, name) for name in names})


def _put(thing: Cluster | Peer | SentHeartbeats | RedundancyGroup, state: _Record, but: Collection[str] = ()) -> None:
    for name in state.__struct_fields__:
        if name not in but:
            setattr(thing, name, getattr(state, name))
