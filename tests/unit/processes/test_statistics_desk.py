"""What clearing means for counts of paths, and for those that others keep."""

import pytest

from jsrpd.management.engine_link import StatisticsCleared
from jsrpd.model.status import SessionStatus
from jsrpd.processes.path_statistics import PathStatistics
from jsrpd.processes.statistics_desk import StatisticsDesk


def test_paths() -> None:
    paths = PathStatistics()
    paths.sent(0, 7, taken=True)
    reply = StatisticsDesk(paths).clear(StatisticsCleared(9, True, False), None)
    assert (reply.id, reply.ok, reply.text) == (9, True, "Cleared control-plane statistics")
    (row,) = paths.rows(0, [(0, "ctl0", True)])
    assert (row.sent, row.last_sent) == (0, 7)


def sessions(sent: int, received: int, **counters: int) -> SessionStatus:
    return SessionStatus(True, True, True, "complete", services=(("Session create", sent, received),), counters=counters)


def test_sessions_are_counted_by_another_process() -> None:
    desk = StatisticsDesk(PathStatistics())
    assert desk.sessions(None) is None
    assert desk.sessions(sessions(5, 6, ambiguous=2)) == sessions(5, 6, ambiguous=2)
    assert desk.clear(StatisticsCleared(1, False, True), sessions(5, 6, ambiguous=2)).text == "Cleared data-plane statistics"
    assert desk.sessions(sessions(9, 6, ambiguous=2, refused=1)) == sessions(4, 0, ambiguous=0, refused=1)


@pytest.mark.parametrize("sent", [0, 4])
def test_a_new_session_process_begins_at_zero(sent: int) -> None:
    desk = StatisticsDesk(PathStatistics())
    text = desk.clear(StatisticsCleared(1, True, True), sessions(5, 6)).text
    assert text == "Cleared control-plane statistics\nCleared data-plane statistics"
    assert desk.sessions(sessions(sent, 7)) == sessions(sent, 1)
