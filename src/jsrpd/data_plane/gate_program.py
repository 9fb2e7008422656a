"""The gate: eBPF programs that let frames through only while the kernel's clock is before a group's deadline.

The reth's program is about a dozen instructions and runs for each frame entering or leaving the reth. The child's
program guards the same virtual MACs one layer below, so that a macvlan made anew cannot fail open, and keeps the
child from speaking for gated addresses with its own MAC (ARP flux, weak host model: kernel facts). A reth without a virtual
MAC has the child's: there one program for both layers tells by the addresses what is the node's own. Pure bytes.
"""

import struct
from dataclasses import dataclass

from jsrpd.model.roles import MAX_GROUP

SLOT_BYTES = 64
"""One group's slot of the lease map: deadline, drop counter, then what the engine pins."""
DEADLINE_OFFSET, DROPS_OFFSET = 0, 8
SLOTS = MAX_GROUP + 1
MAC_KEY_BYTES = 8
ADDRESS_KEY_BYTES = 16

PASS, DROP = -1, 2
"""TC_ACT_UNSPEC: on to the next program; TC_ACT_SHOT."""
HELPER_MAP_LOOKUP, HELPER_LOAD_BYTES, HELPER_BOOT_CLOCK = 1, 26, 125
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE = 1, 2
SKB_PACKET_TYPE, SKB_VLAN_PRESENT, SKB_VLAN_TCI, SKB_DATA, SKB_DATA_END = 4, 20, 24, 76, 80
OTHER_HOST, VLAN_ID = 3, 0xFFF
"""PACKET_OTHERHOST; the bits of a VLAN tag that hold its id, 0 for a tag which only gives a priority."""

R0, R1, R2, R3, R4, R6, R7, R8, R9, R10 = 0, 1, 2, 3, 4, 6, 7, 8, 9, 10
BYTE, HALF, WORD, DOUBLE = 0x10, 0x08, 0x00, 0x18

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
ETHERNET_BYTES, IPV6_BYTES = 14, 40
ROUTER_ADVERTISEMENT, NEIGHBOUR_ADVERTISEMENT, REDIRECT = 134, 136, 137
HOP_BY_HOP, ICMPV6 = 0, 58
LINK_LOCAL = 0xFE80
MAC_KEY, ADDRESS_KEY, SCRATCH = -8, -24, -32
"""Where on the program's stack the two lookup keys and a byte under examination stand."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; ``target`` names a label for jumps. ``wide`` holds the upper half of a 64-bit immediate."""

    code: int
    destination: int = 0
    source: int = 0
    offset: int = 0
    immediate: int = 0
    target: str = ""
    wide: int | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """A place to jump to."""

    name: str


Line = Instruction | Label


def assemble(lines: list[Line]) -> bytes:
    """Instructions with labels resolved; every jump is relative to the instruction behind it."""
    places: dict[str, int] = {}
    count = 0
    for line in lines:
        if isinstance(line, Label):
            places[line.name] = count
        else:
            count += 2 if line.wide is not None else 1
    code = bytearray()
    for line in lines:
        if isinstance(line, Label):
            continue
        here = len(code) // 8
        offset = places[line.target] - here - 1 if line.target else line.offset
        code += struct.pack("<BBhi", line.code, line.source << 4 | line.destination, offset, line.immediate)
        if line.wide is not None:
            code += struct.pack("<BBhi", 0, 0, 0, line.wide)
    return bytes(code)


def _move(destination: int, source: int) -> Instruction:
    return Instruction(0xBF, destination, source)


def _set(destination: int, value: int) -> Instruction:
    return Instruction(0xB7, destination, immediate=value)


def _add(destination: int, value: int) -> Instruction:
    return Instruction(0x07, destination, immediate=value)


def _and(destination: int, value: int) -> Instruction:
    return Instruction(0x57, destination, immediate=value)


def _load(size: int, destination: int, source: int, offset: int) -> Instruction:
    return Instruction(0x61 | size, destination, source, offset)


def _store(size: int, destination: int, offset: int, source: int) -> Instruction:
    return Instruction(0x63 | size, destination, source, offset)


def _store_value(size: int, destination: int, offset: int, value: int) -> Instruction:
    return Instruction(0x62 | size, destination, offset=offset, immediate=value)


def _map(destination: int, descriptor: int) -> Instruction:
    return Instruction(0x18, destination, PSEUDO_MAP_FD, immediate=descriptor, wide=0)


def _slot(destination: int, lease_map: int, group: int) -> Instruction:
    """Address of a slot. The kernel allows it for arrays of one entry only, hence one value with a slot per group."""
    return Instruction(0x18, destination, PSEUDO_MAP_VALUE, immediate=lease_map, wide=SLOT_BYTES * group)


def _call(helper: int) -> Instruction:
    return Instruction(0x85, immediate=helper)


def _jump(target: str) -> Instruction:
    return Instruction(0x05, target=target)


def _if_equal(register: int, value: int, target: str) -> Instruction:
    return Instruction(0x15, register, immediate=value, target=target)


def _if_not_equal(register: int, value: int, target: str) -> Instruction:
    return Instruction(0x55, register, immediate=value, target=target)


def _if_greater(register: int, other: int, target: str) -> Instruction:
    return Instruction(0x2D, register, other, target=target)


EXIT = Instruction(0x95)


def _verdict(value: int) -> list[Line]:
    return [_set(R0, value), EXIT]


def _judge(slot: int) -> list[Line]:
    """With ``slot`` pointing at the group's slot: pass until the deadline, else count and drop. r0 is the clock's."""
    return [
        _call(HELPER_BOOT_CLOCK),
        _load(DOUBLE, R2, slot, DEADLINE_OFFSET),
        _if_greater(R0, R2, "shut"),
        *_verdict(PASS),
        Label("shut"),
        _set(R3, 1),
        Instruction(0xDB, slot, R3, DROPS_OFFSET),
        *_verdict(DROP),
    ]


def reth_program(lease_map: int, group: int) -> bytes:
    """Ingress and egress of a reth of ``group``; ``lease_map`` is the descriptor of the map of slots."""
    return assemble([_slot(R6, lease_map, group), *_judge(R6)])


def child_program(lease_map: int, macs: int, addresses: int, *, ingress: bool) -> bytes:
    """Ingress or egress of a child. ``macs``: virtual MAC -> group; ``addresses``: gated address -> group."""
    return assemble(
        [
            *_virtual_mac(macs, offset=0 if ingress else 6),
            *(_destination(addresses) if ingress else _source(addresses)),
            Label("virtual"),
            _load(WORD, R2, R0, 0),
            Instruction(0x25, R2, immediate=SLOTS - 1, target="drop"),
            Instruction(0x67, R2, immediate=SLOT_BYTES.bit_length() - 1),
            _slot(R9, lease_map, 0),
            Instruction(0x0F, R9, R2),
            *_judge(R9),
            Label("drop"),
            *_verdict(DROP),
            Label("pass"),
            *_verdict(PASS),
        ]
    )


def station_program(lease_map: int, own: int, group: int, *, ingress: bool) -> bytes:
    """Ingress or egress of a reth of ``group`` without a virtual MAC, and of its child. ``own``: addresses by which this node is
    reached whatever its role; everything else that uses the MAC follows the deadline.

    VLANs of the child are other interfaces and pass; a tag that only gives a priority does not make one.
    """
    return assemble(
        [
            *_frame(),
            _load(WORD, R2, R6, SKB_VLAN_PRESENT),
            _if_equal(R2, 0, "untagged"),
            _load(WORD, R2, R6, SKB_VLAN_TCI),
            _and(R2, VLAN_ID),
            _if_not_equal(R2, 0, "pass"),
            Label("untagged"),
            *(_comes(own) if ingress else _goes(own)),
            Label("judge"),
            _slot(R9, lease_map, group),
            *_judge(R9),
            Label("drop"),
            *_verdict(DROP),
            Label("pass"),
            *_verdict(PASS),
        ]
    )


def _comes(own: int) -> list[Line]:
    """Ingress by the one MAC there is. What the switch floods to others is none of ours: the reth would take it for its own.

    Broadcasts and ARP must reach the node for its own addresses; what it answers for others is stopped on egress.
    """
    return [
        _load(WORD, R2, R6, SKB_PACKET_TYPE),
        _if_equal(R2, OTHER_HOST, "drop"),
        _load(BYTE, R2, R7, 0),
        _and(R2, 1),
        _if_not_equal(R2, 0, "pass"),
        _load(HALF, R2, R7, 12),
        _if_equal(R2, _ether_type(IPV4), "ipv4"),
        _if_equal(R2, _ether_type(ARP), "pass"),
        _if_not_equal(R2, _ether_type(IPV6), "judge"),
        *_fetch(ETHERNET_BYTES + 24, 16, ADDRESS_KEY, otherwise="judge"),
        _jump("whose"),
        Label("ipv4"),
        *_fetch_mapped(ETHERNET_BYTES + 16, otherwise="judge"),
        *_pass_own(own),
    ]


def _goes(own: int) -> list[Line]:
    """Egress by the one MAC there is: packets from own addresses, ARP and advertisements for them. A link-local address is the
    node's own as well, but it speaks only to ask and to join: it offers no route and answers for nobody."""
    payload = ETHERNET_BYTES + IPV6_BYTES
    return [
        _load(HALF, R2, R7, 12),
        _if_equal(R2, _ether_type(IPV4), "ipv4"),
        _if_equal(R2, _ether_type(ARP), "arp"),
        _if_not_equal(R2, _ether_type(IPV6), "pass"),
        *_fetch(ETHERNET_BYTES + 6, 1, SCRATCH, otherwise="judge"),
        _load(BYTE, R9, R10, SCRATCH),
        _if_not_equal(R9, ICMPV6, "source"),
        *_fetch(payload, 1, SCRATCH, otherwise="judge"),
        _load(BYTE, R2, R10, SCRATCH),
        _if_equal(R2, ROUTER_ADVERTISEMENT, "judge"),
        _if_equal(R2, REDIRECT, "judge"),
        _if_not_equal(R2, NEIGHBOUR_ADVERTISEMENT, "source"),
        *_fetch(payload + 8, 16, ADDRESS_KEY, otherwise="judge"),
        *_lookup(own, ADDRESS_KEY),
        _if_equal(R0, 0, "judge"),
        Label("source"),
        *_fetch(ETHERNET_BYTES + 8, 16, ADDRESS_KEY, otherwise="judge"),
        _load(HALF, R2, R10, ADDRESS_KEY),
        _if_not_equal(R2, _ether_type(LINK_LOCAL), "whose"),
        _if_equal(R9, ICMPV6, "pass"),
        _if_equal(R9, HOP_BY_HOP, "pass"),
        _jump("judge"),
        Label("arp"),
        *_fetch_mapped(ETHERNET_BYTES + 14, otherwise="judge"),
        _jump("whose"),
        Label("ipv4"),
        *_fetch_mapped(ETHERNET_BYTES + 12, otherwise="judge"),
        *_pass_own(own),
    ]


def _pass_own(own: int) -> list[Line]:
    return [Label("whose"), *_lookup(own, ADDRESS_KEY), _if_not_equal(R0, 0, "pass")]


def _frame() -> list[Line]:
    """The context in r6, the frame at r7, its Ethernet header within the linear part; else dropped."""
    return [
        _move(R6, R1),
        _load(WORD, R7, R6, SKB_DATA),
        _load(WORD, R8, R6, SKB_DATA_END),
        _move(R2, R7),
        _add(R2, ETHERNET_BYTES),
        _if_greater(R2, R8, "drop"),
    ]


def _virtual_mac(macs: int, offset: int) -> list[Line]:
    """To ``virtual`` with r0 at the group if the MAC at ``offset`` is one; else on, the frame at r7, its context in r6."""
    return [
        *_frame(),
        _load(WORD, R2, R7, offset),
        _store(WORD, R10, MAC_KEY, R2),
        _load(HALF, R2, R7, offset + 4),
        _store(WORD, R10, MAC_KEY + 4, R2),
        *_lookup(macs, MAC_KEY),
        _if_not_equal(R0, 0, "virtual"),
    ]


def _destination(addresses: int) -> list[Line]:
    """Ingress by the child's own MAC: no packet to a gated address is taken (weak host model).

    Broadcasts must reach the macvlan, whose own gate decides; the child's own answer is stopped on egress.
    """
    return [
        _load(BYTE, R2, R7, 0),
        _and(R2, 1),
        _if_not_equal(R2, 0, "pass"),
        _load(HALF, R2, R7, 12),
        _if_equal(R2, _ether_type(IPV4), "ipv4"),
        _if_not_equal(R2, _ether_type(IPV6), "pass"),
        *_fetch(ETHERNET_BYTES + 24, 16, ADDRESS_KEY),
        _jump("gated"),
        Label("ipv4"),
        *_fetch_mapped(ETHERNET_BYTES + 16),
        *_drop_gated(addresses),
    ]


def _source(addresses: int) -> list[Line]:
    """Egress by the child's own MAC: no packet from a gated address, no ARP or neighbour advertisement for one."""
    payload = ETHERNET_BYTES + IPV6_BYTES
    return [
        _load(HALF, R2, R7, 12),
        _if_equal(R2, _ether_type(IPV4), "ipv4"),
        _if_equal(R2, _ether_type(ARP), "arp"),
        _if_not_equal(R2, _ether_type(IPV6), "pass"),
        *_fetch(ETHERNET_BYTES + 8, 16, ADDRESS_KEY),
        *_lookup(addresses, ADDRESS_KEY),
        _if_not_equal(R0, 0, "drop"),
        *_pass_unless(ETHERNET_BYTES + 6, ICMPV6),
        *_pass_unless(payload, NEIGHBOUR_ADVERTISEMENT),
        *_fetch(payload + 8, 16, ADDRESS_KEY),
        _jump("gated"),
        Label("arp"),
        *_fetch_mapped(ETHERNET_BYTES + 14),
        _jump("gated"),
        Label("ipv4"),
        *_fetch_mapped(ETHERNET_BYTES + 12),
        *_drop_gated(addresses),
    ]


def _ether_type(value: int) -> int:
    """As a 16-bit load of network bytes sees it on the little-endian machines this runs on."""
    return (value & 0xFF) << 8 | value >> 8


def _fetch(offset: int, length: int, place: int, otherwise: str = "pass") -> list[Line]:
    """Copy frame bytes to the stack; a frame that ends before them goes to ``otherwise``.

    By the helper, because a driver may leave everything behind the Ethernet header outside the linear part.
    """
    return [
        _move(R1, R6),
        _set(R2, offset),
        _move(R3, R10),
        _add(R3, place),
        _set(R4, length),
        _call(HELPER_LOAD_BYTES),
        _if_not_equal(R0, 0, otherwise),
    ]


def _fetch_mapped(offset: int, otherwise: str = "pass") -> list[Line]:
    """IPv4 address at ``offset`` of the frame as ::ffff:a.b.c.d in the address key."""
    return [
        _store_value(DOUBLE, R10, ADDRESS_KEY, 0),
        _store_value(WORD, R10, ADDRESS_KEY + 8, -0x10000),
        *_fetch(offset, 4, ADDRESS_KEY + 12, otherwise),
    ]


def _pass_unless(offset: int, value: int) -> list[Line]:
    return [*_fetch(offset, 1, SCRATCH), _load(BYTE, R2, R10, SCRATCH), _if_not_equal(R2, value, "pass")]


def _lookup(table: int, key_offset: int) -> list[Line]:
    return [_map(R1, table), _move(R2, R10), _add(R2, key_offset), _call(HELPER_MAP_LOOKUP)]


def _drop_gated(addresses: int) -> list[Line]:
    return [Label("gated"), *_lookup(addresses, ADDRESS_KEY), _if_not_equal(R0, 0, "drop"), _jump("pass")]


def mac_key(mac: bytes) -> bytes:
    """Key of the MAC table."""
    return mac + bytes(MAC_KEY_BYTES - len(mac))


def address_key(packed: bytes) -> bytes:
    """Key of the address table from a packed IPv4 or IPv6 address."""
    return packed if len(packed) == ADDRESS_KEY_BYTES else bytes(10) + b"\xff\xff" + packed
