"""The gate on a real kernel: programs, maps, attachments, and what a host on the segment can and cannot see.

Three namespaces: a node with the reth ``reth0`` (a macvlan on ``c0``), a host on its segment, and a far network
behind the node. Host and far end have no addresses: they send and read whole frames. That a gate is shut is shown
by its own drop counter, which must grow with every probe, and by the silence beside it; nothing waits a fixed time.
"""

import ctypes
import ipaddress
import itertools
import mmap
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from jsrpd.data_plane.announcements import gratuitous_arp, switch_frame, unsolicited_na
from jsrpd.data_plane.gate_program import Instruction, address_key, assemble, child_program, mac_key, reth_program
from jsrpd.kernel import bpf
from jsrpd.kernel.gate import HOOKS, Gate, LeaseMap, detach_all
from jsrpd.kernel.packet_socket import FrameSocket
from jsrpd.model.roles import GroupState

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and bpf(2) need root")

GROUP = 1
PATIENCE_S = 60.0
PROBES = 20
"""How often each probe is sent to a shut gate. Few of the counted drops can be the node's own multicast noise."""
FOR_EVER = 1 << 62
PASS, DROP = -1, 2
CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_TX_RING = 263, 13

VIRTUAL_MAC = bytes.fromhex("02005e005301")
NODE_MAC, HOST_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
NODE_FAR_MAC, FAR_MAC = bytes.fromhex("020000000003"), bytes.fromhex("020000000004")
BROADCAST = b"\xff" * 6
GATEWAY, GATEWAY6 = "192.0.2.1", "2001:db8::1"
HOST, HOST6 = "192.0.2.9", "2001:db8::9"
NODE_OWN, HOST_OWN = "203.0.113.1", "203.0.113.9"
NODE_OWN6 = "2001:db8:1::1"
FAR = "198.51.100.2"


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


# -- frames ---------------------------------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    return (destination + source + struct.pack(">H", kind) + payload).ljust(60, b"\0")


def arp_frame(destination: bytes, source: bytes, sender: str, target: str, operation: int = 1) -> bytes:
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + source + packed(sender) + bytes(6) + packed(target)
    return ethernet(destination, source, 0x0806, body)


def ipv4_frame(destination: bytes, source: bytes, sender: str, target: str, protocol: int, payload: bytes) -> bytes:
    fields = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + packed(sender) + packed(target)
    header = fields[:10] + struct.pack(">H", checksum(fields)) + fields[12:]
    return ethernet(destination, source, 0x0800, header + payload)


def ipv6_frame(destination: bytes, source: bytes, sender: str, target: str, message: bytes, next_header: int = 58) -> bytes:
    """``message`` is ICMPv6 with an empty checksum, filled in here."""
    pseudo = packed(sender) + packed(target) + struct.pack(">II", len(message), next_header)
    message = message[:2] + struct.pack(">H", checksum(pseudo + message)) + message[4:]
    header = struct.pack(">IHBB", 6 << 28, len(message), next_header, 255) + packed(sender) + packed(target)
    return ethernet(destination, source, 0x86DD, header + message)


def echo(destination: bytes, sender: str, target: str, tag: int) -> bytes:
    """ICMP echo request of the host; ``tag`` comes back in the reply."""
    request = struct.pack(">BBHHH", 8, 0, 0, tag, 0)
    return ipv4_frame(destination, HOST_MAC, sender, target, 1, request[:2] + struct.pack(">H", checksum(request)) + request[4:])


def echo6(destination: bytes, sender: str, target: str, tag: int) -> bytes:
    return ipv6_frame(destination, HOST_MAC, sender, target, struct.pack(">BBHHH", 128, 0, 0, tag, 0))


def solicitation(target: str) -> bytes:
    """Neighbour solicitation of the host to the solicited-node group of ``target``."""
    low = packed(target)[-3:]
    group = str(ipaddress.IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + low))
    message = struct.pack(">BBHI", 135, 0, 0, 0) + packed(target) + b"\x01\x01" + HOST_MAC
    return ipv6_frame(b"\x33\x33\xff" + low, HOST_MAC, HOST6, group, message)


def advertisement(source: bytes, sender: str, target: str) -> bytes:
    message = struct.pack(">BBHI", 136, 0, 0, 0x60000000) + packed(target) + b"\x02\x01" + source
    return ipv6_frame(HOST_MAC, source, sender, HOST6, message)


def is_arp_reply(frame: bytes, mac: bytes, address: str) -> bool:
    return frame[6:14] == mac + b"\x08\x06" and frame[20:22] == b"\0\2" and frame[28:32] == packed(address)


def is_echo_reply(frame: bytes, tag: int) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[34] == 0 and frame[38:40] == struct.pack(">H", tag)


def is_echo6_reply(frame: bytes, tag: int) -> bool:
    return frame[12:14] == b"\x86\xdd" and frame[54] == 129 and frame[58:60] == struct.pack(">H", tag)


# -- namespaces -----------------------------------------------------------------------------------------------------


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in a named network namespace; bpf(2) takes interface indices from there."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0
        yield
    finally:
        assert libc.setns(here, CLONE_NEWNET) == 0
        os.close(here)
        os.close(there)


class Wire:
    """Sends and reads whole frames at one end of a cable."""

    def __init__(self, namespace: str, interface: str) -> None:
        self.namespace, self.interface = namespace, interface
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind((interface, 3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setblocking(False)

    def send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def received(self) -> list[bytes]:
        """Frames that arrived since the last call, own ones left out."""
        frames: list[bytes] = []
        while True:
            try:
                frame, sender = self.socket.recvfrom(2048)
            except BlockingIOError:
                return frames
            if sender[2] != socket.PACKET_OUTGOING:
                frames.append(frame)


@dataclass(frozen=True)
class Segment:
    """The node, whose namespace the test runs in, and what it is connected to."""

    node: str
    host: Wire
    far: Wire
    lease: LeaseMap
    gate: Gate

    def open_gate(self, deadline: int = FOR_EVER) -> None:
        self.lease.store(GROUP, deadline, GroupState.PRIMARY, 1, 0, 0, False)

    def shut_gate(self) -> None:
        self.lease.store(GROUP, 0, GroupState.SECONDARY, 1, 0, 0, False)

    def drops(self) -> int:
        return self.lease.drops(GROUP)


LAYERS = {"reth": ("reth0",), "child": ("c0",), "both": ("reth0", "c0")}
numbers = itertools.count(1)


@pytest.fixture
def segment() -> Iterator[Segment]:
    """Interfaces up, reth addressed, gates not attached; the lease is shut."""
    names = [f"jgate-{os.getpid()}-{next(numbers)}-{role}" for role in ("node", "host", "far")]
    node, host, far = names
    try:
        for name in names:
            ip("netns", "add", name)
        with inside(node):
            for kind in ("all", "default"):
                for path, value in (("ipv6/conf/{}/accept_dad", 0), ("ipv6/conf/{}/forwarding", 1), ("ipv4/conf/{}/rp_filter", 0)):
                    Path("/proc/sys/net", path.format(kind)).write_text(str(value))
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        cable(node, "c0", NODE_MAC, host, "h0", HOST_MAC)
        cable(node, "c1", NODE_FAR_MAC, far, "f0", FAR_MAC)
        ip("-n", node, "address", "add", f"{NODE_OWN}/24", "dev", "c0")
        ip("-n", node, "address", "add", f"{NODE_OWN6}/64", "dev", "c0", "nodad")
        ip("-n", node, "neighbour", "add", HOST_OWN, "lladdr", HOST_MAC.hex(":"), "dev", "c0")
        ip("-n", node, "address", "add", "198.51.100.1/24", "dev", "c1")
        ip("-n", node, "neighbour", "add", FAR, "lladdr", FAR_MAC.hex(":"), "dev", "c1")
        with inside(node):
            make_reth(node)
            lease = LeaseMap.create()
            yield Segment(node, Wire(host, "h0"), Wire(far, "f0"), lease, Gate(lease))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def cable(node: str, port: str, mac: bytes, other: str, far_port: str, far_mac: bytes) -> None:
    peer = ("peer", "name", far_port, "netns", other, "address", far_mac.hex(":"))
    ip("-n", node, "link", "add", port, "address", mac.hex(":"), "type", "veth", *peer)
    ip("-n", other, "link", "set", far_port, "up")
    ip("-n", node, "link", "set", port, "up")


def make_reth(node: str, before_up: Callable[[], None] = lambda: None) -> None:
    """The reth as the data plane makes it; ``before_up`` runs while it is still down."""
    mac = VIRTUAL_MAC.hex(":")
    ip("-n", node, "link", "add", "reth0", "link", "c0", "address", mac, "type", "macvlan", "mode", "private")
    before_up()
    ip("-n", node, "link", "set", "reth0", "up")
    for address, host in ((f"{GATEWAY}/24", HOST), (f"{GATEWAY6}/64", HOST6)):
        ip("-n", node, "address", "add", address, "dev", "reth0", *(("nodad",) if ":" in address else ()))
        ip("-n", node, "neighbour", "add", host, "lladdr", HOST_MAC.hex(":"), "dev", "reth0")


def attach(segment: Segment, layers: tuple[str, ...]) -> None:
    segment.gate.add_mac(VIRTUAL_MAC, GROUP)
    for address in (GATEWAY, GATEWAY6):
        segment.gate.add_address(packed(address), GROUP)
    if "reth0" in layers:
        segment.gate.attach_reth(socket.if_nametoindex("reth0"), GROUP)
    if "c0" in layers:
        segment.gate.attach_child(socket.if_nametoindex("c0"))


# -- what is probed -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """A frame of the host and how to know its answer at the host, or at the far end if it is to be forwarded."""

    name: str
    frame: bytes
    answered: Callable[[bytes], bool]
    forwarded: bool = False


def is_forwarded(frame: bytes) -> bool:
    return frame[6:14] == NODE_FAR_MAC + b"\x08\x00" and frame[26:34] == packed(HOST) + packed(FAR)


OWNERSHIP = (
    Probe("arp", arp_frame(BROADCAST, HOST_MAC, HOST, GATEWAY), lambda f: is_arp_reply(f, VIRTUAL_MAC, GATEWAY)),
    Probe("na", solicitation(GATEWAY6), lambda f: f[6:14] == VIRTUAL_MAC + b"\x86\xdd" and f[54] == 136),
    Probe("ping", echo(VIRTUAL_MAC, HOST, GATEWAY, 41), lambda f: is_echo_reply(f, 41)),
    Probe("ping6", echo6(VIRTUAL_MAC, HOST6, GATEWAY6, 42), lambda f: is_echo6_reply(f, 42)),
    Probe(
        "forwarded",
        ipv4_frame(VIRTUAL_MAC, HOST_MAC, HOST, FAR, 17, struct.pack(">HHHH", 4000, 9, 8, 0)),
        is_forwarded,
        forwarded=True,
    ),
)
OWN_ADDRESS = Probe("own address", echo(NODE_MAC, HOST_OWN, NODE_OWN, 43), lambda f: is_echo_reply(f, 43))
"""Not gated at all: its answer also shows that everything sent before was dealt with."""


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Poll until true. The patience only bounds a failing test."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.005)


def answers(segment: Segment, probe: Probe) -> int:
    wire = segment.far if probe.forwarded else segment.host
    return sum(probe.answered(frame) for frame in wire.received())


def assert_answered(segment: Segment, probe: Probe) -> None:
    def tried() -> bool:
        segment.host.send(probe.frame)
        return answers(segment, probe) > 0

    eventually(tried, f"{probe.name} is answered")


def assert_open(segment: Segment) -> None:
    for probe in OWNERSHIP:
        assert_answered(segment, probe)


def assert_shut(segment: Segment) -> None:
    """Each probe is dropped and counted, none is answered."""
    for probe in OWNERSHIP:
        answers(segment, probe)
        before = segment.drops()
        for _ in range(PROBES):
            segment.host.send(probe.frame)
        eventually(lambda: segment.drops() >= before + PROBES, f"{probe.name} is dropped")  # noqa: B023
        assert answers(segment, probe) == 0, probe.name


# -- open, shut, expired --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_shut_open_shut(segment: Segment, layers: tuple[str, ...]) -> None:
    """Either gate alone is enough. The child's sees the macvlan's frames in both directions with the virtual MAC."""
    attach(segment, layers)
    assert_shut(segment)
    segment.open_gate()
    assert_open(segment)
    segment.shut_gate()
    assert_shut(segment)


def test_without_a_gate_everything_is_answered(segment: Segment) -> None:
    """What the other tests find silent is not silent by itself."""
    assert_open(segment)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSTOP])
def test_lease_expires_by_itself(segment: Segment, signal_number: int) -> None:
    """The renewing process is killed or stopped: the kernel shuts the gate at the deadline it last wrote."""
    attach(segment, LAYERS["both"])
    tests = os.getpid()
    renewer = os.fork()
    if renewer == 0:
        renew_while_child_of(tests, segment.lease)
    try:
        assert_open(segment)
        os.kill(renewer, signal_number)
        deadline = segment.lease.read(GROUP).deadline
        eventually(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) > deadline, "the deadline passes")
        # Stopping is not instantaneous: one more store may have followed.
        deadline = segment.lease.read(GROUP).deadline
        eventually(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) > deadline, "the last deadline passes")
        assert_shut(segment)
    finally:
        os.kill(renewer, signal.SIGKILL)
        os.waitpid(renewer, 0)


def renew_while_child_of(parent: int, lease: LeaseMap) -> NoReturn:
    """A crude engine, which does not outlive the tests."""
    try:
        while os.getppid() == parent:
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            lease.store(GROUP, now + 300_000_000, GroupState.PRIMARY, 1, now, now, False)
            time.sleep(0.01)
    finally:
        os._exit(0)


def test_macvlan_made_anew_does_not_fail_open(segment: Segment) -> None:
    """The new macvlan has no gate of its own; the child's guards its MAC."""
    attach(segment, LAYERS["both"])
    segment.open_gate()
    assert_open(segment)
    segment.shut_gate()
    ip("-n", segment.node, "link", "delete", "reth0")
    make_reth(segment.node)
    assert segment.gate.audit(socket.if_nametoindex("reth0")) == ["no gate on ingress", "no gate on egress"]
    assert_shut(segment)
    segment.open_gate()
    assert_open(segment)


def test_gate_attached_before_the_reth_is_up(segment: Segment) -> None:
    attach(segment, ())
    ip("-n", segment.node, "link", "delete", "reth0")
    make_reth(segment.node, before_up=lambda: segment.gate.attach_reth(socket.if_nametoindex("reth0"), GROUP))
    assert segment.gate.audit(socket.if_nametoindex("reth0")) == []
    assert_shut(segment)


# -- the child's own MAC --------------------------------------------------------------------------------------------


def test_child_neither_answers_for_nor_takes_a_gated_address(segment: Segment) -> None:
    """ARP flux and weak host model: both happen without the child's program, neither with it, even while open."""
    Path("/proc/sys/net/ipv4/conf/c0/arp_ignore").write_text("0")
    flux = Probe("arp by the child", OWNERSHIP[0].frame, lambda f: is_arp_reply(f, NODE_MAC, GATEWAY))
    weak = Probe("ping by the child", echo(NODE_MAC, HOST, GATEWAY, 44), lambda f: is_echo_reply(f, 44))
    weak6 = Probe("ping6 by the child", echo6(NODE_MAC, HOST6, GATEWAY6, 45), lambda f: is_echo6_reply(f, 45))
    for probe in (flux, weak, weak6):
        assert_answered(segment, probe)
    attach(segment, LAYERS["child"])
    segment.open_gate()
    for probe in (flux, weak, weak6):
        answers(segment, probe)
        for _ in range(PROBES):
            segment.host.send(probe.frame)
        seen: list[bytes] = []

        def control_answered(seen: list[bytes] = seen) -> bool:
            segment.host.send(OWN_ADDRESS.frame)
            seen += segment.host.received()
            return any(OWN_ADDRESS.answered(frame) for frame in seen)

        eventually(control_answered, "the child's own address is answered")
        assert [frame for frame in seen if probe.answered(frame)] == [], probe.name
    assert_open(segment)


def test_child_drops_gated_packets_whose_headers_are_not_linear(segment: Segment) -> None:
    """A sender with a transmit ring leaves only the Ethernet header in the linear part, as some drivers do."""
    weak = Probe("ping by the child", echo(NODE_MAC, HOST, GATEWAY, 46), lambda f: is_echo_reply(f, 46))
    ring = Ring(segment.host)

    def tried(probe: Probe, seen: list[bytes]) -> bool:
        ring.send(probe.frame)
        seen += segment.host.received()
        return any(probe.answered(frame) for frame in seen)

    eventually(lambda: tried(weak, []), "answered without the program")
    attach(segment, LAYERS["child"])
    segment.open_gate()
    for _ in range(PROBES):
        ring.send(weak.frame)
    # What was sent before the program was attached may still be on its way: a second round begins behind a control.
    eventually(lambda: tried(OWN_ADDRESS, []), "the child's own address is answered")
    segment.host.received()
    for _ in range(PROBES):
        ring.send(weak.frame)
    seen: list[bytes] = []
    eventually(lambda: tried(OWN_ADDRESS, seen), "the child's own address is answered")
    assert [frame for frame in seen if weak.answered(frame)] == []


class Ring:
    """Transmit ring of one slot (PACKET_TX_RING, TPACKET_V1) beside a wire's socket."""

    SIZE, STATUS_SEND, OFFSET = 4096, 1, 32

    def __init__(self, wire: Wire) -> None:
        with inside(wire.namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.bind((wire.interface, 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_TX_RING, struct.pack("=IIII", self.SIZE, 1, self.SIZE, 1))
        self.memory = mmap.mmap(self.socket.fileno(), self.SIZE)

    def send(self, frame: bytes) -> None:
        """Blocks until the kernel has handed the frame on."""
        self.memory[self.OFFSET : self.OFFSET + len(frame)] = frame
        struct.pack_into("=LII", self.memory, 0, self.STATUS_SEND, len(frame), len(frame))
        self.socket.send(b"")


# -- sending --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_announcements_pass_the_gate(segment: Segment, layers: tuple[str, ...]) -> None:
    """Refused while shut, whichever gate it is; seen on the segment when open."""
    attach(segment, layers)
    sender = FrameSocket("reth0")
    frames = [switch_frame(VIRTUAL_MAC), *gratuitous_arp(VIRTUAL_MAC, GATEWAY), unsolicited_na(VIRTUAL_MAC, GATEWAY6)]
    assert sender.send(frames) == 0
    segment.open_gate()
    assert sender.send(frames) == len(frames)
    seen: list[bytes] = []

    def all_seen() -> bool:
        seen.extend(segment.host.received())
        return all(frame in seen for frame in frames)

    eventually(all_seen, "all announcements arrive")
    sender.close()


def test_child_may_not_speak_for_gated_addresses(segment: Segment) -> None:
    """By its own MAC, even while the gate is open; for its own addresses it may."""
    attach(segment, LAYERS["child"])
    segment.open_gate()
    child = FrameSocket("c0")
    own = (arp_frame(BROADCAST, NODE_MAC, NODE_OWN, HOST_OWN), advertisement(NODE_MAC, NODE_OWN6, NODE_OWN6))
    gated = (arp_frame(BROADCAST, NODE_MAC, GATEWAY, HOST), advertisement(NODE_MAC, NODE_OWN6, GATEWAY6))
    for frame in own:
        assert child.send([frame]) == 1
    for frame in gated:
        assert child.send([frame]) == 0
    child.close()


def test_frame_socket_never_raises_on_send(segment: Segment) -> None:
    """Interface down, then gone: what it could not send is not counted."""
    sender = FrameSocket("reth0")
    frame = switch_frame(VIRTUAL_MAC)
    assert sender.send([frame, frame]) == 2
    ip("-n", segment.node, "link", "set", "reth0", "down")
    assert sender.send([frame]) == 0
    ip("-n", segment.node, "link", "delete", "reth0")
    assert sender.send([frame]) == 0
    sender.close()
    with pytest.raises(OSError):
        FrameSocket("reth0")


# -- attachments ----------------------------------------------------------------------------------------------------


def accept_all() -> int:
    """A foreign program that lets everything through and ends the chain (TC_ACT_OK)."""
    return bpf.prog_load(assemble([Instruction(0xB7, 0, immediate=0), Instruction(0x95)]), "accept")


def test_foreign_program_before_ours_is_seen_and_repaired(segment: Segment) -> None:
    attach(segment, LAYERS["reth"])
    index, foreign = socket.if_nametoindex("reth0"), accept_all()
    assert_shut(segment)
    for hook in HOOKS:
        bpf.prog_attach_first(foreign, index, hook)
    number = bpf.prog_id(foreign)
    assert segment.gate.audit(index) == [
        f"program accept (id {number}) runs before the gate on {direction}" for direction in ("ingress", "egress")
    ]
    assert not segment.gate.in_force(index, f"rg{GROUP}")
    assert_open(segment)
    segment.gate.attach_reth(index, GROUP)
    assert segment.gate.in_force(index, f"rg{GROUP}")
    assert [bpf.prog_query(index, hook)[1:] for hook in HOOKS] == [[number], [number]]
    assert_shut(segment)


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_a_stale_gate_is_replaced(segment: Segment, layers: tuple[str, ...]) -> None:
    """A new daemon with a new map: the old map, still open, decides nothing any more."""
    attach(segment, layers)
    segment.open_gate()
    assert_open(segment)
    lease = LeaseMap.create()
    successor = Segment(segment.node, segment.host, segment.far, lease, Gate(lease))
    attach(successor, layers)
    for layer in layers:
        index = socket.if_nametoindex(layer)
        assert [len(bpf.prog_query(index, hook)) for hook in HOOKS] == [1, 1]
        assert successor.gate.audit(index) == []
        assert segment.gate.audit(index) == ["no gate on ingress", "no gate on egress"]
    assert_shut(successor)
    successor.open_gate()
    assert_open(successor)


def test_detached_gate_leaves_foreign_programs(segment: Segment) -> None:
    attach(segment, LAYERS["reth"])
    index, foreign = socket.if_nametoindex("reth0"), accept_all()
    bpf.prog_attach_first(foreign, index, bpf.TCX_INGRESS)
    assert detach_all(index) == 2
    assert detach_all(index) == 0
    assert [bpf.prog_query(index, hook) for hook in HOOKS] == [[bpf.prog_id(foreign)], []]
    assert segment.gate.audit(index) == ["no gate on ingress", "no gate on egress"]


def test_vanished_interface(segment: Segment) -> None:
    """Said by audit, raised by attach."""
    index = socket.if_nametoindex("reth0")
    segment.gate.attach_reth(index, GROUP)
    ip("-n", segment.node, "link", "delete", "reth0")
    assert segment.gate.audit(index) == ["query: No such device"]
    with pytest.raises(OSError, match="attach: No such device"):
        segment.gate.attach_reth(index, GROUP)


def test_removed_mac_and_address_are_no_longer_guarded(segment: Segment) -> None:
    attach(segment, LAYERS["child"])
    assert_shut(segment)
    segment.gate.remove_mac(VIRTUAL_MAC)
    for address in (GATEWAY, GATEWAY6):
        segment.gate.remove_address(packed(address))
    assert_open(segment)


# -- the programs, branch by branch ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """Programs and maps by themselves, attached to nothing."""

    lease: LeaseMap
    reth: int
    child: dict[bool, int]

    def verdict(self, ingress: bool, frame: bytes) -> int:
        return bpf.prog_test_run(self.child[ingress], frame)[0]


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    lease = LeaseMap.create()
    macs, addresses = bpf.map_create(bpf.HASH, 8, 4, 4, "jgate_macs"), bpf.map_create(bpf.HASH, 16, 4, 4, "jgate_addresses")
    bpf.map_update(macs, mac_key(VIRTUAL_MAC), struct.pack("=I", GROUP))
    bpf.map_update(macs, mac_key(STRAY_MAC), struct.pack("=I", 129))
    for address in (GATEWAY, GATEWAY6):
        bpf.map_update(addresses, address_key(packed(address)), struct.pack("=I", GROUP))
    child = {
        ingress: bpf.prog_load(child_program(lease.fd, macs, addresses, ingress=ingress), "jgate_child")
        for ingress in (True, False)
    }
    reth = bpf.prog_load(reth_program(lease.fd, GROUP), "jgate_reth")
    yield Loaded(lease, reth, child)
    for descriptor in (macs, addresses, reth, *child.values()):
        os.close(descriptor)


STRAY_MAC = bytes.fromhex("02005e0053ff")
"""In the table with a group that has no slot."""
UDP = struct.pack(">HHHH", 1, 2, 8, 0)
NOT_OURS = bytes.fromhex("02005e005302")
INGRESS = {
    "unicast ipv4 to a gated address": (ipv4_frame(NODE_MAC, HOST_MAC, HOST, GATEWAY, 17, UDP), DROP),
    "unicast ipv6 to a gated address": (echo6(NODE_MAC, HOST6, GATEWAY6, 1), DROP),
    "ipv4 to another address": (ipv4_frame(NODE_MAC, HOST_MAC, GATEWAY, NODE_OWN, 17, UDP), PASS),
    "ipv6 to another address": (echo6(NODE_MAC, GATEWAY6, NODE_OWN6, 1), PASS),
    "broadcast arp for a gated address": (arp_frame(BROADCAST, HOST_MAC, HOST, GATEWAY), PASS),
    "unicast arp for a gated address": (arp_frame(NODE_MAC, HOST_MAC, HOST, GATEWAY), PASS),
    "multicast solicitation": (solicitation(GATEWAY6), PASS),
    "another protocol": (ethernet(NODE_MAC, HOST_MAC, 0x88CC, packed(GATEWAY) * 8), PASS),
    "virtual source mac": (ipv4_frame(NODE_MAC, VIRTUAL_MAC, HOST, NODE_OWN, 17, UDP), PASS),
    "a mac that differs in its last byte": (ipv4_frame(NOT_OURS, HOST_MAC, HOST, FAR, 17, UDP), PASS),
    "group without a slot": (ipv4_frame(STRAY_MAC, HOST_MAC, HOST, FAR, 17, UDP), DROP),
}
EGRESS = {
    "ipv4 from a gated address": (ipv4_frame(HOST_MAC, NODE_MAC, GATEWAY, HOST, 17, UDP), DROP),
    "ipv6 from a gated address": (ipv6_frame(HOST_MAC, NODE_MAC, GATEWAY6, HOST6, UDP + bytes(8), 17), DROP),
    "ipv4 to a gated address": (ipv4_frame(HOST_MAC, NODE_MAC, NODE_OWN, GATEWAY, 17, UDP), PASS),
    "ipv6 to a gated address": (ipv6_frame(HOST_MAC, NODE_MAC, NODE_OWN6, GATEWAY6, UDP + bytes(8), 17), PASS),
    "arp reply for a gated address": (arp_frame(HOST_MAC, NODE_MAC, GATEWAY, HOST, 2), DROP),
    "arp request from a gated address": (arp_frame(BROADCAST, NODE_MAC, GATEWAY, HOST), DROP),
    "arp request about a gated address": (arp_frame(BROADCAST, NODE_MAC, NODE_OWN, GATEWAY), PASS),
    "advertisement of a gated address": (advertisement(NODE_MAC, NODE_OWN6, GATEWAY6), DROP),
    "advertisement from a gated address": (advertisement(NODE_MAC, GATEWAY6, NODE_OWN6), DROP),
    "advertisement of another address": (advertisement(NODE_MAC, NODE_OWN6, NODE_OWN6), PASS),
    "solicitation for a gated address": (
        ipv6_frame(HOST_MAC, NODE_MAC, NODE_OWN6, HOST6, struct.pack(">BBHI", 135, 0, 0, 0) + packed(GATEWAY6)),
        PASS,
    ),
    "udp with the bytes of an advertisement": (
        ipv6_frame(HOST_MAC, NODE_MAC, NODE_OWN6, HOST6, struct.pack(">BBHI", 136, 0, 0, 0) + packed(GATEWAY6), 17),
        PASS,
    ),
    "arp cut short": (arp_frame(HOST_MAC, NODE_MAC, GATEWAY, HOST, 2)[:31], PASS),
    "icmpv6 cut short": (advertisement(NODE_MAC, NODE_OWN6, GATEWAY6)[:54], PASS),
    "advertisement cut short": (advertisement(NODE_MAC, NODE_OWN6, GATEWAY6)[:77], PASS),
    "another protocol": (ethernet(HOST_MAC, NODE_MAC, 0x88CC, packed(GATEWAY) * 8), PASS),
    "virtual destination mac": (ipv4_frame(VIRTUAL_MAC, NODE_MAC, NODE_OWN, HOST, 17, UDP), PASS),
    "a mac that differs in its last byte": (ipv4_frame(HOST_MAC, NOT_OURS, FAR, HOST, 17, UDP), PASS),
    "group without a slot": (ipv4_frame(HOST_MAC, STRAY_MAC, FAR, HOST, 17, UDP), DROP),
}
BRANCHES = [pytest.param(True, *case, id=f"ingress {name}") for name, case in INGRESS.items()]
BRANCHES += [pytest.param(False, *case, id=f"egress {name}") for name, case in EGRESS.items()]


@pytest.mark.parametrize("open_gate", [False, True], ids=["shut", "open"])
@pytest.mark.parametrize(("ingress", "frame", "verdict"), BRANCHES)
def test_child_program_by_its_own_mac(loaded: Loaded, ingress: bool, frame: bytes, verdict: int, open_gate: bool) -> None:
    """Whether the gate is open makes no difference to frames that are not the virtual MAC's, nor are they counted."""
    loaded.lease.store(GROUP, FOR_EVER if open_gate else 0, GroupState.PRIMARY, 1, 0, 0, False)
    assert loaded.verdict(ingress, frame) == verdict
    assert loaded.lease.drops(GROUP) == 0


@pytest.mark.parametrize("ingress", [True, False], ids=["ingress", "egress"])
def test_child_program_by_the_virtual_mac(loaded: Loaded, ingress: bool) -> None:
    """Any frame at all, gated address or not, follows the deadline of the MAC's group and no other's."""
    ends = (VIRTUAL_MAC, HOST_MAC) if ingress else (HOST_MAC, VIRTUAL_MAC)
    frames = [
        ethernet(*ends, 0x88CC, b""),
        arp_frame(*ends, GATEWAY, HOST, 2),
        ipv4_frame(*ends, GATEWAY, GATEWAY, 17, UDP),
        ipv6_frame(*ends, GATEWAY6, GATEWAY6, UDP + bytes(8), 17),
    ]
    for group in range(129):
        loaded.lease.store(group, 0 if group == GROUP else FOR_EVER, GroupState.PRIMARY, 1, 0, 0, False)
    assert [loaded.verdict(ingress, frame) for frame in frames] == [DROP] * 4
    assert loaded.lease.drops(GROUP) == 4
    for group in range(129):
        loaded.lease.store(group, FOR_EVER if group == GROUP else 0, GroupState.PRIMARY, 1, 0, 0, False)
    assert [loaded.verdict(ingress, frame) for frame in frames] == [PASS] * 4
    assert [loaded.lease.drops(group) for group in range(129) if group != GROUP] == [0] * 128


def test_reth_program_compares_with_the_boot_time_clock(loaded: Loaded) -> None:
    """A deadline behind the clock is shut and counted, one ahead is open; another group's slot is not looked at."""
    frame = bytes(60)
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    loaded.lease.store(0, FOR_EVER, GroupState.PRIMARY, 1, 0, 0, False)
    loaded.lease.store(GROUP, now, GroupState.PRIMARY, 1, 0, 0, False)
    assert bpf.prog_test_run(loaded.reth, frame, repeat=7)[0] == DROP
    assert loaded.lease.drops(GROUP) == 7
    loaded.lease.store(GROUP, now + 3600 * 10**9, GroupState.PRIMARY, 1, 0, 0, False)
    assert bpf.prog_test_run(loaded.reth, frame)[0] == PASS
    loaded.lease.shut_all()
    assert bpf.prog_test_run(loaded.reth, frame)[0] == DROP
    assert (loaded.lease.drops(GROUP), loaded.lease.drops(0)) == (8, 0)


# -- the lease map --------------------------------------------------------------------------------------------------


def test_pinned_map_is_shared_memory(tmp_path: Path) -> None:
    """Another process's view of a pinned map is the same memory, in every slot, and outlives the first."""
    subprocess.run(["mount", "-t", "bpf", "jgate", str(tmp_path)], check=True)
    try:
        path = str(tmp_path / "lease")
        with pytest.raises(FileNotFoundError):
            LeaseMap.open(path)
        first = LeaseMap.create()
        first.pin(path)
        with pytest.raises(FileExistsError):
            LeaseMap.create().pin(path)
        second = LeaseMap.open(path)
        for group in (0, 128):
            first.store(group, 10 + group, GroupState.SECONDARY_HOLD, (1 << 24) - 1, 20, 30, True)
            lease = second.read(group)
            assert (lease.deadline, lease.state, lease.generation) == (10 + group, GroupState.SECONDARY_HOLD, (1 << 24) - 1)
            assert (lease.acknowledged_at, lease.last_heard, lease.alone) == (20, 30, True)
        assert second.read(127) == LeaseMap.create().read(127)
        bpf.pin(bpf.map_create(bpf.HASH, 8, 8, 1, "other"), str(tmp_path / "other"))
        with pytest.raises(OSError):
            LeaseMap.open(str(tmp_path / "other"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


class Died(Exception):
    """The engine was killed between two stores."""


class MortalWords(list[int]):
    """The words of a map under a writer that dies after some stores."""

    def __init__(self, words: list[int], life: int) -> None:
        super().__init__(words)
        self.life = life

    def __setitem__(self, index: int, value: int) -> None:  # type: ignore[override]
        if self.life == 0:
            raise Died
        self.life -= 1
        super().__setitem__(index, value)


@pytest.mark.parametrize(("old", "new"), [(1000, 2000), (2000, 1000), (0, 1000), (1000, 0)])
@pytest.mark.parametrize("life", range(6))
def test_torn_store_never_holds_the_gate_open_longer(old: int, new: int, life: int) -> None:
    """Killed after any number of stores: a deadline later than the old one comes only with everything else new."""
    lease = LeaseMap.create()
    before = [old, 0, GroupState.PRIMARY | 5 << 8, 100, 200, 0, 0, 0]
    after = [new, 0, GroupState.SECONDARY_HOLD | 6 << 8, 300, 400, 1, 0, 0]
    words = MortalWords(before, life)
    lease._words = words  # type: ignore[assignment]
    try:
        lease.store(0, new, GroupState.SECONDARY_HOLD, 6, 300, 400, True)
    except Died:
        assert life < 5
    else:
        assert words == after
    assert words[0] <= min(old, new) or words[0] == old or words == after
    if new < old and words != before:
        assert words[0] == new


def test_refused_program_comes_with_the_verifiers_log() -> None:
    with pytest.raises(OSError, match="R0 !read_ok"):
        bpf.prog_load(assemble([Instruction(0x95)]), "jgate_bad")
