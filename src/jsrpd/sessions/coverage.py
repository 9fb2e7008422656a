"""The engine's view of the session process: which groups lack the peer's connections here, because it says so or is silent.

Only groups this node is not primary for can lack anything: an owner's own table is the truth. So whatever happens to the
session process, no owner yields because of it.
"""

from collections.abc import Iterable

from jsrpd.model.roles import RG0
from jsrpd.model.time import SECOND, Duration, Instant

SILENT_AFTER: Duration = 5 * SECOND
"""It reports twice a second; it is restarted at once when it crashes."""


class Coverage:
    """One per engine."""

    def __init__(self, now: Instant, on: bool) -> None:
        self._on = on
        self._covered = False
        self._heard_at = self._looked_at = now

    def configured(self, on: bool) -> None:
        """Session synchronisation was switched on or off."""
        self._on = on

    def reported(self, now: Instant, covered: bool) -> None:
        """The session process spoke."""
        self._covered, self._heard_at = covered, now

    def failing(self, now: Instant, groups: Iterable[int], primary: Iterable[int]) -> frozenset[int]:
        """The groups whose cold-sync monitor has failed on this node."""
        self._looked_at = now
        if not self._on or (self._covered and now - self._heard_at < SILENT_AFTER):
            return frozenset()
        return frozenset(groups) - frozenset(primary) - {RG0}

    def deadline(self) -> Instant | None:
        """When silence will begin to count; None once it does."""
        due = self._heard_at + SILENT_AFTER
        return due if self._on and self._covered and due > self._looked_at else None
