"""Session-processing units of a Linux router: its CPUs, its softnet queues, its connection table, declared processes.

Is a CPU still given to ordinary work? A canary walks over the CPUs and tells how long it waited for each. When this
process itself was not woken in time, the whole machine is short of CPU, and nothing is concluded about a single one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jsrpd.model.configuration import SpuMonitoring
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant
from jsrpd.monitors.events import Sample
from jsrpd.monitors.rates import Rate

DROP_WINDOW_S = 5


@dataclass(frozen=True, slots=True)
class SpuReadings:
    """What was read. Empty or None: not looked for, or not to be had here."""

    own_lateness: Duration = 0
    """How late this process itself was, at the worst since the last round."""
    cpu_waits: Mapping[int, Duration] = field(default_factory=dict)
    """The canary's newest wait for each CPU it has visited."""
    online: frozenset[int] = frozenset()
    softnet_drops: int | None = None
    """All CPUs, since boot."""
    conntrack: tuple[int, int] | None = None
    """Entries, and the most there may be."""
    processes: Mapping[str, bool] = field(default_factory=dict)
    units: Mapping[str, bool] = field(default_factory=dict)


class SpuSamples:
    """Readings into samples. Every group that owns addresses suffers."""

    def __init__(self, configuration: SpuMonitoring, groups: tuple[int, ...]) -> None:
        self.configuration, self.groups = configuration, groups
        self._drops = Rate(DROP_WINDOW_S * SECOND)

    def of(self, now: Instant, readings: SpuReadings) -> tuple[Sample, ...]:
        """One round."""
        return (*self._cpus(readings), *self._softnet(now, readings), *self._conntrack(readings), *self._declared(readings))

    def _sample(self, name: str, well: bool, value: str, limit: str) -> Sample:
        return Sample(name, well, value, limit, self.groups)

    def _cpus(self, readings: SpuReadings) -> list[Sample]:
        limit = self.configuration.latency_limit_ms * MILLISECOND
        gone = [cpu for cpu in self.configuration.cpus if readings.online and cpu not in readings.online]
        samples = [self._sample(f"cpu {cpu}", False, "offline", "online") for cpu in gone]
        if readings.own_lateness > limit // 2:
            return samples
        for cpu, wait in sorted(readings.cpu_waits.items()):
            if cpu not in gone:
                value, most = f"waited {wait // MILLISECOND} ms", f"{self.configuration.latency_limit_ms} ms"
                samples.append(self._sample(f"cpu {cpu}", wait <= limit, value, most))
        return samples

    def _softnet(self, now: Instant, readings: SpuReadings) -> list[Sample]:
        limit = self.configuration.softnet_drop_limit
        if limit is None or readings.softnet_drops is None:
            return []
        rate = self._drops.take(now, readings.softnet_drops) // DROP_WINDOW_S
        return [self._sample("softnet drops", rate <= limit, f"{rate}/s", f"{limit}/s")]

    def _conntrack(self, readings: SpuReadings) -> list[Sample]:
        limit = self.configuration.conntrack_limit_percent
        if limit is None or readings.conntrack is None:
            return []
        entries, most = readings.conntrack
        percent = 100 * entries // max(most, 1)
        return [self._sample("connection table", percent <= limit, f"{percent}% full", f"{limit}%")]

    def _declared(self, readings: SpuReadings) -> list[Sample]:
        samples = [
            self._sample(f"process {name}", runs, "running" if runs else "not running", "running")
            for name, runs in readings.processes.items()
        ]
        return samples + [
            self._sample(f"unit {name}", active, "active" if active else "not active", "active")
            for name, active in readings.units.items()
        ]
