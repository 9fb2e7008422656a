"""Surgery on ctnetlink messages: what one kernel says of a connection becomes what another kernel takes.

Messages stay opaque bytes. What the peer's kernel would refuse is cut out, what it needs to go on with the connection is
put in: long timeouts, because only traffic refreshes them and there is none on a standby; liberal windows, because its
windows stand still; and the NAT, which no kernel rebuilds from tuples alone. Source of every rule: the kernel facts.
"""

import errno
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

NEW, GET, DELETE = 0x100, 0x101, 0x102
"""Message types of subsystem 1, ctnetlink. An event about a creation or a change is NEW, about an end DELETE."""
REQUEST, EXCLUSIVE, CREATE = 0x1, 0x200, 0x400
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
PREFIX = HEADER.size + 4
"""Netlink header and nfgenmsg; attributes follow."""
NESTED, TYPE_MASK = 0x8000, 0x3FFF
AF_INET, AF_INET6 = 2, 10

TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOINFO, HELP, NAT_SRC, TIMEOUT, MARK = 1, 2, 3, 4, 5, 6, 7, 8
NAT_DST, TUPLE_MASTER, SEQ_ADJ_ORIG, SEQ_ADJ_REPLY, ZONE, LABELS, LABELS_MASK = 13, 14, 15, 16, 18, 22, 23
SYNPROXY = 24
KEPT = (TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOINFO, HELP, MARK, SEQ_ADJ_ORIG, SEQ_ADJ_REPLY, ZONE, LABELS, SYNPROXY)
"""What travels as it is, or mended. Everything else is of no use to another kernel (ID, USE, counters) or refused by
it (the event's time stamp)."""

TUPLE_IP, TUPLE_PROTO, TUPLE_ZONE = 1, 2, 3
V4_SRC, V4_DST, V6_SRC, V6_DST = 1, 2, 3, 4
PROTO_NUM, SRC_PORT, DST_PORT, ICMP_ID, ICMP_TYPE, ICMP_CODE, ICMPV6_ID, ICMPV6_TYPE, ICMPV6_CODE = range(1, 10)
NAT_V4_MIN, NAT_V4_MAX, NAT_PROTO, NAT_V6_MIN, NAT_V6_MAX = 1, 2, 3, 4, 5
NAT_PORT_MIN, NAT_PORT_MAX = 1, 2
PROTOINFO_SCTP, SCTP_STATE = 3, 1
PROTOINFO_TCP, TCP_STATE, TCP_FLAGS_ORIG, TCP_FLAGS_REPLY = 1, 1, 4, 5
IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_GRE, IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_UDPLITE = 1, 6, 17, 47, 58, 132, 136
BE_LIBERAL, FLAG_MASK = 0x08, 0x0B
"""Liberal windows; the mask also covers window scaling and SACK, which the event brings with a mask of 0."""

EXPECTED, ASSURED, CONFIRMED, SRC_NAT, DST_NAT, DYING, FIXED_TIMEOUT = 0x1, 0x4, 0x8, 0x10, 0x20, 0x200, 0x400
STANDBY_TIMEOUT_S = 30 * 86_400
"""On a standby the owner's DESTROY ends a connection, not the clock: no event tells of the packets that refresh it."""
STANDBY_TIMEOUT = struct.pack("=HH", 8, TIMEOUT) + struct.pack(">I", STANDBY_TIMEOUT_S)

Parts = dict[int, bytes]
"""Top-level attributes of a message by type, each whole: header, value, padding."""


class Service(IntEnum):
    """What a message is about, in the vendor's list of synchronised services. It travels in the message's sequence number."""

    CREATE = 1
    CHANGE = 2
    CLOSE = 3
    TRANSLATION = 4
    """NAT of a connection that is created by the message behind it."""


class MalformedMessageError(Exception):
    """Not a ctnetlink message about a connection."""


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection. ``l4``: the attributes behind the protocol number, by type."""

    source: bytes
    destination: bytes
    protocol: int
    l4: dict[int, bytes]
    zone: bytes = b""

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port; 0 where the protocol has none."""
        return int.from_bytes(self.l4.get(SRC_PORT, b"")), int.from_bytes(self.l4.get(DST_PORT, b""))


# -- reading ----------------------------------------------------------------------------------------------------------


def parts_of(message: bytes) -> Parts:
    """Top-level attributes of one message. MalformedMessageError without an original tuple."""
    found: Parts = {}
    at, end = PREFIX, len(message)
    unpack = ATTRIBUTE.unpack_from
    while at + 4 <= end:
        length, kind = unpack(message, at)
        step = (length + 3) & ~3
        if length < 4 or at + step > end:  # The kernel pads the last one, too.
            break
        found[kind & TYPE_MASK] = message[at : at + step]
        at += step
    if TUPLE_ORIG not in found:
        raise MalformedMessageError("no original tuple")
    return found


def key_of(parts: Parts) -> bytes:
    """What names a connection in both kernels: its original tuple and its zone."""
    zone = parts.get(ZONE)
    return parts[TUPLE_ORIG] if zone is None else parts[TUPLE_ORIG] + zone


def value_of(attribute: bytes) -> bytes:
    """An attribute without header and padding."""
    return attribute[4 : ATTRIBUTE.unpack_from(attribute)[0]]


def number_of(parts: Parts, kind: int) -> int:
    """A big-endian number among the attributes; 0 where it is absent."""
    found = parts.get(kind)
    return int.from_bytes(value_of(found)) if found is not None else 0


def family_of(message: bytes) -> int:
    """AF_INET or AF_INET6."""
    return message[HEADER.size]


def tuple_of(attribute: bytes) -> Tuple:
    """A tuple attribute, parsed. MalformedMessageError when addresses or protocol are missing."""
    nested = _nested(value_of(attribute))
    addresses, l4 = _nested(nested.get(TUPLE_IP, b"")), _nested(nested.get(TUPLE_PROTO, b""))
    source = addresses.get(V4_SRC) or addresses.get(V6_SRC)
    destination = addresses.get(V4_DST) or addresses.get(V6_DST)
    number = l4.pop(PROTO_NUM, b"")
    if source is None or destination is None or not number:
        raise MalformedMessageError("incomplete tuple")
    return Tuple(source, destination, number[0], l4, nested.get(TUPLE_ZONE, b""))


def _nested(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < 4 or at + length > len(data):
            break
        found[kind & TYPE_MASK] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


TIMEOUTS = {
    "tcp_timeout_syn_sent": 120,
    "tcp_timeout_syn_recv": 60,
    "tcp_timeout_established": 432_000,
    "tcp_timeout_fin_wait": 120,
    "tcp_timeout_close_wait": 60,
    "tcp_timeout_last_ack": 30,
    "tcp_timeout_time_wait": 120,
    "tcp_timeout_close": 10,
    "udp_timeout": 30,
    "udp_timeout_stream": 120,
    "icmp_timeout": 30,
    "icmpv6_timeout": 30,
    "generic_timeout": 600,
    "gre_timeout": 30,
    "gre_timeout_stream": 180,
    "sctp_timeout_closed": 10,
    "sctp_timeout_cookie_wait": 3,
    "sctp_timeout_cookie_echoed": 3,
    "sctp_timeout_established": 210,
    "sctp_timeout_shutdown_sent": 3,
    "sctp_timeout_shutdown_recd": 3,
    "sctp_timeout_shutdown_ack_sent": 3,
    "sctp_timeout_heartbeat_sent": 30,
}
"""The kernel's own timeouts by sysctl (``nf_conntrack_`` before each), with its defaults in seconds."""
TCP_STATES = ("", *(name for name in TIMEOUTS if name.startswith("tcp")), "tcp_timeout_syn_sent")
"""By the number of the state."""
TCP_SIMULTANEOUS_OPEN = 9
SCTP_STATES = ("", *(name for name in TIMEOUTS if name.startswith("sctp")))
"""The same of SCTP."""


def progress(parts: Parts) -> int:
    """How far a TCP connection has come, from 1 (the first packet was seen) to 8 (closed); 0 for other protocols."""
    state = _state(parts, PROTOINFO_TCP, TCP_STATE)
    return 1 if state == TCP_SIMULTANEOUS_OPEN else state


def _state(parts: Parts, nest: int, kind: int) -> int:
    if PROTOINFO not in parts:
        return 0
    return _nested(_nested(value_of(parts[PROTOINFO])).get(nest, b"")).get(kind, b"\0")[0]


def timeout_name(parts: Parts) -> str:
    """Which of the kernel's timeouts a connection in this state has."""
    protocol = tuple_of(parts[TUPLE_ORIG]).protocol
    if PROTOINFO in parts and protocol in (IPPROTO_TCP, IPPROTO_SCTP):
        nest, kind, names = (
            (PROTOINFO_TCP, TCP_STATE, TCP_STATES) if protocol == IPPROTO_TCP else (PROTOINFO_SCTP, SCTP_STATE, SCTP_STATES)
        )
        state = _state(parts, nest, kind)
        return names[state] if 0 < state < len(names) else "generic_timeout"
    stream = "_stream" if number_of(parts, STATUS) & ASSURED else ""
    if protocol in (IPPROTO_UDP, IPPROTO_UDPLITE):
        return f"udp_timeout{stream}"
    if protocol == IPPROTO_GRE:
        return f"gre_timeout{stream}"
    return {IPPROTO_ICMP: "icmp_timeout", IPPROTO_ICMPV6: "icmpv6_timeout"}.get(protocol, "generic_timeout")


def protocol_of(original: bytes) -> int:
    """Of an original tuple in the form every kernel gives it; 0 where it has another."""
    at = 32 if original[8:9] == b"\x08" else 56
    return original[at] if len(original) > at else 0


# -- writing ----------------------------------------------------------------------------------------------------------


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, flags: int, family: int, body: bytes, service: int = 0) -> bytes:
    """One netlink message of ctnetlink."""
    return HEADER.pack(PREFIX + len(body), kind, flags, service, 0) + bytes((family, 0, 0, 0)) + body


def relayed(event: bytes, parts: Parts, *, whole: bool) -> bytes:
    """What the peer's kernel is told about a NEW or changed connection: one or two messages.

    ``whole``: the connection may be unknown there (it is new, or from a dump). A connection with NAT or a master is then
    created and brought up to date by a second message, because one message cannot do both (kernel facts). Any other is
    created or updated by the same message.
    """
    family = event[HEADER.size]
    status = number_of(parts, STATUS)
    service = Service.CREATE if whole else Service.CHANGE
    if not status & (SRC_NAT | DST_NAT | EXPECTED):
        return message(NEW, REQUEST | CREATE, family, _kept(parts), service)
    update = message(NEW, REQUEST, family, _kept(parts), service)
    return created(family, parts) + update if whole else update


def created(family: int, parts: Parts) -> bytes:
    """The message that creates a connection with its NAT and its master; where it exists the kernel answers EEXIST."""
    reply, nat = _nat(parts)
    master = parts.get(TUPLE_MASTER, b"")
    body = b"".join((_kept(parts | {TUPLE_REPLY: reply}), nat, master))
    return message(NEW, REQUEST | CREATE | EXCLUSIVE, family, body, Service.TRANSLATION)


def ended(event: bytes, parts: Parts) -> bytes:
    """What ends a connection in the peer's kernel. Without the ID, which is another there."""
    return message(DELETE, REQUEST, event[HEADER.size], parts[TUPLE_ORIG] + parts.get(ZONE, b""), Service.CLOSE)


def retained(event: bytes, parts: Parts, timeout_s: int, *, liberal: bool) -> bytes:
    """A change of our own connection: its timeout and, for TCP, liberal windows.

    After a loss of the role both are needed: packets go by another node and neither clock nor windows move here.
    """
    body = parts[TUPLE_ORIG] + parts.get(ZONE, b"") + attribute(TIMEOUT, struct.pack(">I", timeout_s))
    if liberal and PROTOINFO in parts and PROTOINFO_TCP in _nested(value_of(parts[PROTOINFO])):
        body += _LIBERAL_WINDOWS
    return message(NEW, REQUEST, event[HEADER.size], body)


_LIBERAL_FLAGS = bytes((BE_LIBERAL, BE_LIBERAL))
_LIBERAL_WINDOWS = attribute(
    PROTOINFO | NESTED,
    attribute(PROTOINFO_TCP | NESTED, attribute(TCP_FLAGS_ORIG, _LIBERAL_FLAGS) + attribute(TCP_FLAGS_REPLY, _LIBERAL_FLAGS)),
)


def _kept(parts: Parts) -> bytes:
    kept = [parts[kind] for kind in KEPT if kind in parts and kind not in (STATUS, PROTOINFO)]
    if STATUS in parts:
        kept.append(settled_status(parts[STATUS], protocol_of(parts[TUPLE_ORIG]) == IPPROTO_GRE))
    if PROTOINFO in parts:
        kept.append(liberal_windows(parts[PROTOINFO]))
    kept.append(STANDBY_TIMEOUT)
    return b"".join(kept)


@lru_cache(256)
def settled_status(status: bytes, fixed: bool) -> bytes:
    """A status the kernel takes: confirmed and not dying.

    ``fixed``: no packet changes its timeout. Of GRE a kernel notes its timeouts when it sees the first packet, so one that
    was told of a tunnel would give it none with the next packet and forget it (verified).
    """
    value = int.from_bytes(value_of(status))
    return attribute(STATUS, struct.pack(">I", (value | CONFIRMED | FIXED_TIMEOUT * fixed) & ~DYING))


@lru_cache(4096)
def liberal_windows(protoinfo: bytes) -> bytes:
    """TCP's flags with a mask, so that they are applied, and liberal; other protocols' information as it is."""
    tcp = _nested(value_of(protoinfo)).get(PROTOINFO_TCP)
    if tcp is None:
        return protoinfo
    inner = _nested(tcp)
    for kind in (TCP_FLAGS_ORIG, TCP_FLAGS_REPLY):
        flags = inner.get(kind, b"\0\0")[0]
        inner[kind] = bytes((flags | BE_LIBERAL, FLAG_MASK))
    body = b"".join(attribute(kind, value) for kind, value in inner.items())
    return attribute(PROTOINFO | NESTED, attribute(PROTOINFO_TCP | NESTED, body))


def _nat(parts: Parts) -> tuple[bytes, bytes]:
    """The reply tuple as it was before NAT, and the NAT attributes that lead from it to the reply tuple we have."""
    if TUPLE_REPLY not in parts:
        raise MalformedMessageError("no reply tuple")
    status = number_of(parts, STATUS)
    if not status & (SRC_NAT | DST_NAT):
        return parts[TUPLE_REPLY], b""
    original, reply = tuple_of(parts[TUPLE_ORIG]), tuple_of(parts[TUPLE_REPLY])
    nat = b""
    if status & SRC_NAT:
        nat += _range(NAT_SRC, reply.destination, _port(reply, DST_PORT))
    if status & DST_NAT:
        nat += _range(NAT_DST, reply.source, _port(reply, SRC_PORT))
    return _inverse(original, reply), nat


def _port(reply: Tuple, kind: int) -> bytes:
    """What NAT may have changed besides the address: a port, or the identifier of an ICMP query."""
    return reply.l4.get(kind) or reply.l4.get(ICMP_ID) or reply.l4.get(ICMPV6_ID) or b""


def _range(kind: int, address: bytes, port: bytes) -> bytes:
    """A NAT range of exactly one address and port."""
    low, high = (NAT_V4_MIN, NAT_V4_MAX) if len(address) == 4 else (NAT_V6_MIN, NAT_V6_MAX)
    body = attribute(low, address) + attribute(high, address)
    if port:
        body += attribute(NAT_PROTO | NESTED, attribute(NAT_PORT_MIN, port) + attribute(NAT_PORT_MAX, port))
    return attribute(kind | NESTED, body)


def _inverse(original: Tuple, reply: Tuple) -> bytes:
    """The reply tuple a connection without NAT would have. ICMP keeps the reply's type and code, with our identifier."""
    l4 = dict(reply.l4)
    if SRC_PORT in original.l4 and DST_PORT in original.l4:
        l4 |= {SRC_PORT: original.l4[DST_PORT], DST_PORT: original.l4[SRC_PORT]}
    for kind in (ICMP_ID, ICMPV6_ID):
        if kind in original.l4:
            l4[kind] = original.l4[kind]
    source, destination = (V4_SRC, V4_DST) if len(original.source) == 4 else (V6_SRC, V6_DST)
    addresses = attribute(source, original.destination) + attribute(destination, original.source)
    proto = attribute(PROTO_NUM, bytes((reply.protocol,))) + b"".join(attribute(kind, l4[kind]) for kind in sorted(l4))
    zone = attribute(TUPLE_ZONE, reply.zone) if reply.zone else b""
    return attribute(TUPLE_REPLY | NESTED, attribute(TUPLE_IP | NESTED, addresses) + attribute(TUPLE_PROTO | NESTED, proto) + zone)


# -- what the kernel refused ------------------------------------------------------------------------------------------


def mended(refused: bytes, number: int) -> bytes:
    """Another way to say what the kernel refused with this errno; empty when there is none.

    An update of what is not there creates it; a master or a helper that this kernel does not have is left out, and a timeout
    that is fixed here.
    """
    length, kind, flags, _sequence, _port_id = HEADER.unpack_from(refused)
    if kind != NEW or number == errno.EEXIST:
        return b""
    parts = parts_of(refused[:length])
    family = family_of(refused)
    without_master = dict(parts)
    without_master.pop(TUPLE_MASTER, None)
    if STATUS in parts:
        without_master[STATUS] = attribute(STATUS, struct.pack(">I", number_of(parts, STATUS) & ~EXPECTED))
    if number == errno.ENOENT and not flags & CREATE and TUPLE_REPLY in parts:
        return created(family, without_master) + message(NEW, REQUEST, family, _kept(without_master), Service.CREATE)
    if number == errno.ENOENT and TUPLE_MASTER in parts:
        return message(NEW, flags, family, b"".join(without_master.values()))
    if number == errno.EBUSY and number_of(parts, STATUS) & EXPECTED:
        return message(NEW, flags, family, b"".join(without_master.values()))
    if number == errno.EPERM and number_of(parts, STATUS) & FIXED_TIMEOUT and TIMEOUT in parts:
        # It is there, with a timeout that is fixed.
        parts.pop(TIMEOUT)
        return message(NEW, REQUEST, family, b"".join(parts.values()))
    if number == errno.EOPNOTSUPP and HELP in parts:
        parts.pop(HELP)
        return message(NEW, flags, family, b"".join(parts.values()))
    return b""


def is_injectable(kind: int) -> bool:
    """What a peer may have our kernel told: connections, and nothing else netfilter understands."""
    return kind in (NEW, DELETE)
