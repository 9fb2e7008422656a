"""What an operator orders of a node as a whole, on the real kernel: maintenance over deaths, and the latched redundancy mode."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import NODES, Lab, Settings, wait_until
from jsrpd.management import maintenance

SETTINGS = Settings(interval_ms=100, threshold=3, control_links=1)
OPTIONS = traffic.Options(duration_s=60, rate=200, connections=5)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jo{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        yield made
    finally:
        topology.down(made)


def shown(lab: Lab, node: str) -> dict[str, object]:
    """What a node tells of itself; nothing while it cannot be asked."""
    try:
        return topology.cluster_status(lab, node)
    except topology.LabError:
        return {}


def logged(lab: Lab, begin: int, node: str, tag: str) -> int:
    """How many messages of a tag a node has logged."""
    lines = [line for _, line in demo.messages(lab, begin, time.time_ns())]
    return sum(1 for line in lines if f" {node} {tag}" in line)


def test_maintenance_moves_everything_and_outlives_the_daemon(lab: Lab) -> None:
    owner = topology.primary_node(lab)
    other = faults.peer_of(owner)
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        assert "Maintenance is on" in faults.request(lab, owner, "maintenance", "on")
        wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", 20, "the move")
        end = time.time_ns()
        time.sleep(0.3)
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, end) if stream.lost] == []
    assert all(tcp.alive == tcp.connections for tcp in result.tcp)
    topology.kill_everything(lab, owner)
    topology.start_daemon(lab, owner)
    wait_until(lambda: shown(lab, owner).get("maintenance") is True, 20, "maintenance after a restart")
    wait_until(lambda: topology.is_settled(lab), 20, "a primary and a secondary in every group")
    assert topology.primary_node(lab) == other
    assert "its priority is 0" in refused(lab, owner)
    assert "Maintenance is off" in faults.request(lab, owner, "maintenance", "off")
    assert not maintenance.is_on(lab.node_directory(owner, "lib"))
    assert shown(lab, owner).get("maintenance") is False
    assert "there is nothing to rejoin" in refused(lab, owner, "rejoin")


def refused(lab: Lab, node: str, *words: str) -> str:
    """What the operator reads when it is not done."""
    order = words or ("failover", "redundancy-group", "1", "node", str(NODES.index(node)))
    with pytest.raises(topology.LabError) as error:
        faults.request(lab, node, *order)
    return str(error.value)


def test_the_redundancy_mode_is_latched_and_a_mismatch_is_said(lab: Lab) -> None:
    begin = time.time_ns()
    for node in NODES:
        file = lab.node_directory(node, "etc") / "jsrpd.conf"
        file.write_text(file.read_text().replace("reth-count 2;", "reth-count 2;\n        redundancy-mode active-backup;"))
        (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)
    for node in NODES:
        wait_until(lambda node=node: logged(lab, begin, node, "JSRPD_REDUNDANCY_MODE_CHANGE") == 1, 20, f"{node}: the change")  # type: ignore[misc]
        told = shown(lab, node)
        assert (told["mode"], told["configured_mode"]) == ("active-active", "active-backup")
        assert logged(lab, begin, node, "JSRPD_REDUNDANCY_MODE_MISMATCH") == 0
    (engine,) = [pid for pid, title in topology.daemon_processes(lab, "node0").items() if title == "jsrpd: engine"]
    os.kill(engine, signal.SIGKILL)
    wait_until(
        lambda: shown(lab, "node0").get("mode") == "active-active" and topology.is_settled(lab), 20, "a new engine, the old mode"
    )
    assert logged(lab, begin, "node0", "JSRPD_REDUNDANCY_MODE_MISMATCH") == 0
    topology.kill_everything(lab, "node0")
    topology.start_daemon(lab, "node0")
    for node in NODES:
        wait_until(lambda node=node: logged(lab, begin, node, "JSRPD_REDUNDANCY_MODE_MISMATCH") > 0, 20, f"{node}: the mismatch")  # type: ignore[misc]
    assert shown(lab, "node0")["mode"] == "active-backup"
    topology.kill_everything(lab, "node1")
    topology.start_daemon(lab, "node1")
    wait_until(lambda: shown(lab, "node1").get("mode") == "active-backup" and topology.is_settled(lab), 20, "both in the new mode")
    assert "redundancy mode:" not in str(shown(lab, "node0")["notices"])
