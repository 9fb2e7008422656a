"""As many groups as there can be, each with a reth and eight addresses of its own, on the real kernel.

What is wide in this size broke what was right in a small one: bitmaps of more than 63 groups, rules that name too many
networks, tables that hold each network once for each group.
"""

import os
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, faults, many, topology
from jsrpd.lab.topology import LAN, NODES, Lab, Settings, inside, ip_batch, run, wait_until

SETTINGS = Settings(interval_ms=100, threshold=5)
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
        many.enlarge(made, PATIENCE_S)
        yield made
        many.reduce(made)
    finally:
        topology.down(made)


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
    wait_until(lambda: all(many.is_owned_once(lab, node) for node in NODES), PATIENCE_S, "one owner for each group")
    for node in NODES:
        assert "process ended" not in log_of(lab, node)
        assert "cannot add" not in log_of(lab, node)


def test_a_hand_over_moves_one_of_them(lab: Lab) -> None:
    before = topology.group_states(lab, "node0")
    node = NODES.index(topology.primary_node(lab))
    group = many.GROUPS
    faults.request(lab, NODES[node], "failover", "redundancy-group", str(group), "node", str(1 - node))
    wait_until(lambda: topology.group_states(lab, "node0")[group][1 - node] == "primary", PATIENCE_S, "the move")
    after = topology.group_states(lab, "node0")
    assert {one for one in before if before[one] != after[one]} == {group}


def test_a_change_of_role_does_not_wait_for_reths_that_are_being_made(lab: Lab) -> None:
    """Somebody removes a hundred reths; while they are made anew, which takes the kernel seconds, another group moves here."""
    other = faults.peer_of(topology.primary_node(lab))
    assert local_route(lab, other) == ""
    ip_batch(lab.namespace(other), [f"link del reth{n}" for n in many.MORE])
    faults.request(lab, other, "failover", "redundancy-group", "1", "node", str(NODES.index(other)))
    wait_until(lambda: local_route(lab, other) != "", PATIENCE_S, "group 1's own view on the other node")
    assert not many.is_made(lab, other)
    wait_until(lambda: many.is_made(lab, other), PATIENCE_S, "every reth again")


def local_route(lab: Lab, node: str) -> str:
    """What makes a gateway address of group 1 the node's own; empty while it is not."""
    route = ("route", "show", "table", "local", "dev", "reth0", LAN.gateways[0])
    return run(*inside(lab.namespace(node), "ip", *route))
