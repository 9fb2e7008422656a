"""A simulated node: an engine that drives the production core, and the kernel's gate map, which outlives the engine.

The engine's turn is a generator that can be interrupted before every datagram and every action, by a pause or for
good; so a list of actions may be half carried out, as on a starved or killed machine. Turns cost no time otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from jsrpd.core.actions import (
    Action,
    AskWitness,
    DrainSessions,
    Log,
    Reboot,
    SendAcknowledgement,
    SendHeartbeat,
    Stop,
    StopServices,
    StoreLease,
)
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import (
    AcknowledgementReceived,
    ConfigurationChanged,
    Event,
    FailoverRequested,
    HeartbeatReceived,
    MaintenanceSet,
    MonitorFailed,
    MonitorRecovered,
    ServicesStopped,
    SessionLinkChanged,
    SessionsDrained,
    SocketsDrained,
    StrangerHeard,
    WatchedInterfacesChanged,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import MILLISECOND, Duration, Instant
from simulator.arbiter import Asker
from simulator.clock import NodeClock
from simulator.history import Disturbance, Known, Life, Logged, Request, SlotWritten, Standing, Turn
from simulator.link import SimulatedLink
from simulator.network import Challenge, Datagram, Payload, Response

if TYPE_CHECKING:
    from simulator.world import World

DATAGRAMS_PER_TURN = 64
SOCKET_BUFFER = 500
"""Datagrams a socket holds; the kernel drops what does not fit."""
CARRIER_POLL: Duration = 3 * MILLISECOND
"""The engine looks at carrier this often, so it knows oversleep to this precision when it polls."""

REBOOT: Duration = 700 * MILLISECOND
"""From the order to the daemon's start: far less than a real one takes, so that a run need not wait."""
STATE_CHANGE = "JSRPD_RG_STATE_CHANGE"

ClusterFactory = Callable[[ClusterConfiguration, Instant, int, tuple[AdoptedLease, ...]], Cluster]


class SimulatedNode:
    """One node. Times are true time unless they come from ``clock()``."""

    def __init__(
        self, world: World, configuration: ClusterConfiguration, clock: NodeClock, factory: ClusterFactory = Cluster
    ) -> None:
        self.world = world
        self.configuration = configuration
        self.timing = configuration.timing
        self.number = configuration.node_id
        self.node_clock = clock
        self.factory = factory
        self.slots: dict[int, StoreLease] = {}
        self.interfaces_down: set[str] = set()
        self.monitors_failed: dict[tuple[int, FailureCode, str], int] = {}
        """What the monitors process would tell a new engine."""
        self.session_link_up = False
        """What the sessions process would tell a new engine."""
        self.drains_within: Duration | None = None
        """The sessions process answers a drain after a random time below; None: never."""
        self.back: tuple[Duration, bool] | None = None
        """How long after it is down the engine is started again, and whether the map is gone by then."""
        self.maintenance = False
        self.up = False
        self.powered = True
        self.asker = Asker(world, self)
        self.polls_carrier = False
        self.services_stop: Duration | None = None
        """What the services of a group need to end; None: nobody says when they have."""
        self.wake_latency: Duration = 0
        self.stall_probability = 0.0
        self.stall_length: Duration = 0
        self.starved_by: Duration = 0
        self.starved_until: Instant = 0
        self.frozen_until: Instant = 0
        self.deaf_until: Instant = 0
        self.cluster: Cluster
        self.link: SimulatedLink
        self._life: Life
        self._running = configuration
        """What the engine has taken."""
        self._armed: tuple[int, Callable[[], None]] | None = None
        self._inbox: dict[PathId, deque[Datagram]] = {path: deque() for path in world.network.paths}
        self._inputs: deque[Event] = deque()
        self._turn: Iterator[None] | None = None
        self._wake_at: Instant | None = None
        self._wake_token = 0
        self._asked: Instant = 0
        self._states: dict[int, GroupState] = {}
        self._standings = {group: world.history.standings[group, self.number] for group in world.history.groups}
        self._datagram_sequence = 0
        self._heartbeat: tuple[Incarnation, int, Heartbeat | None] = (0, 0, None)
        """Life, sequence and content of the newest heartbeat of the peer."""
        self._taken: Instant = 0
        self._newest_word: Instant = 0
        """When the newest that was heard of the peer was sent."""

    def clock(self) -> Instant:
        """Boot-time clock of this node."""
        return self.node_clock.read(self.world.now)

    # -- life and death -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine as production does: re-adopt unexpired leases of primaries, shut everything else."""
        if self.up:
            return
        if self.world.now < self.deaf_until:
            # Nothing starts on a machine that stands still.
            self.world.schedule(self.deaf_until, self.start)
            return
        now = self.clock()
        adopted = []
        for group in self.configuration.groups:
            pinned = self.slots.get(group.group)
            if pinned is not None and pinned.state == GroupState.PRIMARY and now <= pinned.deadline:
                adopted.append(
                    AdoptedLease(
                        pinned.group,
                        pinned.deadline,
                        pinned.state,
                        pinned.generation,
                        pinned.acknowledged_at,
                        pinned.last_heard,
                        pinned.alone,
                    )
                )
            else:
                generation = 0 if pinned is None else pinned.generation
                self._store(StoreLease(group.group, 0, GroupState.HOLD, generation, 0, 0, False))
        self.powered = True
        incarnation = self.world.next_incarnation()
        self.link = SimulatedLink(incarnation)
        self.cluster = self.factory(self.configuration, now, incarnation, tuple(adopted))
        self._life = Life(self.configuration, now, incarnation, tuple(adopted))
        self.world.history.lives.append(self._life)
        self.up = True
        self._armed = None
        self._running = self.configuration
        self._heartbeat = (0, 0, None)
        self._states = dict.fromkeys(self.cluster.groups, GroupState.HOLD)
        self._turn = None
        self._asked = now
        self._wake_at = None
        self.world.history.disturb("started", self.number, self.world.now)
        failed = [MonitorFailed(*where, weight) for where, weight in self.monitors_failed.items()]
        sessions = [SessionLinkChanged(True)] if self.session_link_up else []
        self._inputs = deque([WatchedInterfacesChanged(self._interfaces_up()), *sessions, *failed])
        if self.maintenance:
            self._inputs.append(MaintenanceSet(True))
        self._note_standings()
        self.wake()

    def crash(self, power: bool = False, back: tuple[Duration, bool] | None = None) -> None:
        """The engine is gone at once; with ``power`` so is the kernel with its map. ``back``: see there."""
        if self.up:
            self.back = back or self.back
            self._down("powered off" if power else "engine killed")
        if power:
            self.powered = False
            self.deaf_until = self.world.now
            self._lose_map()

    def _lose_map(self) -> None:
        """Without a map no gate is open."""
        for group in list(self.slots):
            self._store(StoreLease(group, 0, GroupState.HOLD, 0, 0, 0, False))
        self.slots.clear()

    def pause(self, duration: Duration, machine: bool = False) -> None:
        """Freeze the process, with ``machine`` its network reception too."""
        now = self.world.now
        if not self.up:
            return
        self.frozen_until = max(self.frozen_until, now + duration)
        if machine:
            self.deaf_until = max(self.deaf_until, now + duration)
        if self.polls_carrier:
            self._asked = min(self._asked, self.clock() + CARRIER_POLL)
        self.world.history.disturb("machine paused" if machine else "paused", self.number, now, now + duration)

    def arm(self, steps: int, fault: Callable[[], None]) -> None:
        """Let ``fault`` strike before the ``steps``-th step of this engine from now."""
        if self.up:
            self._armed = (steps, fault)

    def starve(self, latency: Duration, length: Duration) -> None:
        """For ``length`` every wake-up comes up to ``latency`` late: too many others want the processor."""
        now = self.world.now
        self.starved_by = max(latency, self.starved_by) if now < self.starved_until else latency
        self.starved_until = max(self.starved_until, now + length)
        self.world.history.disturb("starved", self.number, now, self.starved_until + self.starved_by)

    def recover(self) -> None:
        """Nothing ails this node any more, and what was to strike it does not."""
        now = self.world.now
        self._armed = None
        self.stall_probability = 0.0
        self.wake_latency = 0
        self.starved_until = now
        if self._turn is None:
            # In the middle of a turn its end is scheduled already: it is frozen until then, and known to be.
            self.frozen_until = min(self.frozen_until, now)
        self.deaf_until = min(self.deaf_until, now)
        for name in sorted(self.interfaces_down):
            self.set_interface(name, True)
        for where in list(self.monitors_failed):
            self.set_monitor(*where, None)

    def _down(self, why: str) -> None:
        self.up = False
        self._turn = None
        self.frozen_until = 0
        self._inputs.clear()
        for queue in self._inbox.values():
            queue.clear()
        self.world.history.disturb(why, self.number, self.world.now)
        for group in self.world.history.groups:
            self.world.history.standings[group, self.number].append(Standing(self.world.now, None, 0))
        if self.back is not None:
            delay, empty = self.back
            self.back = None
            if empty:
                self._lose_map()
            self.world.schedule(self.world.now + delay, self.start)

    # -- input ----------------------------------------------------------------------------------------------------

    def deliver(self, path: PathId, datagram: Datagram) -> None:
        """A datagram reached this node."""
        if not self.up or self.world.now < self.deaf_until:
            return
        queue = self._inbox[path]
        if len(queue) < SOCKET_BUFFER:
            queue.append(datagram)
        self.wake()

    def tell(self, event: Event) -> None:
        """The operator, a signal or the kernel has something for the engine."""
        if self.up:
            self._inputs.append(event)
            self.wake()

    def set_interface(self, name: str, up: bool) -> None:
        """An interface of this node changed its carrier."""
        before = self._interfaces_up()
        (self.interfaces_down.discard if up else self.interfaces_down.add)(name)
        after = self._interfaces_up()
        if after != before:
            self.world.history.disturb(f"interface {name} {'up' if up else 'down'}", self.number, self.world.now)
            self.tell(WatchedInterfacesChanged(after))

    def set_monitor(self, group: int, code: FailureCode, name: str, weight: int | None) -> None:
        """A monitored object of this node failed (``weight``) or is well again (None)."""
        if self.monitors_failed.get((group, code, name)) == weight:
            return
        what = f"monitor RG{group} {code.name} {name}"
        self.world.history.disturb(f"{what} {'recovered' if weight is None else 'failed'}", self.number, self.world.now)
        if weight is None:
            del self.monitors_failed[group, code, name]
            self.tell(MonitorRecovered(group, code, name))
        else:
            self.monitors_failed[group, code, name] = weight
            self.tell(MonitorFailed(group, code, name, weight))

    def set_maintenance(self, on: bool) -> None:
        """The operator's word, which the node keeps over its own death."""
        if on != self.maintenance:
            self.maintenance = on
            self.world.history.disturb(f"maintenance {'on' if on else 'off'}", self.number, self.world.now)
            self.tell(MaintenanceSet(on))

    def set_session_link(self, up: bool) -> None:
        """The sessions process of this node has found its peer's, or lost it."""
        if up != self.session_link_up:
            self.session_link_up = up
            self.tell(SessionLinkChanged(up))

    def drained(self) -> None:
        """The sessions process says that the peer has every session."""
        self.tell(SessionsDrained())

    def commit(self, configuration: ClusterConfiguration) -> None:
        """A new configuration, on this node."""
        self.configuration = configuration
        self.timing = configuration.timing
        self.world.history.committed(self.world.now, configuration)
        self.asker.start()
        self.tell(ConfigurationChanged(configuration))

    def _interfaces_up(self) -> int:
        names = self.configuration.watched_interfaces
        return sum(1 << bit for bit, name in enumerate(names) if name not in self.interfaces_down)

    # -- the loop -------------------------------------------------------------------------------------------------

    def wake(self, at: Instant | None = None) -> None:
        """Begin a turn now or at ``at``, unless one is under way or due earlier."""
        if self._turn is not None or not self.up:
            return
        at = self.world.now if at is None else max(at, self.world.now)
        latency = self.starved_by if self.world.now < self.starved_until else self.wake_latency
        at = max(at + self.world.up_to(latency), self.frozen_until)
        if self._wake_at is not None and self._wake_at <= at:
            return
        self._wake_at = at
        self._wake_token += 1
        self.world.schedule(at, self._woken, self._wake_token)

    def _woken(self, token: int) -> None:
        if token != self._wake_token or not self.up or self._turn is not None:
            return
        self._wake_at = None
        if self.world.now < self.frozen_until:
            self.wake()
            return
        self._turn = self._take_turn()
        self._advance(self._turn)

    def _advance(self, turn: Iterator[None]) -> None:
        """Run the turn to its end or its next interruption."""
        if turn is not self._turn:
            return
        if self.world.now < self.frozen_until:
            self.world.schedule(self.frozen_until, self._advance, turn)
            return
        for _ in turn:
            if self.up:
                self.world.schedule(self.frozen_until, self._advance, turn)
            return
        self._turn = None
        if not self.up:
            return
        wanted = self.cluster.deadline()
        if any(self._inbox.values()) or self._inputs:
            self._asked = self.clock()
            self.wake()
        elif wanted is not None:
            self._asked = wanted
            self.wake(self.node_clock.first_at(wanted))

    def _interrupted(self) -> bool:
        """A step is about to be done: whether a fault strikes before it."""
        if self._armed is not None:
            steps, fault = self._armed
            self._armed = (steps - 1, fault)
            if steps <= 0:
                self._armed = None
                fault()
                return True
        if self.stall_probability and self.world.rng.random() < self.stall_probability:
            self.frozen_until = max(self.frozen_until, self.world.now + self.world.up_to(self.stall_length))
            stall = Disturbance("stalled", self.number, self.world.now, self.frozen_until)
            self.world.history.disturbances.append(stall)
            return True
        return False

    def _take_turn(self) -> Iterator[None]:
        judged, began = self.clock(), self.world.now
        late = max(0, judged - self._asked)
        word = self._newest_word
        for path, queue in self._inbox.items():
            for _ in range(DATAGRAMS_PER_TURN):
                if not queue:
                    break
                if self._interrupted():
                    yield
                datagram = queue.popleft()
                if self._received(judged, path, datagram):
                    word = max(word, datagram.sent_at)
        while self._inputs:
            if self._interrupted():
                yield
            self._told(judged, self._inputs.popleft())
        if self._interrupted():
            yield
        for action in self._drained(judged, late, began):
            if self._interrupted():
                yield
            self._perform(action)
        if self.asker.wanted and not self.cluster.witness_wanted:
            # Of a former life, and this one does not want the key: it says so with every sign of life.
            self.asker.want(False)
        if word > self._newest_word:
            self._newest_word = word
            self.world.history.heard[self.number].append(self.world.now)
            self.world.history.words[self.number].append(word)

    def _received(self, judged: Instant, path: PathId, datagram: Datagram) -> bool:
        """Hand one datagram on; True when it is the peer's word and came within the lease."""
        at = self.clock()
        match self.link.receive(path, datagram):
            case Heartbeat() as heartbeat:
                event = HeartbeatReceived(path, datagram.incarnation, datagram.sequence, at, heartbeat)
                self._handle(judged, event)
                if datagram.incarnation != self._heartbeat[0] or datagram.sequence > self._heartbeat[1]:
                    self._heartbeat = (datagram.incarnation, datagram.sequence, heartbeat)
                    self._taken = self.world.now
            case Acknowledgement() as acknowledgement:
                self._handle(judged, AcknowledgementReceived(path, datagram.incarnation, at, acknowledgement))
                if datagram.incarnation != self._heartbeat[0]:
                    self._heartbeat = (datagram.incarnation, 0, None)
            case Challenge() | Response() as answer:
                self._send(path, self._next_sequence(), answer)
                if self.link.unadmitted is None:
                    return False
            case None if self.link.unadmitted is None:
                return False
        stranger = self.link.unadmitted
        if stranger is not None:
            primary = sum(1 << report.group for report in stranger.groups if report.state == GroupState.PRIMARY)
            echo = stranger.echo_sequence if stranger.echo_incarnation == self.link.incarnation else 0
            dead = stranger.timing.dead
            self._handle(judged, StrangerHeard(path, datagram.incarnation, at, primary, echo, dead))
        age = self.world.now - datagram.sent_at
        sender = self.world.nodes[1 - self.number]
        silent = not sender.up or sender.link.incarnation != datagram.incarnation or self.world.now < sender.frozen_until
        if age > self.timing.interval and silent:
            self.world.history.stale[self.number].append(self.world.now)
        return age <= self.timing.lease

    def _told(self, judged: Instant, event: Event) -> None:
        if isinstance(event, FailoverRequested):
            refusal = self.cluster.refuse_failover(judged, event.group, event.node)
            text = refusal or f"Initiated manual failover for redundancy group {event.group}"
            self.world.history.note(self.world.now, f"node{self.number} operator: {text}")
            self.world.history.requests.append(Request(self.world.now, self.number, event.group, event.node, refusal))
            if refusal is not None:
                return
        if isinstance(event, ConfigurationChanged):
            self._running = event.configuration
        self._handle(judged, event)

    def _handle(self, judged: Instant, event: Event) -> list[Action]:
        actions = self.cluster.handle(judged, event)
        if self.world.recording:
            self._life.turns.append((judged, event, actions, self.cluster.deadline()))
        return actions

    def _drained(self, judged: Instant, late: Duration, began: Instant) -> list[Action]:
        actions = self._handle(judged, SocketsDrained(self.clock(), late))
        known = self.world.history.known[self.number]
        if not known or known[-1].word is not self._heartbeat[2]:
            known.append(Known(self.world.now, began, self._taken, self._heartbeat[2]))
        logged = tuple([_logged(a) for a in actions if isinstance(a, Log) and a.message.tag == STATE_CHANGE])
        if self._note_standings() or logged:
            states = {number: group.state for number, group in self.cluster.groups.items()}
            changes = tuple((g, self._states[g], s) for g, s in states.items() if s != self._states[g])
            self._states = states
            priorities = {number: standings[-1].priority for number, standings in self._standings.items()}
            judged_by = Known(self.world.now, began, self._taken, self._heartbeat[2])
            self.world.history.turns.append(
                Turn(self.world.now, self.number, judged_by, self._running, priorities, changes, logged)
            )
        return actions

    def _note_standings(self) -> bool:
        """State and priority of each group for the history; True when any has changed."""
        changed = False
        for number, group in self.cluster.groups.items():
            standings = self._standings[number]
            priority = self.cluster.effective_priority(group)
            if standings[-1].state != group.state or standings[-1].priority != priority:
                standings.append(Standing(self.world.now, group.state, priority))
                changed = True
        return changed

    # -- output ---------------------------------------------------------------------------------------------------

    def _perform(self, action: Action) -> None:
        match action:
            case SendHeartbeat(sequence, heartbeat):
                for path in self._inbox:
                    self._send(path, sequence, heartbeat)
            case SendAcknowledgement(path, acknowledgement):
                self._send(path, self._next_sequence(), acknowledgement)
            case StoreLease():
                self._store(action)
            case Log(message):
                self.world.history.logs.append((self.world.now, self._life.incarnation, message))
                change = _logged(action) if message.tag == STATE_CHANGE else None
                text = f"RG{change.group} {change.old} -> {change.new}: {change.reason}" if change else None
                line = text or f"{message.tag}: {render_text(message)}"
                self.world.history.note(self.world.now, f"node{self.number} {line}")
            case StopServices(group):
                if self.services_stop is not None:
                    self.world.schedule(self.world.now + self.services_stop, self.tell, ServicesStopped(group))
            case AskWitness(wanted):
                self.asker.want(wanted)
            case Reboot():
                self.crash(True, (REBOOT, False))
            case DrainSessions() if self.drains_within is not None:
                self.world.schedule(self.world.now + self.world.up_to(self.drains_within), self.drained)
            case Stop():
                self._down("stopped")
            case _:
                pass

    def _next_sequence(self) -> int:
        self._datagram_sequence += 1
        return self._datagram_sequence

    def _send(self, path: PathId, sequence: int, payload: Payload) -> None:
        self.world.send(self.number, path, Datagram(self.link.incarnation, sequence, payload, self.world.now))

    def _store(self, lease: StoreLease) -> None:
        self.slots[lease.group] = lease
        until = self.node_clock.last_at(lease.deadline) if lease.deadline else -1
        self.world.history.slots[lease.group, self.number].append(SlotWritten(self.world.now, until, lease.state, lease.alone))


def _logged(log: Log) -> Logged:
    values = dict(log.message.values)
    return Logged(int(values["rg-id"]), values["old-state"], values["new-state"], values["reason"])
