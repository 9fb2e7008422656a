"""A measured run: starts the streams, the probers and the observer, and turns what they recorded into figures.

``start`` returns at once when everything flows; whoever holds the run injects faults and then calls ``finish``. Every
process of a run ends by itself after its duration.
"""

import itertools
import json
import shutil
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jsrpd.lab.faults import silences
from jsrpd.lab.observe import Interval, Observation, Ownership, load_observation
from jsrpd.lab.streams import TCP_DRAIN_S
from jsrpd.lab.topology import BY_SEGMENT, SWITCH, Lab, LabError
from jsrpd.lab.workers import Worker, load, start

LONGEST_RUN_S = 3600
STARTING_S = 20
"""Added to the duration of the observing processes and the server, which start before the client."""


@dataclass(frozen=True, slots=True)
class Options:
    """``rate`` in packets a second of each stream and family; ``connections`` TCP connections per family."""

    duration_s: float = 10.0
    rate: float = 1000.0
    families: tuple[int, ...] = (4, 6)
    connections: int = 20
    probe_interval_ms: float = 5.0

    def check(self) -> None:
        """LabError for what cannot be run."""
        if not 0 < self.duration_s <= LONGEST_RUN_S or not 1 <= self.rate <= 20_000:
            raise LabError(f"duration must be within 0..{LONGEST_RUN_S} s and rate within 1..20000 packets a second")
        if not self.families or not set(self.families) <= {4, 6} or not 0 <= self.connections <= 500:
            raise LabError("families are 4, 6 or both; connections 0..500")


@dataclass(frozen=True, slots=True)
class Stream:
    """Raw record of one direction: sent stamps by sequence number, arrivals. CLOCK_REALTIME ns."""

    name: str
    family: int
    sent: "array[int]"
    sequences: "array[int]"
    stamps: "array[int]"


@dataclass(frozen=True, slots=True)
class StreamResult:
    """Figures of one direction within a window. ``longest_gap_at``: its beginning, CLOCK_REALTIME ns."""

    name: str
    family: int
    sent: int
    received: int
    lost: int
    longest_gap_ms: float
    longest_gap_at: int


def summarise(stream: Stream, begin_at: int, end_at: int) -> StreamResult:
    """Sent within the window and never received; the longest silence between arrivals, its edges included. Pure."""
    received = set(stream.sequences)
    due = [n for n, at in enumerate(stream.sent) if begin_at <= at <= end_at]
    lost = sum(n not in received for n in due)
    # The last packet sent ends the silence that counts: later there is nothing to hear.
    edge = min(end_at, stream.sent[-1]) if stream.sent else end_at
    heard = sorted(at for at in stream.stamps if begin_at <= at <= edge)
    points = [begin_at, *heard, max(edge, begin_at)]
    gap, at = max(((b - a, a) for a, b in itertools.pairwise(points)), key=lambda pair: pair[0])
    return StreamResult(stream.name, stream.family, len(due), len(due) - lost, lost, round(gap / 1e6, 3), at)


@dataclass(frozen=True, slots=True)
class TcpResult:
    """``alive``: every number sent came back, in order."""

    family: int
    connections: int
    alive: int
    longest_stall_ms: float
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run. ``window`` gives the figures for a part of it."""

    begin: int
    end: int
    streams: tuple[Stream, ...]
    tcp: tuple[TcpResult, ...]
    observation: Observation
    families: tuple[int, ...]
    silences: dict[str, list[Interval]] = field(default_factory=dict)

    def window(self, begin_at: int, end_at: int) -> list[StreamResult]:
        """Figures of every stream between two instants, CLOCK_REALTIME ns."""
        return [summarise(stream, begin_at, end_at) for stream in self.streams]

    def ownerships(self, begin_at: int, end_at: int) -> list[Ownership]:
        """Who answered for the gateway addresses between two instants, one per segment and family."""
        return self.observation.ownerships(begin_at, end_at, self.silences, self.families)

    def as_json(self) -> dict[str, object]:
        """Figures of the whole run."""
        return {
            "begin": self.begin,
            "end": self.end,
            "streams": [asdict(one) for one in self.window(self.begin, self.end)],
            "tcp": [asdict(one) for one in self.tcp],
            "owners": [asdict(one) for one in self.ownerships(self.begin, self.end)],
        }


class Run:
    """Traffic that flows."""

    def __init__(self, lab: Lab, options: Options, directory: Path) -> None:
        self.lab = lab
        self.options = options
        self.directory = directory
        self.workers: list[Worker] = []
        self.begin = 0

    def start(self) -> None:
        """Start everything in order; returns when packets flow. LabError when they do not."""
        o = self.options
        longer_s = o.duration_s + STARTING_S
        streams = (self.directory, ",".join(map(str, o.families)), o.rate, o.connections)
        self.workers.append(start(self.lab, SWITCH, "observe", "observer", longer_s, self.directory))
        self.workers.append(start(self.lab, "server", "streams", "server", longer_s, *streams))
        for segment in BY_SEGMENT.values():
            words = ("prober", longer_s, segment.name, o.probe_interval_ms)
            self.workers.append(start(self.lab, segment.host, "observe", *words))
        self.workers.append(start(self.lab, "client", "streams", "client", o.duration_s, *streams))
        self.begin = time.time_ns()

    def finish(self, *, now: bool = False) -> Result:
        """Wait for the end of the duration, or with ``now`` end it; the figures."""
        client, others = self.workers[-1], self.workers[:-1]
        if now:
            client.stop()
        client.finish(self.options.duration_s + TCP_DRAIN_S + 5)
        for worker in others:
            worker.stop()
        for worker in others:
            worker.finish(TCP_DRAIN_S + 5)
        return self._result()

    def abort(self) -> None:
        """End everything without figures."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.communicate()

    def _result(self) -> Result:
        streams = [stream for family in self.options.families for stream in _streams(self.directory, family)]
        # The server pushes until it is stopped, which is after the client has stopped listening.
        end = min((s.sent[-1] for s in streams if s.name == "round trip" and s.sent), default=self.begin)
        summary = json.loads((self.directory / "client.tcp.json").read_text())
        tcp = tuple(
            TcpResult(int(family), one["connections"], one["alive"], one["longest_stall_ms"], tuple(one["broken"]))
            for family, one in summary.items()
        )
        observation = load_observation(self.directory)
        return Result(self.begin, end, tuple(streams), tcp, observation, self.options.families, silences(self.lab))


def _streams(directory: Path, family: int) -> Iterator[Stream]:
    sent = load(directory / f"client.echo{family}.sent")
    pushed = load(directory / f"server.push{family}.sent")
    for name, file, origin in (
        ("client to server", "server.echo", sent),
        ("round trip", "client.echo", sent),
        ("server to client", "client.push", pushed),
    ):
        yield Stream(name, family, origin, load(directory / f"{file}{family}.seq"), load(directory / f"{file}{family}.at"))


@contextmanager
def running(lab: Lab, options: Options) -> Iterator[Run]:
    """A run that flows inside the block; whatever happens, its processes and files are gone afterwards."""
    options.check()
    lab.settings  # noqa: B018  (LabError when the lab is not up)
    directory = lab.directory / f"traffic-{time.monotonic_ns()}"
    directory.mkdir()
    made = Run(lab, options, directory)
    try:
        made.start()
        yield made
    finally:
        made.abort()
        shutil.rmtree(directory, ignore_errors=True)


def families_of(text: str) -> tuple[int, ...]:
    """``4``, ``6`` or ``4,6``; LabError otherwise."""
    words: Sequence[str] = text.split(",")
    if not set(words) <= {"4", "6"}:
        raise LabError(f"{text}: families are 4, 6 or 4,6")
    return tuple(sorted({int(word) for word in words}))
