"""Frames of the duplicate address probe, and what counts as an answer."""

import ipaddress
import struct

import pytest

from jsrpd.kernel.probes import ARP, ETHERNET, _checksum, _probe, link_local, question, read_answer

MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
V4, V6 = ipaddress.ip_address("10.1.0.1").packed, ipaddress.ip_address("2001:db8:1::1").packed


def arp(operation: int, sender: bytes = OTHER, address: bytes = V4) -> bytes:
    return ETHERNET.pack(MAC, OTHER, 0x0806) + ARP.pack(1, 0x0800, 6, 4, operation, sender, address, MAC, bytes(4))


def icmpv6(kind: int, target: bytes = V6) -> bytes:
    header = struct.pack("!IHBB", 6 << 28, 24, 58, 255) + bytes(32)
    return ETHERNET.pack(MAC, OTHER, 0x86DD) + header + struct.pack("!BBHI", kind, 0, 0, 0) + target


def test_arp_probe_teaches_nobody_anything() -> None:
    """RFC 5227: sender address all zeros."""
    frame = _probe(MAC, V4)
    assert frame[:6] == b"\xff" * 6
    _h, _p, _hl, _pl, operation, sender, address, target, asked = ARP.unpack_from(frame, ETHERNET.size)
    assert (operation, sender, address, target, asked) == (1, MAC, bytes(4), bytes(6), V4)


def test_neighbour_solicitation() -> None:
    """RFC 4861 section 4.3: from the unspecified address to the solicited-node group, hop limit 255, a right checksum."""
    frame = _probe(MAC, V6)
    header, icmp = frame[14:54], frame[54:]
    assert frame[:6] == bytes.fromhex("3333ff000001")
    assert header[7] == 255
    assert header[8:24] == bytes(16)
    assert ipaddress.ip_address(header[24:40]) == ipaddress.ip_address("ff02::1:ff00:1")
    assert icmp[8:] == V6
    assert _checksum(header[8:40] + struct.pack("!II", len(icmp), 58) + icmp) == 0


def test_a_question_to_the_owner_by_arp() -> None:
    """As a probe, and to nobody else."""
    assert question(MAC, OTHER, V4) == OTHER + _probe(MAC, V4)[6:]
    assert question(MAC, b"", V4) == _probe(MAC, V4), "without a virtual MAC everybody is asked"


def test_a_question_to_the_owner_by_neighbour_discovery() -> None:
    """RFC 4861 section 7.3: unicast, with where the answer goes; so nobody else gets question or answer."""
    frame = question(MAC, OTHER, V6)
    header, icmp = frame[14:54], frame[54:]
    assert frame[:12] == OTHER + MAC
    assert header[7] == 255
    assert header[8:24] == link_local(MAC)
    assert header[24:40] == icmp[8:24] == V6
    assert icmp[24:] == bytes([1, 1]) + MAC
    assert _checksum(header[8:40] + struct.pack("!II", len(icmp), 58) + icmp) == 0


def test_link_local_address() -> None:
    assert ipaddress.ip_address(link_local(bytes.fromhex("021122334455"))) == ipaddress.ip_address("fe80::11:22ff:fe33:4455")


def test_answers() -> None:
    assert read_answer(arp(2)) == (V4, "02:00:00:00:00:02")
    assert read_answer(icmpv6(136)) == (V6, "02:00:00:00:00:02")


@pytest.mark.parametrize(
    "frame", [b"", arp(1), arp(2)[:30], icmpv6(135), icmpv6(136)[:60], ETHERNET.pack(MAC, OTHER, 0x0800) + bytes(60)]
)
def test_no_answers(frame: bytes) -> None:
    assert read_answer(frame) is None
