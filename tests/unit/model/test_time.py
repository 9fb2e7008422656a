"""The intervals of the ownership protocol, derived from the two configured numbers (SPEC section 4, LEASE "Terms")."""

import pytest

from jsrpd.configuration.schema import CLUSTER
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.time import MILLISECOND, Timing

TABLE = {
    # interval x threshold: T, slop, L, S, grace, start-up hold, lateness, fresh, quiet; all in ms
    (5, 3): (15, 2, 13, 6, 15, 1000, 4.5, 7.5, 6.25),
    (10, 3): (30, 2, 28, 16, 30, 1000, 7, 15, 12.5),
    (10, 5): (50, 2, 48, 31, 50, 1000, 7, 15, 12.5),
    (100, 3): (300, 6, 294, 188, 100, 1000, 56, 150, 125),
    (100, 5): (500, 10, 490, 330, 100, 1500, 60, 150, 125),
    (1000, 3): (3000, 60, 2940, 1880, 100, 9000, 560, 1500, 1250),
    (1000, 5): (5000, 100, 4900, 3300, 100, 15000, 600, 1500, 1250),
    (2000, 20): (40000, 800, 39200, 35400, 100, 120000, 1800, 3000, 2500),
}


def derived(timing: Timing) -> tuple[float, ...]:
    """In the order of the table, in ms."""
    intervals = (
        timing.dead,
        timing.slop,
        timing.lease,
        timing.lease_silence,
        timing.grace,
        timing.start_up_hold,
        timing.lateness,
        timing.fresh,
        timing.quiet,
    )
    return tuple(interval / MILLISECOND for interval in intervals)


@pytest.mark.parametrize(("configured", "expected"), TABLE.items())
def test_derived_intervals(configured: tuple[int, int], expected: tuple[float, ...]) -> None:
    assert derived(Timing(configured[0] * MILLISECOND, configured[1])) == expected


def bounds(statement: str) -> range:
    """The whole range that may be configured."""
    value = CLUSTER[statement].value
    assert value is not None
    low, high = value.description.split()[0].split("..")
    return range(int(low), int(high) + 1)


def test_every_combination_that_may_be_configured_makes_sense() -> None:
    """0 < S < L < T, and the margins the rules rest on. No other combination passes the check of the configuration."""
    for interval_ms in bounds("heartbeat-interval"):
        for threshold in bounds("heartbeat-threshold"):
            t = Timing(interval_ms * MILLISECOND, threshold)
            assert 0 < t.lease_silence < t.lease < t.dead, t
            assert t.lease_silence > t.interval, "one heartbeat on its way is no silence"
            assert t.interval < t.quiet < t.fresh < t.lease, t
            assert 0 < t.grace <= t.dead <= t.start_up_hold, t
            assert t.interval // 2 < t.lateness < t.dead, t
            # Rule 7 begins before the lease of a heartbeat acknowledged an interval before the last word runs out; with
            # four heartbeats in T one more may be lost on the way.
            lost = t.fresh if threshold >= 4 else t.interval
            assert t.lease_silence + lost < t.lease, t


def test_the_configuration_carries_milliseconds() -> None:
    timing = ClusterConfiguration(1, 0, heartbeat_interval_ms=10, heartbeat_threshold=3).timing
    assert (timing.interval, timing.threshold) == (10 * MILLISECOND, 3)
