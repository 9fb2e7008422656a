"""How punctual an engine is, seen from its cable: ``python -m bench.lateness PORT SECONDS``, in the switch's namespace.

Time stamps are the kernel's, of the node's heartbeats as they arrive at the switch. Prints the interval between each and the
one before, ms, a line each.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

from jsrpd.lab.workers import STAMP_SPACE, begin, ready, stamp_of, stamped
from jsrpd.wire.envelope import DatagramType, Header, unpack

ETH_P_ALL = 3
LINK_AND_IPV6_AND_UDP = 14 + 40 + 8
"""Bytes before the datagram: control links have derived IPv6 addresses in the lab."""
PACKET_OUTGOING = 4


def intervals_ms(stamps: Sequence[tuple[int, int]]) -> Iterator[float]:
    """Of (sequence, ns): between neighbours of which none is missing."""
    for (before, earlier), (sequence, later) in pairwise(stamps):
        if sequence == before + 1:
            yield (later - earlier) / 1e6


def heartbeat_of(frame: bytes) -> int | None:
    """Its sequence; None for every other frame."""
    header = unpack(frame[LINK_AND_IPV6_AND_UDP:])
    return header.sequence if isinstance(header, Header) and header.type == DatagramType.HEARTBEAT else None


def frames(port: str, duration_s: float, size: int) -> Iterator[tuple[bytes, str, bool, int]]:
    """Until the deadline, of each frame: its first ``size`` bytes, interface, whether it leaves, and the kernel's stamp
    (CLOCK_REALTIME ns). Without a port of every interface of the namespace."""
    deadline = begin(duration_s)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        stamped(tap)
        if port:
            tap.bind((port, ETH_P_ALL))
        ready()
        while deadline.left_s:
            tap.settimeout(max(0.01, deadline.left_s))
            try:
                frame, ancillary, _flags, address = tap.recvmsg(size, STAMP_SPACE)
            except TimeoutError:
                return
            yield frame, address[0], address[2] == PACKET_OUTGOING, stamp_of(ancillary)


def main(port: str, duration_s: float) -> None:
    """Listen, then print."""
    stamps: list[tuple[int, int]] = []
    for frame, _interface, leaves, stamp in frames(port, duration_s, 2048):
        sequence = None if leaves else heartbeat_of(frame)
        if sequence is not None:
            stamps.append((sequence, stamp))
    print("\n".join(f"{one:.4f}" for one in intervals_ms(stamps)))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
