"""When a node counts as having the peer's connections, and that nothing keeps it waiting for ever."""

import pytest

from jsrpd.model.time import MILLISECOND, SECOND, Instant
from jsrpd.sessions.cold_sync import (
    ALONE_AFTER,
    ASK_AGAIN,
    DEADLINE,
    GRACE,
    AskForAll,
    ColdSync,
    Event,
    GapFound,
    Happened,
    PeerHeard,
    PeerJoined,
    PeerLost,
    Refused,
    ResyncBegan,
    ResyncEnded,
    RoomFound,
    State,
    TimePassed,
)
from jsrpd.sessions.coverage import SILENT_AFTER, Coverage

START = 100 * SECOND


def joined() -> tuple[ColdSync, int]:
    machine = ColdSync(START, 10)
    (asked,) = machine.handle(START + 1, PeerJoined())
    assert isinstance(asked, AskForAll)
    return machine, asked.number


def complete() -> ColdSync:
    machine, number = joined()
    machine.handle(START + 2, ResyncBegan(number))
    machine.handle(START + 3, ResyncEnded(number))
    return machine


def at_deadlines(machine: ColdSync, until: Instant) -> list[Instant]:
    """Let time pass as a loop would; when something was due."""
    seen: list[Instant] = []
    while (due := machine.deadline()) is not None and due <= until:
        assert not seen or due > seen[-1], "a deadline must not stand still"
        seen.append(due)
        machine.handle(due, TimePassed())
    return seen


def test_a_full_table_is_no_cover_and_nothing_gives_that_up() -> None:
    """The end mark means nothing when some of what came before it found no room; when there is room, all is asked for again."""
    machine = complete()
    (told,) = machine.handle(START + SECOND, Refused())
    assert isinstance(told, Happened)
    assert machine.handle(START + SECOND, Refused()) == [], "told once"
    assert machine.handle(START + SECOND, ResyncEnded(11)) == []
    assert machine.covered(START + SECOND + GRACE - 1)
    at_deadlines(machine, START + 10 * DEADLINE)
    assert machine.state == State.REFUSED
    assert not machine.covered(START + 10 * DEADLINE)
    again = START + 10 * DEADLINE
    (asked,) = machine.handle(again, RoomFound())
    assert isinstance(asked, AskForAll)
    assert machine.handle(again, TimePassed()) == [], "the peer has its time from now on"
    assert not machine.covered(again), "it was not covered a moment ago"
    machine.handle(again + 1, ResyncBegan(asked.number))
    machine.handle(again + 2, ResyncEnded(asked.number))
    assert machine.covered(again + 2)
    assert machine.handle(again + 3, RoomFound()) == []


@pytest.mark.parametrize("former", [ColdSync(START, 0), complete()])
def test_without_a_peer_nothing_can_be_refused(former: ColdSync) -> None:
    former.handle(START + 4, PeerLost())
    state = former.state
    assert former.handle(START + 5, Refused()) == []
    assert former.state == state


def test_covered_when_the_end_mark_has_come() -> None:
    machine, number = joined()
    assert not machine.covered(START + 1)
    machine.handle(START + 2, ResyncBegan(number))
    assert machine.state == State.RECEIVING
    assert not machine.covered(START + 2)
    (event,) = machine.handle(START + 3, ResyncEnded(number))
    assert event == Happened("Cold sync completed for PFE flowd")
    assert machine.covered(START + 3)
    assert machine.completed == 1


@pytest.mark.parametrize("other", [-1, 1])
def test_an_end_mark_of_another_number_proves_nothing(other: int) -> None:
    machine, number = joined()
    assert machine.handle(START + 2, ResyncEnded(number + other)) == []
    assert not machine.covered(START + 2)


def test_alone_there_is_nothing_to_learn() -> None:
    machine = ColdSync(START, 0)
    assert not machine.covered(START + ALONE_AFTER - 1)
    at_deadlines(machine, START + ALONE_AFTER)
    assert machine.state == State.ALONE
    assert machine.covered(START + ALONE_AFTER)


def test_a_peer_whose_engine_is_heard_is_waited_for_and_at_last_given_up() -> None:
    machine = ColdSync(START, 0)
    machine.handle(START, PeerHeard(True))
    at_deadlines(machine, START + DEADLINE - 1)
    assert not machine.covered(START + DEADLINE - 1)
    at_deadlines(machine, START + DEADLINE)
    assert machine.state == State.GIVEN_UP
    assert machine.covered(START + DEADLINE)
    assert machine.failed == 1


def test_a_peer_that_does_not_deliver_is_asked_again_and_at_last_given_up() -> None:
    machine, number = joined()
    numbers = [number]
    now = START + 1
    while machine.state != State.GIVEN_UP:
        due = machine.deadline()
        assert due is not None
        assert due > now
        now = due
        numbers += [a.number for a in machine.handle(now, TimePassed()) if isinstance(a, AskForAll)]
    assert now == START + DEADLINE
    assert len(numbers) == len(set(numbers)) >= DEADLINE // ASK_AGAIN - 1
    machine.handle(now + 1, ResyncEnded(numbers[-1]))
    assert machine.completed == 1, "better late than never"


@pytest.mark.parametrize("gap", [GapFound(), PeerJoined()])
def test_a_gap_is_mended_within_a_grace(gap: Event) -> None:
    machine = complete()
    (asked,) = machine.handle(START + 10 * SECOND, gap)
    assert isinstance(asked, AskForAll)
    assert machine.covered(START + 10 * SECOND + GRACE - 1)
    assert not machine.covered(START + 10 * SECOND + GRACE)
    machine.handle(START + 10 * SECOND + 1, ResyncEnded(asked.number))
    assert machine.covered(START + 20 * SECOND)


def test_repeated_gaps_do_not_prolong_the_grace() -> None:
    machine = complete()
    machine.handle(START + 10 * SECOND, GapFound())
    machine.handle(START + 12 * SECOND, GapFound())
    machine.handle(START + 14 * SECOND, GapFound())
    assert not machine.covered(START + 10 * SECOND + GRACE)


def test_a_dead_peer_has_nothing_more_to_tell() -> None:
    machine = complete()
    machine.handle(START + 10 * SECOND, PeerHeard(False))
    machine.handle(START + 11 * SECOND, PeerLost())
    assert machine.state == State.ALONE
    assert machine.covered(START + 1000 * SECOND)


def test_a_silent_session_process_of_a_living_peer_leaves_us_uncovered() -> None:
    machine = complete()
    machine.handle(START, PeerHeard(True))
    lost = START + 10 * SECOND
    machine.handle(lost, PeerLost())
    assert machine.state == State.LOST
    assert machine.covered(lost + GRACE - 1)
    assert not machine.covered(lost + GRACE)
    at_deadlines(machine, lost + DEADLINE)
    assert machine.covered(lost + DEADLINE), "not for ever"
    assert [type(action) for action in machine.handle(lost + DEADLINE + 1, PeerJoined())] == [AskForAll]


def test_its_death_as_a_whole_ends_the_waiting() -> None:
    machine = complete()
    machine.handle(START, PeerHeard(True))
    machine.handle(START + 10 * SECOND, PeerLost())
    machine.handle(START + 30 * SECOND, PeerHeard(False))
    assert machine.covered(START + 30 * SECOND)


# -- the engine's side ------------------------------------------------------------------------------------------------

GROUPS = (0, 1, 2)


def test_groups_of_others_fail_until_the_report() -> None:
    coverage = Coverage(START, True)
    assert coverage.failing(START, GROUPS, ()) == {1, 2}
    assert coverage.failing(START, GROUPS, (0, 1)) == {2}, "an owner's own table is the truth"
    coverage.reported(START + 1, True)
    assert coverage.failing(START + 1, GROUPS, ()) == frozenset()
    coverage.reported(START + 2, False)
    assert coverage.failing(START + 2, GROUPS, ()) == {1, 2}


def test_silence_counts_as_uncovered() -> None:
    coverage = Coverage(START, True)
    coverage.reported(START, True)
    due = coverage.deadline()
    assert due == START + SILENT_AFTER
    assert coverage.failing(due - MILLISECOND, GROUPS, ()) == frozenset()
    assert coverage.failing(due, GROUPS, ()) == {1, 2}
    assert coverage.deadline() is None, "or the engine would turn without a pause"


def test_switched_off_nothing_fails() -> None:
    coverage = Coverage(START, False)
    assert coverage.failing(START, GROUPS, ()) == frozenset()
    assert coverage.deadline() is None
    coverage.configured(True)
    assert coverage.failing(START, GROUPS, ()) == {1, 2}
