"""How the paths and this process fare, counted beside the decisions: sent, heard, lost, late. No decision reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from jsrpd.model.link_messages import PathId, path_name
from jsrpd.model.status import PathStatus, SessionStatus
from jsrpd.model.time import SECOND, Duration, Instant

WINDOW = 256
"""Sequence numbers of the peer over which the recent loss is counted."""
SLICES, LATENESS_SLICE, PATH_SLICE = 12, 300 * SECOND, 5 * SECOND
"""The worst is remembered for an hour of this process and for a minute of each path, and forgotten a slice at a time."""


class Worst:
    """The highest of what was noted within the last ``SLICES`` slices."""

    def __init__(self, slice_length: Duration) -> None:
        self._length = slice_length
        self._slices = [0] * SLICES
        self._at = 0

    def note(self, now: Instant, value: Duration) -> None:
        """One more."""
        self._turn(now)
        place = self._at % SLICES
        if value > self._slices[place]:
            self._slices[place] = value

    def within(self, now: Instant) -> Duration:
        """The highest."""
        self._turn(now)
        return max(self._slices)

    def _turn(self, now: Instant) -> None:
        at = now // self._length
        for one in range(max(self._at + 1, at - SLICES + 1), at + 1):
            self._slices[one % SLICES] = 0
        self._at = max(self._at, at)


@dataclass
class _Path:
    sent: int = 0
    received: int = 0
    lost: int = 0
    errors: int = 0
    life: int = 0
    """Incarnation of the peer that is counted."""
    newest: int = 0
    seen: int = 0
    """Bits of the newest ``WINDOW`` sequence numbers, the newest first."""
    expected: int = 0
    """How many of these bits stand for a heartbeat."""
    heard_at: Instant = 0


class PathStatistics:
    """Counts by path. Every heartbeat goes out on all paths with one number, so a number missing on one was lost there."""

    def __init__(self) -> None:
        self._paths: dict[PathId, _Path] = {}
        self._late: dict[PathId, Worst] = {}

    def sent(self, path: PathId) -> None:
        """A heartbeat went out."""
        self._paths.setdefault(path, _Path()).sent += 1

    def heard(self, path: PathId, life: int, sequence: int, at: Instant, interval: Duration) -> None:
        """One arrived."""
        known = self._paths.setdefault(path, _Path())
        known.received += 1
        ahead = sequence - known.newest
        if life != known.life:
            known.life, known.newest, known.seen, known.expected = life, sequence, 1, 1
        elif ahead > 0:
            known.lost += ahead - 1
            known.seen = (known.seen << min(ahead, WINDOW) | 1) & (1 << WINDOW) - 1
            known.expected = min(WINDOW, known.expected + ahead)
            late = at - known.heard_at - ahead * interval
            self._late.setdefault(path, Worst(PATH_SLICE)).note(at, max(0, late))
            known.newest = sequence
        elif -ahead < known.expected and not known.seen >> -ahead & 1:
            # Overtaken on the way, not lost.
            known.lost -= 1
            known.seen |= 1 << -ahead
        known.heard_at = at

    def dropped(self, path: PathId) -> None:
        """Something arrived that was none of the peer's heartbeats."""
        self._paths.setdefault(path, _Path()).errors += 1

    def clear(self) -> None:
        """Begin to count anew; what is recent stays."""
        for known in self._paths.values():
            known.sent = known.received = known.lost = known.errors = 0

    def rows(self, now: Instant, interfaces: Sequence[tuple[PathId, str, bool]]) -> tuple[PathStatus, ...]:
        """Of the paths there are: (path, interface, whether it is heard)."""
        return tuple(self._row(now, *one) for one in interfaces)

    def _row(self, now: Instant, path: PathId, interface: str, up: bool) -> PathStatus:
        known = self._paths.get(path, _Path())
        missing = known.expected - known.seen.bit_count()
        late = self._late[path].within(now) if path in self._late else 0
        loss = round(100 * missing / known.expected, 1) if known.expected else 0.0
        return PathStatus(path_name(path), interface, up, known.sent, known.received, known.lost, loss, late, known.errors)


class ServiceCounts:
    """Messages about sessions since the counts were cleared. A session process that began anew counts from zero again."""

    def __init__(self) -> None:
        self._cleared: dict[str, tuple[int, int]] = {}

    def clear(self, status: SessionStatus | None) -> None:
        """What has been counted so far no longer counts."""
        self._cleared = {name: (sent, received) for name, sent, received in status.services} if status is not None else {}

    def since(self, status: SessionStatus | None) -> SessionStatus | None:
        """The same, without what was counted before."""
        if status is None or not self._cleared:
            return status
        if any(sent < self._cleared.get(name, (0, 0))[0] for name, sent, _ in status.services):
            self._cleared = {}
            return status
        rest = tuple((name, *self._less(name, sent, received)) for name, sent, received in status.services)
        return msgspec.structs.replace(status, services=rest)

    def _less(self, name: str, sent: int, received: int) -> tuple[int, int]:
        before = self._cleared.get(name, (0, 0))
        return sent - before[0], max(0, received - before[1])
