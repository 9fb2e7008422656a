"""Surgery on what a kernel says of expectations: connections a helper has read of and that have not begun yet.

FTP announces a data connection inside its control connection; a firewall lets it pass because the helper expects it. The
peer's kernel takes the same expectation when it has the control connection, with its helper, first. What it may not be
given are the announcing kernel's ID and, but for SIP's signalling, the helper's name: there it would become the helper of
the connection that is expected, while in an event it is that of the connection that announced it. A kernel gives an
expectation the lifetime its own helper says, so one that is never fulfilled ends on a standby as it does on the owner.
"""

from jsrpd.sessions.ctnetlink import (
    ATTRIBUTE,
    CREATE,
    DELETE,
    GET,
    HEADER,
    NESTED,
    NEW,
    PREFIX,
    REQUEST,
    TUPLE_ORIG,
    TYPE_MASK,
    MalformedMessageError,
    Parts,
    attribute,
    message,
    value_of,
)

EXPECT_NEW, EXPECT_GET, EXPECT_DELETE = 0x200, 0x201, 0x202
"""Message types of subsystem 2."""
MASTER, EXPECTED_TUPLE, MASK, HELPER_NAME, EXPECT_ZONE, FLAGS, CLASS, EXPECT_NAT, FUNCTION = 1, 2, 3, 6, 7, 8, 9, 10, 11
KEPT = (MASTER, EXPECTED_TUPLE, MASK, EXPECT_ZONE, FLAGS, CLASS, EXPECT_NAT, FUNCTION)
SIP_SIGNALLING = 0
"""Class of the expectations of SIP that its helper is to read as well."""


def expectation_of(message: bytes) -> Parts:
    """Attributes of a message about an expectation, by type. MalformedMessageError unless it says whose and which."""
    found: Parts = {}
    at, end = PREFIX, len(message)
    while at + 4 <= end:
        length, kind = ATTRIBUTE.unpack_from(message, at)
        step = (length + 3) & ~3
        if length < 4 or at + step > end:
            break
        found[kind & TYPE_MASK] = message[at : at + step]
        at += step
    if MASTER not in found or EXPECTED_TUPLE not in found:
        raise MalformedMessageError("no master or no tuple")
    return found


def master_tuple(parts: Parts) -> bytes:
    """The original tuple of the connection that announced it, as attribute of a connection."""
    return attribute(TUPLE_ORIG | NESTED, value_of(parts[MASTER]))


def master_request(expectation: bytes, parts: Parts) -> bytes:
    """Asks a kernel for that connection."""
    return message(GET, REQUEST, expectation[HEADER.size], master_tuple(parts))


def expected(event: bytes, parts: Parts) -> bytes:
    """What the peer's kernel is told about an expectation; where it exists nothing changes."""
    kept = [parts[kind] for kind in KEPT if kind in parts]
    if HELPER_NAME in parts and value_of(parts[HELPER_NAME]).startswith(b"sip") and _class(parts) == SIP_SIGNALLING:
        kept.append(parts[HELPER_NAME])
    return message(EXPECT_NEW, REQUEST | CREATE, event[HEADER.size], b"".join(kept))


def no_longer_expected(event: bytes, parts: Parts) -> bytes:
    """What ends an expectation there. The master is for the receiver, who looks whose it is; the kernel does not need it."""
    body = parts[MASTER] + parts[EXPECTED_TUPLE] + parts.get(EXPECT_ZONE, b"")
    return message(EXPECT_DELETE, REQUEST, event[HEADER.size], body)


def is_about_its_end(event: bytes) -> bool:
    """Fulfilled, timed out, or its connection has ended."""
    return bool(ATTRIBUTE.unpack_from(event, 4)[0] == EXPECT_DELETE)


def split(content: bytes) -> list[tuple[bytes, bool]]:
    """Messages of a record, each with whether it is about an expectation. ValueError for anything a peer may not have our
    kernel told: connections and expectations, nothing else that netfilter understands."""
    found: list[tuple[bytes, bool]] = []
    at, size = 0, len(content)
    while at + PREFIX <= size:
        length, kind, _flags, _sequence, _port = HEADER.unpack_from(content, at)
        if kind not in (NEW, DELETE, EXPECT_NEW, EXPECT_DELETE) or length < PREFIX or at + length > size or length % 4:
            break
        found.append((content[at : at + length], kind in (EXPECT_NEW, EXPECT_DELETE)))
        at += length
    if at != size:
        raise ValueError("neither a connection nor an expectation")
    return found


def _class(parts: Parts) -> int:
    return int.from_bytes(value_of(parts[CLASS])) if CLASS in parts else 0
