"""What monitors cost, how fast they are, and whether the engine stays punctual beside them. Each measure gets a settled lab."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.freeze import Reference
from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import (
    NODES,
    SWITCH,
    WAN,
    Lab,
    LabError,
    Settings,
    daemon_processes,
    inside,
    ip_batch,
    port_of,
    wait_until,
    with_commands,
)
from jsrpd.lab.traffic import Options

PATIENCE_S = 30.0
LEAD_S, WATCH_S = 1.0, 3.0
EDGE_NS = 10_000_000
CONNECTIONS = 20
SECONDARY = ("10.2.0.9", "2001:db8:2::9")
TARGETS_A_FAMILY = 128
COST_S = 20.0
LATENESS_S = 30.0
INTERVAL_MS = 100
CPUCLOCK_SCHED = 2
"""In a clock id: on-processor time, of the whole process (clock_getcpuclockid(3))."""
IN_GROUP_1, IN_CLUSTER = "            interface-monitor wan weight 255;\n", "        reth-count 2;\n"


def addresses() -> list[tuple[str, ...]]:
    """The server's, by family."""
    return [
        tuple(f"10.2.0.{110 + n}" for n in range(TARGETS_A_FAMILY)),
        tuple(f"2001:db8:2::{n + 0x1000:x}" for n in range(TARGETS_A_FAMILY)),
    ]


def family(name: str, secondary: str, targets: tuple[str, ...], weight: int) -> str:
    """Statements of one family."""
    lines = "".join(f"{one} {{ weight {weight}; interface reth1.0 secondary-ip-address {secondary}; }}\n" for one in targets)
    return f"{name} {{\n{lines}}}\n"


def configuration(settings: Settings, of_group: str, of_cluster: str) -> str:
    """The lab's, with further statements of group 1 and of the cluster."""
    text = topology.configuration(settings)
    for place, added in ((IN_GROUP_1, of_group), (IN_CLUSTER, of_cluster)):
        if text.count(place) != 1:
            raise LabError(f"the lab's configuration has no single {place.strip()}")
        text = text.replace(place, place + added)
    return text


def reload(lab: Lab, of_group: str, of_cluster: str = "") -> None:
    """Give both nodes further statements, and wait until both have them."""
    text = configuration(lab.settings, of_group, of_cluster)
    for node in NODES:
        (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(text)
        (parent,) = [pid for pid, title in daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)
    for node in NODES:
        wait_until(lambda node=node: _loaded(lab, node), PATIENCE_S, f"the reload of {node}")  # type: ignore[misc]


def _loaded(lab: Lab, node: str) -> bool:
    said = topology.log_file(lab, node).read_text(errors="replace")
    if "reload refused" in said:
        raise LabError(f"{node}: {said[said.index('reload refused') :].splitlines()[0]}")
    return "configuration reloaded" in said


def _wait_for_answers(lab: Lab, count: int) -> None:
    """Each node, of both of which either tells, reaches so many addresses."""

    def reachable() -> int:
        command = ("jsrp", "show", "chassis", "cluster", "ip-monitoring", "status")
        with contextlib.suppress(LabError):
            return topology.run(*inside(lab.namespace(NODES[0]), *command), env=lab.environment(NODES[0])).count(" reachable ")
        return 0

    wait_until(lambda: reachable() == count * len(NODES), PATIENCE_S, f"{count} reachable addresses on both nodes")


def upstream_statements() -> str:
    """The next hop of each family, asked five times in a second."""
    families = "".join(family(name, SECONDARY[n], (WAN.hosts[n],), 255) for n, name in enumerate(("inet", "inet6")))
    return f"ip-monitoring {{ retry-interval 0.2; retry-count 5; family {{ {families} }} }}\n"


def upstream(lab: Lab) -> dict[str, float]:
    """The next hop answers the primary no more, the standby still reaches it: the longest gap of the worst stream, ms.

    Without hellos on the segments, which would see a silent segment before any address is called unreachable.
    """
    reload(lab, upstream_statements(), "in-band-heartbeat off;\n")
    _wait_for_answers(lab, len(WAN.hosts))
    with traffic.running(lab, Options(PATIENCE_S, 1000.0, (4, 6), CONNECTIONS)) as flow:
        time.sleep(LEAD_S)
        begin = time.time_ns()
        faults.inject(lab, "silent-wan", topology.primary_node(lab))
        time.sleep(WATCH_S)
        end = time.time_ns()
        result = flow.finish(now=True)
    streams = result.window(begin - EDGE_NS, end)
    died = sum(tcp.connections - tcp.alive for tcp in result.tcp)
    return {"gap": max(stream.longest_gap_ms for stream in streams), "died": float(died)}


def many_statements() -> str:
    """Without weight: what is measured is the asking."""
    families = "".join(family(name, SECONDARY[n], addresses()[n], 0) for n, name in enumerate(("inet", "inet6")))
    return f"ip-monitoring {{ retry-interval 1; family {{ {families} }} }}\n"


def _many_targets(lab: Lab) -> str:
    """256 addresses at the server, and the statements that watch them all at the interval of one second."""
    found = addresses()
    lines = [f"addr add {one}/24 dev eth0" for one in found[0]] + [f"addr add {one}/64 dev eth0 nodad" for one in found[1]]
    ip_batch(lab.namespace(WAN.host), lines)
    return many_statements()


def _processor_s(lab: Lab, node: str, title: str) -> float:
    pids = [pid for pid, found in daemon_processes(lab, node).items() if found == title]
    return sum(time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED) for pid in pids)


def targets(lab: Lab) -> dict[str, float]:
    """256 addresses at 1 s: the monitors process on the primary and on the standby, % of a core."""
    reload(lab, _many_targets(lab))
    _wait_for_answers(lab, 2 * TARGETS_A_FAMILY)
    primary = topology.primary_node(lab)
    spent = {node: _processor_s(lab, node, "jsrpd: monitors") for node in NODES}
    time.sleep(COST_S)
    percent = {node: (_processor_s(lab, node, "jsrpd: monitors") - spent[node]) / COST_S * 100 for node in NODES}
    return {"primary": percent[primary], "standby": percent[faults.peer_of(primary)]}


EVERYTHING = """
        spu-monitoring { softnet-drop-limit 1000000; conntrack-limit 100; latency-limit 5000; }
        npc-monitoring { flap-limit 1000; error-limit 1000000; transmit-timeout-limit 1000; }
        hardware-monitoring { memory-limit 100; disk-limit / 100; }
        schedule-monitoring { slip-limit 50; }
"""
SCRIPT = 'script-monitor idle { command "/bin/true"; interval 1; }\n'


def lateness(lab: Lab) -> dict[str, float]:
    """Every monitor on: by how much the interval between heartbeats exceeds what it should be, ms, at the switch port."""
    reload(lab, _many_targets(lab) + SCRIPT, EVERYTHING)
    _wait_for_answers(lab, 2 * TARGETS_A_FAMILY)
    late = sorted(abs(one - INTERVAL_MS) for one in _intervals(lab, topology.primary_node(lab)))
    if len(late) < LATENESS_S * 1000 / INTERVAL_MS / 2:
        raise LabError(f"only {len(late)} heartbeats were seen")
    return {"median": statistics.median(late), "p99": late[len(late) * 99 // 100], "longest": late[-1]}


LOOPS = 16
STARVED_S = 120.0
AFTERMATH_NS = 2_000_000_000
"""After a freeze: a move, hold-down and the return take no longer."""
WATCHED = """
        spu-monitoring { conntrack-limit 95; }
        npc-monitoring { flap-limit 5; error-limit 100; transmit-timeout-limit 1; }
        hardware-monitoring { memory-limit 99; disk-limit / 99; }
"""
ALARM = ("JSRPD_MONITOR_FAILED", "JSRPD_SET_", "JSRPD_RG_STATE_CHANGE")


def watched_statements() -> str:
    """As an operator would have them: the next hop of each family each second, and a script."""
    families = "".join(family(name, SECONDARY[n], (WAN.hosts[n],), 255) for n, name in enumerate(("inet", "inet6")))
    return f"ip-monitoring {{ family {{ {families} }} }}\n{SCRIPT}"


def spin(lab: Lab, loops: int) -> None:
    """Busy loops of the daemons' ordinary priority on both nodes, until they end."""
    code = f"import time\nend = time.monotonic() + {STARVED_S}\nwhile time.monotonic() < end: pass"
    started = [
        subprocess.Popen(inside(lab.namespace(NODES[n % len(NODES)]), sys.executable, "-c", code), stdin=subprocess.DEVNULL)
        for n in range(loops)
    ]
    try:
        for loop in started:
            loop.wait(2 * STARVED_S)
    finally:
        for loop in started:
            loop.kill()
            loop.wait()


def false_failovers(loops: int, lab: Lab) -> dict[str, float]:
    """The CPUs full of busy loops: changes of state, and those that a freeze of the whole machine excuses."""
    dead_ms = lab.settings.interval_ms * lab.settings.threshold
    begin = time.time_ns()
    with tempfile.TemporaryDirectory() as records, Reference(Path(records)) as reference:
        spin(lab, loops)
        moves = [at for at, line in demo.messages(lab, begin, time.time_ns()) if ALARM[-1] in line]
        freezes = [(start, end) for start, end in reference.stalls() if (end - start) / 1e6 >= dead_ms / 2]
    excused = sum(any(start <= at <= end + AFTERMATH_NS for start, end in freezes) for at in moves)
    return {"moves": float(len(moves) - excused), "excused": float(excused)}


def starved(lab: Lab) -> dict[str, float]:
    """Every monitor on and the CPUs full of busy loops of the same priority: failures that were none, and moves."""
    reload(lab, watched_statements(), WATCHED)
    _wait_for_answers(lab, len(WAN.hosts))
    begin = time.time_ns()
    spin(lab, LOOPS)
    lines = [line for _, line in demo.messages(lab, begin, time.time_ns()) if any(tag in line for tag in ALARM)]
    for line in lines:
        print(line, file=sys.stderr)
    moves = sum(ALARM[-1] in line for line in lines)
    return {"alarms": float(len(lines) - moves), "moves": float(moves)}


def _intervals(lab: Lab, node: str) -> Iterator[float]:
    words = (sys.executable, "-m", "bench.lateness", port_of(node, "ctl0"), f"{LATENESS_S}")
    done = subprocess.run(
        inside(lab.namespace(SWITCH), *words), capture_output=True, text=True, check=True, env=with_commands(os.environ)
    )
    return (float(line) for line in done.stdout.splitlines() if line != "ready")
