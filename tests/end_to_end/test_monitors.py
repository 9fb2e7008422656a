"""Every monitor on the real kernel: the real condition provokes each message, the group moves when the peer is fit.

The lab's cluster is given monitors by a reload. What is judged is what the daemons logged, where the group is, and
whether the client still reaches the server.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import LAN, NODES, SWITCH, WAN, Lab, Settings, inside, ip_batch, port_of, run, wait_until
from tests.end_to_end.test_cluster import log_of, transitions

SETTINGS = Settings(interval_ms=100, threshold=3)
SECONDARY_V4, SECONDARY_V6 = "10.2.0.9", "2001:db8:2::9"
WORKER = "packetworker"
PATIENCE_S = 60.0
SCRIPT = """#!/bin/sh
cd "$(dirname "$0")"
if [ -e "hang-$NODE" ]; then sleep 4321 & sleep 4321; fi
[ ! -e "bad-$NODE" ]
"""


def monitoring(lab: Lab) -> str:
    """Statements of group 1 and of the cluster. Without hellos in the segments, whose monitor would be the first to tell."""
    return f"""
            ip-monitoring {{
                global-threshold 100;
                retry-interval 0.2;
                family {{
                    inet {{
                        {WAN.hosts[0]} weight 100 interface reth1.0 secondary-ip-address {SECONDARY_V4};
                    }}
                    inet6 {{
                        address {WAN.hosts[1]} {{
                            weight 60;
                            interface reth1.0 secondary-ip-address {SECONDARY_V6};
                        }}
                    }}
                }}
            }}
            script-monitor check {{
                command "sh {lab.directory}/check";
                interval 1;
                timeout 1;
                rise 1;
                fall 2;
            }}
        }}
        in-band-heartbeat off;
        spu-monitoring {{
            process {WORKER};
        }}
        npc-monitoring {{
            flap-limit 3;
        """


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name with every monitor."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jm{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        configure(made)
        yield made
    finally:
        topology.down(made)


def configure(lab: Lab) -> None:
    """The lab's configuration with monitors, loaded by both nodes."""
    (lab.directory / "check").write_text(SCRIPT)
    shutil.copy(shutil.which("sleep") or "sleep", lab.directory / WORKER)
    last = "            interface-monitor wan weight 255;\n"
    text = topology.configuration(SETTINGS)
    assert text.count(last) == 1
    for node in NODES:
        start_worker(lab, node)
        (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(text.replace(last, last + monitoring(lab)))
    for node in NODES:
        (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)
    for node in NODES:
        wait_until(lambda node=node: "configuration reloaded" in log_of(lab, node), PATIENCE_S, "the reload")  # type: ignore[misc]


def start_worker(lab: Lab, node: str) -> None:
    """The declared process."""
    subprocess.run(["setsid", "--fork", *inside(lab.namespace(node), str(lab.directory / WORKER), "100000")], check=True, cwd="/")
    wait_until(lambda: bool(workers(lab, node)), PATIENCE_S, "the worker")


def workers(lab: Lab, node: str) -> list[int]:
    return [pid for pid, title in topology.processes(lab, node).items() if title.startswith(str(lab.directory / WORKER))]


@pytest.fixture
def primary(lab: Lab) -> str:
    """The primary of group 1 in a cluster in which nothing has failed, with all addresses reachable from both nodes."""
    faults.heal(lab)
    for name in ("bad-0", "bad-1", "hang-0", "hang-1"):
        (lab.directory / name).unlink(missing_ok=True)
    ip_batch(lab.namespace(SWITCH), ["link set server up"])
    for node in NODES:
        if not workers(lab, node):
            start_worker(lab, node)
    wait_until(lambda: all(reachable(lab, node) == ["reachable"] * 2 for node in NODES), PATIENCE_S, "reachable addresses")
    wait_until(lambda: failures(lab) == {}, PATIENCE_S, "no failure")
    demo.settle(lab, "healing")
    return topology.primary_node(lab)


def ip_status(lab: Lab, node: str) -> dict[str, object]:
    """``show chassis cluster ip-monitoring status``: group 1."""
    command = ("jsrp", "show", "chassis", "cluster", "ip-monitoring", "status", "|", "display", "json")
    said = json.loads(run(*inside(lab.namespace(node), *command), env=lab.environment(node)))
    (group,) = next(one for one in said if one["node"] == NODES.index(node))["groups"]
    assert isinstance(group, dict)
    return group


def reachable(lab: Lab, node: str) -> list[str]:
    targets = ip_status(lab, node)["targets"]
    assert isinstance(targets, list)
    return [target["status"] for target in targets]


def failures(lab: Lab) -> dict[str, list[str]]:
    """Failure codes of group 1 by node, as each node shows its own."""
    found = {}
    for n, node in enumerate(NODES):
        groups = topology.cluster_status(lab, node)["groups"]
        assert isinstance(groups, list)
        (codes,) = [row["failures"] for group in groups if group["group"] == 1 for row in group["nodes"] if row["node"] == n]
        if codes:
            found[node] = codes
    return found


def said(lab: Lab, begin: int, node: str) -> list[str]:
    """``TAG: text`` of everything a node logged since."""
    return [line.split(maxsplit=2)[2] for _, line in demo.messages(lab, begin, time.time_ns()) if line.split()[1] == node]


def wait_for(lab: Lab, begin: int, node: str, text: str, patience_s: float = PATIENCE_S) -> None:
    wait_until(lambda: any(text in line for line in said(lab, begin, node)), patience_s, f"{node}: {text}")


def traffic_flows(lab: Lab) -> bool:
    with contextlib.suppress(topology.LabError):
        run(*inside(lab.namespace(LAN.host), "ping", "-n", "-c1", "-W1", WAN.hosts[0]))
        return True
    return False


def moved(lab: Lab, begin: int, primary: str, code: str) -> None:
    """The group went to the other node because of ``code``, and packets flow there."""
    other = faults.peer_of(primary)
    wait_for(lab, begin, primary, f"from 'primary' to 'secondary-hold' state due to Monitor failed: {code}")
    wait_for(lab, begin, other, "from 'secondary' to 'primary' state due to Remote is in secondary hold")
    wait_until(lambda: traffic_flows(lab), PATIENCE_S, "traffic")
    assert failures(lab) == {primary: [code]}


SET, UNSET = "Monitor failed for redundancy-group 1", "Monitor failure recovered for redundancy-group 1"


def count(lab: Lab, begin: int, node: str, line: str) -> int:
    return said(lab, begin, node).count(line)


# -- addresses ----------------------------------------------------------------------------------------------------------


def test_a_dead_upstream_moves_the_group(lab: Lab, primary: str) -> None:
    begin = time.time_ns()
    faults.inject(lab, "silent-wan", primary)
    moved(lab, begin, primary, "IP")
    assert count(lab, begin, primary, f"JSRPD_SET_IP_MON_FAILURE: IP {SET}") == 1
    assert any(
        "JSRPD_MONITOR_FAILED" in line and WAN.hosts[0] in line and "limit 100" in line for line in said(lab, begin, primary)
    )
    wait_until(lambda: reachable(lab, primary) == ["unreachable"] * 2, PATIENCE_S, "both unreachable")
    assert ip_status(lab, primary)["current_threshold"] == 100 - 100 - 60
    begin = time.time_ns()
    faults.heal(lab)
    wait_for(lab, begin, primary, f"JSRPD_UNSET_IP_MON_FAILURE: IP {UNSET}")
    assert transitions(lab, begin, time.time_ns(), primary) in ([], ["secondary-hold > secondary: Ready to become secondary"])


@pytest.mark.usefixtures("primary")
def test_an_upstream_that_is_dead_for_both_moves_nothing(lab: Lab) -> None:
    """The vendor's decision table: unreachable here and there is no reason."""
    begin = time.time_ns()
    ip_batch(lab.namespace(SWITCH), ["link set server down"])
    wait_until(lambda: failures(lab) == {node: ["IP"] for node in NODES}, PATIENCE_S, "a failure on both nodes")
    time.sleep(2)  # For what must not happen.
    assert [transitions(lab, begin, time.time_ns(), node) for node in NODES] == [[], []]
    assert [count(lab, begin, node, f"JSRPD_SET_IP_MON_FAILURE: IP {SET}") for node in NODES] == [1, 1]


def test_addresses_of_the_standby_are_on_the_standby(lab: Lab, primary: str) -> None:
    """They move with the role, so that each is on one node."""
    other = faults.peer_of(primary)
    for address in (SECONDARY_V4, SECONDARY_V6):
        held = [node for node in NODES if f" {address}/" in run("ip", "-n", lab.namespace(node), "addr", "show", "wan")]
        assert held == [other]
    faults.inject(lab, "handover", primary)
    wait_until(
        lambda: [n for n in NODES if f" {SECONDARY_V4}/" in run("ip", "-n", lab.namespace(n), "addr", "show", "wan")] == [primary],
        PATIENCE_S,
        "the address on the new standby",
    )
    wait_until(lambda: reachable(lab, primary) == ["reachable"] * 2, PATIENCE_S, "answers to it")
    faults.request(lab, primary, "failover", "reset", "redundancy-group", "1")


def test_the_display(lab: Lab, primary: str) -> None:
    command = inside(
        lab.namespace(primary), "jsrp", "show", "chassis", "cluster", "ip-monitoring", "status", "redundancy-group", "1"
    )
    printed = run(*command, env=lab.environment(primary))
    assert [line for line in printed.splitlines() if line.startswith("node")] == ["node0:", "node1:"]
    lines = printed[printed.index(f"node{NODES.index(primary)}:") :].splitlines()
    assert lines[:7] == [
        f"node{NODES.index(primary)}:",
        "-" * 74,
        "",
        "Redundancy group: 1",
        "Global weight: 255",
        "Global threshold: 100",
        "Current threshold: 100",
    ]
    assert lines[8].split("  ")[0] == "IP address"
    assert [line.split()[:2] for line in lines[9:11]] == [[host, "reachable"] for host in WAN.hosts]
    clear = ("jsrp", "clear", "chassis", "cluster", "ip-monitoring", "failure-count")
    for words, text in (((), "for all IPs"), (("ip-address", WAN.hosts[0]), f"for IP: {WAN.hosts[0]}")):
        answer = run(*inside(lab.namespace(primary), *clear, *words), env=lab.environment(primary))
        assert answer.count(f"Cleared failure count {text}") == 2, "on both nodes"


def test_a_killed_monitors_process_forgets_nothing(lab: Lab, primary: str) -> None:
    """It is started again; what had failed stays failed until it is seen well."""
    faults.inject(lab, "silent-wan", primary)
    wait_until(lambda: failures(lab) == {primary: ["IP"]}, PATIENCE_S, "the failure")
    begin = time.time_ns()
    (old,) = [pid for pid, title in topology.daemon_processes(lab, primary).items() if title == "jsrpd: monitors"]
    os.kill(old, signal.SIGKILL)
    wait_for(lab, begin, primary, "monitors process ended (signal 9)")
    wait_until(lambda: "jsrpd: monitors" in topology.daemon_processes(lab, primary).values(), PATIENCE_S, "its successor")
    wait_until(lambda: reachable_or_none(lab, primary) == ["unreachable"] * 2, PATIENCE_S, "its verdict")
    assert failures(lab) == {primary: ["IP"]}
    assert not any("UNSET" in line for line in said(lab, begin, primary))
    faults.heal(lab)
    wait_for(lab, begin, primary, f"JSRPD_UNSET_IP_MON_FAILURE: IP {UNSET}")


def reachable_or_none(lab: Lab, node: str) -> list[str]:
    with contextlib.suppress(topology.LabError):
        return reachable(lab, node)
    return []


# -- scripts, SPU, NPC ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "value"), [("bad", "exit 1"), ("hang", "no end within 1 s")])
def test_a_script_that_fails_or_hangs_moves_the_group(lab: Lab, primary: str, kind: str, value: str) -> None:
    begin = time.time_ns()
    Path(lab.directory / f"{kind}-{NODES.index(primary)}").touch()
    moved(lab, begin, primary, "SC")
    assert any(f"Monitor SC for redundancy-group 1: check failed: {value}" in line for line in said(lab, begin, primary))
    Path(lab.directory / f"{kind}-{NODES.index(primary)}").unlink()
    wait_for(lab, begin, primary, "Monitor SC for redundancy-group 1: check recovered: exit 0")
    wait_until(lambda: not any("4321" in title for title in topology.processes(lab, primary).values()), PATIENCE_S, "nothing left")


def test_a_dead_packet_process_moves_the_group(lab: Lab, primary: str) -> None:
    begin = time.time_ns()
    topology.signal_all(workers(lab, primary), signal.SIGKILL)
    moved(lab, begin, primary, "SP")
    assert count(lab, begin, primary, f"JSRPD_SET_SPU_MON_FAILURE: SPU {SET}") == 1
    start_worker(lab, primary)
    wait_for(lab, begin, primary, f"JSRPD_UNSET_SPU_MON_FAILURE: SPU {UNSET}")
    assert count(lab, begin, primary, f"JSRPD_UNSET_SPU_MON_FAILURE: SPU {UNSET}") == 1


def test_what_each_monitor_finds_is_shown(lab: Lab, primary: str) -> None:
    """From the monitors process, the engine, the commits and the journal, in one display."""

    def detail(*words: str) -> str:
        command = ("jsrp", "show", "chassis", "cluster", "information", "detail", *words)
        return run(*inside(lab.namespace(primary), *command), env=lab.environment(primary))

    own = NODES.index(primary)
    text = detail()
    for line in (
        f"node{own}:",
        "    Heartbeat interval: 100 ms",
        f"        process {WORKER}: up, running, limit running",
        "        check: up, exit 0, limit exit 0",
        "        Fabric Status reported by data plane: Up",
        f"        {('Server', 'Client')[own]} status : Connected",
        "        Schedule slip detected: None",
    ):
        assert line in text.splitlines()
    topology.signal_all(workers(lab, primary), signal.SIGKILL)
    wait_until(lambda: f"process {WORKER}: failed, not running, limit running" in detail("spu"), PATIENCE_S, "the failure")
    event = f" : SP process {WORKER} failed: not running, limit running, weight 255"
    wait_until(lambda: event in detail("spu"), PATIENCE_S, "the event")
    start_worker(lab, primary)


def test_a_flapping_card_makes_the_standby_unfit(lab: Lab, primary: str) -> None:
    """Though its carrier is back: a group shall not go to a card that flaps."""
    other = faults.peer_of(primary)
    begin = time.time_ns()
    for _ in range(5):
        for state in ("down", "up"):
            ip_batch(lab.namespace(SWITCH), [f"link set {port_of(other, 'lan')} {state}"])
            wait_until(lambda: carrier(lab, other) == (state == "up"), PATIENCE_S, f"carrier {state}")  # noqa: B023
    wait_until(lambda: failures(lab) == {other: ["NP"]}, PATIENCE_S, "the failure")
    assert count(lab, begin, other, f"JSRPD_SET_NPC_MON_FAILURE: NPC {SET}") == 1
    assert transitions(lab, begin, time.time_ns(), primary) == []
    wait_until(
        lambda: count(lab, begin, other, f"JSRPD_UNSET_NPC_MON_FAILURE: NPC {UNSET}") == 1, 60 + PATIENCE_S, "a quiet minute"
    )


def test_an_engine_that_is_not_woken_makes_the_standby_unfit(lab: Lab, primary: str) -> None:
    """Three times in a minute it was kept from its turn for longer than a peer may be silent."""
    other = faults.peer_of(primary)
    begin = time.time_ns()
    (engine,) = [pid for pid, title in topology.daemon_processes(lab, other).items() if title == faults.ENGINE_TITLE]
    for _ in range(3):
        os.kill(engine, signal.SIGSTOP)
        time.sleep(0.5)  # What it is about: the time that passes meanwhile.
        os.kill(engine, signal.SIGCONT)
        wait_until(lambda: bool(failures(lab)) or topology.is_settled(lab), PATIENCE_S, "the cluster")
    wait_for(lab, begin, other, "Monitor SM for redundancy-group 1: engine schedule failed: 3 slips, limit 2 slips in 60 s")
    wait_until(lambda: failures(lab) == {other: ["SM"]}, PATIENCE_S, "the failure")
    assert sum("schedule slip: the engine was" in line for line in said(lab, begin, other)) == 1
    assert transitions(lab, begin, time.time_ns(), primary) == []
    wait_for(lab, begin, other, "Monitor SM for redundancy-group 1: engine schedule recovered: 0 slips", 60 + PATIENCE_S)


def carrier(lab: Lab, node: str) -> bool:
    return "LOWER_UP" in run("ip", "-n", lab.namespace(node), "link", "show", "lan")
