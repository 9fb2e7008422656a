"""What is counted of paths and of the engine's punctuality."""

from jsrpd.model.link_messages import FIRST_FABRIC_PATH
from jsrpd.model.status import LATENESS_BOUNDS_NS, PathStatus
from jsrpd.model.time import MILLISECOND, SECOND
from jsrpd.processes.path_statistics import PATH_SLICE, SLICES, WINDOW, Lateness, PathStatistics, Worst
from jsrpd.wire.envelope import DropCause

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
    peer.statistics.sent(0, 9, taken=True)
    assert peer.row() == PathStatus("control link 0", "ctl0", True, 1, 50, 0, 0.0, 0, 0, 0, 9, 50)


def test_what_was_overtaken_is_not_lost_but_was_missed() -> None:
    """The first tells an operator how it is, the second is for who computes rates of what never falls."""
    peer = Peer()
    peer.send(1, 4, 2)
    assert (peer.row().lost, peer.row().missed) == (1, 2)


def test_lateness_is_counted_by_length() -> None:
    lateness = Lateness()
    for late in (-5 * SECOND, 0, LATENESS_BOUNDS_NS[0], LATENESS_BOUNDS_NS[0] + 1, 2 * SECOND):
        lateness.began(START, late)
    assert lateness.counts == [3, 1, *[0] * (len(LATENESS_BOUNDS_NS) - 2), 1]
    assert lateness.sum == 2 * LATENESS_BOUNDS_NS[0] + 1 + 2 * SECOND
    assert lateness.worst(START) == 2 * SECOND
    lateness.took(START, 3 * SECOND)
    assert lateness.worst(START) == 3 * SECOND
    assert sum(lateness.counts) == 5, "a long turn is not a late one"


def test_a_path_that_was_never_used() -> None:
    (row,) = PathStatistics().rows(START, [(FIRST_FABRIC_PATH, "fab", False)])
    assert row == PathStatus("fabric link 0", "fab", False, 0, 0, 0, 0.0, 0)


def test_what_cannot_be_sent_received_or_believed_is_an_error() -> None:
    """A repetition is none, and whoever is not admitted yet has made no mistake."""
    peer = Peer()
    for cause in (DropCause.NOT_AUTHENTIC, DropCause.REPLAYED, DropCause.REPLAYED, DropCause.NOT_ADMITTED):
        peer.statistics.dropped(0, cause)
    peer.statistics.failed(0)
    peer.statistics.sent(0, 4, taken=False)
    peer.send(1)
    row = peer.row()
    assert (row.errors, row.duplicates, row.sent, row.received, row.last_sent) == (3, 2, 0, 1, 4)


def test_cleared() -> None:
    """Counts begin anew; sequence numbers are no counts, and how the path fares is not forgotten."""
    peer = Peer()
    peer.send(1, 2, 4)
    peer.statistics.sent(0, 7, taken=True)
    peer.statistics.dropped(0, DropCause.REPLAYED)
    peer.statistics.clear()
    assert peer.row() == PathStatus("control link 0", "ctl0", True, 0, 0, 0, 25.0, 0, 0, 0, 7, 4)
    peer.send(3)
    assert (peer.row().lost, peer.row().received) == (0, 1), "it was counted as lost before"


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
