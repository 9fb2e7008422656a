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
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import msgspec

from jsrpd import __version__
from jsrpd.core.actions import (
    Action,
    Announce,
    ChangeRole,
    DrainSessions,
    Log,
    SendAcknowledgement,
    SendHeartbeat,
    Stop,
    StoreLease,
)
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import (
    AcknowledgementReceived,
    ConfigurationChanged,
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    HeartbeatReceived,
    MonitorFailed,
    MonitorRecovered,
    SessionLinkChanged,
    SessionsDrained,
    ShutdownRequested,
    SocketsDrained,
    WatchedInterfacesChanged,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.data_plane.announcements import gratuitous_arp, switch_frame, unsolicited_na
from jsrpd.kernel.gate import LeaseMap
from jsrpd.kernel.link_events import LinkMonitor
from jsrpd.kernel.packet_socket import FrameSocket
from jsrpd.kernel.path_socket import PathSocket
from jsrpd.kernel.segment_socket import SegmentSocket
from jsrpd.management import children, engine_link
from jsrpd.messages.catalogue import foreign_change_repaired, notice, socket_recv_hb_failure
from jsrpd.model.addressing import CONTROL_PORT, FABRIC_PORT, control_address, fabric_address_link_local
from jsrpd.model.configuration import ClusterConfiguration, Reth
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, PathId
from jsrpd.model.roles import FULL_WEIGHT, FailureCode, GroupState
from jsrpd.model.status import SessionStatus
from jsrpd.model.time import MILLISECOND, Duration, Instant
from jsrpd.processes.realtime import make_punctual
from jsrpd.processes.syslog import SyslogSender
from jsrpd.sessions.coverage import Coverage
from jsrpd.wire.link import AcknowledgementHeard, Admitted, Answer, Dropped, HeartbeatHeard, Link

DATAGRAMS_PER_TURN = 64
CARRIER_POLL: Duration = 3 * MILLISECOND
ANNOUNCEMENT_SPREAD: Duration = 100 * MILLISECOND
LOG_RETRY: Duration = 250 * MILLISECOND
LOOK_AROUND: Duration = 500 * MILLISECOND
"""How often a silent path is searched for nodes of another cluster."""


@dataclass(frozen=True, slots=True)
class EngineResources:
    """What the parent hands to an engine. The sockets outlive it, so that a restarted engine continues."""

    parent: socket.socket
    kernel: socket.socket
    gateway: socket.socket
    sessions: socket.socket
    lease_map: LeaseMap | None
    configuration: ClusterConfiguration
    key: bytes
    syslog_path: Path
    copy_log: bool


def clock() -> Instant:
    """Boot-time clock of this node, the one the gate program reads."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def run(resources: EngineResources) -> None:
    """Run until told to stop. Called in the forked child."""
    engine = Engine(resources)
    engine.run()


@dataclass
class Announcer:
    """Frames for the reths of each group and when their repetitions are due."""

    configuration: ClusterConfiguration
    sockets: dict[str, FrameSocket] = field(default_factory=dict)
    frames: dict[str, list[bytes]] = field(default_factory=dict)
    due: list[tuple[Instant, int]] = field(default_factory=list)

    def reconfigure(self, configuration: ClusterConfiguration) -> None:
        """Forget sockets and frames; they are made again at the next use."""
        self.configuration = configuration
        for frame_socket in self.sockets.values():
            frame_socket.close()
        self.sockets.clear()
        self.frames.clear()
        for reth in configuration.reths:
            self.frames[reth.name] = _announcement_frames(reth)

    def announce(self, now: Instant, group: int, repeat: bool) -> None:
        """One frame per virtual MAC first, which moves the switch's table, then every address (SPEC 7, takeover)."""
        for reth in self._reths(group):
            self._send(reth, [switch_frame(reth.mac)])
        for reth in self._reths(group):
            self._send(reth, self.frames[reth.name])
        if repeat:
            count = self.configuration.group(group).gratuitous_arp_count
            self.due += [(now + n * ANNOUNCEMENT_SPREAD, group) for n in range(1, count)]

    def repeat(self, now: Instant, owned: set[int]) -> None:
        """Send the repetitions that are due for groups still owned."""
        ready = [group for at, group in self.due if at <= now]
        self.due = [(at, group) for at, group in self.due if at > now]
        for group in sorted(set(ready) & owned):
            self.announce(now, group, repeat=False)

    def deadline(self) -> Instant | None:
        """When the next repetition is due."""
        return min((at for at, _ in self.due), default=None)

    def _reths(self, group: int) -> Iterator[Reth]:
        return (reth for reth in self.configuration.reths if reth.group == group)

    def _send(self, reth: Reth, frames: list[bytes]) -> None:
        for _attempt in range(2):
            if reth.name not in self.sockets:
                try:
                    self.sockets[reth.name] = FrameSocket(reth.name)
                except OSError:
                    return
            if self.sockets[reth.name].send(frames) == len(frames):
                return
            # The reth may have been made anew under the same name: the old socket is bound to the old index.
            self.sockets.pop(reth.name).close()


def _announcement_frames(reth: Reth) -> list[bytes]:
    frames: list[bytes] = []
    for address in reth.addresses:
        if ":" in address.address:
            frames.append(unsolicited_na(reth.mac, address.address))
        else:
            frames.extend(gratuitous_arp(reth.mac, address.address))
    return frames


class Engine:
    """The loop and its hands. Decisions are the core's."""

    def __init__(self, resources: EngineResources) -> None:
        self.resources = resources
        self.configuration = resources.configuration
        self.lease_map = resources.lease_map
        self.syslog = SyslogSender(resources.syslog_path, self.configuration.syslog_hosts, resources.copy_log)
        self.selector = selectors.SelectSelector()
        self.paths: dict[PathId, PathSocket] = {}
        self.receive_failed: set[PathId] = set()
        self.segments: dict[PathId, SegmentSocket] = {}
        self.said: dict[PathId, bytes] = {}
        """The newest heartbeat of each path as it was sent, to be called out again on a silent cable."""
        self.look_around_at: Instant = 0
        self.links = LinkMonitor(self.configuration.watched_interfaces)
        self.announcer = Announcer(self.configuration)
        self.announcer.reconfigure(self.configuration)
        self.roles: dict[int, children.RoleChanged] = {}
        self.terminated = False
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
        self.cluster = Cluster(self.configuration, now, self.link.incarnation, self._adoptable(now), __version__)
        self.coverage = Coverage(now, self.configuration.session_synchronization.on)
        self.uncovered: frozenset[int] = frozenset()
        self.ownership_told: children.OwnershipTold | None = None
        self.session_status: SessionStatus | None = None
        self.drain_number = 0

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
        channels = (self.resources.parent, self.resources.kernel, self.resources.gateway, self.resources.sessions)
        for readable in (wake_read, *channels, self.links):
            self.selector.register(readable, selectors.EVENT_READ)
        self._open_paths(clock())
        for sentence in make_punctual():
            self.syslog.send(notice(sentence))
        self._look_at_links(force=True)
        self._turn(clock(), 0)
        while not self.stopped:
            wanted = self._wanted()
            woken_by_input = self._sleep_until(wanted)
            judged = clock()
            if woken_by_input:
                _drain(wake_read)
            elif judged < self._turn_wanted and not self._look_at_links():
                continue
            late = 0 if woken_by_input else max(0, judged - wanted)
            self._turn(judged, late)
        self.syslog.flush()

    def _wanted(self) -> Instant:
        """When to wake: the core's deadline, the carrier poll, an announcement, a log retry."""
        now = clock()
        core = self.cluster.deadline()
        others = [self.announcer.deadline(), self.coverage.deadline(), now + LOG_RETRY if self.syslog.pending else None]
        turns = [at for at in (core, *others) if at is not None]
        if any(path.socket is None for path in self.paths.values()):
            turns.append(now + 20 * MILLISECOND)
        self._turn_wanted = min(turns, default=now + LOG_RETRY)
        poll = min(CARRIER_POLL, self.configuration.timing.interval)
        return min(self._turn_wanted, now + poll)

    def _sleep_until(self, wanted: Instant) -> bool:
        """True when input woke us."""
        return bool(self.selector.select(max(0, wanted - clock()) / 1e9))

    def _turn(self, judged: Instant, late: Duration) -> None:
        self._drain_paths(judged)
        self._drain_children(judged)
        self._look_at_links()
        if self.terminated:
            self.cluster.handle(judged, ShutdownRequested())
        self._judge_coverage(judged)
        self._perform(self.cluster.handle(judged, SocketsDrained(clock(), late)))
        self._tell_ownership()
        self.announcer.repeat(judged, self._owned())
        if self.syslog.pending:
            self.syslog.flush()
        self._send_roles()
        self._open_paths(judged)
        if judged >= self.look_around_at:
            self.look_around_at = judged + LOOK_AROUND
            self._look_around(judged)

    def _owned(self) -> set[int]:
        return {g.number for g in self.cluster.groups.values() if g.state == GroupState.PRIMARY}

    # -- paths --------------------------------------------------------------------------------------------------

    def _open_paths(self, now: Instant) -> None:
        for path, (interface, local, peer, port) in self._path_addresses().items():
            if path not in self.paths:
                self.paths[path] = PathSocket(interface, local, peer, port)
        for path_socket in self.paths.values():
            before = path_socket.socket
            if path_socket.ensure_open(now) and before is not path_socket.socket:
                self._watch_again()

    def _path_addresses(self) -> dict[PathId, tuple[str, str, str, int]]:
        c = self.configuration
        paths: dict[PathId, tuple[str, str, str, int]] = {}
        for control in c.control_links:
            derived = [control_address(c.cluster_id, control.index, node) for node in (c.node_id, c.peer_id)]
            local, peer = control.local_address or derived[0], control.peer_address or derived[1]
            paths[control.index] = (control.interface, local, peer, CONTROL_PORT)
        for fabric in c.fabric_links:
            own, other = (fabric_address_link_local(c.cluster_id, fabric.index, n) for n in (c.node_id, c.peer_id))
            paths[FIRST_FABRIC_PATH + fabric.index] = (fabric.interface, own, other, FABRIC_PORT)
        return paths

    def _look_around(self, now: Instant) -> None:
        """On silent paths with derived addresses: call, and see whether somebody of another cluster calls."""
        for path, (interface, local, _peer, port) in self._path_addresses().items():
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
        for path_socket in self.paths.values():
            if path_socket.socket is not None:
                self.selector.register(path_socket.socket, selectors.EVENT_READ, "path")

    def _drain_paths(self, judged: Instant) -> None:
        for path, path_socket in self.paths.items():
            open_before = path_socket.socket
            for _ in range(DATAGRAMS_PER_TURN):
                try:
                    datagram = path_socket.receive()
                except OSError as error:
                    self._receive_failure(path, error)
                    break
                if datagram is None:
                    break
                self._received(judged, path, datagram)
            if path_socket.socket is not open_before:
                self._watch_again()

    def _received(self, judged: Instant, path: PathId, datagram: bytes) -> None:
        at = clock()
        match self.link.receive(path, datagram):
            case HeartbeatHeard(incarnation, sequence, heartbeat):
                self.receive_failed.discard(path)
                self.cluster.handle(judged, HeartbeatReceived(path, incarnation, sequence, at, heartbeat))
            case AcknowledgementHeard(incarnation, acknowledgement):
                self.cluster.handle(judged, AcknowledgementReceived(path, incarnation, at, acknowledgement))
            case Answer(answer):
                self.paths[path].send(answer)
            case Admitted() | Dropped():
                pass

    def _receive_failure(self, path: PathId, error: OSError) -> None:
        """Once per path until it is heard again; a refused connection repeats with every datagram."""
        if path not in self.receive_failed:
            self.receive_failed.add(path)
            reason = error.strerror or str(error)
            self.syslog.send(socket_recv_hb_failure(reason, f"node{self.configuration.peer_id}"))

    # -- links, children ----------------------------------------------------------------------------------------

    def _look_at_links(self, force: bool = False) -> bool:
        """Tell the core when a watched interface changed; True when one did."""
        self.links.read_events()
        self.links.poll_carrier()
        up = sum(1 << bit for bit, name in enumerate(self.links.interfaces) if self.links.is_up(name))
        if not force and up == self.cluster.interfaces_up:
            return False
        self.cluster.handle(clock(), WatchedInterfacesChanged(up))
        return True

    def _drain_children(self, judged: Instant) -> None:
        for data in _messages(self.resources.parent):
            message = children.decode(data)
            if isinstance(message, children.ConfigurationLoaded):
                self._reconfigure(judged, message.configuration)
        for data in _messages(self.resources.kernel):
            message = children.decode(data)
            if isinstance(message, children.Repaired):
                self.syslog.send(foreign_change_repaired(message.object))
            elif isinstance(message, children.Notice):
                self.syslog.send(notice(message.text))
        for data in _messages(self.resources.sessions):
            self._session_process_said(judged, children.decode(data))
        for data in _messages(self.resources.gateway):
            self._send_reply(self._answer(judged, engine_link.decode(data)))

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
        before = self._path_addresses()
        self.configuration = configuration
        self.selector.unregister(self.links)
        self.links.close()
        self.links = LinkMonitor(configuration.watched_interfaces)
        self.selector.register(self.links, selectors.EVENT_READ)
        self.announcer.reconfigure(configuration)
        self.syslog.reconfigure(configuration.syslog_hosts)
        self.coverage.configured(configuration.session_synchronization.on)
        after = self._path_addresses()
        for path in [p for p, address in before.items() if after.get(p) != address]:
            self.paths.pop(path).close()
        self._watch_again()
        self.cluster.handle(now, ConfigurationChanged(configuration))

    def _answer(self, now: Instant, message: engine_link.Message) -> engine_link.Message | None:
        match message:
            case engine_link.StatusRequested(number):
                conditions = {path: cause.value for path, cause in self.link.path_conditions.items()}
                drops = {cause.value: count for cause, count in self.link.drops.items()}
                status = self.cluster.status(now, conditions, drops)
                return engine_link.StatusReported(number, msgspec.structs.replace(status, sessions=self.session_status))
            case engine_link.FailoverCommanded(number, group, node):
                refusal = self.cluster.refuse_failover(now, group, node)
                if refusal is None:
                    self.cluster.handle(now, FailoverRequested(group, node))
                text = refusal or f"Initiated manual failover for redundancy group {group}"
                return engine_link.CommandReplied(number, refusal is None, text)
            case engine_link.FailoverResetCommanded(number, group):
                return self._reset(now, number, group)
            case engine_link.FailoverCountsCleared(number):
                self.cluster.handle(now, FailoverCountCleared())
                return engine_link.CommandReplied(number, True, "Cleared failover-count for all redundancy-groups")
            case _:
                return None

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
                            path_socket.send(self.said[path])
                case StoreLease():
                    self._store(action)
                case Announce(group, repeat):
                    self.announcer.announce(clock(), group, repeat)
                case ChangeRole(group, state, generation):
                    self.roles[group] = children.RoleChanged(group, state == GroupState.PRIMARY, generation)
                case DrainSessions():
                    self._drain_sessions()
                case Log(message):
                    self.syslog.send(message)
                case Stop():
                    self.stopped = True
                case _:
                    assert_never(action)

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
