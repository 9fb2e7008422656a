"""The bytes of the management connection: what the two gateways say to each other over a control link.

Each end greets in the clear with 16 fresh random bytes. The keys, one a direction, come from the cluster key and both
greetings, so nothing that was recorded of another connection opens in this one. Behind the greeting: sealed frames,
numbered from 0, each a piece of a message. Whoever does not hold the key cannot make one frame that opens.
"""

import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jsrpd.wire.envelope import KEY_BYTES, DropCause, key_id

MAGIC = b"JSRM"
VERSION = 1
GREETING = struct.Struct(">4sBBB4s16s")
"""magic, version, cluster-id, node-id, key id, random bytes."""
RANDOM_BYTES = 16
LENGTH = struct.Struct(">I")
NONCE = struct.Struct(">IQ")
CONTEXT = b"jsrpd management "
TAG_BYTES = 16
PIECE_BYTES = 32 * 1024
MAX_FRAME_BYTES = PIECE_BYTES + 1 + TAG_BYTES
MAX_MESSAGE_BYTES = 32 << 20
"""Several of the largest configurations fit; a history goes in several messages."""
MORE, LAST = b"\1", b"\0"


class BrokenConnectionError(Exception):
    """What came cannot be of the peer; the connection is of no more use. The text is for the log."""


class ManagementChannel:
    """One end of one connection. ``random_bytes``: fresh for each."""

    def __init__(self, cluster_id: int, node_id: int, key: bytes, random_bytes: bytes) -> None:
        self._cluster_id, self._node_id, self._key = cluster_id, node_id, key
        self._random = random_bytes
        self._sealing: AESGCM | None = None
        self._opening: AESGCM | None = None
        self._sent = self._received = 0
        self._pieces = bytearray()

    def greeting(self) -> bytes:
        """The first bytes of this end."""
        return GREETING.pack(MAGIC, VERSION, self._cluster_id, self._node_id, key_id(self._key), self._random)

    def greeted(self, greeting: bytes) -> None:
        """The first bytes of the other end. BrokenConnectionError when it is not our peer."""
        magic, version, cluster_id, node_id, identity, random_bytes = GREETING.unpack(greeting)
        if magic != MAGIC:
            raise BrokenConnectionError(DropCause.BAD_MAGIC.value)
        if version != VERSION:
            raise BrokenConnectionError(DropCause.NO_COMMON_VERSION.value)
        if cluster_id != self._cluster_id:
            raise BrokenConnectionError(DropCause.WRONG_CLUSTER.value)
        if node_id == self._node_id:
            raise BrokenConnectionError(DropCause.OWN_NODE.value)
        if identity != key_id(self._key):
            raise BrokenConnectionError(DropCause.KEY_MISMATCH.value)
        by_node = {self._node_id: self._random, node_id: random_bytes}
        salt = b"".join(by_node[node] for node in sorted(by_node))
        self._sealing = self._cipher(salt, self._node_id)
        self._opening = self._cipher(salt, node_id)

    def _cipher(self, salt: bytes, sender: int) -> AESGCM:
        return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, CONTEXT + bytes((sender,))).derive(self._key))

    def seal(self, message: bytes) -> Iterator[bytes]:
        """The frames of a message, in order."""
        assert self._sealing is not None, "nothing is said before the greeting"
        for at in range(0, max(len(message), 1), PIECE_BYTES):
            last = at + PIECE_BYTES >= len(message)
            sealed = self._sealing.encrypt(
                NONCE.pack(0, self._sent), (LAST if last else MORE) + message[at : at + PIECE_BYTES], None
            )
            self._sent += 1
            yield LENGTH.pack(len(sealed)) + sealed

    def open(self, sealed: bytes) -> bytes | None:
        """The message that this frame completes; None while there is more to come. BrokenConnectionError."""
        assert self._opening is not None, "nothing is heard before the greeting"
        try:
            piece = self._opening.decrypt(NONCE.pack(0, self._received), sealed, None)
        except InvalidTag as error:
            raise BrokenConnectionError(DropCause.NOT_AUTHENTIC.value) from error
        self._received += 1
        self._pieces += piece[1:]
        if len(self._pieces) > MAX_MESSAGE_BYTES:
            raise BrokenConnectionError("a message without end")
        if piece[:1] == MORE:
            return None
        message = bytes(self._pieces)
        self._pieces.clear()
        return message


def frame_length(data: bytes) -> int:
    """Of the frame behind these four bytes. BrokenConnectionError for one that nobody of ours sends."""
    (length,) = LENGTH.unpack(data)
    if not TAG_BYTES < length <= MAX_FRAME_BYTES:
        raise BrokenConnectionError(DropCause.MALFORMED.value)
    return int(length)
