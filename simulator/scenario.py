"""Scenarios as text: the cluster, its clocks and links, and what happens when. Tests and failing seeds are written so.

    seed N
    cluster [heartbeat-interval MS] [heartbeat-threshold N] [control-links N] [fabric-links N] [fabric-monitoring on|off]
        [control-link-recovery rejoin|reboot|manual] [disable-after S] [redundancy-mode active-active|active-backup]
        [arbitration probe|witness|none]
    arbiter [beside NODE] [delay D] [loss PERCENT] [ttl D]
    group N [priorities NODE0 NODE1] [hold-down S] [preempt [delay S] [limit N period S]] [monitor IF WEIGHT]...
        [service TIMEOUT]
    clock NODE offset DURATION rate PPM
    node NODE [polls-carrier] [wake-latency DURATION] [stalls PERCENT DURATION] [services-stop D] [sessions [drained-within D]]
    links PATHS [from NODE] [delay D] [jitter D] [loss PERCENT] [corruption PERCENT] [duplication PERCENT] [tail PERCENT D]
    at TIME links ...                                         as above; what is not named stays
    at TIME cut PATHS [from NODE] [for D] | heal PATHS [from NODE] | delay PATHS D [from NODE]
    at TIME cut arbiter [from NODE] [for D] | heal arbiter [from NODE]
    at TIME start
    at TIME calm                                              everything whole again: the liveness phase begins
    at TIME NODE start
    at TIME NODE stop | kill | power-off [in-turn N] [back D [empty]]
    at TIME NODE pause D [machine] [in-turn N]
    at TIME NODE starve D for D                               wakes up to D late
    at TIME NODE interface IF down [for D] | up
    at TIME NODE monitor RG CODE NAME failed WEIGHT [for D] | recovered
    at TIME NODE request failover redundancy-group N node M
    at TIME NODE request failover reset redundancy-group N
    at TIME NODE clear failover-count
    at TIME NODE clear preempt-count redundancy-group N
    at TIME NODE request rejoin
    at TIME NODE maintenance on|off                           kept over restarts
    at TIME NODE session-link up | down [for D]
    at TIME NODE sessions drained
    at TIME NODE services stopped RG                          where it was not said how long they take
    at TIME NODE status                                       for transcripts
    at TIME NODE commit cluster ... | group ...               this node only: the other's commit is a line of its own
    until TIME

PATHS is all, control, fabric, or one link: control0, fabric1 and so on. An arbiter ``beside`` a node is reached by the other one
only while a path between the nodes carries both ways. ``kill`` ends the engine and leaves the kernel's gates to
their leases; ``power-off`` ends both. ``in-turn N`` strikes before the N-th step of the node's next turns; ``back`` starts the
engine again that long after it is down, ``empty`` without the map. A seed matters only where something is left to chance.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import (
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    PreemptCountCleared,
    RejoinRequested,
    ServicesStopped,
    ShutdownRequested,
)
from jsrpd.model.configuration import (
    Arbitration,
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    GroupConfiguration,
    InterfaceMonitor,
    Preempt,
    Service,
)
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, MAX_PATHS
from jsrpd.model.roles import RG0, FailureCode, RedundancyMode
from jsrpd.model.time import MICROSECOND, MILLISECOND, SECOND, Duration
from simulator.arbiter import Arbiter
from simulator.clock import NodeClock
from simulator.history import History
from simulator.network import Direction
from simulator.node import REBOOT, ClusterFactory, SimulatedNode
from simulator.replay import elements
from simulator.world import World

NODES = ("node0", "node1")
UNITS = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
VERBS = ("seed", "arbiter", "cluster", "group", "clock", "node", "links", "at", "until")

ARBITRATIONS = {
    "none": None,
    "probe": Arbitration(probes=("192.0.2.9",)),
    "witness": Arbitration(endpoints=("http://192.0.2.9:2379",)),
}

Words = list[str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Statements, one a line; ``#`` begins a comment."""

    name: str
    script: str

    def __post_init__(self) -> None:
        for line in self.script.splitlines():
            words = line.split("#")[0].split()
            if words and words[0] not in VERBS:
                raise ValueError(f"{self.name}: {line}")

    def statements(self, verb: str) -> Iterator[Words]:
        """Words behind ``verb`` of each line that begins with it."""
        for line in self.script.splitlines():
            words = line.split("#")[0].split()
            if words and words[0] == verb:
                yield words[1:]


def duration(text: str) -> Duration:
    """``700ms``, ``1.5s`` in nanoseconds."""
    unit = text.lstrip("0123456789.")
    return round(float(text.removesuffix(unit)) * UNITS[unit])


def written(length: Duration) -> str:
    """A duration as scenarios have it, to the microsecond."""
    return f"{length // MILLISECOND}.{length % MILLISECOND // MICROSECOND:03}ms"


# -- the cluster ----------------------------------------------------------------------------------------------------


def configurations(scenario: Scenario) -> tuple[ClusterConfiguration, ClusterConfiguration]:
    """Both nodes' configurations; group 0 exists whether it is mentioned or not."""
    groups = {group.group: group for group in map(_group, scenario.statements("group"))}
    groups.setdefault(RG0, GroupConfiguration(RG0))
    words = [word for statement in scenario.statements("cluster") for word in statement]
    first, second = (
        _cluster(
            ClusterConfiguration(
                cluster_id=1,
                node_id=node,
                control_links=(ControlLink(0, "ctl0"),),
                fabric_links=(FabricLink(0, "fab0", "fab0"),),
                groups=tuple(groups[number] for number in sorted(groups)),
            ),
            words,
        )
        for node in (0, 1)
    )
    return first, second


def _cluster(configuration: ClusterConfiguration, words: Words) -> ClusterConfiguration:
    for key, value in zip(words[::2], words[1::2], strict=True):
        match key:
            case "heartbeat-interval":
                configuration = replace(configuration, heartbeat_interval_ms=int(value))
            case "heartbeat-threshold":
                configuration = replace(configuration, heartbeat_threshold=int(value))
            case "fabric-monitoring":
                configuration = replace(configuration, fabric_monitoring=value == "on")
            case "control-link-recovery":
                configuration = replace(configuration, control_link_recovery=value)
            case "disable-after":
                configuration = replace(configuration, disable_after_s=int(value))
            case "redundancy-mode":
                configuration = replace(configuration, redundancy_mode=RedundancyMode[value.upper().replace("-", "_")])
            case "arbitration":
                configuration = replace(configuration, arbitration=ARBITRATIONS[value])
            case "control-links":
                configuration = replace(configuration, control_links=tuple(ControlLink(n, f"ctl{n}") for n in range(int(value))))
            case "fabric-links":
                links = tuple(FabricLink(n, f"fab{n}", f"fab{n}") for n in range(int(value)))
                configuration = replace(configuration, fabric_links=links)
            case _:
                raise ValueError(f"cluster {key}")
    return configuration


def _group(words: Words) -> GroupConfiguration:
    number, *rest = words
    group = GroupConfiguration(int(number))
    while rest:
        match rest:
            case ["priorities", first, second, *rest]:
                group = replace(group, priorities=(int(first), int(second)))
            case ["hold-down", seconds, *rest]:
                group = replace(group, hold_down_interval_s=int(seconds))
            case ["preempt", *rest]:
                group = replace(group, preempt=Preempt())
            case ["delay", seconds, *rest] if group.preempt:
                group = replace(group, preempt=replace(group.preempt, delay_s=int(seconds)))
            case ["limit", limit, "period", seconds, *rest] if group.preempt:
                group = replace(group, preempt=replace(group.preempt, limit=int(limit), period_s=int(seconds)))
            case ["monitor", interface, weight, *rest]:
                monitors = (*group.interface_monitors, InterfaceMonitor(interface, int(weight)))
                group = replace(group, interface_monitors=monitors, peer_interface_monitors=monitors)
            case ["service", seconds, *rest]:
                group = replace(
                    group, services=(*group.services, Service(f"s{len(group.services)}", "x.service", timeout_s=int(seconds)))
                )
            case _:
                raise ValueError(f"group {number}: {' '.join(rest)}")
    return group


def committed(configuration: ClusterConfiguration, words: Words) -> ClusterConfiguration:
    """The configuration after ``commit WORDS``."""
    match words:
        case ["cluster", *rest]:
            return _cluster(configuration, rest)
        case ["group", *rest]:
            new = _group(rest)
            groups = tuple(new if group.group == new.group else group for group in configuration.groups)
            return replace(configuration, groups=groups)
        case _:
            raise ValueError(f"commit {' '.join(words)}")


def _clocks(scenario: Scenario) -> tuple[NodeClock, NodeClock]:
    clocks = [NodeClock(), NodeClock()]
    for node, _, offset, _, rate in scenario.statements("clock"):
        clocks[NODES.index(node)] = NodeClock(duration(offset), int(rate))
    return clocks[0], clocks[1]


# -- what happens ---------------------------------------------------------------------------------------------------


def _arbiter(scenario: Scenario, seed: int) -> Arbiter:
    words = next(scenario.statements("arbiter"), [])
    arbiter = Arbiter(random.Random(seed ^ 0xA4B1), ttl=duration(_option(words, "ttl") or "2s"))
    beside = _option(words, "beside")
    arbiter.beside = NODES.index(beside) if beside else None
    arbiter.delay = duration(_option(words, "delay") or written(arbiter.delay))
    arbiter.loss = float(_option(words, "loss") or 0) / 100
    return arbiter


def _option(words: Words, name: str) -> str | None:
    return words[words.index(name) + 1] if name in words else None


class Run:
    """One run of a scenario. ``world`` after ``play`` holds its history."""

    def __init__(self, scenario: Scenario, factory: ClusterFactory = Cluster, recording: bool = False) -> None:
        self.scenario = scenario
        (seed,) = next(scenario.statements("seed"), ["0"])
        rng = random.Random(int(seed))
        arbiter = _arbiter(scenario, int(seed))
        self.world = World(configurations(scenario), rng, _clocks(scenario), factory, recording, arbiter)
        for words in scenario.statements("node"):
            self._set_node(words)
        for words in scenario.statements("links"):
            self._set_links(words)
        for at, *words in scenario.statements("at"):
            self.world.schedule(duration(at), self._strike, words)

    def play(self) -> History:
        """Everything up to ``until``."""
        for (until,) in self.scenario.statements("until"):
            self.world.run(duration(until))
        _measure(self.world)
        return self.world.history

    @property
    def history(self) -> History:
        """What the simulator recorded."""
        return self.world.history

    def _set_node(self, words: Words) -> None:
        node = self._node(words[0])
        node.polls_carrier = "polls-carrier" in words
        stop = _option(words, "services-stop")
        node.services_stop = duration(stop) if stop else None
        node.wake_latency = duration(_option(words, "wake-latency") or "0s")
        node.session_link_up = "sessions" in words
        drained = _option(words, "drained-within")
        node.drains_within = None if drained is None else duration(drained)
        if "stalls" in words:
            percent, length = words[words.index("stalls") + 1 :][:2]
            node.stall_probability, node.stall_length = float(percent) / 100, duration(length)

    def _set_links(self, words: Words) -> None:
        for way in self._directions(words[0], _option(words, "from")):
            way.delay = duration(_option(words, "delay") or written(way.delay))
            way.jitter = duration(_option(words, "jitter") or written(way.jitter))
            way.loss = float(_option(words, "loss") or way.loss * 100) / 100
            way.corruption = float(_option(words, "corruption") or way.corruption * 100) / 100
            way.duplication = float(_option(words, "duplication") or way.duplication * 100) / 100
            if "tail" in words:
                percent, length = words[words.index("tail") + 1 :][:2]
                way.tail, way.tail_delay = float(percent) / 100, duration(length)

    def _directions(self, kind: str, sender: str | None) -> Iterator[Direction]:
        kinds = {"control": range(FIRST_FABRIC_PATH), "fabric": range(FIRST_FABRIC_PATH, MAX_PATHS), "all": range(MAX_PATHS)}
        first = FIRST_FABRIC_PATH if kind.startswith("fabric") else 0
        paths = kinds.get(kind) or (first + int(kind[-1]),)
        for node in [NODES.index(sender)] if sender else range(2):
            yield from (way for path, way in self.world.network.links[node].items() if path in paths)

    def _node(self, name: str) -> SimulatedNode:
        return self.world.nodes[NODES.index(name)]

    def _strike(self, words: Words) -> None:
        match words:
            case ["cut", "arbiter", *rest]:
                self._cut_arbiter(_option(rest, "from"), _option(rest, "for"))
            case ["heal", "arbiter", *rest]:
                for number in _named(_option(rest, "from")):
                    self.world.arbiter.cuts[number] = 0
            case ["cut", kind, *rest]:
                self._cut(kind, _option(rest, "from"), _option(rest, "for"))
            case ["heal", kind, *rest]:
                for direction in self._directions(kind, _option(rest, "from")):
                    direction.cuts = 0
            case ["delay", kind, length, *rest]:
                for direction in self._directions(kind, _option(rest, "from")):
                    direction.delay = duration(length)
            case ["links", *what]:
                self._set_links(what)
            case ["start"]:
                for node in self.world.nodes:
                    node.start()
            case ["calm"]:
                heal(self.world)
            case [name, *what]:
                self._strike_node(self._node(name), what)

    def _cut(self, kind: str, sender: str | None, length: str | None) -> None:
        directions = list(self._directions(kind, sender))
        for direction in directions:
            direction.cuts += 1
        if length is None:
            return
        now, until = self.world.now, self.world.now + duration(length)
        self.world.history.disturb(f"{kind} cut{f' from {sender}' if sender else ''}", None, now, until)
        self.world.schedule(until, _whole, directions)

    def _cut_arbiter(self, whom: str | None, length: str | None) -> None:
        cuts, nodes = self.world.arbiter.cuts, _named(whom)
        for node in nodes:
            cuts[node] += 1
        now = self.world.now
        until = now + duration(length) if length else now
        self.world.history.disturb(f"arbiter cut{f' from {whom}' if whom else ''}", None, now, until)
        if length:
            self.world.schedule(until, _reachable, cuts, nodes)

    def _strike_node(self, node: SimulatedNode, words: Words) -> None:
        world = self.world
        match words:
            case ["start"]:
                node.start()
            case ["stop" | "kill" | "power-off" | "pause", *_]:
                self._armed(node, words)
            case ["starve", latency, "for", length]:
                node.starve(duration(latency), duration(length))
            case ["interface", name, "down", "for", length]:
                node.set_interface(name, False)
                world.schedule(world.now + duration(length), node.set_interface, name, True)
            case ["interface", name, "down" | "up" as state]:
                node.set_interface(name, state == "up")
            case ["monitor", group, code, name, "failed", weight, "for", length]:
                node.set_monitor(int(group), FailureCode[code], name, int(weight))
                world.schedule(world.now + duration(length), node.set_monitor, int(group), FailureCode[code], name, None)
            case ["monitor", group, code, name, "failed", weight]:
                node.set_monitor(int(group), FailureCode[code], name, int(weight))
            case ["monitor", group, code, name, "recovered"]:
                node.set_monitor(int(group), FailureCode[code], name, None)
            case ["request", "failover", "redundancy-group", group, "node", target]:
                world.history.disturb(f"operator failover RG{group} to node{target}", node.number, world.now)
                node.tell(FailoverRequested(int(group), int(target)))
            case ["request", "failover", "reset", "redundancy-group", group]:
                world.history.disturb(f"operator reset RG{group}", node.number, world.now)
                node.tell(FailoverReset(int(group)))
            case ["clear", "failover-count"]:
                world.history.disturb("operator clear", node.number, world.now)
                node.tell(FailoverCountCleared())
            case ["clear", "preempt-count", "redundancy-group", group]:
                world.history.disturb(f"operator clear preempt-count RG{group}", node.number, world.now)
                node.tell(PreemptCountCleared(int(group)))
            case ["request", "rejoin"]:
                world.history.disturb("operator rejoin", node.number, world.now)
                node.tell(RejoinRequested())
            case ["maintenance", "on" | "off" as state]:
                node.set_maintenance(state == "on")
            case ["session-link", "down", "for", length]:
                node.set_session_link(False)
                world.schedule(world.now + duration(length), node.set_session_link, True)
            case ["session-link", "up" | "down" as state]:
                node.set_session_link(state == "up")
            case ["services", "stopped", group]:
                node.tell(ServicesStopped(int(group)))
            case ["sessions", "drained"]:
                node.drained()
            case ["status"]:
                pass  # Only transcripts show it.
            case ["commit", *what]:
                node.commit(committed(node.configuration, what))
            case _:
                raise ValueError(f"node{node.number} {' '.join(words)}")

    def _armed(self, node: SimulatedNode, words: Words) -> None:
        """Faults that may strike in the middle of a turn."""
        back, empty = _option(words, "back"), "empty" in words
        restart = (duration(back), empty) if back else None
        strike: Callable[[], None]
        match words:
            case ["pause", length, *_]:
                strike = _bound(node.pause, duration(length), "machine" in words)
            case ["kill" | "power-off" as what, *_]:
                strike = _bound(node.crash, what == "power-off", restart)
            case _:
                node.back = restart or node.back
                self.world.history.disturb("told to stop", node.number, self.world.now)
                strike = _bound(node.tell, ShutdownRequested())
        steps = _option(words, "in-turn")
        if steps is None:
            strike()
        else:
            node.arm(int(steps), strike)


def _bound(do: Callable[..., None], *arguments: object) -> Callable[[], None]:
    return lambda: do(*arguments)


def _named(name: str | None) -> list[int]:
    return [NODES.index(name)] if name else [0, 1]


def _reachable(cuts: list[int], nodes: list[int]) -> None:
    for node in nodes:
        cuts[node] = max(0, cuts[node] - 1)


def _whole(directions: list[Direction]) -> None:
    for direction in directions:
        direction.cuts = max(0, direction.cuts - 1)


def settle_time(world: World) -> Duration:
    """Bound of promise 2: sleepers awake (5 T), restarts, start-up hold, recovery of a control link, hold-downs, preempt delay,
    services that end."""
    timing, groups = world.history.timing, [group for node in world.nodes for group in node.configuration.groups]
    hold_down = max(group.hold_down_interval_s for group in groups)
    delay = max(group.preempt.delay_s if group.preempt else 0 for group in groups)
    restart = 3 * timing.grace + timing.start_up_hold
    services = max(group.service_stop_limit_s for group in groups)
    if any(node.configuration.control_link_recovery != "rejoin" for node in world.nodes):
        restart += 40 * timing.interval + timing.start_up_hold + REBOOT
    return 10 * timing.dead + restart + 35 * timing.interval + (2 * hold_down + delay + 3 * services) * SECOND


def heal(world: World) -> None:
    """Everything whole again: links, the nodes awake, interfaces and monitors well, engines running."""
    timing = world.history.timing
    _measure(world)
    for direction in world.network.directions():
        direction.heal()
    world.arbiter.heal()
    for node in world.nodes:
        node.recover()
        node.set_maintenance(False)
        # Whoever was disabled, at the latest when the links had been well for 30 intervals, is taken back after that.
        world.schedule(world.now + timing.dead + 36 * timing.interval, node.tell, RejoinRequested())
        # Whoever was told to stop while it slept stops only when it wakes: it is started once more after that.
        services = max(group.service_stop_limit_s for group in node.configuration.groups) * SECOND
        for at in (3 * timing.grace, 5 * timing.dead + 3 * timing.grace, 5 * timing.dead + 3 * timing.grace + services):
            world.schedule(world.now + at, node.start)
    world.history.healed_at, world.history.settle = world.now, settle_time(world)


def _measure(world: World) -> None:
    """Note how much the cores hold."""
    for node in world.nodes:
        if node.up:
            world.history.sizes.append((world.now, node.number, elements(node.cluster)))
