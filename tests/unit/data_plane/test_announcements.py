"""Announcements, taken apart again by independent readings of RFC 826, RFC 903 and RFC 4861."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.data_plane.announcements import echo_to_all_nodes, gratuitous_arp, switch_frame, unsolicited_na

MAC = bytes.fromhex("02005e005301")
macs = st.binary(min_size=6, max_size=6)
ipv6 = st.ip_addresses(v=6).map(str)


def arp(frame: bytes) -> dict[str, object]:
    """Fields of an (R)ARP frame."""
    kind, protocol, hardware_bytes, protocol_bytes, operation = struct.unpack_from(">HHBBH", frame, 14)
    assert (kind, protocol, hardware_bytes, protocol_bytes) == (1, 0x0800, 6, 4)
    return {
        "destination": frame[0:6],
        "source": frame[6:12],
        "type": frame[12:14].hex(),
        "operation": operation,
        "sender": (frame[22:28], frame[28:32]),
        "target": (frame[32:38], frame[38:42]),
    }


def test_switch_frame_is_a_broadcast_from_the_virtual_mac() -> None:
    """Nothing in it names an address that a host could learn."""
    frame = switch_frame(MAC)
    assert len(frame) == 60
    assert arp(frame) == {
        "destination": b"\xff" * 6,
        "source": MAC,
        "type": "8035",
        "operation": 3,
        "sender": (MAC, bytes(4)),
        "target": (MAC, bytes(4)),
    }


@given(mac=macs, address=st.ip_addresses(v=4).map(str))
def test_gratuitous_arp_names_the_address_twice_in_both_forms(mac: bytes, address: str) -> None:
    packed = ipaddress.ip_address(address).packed
    request, reply = gratuitous_arp(mac, address)
    assert len(request) == len(reply) == 60
    common = {"destination": b"\xff" * 6, "source": mac, "type": "0806", "sender": (mac, packed)}
    assert arp(request) == {**common, "operation": 1, "target": (bytes(6), packed)}
    assert arp(reply) == {**common, "operation": 2, "target": (mac, packed)}


@given(mac=macs, address=ipv6)
def test_unsolicited_na(mac: bytes, address: str) -> None:
    """To all nodes, hop limit 255, router and override but not solicited, with the virtual MAC as target option."""
    packed = ipaddress.ip_address(address).packed
    frame = unsolicited_na(mac, address)
    assert frame[:14] == bytes.fromhex("333300000001") + mac + b"\x86\xdd"
    version, length, next_header, hop_limit = struct.unpack_from(">IHBB", frame, 14)
    assert (version, length, next_header, hop_limit) == (6 << 28, len(frame) - 54, 58, 255)
    assert frame[22:38] == packed
    assert frame[38:54] == ipaddress.ip_address("ff02::1").packed
    assert frame[54:56] == bytes([136, 0])
    assert frame[58:62] == bytes([0xA0, 0, 0, 0])
    assert frame[62:78] == packed
    assert frame[78:] == bytes([2, 1]) + mac


@given(mac=macs, address=ipv6)
def test_na_checksum_verifies(mac: bytes, address: str) -> None:
    """The ones' complement sum over pseudo-header and message, checksum included, is all ones (RFC 1071)."""
    frame = unsolicited_na(mac, address)
    message = frame[54:]
    covered = frame[22:54] + struct.pack(">II", len(message), 58) + message
    total = sum(struct.unpack(f">{len(covered) // 2}H", covered))
    assert total % 0xFFFF == 0
    assert total > 0


@pytest.mark.parametrize("address", ["192.0.2.1/24", "2001:db8::1", "gateway"])
def test_only_a_plain_ipv4_address_is_announced_by_arp(address: str) -> None:
    with pytest.raises(ValueError):
        gratuitous_arp(MAC, address)


def test_echo_to_all_nodes() -> None:
    frame = echo_to_all_nodes(bytes.fromhex("020000000001"), 0x12345)
    assert frame[:14].hex() == "333300000001" + "020000000001" + "86dd"
    source, destination, body = frame[22:38], frame[38:54], frame[54:]
    assert str(ipaddress.IPv6Address(source)) == "fe80::ff:fe00:1", "the address that belongs to the MAC"
    assert str(ipaddress.IPv6Address(destination)) == "ff02::1"
    assert (body[0], body[1], body[4:].hex()) == (128, 0, "6a732345")
    words = struct.unpack(f">{(32 + 8 + len(body)) // 2}H", source + destination + struct.pack(">II", len(body), 58) + body)
    total = sum(words)
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
