"""Who becomes what, and why: the rows of SPEC 6.2 one by one, then every combination against the rules no row may break."""

import itertools

import pytest

from jsrpd.core.election import Decision, GroupView, decide
from jsrpd.core.redundancy_group import TRANSITIONS
from jsrpd.model.configuration import Preempt
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import SECOND
from tests.unit.core.views import NOW, TIMING, report, view

HOLD, SECONDARY, PRIMARY = GroupState.HOLD, GroupState.SECONDARY, GroupState.PRIMARY
SECONDARY_HOLD, INELIGIBLE, DISABLED = GroupState.SECONDARY_HOLD, GroupState.INELIGIBLE, GroupState.DISABLED
IF, SP = 1 << FailureCode.IF, 1 << FailureCode.SP
LOST: dict[str, object] = {"peer_silent": True, "peer_fresh": False, "peer": None}
OWNER: dict[str, object] = {"state": PRIMARY, "gate_open": True}
PREFERRED: dict[str, object] = {"peer": report(effective_priority=250), "peer_preferred_since": NOW - 3 * SECOND}

ROWS: dict[str, tuple[dict[str, object], Decision | None]] = {
    "hold: just started": ({"state": HOLD, "since": NOW}, None),
    "hold: exchanged, but T is not over": ({"state": HOLD, "since": NOW - TIMING.dead + 1}, None),
    "hold: exchanged and T over": ({"state": HOLD, "since": NOW - TIMING.dead}, Decision(SECONDARY, "Hold timer expired")),
    "hold: T over, peer not met": ({"state": HOLD, "since": NOW - TIMING.dead, "peer_exchanged": False}, None),
    "hold: start-up hold over": (
        {"state": HOLD, "since": NOW - TIMING.start_up_hold, "peer_exchanged": False},
        Decision(SECONDARY, "Hold timer expired"),
    ),
    "secondary: higher priority": ({}, Decision(PRIMARY, "Better priority (200/100)")),
    "secondary: lower priority": ({"effective_priority": 50}, None),
    "secondary: equal, lower node-id": ({"effective_priority": 100}, Decision(PRIMARY, "Better priority (100/100)")),
    "secondary: equal, higher node-id": ({"effective_priority": 100, "node": 1}, None),
    "secondary: peer yields": ({"peer": report(effective_priority=0)}, Decision(PRIMARY, "Remote yield (200/0)")),
    "secondary: peer yields, its monitors failed": (
        {"peer": report(effective_priority=0, failures=IF | SP)},
        Decision(PRIMARY, "Remote yield (200/0), due to IF SP  failures"),
    ),
    "secondary: both unfit, lower node-id": (
        {"effective_priority": 0, "peer": report(effective_priority=0, failures=IF)},
        Decision(PRIMARY, "Remote yield (0/0), due to IF  failures"),
    ),
    "secondary: both unfit, higher node-id": (
        {"effective_priority": 0, "node": 1, "peer": report(effective_priority=0)},
        None,
    ),
    "secondary: peer has not echoed us": ({"peer_echoed": False}, None),
    "secondary: peer heard, but has said nothing": ({"peer": None}, None),
    "secondary: peer in hold, we were up first": (
        {"effective_priority": 50, "first_up": True, "peer": report(state=HOLD)},
        Decision(PRIMARY, "Remote yield (50/0)"),
    ),
    "secondary: peer in hold, started together": ({"peer": report(state=HOLD)}, None),
    "secondary: peer owns it": ({"peer": report(state=PRIMARY)}, None),
    "secondary: peer owns it, control links failed": (
        {"control_failed": True, "peer": report(state=PRIMARY)},
        Decision(INELIGIBLE, "Control link failure"),
    ),
    "secondary: peer hands over": (
        {"effective_priority": 50, "peer": report(state=SECONDARY_HOLD)},
        Decision(PRIMARY, "Remote is in secondary hold"),
    ),
    "secondary: peer hands over, we are unfit": ({"effective_priority": 0, "peer": report(state=SECONDARY_HOLD)}, None),
    "secondary: peer lost": (LOST, Decision(PRIMARY, "Only node present")),
    "secondary: peer lost, we are unfit": (LOST | {"effective_priority": 0}, Decision(PRIMARY, "Only node present")),
    "secondary: stopping": (LOST | {"stopping": True}, None),
    "primary: all well": (OWNER, None),
    "primary: priority alone moves nothing": (OWNER | {"peer": report(effective_priority=250)}, None),
    "primary: monitor failed": (
        OWNER | {"weight": 0, "failures": IF, "effective_priority": 0},
        Decision(SECONDARY_HOLD, "Monitor failed: IF"),
    ),
    "primary: monitor failed, peer unfit": (OWNER | {"weight": 0, "failures": IF, "peer": report(effective_priority=0)}, None),
    "primary: monitor failed, peer not heard lately": (OWNER | {"weight": -5, "failures": IF, "peer_fresh": False}, None),
    "primary: monitor failed, peer lost": (OWNER | LOST | {"weight": 0, "failures": IF}, None),
    "primary: operator": (OWNER | {"yield_to_operator": True}, Decision(SECONDARY_HOLD, "Manual failover")),
    "primary: stopping": (OWNER | {"stopping": True}, Decision(SECONDARY_HOLD, "Node shutdown")),
    "primary: stopping alone": (OWNER | LOST | {"stopping": True}, None),
    "primary: control links failed": (OWNER | {"control_failed": True}, Decision(SECONDARY_HOLD, "Control link failure")),
    "primary: preempt": (OWNER | PREFERRED | {"preempt": Preempt()}, Decision(SECONDARY_HOLD, "Preempt/yield(200/250)")),
    "primary: preempt, delay running": (OWNER | PREFERRED | {"preempt": Preempt(delay_s=4)}, None),
    "primary: preempt, delay over": (
        OWNER | PREFERRED | {"preempt": Preempt(delay_s=3)},
        Decision(SECONDARY_HOLD, "Preempt/yield(200/250)"),
    ),
    "primary: preempt, not preferred": (OWNER | {"preempt": Preempt()}, None),
    "primary: preempt, placed by the operator": (OWNER | PREFERRED | {"preempt": Preempt(), "manual": True}, None),
    "primary: preempt, group 0": (OWNER | PREFERRED | {"preempt": Preempt(), "group": 0}, None),
    "primary: gate shut for less than T": (OWNER | {"gate_open": False, "gate_shut_since": NOW - TIMING.dead + 1}, None),
    "primary: gate shut for T": (
        OWNER | {"gate_open": False, "gate_shut_since": NOW - TIMING.dead},
        Decision(SECONDARY, "Lease expired"),
    ),
    "both primary: the shut gate yields": (
        OWNER | {"gate_open": False, "peer": report(state=PRIMARY, gate_open=True)},
        Decision(SECONDARY_HOLD, "Preempt/yield(200/100)"),
    ),
    "both primary: the open gate stays": (OWNER | {"peer": report(state=PRIMARY, effective_priority=250)}, None),
    "both primary, both open: lower priority yields": (
        OWNER | {"effective_priority": 50, "peer": report(state=PRIMARY, gate_open=True)},
        Decision(SECONDARY_HOLD, "Preempt/yield(50/100)"),
    ),
    "both primary, both open: higher priority stays": (OWNER | {"peer": report(state=PRIMARY, gate_open=True)}, None),
    "both primary, both open, equal: higher node-id yields": (
        OWNER | {"node": 1, "effective_priority": 100, "peer": report(state=PRIMARY, gate_open=True)},
        Decision(SECONDARY_HOLD, "Preempt/yield(100/100)"),
    ),
    "both primary, both shut: lower generation yields": (
        OWNER | {"gate_open": False, "peer": report(state=PRIMARY, generation=2)},
        Decision(SECONDARY_HOLD, "Preempt/yield(200/100)"),
    ),
    "both primary, both shut: higher generation stays": (
        OWNER | {"gate_open": False, "generation": 3, "effective_priority": 50, "peer": report(state=PRIMARY, generation=2)},
        None,
    ),
    "secondary-hold: grace": (
        {"state": SECONDARY_HOLD, "grace_until": NOW + 1, "hold_down_until": NOW + SECOND},
        None,
    ),
    "secondary-hold: hold-down": ({"state": SECONDARY_HOLD, "hold_down_until": NOW + 1}, None),
    "secondary-hold: hold-down over": ({"state": SECONDARY_HOLD}, Decision(SECONDARY, "Ready to become secondary")),
    "secondary-hold: nobody takes it": (
        {"state": SECONDARY_HOLD, "hold_down_until": NOW + SECOND, "peer": report(effective_priority=0)},
        Decision(SECONDARY, "Ready to become secondary"),
    ),
    "secondary-hold: taken": (
        {"state": SECONDARY_HOLD, "hold_down_until": NOW + 1, "peer": report(state=PRIMARY)},
        None,
    ),
    "secondary-hold: control links failed": (
        {"state": SECONDARY_HOLD, "control_failed": True, "peer": report(state=PRIMARY)},
        Decision(INELIGIBLE, "Control link failure"),
    ),
    "secondary-hold: peer lost": (LOST | {"state": SECONDARY_HOLD}, Decision(PRIMARY, "Only node present")),
    "secondary-hold: stopping": (LOST | {"state": SECONDARY_HOLD, "stopping": True}, None),
    "ineligible: peer owns it": ({"state": INELIGIBLE, "peer": report(state=PRIMARY)}, None),
    "ineligible: recovered": (
        {"state": INELIGIBLE, "links_recovered": True, "peer": report(state=PRIMARY)},
        Decision(SECONDARY, "Control link recovered"),
    ),
    "ineligible: peer lost": (LOST | {"state": INELIGIBLE}, Decision(PRIMARY, "Only node present")),
    "ineligible: nobody owns it for T": (
        {"state": INELIGIBLE, "since": NOW - TIMING.dead},
        Decision(SECONDARY, "Remote is not primary"),
    ),
    "ineligible: nobody owns it yet": ({"state": INELIGIBLE, "since": NOW - TIMING.dead + 1}, None),
    "ineligible: stopping": (LOST | {"state": INELIGIBLE, "stopping": True}, None),
    "ineligible: fabric recovered": (
        {"state": INELIGIBLE, "links_recovered": True, "by_fabric": True, "peer": report(state=PRIMARY)},
        Decision(SECONDARY, "Fabric link recovered"),
    ),
    "ineligible: for long enough": (
        {"state": INELIGIBLE, "disable_due": True, "peer": report(state=PRIMARY)},
        Decision(DISABLED, "Ineligible timer expired"),
    ),
    "ineligible: well just in time": (
        {"state": INELIGIBLE, "disable_due": True, "links_recovered": True, "peer": report(state=PRIMARY)},
        Decision(SECONDARY, "Control link recovered"),
    ),
    "disabled: stays, even alone": (LOST | {"state": DISABLED}, None),
    "disabled: taken back": ({"state": DISABLED, "rejoin": True}, Decision(HOLD, "Recovered from disabled")),
    "secondary: fabric links failed": (
        {"fabric_failed": True, "peer": report(state=PRIMARY)},
        Decision(INELIGIBLE, "Fabric link failure"),
    ),
    "secondary: fabric links failed, nobody owns it": (
        {"fabric_failed": True},
        Decision(PRIMARY, "Better priority (200/100)"),
    ),
    "secondary-hold: fabric links failed": (
        {"state": SECONDARY_HOLD, "fabric_failed": True, "peer": report(state=PRIMARY)},
        Decision(INELIGIBLE, "Fabric link failure"),
    ),
    "primary: the leader of its groups is on the peer": (
        {"state": PRIMARY, "gate_open": True, "follows": True},
        Decision(SECONDARY_HOLD, "Redundancy mode active-backup"),
    ),
    "primary: preempted too often": (
        {
            "state": PRIMARY,
            "gate_open": True,
            "effective_priority": 50,
            "preempt": Preempt(),
            "preempt_held": True,
            "peer_preferred_since": NOW - SECOND,
        },
        None,
    ),
}


@pytest.mark.parametrize(("changes", "expected"), ROWS.values(), ids=ROWS)
def test_row(changes: dict[str, object], expected: Decision | None) -> None:
    assert decide(view(**changes)) == expected


# -- every combination ------------------------------------------------------------------------------------------------

PRIORITIES = (0, 100, 200)
BOOLEANS = (False, True)
PEERS = [None] + [
    report(state=state, effective_priority=priority, gate_open=gate, generation=generation)
    for state in GroupState
    for priority in PRIORITIES
    for gate in (BOOLEANS if state == PRIMARY else (state == SECONDARY_HOLD,))
    for generation in (1, 2)
]


def every_view() -> list[GroupView]:
    """All states of both nodes with every yes-or-no, where it can make a difference."""
    axes = itertools.product((0, 1), GroupState, PRIORITIES, PEERS, BOOLEANS, BOOLEANS, BOOLEANS, BOOLEANS, BOOLEANS)
    return [
        view(
            node=node,
            state=state,
            effective_priority=priority,
            weight=255 if priority else 0,
            peer=peer,
            stopping=stopping,
            peer_silent=silent,
            peer_echoed=echoed,
            first_up=first_up,
            control_failed=control_failed,
            yield_to_operator=first_up,
            links_recovered=first_up,
            gate_open=echoed,
        )
        for node, state, priority, peer, stopping, silent, echoed, first_up, control_failed in axes
        if not (silent and peer is not None)
    ]


def test_no_combination_breaks_a_rule() -> None:
    """Legal transitions only; no claim against a heard owner or without an echo; no yielding to who is not fit."""
    for v in every_view():
        decision = decide(v)
        if decision is None:
            continue
        assert (v.state, decision.state) in TRANSITIONS, v
        assert decision.reason
        if decision.state == PRIMARY:
            assert not v.stopping, v
            assert not v.peer_is_primary, v
            assert v.peer_silent or v.peer_echoed, v
            assert v.peer_silent == (decision.reason == "Only node present"), v
        if decision.state == SECONDARY_HOLD and not v.peer_is_primary:
            assert v.peer_fit, v
        if decision.state == INELIGIBLE:
            assert v.peer_is_primary, "ineligible only against a heard primary (LEASE 13)"


def mirrored(state: GroupState, priorities: tuple[int, int], gates: tuple[bool, bool], generations: tuple[int, int]) -> list[bool]:
    """Whether each of two nodes that see each other in ``state`` decides to change."""
    decisions = []
    for node in (0, 1):
        own, other = node, 1 - node
        peer = report(state=state, effective_priority=priorities[other], gate_open=gates[other], generation=generations[other])
        seen = view(
            node=node,
            state=state,
            effective_priority=priorities[own],
            gate_open=gates[own],
            generation=generations[own],
            peer=peer,
        )
        decisions.append(decide(seen) is not None)
    return decisions


@pytest.mark.parametrize("priorities", list(itertools.product((0, 1, 100, 254, 255), repeat=2)))
def test_exactly_one_of_two_secondaries_claims(priorities: tuple[int, int]) -> None:
    """Both echoed, nobody primary: never both, never none, unfit or not."""
    assert sum(mirrored(SECONDARY, priorities, (False, False), (1, 1))) == 1


@pytest.mark.parametrize("gates", list(itertools.product(BOOLEANS, repeat=2)))
@pytest.mark.parametrize("priorities", list(itertools.product((0, 100, 255), repeat=2)))
@pytest.mark.parametrize("generations", list(itertools.product((1, 2), repeat=2)))
def test_exactly_one_of_two_primaries_yields(
    priorities: tuple[int, int], gates: tuple[bool, bool], generations: tuple[int, int]
) -> None:
    """Both primary and heard (LEASE 12): never both, never none."""
    assert sum(mirrored(PRIMARY, priorities, gates, generations)) == 1
