"""``python -m simulator --seeds N``: run seeds, check every promise, print what broke. Exit status 1 when any did.

Standard output is a function of the seeds, whatever the number of processes; how fast it went is said on standard error.
"""

import argparse
import os
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

from jsrpd.model.time import SECOND
from simulator.campaign import report, summaries
from simulator.scenario import Scenario
from simulator.shrink import shrink
from simulator.swarm import Swarm, judged


def main() -> int:
    """Entry point."""
    options = _options()
    if options.shrink or options.scenario is not None:
        return _one(options)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    broken: Counter[str] = Counter()
    digest = sha256()
    simulated = overlaps = failed = datagrams = 0
    began = time.perf_counter()
    for summary in summaries(seeds, options.jobs, options.trace):
        digest.update(summary.digest.encode())
        simulated += summary.simulated
        overlaps += summary.partition_overlaps
        datagrams += summary.datagrams
        failed += bool(summary.broken)
        broken.update(summary.broken)
        if summary.broken and options.keep is not None:
            scenario = Swarm(summary.seed).draw()
            (options.keep / f"{scenario.name}.txt").write_text(scenario.script)
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


def _one(options: argparse.Namespace) -> int:
    """One scenario, from a file or a seed: shrunk and printed, or run and judged."""
    if options.scenario is not None:
        scenario = Scenario(options.scenario.stem, options.scenario.read_text().partition("----\n")[0])
    else:
        scenario = Swarm(options.seed).draw()
    if options.shrink:
        scenario = shrink(scenario)
        print(scenario.script, end="")
    result = judged(scenario)
    print("\n".join([*(f"# {line}" for line in report(result)), *(result.history.trace() if options.trace else [])]))
    return 1 if result.violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (one per CPU)")
    parser.add_argument("--hash", action="store_true", help="print the digest of all traces")
    parser.add_argument("--seed", type=int, metavar="S", help="run this seed only")
    parser.add_argument("--shrink", action="store_true", help="with --seed: print the smallest scenario that fails the same way")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="run a scenario's text instead of seeds")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="write the scenario of each failing seed there")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of every seed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
