"""Both loops, the one in Python and the one in C, say of a batch what its events say one by one (SPEC section 8)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.model.configuration import ClusterConfiguration, Reth, RethUnitAddress, SessionFilter, SessionSynchronization
from jsrpd.sessions import relay
from jsrpd.sessions.attribution import Attribution
from jsrpd.sessions.ctnetlink import (
    CREATE,
    DELETE,
    HEADER,
    HELP,
    NEW,
    PREFIX,
    TUPLE_MASTER,
    ZONE,
    MalformedMessageError,
    Service,
    attribute,
    ended,
    key_of,
    parts_of,
    relayed,
)
from jsrpd.sessions.relay import Relay, Told, counted_in_python, told_in_python
from tests.unit.sessions.test_ctnetlink import RECORDED, split, with_part
from tests.unit.sessions.test_layout import EVENTS, meaning, variants

LOOPS = [told_in_python] + ([relay.compiled.told] if relay.compiled else [])
COUNTERS = [counted_in_python] + ([relay.compiled.counted] if relay.compiled else [])
UNITS = (RethUnitAddress("10.71.1.1", 24), RethUnitAddress("2001:db8:71::1", 64))
loops = pytest.mark.parametrize("loop", LOOPS, ids=["python", "c"][: len(LOOPS)])


def relay_of(loop: Told, sync: SessionSynchronization = SessionSynchronization()) -> Relay:  # noqa: B008
    reths = (Reth("reth0", 0, 1, "c1", "c1", bytes(6), UNITS),)
    return Relay(Attribution(ClusterConfiguration(1, 0, reths=reths, session_synchronization=sync)), loop)


def kind_of(event: bytes) -> int:
    return int(HEADER.unpack_from(event)[1])


def alone(event: bytes) -> bytes:
    """What is said of one event, the plain way; nothing where it is not understood."""
    try:
        parts = parts_of(event)
        if kind_of(event) == DELETE:
            return ended(event, parts)
        return relayed(event, parts, whole=bool(HEADER.unpack_from(event)[2] & CREATE))
    except (MalformedMessageError, struct.error, IndexError):
        return b""


@loops
@pytest.mark.parametrize(("name", "event"), EVENTS, ids=[f"{name} {n}" for n, (name, _) in enumerate(EVENTS)])
def test_one_event_is_said_the_plain_way(loop: Told, name: str, event: bytes) -> None:
    for variant in variants(event):
        said = relay_of(loop).told([variant], frozenset({1}))
        assert meaning(b"".join(said)) == meaning(alone(variant)), name


@loops
def test_of_several_events_about_a_connection_the_last_counts(loop: Told) -> None:
    for name, events in RECORDED.items():
        begun = [event for event in events if kind_of(event) == NEW]
        if len(begun) < 2 or not HEADER.unpack_from(begun[0])[2] & CREATE:
            continue
        assert key_of(parts_of(begun[0])) == key_of(parts_of(begun[1]))
        one, both = relay_of(loop), relay_of(loop)
        assert both.told(begun[:2], frozenset({1})) == one.told([_as_new(begun[1])], frozenset({1})), name
        assert both.sent == one.sent
        assert sum(both.sent.values()) == 1


def _as_new(event: bytes) -> bytes:
    length, kind, flags, sequence, port = HEADER.unpack_from(event)
    return HEADER.pack(length, kind, flags | CREATE, sequence, port) + event[HEADER.size :]


@loops
@pytest.mark.parametrize("part", [HELP, TUPLE_MASTER])
def test_what_only_the_first_event_says_is_not_lost(loop: Told, part: int) -> None:
    first, second = RECORDED["tcp4 both"][:2]
    value = b"\x08\0\1\0ftp\0" if part == HELP else parts_of(first)[1][4:]
    said = relay_of(loop).told([with_part(first, part, value), second], frozenset({1}))
    assert len(said) == 2
    assert part in parts_of(said[0])


@loops
def test_an_end_ends_what_came_before_it(loop: Told) -> None:
    first, second = RECORDED["udp4 none"][:2]
    length, _, _, sequence, port = HEADER.unpack_from(first)
    end = HEADER.pack(length, DELETE, 0, sequence, port) + first[HEADER.size :]
    said = relay_of(loop).told([first, second, end], frozenset({1}))
    assert [kind_of(one) for one in said] == [DELETE]
    again = relay_of(loop).told([first, end, first], frozenset({1}))
    assert [kind_of(one) for one in again] == [DELETE, NEW]


@loops
def test_an_entry_of_a_dump_may_be_new_to_the_peer(loop: Told) -> None:
    for name, events in RECORDED.items():
        if kind_of(events[-1]) != NEW:
            continue
        one = relay_of(loop)
        said = one.told_of_dump(events[-1:], frozenset({1}))
        assert meaning(b"".join(said)) == meaning(relayed(events[-1], parts_of(events[-1]), whole=True)), name
        assert not one.sent


@loops
def test_connections_in_different_zones_are_different(loop: Told) -> None:
    first, second = RECORDED["udp4 none"][:2]
    said = relay_of(loop).told([with_part(first, ZONE, b"\0\5"), second], frozenset({1}))
    assert len(said) == 2


@loops
def test_only_owned_groups_travel(loop: Told) -> None:
    one = relay_of(loop)
    assert one.told(RECORDED["udp4 none"], frozenset({2})) == []
    assert one.told(RECORDED["udp4 none"], frozenset()) == []
    assert not one.sent
    assert one.told([], frozenset({1})) == []


@loops
def test_the_filter_holds_back(loop: Told) -> None:
    one = relay_of(loop, SessionSynchronization(filter=SessionFilter(protocols=(6,))))
    assert one.told(RECORDED["udp4 none"], frozenset({1})) == []
    assert one.told(RECORDED["tcp4 both"][:1], frozenset({1})) != []


@loops
def test_what_is_not_understood_is_counted(loop: Told) -> None:
    one = relay_of(loop)
    event = RECORDED["tcp4 both"][0]
    assert one.told([b"", b"\0" * 7, event[:PREFIX], event[: PREFIX + 4] + bytes(8)], frozenset({1})) == []
    assert one.not_understood == 4


def test_services_are_counted_by_family() -> None:
    one = relay_of(told_in_python)
    one.told([events[0] for name, events in RECORDED.items() if name in ("udp4 none", "udp6 none")], frozenset({1}))
    assert {service for service, _ in one.sent} == {Service.CREATE}


@st.composite
def _disturbed(draw: st.DrawFn) -> bytes:
    event = bytearray(draw(st.sampled_from([event for _, event in EVENTS])))
    for _ in range(draw(st.integers(0, 3))):
        event[draw(st.integers(4, len(event) - 1))] = draw(st.integers(0, 255))
    return bytes(event[: draw(st.integers(0, len(event)))]) if draw(st.booleans()) else bytes(event)


@pytest.mark.skipif(len(LOOPS) < 2, reason="built without a compiler")
@given(st.lists(_disturbed(), max_size=12))
def test_both_loops_say_the_same(events: list[bytes]) -> None:
    """To the byte, whatever comes: the C loop decides nothing that the Python loop does not."""
    python, compiled = relay_of(LOOPS[0]), relay_of(LOOPS[1])
    assert python.told(events, frozenset({1})) == compiled.told(events, frozenset({1}))
    assert python.sent == compiled.sent
    assert python.told_of_dump(events, frozenset({1})) == compiled.told_of_dump(events, frozenset({1}))


@pytest.mark.parametrize("count", COUNTERS)
def test_messages_are_counted_and_nothing_else_is_let_through(count: object) -> None:
    assert callable(count)
    messages = [alone(event) for _, event in EVENTS]
    counts = count(b"".join(messages))
    assert sum(counts) == sum(len(split(one)) for one in messages)
    good = messages[0]
    for bad in (
        good[:-4],
        good + b"\0",
        HEADER.pack(PREFIX, 0x103, 1, 0, 0) + bytes(4),
        HEADER.pack(PREFIX - 4, NEW, 1, 0, 0),
        HEADER.pack(PREFIX, NEW, 1, 8, 0) + bytes(4),
        HEADER.pack(PREFIX + 1, NEW, 1, 1, 0) + bytes(5),
        HEADER.pack(0xFFFFFFFC, NEW, 1, 1, 0) + bytes(4),
    ):
        with pytest.raises(ValueError, match="not a connection"):
            count(bad)
    assert sum(count(b"")) == 0


@pytest.mark.skipif(len(COUNTERS) < 2, reason="built without a compiler")
@given(st.lists(_disturbed(), max_size=4))
def test_both_count_the_same(messages: list[bytes]) -> None:
    content = b"".join(messages)
    results = []
    for count in COUNTERS:
        try:
            results.append(count(content))
        except ValueError:
            results.append([])
    assert results[0] == results[1]


def test_an_attribute_of_a_rare_size_goes_the_plain_way() -> None:
    """Padding and order aside, a status of another size or a protocol's information of another form is not patched blindly."""
    event = RECORDED["tcp4 both"][0]
    parts = parts_of(event)
    odd = event.replace(parts[4], attribute(4 | 0x8000, parts[4][4:] + attribute(9, b"\1\2\3\4\5\6")))
    odd = struct.pack("=I", len(odd)) + odd[4:]
    for loop in LOOPS:
        assert meaning(b"".join(relay_of(loop).told([odd], frozenset({1})))) == meaning(alone(odd))
