"""Rows without a fault: what a healthy cluster costs, and how fast it answers. One contestant, each run a lab of its own."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import monitors, takeover
from bench.contestants import Jsrpd
from bench.rows import THRESHOLD
from jsrpd.lab import many, topology
from jsrpd.lab.topology import NODES, Lab, daemon_processes, inside

COMMANDS = ("status", "interfaces", "explain")
ASKED = 15
"""Times each command is given; its first answer, which reads the disk, among them."""
QUIET_S = 2.0
"""After the start, before anything is measured: cold synchronisation and the first announcements."""
IDLE_S = 20.0
FALSE_THRESHOLD = 5
CPUCLOCK_SCHED = 2
"""In a clock id: on-processor time, of the whole process (clock_getcpuclockid(3))."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run; less is better. ``limit``: SPEC section 14, None where it says nothing."""

    key: str
    label: str
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """``measure`` gets a lab that is settled and gives the figures by their keys."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Lab], dict[str, float]]
    interval_ms: int = 100
    threshold: int = THRESHOLD


@dataclass(frozen=True, slots=True)
class CostResult:
    """Every run's figures, and the load average (1 min) at its end."""

    cost: Cost
    samples: tuple[dict[str, float], ...]
    loads: tuple[float, ...]


def run(cost: Cost, lab: Lab, runs: int) -> CostResult:
    """LabError when the lab cannot be brought up. It is gone afterwards."""
    samples, loads = [], []
    for _ in range(runs):
        try:
            Jsrpd().start(lab, cost.interval_ms, cost.threshold)
            time.sleep(QUIET_S)
            samples.append(cost.measure(lab))
            loads.append(os.getloadavg()[0])
        finally:
            topology.down(lab)
    return CostResult(cost, tuple(samples), tuple(loads))


def lines(result: CostResult) -> Iterator[str]:
    """A row as ``table.row_lines`` prints it: title, then median (least..greatest), target and verdict of each figure."""
    load = f"{min(result.loads):.2f}..{max(result.loads):.2f}"
    yield f"{result.cost.title}  [{result.cost.name}; runs: {len(result.samples)}; load {load}]"
    for figure in result.cost.figures:
        values = [sample[figure.key] for sample in result.samples]
        spread = f"{statistics.median(values):.3g} ({min(values):.3g}..{max(values):.3g})"
        target = "" if figure.limit is None else f"≤ {figure.limit:g}"
        said = "" if figure.limit is None else "missed" if _is_missed(figure, result) else "met"
        yield f"  {figure.label:<52}{spread:<32}{target:<10}{said}".rstrip()


def missed(results: Sequence[CostResult]) -> list[str]:
    """``row: figure`` of each median beyond its limit."""
    return [f"{r.cost.name}: {f.label} missed" for r in results for f in r.cost.figures if _is_missed(f, r)]


def as_json(result: CostResult) -> dict[str, object]:
    """A row with each run's figures."""
    return {"row": result.cost.name, "title": result.cost.title, "runs": list(result.samples), "loads": list(result.loads)}


def _is_missed(figure: Figure, result: CostResult) -> bool:
    return figure.limit is not None and statistics.median(sample[figure.key] for sample in result.samples) > figure.limit


def _commands(lab: Lab) -> dict[str, float]:
    """From the start of ``jsrp`` to its end, ms, as a script sees it: interpreter, imports, question, answer."""
    jsrp = str(Path(sys.executable).with_name("jsrp"))
    found = {}
    for command in COMMANDS:
        words = inside(lab.namespace(NODES[0]), jsrp, "show", "chassis", "cluster", command)
        times_ms = []
        for _ in range(ASKED):
            before = time.perf_counter()
            subprocess.run(words, env=os.environ | lab.environment(NODES[0]), check=True, stdout=subprocess.PIPE)
            times_ms.append((time.perf_counter() - before) * 1000)
        found[command] = statistics.median(times_ms)
    return found


def _idle(lab: Lab) -> dict[str, float]:
    """Processor time of one node's daemons, percent of a core, and their own memory, MB."""
    pids = daemon_processes(lab, NODES[0])
    engine = [pid for pid, title in pids.items() if title == "jsrpd: engine"]
    before = {pid: _processor_s(pid) for pid in pids}
    time.sleep(IDLE_S)
    spent = {pid: _processor_s(pid) - before[pid] for pid in pids}
    return {
        "engine": sum(spent[pid] for pid in engine) / IDLE_S * 100,
        "all": sum(spent.values()) / IDLE_S * 100,
        "engine_mb": sum(map(_resident_mb, engine)),
        "all_mb": sum(map(_proportional_mb, pids)),
    }


def _idle_many(lab: Lab) -> dict[str, float]:
    many.enlarge(lab, takeover.PATIENCE_S)
    time.sleep(QUIET_S)
    figures = _idle(lab)
    many.reduce(lab)
    return figures


def _processor_s(pid: int) -> float:
    """All of its threads, s, by the kernel's own clock of that process: the counters in /proc see nothing shorter than a tick."""
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def _resident_mb(pid: int) -> float:
    return _rollup(pid, "Rss:")


def _proportional_mb(pid: int) -> float:
    """Pages that several processes share count once."""
    return _rollup(pid, "Pss:")


def _rollup(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


IDLE = (
    Figure("engine", "engine, % of a core", 1),
    Figure("all", "all processes, % of a core"),
    Figure("engine_mb", "engine, resident MB", 40),
    Figure("all_mb", "all processes, MB (shared pages once)", 150),
)
COSTS = (
    Cost(
        "commands",
        "a command, from its start to its end",
        tuple(Figure(name, f"show chassis cluster {name}, ms", 150) for name in COMMANDS),
        _commands,
    ),
    Cost(
        "idle",
        "an idle node, 100 ms × 3, two groups",
        IDLE,
        _idle,
    ),
    Cost(
        "many-idle",
        f"an idle node, 100 ms × {THRESHOLD}, {many.GROUPS + 1} groups, {many.ADDRESSES * len(many.MORE) + 4} addresses",
        IDLE,
        _idle_many,
    ),
    Cost(
        "many-takeover",
        f"daemon killed, 100 ms × {THRESHOLD}, {many.GROUPS + 1} groups, {many.ADDRESSES * len(many.MORE) + 4} addresses",
        (Figure("spread", "from the first group's takeover to the last one's, ms", 10),),
        takeover.measure,
    ),
    Cost(
        "upstream-dead",
        "upstream dead, IP monitor with 200 ms × 5 probes",
        (Figure("gap", "longest gap, ms", 1200), Figure("died", "TCP connections died", 0)),
        monitors.upstream,
    ),
    Cost(
        "ip-targets",
        "256 monitored addresses at 1 s, IPv4 and IPv6",
        (Figure("primary", "monitors process of the primary, % of a core", 5), Figure("standby", "of the standby, % of a core", 5)),
        monitors.targets,
    ),
    Cost(
        "monitors-on",
        "every monitor on: how far heartbeats are from their interval",
        (Figure("median", "median, ms"), Figure("p99", "99 of 100 below, ms"), Figure("longest", "longest, ms")),
        monitors.lateness,
    ),
    Cost(
        "starved",
        f"every monitor on, {monitors.LOOPS} busy loops, {monitors.STARVED_S / 60:g} min",
        (Figure("alarms", "failures that were none", 0), Figure("moves", "changes of state", 0)),
        monitors.starved,
    ),
    *(
        Cost(
            f"false-{interval_ms}-{loops}",
            f"{interval_ms} ms × {FALSE_THRESHOLD}, {loops} busy loops, {monitors.STARVED_S / 60:g} min",
            (
                Figure("moves", "changes of state", 0),
                Figure("excused", "others, just after the machine had frozen for half of the dead time"),
            ),
            partial(monitors.false_failovers, loops),
            interval_ms,
            FALSE_THRESHOLD,
        )
        for interval_ms in (100, 10)
        for loops in (4, 16)
    ),
)
