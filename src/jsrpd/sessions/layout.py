"""The same surgery, fast: events of one kind have one layout, so it is worked out once and checked in a single step.

A layout is where which attribute begins. Most events of a busy node share a dozen layouts; one ``unpack`` of all attribute
headers proves that the next event has the layout too, and its parts are slices. Anything unusual goes the plain way.
"""

import struct

from jsrpd.sessions.ctnetlink import (
    ATTRIBUTE,
    CREATE,
    DELETE,
    DST_NAT,
    DST_PORT,
    EXCLUSIVE,
    EXPECTED,
    HEADER,
    IPPROTO_GRE,
    KEPT,
    NAT_DST,
    NAT_PORT_MAX,
    NAT_PORT_MIN,
    NAT_PROTO,
    NAT_SRC,
    NAT_V4_MAX,
    NAT_V4_MIN,
    NAT_V6_MAX,
    NAT_V6_MIN,
    NESTED,
    NEW,
    PREFIX,
    PROTOINFO,
    REQUEST,
    SRC_NAT,
    SRC_PORT,
    STANDBY_TIMEOUT,
    STATUS,
    TIMEOUT,
    TUPLE_MASTER,
    TUPLE_ORIG,
    TUPLE_REPLY,
    TYPE_MASK,
    ZONE,
    MalformedMessageError,
    Parts,
    Service,
    created,
    liberal_windows,
    settled_status,
)

MOST_PER_LENGTH = 16
MOST_HEADS = 4096
NO_TIMEOUT = 0xFFFFFFFF
_SAYING = frozenset((*KEPT, TUPLE_MASTER))
PORT_HEADERS = (ATTRIBUTE.pack(6, SRC_PORT), ATTRIBUTE.pack(6, DST_PORT))


class Layout:
    """Where the attributes of a message stand. Fits every message with the same attribute headers and family of addresses."""

    __slots__ = (
        "_expected",
        "_kept",
        "_key",
        "_master",
        "_protocol_at",
        "_protoinfo",
        "_status",
        "_timeout",
        "_unpack",
        "addresses",
        "says",
        "slices",
    )

    def __init__(self, event: bytes) -> None:
        self.slices: dict[int, slice] = {}
        form = [f"={PREFIX}x"]
        at, end = PREFIX, len(event)
        while at + 4 <= end:
            length, kind = ATTRIBUTE.unpack_from(event, at)
            step = (length + 3) & ~3
            if length < 4 or at + step > end:
                break
            self.slices[kind & TYPE_MASK] = slice(at, at + step)
            # Whether it holds addresses of IPv4 or of IPv6, which a length alone does not tell, is the first header inside.
            form.append(f"I4xI{step - 12}x" if kind & TYPE_MASK == TUPLE_ORIG and step >= 12 else f"I{step - 4}x")
            at += step
        # What is no attribute here may be one in the next message of this length.
        form.append(f"I{end - at - 4}x" if end - at >= 4 else f"{end - at}x")
        if TUPLE_ORIG not in self.slices:
            raise MalformedMessageError("no original tuple")
        made = struct.Struct("".join(form))
        self._unpack = made.unpack
        self._expected = made.unpack(event)
        self.addresses = self._address_slices(event)
        self._kept = _runs([self.slices[kind] for kind in KEPT if kind in self.slices and kind not in (STATUS, PROTOINFO)])
        self.says = frozenset(self.slices) & _SAYING
        self._key = _runs([self.slices[kind] for kind in (TUPLE_ORIG, ZONE) if kind in self.slices])
        self._timeout = self.slices.get(TIMEOUT)
        self._status, self._protoinfo = self.slices.get(STATUS), self.slices.get(PROTOINFO)
        self._master = self.slices.get(TUPLE_MASTER)
        original = self.slices[TUPLE_ORIG]
        at = original.start + (32 if event[original.start + 8] == 8 else 56)
        self._protocol_at = at if at < original.stop else HEADER.size
        """Of a tuple in the usual form; else a place that holds no such number."""

    def fits(self, event: bytes) -> bool:
        """The event, of the same length, has these attributes in these places."""
        return self._unpack(event) == self._expected

    def _address_slices(self, event: bytes) -> tuple[slice, slice]:
        """Both addresses of either tuple, with their headers."""
        original = self.slices[TUPLE_ORIG]
        reply = self.slices.get(TUPLE_REPLY, original)
        size = 24 if event[original.start + 8] == 8 else 48
        return slice(original.start + 8, original.start + size), slice(reply.start + 8, reply.start + size)

    def key(self, event: bytes) -> bytes:
        """As ``ctnetlink.key_of``."""
        return b"".join([event[where] for where in self._key])

    def timeout_s(self, event: bytes) -> int:
        """What is left of the timeout, in seconds; the most there can be where it is not said."""
        return NO_TIMEOUT if self._timeout is None else int.from_bytes(event[self._timeout][4:8])

    def parts(self, event: bytes) -> Parts:
        """As ``parts_of``."""
        return {kind: event[where] for kind, where in self.slices.items()}

    def relayed(self, event: bytes, *, whole: bool) -> bytes:
        """As ``ctnetlink.relayed``."""
        body = [event[where] for where in self._kept]
        status = 0
        if self._status is not None:
            attribute = event[self._status]
            status = attribute[7] | attribute[6] << 8
            body.append(settled_status(attribute, event[self._protocol_at] == IPPROTO_GRE))
        if self._protoinfo is not None:
            body.append(liberal_windows(event[self._protoinfo]))
        body.append(STANDBY_TIMEOUT)
        kept = b"".join(body)
        family = event[HEADER.size]
        service = Service.CREATE if whole else Service.CHANGE
        if not status & (SRC_NAT | DST_NAT | EXPECTED):
            return _head(len(kept), REQUEST | CREATE, service, family) + kept
        update = _head(len(kept), REQUEST, service, family) + kept
        return self._created(event, family, status, kept) + update if whole else update

    def _created(self, event: bytes, family: int, status: int, kept: bytes) -> bytes:
        reply = self.slices.get(TUPLE_REPLY)
        nat = b""
        if reply is not None and self._master is None and not status & EXPECTED:
            nat = _undone_and_nat(event[self.slices[TUPLE_ORIG]], event[reply], status)
        if not nat:
            return created(family, self.parts(event))
        # The kernel takes the last of an attribute that is given twice.
        return _head(len(kept) + len(nat), REQUEST | CREATE | EXCLUSIVE, Service.TRANSLATION, family) + kept + nat

    def ended(self, event: bytes) -> bytes:
        """As ``ctnetlink.ended``."""
        body = event[self.slices[TUPLE_ORIG]]
        if ZONE in self.slices:
            body += event[self.slices[ZONE]]
        return _head(len(body), REQUEST, Service.CLOSE, event[HEADER.size], DELETE) + body


class Layouts:
    """Those seen so far, by length of the message; the one used last comes first."""

    def __init__(self) -> None:
        self._known: dict[int, list[Layout]] = {}

    def of(self, event: bytes) -> Layout:
        """MalformedMessageError for what is no event about a connection."""
        known = self._known.get(len(event))
        if known is not None:
            for place, layout in enumerate(known):
                if layout.fits(event):
                    if place:
                        known.insert(0, known.pop(place))
                    return layout
        made = Layout(event)
        self._known.setdefault(len(event), []).insert(0, made)
        del self._known[len(event)][MOST_PER_LENGTH:]
        return made


def _runs(slices: list[slice]) -> list[slice]:
    """Neighbouring slices joined, the original tuple first."""
    joined: list[slice] = []
    for one in slices:
        if joined and joined[-1].stop == one.start:
            joined[-1] = slice(joined[-1].start, one.stop)
        else:
            joined.append(one)
    return joined


_heads: dict[tuple[int, int, int, int, int], bytes] = {}


def _head(size: int, flags: int, service: int, family: int, kind: int = NEW) -> bytes:
    """Netlink header and nfgenmsg of a message with a body of this size."""
    key = (size, flags, service, family, kind)
    known = _heads.get(key)
    if known is None:
        if len(_heads) >= MOST_HEADS:
            _heads.clear()
        known = _heads[key] = HEADER.pack(PREFIX + size, kind, flags, service, 0) + bytes((family, 0, 0, 0))
    return known


# -- NAT of protocols with ports ----------------------------------------------------------------------------------------


def _template(kind: int, size: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Pieces of a NAT attribute between its two addresses and its two ports."""
    low, high = (NAT_V4_MIN, NAT_V4_MAX) if size == 4 else (NAT_V6_MIN, NAT_V6_MAX)
    ports = ATTRIBUTE.pack(20, NAT_PROTO | NESTED) + ATTRIBUTE.pack(6, NAT_PORT_MIN)
    whole = ATTRIBUTE.pack(4 + 2 * (4 + size) + 20, kind | NESTED) + ATTRIBUTE.pack(4 + size, low)
    return whole, ATTRIBUTE.pack(4 + size, high), ports, b"\0\0" + ATTRIBUTE.pack(6, NAT_PORT_MAX)


_TEMPLATES = {(kind, size): _template(kind, size) for kind in (NAT_SRC, NAT_DST) for size in (4, 16)}


def _nat(kind: int, address: bytes, port: bytes) -> bytes:
    first, second, third, fourth = _TEMPLATES[kind, len(address)]
    return b"".join((first, address, second, address, third, port, fourth, port, b"\0\0"))


def _undone_and_nat(original: bytes, reply: bytes, status: int) -> bytes:
    """The reply tuple as it was before NAT, and the NAT; empty when a tuple is not of the usual form.

    Offsets are those of a tuple of two addresses of ``size``, the protocol, and two ports.
    """
    size = 4 if len(reply) == 52 else 16 if len(reply) == 76 else 0
    if not size or len(original) != len(reply):
        return b""
    a, b = 12, 16 + size
    p, q = b + size + 16, b + size + 24
    for one in (original, reply):
        if one[p - 4 : p] != PORT_HEADERS[0] or one[q - 4 : q] != PORT_HEADERS[1]:
            return b""
    undone = (
        reply[:a],
        original[b : b + size],
        reply[a + size : b],
        original[a : a + size],
        reply[b + size : p],
        original[q : q + 2],
        reply[p + 2 : q],
        original[p : p + 2],
        reply[q + 2 :],
    )
    nat = b"".join(undone)
    if status & SRC_NAT:
        nat += _nat(NAT_SRC, reply[b : b + size], reply[q : q + 2])
    if status & DST_NAT:
        nat += _nat(NAT_DST, reply[a : a + size], reply[p : p + 2])
    return nat
