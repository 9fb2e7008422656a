"""Explanations against scenarios: the sums, the sentences, and that what they promise is what the core then does."""

import pytest

from jsrpd.core.cluster import Cluster
from jsrpd.core.explain import explain
from jsrpd.core.what_if import InterfaceSet, NodeLost, Planned, rehearse
from jsrpd.model.explanation import GroupExplanation
from jsrpd.model.time import SECOND
from tests.unit.core import recorded

PREEMPT = recorded.CLUSTER.replace("group 1 priorities 200 100", "group 1 priorities 100 200 preempt delay 3")
ORDER = "you order it: request chassis cluster failover redundancy-group 1 node"
LOST = "falls silent on every path for 500 ms"


def explained(script: str, node: int = 0, group: int = 1, cluster: str = recorded.CLUSTER) -> GroupExplanation:
    core = recorded.core(script, node, cluster)
    return next(one for one in explain(core, core.judged, recorded.WALL_OFFSET) if one.group == group)


def test_health() -> None:
    told = explained("until 4s\n")
    assert told.summary == "node0 owns redundancy group 1"
    assert (told.node, told.state, told.owner, told.reason) == (0, "primary", 0, "Better priority (200/100)")
    assert 3.3 < told.lasted_s < 3.6
    assert told.since == recorded.WALL_OFFSET + 1_500_400_000
    assert told.blocks == told.notes == ()
    assert told.to_move == (
        f"{ORDER} 1",
        "one more failure on node0 is enough: IF lan (255)",
        "priority alone moves nothing: preempt is not configured",
        f"node0 {LOST}: node1 takes it, fit or not",
    )
    for node, priority in zip(told.nodes, (200, 100), strict=True):
        assert (node.effective_priority, node.configured_priority, node.why_priority) == (priority, priority, "as configured")
        assert (node.weight, node.sum) == (255, "255, nothing has failed")
        assert [(one.kind, one.name, one.weight, one.up) for one in node.monitored] == [
            ("IF", "lan", 255, True),
            ("IF", "wan", 100, True),
        ]


@pytest.mark.parametrize("asked", [0, 1])
def test_the_sum_is_the_same_seen_from_either_node(asked: int) -> None:
    script = "at 2s node0 interface lan down\nat 2s node0 interface wan down\nat 2s node1 interface wan down\nuntil 5s\n"
    told = explained(script, asked)
    first, second = told.nodes
    assert first.sum == "255 - 255 (IF lan) - 100 (IF wan) = -100"
    assert first.why_priority == "not the configured 200, because its weight is not above 0"
    assert second.sum == "255 - 100 (IF wan) = 155"
    assert (second.weight, second.effective_priority) == (155, 100)
    assert told.owner == 1
    assert "node0 must be fit: its weight is -100; mend IF lan (255) and IF wan (100)" in told.to_move
    assert told.blocks == ("node0 is not fit: its effective priority is 0",)
    assert not any(sentence.startswith("you order it") for sentence in told.to_move)


@pytest.mark.parametrize("asked", [0, 1])
def test_failures_that_have_no_interface(asked: int) -> None:
    first = explained("at 2s node0 monitor 1 IP 192.0.2.9 failed 30\nat 2s node0 interface wan down\nuntil 4s\n", asked).nodes[0]
    assert first.sum == f"255 - 100 (IF wan) - 30 (IP{' 192.0.2.9' if asked == 0 else ''}) = 125" or (
        first.sum == "255 - 30 (IP 192.0.2.9) - 100 (IF wan) = 125"
    )
    assert first.effective_priority == 200


def test_several_failures_are_needed() -> None:
    cluster = recorded.CLUSTER.replace("lan 255", "lan 155")
    told = explained("until 4s\n", cluster=cluster)
    assert "failures on node0 worth 255 together, of IF lan (155), IF wan (100)" in told.to_move
    told = explained("until 4s\n", cluster=recorded.CLUSTER.replace("lan 255", "lan 100"))
    assert "failures on node0 worth 255; all that is monitored there is worth less, so no cable moves it" in told.to_move


def test_group_0_has_no_monitors_and_never_preempts() -> None:
    told = explained("until 4s\n", group=0)
    assert "failures on node0 worth 255; no interface is monitored there, so no cable moves it" in told.to_move
    assert "priority alone moves nothing: redundancy group 0 never preempts" in told.to_move


def test_manual_failover() -> None:
    script = "at 2s node0 request failover redundancy-group 1 node 1\nuntil {}\n"
    during = explained(script.format("2500ms"))
    assert "node0 is in secondary-hold: it does so by itself in 599 ms" in during.blocks
    assert during.to_move[0] == "node0 must leave secondary-hold: it does so by itself in 599 ms"
    for asked in (0, 1):
        after = explained(script.format("5s"), asked)
        assert after.blocks == (
            "a manual failover is in force: priorities do not move the group and no other is accepted; "
            "end it with: request chassis cluster failover reset redundancy-group 1",
        )
        assert after.nodes[1].effective_priority == 255
        assert after.nodes[1].why_priority == "raised from 100 by the manual failover"
        assert not any(sentence.startswith("you order it") for sentence in after.to_move)


@pytest.mark.parametrize("asked", [0, 1])
def test_a_hand_over_seen_from_either_node(asked: int) -> None:
    told = explained("at 2s node0 request failover redundancy-group 1 node 1\nuntil 2500ms\n", asked)
    assert told.summary == "node1 owns redundancy group 1"
    assert any(block.startswith("node0 is in secondary-hold") for block in told.blocks)


def test_preempt_is_running() -> None:
    told = explained("at 2s node1 interface lan down\nat 6s node1 interface lan up\nuntil 7s\n", cluster=PREEMPT)
    assert told.owner == 0
    assert "preempt: it moves by itself in 2.1 s" in told.to_move
    other = explained("at 2s node1 interface lan down\nat 6s node1 interface lan up\nuntil 7s\n", 1, cluster=PREEMPT)
    assert "preempt: it moves by itself once node1 has been preferred for 3 s" in other.to_move
    settled = explained("at 2s node1 interface lan down\nat 6s node1 interface lan up\nuntil 12s\n", cluster=PREEMPT)
    assert "preempt: the priority of node0 must be above 200; it is 100" in settled.to_move


def test_control_link_failure() -> None:
    script = "at 2s cut control\nuntil 5s\n"
    standby = explained(script, 1)
    assert "control link failure: node1 is heard by fabric only, so none of its groups is eligible; mend the link" in standby.blocks
    assert standby.nodes[1].why_priority == "not the configured 100, because it is ineligible"
    owner = explained(script, 0)
    assert "node1 is ineligible: it has lost the control links; mend them" in owner.blocks
    assert "node1 must be secondary; it is ineligible" in owner.to_move
    assert "nothing is heard by control link ctl0" in owner.notes
    healing = explained("at 2s cut control\nat 5s heal control\nuntil 6500ms\n", 1)
    assert "node1 is ineligible until its links have been well for 3 s" in healing.blocks


def test_fabric_link_failure() -> None:
    script = "at 2s cut fabric\nuntil 5s\n"
    standby = explained(script, 1)
    assert "fabric link failure: node0 is heard by control links only; mend the fabric link" in standby.blocks
    owner = explained(script, 0)
    assert "node1 is ineligible: it has lost the fabric links; mend them" in owner.blocks


@pytest.mark.parametrize("asked", [0, 1])
def test_a_disabled_node(asked: int) -> None:
    cluster = "cluster control-link-recovery manual disable-after 1\n" + recorded.CLUSTER
    told = explained("at 2s cut control\nuntil 5s\n", asked, cluster=cluster)
    assert "node1 is disabled; once its links are mended, order there: request chassis cluster rejoin" in told.blocks
    assert told.nodes[1].why_priority == "not the configured 100, because it is disabled"


def test_maintenance() -> None:
    script = "at 2s node1 maintenance on\nuntil 5s\n"
    end = "request chassis cluster maintenance off"
    assert f"node1 is in maintenance; end it with: {end}" in explained(script, 1).blocks
    assert f"node1 is in maintenance; end it there with: {end}" in explained(script, 0).blocks


def test_active_backup() -> None:
    cluster = "cluster redundancy-mode active-backup\ngroup 2 priorities 100 200\n" + recorded.CLUSTER
    follower = explained("until 4s\n", group=2, cluster=cluster)
    assert follower.owner == 0
    assert "mode active-backup: it moves with redundancy group 1" in follower.to_move
    unfit = explained("at 2s node0 interface lan down\nuntil 5s\n", group=2, cluster=cluster)
    assert "mode active-backup: nothing is left of the weight of redundancy group 1 on node0" in unfit.blocks
    assert unfit.nodes[0].why_priority == (
        "not the configured 100, because of its links or of another group: see what stands in the way"
    )


def test_a_preempt_limit_that_is_reached() -> None:
    cluster = PREEMPT.replace("preempt delay 3", "preempt limit 1 period 60 hold-down 0")
    flaps = "".join(f"at {at}s node1 interface lan down for 500ms\n" for at in (3, 6))
    told = explained(flaps + "until 9s\n", cluster=cluster)
    cure = "let it again with: clear chassis cluster preempt-count redundancy-group 1"
    assert f"preempt: it has moved 1 times within 60 s; {cure}" in told.to_move


def test_a_lost_peer() -> None:
    told = explained("at 2s node1 kill\nuntil 5s\n")
    assert told.nodes[1].state == "lost"
    assert told.nodes[1].weight is None
    assert told.blocks[0].startswith("node1 is not heard on any path; last heard 3")
    assert told.to_move[0].startswith("node1 must be heard again")
    alone = explained("until 4s\n", cluster=recorded.CLUSTER.replace("at 0s start", "at 0s node0 start"))
    assert alone.blocks == ("node1 is not heard on any path and never was since this daemon started",)


def test_a_split() -> None:
    told = explained("at 2s cut all\nat 5s heal all\nuntil 5000900us\n")
    assert told.summary == "both nodes say that they own redundancy group 1; one of them yields as soon as they have met"
    assert told.owner is None
    assert told.to_move == ()


def test_a_node_that_has_just_started() -> None:
    told = explained("at 2s node1 kill\nat 4s node1 start\nuntil 4200ms\n")
    assert "node1 has only just started: it is in hold" in told.blocks
    assert "node1 must be secondary; it is hold" in told.to_move
    assert not any(LOST in sentence for sentence in told.to_move)
    starting = explained("until 300ms\n")
    assert starting.summary == "no node owns redundancy group 1"


def test_a_shut_gate() -> None:
    """Node 0 hears node 1, which hears nothing of it."""
    told = explained("at 2s cut all from node0\nuntil 2400ms\n")
    assert told.summary == "node0 owns redundancy group 1, but its gate is shut: it forwards nothing"
    assert "the gate of node0 is shut until node1 acknowledges its heartbeats again" in told.blocks


def test_somebody_who_cannot_be_admitted() -> None:
    """Node 1's engine is restarted in a one-way cut: one of the two is deaf, and the other says why nobody owns alone."""
    heard = "a daemon with this cluster's key is heard"
    mend = "mend the way from node{} to node{}, or stop what plays back its packets"
    (told,) = [
        one for one in explained("at 2s cut all from node1\nat 3s node1 kill back 100ms\nuntil 6s\n", 1).blocks if heard in one
    ]
    assert told.startswith(f"{heard} and says that it owns redundancy group 1, but does not hear node1: ")
    assert told.endswith(mend.format(1, 0))
    (told,) = [one for one in explained("at 2s cut all from node0\nat 3s node1 kill back 1s\nuntil 5s\n", 0).blocks if heard in one]
    assert told.startswith(f"{heard}, but does not hear node0: ")
    gone = explained("at 2s cut all from node1\nat 3s node1 kill back 100ms\nat 4s node0 kill\nuntil 9s\n", 1)
    assert not any(heard in one for one in gone.blocks)
    later = explained("at 2s cut all from node0\nat 3s node1 kill back 100ms\nat 9s heal all\nuntil 10s\n", 0)
    assert not any(heard in one for one in later.blocks)


def test_one_path() -> None:
    cluster = recorded.CLUSTER.replace("cluster ", "cluster fabric-links 0 ")
    assert (
        "there is one path between the nodes: when it is cut, both become primary" in explained("until 3s\n", cluster=cluster).notes
    )


# -- promises are kept -----------------------------------------------------------------------------------------------------

SITUATIONS = (
    "until 4s\n",
    "at 2s node0 interface lan down\nuntil 5s\n",
    "at 2s node0 interface wan down\nuntil 5s\n",
    "at 2s node1 interface wan down\nuntil 5s\n",
    "at 2s node1 interface lan down\nuntil 5s\n",
    "at 2s node0 request failover redundancy-group 1 node 1\nuntil 5s\n",
    "at 2s cut control\nuntil 5s\n",
)


def owner_after(core: Cluster, what: InterfaceSet | NodeLost) -> int | None:
    return rehearse(core, core.judged, [Planned(0, what, "")]).groups[1].owner_after


@pytest.mark.parametrize("script", SITUATIONS)
@pytest.mark.parametrize("asked", [0, 1])
def test_what_is_said_to_move_the_group_does(script: str, asked: int) -> None:
    """Every single failure that is called enough is, and no other; silence of the owner moves it when that is said."""
    core = recorded.core(script, asked)
    told = explain(core, core.judged, 0)[1]
    assert told.owner is not None
    other = 1 - told.owner
    said = next((sentence for sentence in told.to_move if "is enough" in sentence), "")
    for one in told.nodes[told.owner].monitored:
        moved = owner_after(core, InterfaceSet(told.owner, one.name, False)) == other
        assert moved == (f"{one.kind} {one.name} " in said), one.name
    silent = any(LOST in sentence for sentence in told.to_move)
    assert (owner_after(core, NodeLost(told.owner)) == other) == silent


@pytest.mark.parametrize("script", SITUATIONS)
def test_an_order_is_offered_exactly_when_it_would_be_accepted(script: str) -> None:
    core = recorded.core(script)
    told = explain(core, core.judged, 0)[1]
    assert told.owner is not None
    accepted = core.refuse_failover(core.judged, 1, 1 - told.owner) is None
    assert any(sentence.startswith("you order it") for sentence in told.to_move) == accepted


def test_seconds_are_counted() -> None:
    assert explained("until 4s\n").lasted_s * SECOND < 4 * SECOND


# -- what is seldom -------------------------------------------------------------------------------------------------------


def test_in_the_middle_of_a_hand_over() -> None:
    told = explained("at 2s node0 request failover redundancy-group 1 node 1\nuntil 2000100us\n")
    assert told.summary == "redundancy group 1 is being handed over"
    assert told.to_move == ()


def test_a_peer_that_was_not_heard_for_a_moment() -> None:
    told = explained("at 2s cut all\nuntil 2300ms\n")
    assert told.owner == 0
    assert "node1 was last heard more than 1.5 heartbeat intervals ago, so nothing is handed over to it" in told.blocks


def test_a_daemon_that_stops() -> None:
    told = explained("at 2s node1 interface lan down\nat 4s node0 stop\nuntil 4050ms\n")
    assert "the daemon of node0 is stopping" in told.blocks


def test_different_configurations() -> None:
    core = recorded.with_another_configuration()
    (told,) = explain(core, core.judged, 0)
    assert "the nodes run different configurations, so what is said here of the other node's interfaces may be wrong" in told.notes


PROBED = recorded.CLUSTER.replace("threshold 5", "threshold 5 arbitration probe")


def test_denied_by_arbitration() -> None:
    cut = "at 2s cut all\nat 2s cut arbiter from node1\n"
    told = explained(f"{cut}until 4s\n", 1, cluster=PROBED)
    denied = "arbitration: 192.0.2.9 does not speak for node1, so alone it owns nothing; mend the way to it"
    assert denied in told.blocks
    assert told.summary == "no node owns redundancy group 1"
    told = explained(f"{cut}at 4s heal arbiter from node1\nuntil 4100ms\n", 1, cluster=PROBED)
    (waits,) = [block for block in told.blocks if block.startswith("arbitration")]
    assert waits.startswith("arbitration: 192.0.2.9 has answered node1 again only just now; it counts in 1")
    told = explained(f"{cut}until 4s\n", 0, cluster=PROBED)
    assert not any("arbitration" in block for block in told.blocks)


def test_an_arbiter_is_worth_a_note_before_it_is_needed() -> None:
    told = explained("at 2s cut arbiter from node0\nuntil 4s\n", 0, cluster=PROBED)
    assert told.notes == ("192.0.2.9 does not answer node0: were node1 silent, it would own nothing",)
    assert not any("arbitration" in block for block in told.blocks)
    alone = PROBED.replace("threshold 5", "threshold 5 fabric-links 0")
    assert explained("until 4s\n", 0, cluster=alone).notes == ()
    assert explained("until 4s\n", 0, cluster=alone.replace(" arbitration probe", "")).notes == (
        "there is one path between the nodes: when it is cut, both become primary",
    )
