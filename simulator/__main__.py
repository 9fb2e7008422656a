"""``python -m simulator --seeds N``: run seeds, check every promise, print what broke. Exit status 1 when any did.

Standard output is a function of the seeds, whatever the number of processes; how fast it went is said on standard error.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from jsrpd.model.time import SECOND, Duration
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


def main() -> int:
    """Entry point."""
    options = _options()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    broken: Counter[str] = Counter()
    digest = sha256()
    simulated = overlaps = failed = datagrams = 0
    began = time.perf_counter()
    for summary in _run(list(seeds), options.jobs, options.trace):
        digest.update(summary.digest.encode())
        simulated += summary.simulated
        overlaps += summary.partition_overlaps
        datagrams += summary.datagrams
        failed += bool(summary.broken)
        broken.update(summary.broken)
        if summary.report:
            print(summary.report, flush=True)
    real = time.perf_counter() - began
    print(f"{len(seeds)} seeds, {failed} with violations, {overlaps} partition overlaps, {datagrams} datagrams")
    for checker, count in sorted(broken.items()):
        print(f"  {checker}: {count} seeds")
    if options.hash:
        print(f"digest {digest.hexdigest()}")
    speed = simulated / SECOND / real
    print(f"{simulated / SECOND:.0f} s simulated in {real:.1f} s: {speed:.0f} times real time", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (one per CPU)")
    parser.add_argument("--hash", action="store_true", help="print the digest of all traces")
    parser.add_argument("--seed", type=int, metavar="S", help="run this seed only")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of every seed")
    return parser.parse_args()


def _run(seeds: list[int], jobs: int, trace: bool) -> Iterator[Summary]:
    """Run seeds in up to ``jobs`` processes; summaries in the order of the seeds."""
    run = partial(_summary, trace=trace)
    if min(jobs, len(seeds)) <= 1:
        yield from map(run, seeds)
        return
    with multiprocessing.Pool(jobs) as pool:
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
        report="\n".join([*lines, *_report(result)]),
    )


def _report(result: Result) -> Iterator[str]:
    """Every violation, and the trace before the first."""
    if not result.violations:
        return
    timing = result.history.timing
    yield f"seed {result.seed} ({timing.interval // 1_000_000} ms x {timing.threshold}):"
    for violation in result.violations[:5]:
        yield f"  {violation.checker} at {violation.at / 1e6:.3f}: {violation.text}"
    first = min(result.violations, key=lambda violation: violation.at)
    for line in trace_before(result.history, first.at):
        yield f"    {line}"


if __name__ == "__main__":
    sys.exit(main())
