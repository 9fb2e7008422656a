"""Neighbour entries of reths: read on the owner, kept on the standby, so that its first packet needs no resolution.

What is installed is STALE and externally learned: usable at once, verified by traffic, never taken for confirmed. A flap
of the carrier flushes it all the same (kernel facts), so whoever keeps them looks again from time to time.
"""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from jsrpd.kernel.netlink import CREATE, REPLACE, Netlink, attribute, attributes

NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
NEIGHBOUR = struct.Struct("=BBHiHBB")
"""Family, padding, interface, state, flags, type."""
NDA_DST, NDA_LLADDR = 1, 2
REACHABLE, STALE, DELAY, PROBE, PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x80
USABLE = REACHABLE | STALE | DELAY | PROBE | PERMANENT
EXTERNALLY_LEARNED = 0x10
MAC_BYTES = 6


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who has ``address`` (4 or 16 bytes) on an interface."""

    interface: str
    address: bytes
    mac: bytes


class Neighbours:
    """Reads and writes on one request socket."""

    def __init__(self) -> None:
        self._netlink = Netlink()

    def usable(self, interfaces: frozenset[str]) -> frozenset[Neighbour]:
        """Entries of these interfaces that packets can be sent by."""
        names = {index: name for index, name in socket.if_nameindex() if name in interfaces}
        found = set()
        for _kind, body in self._netlink.dump(GETNEIGH, NEIGHBOUR.pack(0, 0, 0, 0, 0, 0, 0)):
            _family, _p1, _p2, index, state, _flags, _type = NEIGHBOUR.unpack_from(body)
            values = attributes(body, NEIGHBOUR.size)
            address, mac = values.get(NDA_DST, b""), values.get(NDA_LLADDR, b"")
            if index in names and state & USABLE and len(mac) == MAC_BYTES and len(address) in (4, 16):
                found.add(Neighbour(names[index], address, mac))
        return frozenset(found)

    def install(self, neighbours: Iterable[Neighbour]) -> int:
        """Put entries in; how many the kernel refused."""
        return self._write(NEWNEIGH, CREATE | REPLACE, neighbours)

    def remove(self, neighbours: Iterable[Neighbour]) -> int:
        """Take entries out; how many the kernel refused."""
        return self._write(DELNEIGH, 0, neighbours)

    def _write(self, kind: int, flags: int, neighbours: Iterable[Neighbour]) -> int:
        indexes = {name: index for index, name in socket.if_nameindex()}
        requests = []
        for one in neighbours:
            if one.interface in indexes:
                family = socket.AF_INET if len(one.address) == 4 else socket.AF_INET6
                head = NEIGHBOUR.pack(family, 0, 0, indexes[one.interface], STALE, EXTERNALLY_LEARNED, 0)
                requests.append((kind, flags, head + attribute(NDA_DST, one.address) + attribute(NDA_LLADDR, one.mac)))
        return sum(result != 0 for result in self._netlink.execute(requests))

    def close(self) -> None:
        """Close."""
        self._netlink.close()
