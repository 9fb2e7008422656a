"""``jsrp lab`` as a newcomer types it: up, status, fault, exec, traffic, down; mistakes; nothing left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab.topology import NAME_VARIABLE, ROOT_VARIABLE

JSRP = Path(sys.executable).parent / "jsrp"


class Shell:
    """Runs ``jsrp lab WORDS…`` against a lab of its own."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.environment = {**os.environ, NAME_VARIABLE: name, ROOT_VARIABLE: str(directory)}

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run([JSRP, "lab", *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr + done.stdout

    def left(self) -> list[str]:
        """Namespaces of this lab."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if line.startswith(f"{self.name}-")]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Shell]:
    """No lab yet; none afterwards."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    shell = Shell(f"jl{os.getpid()}", tmp_path)
    yield shell
    shell("down")
    assert shell.left() == []


def test_the_tour(lab: Shell) -> None:
    """Up, look, break, measure, mend, down."""
    assert "is up; next:" in lab("up", "--interval-ms", "100", "--threshold", "3")
    assert "is up; next:" in lab("up", "--interval-ms", "100", "--threshold", "3"), "twice is as good as once"
    assert "first: jsrp lab down" in lab("up", "--interval-ms", "200", code=1)
    assert "node0: running" in lab("status")
    assert "Redundancy group: 1" in lab("exec", "node1", "--", "jsrp", "show", "chassis", "cluster", "status")
    assert "2 received" in lab("exec", "client", "--", "ping", "-c2", "-i0.2", "10.2.0.100")

    lab("fault", "cut-lan", "node0")
    status = lab("status")
    assert "cut: node0-lan" in status
    assert "cut-lan node0" in status
    lab("fault", "heal")
    assert "cut: none" in lab("status")

    said = lab("traffic", "--seconds", "1", "--rate", "100", "--connections", "2", "--families", "4")
    figures = json.loads(said[said.index("{") :])
    assert {stream["name"] for stream in figures["streams"]} == {"client to server", "round trip", "server to client"}
    assert all(stream["sent"] > 50 for stream in figures["streams"])
    assert [one["alive"] for one in figures["tcp"]] == [2]

    lab("down")
    assert lab.left() == []
    assert not (Path(lab.environment[ROOT_VARIABLE]) / lab.name).exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("status",), 1, "is not up; start it with: jsrp lab up"),
        (("fault", "cut-lan"), 1, "is not up; start it with: jsrp lab up"),
        (("traffic",), 1, "is not up; start it with: jsrp lab up"),
        (("exec", "node0", "--", "true"), 1, "is not up; start it with: jsrp lab up"),
        (("fault", "explode"), 64, "cut-lan"),
        (("exec", "node7", "--", "true"), 64, "node0"),
        (("sing",), 64, "invalid choice"),
        ((), 64, "required"),
        (("demo", "--only", "earthquake"), 1, "no such step; there are: cut-lan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_are_answered_with_what_would_be_right(lab: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in lab(*words, code=code)


def test_the_demonstration_ends_clean(lab: Shell) -> None:
    """One step of ``make lab``, its figures and its summary."""
    said = lab("demo", "--only", "handover", "--interval-ms", "100", "--threshold", "3")
    assert "JSRPD_RG_STATE_CHANGE: Redundancy-group 1 transitioned from 'primary' to 'secondary-hold'" in said
    assert "the cluster survived all 1 faults" in said
    assert lab.left() == []


def test_an_interrupted_demonstration_ends_clean(lab: Shell) -> None:
    """Ctrl-C in the middle removes everything."""
    running = subprocess.Popen(
        # Who runs the tests in the background has told the shell to ignore Ctrl-C.
        ["env", "--default-signal=INT", JSRP, "lab", "demo", "--only", "cut-lan"],
        env=lab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("── 1/1"):
            break
    running.send_signal(2)
    rest = running.stdout.read()
    assert running.wait(60) == 130, rest
    assert lab.left() == []
