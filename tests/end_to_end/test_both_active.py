"""Both nodes active: the WAN's group on one node, the LAN's on the other, a strict firewall with NAT on both (SPEC 7, 8).

What crosses goes by the fabric link; which node forwards is seen by the switch. Connections of every kind, begun from either
side, live while groups and nodes come and go (decisions 0134 and 0135).
"""

import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab import faults, firewall, topology
from jsrpd.lab.topology import BY_SEGMENT, LAN, NODES, SWITCH, WAN, Lab, Settings, inside, port_of, run, wait_until
from tests.end_to_end.session_flows import Hosts, Pushes, Talk, icmp, through
from tests.end_to_end.test_gate import Wire
from tests.end_to_end.test_sessions import PATIENCE_S, connect, dead, is_covered, process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SETTINGS = Settings(interval_ms=100, threshold=3, firewall=True, both_active=True)
GROUPS = {"wan": 1, "lan": 2}
"""By segment."""
ASKED = {
    "destination": WAN.gateways,
    "none": LAN.hosts,
}
"""What the server asks for, by NAT: a service published under the WAN's addresses, or the client itself."""
QUESTIONS = 20
numbers = itertools.count(1)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(f"ja{os.getpid()}-{next(numbers)}", tmp_path / "lab")
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


def separate(lab: Lab) -> None:
    """The WAN on node 0 and the LAN on node 1: who was first there alone has taken both."""
    for (segment, primary), wanted in zip(split(lab).items(), NODES, strict=True):
        if primary != wanted:
            give(lab, segment, wanted)


def split(lab: Lab) -> dict[str, str]:
    """The primary node of each segment's group."""
    return {segment: topology.primary_node(lab, group) for segment, group in GROUPS.items()}


def senders(lab: Lab) -> dict[str, str]:
    """The node that forwards into each segment: behind which port the switch has last seen the virtual MAC."""
    found = {}
    for name, segment in BY_SEGMENT.items():
        (link,) = json.loads(run("ip", "-n", lab.namespace(NODES[0]), "-json", "link", "show", "dev", segment.reth))
        entries = json.loads(run("bridge", "-n", lab.namespace(SWITCH), "-json", "fdb", "show", "br", f"br{name}"))
        (port,) = [entry["ifname"] for entry in entries if entry["mac"] == link["address"]]
        found[name] = port.partition("-")[0]
    return found


def packets(lab: Lab, port: str) -> int:
    """That a node has sent by one of its cables."""
    (link,) = json.loads(run("ip", "-n", lab.namespace(SWITCH), "-json", "-s", "link", "show", "dev", port))
    return int(link["stats64"]["rx"]["packets"])


def visit(hosts: Hosts, kind: socket.SocketKind, asked: str, own: str) -> Talk:
    """A connection that the server began. The client speaks first in each exchange."""
    listener = hosts.opened(hosts.client, own, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((own, firewall.PUBLISHED_PORT))
    visitor = hosts.opened(hosts.server, asked, kind)
    if kind == socket.SOCK_STREAM:
        listener.listen()
        visitor.connect((asked, firewall.PUBLISHED_PORT))
        service, _ = listener.accept()
        hosts.sockets.append(service)
        listener.close()
    else:
        visitor.connect((asked, firewall.PUBLISHED_PORT))
        visitor.send(b"first")
        _, peer = listener.recvfrom(100)
        listener.connect(peer)
        service = listener

    def talk() -> bool:
        try:
            return through(service, visitor) and through(visitor, service)
        except (ConnectionError, BlockingIOError):
            return False

    return talk


def visits(hosts: Hosts) -> dict[str, Talk]:
    """One of every kind."""
    kinds = itertools.product((socket.SOCK_STREAM, socket.SOCK_DGRAM), ASKED.items(), (0, 1))
    return {
        f"{kind.name} from the WAN to {asked[six]} NAT {nat}": visit(hosts, kind, asked[six], LAN.hosts[six])
        for kind, (nat, asked), six in kinds
    }


def has_all(lab: Lab, node: str) -> bool:
    """It is primary for every group, as it says."""
    states = topology.group_states(lab, node)
    return bool(states) and all(state[NODES.index(node)] == "primary" for state in states.values())


def move(lab: Lab, segment: str, node: str) -> None:
    """The operator moves a segment's group to a node."""
    group = str(GROUPS[segment])
    for each in NODES:
        faults.request(lab, each, "failover", "reset", "redundancy-group", group)
    faults.request(lab, faults.peer_of(node), "failover", "redundancy-group", group, "node", str(NODES.index(node)))


def give(lab: Lab, segment: str, node: str) -> None:
    """The same, and all is well again."""
    move(lab, segment, node)
    wait_until(lambda: is_covered(lab) and split(lab)[segment] == node, PATIENCE_S, f"the {segment} on {node}")


def test_what_crosses_goes_by_the_fabric_link(lab: Lab, hosts: Hosts) -> None:
    """In both directions and families; each node sends into the segment whose group it has, and knows nothing twice."""
    assert all(talk() for talk in connect(hosts).values())
    before = [packets(lab, port_of(node, "fab")) for node in NODES]
    talks = [icmp(hosts, asked, asked) for asked in WAN.hosts]
    for _ in range(QUESTIONS):
        assert [talk() for talk in talks] == [True, True]
    crossed = [packets(lab, port_of(node, "fab")) - one for node, one in zip(NODES, before, strict=True)]
    assert min(crossed) >= len(talks) * QUESTIONS, "requests one way, answers the other"
    assert senders(lab) == split(lab)
    wait_until(lambda: tables(lab)[0] == tables(lab)[1], PATIENCE_S, "both kernels know the same, translated alike")
    assert tables(lab)[0]


def tables(lab: Lab) -> list[set[tuple[str, ...]]]:
    """What each kernel knows of connections between client and server: protocol and both tuples."""
    found = []
    for node in NODES:
        said = run(*inside(lab.namespace(node), "conntrack", "-L")) + run(
            *inside(lab.namespace(node), "conntrack", "-L", "-f", "ipv6")
        )
        lines = [
            [word for word in line.split() if "=" in word and not word.startswith(("mark", "use"))] for line in said.splitlines()
        ]
        found.append(
            {(line.split()[0], *words) for line, words in zip(said.splitlines(), lines, strict=True) if is_crossing(words)}
        )
    return found


def is_crossing(words: list[str]) -> bool:
    return any(word in (f"src={host}", f"dst={host}") for word in words for host in LAN.hosts)


@pytest.mark.parametrize("victim", NODES)
def test_every_connection_survives(lab: Lab, hosts: Hosts, victim: str) -> None:
    """Either node loses power; then its group comes back, and then the groups change places."""
    talks = connect(hosts) | visits(hosts)
    assert dead(talks) == []
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    other = faults.peer_of(victim)
    (segment,) = [segment for segment, node in split(lab).items() if node == victim]
    faults.inject(lab, "power-off", victim)
    wait_until(lambda: has_all(lab, other), PATIENCE_S, "both groups on the other node")
    assert dead(talks) == [], "after the failover"
    faults.heal(lab)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "the node is back and has everything")
    assert split(lab) == dict.fromkeys(GROUPS, other)
    give(lab, segment, victim)
    assert dead(talks) == [], "after its group has come back"
    assert senders(lab) == split(lab)
    give(lab, segment, other)
    assert dead(talks) == [], "with both groups on one node"
    (elsewhere,) = set(GROUPS) - {segment}
    give(lab, elsewhere, victim)
    assert dead(talks) == [], "with the groups in each other's place"
    assert senders(lab) == split(lab)


def test_pushes_go_on_while_one_group_moves(lab: Lab, hosts: Hosts) -> None:
    """What the server sends to silent clients comes without their help, across the fabric link and without it."""
    pushes = {
        f"{kind.name} over IPv{family} with NAT {nat}": Pushes(hosts, *firewall.server(WAN, family, nat), kind)
        for kind, family, nat in itertools.product((socket.SOCK_STREAM, socket.SOCK_DGRAM), (4, 6), ("none", "both"))
    }
    for segment, node in (("lan", NODES[0]), ("lan", NODES[1]), ("wan", NODES[1]), ("wan", NODES[0])):
        wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
        give(lab, segment, node)
        assert [name for name, push in pushes.items() if not push.goes_on()] == [], f"the {segment} on {node}"
    for push in pushes.values():
        push.stop()


def test_nothing_goes_to_and_fro_while_neither_node_is_primary(lab: Lab, hosts: Hosts) -> None:
    """The WAN's node has not noticed yet that the LAN came to it; the other knows already that it has gone: each packet
    for the LAN crosses the fabric link once, and no more."""
    noticing = process(lab, NODES[0], "jsrpd: kernel")
    os.kill(noticing, signal.SIGSTOP)
    try:
        move(lab, "lan", NODES[0])
        leads_back = ["ip", "-n", lab.namespace(NODES[1]), "route", "get", LAN.hosts[0]]
        wait_until(lambda: "dev fab" in run(*leads_back), PATIENCE_S, "the other node takes the LAN for its peer's")
        wire = Wire(lab.namespace(SWITCH), port_of(NODES[0], "fab"))
        for family, own in ((4, LAN.hosts[0]), (6, LAN.hosts[1])):
            sender = hosts.opened(hosts.server, own, socket.SOCK_DGRAM)
            for number in range(QUESTIONS):
                sender.sendto(f"question {number} by IPv{family}".encode(), (own, firewall.PUBLISHED_PORT))
        asked = [f"question {number} by IPv{family}".encode() for family in (4, 6) for number in range(QUESTIONS)]
        crossed: list[bytes] = []

        def heard() -> bool:
            crossed.extend(wire.received())
            return all(any(frame.endswith(one) for frame in crossed) for one in asked)

        wait_until(heard, PATIENCE_S, "every question on the fabric link")
        time.sleep(0.2)  # A packet that goes to and fro does so in microseconds.
        crossed.extend(wire.received())
        wire.socket.close()
        assert [sum(frame.endswith(one) for frame in crossed) for one in asked] == [1] * len(asked)
    finally:
        os.kill(noticing, signal.SIGCONT)
    wait_until(lambda: is_covered(lab) and split(lab)["lan"] == NODES[0], PATIENCE_S, "the LAN on the other node")
    assert all(talk() for talk in visits(hosts).values())


def test_a_packet_filter_loaded_anew_takes_nothing_away(lab: Lab, hosts: Hosts) -> None:
    """The table of what passes untracked is put back at once and said; ``jsrp release`` takes it away."""
    talks = connect(hosts)
    for node in NODES:
        filters = run(*inside(lab.namespace(node), "nft", "list", "table", "inet", "firewall"))
        run(*inside(lab.namespace(node), "nft", "-f", "-"), text=f"flush ruleset\n{filters}")
    said = "JSRPD_REPAIRED: Foreign change undone: packet filter table jsrpd"
    wait_until(lambda: all(said in topology.log_file(lab, node).read_text() for node in NODES), PATIENCE_S, "the repair")
    assert dead(talks) == []
    faults.inject(lab, "kill", NODES[1])
    run(*inside(lab.namespace(NODES[1]), "jsrp", "release"), env=lab.environment(NODES[1]))
    assert "table inet jsrpd" not in run(*inside(lab.namespace(NODES[1]), "nft", "list", "tables"))


def test_a_takeover_of_both_groups_waits_for_no_route(lab: Lab, hosts: Hosts) -> None:
    """What a node needs that owned nothing stands behind its gates: every connection goes on, translated as before, while the
    process that changes routes is stopped."""
    give(lab, "lan", NODES[0])
    talks = connect(hosts) | visits(hosts)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    keeper = process(lab, NODES[1], "jsrpd: kernel")
    os.kill(keeper, signal.SIGSTOP)
    try:
        faults.inject(lab, "power-off", NODES[0])
        wait_until(lambda: has_all(lab, NODES[1]), PATIENCE_S, "both groups on the other node")
        assert dead(talks) == []
        assert "dev fab" in run("ip", "-n", lab.namespace(NODES[1]), "route", "get", LAN.hosts[0]), "its own view has not changed"
    finally:
        os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: senders(lab) == dict.fromkeys(GROUPS, NODES[1]), PATIENCE_S, "all by this node")
