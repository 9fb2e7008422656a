"""The IP monitor: reachable or not, thresholds, roles, and how each node asks."""

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from jsrpd.model.configuration import IpMonitoring, IpTarget, Reth, RethUnitAddress
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import MILLISECOND, SECOND, Instant
from jsrpd.monitors.events import (
    Action,
    EchoHeard,
    EchoRefused,
    Failed,
    FailureCountsCleared,
    OwnershipChanged,
    Recovered,
    SendEcho,
    TimePassed,
    Way,
)
from jsrpd.monitors.ip import NO_REPLY, NOT_ASKED, RISE, UNASKED, IpMonitor, way

RETH = Reth(
    "reth1",
    1,
    1,
    "wan0",
    "wan1",
    bytes(6),
    (RethUnitAddress("192.0.2.1", 24), RethUnitAddress("2001:db8::1", 64)),
)
A, B = "192.0.2.100", "192.0.2.101"
TWO = (IpTarget(A, 100, "reth1", "192.0.2.9"), IpTarget(B, 60, "reth1", "192.0.2.9"))
CONFIGURATION = IpMonitoring(200, 100, 200, 5, TWO)
INTERVAL = 200 * MILLISECOND


@dataclass
class World:
    """A monitor, a clock, and which addresses answer how late."""

    monitor: IpMonitor
    now: Instant = 0
    silent: set[str] = field(default_factory=set)
    delay: int = 1 * MILLISECOND
    said: list[Action] = field(default_factory=list)
    asked: list[SendEcho] = field(default_factory=list)
    under_way: list[tuple[Instant, EchoHeard]] = field(default_factory=list)

    def run(self, rounds: float) -> list[Action]:
        """So many intervals; the verdicts."""
        self.said = []
        end = self.now + int(rounds * INTERVAL)
        while True:
            due = self.monitor.deadline()
            assert due is not None
            events = sorted([at for at, _ in self.under_way] + [due])
            if events[0] > end:
                self.now = end
                return self.said
            self.now = max(self.now, events[0])
            for at, heard in [one for one in self.under_way if one[0] <= self.now]:
                self.under_way.remove((at, heard))
                self.said += self.monitor.handle(self.now, heard)
            if due <= self.now:
                self._take(self.monitor.handle(self.now, TimePassed()))

    def _take(self, actions: list[Action]) -> None:
        for action in actions:
            if not isinstance(action, SendEcho):
                self.said.append(action)
                continue
            self.asked.append(action)
            if action.address not in self.silent:
                self.under_way.append((self.now + self.delay, EchoHeard(action.address, action.sequence)))

    def statuses(self) -> list[tuple[str, int, str]]:
        return [(t.status, t.failure_count, t.reason) for t in self.monitor.status().targets]


def world(configuration: IpMonitoring = CONFIGURATION, owner: bool = True) -> World:
    monitor = IpMonitor(1, configuration, (RETH,), 0)
    monitor.handle(0, OwnershipChanged(owner))
    return World(monitor)


def test_reachable_by_the_first_answer() -> None:
    w = world()
    assert w.statuses() == [("unknown", 0, "")] * 2
    assert w.run(0.5) == []
    assert w.statuses() == [("reachable", 0, "")] * 2


def test_unreachable_after_retry_count_requests() -> None:
    w = world()
    w.run(2.5)
    w.silent.add(A)
    # The request of round 3 is the first without an answer; the fifth is judged when the sixth goes out.
    assert w.run(5) == []
    assert w.run(1) == [
        Failed(1, FailureCode.IP, "ip-monitoring", 200, f"unreachable weight 100 ({A})", "100"),
    ]
    assert w.statuses() == [("unreachable", 1, NO_REPLY), ("reachable", 0, "")]


@pytest.mark.parametrize("phase", [0.01, 0.5, 0.99])
def test_a_standby_has_its_verdict_an_interval_before_the_owner(phase: float) -> None:
    """Whatever the phases of the two, so that a common failure moves nothing."""
    owner, standby = world(), world(owner=False)
    owner.run(2 + phase)
    standby.run(3)
    for w in (owner, standby):
        w.silent.add(A)
    while not standby.monitor.failure:
        standby.run(0.05)
        assert owner.run(0.05) == []
    assert owner.run(0.95) == []
    assert len(owner.run(2)) == 1


def test_below_the_threshold_nothing_fails() -> None:
    w = world()
    w.silent.add(B)
    assert w.run(10) == []
    status = w.monitor.status()
    assert (status.current_threshold, [t.status for t in status.targets]) == (40, ["reachable", "unreachable"])


def test_sum_over_the_threshold() -> None:
    w = world(replace(CONFIGURATION, global_threshold=150))
    w.silent.add(A)
    assert w.run(10) == []
    w.silent.add(B)
    (failed,) = w.run(10)
    assert isinstance(failed, Failed)
    assert (failed.weight, failed.limit) == (200, "150")
    assert w.monitor.status().current_threshold == -10
    assert list(w.monitor.present_failures()) == [failed]


def test_threshold_zero_fails_with_any_address_that_weighs() -> None:
    w = world(replace(CONFIGURATION, global_threshold=0, targets=(replace(TWO[0], weight=0), TWO[1])))
    w.silent.add(A)
    assert w.run(10) == []
    w.silent.add(B)
    assert len(w.run(10)) == 1


def test_recovery_needs_several_answers_in_a_row() -> None:
    w = world()
    w.silent.add(A)
    w.run(8)
    w.silent.clear()
    assert w.run(RISE - 1) == []
    (recovered,) = w.run(2)
    assert recovered == Recovered(1, FailureCode.IP, "ip-monitoring", "unreachable weight 0", "100")
    assert w.statuses()[0] == ("reachable", 1, "")
    assert list(w.monitor.present_failures()) == []


def test_answers_slower_than_the_interval_count() -> None:
    w = world()
    w.delay = 3 * INTERVAL + 50 * MILLISECOND
    assert w.run(40) == []
    assert w.statuses() == [("reachable", 0, "")] * 2


def test_lost_now_and_then_is_reachable() -> None:
    w = world()
    w.run(0.5)
    for _ in range(10):
        w.silent.add(A)
        assert w.run(4) == []
        w.silent.clear()
        assert w.run(1) == []
    assert w.statuses()[0] == ("reachable", 0, "")


def test_a_loop_that_was_held_up_judges_one_request() -> None:
    """However long the machine stood still, and whatever it hears afterwards."""
    w = world()
    w.run(3)
    w.under_way.clear()
    for _ in range(4):
        w.now += 100 * SECOND
        w.said = []
        w._take(w.monitor.handle(w.now, TimePassed()))
        w.under_way.clear()
        assert w.said == []
        assert w.monitor.deadline() == w.now + INTERVAL


def test_an_answer_to_nothing_is_nothing() -> None:
    w = world()
    w.silent.add(A)
    w.run(8)
    for sequence in (0, 99, -1):
        assert w.monitor.handle(w.now, EchoHeard(A, sequence)) == []
    for _ in range(5):
        w.monitor.handle(w.now, EchoHeard(A, 3))
    assert w.monitor.handle(w.now, EchoHeard("198.51.100.1", 1)) == []
    assert w.statuses()[0][0] == "unreachable"


def test_the_reason_is_the_kernels() -> None:
    w = world()
    w.silent.add(A)
    w.run(1)
    w.monitor.handle(w.now, EchoRefused(A, "no route to host"))
    w.monitor.handle(w.now, EchoRefused("198.51.100.1", "what"))
    w.run(8)
    assert w.statuses()[0] == ("unreachable", 1, "no route to host")


def test_failure_counts_are_cleared() -> None:
    w = world()
    w.silent |= {A, B}
    w.run(8)
    w.monitor.handle(w.now, FailureCountsCleared(A))
    assert [count for _, count, _ in w.statuses()] == [0, 1]
    w.monitor.handle(w.now, FailureCountsCleared())
    assert [count for _, count, _ in w.statuses()] == [0, 0]


def test_a_change_of_role_begins_a_new_count_but_no_new_verdict() -> None:
    w = world()
    w.silent |= {A, B}
    w.run(8)
    w.monitor.handle(w.now, OwnershipChanged(False))
    assert w.statuses()[0][0] == "unreachable"
    w.silent.clear()
    (recovered,) = w.run(RISE + 1)
    assert isinstance(recovered, Recovered)
    assert {one.way for one in w.asked[-2:]} == {Way("192.0.2.9", "wan0")}


def test_behind_a_shut_gate_nothing_is_asked_and_nothing_concluded() -> None:
    w = world()
    w.run(2)
    asked = len(w.asked)
    w.monitor.handle(w.now, OwnershipChanged(None))
    w.silent |= {A, B}
    assert w.run(20) == []
    assert len(w.asked) == asked
    assert w.statuses() == [("reachable", 0, "")] * 2


def test_who_cannot_ask_keeps_the_verdict_for_a_while() -> None:
    """Else two nodes without addresses of their own would pass a group with a dead upstream to and fro."""
    w = world(replace(CONFIGURATION, targets=(IpTarget(A, 100, "reth1"),)))
    w.silent.add(A)
    assert len(w.run(8)) == 1
    w.monitor.handle(w.now, OwnershipChanged(False))
    rounds = UNASKED // INTERVAL
    asked = len(w.asked)
    assert w.run(rounds - 1) == []
    (recovered,) = w.run(3)
    assert isinstance(recovered, Recovered)
    assert w.statuses() == [("unknown", 1, NOT_ASKED)]
    assert len(w.asked) == asked


LOCAL = replace(RETH, node_local_addresses=(RethUnitAddress("192.0.2.2", 24),))
WAYS = [
    (IpTarget(A, 1, "reth1", "192.0.2.9"), RETH, True, Way("192.0.2.1", "reth1")),
    (IpTarget(A, 1, "reth1", "192.0.2.9"), RETH, False, Way("192.0.2.9", "wan0")),
    (IpTarget(A, 1, "reth1"), LOCAL, False, Way("192.0.2.2", "wan0")),
    (IpTarget(A, 1, "reth1"), replace(LOCAL, mac=b""), False, Way("192.0.2.2", "reth1")),
    (IpTarget(A, 1, "reth1"), RETH, False, None),
    (IpTarget(A, 1), RETH, True, Way("192.0.2.1", "reth1")),
    (IpTarget("2001:db8::5", 1, "reth1", "2001:db8::9"), RETH, True, Way("2001:db8::1", "reth1")),
    (IpTarget("2001:db8::5", 1, "reth1", "2001:db8::9"), RETH, False, Way("2001:db8::9", "wan0")),
    (IpTarget("198.51.100.7", 1, "reth1", "192.0.2.9"), RETH, True, Way("192.0.2.1", "reth1")),
    (IpTarget("198.51.100.7", 1, "reth1", "192.0.2.9"), RETH, False, None),
    (IpTarget("198.51.100.7", 1), RETH, True, Way()),
    (IpTarget("198.51.100.7", 1), RETH, False, None),
    (IpTarget("198.51.100.7", 1, "reth1"), replace(RETH, addresses=RETH.addresses[1:]), True, None),
]


@pytest.mark.parametrize(("target", "reth", "owner", "expected"), WAYS)
def test_ways(target: IpTarget, reth: Reth, owner: bool, expected: Way | None) -> None:
    assert way(target, (reth,), owner) == expected
