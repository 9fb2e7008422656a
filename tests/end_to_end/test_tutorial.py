"""docs/tutorial.md as a newcomer would follow it, from empty directories, on two nodes of the lab.

In a block ``console`` a line with a prompt is run where the prompt says; lines that begin with a bar are its input; each other line
must stand in what it prints, in this order, where ``…`` is anything. Comments say what hands do: cables, copies, starts.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings, inside, wait_until

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.md"
PROMPT = re.compile(r"(node0|node1|client)[#$] (.*)")
STEP = re.compile(r"^```(?P<kind>console|jsrpd\.conf)\n(?P<body>.*?)^```|^<!-- lab: (?P<hands>.*?) -->", re.MULTILINE | re.DOTALL)
PATIENCE_S = 30.0
SETTINGS = Settings(interval_ms=100, threshold=5)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two nodes with cables and nothing else: no configuration, no daemon."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"ju{os.getpid()}", tmp_path / "lab")
    try:
        topology.up(made, Settings(interval_ms=100, threshold=5, daemons=False))
        for node in NODES:
            for file in made.node_directory(node, "etc").iterdir():
                file.unlink()
        made.settings_file.write_text(made.settings_file.read_text().replace('"daemons": false', '"daemons": true'))
        yield made
    finally:
        topology.down(made)


def steps() -> list[tuple[str, str]]:
    """(what kind, what) in the order of the text."""
    found = STEP.finditer(TUTORIAL.read_text())
    return [("hands", step["hands"]) if step["hands"] else (step["kind"], step["body"]) for step in found]


def test_the_tutorial(lab: Lab) -> None:
    done = 0
    for kind, what in steps():
        if kind == "hands":
            hands(lab, what)
        elif kind == "jsrpd.conf":
            for node in NODES:
                (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(what)
        else:
            for member, command, given, expected in commands(what):
                follow(lab, member, command, given, expected)
                done += 1
    assert done >= 18


def hands(lab: Lab, what: str) -> None:
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
            name, node = re.fullmatch(r"fault (\S+) (\S+)", what).groups()  # type: ignore[union-attr]
            faults.inject(lab, name, node)


def commands(block: str) -> Iterator[tuple[str, str, str, list[str]]]:
    """(where, command, its input, lines that it must print)."""
    member, command, given, expected = "", "", "", list[str]()
    for line in block.splitlines():
        prompt = PROMPT.fullmatch(line)
        if prompt:
            if command:
                yield member, command, given, expected
            member, command, given, expected = prompt[1], prompt[2], "", []
        elif line.startswith("| "):
            given += f"{line[2:]}\n"
        elif line.strip():
            expected.append(line)
    yield member, command, given, expected


def follow(lab: Lab, member: str, command: str, given: str, expected: list[str]) -> None:
    """Again while it does not print this yet: a newcomer types slower than a group moves."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        said = printed(lab, member, command, given)
        missing = first_missing(said, expected)
        if missing is None:
            return
        again = command.startswith(("jsrp show", "ping", "jsrp doctor")) and time.monotonic() < give_up
        assert again, f"{member}: {command}\nnot printed: {missing}\n--- but:\n{said}"
        time.sleep(0.2)


def printed(lab: Lab, member: str, command: str, given: str) -> str:
    environment = lab.environment(member) if member in NODES else dict(os.environ)
    # As a shell would take it, except that a bar belongs to jsrp.
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
    done = subprocess.run(
        inside(lab.namespace(member), *words), env=environment, input=given, capture_output=True, text=True, check=False, timeout=90
    )
    return done.stdout + done.stderr


def first_missing(said: str, expected: list[str]) -> str | None:
    """The first expected line that does not stand in what was printed behind the one before it."""
    lines = iter(said.splitlines())
    for wanted in expected:
        if wanted.strip() == "…":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.rstrip().split("…")))
        if not any(pattern.fullmatch(line.rstrip()) for line in lines):
            return wanted
    return None
