"""The cluster on the real kernel: every fault of the lab under traffic, both address families, judged from outside.

Who owns a gateway address is seen from the switch (through which port ARP and neighbour solicitations are answered)
and from the client (which MAC it keeps, which node's ports carry its packets). The daemons are asked only for what
they logged. No time is asserted; how fast it went is the business of ``make bench``.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import BY_SEGMENT, LAN, NODES, SEGMENTS, SWITCH, WAN, Lab, Settings, inside, run, wait_until
from jsrpd.lab.traffic import Result

SETTINGS = Settings(interval_ms=100, threshold=3, control_links=2)
GRACE_MS = 100.0
OPTIONS = traffic.Options(duration_s=60, rate=200, connections=5)
PACKETS = 100
"""Forwarded by a node through each of its ports before it counts as the one that forwards."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jt{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        yield made
    finally:
        topology.down(made)


@pytest.fixture
def primary(lab: Lab) -> str:
    """The primary of group 1 in a healthy cluster."""
    faults.heal(lab)
    demo.settle(lab, "healing")
    for node in NODES:
        faults.request(lab, node, "failover", "reset", "redundancy-group", "1")
    wait_until(lambda: not is_manual(lab), 10, "the end of the manual failover")
    return topology.primary_node(lab)


def is_manual(lab: Lab) -> bool:
    """Either node still shows the flag of a manual failover."""
    return '"manual": true' in json.dumps([topology.cluster_status(lab, node) for node in NODES])


# -- seen from outside ------------------------------------------------------------------------------------------------


def port_packets(lab: Lab) -> dict[tuple[str, str], int]:
    """Frames that each node has sent into each segment."""
    listed = json.loads(run("ip", "-n", lab.namespace(SWITCH), "-json", "-s", "link", "show"))
    by_port = {link["ifname"]: int(link["stats64"]["rx"]["packets"]) for link in listed}
    return {(node, segment): by_port.get(topology.port_of(node, segment), 0) for node in NODES for segment in SEGMENTS}


def forwarding_node(lab: Lab) -> str:
    """The node whose LAN and WAN ports carry the running traffic, found by waiting for packets."""
    before = port_packets(lab)

    def carriers() -> list[str]:
        grown = {key: count - before[key] for key, count in port_packets(lab).items()}
        return [node for node in NODES if min(grown[node, segment] for segment in SEGMENTS) > PACKETS]

    wait_until(lambda: bool(carriers()), 10, "a node that forwards")
    (only,) = carriers()
    return only


def client_gateway_mac(lab: Lab, family: int) -> str:
    """The MAC the client keeps for its gateway."""
    gateway = LAN.gateways[0 if family == 4 else 1]
    listed = json.loads(run("ip", "-n", lab.namespace("client"), "-json", "neigh", "show", gateway))
    return str(listed[0]["lladdr"])


def switch_port_of(lab: Lab, mac: str) -> str:
    """Through which LAN port the switch would send a frame for ``mac``."""
    listed = json.loads(run("bridge", "-n", lab.namespace(SWITCH), "-json", "fdb", "show", "br", "brlan"))
    (port,) = [entry["ifname"] for entry in listed if entry["mac"] == mac]
    return str(port)


TRANSITION = re.compile(r"Redundancy-group (\d+) transitioned from '(\S+)' to '(\S+)' state due to (.*)")


def transitions(lab: Lab, begin: int, end: int, node: str, group: int = 1) -> list[str]:
    """``old > new: reason`` of each change of a group on a node, in order."""
    found = []
    for _, line in demo.messages(lab, begin, end):
        match = TRANSITION.search(line)
        if match and f" {node} JSRPD_RG_STATE_CHANGE" in line and int(match[1]) == group:
            found.append(f"{match[2]} > {match[3]}: {match[4]}")
    return found


def tags(lab: Lab, begin: int, end: int, node: str) -> set[str]:
    """Tags of all messages a node logged."""
    return {line.split()[2].rstrip(":") for _, line in demo.messages(lab, begin, end) if line.split()[1] == node}


# -- every fault ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """What a fault on the primary must look like. Changes of group 1, as ``old > new: reason``."""

    fault: str
    moves: bool
    primary_says: tuple[str, ...] = ()
    secondary_says: tuple[str, ...] = ()
    primary_tags: frozenset[str] = frozenset()
    secondary_tags: frozenset[str] = frozenset()
    lossless: bool = False
    hand_over: bool = False


MONITORED = Expected(
    "",
    moves=True,
    primary_says=("primary > secondary-hold: Monitor failed: IF", "secondary-hold > secondary: Ready to become secondary"),
    secondary_says=("secondary > primary: Remote is in secondary hold",),
    primary_tags=frozenset({"JSRPD_SET_INTF_MON_FAILURE"}),
    secondary_tags=frozenset({"JSRPD_SET_OTHER_INTF_MON_FAIL"}),
    hand_over=True,
)
SILENT = Expected(
    "",
    moves=True,
    secondary_says=("secondary > primary: Only node present",),
    secondary_tags=frozenset({"JSRPD_HA_CONTROL_LINK_DOWN"}),
)
FAULTS = [
    *(replace(MONITORED, fault=name) for name in ("cut-lan", "cut-wan")),
    # The carrier stays, so the interface monitor sees nothing; the node that hears no host of the segment gives the group away.
    *(
        replace(
            MONITORED,
            fault=name,
            primary_says=("primary > secondary-hold: Monitor failed: SG", MONITORED.primary_says[1]),
            primary_tags=frozenset(),
            secondary_tags=frozenset(),
        )
        for name in ("silent-lan", "silent-wan")
    ),
    *(replace(SILENT, fault=name) for name in ("kill", "stop", "hang", "power-off")),
    Expected(
        "kill-engine",
        moves=False,
        primary_says=("hold > primary: Restarted in place",),
        primary_tags=frozenset({"JSRPD_NOTICE"}),
    ),
    Expected(
        "cut-control",
        moves=False,
        secondary_says=("secondary > ineligible: Control link failure",),
        primary_tags=frozenset({"JSRPD_HA_CONTROL_LINK_DOWN"}),
        secondary_tags=frozenset({"JSRPD_HA_CONTROL_LINK_DOWN"}),
        lossless=True,
    ),
    Expected("cut-fabric", moves=False, secondary_says=("secondary > ineligible: Fabric link failure",), lossless=True),
    # Only the hello frames on the segments still tell that the peer lives.
    Expected(
        "silent-heartbeats",
        moves=False,
        secondary_says=("secondary > ineligible: Control link failure",),
        primary_tags=frozenset({"JSRPD_HA_CONTROL_LINK_DOWN"}),
        secondary_tags=frozenset({"JSRPD_HA_CONTROL_LINK_DOWN"}),
        lossless=True,
    ),
    Expected(
        "handover",
        moves=True,
        primary_says=("primary > secondary-hold: Manual failover", "secondary-hold > secondary: Ready to become secondary"),
        secondary_says=("secondary > primary: Remote is in secondary hold",),
        lossless=True,
        hand_over=True,
    ),
]


@pytest.mark.parametrize("expected", FAULTS, ids=lambda expected: expected.fault)
def test_fault(lab: Lab, primary: str, expected: Expected) -> None:
    """Traffic goes on, one node answers and forwards, the messages are exactly those, and the cluster heals."""
    other = faults.peer_of(primary)
    owner = other if expected.moves else primary
    macs = {family: client_gateway_mac_after_talk(lab, family) for family in (4, 6)}
    with traffic.running(lab, OPTIONS) as flow:
        assert forwarding_node(lab) == primary
        begin = time.time_ns()
        faults.inject(lab, expected.fault, primary)
        wait_until(lambda: says_all(lab, begin, other, expected.secondary_says), 20, f"{other}: {expected.secondary_says}")
        if expected.fault != "power-off":
            wait_until(lambda: says_all(lab, begin, primary, expected.primary_says), 20, f"{primary}: {expected.primary_says}")
        assert forwarding_node(lab) == owner
        for family, mac in macs.items():
            assert client_gateway_mac(lab, family) == mac
            assert switch_port_of(lab, mac) == topology.port_of(owner, "lan")
        time.sleep(0.3)  # Probes on either side of the change, for the intervals of ownership.
        end = time.time_ns()
        seen = {node: tags(lab, begin, end, node) for node in NODES}
        faults.heal(lab)
        demo.settle(lab, expected.fault)
        assert topology.primary_node(lab) == owner
        assert forwarding_node(lab) == owner
        result = flow.finish(now=True)
    judge_traffic(result, begin, end, expected, owner)
    assert expected.primary_tags <= seen[primary]
    assert expected.secondary_tags <= seen[other]


def says_all(lab: Lab, begin: int, node: str, wanted: tuple[str, ...]) -> bool:
    """Exactly the wanted changes of group 1 so far."""
    return tuple(transitions(lab, begin, time.time_ns(), node)) == wanted


def client_gateway_mac_after_talk(lab: Lab, family: int) -> str:
    """Let the client reach the server once, so that it keeps a MAC for its gateway."""
    run(*inside(lab.namespace("client"), "ping", "-c1", "-W5", WAN.hosts[0 if family == 4 else 1]))
    return client_gateway_mac(lab, family)


def judge_traffic(result: Result, begin: int, end: int, expected: Expected, owner: str) -> None:
    """One owner at any time, the right one at the end, every connection alive, every stream back."""
    for tcp in result.tcp:
        assert tcp.alive == tcp.connections == OPTIONS.connections, tcp
    for stream in result.window(result.end - int(0.3e9), result.end):
        assert stream.sent > 0
        assert stream.lost == 0, stream
    if expected.lossless:
        assert [s for s in result.window(begin, end) if s.lost] == []
    owners = result.ownerships(begin, result.end)
    assert {(o.segment, o.family) for o in owners} == {(segment, family) for segment in BY_SEGMENT for family in (4, 6)}
    for one in owners:
        assert one.final_owner == NODES.index(owner), one
        assert one.two_owners_ms <= (GRACE_MS if expected.hand_over else 0), one
        assert len(one.macs) == 1, "the virtual MAC moves with the address"


# -- more than one thing at a time --------------------------------------------------------------------------------------


def test_a_complete_cut_and_its_healing_leave_one_owner(lab: Lab, primary: str) -> None:
    """Without arbitration both own the addresses while no path is left; when one is back, one of them yields at once."""
    begin = time.time_ns()
    faults.inject(lab, "silent-hellos", primary)
    faults.inject(lab, "silent-heartbeats", primary)
    other = faults.peer_of(primary)
    wait_until(lambda: says_all(lab, begin, other, ("secondary > primary: Only node present",)), 20, "a claim by silence")
    assert transitions(lab, begin, time.time_ns(), primary) == []
    faults.heal(lab)
    demo.settle(lab, "a complete cut")
    assert topology.primary_node(lab) == "node0", "both gates open: the higher priority keeps the group (LEASE 12)"
    assert "primary > secondary-hold: Preempt/yield(100/200)" in transitions(lab, begin, time.time_ns(), "node1")


@pytest.mark.parametrize("percent", [5])
def test_lossy_control_links_move_nothing(lab: Lab, primary: str, percent: int) -> None:
    """A few lost heartbeats are no reason for anything."""
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        faults.lose(lab, percent)
        time.sleep(3)
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, result.end) if stream.lost] == []
    for node in NODES:
        assert transitions(lab, begin, time.time_ns(), node) == []
    assert topology.primary_node(lab) == primary


def test_death_of_the_standby_costs_nothing(lab: Lab, primary: str) -> None:
    """The primary's gate stays open when nobody acknowledges any more (LEASE 7)."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        faults.inject(lab, "kill", other)
        wait_until(lambda: "JSRPD_HA_CONTROL_LINK_DOWN" in tags(lab, begin, time.time_ns(), primary), 20, "the loss said")
        time.sleep(0.5)
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, result.end) if stream.lost] == []
    assert transitions(lab, begin, time.time_ns(), primary) == []


def test_a_refused_failover_says_why(lab: Lab, primary: str) -> None:
    """Towards a node whose monitored link is down the group stays, and the operator reads the reason."""
    other = faults.peer_of(primary)
    faults.inject(lab, "cut-lan", other)
    wait_until(lambda: "JSRPD_SET_INTF_MON_FAILURE" in log_of(lab, other), 10, "the monitor's failure")
    wait_until(lambda: failover_answer(lab, primary, other).endswith("its priority is 0"), 5, "a refusal")
    assert topology.primary_node(lab) == primary


def failover_answer(lab: Lab, asked: str, target: str) -> str:
    """What the operator reads on ``asked`` when moving group 1 to ``target``."""
    try:
        said = faults.request(lab, asked, "failover", "redundancy-group", "1", "node", str(NODES.index(target)))
    except topology.LabError as error:
        said = str(error)
    return said.strip()


def log_of(lab: Lab, node: str) -> str:
    """Everything a node logged."""
    return Path(topology.log_file(lab, node)).read_text(errors="replace")


def test_a_cluster_that_starts_does_not_miss_its_control_link(tmp_path: Path) -> None:
    """Whoever starts first asks for an address that the other does not have yet; the answer must not be a second away."""
    for attempt in range(4):
        made = Lab(f"ju{attempt}{os.getpid()}", tmp_path / f"lab{attempt}")
        begin = time.time_ns()
        try:
            topology.up(made, Settings(interval_ms=100, threshold=3, control_links=1))
            wait_until(lambda made=made: topology.is_settled(made), 30, "a primary and a secondary")  # type: ignore[misc]
            for node in NODES:
                assert [change for change in transitions(made, begin, time.time_ns(), node) if "ineligible" in change] == []
        finally:
            topology.down(made)
