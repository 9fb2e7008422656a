"""A failing scenario becomes a small one that fails the same way, written in the form of tests/scenario."""

import pytest

from simulator.scenario import Scenario
from simulator.shrink import shrink
from simulator.swarm import judged
from tests.simulation import planted

NOISE = """
seed 7
cluster heartbeat-interval 100 heartbeat-threshold 3 fabric-links 0
group 0 priorities 200 100
links all delay 1ms jitter 2ms loss 0
clock node1 offset 17s rate 100
at 0s start
at 2s node1 clear failover-count
at 3s node0 starve 1ms for 20ms
at 4s cut all from node0
at 4.1s node1 pause 10ms
at 6s heal all
at 7s node0 kill back 100ms
until 9s
"""


def test_a_one_way_cut_is_all_that_is_left() -> None:
    small = shrink(Scenario("noise", NOISE), planted.RenewsByOwnClock)
    strikes = [" ".join(words) for words in small.statements("at")]
    assert strikes == ["0s start", "4s cut all from node0"]
    assert not list(small.statements("links"))
    assert "one_owner" in {violation.checker for violation in judged(small, planted.RenewsByOwnClock).violations}


def test_what_breaks_no_promise_is_not_shrunk() -> None:
    with pytest.raises(ValueError, match="breaks no promise"):
        shrink(Scenario("noise", NOISE))
