"""The payload codec: what goes in comes out, what does not fit is refused, and garbage is MalformedError."""

import struct

import pytest
from hypothesis import given, settings

from jsrpd.model.link_messages import Acknowledgement, Heartbeat, PeerRequest, RequestKind
from jsrpd.wire.heartbeat import (
    BITMAP_BYTES,
    GROUP,
    HEAD,
    REQUEST,
    MalformedError,
    decode_acknowledgement,
    decode_heartbeat,
    encode_acknowledgement,
    encode_heartbeat,
)
from tests.unit.wire.nodes import acknowledgements, heartbeat, heartbeats, make_link, report

PLAIN = heartbeat(software_version="", interfaces_up=0)
VERSION_AT = HEAD.size
INTERFACES_AT = VERSION_AT + 1
BITMAP_AT = INTERFACES_AT + 1
GROUP_AT = BITMAP_AT + BITMAP_BYTES
REQUESTS_AT = GROUP_AT + GROUP.size


def changed(at: int, value: int) -> bytes:
    """``PLAIN`` on the wire with one byte replaced."""
    data = bytearray(encode_heartbeat(PLAIN))
    data[at] = value
    return bytes(data)


@given(heartbeats())
@settings(deadline=None)
def test_heartbeat_round_trip(message: Heartbeat) -> None:
    assert decode_heartbeat(encode_heartbeat(message)) == message


@given(acknowledgements())
@settings(deadline=None)
def test_acknowledgement_round_trip(message: Acknowledgement) -> None:
    assert decode_acknowledgement(encode_acknowledgement(message)) == message


def test_layout_is_pinned() -> None:
    """Two releases must agree on every byte: a change here is a new wire version."""
    data = encode_heartbeat(heartbeat(stopped=True, requests=(PeerRequest(9, RequestKind.RESET, 1, 0),)))
    head = "0100006405" + b"digest78".hex() + "000000000000000300000000000000040003"
    strings = "05" + b"0.1.0".hex() + "0105"
    group = "4ac800ff000000000007"
    assert data.hex() == head + strings + "00" * 16 + "01" + group + "01" + "00000009010100"


def test_bytes_behind_the_known_fields_are_ignored() -> None:
    assert decode_heartbeat(encode_heartbeat(PLAIN) + b"from a newer release") == PLAIN
    known = Acknowledgement(1, 2, 3)
    assert decode_acknowledgement(encode_acknowledgement(known) + b"more") == known


def test_every_truncation_is_malformed() -> None:
    whole = encode_heartbeat(heartbeat(groups=(report(0), report(128)), requests=(PeerRequest(1, RequestKind.FAILOVER, 1, 1),)))
    for length in range(len(whole)):
        with pytest.raises(MalformedError):
            decode_heartbeat(whole[:length])
    acknowledgement = encode_acknowledgement(Acknowledgement(1, 2, 3))
    for length in range(len(acknowledgement)):
        with pytest.raises(MalformedError):
            decode_acknowledgement(acknowledgement[:length])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(1, 9), id="unknown mode"),
        pytest.param(changed(3, 0), id="interval 0"),
        pytest.param(changed(4, 0), id="threshold 0"),
        pytest.param(changed(VERSION_AT, 33), id="version too long"),
        pytest.param(changed(INTERFACES_AT, 33), id="too many interfaces"),
        pytest.param(changed(BITMAP_AT, 0x02), id="group 129"),
        pytest.param(changed(GROUP_AT, 0x07), id="unknown state"),
        pytest.param(changed(GROUP_AT, 0x18), id="unknown kind of priority"),
        pytest.param(changed(REQUESTS_AT, 17) + bytes(17 * REQUEST.size), id="too many requests"),
        pytest.param(encode_heartbeat(PLAIN)[:VERSION_AT] + b"\x01\xff" + bytes(40), id="version is not text"),
    ],
)
def test_what_breaks_the_format_is_malformed(data: bytes) -> None:
    """Each differs from a good heartbeat in one field, and is long enough."""
    assert decode_heartbeat(encode_heartbeat(PLAIN)) == PLAIN
    with pytest.raises(MalformedError):
        decode_heartbeat(data + bytes(64))


@pytest.mark.parametrize("weight", [-32768, 32767])
def test_weight_saturates(weight: int) -> None:
    sent = heartbeat(groups=(report(1, weight=weight * 3),))
    assert decode_heartbeat(encode_heartbeat(sent)).groups == (report(1, weight=weight),)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(heartbeat(groups=(report(1, effective_priority=100),)), id="priority neither 0, configured nor 255"),
        pytest.param(heartbeat(groups=(report(1, failures=1 << 24),)), id="failures"),
        pytest.param(heartbeat(groups=(report(1, generation=1 << 24),)), id="generation"),
        pytest.param(heartbeat(interval_ms=1 << 16), id="interval"),
        pytest.param(heartbeat(groups=(report(136),)), id="group"),
    ],
)
def test_what_the_format_cannot_carry_is_a_value_error(message: Heartbeat) -> None:
    with pytest.raises(ValueError):
        encode_heartbeat(message)


def test_what_is_cut_leaves_a_readable_heartbeat() -> None:
    """A long version, many interfaces, many requests: the peer must still hear the rest."""
    requests = tuple(PeerRequest(number, RequestKind.FAILOVER, 1, 1) for number in range(1, 20))
    sent = heartbeat(software_version="é" + "1" * 40, interfaces_up=1 << 300 | 5, requests=requests)
    heard = decode_heartbeat(encode_heartbeat(sent))
    assert heard == heartbeat(software_version="?" + "1" * 31, interfaces_up=5, requests=requests[:16])


def test_groups_come_in_order() -> None:
    sent = heartbeat(groups=(report(128), report(0), report(64)))
    assert [line.group for line in decode_heartbeat(encode_heartbeat(sent)).groups] == [0, 64, 128]


def test_128_groups_fit_1400_bytes() -> None:
    """SPEC 5, with 64 watched interfaces up; the longest version and 256 interfaces still fit an Ethernet frame over IPv6."""
    groups = tuple(report(number) for number in range(128))
    link = make_link(0, "a")
    assert len(link.heartbeat(0, 1, heartbeat(groups=groups, interfaces_up=(1 << 64) - 1))) <= 1400
    largest = heartbeat(groups=groups, software_version="v" * 32, interfaces_up=(1 << 256) - 1)
    ipv6_and_udp = 40 + 8
    assert len(link.heartbeat(0, 2, largest)) + ipv6_and_udp <= 1500


def test_a_malformed_error_names_its_cause() -> None:
    with pytest.raises(MalformedError, match="no dead time") as raised:
        decode_heartbeat(changed(3, 0))
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(MalformedError) as raised:
        decode_heartbeat(b"")
    assert isinstance(raised.value.__cause__, struct.error)


def test_a_wish_of_a_newer_release_is_passed_over() -> None:
    """And what else the heartbeat says counts."""
    known = REQUEST.pack(2, RequestKind.RESET, 1, 0)
    heard = decode_heartbeat(changed(REQUESTS_AT, 2) + REQUEST.pack(1, 99, 0, 0) + known)
    assert heard.requests == (PeerRequest(2, RequestKind.RESET, 1, 0),)
    assert heard.groups == PLAIN.groups
