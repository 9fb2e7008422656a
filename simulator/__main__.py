"""``python -m simulator --seeds N``: run seeds, check every promise, print what broke. Exit status 1 when any did."""

import argparse
import sys
import time
from collections import Counter
from hashlib import sha256

from jsrpd.model.time import SECOND
from simulator.swarm import Result, simulate, trace_before

REPLAYED_EVERY = 10
"""Every tenth seed is recorded and replayed; recording costs half as much again."""


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="the first seed (0)")
    parser.add_argument("--hash", action="store_true", help="print the digest of all traces")
    parser.add_argument("--seed", type=int, metavar="S", help="run this seed only")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of every seed")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    broken: Counter[str] = Counter()
    digest = sha256()
    simulated = overlaps = failed = datagrams = 0
    began = time.perf_counter()
    for seed in seeds:
        result = simulate(seed, recording=seed % REPLAYED_EVERY == 0)
        digest.update(result.digest.encode())
        simulated += result.history.ended_at
        overlaps += result.partition_overlaps
        datagrams += result.history.datagrams
        failed += bool(result.violations)
        broken.update({violation.checker for violation in result.violations})
        if options.trace:
            print("\n".join(result.history.trace()))
        _report(result)
    real = time.perf_counter() - began
    print(f"{len(seeds)} seeds, {failed} with violations, {overlaps} partition overlaps, {datagrams} datagrams")
    print(f"{simulated / SECOND:.0f} s simulated in {real:.1f} s: {simulated / SECOND / real:.0f} times real time")
    for checker, count in sorted(broken.items()):
        print(f"  {checker}: {count} seeds")
    if options.hash:
        print(f"digest {digest.hexdigest()}")
    return 1 if failed else 0


def _report(result: Result) -> None:
    """Every violation, and the trace before the first."""
    if not result.violations:
        return
    timing = result.history.timing
    print(f"seed {result.seed} ({timing.interval // 1_000_000} ms x {timing.threshold}):")
    for violation in result.violations[:5]:
        print(f"  {violation.checker} at {violation.at / 1e6:.3f}: {violation.text}")
    first = min(result.violations, key=lambda violation: violation.at)
    print("\n".join(f"    {line}" for line in trace_before(result.history, first.at)))


if __name__ == "__main__":
    sys.exit(main())
