"""Rounds of readings for the gauges of the monitors process: where numbers come from, and how often they are read."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from jsrpd.kernel import machine
from jsrpd.model.configuration import ClusterConfiguration, HardwareMonitoring, NpcMonitoring, SpuMonitoring
from jsrpd.model.roles import RG0
from jsrpd.model.time import MILLISECOND, Duration, Instant
from jsrpd.monitors import hardware
from jsrpd.monitors.events import Sample
from jsrpd.monitors.npc import Card, NpcSamples
from jsrpd.monitors.spu import SpuReadings, SpuSamples
from jsrpd.processes.canary import Canary

UNIT_PERIOD_S = 5.0
UNIT_TIMEOUT_S = 10.0


class SpuSampler:
    """CPUs, softnet, conntrack, processes each second; units every five."""

    period_s = 1.0

    def __init__(self, configuration: SpuMonitoring, groups: tuple[int, ...]) -> None:
        self.configuration = configuration
        self.samples = SpuSamples(configuration, groups)
        self._canary = Canary(configuration.cpus)
        self._pids: dict[str, int] = {}
        self._units: dict[str, bool] = {}
        self._units_at = 0.0

    async def sample(self, now: Instant, own_lateness: Duration) -> tuple[Sample, ...]:
        """One round."""
        self._pids = {name: machine.process_of(name, self._pids.get(name, 0)) for name in self.configuration.processes}
        units: dict[str, bool] = {}
        if self.configuration.units and time.monotonic() - self._units_at >= UNIT_PERIOD_S:
            self._units_at = time.monotonic()
            units = await active_units(self.configuration.units)
        readings = SpuReadings(
            own_lateness=own_lateness,
            cpu_waits=self._canary.waits(self.configuration.latency_limit_ms * MILLISECOND),
            online=machine.cpus_online(),
            softnet_drops=machine.softnet_drops() if self.configuration.softnet_drop_limit else None,
            conntrack=machine.conntrack() if self.configuration.conntrack_limit_percent else None,
            processes={name: pid > 0 for name, pid in self._pids.items()},
            units=units,
        )
        return self.samples.of(now, readings)

    def close(self) -> None:
        """End the canary."""
        self._canary.stop()


class NpcSampler:
    """Every card that carries a group, each second."""

    period_s = 1.0

    def __init__(self, configuration: NpcMonitoring, groups: Mapping[str, tuple[int, ...]]) -> None:
        self.samples = NpcSamples(configuration, groups)

    async def sample(self, now: Instant, _own_lateness: Duration) -> tuple[Sample, ...]:
        """One round."""
        found = {interface: machine.card(interface) for interface in self.samples.groups}
        return self.samples.of(now, {interface: Card(*card) for interface, card in found.items() if card is not None})

    def close(self) -> None:
        """Nothing to close."""


class HardwareSampler:
    """Memory, file systems, temperature every five seconds, aside: a dead network file system must hold up nobody."""

    period_s = 5.0

    def __init__(self, configuration: HardwareMonitoring, groups: tuple[int, ...]) -> None:
        self.configuration, self.groups = configuration, groups

    async def sample(self, _now: Instant, _own_lateness: Duration) -> tuple[Sample, ...]:
        """One round."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> tuple[Sample, ...]:
        disks = {path: machine.disk_percent(path) for path, _ in self.configuration.disk_limits_percent}
        readings = hardware.HardwareReadings(
            memory_percent=machine.memory_percent(),
            disks_percent={path: percent for path, percent in disks.items() if percent is not None},
            celsius=machine.hottest_celsius(),
        )
        return hardware.samples(self.configuration, readings, self.groups)

    def close(self) -> None:
        """Nothing to close."""


def owning_groups(configuration: ClusterConfiguration) -> tuple[int, ...]:
    """Groups that can own addresses: all but group 0."""
    return tuple(group.group for group in configuration.groups if group.group != RG0)


def groups_by_card(configuration: ClusterConfiguration) -> dict[str, tuple[int, ...]]:
    """The groups that suffer with an interface of this node: by its reth, or because they watch it."""
    found: dict[str, set[int]] = {}
    for reth in configuration.reths:
        found.setdefault(reth.child, set()).add(reth.group)
    for group in configuration.groups:
        for monitor in group.interface_monitors:
            found.setdefault(monitor.interface, set()).add(group.group)
    return {interface: tuple(sorted(groups)) for interface, groups in sorted(found.items())}


async def active_units(units: tuple[str, ...]) -> dict[str, bool]:
    """Whether systemd says ``active``, by unit; nothing where systemd cannot be asked."""
    command = ("systemctl", "is-active", *units)
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return {}
    try:
        said, _ = await asyncio.wait_for(process.communicate(), UNIT_TIMEOUT_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return {}
    states = said.decode(errors="replace").split()
    return {unit: state == "active" for unit, state in zip(units, states, strict=True)} if len(states) == len(units) else {}
