"""Runs drawn from seeds. The seed first decides which kinds of fault exist in its run, then when they strike.

A run is a safety phase, in which the faults strike, and a liveness phase, in which everything is healed and the
cluster must come to rest.
"""

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import FailoverRequested, FailoverReset, ShutdownRequested
from jsrpd.model.configuration import (
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    GroupConfiguration,
    InterfaceMonitor,
    Preempt,
)
from jsrpd.model.time import MICROSECOND, MILLISECOND, SECOND, Duration, Instant
from simulator import checkers
from simulator.checkers import Violation
from simulator.clock import NodeClock
from simulator.history import History
from simulator.network import Direction
from simulator.node import ClusterFactory, SimulatedNode
from simulator.replay import elements, replay
from simulator.world import World

TIMINGS = ((10, 3), (10, 5), (100, 3), (100, 5), (1000, 3))
CHECKERS: tuple[Callable[[History], list[Violation]], ...] = (
    checkers.one_owner,
    checkers.one_primary_after_healing,
    checkers.no_owner,
    checkers.standby_death_costs_nothing,
    checkers.no_failover_when_late,
    checkers.transitions,
    checkers.bounded_state,
)


@dataclass
class Result:
    """One run. ``digest`` covers every line of the trace."""

    seed: int
    history: History
    violations: list[Violation] = field(default_factory=list)
    partition_overlaps: int = 0
    digest: str = ""


def configurations(rng: random.Random) -> tuple[ClusterConfiguration, ClusterConfiguration]:
    """A random cluster: timing, 1-2 control links, 0-1 fabric link, groups 0 to at most 3."""
    interval, threshold = rng.choice(TIMINGS)
    control = tuple(ControlLink(n, f"ctl{n}") for n in range(rng.choice((1, 1, 2))))
    fabric = (FabricLink(0, "fab0p", "fab0p"),) if rng.random() < 0.4 else ()
    groups = []
    # Hold-downs and preempt delays come in whole seconds: a hundred intervals of 10 ms each, so seldom drawn there.
    seconds = (0, 1) if rng.random() < (0.6 if interval >= 100 else 0.25) else (0,)
    for number in range(rng.randint(1, 4)):
        monitors = tuple(
            InterfaceMonitor(f"ge-{number}", rng.choice((100, 255))) for _ in range(1) if number and rng.random() < 0.8
        )
        preempt = Preempt(delay_s=rng.choice(seconds)) if number and rng.random() < 0.3 else None
        priorities = rng.choice(((1, 1), (200, 100), (100, 200)))
        groups.append(GroupConfiguration(number, priorities, preempt, rng.choice(seconds), 4, monitors, monitors))
    first, second = (
        ClusterConfiguration(
            cluster_id=1,
            node_id=node,
            heartbeat_interval_ms=interval,
            heartbeat_threshold=threshold,
            control_links=control,
            fabric_links=fabric,
            groups=tuple(groups),
        )
        for node in (0, 1)
    )
    return first, second


class Swarm:
    """The faults of one run."""

    def __init__(self, world: World, rng: random.Random, until: Instant) -> None:
        self.world = world
        self.rng = rng
        self.until = until
        self.timing = world.history.timing
        self.kinds: dict[str, Callable[[], None]] = {
            "cut": self._cut,
            "one way": self._one_way,
            "flap": self._flap,
            "pause": self._pause,
            "pause in turn": self._pause_in_turn,
            "machine pause": self._machine_pause,
            "kill": self._kill,
            "kill in turn": self._kill_in_turn,
            "power off": self._power_off,
            "stop": self._stop,
            "interface": self._interface,
            "failover": self._failover,
            "reset": self._reset,
        }

    def prepare(self) -> None:
        """Draw what exists in this run and schedule the first of each kind."""
        rng, dead = self.rng, self.timing.dead
        calm = rng.random() < 0.3
        existing = [kind for kind in self.kinds if rng.random() < (0.12 if calm else 0.4)]
        self._prepare_links(calm)
        for node in self.world.nodes:
            node.polls_carrier = rng.random() < 0.5
            node.wake_latency = rng.choice((0, 100 * MICROSECOND))
            if not calm and rng.random() < 0.3:
                node.stall_probability = 0.02
                node.stall_length = rng.choice((500 * MICROSECOND, self.timing.slop * 2, self.timing.interval))
        for kind in existing:
            mean = rng.choice((9 * dead, 20 * dead) if calm else (2 * dead, 5 * dead, 12 * dead))
            self._again(self.kinds[kind], mean)

    def _prepare_links(self, calm: bool) -> None:
        rng, interval = self.rng, self.timing.interval
        loss = 0.0 if calm else rng.choice((0.0, 0.0, 0.01, 0.05, 0.2))
        jitter = rng.choice((0, interval // 20, 0 if calm else interval // 2))
        tail = 0.0 if calm else rng.choice((0.0, 0.0, 0.01, 0.1))
        duplication = rng.choice((0.0, 0.0, 0.1))
        for direction in self.world.network.directions():
            direction.delay = rng.choice((50 * MICROSECOND, interval // 30))
            direction.loss, direction.jitter, direction.duplication = loss, jitter, duplication
            direction.tail, direction.tail_delay = tail, 2 * self.timing.dead

    def _again(self, fault: Callable[[], None], mean: Duration) -> None:
        at = self.world.now + round(self.rng.expovariate(1 / mean)) + 1
        if at >= self.until:
            return

        def strike() -> None:
            fault()
            self._again(fault, mean)

        self.world.schedule(at, strike)

    def _length(self) -> Duration:
        """From a twentieth of an interval to four dead times, evenly over the magnitudes, and often near L and T."""
        timing = self.timing
        if self.rng.random() < 0.3:
            around = self.rng.choice((timing.lease, timing.dead, timing.lease_silence, timing.interval))
            return round(around * self.rng.uniform(0.9, 1.1))
        low, high = timing.interval / 20, timing.dead * 4
        return round(low * math.exp(math.log(high / low) * self.rng.random()))

    def _node(self) -> SimulatedNode:
        return self.rng.choice(self.world.nodes)

    # -- network --------------------------------------------------------------------------------------------------

    def _cut_for(self, what: str, directions: list[Direction], length: Duration) -> None:
        if self.world.now >= self.until:
            return
        self.world.history.disturb(what, None, self.world.now, self.world.now + length)
        for direction in directions:
            direction.cut = True

        def heal() -> None:
            for direction in directions:
                direction.cut = False

        self.world.schedule(self.world.now + length, heal)

    def _cut(self) -> None:
        links = self.world.network.links
        if self.rng.random() < 0.5:
            self._cut_for("all paths cut", [*links[0].values(), *links[1].values()], self._length())
        else:
            path = self.rng.choice(self.world.network.paths)
            self._cut_for(f"path {path} cut", [links[0][path], links[1][path]], self._length())

    def _one_way(self) -> None:
        sender = self.rng.randrange(2)
        self._cut_for(f"cut from node{sender}", [*self.world.network.links[sender].values()], self._length())

    def _flap(self) -> None:
        links = self.world.network.links
        period = max(1, round(self.timing.interval * self.rng.uniform(0.1, 3)))
        ways = self.rng.choice(([*links[0].values()], [*links[1].values()], [*links[0].values(), *links[1].values()]))
        for n in range(self.rng.randint(2, 10)):
            self.world.schedule(self.world.now + n * 2 * period, self._cut_for, "flap", ways, period)

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _pause(self) -> None:
        self._node().pause(self._length())

    def _machine_pause(self) -> None:
        self._node().pause(self._length(), machine=True)

    def _pause_in_turn(self) -> None:
        node, length = self._node(), self._length()
        node.arm(self.rng.randrange(12), lambda: node.pause(length))

    def _start_later(self, node: SimulatedNode, delay: Duration) -> None:
        self.world.schedule(self.world.now + delay, node.start)

    def _kill(self) -> None:
        node = self._node()
        node.crash()
        self._start_later(node, self._length())

    def _kill_in_turn(self) -> None:
        node, length = self._node(), self._length()

        def strike() -> None:
            node.crash()
            self._start_later(node, length)

        node.arm(self.rng.randrange(12), strike)

    def _power_off(self) -> None:
        node = self._node()
        node.crash(power=True)
        self._start_later(node, SECOND // 2 + self._length())

    def _stop(self) -> None:
        node = self._node()
        self.world.history.disturb("told to stop", node.number, self.world.now)
        node.tell(ShutdownRequested())
        self._start_later(node, 3 * self.timing.grace + self._length())

    def _interface(self) -> None:
        node = self._node()
        names = node.configuration.watched_interfaces
        if not names:
            return
        name = self.rng.choice(names)
        node.set_interface(name, False)
        self.world.schedule(self.world.now + self._length(), node.set_interface, name, True)

    def _failover(self) -> None:
        node = self._node()
        group = self.rng.choice(self.world.history.groups)
        target = self.rng.randrange(2)
        self.world.history.disturb(f"operator failover RG{group} to node{target}", node.number, self.world.now)
        node.tell(FailoverRequested(group, target))

    def _reset(self) -> None:
        node = self._node()
        group = self.rng.choice(self.world.history.groups)
        self.world.history.disturb(f"operator reset RG{group}", node.number, self.world.now)
        node.tell(FailoverReset(group))


def heal(world: World) -> None:
    """Everything whole again: links, clocks' owners awake, interfaces up, engines running."""
    timing = world.history.timing
    for direction in world.network.directions():
        direction.heal()
    for node in world.nodes:
        node.disarm()
        node.stall_probability = 0.0
        node.frozen_until = min(node.frozen_until, world.now)
        node.deaf_until = min(node.deaf_until, world.now)
        for name in sorted(node.interfaces_down):
            node.set_interface(name, True)
        # Whoever was told to stop while it slept stops only when it wakes: it is started once more after that.
        for at in (3 * timing.grace, 5 * timing.dead + 3 * timing.grace):
            world.schedule(world.now + at, node.start)
    world.history.healed_at = world.now


def measure(world: World) -> None:
    """Note how much the cores hold."""
    for node in world.nodes:
        if node.up:
            world.history.sizes.append((world.now, node.number, elements(node.cluster)))


def settle_time(world: World) -> Duration:
    """Bound of promise 2: sleepers awake (5 T), restarts, start-up hold, recovery of a control link, hold-downs, preempt delay."""
    timing, groups = world.history.timing, world.nodes[0].configuration.groups
    hold_down = max(group.hold_down_interval_s for group in groups)
    delay = max(group.preempt.delay_s if group.preempt else 0 for group in groups)
    restart = 3 * timing.grace + timing.start_up_hold
    return 10 * timing.dead + restart + 35 * timing.interval + (2 * hold_down + delay) * SECOND


def simulate(seed: int, factory: ClusterFactory = Cluster, recording: bool = False) -> Result:
    """Run one seed and check it."""
    rng = random.Random(seed)
    drawn = configurations(rng)
    clocks = (
        NodeClock(rng.randrange(SECOND, 10**6 * SECOND), rng.randint(-200, 200)),
        NodeClock(rng.randrange(SECOND, 10**6 * SECOND), rng.randint(-200, 200)),
    )
    world = World(drawn, rng, clocks, factory, recording)
    timing = world.history.timing
    world.history.settle = settle_time(world)
    for node in world.nodes:
        world.schedule(rng.randrange(timing.start_up_hold), node.start)
    faults_from = timing.start_up_hold + 3 * timing.dead
    faults_until = faults_from + 40 * timing.dead + timing.start_up_hold
    swarm = Swarm(world, rng, faults_until)
    world.run(faults_from if rng.random() < 0.8 else 0)
    swarm.prepare()
    world.run(faults_until)
    measure(world)
    heal(world)
    world.run(faults_until + world.history.settle + 3 * timing.dead)
    measure(world)
    return judged(seed, world.history, factory, recording)


def judged(seed: int, history: History, factory: ClusterFactory, recording: bool) -> Result:
    """Apply every checker to a finished run."""
    violations = [violation for check in CHECKERS for violation in check(history)]
    if recording:
        violations += replay(history, factory)
    trace = "\n".join([*history.trace(), str(history.datagrams)])
    digest = hashlib.sha256(trace.encode()).hexdigest()
    return Result(seed, history, violations, checkers.partition_overlaps(history), digest)


def trace_before(history: History, at: Instant, lines: int = 30) -> list[str]:
    """The last lines of the trace up to 1 ms after ``at``."""
    limit = at + MILLISECOND
    trace = [line for line in history.trace() if _time_of(line) <= limit]
    return trace[-lines:]


def _time_of(line: str) -> Instant:
    whole, fraction = line.split(" ", 1)[0].split(".")
    return int(whole) * MILLISECOND + int(fraction) * MICROSECOND
