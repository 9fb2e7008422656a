"""Scenarios drawn from seeds. The seed first decides which kinds of fault exist in its run, then when they strike.

A run is a safety phase, in which the faults strike, and a liveness phase, in which everything is healed and the cluster must come
to rest. In every fourth run only one bad thing happens at a time, on links that are good or lose very little, so that what a single
fault may cost can be judged. What is drawn is a scenario text: a failing seed is read, shrunk and kept as one.

Three faults of the specification cannot reach the core and are not drawn. Steps of the wall clock: nothing decides by it, and
the boot-time clock does not step. Plans of the kernel process that are slow or fail: the core is never told of them. A peer that
speaks no common wire version, or a datagram that does not authenticate: dropped and counted by the envelope, hence ``corruption``.
"""

import hashlib
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from jsrpd.core.cluster import Cluster
from jsrpd.model.time import MICROSECOND, MILLISECOND, SECOND, Duration, Instant, Timing
from simulator import checkers, node_rules, rules
from simulator.checkers import Violation
from simulator.history import History
from simulator.node import ClusterFactory
from simulator.replay import replay
from simulator.scenario import NODES, Run, Scenario, written

TIMINGS = ((10, 3), (10, 5), (100, 3), (100, 5), (1000, 3))
PRIORITIES = ("1 1", "200 100", "100 200")
LONGEST_STOP_S = 1
"""Of the services of a group."""
CODES = ("IP", "SP", "HW", "CS")


CHECKERS: tuple[Callable[[History], list[Violation]], ...] = (
    checkers.one_owner,
    checkers.one_primary_after_healing,
    checkers.no_owner,
    checkers.standby_death_costs_nothing,
    checkers.no_failover_when_late,
    checkers.transitions,
    checkers.bounded_state,
    rules.hold_down,
    rules.preemption,
    rules.manual_failover,
    rules.unfit_yields,
    rules.pairs,
    rules.election,
    rules.first_up,
    rules.lost_datagram_costs_nothing,
    node_rules.preempt_limit,
    node_rules.disabled_in_time,
    node_rules.groups_together,
)


@dataclass
class Result:
    """One run. ``digest`` covers every line of the trace."""

    scenario: Scenario
    history: History
    violations: list[Violation] = field(default_factory=list)
    partition_overlaps: int = 0
    digest: str = ""


class Swarm:
    """One seed's scenario in the making."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        # Of its own, so that a seed's other strikes are what they were before there were services.
        self.services_rng = random.Random(seed ^ 0x5E41)
        self.services_share = self.services_rng.choice((0, 0.5))
        # Likewise: one run in four has an arbiter, and strikes of its own.
        self.arbiter_rng = random.Random(seed ^ 0xA4B1)
        self.arbitration = self.arbiter_rng.choice(("none",) * 6 + ("probe", "witness"))
        self.interval_ms, self.threshold = self.rng.choice(TIMINGS)
        self.timing = Timing(self.interval_ms * MILLISECOND, self.threshold)
        self.control = self.rng.choice((1, 1, 1, 1, 2, 2, 3))
        self.fabric = self.rng.choice((0, 0, 0, 1, 1, 2))
        # Hold-downs and preempt delays come in whole seconds: a hundred intervals of 10 ms each, so seldom drawn there.
        self.seconds = (0, 1) if self.rng.random() < (0.6 if self.interval_ms >= 100 else 0.25) else (0,)
        # How a node leaves the cluster and comes back, and whether groups move together: as the vendor has it in one run of three.
        self.recovery = self.rng.choice(("rejoin", "rejoin", "reboot", "manual"))
        self.mode = self.rng.choice(("active-active", "active-active", "active-backup"))
        self.monitoring = self.rng.choice(("on", "on", "off"))
        self.groups = {number: self._group(number) for number in range(self.rng.randint(1, 4))}
        self.paths = [f"control{n}" for n in range(self.control)] + [f"fabric{n}" for n in range(self.fabric)]
        self.kinds: dict[str, Callable[[], Iterator[str]]] = {
            "cut": self._cut,
            "one way": self._one_way,
            "flap": self._flap,
            "links": self._links_change,
            "pause": self._pause,
            "pause in turn": self._pause_in_turn,
            "machine pause": self._machine_pause,
            "starve": self._starve,
            "kill": self._kill,
            "kill in turn": self._kill_in_turn,
            "power off": self._power_off,
            "stop": self._stop,
            "interface": self._interface,
            "monitor": self._monitor,
            "monitor flap": self._monitor_flap,
            "failover": self._failover,
            "reset": self._reset,
            "panic": self._panic,
            "maintenance": self._maintenance,
            "clear": self._clear,
            "links lost": self._links_lost,
            "commit": self._commit,
            "session link": self._session_link,
            "drained": self._drained,
        }
        self.strikes: list[tuple[Instant, str]] = []
        self.now: Instant = 0
        self.committed_at: Instant = 0
        self.until: Instant = 0

    def draw(self) -> Scenario:
        """The whole text."""
        rng, timing = self.rng, self.timing
        lines = [f"seed {self.seed}", f"cluster heartbeat-interval {self.interval_ms} heartbeat-threshold {self.threshold}"]
        lines[-1] += f" control-links {self.control} fabric-links {self.fabric}"
        lines[-1] += f" fabric-monitoring {self.monitoring} control-link-recovery {self.recovery} disable-after 1"
        lines[-1] += f" redundancy-mode {self.mode}"
        lines += self._arbiter(lines)
        lines += [f"group {number} {words}{self._services()}" for number, words in self.groups.items()]
        for node in NODES:
            lines.append(f"clock {node} offset {rng.randrange(1, 10**6)}s rate {rng.randint(-200, 200)}")
            self.strikes.append((rng.randrange(timing.start_up_hold), f"{node} start"))
        start = timing.start_up_hold + 3 * timing.dead if rng.random() < 0.8 else 0
        self.until = 2 * timing.start_up_hold + 33 * timing.dead
        mood = rng.choice(("one at a time", "calm", "rough", "rough"))
        lines += [*self._nodes(mood), *self._links(mood)]
        if mood == "one at a time":
            self._one_at_a_time(start)
        else:
            self._many(start, calm=mood == "calm")
        self._arbiter_strikes(start)
        self.strikes.sort(key=lambda strike: strike[0])
        lines += [f"at {written(at)} {words}" for at, words in self.strikes]
        lines += [f"at {written(self.until)} calm", f"until {written(self.until + self._settle() + 3 * timing.dead)}"]
        return Scenario(f"seed-{self.seed}", "\n".join(lines) + "\n")

    def _arbiter(self, lines: list[str]) -> Iterator[str]:
        """Beside one of the nodes mostly: a cut between the nodes is one from the arbiter as well."""
        if self.arbitration == "none":
            return
        rng, timing = self.arbiter_rng, self.timing
        lines[-1] += f" arbitration {self.arbitration}"
        beside = rng.choice((" beside node0", " beside node1", "") if self.arbitration == "probe" else ("",))
        delay = written(rng.choice((20 * MICROSECOND, timing.interval // 50)))
        yield f"arbiter{beside} delay {delay} loss {rng.choice((0, 0, 1))} ttl {written(timing.dead * rng.choice((2, 4)))}"

    def _arbiter_strikes(self, start: Instant) -> None:
        """It is cut off from one node or both; half of the time a node is cut off from everything at once."""
        if self.arbitration == "none":
            return
        rng, dead = self.arbiter_rng, self.timing.dead
        at = start + round(rng.expovariate(1 / (4 * dead)))
        while at < self.until:
            length = written(round(dead * rng.choice((0.3, 0.6, 1, 1.1, 3, 6)) * rng.uniform(0.9, 1.1)))
            whom = rng.choice(("", " from node0", " from node1"))
            self.strikes.append((at, f"cut arbiter{whom} for {length}"))
            if rng.random() < 0.5:
                apart = rng.choice((0, 0, round(dead * rng.uniform(-1, 1))))
                self.strikes.append((max(start, at + apart), f"cut all for {length}"))
            at += round(rng.expovariate(1 / (8 * dead)))

    def _settle(self) -> Duration:
        """More than ``settle_time`` after any commit of this run."""
        timing = self.timing
        longest = max(self.seconds) + LONGEST_STOP_S
        settle = 10 * timing.dead + 3 * timing.grace + timing.start_up_hold + 35 * timing.interval + 3 * longest * SECOND
        return settle + (0 if self.recovery == "rejoin" else 40 * timing.interval + timing.start_up_hold + SECOND)

    # -- the cluster ----------------------------------------------------------------------------------------------

    def _group(self, number: int) -> str:
        rng = self.rng
        words = f"priorities {rng.choice(PRIORITIES)} hold-down {rng.choice(self.seconds)}"
        if number and rng.random() < 0.3:
            words += f" preempt delay {rng.choice(self.seconds)}"
            words += f" limit {rng.choice((1, 2))} period {rng.choice((1, 5))}" if rng.random() < 0.3 else ""
        if number and rng.random() < 0.8:
            words += f" monitor ge-{number} {rng.choice((100, 255))}"
        return words

    def _services(self) -> str:
        """Of some groups, and in one of two runs of none."""
        return f" service {LONGEST_STOP_S}" if self.services_rng.random() < self.services_share else ""

    def _nodes(self, mood: str) -> Iterator[str]:
        rng, timing = self.rng, self.timing
        for node in NODES:
            words = f"node {node} wake-latency {rng.choice(('0us', '100us'))}"
            words += " polls-carrier" if rng.random() < 0.5 else ""
            stop = self.services_rng.choice(("", "1ms", "300ms", "900ms"))
            words += f" services-stop {stop}" if stop else ""
            if rng.random() < 0.6:
                # Prompt, slower than the drain waits, or never.
                words += f" sessions{rng.choice((' drained-within 1ms', ' drained-within 20ms', ' drained-within 120ms', ''))}"
            if mood == "rough" and rng.random() < 0.3:
                length = rng.choice((500 * MICROSECOND, timing.slop * 2, timing.interval))
                words += f" stalls 2 {written(length)}"
            yield words

    def _links(self, mood: str) -> Iterator[str]:
        """All alike, or each path with faults of its own."""
        for paths in ["all"] if self.rng.random() < 0.5 else self.paths:
            yield f"links {paths} {self._quality(mood)}"

    def _quality(self, mood: str) -> str:
        rng, interval = self.rng, self.timing.interval
        rough = mood == "rough"
        loss = rng.choice((0, 0, 1, 5, 20)) if rough else rng.choice((0, 0.3, 1)) if mood == "one at a time" else 0
        jitter = rng.choice((0, interval // 20, interval // 2 if rough else 0))
        tail = rng.choice((0, 0, 1, 10)) if rough else 0
        return (
            f"delay {written(rng.choice((50 * MICROSECOND, interval // 30)))} jitter {written(jitter)} loss {loss}"
            f" corruption {rng.choice((0, 0, 2)) if rough else 0} duplication {rng.choice((0, 0, 10)) if rough else 0}"
            f" tail {tail} {written(2 * self.timing.dead)}"
        )

    # -- when -----------------------------------------------------------------------------------------------------

    def _many(self, start: Instant, calm: bool) -> None:
        """Each kind that exists strikes by itself, at random."""
        rng, dead = self.rng, self.timing.dead
        for kind in [kind for kind in self.kinds if rng.random() < (0.12 if calm else 0.3)]:
            mean = rng.choice((9 * dead, 20 * dead) if calm else (2 * dead, 5 * dead, 12 * dead))
            self.now = start + self._after(mean)
            while self.now < self.until:
                self._strike(kind)
                self.now += self._after(mean)

    def _one_at_a_time(self, start: Instant) -> None:
        """Few kinds, seldom, each when what came before is over."""
        timing = self.timing
        kinds = self.rng.sample(sorted(self.kinds), 3)
        apart = 8 * timing.dead + max(self.seconds) * SECOND
        self.now = start + apart // 2 + self._after(timing.dead)
        while self.now < self.until:
            self._strike(self.rng.choice(kinds))
            self.now += apart + self._after(timing.dead)

    def _strike(self, kind: str) -> None:
        self.strikes += [(self.now, words) for words in self.kinds[kind]()]

    def _after(self, mean: Duration) -> Duration:
        return round(self.rng.expovariate(1 / mean)) + 1

    def _length(self) -> Duration:
        """From a twentieth of an interval to four dead times, evenly over the magnitudes, and often near L and T."""
        timing = self.timing
        if self.rng.random() < 0.3:
            around = self.rng.choice((timing.lease, timing.dead, timing.lease_silence, timing.interval))
            return round(around * self.rng.uniform(0.9, 1.1))
        low, high = timing.interval / 20, timing.dead * 4
        return round(low * math.exp(math.log(high / low) * self.rng.random()))

    def _for(self) -> str:
        return written(self._length())

    def _node(self) -> str:
        return self.rng.choice(NODES)

    # -- network --------------------------------------------------------------------------------------------------

    def _cut(self) -> Iterator[str]:
        kinds = ["all", "all", "control", *self.paths]
        yield f"cut {self.rng.choice(kinds)} for {self._for()}"

    def _one_way(self) -> Iterator[str]:
        yield f"cut {self.rng.choice(('all', *self.paths))} from {self._node()} for {self._for()}"

    def _flap(self) -> Iterator[str]:
        """Several cuts of one period, as far apart."""
        period = max(MICROSECOND, round(self.timing.interval * self.rng.uniform(0.1, 3)))
        way = self.rng.choice(("", " from node0", " from node1"))
        for n in range(self.rng.randint(2, 10)):
            self.strikes.append((self.now + 2 * n * period, f"cut all{way} for {written(period)}"))
        yield from ()

    def _links_change(self) -> Iterator[str]:
        """One path gets worse or better for good."""
        yield f"links {self.rng.choice(self.paths)} from {self._node()} {self._quality('rough')}"

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _pause(self) -> Iterator[str]:
        yield f"{self._node()} pause {self._for()}"

    def _machine_pause(self) -> Iterator[str]:
        yield f"{self._node()} pause {self._for()} machine"

    def _pause_in_turn(self) -> Iterator[str]:
        yield f"{self._node()} pause {self._for()} in-turn {self.rng.randrange(12)}"

    def _starve(self) -> Iterator[str]:
        yield f"{self._node()} starve {written(round(self.timing.interval * self.rng.uniform(0.1, 1.5)))} for {self._for()}"

    def _kill(self) -> Iterator[str]:
        yield f"{self._node()} kill back {self._for()}"

    def _kill_in_turn(self) -> Iterator[str]:
        yield f"{self._node()} kill in-turn {self.rng.randrange(12)} back {self._for()}"

    def _power_off(self) -> Iterator[str]:
        yield f"{self._node()} power-off back {written(SECOND // 2 + self._length())}"

    def _stop(self) -> Iterator[str]:
        yield f"{self._node()} stop back {self._for()}{self.rng.choice(('', ' empty'))}"

    # -- what is watched ------------------------------------------------------------------------------------------

    def _interface(self) -> Iterator[str]:
        names = [words.split("monitor ")[1].split()[0] for words in self.groups.values() if "monitor" in words]
        names += [f"fab{n}" for n in range(self.fabric)]
        if names:
            yield f"{self._node()} interface {self.rng.choice(names)} down for {self._for()}"

    def _monitor(self) -> Iterator[str]:
        yield self._failure(self._node(), self._length())

    def _monitor_flap(self) -> Iterator[str]:
        """One monitor fails and recovers again and again, as slowly as its rise and fall let it."""
        period = round(self.timing.interval * self.rng.uniform(0.3, 3))
        words = self._failure(self._node(), period)
        for n in range(self.rng.randint(2, 8)):
            self.strikes.append((self.now + 2 * n * period, words))
        yield from ()

    def _failure(self, node: str, length: Duration) -> str:
        group, code = self.rng.choice(list(self.groups)), self.rng.choice(CODES)
        return f"{node} monitor {group} {code} probe failed {self.rng.choice((100, 255))} for {written(length)}"

    # -- the operator ---------------------------------------------------------------------------------------------

    def _failover(self) -> Iterator[str]:
        group = self.rng.choice(list(self.groups))
        yield f"{self._node()} request failover redundancy-group {group} node {self.rng.randrange(2)}"

    def _reset(self) -> Iterator[str]:
        yield f"{self._node()} request failover reset redundancy-group {self.rng.choice(list(self.groups))}"

    def _panic(self) -> Iterator[str]:
        """Something breaks, and the operator types on both nodes what comes to mind."""
        broken = self.rng.choice((self._kill, self._cut, self._one_way, self._stop, self._interface, self._pause))
        yield from broken()
        for _ in range(self.rng.randint(1, 5)):
            command = self.rng.choice((self._failover, self._failover, self._reset, self._clear))
            self.strikes += [(self.now + self._after(self.timing.dead // 2), words) for words in command()]

    def _clear(self) -> Iterator[str]:
        what = self.rng.choice(("failover-count", f"preempt-count redundancy-group {self.rng.choice(list(self.groups))}"))
        yield f"{self._node()} clear {what}"

    def _maintenance(self) -> Iterator[str]:
        node = self._node()
        self.strikes.append((self.now + self._length(), f"{node} maintenance off"))
        yield f"{node} maintenance on"

    def _links_lost(self) -> Iterator[str]:
        """All of one kind, for long enough that a node is disabled for it, and an operator who may be too early."""
        kinds = ["control", "fabric"] if self.fabric else ["control"]
        self.strikes.append((self.now + SECOND + 2 * self._length(), f"{self._node()} request rejoin"))
        yield f"cut {self.rng.choice(kinds)} for {written(SECOND + 4 * self._length())}"

    def _session_link(self) -> Iterator[str]:
        yield f"{self._node()} session-link down for {self._for()}"

    def _drained(self) -> Iterator[str]:
        """An answer of the sessions process that nobody waits for, or waits for no longer."""
        yield f"{self._node()} sessions drained"

    def _commit(self) -> Iterator[str]:
        """A commit reaches one node, and the other a while later; the next does not begin before."""
        if self.now < self.committed_at:
            return
        if self.rng.random() < 0.4:
            near = [t for t in TIMINGS if t[0] <= self.interval_ms and t[0] * 10 >= self.interval_ms]
            interval, threshold = self.rng.choice(near)
            what = f"commit cluster heartbeat-interval {interval} heartbeat-threshold {min(threshold, self.threshold)}"
        else:
            number = self.rng.choice(list(self.groups))
            what = f"commit group {number} {self._group(number)}"
        first, second = self.rng.sample(NODES, 2)
        yield f"{first} {what}"
        self.committed_at = self.now + self._length()
        self.strikes.append((self.committed_at, f"{second} {what}"))


def simulate(seed: int, factory: ClusterFactory = Cluster, recording: bool = False) -> Result:
    """Run one seed and check it."""
    return judged(Swarm(seed).draw(), factory, recording)


def judged(scenario: Scenario, factory: ClusterFactory = Cluster, recording: bool = False) -> Result:
    """Run a scenario and apply every checker."""
    history = Run(scenario, factory, recording).play()
    violations = [violation for check in CHECKERS for violation in check(history)]
    if recording:
        violations += replay(history, factory)
    trace = "\n".join([*history.trace(), str(history.datagrams)])
    digest = hashlib.sha256(trace.encode()).hexdigest()
    return Result(scenario, history, violations, checkers.partition_overlaps(history), digest)


def trace_before(history: History, at: Instant, lines: int = 30) -> list[str]:
    """The last lines of the trace up to 1 ms after ``at``."""
    limit = at + MILLISECOND
    trace = [line for line in history.trace() if _time_of(line) <= limit]
    return trace[-lines:]


def _time_of(line: str) -> Instant:
    whole, fraction = line.split(" ", 1)[0].split(".")
    return int(whole) * MILLISECOND + int(fraction) * MICROSECOND
