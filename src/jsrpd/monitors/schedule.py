"""The schedule monitor: is the engine woken when it asked to be (SPEC section 9, reference 5.6)?

A slip is a turn that began later than it should by more than the limit. One of them is what a paused machine looks like; a
node whose engine slips again and again cannot be trusted to renew its lease, and a peer that does not slip is the better
owner. The lease protects what is owned meanwhile, whatever is decided here.
"""

from collections import deque

from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant, Timing

SLIPS = 3
WINDOW: Duration = 60 * SECOND
"""So many slips within it are a failure; so long without one, and it is over."""
LEAST_LIMIT: Duration = 100 * MILLISECOND
"""Below this a busy hypervisor is no news."""


def default_limit(timing: Timing) -> Duration:
    """Half of what makes a peer count as lost."""
    return max(timing.dead // 2, LEAST_LIMIT)


class ScheduleMonitor:
    """Told of every turn. ``limit``: how late a turn may begin."""

    def __init__(self, limit: Duration) -> None:
        self.limit = limit
        self.failed = False
        self.slips = 0
        self.longest: Duration = 0
        self.newest_at: Instant | None = None
        self._recent: deque[Instant] = deque()

    def began(self, now: Instant, late: Duration) -> bool:
        """A turn began at ``now``, this late; True when the verdict changed."""
        if late > self.limit:
            self.slips += 1
            self.longest = max(self.longest, late)
            self.newest_at = now
            self._recent.append(now)
        while self._recent and now - self._recent[0] > WINDOW:
            self._recent.popleft()
        failed = len(self._recent) >= SLIPS or (self.failed and bool(self._recent))
        changed, self.failed = failed != self.failed, failed
        return changed

    @property
    def recent(self) -> int:
        """Slips within the window."""
        return len(self._recent)
