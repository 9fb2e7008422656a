"""The rows of the table and their targets, against SPEC section 14."""

import pytest

from bench.__main__ import NAMES
from bench.measure import ACTS, options_of
from bench.rows import MEASURE, ROWS, Row, Target, gate_margin_ms, select

BY_NAME = {row.name: row for row in ROWS}


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("carrier", (Target("gap_ms", 5),)),
        ("silent-lan", (Target("gap_ms", 1000), Target("tcp_died", 0))),
        ("heartbeats-cut", (Target("two_owners_ms", 0), Target("nobody_ms", 0), Target("tcp_died", 0))),
        ("power-off-100", (Target("gap_ms", 305, below_rival=True),)),
        ("power-off-10", (Target("gap_ms", 35, below_rival=True),)),
        ("hang-100", (Target("gap_ms", 305),)),
        ("hang-10", (Target("gap_ms", 35),)),
        ("killed", (Target("gap_ms", 11), Target("two_owners_ms", 0))),
        ("hung", (Target("gap_ms", 11), Target("two_owners_ms", 0))),
        ("continued", (Target("two_owners_ms", 0), Target("tcp_died", 0))),
        ("restart", (Target("lost_echo", 0), Target("lost_push", 0))),
        ("stop-start", (Target("lost_echo", 0), Target("lost_push", 0))),
        ("planned-1k", (Target("lost_echo", 0), Target("lost_push", 0))),
        ("planned-10k", (Target("lost_echo", 0), Target("lost_push", 0))),
    ],
)
def test_targets(name: str, targets: tuple[Target, ...]) -> None:
    assert BY_NAME[name].targets == targets


def test_every_row_can_be_carried_out_and_judged() -> None:
    assert len(BY_NAME) == len(ROWS) == 14
    assert {row.act for row in ROWS} == set(ACTS)
    assert {target.measure for row in ROWS for target in row.targets} <= set(MEASURE)


@pytest.mark.parametrize(("interval_ms", "expected"), [(100, 6.0), (10, 2.0), (1000, 60.0)])
def test_gate_margin(interval_ms: int, expected: float) -> None:
    assert gate_margin_ms(interval_ms) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], list(NAMES)),
        (["killed"], ["killed"]),
        (["hang"], ["hang-100", "hang-10"]),
        (["hang-10", "carrier"], ["carrier", "hang-10"]),
        (["idle", "killed"], ["killed", "idle"]),
    ],
)
def test_select(words: list[str], expected: list[str]) -> None:
    assert list(select(words, NAMES)) == expected


@pytest.mark.parametrize("word", ["", "han", "power", "100"])
def test_an_unknown_row_is_named(word: str) -> None:
    with pytest.raises(ValueError, match=f"^{word}: no such row; there are: carrier, "):
        select(["killed", word], NAMES)


def test_the_fast_row_takes_the_families_in_turn() -> None:
    fast, slow = BY_NAME["planned-10k"], BY_NAME["planned-1k"]
    assert [options_of(fast, n).families for n in range(3)] == [(4,), (6,), (4,)]
    assert options_of(slow, 0).families == options_of(slow, 1).families == (4, 6)
    assert (options_of(fast, 0).rate, options_of(slow, 0).rate) == (10_000, 1_000)


@pytest.mark.parametrize("row", ROWS, ids=BY_NAME)
def test_the_traffic_of_every_row_is_possible(row: Row) -> None:
    options_of(row, 0).check()
