"""Verdicts on samples."""

from jsrpd.model.details import MonitoredObject
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.monitors.events import Action, Failed, Recovered, Sample, Sampled, TimePassed
from jsrpd.monitors.gauges import GaugeMonitor


def sample(well: bool, name: str = "cpu 1", groups: tuple[int, ...] = (1, 2)) -> Sample:
    return Sample(name, well, "7 s" if not well else "1 ms", "5 s", groups)


def feed(monitor: GaugeMonitor, *samples: Sample) -> list[Action]:
    return [action for one in samples for action in monitor.handle(0, Sampled((one,)))]


FAILED = [Failed(group, FailureCode.SP, "cpu 1", FULL_WEIGHT, "7 s", "5 s") for group in (1, 2)]


def test_each_group_that_suffers_is_told() -> None:
    monitor = GaugeMonitor(FailureCode.SP)
    assert feed(monitor, *[sample(False)] * 3) == FAILED
    assert list(monitor.present_failures()) == FAILED
    recovered = [Recovered(group, FailureCode.SP, "cpu 1", "1 ms", "5 s") for group in (1, 2)]
    assert feed(monitor, *[sample(True)] * 3) == recovered
    assert list(monitor.present_failures()) == []


def test_objects_are_damped_each_for_itself() -> None:
    monitor = GaugeMonitor(FailureCode.SP)
    assert feed(monitor, *[sample(False), sample(False, "cpu 2")] * 2) == []
    assert feed(monitor, sample(False)) == FAILED


def test_objects_as_they_were_found_last() -> None:
    """The verdict is the damped one, the value the newest."""
    monitor = GaugeMonitor(FailureCode.SP)
    feed(monitor, *[sample(False)] * 3, sample(True), sample(False, "cpu 2"))
    assert monitor.objects() == (
        MonitoredObject("SP", "cpu 1", True, "1 ms", "5 s", (1, 2)),
        MonitoredObject("SP", "cpu 2", False, "7 s", "5 s", (1, 2)),
    )


def test_without_a_sample_the_verdict_stays() -> None:
    monitor = GaugeMonitor(FailureCode.SP)
    feed(monitor, *[sample(False)] * 3)
    assert monitor.handle(0, Sampled(())) == []
    assert monitor.handle(0, TimePassed()) == []
    assert list(monitor.present_failures()) == FAILED
    assert monitor.deadline() is None
