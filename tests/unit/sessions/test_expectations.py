"""What a peer is told about expectations; events of Linux 6.18 from FTP's helper."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.sessions.ctnetlink import (
    AF_INET,
    AF_INET6,
    CREATE,
    DELETE,
    GET,
    HEADER,
    NEW,
    REQUEST,
    TUPLE_ORIG,
    MalformedMessageError,
    attribute,
    message,
    parts_of,
    tuple_of,
    value_of,
)
from jsrpd.sessions.expectations import (
    CLASS,
    EXPECT_DELETE,
    EXPECT_NEW,
    EXPECT_ZONE,
    EXPECTED_TUPLE,
    FUNCTION,
    HELPER_NAME,
    MASTER,
    expectation_of,
    expected,
    is_about_its_end,
    master_request,
    no_longer_expected,
    split,
)
from tests.unit.sessions.test_ctnetlink import EXPECTATIONS, RECORDED, with_part

EVENTS = [(name, event) for name, events in EXPECTATIONS.items() for event in events]


@pytest.mark.parametrize(("name", "event"), EVENTS)
def test_another_kernels_own_affairs_stay_behind(name: str, event: bytes) -> None:
    """Its ID, the time that is left, and the helper's name, which here would mean something else."""
    parts = expectation_of(event)
    said = expected(event, parts)
    length, kind, flags, _, port_id = HEADER.unpack_from(said)
    assert (length, kind, flags, port_id) == (len(said), EXPECT_NEW, REQUEST | CREATE, 0)
    assert said[HEADER.size] == (AF_INET6 if "6" in name else AF_INET)
    kept = expectation_of(said)
    assert {4, 5, HELPER_NAME} <= set(parts)
    assert set(kept) == set(parts) - {4, 5, HELPER_NAME}
    assert all(kept[kind] == parts[kind] for kind in kept)
    assert value_of(kept[FUNCTION]).rstrip(b"\0") == b"nat-follow-master"


def test_sip_reads_what_its_signalling_expects() -> None:
    event = EVENTS[0][1]
    parts = expectation_of(event) | {HELPER_NAME: attribute(HELPER_NAME, b"sip-5060\0")}
    assert expectation_of(expected(event, parts))[HELPER_NAME] == parts[HELPER_NAME]
    audio = parts | {CLASS: attribute(CLASS, struct.pack(">I", 1))}
    assert HELPER_NAME not in expectation_of(expected(event, audio))
    del parts[CLASS]
    assert HELPER_NAME in expectation_of(expected(event, parts))


def test_its_end_is_named_by_tuple_and_zone() -> None:
    event = with_part(EVENTS[0][1], EXPECT_ZONE, b"\0\7")
    said = no_longer_expected(event, expectation_of(event))
    assert set(expectation_of(said)) == {MASTER, EXPECTED_TUPLE, EXPECT_ZONE}
    assert is_about_its_end(said) and not is_about_its_end(event)


def test_the_connection_that_announced_it_is_asked_for() -> None:
    _, event = EVENTS[0]
    parts = expectation_of(event)
    asked = master_request(event, parts)
    assert HEADER.unpack_from(asked)[1:3] == (GET, REQUEST)
    original = tuple_of(parts_of(asked)[TUPLE_ORIG])
    assert original.ports[1] == 21
    assert value_of(parts_of(asked)[TUPLE_ORIG]) == value_of(parts[MASTER])


def test_of_a_peer_connections_and_expectations_are_taken() -> None:
    connection = message(NEW, REQUEST, AF_INET, RECORDED["udp4 none"][0][20:])
    expectation = message(EXPECT_DELETE, REQUEST, AF_INET, b"")
    assert split(connection + expectation + connection) == [(connection, False), (expectation, True), (connection, False)]
    assert split(b"") == []


@pytest.mark.parametrize("kind", [0x101, 0x201, 0x300, 0xA00, 0])
def test_and_nothing_else(kind: int) -> None:
    """Netfilter would understand rules as well."""
    good = message(DELETE, REQUEST, AF_INET, b"")
    for content in (message(kind, REQUEST, AF_INET, b""), good + b"\0" * 4, good[:-4], good + message(kind, 0, AF_INET, b"")):
        with pytest.raises(ValueError, match="neither"):
            split(content)


@given(st.sampled_from([event for _, event in EVENTS]), st.data())
def test_mutilated_events_are_refused_or_survive(event: bytes, data: st.DataObject) -> None:
    at, byte = data.draw(st.integers(20, len(event) - 1)), data.draw(st.integers(0, 255))
    mutilated = event[:at] + bytes((byte,)) + event[at + 1 :]
    try:
        parts = expectation_of(mutilated)
    except MalformedMessageError:
        return
    for said in (expected(mutilated, parts), no_longer_expected(mutilated, parts), master_request(mutilated, parts)):
        assert HEADER.unpack_from(said)[0] == len(said)
