"""Four control links: any one of them keeps the peer heard, and the display says which are down."""

import os
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, topology
from jsrpd.lab.topology import NODES, SWITCH, Lab, Settings, ip_batch, port_of, wait_until

SETTINGS = Settings(interval_ms=100, threshold=3, control_links=4)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jl{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        yield made
    finally:
        topology.down(made)


def links_up(lab: Lab, node: str) -> list[bool]:
    """What a node shows of its control links, in their order."""
    links = topology.cluster_status(lab, node)["control_links"]
    assert isinstance(links, list)
    return [link["up"] for link in links]


def test_control_links_are_cut_one_by_one(lab: Lab) -> None:
    """Nothing moves while one is left; without any the standby is ineligible; one that comes back is enough."""
    before = topology.group_states(lab, "node0")
    for cut in range(4):
        ip_batch(lab.namespace(SWITCH), [f"link set {port_of('node0', f'ctl{cut}')} down"])
        wanted = [link > cut for link in range(4)]
        wait_until(lambda: all(links_up(lab, node) == wanted for node in NODES), 10, f"both nodes show {wanted}")  # noqa: B023
        if cut < 3:
            assert [topology.group_states(lab, node) for node in NODES] == [before, before]
    wait_until(lambda: "ineligible" in topology.group_states(lab, "node0")[1], 10, "an ineligible standby")
    ip_batch(lab.namespace(SWITCH), [f"link set {port_of('node0', 'ctl3')} up"])
    demo.settle(lab, "the return of the last control link")
    assert topology.group_states(lab, "node0") == before
    assert links_up(lab, "node1") == [False, False, False, True]
