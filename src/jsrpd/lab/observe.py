"""Who owns the gateway addresses, seen from the wire: by which switch port the answers to ARP and NS come in.

A prober on each segment asks for the gateway addresses every few milliseconds, with an identity of its own, so no
host's neighbour table is touched. An observer in the switch stamps questions and answers with the port they came
from. Nothing here asks the daemons.
"""

import contextlib
import ctypes
import ipaddress
import socket
import struct
import sys
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jsrpd.lab.topology import BY_SEGMENT, HOST_PORT, INTERFACE_INDEX, NODES, PORT_BASE, SEGMENTS, Segment, port_of
from jsrpd.lab.workers import STAMP_SPACE, Deadline, begin, load, ready, save, stamp_of, stamped

ETH_P_ALL, ETH_P_ARP, ETH_P_IPV6 = 0x0003, 0x0806, 0x86DD
PACKET_OUTGOING = 4
SO_ATTACH_FILTER = 26
ARP_REQUEST, ARP_REPLY = 1, 2
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 135, 136
PROBER_MAC = bytes.fromhex("0253424c0099")
PROBER_HOST = 0x99
MISSED_PROBES = 5
"""Unanswered questions in a row that end an ownership; a few may wait in the node's broadcast queue (kernel facts)."""
QUESTION = 2
"""In place of a node number: the prober asked."""
PORTS = {
    **{port_of(node, name): (n, name) for n, node in enumerate(NODES) for name in SEGMENTS},
    **{segment.host: (QUESTION, segment.name) for segment in BY_SEGMENT.values()},
}
"""Who speaks on a switch port, and on which segment."""
PORT_INDEXES = (
    *(PORT_BASE[node] + INTERFACE_INDEX[name] for node in NODES for name in SEGMENTS),
    *(HOST_PORT[segment.host] for segment in BY_SEGMENT.values()),
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """``node``: 0 or 1 claimed the address (answer or announcement), or ``QUESTION``. ``at`` in CLOCK_REALTIME ns."""

    at: int
    node: int


@dataclass(frozen=True, slots=True)
class Interval:
    """``node`` owned the address from the first to the last answer, CLOCK_REALTIME ns."""

    node: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who answered for one gateway address (segment and family) when."""

    segment: str
    family: int
    intervals: tuple[Interval, ...]
    two_owners_ms: float
    nobody_ms: float
    macs: tuple[str, ...] = ()
    """Every MAC address that was given as an answer."""

    @property
    def final_owner(self) -> int | None:
        """Who answered last; None when nobody ever did."""
        return max(self.intervals, key=lambda i: i.end).node if self.intervals else None


def ownership(
    segment: str, family: int, sightings: Sequence[Sighting], begin_at: int, end_at: int, macs: Iterable[str] = ()
) -> Ownership:
    """Intervals of each node, the time both had, and the time nobody had although somebody asked. Pure.

    ``sightings`` in order of time; what lies outside ``begin_at .. end_at`` is left out.
    """
    inside = [s for s in sightings if begin_at <= s.at <= end_at]
    by_node = [_intervals(inside, node) for node in (0, 1)]
    both = sum(max(0, min(a.end, b.end) - max(a.begin, b.begin)) for a in by_node[0] for b in by_node[1])
    nobody = _unanswered(inside)
    ordered = tuple(sorted((*by_node[0], *by_node[1]), key=lambda i: (i.begin, i.node)))
    return Ownership(segment, family, ordered, both / 1e6, nobody / 1e6, tuple(sorted(set(macs))))


def _intervals(sightings: Sequence[Sighting], node: int) -> list[Interval]:
    """A run of answers without ``MISSED_PROBES`` unanswered questions between two of them."""
    found: list[Interval] = []
    unanswered = MISSED_PROBES
    for sighting in sightings:
        if sighting.node == QUESTION:
            unanswered += 1
        elif sighting.node == node:
            if unanswered >= MISSED_PROBES:
                found.append(Interval(node, sighting.at, sighting.at))
            else:
                found[-1] = Interval(node, found[-1].begin, sighting.at)
            unanswered = 0
    return found


def _unanswered(sightings: Sequence[Sighting]) -> int:
    """Total ns between answers of anybody with at least ``MISSED_PROBES`` questions between; edges count by questions."""
    total, asked, last = 0, 0, sightings[0].at if sightings else 0
    for sighting in (*sightings, Sighting(sightings[-1].at if sightings else 0, 0)):
        if sighting.node == QUESTION:
            asked += 1
            continue
        if asked >= MISSED_PROBES:
            total += sighting.at - last
        asked, last = 0, sighting.at
    return total


def without_silenced(sightings: Iterable[Sighting], silences: Sequence[Interval]) -> list[Sighting]:
    """Leave out what a node sent into a silent cable: the observer hears it, nobody else does."""
    return [s for s in sightings if not any(q.node == s.node and q.begin <= s.at <= q.end for q in silences)]


# -- the record a run leaves ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Observation:
    """All sightings of a run by (segment, family), and the MAC addresses that were given as answers."""

    sightings: dict[tuple[str, int], list[Sighting]] = field(default_factory=dict)
    macs: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    def ownerships(
        self, begin_at: int, end_at: int, silences: dict[str, list[Interval]], families: Sequence[int]
    ) -> list[Ownership]:
        """One per segment and family. ``silences`` by segment."""
        found = []
        for segment in SEGMENTS:
            for family in families:
                seen = without_silenced(self.sightings.get((segment, family), []), silences.get(segment, []))
                macs = self.macs.get((segment, family), ())
                found.append(ownership(segment, family, seen, begin_at, end_at, macs))
        return found


def load_observation(directory: Path) -> Observation:
    """What the observer wrote."""
    made = Observation()
    macs = load(directory / "observer.mac")
    for at, code, mac in zip(load(directory / "observer.at"), load(directory / "observer.code", "B"), macs, strict=True):
        node, wan, six = code >> 2, code >> 1 & 1, code & 1
        key = (SEGMENTS[wan], 6 if six else 4)
        made.sightings.setdefault(key, []).append(Sighting(at, node))
        if node != QUESTION:
            made.macs.setdefault(key, set()).add(mac.to_bytes(6, "big").hex(":"))
    return made


# -- frames -----------------------------------------------------------------------------------------------------------


def arp_question(mac: bytes, own: str, wanted: str) -> bytes:
    """Broadcast ARP request."""
    addresses = mac + socket.inet_aton(own) + bytes(6) + socket.inet_aton(wanted)
    frame = b"\xff" * 6 + mac + struct.pack(">HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, ARP_REQUEST) + addresses
    return frame.ljust(60, b"\0")


def neighbour_solicitation(mac: bytes, own: str, wanted: str) -> bytes:
    """Multicast neighbour solicitation with the source link-layer option (RFC 4861 section 4.3)."""
    source, target = (ipaddress.IPv6Address(a).packed for a in (own, wanted))
    group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
    body = struct.pack(">BBHI", NEIGHBOUR_SOLICITATION, 0, 0, 0) + target + b"\x01\x01" + mac
    checksum = _checksum(source + group + struct.pack(">II", len(body), socket.IPPROTO_ICMPV6) + body)
    body = body[:2] + struct.pack(">H", checksum) + body[4:]
    header = struct.pack(">IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + source + group
    return b"\x33\x33" + group[12:] + mac + struct.pack(">H", ETH_P_IPV6) + header + body


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def questions(segment: Segment) -> tuple[bytes, bytes]:
    """The prober's ARP request and neighbour solicitation for the gateway of a segment."""
    own_v4 = str(ipaddress.ip_network(f"{segment.gateways[0]}/24", strict=False)[PROBER_HOST])
    own_v6 = str(ipaddress.ip_network(f"{segment.gateways[1]}/64", strict=False)[PROBER_HOST])
    return (
        arp_question(PROBER_MAC, own_v4, segment.gateways[0]),
        neighbour_solicitation(PROBER_MAC, own_v6, segment.gateways[1]),
    )


def classify(frame: bytes, port: str) -> tuple[int, bytes] | None:
    """(code, MAC that claims) of a frame seen on a switch port; None when it says nothing about a gateway address.

    The code packs node or ``QUESTION`` (bits 2 and up), segment (bit 1: WAN) and family (bit 0: IPv6).
    """
    node, name = PORTS[port]
    segment = BY_SEGMENT[name]
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_P_ARP:
        subject, six = frame[28:32] if node != QUESTION else frame[38:42], 0
        wanted = subject == socket.inet_aton(segment.gateways[0])
        mac = frame[22:28]
    elif kind == ETH_P_IPV6:
        is_question = frame[54] == NEIGHBOUR_SOLICITATION
        wanted = frame[62:78] == socket.inet_pton(socket.AF_INET6, segment.gateways[1]) and is_question == (node == QUESTION)
        mac, six = frame[6:12], 1
    else:
        return None
    if not wanted or (node == QUESTION and frame[6:12] != PROBER_MAC):
        return None
    return node << 2 | (name == "wan") << 1 | six, mac


def _filter() -> bytes:
    """Classic BPF: incoming frames of the ports of interest that are ARP, or ICMPv6 solicitations and advertisements."""
    load_word, load_half, load_byte, equal, answer = 0x20, 0x28, 0x30, 0x15, 0x06
    extra = 0xFFFFF000  # SKF_AD_OFF: values about the frame instead of its bytes
    tail = 8  # instructions from the first after the index tests up to "accept", exclusive
    n = len(PORT_INDEXES)
    reject, accept = 3 + n + tail + 1, 3 + n + tail

    def test(at: int, value: int, then: int, otherwise: int) -> bytes:
        return struct.pack("HBBI", equal, then - at - 1, otherwise - at - 1, value)

    program = [struct.pack("HBBI", load_word, 0, 0, extra + 4), test(1, PACKET_OUTGOING, reject, 2)]
    program.append(struct.pack("HBBI", load_word, 0, 0, extra + 8))
    first = 3 + n
    for place, index in enumerate(PORT_INDEXES):
        at = 3 + place
        program.append(test(at, index, first, at + 1 if place + 1 < n else reject))
    program.append(struct.pack("HBBI", load_half, 0, 0, 12))
    program.append(test(first + 1, ETH_P_ARP, accept, first + 2))
    program.append(test(first + 2, ETH_P_IPV6, first + 3, reject))
    program.append(struct.pack("HBBI", load_byte, 0, 0, 20))
    program.append(test(first + 4, socket.IPPROTO_ICMPV6, first + 5, reject))
    program.append(struct.pack("HBBI", load_byte, 0, 0, 54))
    program.append(test(first + 6, NEIGHBOUR_SOLICITATION, accept, first + 7))
    program.append(test(first + 7, NEIGHBOUR_ADVERTISEMENT, accept, reject))
    program.append(struct.pack("HBBI", answer, 0, 0, 0xFFFF))
    program.append(struct.pack("HBBI", answer, 0, 0, 0))
    return b"".join(program)


# -- the processes ----------------------------------------------------------------------------------------------------


def observer_socket() -> socket.socket:
    """Hears every port of the switch, also those made anew after a power-off, filtered in the kernel."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    program = _filter()
    buffer = ctypes.create_string_buffer(program)
    made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(buffer)))
    stamped(made)
    with contextlib.suppress(BlockingIOError):
        # What came before the filter was in place.
        while True:
            made.recv(1)
    return made


def run_observer(deadline: Deadline, directory: Path) -> None:
    """Stamp claims and questions until the deadline."""
    made = observer_socket()
    stamps, codes, macs = array("Q"), array("B"), array("Q")
    ready()
    while deadline.left_s:
        made.settimeout(min(0.2, deadline.left_s + 0.001))
        try:
            frame, ancillary, _flags, address = made.recvmsg(128, STAMP_SPACE)
        except (TimeoutError, BlockingIOError):
            continue
        # The name is empty when the port has been removed since.
        seen = classify(frame, address[0]) if address[0] in PORTS else None
        if seen is not None:
            stamps.append(stamp_of(ancillary))
            codes.append(seen[0])
            macs.append(int.from_bytes(seen[1], "big"))
    save(directory, {"observer.at": stamps, "observer.code": codes, "observer.mac": macs})


def run_prober(deadline: Deadline, segment: Segment, interval_s: float) -> None:
    """Ask for both gateway addresses every ``interval_s``."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind(("eth0", 0))
    frames = questions(segment)
    ready()
    due = time.monotonic()
    while deadline.left_s:
        for frame in frames:
            made.send(frame)
        due = max(due + interval_s, time.monotonic() - interval_s)
        time.sleep(max(0.0, due - time.monotonic()))


def main(words: Sequence[str]) -> None:
    """``observer SECONDS DIRECTORY`` or ``prober SECONDS SEGMENT INTERVAL_MS``."""
    role, duration_s, place = words[0], float(words[1]), words[2]
    deadline = begin(duration_s)
    if role == "observer":
        run_observer(deadline, Path(place))
    else:
        run_prober(deadline, BY_SEGMENT[place], float(words[3]) / 1000)


if __name__ == "__main__":
    main(sys.argv[1:])
