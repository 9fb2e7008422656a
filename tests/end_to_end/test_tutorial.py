"""docs/tutorial.md as a newcomer would follow it, from empty directories, on two nodes of the lab (``tools.tutorial``)."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jsrpd.lab import topology
from jsrpd.lab.topology import NODES, Lab, inside
from tools import tutorial
from tools.tutorial import PATIENCE_S, Command


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two nodes with cables and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"ju{os.getpid()}", tmp_path / "lab")
    try:
        tutorial.bare_lab(made)
        yield made
    finally:
        topology.down(made)


def test_the_tutorial(lab: Lab) -> None:
    done = 0
    for kind, what in tutorial.steps():
        if kind == "hands":
            tutorial.hands(lab, what)
        elif kind == "jsrpd.conf":
            tutorial.write_configuration(lab, what)
        else:
            for command in tutorial.commands(what):
                follow(lab, command)
                done += 1
    assert done >= 18


def follow(lab: Lab, command: Command) -> None:
    """Again while it does not print this yet: a newcomer types slower than a group moves."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        said = printed(lab, command)
        missing = first_missing(said, command.expected)
        if missing is None:
            return
        again = command.line.startswith(("jsrp show", "ping", "jsrp doctor")) and time.monotonic() < give_up
        assert again, f"{command.member}: {command.line}\nnot printed: {missing}\n--- but:\n{said}"
        time.sleep(0.2)


def printed(lab: Lab, command: Command) -> str:
    environment = lab.environment(command.member) if command.member in NODES else dict(os.environ)
    given = "".join(f"{line}\n" for line in command.given)
    words = inside(lab.namespace(command.member), *command.words)
    done = subprocess.run(words, env=environment, input=given, capture_output=True, text=True, check=False, timeout=90)
    return done.stdout + done.stderr


def first_missing(said: str, expected: Sequence[str]) -> str | None:
    """The first expected line that does not stand in what was printed behind the one before it."""
    lines = iter(said.splitlines())
    for wanted in expected:
        if wanted.strip() == "…":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.rstrip().split("…")))
        if not any(pattern.fullmatch(line.rstrip()) for line in lines):
            return wanted
    return None
