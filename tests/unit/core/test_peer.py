"""What is remembered of the peer, and which silence counts from when."""

from jsrpd.core.events import AcknowledgementReceived, HeartbeatReceived, StrangerHeard
from jsrpd.core.peer import MAX_STRANGERS, SENT_HISTORY, Peer, SentHeartbeats
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH, Acknowledgement, PathId
from jsrpd.model.time import MILLISECOND, SECOND, Instant, Timing
from tests.unit.core.stage import OURS, THEIRS, heartbeat
from tests.unit.core.views import TIMING, report

START = 100 * SECOND


def heard(peer: Peer, sequence: int, at: Instant, path: PathId = 0, life: int = THEIRS) -> bool:
    event = HeartbeatReceived(path, life, sequence, at, heartbeat(groups=(report(generation=sequence),)))
    return peer.heartbeat_received(event, TIMING)


def acknowledged(peer: Peer, at: Instant, *, alone: bool) -> None:
    event = AcknowledgementReceived(0, THEIRS, at, Acknowledgement(OURS, 1, 0, alone))
    peer.acknowledgement_received(event, TIMING)


def test_send_times() -> None:
    """By sequence from 1; what was never sent or is forgotten has none."""
    sent = SentHeartbeats()
    for n in range(SENT_HISTORY + 2):
        assert sent.record(START + n) == n + 1
    assert sent.sent_at(SENT_HISTORY + 2) == START + SENT_HISTORY + 1
    assert sent.sent_at(3) == START + 2
    assert sent.sent_at(2) is None
    assert sent.sent_at(0) is None
    assert sent.sent_at(SENT_HISTORY + 3) is None


def test_only_the_newest_is_believed() -> None:
    """An overtaken heartbeat counts as heard, its state does not (LEASE 4), nor does it bind a claim."""
    peer = Peer(START, OURS)
    assert heard(peer, 5, START + 10)
    assert not heard(peer, 4, START + 20)
    assert peer.reports[1].generation == 5
    assert peer.last_heard == START + 20
    assert peer.unbound_since == START + 10


def test_acknowledgements_prolong_no_life() -> None:
    """They count as heard; a claim waits only for heartbeats, and for a peer whose gate stood open by itself."""
    peer = Peer(START, OURS)
    heard(peer, 1, START + 10)
    acknowledged(peer, START + 20, alone=False)
    assert (peer.quiet_since, peer.unbound_since) == (START + 20, START + 10)
    acknowledged(peer, START + 30, alone=True)
    assert peer.unbound_since == START + 30


def test_lateness_moves_both_silences() -> None:
    """Whoever slept cannot say that the other was silent (LEASE 3)."""
    peer = Peer(START, OURS)
    heard(peer, 1, START + 10)
    peer.note_lateness(START + 50)
    peer.note_lateness(START + 40)
    assert (peer.quiet_since, peer.unbound_since) == (START + 50, START + 50)
    assert peer.silence(START + 70) == 20
    assert peer.silence(START + 20) == 0


def test_never_heard_counts_from_the_start() -> None:
    peer = Peer(START, OURS)
    assert (peer.quiet_since, peer.unbound_since, peer.last_heard) == (START, START, None)


def test_a_new_life_has_promised_nothing() -> None:
    """It is another peer; that something was heard remains true."""
    peer = Peer(START, OURS)
    heard(peer, 9, START + 10)
    assert peer.echo(OURS, 7, START + 10)
    assert heard(peer, 1, START + 20, life=THEIRS + 1)
    assert (peer.first_heard, peer.echoed, peer.echoed_at) == (START + 20, 0, None)
    assert peer.reports[1].generation == 1


def test_echoes_of_others_are_not_ours() -> None:
    """An echo of an earlier life of ours, or of nothing, is none; an older echo takes nothing back."""
    peer = Peer(START, OURS)
    assert not peer.echo(OURS + 1, 5, START)
    assert not peer.echo(OURS, 0, START)
    assert peer.echo(OURS, 5, START)
    assert peer.echo(OURS, 4, START + 1)
    assert (peer.echoed, peer.echoed_at) == (5, START)


def test_the_run_of_the_control_links() -> None:
    """It begins anew after a silence longer than T; what the fabric carries is no part of it."""
    peer = Peer(START, OURS)
    heard(peer, 1, START, FIRST_FABRIC_PATH)
    assert peer.control_run_since is None
    heard(peer, 2, START + 1, 0)
    heard(peer, 3, START + 2, 1)
    assert peer.control_run_since == START + 1
    heard(peer, 4, START + 3 + TIMING.dead, 0)
    assert peer.control_run_since == START + 3 + TIMING.dead
    heard(peer, 5, START + 4 + TIMING.dead, 1)
    assert peer.control_run_since == START + 3 + TIMING.dead


def test_each_kind_of_link_has_a_silence_and_a_run_of_its_own() -> None:
    """A run begins anew when the kind was silent for longer than T; segments belong to neither."""
    peer = Peer(START, OURS)
    heard(peer, 1, START + 10)
    heard(peer, 1, START + 20, FIRST_FABRIC_PATH)
    heard(peer, 1, START + 30, FIRST_FABRIC_PATH + 1)
    heard(peer, 1, START + 40, FIRST_IN_BAND_PATH)
    assert (peer.control_quiet_since, peer.control_run_since) == (START + 10, START + 10)
    assert (peer.fabric_quiet_since, peer.fabric_run_since) == (START + 30, START + 20)
    again = START + 31 + TIMING.dead
    heard(peer, 2, again, FIRST_FABRIC_PATH)
    assert (peer.fabric_quiet_since, peer.fabric_run_since) == (again, again)
    assert peer.control_run_since == START + 10


# -- lives that are not admitted (decision 0061) ----------------------------------------------------------------------


STRANGER = 77
PATIENCE = 60 * SECOND


def stranger(peer: Peer, at: Instant, *, life: int = STRANGER, leads: int = 0, echo: int = 0) -> None:
    peer.stranger_heard(StrangerHeard(0, life, at, leads, echo), TIMING)


def speaks(peer: Peer, first: int, last: int) -> None:
    """A stranger, without a silence of T."""
    for at in range(first, last, TIMING.dead // 2):
        stranger(peer, at)
    stranger(peer, last)


def met() -> Peer:
    """Has met its peer before."""
    peer = Peer(START, OURS)
    heard(peer, 1, START)
    return peer


def owns(peer: Peer, now: Instant, group: int = 1, *, shut: bool = False) -> bool:
    return peer.stranger_owns(group, now, TIMING, shut)


def test_nobody_is_no_stranger() -> None:
    assert not owns(met(), START, shut=True)
    assert not met().stranger_may_own(1, TIMING)


def test_a_stranger_that_leads_owns_what_it_leads_until_it_has_been_silent_for_the_dead_time() -> None:
    peer = met()
    stranger(peer, START, leads=0b101)
    assert [owns(peer, START, group) for group in range(4)] == [True, False, True, False]
    assert owns(peer, START + TIMING.dead - 1, 2)
    assert not owns(peer, START + TIMING.dead, 2)
    peer.note_lateness(START + SECOND)
    assert owns(peer, START + SECOND + TIMING.dead - 1, 2)


def test_a_stranger_that_has_not_answered_for_the_dead_time_is_about_to_own() -> None:
    peer = met()
    stranger(peer, START)
    assert peer.stranger_may_own(1, TIMING)
    assert not owns(peer, START)
    stranger(peer, START + TIMING.dead - 1)
    assert not owns(peer, START + TIMING.dead - 1)
    stranger(peer, START + TIMING.dead)
    assert owns(peer, START + TIMING.dead)


def test_a_stranger_that_does_not_claim_when_its_hold_is_over_is_no_threat() -> None:
    peer, over = met(), TIMING.start_up_hold + 2 * TIMING.dead
    speaks(peer, START, START + over - 1)
    assert owns(peer, START + over - 1)
    stranger(peer, START + over)
    assert not owns(peer, START + over, shut=True)
    assert not peer.stranger_may_own(1, TIMING)
    stranger(peer, START + over, echo=1)
    assert owns(peer, START + over)


def test_a_stranger_that_was_silent_for_the_dead_time_counts_anew() -> None:
    """It was stopped, and has not had the time to claim (decision 0151)."""
    peer, over = Peer(START, OURS), TIMING.start_up_hold + 2 * TIMING.dead
    speaks(peer, START, START + over)
    assert not owns(peer, START + over)
    again = START + over + TIMING.dead
    stranger(peer, again - 1)
    assert not owns(peer, again - 1), "silent for less"
    again += TIMING.dead
    stranger(peer, again)
    assert owns(peer, again)
    speaks(peer, again, again + over - 1)
    assert owns(peer, again + over - 1)
    stranger(peer, again + over)
    assert not owns(peer, again + over)
    last = START + PATIENCE
    stranger(peer, last)
    assert not owns(peer, last), "nobody holds back for longer in all"


def test_a_stranger_that_gives_a_group_up_may_claim_it_again() -> None:
    """It hears nobody, so it will have waited for T (decision 0063)."""
    peer, over = met(), TIMING.start_up_hold + 2 * TIMING.dead
    speaks(peer, START, START + over)
    stranger(peer, START + over, leads=2)
    for at in (2 * over, 2 * over + 2 * TIMING.dead - 1):
        stranger(peer, START + at)
        assert [owns(peer, START + at, group) for group in (1, 2)] == [True, False]
    stranger(peer, START + 2 * over + 2 * TIMING.dead)
    assert not owns(peer, START + 2 * over + 2 * TIMING.dead)
    stranger(peer, START + 3 * over, leads=2)
    assert owns(peer, START + 3 * over)


def test_a_stranger_counts_at_once_for_who_slept_who_met_nobody_and_whom_it_hears() -> None:
    peer = met()
    stranger(peer, START)
    assert owns(peer, START, shut=True)
    new = Peer(START, OURS)
    stranger(new, START)
    assert owns(new, START)
    stranger(peer, START + 1, echo=1)
    assert owns(peer, START + 1)
    stranger(peer, START + 2)
    assert not owns(peer, START + 2)


def test_a_recording_holds_back_for_a_bounded_time_only() -> None:
    """Each life once, few lives, and none longer than its patience, whatever it says."""
    peer = met()
    stranger(peer, START, leads=2)
    stranger(peer, START + PATIENCE - 1, leads=2)
    assert owns(peer, START + PATIENCE - 1)
    stranger(peer, START + PATIENCE, leads=2)
    assert peer.stranger_at == START + PATIENCE - 1
    for life in range(1, 2 * MAX_STRANGERS):
        stranger(peer, START + 2 * PATIENCE, life=life, leads=2)
    assert len(peer.strangers) == MAX_STRANGERS
    late = START + 4 * PATIENCE
    stranger(peer, late, life=1, leads=2)
    stranger(peer, late, life=2 * MAX_STRANGERS, leads=2)
    assert not owns(peer, late)


def test_patience_is_twice_the_start_up_hold_where_that_is_longer() -> None:
    slow = Timing(2000 * MILLISECOND, 20)
    peer = met()
    peer.stranger_heard(StrangerHeard(0, STRANGER, START, 2, 0), slow)
    late = START + 2 * slow.start_up_hold
    peer.stranger_heard(StrangerHeard(0, STRANGER, late - 1, 2, 0), slow)
    peer.stranger_heard(StrangerHeard(0, STRANGER, late, 2, 0), slow)
    assert peer.stranger_at == late - 1


def test_a_new_life_that_is_admitted_ends_it() -> None:
    peer = met()
    stranger(peer, START, leads=2)
    heard(peer, 1, START + 1, life=THEIRS + 1)
    assert peer.strangers == {}
    assert not owns(peer, START + 1, shut=True)
