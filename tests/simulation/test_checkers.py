"""Every checker finds the fault planted for it; the production core passes the same runs.

Looked for first where it once was found (the name of a scenario, or a seed), then in the first seeds.
"""

import pytest

from jsrpd.core.cluster import Cluster
from simulator.node import ClusterFactory
from simulator.scenario import Scenario
from simulator.swarm import CHECKERS, Swarm, judged
from tests.scenario.runner import DIRECTORY, load, scenarios
from tests.simulation import planted

SEEDS = 40
"""A planted fault shows within so many seeds, or its checker is blind."""

PLANTED: list[tuple[str, ClusterFactory, str]] = [
    ("one_owner", planted.RenewsByOwnClock, "one-way-cut"),
    ("one_owner", planted.ClaimsEarly, "heard-too-late"),
    ("one_owner", planted.DeafToStrangers, "one-way-cut-standby-restarts"),
    ("one_owner", planted.DeafToStrangers, "one-way-cut-to-standby-restarts"),
    ("one_owner", planted.HandsOverWithoutCap, "failover-refused"),
    ("one_owner", planted.IgnoresTheArbiter, "arbitration-probe-owner-loses"),
    ("one_owner", planted.IgnoresTheArbiter, "arbitration-probe-owner-keeps"),
    ("one_owner", planted.IgnoresTheArbiter, "arbitration-witness-gone"),
    ("one_owner", planted.ClaimsOnTheFirstAnswer, "arbitration-probe-changes-sides"),
    ("one_owner", planted.KeepsOldGrants, "arbitration-witness-second-cut"),
    ("one_owner", planted.ElectsByUnechoedPriority, "priority-changes-before-the-claim"),
    ("one_primary_after_healing", planted.NobodyYieldsInHealing, "seed 1"),
    ("no_owner", planted.NeverClaimsBySilence, "first-up"),
    ("standby_death_costs_nothing", planted.NeverAlone, "standby-killed-and-restarted"),
    ("no_failover_when_late", planted.IgnoresLateness, "standby-machine-paused"),
    ("lost_datagram_costs_nothing", planted.MovesForOneLoss, "lost-heartbeat"),
    ("hold_down", planted.LeavesHoldDownEarly, "hold-down"),
    ("hold_down", planted.StaysInHoldDown, "timeline-t2-split-and-heal"),
    ("preemption", planted.PreemptsUnasked, "first-up"),
    ("preemption", planted.PreemptsManual, "manual-against-preempt"),
    ("manual_failover", planted.DisobeysTheOperator, "manual-failover"),
    ("manual_failover", planted.MovesUnasked, "both-start-together"),
    ("preempt_limit", planted.PreemptsWithoutLimit, "preempt-limit-short"),
    ("disabled_in_time", planted.GivesUpEarly, "disabled-manual"),
    ("groups_together", planted.GroupsStayApart, "seed 48"),
    ("unfit_yields", planted.KeepsWhatItIsUnfitFor, "interface-monitor"),
    ("transitions", planted.MovesInSilence, "first-up"),
    ("pairs", planted.RepeatsSet, "hold-down"),
    ("election", planted.ElectsTheLower, "priority"),
    ("election", planted.ClaimsByNodeId, "both-unfit"),
    ("first_up", planted.IgnoresFirstUp, "first-up-holds"),
    ("replay", planted.Whims, "first-up"),
    ("bounded_state", planted.RemembersEverything, "timeline-t2-split-and-heal"),
]


def found(scenario: Scenario, broken: ClusterFactory) -> set[str]:
    """Names of the checkers that object."""
    return {violation.checker for violation in judged(scenario, broken, recording=True).violations}


@pytest.mark.parametrize(("checker", "broken", "where"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_found(checker: str, broken: ClusterFactory, where: str) -> None:
    first = Swarm(int(where.removeprefix("seed "))).draw() if where.startswith("seed ") else load(DIRECTORY / f"{where}.txt")
    assert found(first, Cluster) == set()
    if checker in found(first, broken):
        return
    assert any(checker in found(Swarm(seed).draw(), broken) for seed in range(SEEDS)), f"{checker} saw nothing in {SEEDS} seeds"


def test_every_checker_has_a_fault_planted_for_it() -> None:
    assert {checker for checker, _, _ in PLANTED} == {check.__name__ for check in CHECKERS} | {"replay"}


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_scenarios_break_no_promise(scenario: Scenario) -> None:
    assert found(scenario, Cluster) == set()
