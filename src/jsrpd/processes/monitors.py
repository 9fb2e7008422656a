"""The monitors process: probes, and the loop that carries them to the machines of ``jsrpd.monitors``. It may block.

The machines say when they want to look and what is to be asked; this loop asks, hands the answers in, and passes every
verdict to the engine. Each second the engine is told all that is failed (``management.monitor_link``).
"""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, assert_never

import msgspec

from jsrpd.data_plane.announcements import gratuitous_arp, unsolicited_na
from jsrpd.kernel.icmp import MAX_SEQUENCE, EchoSocket
from jsrpd.kernel.packet_socket import FrameSocket
from jsrpd.management import children, monitor_link
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant
from jsrpd.monitors.arbiter import ArbiterProbe
from jsrpd.monitors.events import (
    Action,
    Answered,
    EchoHeard,
    EchoRefused,
    Event,
    Failed,
    FailureCountsCleared,
    KillCommand,
    OwnershipChanged,
    Recovered,
    Remark,
    RunCommand,
    Sample,
    Sampled,
    SendEcho,
    TimePassed,
    Way,
)
from jsrpd.monitors.gauges import GaugeMonitor
from jsrpd.monitors.ip import IpMonitor
from jsrpd.monitors.script import ScriptMonitor
from jsrpd.processes.etcd_client import EtcdClient
from jsrpd.processes.samplers import HardwareSampler, NpcSampler, SpuSampler, groups_by_card, owning_groups
from jsrpd.processes.script_runner import ScriptRunner
from jsrpd.processes.witness_keeper import WitnessKeeper

ALIVE_S = 1.0
GAUGE_ROUNDS = 4
"""Rounds of samples until a gauge can have come to a verdict."""
SETTLING_MARGIN: Duration = 3 * SECOND
Key: TypeAlias = tuple[str, int, Way]
"""Name of the watch, IP version, way."""
UNANSWERED = 1
"""Rounds without any answer after which a standby announces its own address again with each round."""
ARBITER = "arbiter"
RETRY_S = 0.5
"""A way whose device is missing is tried again so often."""


def run(engine: socket.socket, gateway: socket.socket, parent: socket.socket, configuration: ClusterConfiguration) -> None:
    """Until SIGTERM or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(Monitors(engine, gateway, parent, configuration).run())


def clock() -> Instant:
    """The same clock as the engine's."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Machine(Protocol):
    """What every monitor looks like."""

    def handle(self, _now: Instant, event: Event) -> list[Action]:
        """One event in, what is to be done out."""

    def deadline(self) -> Instant | None:
        """When it wants to look again."""

    def present_failures(self) -> Iterable[Failed]:
        """What is failed now."""


class Sampler(Protocol):
    """Where a gauge's samples come from."""

    period_s: float

    async def sample(self, _now: Instant, _own_lateness: Duration) -> tuple[Sample, ...]:
        """One round; ``own_lateness``: how late this process was, at the worst since the last round (ns)."""

    def close(self) -> None:
        """It is not asked again."""


@dataclass
class Watch:
    """A machine, what it was made from, and how long it may take to its first verdict."""

    machine: Machine
    made_from: object
    settling: Duration
    make_sampler: Callable[[], Sampler] | None = None
    """For gauges: called when the watch begins."""
    sampling: asyncio.Task[None] | None = None


class EchoProbes:
    """Sockets by watch and way, and whose answers they bring."""

    def __init__(self, on_readable: Callable[[], None]) -> None:
        self.sockets: dict[Key, EchoSocket] = {}
        self._on_readable = on_readable
        self._problems: dict[Key, tuple[float, str]] = {}
        self._announce: dict[Key, int] = {}
        """Of a standby's own addresses: rounds of requests since the last that needed no announcement."""
        self._newest: dict[tuple[Key, str], int] = {}

    def ask(self, watch: str, order: SendEcho) -> str:
        """Send; why not, or nothing."""
        key = (watch, ipaddress.ip_address(order.address).version, order.way)
        if key not in self.sockets and (problem := self._open(key)):
            return problem
        first_of_round = order.sequence != self._newest.get((key, ""))
        self._newest[key, ""] = self._newest[key, order.address] = order.sequence
        if first_of_round and key in self._announce:
            self._announce[key] += 1
            if self._announce[key] > UNANSWERED:
                announce(order.way)
        refused = self.sockets[key].ask(order.address, order.sequence)
        if refused and order.way.device:
            # The device may have been made anew under the same name; a socket stays with the old one.
            self._close(key)
        return refused

    def _open(self, key: Key) -> str:
        tried_at, problem = self._problems.get(key, (-RETRY_S, ""))
        if time.monotonic() - tried_at < RETRY_S:
            return problem
        _watch, version, way = key
        try:
            self.sockets[key] = EchoSocket(version, way.source, way.device)
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
            self._problems[key] = (time.monotonic(), problem)
            return problem
        asyncio.get_running_loop().add_reader(self.sockets[key], self._on_readable)
        if way.source and not way.device.startswith("reth") and key[0] != ARBITER:
            self._announce[key] = UNANSWERED
        return ""

    def heard(self) -> Iterable[tuple[str, Event]]:
        """Everything that has arrived, by watch."""
        for key, echo in self.sockets.items():
            for answer in echo.answers():
                newest = self._newest.get((key, answer.address))
                if newest is None:
                    continue
                if answer.reason:
                    yield key[0], EchoRefused(answer.address, answer.reason)
                else:
                    if key in self._announce:
                        self._announce[key] = 0
                    # The wire carries 16 bits; the answer belongs to the newest request with these.
                    yield key[0], EchoHeard(answer.address, newest - (newest - answer.sequence) % MAX_SEQUENCE)

    def forget(self, watch: str) -> None:
        """A monitor's role or configuration changed: what it asked by is closed."""
        for key in [key for key in self.sockets if key[0] == watch]:
            self._close(key)
        self._newest = {asked: newest for asked, newest in self._newest.items() if asked[0][0] != watch}
        self._problems = {key: problem for key, problem in self._problems.items() if key[0] != watch}

    def _close(self, key: Key) -> None:
        echo = self.sockets.pop(key)
        self._announce.pop(key, None)
        asyncio.get_running_loop().remove_reader(echo)
        echo.close()


def announce(way: Way) -> None:
    """A standby's own address has come to another card with the role, and the segment still knows the old one.

    Answers would go there for as long as a neighbour trusts its cache, half a minute or more.
    """
    with contextlib.suppress(OSError, ValueError):
        mac = bytes.fromhex(Path("/sys/class/net", way.device, "address").read_text().strip().replace(":", ""))
        frames = [unsolicited_na(mac, way.source)] if ":" in way.source else gratuitous_arp(mac, way.source)
        sender = FrameSocket(way.device)
        sender.send(list(frames))
        sender.close()


class Monitors:
    """The loop."""

    def __init__(
        self, engine: socket.socket, gateway: socket.socket, parent: socket.socket, configuration: ClusterConfiguration
    ) -> None:
        self.engine, self.gateway, self.parent = engine, gateway, parent
        self.configuration = configuration
        self.watches: dict[str, Watch] = {}
        self.owned = monitor_link.OwnedGroups((), ())
        self.echoes = EchoProbes(self._take_echoes)
        self.scripts = ScriptRunner()
        self.tasks: set[asyncio.Task[None]] = set()
        self.keeping: set[asyncio.Task[None]] = set()
        self.settled_at: Instant = 0
        self.witness: WitnessKeeper | None = None
        self.endpoints: tuple[str, ...] = ()
        self.timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        readers = {self.engine: self._read_engine, self.gateway: self._read_gateway, self.parent: self._read_parent}
        for channel, read in readers.items():
            channel.setblocking(False)
            loop.add_reader(channel, read)
        loop.add_signal_handler(signal.SIGTERM, self._end)
        self._configure()
        while True:
            self._tell_alive()
            await asyncio.sleep(ALIVE_S)

    def _end(self) -> None:
        self.scripts.kill_all()
        os._exit(0)

    # -- what is watched --------------------------------------------------------------------------------------------

    def _configure(self) -> None:
        """A value diff: a monitor whose configuration is equal goes on undisturbed."""
        now = clock()
        wanted = dict(self._wanted(now))
        for name in [name for name, watch in self.watches.items() if wanted.get(name, watch).made_from != watch.made_from]:
            self._remove(name)
        for name in [name for name in self.watches if name not in wanted]:
            self._remove(name)
        for name, watch in wanted.items():
            if name not in self.watches:
                self.watches[name] = watch
                if watch.make_sampler is not None:
                    watch.sampling = asyncio.create_task(self._sample(name, watch.machine, watch.make_sampler()))
                self.settled_at = max(self.settled_at, now + watch.settling + SETTLING_MARGIN)
        self._watch_witness()
        self._take_roles(self.owned)
        self._schedule()

    def _watch_witness(self) -> None:
        """What a keeper that is no longer wanted holds, lapses."""
        stated = self.configuration.arbitration
        endpoints = stated.endpoints if stated is not None else ()
        if endpoints == self.endpoints:
            return
        self.endpoints, self.witness = endpoints, None
        for task in self.keeping:
            task.cancel()
        if endpoints:
            c = self.configuration
            self.witness = WitnessKeeper(EtcdClient(endpoints), c.cluster_id, c.node_id, clock, self._granted, self._remark)
            task = asyncio.create_task(self.witness.run())
            self.keeping.add(task)
            task.add_done_callback(self.keeping.discard)

    def _granted(self, wish: int, until: Instant) -> None:
        self._tell(monitor_link.WitnessGranted(wish, until))

    def _remark(self, text: str) -> None:
        self._tell(monitor_link.MonitorRemark(text))

    def _remove(self, name: str) -> None:
        watch = self.watches.pop(name)
        if watch.sampling is not None:
            watch.sampling.cancel()
        self.echoes.forget(name)
        self.scripts.kill(name)

    def _wanted(self, now: Instant) -> Iterator[tuple[str, Watch]]:
        for group in self.configuration.groups:
            if group.ip_monitoring is not None:
                reths = tuple(reth for reth in self.configuration.reths if reth.group == group.group)
                monitor = IpMonitor(group.group, group.ip_monitoring, reths, now)
                rounds = group.ip_monitoring.retry_count + 1
                settling = rounds * group.ip_monitoring.retry_interval_ms * MILLISECOND
                yield f"ip {group.group}", Watch(monitor, (group.ip_monitoring, reths), settling)
            for script in group.script_monitors:
                settling = (script.fall * script.interval_s + script.timeout_s) * SECOND
                yield f"script {group.group} {script.name}", Watch(ScriptMonitor(group.group, script, now), script, settling)
        stated, timing = self.configuration.arbitration, self.configuration.timing
        if stated is not None and stated.probes:
            reths = self.configuration.reths
            yield ARBITER, Watch(ArbiterProbe(stated, reths, timing, now), (stated, reths, timing), 0)
        yield from self._gauges()

    def _gauges(self) -> Iterator[tuple[str, Watch]]:
        """Samplers are made when a watch begins, not here: most of these watches only replace their equals."""
        c = self.configuration
        owning, every = owning_groups(c), tuple(group.group for group in c.groups)
        cards = groups_by_card(c)
        settling = GAUGE_ROUNDS * SECOND
        if (spu := c.spu_monitoring) is not None:
            monitor = GaugeMonitor(FailureCode.SP)
            patience = settling + spu.latency_limit_ms * MILLISECOND
            yield "spu", Watch(monitor, (spu, owning), patience, lambda: SpuSampler(spu, owning))
        if (npc := c.npc_monitoring) is not None:
            yield "npc", Watch(GaugeMonitor(FailureCode.NP), (npc, cards), settling, lambda: NpcSampler(npc, cards))
        if (limits := c.hardware_monitoring) is not None:
            monitor = GaugeMonitor(FailureCode.HW)
            yield "hardware", Watch(monitor, (limits, every), 5 * settling, lambda: HardwareSampler(limits, every))

    async def _sample(self, name: str, machine: Machine, sampler: Sampler) -> None:
        """Rounds of a gauge, until cancelled. A round that fails leaves the verdicts as they are."""
        lateness: Duration = 0
        said = ""
        try:
            while True:
                try:
                    samples = await sampler.sample(clock(), lateness)
                except (OSError, ValueError) as error:
                    if str(error) != said:
                        said = str(error)
                        self._tell(monitor_link.MonitorRemark(f"{name} monitor cannot look: {said}"))
                else:
                    self._perform(name, machine.handle(clock(), Sampled(samples)))
                due = clock() + int(sampler.period_s * SECOND)
                await asyncio.sleep(sampler.period_s)
                lateness = clock() - due
        finally:
            sampler.close()

    def _take_roles(self, owned: monitor_link.OwnedGroups) -> None:
        now = clock()
        for name, watch in self.watches.items():
            if isinstance(watch.machine, IpMonitor):
                group = watch.machine.group
                owner = None if group in owned.shut else group in owned.groups
                if owner != watch.machine.owner:
                    self.echoes.forget(name)
                    self._perform(name, watch.machine.handle(now, OwnershipChanged(owner)))
        self.owned = owned
        if self.witness is not None:
            self.witness.want(owned.wish)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        wanted = [at for watch in self.watches.values() if (at := watch.machine.deadline()) is not None]
        if wanted:
            delay = max(0, min(wanted) - clock()) / SECOND
            self.timer = asyncio.get_running_loop().call_later(delay, self._turn)

    def _turn(self) -> None:
        """What has been answered first, then what is due: an answer that waits here must not count as lost."""
        self._take_echoes()
        now = clock()
        for name, watch in self.watches.items():
            at = watch.machine.deadline()
            if at is not None and at <= now:
                self._perform(name, watch.machine.handle(now, TimePassed()))
        self._schedule()

    def _take_echoes(self) -> None:
        now = clock()
        for name, event in self.echoes.heard():
            watch = self.watches.get(name)
            if watch is not None:
                self._perform(name, watch.machine.handle(now, event))

    def _perform(self, name: str, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case SendEcho():
                    refused = self.echoes.ask(name, action)
                    if refused:
                        self.watches[name].machine.handle(clock(), EchoRefused(action.address, refused))
                case Failed():
                    self._tell(_failed(action))
                case Recovered(group, code, object_, value, limit):
                    self._tell(monitor_link.MonitorRecovered(group, code, object_, value, limit))
                case Answered(asked_at):
                    self._tell(monitor_link.ArbiterAnswered(asked_at))
                case Remark(text):
                    self._tell(monitor_link.MonitorRemark(text))
                case RunCommand():
                    task = asyncio.create_task(self._run_script(name))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
                case KillCommand():
                    self.scripts.kill(name)
                case _:
                    assert_never(action)

    async def _run_script(self, name: str) -> None:
        watch = self.watches[name]
        assert isinstance(watch.machine, ScriptMonitor)
        environment = {"GROUP": str(watch.machine.group), "NODE": str(self.configuration.node_id)}
        ended = await self.scripts.run(name, watch.machine.configuration.command, environment)
        if self.watches.get(name) is watch:
            self._perform(name, watch.machine.handle(clock(), ended))
            self._schedule()

    # -- the other processes ------------------------------------------------------------------------------------------

    def _tell(self, message: monitor_link.Message) -> None:
        """A full channel loses it; the next sign of life says it again."""
        with contextlib.suppress(OSError):
            self.engine.send(monitor_link.encode(message), socket.MSG_DONTWAIT)

    def _tell_alive(self) -> None:
        failed = tuple(_failed(one) for watch in self.watches.values() for one in watch.machine.present_failures())
        answers = self.witness.answers if self.witness is not None else None
        self._tell(monitor_link.MonitorsAlive(failed, clock() >= self.settled_at, answers))

    def _read_engine(self) -> None:
        for data in _messages(self.engine):
            with contextlib.suppress(msgspec.DecodeError):
                message = monitor_link.decode(data)
                if isinstance(message, monitor_link.OwnedGroups):
                    self._take_roles(message)

    def _read_gateway(self) -> None:
        for data in _messages(self.gateway):
            with contextlib.suppress(msgspec.DecodeError):
                self._answer(monitor_link.decode(data))

    def _answer(self, message: monitor_link.Message) -> None:
        monitors = [watch.machine for watch in self.watches.values() if isinstance(watch.machine, IpMonitor)]
        match message:
            case monitor_link.IpMonitoringRequested(number):
                pass
            case monitor_link.IpFailureCountsCleared(number, address):
                for monitor in monitors:
                    monitor.handle(clock(), FailureCountsCleared(address))
            case monitor_link.ObjectsRequested(number):
                machines = [watch.machine for watch in self.watches.values()]
                objects = [one.objects() for one in machines if isinstance(one, (GaugeMonitor, ScriptMonitor))]
                self._report(monitor_link.ObjectsReported(number, tuple(found for some in objects for found in some)))
                return
            case _:
                return
        self._report(monitor_link.IpMonitoringReported(number, tuple(monitor.status() for monitor in monitors)))

    def _report(self, report: monitor_link.Message) -> None:
        with contextlib.suppress(OSError):
            self.gateway.send(monitor_link.encode(report), socket.MSG_DONTWAIT)

    def _read_parent(self) -> None:
        for data in _messages(self.parent):
            message = children.decode(data)
            if isinstance(message, children.ConfigurationLoaded):
                self.configuration = message.configuration
                self._configure()


def _failed(failed: Failed) -> monitor_link.MonitorFailed:
    return monitor_link.MonitorFailed(failed.group, failed.code, failed.name, failed.weight, failed.value, failed.limit)


def _messages(channel: socket.socket) -> Iterator[bytes]:
    """All datagrams waiting; the process ends when the other side is gone for good."""
    while True:
        try:
            data = channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            os._exit(0)
        yield data
