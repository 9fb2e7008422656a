"""What several runs come to, which do not count, and when a target is met."""

from dataclasses import replace

import pytest

from bench.figures import FREEZE_LIMIT_MS, Sample, Spread, is_met, longest_overlap_ms, spread
from bench.rows import Target

MS = 1_000_000
CALM = Sample(
    gap_ms=2.0, lost_echo=0, lost_push=0, two_owners_ms=0.0, nobody_ms=0.0, tcp_died=0, freeze_ms=3.0, noise_ms=1.0, load=0.2
)


def runs(*gaps: float) -> list[Sample]:
    return [replace(CALM, gap_ms=gap) for gap in gaps]


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [((5.0, 1.0, 9.0), Spread(5, 1, 9)), ((4.0, 1.0, 9.0, 2.0), Spread(3, 1, 9)), ((7.0,), Spread(7, 7, 7)), ((), None)],
)
def test_spread(gaps: tuple[float, ...], expected: Spread | None) -> None:
    assert spread(runs(*gaps), "gap_ms") == expected


@pytest.mark.parametrize("spoilt", [{"freeze_ms": FREEZE_LIMIT_MS + 1}, {"moved_before": True}])
def test_a_spoilt_run_does_not_count(spoilt: dict[str, float]) -> None:
    ruined = replace(CALM, gap_ms=1000.0, freeze_ms=float(spoilt.get("freeze_ms", 0)), moved_before="moved_before" in spoilt)
    assert spread([*runs(1.0, 3.0), ruined], "gap_ms") == Spread(2, 1, 3)
    assert spread([ruined], "gap_ms") is None


def test_why_a_run_is_spoilt() -> None:
    assert replace(CALM, freeze_ms=FREEZE_LIMIT_MS).spoilt == ""
    assert replace(CALM, freeze_ms=45.2).spoilt == "the machine froze for 45 ms"
    assert replace(CALM, moved_before=True).spoilt == "the addresses had moved before the fault"


@pytest.mark.parametrize(
    ("target", "own", "rival", "expected"),
    [
        (Target("gap_ms", 5), Spread(5, 1, 90), None, True),
        (Target("gap_ms", 5), Spread(5.1, 1, 9), None, False),
        (Target("gap_ms", 5), None, Spread(1, 1, 1), None),
        (Target("two_owners_ms", 0), Spread(0, 0, 0), None, True),
        (Target("two_owners_ms", 0), Spread(0, 0, 3), None, False),
        (Target("tcp_died", 0), Spread(0, 0, 1), None, False),
        (Target("gap_ms", 305, below_rival=True), Spread(250, 1, 9), Spread(280, 1, 9), True),
        (Target("gap_ms", 305, below_rival=True), Spread(280, 1, 9), Spread(280, 1, 9), False),
        (Target("gap_ms", 305, below_rival=True), Spread(310, 1, 9), Spread(320, 1, 9), False),
        (Target("gap_ms", 305, below_rival=True), Spread(250, 1, 9), None, None),
    ],
)
def test_target(target: Target, own: Spread | None, rival: Spread | None, expected: bool | None) -> None:
    assert is_met(target, own, rival) is expected


@pytest.mark.parametrize(
    ("stalls", "expected"),
    [
        ([], 0.0),
        ([(1, 4)], 0.0),
        ([(25, 60)], 0.0),
        ([(8, 12)], 4.0),
        ([(12, 14), (15, 18)], 3.0),
        ([(19, 40)], 21.0),
        ([(0, 50)], 50.0),
    ],
)
def test_longest_stall_that_reaches_into_the_window(stalls: list[tuple[int, int]], expected: float) -> None:
    """The window is 10..20 ms; a stall that begins or ends outside counts whole."""
    assert longest_overlap_ms([(a * MS, b * MS) for a, b in stalls], 10 * MS, 20 * MS) == expected
