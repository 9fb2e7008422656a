"""The engine: one thread, one loop. Heartbeats, link events, decisions, gate, announcements, log.

It never blocks: no disk, no DNS, no fork, no write to rtnetlink. A turn reads the clock, drains every socket, lets
the core judge at the instant read before the drain, and carries out the actions in the order given (LEASE 1).
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import msgspec

from jsrpd import __version__
from jsrpd.core import checkpoint
from jsrpd.core.actions import (
    Action,
    Announce,
    AskWitness,
    ChangeRole,
    DrainSessions,
    Log,
    Reboot,
    SendAcknowledgement,
    SendHeartbeat,
    Stop,
    StopServices,
    StoreLease,
)
from jsrpd.core.events import (
    AcknowledgementReceived,
    ConfigurationChanged,
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    HeartbeatReceived,
    MaintenanceSet,
    MonitorFailed,
    MonitorRecovered,
    SessionLinkChanged,
    SessionsDrained,
    ShutdownRequested,
    SocketsDrained,
    StrangerHeard,
    WatchedInterfacesChanged,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.core.status import fabric_ways
from jsrpd.kernel.gate import LeaseMap
from jsrpd.kernel.link_events import LinkMonitor
from jsrpd.kernel.path_socket import HelloSocket, LinkSocket, PathSocket
from jsrpd.kernel.segment_socket import SegmentSocket
from jsrpd.management import children, engine_link
from jsrpd.messages.catalogue import foreign_change_repaired, notice, socket_recv_hb_failure
from jsrpd.model.addressing import CONTROL_PORT, FABRIC_PORT
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.journal import INFORMATION_CLEARED
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH, PathId
from jsrpd.model.roles import FULL_WEIGHT, FailureCode, GroupState, RedundancyMode
from jsrpd.model.status import WITNESS, ClusterStatus, SessionStatus
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant
from jsrpd.processes import node_orders
from jsrpd.processes.announcer import Announcer
from jsrpd.processes.drop_report import DropReport
from jsrpd.processes.fabric_choice import FabricChoice
from jsrpd.processes.monitor_desk import MonitorDesk
from jsrpd.processes.path_statistics import Lateness, PathStatistics
from jsrpd.processes.realtime import make_punctual
from jsrpd.processes.recorder import RecordedCluster, wall_offset
from jsrpd.processes.restart_in_place import Retirement
from jsrpd.processes.schedule_desk import ScheduleDesk
from jsrpd.processes.segments import SegmentWatch
from jsrpd.processes.service_desk import ServiceDesk
from jsrpd.processes.statistics_desk import StatisticsDesk
from jsrpd.processes.syslog import SyslogSender
from jsrpd.processes.watchdog import Watchdog
from jsrpd.sessions.coverage import Coverage
from jsrpd.wire.link import AcknowledgementHeard, Admitted, Answer, Dropped, HeartbeatHeard, Link

DATAGRAMS_PER_TURN = 64
CARRIER_POLL: Duration = 3 * MILLISECOND
LINKS_A_POLL = 12
"""So many links are asked that often; more of them less often, so that the cost stays."""
LOG_RETRY: Duration = 250 * MILLISECOND
FOREVER: Duration = 3600 * SECOND
LOOK_AROUND: Duration = 500 * MILLISECOND
"""How often a silent path is searched for nodes of another cluster, and what was dropped is said."""
FLOOD_REST = 100e-6
"""Sleep after a turn that could not read everything, s. A flood that never let the engine sleep would look to the kernel
like a real-time process that spins, which it ends (RLIMIT_RTTIME)."""


@dataclass(frozen=True, slots=True)
class EngineResources:
    """What the parent hands to an engine. The sockets outlive it, so that a restarted engine continues."""

    parent: socket.socket
    kernel: socket.socket
    gateway: socket.socket
    monitors: socket.socket
    sessions: socket.socket
    services: socket.socket
    lease_map: LeaseMap | None
    configuration: ClusterConfiguration
    key: bytes
    syslog_path: Path
    copy_log: bool
    redundancy_mode: RedundancyMode
    """Latched when the daemon started; the configuration may say something else by now."""
    maintenance: bool


def clock() -> Instant:
    """Boot-time clock of this node, the one the gate program reads."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def run(resources: EngineResources) -> None:
    """Run until told to stop. Called in the forked child."""
    engine = Engine(resources)
    engine.run()


def _link_ends(c: ClusterConfiguration) -> dict[PathId, tuple[str, str, str, int]]:
    """Control and fabric links: interface, own address, peer's address, port."""
    ends: dict[PathId, tuple[str, str, str, int]] = {}
    for control in c.control_links:
        ends[control.index] = (control.interface, *c.control_ends(control), CONTROL_PORT)
    for fabric in c.fabric_links:
        ends[FIRST_FABRIC_PATH + fabric.index] = (fabric.interface, *c.fabric_ends(fabric), FABRIC_PORT)
    return ends


def _hello_interfaces(c: ClusterConfiguration) -> dict[PathId, str]:
    """In-band paths: the child on each segment that carries hello frames."""
    return {FIRST_IN_BAND_PATH + n: reth.child for n, reth in enumerate(c.in_band_segments)}


class Engine:
    """The loop and its hands. Decisions are the core's."""

    def __init__(self, resources: EngineResources) -> None:
        self.resources = resources
        self.configuration = msgspec.structs.replace(resources.configuration, redundancy_mode=resources.redundancy_mode)
        self.lease_map = resources.lease_map
        self.syslog = SyslogSender(resources.syslog_path, self.configuration.syslog_hosts, resources.copy_log)
        self.selector = selectors.SelectSelector()
        self.paths: dict[PathId, PathSocket] = {}
        self.link_ends = _link_ends(self.configuration)
        self.hello_interfaces = _hello_interfaces(self.configuration)
        self.log_due: Instant = 0
        """When a receiver of the log that was not there is tried again."""
        self.watched: dict[PathId, socket.socket | None] = {}
        """The sockets of the paths as the selector has them."""
        self.ready: set[object] = set()
        """What the selector found readable before this turn."""
        self.receive_failed: set[PathId] = set()
        self.segments: dict[PathId, SegmentSocket] = {}
        self.said: dict[PathId, bytes] = {}
        """The newest heartbeat of each path as it was sent, to be called out again on a silent cable."""
        self.look_around_at: Instant = 0
        self.drop_report = DropReport()
        self.flooded = False
        """A path had more to give than one turn takes."""
        self.links = LinkMonitor(self.configuration.watched_interfaces)
        self.announcer = Announcer(self.configuration)
        self.roles: dict[int, children.RoleChanged] = {}
        self.fabric = FabricChoice()
        self.terminated = False
        self.retirement = Retirement()
        self.watchdog = Watchdog(self.configuration.watchdog_device, self.configuration.watchdog_timeout_s)
        self.stopped = False
        start_id = os.urandom(16)
        self.link = Link(
            self.configuration.cluster_id,
            self.configuration.node_id,
            resources.key,
            start_id=start_id,
            random_bytes=os.urandom,
        )
        now = clock()
        self.segment_watch = SegmentWatch(self.configuration, now)
        self.cluster = RecordedCluster(self.configuration, now, self.link.incarnation, self._adoptable(now), __version__)
        if self.configuration != resources.configuration:
            self.configuration = resources.configuration
            self.cluster.handle(now, ConfigurationChanged(self.configuration))
        if resources.maintenance:
            self.cluster.handle(now, MaintenanceSet(True))
        self.state_asked: list[int] = []
        """Questions for the core's state, answered when the turn has ended."""
        self.services = ServiceDesk(resources.services, self.cluster, now)
        self.monitors = MonitorDesk(resources.monitors, self.cluster, now)
        self.schedule = ScheduleDesk(self.cluster, self.configuration)
        self.coverage = Coverage(now, self.configuration.session_synchronization.on)
        self.uncovered: frozenset[int] = frozenset()
        self.refused_reths: frozenset[tuple[int, str]] = frozenset()
        self.ownership_told: children.OwnershipTold | None = None
        self.session_status: SessionStatus | None = None
        self.drain_number = 0
        self.path_statistics, self.lateness = PathStatistics(), Lateness()
        self.statistics = StatisticsDesk(self.path_statistics)

    def _adoptable(self, now: Instant) -> list[AdoptedLease]:
        """Unexpired leases of primaries pinned by the engine before us; everything else is shut before we speak."""
        adopted: list[AdoptedLease] = []
        if self.lease_map is None:
            return adopted
        for group in self.configuration.groups:
            pinned = self.lease_map.read(group.group)
            if pinned.state == GroupState.PRIMARY and now <= pinned.deadline:
                adopted.append(
                    AdoptedLease(
                        group.group,
                        pinned.deadline,
                        GroupState.PRIMARY,
                        pinned.generation,
                        pinned.acknowledged_at,
                        pinned.last_heard,
                        pinned.alone,
                    )
                )
            else:
                self.lease_map.store(group.group, 0, GroupState.HOLD, pinned.generation, 0, 0, False)
        return adopted

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until stopped. SIGTERM asks for a hand-over first."""
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        wake_read, wake_write = socket.socketpair()
        for end in (wake_read, wake_write):
            end.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        r = self.resources
        channels = (r.parent, r.kernel, r.gateway, r.monitors, r.sessions, r.services)
        for readable in (wake_read, *channels, self.links):
            self.selector.register(readable, selectors.EVENT_READ)
        self._open_paths(clock())
        for sentence in make_punctual():
            self.syslog.send(notice(sentence))
        self._look_at_links(force=True)
        self.ready = {*channels}
        self._turn(clock(), 0)
        while not self.stopped:
            wanted = self._wanted()
            woken_by_input, late = self._sleep_until(wanted)
            judged = clock()
            for remark in self.schedule.turn(judged, wanted):
                self.syslog.send(remark)
            self.lateness.began(judged, judged - wanted)
            if woken_by_input:
                _drain(wake_read)
            self._turn(judged, late)
            if self.flooded:
                time.sleep(FLOOD_REST)
        self.syslog.flush()

    def _wanted(self) -> Instant:
        """When the next turn should begin: the core's deadline, an announcement, a log retry, a path to be opened."""
        now = clock()
        wanted = [now + LOG_RETRY] if self.syslog.pending else []
        deadlines = (self.cluster.deadline(), self.announcer.deadline(), self.coverage.deadline())
        wanted += [at for at in deadlines if at is not None]
        if any(path.socket is None for path in self.paths.values()):
            wanted.append(now + 20 * MILLISECOND)
        return min(wanted, default=now + LOG_RETRY)

    def _sleep_until(self, wanted: Instant) -> tuple[bool, Duration]:
        """Until input, ``wanted``, or a link that needs asking has changed; True for input, and how late we woke (ns).

        Asking is no turn: with no change it must cost next to nothing, hundreds of times a second.
        """
        asks = self.links.must_be_asked
        poll = max(min(CARRIER_POLL, self.configuration.timing.interval), asks * CARRIER_POLL // LINKS_A_POLL) if asks else FOREVER
        while True:
            now = clock()
            asked = min(wanted, now + poll)
            self.ready = {key.fileobj for key, _ in self.selector.select(max(0, asked - now) / 1e9)}
            if self.ready:
                return True, 0
            late = clock() - asked
            if asked == wanted or late > MILLISECOND or self.links.ask():
                return False, late

    def _turn(self, judged: Instant, late: Duration) -> None:
        self._drain_paths(judged)
        self._drain_children(judged)
        self._look_at_links()
        for event in self.segment_watch.look(judged, self.cluster.peer.heard_on, self.links.up):
            self.cluster.handle(judged, event)
        if self.terminated or self.retirement.must_hand_over(self.cluster):
            self.cluster.handle(judged, ShutdownRequested())
        self._judge_coverage(judged)
        drained = clock()
        self.lateness.took(judged, drained - judged)
        self._perform(self.cluster.handle(judged, SocketsDrained(drained, late)))
        retires = self.retirement.due(judged, self.cluster)
        for remark in self.watchdog.turn(judged, owner=bool(self._owned())):
            self.syslog.send(remark)
        if self.stopped:
            self.watchdog.release()
        self.stopped = self.stopped or retires
        self._tell_ownership()
        self.announcer.turn(clock(), self._owned())
        if self.syslog.pending and (self.syslog.pressing or judged >= self.log_due):
            self.log_due = judged + LOG_RETRY
            self.syslog.flush()
        self._send_roles()
        if len(self.configuration.fabric_links) > 1:
            self.fabric.turn(fabric_ways(self.cluster, judged), self.resources.kernel)
        self.monitors.tell_ownership(judged)
        self.services.tell()
        self._open_paths(judged)
        if judged >= self.look_around_at:
            self.look_around_at = judged + LOOK_AROUND
            self._look_around(judged)
            self.announcer.prepare()
            self.fabric.repeat()
            for sentence in self.drop_report.due(judged, self.link.drops):
                self.syslog.send(notice(sentence))
        self.cluster.hand_over(judged, self.resources.gateway, last=self.stopped)
        self._report_state(judged)

    def _owned(self) -> set[int]:
        return {g.number for g in self.cluster.groups.values() if g.state == GroupState.PRIMARY}

    # -- paths --------------------------------------------------------------------------------------------------

    def _open_paths(self, now: Instant) -> None:
        for path, ends in self.link_ends.items():
            if path not in self.paths:
                self.paths[path] = LinkSocket(*ends)
        for path, interface in self.hello_interfaces.items():
            if path not in self.paths:
                self.paths[path] = HelloSocket(interface, self.configuration.cluster_id, self.configuration.peer_id)
        for path_socket in self.paths.values():
            path_socket.ensure_open(now)
        # A failed send may have closed one as well, and the selector must never be left with a closed socket.
        if self.watched != {path: path_socket.socket for path, path_socket in self.paths.items()}:
            self._watch_again()

    def _look_around(self, now: Instant) -> None:
        """On silent paths with derived addresses: call, and see whether another cluster calls, or a second node of our number."""
        for path, (interface, local, _peer, port) in self.link_ends.items():
            if self.cluster.path_up(now, path) or not local.startswith("fe80"):
                self._leave_segment(path)
                continue
            if path not in self.segments:
                with contextlib.suppress(OSError):
                    self.segments[path] = SegmentSocket(interface, port)
            segment, said = self.segments.get(path), self.said.get(path)
            if segment is None or said is None:
                continue
            for datagram in segment.receive():
                self.link.overhear(path, datagram)
            if not segment.call(said):
                self._leave_segment(path)

    def _leave_segment(self, path: PathId) -> None:
        segment = self.segments.pop(path, None)
        if segment is not None:
            segment.close()

    def _watch_again(self) -> None:
        """Sockets of paths came or went: tell the selector."""
        for key in list(self.selector.get_map().values()):
            if key.data == "path":
                self.selector.unregister(key.fileobj)
        self.watched = {path: path_socket.socket for path, path_socket in self.paths.items()}
        for opened in self.watched.values():
            if opened is not None:
                self.selector.register(opened, selectors.EVENT_READ, "path")

    def _drain_paths(self, judged: Instant) -> None:
        self.flooded = False
        for path, path_socket in self.paths.items():
            for _ in range(DATAGRAMS_PER_TURN):
                try:
                    datagram = path_socket.receive()
                except OSError as error:
                    self._receive_failure(path, error)
                    break
                if datagram is None:
                    break
                self._received(judged, path, datagram)
            else:
                self.flooded = True

    def _received(self, judged: Instant, path: PathId, datagram: bytes) -> None:
        at = clock()
        match self.link.receive(path, datagram):
            case HeartbeatHeard(incarnation, sequence, heartbeat):
                self.receive_failed.discard(path)
                self.path_statistics.heard(path, incarnation, sequence, at, self.configuration.timing.interval)
                self.cluster.handle(judged, HeartbeatReceived(path, incarnation, sequence, at, heartbeat))
            case AcknowledgementHeard(incarnation, acknowledgement):
                self.cluster.handle(judged, AcknowledgementReceived(path, incarnation, at, acknowledgement))
            case Answer(answer):
                self.paths[path].send(answer)
            case Dropped(cause):
                self.path_statistics.dropped(path, cause)
            case Admitted():
                pass
        stranger = self.link.unadmitted
        if stranger is not None:
            primary = sum(1 << r.group for r in stranger.heartbeat.groups if r.state == GroupState.PRIMARY)
            echo = stranger.heartbeat.echo_sequence if stranger.heartbeat.echo_incarnation == self.link.incarnation else 0
            dead = stranger.heartbeat.timing.dead
            self.cluster.handle(judged, StrangerHeard(path, stranger.incarnation, at, primary, echo, dead))

    def _receive_failure(self, path: PathId, error: OSError) -> None:
        """Once per path until it is heard again; a refused connection repeats with every datagram."""
        self.path_statistics.failed(path)
        if path not in self.receive_failed:
            self.receive_failed.add(path)
            reason = error.strerror or str(error)
            self.syslog.send(socket_recv_hb_failure(reason, f"node{self.configuration.peer_id}"))

    # -- links, children ----------------------------------------------------------------------------------------

    def _look_at_links(self, force: bool = False) -> None:
        """Tell the core when a watched interface changed."""
        self.links.read_events()
        up = sum(1 << bit for bit, name in enumerate(self.links.interfaces) if self.links.is_up(name))
        if force or up != self.cluster.interfaces_up:
            self.cluster.handle(clock(), WatchedInterfacesChanged(up))

    def _drain_children(self, judged: Instant) -> None:
        for data in self._messages(self.resources.parent):
            message = children.decode(data)
            if isinstance(message, children.ConfigurationLoaded):
                self._reconfigure(judged, message.configuration)
            elif isinstance(message, children.RetireWanted):
                self.retirement.order(judged)
        for data in self._messages(self.resources.kernel):
            message = children.decode(data)
            if isinstance(message, children.Repaired):
                self.syslog.send(foreign_change_repaired(message.object))
            elif isinstance(message, children.RethsRefused):
                self._judge_reths(judged, message.names)
            elif isinstance(message, children.Notice):
                self.syslog.send(notice(message.text))
        for remark in (*self.monitors.drain(judged), *self.services.drain(judged)):
            self.syslog.send(remark)
        for data in self._messages(self.resources.sessions):
            self._session_process_said(judged, children.decode(data))
        for data in self._messages(self.resources.gateway):
            self._send_reply(self._answer(judged, engine_link.decode(data)))

    def _messages(self, channel: socket.socket) -> Iterator[bytes]:
        """Asking a channel that the selector found empty would cost more than all the rest of a quiet turn."""
        return _messages(channel) if channel in self.ready else iter(())

    # -- sessions -------------------------------------------------------------------------------------------------

    def _session_process_said(self, now: Instant, message: children.Message) -> None:
        if isinstance(message, children.SessionsReported):
            self.session_status = message.status
            self.coverage.reported(now, message.status.covered)
            if message.started:
                self.ownership_told = None
            up = message.status.on and message.status.peer
            if up != self.cluster.session_link_up:
                self.cluster.handle(now, SessionLinkChanged(up))
        elif isinstance(message, children.Drained) and message.number == self.drain_number:
            self.cluster.handle(now, SessionsDrained())
        elif isinstance(message, children.Notice):
            self.syslog.send(notice(message.text))

    def _judge_coverage(self, now: Instant) -> None:
        """The cold-sync monitor of each group follows from what the session process says, or from its silence."""
        failing = self.coverage.failing(now, self.cluster.groups, self._owned())
        for group in sorted(failing - self.uncovered):
            self.cluster.handle(now, MonitorFailed(group, FailureCode.CS, "sessions", FULL_WEIGHT))
        for group in sorted(self.uncovered - failing):
            self.cluster.handle(now, MonitorRecovered(group, FailureCode.CS, "sessions"))
        self.uncovered = failing

    def _judge_reths(self, now: Instant, refused: tuple[str, ...]) -> None:
        """A node that cannot have one of a group's reths serves that group worse than a node that has them all."""
        failing = frozenset((reth.group, reth.name) for reth in self.configuration.reths if reth.name in refused)
        for group, name in sorted(failing - self.refused_reths):
            self.cluster.handle(now, MonitorFailed(group, FailureCode.IF, name, FULL_WEIGHT))
        for group, name in sorted(self.refused_reths - failing):
            self.cluster.handle(now, MonitorRecovered(group, FailureCode.IF, name))
        self.refused_reths = failing

    def _tell_ownership(self) -> None:
        """Kept until the session process takes it; it asks again after a restart."""
        told = children.OwnershipTold(tuple(sorted(self._owned())), self.cluster.peer.heartbeat is not None)
        if told == self.ownership_told:
            return
        with contextlib.suppress(OSError):
            self.resources.sessions.send(children.encode(told), socket.MSG_DONTWAIT)
            self.ownership_told = told

    def _drain_sessions(self) -> None:
        self.drain_number += 1
        with contextlib.suppress(OSError):
            self.resources.sessions.send(children.encode(children.DrainRequested(self.drain_number)), socket.MSG_DONTWAIT)

    def _reconfigure(self, now: Instant, configuration: ClusterConfiguration) -> None:
        before = {**self.link_ends, **self.hello_interfaces}
        self.configuration = configuration
        self.selector.unregister(self.links)
        self.links.close()
        self.links = LinkMonitor(configuration.watched_interfaces)
        self.selector.register(self.links, selectors.EVENT_READ)
        self.announcer.reconfigure(now, configuration)
        for recovered in self.segment_watch.forget():
            self.cluster.handle(now, recovered)
        self.segment_watch = SegmentWatch(configuration, now)
        self.syslog.reconfigure(configuration.syslog_hosts)
        self.watchdog.reconfigure(configuration.watchdog_device, configuration.watchdog_timeout_s)
        self.coverage.configured(configuration.session_synchronization.on)
        self.link_ends, self.hello_interfaces = _link_ends(configuration), _hello_interfaces(configuration)
        after = {**self.link_ends, **self.hello_interfaces}
        for path in [p for p, address in before.items() if after.get(p) != address]:
            self.paths.pop(path).close()
        self._watch_again()
        self.cluster.handle(now, ConfigurationChanged(configuration))
        for remark in self.schedule.reconfigure(now, configuration):
            self.syslog.send(remark)

    def _answer(self, now: Instant, message: engine_link.Message) -> engine_link.Message | None:
        match message:
            case engine_link.StatusRequested(number):
                conditions = {path: cause.value for path, cause in self.link.path_conditions.items()}
                drops = {cause.value: count for cause, count in self.link.drops.items()}
                status = self.cluster.status(now, conditions, drops)
                return engine_link.StatusReported(number, self._with_statistics(now, status))
            case engine_link.FailoverCommanded(number, group, node, by):
                refusal = self.cluster.refuse_failover(now, group, node)
                if refusal is None:
                    self.cluster.handle(now, FailoverRequested(group, node))
                text = refusal or f"Initiated manual failover for redundancy group {group}"
                self.cluster.commanded(now, by, f"failover redundancy-group {group} node {node}", refusal is None, text)
                return engine_link.CommandReplied(number, refusal is None, text)
            case engine_link.FailoverResetCommanded(number, group, by):
                reply = self._reset(now, number, group)
                which = "" if group is None else f" redundancy-group {group}"
                self.cluster.commanded(now, by, f"failover reset{which}", reply.ok, reply.text)
                return reply
            case engine_link.FailoverCountsCleared(number, by):
                self.cluster.handle(now, FailoverCountCleared())
                text = "Cleared failover-count for all redundancy-groups"
                self.cluster.commanded(now, by, "clear failover-count", True, text)
                return engine_link.CommandReplied(number, True, text)
            case engine_link.StatisticsCleared(by=by):
                reply = self.statistics.clear(message, self.session_status)
                self.cluster.commanded(now, by, "clear statistics", reply.ok, reply.text)
                return reply
            case engine_link.InformationCleared(number, by):
                self.cluster.commanded(now, by, INFORMATION_CLEARED, True, "Cleared information")
                return engine_link.CommandReplied(number, True, "Cleared information")
            case engine_link.ServiceFailuresCleared(number, group, by):
                if group is not None and group not in self.cluster.groups:
                    return engine_link.CommandReplied(number, False, f"Redundancy group {group} is not configured")
                ok = self.services.forget(group)
                text = "Cleared failures of services" if ok else "error: the services process does not take it; try again"
                self.cluster.commanded(now, by, "clear service-failures", ok, text)
                return engine_link.CommandReplied(number, ok, text)
            case engine_link.StateRequested(number):
                self.state_asked.append(number)
                return None
            case engine_link.SynchronizationTold(difference):
                self._configuration_differs(now, difference)
                return None
            case engine_link.CheckpointWanted():
                self.cluster.checkpoint_wanted = True
                return None
            case _:
                return node_orders.carry_out(now, self.cluster, message)

    def _with_statistics(self, now: Instant, status: ClusterStatus) -> ClusterStatus:
        interfaces = {path: ends[0] for path, ends in self.link_ends.items()} | self.hello_interfaces
        rows = [(path, name, self.cluster.path_up(now, path)) for path, name in interfaces.items()]
        arbitration = status.arbitration
        if arbitration is not None and arbitration.kind == WITNESS:
            arbitration = msgspec.structs.replace(arbitration, answers=self.monitors.witness_answers)
        return msgspec.structs.replace(
            status,
            sessions=self.statistics.sessions(self.session_status),
            services=self.services.services,
            schedule=self.schedule.status(now),
            paths=self.path_statistics.rows(now, rows),
            lateness_ns=self.lateness.worst(now),
            lateness_counts=tuple(self.lateness.counts),
            lateness_sum_ns=self.lateness.sum,
            arbitration=arbitration,
            log=self.syslog.queues("engine"),
            fabric_in_use=self.fabric.index,
        )

    def _configuration_differs(self, now: Instant, difference: str) -> None:
        """Shown with every group, and counted in none: a node with an older configuration is better than no node."""
        for number, group in self.cluster.groups.items():
            failed = (FailureCode.CF, "configuration") in group.failures
            if difference and not failed:
                self.cluster.handle(now, MonitorFailed(number, FailureCode.CF, "configuration", 0, difference))
            elif failed and not difference:
                self.cluster.handle(now, MonitorRecovered(number, FailureCode.CF, "configuration"))

    def _reset(self, now: Instant, number: int, group: int | None) -> engine_link.CommandReplied:
        groups = sorted(self.cluster.groups) if group is None else [group]
        lines = []
        for one in groups:
            known = self.cluster.groups.get(one)
            if known is None:
                return engine_link.CommandReplied(number, False, f"Redundancy group {one} is not configured")
            if known.manual:
                self.cluster.handle(now, FailoverReset(one))
                lines.append(f"Successfully reset manual failover for redundancy group {one}")
            else:
                lines.append(f"No reset required for redundancy group {one}.")
        return engine_link.CommandReplied(number, True, "\n".join(lines))

    def _report_state(self, now: Instant) -> None:
        if self.state_asked:
            state = checkpoint.encode(self.cluster)
            for number in self.state_asked:
                self._send_reply(engine_link.StateReported(number, now, wall_offset(), state))
            self.state_asked.clear()

    def _send_reply(self, reply: engine_link.Message | None) -> None:
        if reply is not None:
            # A gateway that does not read loses its answer, and says so itself after its own time-out.
            with contextlib.suppress(OSError):
                self.resources.gateway.send(engine_link.encode(reply), socket.MSG_DONTWAIT)

    def _send_roles(self) -> None:
        """Newest role per group; kept until the kernel process takes it."""
        for group, role in list(self.roles.items()):
            try:
                self.resources.kernel.send(children.encode(role), socket.MSG_DONTWAIT)
            except OSError:
                return
            del self.roles[group]

    # -- hands ----------------------------------------------------------------------------------------------------

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case SendAcknowledgement(path, acknowledgement):
                    self.paths[path].send(self.link.acknowledgement(path, acknowledgement))
                case SendHeartbeat(sequence, heartbeat):
                    for path, path_socket in self.paths.items():
                        if path_socket.socket is not None:
                            self.said[path] = self.link.heartbeat(path, sequence, heartbeat)
                            self.path_statistics.sent(path, sequence, path_socket.send(self.said[path]))
                case StoreLease():
                    self._store(action)
                case Announce(group, repeat):
                    self.announcer.announce(clock(), group, repeat)
                case ChangeRole(group, state, generation):
                    self.roles[group] = children.RoleChanged(group, state == GroupState.PRIMARY, generation)
                case AskWitness():
                    pass  # The monitors process is told when the turn ends.
                case StopServices():
                    pass  # The services process is told with the roles, when the turn ends.
                case DrainSessions():
                    self._drain_sessions()
                case Log(message):
                    self.syslog.send(message)
                case Reboot():
                    self._tell_parent(children.RebootWanted())
                case Stop():
                    self.stopped = True
                case _:
                    assert_never(action)

    def _tell_parent(self, message: children.Message) -> None:
        with contextlib.suppress(OSError):
            self.resources.parent.send(children.encode(message), socket.MSG_DONTWAIT)

    def _store(self, lease: StoreLease) -> None:
        if self.lease_map is not None:
            self.lease_map.store(
                lease.group,
                lease.deadline,
                lease.state,
                lease.generation,
                lease.acknowledged_at,
                lease.last_heard,
                lease.alone,
            )

    def _on_terminate(self, _signal: int, _frame: object) -> None:
        self.terminated = True


def _drain(readable: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while readable.recv(64):
            pass


def _messages(channel: socket.socket) -> Iterator[bytes]:
    """At most 64 messages waiting on a SEQPACKET channel."""
    for _ in range(64):
        try:
            data = channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            return
        yield data
