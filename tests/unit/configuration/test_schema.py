"""Every statement's range and default (SPEC section 3, reference chapter 6)."""

from collections.abc import Iterator

import pytest
from msgspec.structs import asdict

from jsrpd.configuration.schema import TOP, Statement
from jsrpd.model.configuration import Preempt, SyslogHost
from jsrpd.model.roles import RedundancyMode
from tests.unit.configuration.texts import problems, read

RANGES = {
    "chassis cluster reth-count": (1, 128, ""),
    "chassis cluster heartbeat-interval": (5, 2000, " ms"),
    "chassis cluster heartbeat-threshold": (3, 20, ""),
    "chassis cluster redundancy-group 1 node 0 priority": (1, 254, ""),
    "chassis cluster redundancy-group 1 preempt delay": (1, 21600, " s"),
    "chassis cluster redundancy-group 1 preempt limit": (1, 50, ""),
    "chassis cluster redundancy-group 1 preempt period": (1, 1400, " s"),
    "chassis cluster redundancy-group 1 gratuitous-arp-count": (1, 16, ""),
    "chassis cluster redundancy-group 1 hold-down-interval": (0, 1800, " s"),
    "chassis cluster redundancy-group 1 interface-monitor lan weight": (0, 255, ""),
    "interfaces reth0 redundant-ether-options redundancy-group": (1, 128, ""),
    "system syslog host 192.0.2.9 port": (1, 65535, ""),
}


def values_of(path: str, value: object) -> list[str]:
    """Problems of the value itself; it may well contradict something else in the text."""
    text = f"set chassis cluster control-link 0 interface ctl0\nset interfaces lan\nset {path} {value}\n"
    return [problem for problem in problems(text=text) if problem.startswith(f"{path}:") and "not within" in problem]


@pytest.mark.parametrize(("path", "low", "high", "unit"), [(path, *bounds) for path, bounds in RANGES.items()], ids=RANGES)
def test_range(path: str, low: int, high: int, unit: str) -> None:
    """Both ends are in; what is beyond is refused with the range and its unit; so is what is no plain number."""
    assert values_of(path, low) == values_of(path, high) == []
    for wrong in (low - 1, high + 1, "x", f"0{high}", f"+{high}", "9" * 5000, "١"):
        assert values_of(path, wrong) == [f"{path}: {wrong} is not within {low}..{high}{unit}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chassis cluster redundancy-group 129", "chassis cluster redundancy-group: 129 is not within 0..128"),
        ("chassis cluster redundancy-group 01", "chassis cluster redundancy-group: 01 is not within 0..128"),
        ("chassis cluster redundancy-group 1 node 2", "chassis cluster redundancy-group 1 node: 2 is not within 0..1"),
        ("chassis cluster control-link 4", "chassis cluster control-link: 4 is not within 0..3"),
        ("interfaces reth0 unit 1", "interfaces reth0 unit: 1 is not within 0..0"),
        ("chassis cluster heartbeat-threshold", "chassis cluster heartbeat-threshold: needs a value: 3..20"),
        ("chassis cluster gate open", "chassis cluster gate: open is not bpf | none"),
        ("chassis cluster virtual-mac mine", "chassis cluster virtual-mac: mine is not local | juniper | child"),
        ("interfaces a/b", "interfaces: a/b is not an interface name of up to 15 characters"),
        ("interfaces abcdefghijklmnop", "interfaces: abcdefghijklmnop is not an interface name of up to 15 characters"),
        ("system host-name a_b", "system host-name: a_b is not a name of up to 63 letters, digits, - and ."),
        ("system syslog host log.example", "system syslog host: log.example is not an IP address"),
        ("system syslog host 192.0.2.9 any all", "system syslog host 192.0.2.9 any: all is not any"),
        ("system syslog host 192.0.2.9 any any any", "system syslog host 192.0.2.9 any: unexpected any"),
        (
            "interfaces reth0 unit 0 family inet address 192.0.2.1",
            "interfaces reth0 unit 0 family inet address: 192.0.2.1 is not an IPv4 address with prefix length, "
            "such as 192.0.2.1/24",
        ),
        (
            "interfaces reth0 unit 0 family inet6 address 192.0.2.1/24",
            "interfaces reth0 unit 0 family inet6 address: 192.0.2.1/24 is not an IPv6 address with prefix length, "
            "such as 2001:db8::1/64",
        ),
        (
            "interfaces reth0 unit 0 family inet address 192.0.2.1/33",
            "interfaces reth0 unit 0 family inet address: 192.0.2.1/33 is not an IPv4 address with prefix length, "
            "such as 192.0.2.1/24",
        ),
        (
            "interfaces reth0 unit 0 node-local-address node 0 x",
            "interfaces reth0 unit 0 node-local-address node 0: x is not an address with prefix length",
        ),
    ],
)
def test_other_values(line: str, message: str) -> None:
    assert problems(f"set {line}") == [message]


@pytest.mark.parametrize(
    "line",
    [
        "chassis cluster redundancy-group 1 route 198.51.100.0/24 next-hop 192.0.2.9",
        "interfaces reth0 unit 0 vlan-id 5",
    ],
)
def test_known_but_not_carried_out(line: str) -> None:
    """Refused in so many words instead of passed over."""
    (problem,) = problems(f"set {line}")
    assert "not in this release" in problem


def test_how_a_node_leaves_and_comes_back() -> None:
    """The word alone is the vendor's reboot; preempt's limit needs its period."""
    assert read("set chassis cluster control-link-recovery").control_link_recovery == "reboot"
    assert read("set chassis cluster control-link-recovery manual").control_link_recovery == "manual"
    assert read("set chassis cluster redundancy-mode active-backup").redundancy_mode == RedundancyMode.ACTIVE_BACKUP
    assert read("set chassis cluster no-fabric-monitoring").fabric_monitoring is False
    limited = read(
        "set chassis cluster redundancy-group 1 preempt limit 3", "set chassis cluster redundancy-group 1 preempt period 60"
    )
    assert limited.groups[1].preempt == Preempt(limit=3, period_s=60)
    for lonely in ("limit 3", "period 60"):
        (problem,) = problems(f"set chassis cluster redundancy-group 1 preempt {lonely}")
        assert problem == "redundancy-group 1 preempt: limit and period go together"


def test_watchdog() -> None:
    assert (read().watchdog_device, read("set chassis cluster watchdog").watchdog_device) == ("", "/dev/watchdog")
    other = read("set chassis cluster watchdog device /dev/watchdog1", "set chassis cluster watchdog timeout 60")
    assert (other.watchdog_device, other.watchdog_timeout_s) == ("/dev/watchdog1", 60)


def test_defaults() -> None:
    """Of what nobody wrote."""
    configuration = read()
    assert (configuration.heartbeat_interval_ms, configuration.heartbeat_threshold) == (100, 5)
    assert (configuration.gate, configuration.control_link_recovery) == ("bpf", "rejoin")
    assert configuration.in_band_heartbeat
    assert configuration.fabric_monitored
    assert configuration.redundancy_mode == RedundancyMode.ACTIVE_ACTIVE
    zero, one = configuration.groups
    assert (zero.hold_down_interval_s, one.hold_down_interval_s) == (30, 1)
    assert (one.gratuitous_arp_count, one.preempt) == (4, None)
    bare = read("set chassis cluster redundancy-group 2").groups[2]
    assert bare.priorities == (1, 1)
    monitored = read("set chassis cluster redundancy-group 1 interface-monitor fab0")
    assert monitored.groups[1].interface_monitors[1].weight == 255
    hosts = read("set system syslog host 2001:db8::9").syslog_hosts
    assert hosts == (SyslogHost("2001:db8::9", 514, False),)
    assert read("set chassis cluster redundancy-group 1 preempt").groups[1].preempt == Preempt(0)


def test_every_value_arrives() -> None:
    """What is written is what the cluster runs with."""
    configuration = read(
        "set chassis cluster heartbeat-interval 10",
        "set chassis cluster heartbeat-threshold 3",
        "set chassis cluster redundancy-mode active-active",
        "set chassis cluster control-link-recovery rejoin",
        "set chassis cluster in-band-heartbeat off",
        "set chassis cluster gate none",
        "set chassis cluster control-link 1 interface ctl1",
        "set chassis cluster control-link 1 local-address 192.0.2.130",
        "set chassis cluster control-link 1 peer-address 198.51.100.130",
        "set chassis cluster redundancy-group 1 preempt delay 5",
        "set chassis cluster redundancy-group 1 gratuitous-arp-count 9",
        "set chassis cluster redundancy-group 1 hold-down-interval 0",
        "set interfaces reth0 unit 0 node-local-address node 0 192.0.2.11/24",
        "set interfaces reth0 unit 0 node-local-address node 1 192.0.2.12/24",
        "set system syslog host 192.0.2.99 port 1514",
        "set system syslog host 192.0.2.99 structured-data",
        "set system syslog host 192.0.2.99 any any",
        "set system syslog host 192.0.2.99 transport udp",
    )
    told = asdict(configuration)
    assert (told["heartbeat_interval_ms"], told["heartbeat_threshold"], told["gate"]) == (10, 3, "none")
    link = configuration.control_links[1]
    assert (link.index, link.interface, link.local_address, link.peer_address) == (1, "ctl1", "192.0.2.130", "198.51.100.130")
    assert not configuration.in_band_heartbeat
    group = configuration.group(1)
    assert (group.preempt, group.gratuitous_arp_count, group.hold_down_interval_s) == (Preempt(5), 9, 0)
    (reth,) = configuration.reths
    assert [(a.address, a.prefix_length) for a in reth.addresses] == [("192.0.2.1", 24), ("2001:db8::1", 64)]
    assert [a.address for a in reth.node_local_addresses] == ["192.0.2.11"]
    assert configuration.syslog_hosts == (SyslogHost("192.0.2.99", 1514, True),)


@pytest.mark.parametrize(("scheme", "mac"), [("local", "02:6a:73:07:00:00"), ("juniper", "00:10:db:ff:70:00"), ("child", "")])
def test_virtual_mac(scheme: str, mac: str) -> None:
    """``juniper``: the reference's section 1.5, nibbles of the cluster-id swapped. ``child``: none."""
    assert read(f"set chassis cluster virtual-mac {scheme}").reths[0].mac.hex(":") == mac


def statements(allowed: dict[str, Statement]) -> Iterator[Statement]:
    for statement in allowed.values():
        yield statement
        yield from statements(statement.below)


def test_every_statement_has_help() -> None:
    """Completion and documentation are made from it."""
    assert all(statement.help for statement in statements(TOP))


def test_a_list_needs_an_entry() -> None:
    assert problems(text="set chassis cluster control-link\n") == ["chassis cluster control-link: needs 0..3"]
