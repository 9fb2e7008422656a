"""Snapshots of the running cluster for displays: what ``show chassis cluster …`` is rendered from."""

import msgspec

from jsrpd.model.time import MILLISECOND

LATENESS_BOUNDS_NS = tuple(n * MILLISECOND // 10 for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2500, 10_000))
"""From 0.1 ms to 1 s."""
PROBE, WITNESS = "probe", "witness"


class GroupNodeStatus(msgspec.Struct, frozen=True):
    """One node's row of a group. A lost peer has state ``lost``, priority 0 and ``None`` in the other fields."""

    node: int
    priority: int
    state: str
    preempt: bool | None
    manual: bool | None
    failures: int | None
    """24 bits, see ``FailureCode``."""
    weight: int | None = None
    gate_open: bool | None = None
    lease_margin_ns: int | None = None
    """For how long this node's own gate would stay open, were nothing renewed; None when it is shut or the peer's."""
    since_ns: int | None = None
    """For how long the answering node has been in its state; None for the peer's row."""


class GroupStatus(msgspec.Struct, frozen=True):
    """A redundancy group as both nodes stand in it; rows in node order."""

    group: int
    failover_count: int
    nodes: tuple[GroupNodeStatus, ...]


class LinkStatus(msgspec.Struct, frozen=True):
    """A control link. ``state`` says why it is down where that is known (``key mismatch``, ``no common version`` …)."""

    index: int
    interface: str
    up: bool
    state: str


class FabricInterfaceStatus(msgspec.Struct, frozen=True):
    """One child of ``fab0`` or ``fab1``; ``None`` when the peer has not told."""

    name: str
    child: str
    physical_up: bool | None
    monitored_up: bool | None


class RethStatus(msgspec.Struct, frozen=True):
    """A reth; ``group`` is None when it is not configured into one."""

    name: str
    up: bool
    group: int | None


class InterfaceMonitorStatus(msgspec.Struct, frozen=True):
    """A monitored interface of either node; ``None`` when the peer has not told."""

    interface: str
    weight: int
    physical_up: bool | None
    monitored_up: bool | None
    group: int
    node: int | None = None
    """Whose interface; None in the answer of a daemon older than this field."""


class PathStatus(msgspec.Struct, frozen=True):
    """A path to the other node, counted since the engine's start or since the counts were cleared. ``name``: ``control link 0``."""

    name: str
    interface: str
    up: bool
    """Heartbeats are heard on it."""
    sent: int
    received: int
    lost: int
    """Heartbeats of the peer that came by other paths, or later ones by this."""
    recent_loss_percent: float
    """Of the last 256."""
    late_ns: int
    """By how much one came too late at worst within the last minute, losses apart."""
    errors: int = 0
    """What could not be sent, received or believed."""
    duplicates: int = 0
    last_sent: int = 0
    """Sequence number, as ``last_received``."""
    last_received: int = 0
    missed: int = 0
    """As ``lost``, and those that came behind a later one count as well: this never falls."""


class ServiceStatus(msgspec.Struct, frozen=True):
    """A role-bound service of a group on the answering node. ``state`` in the operator's words, ``problem`` what is wrong."""

    group: int
    name: str
    state: str
    problem: str = ""


class ScheduleStatus(msgspec.Struct, frozen=True):
    """The schedule monitor of the answering node. ``on`` False: not watched."""

    on: bool
    failed: bool = False
    limit_ms: int = 0
    slips: int = 0
    longest_ms: int = 0
    timers_ignored: bool = False
    """A slip was so short ago that nothing is concluded about the peer yet."""
    clears_in_s: int | None = None
    """When the failure is over if nothing slips any more; None when there is none."""


class ArbitrationStatus(msgspec.Struct, frozen=True):
    """What the third party says of the answering node. ``kind``: ``PROBE`` or ``WITNESS``; ``held``: its word would let this node
    own alone, a witness's key only ever while it is wanted; ``answers``: it speaks to this node; None while that is not known."""

    kind: str
    held: bool
    answers: bool | None = None
    remaining_ns: int = 0
    """For how long its word stands."""


class LogQueueStatus(msgspec.Struct, frozen=True):
    """Messages of a process for the receivers of one kind: ``local`` (/dev/log), ``udp``, ``tcp`` or ``tls``."""

    process: str
    transport: str
    waiting: int
    dropped: int
    """Lost to a full queue since the process was started."""


class SessionStatus(msgspec.Struct, frozen=True):
    """How the session process of the answering node fares. ``cold_sync`` in the operator's words."""

    on: bool
    peer: bool
    """The peer's session process speaks with ours."""
    covered: bool
    """This node has every connection of the peer's groups, as far as is known."""
    cold_sync: str
    completed: int = 0
    failed: int = 0
    events: tuple[str, ...] = ()
    backlog_bytes: int = 0
    services: tuple[tuple[str, int, int], ...] = ()
    """Name in the vendor's list, messages sent, messages received."""
    counters: dict[str, int] = {}
    lag_ns: int = 0
    """Longest time from an event of our kernel until the peer had it, of late."""
    table: tuple[int, int] = (0, 0)
    """Connections in this kernel, and how many it has room for; 0 where it does not say."""
    received: int = 0
    """Messages about connections that the resynchronisation which is under way, or the last one, has brought."""


class ClusterStatus(msgspec.Struct, frozen=True):
    """Everything ``show chassis cluster status`` and ``interfaces`` need, from one node's view."""

    cluster_id: int
    node: int
    groups: tuple[GroupStatus, ...]
    control_links: tuple[LinkStatus, ...]
    fabric_up: bool
    fabric_interfaces: tuple[FabricInterfaceStatus, ...]
    """By node, and in the order of the links."""
    reths: tuple[RethStatus, ...]
    interface_monitors: tuple[InterfaceMonitorStatus, ...]
    notices: tuple[str, ...] = ()
    """Standing conditions an operator should know, one sentence each."""
    sessions: SessionStatus | None = None
    """None while the session process has not reported."""
    paths: tuple[PathStatus, ...] = ()
    lateness_ns: int = 0
    """By how much the engine was late at the worst within the last hour."""
    mode: str = "active-active"
    """Redundancy mode in force, latched at start."""
    configured_mode: str = "active-active"
    peer_mode: str | None = None
    """What the other node says is in force there; None while it is not heard."""
    maintenance: bool = False
    drops: dict[str, int] = {}
    """Received datagrams that were dropped, by cause."""
    services: tuple[ServiceStatus, ...] = ()
    heartbeat_interval_ms: int = 0
    heartbeat_threshold: int = 0
    control_link_recovery: str = ""
    schedule: ScheduleStatus | None = None
    arbitration: ArbitrationStatus | None = None
    """None: nobody arbitrates."""
    log: tuple[LogQueueStatus, ...] = ()
    lateness_counts: tuple[int, ...] = ()
    """Turns of the engine by how late they began, one count for each of ``LATENESS_BOUNDS_NS`` and one for what was later."""
    lateness_sum_ns: int = 0
    fabric_in_use: int | None = None
    """Of several fabric links the one by which the answering node sends what is for the peer; None while that is not known."""
