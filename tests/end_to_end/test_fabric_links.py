"""Two fabric links, with a group on each node so that traffic crosses: the loss of either costs nothing that lives, and is shown.

Lost by carrier at either end and in silence. What crosses is seen at the switch (decision 0144).
"""

import itertools
import os
import signal
from collections.abc import Iterator

import pytest

from jsrpd.lab import faults, topology
from jsrpd.lab.topology import LAN, NODES, SWITCH, WAN, Lab, Settings, inside, ip_batch, port_of, run, wait_until
from tests.end_to_end.session_flows import Hosts, icmp
from tests.end_to_end.test_both_active import packets, senders, separate, split, visits
from tests.end_to_end.test_sessions import PATIENCE_S, connect, dead, is_covered, process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SETTINGS = Settings(interval_ms=100, threshold=3, fabric_links=2, firewall=True, both_active=True)
FABRICS = SETTINGS.fabrics
QUESTIONS = 20


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster, the WAN on node 0 and the LAN on node 1."""
    made = Lab(f"jf{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        wait_until(lambda: is_covered(made), PATIENCE_S, "cold synchronisation")
        separate(made)
        yield made
    finally:
        topology.down(made)


@pytest.fixture
def hosts(lab: Lab) -> Iterator[Hosts]:
    made = Hosts(lab.namespace("client"), lab.namespace("server"))
    yield made
    made.close()


def fabric_shown(lab: Lab, node: str) -> list[tuple[str, str, bool | None]]:
    """(fab0 or fab1, member, whether the peer is heard there) of each row that a node shows."""
    rows = topology.cluster_status(lab, node)["fabric_interfaces"]
    assert isinstance(rows, list)
    return [(row["name"], row["child"], row["monitored_up"]) for row in rows]


def all_show(lab: Lab, *well: str) -> bool:
    """Both nodes show these members as heard at both ends, and no others."""
    wanted = [(f"fab{node}", member, member in well) for node in (0, 1) for member in FABRICS]
    return all(fabric_shown(lab, node) == wanted for node in NODES)


def way(lab: Lab, node: str) -> str:
    """The interface by which a node sends what is for the group on its peer."""
    other = LAN if split(lab)["wan"] == node else WAN
    said = {run("ip", "-n", lab.namespace(node), "-6" if ":" in host else "-4", "route", "get", host) for host in other.hosts}
    (interface,) = {words[words.index("dev") + 1] for words in map(str.split, said)}
    return interface


def both_go_by(lab: Lab, member: str) -> bool:
    return [way(lab, node) for node in NODES] == [member, member]


def crossings(lab: Lab, hosts: Hosts, member: str) -> list[int]:
    """Packets that each node has sent by one link while questions of both families were asked and answered."""
    before = [packets(lab, port_of(node, member)) for node in NODES]
    talks = [icmp(hosts, asked, asked) for asked in WAN.hosts]
    for _ in range(QUESTIONS):
        assert [talk() for talk in talks] == [True, True]
    return [packets(lab, port_of(node, member)) - one for node, one in zip(NODES, before, strict=True)]


def cut(lab: Lab, *ports: str) -> None:
    """These switch ports go down: the node's end loses its carrier."""
    ip_batch(lab.namespace(SWITCH), [f"link set {port} down" for port in ports])


def mend(lab: Lab, *ports: str) -> None:
    ip_batch(lab.namespace(SWITCH), [f"link set {port} up" for port in ports])
    wait_until(lambda: all_show(lab, *FABRICS), PATIENCE_S, "both links heard by both nodes")


def silence(lab: Lab, ports: frozenset[str]) -> None:
    """These switch ports drop everything, and no others."""
    text = faults.ruleset(faults.Broken(silent=ports), lab.settings)
    run(*inside(lab.namespace(SWITCH), "nft", "-f", "-"), text=text)


def states(lab: Lab) -> list[dict[int, tuple[str, str]]]:
    return [topology.group_states(lab, node) for node in NODES]


@pytest.mark.parametrize(("member", "end"), list(itertools.product(FABRICS, NODES)))
def test_either_link_is_cut(lab: Lab, hosts: Hosts, member: str, end: str) -> None:
    """One end has no carrier, the other end has: both leave the link, what crosses goes by the other one, nothing moves."""
    (other,) = set(FABRICS) - {member}
    talks = connect(hosts) | visits(hosts)
    before = states(lab)
    cut(lab, port_of(end, member))
    wait_until(lambda: all_show(lab, other), PATIENCE_S, f"only {other} shown as up")
    wait_until(lambda: both_go_by(lab, other), PATIENCE_S, f"what crosses goes by {other}")
    assert dead(talks) == []
    assert min(crossings(lab, hosts, other)) >= 2 * QUESTIONS
    talks |= connect(hosts)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "new connections with the peer")
    assert states(lab) == before
    mend(lab, port_of(end, member))
    assert dead(talks) == []
    assert states(lab) == before
    assert senders(lab) == split(lab)


def test_a_link_that_is_silent_is_left_too(lab: Lab, hosts: Hosts) -> None:
    """The carriers stay: after the dead time both nodes use the other one; then that falls silent, and the first is back."""
    talks = connect(hosts)
    before = states(lab)
    for silent, other in (FABRICS, FABRICS[::-1]):
        ports = frozenset(port_of(node, silent) for node in NODES)
        silence(lab, ports)
        wait_until(lambda: all_show(lab, other), PATIENCE_S, f"only {other} heard")  # noqa: B023
        wait_until(lambda: both_go_by(lab, other), PATIENCE_S, f"what crosses goes by {other}")  # noqa: B023
        assert dead(talks) == []
        assert min(crossings(lab, hosts, other)) >= 2 * QUESTIONS
        silence(lab, frozenset())
        wait_until(lambda: all_show(lab, *FABRICS), PATIENCE_S, "both links heard")
    assert states(lab) == before
    assert dead(talks) == []


def test_a_kernel_process_that_is_new_uses_the_link_that_works(lab: Lab, hosts: Hosts) -> None:
    """It is told again, whatever it begins with."""
    used = way(lab, NODES[0])
    (other,) = set(FABRICS) - {used}
    cut(lab, port_of(NODES[0], used))
    wait_until(lambda: both_go_by(lab, other), PATIENCE_S, f"what crosses goes by {other}")
    os.kill(process(lab, NODES[0], "jsrpd: kernel"), signal.SIGKILL)
    wait_until(lambda: is_covered(lab) and both_go_by(lab, other), PATIENCE_S, f"what crosses goes by {other} again")
    assert min(crossings(lab, hosts, other)) >= 2 * QUESTIONS
    mend(lab, port_of(NODES[0], used))


def test_without_any_the_fabric_is_down(lab: Lab) -> None:
    """As with a single link: owners stay, and where a node is secondary it is not chosen, until they are well again."""
    cut(lab, *(port_of(NODES[0], member) for member in FABRICS))
    ineligible = {
        group: ("primary", "ineligible") if primary == 0 else ("ineligible", "primary") for group, primary in ((1, 0), (2, 1))
    }
    wait_until(
        lambda: all({group: state[group] for group in ineligible} == ineligible for state in states(lab)), PATIENCE_S, "ineligible"
    )
    assert all_show(lab)
    mend(lab, port_of(NODES[0], FABRICS[0]), port_of(NODES[0], FABRICS[1]))
    wait_until(lambda: is_covered(lab), PATIENCE_S, "both nodes eligible again")
