"""Heartbeats and acknowledgements as bytes: a fixed head, a bitmap of groups, and ten bytes for each group.

Big-endian. Unknown bytes behind the known fields are ignored, so a newer release may append. Whatever the bytes,
decoding answers with a value or ``MalformedError``, nothing else.
"""

import struct
from functools import lru_cache

from jsrpd.model.link_messages import Acknowledgement, GroupReport, Heartbeat, PeerRequest, RequestKind
from jsrpd.model.roles import MANUAL_PRIORITY, MAX_GROUP, GroupState, RedundancyMode

HEAD = struct.Struct(">BBHB8sQQH")
"""flags, mode, interval in ms, threshold, configuration digest, echo incarnation, echo sequence, paths heard."""
GROUP = struct.Struct(">BBh3s3s")
"""flags, configured priority, weight, failures, generation: ten bytes."""
REQUEST = struct.Struct(">IBBB")
ACKNOWLEDGEMENT = struct.Struct(">QQB")
"""echo incarnation, echo sequence, flags; the bitmap of groups follows."""
BITMAP_BYTES = MAX_GROUP // 8 + 1
MAX_REQUESTS = 16
MAX_VERSION_BYTES = 32
MAX_INTERFACE_BYTES = 32
ALL_INTERFACES = (1 << 8 * MAX_INTERFACE_BYTES) - 1
KINDS = frozenset(RequestKind)
STOPPED = 1
ALONE = 1

STATE_MASK, MANUAL_FLAG, GATE_FLAG, PRIORITY_SHIFT = 0x07, 0x20, 0x40, 3
PRIORITY_ZERO, PRIORITY_CONFIGURED, PRIORITY_MANUAL = 0, 1, 2


class MalformedError(ValueError):
    """Authenticated bytes that do not make a message: a release that breaks its word."""


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """ValueError for what the format cannot carry. A longer version or more than 256 interfaces are cut: the rest counts."""
    try:
        return _encode_heartbeat(heartbeat)
    except (struct.error, OverflowError) as error:
        raise ValueError(str(error)) from error


def _encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    head = HEAD.pack(
        STOPPED if heartbeat.stopped else 0,
        heartbeat.mode,
        heartbeat.interval_ms,
        heartbeat.threshold,
        heartbeat.configuration_digest,
        heartbeat.echo_incarnation,
        heartbeat.echo_sequence,
        heartbeat.paths_heard,
    )
    reports = sorted(heartbeat.groups, key=lambda report: report.group)
    present = sum(1 << report.group for report in reports)
    requests = heartbeat.requests[:MAX_REQUESTS]
    interfaces_up = heartbeat.interfaces_up & ALL_INTERFACES
    return b"".join(
        [
            head,
            _short(heartbeat.software_version.encode("ascii", "replace")[:MAX_VERSION_BYTES]),
            _short(interfaces_up.to_bytes((interfaces_up.bit_length() + 7) // 8)),
            present.to_bytes(BITMAP_BYTES),
            *(_encode_group(report) for report in reports),
            bytes([len(requests)]),
            *(REQUEST.pack(r.id, r.kind, r.group, r.node) for r in requests),
        ]
    )


def _short(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _encode_group(report: GroupReport) -> bytes:
    kinds = {0: PRIORITY_ZERO, report.configured_priority: PRIORITY_CONFIGURED, MANUAL_PRIORITY: PRIORITY_MANUAL}
    if report.effective_priority not in kinds:
        raise ValueError(f"effective priority {report.effective_priority} is neither 0, configured nor 255")
    flags = report.state | kinds[report.effective_priority] << PRIORITY_SHIFT
    flags |= MANUAL_FLAG if report.manual else 0
    flags |= GATE_FLAG if report.gate_open else 0
    weight = max(-32768, min(32767, report.weight))
    failures, generation = report.failures.to_bytes(3), report.generation.to_bytes(3)
    return GROUP.pack(flags, report.configured_priority, weight, failures, generation)


def decode_heartbeat(data: bytes) -> Heartbeat:
    """MalformedError for anything that is not a heartbeat."""
    try:
        return _decode_heartbeat(data)
    except (struct.error, IndexError, ValueError) as error:
        raise MalformedError(str(error)) from error


def _decode_heartbeat(data: bytes) -> Heartbeat:
    flags, mode, interval_ms, threshold, digest, incarnation, sequence, paths = HEAD.unpack_from(data)
    if interval_ms == 0 or threshold == 0:
        raise ValueError("no dead time")
    version, at = _take_short(data, HEAD.size, MAX_VERSION_BYTES)
    interfaces, at = _take_short(data, at, MAX_INTERFACE_BYTES)
    present = int.from_bytes(_take(data, at, BITMAP_BYTES))
    if present >> MAX_GROUP + 1:
        raise ValueError("unknown group")
    at += BITMAP_BYTES
    groups = []
    for number in range(MAX_GROUP + 1):
        if present >> number & 1:
            groups.append(_decode_group(number, _take(data, at, GROUP.size)))
            at += GROUP.size
    count = data[at]
    if count > MAX_REQUESTS:
        raise ValueError("too many requests")
    requests = [REQUEST.unpack_from(data, at + 1 + n * REQUEST.size) for n in range(count)]
    return Heartbeat(
        mode=RedundancyMode(mode),
        software_version=version.decode(),
        interval_ms=interval_ms,
        threshold=threshold,
        configuration_digest=digest,
        echo_incarnation=incarnation,
        echo_sequence=sequence,
        paths_heard=paths,
        interfaces_up=int.from_bytes(interfaces),
        groups=tuple(groups),
        # A newer release may wish what this one does not know.
        requests=tuple(
            PeerRequest(number, RequestKind(kind), group, node) for number, kind, group, node in requests if kind in KINDS
        ),
        stopped=bool(flags & STOPPED),
    )


def _take(data: bytes, at: int, length: int) -> bytes:
    piece = data[at : at + length]
    if len(piece) != length:
        raise ValueError("truncated")
    return piece


def _take_short(data: bytes, at: int, most: int) -> tuple[bytes, int]:
    length = data[at]
    if length > most:
        raise ValueError("field too long")
    return _take(data, at + 1, length), at + 1 + length


# Lines seldom change: with 128 groups and several paths most of the engine's idle time would be spent here.
@lru_cache(maxsize=4 * (MAX_GROUP + 1))
def _decode_group(number: int, line: bytes) -> GroupReport:
    flags, configured, weight, failures, generation = GROUP.unpack(line)
    priorities = {PRIORITY_ZERO: 0, PRIORITY_CONFIGURED: configured, PRIORITY_MANUAL: MANUAL_PRIORITY}
    kind = flags >> PRIORITY_SHIFT & 3
    if kind not in priorities:
        raise ValueError("unknown kind of priority")
    return GroupReport(
        group=number,
        state=GroupState(flags & STATE_MASK),
        configured_priority=configured,
        effective_priority=priorities[kind],
        weight=weight,
        failures=int.from_bytes(failures),
        manual=bool(flags & MANUAL_FLAG),
        gate_open=bool(flags & GATE_FLAG),
        generation=int.from_bytes(generation),
    )


def encode_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    """34 bytes."""
    flags = ALONE if acknowledgement.alone else 0
    echo = ACKNOWLEDGEMENT.pack(acknowledgement.echo_incarnation, acknowledgement.echo_sequence, flags)
    return echo + acknowledgement.primary_groups.to_bytes(BITMAP_BYTES)


def decode_acknowledgement(data: bytes) -> Acknowledgement:
    """MalformedError for anything shorter."""
    if len(data) < ACKNOWLEDGEMENT.size + BITMAP_BYTES:
        raise MalformedError("truncated")
    incarnation, sequence, flags = ACKNOWLEDGEMENT.unpack_from(data)
    primary = int.from_bytes(data[ACKNOWLEDGEMENT.size : ACKNOWLEDGEMENT.size + BITMAP_BYTES])
    return Acknowledgement(incarnation, sequence, primary, bool(flags & ALONE))
