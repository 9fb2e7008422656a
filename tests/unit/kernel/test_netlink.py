"""The netlink codec, and the request socket as far as nothing needs to be changed for it."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.kernel.netlink import HEADER, Netlink, attribute, attributes, messages
from jsrpd.kernel.rtnetlink import DELLINK, GETLINK, LINK

UNKNOWN = 250
NOBODY = (1 << 31) - 1
"""An interface index that no interface has."""


def test_bytes_of_an_attribute() -> None:
    """Length without the padding, then the type, then padding to four (netlink(7), machine byte order)."""
    length, kind = (5).to_bytes(2, "little"), (3).to_bytes(2, "little")
    assert attribute(3, b"x") == length + kind + b"x\0\0\0"
    assert attribute(3, b"") == (4).to_bytes(2, "little") + kind


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8), st.binary(max_size=16))
def test_attributes_round_trip(wanted: dict[int, bytes], before: bytes) -> None:
    """Behind any header; the flags for nesting and byte order are no part of the type."""
    data = b"".join(attribute(kind | 0x8000, value) for kind, value in wanted.items())
    assert attributes(before + data, len(before)) == wanted


def test_of_repeated_attributes_the_last_counts() -> None:
    assert attributes(attribute(1, b"aaaa") + attribute(1, b"bbbb")) == {1: b"bbbb"}


@given(st.binary(max_size=80))
def test_garbage_ends(data: bytes) -> None:
    """No endless loop, no exception, nothing beyond what is there."""
    assert all(len(value) <= len(data) for value in attributes(data).values())
    assert sum(len(body) for _, _, body in messages(data)) <= len(data)


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 15))
def test_messages_round_trip(bodies: list[bytes], cut: int) -> None:
    """Several in one datagram, padded; one that is cut off is none."""
    packed = [HEADER.pack(HEADER.size + len(body), n + 16, 0, n, 0) + body + bytes(-len(body) % 4) for n, body in enumerate(bodies)]
    whole = b"".join(packed)
    assert list(messages(whole)) == [(n + 16, n, body) for n, body in enumerate(bodies)]
    assert list(messages(whole + HEADER.pack(64, 16, 0, 0, 0)[: cut + 1])) == list(messages(whole))


@pytest.fixture
def netlink() -> Netlink:
    return Netlink()


def test_dump(netlink: Netlink) -> None:
    """Every namespace has a loopback interface; a second dump is not mixed up with the first."""
    for _ in range(2):
        found = netlink.dump(GETLINK, LINK.pack(0, 0, 0, 0, 0, 0))
        assert {kind for kind, _ in found} == {16}
        assert any(attributes(body, LINK.size).get(3) == b"lo\0" for _, body in found)
    netlink.close()


def test_a_refused_dump_is_an_error(netlink: Netlink) -> None:
    """A kind of message the kernel does not know."""
    with pytest.raises(OSError, match="netlink dump refused") as caught:
        netlink.dump(UNKNOWN, LINK.pack(0, 0, 0, 0, 0, 0))
    assert caught.value.errno == errno.EOPNOTSUPP


def test_every_request_of_a_long_plan_has_its_answer(netlink: Netlink) -> None:
    """More than one datagram takes; the kernel refuses each for itself, and none raises."""
    request = (DELLINK, 0, LINK.pack(0, 0, 0, NOBODY, 0, 0))
    unknown = (GETLINK, 0, LINK.pack(0, 0, 0, 1, 0, 0))
    results = netlink.execute([request] * 2500 + [unknown] + [request] * 2)
    assert len(results) == 2503
    assert set(results) - {0} <= {errno.ENODEV, errno.EPERM}
    assert [n for n, result in enumerate(results) if result == 0] == [2500], "loopback exists, and asking needs no right"
    assert netlink.execute([]) == []
