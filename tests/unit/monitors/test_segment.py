"""The segment monitor: who is cut off when one segment falls silent, and when it is well again."""

from collections.abc import Callable

import pytest

from jsrpd.model.time import MILLISECOND, SECOND, Duration, Timing
from jsrpd.monitors.segment import (
    FIRST_QUESTIONS,
    Action,
    AskHosts,
    SegmentFailed,
    SegmentMonitor,
    SegmentRecovered,
    SegmentsObserved,
)

TIMING = Timing(100 * MILLISECOND, 3)
CONTROL, LAN, WAN = 0, 8, 9

Received = Callable[[Duration], int | None]


def silent(_now: Duration) -> int | None:
    return 7


def busy(now: Duration) -> int | None:
    return now // MILLISECOND


def no_carrier(_now: Duration) -> int | None:
    return None


class Node:
    """One node's monitor, and what it said when."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self.monitor = SegmentMonitor((LAN, WAN), timing, 0)
        self.heard = {CONTROL: 0, LAN: 0, WAN: 0}
        self.now = 0
        self.said: list[tuple[Duration, Action]] = []

    def run(self, length: Duration, received: Received, *, unheard: tuple[int, ...] = ()) -> list[Action]:
        """Let time pass; what the monitor ordered meanwhile."""
        before, until = len(self.said), self.now + length
        while (deadline := self.monitor.deadline()) is not None and deadline <= until:
            self.now = deadline
            self.heard |= {path: self.now for path in self.heard if path not in unheard}
            frames = {path: count for path in (LAN, WAN) if (count := received(self.now)) is not None}
            self.said += [
                (self.now, action) for action in self.monitor.handle(self.now, SegmentsObserved(dict(self.heard), frames))
            ]
        self.now = until
        return [action for _, action in self.said[before:]]


def verdicts(actions: list[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, AskHosts)]


def test_nothing_is_asked_while_hellos_are_heard() -> None:
    assert Node().run(10 * SECOND, silent) == []


def test_who_receives_nothing_has_lost_the_segment() -> None:
    node = Node()
    node.run(SECOND, silent)
    assert verdicts(node.run(SECOND, silent, unheard=(LAN,))) == [SegmentFailed(LAN)]
    failed_at = next(at for at, action in node.said if action == SegmentFailed(LAN))
    assert failed_at - SECOND <= TIMING.dead + 2 * TIMING.interval


def test_who_receives_something_keeps_it() -> None:
    node = Node()
    node.run(SECOND, busy)
    assert verdicts(node.run(60 * SECOND, busy, unheard=(LAN,))) == []


def test_hosts_are_asked_before_the_verdict_and_seldom_afterwards() -> None:
    node = Node()
    first = node.run(SECOND // 2, busy, unheard=(LAN,))
    assert first.count(AskHosts(LAN)) >= 2
    assert 28 <= node.run(30 * SECOND, busy, unheard=(LAN,)).count(AskHosts(LAN)) <= 31


def test_hosts_are_not_flooded_at_short_intervals() -> None:
    node = Node(Timing(10 * MILLISECOND, 3))
    asked = node.run(SECOND // 5, silent, unheard=(LAN,)).count(AskHosts(LAN))
    assert 1 <= asked <= SECOND // 5 // FIRST_QUESTIONS + 1


def test_a_peer_that_is_heard_nowhere_is_dead_and_the_segment_is_not_judged() -> None:
    assert Node().run(10 * SECOND, silent, unheard=(CONTROL, LAN, WAN)) == []


@pytest.mark.parametrize("unheard", [(LAN, WAN), (CONTROL, LAN)])
def test_any_other_path_tells_that_the_peer_lives(unheard: tuple[int, ...]) -> None:
    assert SegmentFailed(LAN) in Node().run(SECOND, silent, unheard=unheard)


def test_a_link_without_carrier_is_left_to_the_interface_monitor() -> None:
    assert Node().run(10 * SECOND, no_carrier, unheard=(LAN,)) == []


def test_a_segment_never_heard_is_not_judged() -> None:
    node = Node()
    del node.heard[LAN]
    assert node.run(10 * SECOND, silent) == []


def test_the_survivor_that_loses_the_segment_later_notices() -> None:
    node = Node()
    node.run(5 * SECOND, busy, unheard=(LAN,))
    assert verdicts(node.run(5 * SECOND, silent, unheard=(LAN,))) == [SegmentFailed(LAN)]


def test_recovery_by_hellos_takes_the_dead_time() -> None:
    node = Node()
    node.run(SECOND, silent, unheard=(LAN,))
    assert verdicts(node.run(TIMING.dead - TIMING.interval, silent)) == []
    assert verdicts(node.run(2 * TIMING.interval, silent)) == [SegmentRecovered(LAN)]


def test_hellos_that_come_and_go_are_no_recovery() -> None:
    node = Node()
    node.run(SECOND, silent, unheard=(LAN,))
    for _ in range(10):
        assert verdicts(node.run(2 * TIMING.interval, silent)) == []
        node.run(3 * TIMING.interval, silent, unheard=(LAN,))


def test_recovery_by_answers_when_the_peer_has_died_meanwhile() -> None:
    node = Node()
    node.run(SECOND, silent, unheard=(LAN,))
    gone = (CONTROL, LAN, WAN)
    assert verdicts(node.run(10 * SECOND, silent, unheard=gone)) == []
    assert verdicts(node.run(5 * SECOND, busy, unheard=gone)) == [SegmentRecovered(LAN)]


def test_without_segments_there_is_nothing_to_wait_for() -> None:
    assert SegmentMonitor((), TIMING, 0).deadline() is None
