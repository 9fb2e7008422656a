"""The monitors' statements: values, defaults, ranges, one-line forms, and what only the whole picture shows."""

import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.model.configuration import (
    ClusterConfiguration,
    HardwareMonitoring,
    IpMonitoring,
    IpTarget,
    Notification,
    NpcMonitoring,
    ScriptMonitor,
    Service,
    SpuMonitoring,
)

BASE = """set chassis cluster control-link 0 interface ctl
set chassis cluster reth-count 1
set chassis cluster redundancy-group 1 node 0 priority 200
set interfaces lan gigether-options redundant-parent reth0
set interfaces reth0 redundant-ether-options redundancy-group 1
set interfaces reth0 unit 0 family inet address 192.0.2.1/24
"""
GROUP = "set chassis cluster redundancy-group 1 "


def loaded(*lines: str) -> ClusterConfiguration:
    return load(BASE + "".join(f"{line}\n" for line in lines), Identity(1, 0))


def ip(*lines: str) -> IpMonitoring | None:
    return loaded(*(f"{GROUP}ip-monitoring {line}" for line in lines)).group(1).ip_monitoring


def problems(*lines: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(*lines)
    return str(caught.value)


def test_defaults() -> None:
    configuration = loaded()
    assert configuration.group(1).ip_monitoring is None
    assert configuration.group(1).script_monitors == ()
    assert configuration.spu_monitoring == SpuMonitoring()
    assert configuration.npc_monitoring == NpcMonitoring()
    assert configuration.hardware_monitoring is None
    assert ip("family inet 192.0.2.9 weight 255") == IpMonitoring(255, 0, 1000, 5, (IpTarget("192.0.2.9"),))
    assert ip("global-weight 10") is None


@pytest.mark.parametrize(
    "line",
    [
        "family inet 192.0.2.9 weight 7 interface reth0.0 secondary-ip-address 192.0.2.3",
        "family inet address 192.0.2.9 interface reth0.0 secondary-ip-address 192.0.2.3 weight 7",
    ],
)
def test_one_line_forms(line: str) -> None:
    """As the vendor's documents write them: several statements behind one address."""
    if not line.endswith("7"):
        found = ip(line)
        assert found is not None
        assert found.targets == (IpTarget("192.0.2.9", 7, "reth0", "192.0.2.3"),)
    else:
        assert "unexpected weight" in problems(f"{GROUP}ip-monitoring {line}"), "weight is none of secondary-ip-address's"


def test_every_value() -> None:
    found = ip(
        "global-weight 200",
        "global-threshold 100",
        "retry-interval 0.25",
        "retry-count 15",
        "family inet 192.0.2.9 weight 7",
        "family inet 192.0.2.9 interface reth0.0 secondary-ip-address 192.0.2.3",
    )
    assert found == IpMonitoring(200, 100, 250, 15, (IpTarget("192.0.2.9", 7, "reth0", "192.0.2.3"),))


def test_scripts() -> None:
    name = f"{GROUP}script-monitor web"
    (script,) = loaded(f"{name} command \"/usr/bin/curl -f 'http://a b/'\"").group(1).script_monitors
    assert script == ScriptMonitor("web", ("/usr/bin/curl", "-f", "http://a b/"))
    every = (f"{name} {word} {n}" for n, word in enumerate(("interval", "timeout", "rise", "fall", "weight"), 20))
    (script,) = loaded(f"{name} command true", *every).group(1).script_monitors
    assert script == ScriptMonitor("web", ("true",), 20, 21, 22, 23, 24)


def test_machine() -> None:
    cluster = "set chassis cluster "
    assert loaded(f"{cluster}spu-monitoring disable", f"{cluster}npc-monitoring disable").spu_monitoring is None
    configuration = loaded(
        f"{cluster}spu-monitoring cpu [ 3 1 ]",
        f"{cluster}spu-monitoring latency-limit 700",
        f"{cluster}spu-monitoring softnet-drop-limit 9",
        f"{cluster}spu-monitoring conntrack-limit 90",
        f"{cluster}spu-monitoring process suricata",
        f"{cluster}spu-monitoring unit named@1.service",
        f"{cluster}npc-monitoring flap-limit 1",
        f"{cluster}npc-monitoring error-limit 2",
        f"{cluster}npc-monitoring transmit-timeout-limit 3",
        f"{cluster}hardware-monitoring memory-limit 91",
        f"{cluster}hardware-monitoring disk-limit /var 92",
        f"{cluster}hardware-monitoring temperature-limit 93",
    )
    assert configuration.spu_monitoring == SpuMonitoring((1, 3), 700, 9, 90, ("suricata",), ("named@1.service",))
    assert configuration.npc_monitoring == NpcMonitoring(1, 2, 3)
    assert configuration.hardware_monitoring == HardwareMonitoring(91, (("/var", 92),), 93)


IP = f"{GROUP}ip-monitoring "
TARGET = f"{IP}family inet 192.0.2.9 interface reth0.0"
BAD = {
    f"{IP}retry-interval 0.05": "0.05 is not within 0.1..30 s",
    f"{IP}retry-interval 1.2345": "1.2345 is not within 0.1..30 s",
    f"{IP}retry-count 4": "4 is not within 5..15",
    f"{IP}global-threshold 256": "256 is not within 0..255",
    f"{IP}family inet 2001:db8::1": "2001:db8::1 is not an IPv4 address",
    f"{IP}family inet 192.0.2.9 wieght 3": "unknown statement wieght (did you mean weight?)",
    f"{IP}family inet 192.0.2.1": "is an address of this cluster",
    f"{IP}family inet 192.0.2.9 interface lan.0": "is not a reth unit such as reth0.0",
    f"{IP}family inet 192.0.2.9 interface reth1.0": "reth1 is not a reth of this group",
    f"{IP}family inet6 2001:db8::9 interface reth0.0": "Family inet6 must be defined on this logical interface",
    f"{TARGET} secondary-ip-address 198.51.100.1": "198.51.100.1 is in no prefix of reth0",
    f"{TARGET} secondary-ip-address 192.0.2.1": "192.0.2.1 is an address of a reth",
    "set chassis cluster redundancy-group 0 ip-monitoring family inet 192.0.2.9 weight 1": "not possible for redundancy group 0",
    f"{GROUP}script-monitor web interval 3": "needs a command",
    f'{GROUP}script-monitor web command "a \'b"': "balanced quotes",
    "set chassis cluster hardware-monitoring disk-limit var 5": "an absolute path",
}


@pytest.mark.parametrize(("line", "said"), BAD.items(), ids=list(BAD))
def test_bad_values(line: str, said: str) -> None:
    assert said in problems(line)


def test_too_many_addresses() -> None:
    lines = [f"{IP}family inet 198.51.{n // 250}.{n % 250} weight 1" for n in range(257)]
    assert "257 addresses are more than 256" in problems(*lines)
    assert loaded(*lines[:256]).group(1).ip_monitoring is not None


def test_services_and_notifications() -> None:
    configuration = loaded(
        f'{GROUP}service web start "/usr/sbin/web --on"',
        f'{GROUP}service web stop "/usr/sbin/web --off"',
        f"{GROUP}service dns unit named.service",
        f"{GROUP}service dns timeout 20",
        f'{GROUP}notification pager command "page -q"',
        "set chassis cluster redundancy-group 0 service routing unit frr.service",
    )
    group = configuration.group(1)
    assert group.services == (
        Service("web", start=("/usr/sbin/web", "--on"), stop=("/usr/sbin/web", "--off"), timeout_s=10),
        Service("dns", unit="named.service", timeout_s=20),
    )
    assert group.service_stop_limit_s == 30
    assert group.notifications == (Notification("pager", ("page", "-q"), 30),)
    assert configuration.group(0).services == (Service("routing", unit="frr.service"),)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("service web timeout 5",), "service web: needs a unit, or start and stop commands"),
        (("service web unit a.service", "service web stop b"), "service web: needs a unit, or start and stop commands"),
        (("service web start a",), "service web: start and stop go together"),
        (("service web timeout 61",), "61 is not within 1..60 s"),
        (
            ("service a unit a.service", "service a timeout 50", "service b unit b.service", "service b timeout 11"),
            "service: the timeouts add up to 61 s; a hand-over waits 60 s at most",
        ),
        (("notification pager timeout 5",), "notification pager: needs a command"),
    ],
)
def test_services_that_are_refused(lines: tuple[str, ...], problem: str) -> None:
    assert problem in problems(*(f"{GROUP}{line}" for line in lines))
