"""Scenarios: two nodes of the production core, told what happens in a text file, and the transcript of what they did.

A scenario stands in ``tests/scenario/NAME.txt``: a comment that says what it shows, the cluster, what happens, a line of
dashes, the expected transcript. The time is simulated; the links take 200 µs each way and lose nothing of themselves.

    cluster [heartbeat-interval MS] [heartbeat-threshold N] [control-links N] [fabric-links N]
    group N [priorities NODE0 NODE1] [hold-down S] [preempt [delay S]] [monitor IF WEIGHT]...
    at TIME cut|heal PATHS [from NODE]
    at TIME delay PATHS DURATION [from NODE]
    at TIME start
    at TIME NODE start | stop | kill | power-off | pause DURATION | status
    at TIME NODE interface IF down|up
    at TIME NODE monitor RG CODE NAME failed WEIGHT | recovered
    at TIME NODE request failover redundancy-group N node M
    at TIME NODE request failover reset redundancy-group N
    at TIME NODE clear failover-count
    at TIME NODE session-link up|down
    at TIME NODE sessions drained
    until TIME

PATHS is all, control, fabric, or one control link: control0 and so on. ``kill`` ends the engine and leaves the kernel's
gates to their leases; ``power-off`` ends both. ``python -m tests.scenario.runner --rewrite [NAME...]`` writes the expected
part anew; read the difference and explain it.
"""

import argparse
import difflib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from jsrpd.core.actions import Action, Announce, ChangeRole, DrainSessions, Log, Stop
from jsrpd.core.events import (
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    MonitorFailed,
    MonitorRecovered,
    SessionLinkChanged,
    SessionsDrained,
    ShutdownRequested,
)
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import (
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    GroupConfiguration,
    InterfaceMonitor,
    Preempt,
)
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, MAX_PATHS
from jsrpd.model.roles import RG0, FailureCode, GroupState, render_codes
from jsrpd.model.status import GroupNodeStatus
from jsrpd.model.time import MICROSECOND, MILLISECOND, SECOND, Duration, Instant
from simulator.clock import NodeClock
from simulator.history import History
from simulator.network import Direction
from simulator.node import SimulatedNode
from simulator.world import World

DIRECTORY = Path(__file__).parent
RULE = "----"
NODES = ("node0", "node1")
CLOCK = NodeClock()
UNITS = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
TENTH = MILLISECOND // 10
COMMAND, GATE, ACTION = range(3)
"""Order of what falls on one instant. A node's gates come first, for the engine stores and sends before it announces and logs."""

Words = list[str]
Line = tuple[Instant, int, int, str]
"""(when, COMMAND ..., node, text)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A parsed file. ``script`` is its text above the rule."""

    name: str
    script: str
    expected: str

    @property
    def path(self) -> Path:
        """Where it stands."""
        return DIRECTORY / f"{self.name}.txt"

    def statements(self, verb: str) -> Iterator[Words]:
        """Words behind ``verb`` of each line that begins with it."""
        for line in self.script.splitlines():
            words = line.split("#")[0].split()
            if words and words[0] == verb:
                yield words[1:]


def load(path: Path) -> Scenario:
    """Read a file; every line must begin with a known verb."""
    script, _, expected = path.read_text().partition(f"{RULE}\n")
    for line in script.splitlines():
        words = line.split("#")[0].split()
        if words and words[0] not in ("cluster", "group", "at", "until"):
            raise ValueError(f"{path.name}: {line}")
    return Scenario(path.stem, script, expected)


def scenarios() -> list[Scenario]:
    """All of them, by name."""
    return [load(path) for path in sorted(DIRECTORY.glob("*.txt"))]


# -- the cluster ----------------------------------------------------------------------------------------------------


def configurations(scenario: Scenario) -> tuple[ClusterConfiguration, ClusterConfiguration]:
    """Both nodes' configurations; group 0 exists whether it is mentioned or not."""
    words = [word for statement in scenario.statements("cluster") for word in statement]
    numbers = {key: int(value) for key, value in zip(words[::2], words[1::2], strict=True)}
    groups = {group.group: group for group in map(_group, scenario.statements("group"))}
    groups.setdefault(RG0, GroupConfiguration(RG0))
    first, second = (
        ClusterConfiguration(
            cluster_id=1,
            node_id=node,
            heartbeat_interval_ms=numbers.get("heartbeat-interval", 100),
            heartbeat_threshold=numbers.get("heartbeat-threshold", 5),
            control_links=tuple(ControlLink(n, f"ctl{n}") for n in range(numbers.get("control-links", 1))),
            fabric_links=tuple(FabricLink(n, f"fab{n}", f"fab{n}") for n in range(numbers.get("fabric-links", 1))),
            groups=tuple(groups[number] for number in sorted(groups)),
        )
        for node in (0, 1)
    )
    return first, second


def _group(words: Words) -> GroupConfiguration:
    number, *rest = words
    group = GroupConfiguration(int(number))
    while rest:
        match rest:
            case ["priorities", first, second, *rest]:
                group = replace(group, priorities=(int(first), int(second)))
            case ["hold-down", seconds, *rest]:
                group = replace(group, hold_down_interval_s=int(seconds))
            case ["preempt", "delay", seconds, *rest]:
                group = replace(group, preempt=Preempt(delay_s=int(seconds)))
            case ["preempt", *rest]:
                group = replace(group, preempt=Preempt())
            case ["monitor", interface, weight, *rest]:
                monitors = (*group.interface_monitors, InterfaceMonitor(interface, int(weight)))
                group = replace(group, interface_monitors=monitors, peer_interface_monitors=monitors)
            case _:
                raise ValueError(f"group {number}: {' '.join(rest)}")
    return group


# -- what happens ---------------------------------------------------------------------------------------------------


def duration(text: str) -> Duration:
    """``700ms``, ``1.5s`` in nanoseconds."""
    unit = text.lstrip("0123456789.")
    return round(float(text.removesuffix(unit)) * UNITS[unit])


class Run:
    """One run of a scenario: the world, and what was noted besides its history."""

    def __init__(self, scenario: Scenario) -> None:
        self.world = World(configurations(scenario), random.Random(0), (CLOCK, CLOCK), recording=True)
        self._noted: list[Line] = []
        for at, *words in scenario.statements("at"):
            self.world.schedule(duration(at), self._strike, words)
        for (until,) in scenario.statements("until"):
            self.world.run(duration(until))

    @property
    def history(self) -> History:
        """What the simulator recorded."""
        return self.world.history

    def _strike(self, words: Words) -> None:
        self._note(COMMAND, 0, f"> {' '.join(words)}")
        match words:
            case ["cut" | "heal" as what, kind, *sender]:
                for direction in self._directions(kind, sender):
                    direction.cut = what == "cut"
            case ["delay", kind, length, *sender]:
                for direction in self._directions(kind, sender):
                    direction.delay = duration(length)
            case ["start"]:
                for node in self.world.nodes:
                    node.start()
            case [node, *what]:
                self._strike_node(self.world.nodes[NODES.index(node)], what)

    def _directions(self, kind: str, sender: Words) -> Iterator[Direction]:
        kinds = {"control": range(FIRST_FABRIC_PATH), "fabric": range(FIRST_FABRIC_PATH, MAX_PATHS), "all": range(MAX_PATHS)}
        paths = kinds.get(kind) or (int(kind.removeprefix("control")),)
        for node in [NODES.index(sender[1])] if sender else range(2):
            yield from (way for path, way in self.world.network.links[node].items() if path in paths)

    def _strike_node(self, node: SimulatedNode, words: Words) -> None:
        match words:
            case ["start"]:
                node.start()
            case ["stop"]:
                node.tell(ShutdownRequested())
            case ["kill"]:
                node.crash()
            case ["power-off"]:
                node.crash(power=True)
            case ["pause", length]:
                node.pause(duration(length))
            case ["status"]:
                self._status(node)
            case ["interface", name, "down" | "up" as state]:
                node.set_interface(name, state == "up")
            case ["monitor", group, code, name, "failed", weight]:
                node.tell(MonitorFailed(int(group), FailureCode[code], name, int(weight)))
            case ["monitor", group, code, name, "recovered"]:
                node.tell(MonitorRecovered(int(group), FailureCode[code], name))
            case ["request", "failover", "redundancy-group", group, "node", target]:
                node.tell(FailoverRequested(int(group), int(target)))
            case ["request", "failover", "reset", "redundancy-group", group]:
                node.tell(FailoverReset(int(group)))
            case ["clear", "failover-count"]:
                node.tell(FailoverCountCleared())
            case ["session-link", state]:
                node.tell(SessionLinkChanged(state == "up"))
            case ["sessions", "drained"]:
                node.tell(SessionsDrained())
            case _:
                raise ValueError(f"node{node.number} {' '.join(words)}")

    # -- the transcript ---------------------------------------------------------------------------------------------

    def _note(self, rank: int, node: int, text: str) -> None:
        self._noted.append((self.world.now, rank, node, text))

    def _status(self, node: SimulatedNode) -> None:
        """One line a group, as ``show chassis cluster status`` has them."""
        for group in node.cluster.status(node.clock()).groups:
            rows = "; ".join(_row(row) for row in group.nodes)
            self._note(COMMAND, node.number, f"    RG{group.group} failover count {group.failover_count}: {rows}")

    def transcript(self) -> str:
        """Everything of interest, a line each, in order."""
        lines = [*self._noted, *self._gates(), *self._actions(), *self._answers()]
        lines.sort(key=lambda line: (line[0], line[1] != COMMAND, line[2], line[1]))
        return "".join(f"{at // SECOND:3}.{at % SECOND // TENTH:04} {text}\n" for at, _, _, text in lines)

    def _gates(self) -> Iterator[Line]:
        for group, node in self.history.slots:
            for start, end in self.history.open_spans(group, node):
                yield start, GATE, node, f"node{node} RG{group} gate open"
                if end < self.history.ended_at:
                    yield end, GATE, node, f"node{node} RG{group} gate shut"

    def _actions(self) -> Iterator[Line]:
        for life in self.history.lives:
            node = life.configuration.node_id
            states: dict[int, GroupState] = {}
            for judged, _event, actions, _deadline in life.turns:
                for action in actions:
                    text = _told(action, states)
                    if text is not None:
                        yield judged - CLOCK.offset, ACTION, node, f"node{node} {text}"

    def _answers(self) -> Iterator[Line]:
        for at, text in self.history.lines:
            if " operator: " in text:
                yield at, ACTION, int(text[4]), text


def _row(row: GroupNodeStatus) -> str:
    extra = [f"weight {row.weight}"] if row.weight not in (None, 255) else []
    extra += [render_codes(row.failures)] if row.failures else []
    extra += ["manual"] if row.manual else []
    return " ".join([f"node{row.node} {row.priority} {row.state}", *extra])


def _told(action: Action, states: dict[int, GroupState]) -> str | None:
    """What an action says in the transcript; None for heartbeats, acknowledgements and leases (gates show those)."""
    match action:
        case Log(message):
            return f"{message.tag}: {render_text(message)}"
        case ChangeRole(group, state, generation):
            was, states[group] = states.get(group), state
            what = "claim" if state == GroupState.PRIMARY else "yield" if was == GroupState.PRIMARY else None
            return f"RG{group} {what}, generation {generation}" if what else None
        case Announce(group, repeat):
            return f"RG{group} announce{'' if repeat else ' once more'}"
        case DrainSessions():
            return "drain sessions"
        case Stop():
            return "stop"
    return None


# -- rewriting ------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Show what differs from the expected part, or write it anew; 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenario.runner")
    parser.add_argument("--rewrite", action="store_true", help="write the expected part of the files anew")
    parser.add_argument("names", nargs="*", help="scenarios; all when none is named")
    options = parser.parse_args(arguments)
    differs = False
    for scenario in scenarios():
        if options.names and scenario.name not in options.names:
            continue
        transcript = Run(scenario).transcript()
        before, after = scenario.expected.splitlines(keepends=True), transcript.splitlines(keepends=True)
        difference = "".join(difflib.unified_diff(before, after, scenario.path.name, scenario.path.name, n=1))
        differs = differs or bool(difference)
        sys.stdout.write(difference)
        if options.rewrite:
            scenario.path.write_text(f"{scenario.script}{RULE}\n{transcript}")
    return int(differs and not options.rewrite)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
