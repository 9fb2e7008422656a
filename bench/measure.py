"""One run: a fresh lab, traffic through it, the fault, and the figures from the packets and the wire."""

import os
import random
import signal
import time
from collections.abc import Callable

from bench.contestants import Contestant
from bench.figures import Sample, longest_overlap_ms
from bench.freeze import Reference
from bench.rows import Row, dead_ms
from jsrpd.lab import faults, topology, traffic
from jsrpd.lab.observe import Ownership
from jsrpd.lab.topology import NODES, Lab, processes, signal_all
from jsrpd.lab.traffic import Options, Result, StreamResult

LEAD_S = 0.5
"""Traffic before the fault: the noise of the machine."""
EDGE_NS = 10_000_000
"""The window begins so long before the fault, so that the last packet before it is inside."""
WATCH_S = 1.5
"""Traffic after the fault; both contestants have recovered within a third of it."""
CONNECTIONS = 20
LONGEST_S = 30.0


def _kill(_contestant: Contestant, lab: Lab, node: str) -> None:
    pids = list(processes(lab, node))
    # A parent must not replace a child that was killed before it.
    signal_all(pids, signal.SIGSTOP)
    signal_all(pids, signal.SIGKILL)


def _stop(_contestant: Contestant, lab: Lab, node: str) -> None:
    signal_all(processes(lab, node), signal.SIGSTOP)


def _stop_and_continue(contestant: Contestant, lab: Lab, node: str) -> None:
    _stop(contestant, lab, node)
    time.sleep(WATCH_S)
    signal_all(processes(lab, node), signal.SIGCONT)


def _fault(name: str) -> Callable[[Contestant, Lab, str], None]:
    def act(_contestant: Contestant, lab: Lab, node: str) -> None:
        faults.inject(lab, name, node)

    return act


ACTS: dict[str, Callable[[Contestant, Lab, str], None]] = {
    "cut-lan": _fault("cut-lan"),
    "power-off": _fault("power-off"),
    "hang": _fault("hang"),
    "killed": _kill,
    "hung": _stop,
    "continued": _stop_and_continue,
    "silent-lan": _fault("silent-lan"),
    "heartbeats-cut": lambda contestant, lab, node: contestant.cut_heartbeats(lab, node),
    "restart": lambda contestant, lab, node: contestant.restart(lab, node),
    "stop-start": lambda contestant, lab, node: contestant.stop_and_start(lab, node),
    "planned": lambda contestant, lab, node: contestant.hand_over(lab, node),
}
"""Get the node that is primary. Only the contestant's daemons run on a node, so all of its processes are meant."""


def options_of(row: Row, number: int) -> Options:
    """Traffic of the ``number``-th run of a row."""
    families = ((4,), (6,))[number % 2] if row.one_family else (4, 6)
    return Options(LONGEST_S, row.rate, families, CONNECTIONS)


def measure(lab: Lab, contestant: Contestant, row: Row, number: int, reference: Reference) -> Sample:
    """One run; the lab is gone afterwards. LabError when it cannot be brought up or its traffic does not flow."""
    try:
        contestant.start(lab, row.interval_ms)
        victim = contestant.primary(lab)
        with traffic.running(lab, options_of(row, number)) as flow:
            # At a random phase of the heartbeats.
            time.sleep(LEAD_S + random.random() * dead_ms(row.interval_ms) / 1000)
            begin = time.time_ns()
            ACTS[row.act](contestant, lab, victim)
            time.sleep(WATCH_S)
            end = time.time_ns()
            load = os.getloadavg()[0]
            result = flow.finish(now=True)
        return _sample(result, NODES.index(victim), (begin - EDGE_NS, end), reference, load)
    finally:
        # A second Ctrl-C must not leave half a lab.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        topology.down(lab)
        signal.signal(signal.SIGINT, before)


def _sample(result: Result, victim: int, window: tuple[int, int], reference: Reference, load: float) -> Sample:
    streams, before = result.window(*window), (window[0] - int(LEAD_S * 1e9 / 2), window[0])
    owners = result.ownerships(*window)
    died = sum(tcp.connections - tcp.alive for tcp in result.tcp)
    return Sample(
        gap_ms=max(stream.longest_gap_ms for stream in streams),
        lost_echo=_lost(streams, "round trip"),
        lost_push=_lost(streams, "server to client"),
        two_owners_ms=max(owner.two_owners_ms for owner in owners),
        nobody_ms=max(owner.nobody_ms for owner in owners),
        tcp_died=died,
        freeze_ms=longest_overlap_ms(reference.stalls(), *window),
        noise_ms=max(stream.longest_gap_ms for stream in result.window(*before)),
        load=load,
        moved_before=not all(_owned_by(owner, victim) for owner in result.ownerships(*before)),
    )


def _lost(streams: list[StreamResult], name: str) -> int:
    return max(stream.lost for stream in streams if stream.name == name)


def _owned_by(owner: Ownership, node: int) -> bool:
    return bool(owner.intervals) and all(interval.node == node for interval in owner.intervals)
