"""What is printed of the rows without a fault."""

from bench.costs import COSTS, Cost, CostResult, Figure, as_json, lines, missed

COST = Cost("idle", "an idle node", (Figure("cpu", "processor, %", 1), Figure("memory", "memory, MB")), lambda _lab: {})


def result(*cpu: float) -> CostResult:
    return CostResult(COST, tuple({"cpu": one, "memory": 30.0} for one in cpu), tuple(0.5 for _ in cpu))


def test_the_median_is_judged() -> None:
    assert list(lines(result(0.8, 3.0, 0.9))) == [
        "an idle node  [idle; runs: 3; load 0.50..0.50]",
        "  processor, %                                        0.9 (0.8..3)                    ≤ 1       met",
        "  memory, MB                                          30 (30..30)",
    ]
    assert missed([result(0.8, 3.0, 0.9)]) == []


def test_a_median_beyond_its_limit_is_missed() -> None:
    assert list(lines(result(2.0, 0.5, 1.2)))[1].endswith("missed")
    assert missed([result(2.0, 0.5, 1.2)]) == ["idle: processor, % missed"]


def test_every_run_is_written_down() -> None:
    assert as_json(result(0.8, 0.9)) == {
        "row": "idle",
        "title": "an idle node",
        "runs": [{"cpu": 0.8, "memory": 30.0}, {"cpu": 0.9, "memory": 30.0}],
        "loads": [0.5, 0.5],
    }


def test_limits_are_the_specification_s() -> None:
    limits = {(cost.name, f.key): f.limit for cost in COSTS for f in cost.figures if f.limit is not None}
    assert limits == {
        ("commands", "status"): 150,
        ("commands", "interfaces"): 150,
        ("commands", "explain"): 150,
        ("idle", "engine"): 1,
        ("idle", "engine_mb"): 40,
        ("idle", "all_mb"): 150,
        ("many-idle", "engine"): 1,
        ("many-idle", "engine_mb"): 40,
        ("many-idle", "all_mb"): 150,
        ("many-takeover", "spread"): 10,
        **dict.fromkeys([(f"false-{interval_ms}-{loops}", "moves") for interval_ms in (100, 10) for loops in (4, 16)], 0),
        ("upstream-dead", "gap"): 1200,
        ("upstream-dead", "died"): 0,
        ("ip-targets", "primary"): 5,
        ("ip-targets", "standby"): 5,
        ("starved", "alarms"): 0,
        ("starved", "moves"): 0,
    }
