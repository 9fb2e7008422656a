"""What the bench prints: figures, targets, verdicts, and every run that does not count."""

from dataclasses import replace

import pytest

from bench.figures import RowResult, Sample, Spread
from bench.rows import ROWS, Row, Target
from bench.table import as_json, demand, figure, header, is_complete, machine_lines, missed, row_lines, verdict

BY_NAME = {row.name: row for row in ROWS}
CALM = Sample(
    gap_ms=2.0, lost_echo=0, lost_push=0, two_owners_ms=0.0, nobody_ms=0.0, tcp_died=0, freeze_ms=3.0, noise_ms=1.5, load=0.2
)


def result(row: Row, own: list[Sample], rival: list[Sample], failures: tuple[str, ...] = ()) -> RowResult:
    return RowResult(row, {"jsrpd": tuple(own), "keepalived": tuple(rival)}, failures)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "no run"),
        (Spread(2.25, 1, 303.4), "2.2 (1..303)"),
        (Spread(0, 0, 0), "0 (0..0)"),
        (Spread(99.94, 0.04, 100.6), "99.9 (0.04..101)"),
    ],
)
def test_figure(found: Spread | None, expected: str) -> None:
    assert figure(found) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, ""),
        (Target("gap_ms", 35), "≤ 35"),
        (Target("gap_ms", 305, below_rival=True), "≤ 305, < keepalived"),
        (Target("two_owners_ms", 0), "≤ 0, every run"),
    ],
)
def test_demand(target: Target | None, expected: str) -> None:
    assert demand(target) == expected


@pytest.mark.parametrize(
    ("target", "own", "expected"),
    [
        (None, Spread(1, 1, 1), ""),
        (Target("gap_ms", 5), Spread(1, 1, 1), "met"),
        (Target("gap_ms", 5), Spread(6, 1, 9), "missed"),
        (Target("gap_ms", 5), None, "not measured"),
    ],
)
def test_verdict(target: Target | None, own: Spread | None, expected: str) -> None:
    assert verdict(target, own, None) == expected


def test_a_row_in_columns() -> None:
    lines = list(row_lines(result(BY_NAME["carrier"], [CALM, replace(CALM, gap_ms=4.0)], [replace(CALM, gap_ms=280.0)])))
    assert lines[0] == "LAN carrier loss, 100 ms × 3  [carrier; runs: 2 of jsrpd and 1 of keepalived]"
    assert lines[1].split() == ["longest", "gap,", "ms", "3", "(2..4)", "280", "(280..280)", "≤", "5", "met"]
    columns = [header().index(name) for name in ("jsrpd", "keepalived", "target")]
    assert [lines[1].index(cell) for cell in ("3 (2", "280 (", "≤ 5")] == columns
    assert lines[2].split() == ["lost", "packets,", "echo", "0", "(0..0)", "0", "(0..0)"]
    assert len(lines) == 7


def test_what_does_not_count_is_said() -> None:
    frozen = replace(CALM, gap_ms=77.7, freeze_ms=41.0)
    lines = list(row_lines(result(BY_NAME["carrier"], [CALM], [frozen], ("a run of jsrpd gave no figures: no lab",))))
    assert "runs: 1 of jsrpd and 0 of keepalived" in lines[0]
    assert "no run" in lines[1]
    assert lines[-2:] == [
        "  ! a run of keepalived does not count, the machine froze for 41 ms (its longest gap: 77.7 ms)",
        "  ! a run of jsrpd gave no figures: no lab",
    ]


def test_what_was_missed() -> None:
    slow, doubled = replace(CALM, gap_ms=12.0), replace(CALM, two_owners_ms=4.0)
    good = result(BY_NAME["hung"], [CALM], [CALM])
    assert missed([good]) == []
    assert missed([good, result(BY_NAME["killed"], [slow], [CALM])]) == ["killed: longest gap, ms missed"]
    assert missed([result(BY_NAME["killed"], [CALM, CALM, doubled], [CALM])]) == ["killed: two owners, ms missed"]
    assert missed([result(BY_NAME["power-off-10"], [CALM], [])]) == ["power-off-10: longest gap, ms not measured"]


@pytest.mark.parametrize(("own", "rival", "expected"), [(2, 2, True), (3, 2, True), (1, 2, False), (2, 1, False)])
def test_complete(own: int, rival: int, expected: bool) -> None:
    assert is_complete(result(BY_NAME["hung"], [CALM] * own, [CALM] * rival), 2) is expected


def test_a_spoilt_run_completes_nothing() -> None:
    assert not is_complete(result(BY_NAME["hung"], [CALM, replace(CALM, moved_before=True)], [CALM] * 2), 2)


def test_the_circumstances() -> None:
    busy, frozen = replace(CALM, load=3.5), replace(CALM, load=1.0, freeze_ms=30.0, noise_ms=50.0)
    said = list(machine_lines([result(BY_NAME["hung"], [CALM, busy], [frozen], ("x",))], 2, 31.25, 0.125))
    assert said[0] == "machine: 2 CPUs, load average at the start 0.12, during the runs 0.20..3.50"
    assert said[1].endswith("in the whole bench: 31.2 ms")
    assert said[2].endswith(": 1.5 (1.5..1.5) ms")
    assert said[3].startswith("2 runs count; 1 do not, ") and said[3].endswith("; 1 gave no figures")


def test_json_holds_every_run() -> None:
    frozen = replace(CALM, gap_ms=99.0, freeze_ms=30.0)
    made = as_json(result(BY_NAME["carrier"], [CALM, frozen], [CALM], ("x",)))
    runs = made["runs"]
    assert isinstance(runs, dict)
    assert [(run["gap_ms"], run["spoilt"]) for run in runs["jsrpd"]] == [(2.0, ""), (99.0, "the machine froze for 30 ms")]
    assert (made["row"], made["failures"], made["missed"]) == ("carrier", ["x"], [])
