"""Figures of a stream: lost packets and the longest gap, from what was sent and what arrived."""

from array import array

import pytest

from jsrpd.lab.topology import LabError
from jsrpd.lab.traffic import Options, Stream, families_of, summarise

MS = 1_000_000


def stream(arrivals: dict[int, int], sent: int = 10) -> Stream:
    """``sent`` packets, one a ms from 0; ``arrivals`` in ms by sequence number."""
    return Stream(
        "push",
        4,
        array("Q", [n * MS for n in range(sent)]),
        array("Q", arrivals),
        array("Q", [at * MS for at in arrivals.values()]),
    )


def test_everything_arrived() -> None:
    result = summarise(stream({n: n for n in range(10)}), 0, 9 * MS)
    assert (result.sent, result.received, result.lost, result.longest_gap_ms) == (10, 10, 0, 1)


def test_lost_packets_and_their_gap() -> None:
    result = summarise(stream({n: n for n in (0, 1, 2, 7, 8, 9)}), 0, 9 * MS)
    assert (result.lost, result.longest_gap_ms, result.longest_gap_at) == (4, 5, 2 * MS)


def test_late_is_a_gap_and_no_loss() -> None:
    result = summarise(stream({n: n if n < 3 else max(n, 8) for n in range(10)}), 0, 9 * MS)
    assert (result.lost, result.longest_gap_ms) == (0, 6)


def test_only_the_window_counts() -> None:
    result = summarise(stream({n: n for n in (0, 5, 6, 7, 8, 9)}), 5 * MS, 9 * MS)
    assert (result.sent, result.lost, result.longest_gap_ms) == (5, 0, 1)


def test_silence_to_the_end_is_a_gap() -> None:
    assert summarise(stream({n: n for n in range(4)}), 0, 9 * MS).longest_gap_ms == 6


def test_silence_after_the_last_packet_sent_is_none() -> None:
    assert summarise(stream({n: n for n in range(10)}), 0, 50 * MS).longest_gap_ms == 1


def test_a_packet_that_came_twice_counts_once() -> None:
    twice = stream({n: n for n in range(9)})
    twice.sequences.append(3)
    twice.stamps.append(9 * MS)
    assert summarise(twice, 0, 9 * MS).lost == 1


@pytest.mark.parametrize(
    "options",
    [
        Options(duration_s=0),
        Options(duration_s=4000),
        Options(rate=0),
        Options(rate=50_000),
        Options(families=()),
        Options(families=(5,)),
        Options(connections=-1),
    ],
)
def test_impossible_runs_are_refused(options: Options) -> None:
    with pytest.raises(LabError):
        options.check()


@pytest.mark.parametrize(("text", "families"), [("4", (4,)), ("6", (6,)), ("6,4", (4, 6))])
def test_families(text: str, families: tuple[int, ...]) -> None:
    assert families_of(text) == families


@pytest.mark.parametrize("text", ["", "5", "4,", "v4"])
def test_unknown_families_are_refused(text: str) -> None:
    with pytest.raises(LabError, match="families are"):
        families_of(text)
