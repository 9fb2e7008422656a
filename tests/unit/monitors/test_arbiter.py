"""What is asked of the arbitrating addresses, by which way, and what an answer tells."""

from jsrpd.model.configuration import Arbitration, Reth, RethUnitAddress
from jsrpd.model.time import MILLISECOND, SECOND, Timing
from jsrpd.monitors.arbiter import REMEMBERED, SHORTEST_ROUND, ArbiterProbe
from jsrpd.monitors.events import Action, Answered, EchoHeard, EchoRefused, SendEcho, TimePassed, Way

START = 100 * SECOND
TIMING = Timing(100 * MILLISECOND, 5)
ELSEWHERE, ON_SEGMENT = "198.51.100.9", "192.0.2.9"
RETH = Reth(
    "reth0",
    0,
    1,
    "lan",
    "lan",
    b"\2\0\0\0\0\1",
    addresses=(RethUnitAddress("192.0.2.1", 24),),
    node_local_addresses=(RethUnitAddress("192.0.2.2", 24),),
)


def probe(*addresses: str, timing: Timing = TIMING) -> ArbiterProbe:
    return ArbiterProbe(Arbitration(probes=addresses), (RETH,), timing, START)


def test_each_round_asks_all_by_ways_that_do_not_depend_on_the_role() -> None:
    machine = probe(ELSEWHERE, ON_SEGMENT)
    assert machine.deadline() == START
    assert machine.handle(START, TimePassed()) == [
        SendEcho(ELSEWHERE, 1, Way()),
        SendEcho(ON_SEGMENT, 1, Way("192.0.2.2", "lan")),
    ]
    assert machine.handle(START, TimePassed()) == []
    assert machine.deadline() == START + TIMING.verdict // 4
    assert list(machine.present_failures()) == []


def test_rounds_have_a_shortest_time() -> None:
    assert probe(ELSEWHERE, timing=Timing(5 * MILLISECOND, 3)).period == SHORTEST_ROUND


def test_an_answer_tells_when_it_was_asked() -> None:
    """Of any address, however late, but not what was not asked, or so long ago that it is worth nothing."""
    machine = probe(ELSEWHERE, ON_SEGMENT)
    asked: list[Action] = []
    for number in range(REMEMBERED + 1):
        asked += machine.handle(START + number * SECOND, TimePassed())
    now = START + 1000 * SECOND
    assert machine.handle(now, EchoHeard(ON_SEGMENT, 2)) == [Answered(START + SECOND)]
    assert machine.handle(now, EchoHeard(ELSEWHERE, REMEMBERED + 1)) == [Answered(START + REMEMBERED * SECOND)]
    assert machine.handle(now, EchoHeard(ELSEWHERE, 1)) == []
    assert machine.handle(now, EchoHeard("203.0.113.1", 5)) == []
    assert machine.handle(now, EchoRefused(ELSEWHERE, "network unreachable")) == []
