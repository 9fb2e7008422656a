"""Surgery on what a kernel really said: ``recorded.json`` holds events of Linux 6.18, by protocol, family and NAT."""

import errno
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsrpd.sessions.ctnetlink import (
    CONFIRMED,
    CREATE,
    DELETE,
    DST_NAT,
    DYING,
    EXCLUSIVE,
    EXPECTED,
    FIXED_TIMEOUT,
    HEADER,
    HELP,
    ICMP_ID,
    ICMP_TYPE,
    ICMPV6_ID,
    ICMPV6_TYPE,
    KEPT,
    NAT_DST,
    NAT_SRC,
    NEW,
    PREFIX,
    PROTOINFO,
    REQUEST,
    SRC_NAT,
    STANDBY_TIMEOUT_S,
    STATUS,
    TIMEOUT,
    TUPLE_MASTER,
    TUPLE_ORIG,
    TUPLE_REPLY,
    MalformedMessageError,
    attribute,
    created,
    ended,
    family_of,
    is_injectable,
    key_of,
    mended,
    number_of,
    parts_of,
    relayed,
    retained,
    timeout_name,
    tuple_of,
    value_of,
)

EVERYTHING = {
    name: [bytes.fromhex(event) for event in events]
    for name, events in json.loads((Path(__file__).parent / "recorded.json").read_text()).items()
}
EXPECTATIONS = {name: events for name, events in EVERYTHING.items() if name.startswith("ftp")}
RECORDED = {name: events for name, events in EVERYTHING.items() if name not in EXPECTATIONS}
LIVING = {name: events for name, events in RECORDED.items() if "ended" not in name}
ID = 12


def split(said: bytes) -> list[tuple[int, int, bytes]]:
    """(type, flags, message) of each message; nothing may be left over."""
    found = []
    while said:
        length, kind, flags, _, _ = HEADER.unpack_from(said)
        assert length % 4 == 0
        assert length <= len(said)
        found.append((kind, flags, said[:length]))
        said = said[length:]
    return found


def first(name: str) -> bytes:
    return RECORDED[name][0]


@pytest.mark.parametrize("name", LIVING)
def test_only_what_another_kernel_takes_travels(name: str) -> None:
    for event in LIVING[name]:
        assert ID in parts_of(event), "the kernel does say it"
        for _, _, said in split(relayed(event, parts_of(event), whole=True)):
            assert set(parts_of(said)) <= {*KEPT, TIMEOUT, NAT_SRC, NAT_DST}
            assert family_of(said) == family_of(event)
            assert number_of(parts_of(said), TIMEOUT) == STANDBY_TIMEOUT_S
            status = number_of(parts_of(said), STATUS)
            assert status & CONFIRMED
            assert not status & DYING


@pytest.mark.parametrize("name", [name for name in LIVING if "none" in name])
def test_without_nat_one_message_creates_or_updates(name: str) -> None:
    for event in LIVING[name]:
        for whole in (True, False):
            assert [(kind, flags) for kind, flags, _ in split(relayed(event, parts_of(event), whole=whole))] == [
                (NEW, REQUEST | CREATE)
            ]


@pytest.mark.parametrize("name", [name for name in LIVING if "none" not in name])
def test_with_nat_created_then_updated(name: str) -> None:
    event = first(name)
    made, update = split(relayed(event, parts_of(event), whole=True))
    assert made[:2] == (NEW, REQUEST | CREATE | EXCLUSIVE)
    assert update[:2] == (NEW, REQUEST)
    status = number_of(parts_of(event), STATUS)
    assert (NAT_SRC in parts_of(made[2])) == bool(status & SRC_NAT)
    assert (NAT_DST in parts_of(made[2])) == bool(status & DST_NAT)
    assert not {NAT_SRC, NAT_DST} & set(parts_of(update[2])), "an update with NAT is refused"
    assert parts_of(update[2])[TUPLE_REPLY] == parts_of(event)[TUPLE_REPLY]
    original, reply = (tuple_of(parts_of(made[2])[kind]) for kind in (TUPLE_ORIG, TUPLE_REPLY))
    assert (reply.source, reply.destination) == (original.destination, original.source), "as before NAT"
    assert reply.ports == original.ports[::-1]
    assert split(relayed(event, parts_of(event), whole=False))[0][1] == REQUEST


def test_nat_leads_from_the_plain_reply_to_the_real_one() -> None:
    event = first("tcp4 both")
    real = tuple_of(parts_of(event)[TUPLE_REPLY])
    made = parts_of(created(family_of(event), parts_of(event)))
    for kind, address, port in ((NAT_SRC, real.destination, real.ports[1]), (NAT_DST, real.source, real.ports[0])):
        expected = attribute(1, address) + attribute(2, address)
        number = struct.pack(">H", port)
        expected += attribute(3 | 0x8000, attribute(1, number) + attribute(2, number))
        assert value_of(made[kind]) == expected


@pytest.mark.parametrize(
    ("name", "identifier", "type_", "answer"),
    [("icmp4 source", ICMP_ID, ICMP_TYPE, 0), ("icmp6 source", ICMPV6_ID, ICMPV6_TYPE, 129)],
)
def test_icmp_keeps_identifier_and_type(name: str, identifier: int, type_: int, answer: int) -> None:
    made = parts_of(created(family_of(first(name)), parts_of(first(name))))
    original, reply = tuple_of(made[TUPLE_ORIG]), tuple_of(made[TUPLE_REPLY])
    assert reply.l4[identifier] == original.l4[identifier]
    assert reply.l4[type_] == bytes((answer,))


def test_tcp_gets_liberal_windows_and_keeps_its_scale() -> None:
    event = first("tcp6 destination")
    said = parts_of(split(relayed(event, parts_of(event), whole=False))[0][2])
    before, after = value_of(parts_of(event)[PROTOINFO]), value_of(said[PROTOINFO])
    assert len(before) == len(after)
    assert before[:32] == after[:32], "state and window scales"
    for at in (32, 40):
        assert after[at] == before[at] | 0x08
        assert (before[at + 1], after[at + 1]) == (0, 0x0B)


def test_the_end_is_named_by_the_tuple_alone() -> None:
    event = first("udp4 ended")
    assert HEADER.unpack_from(event)[1] == DELETE
    ((kind, flags, said),) = split(ended(event, parts_of(event)))
    assert (kind, flags) == (DELETE, REQUEST)
    assert set(parts_of(said)) == {TUPLE_ORIG}
    assert key_of(parts_of(said)) == key_of(parts_of(first("udp4 none")))


def test_retained_changes_timeout_and_windows_only() -> None:
    event = first("tcp4 both")
    ((kind, flags, said),) = split(retained(event, parts_of(event), 77, liberal=True))
    assert (kind, flags) == (NEW, REQUEST)
    assert set(parts_of(said)) == {TUPLE_ORIG, TIMEOUT, PROTOINFO}
    assert number_of(parts_of(said), TIMEOUT) == 77
    assert PROTOINFO not in parts_of(retained(first("udp4 none"), parts_of(first("udp4 none")), 77, liberal=True))
    assert PROTOINFO not in parts_of(retained(event, parts_of(event), 77, liberal=False))


@pytest.mark.parametrize(
    ("name", "event", "timeout"),
    [
        ("tcp4 both", 0, "tcp_timeout_syn_sent"),
        ("tcp4 both", 1, "tcp_timeout_syn_recv"),
        ("tcp4 both", 2, "tcp_timeout_established"),
        ("udp4 none", 0, "udp_timeout"),
        ("icmp4 source", 0, "icmp_timeout"),
        ("icmp6 source", 0, "icmpv6_timeout"),
        ("gre4 source", 0, "gre_timeout"),
        ("gre6 none", -1, "gre_timeout_stream"),
        ("sctp4 both", 0, "sctp_timeout_closed"),
        ("sctp4 both", 1, "sctp_timeout_cookie_wait"),
        ("sctp6 destination", -1, "sctp_timeout_established"),
    ],
)
def test_the_kernels_own_timeout_of_a_state(name: str, event: int, timeout: str) -> None:
    assert timeout_name(parts_of(RECORDED[name][event])) == timeout


def test_an_assured_udp_connection_is_a_stream() -> None:
    parts = parts_of(first("udp4 none"))
    assured = parts | {STATUS: attribute(STATUS, struct.pack(">I", number_of(parts, STATUS) | 4))}
    assert timeout_name(assured) == "udp_timeout_stream"


# -- what a kernel refuses ------------------------------------------------------------------------------------------


def with_part(said: bytes, kind: int, value: bytes) -> bytes:
    """A message with one attribute more."""
    length, type_, flags, _, _ = HEADER.unpack_from(said)
    added = attribute(kind, value)
    return HEADER.pack(length + len(added), type_, flags, 0, 0) + said[HEADER.size :] + added


def test_an_update_of_nothing_creates_it() -> None:
    event = first("tcp4 both")
    update = relayed(event, parts_of(event), whole=False)
    assert mended(update, errno.ENOENT) == relayed(event, parts_of(event), whole=True)


def test_a_helper_this_kernel_lacks_is_left_out() -> None:
    event = first("udp4 none")
    said = relayed(event, parts_of(event), whole=True)
    assert set(parts_of(mended(with_part(said, HELP, b"\0" * 8), errno.EOPNOTSUPP))) == set(parts_of(said))
    assert mended(said, errno.EOPNOTSUPP) == b""


@pytest.mark.parametrize("name", ["gre4 source", "gre6 none"])
def test_a_tunnels_timeout_is_fixed(name: str) -> None:
    """A kernel that was told of it would else give it none with the next packet; a change must not name one then."""
    for event in RECORDED[name]:
        said = relayed(event, parts_of(event), whole=True)
        messages = [one for _, _, one in split(said)]
        assert all(number_of(parts_of(one), STATUS) & FIXED_TIMEOUT and TIMEOUT in parts_of(one) for one in messages)
        again = mended(messages[-1], errno.EPERM)
        assert set(parts_of(messages[-1])) - set(parts_of(again)) == {TIMEOUT}
    other = relayed(first("udp4 none"), parts_of(first("udp4 none")), whole=True)
    assert not number_of(parts_of(other), STATUS) & FIXED_TIMEOUT
    assert mended(other, errno.EPERM) == b""


def test_a_master_this_kernel_lacks_is_left_out() -> None:
    event = first("udp4 none")
    parts = parts_of(event)
    expected = parts | {
        TUPLE_MASTER: attribute(TUPLE_MASTER, value_of(parts[TUPLE_ORIG])),
        STATUS: attribute(STATUS, struct.pack(">I", number_of(parts, STATUS) | EXPECTED)),
    }
    made, update = split(relayed(event, expected, whole=True))
    assert TUPLE_MASTER in parts_of(made[2])
    assert TUPLE_MASTER not in parts_of(update[2])
    again = parts_of(mended(made[2], errno.ENOENT))
    assert TUPLE_MASTER not in again
    assert not number_of(again, STATUS) & EXPECTED
    assert not number_of(parts_of(mended(update[2], errno.EBUSY)), STATUS) & EXPECTED


@pytest.mark.parametrize("number", [errno.EEXIST, errno.ENOMEM, errno.EINVAL])
def test_what_cannot_be_mended(number: int) -> None:
    event = first("udp4 none")
    assert mended(relayed(event, parts_of(event), whole=True), number) == b""
    assert mended(ended(event, parts_of(event)), number) == b""


def test_retention_of_what_is_gone_creates_nothing() -> None:
    event = first("tcp4 both")
    assert mended(retained(event, parts_of(event), 5, liberal=True), errno.ENOENT) == b""


def test_only_connections_are_injectable() -> None:
    assert [kind for kind in range(0x1000) if is_injectable(kind)] == [NEW, DELETE]


# -- garbage ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.sampled_from([event for events in LIVING.values() for event in events]), st.data())
def test_mutilated_messages_are_refused_or_survive(event: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(PREFIX, len(event)))
    noise = bytearray(event[:cut])
    for _ in range(data.draw(st.integers(0, 4))):
        noise[data.draw(st.integers(PREFIX, len(event) - 1)) % len(noise)] = data.draw(st.integers(0, 255))
    try:
        parts = parts_of(bytes(noise))
        said = relayed(bytes(noise), parts, whole=True)
        tuple_of(parts[TUPLE_ORIG])
    except (MalformedMessageError, struct.error):
        return
    split(said)
