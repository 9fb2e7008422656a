"""Every check over a healthy pair (nothing is found) and over a pair in which one thing is wrong."""

from typing import Any

import msgspec
import pytest

from jsrpd.doctor.checks import NODE_CHECKS, PAIR_CHECKS, SYSCTL_CONSEQUENCES, Finding, Severity, examine
from jsrpd.model.configuration import ClusterConfiguration, FabricLink, Reth
from jsrpd.model.survey import (
    ArbiterSurvey,
    BlockedTraffic,
    DuplicateSurvey,
    EngineSurvey,
    FirewallSurvey,
    InterfaceSurvey,
    ProbeSurvey,
    Survey,
    decode_survey,
    encode_survey,
)
from jsrpd.processes.kernel import wanted_sysctls

CRITICAL, WARNING, NOTE = Severity.CRITICAL, Severity.WARNING, Severity.NOTE
LAN = InterfaceSurvey("lan", "child of reth0", True, True, True, 1500)
CTL = InterfaceSurvey("ctl", "control link 0", True, True, True, 1500)
RETH = InterfaceSurvey("reth0", "reth", True, True, True, 1500)
PROBE = ProbeSurvey("ctl", "control link 0", 1500, True, True)
SILENT = ArbiterSurvey("192.0.2.1", "no answer")
FORWARD = "net/ipv4/ip_forward"


def node(number: int = 0, **changes: Any) -> Survey:
    """A node on which all is well."""
    fields: dict[str, Any] = {
        "taken_at": 1_700_000_000_000_000_000,
        "host_name": f"gw-{number}",
        "version": "1.0",
        "kernel": "6.8.0-45-generic",
        "cluster_id": 7,
        "node_id": number,
        "running": True,
        "clock_synchronized": True,
        "clock_source": "tsc",
        "sysctls": {FORWARD: "1", "kernel/sched_rt_runtime_us": "950000", "net/ipv4/conf/all/arp_ignore": "0"},
        "wanted_sysctls": {FORWARD: "1"},
        "gates": {"reth0": True, "lan": True},
        "interfaces": (LAN, CTL, RETH),
        "probes": (PROBE,),
        "firewall": FirewallSurvey("", {"inet firewall chain forward": "aa"}),
        "conntrack": (10, 1000),
        "engine": EngineSurvey("SCHED_FIFO", 50, 30_000),
        "disk_percent": 40,
        "dead_time_ns": 500_000_000,
        "control_links": 1,
        "configuration_digest": "0011",
        "lateness_ns": 2_000_000,
    }
    return Survey(**(fields | changes))


def changed(thing: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(thing, **changes)


def firewall(**changes: Any) -> FirewallSurvey:
    made: FirewallSurvey = changed(FirewallSurvey("", {"inet firewall chain forward": "aa"}), **changes)
    return made


def with_sysctl(name: str, value: str) -> dict[str, Any]:
    return {"sysctls": {**node().sysctls, name: value}}


WRONG: list[tuple[str, Severity, str, dict[str, Any]]] = [
    ("daemon", CRITICAL, "does not run", {"running": False}),
    ("daemon", CRITICAL, "not in a cluster", {"cluster_id": 0, "running": False}),
    ("daemon", CRITICAL, "engine does not answer", {"engine_silent": True}),
    ("daemon", WARNING, "the sessions process was restarted 5 times", {"restarts": {"sessions": 5, "gateway": 2}}),
    ("configuration", WARNING, "line 3: wrong", {"problems": ("line 3: wrong",)}),
    ("configuration", WARNING, "not what the daemon runs with", {"file_differs": True}),
    ("configuration", WARNING, "not synchronized: edited", {"difference": "edited"}),
    ("key", CRITICAL, "can be read by others", {"key_problem": "k can be read by others; mend it with: chmod 600 k"}),
    ("kernel", CRITICAL, "has no TCX", {"kernel": "6.1.0-13-amd64"}),
    ("kernel", CRITICAL, "refuses a BPF map: Operation not permitted", {"bpf_problem": "Operation not permitted"}),
    ("kernel", WARNING, "no connection tracking", {"conntrack": None}),
    ("clock", CRITICAL, "time namespace", {"clock_problem": "the clock of this time namespace is not the kernel's"}),
    ("clock", NOTE, "clock source is hpet", {"clock_source": "hpet"}),
    ("clock", NOTE, "nobody keeps", {"clock_synchronized": False}),
    ("real-time", CRITICAL, "real-time scheduling is off", with_sysctl("kernel/sched_rt_runtime_us", "0")),
    ("real-time", WARNING, "runs as SCHED_OTHER", {"engine": EngineSurvey("SCHED_OTHER", 0, 30_000)}),
    ("real-time", WARNING, "memory is not locked", {"engine": EngineSurvey("SCHED_FIFO", 50, 0)}),
    ("lateness", WARNING, "200 ms late at worst", {"lateness_ns": 200_000_000}),
    ("interfaces", CRITICAL, "reth0 (reth) is missing", {"interfaces": (LAN, CTL, changed(RETH, present=False))}),
    (
        "interfaces",
        CRITICAL,
        "lan (child of reth0) does not exist",
        {"interfaces": (InterfaceSurvey("lan", "child of reth0"), CTL)},
    ),
    ("interfaces", CRITICAL, "is set down", {"interfaces": (changed(LAN, up=False, carrier=False), CTL)}),
    ("interfaces", CRITICAL, "has no carrier", {"interfaces": (changed(LAN, carrier=False), CTL)}),
    ("interfaces", CRITICAL, "port of the bridge br0", {"interfaces": (changed(LAN, bridge="br0"), CTL)}),
    ("interfaces", WARNING, "XDP", {"interfaces": (changed(LAN, xdp=True), CTL)}),
    ("interfaces", WARNING, "switch chip", {"interfaces": (changed(LAN, switch=True), CTL)}),
    ("managers", WARNING, "NetworkManager configures lan", {"interfaces": (changed(LAN, managers=("NetworkManager",)), CTL)}),
    ("managers", WARNING, "systemd-networkd (x)", {"interfaces": (changed(LAN, managers=("systemd-networkd (x)",)), CTL)}),
    ("managers", WARNING, "dhclient", {"interfaces": (changed(LAN, managers=("dhclient (a DHCP client)",)), CTL)}),
    ("managers", WARNING, "keepalived runs beside", {"rivals": ("keepalived",)}),
    ("managers", WARNING, "conntrackd runs beside", {"rivals": ("conntrackd",)}),
    ("gates", CRITICAL, "the gate of lan", {"gates": {"reth0": True, "lan": False}}),
    ("sysctls", CRITICAL, "net.ipv4.ip_forward is 0, and this node needs 1", with_sysctl(FORWARD, "0")),
    ("sysctls", CRITICAL, "arp_ignore is 8", with_sysctl("net/ipv4/conf/all/arp_ignore", "8")),
    ("sysctls", WARNING, "arp_filter is 1", with_sysctl("net/ipv4/conf/all/arp_filter", "1")),
    ("sysctls", CRITICAL, "IPv6 is off on all interfaces", with_sysctl("net/ipv6/conf/all/disable_ipv6", "1")),
    ("sysctls", CRITICAL, "IPv6 is off on ctl", with_sysctl("net/ipv6/conf/ctl/disable_ipv6", "1")),
    (
        "firewall",
        CRITICAL,
        "nftables drops heartbeats",
        {"firewall": firewall(blocked=(BlockedTraffic("heartbeats", "a b c", "x"),))},
    ),
    ("firewall", CRITICAL, "drops commits", {"firewall": firewall(blocked=(BlockedTraffic("commits on x", "a b c", "x"),))}),
    ("firewall", NOTE, "may drop", {"firewall": firewall(blocked=(BlockedTraffic("heartbeats", "a b c", "x", False),))}),
    ("firewall", WARNING, "takes connections of lan", {"firewall": firewall(flowtables={"inet t flowtable ft": ("lan", "eth9")})}),
    ("firewall", NOTE, "cannot be read: nft is not installed", {"firewall": FirewallSurvey("nft is not installed")}),
    ("firewall", NOTE, "iptables filter", {"firewall": firewall(legacy=("iptables filter",))}),
    ("paths", CRITICAL, "packets of 1500 bytes", {"probes": (changed(PROBE, large=False),)}),
    ("paths", WARNING, "no echo comes back", {"probes": (changed(PROBE, large=False, small=False),)}),
    ("paths", WARNING, "Permission denied", {"probes": (changed(PROBE, large=False, small=False, problem="Permission denied"),)}),
    ("arbitration", WARNING, "probe 192.0.2.1 does not answer: no answer", {"arbiters": (SILENT,)}),
    ("arbitration", NOTE, "probe 192.0.2.1 does not answer", {"arbiters": (SILENT, ArbiterSurvey("192.0.2.2"))}),
    (
        "arbitration",
        WARNING,
        "witness http://192.0.2.1:2379 does not answer: connection refused",
        {"arbiters": (ArbiterSurvey("http://192.0.2.1:2379", "connection refused"),)},
    ),
    ("duplicates", CRITICAL, "answers for 10.1.0.1", {"duplicates": (DuplicateSurvey("10.1.0.1", "lan", "02:00:00:00:00:09"),)}),
    ("strangers", WARNING, "3 heartbeats", {"strangers": {"key mismatch": 3}}),
    ("strangers", CRITICAL, "own node-id", {"strangers": {"own node-id": 1}}),
    ("strangers", WARNING, "4 heartbeats", {"strangers": {"something": 4}}),
    ("conntrack", WARNING, "holds 900 of 1000", {"conntrack": (900, 1000)}),
    ("disk", WARNING, "97 % full", {"disk_percent": 97}),
]
DIFFERENT: list[tuple[str, Severity, str, dict[str, Any]]] = [
    ("versions", NOTE, "jsrpd 1.0 on node0, 1.1 on node1", {"version": "1.1"}),
    ("versions", NOTE, "Linux 6.8.0-45-generic on node0, 6.9 on node1", {"kernel": "6.9"}),
    ("configuration drift", WARNING, "different configurations", {"configuration_digest": "9999"}),
    ("configuration drift", WARNING, "different configurations", {"configuration_digest": "9999", "difference": "edited"}),
    (
        "firewall drift",
        WARNING,
        "inet firewall chain forward",
        {"firewall": firewall(digests={"inet firewall chain forward": "bb"})},
    ),
    ("firewall drift", WARNING, "and 2 more", {"firewall": firewall(digests={f"t{n}": "x" for n in range(4)})}),
    ("MTU", WARNING, "MTU of 1500 on node0 and of 9000 on node1", {"probes": (changed(PROBE, mtu=9000),)}),
    ("conntrack room", WARNING, "node0 takes 1000 connections, that of node1 2000", {"conntrack": (10, 2000)}),
    ("conntrack room", CRITICAL, "node0 takes 1000 connections", {"conntrack": (1500, 2000)}),
    ("clocks", NOTE, "about 5 s apart", {"taken_at": 1_700_000_005_000_000_000}),
]


def test_nothing_is_found_where_all_is_well() -> None:
    assert examine(node(0), node(1)) == []
    assert examine(node(1), node(0)) == []
    assert examine(node(0), None) == []


@pytest.mark.parametrize(("check", "severity", "cause", "changes"), WRONG)
def test_one_node(check: str, severity: Severity, cause: str, changes: dict[str, Any]) -> None:
    """Found once, at the node where it is, in whatever order they are asked."""
    found = examine(node(0, **changes), None)
    assert [(one.check, one.severity) for one in found] == [(check, severity)]
    assert cause in found[0].cause
    assert found[0].consequence
    assert found[0].mend
    if changes.get("cluster_id") != 0:
        assert [(one.check, one.node) for one in examine(node(0), node(1, **changes)) if one.node is not None] == [(check, 1)]


@pytest.mark.parametrize(("check", "severity", "cause", "changes"), DIFFERENT)
def test_both_nodes(check: str, severity: Severity, cause: str, changes: dict[str, Any]) -> None:
    for found in (examine(node(0), node(1, **changes)), examine(node(1, **changes), node(0))):
        (one,) = [one for one in found if one.node is None]
        assert (one.check, one.severity) == (check, severity)
        assert cause in one.cause


def test_every_check_has_been_provoked() -> None:
    assert {name for name, _, _ in NODE_CHECKS} == {check for check, *_ in WRONG}
    assert {name for name, _, _ in PAIR_CHECKS} == {check for check, *_ in DIFFERENT}


def test_a_peer_that_cannot_be_asked_is_a_finding() -> None:
    assert examine(node(0), None, "node1 does not answer") == [
        Finding("peer", WARNING, 1, "node1 does not answer", "only this node was examined", "run jsrp doctor on node1")
    ]


def test_the_worst_comes_first() -> None:
    found = examine(node(0, clock_synchronized=False, running=False, rivals=("keepalived",)), None)
    assert [one.severity for one in found] == [CRITICAL, WARNING, NOTE]


def test_a_broken_file_is_worse_where_nothing_runs() -> None:
    found = examine(node(0, problems=("line 3: wrong",), running=False), None)
    assert [(one.check, one.severity) for one in found] == [("daemon", CRITICAL), ("configuration", CRITICAL)]


def test_what_is_unknown_is_no_finding() -> None:
    """A kernel that does not tell, a daemon that does not answer."""
    unknown = node(
        0, clock_synchronized=None, clock_source="", engine=None, disk_percent=None, lateness_ns=None, firewall=firewall(digests={})
    )
    assert examine(unknown, None) == []
    assert examine(node(0, conntrack=None, session_synchronization=False), node(1)) == []
    assert examine(node(0, conntrack=(0, 0)), None) == []
    assert examine(node(0, firewall=FirewallSurvey("no nft")), node(1))[0].severity is NOTE


def test_the_link_that_is_cut_is_told_once() -> None:
    """Nobody answers on a cable that is not there: that is the cable's finding."""
    cut = node(0, interfaces=(LAN, changed(CTL, carrier=False), RETH), probes=(changed(PROBE, large=False, small=False),))
    assert [one.check for one in examine(cut, None)] == ["interfaces"]


def test_the_interval_that_is_recommended_suffices() -> None:
    (found,) = examine(node(0, lateness_ns=400_000_000), None)
    assert found.mend.endswith("heartbeat-interval 400")


def test_every_sysctl_has_its_consequence() -> None:
    reth = Reth("reth0", 0, 1, "lan", "lan", bytes(6))
    configuration = ClusterConfiguration(cluster_id=1, node_id=0, reths=(reth,), fabric_links=(FabricLink(0, "fab", "fab"),))
    wanted = wanted_sysctls(configuration, frozenset({"reth0", "lan", "fab"}))
    assert {name.rsplit("/")[-1] for name in wanted} == set(SYSCTL_CONSEQUENCES)
    assert examine(node(0, wanted_sysctls=wanted, sysctls=wanted), None) == []
    assert len(examine(node(0, wanted_sysctls=wanted, sysctls=dict.fromkeys(wanted, "7")), None)) == len(wanted)


def test_a_survey_travels() -> None:
    assert decode_survey(encode_survey(node(1))) == node(1)
