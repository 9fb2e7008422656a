"""The node as a whole, where scenarios do not reach: reload as a value diff, requests between the nodes, restart, odd words."""

import pytest
from msgspec.structs import replace

from jsrpd.core.actions import Action, Announce, SendAcknowledgement
from jsrpd.core.cluster import MAX_REQUESTS
from jsrpd.core.events import (
    ConfigurationChanged,
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    HeartbeatReceived,
    MonitorFailed,
    MonitorRecovered,
    ShutdownRequested,
    WatchedInterfacesChanged,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration, InterfaceMonitor, Reth
from jsrpd.model.link_messages import GroupReport, PeerRequest, RequestKind
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import MILLISECOND, SECOND, Duration
from tests.unit.core.stage import CONFIGURATION, START, THEIRS, Stage, heartbeat, roles, said, spoken, stored
from tests.unit.core.views import report

SECONDARY, PRIMARY, SECONDARY_HOLD = GroupState.SECONDARY, GroupState.PRIMARY, GroupState.SECONDARY_HOLD
TIMING = CONFIGURATION.timing
STANDBY = tuple(report(group=number, effective_priority=50) for number in range(3))
"""A peer that leaves everything to us."""
OWNER = tuple(report(group=number, state=PRIMARY, gate_open=True, effective_priority=250) for number in range(3))
"""A peer that owns everything."""
WATCHING = replace(
    CONFIGURATION,
    groups=(
        GroupConfiguration(0, (200, 100)),
        GroupConfiguration(1, (200, 100), interface_monitors=(InterfaceMonitor("lan", 255), InterfaceMonitor("wan", 100))),
        GroupConfiguration(2, (200, 100), interface_monitors=(InterfaceMonitor("dmz", 255),)),
    ),
    fabric_links=(),
    reths=(Reth("reth0", 0, 1, "lan", "lan", b"\2\0\0\0\0\1"), Reth("reth1", 1, 2, "wan", "wan", b"\2\0\0\0\0\2")),
)


def primary_of_all(configuration: ClusterConfiguration = CONFIGURATION) -> Stage:
    """Two seconds with a standby: everything is ours and open."""
    stage = Stage(configuration)
    stage.live(2 * SECOND, *STANDBY)
    assert set(stage.states().values()) == {PRIMARY}
    return stage


def secondary_of_all() -> Stage:
    """Two seconds with an owner."""
    stage = Stage()
    stage.live(2 * SECOND, *OWNER)
    assert set(stage.states().values()) == {SECONDARY}
    return stage


# -- reload -----------------------------------------------------------------------------------------------------------


def reload(stage: Stage, configuration: ClusterConfiguration) -> None:
    stage.tell(ConfigurationChanged(configuration))


def test_an_equal_configuration_changes_nothing() -> None:
    """Not one word more than without it."""
    one, other = primary_of_all(WATCHING), primary_of_all(WATCHING)
    reload(one, WATCHING)
    for stage in (one, other):
        stage.hear(*STANDBY)
    assert one.turn() == other.turn()


def test_untouched_groups_see_nothing() -> None:
    """Another group comes, one goes, one changes; group 1 keeps role, generation and an open gate."""
    stage = primary_of_all()
    before = stage.cluster.groups[1]
    changed = replace(CONFIGURATION, groups=(*CONFIGURATION.groups[:2], GroupConfiguration(3, (200, 100), hold_down_interval_s=5)))
    reload(stage, changed)
    actions = stage.turn() + stage.live(SECOND, *STANDBY)
    assert stage.cluster.groups[1] is before
    assert [role for role in roles(actions) if role[0] == 1] == []
    assert all(store.deadline > stage.now - SECOND and store.generation == 2 for store in stored(actions, 1))
    assert stored(actions, 2)[0].deadline == 0, "a group that is gone is shut"
    assert (3, SECONDARY) in roles(actions), "a new group begins in hold"


def test_a_changed_group_keeps_its_role() -> None:
    stage = primary_of_all()
    changed = replace(CONFIGURATION.groups[1], hold_down_interval_s=100)
    reload(stage, replace(CONFIGURATION, groups=(CONFIGURATION.groups[0], changed, CONFIGURATION.groups[2])))
    assert roles(stage.live(SECOND, *STANDBY)) == []
    assert stage.cluster.groups[1].configuration == changed


def test_a_failure_ends_with_its_monitor() -> None:
    """What is not watched any more cannot have failed; what is still watched stays failed."""
    stage = primary_of_all(WATCHING)
    names = WATCHING.watched_interfaces
    stage.tell(WatchedInterfacesChanged(1 << names.index("dmz")))
    stage.turn()
    assert stage.cluster.groups[1].weight == 255 - 255 - 100
    kept = replace(WATCHING.groups[1], interface_monitors=(InterfaceMonitor("wan", 100),))
    reload(stage, replace(WATCHING, groups=(WATCHING.groups[0], kept, WATCHING.groups[2])))
    assert stage.cluster.groups[1].weight == 155
    gone = replace(WATCHING.groups[1], interface_monitors=())
    reload(stage, replace(WATCHING, groups=(WATCHING.groups[0], gone, WATCHING.groups[2])))
    assert stage.cluster.groups[1].weight == 255
    assert "Interface Monitor failure recovered for redundancy-group 1" in said(stage.turn())


def test_a_newly_watched_interface_moves_nobody_elses_bits() -> None:
    """Interfaces are bits by name; one more name is no reason to announce the others again."""
    stage = primary_of_all(WATCHING)
    stage.tell(WatchedInterfacesChanged((1 << len(WATCHING.watched_interfaces)) - 1))
    stage.live(SECOND, *STANDBY)
    first = replace(WATCHING.groups[0], interface_monitors=(InterfaceMonitor("aaa", 255),))
    reload(stage, replace(WATCHING, groups=(first, *WATCHING.groups[1:])))
    assert [action for action in stage.turn() if isinstance(action, Announce)] == []
    assert stage.cluster.interfaces_up == 0b1111


def test_a_reth_child_that_is_back_is_announced() -> None:
    """Its switch has forgotten us. Only that group's."""
    stage = primary_of_all(WATCHING)
    names, everything = WATCHING.watched_interfaces, 0b111
    stage.tell(WatchedInterfacesChanged(everything & ~(1 << names.index("lan"))))
    stage.tell(WatchedInterfacesChanged(everything))
    assert [action.group for action in stage.turn() if isinstance(action, Announce)] == [1]


def test_group_0_exists_in_every_cluster() -> None:
    assert set(Stage(replace(CONFIGURATION, groups=())).states()) == {0}


# -- odd words --------------------------------------------------------------------------------------------------------


def test_a_group_that_is_not_configured_here() -> None:
    """The peer's report on it, a monitor's, the operator's wish: nothing follows (a commit may be in flight)."""
    stage = primary_of_all()
    stage.hear(*STANDBY, report(group=77))
    for event in (
        MonitorFailed(77, FailureCode.IP, "192.0.2.1", 255),
        MonitorRecovered(77, FailureCode.IP, "192.0.2.1"),
        FailoverRequested(77, 1),
        FailoverReset(77),
    ):
        stage.tell(event)
    stage.hear(*STANDBY, requests=(PeerRequest(1, RequestKind.RESET, 77, 0),))
    assert roles(stage.turn()) == []
    assert 77 not in stage.states()


def test_other_monitors_have_their_own_words() -> None:
    """Once per group for the first object of a code and the last; the recovery of what never failed counts for nothing."""
    for code, word in ((FailureCode.IP, "IP"), (FailureCode.SP, "SPU"), (FailureCode.NP, "NPC"), (FailureCode.HW, "")):
        stage = primary_of_all()
        stage.tell(MonitorFailed(1, code, "one", 100))
        stage.tell(MonitorRecovered(1, FailureCode.SC, ""))
        expected = [f"{word} Monitor failed for redundancy-group 1"] if word else []
        assert (stage.cluster.groups[1].weight, said(stage.turn())) == (155, expected)
        stage.tell(MonitorFailed(1, code, "two", 5))
        stage.tell(MonitorRecovered(1, code, "one"))
        assert (stage.cluster.groups[1].weight, said(stage.turn())) == (250, [])
        stage.tell(MonitorRecovered(1, code, "two"))
        expected = [f"{word} Monitor failure recovered for redundancy-group 1"] if word else []
        assert (stage.cluster.groups[1].weight, said(stage.turn())) == (255, expected)


def test_an_echo_of_what_was_never_sent() -> None:
    """It renews no lease."""
    stage = primary_of_all()
    deadline = stage.cluster.groups[1].lease.acknowledged_at
    stage.hear(*STANDBY, echo_sequence=10**6)
    assert stage.cluster.groups[1].lease.acknowledged_at == deadline


def test_an_overtaken_heartbeat_is_not_acknowledged() -> None:
    """One acknowledgement a turn and path, for the newest (LEASE 4)."""
    stage = primary_of_all()
    for sequence in (stage.sequence + 2, stage.sequence + 1):
        stage.tell(HeartbeatReceived(0, THEIRS, sequence, stage.now, heartbeat(groups=STANDBY)))
    (acknowledgement,) = [a.acknowledgement for a in stage.turn() if isinstance(a, SendAcknowledgement)]
    assert acknowledgement.echo_sequence == stage.sequence + 2


def test_stopping_is_asked_for_once() -> None:
    """A second SIGTERM does not start the time anew."""
    stage = primary_of_all()
    stage.tell(ShutdownRequested())
    since = stage.cluster.stopping_since
    stage.now += 1
    stage.tell(ShutdownRequested())
    assert stage.cluster.stopping_since == since


# -- the operator's wishes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "group", "node", "peer", "refusal"),
    [
        (primary_of_all, 9, 1, STANDBY, "Redundancy group 9 is not configured"),
        (primary_of_all, 1, 0, STANDBY, "node0 is already primary for redundancy group 1"),
        (secondary_of_all, 1, 1, OWNER, "node1 is already primary for redundancy group 1"),
        (primary_of_all, 1, 1, (report(effective_priority=0),), "node1 is not fit for redundancy group 1: its priority is 0"),
        (primary_of_all, 1, 1, (report(state=GroupState.HOLD),), "node1 is in hold for redundancy group 1; try again"),
        (primary_of_all, 1, 1, (), "node1 is lost; redundancy group 1 stays where it is"),
        (secondary_of_all, 1, 0, (report(state=SECONDARY_HOLD),), "Redundancy group 1 has no primary that could hand it over"),
        (primary_of_all, 1, 1, STANDBY, None),
        (secondary_of_all, 1, 0, OWNER, None),
    ],
)
def test_refusals(stage: object, group: int, node: int, peer: tuple[GroupReport, ...], refusal: str | None) -> None:
    """Each says why (LEASE 14)."""
    assert callable(stage)
    made: Stage = stage()
    made.hear(*peer)
    said_no = made.cluster.refuse_failover(made.now, group, node)
    assert said_no == refusal if refusal is None else said_no is not None and said_no.startswith(refusal)


def test_a_manual_failover_in_force_is_named() -> None:
    stage = secondary_of_all()
    stage.live(SECOND, *(report(group=n, state=PRIMARY, gate_open=True, manual=True) for n in range(3)))
    refusal = stage.cluster.refuse_failover(stage.now, 1, 0)
    assert refusal is not None
    assert refusal.endswith("request chassis cluster failover reset redundancy-group 1")


def test_a_wish_lapses() -> None:
    """A peer that is not fit within T gets nothing later, when nobody thinks of it any more."""
    stage = primary_of_all()
    stage.tell(FailoverRequested(1, 1))
    unfit = (STANDBY[0], report(group=1, effective_priority=0), STANDBY[2])
    stage.live(TIMING.dead + 100 * MILLISECOND, *unfit)
    assert roles(stage.live(SECOND, *STANDBY)) == []


def test_a_wish_for_this_node_travels_until_it_is_echoed() -> None:
    stage = secondary_of_all()
    stage.tell(FailoverRequested(1, 0))
    (word,) = spoken(stage.turn())
    assert word.requests == (PeerRequest(1, RequestKind.FAILOVER, 1, 0),)
    stage.live(300 * MILLISECOND, *OWNER)
    assert all(not word.requests for word in spoken(stage.live(300 * MILLISECOND, *OWNER)))


def test_wishes_are_bounded() -> None:
    """While the peer is deaf they do not pile up."""
    stage = secondary_of_all()
    for _ in range(MAX_REQUESTS + 5):
        stage.tell(FailoverCountCleared())
    (word,) = spoken(stage.turn())
    assert len(word.requests) == MAX_REQUESTS


def test_a_reset_on_the_other_node_travels() -> None:
    """The flag is the primary's; the standby mirrors it and asks."""
    stage = secondary_of_all()
    stage.live(SECOND, *(report(group=n, state=PRIMARY, gate_open=True, manual=True) for n in range(3)))
    stage.tell(FailoverReset(1))
    (word,) = spoken(stage.turn())
    assert [request.kind for request in word.requests] == [RequestKind.RESET]


def test_a_reset_on_the_primary_is_its_own_business() -> None:
    stage = primary_of_all()
    stage.cluster.groups[1].manual = True
    assert spoken(stage.turn())[0].groups[1].manual
    stage.tell(FailoverReset(1))
    (word,) = spoken(stage.turn())
    assert (word.requests, word.groups[1].manual) == ((), False)


def test_the_peers_wishes() -> None:
    """Each is carried out once; one that would not give the peer anything is not carried out at all."""
    stage = primary_of_all()
    stage.hear(*STANDBY, requests=(PeerRequest(1, RequestKind.FAILOVER, 1, 0),))
    assert roles(stage.turn()) == []
    assert stage.cluster.groups[2].failover_count > 0
    stage.hear(*STANDBY, requests=(PeerRequest(2, RequestKind.CLEAR_FAILOVER_COUNT, 0, 0),))
    assert stage.cluster.groups[2].failover_count == 0
    wish = PeerRequest(3, RequestKind.FAILOVER, 1, 1)
    stage.hear(*STANDBY, requests=(wish,))
    assert roles(stage.turn()) == [(1, SECONDARY_HOLD)]
    stage.hear(*STANDBY, requests=(wish,))
    assert stage.cluster.groups[1].manual
    stage.hear(*STANDBY, requests=(wish, PeerRequest(4, RequestKind.RESET, 1, 0)))
    assert not stage.cluster.groups[1].manual


# -- restart and leases -----------------------------------------------------------------------------------------------


def pinned(group: int, **changes: object) -> AdoptedLease:
    fields: dict[str, object] = {
        "group": group,
        "deadline": START + 400 * MILLISECOND,
        "state": PRIMARY,
        "generation": 5,
        "acknowledged_at": START - 90 * MILLISECOND,
        "last_heard": START - 50 * MILLISECOND,
        "alone": False,
    }
    return AdoptedLease(**(fields | changes))  # type: ignore[arg-type]


def test_what_still_runs_is_taken_over() -> None:
    """Roles, generations and the time the peer was heard; nothing of what has run out but its generation (LEASE 19)."""
    stage = Stage(
        adopted=(
            pinned(1),
            pinned(2, deadline=START - 1, generation=7),
            pinned(0, state=SECONDARY, generation=3),
            pinned(77),
        )
    )
    assert stage.states() == {0: GroupState.HOLD, 1: PRIMARY, 2: GroupState.HOLD}
    assert [stage.cluster.groups[n].generation for n in range(3)] == [3, 5, 7]
    assert stage.cluster.peer.last_heard == START - 50 * MILLISECOND


def test_a_node_that_was_alone_stays_alone() -> None:
    """Its predecessor had never heard a peer."""
    stage = Stage(adopted=(pinned(1, last_heard=0, alone=True, acknowledged_at=0),))
    assert stage.cluster.peer.last_heard is None
    assert stage.states()[1] == PRIMARY
    assert stage.cluster.groups[1].lease.alone_since is not None


def stay_unacknowledged(stage: Stage, duration: Duration) -> list[Action]:
    """Heard, but nothing of ours arrives there any more."""
    actions: list[Action] = []
    for _ in range(duration // (20 * MILLISECOND)):
        stage.hear(*STANDBY, echo_sequence=0)
        actions += stage.turn(20 * MILLISECOND)
    return actions


def test_a_shut_primary_claims_anew_when_the_peer_is_lost() -> None:
    """Acknowledgements failed first, then everything: its gate ran out, and T after the last word nobody else owns it."""
    stage = primary_of_all()
    group = stage.cluster.groups[1]
    actions = stay_unacknowledged(stage, 300 * MILLISECOND) + stage.be_silent(TIMING.dead - 40 * MILLISECOND)
    assert not group.lease.is_open(stage.now)
    actions += stage.be_silent(40 * MILLISECOND)
    assert group.lease.is_open(stage.now)
    assert roles(actions) == []


def test_a_primary_shut_for_long_while_the_peer_is_heard_gives_up() -> None:
    """T after its gate ran out (LEASE 8)."""
    stage = primary_of_all()
    actions = stay_unacknowledged(stage, 2 * TIMING.dead)
    assert (1, SECONDARY) in roles(actions)
    assert "Redundancy-group 1 transitioned from 'primary' to 'secondary' state due to Lease expired" in said(actions)
