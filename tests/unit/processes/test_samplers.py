"""What this machine tells: every reading is taken, none of them raises."""

import asyncio
import os
from pathlib import Path

import pytest

from jsrpd.kernel import machine
from jsrpd.model.configuration import (
    ClusterConfiguration,
    GroupConfiguration,
    HardwareMonitoring,
    InterfaceMonitor,
    NpcMonitoring,
    Reth,
    SpuMonitoring,
)
from jsrpd.processes.samplers import HardwareSampler, NpcSampler, SpuSampler, active_units, groups_by_card, owning_groups


@pytest.fixture
def own_name() -> str:
    """Now: a test runner may change it from test to test."""
    return Path("/proc/self/comm").read_text().strip()


def test_cpus_memory_disk() -> None:
    assert os.sched_getaffinity(0) <= machine.cpus_online()
    assert 0 < (machine.memory_percent() or 0) <= 100
    assert 0 <= (machine.disk_percent("/") or 0) <= 100
    assert machine.disk_percent("/no/such/place") is None
    drops = machine.softnet_drops()
    assert drops is None or drops >= 0


def test_processes(own_name: str) -> None:
    pid = machine.process_of(own_name)
    assert pid > 0
    assert machine.process_of(own_name, pid) == pid
    assert machine.process_of("no-such-process-here") == 0
    assert machine.process_of("no-such-process-here", os.getpid()) == 0


def test_cards() -> None:
    assert machine.card("no-such-card") is None
    loopback = machine.card("lo")
    assert loopback is not None
    assert loopback[:3] == (False, "", 0)


def test_a_machine_that_tells_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr(machine, "SYS", tmp_path)
    assert machine.cpus_online() == frozenset()
    silent = (machine.softnet_drops, machine.conntrack, machine.memory_percent, machine.hottest_celsius)
    assert [ask() for ask in silent] == [None] * 4
    assert machine.process_of("init") == 0
    assert machine.card("lo") is None


def test_what_sensors_and_tables_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr(machine, "SYS", tmp_path)
    files = {
        "class/hwmon/hwmon0/temp1_input": "41000",
        "class/thermal/thermal_zone0/temp": "57900",
        "sys/net/netfilter/nf_conntrack_count": "12",
        "sys/net/netfilter/nf_conntrack_max": "100",
        "net/softnet_stat": "00000001 0000000a 0\n00000001 00000005 0\n",
        "class/net/eth0/device/x": "",
        "class/net/eth0/carrier_down_count": "3",
        "class/net/eth0/statistics/rx_errors": "4",
        "class/net/eth0/statistics/tx_errors": "5",
        "class/net/eth0/device/aer_dev_fatal": "Undefined 0\nDLP 2\nTLP 0\nTOTAL_ERR_FATAL 2\n",
        "class/net/eth0/device/aer_dev_nonfatal": "Undefined 0\nTLP 5\nTOTAL_ERR_NONFATAL 5\n",
        "class/net/eth0/queues/tx-0/tx_timeout": "1",
        "class/net/eth0/queues/tx-1/tx_timeout": "1",
        "devices/system/cpu/online": "0-2,5\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.hottest_celsius() == 57
    assert machine.conntrack() == (12, 100)
    assert machine.softnet_drops() == 15
    assert machine.card("eth0") == (True, "", 3, 9, 2, 7)
    (tmp_path / "class/net/eth0/device/aer_dev_nonfatal").write_text("of another kernel")
    assert machine.card("eth0") == (True, "", 3, 9, 2, 2)
    (tmp_path / "class/net/eth0/device/aer_dev_fatal").unlink()
    assert machine.card("eth0") == (True, "", 3, 9, 2, None)
    assert machine.cpus_online() == frozenset({0, 1, 2, 5})


def test_rounds(own_name: str) -> None:
    async def rounds() -> list[str]:
        configuration = SpuMonitoring(softnet_drop_limit=1, conntrack_limit_percent=90, processes=(own_name, "no-such-process"))
        spu = SpuSampler(configuration, (1,))
        npc = NpcSampler(NpcMonitoring(flap_limit=1), {"lo": (1,), "no-such-card": (1,)})
        hardware = HardwareSampler(HardwareMonitoring(100, (("/", 100),), 150), (0, 1))
        found = [one for sampler in (spu, npc, hardware) for one in await sampler.sample(0, 0)]
        for sampler in (spu, npc, hardware):
            sampler.close()
        return [f"{one.name} {one.well} {one.groups}" for one in found]

    found = asyncio.run(rounds())
    expected = {
        f"process {own_name} True (1,)",
        "process no-such-process False (1,)",
        "lo flaps True (1,)",
        "memory True (0, 1)",
        "disk / True (0, 1)",
    }
    assert expected <= set(found)


def test_units_where_systemd_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(active_units(("a.service",))) == {}
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\necho active; echo failed; exit 3\n")
    systemctl.chmod(0o755)
    assert asyncio.run(active_units(("a.service", "b.service"))) == {"a.service": True, "b.service": False}
    assert asyncio.run(active_units(("a.service",))) == {}, "an answer to another question"


def test_who_suffers() -> None:
    configuration = ClusterConfiguration(
        cluster_id=1,
        node_id=0,
        groups=(
            GroupConfiguration(0),
            GroupConfiguration(1, interface_monitors=(InterfaceMonitor("wan", 255),)),
            GroupConfiguration(2, interface_monitors=(InterfaceMonitor("wan", 9),)),
        ),
        reths=(Reth("reth0", 0, 1, "lan", "lan", bytes(6)),),
    )
    assert owning_groups(configuration) == (1, 2)
    assert groups_by_card(configuration) == {"lan": (1,), "wan": (1, 2)}
