"""The figures of a run, what several runs come to, and whether a target is met. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.rows import MEASURE, Row, Target

FREEZE_LIMIT_MS = 20.0
"""A run in whose window the whole machine stood still for longer says nothing about a cluster."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. The worst stream, address family and segment counts. Times in ms."""

    gap_ms: float
    lost_echo: int
    lost_push: int
    two_owners_ms: float
    nobody_ms: float
    tcp_died: int
    freeze_ms: float
    """Longest standstill of the machine within the window."""
    noise_ms: float
    """Longest gap before the fault, of the same streams."""
    load: float
    """Load average of the last minute."""
    moved_before: bool = False
    """The node that was broken did not own every address just before."""

    @property
    def spoilt(self) -> str:
        """Why the run does not count; empty when it does."""
        if self.freeze_ms > FREEZE_LIMIT_MS:
            return f"the machine froze for {self.freeze_ms:.0f} ms"
        return "the addresses had moved before the fault" if self.moved_before else ""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of a measure over the runs that count."""

    median: float
    least: float
    greatest: float


def spread(samples: Sequence[Sample], measure: str) -> Spread | None:
    """Of the runs that count; None when there is none."""
    values = [float(getattr(sample, measure)) for sample in samples if not sample.spoilt]
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def is_met(target: Target, own: Spread | None, rival: Spread | None) -> bool | None:
    """None when it cannot be said, because runs are missing."""
    if own is None or (target.below_rival and rival is None):
        return None
    value = own.greatest if MEASURE[target.measure].by_worst else own.median
    if target.below_rival and rival is not None and value >= rival.median:
        return False
    return value <= target.limit


def longest_overlap_ms(stalls: Sequence[tuple[int, int]], begin: int, end: int) -> float:
    """The longest of the stalls (from, to; ns of one clock) that reach into a window; counted whole."""
    return max(((b - a) / 1e6 for a, b in stalls if a < end and b > begin), default=0.0)


@dataclass(frozen=True, slots=True)
class RowResult:
    """All runs of a row by contestant, the spoilt ones included. ``failures``: runs that gave no figures, and why."""

    row: Row
    samples: dict[str, tuple[Sample, ...]]
    failures: tuple[str, ...] = ()
