"""The session link's bytes: what the two session processes say to each other over the fabric.

The same envelope as the heartbeats', with a key context and a start id of its own. Inside: a fixed prefix, then a hello,
a piece of the stream, or an acknowledgement. The stream's pieces carry records: netlink messages for the peer's kernel,
marks of a resynchronisation, digests, neighbours.
"""

import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from jsrpd.model.link_messages import Incarnation, PathId
from jsrpd.wire.envelope import DropCause, Header, Sealer, incarnation_of, key_id, unpack

VERSION = 1
"""Of the bodies."""
CHALLENGES_SINCE = 2
"""A life that speaks this version, which its header says under the key, answers challenges before it is admitted. Its bodies
are those of version 1, with something behind a hello that version 1 does not look at."""
EXPECTATIONS_SINCE = 3
"""One that speaks this takes records about expectations; an older one would take them for garbage."""
NEWEST = EXPECTATIONS_SINCE
"""What we speak."""
DATAGRAM_TYPE = 5
"""Beside those of the heartbeats' link, though nothing of one is ever taken for something of the other: the keys differ."""
CONTEXT = b"jsrpd sessions"
PREFIX = struct.Struct(">BQI")
"""kind, incarnation of the receiver as the sender knows it (0: not yet), number of the stream."""
SEQUENCE = struct.Struct(">Q")
RANGES = struct.Struct(">QB")
RANGE = struct.Struct(">QQ")
CHALLENGE = struct.Struct(">QQ")
RECORD = struct.Struct(">BI")
MAX_RANGES = 32
MAX_LIVES = 4
ENVELOPE_BYTES = 56
"""Header and tag."""
OVERHEAD_BYTES = ENVELOPE_BYTES + PREFIX.size + SEQUENCE.size + 1
RAW_CHUNK_BYTES = 8192
"""Most that is compressed together: it fits one injection, and its compressed form about one frame."""
MAX_BODY_BYTES = 1 << 16
PLAIN, DEFLATED = 0, 1
COMPRESSION_LEVEL = 1


class Kind(IntEnum):
    """Of a datagram on the session link."""

    HELLO = 1
    DATA = 2
    ACKNOWLEDGEMENT = 3


class RecordKind(IntEnum):
    """Of a record in the stream."""

    CONNECTIONS = 1
    """Netlink messages for the peer's kernel, ready to be sent."""
    RESYNC_REQUESTED = 2
    """Number, then a bit per bucket; all when there are none."""
    RESYNC_BEGAN = 3
    """The same."""
    RESYNC_ENDED = 4
    """Number and count of connections."""
    DIGESTS = 5
    NEIGHBOURS = 6
    EXPECTATIONS = 7
    """Netlink messages as well: connections that announced others, and what they announced."""


class MalformedSessionError(Exception):
    """Authentic, and yet not understood."""


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """What a datagram says. ``echo``: whom the sender takes the receiver for. ``body`` depends on the kind."""

    kind: Kind
    echo: Incarnation
    stream: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Everything before ``expected`` has arrived; ``missing`` are the gaps behind, inclusive.

    ``challenge`` and ``answer``: of admission, 0 for none.
    """

    expected: int
    missing: tuple[tuple[int, int], ...] = ()
    challenge: int = 0
    answer: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic datagram of some life of the peer. ``sequence`` grows with each datagram of that life.

    ``newest``: version this life speaks.
    """

    incarnation: Incarnation
    sequence: int
    message: SessionMessage
    newest: int = NEWEST

    @property
    def answers(self) -> bool:
        """This life answers challenges."""
        return self.newest >= CHALLENGES_SINCE


class SessionLink:
    """Seals what is said, opens what is heard. Whether a life is the peer's present one, the stream decides."""

    def __init__(self, cluster_id: int, node_id: int, key: bytes, start_id: bytes) -> None:
        self.incarnation = incarnation_of(start_id)
        self.drops: dict[DropCause, int] = dict.fromkeys(DropCause, 0)
        self._cluster_id, self._node_id = cluster_id, node_id
        self._key, self._key_id = key, key_id(key)
        self._start_id = start_id
        self._sealer = Sealer(key, start_id, CONTEXT)
        self._sequence = 0
        self._lives: OrderedDict[bytes, Sealer] = OrderedDict()

    def seal(self, path: PathId, message: SessionMessage) -> bytes:
        """One datagram."""
        self._sequence += 1
        header = Header(
            VERSION,
            VERSION,
            NEWEST,
            DATAGRAM_TYPE,
            self._cluster_id,
            self._node_id,
            path,
            self._key_id,
            self._start_id,
            self._sequence,
        )
        return self._sealer.seal(header, PREFIX.pack(message.kind, message.echo, message.stream) + message.body)

    def open(self, path: PathId, datagram: bytes) -> Opened | None:
        """None for what is not authentic, not for us or not understood; counted by cause."""
        found = self._open(path, datagram)
        if isinstance(found, DropCause):
            self.drops[found] += 1
            return None
        return found

    def _open(self, path: PathId, datagram: bytes) -> Opened | DropCause:
        header = unpack(datagram)
        if isinstance(header, DropCause):
            return header
        refused = self._refuse(path, header)
        if refused is not None:
            return refused
        known = self._lives.get(header.start_id)
        sealer = known or Sealer(self._key, header.start_id, CONTEXT)
        payload = sealer.open(header, datagram)
        if payload is None:
            return DropCause.NOT_AUTHENTIC
        if known is None:
            self._lives[header.start_id] = sealer
            if len(self._lives) > MAX_LIVES:
                self._lives.popitem(last=False)
        try:
            kind, echo, stream = PREFIX.unpack_from(payload)
            message = SessionMessage(Kind(kind), echo, stream, payload[PREFIX.size :])
        except (struct.error, ValueError):
            return DropCause.MALFORMED
        return Opened(header.incarnation, header.sequence, message, header.newest)

    def _refuse(self, path: PathId, header: Header) -> DropCause | None:
        if header.cluster_id != self._cluster_id:
            return DropCause.WRONG_CLUSTER
        if header.node_id == self._node_id:
            return DropCause.OWN_NODE
        if header.key_id != self._key_id:
            return DropCause.KEY_MISMATCH
        if not header.oldest <= VERSION <= header.newest or header.version != VERSION:
            return DropCause.NO_COMMON_VERSION
        if header.path != path or header.type != DATAGRAM_TYPE:
            return DropCause.WRONG_PATH
        return None


# -- bodies -----------------------------------------------------------------------------------------------------------


def encode_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    """Body of an acknowledgement; of the gaps the first ``MAX_RANGES``."""
    missing = acknowledgement.missing[:MAX_RANGES]
    gaps = b"".join(RANGE.pack(*gap) for gap in missing)
    return (
        RANGES.pack(acknowledgement.expected, len(missing))
        + gaps
        + CHALLENGE.pack(acknowledgement.challenge, acknowledgement.answer)
    )


def decode_acknowledgement(body: bytes) -> Acknowledgement:
    """MalformedSessionError for anything else."""
    try:
        expected, count = RANGES.unpack_from(body)
        gaps = tuple(RANGE.unpack_from(body, RANGES.size + n * RANGE.size) for n in range(count))
        rest = body[RANGES.size + count * RANGE.size :]
        # Version 1 ends here.
        challenge, answer = CHALLENGE.unpack(rest) if rest else (0, 0)
    except struct.error as error:
        raise MalformedSessionError("acknowledgement") from error
    if count > MAX_RANGES or any(first > last for first, last in gaps):
        raise MalformedSessionError("acknowledgement")
    return Acknowledgement(expected, tuple((first, last) for first, last in gaps), challenge, answer)


def record(kind: RecordKind, body: bytes) -> bytes:
    """One record."""
    return RECORD.pack(kind, len(body)) + body


def records(body: bytes) -> Iterator[tuple[RecordKind, bytes]]:
    """Of a body. MalformedSessionError when it ends early or holds something unknown."""
    at = 0
    while at < len(body):
        try:
            kind, length = RECORD.unpack_from(body, at)
            known = RecordKind(kind)
        except (struct.error, ValueError) as error:
            raise MalformedSessionError("record") from error
        at += RECORD.size
        if at + length > len(body):
            raise MalformedSessionError("record ends early")
        yield known, body[at : at + length]
        at += length


def packed(connections: Sequence[bytes], limit: int, kind: RecordKind = RecordKind.CONNECTIONS) -> Iterator[bytes]:
    """Bodies of at most ``limit`` bytes for netlink messages, in order. Compressed only where it saves datagrams."""
    chunk: list[bytes] = []
    size = 0
    for one in connections:
        if size + len(one) > RAW_CHUNK_BYTES and chunk:
            yield from _packed_chunk(chunk, limit, kind)
            chunk, size = [], 0
        chunk.append(one)
        size += len(one)
    if chunk:
        yield from _packed_chunk(chunk, limit, kind)


def _packed_chunk(chunk: Sequence[bytes], limit: int, kind: RecordKind) -> Iterator[bytes]:
    raw = record(kind, b"".join(chunk))
    if len(raw) < limit:
        yield bytes((PLAIN,)) + raw
        return
    small = zlib.compress(raw, COMPRESSION_LEVEL)
    if len(small) < limit or len(chunk) == 1:
        yield bytes((DEFLATED,)) + small
        return
    middle = len(chunk) // 2
    yield from _packed_chunk(chunk[:middle], limit, kind)
    yield from _packed_chunk(chunk[middle:], limit, kind)


def packed_records(wanted: Iterable[tuple[RecordKind, bytes]]) -> bytes:
    """One body for records that are small by nature."""
    return bytes((PLAIN,)) + b"".join(record(kind, body) for kind, body in wanted)


def unpacked(body: bytes) -> bytes:
    """The records of a body. MalformedSessionError for what does not inflate, or to more than we ever deflate."""
    if not body:
        raise MalformedSessionError("empty body")
    if body[0] == PLAIN:
        return body[1:]
    if body[0] != DEFLATED:
        raise MalformedSessionError("unknown compression")
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(body[1:], MAX_BODY_BYTES)
    except zlib.error as error:
        raise MalformedSessionError("does not inflate") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise MalformedSessionError("does not inflate")
    return raw
