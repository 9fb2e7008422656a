"""Every checker finds the fault planted for it, and the production core passes the same seeds."""

import pytest

from simulator.node import ClusterFactory
from simulator.swarm import simulate
from tests.simulation import planted

SEEDS = 40
"""A planted fault shows within so many seeds, or its checker is blind."""


@pytest.mark.parametrize(
    ("checker", "broken"),
    [
        ("one_owner", planted.RenewsByOwnClock),
        ("one_owner", planted.ClaimsEarly),
        ("one_owner", planted.ClaimsWithoutEcho),
        ("one_owner", planted.HandsOverWithoutCap),
        ("one_primary_after_healing", planted.NobodyYieldsInHealing),
        ("no_owner", planted.NeverClaimsBySilence),
        ("standby_death_costs_nothing", planted.NeverAlone),
        ("no_failover_when_late", planted.IgnoresLateness),
        ("transitions", planted.MovesInSilence),
        ("bounded_state", planted.RemembersEverything),
        ("replay", planted.Whims),
        ("hold_down", planted.LeavesHoldDownEarly),
        ("hold_down", planted.StaysInHoldDown),
        ("preemption", planted.PreemptsUnasked),
        ("preemption", planted.PreemptsManual),
        ("manual_failover", planted.DisobeysTheOperator),
        ("manual_failover", planted.MovesUnasked),
        ("unfit_yields", planted.KeepsWhatItIsUnfitFor),
        ("pairs", planted.RepeatsSet),
        ("election", planted.ElectsTheLower),
        ("election", planted.ClaimsByNodeId),
        ("first_up", planted.IgnoresFirstUp),
        ("lost_datagram_costs_nothing", planted.MovesForOneLoss),
    ],
)
def test_a_planted_fault_is_found(checker: str, broken: ClusterFactory) -> None:
    for seed in range(SEEDS):
        result = simulate(seed, broken, recording=checker == "replay")
        if checker in {violation.checker for violation in result.violations}:
            return
    pytest.fail(f"{checker} saw nothing in {SEEDS} seeds")
