"""``request chassis cluster drill`` on a running cluster: there and back, measured; and not at all when it must not be."""

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, topology
from jsrpd.lab.topology import SWITCH, Lab, Settings, inside, ip_batch, wait_until

COMMAND = ("jsrp", "request", "chassis", "cluster", "drill", "redundancy-group", "1")
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster whose nodes speak with each other."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jr{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, Settings(interval_ms=100, threshold=5))
        demo.settle(made, "the start")
        wait_until(lambda: "does not answer" not in jsrp(made, "node0", "jsrp", "doctor").stdout, PATIENCE_S, "the connection")
        yield made
    finally:
        topology.down(made)


def jsrp(lab: Lab, node: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = inside(lab.namespace(node), *words)
    return subprocess.run(command, env=lab.environment(node), capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("node", topology.NODES)
def test_there_and_back(lab: Lab, node: str) -> None:
    """From either node; what the segments saw is told of both ways, both reths and both families."""
    before = topology.primary_node(lab)
    done = jsrp(lab, node, *COMMAND, "no-confirm")
    assert done.returncode == 0, done.stderr
    assert "node1 owns redundancy group 1" in done.stdout
    assert f"is complete: {before} owns it again" in done.stdout
    watched = [f"{address} ({segment.reth}) " for segment in topology.BY_SEGMENT.values() for address in segment.gateways]
    assert [done.stdout.count(one) for one in watched] == [2] * 4
    assert "not measured" not in done.stdout
    assert topology.primary_node(lab) == before
    demo.settle(lab, "the drill")
    assert '"manual": true' not in str(topology.cluster_status(lab, node))


def test_each_node_tells_how_it_came_to_its_states(lab: Lab) -> None:
    """The drills before: every transition stands in the block of the node it happened on, whichever is asked."""
    for node in topology.NODES:
        said = jsrp(lab, node, "jsrp", "show", "chassis", "cluster", "information", "|", "display", "json").stdout
        for one in json.loads(said):
            assert one["untold"] == ""
            (group,) = [group for group in one["groups"] if group["group"] == 1]
            assert [entry["new"] for entry in group["transitions"]][-2:] != []
            assert "Manual failover" in str(group["transitions"]) or "Remote is in secondary hold" in str(group["transitions"])
    ip_batch(lab.namespace(SWITCH), ["link set node0-ctl0 down"])
    try:
        told = "Transitions are not known: node1 does not answer"
        command = ("jsrp", "show", "chassis", "cluster", "information")
        wait_until(lambda: told in jsrp(lab, "node0", *command).stdout, PATIENCE_S, "the connection to be missed")
    finally:
        ip_batch(lab.namespace(SWITCH), ["link set node0-ctl0 up"])
    demo.settle(lab, "the control link")
    wait_until(lambda: told not in jsrp(lab, "node0", *command).stdout, PATIENCE_S, "the connection")


def test_nothing_moves_when_the_other_node_is_not_fit(lab: Lab) -> None:
    before = topology.primary_node(lab)
    other = next(node for node in topology.NODES if node != before)
    ip_batch(lab.namespace(SWITCH), [f"link set {other}-wan down"])
    try:
        wait_until(lambda: "has failures: IF" in jsrp(lab, before, *COMMAND, "no-confirm").stderr, PATIENCE_S, "the refusal")
        assert topology.primary_node(lab) == before
    finally:
        ip_batch(lab.namespace(SWITCH), [f"link set {other}-wan up"])
    demo.settle(lab, "the cable")


@pytest.mark.parametrize(("typed", "moves"), [("no\r", False), ("\r", False), ("yes\r", True)])
def test_it_asks_first(lab: Lab, typed: str, moves: bool) -> None:
    """In an interactive session, whose terminal gives keys one by one."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        inside(lab.namespace("node0"), "jsrp"),
        env={**lab.environment("node0"), "TERM": "vt100"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    shown = ""

    def until(text: str) -> None:
        nonlocal shown
        give_up = time.monotonic() + 60
        while text not in shown:
            assert time.monotonic() < give_up, shown
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 1 << 16).decode()
        shown = shown.partition(text)[2]

    try:
        until("> ")
        os.write(master, f"{' '.join(COMMAND[1:])}\r".encode())
        until("Proceed? [yes,no] (no) ")
        os.write(master, typed.encode())
        until("is complete" if moves else "the drill was not begun")
        until("> ")
        os.write(master, b"show version\r")
        until("Model: jsrpd")
        until("> ")
        os.write(master, b"exit\r")
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
