"""The monitor behind SPU, NPC and hardware: damped verdicts on samples that others have taken."""

from collections.abc import Iterable

from jsrpd.model.details import MonitoredObject
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.time import Instant
from jsrpd.monitors.damping import Damper
from jsrpd.monitors.events import Action, Event, Failed, Recovered, Sample, Sampled


class GaugeMonitor:
    """Objects of one code. A failed one costs the whole weight of each group that suffers (SPEC 6.1, global failures)."""

    def __init__(self, code: FailureCode, rise: int = 3, fall: int = 3) -> None:
        self.code, self.rise, self.fall = code, rise, fall
        self._dampers: dict[str, Damper] = {}
        self.failures: dict[tuple[int, str], Failed] = {}
        self._found: dict[str, Sample] = {}

    def handle(self, _now: Instant, event: Event) -> list[Action]:
        """Only samples concern it."""
        actions: list[Action] = []
        if not isinstance(event, Sampled):
            return actions
        for sample in event.samples:
            self._found[sample.name] = sample
            damper = self._dampers.setdefault(sample.name, Damper(self.rise, self.fall))
            if not damper.find(sample.well):
                continue
            for group in sample.groups:
                if damper.failed:
                    failed = Failed(group, self.code, sample.name, FULL_WEIGHT, sample.value, sample.limit)
                    self.failures[group, sample.name] = failed
                    actions.append(failed)
                elif self.failures.pop((group, sample.name), None) is not None:
                    actions.append(Recovered(group, self.code, sample.name, sample.value, sample.limit))
        return actions

    def deadline(self) -> Instant | None:
        """It is given samples; it asks for none."""
        return None

    def objects(self) -> tuple[MonitoredObject, ...]:
        """Everything that was ever found, as it was found last."""
        return tuple(
            MonitoredObject(self.code.name, name, self._dampers[name].failed, found.value, found.limit, found.groups)
            for name, found in self._found.items()
        )

    def present_failures(self) -> Iterable[Failed]:
        """What is failed now."""
        return self.failures.values()
