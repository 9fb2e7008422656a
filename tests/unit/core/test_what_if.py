"""What-if against the simulator: what is foretold from a live state is what both nodes then really do."""

import pytest

from jsrpd.core import checkpoint
from jsrpd.core.actions import Log
from jsrpd.core.what_if import (
    Committed,
    FailoverOrdered,
    InterfaceSet,
    MaintenanceOrdered,
    Moment,
    MonitorSet,
    NodeKilled,
    NodeLost,
    NodeStarted,
    NodeStopped,
    Outcome,
    PathsSet,
    Planned,
    RejoinOrdered,
    ResetOrdered,
    Supposed,
    counterpart,
    mirrored,
    rehearse,
)
from jsrpd.messages.rendering import render_text
from jsrpd.model.link_messages import FIRST_FABRIC_PATH
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import MILLISECOND, SECOND
from tests.unit.core import recorded

FABRIC = (FIRST_FABRIC_PATH,)
PREEMPT = recorded.CLUSTER.replace("group 1 priorities 200 100", "group 1 priorities 200 100 preempt delay 1")
AT_S = 4
"""When the cluster of a scenario is asked, and when the same really happens in another run of it."""


def plan(*steps: tuple[float, Supposed]) -> list[Planned]:
    return [Planned(round(after * SECOND), what, str(what)) for after, what in steps]


def foretold(before: str, steps: list[Planned], node: int, cluster: str = recorded.CLUSTER) -> Outcome:
    core = recorded.core(f"{before}until {AT_S}s\n", node, cluster)
    return rehearse(core, core.judged, steps)


def changes(moments: tuple[Moment, ...]) -> list[tuple[int, str]]:
    """Transitions, node by node in order."""
    found = [(m.node, m.text.partition(": ")[2]) for m in moments if m.kind == "transition" and m.node is not None and m.at_ms >= 0]
    return sorted(found, key=lambda change: change[0])


def really(before: str, then: str, cluster: str = recorded.CLUSTER) -> list[tuple[int, str]]:
    """The same from the simulator's logs."""
    history = recorded.run(f"{before}{then}until 30s\n", cluster).history
    found = []
    for life in history.lives:
        for now, _, actions, _ in life.turns:
            at = now - SECOND
            for action in actions:
                if at >= AT_S * SECOND and isinstance(action, Log) and action.message.tag == "JSRPD_RG_STATE_CHANGE":
                    found.append((life.configuration.node_id, render_text(action.message)))
    return sorted(found, key=lambda change: change[0])


CASES = {
    "lan": ("", plan((0, InterfaceSet(0, "lan", False))), "at 4s node0 interface lan down\n"),
    "both lans": (
        "",
        plan((0, InterfaceSet(0, "lan", False)), (2, InterfaceSet(1, "lan", False))),
        "at 4s node0 interface lan down\nat 6s node1 interface lan down\n",
    ),
    "standby's lan, then the owner's": (
        "at 2s node1 interface lan down\n",
        plan((0, InterfaceSet(0, "lan", False)), (2, InterfaceSet(1, "lan", True))),
        "at 4s node0 interface lan down\nat 6s node1 interface lan up\n",
    ),
    "fabric": ("", plan((0, PathsSet(FABRIC, False)), (2, PathsSet(FABRIC, True))), "at 4s cut fabric for 2s\n"),
    "fabric heals": ("at 2s cut fabric\n", plan((0, PathsSet(FABRIC, True))), "at 4s heal fabric\n"),
    "maintenance": (
        "",
        plan((0, MaintenanceOrdered(0, True)), (3, MaintenanceOrdered(0, False))),
        "at 4s node0 maintenance on\nat 7s node0 maintenance off\n",
    ),
    "maintenance ends": (
        "at 2s node1 maintenance on\n",
        plan(
            (0, InterfaceSet(0, "lan", False)),
        ),
        "at 4s node0 interface lan down\n",
    ),
    "owner off": ("", plan((0, NodeLost(0))), "at 4s node0 power-off\n"),
    "owner killed": ("", plan((0, NodeKilled(0))), "at 4s node0 kill\n"),
    "standby killed": ("", plan((0, NodeKilled(1))), "at 4s node1 kill\n"),
    "owner stopped and started": (
        "",
        plan((0, NodeStopped(0)), (5, NodeStarted(0))),
        "at 4s node0 stop\nat 9s node0 start\n",
    ),
    "control cut": ("", plan((0, PathsSet((0,), False)), (6, PathsSet((0,), True))), "at 4s cut control\nat 10s heal control\n"),
    "fabric cut": ("", plan((0, PathsSet(FABRIC, False))), "at 4s cut fabric\n"),
    "all cut and healed": ("", plan((0, PathsSet((0, 4), False)), (3, PathsSet((0, 4), True))), "at 4s cut all\nat 7s heal all\n"),
    "a segment falls silent and is heard again": (
        "",
        plan((0, MonitorSet(0, 1, FailureCode.SG, 255)), (3, MonitorSet(0, 1, FailureCode.SG, None))),
        "at 4s node0 monitor 1 SG supposed failed 255\nat 7s node0 monitor 1 SG supposed recovered\n",
    ),
    "failover and reset": (
        "",
        plan((0, FailoverOrdered(1, 1)), (3, ResetOrdered(None))),
        "at 4s node0 request failover redundancy-group 1 node 1\nat 7s node0 request failover reset redundancy-group 1\n",
    ),
    "alone": (
        "at 2s node1 kill\n",
        plan((0, InterfaceSet(0, "lan", False)), (2, NodeStarted(1))),
        "at 4s node0 interface lan down\nat 6s node1 start\n",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_foretold_as_it_happens(name: str) -> None:
    before, steps, then = CASES[name]
    assert changes(foretold(before, steps, 0).timeline) == really(before, then)


def test_services_end_before_a_foretold_hand_over() -> None:
    """How long they take is not known, so they end at once; that the group moves after all is foretold."""
    cluster = recorded.CLUSTER.replace("group 1 priorities 200 100", "group 1 priorities 200 100 service 5")
    assert cluster != recorded.CLUSTER
    said = changes(foretold("", plan((0, FailoverOrdered(1, 1))), 0, cluster).timeline)
    then = "at 4s node0 request failover redundancy-group 1 node 1\nat 4001ms node0 services stopped 1\n"
    assert said == really("", then, cluster)
    assert (0, "Redundancy-group 1 transitioned from 'primary' to 'secondary-hold' state due to Manual failover") in said


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("failover and reset", "alone")])
def test_the_other_node_foretells_the_same(name: str) -> None:
    """Asked on node 1, which knows of node 0 only what that one says."""
    before, steps, then = CASES[name]
    assert changes(foretold(before, steps, 1).timeline) == really(before, then)


@pytest.mark.parametrize("node", [0, 1])
def test_preempt(node: int) -> None:
    before = "at 1s node0 interface lan down\n"
    happened = really(before, "at 5s node0 interface lan up\n", PREEMPT)
    assert changes(foretold(before, plan((1, InterfaceSet(0, "lan", True))), node, PREEMPT).timeline) == happened
    assert [text.split("due to ")[1] for _, text in happened][:2] == ["Remote is in secondary hold", "Preempt/yield(100/200)"]


def test_the_asked_core_is_not_touched() -> None:
    core = recorded.core("until 4s\n")
    before = checkpoint.encode(core)
    rehearse(core, core.judged, plan((0, NodeLost(1)), (1, NodeStarted(1)), (1, InterfaceSet(0, "lan", False))))
    assert checkpoint.encode(core) == before


def test_nothing_happens_by_itself() -> None:
    """The counterpart is at rest: two nodes that are left alone stay as they are, on either side."""
    for node in (0, 1):
        outcome = foretold("at 2s node0 interface lan down\n", plan((20, FailoverOrdered(1, 0))), node)
        assert [m.kind for m in outcome.timeline if m.at_ms < 20_000] == []


def test_a_cluster_that_is_asked_twice_answers_twice_the_same() -> None:
    steps = plan((0, PathsSet((0, 4), False)), (1, PathsSet((0, 4), True)))
    assert foretold("", steps, 0) == foretold("", steps, 0)


def test_owners_and_gaps() -> None:
    outcome = foretold("", plan((0, NodeLost(0))), 1)
    zero, one = outcome.groups
    assert (one.owner_before, one.owner_after) == (0, 1)
    assert 300 < one.nobody_ms <= 500
    assert one.both_ms == zero.both_ms == 0
    assert {(s.node, s.state) for s in outcome.after if s.group == 1} == {(0, "gone"), (1, "primary")}
    assert outcome.at_rest


def test_a_killed_daemons_gate_stays_to_the_end_of_its_lease() -> None:
    killed = [m for m in foretold("", plan((0, NodeKilled(0))), 1).timeline if m.kind == "gate" and m.node == 0]
    assert [m.text for m in killed] == ["redundancy group 0: gate shut", "redundancy group 1: gate shut"]
    assert all(300 < m.at_ms < 500 for m in killed)


def test_a_complete_cut_shows_two_owners() -> None:
    outcome = foretold("", plan((0, PathsSet((0, 4), False)), (2, PathsSet((0, 4), True))), 0)
    assert all(1400 < group.both_ms < 1700 for group in outcome.groups)
    assert outcome.groups[1].owner_after == 0


def test_an_interface_that_carries_a_path() -> None:
    """A fabric link's own interface: the path goes with it."""
    (control,) = [
        m.text for m in foretold("", plan((0, InterfaceSet(0, "ctl0", False))), 0).timeline if m.kind == "message" and m.node == 0
    ]
    assert control.startswith("JSRPD_HA_CONTROL_LINK_DOWN")


def test_a_monitor_of_a_node_that_is_gone_recovers_nothing() -> None:
    outcome = foretold("", plan((0, NodeLost(1)), (1, MonitorSet(1, 1, FailureCode.SG, None))), 0)
    assert [standing.state for standing in outcome.after if standing.node == 1] == ["gone", "gone"]


def test_a_refused_failover_says_why() -> None:
    outcome = foretold("at 2s node1 interface lan down\n", plan((0, FailoverOrdered(1, 1))), 0)
    assert [m.text for m in outcome.timeline if m.kind == "answer"] == [
        "node1 is not fit for redundancy group 1: its priority is 0"
    ]


def test_a_configuration_candidate() -> None:
    """With a higher weight for the interface that is down already, loading it moves the group."""
    core = recorded.core("at 2s node0 interface wan down\nuntil 4s\n")
    other = recorded.core("until 1s\n", 1, recorded.CLUSTER.replace("wan 100", "wan 255")).configuration
    outcome = rehearse(core, core.judged, plan((0, Committed((mirrored(other), other)))))
    assert (outcome.groups[1].owner_before, outcome.groups[1].owner_after) == (0, 1)
    assert changes(outcome.timeline)[0][1].endswith("due to Monitor failed: IF")


def test_started_twice() -> None:
    outcome = foretold("", plan((0, NodeStarted(1))), 0)
    assert [m.text for m in outcome.timeline if m.kind == "answer"] == ["its daemon runs already"]


def test_what_is_under_way_is_said() -> None:
    """A hold-down longer than the run is watched."""
    cluster = recorded.CLUSTER.replace("group 1 priorities 200 100", "group 1 priorities 200 100 hold-down 300")
    outcome = foretold("", plan((0, FailoverOrdered(1, 1))), 0, cluster)
    assert not outcome.at_rest
    assert outcome.followed_ms >= 60_000


# -- the counterpart ----------------------------------------------------------------------------------------------------


def test_mirroring_twice_is_nothing() -> None:
    first, second = (recorded.core("until 1s\n", node).configuration for node in (0, 1))
    assert mirrored(first) == second
    assert mirrored(mirrored(first)) == first


def test_counterpart_stands_where_the_other_node_stands() -> None:
    world = recorded.run("at 2s node1 interface lan down\nat 2s node1 monitor 1 IP x failed 30\nuntil 4s\n").world
    local, other = (node.cluster for node in world.nodes)
    made = counterpart(local, local.judged)
    assert made is not None
    for number, group in other.groups.items():
        assert made.groups[number].state == group.state
        assert made.groups[number].generation == group.generation
        assert made.groups[number].weight == group.weight
        assert made.groups[number].report(local.judged, True) == group.report(local.judged, True)
    assert made.interfaces_up == other.interfaces_up
    assert made.groups[1].state == GroupState.SECONDARY


def test_no_counterpart_of_a_lost_node() -> None:
    core = recorded.core("at 2s node1 kill\nuntil 4s\n")
    assert counterpart(core, core.judged) is None
    outcome = rehearse(core, core.judged, plan((0, InterfaceSet(0, "lan", False))))
    assert "node1 is not heard now, so it stays away unless it is told to start" in outcome.assumptions


def test_assumptions_name_what_is_cut() -> None:
    outcome = foretold("at 2s cut fabric\n", plan((0, InterfaceSet(0, "lan", False))), 0)
    assert "down as they are now: fabric link fab0" in outcome.assumptions
    assert any(m.at_ms > 0 for m in outcome.timeline)


def test_moments_are_in_milliseconds() -> None:
    outcome = foretold("", plan((0.5, InterfaceSet(0, "lan", False))), 0)
    event = next(m for m in outcome.timeline if m.kind == "event")
    assert event.at_ms == 500 * MILLISECOND / MILLISECOND


# -- what is seldom -------------------------------------------------------------------------------------------------------


def test_different_configurations() -> None:
    """The group that only the other node has is no part of the answer, and the assumption is said."""
    core = recorded.with_another_configuration()
    outcome = rehearse(core, core.judged, plan((0, PathsSet((0, 4), False))))
    assert "the nodes run different configurations; node1 is taken to run that of node0" in outcome.assumptions
    assert {standing.group for standing in outcome.after} == {0}


def test_what_is_gone_is_told_nothing() -> None:
    steps = plan((0, NodeLost(1)), (0.1, NodeStopped(1)), (0.2, InterfaceSet(1, "lan", False)), (0.3, NodeLost(0)))
    outcome = foretold("", [*steps, *plan((0.4, FailoverOrdered(1, 1)), (0.5, ResetOrdered(None)))], 0)
    assert [m.text for m in outcome.timeline if m.kind == "answer"] == ["no daemon is left that could be asked"]
    assert {standing.state for standing in outcome.after} == {"gone"}


def test_a_path_comes_back_with_its_interface() -> None:
    """The fabric was silent when the question was asked; its interface comes up in it."""
    before = "at 2s node0 interface fab0 down\nat 2s cut fabric\n"
    steps = plan((0, PathsSet((0,), False)), (0.1, InterfaceSet(0, "fab0", True)))
    assert {s.state for s in foretold(before, steps, 0).after if s.node == 1} == {"ineligible"}
    assert {s.state for s in foretold(before, steps[:1], 0).after if s.node == 1} == {"primary"}


MANUAL = "cluster control-link-recovery manual disable-after 1\n" + recorded.CLUSTER
CONTROL = (0,)


def test_a_disabled_node_is_taken_back() -> None:
    told = foretold("at 1500ms cut control\n", plan((1, PathsSet(CONTROL, True)), (6, RejoinOrdered(1))), 0, MANUAL)
    assert told.at_rest
    assert {one.state for one in told.after if one.node == 1} == {"secondary"}
    refused = foretold("", plan((0, RejoinOrdered(1))), 0)
    assert [m.text for m in refused.timeline if m.kind == "answer"] == ["node1 is not disabled; there is nothing to rejoin"]
    gone = foretold("", plan((0, NodeKilled(1)), (1, RejoinOrdered(1))), 0)
    assert "its daemon does not run" in [m.text for m in gone.timeline if m.kind == "answer"]


def test_a_disabled_node_reboots() -> None:
    cluster = MANUAL.replace("manual", "reboot")
    told = foretold("at 1500ms cut control\n", plan((0, PathsSet(CONTROL, True))), 1, cluster)
    events = [moment.text for moment in told.timeline if moment.kind == "event"]
    assert "node 1 reboots, which is taken to last 30 s" in events
    assert "node 1 started" in events
    assert {one.state for one in told.after if one.node == 1} == {"secondary"}


EVERY_PATH = (0, FIRST_FABRIC_PATH)


@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.parametrize(
    ("arbitration", "before", "then"),
    [
        ("probe", "", "cut all for 3s"),
        ("probe", "at 2s cut arbiter from node{asked}\n", "cut all for 3s"),
        ("witness", "", "cut all for 3s"),
    ],
)
def test_arbitration_is_foretold(arbitration: str, before: str, then: str, asked: int) -> None:
    """An address answers whom it answers now and the other node anyway; a witness gives its key to the first that asks."""
    cluster = recorded.CLUSTER.replace("threshold 5", f"threshold 5 arbitration {arbitration}")
    before = before.format(asked=asked)
    steps = plan((0, PathsSet(EVERY_PATH, False)), (3, PathsSet(EVERY_PATH, True)))
    outcome = foretold(before, steps, asked, cluster)
    assert changes(outcome.timeline) == really(before, f"at 4s {then}\n", cluster)
    assert any("192.0.2.9" in assumption for assumption in outcome.assumptions)


def test_a_node_that_dies_with_the_witnesses_key_blocks_the_other_for_a_while() -> None:
    cluster = recorded.CLUSTER.replace("threshold 5", "threshold 5 arbitration witness")
    steps = plan((0, PathsSet(EVERY_PATH, False)), (2, NodeLost(0)))
    (group,) = [group for group in foretold("", steps, 0, cluster).groups if group.group == 1]
    assert (group.owner_before, group.owner_after, group.both_ms) == (0, 1, 0)
    assert group.nobody_ms > 1000
    steps = plan((0, NodeStopped(0)), (5, NodeStarted(0)))
    (group,) = [group for group in foretold("", steps, 1, cluster).groups if group.group == 1]
    assert (group.owner_after, group.nobody_ms) == (1, 0)
