"""Time as the cluster knows it: integer nanoseconds of the kernel's boot-time clock, never the wall clock.

All intervals of the ownership protocol derive from the two configured numbers, heartbeat-interval and
heartbeat-threshold, in one place so that the core, the simulator and the displays cannot disagree.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

Instant: TypeAlias = int
"""Nanoseconds on the boot-time clock of this node."""

Duration: TypeAlias = int
"""Nanoseconds."""

NOT_SOON: Instant = 1 << 62
"""Later than any run."""

MICROSECOND: Duration = 1_000
MILLISECOND: Duration = 1_000_000
SECOND: Duration = 1_000_000_000

SHORTEST_START_UP_HOLD: Duration = SECOND
"""However short the timers are: nobody who has just started claims sooner (LEASE 21)."""


def seconds(length: Duration) -> str:
    """A duration as operators read it: ``2.41 ms``, ``1.5 s``, ``4 min``."""
    if length < SECOND:
        return f"{length / MILLISECOND:.3g} ms"
    if length < 120 * SECOND:
        return f"{length / SECOND:.3g} s"
    minutes = round(length / SECOND / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True)
class Timing:
    """The intervals of the ownership protocol (SPEC section 4, LEASE "Terms"). All values in nanoseconds, derived once."""

    interval: Duration
    threshold: int

    @cached_property
    def dead(self) -> Duration:
        """T: silence after which a peer counts as lost."""
        return self.interval * self.threshold

    @cached_property
    def slop(self) -> Duration:
        """Allowance for clock-rate error and timer slop, nothing else."""
        return max(self.dead // 50, 2 * MILLISECOND)

    @cached_property
    def lease(self) -> Duration:
        """L: how long a gate stays open after the send time it was derived from."""
        return self.dead - self.slop

    @cached_property
    def lease_silence(self) -> Duration:
        """S: silence after which the peer counts as unheard for the lease (LEASE terms)."""
        if self.threshold >= 4:
            return self.lease - self.interval * 3 // 2 - self.slop
        return self.lease - self.interval - self.slop

    @cached_property
    def verdict(self) -> Duration:
        """V: how long the answer of a probed address stands, counted from when it was asked. Half the dead time: whoever was
        cut off from peer and address at once is shut by it before the peer claims (decision 0136)."""
        return self.dead // 2

    @cached_property
    def grace(self) -> Duration:
        """Longest time the old owner's gate may stay open in a hand-over."""
        return min(self.dead, 100 * MILLISECOND)

    @cached_property
    def start_up_hold(self) -> Duration:
        """Longest stay in hold after start when no peer answers."""
        return max(3 * self.dead, SHORTEST_START_UP_HOLD)

    @cached_property
    def lateness(self) -> Duration:
        """Oversleep beyond which nothing is concluded about the peer (LEASE 3)."""
        return self.interval // 2 + self.slop

    @cached_property
    def fresh(self) -> Duration:
        """1.5 intervals: how recently a fit peer must have been heard, and how current acknowledgements must be."""
        return self.interval * 3 // 2

    @cached_property
    def quiet(self) -> Duration:
        """1.25 intervals: silence that starts evidence gathering (LEASE 5) and the mute time after start (LEASE 20)."""
        return self.interval * 5 // 4
