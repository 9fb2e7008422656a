"""What the arbiter's word is worth: how long it stands, what it permits, and that it bounds a lease and never lengthens one."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jsrpd.core import checkpoint
from jsrpd.core.actions import Action, AskWitness, Log, StoreLease
from jsrpd.core.arbitration import Arbitration, answered
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import ArbiterAnswered, ConfigurationChanged, ShutdownRequested, WitnessGranted
from jsrpd.core.lease import AdoptedLease, Lease, claimed_alone, renewed
from jsrpd.model.configuration import Arbitration as Stated
from jsrpd.model.roles import GroupState
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant, Timing
from tests.unit.core.stage import CONFIGURATION, START, Stage
from tests.unit.core.views import TIMING, report

NOW = 100 * SECOND
V = TIMING.verdict
PROBED = replace(CONFIGURATION, arbitration=Stated(probes=("192.0.2.9", "192.0.2.10")))
WITNESSED = replace(CONFIGURATION, arbitration=Stated(endpoints=("http://192.0.2.9:2379",)))
STANDBY = tuple(report(group=number, effective_priority=50) for number in range(3))
OWNER = tuple(report(group=number, state=GroupState.PRIMARY, effective_priority=255, gate_open=True) for number in range(3))


def word(*asked: Instant) -> Arbitration:
    """After answers to requests sent at these instants."""
    told = Arbitration()
    for at in asked:
        told = answered(told, at, TIMING)
    return told


# -- the word itself ------------------------------------------------------------------------------------------------


def test_an_answer_stands_for_half_a_dead_time_from_its_request() -> None:
    assert word(NOW).limit(TIMING) == NOW + TIMING.dead // 2
    assert word().limit(TIMING) == 0


def test_what_is_overtaken_takes_nothing_away() -> None:
    assert word(NOW, NOW - V) == word(NOW)


def test_a_run_is_unbroken_while_each_answer_comes_within_the_time_of_the_one_before() -> None:
    assert word(NOW, NOW + V, NOW + 2 * V).since == NOW
    assert word(NOW, NOW + V, NOW + 2 * V + 1).since == NOW + 2 * V + 1


def test_a_claim_waits_until_whoever_lost_the_address_is_shut() -> None:
    told = word(*range(NOW, NOW + 2 * V, V // 4))
    claim = NOW + V + TIMING.slop
    assert not told.allows(claim - 1, TIMING, TIMING)
    assert told.allows(claim, TIMING, TIMING)
    assert not told.allows(told.limit(TIMING) + 1, TIMING, TIMING)


def test_a_grant_permits_a_claim_at_once_and_to_its_end() -> None:
    granted = Arbitration(granted_until=NOW)
    assert granted.allows(NOW, TIMING, TIMING)
    assert not granted.allows(NOW + 1, TIMING, TIMING)
    assert granted.limit(TIMING) == NOW


@given(
    turns=st.lists(st.integers(1, 100), min_size=2, max_size=80),
    node_a=st.lists(st.booleans(), min_size=80, max_size=80),
    rate=st.integers(-100, 100),
)
def test_an_address_that_answers_one_at_a_time_lets_one_own(turns: list[int], node_a: list[bool], rate: int) -> None:
    """However it changes sides, as long as it does not come back within V: whoever may claim, the other's limit is over by then,
    though their clocks run differently."""
    now, side, changed = NOW, True, NOW - 10 * V
    words = {True: Arbitration(), False: Arbitration()}
    for step, wanted in zip(turns, node_a, strict=False):
        now += step * MILLISECOND
        if wanted != side and now - changed > 2 * V:
            side, changed = wanted, now
        words[side] = answered(words[side], now, TIMING)
        other = words[not side].limit(TIMING) + V * rate // 1_000_000
        assert not (words[side].allows(now, TIMING, TIMING) and now <= other)


# -- the lease --------------------------------------------------------------------------------------------------------


def lease_after(lease: Lease, *, limit: Instant, silent: Duration, gone: bool = False, now: Instant = NOW) -> Lease:
    heard = now - silent
    return renewed(lease, now, TIMING, sent_at=now, last_heard=heard, quiet_since=heard, peer_gone=gone, limit=limit)


@given(
    acknowledged=st.integers(0, 2000),
    alone=st.none() | st.integers(0, 2000),
    deadline=st.integers(-500, 2000),
    silent=st.integers(0, 2000),
    limit=st.integers(-1000, 2000),
    gone=st.booleans(),
)
def test_no_lease_is_longer_than_without_arbitration_nor_than_it_allows(
    acknowledged: int, alone: int | None, deadline: int, silent: int, limit: int, gone: bool
) -> None:
    """Beyond the acknowledgements, and beyond what was stored before, nothing but the arbiter's word carries a gate."""
    before = Lease(
        deadline=NOW + deadline * MILLISECOND,
        acknowledged_at=NOW - acknowledged * MILLISECOND,
        alone_since=None if alone is None else NOW - alone * MILLISECOND,
    )
    at = NOW + limit * MILLISECOND
    after = lease_after(before, limit=at, silent=silent * MILLISECOND, gone=gone)
    free = lease_after(before, limit=1 << 62, silent=silent * MILLISECOND, gone=gone)
    acknowledged_until = before.acknowledged_at + TIMING.lease
    assert after.deadline <= max(at, acknowledged_until, before.deadline)
    assert after.deadline <= max(free.deadline, before.deadline, acknowledged_until)


def test_silence_shortens_no_acknowledged_lease() -> None:
    """Denied, a primary has what was acknowledged, to the end."""
    acknowledged = NOW - TIMING.lease_silence - MILLISECOND
    before = Lease(acknowledged + TIMING.lease, acknowledged)
    after = lease_after(before, limit=NOW - 1, silent=TIMING.lease_silence)
    assert (after.deadline, after.alone_since) == (before.deadline, None)


def test_alone_it_has_what_the_arbiter_allows() -> None:
    acknowledged = NOW - TIMING.lease_silence - MILLISECOND
    before = Lease(acknowledged + TIMING.lease, acknowledged)
    after = lease_after(before, limit=NOW + V, silent=TIMING.lease_silence)
    assert (after.deadline, after.alone_since) == (NOW + V, NOW)
    assert claimed_alone(Lease(), NOW, TIMING, NOW + V).deadline == NOW + V


# -- a node -------------------------------------------------------------------------------------------------------------


def alone(stage: Stage, duration: Duration, *, answers: bool) -> list[Action]:
    """Nothing is heard; the address answers each 20 ms, or does not."""
    actions: list[Action] = []
    for _ in range(duration // (20 * MILLISECOND)):
        if answers:
            stage.tell(ArbiterAnswered(stage.now))
        actions += stage.turn(20 * MILLISECOND)
    return actions


def owned(stage: Stage) -> set[int]:
    return {number for number, group in stage.cluster.groups.items() if group.state == GroupState.PRIMARY}


def said(actions: list[Action]) -> list[str]:
    return [action.message.tag.removeprefix("JSRPD_") for action in actions if isinstance(action, Log)]


def test_a_standby_without_the_arbiters_word_claims_nothing() -> None:
    stage = Stage(PROBED)
    stage.live(2 * SECOND, *OWNER)
    alone(stage, SECOND, answers=False)
    assert owned(stage) == set()
    alone(stage, V + 40 * MILLISECOND, answers=True)
    assert owned(stage) == {0, 1, 2}
    assert stage.cluster.groups[1].lease.deadline <= stage.now + V


def test_the_log_says_when_the_addresses_answer_and_when_not() -> None:
    """Once each; not for a moment's silence, and not before they have had the dead time to answer."""
    stage = Stage(PROBED)
    assert "ARBITRATION_LOST" not in said(alone(stage, 480 * MILLISECOND, answers=False))
    assert "ARBITRATION_LOST" in said(alone(stage, 40 * MILLISECOND, answers=False))
    assert said(alone(stage, SECOND, answers=True)).count("ARBITRATION_ANSWERS") == 1
    assert "ARBITRATION_LOST" not in said(alone(stage, 460 * MILLISECOND, answers=False))
    assert said(alone(stage, SECOND, answers=False)).count("ARBITRATION_LOST") == 1


def test_beside_a_stopped_peer_a_shut_gate_waits_for_a_whole_run_of_answers() -> None:
    """Its next life may have started in a cut, and own by the same address."""
    stage = Stage(PROBED)
    stage.live(2 * SECOND, *STANDBY)
    stage.hear(*STANDBY, stopped=True)
    alone(stage, SECOND, answers=True)
    assert stage.cluster.groups[1].lease.is_open(stage.now)
    alone(stage, 300 * MILLISECOND, answers=False)
    assert not stage.cluster.groups[1].lease.is_open(stage.now)
    alone(stage, 60 * MILLISECOND, answers=True)
    assert not stage.cluster.groups[1].lease.is_open(stage.now)
    alone(stage, V + 20 * MILLISECOND, answers=True)
    assert stage.cluster.groups[1].lease.is_open(stage.now)


def wishes(actions: list[Action]) -> list[bool]:
    return [action.wanted for action in actions if isinstance(action, AskWitness)]


def test_an_owner_asks_the_witness_when_a_heartbeat_is_missing_a_standby_later() -> None:
    owner, standby = Stage(WITNESSED), Stage(WITNESSED)
    owner.live(2 * SECOND, *STANDBY)
    standby.live(2 * SECOND, *OWNER)
    assert wishes(owner.be_silent(140 * MILLISECOND)) == [True]
    assert wishes(standby.be_silent(360 * MILLISECOND)) == []
    assert wishes(standby.be_silent(60 * MILLISECOND)) == [True]


def test_the_key_is_let_go_behind_the_leases_that_rest_on_it() -> None:
    stage = Stage(WITNESSED)
    stage.live(2 * SECOND, *STANDBY)
    stage.be_silent(200 * MILLISECOND)
    stage.tell(WitnessGranted(stage.now + 10 * SECOND))
    stage.be_silent(2 * SECOND)
    group = stage.cluster.groups[1]
    assert group.lease.alone_since is not None
    stage.hear(*STANDBY, echo_sequence=1)
    actions = stage.turn()
    stored = [n for n, action in enumerate(actions) if isinstance(action, StoreLease) and action.group == 1]
    released = [n for n, action in enumerate(actions) if isinstance(action, AskWitness)]
    assert wishes(actions) == [False]
    assert stored
    assert max(stored) < released[0]
    assert not group.lease.is_open(stage.now)
    # An answer that was on its way, to a wish that is over.
    stage.tell(WitnessGranted(stage.now + 10 * SECOND))
    assert stage.cluster.arbitration.granted_until == 0


def test_a_node_that_stops_lets_the_key_go_when_its_gates_are_shut() -> None:
    stage = Stage(WITNESSED)
    stage.live(2 * SECOND, *STANDBY)
    stage.be_silent(200 * MILLISECOND)
    stage.tell(WitnessGranted(stage.now + 10 * SECOND))
    stage.be_silent(SECOND)
    stage.tell(ShutdownRequested())
    actions = stage.turn()
    assert stage.cluster.stopped
    assert wishes(actions) == [False]
    kinds = [type(action) for action in actions]
    assert StoreLease in kinds[: kinds.index(AskWitness)]
    assert StoreLease not in kinds[kinds.index(AskWitness) :]


def test_a_successor_goes_on_by_what_its_predecessor_was_granted() -> None:
    """Until it hears of the arbiter itself, and no longer."""
    until = START + 300 * MILLISECOND
    adopted = AdoptedLease(1, until, GroupState.PRIMARY, 3, START - SECOND, START - SECOND, True)
    for configuration in (PROBED, WITNESSED):
        stage = Stage(configuration, (adopted,))
        stage.be_silent(200 * MILLISECOND)
        assert stage.cluster.groups[1].lease.deadline == until
        stage.be_silent(200 * MILLISECOND)
        assert not stage.cluster.groups[1].lease.is_open(stage.now)


def test_a_commit_begins_anew_what_the_log_has_said() -> None:
    stage = Stage(PROBED)
    alone(stage, SECOND, answers=True)
    stage.tell(ConfigurationChanged(replace(PROBED, arbitration=Stated(probes=("192.0.2.11",)))))
    assert "ARBITRATION_ANSWERS" in said(alone(stage, 20 * MILLISECOND, answers=True))
    stage.tell(ConfigurationChanged(CONFIGURATION))
    assert stage.cluster.arbitration_permits(stage.now)


def test_checkpoints_of_a_node_that_was_told() -> None:
    stage = Stage(WITNESSED)
    stage.be_silent(SECOND)
    stage.tell(WitnessGranted(stage.now + SECOND))
    stage.tell(ArbiterAnswered(stage.now - MILLISECOND))
    stage.turn()
    copy = checkpoint.decode(checkpoint.encode(stage.cluster))
    assert copy.arbitration == stage.cluster.arbitration != Arbitration()
    assert copy.witness_wanted


def test_a_commit_to_a_shorter_dead_time_shortens_what_an_answer_is_worth() -> None:
    told = word(NOW)
    shorter = Timing(10 * MILLISECOND, 3)
    assert told.limit(shorter) == NOW + shorter.verdict < told.limit(TIMING)


def test_without_arbitration_nothing_is_bounded() -> None:
    cluster = Cluster(CONFIGURATION, START, 1)
    assert cluster.arbitration_permits(START)
    assert cluster.arbitration_limit > START + 1000 * SECOND
