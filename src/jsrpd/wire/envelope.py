"""The envelope of every datagram: a clear header and an AES-256-GCM body keyed for one life of one node.

The body's key is HKDF(cluster key, start id); the start id is 128 fresh random bits at each start of an engine, so no
nonce can repeat with a key even after a snapshot or a full disk. The header is authenticated with the body.
"""

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jsrpd.model.link_messages import Incarnation, PathId

MAGIC = b"JSRP"
HEADER = struct.Struct(">4sBBBBHBB4s16sQ")
"""magic, version of the body, oldest and newest version spoken, type, cluster-id, node-id, path, key id, start id,
sequence: 40 bytes."""
NONCE = struct.Struct(">BBHQ")
TAG_BYTES = 16
KEY_BYTES = 32
START_ID_BYTES = 16
WINDOW = 64
ALL_SEEN = (1 << WINDOW) - 1


class DatagramType(IntEnum):
    """What the body is."""

    HEARTBEAT = 1
    ACKNOWLEDGEMENT = 2
    CHALLENGE = 3
    RESPONSE = 4


class DropCause(Enum):
    """Why a datagram was not taken, in the operator's words; each is counted."""

    TOO_SHORT = "too short"
    BAD_MAGIC = "not ours"
    WRONG_CLUSTER = "wrong cluster-id"
    OWN_NODE = "own node-id"
    KEY_MISMATCH = "key mismatch"
    NO_COMMON_VERSION = "no common version"
    WRONG_PATH = "wrong path"
    NOT_AUTHENTIC = "not authentic"
    REPLAYED = "replayed"
    MALFORMED = "malformed"
    NOT_ADMITTED = "not admitted yet"
    FORGED_RESPONSE = "forged response"


@dataclass(frozen=True, slots=True)
class Header:
    """The clear part."""

    version: int
    oldest: int
    newest: int
    type: int
    cluster_id: int
    node_id: int
    path: PathId
    key_id: bytes
    start_id: bytes
    sequence: int

    @property
    def incarnation(self) -> Incarnation:
        """Short name of the sender's life."""
        return incarnation_of(self.start_id)

    def pack(self) -> bytes:
        """40 bytes."""
        return HEADER.pack(
            MAGIC,
            self.version,
            self.oldest,
            self.newest,
            self.type,
            self.cluster_id,
            self.node_id,
            self.path,
            self.key_id,
            self.start_id,
            self.sequence,
        )


def incarnation_of(start_id: bytes) -> Incarnation:
    """First 64 bits of a start id."""
    return int.from_bytes(start_id[:8])


def unpack(datagram: bytes) -> Header | DropCause:
    """The header of a datagram, or why it has none."""
    if len(datagram) < HEADER.size + TAG_BYTES:
        return DropCause.TOO_SHORT
    magic, *fields = HEADER.unpack_from(datagram)
    if magic != MAGIC:
        return DropCause.BAD_MAGIC
    return Header(*fields)


def key_id(cluster_key: bytes) -> bytes:
    """Four bytes that tell keys apart and tell nothing about them."""
    return HKDF(SHA256(), 4, None, b"jsrpd key id").derive(cluster_key)


class Sealer:
    """Seals and opens bodies of one life of a node. ``context`` keeps the keys of different uses apart."""

    def __init__(self, cluster_key: bytes, start_id: bytes, context: bytes = b"jsrpd body") -> None:
        if len(cluster_key) != KEY_BYTES or len(start_id) != START_ID_BYTES:
            raise ValueError("a cluster key has 32 bytes, a start id 16")
        self._aead = AESGCM(HKDF(SHA256(), KEY_BYTES, start_id, context).derive(cluster_key))

    def seal(self, header: Header, payload: bytes) -> bytes:
        """The whole datagram."""
        clear = header.pack()
        return clear + self._aead.encrypt(_nonce(header), payload, clear)

    def open(self, header: Header, datagram: bytes) -> bytes | None:
        """The payload; None when it was not sealed by that life with our key."""
        clear, body = datagram[: HEADER.size], datagram[HEADER.size :]
        try:
            return self._aead.decrypt(_nonce(header), body, clear)
        except InvalidTag:
            return None


def _nonce(header: Header) -> bytes:
    """One sequence may go out on several paths and types: both are part of the nonce."""
    return NONCE.pack(header.type, header.path, 0, header.sequence)


class ReplayWindow:
    """64 newest sequences of one type on one path; each above ``floor`` is taken once (RFC 6479's idea, in one integer)."""

    __slots__ = ("_newest", "_seen")

    def __init__(self, floor: int = 0) -> None:
        self._newest = floor
        self._seen = ALL_SEEN

    def take(self, sequence: int) -> bool:
        """True the first time; False for what was seen or is too old to tell."""
        ahead = sequence - self._newest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & ALL_SEEN if ahead < WINDOW else 1
            self._newest = sequence
            return True
        age = -ahead
        if age >= WINDOW or self._seen >> age & 1:
            return False
        self._seen |= 1 << age
        return True
