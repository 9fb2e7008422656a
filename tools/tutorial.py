"""docs/tutorial.md as steps on two nodes of the lab: what is typed where, and what hands do.

In a block ``console`` a line with a prompt is run where the prompt says; lines that begin with a bar are its input; each other line
must stand in what it prints, in this order, where ``…`` is anything. Comments say what hands do: cables, copies, starts.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings, wait_until

TUTORIAL = Path(__file__).parents[1] / "docs/tutorial.md"
PROMPT = re.compile(r"(node0|node1|client)[#$] (.*)")
STEP = re.compile(r"^```(?P<kind>console|jsrpd\.conf)\n(?P<body>.*?)^```|^<!-- lab: (?P<hands>.*?) -->", re.MULTILINE | re.DOTALL)
WORD = re.compile(r'"[^"]*"|\S+')
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Command:
    """``prompt``: ``node0#``; ``expected``: lines that it must print."""

    member: str
    prompt: str
    line: str
    given: tuple[str, ...]
    expected: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """As a shell would take it, except that a bar belongs to jsrp."""
        return [word.strip('"') for word in WORD.findall(self.line)]


def bare_lab(lab: Lab) -> None:
    """Two nodes with cables and nothing else: no configuration, no daemon."""
    topology.up(lab, Settings(interval_ms=100, threshold=5, daemons=False))
    for node in NODES:
        for file in lab.node_directory(node, "etc").iterdir():
            file.unlink()
    lab.settings_file.write_text(lab.settings_file.read_text().replace('"daemons": false', '"daemons": true'))


def steps() -> list[tuple[str, str]]:
    """(what kind, what) in the order of the text: ``hands``, ``jsrpd.conf``, ``console``."""
    found = STEP.finditer(TUTORIAL.read_text())
    return [("hands", step["hands"]) if step["hands"] else (step["kind"], step["body"]) for step in found]


def commands(block: str) -> Iterator[Command]:
    """Of a block ``console``."""
    first: re.Match[str] | None = None
    given: list[str] = []
    expected: list[str] = []
    for line in [*block.splitlines(), ""]:
        prompt = PROMPT.fullmatch(line)
        if (prompt or not line) and first is not None:
            yield Command(first[1], first[0][: first.start(2) - 1], first[2], tuple(given), tuple(expected))
            first = None
        if prompt:
            first, given, expected = prompt, [], []
        elif line.startswith("| "):
            given.append(line[2:])
        elif line.strip():
            expected.append(line)


def write_configuration(lab: Lab, text: str) -> None:
    """On both nodes."""
    for node in NODES:
        (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(text)


def hands(lab: Lab, what: str) -> None:
    """Do it, and wait until its effect is there. LabError."""
    etc = [lab.node_directory(node, "etc") for node in NODES]
    match what:
        case "copy cluster.key from node0 to node1":
            shutil.copy2(etc[0] / "cluster.key", etc[1])
        case "start both daemons":
            for node in NODES:
                topology.start_daemon(lab, node)
            demo.settle(lab, "the start")
        case "heal":
            faults.heal(lab)
            demo.settle(lab, "the cable")
        case "wait for node0":
            wait_until(lambda: topology.group_states(lab, "node0").get(1) == ("primary", "secondary"), PATIENCE_S, "the move")
        case "wait until settled":
            demo.settle(lab, "the commit")
            wait_until(lambda: "manual" not in str(topology.cluster_status(lab, "node0")["notices"]), PATIENCE_S, "no mark")
        case _:
            name, node = what.removeprefix("fault ").split()
            faults.inject(lab, name, node)
