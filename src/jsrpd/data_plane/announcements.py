"""Frames that tell a segment who owns a virtual MAC and its addresses (SPEC 7, takeover), or ask it for a sign. Pure bytes."""

import ipaddress
import struct

BROADCAST = b"\xff" * 6
ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
ARP_REQUEST, ARP_REPLY = 1, 2
ICMPV6, NEIGHBOUR_ADVERTISEMENT, TARGET_LINK_LAYER, ECHO_REQUEST = 58, 136, 2, 128
ROUTER, OVERRIDE = 0x80000000, 0x20000000
MINIMUM_FRAME = 60


def switch_frame(mac: bytes) -> bytes:
    """The smallest frame that moves the switch's table: a reverse-ARP question nobody answers, from the virtual MAC."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 3) + mac + bytes(4) + mac + bytes(4)
    return (BROADCAST + mac + b"\x80\x35" + body).ljust(MINIMUM_FRAME, b"\0")


def gratuitous_arp(mac: bytes, address: str) -> tuple[bytes, bytes]:
    """Request and reply forms (RFC 5944 section 4.6 names both, because hosts differ in which they believe).

    In the reply the target hardware address is the one to be believed, the virtual MAC.
    """
    packed = ipaddress.IPv4Address(address).packed
    head = BROADCAST + mac + b"\x08\x06"
    request = struct.pack(">HHBBH", 1, 0x0800, 6, 4, ARP_REQUEST) + mac + packed + bytes(6) + packed
    reply = struct.pack(">HHBBH", 1, 0x0800, 6, 4, ARP_REPLY) + mac + packed + mac + packed
    return (head + request).ljust(MINIMUM_FRAME, b"\0"), (head + reply).ljust(MINIMUM_FRAME, b"\0")


def unsolicited_na(mac: bytes, address: str) -> bytes:
    """Neighbour advertisement to all nodes, override and router flags set (RFC 4861 sections 4.4 and 7.2.6)."""
    source = ipaddress.IPv6Address(address).packed
    option = struct.pack(">BB", TARGET_LINK_LAYER, 1) + mac
    return _to_all_nodes(mac, source, struct.pack(">BBHI", NEIGHBOUR_ADVERTISEMENT, 0, 0, ROUTER | OVERRIDE) + source + option)


def echo_to_all_nodes(mac: bytes, sequence: int) -> bytes:
    """ICMPv6 echo request to every host of the segment (RFC 4443 section 4.1), from the link-local address that belongs to
    the MAC (RFC 4291 appendix A)."""
    source = b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    return _to_all_nodes(mac, source, struct.pack(">BBHHH", ECHO_REQUEST, 0, 0, 0x6A73, sequence & 0xFFFF))


def _to_all_nodes(mac: bytes, source: bytes, body: bytes) -> bytes:
    """An ICMPv6 message with its checksum, in a frame."""
    checksum = _checksum(source + ALL_NODES + struct.pack(">II", len(body), ICMPV6) + body)
    body = body[:2] + struct.pack(">H", checksum) + body[4:]
    header = struct.pack(">IHBB", 6 << 28, len(body), ICMPV6, 255) + source + ALL_NODES
    return ALL_NODES_MAC + mac + b"\x86\xdd" + header + body


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
