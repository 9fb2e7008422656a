"""What is counted of paths and of the engine's punctuality."""

from jsrpd.model.link_messages import FIRST_FABRIC_PATH
from jsrpd.model.status import PathStatus, SessionStatus
from jsrpd.model.time import MILLISECOND, SECOND
from jsrpd.processes.path_statistics import PATH_SLICE, SLICES, WINDOW, PathStatistics, ServiceCounts, Worst

INTERVAL = 100 * MILLISECOND
LIFE = 77
START = 1_000_000 * SECOND


class Peer:
    """Sends a heartbeat each interval; those in ``lost`` do not arrive."""

    def __init__(self) -> None:
        self.statistics = PathStatistics()
        self.now = START

    def send(self, *sequences: int, late: int = 0, life: int = LIFE) -> None:
        for sequence in sequences:
            self.statistics.heard(0, life, sequence, self.now + sequence * INTERVAL + late, INTERVAL)

    def row(self, after: int = 0) -> PathStatus:
        (row,) = self.statistics.rows(self.now + after, [(0, "ctl0", True)])
        return row


def test_all_is_heard() -> None:
    peer = Peer()
    peer.send(*range(1, 51))
    peer.statistics.sent(0)
    assert peer.row() == PathStatus("control link 0", "ctl0", True, 1, 50, 0, 0.0, 0)


def test_a_path_that_was_never_used() -> None:
    (row,) = PathStatistics().rows(START, [(FIRST_FABRIC_PATH, "fab", False)])
    assert row == PathStatus("fabric link 0", "fab", False, 0, 0, 0, 0.0, 0)


def test_what_was_dropped_is_an_error() -> None:
    peer = Peer()
    peer.statistics.dropped(0)
    peer.send(1)
    assert (peer.row().errors, peer.row().received) == (1, 1)


def test_what_is_missing_is_lost() -> None:
    peer = Peer()
    peer.send(1, 2, 4, 5, 10)
    assert (peer.row().received, peer.row().lost, peer.row().recent_loss_percent) == (5, 5, 50.0)


def test_what_was_overtaken_is_not_lost_and_counts_once() -> None:
    peer = Peer()
    peer.send(1, 3, 2, 2)
    assert (peer.row().received, peer.row().lost, peer.row().recent_loss_percent) == (4, 0, 0.0)
    peer.send(-5)  # Before anything that was counted.
    assert peer.row().lost == 0


def test_loss_is_forgotten_when_it_is_long_ago() -> None:
    peer = Peer()
    peer.send(1, 3)
    assert peer.row().recent_loss_percent == 33.3
    peer.send(*range(4, 4 + WINDOW))
    assert (peer.row().lost, peer.row().recent_loss_percent) == (1, 0.0)
    peer.send(4 * WINDOW)
    assert peer.row().recent_loss_percent == 99.6


def test_a_new_life_of_the_peer_begins_anew() -> None:
    peer = Peer()
    peer.send(500, 502)
    peer.send(1, life=LIFE + 1)
    peer.send(2, life=LIFE + 1)
    assert (peer.row().lost, peer.row().recent_loss_percent) == (1, 0.0)


def test_cleared_counts_begin_anew_and_what_is_recent_stays() -> None:
    peer = Peer()
    peer.send(1, 3)
    peer.statistics.sent(0)
    peer.statistics.dropped(0)
    peer.statistics.clear()
    row = peer.row()
    assert (row.sent, row.received, row.lost, row.errors, row.recent_loss_percent) == (0, 0, 0, 0, 33.3)
    peer.send(4)
    assert (peer.row().received, peer.row().lost) == (1, 0)


def test_services_since_they_were_cleared() -> None:
    def status(sent: int, received: int) -> SessionStatus:
        return SessionStatus(True, True, True, "", services=(("create", sent, received),))

    counts = ServiceCounts()
    assert counts.since(None) is None
    assert counts.since(status(5, 6)) == status(5, 6)
    counts.clear(status(5, 6))
    assert counts.since(status(7, 9)) == status(2, 3)
    assert counts.since(status(1, 0)) == status(1, 0), "a process that began anew"
    assert counts.since(status(7, 9)) == status(7, 9)
    counts.clear(None)
    assert counts.since(status(7, 9)) == status(7, 9)


def test_lateness_of_a_path_without_its_losses() -> None:
    peer = Peer()
    peer.send(1, 2)
    peer.send(5, late=7 * MILLISECOND)
    assert peer.row().late_ns == 7 * MILLISECOND
    peer.send(6)
    assert peer.row().late_ns == 7 * MILLISECOND, "the worst of a minute"
    assert peer.row(after=SLICES * PATH_SLICE + SECOND).late_ns == 0


def test_the_worst_is_forgotten_a_slice_at_a_time() -> None:
    worst = Worst(SECOND)
    worst.note(START, 5)
    worst.note(START + SECOND, 9)
    worst.note(START + 2 * SECOND, 3)
    worst.note(START + 2 * SECOND, 2)
    assert worst.within(START + 2 * SECOND) == 9
    assert worst.within(START + SLICES * SECOND) == 9
    assert worst.within(START + (SLICES + 1) * SECOND) == 3
    assert worst.within(START + 100 * SLICES * SECOND) == 0
    worst.note(START, 4)
    assert worst.within(START + 100 * SLICES * SECOND) == 4, "a clock that stands still loses nothing"
