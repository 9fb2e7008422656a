"""What can be enumerated is enumerated: elections between consistent views, single faults in lease and hand-over."""

import itertools

import pytest

from jsrpd.core.election import GroupView, decide
from jsrpd.core.redundancy_group import TRANSITIONS
from jsrpd.model.configuration import Preempt
from jsrpd.model.link_messages import GroupReport
from jsrpd.model.roles import GroupState
from jsrpd.model.time import MILLISECOND, SECOND, Timing
from simulator.model_check import search
from simulator.node import ClusterFactory
from tests.simulation import planted

TIMING = Timing(100 * MILLISECOND, 5)
NOW = 1000 * SECOND
LONG, JUST = NOW - 100 * SECOND, NOW - MILLISECOND
PRIORITIES = (0, 100, 200)
STATES = tuple(state for state in GroupState if state != GroupState.DISABLED)


def report(state: GroupState, priority: int, gate_open: bool = False, generation: int = 1) -> GroupReport:
    """The peer's word; unfit means a failed monitor."""
    return GroupReport(
        0, state, priority, priority, 255 if priority else 0, 0 if priority else 1 << 4, False, gate_open, generation
    )


def view(node: int, state: GroupState, priority: int, peer: GroupReport | None, **changes: object) -> GroupView:
    """A node that has been in ``state`` for long, is fit unless its priority is 0, and hears its peer."""
    fields: dict[str, object] = {
        "now": NOW, "timing": TIMING, "node": node, "group": 1, "state": state, "since": LONG, "effective_priority": priority,
        "weight": 255 if priority else 0, "failures": 0 if priority else 1 << 4, "manual": False, "generation": 1,
        "gate_open": state == GroupState.PRIMARY, "gate_shut_since": None, "hold_down_until": LONG, "grace_until": LONG,
        "stopping": False, "yield_to_operator": False, "preempt": None, "peer_preferred_since": None, "peer_silent": False,
        "peer_fresh": True, "peer_echoed": True, "peer_exchanged": True, "first_up": False, "control_failed": False,
        "fabric_failed": False, "links_recovered": False, "by_fabric": False, "disable_due": False, "rejoin": False,
        "preempt_held": False, "follows": False, "peer": peer,
    }  # fmt: skip
    return GroupView(**(fields | changes))  # type: ignore[arg-type]


def after(node: int, state: GroupState, priority: int, other: GroupState, other_priority: int, **changes: object) -> GroupState:
    """Where the decision leads from ``state``."""
    decision = decide(view(node, state, priority, report(other, other_priority), **changes))
    return state if decision is None else decision.state


@pytest.mark.parametrize(("first", "second"), list(itertools.product(PRIORITIES, repeat=2)))
def test_two_secondaries_that_know_each_other_elect_exactly_one(first: int, second: int) -> None:
    claims = (
        after(0, GroupState.SECONDARY, first, GroupState.SECONDARY, second),
        after(1, GroupState.SECONDARY, second, GroupState.SECONDARY, first),
    )
    assert claims.count(GroupState.PRIMARY) == 1
    assert (claims[0] == GroupState.PRIMARY) == (first >= second)


def test_from_consistent_views_two_nodes_never_both_claim() -> None:
    """Every pair of states and priorities, each node knowing the other as it is, echoed or not, first up or not."""
    flags = list(itertools.product((False, True), repeat=2))
    for states in itertools.product(STATES, repeat=2):
        for values in itertools.product(PRIORITIES, repeat=2):
            for echoed, first_up in itertools.product(flags, flags):
                ends = [
                    after(
                        n,
                        states[n],
                        values[n],
                        states[1 - n],
                        values[1 - n],
                        peer_echoed=echoed[n],
                        first_up=first_up[n] > first_up[1 - n],
                    )
                    for n in (0, 1)
                ]
                claimed = [states[n] != GroupState.PRIMARY and ends[n] == GroupState.PRIMARY for n in (0, 1)]
                assert not all(claimed), (states, values)
                assert not (claimed[0] and states[1] == GroupState.PRIMARY), (states, values)
                assert not (claimed[1] and states[0] == GroupState.PRIMARY), (states, values)


def test_no_pair_of_states_is_a_dead_end() -> None:
    """Both know each other, timers have run out, echoes are in: whatever they start from, one node is primary after a few steps."""
    for states in itertools.product(STATES, repeat=2):
        for values in itertools.product(PRIORITIES, repeat=2):
            now: list[GroupState] = list(states)
            for _ in range(8):
                open_gates = [state == GroupState.PRIMARY for state in now]
                ends = [
                    decide(
                        view(n, now[n], values[n], report(now[1 - n], values[1 - n], open_gates[1 - n]), gate_open=open_gates[n])
                    )
                    for n in (0, 1)
                ]
                now = [now[n] if end is None else end.state for n, end in enumerate(ends)]
            assert now.count(GroupState.PRIMARY) == 1, (states, values)


def test_every_decision_is_a_row_of_the_table() -> None:
    """All combinations of the conditions that a decision reads."""
    names = (
        "stopping",
        "peer_silent",
        "peer_fresh",
        "peer_echoed",
        "first_up",
        "control_failed",
        "links_recovered",
        "fabric_failed",
        "disable_due",
        "follows",
    )
    conditions = [dict(zip(names, values, strict=True)) for values in itertools.product((False, True), repeat=len(names))]
    peers = [None, *(report(state, priority, gate) for state in STATES for priority in (0, 150) for gate in (False, True))]
    for state, priority, peer in itertools.product(GroupState, PRIORITIES, peers):
        for changes in conditions:
            wish = bool(changes["first_up"])  # Conditions of different states stand for each other.
            one = view(
                0, state, priority, peer, since=JUST, preempt=Preempt(), gate_shut_since=LONG, yield_to_operator=wish, rejoin=wish,
                **changes,
            )  # fmt: skip
            decision = decide(one)
            assert decision is None or ((state, decision.state) in TRANSITIONS and decision.reason)


@pytest.mark.parametrize("broken", [planted.RenewsByOwnClock, planted.ClaimsEarly])
def test_the_search_finds_a_broken_protocol(broken: ClusterFactory) -> None:
    assert search(1, broken, quarters=30).path is not None


def test_beside_a_witness_no_complete_cut_and_no_other_single_fault_opens_two_gates() -> None:
    """From two nodes at rest, until nothing new can be reached; a cut lasts for any number of quarters."""
    assert search(1, planted.IgnoresTheArbiter, quarters=30, witnessed=True).path is not None
    found = search(1, witnessed=True)
    assert found.path is None
    assert found.states > 1000


def test_no_single_fault_opens_two_gates() -> None:
    """From two nodes at rest, until nothing new can be reached. ``make model-check DEPTH=2`` goes on where this stops."""
    found = search(1)
    assert found.path is None
    assert found.states > 1000
