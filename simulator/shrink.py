"""A failing scenario made small: first in time, then in faults, then in what is special about links, clocks and nodes.

A smaller scenario draws other random numbers, so each candidate may fail with its own seed or with one of the first few.
"""

from collections.abc import Callable, Iterator
from itertools import count

from jsrpd.core.cluster import Cluster
from jsrpd.model.time import Instant
from simulator.node import ClusterFactory
from simulator.scenario import Scenario, duration, written
from simulator.swarm import judged

SEEDS = 4
MAX_RUNS = 2000
HEALING = "one_primary_after_healing"

Lines = list[str]


def shrink(scenario: Scenario, factory: ClusterFactory = Cluster) -> Scenario:
    """The smallest scenario found that makes the same checker object; ValueError when none does."""
    violations = judged(scenario, factory).violations
    if not violations:
        raise ValueError(f"{scenario.name} breaks no promise")
    first = min(violations, key=lambda violation: violation.at)
    search = _Search(scenario.name, first.checker, factory)
    lines = search.check(_earlier(scenario.script.splitlines(), first.checker, first.at)) or scenario.script.splitlines()
    for removable in (_is_strike, _is_condition):
        lines = search.without(lines, removable)
    return Scenario(scenario.name, "\n".join(lines) + "\n")


def _earlier(lines: Lines, checker: str, at: Instant) -> Lines:
    """Nothing that comes after the violation; a violation of healing needs its end."""
    if checker == HEALING:
        return lines
    kept = [line for line in lines if not line.startswith("until") and not (_is_at(line) and duration(line.split()[1]) > at)]
    return [*kept, f"until {written(at + at // 4)}"]


def _is_at(line: str) -> bool:
    return line.startswith("at ")


def _is_strike(line: str) -> bool:
    return _is_at(line) and not line.endswith(" calm")


def _is_condition(line: str) -> bool:
    return line.startswith(("links ", "node ", "clock "))


class _Search:
    """Candidates are run until one fails as the original did."""

    def __init__(self, name: str, checker: str, factory: ClusterFactory) -> None:
        self.name, self.checker, self.factory = name, checker, factory
        self.runs = 0

    def check(self, lines: Lines) -> Lines | None:
        """The lines with a seed that fails, or None."""
        rest = [line for line in lines if not line.startswith("seed ")]
        own = [line for line in lines if line.startswith("seed ")]
        for seed in [*own, *(f"seed {n}" for n in range(SEEDS))]:
            self.runs += 1
            if self.runs > MAX_RUNS:
                return None
            found = judged(Scenario(self.name, "\n".join([seed, *rest])), self.factory).violations
            if any(violation.checker == self.checker for violation in found):
                return [seed, *rest]
        return None

    def without(self, lines: Lines, removable: Callable[[str], bool]) -> Lines:
        """As many removable lines gone as possible: halves, then quarters, down to single lines."""
        for part in count(1):
            indexes = [index for index, line in enumerate(lines) if removable(line)]
            size = len(indexes) >> part
            for chunk in _chunks(indexes, max(1, size)):
                smaller = self.check([line for index, line in enumerate(lines) if index not in chunk])
                if smaller is not None:
                    return self.without(smaller, removable)
            if size <= 1:
                return lines
        raise AssertionError


def _chunks(indexes: list[int], size: int) -> Iterator[set[int]]:
    """From the end: what came last is most often needless."""
    for end in range(len(indexes), 0, -size):
        yield set(indexes[max(0, end - size) : end])
