"""``python -m bench``: every row of the table, for jsrpd and for keepalived in turn, on this machine, now.

Exit 0 when every run gave figures that count, whatever they are; 1 when rows could not be measured; 64 for a wrong
command line; 130 when interrupted. Nothing is left behind.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import costs, table
from bench.contestants import Contestant, Jsrpd, Keepalived
from bench.costs import COSTS
from bench.figures import RowResult, Sample
from bench.freeze import Reference
from bench.measure import measure
from bench.rows import ROWS, Row, select
from jsrpd.lab import topology
from jsrpd.lab.topology import Lab, LabError

EX_USAGE, EX_INTERRUPTED = 64, 130
EXTRA_RUNS = 3
"""How many runs of a contestant in a row may be repeated because they do not count."""
LAB = Lab("jsrpd-bench", Path("/run/jsrpd-lab/jsrpd-bench"))
NAMES = (*(row.name for row in ROWS), *(cost.name for cost in COSTS))
LOCK = Path("/run/jsrpd-bench.lock")
NOTES = """\
Gap, lost: of the worst stream, IPv4 or IPv6; echo is there and back, in push only the server sends. Owners: by which switch
port the gateway addresses are answered for, asked every 5 ms; nobody counts from 5 unanswered questions on; two owners that
are left so count until the window ends, 1.5 s after the fault. TCP connections: 40; at 10 kHz, where the runs take IPv4 and
IPv6 in turn, 20. Neither side filters by session state, both only route: what survives says nothing of session
synchronisation. keepalived: default scheduling, four VRRPv3 instances in a sync group, heartbeats in the segments; conntrackd
synchronises over a link of its own. Killed, hung, continued: all daemons of the node, conntrackd included."""


def main(words: Sequence[str]) -> int:
    """See the module."""
    try:
        arguments = _parser().parse_args(words)
        rows = select(arguments.rows, NAMES)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return EX_USAGE
    try:
        _check_machine()
        with _alone(), _terminable():
            return _bench(rows, arguments.runs, arguments.json)
    except (LabError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the lab is removed", file=sys.stderr)
        return EX_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="jsrpd and keepalived under the same faults.")
    parser.add_argument("--runs", type=_count, default=5, help="runs of each row for each of the two (default 5)")
    names = ", ".join(NAMES)
    parser.add_argument("--rows", action="append", default=[], metavar="NAME", help=f"only this row, may be repeated: {names}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run there")
    parser.exit_on_error = False
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100:
        raise ValueError(text)
    return number


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise LabError("the bench makes network namespaces and must run as root")
    for tool in ("keepalived", "conntrackd", "ip", "nft"):
        if shutil.which(tool) is None:
            raise LabError(f"{tool} is not installed; make bench installs it")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two benches on one machine would measure each other."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError("another bench runs on this machine") from error
        yield


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that the lab is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bench(names: Sequence[str], runs: int, file: Path | None) -> int:
    at_start = os.getloadavg()[0]
    results: list[RowResult] = []
    with tempfile.TemporaryDirectory() as records, Reference(Path(records)) as reference:
        topology.down(LAB)
        print(table.header(), flush=True)
        for row in [row for row in ROWS if row.name in names]:
            results.append(_row(row, runs, reference))
            print("\n".join(table.row_lines(results[-1])), flush=True)
        spent = []
        for cost in [cost for cost in COSTS if cost.name in names]:
            spent.append(costs.run(cost, LAB, runs))
            print("\n".join(costs.lines(spent[-1])), flush=True)
        longest_ms = max(((b - a) / 1e6 for a, b in reference.stalls()), default=0.0)
    cpus = len(os.sched_getaffinity(0))
    machine = list(table.machine_lines(results, cpus, longest_ms, at_start))
    missed = [*table.missed(results), *costs.missed(spent)]
    print("\n".join(["", *machine, NOTES, *(f"MISSED {one}" for one in missed)]))
    if file is not None:
        rows = [*map(table.as_json, results), *map(costs.as_json, spent)]
        whole = {"machine": machine, "rows": rows, "missed": missed}
        file.write_text(json.dumps(whole, indent=2) + "\n")
    return 0 if all(table.is_complete(result, runs) for result in results) else 1


def _row(row: Row, runs: int, reference: Reference) -> RowResult:
    """Both contestants in turn, the first one alternating, so that a drift of the machine meets both."""
    contestants: list[Contestant] = [Jsrpd(), Keepalived()]
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    failures: list[str] = []
    spare = {contestant.name: EXTRA_RUNS for contestant in contestants}
    for number in range(runs):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            while not _one(row, contestant, number, reference, samples[contestant.name], failures):
                spare[contestant.name] -= 1
                if spare[contestant.name] < 0:
                    break
    return RowResult(row, {name: tuple(found) for name, found in samples.items()}, tuple(failures))


def _one(row: Row, contestant: Contestant, number: int, reference: Reference, samples: list[Sample], failures: list[str]) -> bool:
    """One run, noted; True when it counts."""
    try:
        samples.append(measure(LAB, contestant, row, number, reference))
    except LabError as error:
        failures.append(f"a run of {contestant.name} gave no figures: {str(error).splitlines()[0]}")
        return False
    return not samples[-1].spoilt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
