"""Many seeds in several processes. What comes out is a function of the seeds, whatever the number of processes."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from jsrpd.model.time import Duration
from simulator.swarm import Result, simulate, trace_before

REPLAYED_EVERY = 10
"""Every tenth seed is recorded and replayed; recording costs half as much again."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is left of a run when its history is gone."""

    seed: int
    digest: str
    simulated: Duration
    partition_overlaps: int
    datagrams: int
    broken: frozenset[str]
    """Names of the checkers that found something."""
    report: str


def summaries(seeds: Sequence[int], jobs: int, trace: bool = False) -> Iterator[Summary]:
    """Run seeds in up to ``jobs`` processes; summaries in the order of the seeds."""
    run = partial(_summary, trace=trace)
    if min(jobs, len(seeds)) <= 1:
        yield from map(run, seeds)
        return
    # A pool ends its processes by SIGTERM. A handler of Python's that they inherit would run only when they next do; one that
    # waits for a lock by then never does, and the pool waits for it.
    with multiprocessing.Pool(jobs, signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
        yield from pool.imap(run, seeds, chunksize=4)


def _summary(seed: int, trace: bool) -> Summary:
    result = simulate(seed, recording=seed % REPLAYED_EVERY == 0)
    lines = result.history.trace() if trace else []
    return Summary(
        seed=seed,
        digest=result.digest,
        simulated=result.history.ended_at,
        partition_overlaps=result.partition_overlaps,
        datagrams=result.history.datagrams,
        broken=frozenset(violation.checker for violation in result.violations),
        report="\n".join([*lines, *report(result)]),
    )


def report(result: Result) -> Iterator[str]:
    """Every violation, and the trace before the first."""
    if not result.violations:
        return
    timing = result.history.timing
    yield f"{result.scenario.name} ({timing.interval // 1_000_000} ms x {timing.threshold}):"
    for violation in result.violations[:5]:
        yield f"  {violation.checker} at {violation.at / 1e6:.3f}: {violation.text}"
    first = min(result.violations, key=lambda violation: violation.at)
    for line in trace_before(result.history, first.at):
        yield f"    {line}"
