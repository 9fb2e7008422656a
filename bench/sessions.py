"""``python -m bench.sessions``: how many connections a second the other node keeps up with, and what that costs.

jsrpd beside conntrackd, which is measured four times: with its cache on the receiving side or straight into the kernel, and
at the real-time priority it gives itself or at the normal one. All in the same lab, one after the other; every figure is
a median. Exit 0 when every row gave figures.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import storm
from bench.__main__ import LAB, _alone, _check_machine, _terminable
from bench.contestants import Contestant, Jsrpd, Keepalived
from bench.freeze import Reference
from bench.measure import EDGE_NS, WATCH_S
from bench.rows import THRESHOLD
from jsrpd.lab import faults, firewall, topology, traffic
from jsrpd.lab.topology import LAN, NODES, WAN, Lab, LabError, inside, run, wait_until

MAXIMUM = Path("/proc/sys/net/netfilter/nf_conntrack_max")
ROOM = 1_200_000
IN_STEP_S, SYNCHRONISED_S, SETTLE_S = 20.0, 90.0, 7.0
"""How long a contestant may take to catch up, to synchronise everything; and how long it is left alone after its start."""
LONG_S = 3600
INTERVAL_MS = 100
SERVERS, CLIENTS = 2, 4
TICK_NS = 1_000_000_000
DESTINATION = WAN.hosts[0]


@dataclass(frozen=True, slots=True)
class Peer:
    """One to be measured. ``names``: titles of the processes that synchronise sessions."""

    label: str
    contestant: Contestant
    names: tuple[str, ...]
    normal_priority: bool = False
    cache: bool = False
    alone: bool = False
    """Nothing reaches the other node; what the owner has is counted."""

    def holder(self, owner: str, other: str) -> str:
        """The node on which connections are counted."""
        return owner if self.alone else other


class Direct(Keepalived):
    """conntrackd that writes into the kernel at once."""

    direct = True


class WithoutSynchronisation(Jsrpd):
    """What the machine and the path through the lab allow at most."""

    def start(self, lab: Lab, interval_ms: int, threshold: int = THRESHOLD) -> None:
        """See ``Contestant``."""
        super().start(lab, interval_ms, threshold)
        for node in NODES:
            path = lab.node_directory(node, "etc") / "jsrpd.conf"
            path.write_text(path.read_text().replace("reth-count 2;", "reth-count 2;\n        session-synchronization off;"))
            parents = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
            topology.signal_all(parents, signal.SIGHUP)


PEERS = (
    Peer("jsrpd", Jsrpd(), ("jsrpd: sessions",)),
    Peer("conntrackd, kernel, normal", Direct(), ("conntrackd",), normal_priority=True),
    Peer("conntrackd, kernel, RR 99", Direct(), ("conntrackd",)),
    Peer("conntrackd, cache, normal", Keepalived(), ("conntrackd",), normal_priority=True, cache=True),
    Peer("conntrackd, cache, RR 99", Keepalived(), ("conntrackd",), cache=True),
    Peer("(jsrpd, synchronisation off)", WithoutSynchronisation(), ("jsrpd: sessions",), alone=True),
)


@dataclass(slots=True)
class Figures:
    """Of one row and one contestant, by name of the figure; one value for each run."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **found: float) -> None:
        """One run."""
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)

    def text(self) -> str:
        """Medians, with least and greatest where there are several."""
        said = []
        for name, values in self.values.items():
            spread = f" ({min(values):.4g}..{max(values):.4g})" if len(values) > 1 else ""
            said.append(f"{name.replace('_', ' ')} {statistics.median(values):.4g}{spread}")
        return "; ".join(said)


# -- the lab ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(lab: Lab, peer: Peer) -> Iterator[tuple[str, str]]:
    """The lab with one contestant, behind a strict firewall; (primary, other)."""
    before = MAXIMUM.read_text()
    MAXIMUM.write_text(str(ROOM))
    try:
        peer.contestant.start(lab, INTERVAL_MS)
        for node in NODES:
            _firewall(lab, node, peer)
        if peer.normal_priority:
            for node in NODES:
                for pid in _processes(lab, node, peer):
                    run("chrt", "-o", "-p", "0", str(pid))
        owner = peer.contestant.primary(lab)
        for source in storm.SOURCES:
            run("ip", "-n", lab.namespace("client"), "addr", "add", f"{source}/24", "dev", "eth0")
        # What is sent back to the storm has no socket that waits for it.
        quiet = "table inet storm { chain input { type filter hook input priority 0; udp sport 9 drop; }; }\n"
        run(*inside(lab.namespace("client"), "nft", "-f", "-"), text=quiet)
        time.sleep(SETTLE_S)
        yield owner, faults.peer_of(owner)
    finally:
        topology.down(lab)
        MAXIMUM.write_text(before)


def _firewall(lab: Lab, node: str, peer: Peer) -> None:
    """The lab's strict one, and long timeouts so that what a row begins is there at its end."""
    lan, wan = LAN, WAN
    if not isinstance(peer.contestant, Jsrpd):
        lan, wan = (replace(segment, reth=segment.name) for segment in (LAN, WAN))
        run(*inside(lab.namespace(node), "nft", "delete", "table", "inet", "sessions"))
    rules = firewall.ruleset(lan, wan).replace(f"iifname {wan.reth} drop", f"meta l4proto 112 accept\niifname {wan.reth} drop")
    # Sessions without NAT: the masquerading of the lab has ports for 64,000 of them.
    kept = [line for line in rules.splitlines() if "snat" not in line and "dnat" not in line]
    run(*inside(lab.namespace(node), "nft", "-f", "-"), text="\n".join(kept) + "\n")
    values = dict.fromkeys(("udp_timeout", "udp_timeout_stream", "tcp_timeout_time_wait"), LONG_S)
    lines = [f"echo {value} > /proc/sys/net/netfilter/nf_conntrack_{name}" for name, value in values.items()]
    lines += ["echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_events"]
    run(*inside(lab.namespace(node), "sh", "-ec", "\n".join(lines)))


def _processes(lab: Lab, node: str, peer: Peer) -> list[int]:
    found = topology.processes(lab, node)
    return [pid for pid, title in found.items() if any(title == name or f"{name} -C" in title for name in peer.names)]


def held(lab: Lab, node: str, peer: Peer) -> int:
    """Connections the node has for a takeover: in its kernel, or in the contestant's cache."""
    if not peer.cache:
        return int(run(*inside(lab.namespace(node), "cat", "/proc/sys/net/netfilter/nf_conntrack_count")))
    said = run(*inside(lab.namespace(node), "conntrackd", "-C", str(lab.node_directory(node, "run") / "conntrackd.conf"), "-s"))
    external = said[said.index("cache external") :]
    return next(int(line.split()[-1]) for line in external.splitlines() if "active connections" in line or "current active" in line)


def cpu_s(lab: Lab, peer: Peer) -> float:
    """Of both nodes' processes so far."""
    pids = [pid for node in NODES for pid in _processes(lab, node, peer)]
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / TICK_NS


def memory_mb(lab: Lab, peer: Peer) -> float:
    """Resident, both nodes."""
    sizes = [Path(f"/proc/{pid}/statm").read_text().split()[1] for node in NODES for pid in _processes(lab, node, peer)]
    return sum(int(size) for size in sizes) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def workers(lab: Lab, member: str, *commands: Sequence[object]) -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes of the storm in a namespace; those that say so are ready."""
    begun = [
        subprocess.Popen(
            inside(lab.namespace(member), sys.executable, "-m", "bench.storm", *(str(word) for word in command)),
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for command in commands
    ]
    try:
        for command, process in zip(commands, begun, strict=True):
            if command[0] in ("answer", "serve") and process.stdout is not None:
                process.stdout.readline()
        yield begun
    finally:
        for process in begun:
            process.terminate()
            process.wait()


def result(process: "subprocess.Popen[str]") -> float:
    """What a sender says at its end."""
    said, _ = process.communicate(timeout=120)
    if process.returncode:
        raise LabError("the storm has failed")
    return float(said.split()[-1])


# -- the rows ---------------------------------------------------------------------------------------------------------


def flows(lab: Lab, peer: Peer, figures: Figures, count: int, rate: float) -> None:
    """New two-event flows until the other node has them all; with rate 0 as fast as this machine makes them."""
    with started(lab, peer) as (owner, peers), workers(lab, "server", ("answer", DESTINATION)):
        other = peer.holder(owner, peers)
        base, cpu, memory = held(lab, other, peer), cpu_s(lab, peer), memory_mb(lab, peer)
        with workers(lab, "client", ("send", DESTINATION, count, rate)) as (sender,):
            begin = _first(lab, other, peer, base)
            wait_until(lambda: held(lab, other, peer) - base >= count, 60 + IN_STEP_S, f"{peer.label}: {count} flows in step")
            took = time.monotonic() - begin
            result(sender)
        time.sleep(1)
        figures.add(
            flows_a_second=count / took,
            CPU_s_per_100k=(cpu_s(lab, peer) - cpu) / count * 1e5,
            MB_per_100k=(memory_mb(lab, peer) - memory) / count * 1e5,
        )


def _first(lab: Lab, node: str, peer: Peer, base: int) -> float:
    wait_until(lambda: held(lab, node, peer) > base, IN_STEP_S, f"{peer.label}: the first flow")
    return time.monotonic()


def short(lab: Lab, peer: Peer, figures: Figures, count: int) -> None:
    """Short TCP connections, from several processes at once."""
    with started(lab, peer), workers(lab, "server", *(("serve", DESTINATION) for _ in range(SERVERS))):
        cpu = cpu_s(lab, peer)
        commands = [("connect", DESTINATION, count // CLIENTS, storm.SOURCES[n]) for n in range(CLIENTS)]
        with workers(lab, "client", *commands) as clients:
            took = max(result(client) for client in clients)
        figures.add(connections_a_second=count / took, CPU_s_per_100k=(cpu_s(lab, peer) - cpu) / count * 1e5)


def _filled(lab: Lab, node: str, count: int) -> None:
    """So many connections in the owner's kernel."""
    with workers(lab, "client", ("send", DESTINATION, count, 0)) as (sender,):
        result(sender)
    kernel = "/proc/sys/net/netfilter/nf_conntrack_count"
    wait_until(lambda: int(run(*inside(lab.namespace(node), "cat", kernel))) >= count, 10, "the connections")


def cold(lab: Lab, peer: Peer, figures: Figures, count: int) -> None:
    """Everything at once, after the other node has lost its table; conntrackd's cache is committed to the kernel as well."""
    with started(lab, peer) as (owner, other):
        _filled(lab, owner, count)
        wait_until(lambda: held(lab, other, peer) >= count, SYNCHRONISED_S, f"{peer.label}: everything with the other")
        if isinstance(peer.contestant, Jsrpd):
            topology.signal_all(topology.daemon_processes(lab, other), signal.SIGTERM)
            wait_until(lambda: not topology.daemon_processes(lab, other), 15, "the end of the daemon")
            run(*inside(lab.namespace(other), "conntrack", "-F"))
            begin = time.monotonic()
            topology.start_daemon(lab, other)
            wait_until(lambda: held(lab, other, peer) >= count, SYNCHRONISED_S, "cold synchronisation")
            figures.add(seconds_with_start_of_daemon=time.monotonic() - begin)
            return
        ask = [*inside(lab.namespace(other), "conntrackd", "-C", str(lab.node_directory(other, "run") / "conntrackd.conf"))]
        run(*ask, "-f")
        run(*inside(lab.namespace(other), "conntrack", "-F"))
        begin = time.monotonic()
        run(*ask, "-n")
        wait_until(lambda: held(lab, other, peer) >= count, SYNCHRONISED_S, f"{peer.label}: resynchronisation")
        if peer.cache:
            run(*ask, "-c", timeout_s=SYNCHRONISED_S)
        figures.add(seconds=time.monotonic() - begin)


def takeover(lab: Lab, peer: Peer, figures: Figures, count: int) -> None:
    """The owner loses power with so many connections; the gap of a stream in which only the server sends."""
    with started(lab, peer) as (owner, other):
        if count:
            _filled(lab, owner, count)
            wait_until(lambda: held(lab, other, peer) >= count, SYNCHRONISED_S, f"{peer.label}: everything with the other")
            time.sleep(2)
        with traffic.running(lab, traffic.Options(60.0, 1000.0, (4,), 10)) as flow:
            time.sleep(1)
            begin = time.time_ns()
            faults.inject(lab, "power-off", owner)
            time.sleep(WATCH_S + count / 1e5)
            end = time.time_ns()
            found = flow.finish(now=True).window(begin - EDGE_NS, end)
        gaps = {stream.name: stream.longest_gap_ms for stream in found}
        figures.add(push_gap_ms=gaps["server to client"], echo_gap_ms=gaps["round trip"])


@dataclass(frozen=True, slots=True)
class Row:
    """``target`` in the words of SPEC section 14."""

    title: str
    target: str
    measure: Callable[[Lab, Peer, Figures], None]


ROWS = {
    "flows": Row(
        "100,000 new flows, as fast as the machine makes them",
        "≥ 30,000 a second, ≥ 1.2 × conntrackd into the kernel; ≤ 1.5 s CPU and ≤ 50 MB per 100,000",
        lambda lab, peer, figures: flows(lab, peer, figures, 100_000, 0),
    ),
    "paced": Row(
        "100,000 new flows at 10,000 a second",
        "≤ 1.5 s CPU per 100,000",
        lambda lab, peer, figures: flows(lab, peer, figures, 100_000, 10_000),
    ),
    "short": Row("20,000 short TCP connections", "≥ 9,000 a second", lambda lab, peer, figures: short(lab, peer, figures, 20_000)),
    "cold": Row("cold synchronisation of 500,000", "≤ 6 s", lambda lab, peer, figures: cold(lab, peer, figures, 500_000)),
    **{
        f"takeover-{count // 1000}k": Row(
            f"power-off with {count:,} sessions, 100 ms × 3",
            "push ≤ 5 ms more than with none",
            lambda lab, peer, figures, count=count: takeover(lab, peer, figures, count),  # type: ignore[misc]
        )
        for count in (0, 100_000, 500_000)
    },
}


ALONE = ("flows", "short")
"""Rows that mean something without synchronisation."""


def main(words: Sequence[str]) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.sessions", description="jsrpd and conntrackd under the same load.")
    parser.add_argument("--runs", type=int, default=3, help="runs of each row for each of them (default 3)")
    parser.add_argument("--rows", action="append", default=[], choices=list(ROWS), help="only this row, may be repeated")
    parser.add_argument("--peers", type=int, default=len(PEERS), help="only the first so many of those measured")
    arguments = parser.parse_args(words)
    try:
        _check_machine()
        with _alone(), _terminable():
            return _bench(arguments.rows or list(ROWS), arguments.runs, PEERS[: arguments.peers])
    except (LabError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _bench(names: Sequence[str], runs: int, peers: Sequence[Peer]) -> int:
    complete = True
    with tempfile.TemporaryDirectory() as records, Reference(Path(records)) as reference:
        topology.down(LAB)
        for name in names:
            row = ROWS[name]
            print(f"{row.title}  [{name}; target: {row.target}]", flush=True)
            for peer in peers:
                figures, failures = Figures(), []
                if peer.alone and name not in ALONE:
                    continue
                for _ in range(runs):
                    try:
                        row.measure(LAB, peer, figures)
                    except (LabError, ValueError) as error:
                        failures.append(str(error).splitlines()[0])
                complete &= not failures
                print(f"  {peer.label:<28}{figures.text() or 'no run'}", *(f"! {failure}" for failure in failures), flush=True)
        longest = max(((b - a) / 1e6 for a, b in reference.stalls()), default=0.0)
    cpus, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cpus} CPUs, load average {load:.2f}, longest freeze of the machine {longest:.0f} ms")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
