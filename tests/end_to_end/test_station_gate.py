"""The gate of a reth without a virtual MAC, on a real kernel: the node's own addresses stay, all else follows the lease.

The reth is a macvlan in passthru mode: it takes every unicast frame of its child, so that one program for both must tell by the
addresses. Namespaces, frames and probes as in ``test_gate`` (decision 0145).
"""

import itertools
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.data_plane.announcements import echo_to_all_nodes, gratuitous_arp, switch_frame, unsolicited_na
from jsrpd.data_plane.gate_program import address_key, station_program
from jsrpd.kernel import bpf
from jsrpd.kernel.gate import Gate, LeaseMap
from jsrpd.model.roles import GroupState
from tests.end_to_end import test_gate
from tests.end_to_end.test_gate import (
    BROADCAST,
    DROP,
    FAR,
    FAR_MAC,
    FOR_EVER,
    GATEWAY,
    GATEWAY6,
    GROUP,
    HOST,
    HOST6,
    HOST_MAC,
    NODE_FAR_MAC,
    NODE_MAC,
    PASS,
    UDP,
    Probe,
    Segment,
    Wire,
    advertisement,
    arp_frame,
    assert_answered,
    assert_open,
    assert_shut,
    cable,
    echo,
    echo6,
    ethernet,
    inside,
    ip,
    ipv4_frame,
    ipv6_frame,
    is_arp_reply,
    is_echo6_reply,
    is_echo_reply,
    is_forwarded,
    packed,
    solicitation,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and bpf(2) need root")

OWN, OWN6 = "192.0.2.11", "2001:db8::11"
NOBODY = bytes.fromhex("02000000ffff")
LAYERS = {"reth": ("reth0",), "child": ("c0",), "both": ("reth0", "c0")}
numbers = itertools.count(1)
OWNERSHIP = (
    Probe("arp", arp_frame(BROADCAST, HOST_MAC, HOST, GATEWAY), lambda f: is_arp_reply(f, NODE_MAC, GATEWAY)),
    Probe("unicast arp", arp_frame(NODE_MAC, HOST_MAC, HOST, GATEWAY), lambda f: is_arp_reply(f, NODE_MAC, GATEWAY)),
    Probe("na", solicitation(GATEWAY6), lambda f: f[12:14] == b"\x86\xdd" and f[54] == 136 and f[62:78] == packed(GATEWAY6)),
    Probe("ping", echo(NODE_MAC, HOST, GATEWAY, 41), lambda f: is_echo_reply(f, 41)),
    Probe("ping6", echo6(NODE_MAC, HOST6, GATEWAY6, 42), lambda f: is_echo6_reply(f, 42)),
    Probe("forwarded", ipv4_frame(NODE_MAC, HOST_MAC, HOST, FAR, 17, UDP), is_forwarded, forwarded=True),
)
ITS_OWN = (
    Probe("own arp", arp_frame(BROADCAST, HOST_MAC, HOST, OWN), lambda f: is_arp_reply(f, NODE_MAC, OWN)),
    Probe("own na", solicitation(OWN6), lambda f: f[12:14] == b"\x86\xdd" and f[54] == 136 and f[62:78] == packed(OWN6)),
    Probe("own ping", echo(NODE_MAC, HOST, OWN, 51), lambda f: is_echo_reply(f, 51)),
    Probe("own ping6", echo6(NODE_MAC, HOST6, OWN6, 52), lambda f: is_echo6_reply(f, 52)),
)


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Segment]:
    """The reth up and addressed, gates not attached; the lease is shut."""
    monkeypatch.setattr(test_gate, "OWNERSHIP", OWNERSHIP)
    names = [f"jstat-{os.getpid()}-{next(numbers)}-{role}" for role in ("node", "host", "far")]
    node, host, far = names
    try:
        for name in names:
            ip("netns", "add", name)
        with inside(node):
            for kind in ("all", "default"):
                for path, value in (
                    ("ipv6/conf/{}/accept_dad", 0),
                    ("ipv6/conf/{}/forwarding", 1),
                    ("ipv4/conf/{}/rp_filter", 0),
                    ("ipv4/conf/{}/arp_ignore", 1),
                ):
                    Path("/proc/sys/net", path.format(kind)).write_text(str(value))
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        cable(node, "c0", NODE_MAC, host, "h0", HOST_MAC)
        cable(node, "c1", NODE_FAR_MAC, far, "f0", FAR_MAC)
        ip("-n", node, "address", "add", "198.51.100.1/24", "dev", "c1")
        ip("-n", node, "neighbour", "add", FAR, "lladdr", FAR_MAC.hex(":"), "dev", "c1")
        with inside(node):
            make_reth(node)
            lease = LeaseMap.create()
            yield Segment(node, Wire(host, "h0"), Wire(far, "f0"), lease, Gate(lease))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def make_reth(node: str) -> None:
    ip("-n", node, "link", "add", "reth0", "link", "c0", "type", "macvlan", "mode", "passthru", "nopromisc")
    ip("-n", node, "link", "set", "reth0", "up")
    for address in (f"{GATEWAY}/24", f"{OWN}/24", f"{GATEWAY6}/64", f"{OWN6}/64"):
        ip("-n", node, "address", "add", address, "dev", "reth0", *(("nodad",) if ":" in address else ()))
    for host in (HOST, HOST6):
        ip("-n", node, "neighbour", "add", host, "lladdr", HOST_MAC.hex(":"), "dev", "reth0")


def attach(segment: Segment, layers: tuple[str, ...]) -> None:
    segment.gate.set_own({packed(OWN), packed(OWN6)})
    for layer in layers:
        segment.gate.attach_station(socket.if_nametoindex(layer), GROUP)


def assert_own(segment: Segment) -> None:
    for probe in ITS_OWN:
        assert_answered(segment, probe)


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_shut_open_shut(segment: Segment, layers: tuple[str, ...]) -> None:
    """Either layer alone is enough, and takes nothing of the node's own away."""
    attach(segment, layers)
    assert_shut(segment)
    assert_own(segment)
    segment.open_gate()
    assert_open(segment)
    assert_own(segment)
    segment.shut_gate()
    assert_shut(segment)
    assert_own(segment)


def test_a_reth_made_anew_does_not_fail_open(segment: Segment) -> None:
    """Without a reth nothing is answered, and the new one, which has no gate yet, is guarded by the child's."""
    attach(segment, LAYERS["both"])
    ip("-n", segment.node, "link", "delete", "reth0")
    for probe in OWNERSHIP:
        segment.host.send(probe.frame)
    make_reth(segment.node)
    assert_shut(segment)
    assert_own(segment)
    segment.open_gate()
    assert_open(segment)


def test_what_is_for_another_host_is_not_taken(segment: Segment) -> None:
    """A switch floods; a macvlan in passthru mode would take it for its own, and an open gate would forward it."""
    attach(segment, LAYERS["both"])
    segment.open_gate()
    assert_open(segment)
    segment.far.received()
    flooded = ipv4_frame(NOBODY, HOST_MAC, HOST, FAR, 17, UDP)
    for _ in range(20):
        segment.host.send(flooded)
    assert_own(segment)
    assert not [frame for frame in segment.far.received() if is_forwarded(frame)]


def test_an_address_that_is_no_longer_the_nodes_own_is_shut(segment: Segment) -> None:
    attach(segment, LAYERS["both"])
    assert_own(segment)
    segment.gate.set_own({packed(OWN)})
    assert_answered(segment, ITS_OWN[0])
    before = segment.drops()
    for _ in range(20):
        segment.host.send(ITS_OWN[3].frame)
    test_gate.eventually(lambda: segment.drops() >= before + 20, "dropped")


def test_one_guard_takes_the_place_of_another(segment: Segment) -> None:
    """As when a commit changes ``virtual-mac``, or the group of a reth: what is in force is known by name."""
    child = socket.if_nametoindex("c0")
    attach(segment, LAYERS["both"])
    assert segment.gate.in_force(child, f"st{GROUP}")
    assert not segment.gate.in_force(child, "child")
    assert not segment.gate.in_force(child, f"st{GROUP + 1}")
    segment.gate.attach_child(child)
    assert segment.gate.in_force(child, "child")


# -- the program, branch by branch ------------------------------------------------------------------------------------

HERE = bytes(6)
"""The kernel runs a program for a test as on ``lo``: a frame for another MAC is for another host."""
LINK_LOCAL = "fe80::200:ff:fe00:1"
HOP = struct.pack(">BBHI", 58, 0, 0x0502, 0)


def icmpv6(sender: str, kind: int, target: str) -> bytes:
    return ipv6_frame(HOST_MAC, NODE_MAC, sender, HOST6, struct.pack(">BBHI", kind, 0, 0, 0) + packed(target))


INGRESS = {
    "ipv4 to the node": (ipv4_frame(HERE, HOST_MAC, HOST, OWN, 17, UDP), True),
    "ipv6 to the node": (echo6(HERE, HOST6, OWN6, 1), True),
    "ipv4 to the gateway": (ipv4_frame(HERE, HOST_MAC, HOST, GATEWAY, 17, UDP), False),
    "ipv6 to the gateway": (echo6(HERE, HOST6, GATEWAY6, 1), False),
    "ipv4 beyond": (ipv4_frame(HERE, HOST_MAC, HOST, FAR, 17, UDP), False),
    "ipv6 to its link-local address": (echo6(HERE, HOST6, LINK_LOCAL, 1), False),
    "arp": (arp_frame(HERE, HOST_MAC, HOST, GATEWAY, 2), True),
    "broadcast": (arp_frame(BROADCAST, HOST_MAC, HOST, GATEWAY), True),
    "multicast": (solicitation(GATEWAY6), True),
    "another protocol": (ethernet(HERE, HOST_MAC, 0x8847, bytes(50)), False),
}
EGRESS = {
    "ipv4 from the node": (ipv4_frame(HOST_MAC, NODE_MAC, OWN, HOST, 17, UDP), True),
    "ipv6 from the node": (ipv6_frame(HOST_MAC, NODE_MAC, OWN6, HOST6, UDP + bytes(8), 17), True),
    "ipv4 from the gateway": (ipv4_frame(HOST_MAC, NODE_MAC, GATEWAY, HOST, 17, UDP), False),
    "ipv6 from the gateway": (ipv6_frame(HOST_MAC, NODE_MAC, GATEWAY6, HOST6, UDP + bytes(8), 17), False),
    "ipv4 from beyond": (ipv4_frame(HOST_MAC, NODE_MAC, FAR, HOST, 17, UDP), False),
    "arp of the node": (arp_frame(HOST_MAC, NODE_MAC, OWN, HOST, 2), True),
    "arp of nobody": (arp_frame(BROADCAST, NODE_MAC, "0.0.0.0", GATEWAY), True),
    "arp of the gateway": (arp_frame(HOST_MAC, NODE_MAC, GATEWAY, HOST, 2), False),
    "gratuitous arp": (gratuitous_arp(NODE_MAC, GATEWAY)[0], False),
    "unsolicited advertisement": (unsolicited_na(NODE_MAC, GATEWAY6), False),
    "advertisement of the node": (advertisement(NODE_MAC, OWN6, OWN6), True),
    "advertisement of the gateway by the node": (advertisement(NODE_MAC, OWN6, GATEWAY6), False),
    "advertisement of the node by the gateway": (advertisement(NODE_MAC, GATEWAY6, OWN6), False),
    "advertisement of the gateway by its link-local address": (advertisement(NODE_MAC, LINK_LOCAL, GATEWAY6), False),
    "advertisement of its link-local address": (advertisement(NODE_MAC, LINK_LOCAL, LINK_LOCAL), False),
    "solicitation by the node": (icmpv6(OWN6, 135, HOST6), True),
    "solicitation by nobody": (icmpv6("::", 135, GATEWAY6), True),
    "solicitation by its link-local address": (icmpv6(LINK_LOCAL, 135, HOST6), True),
    "solicitation by the gateway": (icmpv6(GATEWAY6, 135, HOST6), False),
    "question to all": (echo_to_all_nodes(NODE_MAC, 1), True),
    "router advertisement": (icmpv6(LINK_LOCAL, 134, HOST6), False),
    "redirect": (icmpv6(LINK_LOCAL, 137, HOST6), False),
    "listener report": (ipv6_frame(HOST_MAC, NODE_MAC, LINK_LOCAL, HOST6, HOP + bytes(20), 0), True),
    "udp by its link-local address": (ipv6_frame(HOST_MAC, NODE_MAC, LINK_LOCAL, HOST6, UDP + bytes(8), 17), False),
    "another protocol": (switch_frame(NODE_MAC), True),
    "arp cut short": (arp_frame(HOST_MAC, NODE_MAC, OWN, HOST, 2)[:31], False),
    "advertisement cut short": (advertisement(NODE_MAC, OWN6, OWN6)[:77], False),
}
BRANCHES = [pytest.param(True, *case, id=f"ingress {name}") for name, case in INGRESS.items()]
BRANCHES += [pytest.param(False, *case, id=f"egress {name}") for name, case in EGRESS.items()]


@pytest.mark.parametrize(("ingress", "frame", "always"), BRANCHES)
def test_program(ingress: bool, frame: bytes, always: bool) -> None:
    """What is not the node's own follows the deadline of its group and no other's, and is counted."""
    lease = LeaseMap.create()
    own = bpf.map_create(bpf.HASH, 16, 4, 8, "jstat_own")
    for address in (OWN, OWN6, "0.0.0.0", "::"):
        bpf.map_update(own, address_key(packed(address)), struct.pack("=I", 1))
    program = bpf.prog_load(station_program(lease.fd, own, GROUP, ingress=ingress), "jstat_program")
    try:
        for group in range(129):
            lease.store(group, 0 if group == GROUP else FOR_EVER, GroupState.PRIMARY, 1, 0, 0, False)
        assert bpf.prog_test_run(program, frame)[0] == (PASS if always else DROP)
        assert lease.drops(GROUP) == (not always)
        for group in range(129):
            lease.store(group, FOR_EVER if group == GROUP else 0, GroupState.PRIMARY, 1, 0, 0, False)
        assert bpf.prog_test_run(program, frame)[0] == PASS
    finally:
        os.close(program)
        os.close(own)
