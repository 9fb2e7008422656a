"""Is the engine woken in time: what counts as a slip, when slips are a failure, and when it is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.model.time import MILLISECOND, SECOND, Timing
from jsrpd.monitors.schedule import LEAST_LIMIT, SLIPS, WINDOW, ScheduleMonitor, default_limit

LIMIT = 150 * MILLISECOND


@pytest.mark.parametrize(("interval_ms", "threshold", "limit_ms"), [(100, 5, 250), (100, 3, 150), (10, 3, 100), (2000, 20, 20000)])
def test_the_limit_follows_the_dead_time(interval_ms: int, threshold: int, limit_ms: int) -> None:
    assert default_limit(Timing(interval_ms * MILLISECOND, threshold)) == limit_ms * MILLISECOND
    assert default_limit(Timing(interval_ms * MILLISECOND, threshold)) >= LEAST_LIMIT


def test_a_paused_machine_is_no_failure() -> None:
    """One slip, however long."""
    monitor = ScheduleMonitor(LIMIT)
    assert not monitor.began(0, LIMIT)
    assert not monitor.began(SECOND, 3600 * SECOND)
    assert (monitor.slips, monitor.longest, monitor.failed) == (1, 3600 * SECOND, False)


def test_slip_after_slip_is_one_until_a_quiet_minute() -> None:
    monitor = ScheduleMonitor(LIMIT)
    changes = [monitor.began(n * SECOND, LIMIT + 1) for n in range(SLIPS + 2)]
    assert changes == [False, False, True, False, False]
    last = (SLIPS + 1) * SECOND
    assert not monitor.began(last + WINDOW, 0)
    assert monitor.began(last + WINDOW + 1, 0)
    assert (monitor.failed, monitor.slips, monitor.recent) == (False, SLIPS + 2, 0)


def test_rare_slips_never_add_up() -> None:
    monitor = ScheduleMonitor(LIMIT)
    assert not any(monitor.began(n * (WINDOW // 2 + 1), LIMIT + 1) for n in range(100))
    assert monitor.slips == 100


@given(st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(0, 2 * LIMIT)), max_size=60))
def test_the_verdict_follows_from_the_slips(turns: list[tuple[int, int]]) -> None:
    """Against the rule read backwards: failed from the third slip in a minute until the newest is a minute old."""
    monitor, now, slips, failed = ScheduleMonitor(LIMIT), 0, [], False
    for apart, late in turns:
        now += apart
        monitor.began(now, late)
        slips += [now] if late > LIMIT else []
        recent = [at for at in slips if now - at <= WINDOW]
        failed = len(recent) >= SLIPS or (failed and bool(recent))
        assert (monitor.failed, monitor.recent) == (failed, len(recent))
