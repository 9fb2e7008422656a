"""As many groups as there can be, each with a reth and eight addresses of its own, on the real kernel.

What is wide in this size broke what was right in a small one: bitmaps of more than 63 groups, rules that name too many
networks, tables that hold each network once for each group.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings, ip_batch, wait_until

SETTINGS = Settings(interval_ms=100, threshold=5)
GROUPS, ADDRESSES = 127, 8
MORE = range(2, GROUPS + 1)
"""Group and reth n, beside group 1 with reth0 and reth1."""
PATIENCE_S = 120


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A small cluster that is made a large one by a reload."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jg{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        cable(made)
        for node in NODES:
            (made.node_directory(node, "etc") / "jsrpd.conf").write_text(configuration())
            reload(made, node)
        wait_until(lambda: all(owned_once(made, node) for node in NODES), PATIENCE_S, "one owner for each group")
        yield made
    finally:
        topology.down(made)


def configuration() -> str:
    """That of the lab, and more groups."""
    text = topology.configuration(SETTINGS).replace("reth-count 2;", f"reth-count {GROUPS + 1};")
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


def cable(lab: Lab) -> None:
    """A segment for each group, from node to node. Different indices: the kernel tells such links' loss of carrier at once."""
    ends = [lab.namespace(node) for node in NODES]
    ip_batch(ends[0], [f"link add x{n} index {1000 + n} type veth peer name x{n} index {2000 + n} netns {ends[1]}" for n in MORE])
    for end in ends:
        ip_batch(end, [f"link set x{n} up" for n in MORE])


def reload(lab: Lab, node: str) -> None:
    (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
    os.kill(parent, signal.SIGHUP)


def owned_once(lab: Lab, node: str) -> bool:
    """As a node sees it: each group primary on one node, secondary on the other."""
    groups = topology.group_states(lab, node)
    return len(groups) == GROUPS + 1 and all(sorted(states) == ["primary", "secondary"] for states in groups.values())


def log_of(lab: Lab, node: str) -> str:
    return topology.log_file(lab, node).read_text()


def test_all_of_them_move_when_their_owner_dies(lab: Lab) -> None:
    """And come to rest when it returns; nobody's process ends by it."""
    victim = topology.primary_node(lab)
    other = faults.peer_of(victim)
    faults.inject(lab, "kill", victim)
    there = NODES.index(other)
    wait_until(
        lambda: all(states[there] == "primary" for states in topology.group_states(lab, other).values()), PATIENCE_S, "every group"
    )
    faults.inject(lab, "power-on", victim)
    wait_until(lambda: all(owned_once(lab, node) for node in NODES), PATIENCE_S, "one owner for each group")
    for node in NODES:
        assert "process ended" not in log_of(lab, node)
        assert "cannot add" not in log_of(lab, node)


def test_a_hand_over_moves_one_of_them(lab: Lab) -> None:
    before = topology.group_states(lab, "node0")
    node = NODES.index(topology.primary_node(lab))
    group = GROUPS
    faults.request(lab, NODES[node], "failover", "redundancy-group", str(group), "node", str(1 - node))
    wait_until(lambda: topology.group_states(lab, "node0")[group][1 - node] == "primary", PATIENCE_S, "the move")
    after = topology.group_states(lab, "node0")
    assert {one for one in before if before[one] != after[one]} == {group}
