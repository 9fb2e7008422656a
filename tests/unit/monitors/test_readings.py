"""Readings into samples: SPU, NPC, hardware, and the rates behind them."""

from collections.abc import Iterable

import pytest

from jsrpd.model.configuration import HardwareMonitoring, NpcMonitoring, SpuMonitoring
from jsrpd.model.time import MILLISECOND, SECOND
from jsrpd.monitors import hardware
from jsrpd.monitors.events import Sample
from jsrpd.monitors.hardware import HardwareReadings
from jsrpd.monitors.npc import Card, NpcSamples
from jsrpd.monitors.rates import Rate
from jsrpd.monitors.spu import SpuReadings, SpuSamples

GROUPS = (1, 2)


def brief(samples: Iterable[Sample]) -> dict[str, tuple[bool, str, str]]:
    return {one.name: (one.well, one.value, one.limit) for one in samples}


# -- rates ----------------------------------------------------------------------------------------------------------


def test_growth_within_the_window() -> None:
    rate = Rate(10 * SECOND)
    assert [rate.take(second * SECOND, second * 3) for second in range(0, 21, 5)] == [0, 15, 30, 30, 30]


def test_a_counter_that_began_anew_has_not_shrunk() -> None:
    rate = Rate(10 * SECOND)
    assert [rate.take(n * SECOND, count) for n, count in enumerate((100, 105, 2, 4))] == [0, 5, 0, 2]


# -- SPU ------------------------------------------------------------------------------------------------------------


def spu(configuration: SpuMonitoring, *readings: SpuReadings) -> dict[str, tuple[bool, str, str]]:
    """The last of several rounds, a second each."""
    samples = SpuSamples(configuration, GROUPS)
    found: tuple[Sample, ...] = ()
    for n, reading in enumerate(readings):
        found = samples.of(n * SECOND, reading)
        assert all(one.groups == GROUPS for one in found)
    return brief(found)


def test_a_cpu_that_lets_the_canary_wait() -> None:
    waits = {0: 3 * MILLISECOND, 1: 5001 * MILLISECOND}
    assert spu(SpuMonitoring(), SpuReadings(cpu_waits=waits)) == {
        "cpu 0": (True, "waited 3 ms", "5000 ms"),
        "cpu 1": (False, "waited 5001 ms", "5000 ms"),
    }


def test_nothing_is_said_of_a_cpu_by_a_process_that_was_late_itself() -> None:
    readings = SpuReadings(own_lateness=2501 * MILLISECOND, cpu_waits={0: 9 * SECOND})
    assert spu(SpuMonitoring(), readings) == {}


def test_declared_cpus_must_be_online() -> None:
    readings = SpuReadings(cpu_waits={0: 0, 1: 0}, online=frozenset({0}))
    assert spu(SpuMonitoring(cpus=(0, 1)), readings) == {
        "cpu 0": (True, "waited 0 ms", "5000 ms"),
        "cpu 1": (False, "offline", "online"),
    }
    assert spu(SpuMonitoring(), readings)["cpu 1"][0], "nobody declared it"
    assert spu(SpuMonitoring(cpus=(0, 1)), SpuReadings()) == {}, "this machine does not tell"


def test_softnet_drops_are_a_rate() -> None:
    limit = SpuMonitoring(softnet_drop_limit=10)
    assert spu(limit, SpuReadings(softnet_drops=1000)) == {"softnet drops": (True, "0/s", "10/s")}
    drops = [SpuReadings(softnet_drops=1000 + 11 * n) for n in range(6)]
    assert spu(limit, *drops) == {"softnet drops": (False, "11/s", "10/s")}
    assert spu(SpuMonitoring(), *drops) == {}


@pytest.mark.parametrize(("entries", "expected"), [(900, (True, "90% full", "90%")), (910, (False, "91% full", "90%"))])
def test_connection_table(entries: int, expected: tuple[bool, str, str]) -> None:
    readings = SpuReadings(conntrack=(entries, 1000))
    assert spu(SpuMonitoring(conntrack_limit_percent=90), readings) == {"connection table": expected}
    assert spu(SpuMonitoring(), readings) == {}


def test_declared_processes_and_units() -> None:
    readings = SpuReadings(processes={"suricata": True, "vpp": False}, units={"named.service": False})
    assert spu(SpuMonitoring(), readings) == {
        "process suricata": (True, "running", "running"),
        "process vpp": (False, "not running", "running"),
        "unit named.service": (False, "not active", "active"),
    }


# -- NPC ------------------------------------------------------------------------------------------------------------

CARD = Card(device=True, driver="ixgbe", carrier_losses=7, errors=100, transmit_timeouts=0)
VIRTUAL = Card(device=False, driver="", carrier_losses=0, errors=0, transmit_timeouts=0)


def npc(configuration: NpcMonitoring, *cards: Card | None) -> dict[str, tuple[bool, str, str]]:
    samples = NpcSamples(configuration, {"lan": (1,)})
    found: tuple[Sample, ...] = ()
    for n, card in enumerate(cards):
        found = samples.of(n * SECOND, {"lan": card} if card is not None else {})
    return brief(found)


def test_a_card_that_is_gone_or_undriven() -> None:
    well = {"lan device": (True, "present", "present"), "lan driver": (True, "ixgbe", "bound")}
    assert npc(NpcMonitoring(), CARD) == well
    assert npc(NpcMonitoring(), CARD, None) == {"lan device": (False, "gone", "present")}
    undriven = Card(device=True, driver="", carrier_losses=0, errors=0, transmit_timeouts=0)
    assert npc(NpcMonitoring(), CARD, undriven)["lan driver"] == (False, "unbound", "bound")
    assert npc(NpcMonitoring(), CARD, None, CARD) == well


def test_of_a_virtual_or_absent_interface_nothing_is_said() -> None:
    assert npc(NpcMonitoring(), VIRTUAL, None, None) == {}
    assert npc(NpcMonitoring(), None) == {}


def test_limits_a_minute() -> None:
    limits = NpcMonitoring(flap_limit=3, error_limit=5, transmit_timeout_limit=1)
    assert npc(limits, VIRTUAL) == {
        "lan flaps": (True, "0 a minute", "3 a minute"),
        "lan errors": (True, "0 a minute", "5 a minute"),
        "lan transmit queue": (True, "0 a minute", "1 a minute"),
    }
    later = Card(device=False, driver="", carrier_losses=4, errors=6, transmit_timeouts=2)
    assert npc(limits, VIRTUAL, later) == {
        "lan flaps": (False, "4 a minute", "3 a minute"),
        "lan errors": (False, "6 a minute", "5 a minute"),
        "lan transmit queue": (False, "2 a minute", "1 a minute"),
    }
    assert all(well for well, _, _ in npc(limits, VIRTUAL, *[later] * 62).values()), "after a quiet minute"


def test_pci_errors_where_the_machine_counts_them() -> None:
    limits = NpcMonitoring(pci_error_limit=1)
    silent, well, sick = (Card(True, "ixgbe", 0, 0, 0, errors) for errors in (None, 3, 5))
    assert "lan PCI errors" not in npc(limits, silent)
    assert "lan PCI errors" not in npc(NpcMonitoring(), well)
    assert npc(limits, well)["lan PCI errors"] == (True, "0 a minute", "1 a minute")
    assert npc(limits, well, sick)["lan PCI errors"] == (False, "2 a minute", "1 a minute")


# -- hardware -------------------------------------------------------------------------------------------------------


def test_hardware_limits() -> None:
    limits = HardwareMonitoring(90, (("/", 80), ("/var", 70)), 85)
    readings = HardwareReadings(91, {"/": 80, "/var": 71}, 86)
    assert brief(hardware.samples(limits, readings, GROUPS)) == {
        "memory": (False, "91%", "90%"),
        "disk /": (True, "80%", "80%"),
        "disk /var": (False, "71%", "70%"),
        "temperature": (False, "86 C", "85 C"),
    }


def test_what_is_not_told_or_not_limited_is_no_sample() -> None:
    assert hardware.samples(HardwareMonitoring(90, (("/", 80),), 85), HardwareReadings(), GROUPS) == ()
    assert hardware.samples(HardwareMonitoring(), HardwareReadings(99, {"/": 99}, 99), GROUPS) == ()
