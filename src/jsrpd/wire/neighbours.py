"""A standby's future neighbours as bytes: entries of reths by the reth's index."""

import struct
from collections.abc import Iterable

from jsrpd.wire.session import MalformedSessionError

HEAD = struct.Struct(">BB6s")
"""Index of the reth, length of the address, MAC; the address follows."""
ADDRESS_BYTES = (4, 16)


def encode_neighbours(entries: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """(reth index, address, MAC) each."""
    return b"".join(HEAD.pack(index, len(address), mac) + address for index, address, mac in entries)


def decode_neighbours(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """MalformedSessionError for anything else."""
    found = []
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise MalformedSessionError("neighbours end early")
        index, length, mac = HEAD.unpack_from(data, at)
        at += HEAD.size
        if length not in ADDRESS_BYTES or at + length > len(data):
            raise MalformedSessionError("neighbours end early")
        found.append((index, data[at : at + length], mac))
        at += length
    return found
