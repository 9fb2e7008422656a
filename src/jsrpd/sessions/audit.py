"""Whether two kernels hold the same connections, found out with a kilobyte: one digest per bucket of connections.

Which connections a bucket holds follows from their names alone. Only the buckets that differ are sent again.
"""

import struct
from collections.abc import Iterable
from hashlib import blake2b

BUCKETS = 256
DIGESTS = struct.Struct(f">{BUCKETS}I")


def place(key: bytes) -> tuple[int, int]:
    """(bucket, digest) of a connection's name."""
    digest = blake2b(key, digest_size=5).digest()
    return digest[0], int.from_bytes(digest[1:])


class Digests:
    """Of a set of connections: the exclusive or of their digests, per bucket."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self.values = list(values) or [0] * BUCKETS

    def add(self, key: bytes) -> None:
        """One connection."""
        bucket, digest = place(key)
        self.values[bucket] ^= digest

    def differing(self, other: "Digests") -> frozenset[int]:
        """Buckets in which the two sets differ."""
        pairs = zip(self.values, other.values, strict=True)
        return frozenset(bucket for bucket, (own, others) in enumerate(pairs) if own != others)

    def encode(self) -> bytes:
        """1024 bytes."""
        return DIGESTS.pack(*self.values)

    @classmethod
    def decode(cls, data: bytes) -> "Digests":
        """ValueError for anything else."""
        if len(data) != DIGESTS.size:
            raise ValueError("not digests")
        return cls(DIGESTS.unpack(data))


def encode_buckets(buckets: frozenset[int] | None) -> bytes:
    """A bit per bucket; nothing for all of them."""
    if buckets is None:
        return b""
    return sum(1 << bucket for bucket in buckets).to_bytes(BUCKETS // 8)


def decode_buckets(data: bytes) -> frozenset[int] | None:
    """ValueError for anything that ``encode_buckets`` does not say."""
    if not data:
        return None
    if len(data) != BUCKETS // 8:
        raise ValueError("not buckets")
    bits = int.from_bytes(data)
    return frozenset(bucket for bucket in range(BUCKETS) if bits >> bucket & 1)
