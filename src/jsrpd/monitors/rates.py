"""How fast a counter grows, over a window that moves along."""

from collections import deque

from jsrpd.model.time import Duration, Instant


class Rate:
    """Growth of one counter within the last ``window``."""

    def __init__(self, window: Duration) -> None:
        self.window = window
        self._seen: deque[tuple[Instant, int]] = deque()

    def take(self, now: Instant, count: int) -> int:
        """The growth up to now. A counter that fell began anew, with its device."""
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, count))
        while now - self._seen[0][0] > self.window:
            self._seen.popleft()
        return count - self._seen[0][1]
