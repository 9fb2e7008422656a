"""The program for the socket, run by this kernel on a pair of sockets: what Python's filter holds back never arrives."""

import ctypes
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.kernel.ctnetlink import SO_ATTACH_FILTER
from jsrpd.model.configuration import ClusterConfiguration, Reth, RethUnitAddress, SessionFilter, SessionSynchronization
from jsrpd.sessions.attribution import Attribution
from jsrpd.sessions.ctnetlink import (
    DELETE,
    DST_NAT,
    HEADER,
    NESTED,
    PREFIX,
    PROTO_NUM,
    PROTOINFO,
    PROTOINFO_TCP,
    STATUS,
    TCP_STATE,
    TUPLE_ORIG,
    TUPLE_PROTO,
    attribute,
    number_of,
    parts_of,
)
from jsrpd.sessions.event_filter import MOST_INSTRUCTIONS, event_filter
from tests.unit.sessions.test_ctnetlink import RECORDED, with_part

PORT_ID = 0x1234_5678
EVENTS = [event for events in RECORDED.values() for event in events]


class Kernel:
    """Runs a program on what is sent through."""

    def __init__(self, program: bytes) -> None:
        self._in, self._out = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)
        buffer = ctypes.create_string_buffer(program, len(program))
        code = struct.pack("HL", len(program) // 8, ctypes.addressof(buffer))
        self._out.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, code)

    def passes(self, event: bytes) -> bool:
        """It arrives."""
        self._in.send(event)
        try:
            return self._out.recv(4096) == event
        except BlockingIOError:
            return False

    def close(self) -> None:
        self._in.close()
        self._out.close()


def passing(wanted: SessionFilter, *events: bytes) -> list[bool]:
    kernel = Kernel(event_filter(PORT_ID, wanted)[0])
    try:
        return [kernel.passes(event) for event in events]
    finally:
        kernel.close()


def with_status(event: bytes, bits: int) -> bytes:
    return with_part(event, STATUS, struct.pack(">I", bits))


def test_without_a_filter_all_but_our_own_doing() -> None:
    own = [event[:12] + struct.pack("=I", PORT_ID) + event[16:] for event in EVENTS]
    assert passing(SessionFilter(), *EVENTS) == [True] * len(EVENTS)
    assert passing(SessionFilter(), *own) == [False] * len(own)


IPV4 = ("10.71.0.0/16", "10.71.1.9/32", "10.71.2.0/27", "0.0.0.0/0", "192.0.2.0/24")
IPV6 = ("2001:db8:71::/48", "2001:db8:72::12/128", "::/0", "2001:db8:71::8/125", "2001:db8:0:0:8000::/65")
addresses = st.sampled_from((*IPV4, *IPV6))


@given(
    st.sets(st.sampled_from([1, 6, 17, 47, 58, 132])),
    st.sets(st.sampled_from([1, 6, 17, 47, 58, 132])),
    st.sets(st.integers(5000, 5020) | st.sampled_from([53, 65535])),
    st.sets(addresses),
    st.booleans(),
)
def test_it_holds_back_what_python_would(
    protocols: set[int], assured: set[int], ports: set[int], prefixes: set[str], is_assured: bool
) -> None:
    excepted = tuple(RethUnitAddress(text.split("/")[0], int(text.split("/")[1])) for text in sorted(prefixes))
    wanted = SessionFilter(tuple(sorted(protocols)), tuple(sorted(ports)), excepted, tuple(sorted(assured)))
    sync = SessionSynchronization(filter=wanted)
    reth = Reth("reth0", 0, 1, "c", "c", bytes(6))
    attribution = Attribution(ClusterConfiguration(1, 0, reths=(reth,), session_synchronization=sync))
    # Of an attribute that is given twice the program finds the first.
    events = [one for one in EVENTS if bool(number_of(parts_of(one), STATUS) & 4) == is_assured]
    assert passing(wanted, *events) == [attribution.admits(parts_of(event)) for event in events]


@pytest.mark.parametrize("state", range(1, 10))
def test_of_taking_leave_only_the_end_is_told(state: int) -> None:
    event = RECORDED["tcp4 both"][2]
    at = event.index(parts_of(event)[PROTOINFO])
    changed = event[: at + 12] + bytes((state,)) + event[at + 13 :]
    assert event[at + 10 : at + 12] == struct.pack("=H", TCP_STATE)
    assert passing(SessionFilter(), changed) == [state not in (4, 5, 6)]
    ends = changed[:4] + struct.pack("=H", DELETE) + changed[6:]
    assert passing(SessionFilter(), ends) == [True]


def test_what_it_does_not_find_comes_through() -> None:
    """An attribute that is missing, in an event of an odd form, decides nothing."""
    wanted = SessionFilter((6,), (53,), (RethUnitAddress("10.0.0.0", 8),), (6,))
    tuples = (
        b"",
        attribute(STATUS, struct.pack(">I", DST_NAT)),
        attribute(TUPLE_ORIG | NESTED, b""),
        attribute(TUPLE_ORIG | NESTED, attribute(TUPLE_PROTO | NESTED, b"")),
        attribute(TUPLE_ORIG | NESTED, attribute(TUPLE_PROTO | NESTED, attribute(PROTO_NUM, b"\6"))),
        attribute(PROTOINFO | NESTED, attribute(PROTOINFO_TCP | NESTED, b"")),
    )
    events = [HEADER.pack(PREFIX + len(body), 0x100, 0, 0, 0) + bytes((2, 0, 0, 0)) + body for body in tuples]
    assert passing(wanted, *events) == [True] * len(events)


def test_a_filter_that_is_too_long_is_applied_in_python() -> None:
    wanted = SessionFilter(except_ports=tuple(range(1, MOST_INSTRUCTIONS)))
    program, whole = event_filter(PORT_ID, wanted)
    assert not whole
    assert len(program) // 8 < 100
    assert passing(wanted, *EVENTS) == [True] * len(EVENTS)
    assert event_filter(PORT_ID, SessionFilter(except_ports=(53,)))[1]
