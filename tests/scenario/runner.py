"""The transcript of a scenario: what two nodes of the production core did, told what happens in a text file.

A scenario stands in ``tests/scenario/NAME.txt``: a comment that says what it shows, the statements (``simulator.scenario`` has the
grammar), a line of dashes, the expected transcript. One statement is added here: ``at TIME NODE status``. Links take 200 µs each
way and lose nothing unless told so. ``python -m tests.scenario.runner --rewrite [NAME...]`` writes the expected part anew; read
the difference and explain it.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jsrpd.core.actions import Action, Announce, ChangeRole, DrainSessions, Log, Stop, StopServices
from jsrpd.messages.rendering import render_text
from jsrpd.model.roles import GroupState, render_codes
from jsrpd.model.status import GroupNodeStatus
from jsrpd.model.time import MILLISECOND, SECOND, Instant
from simulator import scenario
from simulator.node import SimulatedNode
from simulator.scenario import Words

DIRECTORY = Path(__file__).parent
RULE = "----"
TENTH = MILLISECOND // 10
COMMAND, GATE, ACTION = range(3)
"""Order of what falls on one instant. A node's gates come first, for the engine stores and sends before it announces and logs."""

Line = tuple[Instant, int, int, str]
"""(when, COMMAND ..., node, text)."""


@dataclass(frozen=True, slots=True)
class Scenario(scenario.Scenario):
    """A parsed file. ``script`` is its text above the rule."""

    expected: str

    @property
    def path(self) -> Path:
        """Where it stands."""
        return DIRECTORY / f"{self.name}.txt"


def load(path: Path) -> Scenario:
    """Read a file; every line must begin with a known verb."""
    script, _, expected = path.read_text().partition(f"{RULE}\n")
    return Scenario(path.stem, script, expected)


def scenarios() -> list[Scenario]:
    """All of them, by name."""
    return [load(path) for path in sorted(DIRECTORY.glob("*.txt"))]


class Run(scenario.Run):
    """A finished run that noted what it was told, and tells what came of it."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, recording=True)
        self._noted: list[Line] = []
        self.play()

    def _strike(self, words: Words) -> None:
        self._note(COMMAND, 0, f"> {' '.join(words)}")
        super()._strike(words)

    def _strike_node(self, node: SimulatedNode, words: Words) -> None:
        if words == ["status"]:
            self._status(node)
        else:
            super()._strike_node(node, words)

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
            clock = self.world.nodes[node].node_clock
            states: dict[int, GroupState] = {}
            for judged, _event, actions, _deadline in life.turns:
                for action in actions:
                    text = _told(action, states)
                    if text is not None:
                        yield clock.first_at(judged), ACTION, node, f"node{node} {text}"

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
        case StopServices(group):
            return f"RG{group} stop services"
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
    for one in scenarios():
        if options.names and one.name not in options.names:
            continue
        transcript = Run(one).transcript()
        before, after = one.expected.splitlines(keepends=True), transcript.splitlines(keepends=True)
        difference = "".join(difflib.unified_diff(before, after, one.path.name, one.path.name, n=1))
        differs = differs or bool(difference)
        sys.stdout.write(difference)
        if options.rewrite:
            one.path.write_text(f"{one.script}{RULE}\n{transcript}")
    return int(differs and not options.rewrite)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
