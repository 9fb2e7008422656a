"""A sixth namespace beside the lab: the arbiter, which each node reaches by a management network of its own cable."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from jsrpd.lab import topology
from jsrpd.lab.topology import NODES, SWITCH, Lab, inside, ip_batch, run, wait_until
from tests.end_to_end.test_cluster import log_of

ADDRESS = "10.9.0.1"
NODE_ADDRESSES = {"node0": "10.9.0.10", "node1": "10.9.0.11"}
BRIDGE, PORT, INDEX = "brmgt", "mgt-arbiter", 480
"""Interfaces in the switch, and the index of the first."""
PATIENCE_S = 60.0


def namespace(lab: Lab) -> str:
    """Of the arbiter."""
    return lab.namespace("arbiter")


def port(node: str) -> str:
    """The switch port of a node's management cable."""
    return f"{node}-mgt"


def attach(lab: Lab) -> None:
    """The arbiter and its cables; nothing there answers but echo requests."""
    run("ip", "netns", "add", namespace(lab))
    lines = [f"link add {BRIDGE} index {INDEX} type bridge stp_state 0 forward_delay 0 mcast_snooping 0", f"link set {BRIDGE} up"]
    ends = [(PORT, namespace(lab), ADDRESS), *((port(node), lab.namespace(node), NODE_ADDRESSES[node]) for node in NODES)]
    for number, (name, there, _) in enumerate(ends):
        peer = f"type veth peer name mgt index {INDEX + 20 + number} netns {there}"
        lines += [f"link add {name} index {INDEX + 1 + number} {peer}", f"link set {name} master {BRIDGE} up"]
    ip_batch(lab.namespace(SWITCH), lines)
    for _, there, address in ends:
        ip_batch(there, ["link set lo up", f"addr add {address}/24 dev mgt", "link set mgt up"])


def detach(lab: Lab) -> None:
    """End what runs there, and the namespace; its cables go with the lab."""
    if Path("/run/netns", namespace(lab)).exists():
        topology.kill_everything(lab, "arbiter")
        run("ip", "netns", "del", namespace(lab))


def silence(lab: Lab, *nodes: str) -> None:
    """These nodes do not reach the arbiter, carriers stay; all others do."""
    ports = ", ".join(port(node) for node in nodes)
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} devices = {{ {ports} }} priority 0; {word} {{ {ports} }} drop\n }}\n"
        for hook, word in (("ingress", "iifname"), ("egress", "oifname"))
    )
    text = f"table netdev mgt\ndelete table netdev mgt\ntable netdev mgt {{\n{chains if nodes else ''}}}\n"
    run(*inside(lab.namespace(SWITCH), "nft", "-f", "-"), text=text)


def configure(lab: Lab, statement: str) -> None:
    """The lab's configuration with ``arbitration { STATEMENT }``, loaded by both nodes."""
    text = topology.configuration(lab.settings)
    first = "        reth-count 2;\n"
    assert text.count(first) == 1
    wanted = text.replace(first, f"{first}        arbitration {{ {statement} }}\n")
    for node in NODES:
        (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(wanted)
        before = reloads(lab, node)
        (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)
        wait_until(lambda node=node, before=before: reloads(lab, node) > before, PATIENCE_S, "the reload")  # type: ignore[misc]


def reloads(lab: Lab, node: str) -> int:
    """How often a node has loaded a configuration."""
    return log_of(lab, node).count("configuration reloaded")


def start(lab: Lab, *command: str, log: Path) -> "subprocess.Popen[bytes]":
    """Run something beside the arbiter."""
    with log.open("ab") as output:
        return subprocess.Popen(inside(namespace(lab), *command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")


def hold_still(predicate: Callable[[], bool], for_s: float) -> bool:
    """Whether it stayed true all the time."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        if not predicate():
            return False
        time.sleep(0.05)
    return True


def metric(lab: Lab, node: str, series: str) -> str:
    """What a node's metrics say of a series; empty when it has none."""
    shown = run(*inside(lab.namespace(node), "jsrp", "show", "metrics"), env=lab.environment(node))
    return next((line.rpartition(" ")[2] for line in shown.splitlines() if line.startswith(f"{series} ")), "")
