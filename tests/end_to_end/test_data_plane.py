"""The data plane of both roles on the real kernel: the standby's view, repairs of foreign changes, and leaving no trace.

One lab for the whole file. The kernel and the segments are asked for everything; the daemons only for what they log
(SPEC section 7).
"""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd.data_plane.gate_program import Instruction, assemble
from jsrpd.kernel import bpf
from jsrpd.kernel.gate import HOOKS, NAME_PREFIX
from jsrpd.lab import demo, faults, topology
from jsrpd.lab.observe import PROBER_MAC, classify, neighbour_solicitation, questions
from jsrpd.lab.topology import (
    BY_SEGMENT,
    LAN,
    NODES,
    SWITCH,
    WAN,
    Lab,
    LabError,
    Segment,
    Settings,
    ip_batch,
    port_of,
    run,
    wait_until,
)
from tests.end_to_end.test_gate import Wire, eventually, inside

SETTINGS = Settings(interval_ms=100, threshold=3)
ROUNDS = 20
"""Questions to a node that must not answer, each followed by one that it does answer."""
PORT = 5000
GATEWAYS = {f"{segment.name} IPv{6 if ':' in gateway else 4}": gateway for segment in (LAN, WAN) for gateway in segment.gateways}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jd{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        yield made
    finally:
        topology.down(made)


@dataclass(frozen=True)
class Pair:
    """The nodes by role."""

    lab: Lab
    primary: str
    standby: str

    def namespace(self, node: str) -> str:
        return self.lab.namespace(node)


def settled(lab: Lab) -> Pair:
    """Both daemons run, and the cluster is healthy."""
    for node in NODES:
        topology.start_daemon(lab, node)
    demo.settle(lab, "the start")
    primary = topology.primary_node(lab)
    return Pair(lab, primary, faults.peer_of(primary))


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Pair:
    """A cluster whose roles no test changes for long."""
    return settled(lab)


def ip(namespace: str, *words: str) -> None:
    run("ip", "-n", namespace, *words)


def reaches(namespace: str, address: str) -> bool:
    """An echo request is answered."""
    try:
        run("ip", "netns", "exec", namespace, "ping", "-n", "-c1", "-W1", address)
    except LabError:
        return False
    return True


def traffic_flows(lab: Lab) -> bool:
    """Client and server reach one another through the gateway in both families."""
    return all(reaches(lab.namespace("client"), address) for address in WAN.hosts)


def address_family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


VOLATILE = {"ifindex", "link_index", "link_netnsid", "operstate", "flags", "valid_life_time", "preferred_life_time", "address"}
"""Of a listing: numbers that a new interface gets, and what follows the carrier. Address ``local`` is not among them."""
SHOWN = ("address", "-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule")


def listing(namespace: str) -> dict[str, list[str]]:
    """All interfaces, addresses, routes and rules of a namespace, in any order but comparable."""
    return {shown: sorted(map(_flat, json.loads(run("ip", "-n", namespace, "-json", *shown.split())))) for shown in SHOWN}


def _flat(entry: dict[str, object]) -> str:
    if entry.get("type") == "local":
        # Made by the kernel with the address or by the plan, which is the same.
        return f"{entry['table']} {entry['dst']} {entry['dev']}"
    if isinstance(known := entry.get("addr_info"), list):
        entry = {**entry, "addr_info": sorted(map(_flat, known))}
    return json.dumps({key: value for key, value in entry.items() if key not in VOLATILE}, sort_keys=True)


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, set[str]]:
    """What one of two listings has and the other has not."""
    return {shown: changed for shown in before if (changed := set(before[shown]) ^ set(after[shown]))}


def wait_until_as(namespace: str, before: dict[str, list[str]], but: dict[str, set[str]] | None = None) -> None:
    """Wait until a namespace is as it was before, but for these differences."""
    wanted = but or {}
    try:
        wait_until(lambda: differences(before, listing(namespace)) == wanted, 10, "everything as before")
    except LabError:
        assert differences(before, listing(namespace)) == wanted


# -- the standby's view ---------------------------------------------------------------------------------------------


def listener(namespace: str, address: str) -> socket.socket:
    """A service on an address of a node."""
    with inside(namespace):
        made = socket.socket(address_family(address), socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, PORT))
    made.listen()
    made.settimeout(10)
    return made


def connect(namespace: str, address: str, source: str = "") -> socket.socket:
    """A connection from a node."""
    with inside(namespace):
        made = socket.socket(address_family(address), socket.SOCK_STREAM)
    made.settimeout(10)
    if source:
        made.bind((source, 0))
    made.connect((address, PORT))
    return made


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS)
def test_the_standby_reaches_the_gateway_address_on_the_peer(pair: Pair, gateway: str) -> None:
    """It has the address configured and does not answer itself: its packets arrive at the primary's service."""
    assert reaches(pair.namespace(pair.standby), gateway)
    with listener(pair.namespace(pair.primary), gateway) as service, connect(pair.namespace(pair.standby), gateway):
        accepted, _ = service.accept()
        accepted.close()


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS)
def test_the_standby_accepts_the_primary_with_a_gateway_address_as_source(pair: Pair, gateway: str) -> None:
    """A node drops packets from an address of its own as martian unless it is told better (kernel facts)."""
    fabric = {
        a["family"]: a["local"]
        for a in addresses(pair.namespace(pair.standby), "fab")
        if a["scope"] == "global" or a["family"] == "inet"
    }
    target = fabric["inet6" if ":" in gateway else "inet"]
    with (
        listener(pair.namespace(pair.standby), target) as service,
        connect(pair.namespace(pair.primary), target, source=gateway),
    ):
        accepted, sender = service.accept()
        accepted.close()
        assert sender[0] == gateway


def addresses(namespace: str, interface: str) -> list[dict[str, str]]:
    (found,) = json.loads(run("ip", "-n", namespace, "-json", "address", "show", "dev", interface))
    return list(found["addr_info"])


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS)
def test_a_service_binds_to_the_gateway_address_before_the_takeover(pair: Pair, gateway: str) -> None:
    listener(pair.namespace(pair.standby), gateway).close()


@pytest.mark.parametrize("segment", BY_SEGMENT.values(), ids=BY_SEGMENT)
@pytest.mark.parametrize("role", ["primary", "standby"])
def test_only_the_primary_answers_for_the_gateway_addresses(pair: Pair, segment: Segment, role: str) -> None:
    """Asked by its own cable alone, by broadcast, multicast, and directly to the virtual MAC."""
    node = pair.primary if role == "primary" else pair.standby
    assert families_answered(pair.lab, node, segment) == ({4, 6} if role == "primary" else set())


def families_answered(lab: Lab, node: str, segment: Segment) -> set[int]:
    """In which families a node claims the gateway addresses, always with the virtual MAC."""
    namespace, port = lab.namespace(node), port_of(node, segment.name)
    wire = Wire(lab.namespace(SWITCH), port)
    virtual_mac = bytes.fromhex(link_of(namespace, segment.reth)["address"].replace(":", ""))
    asked = [frame for question in questions(segment) for frame in (question, virtual_mac + question[6:])]
    claims = set()
    for _ in range(ROUNDS):
        for frame in asked:
            wire.send(frame)
        claims |= claims_before_answer(wire, port, own_link_local(namespace, segment.name))
    wire.socket.close()
    assert {mac for _, mac in claims} <= {virtual_mac}
    return {6 if code & 1 else 4 for code, _ in claims}


def link_of(namespace: str, interface: str) -> dict[str, str]:
    (found,) = json.loads(run("ip", "-n", namespace, "-json", "link", "show", "dev", interface))
    return dict(found)


def own_link_local(namespace: str, interface: str) -> str:
    """The child's own address, which is not gated."""
    (found,) = [a["local"] for a in addresses(namespace, interface) if a["scope"] == "link"]
    return found


def claims_before_answer(wire: Wire, port: str, own: str) -> set[tuple[int, bytes]]:
    """Claims to gateway addresses heard until the node has answered for an address of its own."""
    wire.send(neighbour_solicitation(PROBER_MAC, "fe80::99", own))
    claims: set[tuple[int, bytes]] = set()

    def answered() -> bool:
        frames = wire.received()
        claims.update(claim for frame in frames if (claim := classify(frame, port)) is not None)
        return any(frame[54:55] == b"\x88" and frame[62:78] == socket.inet_pton(socket.AF_INET6, own) for frame in frames)

    eventually(answered, f"an answer for {own}")
    return claims


# -- repairs --------------------------------------------------------------------------------------------------------


def detach_gates(namespace: str, interface: str) -> None:
    """As an administrator with bpftool would."""
    with inside(namespace):
        index = socket.if_nametoindex(interface)
        for hook in HOOKS:
            for number in bpf.prog_query(index, hook):
                program = bpf.prog_by_id(number)
                bpf.prog_detach(program, index, hook)
                os.close(program)


def accept_before_the_gate(namespace: str, interface: str) -> None:
    """A foreign program that accepts everything, in front of ours."""
    program = bpf.prog_load(assemble([Instruction(0xB7, 0, immediate=0), Instruction(0x95)]), "foreign")
    with inside(namespace):
        for hook in HOOKS:
            bpf.prog_attach_first(program, socket.if_nametoindex(interface), hook)
    os.close(program)


def gates(namespace: str, interface: str) -> list[list[str]]:
    """Names of the programs on an interface, by hook, in the order they run."""
    found = []
    with inside(namespace):
        for hook in HOOKS:
            programs = [bpf.prog_by_id(number) for number in bpf.prog_query(socket.if_nametoindex(interface), hook)]
            found.append([bpf.prog_name(program) for program in programs])
            for program in programs:
                os.close(program)
    return found


def words(*commands: str) -> Callable[[str], None]:
    """Damage done by ``ip``."""

    def damage(namespace: str) -> None:
        for command in commands:
            ip(namespace, *command.split())

    return damage


V4, V6 = LAN.gateways
WAN_V4, WAN_V6 = WAN.gateways
# What is repaired beside the named object is not said again for a while, so each case here names another one.
DAMAGES: dict[str, tuple[Callable[[str], None], str]] = {
    "IPv4 address": (words(f"address delete {V4}/24 dev reth0"), f"address {V4}/24 on reth0"),
    "IPv6 address": (words(f"address delete {V6}/64 dev reth0"), f"address {V6}/64 on reth0"),
    "IPv4 local route": (words(f"route delete local {WAN_V4} table local"), f"route {WAN_V4}/32 by reth1 in table 255"),
    "IPv6 local route": (words(f"-6 route delete local {WAN_V6} table local"), f"route {WAN_V6}/128 by reth1 in table 255"),
    "owner's table": (words("route flush table 1000", "-6 route flush table 1000"), "route 10.2.0.0/24 by reth1 in table 1000"),
    "rules": (words("rule delete pref 50 iif reth0", "-6 rule delete pref 50 iif reth0"), "IPv6 rule 50"),
    "rule for local": (words("rule delete pref 100"), "IPv4 rule 100"),
    "child's gate": (lambda namespace: detach_gates(namespace, "lan"), "gate of lan"),
    "gate": (lambda namespace: detach_gates(namespace, "reth0"), "gate of reth0"),
    "gate second": (lambda namespace: accept_before_the_gate(namespace, "reth1"), "gate of reth1"),
    "reth down": (words("link set reth0 down"), "interface reth0 up"),
    "reth deleted": (words("link delete reth0"), "interface reth0 on lan"),
}


@pytest.mark.parametrize(("damage", "repaired"), DAMAGES.values(), ids=DAMAGES)
def test_what_somebody_takes_away_is_put_back(pair: Pair, damage: Callable[[str], None], repaired: str) -> None:
    """The log names it, traffic flows, the gates stand, and nobody's role changed."""
    namespace, log = pair.namespace(pair.primary), topology.log_file(pair.lab, pair.primary)
    before = listing(namespace)
    said = len(log.read_text())
    damage(namespace)
    wait_until(lambda: f"JSRPD_REPAIRED: Foreign change undone: {repaired}" in log.read_text()[said:], 10, repaired)
    wait_until_as(namespace, before)
    wait_until(lambda: traffic_flows(pair.lab), 10, "traffic")
    for interface, group in (("reth0", "rg1"), ("reth1", "rg1"), ("lan", "child"), ("wan", "child")):
        assert [chain[0] for chain in gates(namespace, interface)] == [f"{NAME_PREFIX}{group}"] * len(HOOKS)
    assert "JSRPD_RG_STATE_CHANGE" not in log.read_text()[said:]


def test_the_standbys_way_to_the_peer_is_put_back(pair: Pair) -> None:
    """Its routes are ours as well."""
    namespace = pair.namespace(pair.standby)
    ip(namespace, "route", "delete", f"{V4}/32", "dev", "fab")
    ip(namespace, "-6", "route", "delete", f"{V6}/128", "dev", "fab")
    for gateway in LAN.gateways:
        wait_until(lambda: reaches(namespace, gateway), 10, f"{gateway} on the peer")  # noqa: B023


def test_a_reth_that_cannot_be_made_fails_its_group(pair: Pair) -> None:
    """Here because its child has become the port of a bridge: the node is unfit until it is none any more, and says why."""
    namespace, log = pair.namespace(pair.standby), topology.log_file(pair.lab, pair.standby)
    said = len(log.read_text())
    repairer = [pid for pid, title in topology.daemon_processes(pair.lab, pair.standby).items() if title == "jsrpd: kernel"]
    try:
        ip(namespace, "link", "add", "taken", "type", "bridge")
        # The reth would be back before the bridge has its port.
        topology.signal_all(repairer, signal.SIGSTOP)
        try:
            ip_batch(namespace, ["link delete reth1", "link set wan master taken"])
        finally:
            topology.signal_all(repairer, signal.SIGCONT)
        for word in ("JSRPD_SET_INTF_MON_FAILURE", "cannot add interface reth1 on wan: Device or resource busy"):
            wait_until(lambda: word in log.read_text()[said:], 10, word)  # noqa: B023
    finally:
        ip(namespace, "link", "delete", "taken")
    wait_until(lambda: "JSRPD_UNSET_INTF_MON_FAILURE" in log.read_text()[said:], 10, "the recovery")
    assert "JSRPD_RG_STATE_CHANGE" not in log.read_text()[said:]


INTRUDERS = {
    "IPv4 address": "address add 10.1.0.66/24 dev reth0",
    "IPv6 address": "address add 2001:db8:1::66/64 dev reth0 nodad",
    "rule for local": "rule add pref 0 lookup local",
    "local route": "route add local 10.1.0.67 dev reth0 table local",
}


@pytest.mark.parametrize("command", INTRUDERS.values(), ids=INTRUDERS)
def test_what_somebody_puts_on_a_reth_is_taken_away(pair: Pair, command: str) -> None:
    """Both nodes would answer for it, or nobody after the next takeover."""
    namespace = pair.namespace(pair.primary)
    before = listing(namespace)
    ip(namespace, *command.split())
    wait_until_as(namespace, before)
    wait_until(lambda: traffic_flows(pair.lab), 10, "traffic")


def test_what_is_not_ours_stays(pair: Pair) -> None:
    """Addresses, routes and rules of the administrator, on the child too, live through repairs and changes of role."""
    namespace = pair.namespace(pair.primary)
    before = listing(namespace)
    for command in FOREIGN:
        ip(namespace, *command.split())
    with_foreign = differences(before, listing(namespace))
    for node in (pair.primary, pair.standby):
        faults.inject(pair.lab, "handover", node)
        demo.settle(pair.lab, "the hand-over")
        faults.request(pair.lab, node, "failover", "reset", "redundancy-group", "1")
    ip(namespace, "link", "delete", "reth0")
    wait_until_as(namespace, before, with_foreign)
    for command in reversed(FOREIGN):
        ip(namespace, *command.replace(" add ", " delete ").split())
    assert not differences(before, listing(namespace))


FOREIGN = (
    "address add 203.0.113.5/24 dev lan",
    "address add 203.0.113.6/24 dev fab",
    "route add 198.51.100.0/24 via 203.0.113.7 dev lan",
    "route add 10.9.0.0/16 via 10.2.0.100 dev reth1",
    "rule add pref 60 from 203.0.113.5 lookup 77",
)


# -- leaving no trace -----------------------------------------------------------------------------------------------


def everything(namespace: str) -> dict[str, list[str]]:
    """What a daemon could leave behind: the listing, gates, and every network sysctl."""
    names = [link["ifname"] for link in json.loads(run("ip", "-n", namespace, "-json", "link"))]
    return {
        **listing(namespace),
        "gates": [f"{name} {gates(namespace, name)}" for name in names],
        "sysctls": sysctls(namespace),
    }


def sysctls(namespace: str) -> list[str]:
    found = []
    with inside(namespace):
        for path in sorted(Path("/proc/sys/net").rglob("*")):
            with contextlib.suppress(OSError):
                if path.is_file() and path.name not in COUNTING:
                    found.append(f"{path} {path.read_text().strip()}")
    return found


COUNTING = {"nf_conntrack_count"}


def release(lab: Lab, node: str) -> str:
    return run(*topology.inside(lab.namespace(node), "jsrp", "release"), env=lab.environment(node))


def stop(lab: Lab, node: str) -> None:
    """SIGTERM to the parent, as an init system does; it ends when all have ended."""
    (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
    os.kill(parent, signal.SIGTERM)
    wait_until(lambda: not topology.daemon_processes(lab, node), 20, "the end of the daemon")


def crash(lab: Lab, node: str) -> None:
    """SIGKILL to all its processes."""
    faults.inject(lab, "kill", node)
    wait_until(lambda: not topology.daemon_processes(lab, node), 20, "the end of the daemon")


@dataclass(frozen=True)
class Booted:
    """A node with a running daemon, and all there was before it was started."""

    lab: Lab
    node: str
    before: dict[str, list[str]]

    @property
    def namespace(self) -> str:
        return self.lab.namespace(self.node)

    @property
    def journal(self) -> Path:
        return self.lab.node_directory(self.node, "lib") / "owned.json"


@pytest.fixture(params=["primary", "standby"])
def booted(request: pytest.FixtureRequest, lab: Lab) -> Booted:
    """The standby booted afresh, left as that or made primary."""
    pair = settled(lab)
    node = pair.standby
    topology.reboot(lab, node)
    before = everything(lab.namespace(node))
    topology.start_daemon(lab, node)
    demo.settle(lab, "the boot")
    if request.param == "primary":
        faults.inject(lab, "handover", pair.primary)
        demo.settle(lab, "the hand-over")
        faults.request(lab, node, "failover", "reset", "redundancy-group", "1")
    return Booted(lab, node, before)


@pytest.mark.parametrize("end", [stop, crash], ids=["SIGTERM", "SIGKILL"])
def test_release_leaves_nothing(booted: Booted, end: Callable[[Lab, str], None]) -> None:
    """Until then addresses stay behind shut gates, and a journal of all that is owned."""
    end(booted.lab, booted.node)
    assert booted.journal.exists()
    assert differences(booted.before, everything(booted.namespace)).keys() >= {"address", "-4 rule", "-6 rule", "gates", "sysctls"}
    other = faults.peer_of(booted.node)
    wait_until(lambda: topology.group_states(booted.lab, other).get(1, ("", ""))[NODES.index(other)] == "primary", 20, "a claim")
    for segment in BY_SEGMENT.values():
        assert families_answered(booted.lab, booted.node, segment) == set()
    assert release(booted.lab, booted.node).startswith("released 2 reths and ")
    assert differences(booted.before, everything(booted.namespace)) == {}
    assert not booted.journal.exists()
    assert release(booted.lab, booted.node) == "released 0 reths and 0 objects\n"


def test_a_successor_takes_over_what_a_crash_left(booted: Booted) -> None:
    """One gate each, nothing twice, nothing reported as foreign; and what the first one found is still known for release.

    Whatever it was, it leaves the addresses to the peer before it ends.
    """
    running = everything(booted.namespace)
    crash(booted.lab, booted.node)
    said = len(topology.log_file(booted.lab, booted.node).read_text())
    topology.start_daemon(booted.lab, booted.node)
    demo.settle(booted.lab, "the restart")
    chains = [chain for name in ("reth0", "reth1", "lan", "wan") for chain in gates(booted.namespace, name)]
    assert [len(chain) for chain in chains] == [1] * len(chains)
    assert set(running["address"]) == set(everything(booted.namespace)["address"])
    assert "JSRPD_REPAIRED" not in topology.log_file(booted.lab, booted.node).read_text()[said:]
    stop(booted.lab, booted.node)
    for gateway in GATEWAYS.values():
        assert reaches(booted.namespace, gateway), gateway
    release(booted.lab, booted.node)
    assert differences(booted.before, everything(booted.namespace)) == {}


def test_release_is_refused_while_the_daemon_runs(lab: Lab) -> None:
    pair = settled(lab)
    before = everything(pair.namespace(pair.primary))
    with pytest.raises(LabError, match="jsrpd is running; stop it first"):
        release(pair.lab, pair.primary)
    assert differences(before, everything(pair.namespace(pair.primary))) == {}
