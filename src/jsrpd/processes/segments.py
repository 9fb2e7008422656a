"""Watches the segments of the reths for the engine: counts frames, asks hosts, and tells the core what a segment lost means.

Runs inside the engine's turns and costs nothing while hello frames are heard. Reads one file of procfs, sends one frame.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from jsrpd.core.events import MonitorFailed, MonitorRecovered
from jsrpd.data_plane.announcements import echo_to_all_nodes
from jsrpd.kernel.packet_socket import FrameSocket
from jsrpd.model.configuration import ClusterConfiguration, Reth
from jsrpd.model.link_messages import FIRST_IN_BAND_PATH, PathId
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.time import Instant
from jsrpd.monitors.segment import AskHosts, SegmentFailed, SegmentMonitor, SegmentRecovered, SegmentsObserved

INTERFACE_COUNTERS = Path("/proc/thread-self/net/dev")
"""Follows the network namespace; the second column is frames received."""


class SegmentWatch:
    """The segments of one configuration."""

    def __init__(self, configuration: ClusterConfiguration, now: Instant) -> None:
        self._timing = configuration.timing
        self._reths: dict[PathId, Reth] = {FIRST_IN_BAND_PATH + n: r for n, r in enumerate(configuration.in_band_segments)}
        self._machine = SegmentMonitor(tuple(self._reths), self._timing, now)
        self._lost: set[PathId] = set()
        self._questions = 0

    def look(
        self, now: Instant, heard: Mapping[PathId, Instant], links_up: Mapping[str, bool]
    ) -> list[MonitorFailed | MonitorRecovered]:
        """What the core must be told, when a look is due."""
        deadline = self._machine.deadline()
        if deadline is None or now < deadline:
            return []
        overdue = bool(self._lost) or any(now - heard.get(path, now) > self._timing.fresh for path in self._reths)
        counters = received_frames() if overdue else {}
        received = {p: counters[r.child] for p, r in self._reths.items() if r.child in counters and links_up.get(r.child)}
        told: list[MonitorFailed | MonitorRecovered] = []
        for action in self._machine.handle(now, SegmentsObserved(heard, received)):
            reth = self._reths[action.path]
            match action:
                case AskHosts():
                    self._ask(reth.child)
                case SegmentFailed(path):
                    self._lost.add(path)
                    told.append(MonitorFailed(reth.group, FailureCode.SG, reth.child, FULL_WEIGHT))
                case SegmentRecovered(path):
                    self._lost.discard(path)
                    told.append(MonitorRecovered(reth.group, FailureCode.SG, reth.child))
        return told

    def forget(self) -> list[MonitorRecovered]:
        """Before another configuration takes over: nothing is lost until it says so."""
        reths = [self._reths[path] for path in sorted(self._lost)]
        self._lost.clear()
        return [MonitorRecovered(reth.group, FailureCode.SG, reth.child) for reth in reths]

    def _ask(self, child: str) -> None:
        self._questions += 1
        with contextlib.suppress(OSError):
            frames = FrameSocket(child)
            frames.send([echo_to_all_nodes(frames.mac, self._questions)])
            frames.close()


def received_frames() -> dict[str, int]:
    """Frames received by each interface of this network namespace; empty when the kernel does not tell."""
    try:
        lines = INTERFACE_COUNTERS.read_text().splitlines()[2:]
        rows = (line.partition(":") for line in lines)
        return {name.strip(): int(counters.split()[1]) for name, _, counters in rows}
    except (OSError, ValueError, IndexError):
        return {}
