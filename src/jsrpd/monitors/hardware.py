"""The machine itself: memory, file systems, temperature, each against a limit that was set."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jsrpd.model.configuration import HardwareMonitoring
from jsrpd.monitors.events import Sample


@dataclass(frozen=True, slots=True)
class HardwareReadings:
    """What was read; None or missing where this machine does not tell."""

    memory_percent: int | None = None
    disks_percent: Mapping[str, int] = field(default_factory=dict)
    celsius: int | None = None


def samples(configuration: HardwareMonitoring, readings: HardwareReadings, groups: tuple[int, ...]) -> tuple[Sample, ...]:
    """One round. Every group suffers, group 0 included."""
    found: list[Sample] = []

    def compare(name: str, value: int | None, limit: int | None, unit: str) -> None:
        if value is not None and limit is not None:
            found.append(Sample(name, value <= limit, f"{value}{unit}", f"{limit}{unit}", groups))

    compare("memory", readings.memory_percent, configuration.memory_limit_percent, "%")
    for path, limit in configuration.disk_limits_percent:
        compare(f"disk {path}", readings.disks_percent.get(path), limit, "%")
    compare("temperature", readings.celsius, configuration.temperature_limit_celsius, " C")
    return tuple(found)
