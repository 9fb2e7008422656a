"""A cluster without virtual MACs: the addresses move by gratuitous ARP and neighbour advertisements, and only one node answers.

Each node has addresses of its own on the segments, by the same MAC, which the lease does not concern (decision 0145).
"""

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import LAN, NODES, SEGMENTS, WAN, Lab, Settings, inside, run, wait_until
from tests.end_to_end.session_flows import Hosts
from tests.end_to_end.test_cluster import GRACE_MS, client_gateway_mac, forwarding_node, is_manual, log_of, says_all
from tests.end_to_end.test_sessions import PATIENCE_S, connect, dead, is_covered

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SETTINGS = Settings(interval_ms=100, threshold=3, control_links=2, firewall=True, virtual_mac="child")
OPTIONS = traffic.Options(duration_s=60, rate=200, connections=5)
MOVED = {
    "handover": "secondary > primary: Remote is in secondary hold",
    "cut-lan": "secondary > primary: Remote is in secondary hold",
    "silent-wan": "secondary > primary: Remote is in secondary hold",
    "kill": "secondary > primary: Only node present",
    "stop": "secondary > primary: Only node present",
    "hang": "secondary > primary: Only node present",
    "power-off": "secondary > primary: Only node present",
}
"""What the other node says of each fault of the owner."""
BY_HAND_OVER = {fault for fault, said in MOVED.items() if "secondary hold" in said}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(f"jm{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        yield made
    finally:
        topology.down(made)


@pytest.fixture
def primary(lab: Lab) -> str:
    """The owner in a healthy cluster."""
    faults.heal(lab)
    demo.settle(lab, "healing")
    for node in NODES:
        faults.request(lab, node, "failover", "reset", "redundancy-group", "1")
    wait_until(lambda: not is_manual(lab) and is_covered(lab), PATIENCE_S, "a cluster that is well")
    return topology.primary_node(lab)


@pytest.fixture
def hosts(lab: Lab) -> Iterator[Hosts]:
    made = Hosts(lab.namespace("client"), lab.namespace("server"))
    yield made
    made.close()


def mac_of(lab: Lab, node: str, interface: str) -> str:
    (link,) = json.loads(run("ip", "-n", lab.namespace(node), "-json", "link", "show", "dev", interface))
    return str(link["address"])


def succeeds(lab: Lab, member: str, *command: str) -> bool:
    try:
        run(*inside(lab.namespace(member), *command))
    except topology.LabError:
        return False
    return True


def both_are_reached(lab: Lab) -> bool:
    """By their own addresses of both families, from the LAN. The firewall lets nothing from the WAN reach the node itself."""
    addresses = [address for node in (0, 1) for address in LAN.of_node(node)]
    return all(succeeds(lab, LAN.host, "ping", "-c1", "-W1", address) for address in addresses)


@pytest.mark.parametrize("fault", MOVED)
def test_the_addresses_move_by_announcement(lab: Lab, primary: str, hosts: Hosts, fault: str) -> None:
    """Connections with NAT live, one node answers at any time, and the client keeps the new owner's MAC."""
    other = faults.peer_of(primary)
    talks = connect(hosts)
    macs = {segment: {mac_of(lab, node, segment) for node in NODES} for segment in SEGMENTS}
    with traffic.running(lab, OPTIONS) as flow:
        assert forwarding_node(lab) == primary
        wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
        begin = time.time_ns()
        faults.inject(lab, fault, primary)
        wait_until(lambda: says_all(lab, begin, other, (MOVED[fault],)), PATIENCE_S, f"{other}: {MOVED[fault]}")
        assert dead(talks) == [], "after the failover"
        for family in (4, 6):
            assert client_gateway_mac(lab, family) == mac_of(lab, other, "lan") == mac_of(lab, other, "reth0")
        time.sleep(0.3)  # Probes on either side of the change, for the intervals of ownership.
        faults.heal(lab)
        demo.settle(lab, fault)
        result = flow.finish(now=True)
    assert all(tcp.alive == tcp.connections for tcp in result.tcp), result.tcp
    owners = result.ownerships(begin, result.end)
    assert {(one.segment, one.family) for one in owners} == {(segment, family) for segment in SEGMENTS for family in (4, 6)}
    for one in owners:
        assert one.final_owner == NODES.index(other), one
        assert one.two_owners_ms <= (GRACE_MS if fault in BY_HAND_OVER else 0), one
        # A node that was powered off comes back with others.
        assert set(one.macs) <= macs[one.segment] or fault == "power-off"
    assert dead(talks) == [], "after the healing"


def test_each_node_has_its_own_addresses_in_every_role(lab: Lab, primary: str) -> None:
    """Behind a shut gate as well, and when the daemon of a node is dead and its lease over."""
    wait_until(lambda: both_are_reached(lab), PATIENCE_S, "both nodes")
    faults.inject(lab, "handover", primary)
    demo.settle(lab, "the hand-over")
    wait_until(lambda: both_are_reached(lab), PATIENCE_S, "both nodes after a hand-over")
    faults.inject(lab, "kill", topology.primary_node(lab))
    wait_until(lambda: both_are_reached(lab), PATIENCE_S, "both nodes while one has no daemon")


def test_a_reth_that_somebody_takes_away_is_made_anew(lab: Lab, primary: str) -> None:
    """On either node, also with a standby's kernel process stopped: without its reth a standby does not answer either."""
    standby = faults.peer_of(primary)
    begin = time.time_ns()
    with traffic.running(lab, OPTIONS) as flow:
        keeper = next(pid for pid, title in topology.daemon_processes(lab, standby).items() if title == "jsrpd: kernel")
        os.kill(keeper, signal.SIGSTOP)
        run("ip", "-n", lab.namespace(standby), "link", "del", "reth0")
        time.sleep(0.5)
        os.kill(keeper, signal.SIGCONT)
        wait_until(lambda: "interface reth0 on lan" in log_of(lab, standby), PATIENCE_S, "the repair")
        run("ip", "-n", lab.namespace(primary), "link", "del", "reth0")
        wait_until(lambda: "interface reth0 on lan" in log_of(lab, primary), PATIENCE_S, "the repair")
        wait_until(lambda: both_are_reached(lab), PATIENCE_S, "both nodes")
        time.sleep(0.3)  # As above.
        result = flow.finish(now=True)
    for one in result.ownerships(begin, result.end):
        assert (one.final_owner, one.two_owners_ms) == (NODES.index(primary), 0), one
    assert all(tcp.alive == tcp.connections for tcp in result.tcp), result.tcp


def test_the_node_itself_is_asked_and_asks_by_its_reth(lab: Lab, primary: str) -> None:
    """A standby reaches the hosts of a segment from its own address by the reth; without naming it, by the owner."""
    standby = faults.peer_of(primary)
    for n, host in enumerate(LAN.hosts):
        own = LAN.of_node(NODES.index(standby))[n]
        run(*inside(lab.namespace(standby), "ping", "-c1", "-W5", "-I", own, host))
    by_the_reth = ("ping", "-c1", "-W5", "-I", "reth0", LAN.hosts[0])
    wait_until(lambda: succeeds(lab, standby, *by_the_reth), PATIENCE_S, "an answer by the reth")


def test_a_commit_gives_the_cluster_virtual_macs_and_takes_them_away(lab: Lab, primary: str) -> None:
    """Hosts learn the other MAC at once, without asking, and the gates are those that belong to it."""
    connected = WAN.hosts
    for scheme, mode in (("local", "private"), ("child", "passthru")):
        for host in connected:
            wait_until(lambda: succeeds(lab, LAN.host, "ping", "-c1", "-W1", host), PATIENCE_S, "the way through")  # noqa: B023
        commands = f"set chassis cluster virtual-mac {scheme}\ncommit\n"
        run(*inside(lab.namespace(primary), "jsrp", "configure"), text=commands, env=lab.environment(primary), timeout_s=60)
        wait_until(lambda: all(made(lab, node) == mode for node in NODES), PATIENCE_S, f"reths in mode {mode}")  # noqa: B023
        for family in (4, 6):
            wait_until(
                lambda: client_gateway_mac(lab, family) == mac_of(lab, primary, "reth0"),  # noqa: B023
                PATIENCE_S,
                "the new MAC",
            )
        for host in connected:
            wait_until(lambda: succeeds(lab, LAN.host, "ping", "-c1", "-W1", host), PATIENCE_S, "the way through")  # noqa: B023
        wait_until(lambda: both_are_reached(lab), PATIENCE_S, "both nodes")
    assert topology.primary_node(lab) == primary


def made(lab: Lab, node: str) -> str:
    """Mode of the macvlan that is the LAN's reth, empty while there is none."""
    links = json.loads(run("ip", "-n", lab.namespace(node), "-json", "-d", "link", "show"))
    found = [link["linkinfo"]["info_data"]["mode"] for link in links if link["ifname"] == "reth0"]
    return str(found[0]) if found else ""
