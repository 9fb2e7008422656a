"""Clocks of simulated nodes. The world has one true time; every node reads it shifted and stretched."""

from dataclasses import dataclass

from jsrpd.model.time import Duration, Instant

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class NodeClock:
    """Boot-time clock of one node: ``offset`` ns at true time 0, ``rate`` parts per million fast."""

    offset: Duration = 1_000_000_000
    rate: int = 0

    def read(self, true: Instant) -> Instant:
        """What the node reads at true time ``true``, ns."""
        return self.offset + true + true * self.rate // MILLION

    def first_at(self, local: Instant) -> Instant:
        """Earliest true time at which the node reads ``local`` or more, never negative."""
        true = max(0, (local - self.offset) * MILLION // (MILLION + self.rate) - 1)
        while self.read(true) < local:
            true += 1
        return true

    def last_at(self, local: Instant) -> Instant:
        """Latest true time at which the node reads ``local`` or less; -1 when that was before the world began."""
        return self.first_at(local + 1) - 1
