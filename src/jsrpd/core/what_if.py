"""Runs the live state of a cluster forward, on a copy, and tells what both nodes would do.

The local node is a copy of its core. The other node is made from what it last said and from the common configuration,
so what it has not said (since when it is in a state, how far its hold-down is) is assumed, and the assumptions are part
of the answer. Between the two lie paths that take a fixed time and lose nothing unless told to.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from jsrpd.core import checkpoint, together
from jsrpd.core.actions import Action, AskWitness, Log, Reboot, SendAcknowledgement, SendHeartbeat, Stop, StopServices, StoreLease
from jsrpd.core.arbitration import Arbitration
from jsrpd.core.cluster import FABRIC, MAINTENANCE, UNCHOSEN, Cluster
from jsrpd.core.election import FABRIC_FAILURE
from jsrpd.core.events import (
    AcknowledgementReceived,
    ArbiterAnswered,
    ConfigurationChanged,
    Event,
    FailoverRequested,
    FailoverReset,
    HeartbeatReceived,
    MaintenanceSet,
    MonitorFailed,
    MonitorRecovered,
    RejoinRequested,
    ServicesStopped,
    ShutdownRequested,
    SocketsDrained,
    WatchedInterfacesChanged,
    WitnessGranted,
)
from jsrpd.core.lease import Lease
from jsrpd.core.peer import Peer
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.core.words import arbiter, path_name, paths_of
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import (
    FIRST_FABRIC_PATH,
    FIRST_IN_BAND_PATH,
    Acknowledgement,
    GroupReport,
    Heartbeat,
    Incarnation,
    PathId,
    PathKind,
    path_kind,
)
from jsrpd.model.roles import FULL_WEIGHT, FailureCode, GroupState, codes_of
from jsrpd.model.time import MICROSECOND, MILLISECOND, SECOND, Duration, Instant, seconds

PATH_DELAY: Duration = 200 * MICROSECOND
LONGEST: Duration = 60 * SECOND
"""How long after the last event the run is followed while something is still under way."""
LEAD_IN = 2
"""Heartbeat intervals before the first event, in which both nodes must be seen to rest."""
REBOOT: Duration = 30 * SECOND
WITNESS_TTL: Duration = 2 * SECOND
"""How long a key is kept for a node that does not let it go."""
NODE_FAILURES = {FailureCode.RE: MAINTENANCE, FailureCode.FL: FABRIC}
"""What weighs on all groups of a node, under the name the core has for it."""
SUPPOSED = "supposed"
"""Name of the object whose failure is only supposed."""
MAX_STEPS = 400_000
"""Turns and deliveries of one run: a bound for a cluster that never rests."""


@dataclass(frozen=True, slots=True)
class InterfaceSet:
    """An interface of a node changes its carrier; a path that runs over it is cut or whole with it."""

    node: int
    name: str
    up: bool


@dataclass(frozen=True, slots=True)
class MonitorSet:
    """A monitor of any kind (IP, segment, cold sync ...) fails for a group on a node, or has recovered: weight None."""

    node: int
    group: int
    code: FailureCode
    weight: int | None


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The node is gone with its kernel, as when powered off."""

    node: int


@dataclass(frozen=True, slots=True)
class NodeKilled:
    """All processes of the daemon are killed; the kernel and its gates stay, to the end of their leases."""

    node: int


@dataclass(frozen=True, slots=True)
class NodeStopped:
    """The daemon is told to stop: it hands over first."""

    node: int


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """The daemon of a node starts anew."""

    node: int


@dataclass(frozen=True, slots=True)
class PathsSet:
    """Paths between the nodes are cut or healed."""

    paths: tuple[PathId, ...]
    up: bool


@dataclass(frozen=True, slots=True)
class FailoverOrdered:
    """The operator moves a group by hand."""

    group: int
    node: int


@dataclass(frozen=True, slots=True)
class ResetOrdered:
    """The operator ends manual failovers; None: of all groups."""

    group: int | None


@dataclass(frozen=True, slots=True)
class Committed:
    """Both nodes load a configuration; by node-id."""

    configurations: tuple[ClusterConfiguration, ClusterConfiguration]


@dataclass(frozen=True, slots=True)
class MaintenanceOrdered:
    """The operator puts a node into maintenance, or ends it."""

    node: int
    on: bool


@dataclass(frozen=True, slots=True)
class RejoinOrdered:
    """The operator takes a disabled node back."""

    node: int


Supposed: TypeAlias = (
    InterfaceSet
    | MonitorSet
    | NodeLost
    | NodeKilled
    | NodeStopped
    | NodeStarted
    | PathsSet
    | FailoverOrdered
    | ResetOrdered
    | MaintenanceOrdered
    | RejoinOrdered
    | Committed
)


@dataclass(frozen=True, slots=True)
class Planned:
    """``what`` happens ``after`` the first event, ns; ``text`` as the operator wrote it."""

    after: Duration
    what: Supposed
    text: str


class Moment(msgspec.Struct, frozen=True):
    """``at_ms``: since the first event. ``node`` None: what was supposed. ``kind``: event, transition, message, gate, answer."""

    at_ms: float
    node: int | None
    kind: str
    text: str


class Standing(msgspec.Struct, frozen=True):
    """Where a group stood on a node; state ``gone`` for a node that is not there."""

    group: int
    node: int
    state: str
    effective_priority: int
    gate_open: bool


class GroupOutcome(msgspec.Struct, frozen=True):
    """``owner_before``, ``owner_after``: the node whose gate was open; None: none or both. ``nobody_ms``, ``both_ms``: for
    how long from the first event on no gate was open, or both."""

    group: int
    owner_before: int | None
    owner_after: int | None
    nobody_ms: float
    both_ms: float


class Outcome(msgspec.Struct, frozen=True):
    """The answer to one what-if. ``followed_ms``: how long after the first event the run was watched; ``at_rest``: nothing
    was under way any more when it ended."""

    assumptions: tuple[str, ...]
    timeline: tuple[Moment, ...]
    after: tuple[Standing, ...]
    groups: tuple[GroupOutcome, ...]
    followed_ms: float
    at_rest: bool


def rehearse(local: Cluster, now: Instant, plan: list[Planned]) -> Outcome:
    """What ``plan`` would lead to. ``local``, at the end of a turn, is not changed; ``now``: that turn's instant."""
    copy = checkpoint.decode(checkpoint.encode(local))
    return _Rehearsal(copy, now).run(plan)


# -- the other node -----------------------------------------------------------------------------------------------------


def mirrored(configuration: ClusterConfiguration) -> ClusterConfiguration:
    """The common configuration as the other node resolves it."""
    replace = msgspec.structs.replace
    return replace(
        configuration,
        node_id=configuration.peer_id,
        control_links=tuple(
            replace(link, local_address=link.peer_address, peer_address=link.local_address) for link in configuration.control_links
        ),
        fabric_links=tuple(
            replace(link, interface=link.peer_interface, peer_interface=link.interface) for link in configuration.fabric_links
        ),
        groups=tuple(
            replace(group, interface_monitors=group.peer_interface_monitors, peer_interface_monitors=group.interface_monitors)
            for group in configuration.groups
        ),
        reths=tuple(replace(reth, child=reth.peer_child, peer_child=reth.child) for reth in configuration.reths),
    )


def counterpart(local: Cluster, now: Instant) -> Cluster | None:
    """The other node's core as far as it has told, at rest; None when it is not heard."""
    heartbeat, incarnation = local.peer.heartbeat, local.peer.incarnation
    if heartbeat is None or incarnation is None or heartbeat.stopped or local._peer_silent(now):
        return None
    configuration = mirrored(local.configuration)
    long_ago = max(0, now - 10 * configuration.timing.start_up_hold)
    other = Cluster(configuration, long_ago, incarnation, (), heartbeat.software_version)
    other.judged = other._due = now
    other.interfaces_up = _interfaces(other, heartbeat)
    other.interfaces_known = True
    other.control_failed = not any(local.path_up(now, link.index) for link in configuration.control_links)
    other._peer_request_id, other._request_ids = local._request_ids, local._peer_request_id
    other.mode = heartbeat.mode
    other.maintenance = any(report.failures >> FailureCode.RE & 1 for report in heartbeat.groups)
    other.fabric_failed = any(report.failures >> FailureCode.FL & 1 for report in heartbeat.groups)
    other._told_timing = configuration.timing
    other._set_timings()
    heard = [path for path in paths_of(configuration) if heartbeat.paths_heard >> path & 1]
    other._control_up = {path: True for path in heard if path < FIRST_FABRIC_PATH}
    _sent(other, local.peer, now)
    _meet(other.peer, local, now, long_ago, heard)
    for report in heartbeat.groups:
        if report.group in other.groups:
            _stand(other, report, local, now, long_ago)
    other._joint = together.joint(other.mode, other.groups)
    other.arbitration = Arbitration(since=long_ago, asked_at=now)
    return other


def _interfaces(other: Cluster, heartbeat: Heartbeat) -> int:
    same = heartbeat.configuration_digest == other.configuration.digest
    return heartbeat.interfaces_up if same else (1 << len(other.configuration.watched_interfaces)) - 1


def _sent(other: Cluster, known: Peer, now: Instant) -> None:
    """Its heartbeats so far went out an interval apart, the newest one when we heard it."""
    newest_at, interval = known.bound_at or now, other.configuration.timing.interval
    other.sent.newest, other.sent.newest_at = known.newest_sequence, newest_at
    other.sent._times.extend(newest_at - n * interval for n in range(min(8, known.newest_sequence) - 1, -1, -1))


def _meet(peer: Peer, local: Cluster, now: Instant, long_ago: Instant, heard: list[PathId]) -> None:
    """What it knows of us: everything, as of now."""
    heartbeat = local._heartbeat(now, local._speech(now).groups)
    peer.incarnation, peer.heartbeat = local.incarnation, heartbeat
    peer.reports = {report.group: report for report in heartbeat.groups}
    peer.newest_sequence, peer.echoed = local.sent.newest, local.peer.newest_sequence
    peer.first_heard = peer.floor = peer.control_run_since = long_ago
    peer.last_heard = peer.bound_at = peer.echoed_at = now
    peer.heard_on = dict.fromkeys(heard, now)
    peer.control_heard = now if any(path < FIRST_FABRIC_PATH for path in heard) else long_ago
    peer.fabric_run_since = long_ago
    peer.fabric_heard = now if any(path_kind(path) == PathKind.FABRIC for path in heard) else long_ago


def _stand(other: Cluster, report: GroupReport, local: Cluster, now: Instant, long_ago: Instant) -> None:
    group, mine = other.groups[report.group], local.groups[report.group]
    sent_at = other.sent.newest_at or now
    group.state, group.since, group.reason = report.state, long_ago, "as it told"
    if report.state in UNCHOSEN:
        group.since, group.reason = now, "Control link failure" if other.control_failed else FABRIC_FAILURE
    group.manual = report.manual
    group.state_sent_at = long_ago
    for (code, name), weight in _failures(other, report).items():
        group.fail(code, name, weight)
    group.generation = report.generation
    group.cleared_generation = mine.cleared_generation
    group.peer_interface_failed = any(code == FailureCode.IF for code, _ in mine.failures)
    group.hold_down_until = now + group.configuration.hold_down_interval_s * SECOND
    group.grace_until = now
    if report.state == GroupState.PRIMARY:
        deadline = sent_at + other.configuration.timing.lease if report.gate_open else 0
        group.lease = Lease(deadline, sent_at)


def _failures(other: Cluster, report: GroupReport) -> dict[tuple[FailureCode, str], int]:
    """By name as its interfaces tell; what else weighs on it stands under the first other code it reports."""
    failures: dict[tuple[FailureCode, str], int] = {}
    names = other.configuration.watched_interfaces
    for monitor in other.groups[report.group].configuration.interface_monitors:
        if not other.interfaces_up >> names.index(monitor.interface) & 1:
            failures[FailureCode.IF, monitor.interface] = monitor.weight
    left = FULL_WEIGHT - report.weight - sum(failures.values())
    for code in codes_of(report.failures):
        if code != FailureCode.IF or not failures:
            failures[NODE_FAILURES.get(code, (code, "as it told"))], left = left, 0
    return failures


def _interfaces_of_paths(configuration: ClusterConfiguration) -> dict[PathId, str]:
    """What each path runs over on this node."""
    control = {link.index: link.interface for link in configuration.control_links}
    fabric = {FIRST_FABRIC_PATH + link.index: link.interface for link in configuration.fabric_links}
    return control | fabric | {FIRST_IN_BAND_PATH + n: reth.child for n, reth in enumerate(configuration.in_band_segments)}


# -- the run ------------------------------------------------------------------------------------------------------------


@dataclass
class _Node:
    """One node of the run. ``deadlines``: of its gates, which outlive its daemon."""

    cluster: Cluster | None
    configuration: ClusterConfiguration
    deadlines: dict[int, Instant] = field(default_factory=dict)
    inbox: list[Event] = field(default_factory=list)
    turn_at: Instant | None = None


class _Rehearsal:
    """Both nodes, the paths between them, and an agenda."""

    def __init__(self, local: Cluster, now: Instant) -> None:
        self.now = now
        self.zero = now + LEAD_IN * local.configuration.timing.interval
        self.here = local.configuration.node_id
        other = counterpart(local, now)
        nodes = {self.here: _Node(local, local.configuration), 1 - self.here: _Node(other, mirrored(local.configuration))}
        self.nodes = (nodes[0], nodes[1])
        self.cut: set[PathId] = set()
        self.down: set[tuple[int, str]] = set()
        """Interfaces that went down in this run; a path over one carries nothing."""
        if other is not None:
            self.cut = {path for path in paths_of(local.configuration) if not local.path_up(now, path)}
        self.rebooting: set[int] = set()
        self.silent_arbiter = self.here if not local.arbitration_held(now) else None
        """The node that the probed addresses do not answer."""
        self.key: tuple[int, Instant] = (self.here, 0)
        """Who holds the witness's key, and until when."""
        self.assumptions = self._assumptions(local, other)
        self.timeline: list[Moment] = []
        self.incarnations: Incarnation = (1 << 64) - 1
        self._agenda: list[tuple[Instant, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._open: dict[int, set[int]] = {number: set() for number in local.groups}
        self._gaps: dict[int, list[Duration]] = {number: [0, 0] for number in local.groups}
        self._counted: dict[int, Instant] = dict.fromkeys(local.groups, self.zero)
        self._owners: dict[int, int | None] = {}

    def _assumptions(self, local: Cluster, other: Cluster | None) -> tuple[str, ...]:
        configuration = local.configuration
        said = [f"node{self.here} is a copy of its live state; nothing of the cluster is changed"]
        there = 1 - self.here
        if other is None:
            return (*said, f"node{there} is not heard now, so it stays away unless it is told to start")
        said.append(
            f"node{there} is taken as it last told, with the common configuration: since when it is in its states is not "
            "known, a hold-down there is taken to begin now, monitors other than interfaces stay as they are"
        )
        heartbeat = local.peer.heartbeat
        if heartbeat is not None and heartbeat.configuration_digest != configuration.digest:
            said.append(f"the nodes run different configurations; node{there} is taken to run that of node{self.here}")
        said.append(f"paths take {PATH_DELAY // MICROSECOND} µs and lose nothing; both machines are punctual")
        if configuration.arbitration is not None:
            said.append(self._arbiter_assumed(configuration))
        cut = ", ".join(path_name(configuration, path) for path in sorted(self.cut))
        return (*said, f"down as they are now: {cut}") if cut else tuple(said)

    def _arbiter_assumed(self, configuration: ClusterConfiguration) -> str:
        who = arbiter(configuration)
        if configuration.witnessed:
            return f"{who} answers at once, and both nodes"
        answered = f"node{1 - self.here} only, as now" if self.silent_arbiter is not None else "both nodes whatever is cut"
        return f"{who} answers {answered}"

    def run(self, plan: list[Planned]) -> Outcome:
        """The whole run."""
        self._begin()
        for planned in plan:
            self._schedule(self.zero + planned.after, lambda planned=planned: self._suppose(planned))  # type: ignore[misc]
        last = self.zero + max((planned.after for planned in plan), default=0)
        timing = self.nodes[self.here].configuration.timing
        self._until(last + timing.start_up_hold + 3 * timing.dead)
        while self._under_way() and self.now < last + LONGEST and self._scheduled < MAX_STEPS:
            self._until(self.now + SECOND)
        for number in self._open:
            self._count(number)
        return Outcome(
            assumptions=self.assumptions,
            timeline=tuple(self.timeline),
            after=self._standings(),
            groups=tuple(
                GroupOutcome(n, self._owners.get(n), _only(self._open[n]), *(gap / MILLISECOND for gap in self._gaps[n]))
                for n in sorted(self._open)
            ),
            followed_ms=(self.now - self.zero) / MILLISECOND,
            at_rest=not self._under_way(),
        )

    def _begin(self) -> None:
        for number, node in enumerate(self.nodes):
            if node.cluster is None:
                continue
            for group in node.cluster.groups.values():
                self._gate(number, group.number, group.lease.deadline)
            self._wake(number, self.now)
        self._schedule(self.zero, lambda: self._owners.update({n: _only(nodes) for n, nodes in self._open.items()}))

    def _under_way(self) -> bool:
        """A group waits for a time to pass: in hold, in hold-down, for a preempt delay, for a healed control link to last."""
        configuration = self.nodes[self.here].configuration
        kinds = {path_kind(path) for path in paths_of(configuration) if path not in self.cut}
        healed = PathKind.CONTROL in kinds and (PathKind.FABRIC in kinds or not configuration.fabric_monitored)
        healing = {GroupState.INELIGIBLE}
        if configuration.control_link_recovery == "reboot":
            healing.add(GroupState.DISABLED)
        waiting = {GroupState.HOLD, GroupState.SECONDARY_HOLD} | (healing if healed else set())
        groups = [group for node in self.nodes if node.cluster is not None for group in node.cluster.groups.values()]
        return bool(self.rebooting) or any(group.state in waiting or _preempting(group) for group in groups)

    def _standings(self) -> tuple[Standing, ...]:
        standings = []
        for number in sorted(self._open):
            for at, node in enumerate(self.nodes):
                group = node.cluster.groups.get(number) if node.cluster is not None else None
                if node.cluster is None or group is None:
                    standings.append(Standing(number, at, "gone", 0, at in self._open[number]))
                    continue
                priority = node.cluster.effective_priority(group)
                standings.append(Standing(number, at, group.state.label, priority, at in self._open[number]))
        return tuple(standings)

    # -- agenda -----------------------------------------------------------------------------------------------------------

    def _schedule(self, at: Instant, what: Callable[[], None]) -> None:
        self._scheduled += 1
        heapq.heappush(self._agenda, (at, self._scheduled, what))

    def _until(self, end: Instant) -> None:
        while self._agenda and self._agenda[0][0] <= end and self._scheduled < MAX_STEPS:
            self.now, _, what = heapq.heappop(self._agenda)
            what()
        self.now = end

    def _note(self, node: int | None, kind: str, text: str) -> None:
        self.timeline.append(Moment((self.now - self.zero) / MILLISECOND, node, kind, text))

    # -- what is supposed -------------------------------------------------------------------------------------------------

    def _suppose(self, planned: Planned) -> None:
        self._note(None, "event", planned.text)
        match planned.what:
            case InterfaceSet(node, name, up):
                self._interface(node, name, up)
            case MonitorSet(node, group, code, weight):
                self._monitor(node, group, code, weight)
            case NodeLost(node):
                self._down(node)
                for group in list(self.nodes[node].deadlines):
                    self._gate(node, group, 0)
            case NodeKilled(node):
                self._down(node)
            case NodeStopped(node):
                self._tell(node, ShutdownRequested())
            case NodeStarted(node):
                self._start(node)
            case PathsSet(paths, up):
                self.cut = self.cut - set(paths) if up else self.cut | set(paths)
            case FailoverOrdered(group, node):
                self._failover(group, node)
            case ResetOrdered(group):
                self._reset(group)
            case MaintenanceOrdered(node, on):
                self._tell(node, MaintenanceSet(on))
            case RejoinOrdered(node):
                self._rejoin(node)
            case Committed(configurations):
                for number, configuration in enumerate(configurations):
                    self.nodes[number].configuration = configuration
                    self._tell(number, ConfigurationChanged(configuration))

    def _interface(self, number: int, name: str, up: bool) -> None:
        node = self.nodes[number]
        (self.down.discard if up else self.down.add)((number, name))
        if up:  # A path that was silent because of it is whole again.
            self.cut -= {path for path, over in _interfaces_of_paths(node.configuration).items() if over == name}
        names = node.configuration.watched_interfaces
        if node.cluster is not None and name in names:
            bit = 1 << names.index(name)
            before = node.cluster.interfaces_up
            self._tell(number, WatchedInterfacesChanged(before | bit if up else before & ~bit))

    def _monitor(self, number: int, group: int, code: FailureCode, weight: int | None) -> None:
        """Recovery takes away all that has failed of that code, whatever it is called."""
        if weight is not None:
            self._tell(number, MonitorFailed(group, code, SUPPOSED, weight))
            return
        cluster = self.nodes[number].cluster
        failures = cluster.groups[group].failures if cluster is not None else {}
        for name in [name for failed, name in failures if failed == code]:
            self._tell(number, MonitorRecovered(group, code, name))

    def _down(self, number: int) -> None:
        node = self.nodes[number]
        node.cluster, node.turn_at = None, None
        node.inbox.clear()

    def _start(self, number: int) -> None:
        node = self.nodes[number]
        if node.cluster is not None:
            self._note(number, "answer", "its daemon runs already")
            return
        self.incarnations -= 1
        node.cluster = Cluster(node.configuration, self.now, self.incarnations)
        self._tell(number, WatchedInterfacesChanged(node.cluster.interfaces_up))

    def _failover(self, group: int, target: int) -> None:
        asked = self.here if self.nodes[self.here].cluster is not None else 1 - self.here
        cluster = self.nodes[asked].cluster
        if cluster is None:
            self._note(None, "answer", "no daemon is left that could be asked")
            return
        refusal = cluster.refuse_failover(self.now, group, target)
        self._note(asked, "answer", refusal or f"Initiated manual failover for redundancy group {group}")
        self._tell(asked, FailoverRequested(group, target))

    def _reset(self, group: int | None) -> None:
        cluster = self.nodes[self.here].cluster
        for number in () if cluster is None else sorted(cluster.groups) if group is None else (group,):
            self._tell(self.here, FailoverReset(number))

    def _rejoin(self, number: int) -> None:
        cluster = self.nodes[number].cluster
        refusal = "its daemon does not run" if cluster is None else cluster.refuse_rejoin()
        if refusal:
            self._note(number, "answer", refusal)
        self._tell(number, RejoinRequested())

    def _tell(self, number: int, event: Event) -> None:
        """At once, for events only record; judged in the turn that follows."""
        cluster = self.nodes[number].cluster
        if cluster is not None:
            cluster.handle(self.now, event)
            self._wake(number, self.now)

    # -- turns ------------------------------------------------------------------------------------------------------------

    def _wake(self, number: int, at: Instant) -> None:
        node = self.nodes[number]
        if node.turn_at is not None and node.turn_at <= at:
            return
        node.turn_at = at
        self._schedule(at, lambda: self._turn(number, at))

    def _turn(self, number: int, at: Instant) -> None:
        node = self.nodes[number]
        if node.turn_at != at or node.cluster is None:
            return
        node.turn_at = None
        events, node.inbox = node.inbox, []
        for event in (*events, *self._arbitrated(number, node.cluster, at)):
            node.cluster.handle(at, event)
        for action in node.cluster.handle(at, SocketsDrained(at)):
            self._perform(number, node, action)
        if node.cluster is not None and (wanted := node.cluster.deadline()) is not None:
            self._wake(number, max(wanted, at + 1))

    def _arbitrated(self, number: int, cluster: Cluster, at: Instant) -> list[Event]:
        """What the arbiter says with each turn; turns are no farther apart than its word stands."""
        stated = cluster.configuration.arbitration
        if stated is not None and stated.probes and number != self.silent_arbiter:
            return [ArbiterAnswered(at)]
        holder, until = self.key
        if not cluster.witness_wanted or (holder != number and at <= until):
            return []
        self.key = (number, at + WITNESS_TTL)
        return [WitnessGranted(at + WITNESS_TTL)]

    def _perform(self, number: int, node: _Node, action: Action) -> None:
        assert node.cluster is not None
        match action:
            case SendHeartbeat(sequence, heartbeat):
                for path in paths_of(node.configuration):
                    self._send(number, path, _heartbeat(path, node.cluster.incarnation, sequence, heartbeat))
            case SendAcknowledgement(path, acknowledgement):
                self._send(number, path, _acknowledgement(path, node.cluster.incarnation, acknowledgement))
            case StoreLease(group, deadline):
                self._gate(number, group, deadline)
            case Log(message):
                change = message.tag == "JSRPD_RG_STATE_CHANGE"
                self._note(number, "transition" if change else "message", f"{message.tag}: {render_text(message)}")
            case StopServices(group):
                # How long they take nobody knows; the question is what follows.
                self._tell(number, ServicesStopped(group))
            case AskWitness(False) if self.key[0] == number:
                self.key = (number, 0)
            case Stop():
                self._note(number, "answer", "its daemon has stopped")
                self._down(number)
            case Reboot():
                self._reboot(number)
            case _:
                pass  # Announcements and routes follow the gate.

    def _reboot(self, number: int) -> None:
        self.rebooting.add(number)
        self._suppose(Planned(0, NodeLost(number), f"node {number} reboots, which is taken to last {seconds(REBOOT)}"))

        def back() -> None:
            self.rebooting.discard(number)
            self._suppose(Planned(0, NodeStarted(number), f"node {number} started"))

        self._schedule(self.now + REBOOT, back)

    def _send(self, sender: int, path: PathId, received: Callable[[Instant], Event]) -> None:
        if path in self.cut or any(self._over(number, path) in self.down for number in (0, 1)):
            return
        at = self.now + PATH_DELAY

        def deliver() -> None:
            node = self.nodes[1 - sender]
            if node.cluster is not None and path in paths_of(node.configuration):
                node.inbox.append(received(at))
                self._wake(1 - sender, at)

        self._schedule(at, deliver)

    def _over(self, number: int, path: PathId) -> tuple[int, str]:
        return number, _interfaces_of_paths(self.nodes[number].configuration).get(path, "")

    # -- gates ------------------------------------------------------------------------------------------------------------

    def _gate(self, number: int, group: int, deadline: Instant) -> None:
        self.nodes[number].deadlines[group] = deadline
        self._look(number, group)
        if deadline >= self.now:
            self._schedule(deadline + 1, lambda: self._look(number, group))

    def _look(self, number: int, group: int) -> None:
        """Note when a gate has opened or shut."""
        is_open = self.nodes[number].deadlines[group] >= self.now
        nodes = self._open.setdefault(group, set())
        if is_open == (number in nodes):
            return
        self._count(group)
        (nodes.add if is_open else nodes.discard)(number)
        if self._owners:
            self._note(number, "gate", f"redundancy group {group}: gate {'open' if is_open else 'shut'}")

    def _count(self, group: int) -> None:
        since = self._counted.setdefault(group, self.zero)
        if self.now > since:
            self._counted[group] = self.now
            how_many = len(self._open[group])
            if how_many != 1:
                self._gaps.setdefault(group, [0, 0])[how_many // 2] += self.now - since


def _heartbeat(path: PathId, incarnation: Incarnation, sequence: int, heartbeat: Heartbeat) -> Callable[[Instant], Event]:
    return lambda at: HeartbeatReceived(path, incarnation, sequence, at, heartbeat)


def _acknowledgement(path: PathId, incarnation: Incarnation, acknowledgement: Acknowledgement) -> Callable[[Instant], Event]:
    return lambda at: AcknowledgementReceived(path, incarnation, at, acknowledgement)


def _only(nodes: set[int]) -> int | None:
    return next(iter(nodes)) if len(nodes) == 1 else None


def _preempting(group: RedundancyGroup) -> bool:
    return (
        group.peer_preferred_since is not None
        and not (group.manual or group.preempt_held)
        and group.configuration.preempt is not None
    )
