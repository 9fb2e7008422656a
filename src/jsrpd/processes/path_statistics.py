"""How the paths and this process fare, counted beside the decisions: sent, heard, lost, late. No decision reads it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from jsrpd.model.link_messages import PathId, path_name
from jsrpd.model.status import LATENESS_BOUNDS_NS, PathStatus
from jsrpd.model.time import SECOND, Duration, Instant
from jsrpd.wire.envelope import DropCause

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


class Lateness:
    """How late turns began: the worst of late, and all of them counted by their length."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENESS_BOUNDS_NS) + 1)
        self.sum: Duration = 0
        self._worst = Worst(LATENESS_SLICE)

    def began(self, now: Instant, late: Duration) -> None:
        """A turn; negative for one that was woken before its time."""
        late = max(0, late)
        self.counts[bisect_left(LATENESS_BOUNDS_NS, late)] += 1
        self.sum += late
        self._worst.note(now, late)

    def took(self, now: Instant, length: Duration) -> None:
        """Reading what had come held up what follows."""
        self._worst.note(now, length)

    def worst(self, now: Instant) -> Duration:
        """Within the last hour."""
        return self._worst.within(now)


@dataclass
class _Path:
    sent: int = 0
    received: int = 0
    lost: int = 0
    missed: int = 0
    errors: int = 0
    duplicates: int = 0
    last_sent: int = 0
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

    def sent(self, path: PathId, sequence: int, taken: bool) -> None:
        """A heartbeat was given to the kernel, which took it or not."""
        known = self._paths.setdefault(path, _Path())
        known.last_sent = sequence
        if taken:
            known.sent += 1
        else:
            known.errors += 1

    def heard(self, path: PathId, life: int, sequence: int, at: Instant, interval: Duration) -> None:
        """One arrived."""
        known = self._paths.setdefault(path, _Path())
        known.received += 1
        ahead = sequence - known.newest
        if life != known.life:
            known.life, known.newest, known.seen, known.expected = life, sequence, 1, 1
        elif ahead > 0:
            known.lost += ahead - 1
            known.missed += ahead - 1
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

    def dropped(self, path: PathId, cause: DropCause) -> None:
        """Something arrived that was none of the peer's heartbeats. Whoever is not admitted yet has made no mistake."""
        known = self._paths.setdefault(path, _Path())
        if cause is DropCause.REPLAYED:
            known.duplicates += 1
        elif cause is not DropCause.NOT_ADMITTED:
            known.errors += 1

    def failed(self, path: PathId) -> None:
        """The kernel could not receive."""
        self._paths.setdefault(path, _Path()).errors += 1

    def clear(self) -> None:
        """Counts begin anew; what the newest heartbeats tell of the path stays."""
        for known in self._paths.values():
            known.sent = known.received = known.lost = known.missed = known.errors = known.duplicates = 0

    def rows(self, now: Instant, interfaces: Sequence[tuple[PathId, str, bool]]) -> tuple[PathStatus, ...]:
        """Of the paths there are: (path, interface, whether it is heard)."""
        return tuple(self._row(now, *one) for one in interfaces)

    def _row(self, now: Instant, path: PathId, interface: str, up: bool) -> PathStatus:
        known = self._paths.get(path, _Path())
        missing = known.expected - known.seen.bit_count()
        late = self._late[path].within(now) if path in self._late else 0
        loss = round(100 * missing / known.expected, 1) if known.expected else 0.0
        return PathStatus(
            name=path_name(path),
            interface=interface,
            up=up,
            sent=known.sent,
            received=known.received,
            lost=max(0, known.lost),
            recent_loss_percent=loss,
            late_ns=late,
            errors=known.errors,
            duplicates=known.duplicates,
            last_sent=known.last_sent,
            last_received=known.newest,
            missed=known.missed,
        )
