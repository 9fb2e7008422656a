"""The session link's datagrams and bodies: authentic or dropped by cause, whole or refused."""

import contextlib
import os
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.wire.envelope import DropCause, Header, Sealer, unpack
from jsrpd.wire.session import (
    CONTEXT,
    MAX_BODY_BYTES,
    MAX_RANGES,
    PREFIX,
    RANGES,
    RAW_CHUNK_BYTES,
    VERSION,
    Acknowledgement,
    Kind,
    MalformedSessionError,
    RecordKind,
    SessionLink,
    SessionMessage,
    decode_acknowledgement,
    encode_acknowledgement,
    packed,
    packed_records,
    records,
    unpacked,
)

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
START = [bytes([n]) * 16 for n in range(8)]
MESSAGE = SessionMessage(Kind.DATA, 42, 7, b"body")
LIMIT = 1300


def link(node: int, key: bytes = KEY, *, cluster: int = 1, life: int = 1) -> SessionLink:
    return SessionLink(cluster, node, key, START[life])


def test_what_is_sealed_is_opened() -> None:
    a, b = link(0), link(1, life=2)
    for sequence in (1, 2):
        opened = b.open(4, a.seal(4, MESSAGE))
        assert opened is not None
        assert (opened.incarnation, opened.sequence, opened.message) == (a.incarnation, sequence, MESSAGE)


def test_version_1_and_this_one_understand_each_other() -> None:
    """Its header says it is the newest it speaks; its hello ends with the gaps, and ours may go on there."""
    sealed = link(0).seal(4, MESSAGE)
    header = unpack(sealed)
    assert isinstance(header, Header)
    assert (header.version, header.oldest) == (VERSION, VERSION), "what version 1 asks of a header"
    old = replace(header, newest=VERSION)
    datagram = Sealer(KEY, START[1], CONTEXT).seal(old, PREFIX.pack(Kind.HELLO, 1, 2) + RANGES.pack(9, 0))
    for said, answers in ((sealed, True), (datagram, False)):
        opened = link(1, life=2).open(4, said)
        assert opened is not None
        assert opened.answers is answers
    assert decode_acknowledgement(RANGES.pack(9, 0)) == Acknowledgement(9)


def test_many_lives_are_opened_and_few_remembered() -> None:
    b = link(1)
    for _ in range(2):
        for life in range(8):
            assert b.open(4, link(0, life=life).seal(4, MESSAGE)) is not None
    assert len(b._lives) <= 4


@pytest.mark.parametrize(
    ("sender", "path", "cause"),
    [
        (link(0, OTHER_KEY), 4, DropCause.KEY_MISMATCH),
        (link(0, cluster=2), 4, DropCause.WRONG_CLUSTER),
        (link(1), 4, DropCause.OWN_NODE),
        (link(0), 5, DropCause.WRONG_PATH),
    ],
)
def test_dropped_by_cause(sender: SessionLink, path: int, cause: DropCause) -> None:
    receiver = link(1, life=2)
    assert receiver.open(4, sender.seal(path, MESSAGE)) is None
    assert receiver.drops[cause] == 1


@pytest.mark.parametrize("at", [30, 41, 60, -1])
def test_a_changed_byte_is_not_authentic(at: int) -> None:
    datagram = bytearray(link(0).seal(4, MESSAGE))
    datagram[at] ^= 1
    receiver = link(1, life=2)
    assert receiver.open(4, bytes(datagram)) is None
    assert receiver.drops[DropCause.NOT_AUTHENTIC] == 1


def test_heartbeats_of_the_same_cluster_mean_nothing_here() -> None:
    """Another context, another key, although the start id is the same."""
    from jsrpd.wire.envelope import HEADER, Header, Sealer, key_id

    header = Header(1, 1, 1, 5, 1, 0, 4, key_id(KEY), START[1], 9)
    receiver = link(1, life=2)
    assert receiver.open(4, Sealer(KEY, START[1]).seal(header, b"x" * 30)) is None
    assert receiver.drops[DropCause.NOT_AUTHENTIC] == 1
    assert HEADER.size == 40


@given(st.binary(max_size=200))
def test_garbage_is_dropped(garbage: bytes) -> None:
    assert link(1).open(4, garbage) is None


@given(st.integers(0, 1 << 60), st.lists(st.tuples(st.integers(0, 1 << 60), st.integers(0, 1000)), max_size=MAX_RANGES))
def test_acknowledgements_there_and_back(expected: int, gaps: list[tuple[int, int]]) -> None:
    made = Acknowledgement(expected, tuple((first, first + more) for first, more in gaps), 11, 12)
    assert decode_acknowledgement(encode_acknowledgement(made)) == made


@given(st.binary(max_size=100))
def test_garbage_acknowledgements_are_refused(garbage: bytes) -> None:
    with contextlib.suppress(MalformedSessionError):
        decode_acknowledgement(garbage)


def test_only_the_first_gaps_are_told() -> None:
    made = Acknowledgement(0, tuple((2 * n, 2 * n) for n in range(100)))
    assert len(decode_acknowledgement(encode_acknowledgement(made)).missing) == MAX_RANGES


def contents(bodies: list[bytes]) -> bytes:
    return b"".join(content for body in bodies for kind, content in records(unpacked(body)) if kind == RecordKind.CONNECTIONS)


@pytest.mark.parametrize("compressible", [True, False])
@pytest.mark.parametrize("count", [0, 1, 5, 40, 500])
def test_connections_are_packed_within_the_limit_in_order(count: int, compressible: bool) -> None:
    chance = random.Random(count)
    said = [(b"same" * 40 if compressible else chance.randbytes(160)) + n.to_bytes(4) + bytes(24) for n in range(count)]
    bodies = list(packed(said, LIMIT))
    assert contents(bodies) == b"".join(said)
    assert all(len(body) <= LIMIT for body in bodies)
    if compressible and count == 500:
        assert sum(map(len, bodies)) < len(b"".join(said)) / 5


def test_records_there_and_back() -> None:
    wanted = [(RecordKind.DIGESTS, os.urandom(1024)), (RecordKind.RESYNC_ENDED, b""), (RecordKind.NEIGHBOURS, b"x")]
    assert list(records(unpacked(packed_records(wanted)))) == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x02",
        b"\x01garbage",
        b"\x01" + zlib.compress(bytes(MAX_BODY_BYTES + 1)),
        b"\x01" + zlib.compress(bytes(100))[:-3],
        b"\x00\x63\0\0\0\0",
        b"\x00\x01\0\0",
        b"\x00\x01\0\0\0\x05abc",
    ],
)
def test_broken_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedSessionError):
        list(records(unpacked(body)))


def test_a_chunk_fits_a_body() -> None:
    assert RAW_CHUNK_BYTES < MAX_BODY_BYTES


def test_an_authentic_body_that_is_no_message_is_malformed() -> None:
    a, b = link(0), link(1, life=2)
    genuine = a.seal(4, MESSAGE)
    header = unpack(genuine)
    assert isinstance(header, Header)
    for payload in (b"", b"\xff" * 40):
        assert b.open(4, Sealer(KEY, START[1], CONTEXT).seal(header, payload)) is None
    assert b.drops[DropCause.MALFORMED] == 2


def test_another_version_is_said() -> None:
    header = unpack(link(0).seal(4, MESSAGE))
    assert isinstance(header, Header)
    newer = replace(header, version=VERSION + 1, oldest=VERSION + 1, newest=VERSION + 1)
    datagram = Sealer(KEY, START[1], CONTEXT).seal(newer, b"")
    b = link(1, life=2)
    assert b.open(4, datagram) is None
    assert b.drops[DropCause.NO_COMMON_VERSION] == 1


def test_a_gap_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(MalformedSessionError, match="acknowledgement"):
        decode_acknowledgement(encode_acknowledgement(Acknowledgement(9, ((5, 4),))))
