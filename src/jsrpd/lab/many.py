"""A lab made large: as many groups as there can be, each with a reth and eight addresses of its own on a cable of its own."""

import json
import os
import signal

from jsrpd.lab import topology
from jsrpd.lab.topology import NODES, Lab, Settings, ip_batch, run, wait_until

GROUPS, ADDRESSES = 127, 8
MORE = range(2, GROUPS + 1)
"""Group and reth n, beside group 1 with reth0 and reth1."""


def configuration(settings: Settings) -> str:
    """That of the lab, and more groups."""
    text = topology.configuration(settings).replace("reth-count 2;", f"reth-count {GROUPS + 1};")
    groups = "".join(f"redundancy-group {n} {{ node 0 priority 200; node 1 priority 100; }}\n" for n in MORE)
    interfaces = ""
    for n in MORE:
        addresses = "".join(f"address 10.{100 + one}.{n}.1/24;" for one in range(ADDRESSES))
        interfaces += f"x{n} {{ gigether-options {{ redundant-parent reth{n}; }} }}\n"
        interfaces += (
            f"reth{n} {{ redundant-ether-options {{ redundancy-group {n}; }} unit 0 {{ family inet {{ {addresses} }} }} }}\n"
        )
    text = text.replace("redundancy-group 1 {", f"{groups}redundancy-group 1 {{", 1)
    return text.replace("interfaces {\n", f"interfaces {{\n{interfaces}", 1)


def enlarge(lab: Lab, patience_s: float) -> None:
    """Cable a settled lab, give both nodes all groups by a reload, and wait until each group has one owner."""
    # Different indices: the kernel tells such links' loss of carrier at once.
    ends = [lab.namespace(node) for node in NODES]
    ip_batch(ends[0], [f"link add x{n} index {1000 + n} type veth peer name x{n} index {2000 + n} netns {ends[1]}" for n in MORE])
    for end in ends:
        ip_batch(end, [f"link set x{n} up" for n in MORE])
    for node in NODES:
        (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(configuration(lab.settings))
        (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)
    wait_until(lambda: all(is_made(lab, node) for node in NODES), patience_s, "every reth")
    wait_until(lambda: all(is_owned_once(lab, node) for node in NODES), patience_s, "one owner for each group")


def reduce(lab: Lab) -> None:
    """Take the cables away again, one by one: a namespace that is deleted with all of them holds up every other one for long."""
    ip_batch(lab.namespace(NODES[0]), [f"link del x{n}" for n in MORE])


def is_made(lab: Lab, node: str) -> bool:
    """Every reth is there and up: the kernel takes some tenths of a second for each where the machine is busy."""
    links = json.loads(run("ip", "-j", "-n", lab.namespace(node), "link", "show", "type", "macvlan"))
    made = [link for link in links if link["ifname"].startswith("reth") and "UP" in link["flags"]]
    return len(made) == GROUPS + 1


def is_owned_once(lab: Lab, node: str) -> bool:
    """As a node sees it: each group primary on one node, secondary on the other."""
    groups = topology.group_states(lab, node)
    return len(groups) == GROUPS + 1 and all(sorted(states) == ["primary", "secondary"] for states in groups.values())
