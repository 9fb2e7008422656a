"""Connections through the lab's faults: a strict firewall on both nodes, every kind of NAT, both families (SPEC section 8).

All of them must live after the failover and after the failback; that the firewall kills what was not carried over is
shown by a cluster with session synchronisation switched off.
"""

import errno
import itertools
import json
import os
import re
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jsrpd.kernel.ctnetlink import Injector
from jsrpd.lab import faults, firewall, topology
from jsrpd.lab.topology import NODES, WAN, Lab, Settings, inside, run, wait_until
from jsrpd.sessions.ctnetlink import (
    ASSURED,
    CONFIRMED,
    CREATE,
    DELETE,
    DST_PORT,
    NESTED,
    NEW,
    PROTO_NUM,
    REQUEST,
    SRC_PORT,
    STANDBY_TIMEOUT_S,
    STATUS,
    TIMEOUT,
    TUPLE_IP,
    TUPLE_ORIG,
    TUPLE_PROTO,
    TUPLE_REPLY,
    V4_DST,
    V4_SRC,
    attribute,
    message,
)
from tests.end_to_end.session_flows import PROTOCOLS, Download, Ftp, Hosts, Pushes, Talk, Visitor
from tests.end_to_end.test_gate import inside as inside_namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SETTINGS = Settings(interval_ms=100, threshold=3, firewall=True)
PATIENCE_S = 60
KINDS = list(itertools.product(PROTOCOLS, (4, 6), firewall.NAT))
PER_KIND = int(os.environ.get("JSRPD_CONNECTIONS_PER_KIND", "3"))
"""The long run of an acceptance takes 200."""
FILE_BYTES, FILE_S = 100 << 20, 20
numbers = itertools.count(1)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(f"js{os.getpid()}-{next(numbers)}", tmp_path / "lab")
    try:
        topology.up(made, SETTINGS)
        wait_until(lambda: is_covered(made), PATIENCE_S, "cold synchronisation")
        yield made
    finally:
        topology.down(made)


def sessions(lab: Lab, node: str) -> dict[str, Any]:
    status = topology.cluster_status(lab, node)["sessions"]
    assert isinstance(status, dict)
    return status


def is_covered(lab: Lab) -> bool:
    """The cluster is well, and each node has what the other has."""
    if not topology.is_settled(lab):
        return False
    both = [topology.cluster_status(lab, node)["sessions"] or {} for node in NODES]
    return all(isinstance(one, dict) and one.get("covered") and one.get("peer") and not one["backlog_bytes"] for one in both)


@pytest.fixture
def hosts(lab: Lab) -> Iterator[Hosts]:
    made = Hosts(lab.namespace("client"), lab.namespace("server"))
    yield made
    made.close()


def connect(hosts: Hosts) -> dict[str, Talk]:
    """Connections of every kind; all of them have talked."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    talks = {}
    for protocol, family, nat in KINDS:
        for n in range(PER_KIND):
            talk = PROTOCOLS[protocol](hosts, *firewall.server(WAN, family, nat))
            wait_until(talk, PATIENCE_S, f"{protocol} over IPv{family} with NAT {nat}")
            talks[f"{protocol} IPv{family} NAT {nat} #{n}"] = talk
    return talks


def dead(talks: dict[str, Talk]) -> list[str]:
    """Those that do not answer, twice asked."""
    return [name for name, talk in talks.items() if not talk() and not talk()]


def primary(lab: Lab) -> str:
    return topology.primary_node(lab)


def move_back(lab: Lab, node: str) -> None:
    """The group returns to a node, by the operator's word."""
    for each in NODES:
        faults.request(lab, each, "failover", "reset", "redundancy-group", "1")
    if primary(lab) != node:
        wait_until(lambda: is_ordered(lab, node), PATIENCE_S, f"{node} is fit for group 1")
        wait_until(lambda: is_covered(lab) and primary(lab) == node, PATIENCE_S, f"group 1 back on {node}")


def is_ordered(lab: Lab, node: str) -> bool:
    """The operator's word is taken; a node whose coverage is in doubt at this moment refuses it."""
    with suppress(topology.LabError):
        faults.request(lab, primary(lab), "failover", "redundancy-group", "1", "node", str(NODES.index(node)))
        return True
    return False


@pytest.mark.parametrize("fault", ["handover", "cut-lan", "cut-wan", "kill", "stop", "power-off"])
def test_every_connection_survives(lab: Lab, hosts: Hosts, fault: str) -> None:
    first = primary(lab)
    talks = connect(hosts)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    faults.inject(lab, fault, first)
    other = faults.peer_of(first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead(talks) == [], "after the failover"
    faults.heal(lab)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "the node is back and has everything")
    move_back(lab, first)
    assert dead(talks) == [], "after the failback"


def test_announced_connections_begin_with_another_owner(lab: Lab, hosts: Hosts) -> None:
    """FTP's data connections: half of them begin after the failover, the others after the failback."""
    first = primary(lab)
    other = faults.peer_of(first)
    sessions = {
        f"{'active' if active else 'passive'} over IPv{family} with NAT {nat}": Ftp(
            hosts, *firewall.server(WAN, family, nat), active=active
        )
        for active, family, nat in itertools.product((False, True), (4, 6), firewall.NAT)
    }
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    names = list(sessions)
    assert [name for name in names[::2] if not sessions[name].transfer()] == [], "after the failover"
    faults.heal(lab)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "the node is back and has everything")
    move_back(lab, first)
    assert [name for name in names[1::2] if not sessions[name].transfer()] == [], "after the failback"


@pytest.mark.parametrize("fault", ["handover", "cut-lan", "stop", "power-off"])
def test_pushes_go_on_and_visitors_come_in(lab: Lab, hosts: Hosts, fault: str) -> None:
    """What the server sends to silent clients comes without their help, and new connections from the WAN are served meanwhile."""
    first = primary(lab)
    other = faults.peer_of(first)
    pushes = {
        f"{kind.name} over IPv{family} with NAT {nat}": Pushes(hosts, *firewall.server(WAN, family, nat), kind)
        for kind, family, nat in itertools.product((socket.SOCK_STREAM, socket.SOCK_DGRAM), (4, 6), ("none", "both"))
    }
    visitors = [
        Visitor(hosts, asked, own, firewall.PUBLISHED_PORT)
        for asked, own in ((WAN.gateways[0], topology.LAN.hosts[0]), (topology.LAN.hosts[1], topology.LAN.hosts[1]))
    ]
    for visitor in visitors:
        visitor.start()
    wait_until(lambda: is_covered(lab) and all(visitor.served for visitor in visitors), PATIENCE_S, "everything under way")
    faults.inject(lab, fault, first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert [name for name, push in pushes.items() if not push.goes_on()] == [], "after the failover"
    served = [visitor.served for visitor in visitors]
    wait_until(lambda: all(v.served > before for v, before in zip(visitors, served, strict=True)), PATIENCE_S, "new visitors")
    faults.heal(lab)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "the node is back and has everything")
    move_back(lab, first)
    assert [name for name, push in pushes.items() if not push.goes_on()] == [], "after the failback"
    for push in pushes.values():
        push.stop()
    for visitor in visitors:
        visitor.stop()
    # One that begins in the very millisecond in which its owner dies is nobody's.
    assert all(len(visitor.failures) <= (fault != "handover") for visitor in visitors), [v.failures for v in visitors]


@pytest.mark.parametrize("nat", ["none", "both"])
def test_a_download_survives_two_failovers(lab: Lab, hosts: Hosts, nat: str) -> None:
    """100 MB over HTTP while the owner loses power and, when it is back, gets its group again."""
    first = primary(lab)
    other = faults.peer_of(first)
    download = Download(hosts, *firewall.server(WAN, 4, nat), FILE_BYTES, FILE_S)
    time.sleep(1)
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    faults.heal(lab)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "the node is back and has everything")
    move_back(lab, first)
    assert download.running, "it was over before the second failover"
    assert download.finish(), download.failure


def reconfigure(lab: Lab, statement: str) -> None:
    """``session-synchronization`` with this statement, on both nodes."""
    for node in NODES:
        path = lab.node_directory(node, "etc") / "jsrpd.conf"
        lines = [line for line in path.read_text().splitlines() if "session-synchronization" not in line]
        at = next(number for number, line in enumerate(lines) if "reth-count 2;" in line)
        lines.insert(at, f"        session-synchronization {statement}")
        path.write_text("\n".join(lines) + "\n")
        (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)


def known_udp(lab: Lab, node: str) -> list[str]:
    """Of the WAN's plain IPv4 address, as ``conntrack -L`` has them."""
    lines = run(*inside(lab.namespace(node), "conntrack", "-L", "-p", "udp", "-f", "ipv4")).splitlines()
    return [line for line in lines if firewall.server(WAN, 4, "none")[1] in line]


def test_what_is_to_travel_when_it_is_assured(lab: Lab, hosts: Hosts) -> None:
    """A question and its answer stay at home; what goes on is carried over, and what began before the change is not kept."""
    first = primary(lab)
    other = faults.peer_of(first)
    udp, tcp = PROTOCOLS["udp"], PROTOCOLS["tcp"]
    where = firewall.server(WAN, 4, "none")
    before = udp(hosts, *where)
    assert before()
    wait_until(lambda: len(known_udp(lab, other)) == 1, PATIENCE_S, "it travels when it begins")
    reconfigure(lab, "pickup udp assured;")
    wait_until(lambda: known_udp(lab, other) == [], PATIENCE_S, "it is not wanted any more")
    short, lasting, stream = udp(hosts, *where), udp(hosts, *where), tcp(hosts, *where)
    assert short()
    assert stream()
    # A kernel calls a UDP connection assured that goes on after two seconds.
    wait_until(lambda: lasting() and len(known_udp(lab, other)) == 1, PATIENCE_S, "the one that lasts is with the peer")
    assert len(known_udp(lab, first)) == 3
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead({"lasting": lasting, "stream": stream}) == []
    assert not short(), "it was not to be carried over"


def test_switched_off_it_costs_nothing(lab: Lab, hosts: Hosts) -> None:
    """Neither what the kernel says nor a walk that was begun keeps a session process awake that has nothing to do."""
    reconfigure(lab, "off;")
    wait_until(lambda: all(not sessions(lab, node)["on"] for node in NODES), PATIENCE_S, "switched off")
    connect(hosts)
    time.sleep(6)  # Longer than it takes until a new owner begins its walk.
    before = [cpu_s(lab, node) for node in NODES]
    time.sleep(2)
    assert max(cpu_s(lab, node) - one for node, one in zip(NODES, before, strict=True)) < 0.2, "it turns in circles"


def cpu_s(lab: Lab, node: str) -> float:
    """What the session process has used so far."""
    return int(Path(f"/proc/{process(lab, node, 'jsrpd: sessions')}/schedstat").read_text().split()[0]) / 1e9


def test_the_standby_knows_the_neighbours(lab: Lab, hosts: Hosts) -> None:
    """Those the owner has resolved, usable at once, on a node that cannot resolve behind its shut gate."""
    standby = faults.peer_of(primary(lab))
    connect(hosts)

    def known() -> bool:
        said = run(*inside(lab.namespace(standby), "ip", "-json", "neigh", "show"))
        entries = {one["dst"]: one["state"] for one in json.loads(said) if one["dev"].startswith("reth")}
        wanted = (*topology.LAN.hosts, *WAN.hosts)
        return all(entries.get(address) == ["STALE"] for address in wanted)

    wait_until(known, PATIENCE_S, "the hosts of both segments among the standby's neighbours")


def test_the_former_owner_keeps_what_it_lost(lab: Lab, hosts: Hosts) -> None:
    """No packet refreshes its entries any more: they get a standby's timeout, so that the group may come back late."""
    first = primary(lab)
    udp = {name: talk for name, talk in connect(hosts).items() if name.startswith("udp")}
    faults.inject(lab, "handover", first)

    def kept() -> bool:
        lines = run(*inside(lab.namespace(first), "conntrack", "-L", "-p", "udp", "-f", "ipv4")).splitlines()
        timeouts = [int(line.split()[2]) for line in lines if str(WAN.hosts[0]) in line]
        return bool(timeouts) and min(timeouts) > STANDBY_TIMEOUT_S - PATIENCE_S

    wait_until(kept, PATIENCE_S, "the entries of the former owner with a standby's timeout")
    assert dead(udp) == []


def process(lab: Lab, node: str, name: str) -> int:
    (pid,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == name]
    return pid


def test_a_broken_session_process_costs_no_session_and_moves_nothing(lab: Lab, hosts: Hosts) -> None:
    """Killed on either node, then hung for a while: everything recovers by itself, and the group stays where it is."""
    first = primary(lab)
    other = faults.peer_of(first)
    talks = connect(hosts)
    for node in (other, first):
        os.kill(process(lab, node, "jsrpd: sessions"), signal.SIGKILL)
        more = {f"new while {node} had none: {name}": talk for name, talk in connect(hosts).items()}
        talks |= more
    wait_until(lambda: is_covered(lab), PATIENCE_S, "both session processes are back")
    os.kill(process(lab, other, "jsrpd: sessions"), signal.SIGSTOP)
    wait_until(lambda: "CS" in failures(lab, other), PATIENCE_S, "the cold-sync monitor fails")
    talks |= {f"new while it hung: {name}": talk for name, talk in connect(hosts).items()}
    os.kill(process(lab, other, "jsrpd: sessions"), signal.SIGCONT)
    wait_until(lambda: is_covered(lab) and not failures(lab, other), PATIENCE_S, "it has caught up")
    assert primary(lab) == first, "nothing has moved"
    log = "".join(topology.log_file(lab, node).read_text() for node in NODES)
    assert "JSRPD_UNSET_CS_MON_FAILURE" in log
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead(talks) == []


def failures(lab: Lab, node: str) -> str:
    """Monitor failures of group 1 on a node, as that node sees them."""
    for group in topology.cluster_status(lab, node)["groups"]:  # type: ignore[attr-defined]
        if group["group"] == 1:
            return " ".join(group["nodes"][NODES.index(node)]["failures"] or [])
    return ""


MAXIMUM = Path("/proc/sys/net/netfilter/nf_conntrack_max")
"""Of every namespace on this machine."""


@pytest.fixture
def small_table() -> Iterator[int]:
    """How many connections a kernel has room for."""
    before = MAXIMUM.read_text()
    MAXIMUM.write_text("2000")
    yield 2000
    MAXIMUM.write_text(before)


def foreign(count: int, kind: int, flags: int) -> list[bytes]:
    """Connections between addresses that no cluster carries, in batches."""
    made = []
    for number in range(count):
        source, destination = struct.pack(">I", 0x7F000000 + number), b"\x7f\0\0\1"
        body = b""
        for tuple_kind, one, other in ((TUPLE_ORIG, source, destination), (TUPLE_REPLY, destination, source)):
            addresses = attribute(TUPLE_IP | NESTED, attribute(V4_SRC, one) + attribute(V4_DST, other))
            ports = attribute(SRC_PORT, b"\0\7") + attribute(DST_PORT, b"\0\7")
            protocol = attribute(TUPLE_PROTO | NESTED, attribute(PROTO_NUM, b"\x11") + ports)
            body += attribute(tuple_kind | NESTED, addresses + protocol)
        body += attribute(STATUS, struct.pack(">I", CONFIRMED | ASSURED)) + attribute(TIMEOUT, struct.pack(">I", 3600))
        made.append(message(kind, flags, socket.AF_INET, body))
    return [b"".join(made[start : start + 100]) for start in range(0, count, 100)]


def test_a_full_table_is_told_and_recovers(lab: Lab, hosts: Hosts, small_table: int) -> None:
    """The standby has no room: it says so, is not fit, and fetches what it lacks when there is room again."""
    first = primary(lab)
    other = faults.peer_of(first)
    with inside_namespace(lab.namespace(other)):
        injector = Injector()
    refused = [number for batch in foreign(small_table, NEW, REQUEST | CREATE) for number, _ in injector.inject(batch)]
    assert set(refused) <= {errno.ENOMEM}
    talks = connect(hosts)
    wait_until(lambda: any("ENOMEM" in name for name in sessions(lab, other)["counters"]), PATIENCE_S, "refused")
    wait_until(lambda: "CS" in failures(lab, other), PATIENCE_S, "the cold-sync monitor fails")
    assert "table is full" in sessions(lab, other)["cold_sync"]
    assert "the connection table is full" in topology.log_file(lab, other).read_text()
    for batch in foreign(small_table, DELETE, REQUEST):
        injector.inject(batch)
    injector.close()
    wait_until(lambda: is_covered(lab) and not failures(lab, other), PATIENCE_S, "there is room, and it has everything")
    assert primary(lab) == first, "nothing has moved"
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead(talks) == []


def test_settings_changed_under_us(lab: Lab, hosts: Hosts) -> None:
    """Told; and what began while the kernel was silent is with the peer all the same."""
    first = primary(lab)
    other = faults.peer_of(first)
    changed = "; ".join(
        f"echo {value} > /proc/sys/net/netfilter/nf_conntrack_{name}"
        for name, value in (("tcp_loose", 1), ("tcp_be_liberal", 1), ("events", 0))
    )
    run(*inside(lab.namespace(first), "sh", "-ec", changed))
    talks = connect(hosts)

    def told() -> bool:
        log = topology.log_file(lab, first).read_text()
        sentences = ("tcp_loose was changed from 0 to 1", "tcp_be_liberal was changed from 0 to 1", "told nothing of connections")
        return all(sentence in log for sentence in sentences)

    wait_until(told, PATIENCE_S, "the log says so")
    wait_until(lambda: sessions(lab, first)["counters"].get("resynchronisations sent", 0) >= 2, PATIENCE_S, "all is told anew")
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead(talks) == []


def test_an_address_removed_from_the_standby(lab: Lab, hosts: Hosts) -> None:
    """A kernel forgets what is masqueraded with an address that goes; what was carried over is not, and outlives it."""
    first = primary(lab)
    other = faults.peer_of(first)
    for node in NODES:
        rules = run(*inside(lab.namespace(node), "nft", "list", "table", "inet", "firewall"))
        masquerading = re.sub(r"snat ip6? to \S+", "masquerade", rules)
        run(*inside(lab.namespace(node), "nft", "-f", "-"), text=f"delete table inet firewall\n{masquerading}")
    talks = connect(hosts)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "everything with the peer")
    for address in (WAN.gateways[0] + "/24", WAN.gateways[1] + "/64"):
        run("ip", "-n", lab.namespace(other), "addr", "del", address, "dev", WAN.reth)
    wait_until(lambda: "JSRPD_REPAIRED" in topology.log_file(lab, other).read_text(), PATIENCE_S, "the repair")
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead(talks) == []


def test_a_cut_fabric_is_caught_up(lab: Lab, hosts: Hosts) -> None:
    """What began and what ended during the cut is known to the standby afterwards."""
    first = primary(lab)
    other = faults.peer_of(first)
    talks = connect(hosts)
    faults.inject(lab, "silent-fabric")
    wait_until(lambda: not sessions(lab, other)["peer"], PATIENCE_S, "the silence is noticed")
    talks |= {f"new during the cut: {name}": talk for name, talk in connect(hosts).items()}
    gone = talks.pop("udp IPv4 NAT source #0")
    run(*inside(lab.namespace(first), "conntrack", "-D", "-p", "udp", "-f", "ipv4", "-n"), timeout_s=10)
    talks = {name: talk for name, talk in talks.items() if "udp IPv4 NAT source" not in name and "udp IPv4 NAT both" not in name}
    faults.heal(lab)
    wait_until(lambda: is_covered(lab), PATIENCE_S, "caught up")
    assert primary(lab) == first
    faults.inject(lab, "power-off", first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert dead(talks) == []
    assert not gone(), "ended during the cut, and not brought back to life"


def test_what_is_not_carried_over_dies(lab: Lab, hosts: Hosts) -> None:
    """Without session synchronisation the same connections are lost: the lab's firewall is strict indeed."""
    first = primary(lab)
    reconfigure(lab, "off;")
    wait_until(lambda: all(not sessions(lab, node)["on"] for node in NODES), PATIENCE_S, "switched off")
    talks = {name: talk for name, talk in connect(hosts).items() if not name.startswith("icmp")}
    faults.inject(lab, "power-off", first)
    other = faults.peer_of(first)
    wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", PATIENCE_S, "the failover")
    assert sorted(dead(talks)) == sorted(talks)
