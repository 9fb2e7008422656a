"""What the engine counts by path, and what clearing means for counters that others keep."""

import pytest

from jsrpd.management.engine_link import StatisticsCleared
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, FabricLink, Reth
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH
from jsrpd.model.status import HeartbeatCounters, SessionStatus
from jsrpd.processes.statistics_desk import StatisticsDesk
from jsrpd.wire.envelope import DropCause

CONFIGURATION = ClusterConfiguration(
    1,
    0,
    control_links=(ControlLink(0, "ctl0"), ControlLink(1, "ctl1")),
    fabric_links=(FabricLink(0, "fab", "fab"),),
    reths=(Reth("reth0", 0, 1, "lan", "lan", bytes(6)),),
)
NOTHING = [
    HeartbeatCounters("control", 0, "ctl0", 0, 0, 0, 0, 0, 0),
    HeartbeatCounters("control", 1, "ctl1", 0, 0, 0, 0, 0, 0),
    HeartbeatCounters("fabric", 0, "fab", 0, 0, 0, 0, 0, 0),
    HeartbeatCounters("in-band", 0, "lan", 0, 0, 0, 0, 0, 0),
]


def counted() -> StatisticsDesk:
    desk = StatisticsDesk()
    for sequence in (7, 8):
        desk.sent(0, sequence, taken=True)
        desk.sent(FIRST_FABRIC_PATH, sequence, taken=sequence == 7)
    for sequence in (3, 4, 5):
        desk.heard(0, sequence)
    desk.heard(FIRST_IN_BAND_PATH, 5)
    desk.dropped(0, DropCause.REPLAYED)
    desk.dropped(1, DropCause.NOT_AUTHENTIC)
    desk.dropped(1, DropCause.NOT_ADMITTED)
    desk.failed(1)
    return desk


def test_by_path() -> None:
    assert list(StatisticsDesk().heartbeats(CONFIGURATION)) == NOTHING
    assert list(counted().heartbeats(CONFIGURATION)) == [
        HeartbeatCounters("control", 0, "ctl0", 2, 3, 0, 1, 8, 5),
        HeartbeatCounters("control", 1, "ctl1", 0, 0, 2, 0, 0, 0),
        HeartbeatCounters("fabric", 0, "fab", 1, 0, 1, 0, 8, 0),
        HeartbeatCounters("in-band", 0, "lan", 0, 1, 0, 0, 0, 5),
    ]


def test_a_path_that_is_configured_no_more_is_not_shown() -> None:
    assert counted().heartbeats(ClusterConfiguration(1, 0)) == ()


def test_cleared() -> None:
    """Counts begin anew; sequence numbers are no counts."""
    desk = counted()
    reply = desk.clear(StatisticsCleared(9, True, False), None)
    assert (reply.id, reply.ok, reply.text) == (9, True, "Cleared control-plane statistics")
    assert [(p.sent, p.received, p.errors, p.duplicates, p.last_sent) for p in desk.heartbeats(CONFIGURATION)] == [
        (0, 0, 0, 0, 8),
        (0, 0, 0, 0, 0),
        (0, 0, 0, 0, 8),
        (0, 0, 0, 0, 0),
    ]


def sessions(sent: int, received: int, **counters: int) -> SessionStatus:
    return SessionStatus(True, True, True, "complete", services=(("Session create", sent, received),), counters=counters)


def test_sessions_are_counted_by_another_process() -> None:
    desk = StatisticsDesk()
    assert desk.sessions(None) is None
    assert desk.sessions(sessions(5, 6, ambiguous=2)) == sessions(5, 6, ambiguous=2)
    assert desk.clear(StatisticsCleared(1, False, True), sessions(5, 6, ambiguous=2)).text == "Cleared data-plane statistics"
    assert desk.sessions(sessions(9, 6, ambiguous=2, refused=1)) == sessions(4, 0, ambiguous=0, refused=1)


@pytest.mark.parametrize("sent", [0, 4])
def test_a_new_session_process_begins_at_zero(sent: int) -> None:
    desk = StatisticsDesk()
    text = desk.clear(StatisticsCleared(1, True, True), sessions(5, 6)).text
    assert text == "Cleared control-plane statistics\nCleared data-plane statistics"
    assert desk.sessions(sessions(sent, 7)) == sessions(sent, 1)
