"""How long a gate stays open: one test a rule (LEASE 6 to 10, 15)."""

from hypothesis import given
from hypothesis import strategies as st

from jsrpd.core.lease import NEVER, SHUT, Lease, acknowledged, capped, claimed_alone, renewed, shut
from jsrpd.model.time import MILLISECOND, SECOND, Instant
from tests.unit.core.views import TIMING

NOW = 100 * SECOND
INTERVAL = TIMING.interval


def turn(
    lease: Lease,
    *,
    now: Instant = NOW,
    sent_at: Instant = NOW,
    last_heard: Instant | None = NOW,
    quiet_since: Instant | None = None,
    peer_gone: bool = False,
) -> Lease:
    """The lease after a turn of a primary that hears its peer, unless told otherwise."""
    quiet = quiet_since if quiet_since is not None else last_heard if last_heard is not None else 0
    return renewed(lease, now, TIMING, sent_at=sent_at, last_heard=last_heard, quiet_since=quiet, peer_gone=peer_gone)


def test_open_up_to_and_with_its_deadline() -> None:
    lease = Lease(deadline=NOW)
    assert lease.is_open(NOW)
    assert not lease.is_open(NOW + 1)
    assert not shut(lease).is_open(1)


def test_rule_6_follows_the_acknowledged_heartbeat() -> None:
    """Not the newest sent, not now."""
    lease = acknowledged(Lease(), NOW - INTERVAL)
    assert turn(lease).deadline == NOW - INTERVAL + TIMING.lease


def test_rule_6_newest_acknowledgement_counts() -> None:
    """One that was overtaken takes nothing away."""
    assert acknowledged(acknowledged(Lease(), NOW), NOW - INTERVAL).acknowledged_at == NOW


def test_rule_6_set_not_extended() -> None:
    """When the peer is heard again, its word counts, even where it shortens what rule 7 gave."""
    alone = Lease(deadline=NOW + TIMING.lease, acknowledged_at=NOW - 2 * INTERVAL, alone_since=NOW - INTERVAL)
    heard = turn(alone, last_heard=NOW)
    assert heard.deadline == NOW - 2 * INTERVAL + TIMING.lease
    assert heard.alone_since is None


def test_rule_6_no_acknowledgement_no_lease() -> None:
    """A claim against a heard peer opens with the peer's first acknowledgement, never with now + L (LEASE 11)."""
    assert not turn(Lease()).is_open(NOW)


def test_rule_7_silent_peer_after_current_acknowledgements() -> None:
    """The death of a standby costs nothing."""
    last_heard = NOW - TIMING.lease_silence
    lease = Lease(deadline=NOW + 1, acknowledged_at=last_heard - TIMING.fresh)
    alone = turn(lease, last_heard=last_heard)
    assert alone.deadline == NOW + TIMING.lease
    assert alone.alone_since == NOW


def test_rule_7_not_when_acknowledgements_were_stale() -> None:
    """Heard but not acknowledged any more: it may be about to claim, so the lease runs out."""
    last_heard = NOW - TIMING.lease_silence
    lease = Lease(deadline=NOW + 1, acknowledged_at=last_heard - TIMING.fresh - 1)
    assert turn(lease, last_heard=last_heard) == lease


def test_rule_7_not_before_the_silence() -> None:
    last_heard = NOW - TIMING.lease_silence + 1
    lease = Lease(deadline=NOW + 1, acknowledged_at=last_heard)
    assert turn(lease, last_heard=last_heard).alone_since is None


def test_rule_7_goes_on_with_every_heartbeat_sent() -> None:
    alone = Lease(deadline=NOW + 1, acknowledged_at=NEVER, alone_since=NOW - SECOND)
    assert turn(alone, sent_at=NOW - 5, last_heard=NOW - 2 * SECOND).deadline == NOW - 5 + TIMING.lease


def test_rule_7_nothing_heard_since_the_claim() -> None:
    """Alone from the beginning, the peer never met."""
    lease = claimed_alone(Lease(), NOW - TIMING.lease, TIMING)
    assert turn(lease, last_heard=None).deadline == NOW + TIMING.lease


def test_rule_8_expired_stays_shut_while_silent() -> None:
    """It ran out under rule 6: silence alone does not open it again."""
    last_heard = NOW - SECOND
    lease = Lease(deadline=NOW - 1, acknowledged_at=last_heard)
    assert not turn(lease, last_heard=last_heard).is_open(NOW)


def test_rule_8_peer_never_heard_opens_nothing() -> None:
    lease = Lease(deadline=NOW + 1)
    assert turn(lease, last_heard=None) == lease


def test_rule_8_opens_again_with_the_peers_word() -> None:
    expired = Lease(deadline=NOW - SECOND, acknowledged_at=NOW - 2 * SECOND)
    assert turn(acknowledged(expired, NOW)).is_open(NOW)


def test_rule_8_lone_survivor_stays_shut_after_a_pause() -> None:
    """It ran out under rule 7: somebody may own the group by now who was not heard yet. It is claimed anew (decision 0063)."""
    paused = Lease(deadline=NOW - 1, alone_since=NOW - 3 * SECOND)
    assert turn(paused, last_heard=NOW - 4 * SECOND) == Lease(deadline=NOW - 1)
    assert turn(paused, last_heard=None) == Lease(deadline=NOW - 1)


def test_rule_8_but_opens_again_at_once_where_the_peer_has_stopped() -> None:
    """Nobody else can be there: who starts again has a start-up hold before him."""
    paused = Lease(deadline=NOW - 1, alone_since=NOW - 3 * SECOND)
    assert turn(paused, last_heard=NOW - 4 * SECOND, peer_gone=True).is_open(NOW)


def test_rule_8_survivor_that_was_replaced_stays_shut() -> None:
    """It ran out under rule 7, and the peer spoke meanwhile."""
    paused = Lease(deadline=NOW - SECOND, alone_since=NOW - 3 * SECOND)
    assert not turn(paused, last_heard=NOW).is_open(NOW)


def test_rule_10_a_claim_by_silence_ends_with_the_instant_judged() -> None:
    claimed = claimed_alone(Lease(acknowledged_at=5), NOW, TIMING)
    assert claimed == Lease(deadline=NOW + TIMING.lease, acknowledged_at=5, alone_since=NOW)


def test_rule_15_a_hand_over_leaves_the_grace() -> None:
    assert capped(Lease(deadline=NOW + 10 * SECOND, alone_since=1), NOW, TIMING) == Lease(deadline=NOW + TIMING.grace)


def test_rule_15_never_raises() -> None:
    assert capped(Lease(deadline=NOW + 1), NOW, TIMING).deadline == NOW + 1
    assert capped(shut(Lease(deadline=NOW)), NOW, TIMING).deadline == SHUT


def test_a_peer_that_has_stopped_needs_nobodys_silence() -> None:
    """Its last words: this life claims nothing any more."""
    stopped = turn(Lease(deadline=NOW - 1), last_heard=NOW - MILLISECOND, peer_gone=True)
    assert stopped.is_open(NOW)
    assert turn(stopped, now=NOW + SECOND, peer_gone=True).alone_since == stopped.alone_since


INSTANTS = st.integers(0, NOW)


@given(INSTANTS, INSTANTS, INSTANTS, st.none() | INSTANTS, INSTANTS, st.booleans())
def test_no_lease_reaches_beyond_the_newest_send(
    deadline: Instant, acknowledged_at: Instant, sent_at: Instant, alone_since: Instant | None, last_heard: Instant, gone: bool
) -> None:
    """Whatever happens, a turn leaves no deadline later than the newest heartbeat sent + L, or what stood there already."""
    lease = Lease(deadline, min(acknowledged_at, sent_at), alone_since)
    after = turn(lease, sent_at=sent_at, last_heard=last_heard, peer_gone=gone)
    assert after.deadline <= max(sent_at + TIMING.lease, deadline)
