"""keepalived's files as our configuration: pairs of routers, one file with conditions, and a remark for all that is left out."""

import re

import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.import_keepalived import imported
from jsrpd.configuration.junos import parse, render_set
from jsrpd.configuration.keepalived_syntax import MAX_INCLUDES, KeepalivedProblem
from jsrpd.configuration.load import load


def router(priority: int, source: str, peer: str, state: str) -> str:
    return f"""! one of the two
global_defs {{
    router_id edge
}}
vrrp_script check_proxy {{
    script "/usr/bin/pgrep proxy"   # cheap
    interval 2
    weight -20
    fall 3
    user nobody
}}
vrrp_track_process names {{
    process /usr/sbin/named
}}
vrrp_sync_group EDGE {{
    group {{
        INSIDE
        OUTSIDE
    }}
}}
vrrp_instance INSIDE {{
    state {state}
    interface sync0
    virtual_router_id 11
    priority {priority}
    advert_int 0.2
    unicast_src_ip {source}
    unicast_peer {{
        {peer}
    }}
    authentication {{
        auth_type PASS
        auth_pass secret
    }}
    virtual_ipaddress {{
        192.0.2.1/24 dev lan0 label lan0:1
        2001:db8::1/64 dev lan0
    }}
    track_script {{
        check_proxy
    }}
    track_process {{
        names weight 60
    }}
    preempt_delay 30
}}
vrrp_instance OUTSIDE {{
    interface sync0
    virtual_router_id 12
    priority {priority}
    advert_int 0.2
    virtual_ipaddress {{ 198.51.100.1/24 dev wan0 }}
    virtual_routes {{ default via 198.51.100.254 dev wan0 }}
    notify_master "/etc/keepalived/up.sh"
    garp_master_repeat 3
}}
virtual_server 192.0.2.1 80 {{ delay_loop 6 }}
"""


ONE, OTHER = router(150, "10.0.0.1", "10.0.0.2", "MASTER"), router(100, "10.0.0.2", "10.0.0.1", "BACKUP")


def lines(text: str) -> set[str]:
    return set(render_set(parse(text)).splitlines())


@pytest.mark.parametrize("order", [(ONE, OTHER), (OTHER, ONE)], ids=["as they are", "the other way round"])
def test_two_routers(order: tuple[str, str]) -> None:
    """The one with the higher priorities is node 0; the whole can be loaded as it is."""
    ours, remarks = imported([("a.conf", order[0]), ("b.conf", order[1])])
    assert not [remark for remark in remarks if remark.startswith("to be mended")]
    made = load(ours, Identity(1, 0))
    assert made.groups[1].priorities == (150, 100)
    assert made.groups[1].preempt is not None
    assert made.groups[1].preempt.delay_s == 30
    assert made.groups[1].gratuitous_arp_count == 3
    assert made.heartbeat_interval_ms == 200
    assert [(link.interface, link.local_address, link.peer_address) for link in made.control_links] == [
        ("sync0", "10.0.0.1", "10.0.0.2")
    ]
    assert {reth.child: [a.address for a in reth.addresses] for reth in made.reths} == {
        "lan0": ["192.0.2.1", "2001:db8::1"],
        "wan0": ["198.51.100.1"],
    }
    assert {reth.group for reth in made.reths} == {1}
    there = load(ours, Identity(1, 1))
    assert there.control_links[0].local_address == "10.0.0.2"


def test_weights_become_shares_of_the_difference() -> None:
    """20 of a difference of 50 never moves anything alone, there or here; 60 does."""
    made = load(imported([("a", ONE), ("b", OTHER)])[0], Identity(1, 0))
    scripts = {one.name: one for one in made.groups[1].script_monitors}
    assert scripts["check-proxy"].weight == 100
    assert (scripts["check-proxy"].interval_s, scripts["check-proxy"].fall) == (2, 3)
    assert scripts["names"].weight == 255
    assert scripts["names"].command == ("/usr/bin/pgrep", "-x", "named")
    assert {one.interface: one.weight for one in made.groups[1].interface_monitors} == {"lan0": 255, "wan0": 255, "sync0": 255}


def test_every_directive_is_translated_or_remarked_upon() -> None:
    _, remarks = imported([("a.conf", ONE), ("b.conf", OTHER)])
    said = "\n".join(remarks)
    for left_out in (
        "a.conf:3: router_id edge: no counterpart",
        "a.conf:10: user nobody",
        "state MASTER: which node begins follows from the priorities",
        "virtual_router_id 11: the cluster has one number",
        "authentication: the nodes speak encrypted",
        "label lan0:1 has no counterpart; the address is taken",
        "notify_master /etc/keepalived/up.sh: write it as service",
        "route 0.0.0.0/0 next-hop 198.51.100.254",
        "virtual_server 192.0.2.1 80: load balancing",
    ):
        assert left_out in said


def test_one_file_with_conditions_is_two_routers() -> None:
    text = """$NET=203.0.113
vrrp_instance A {
    interface eth0
    virtual_router_id 1
    @left priority 120
    @^left priority 90
    nopreempt
    virtual_ipaddress { ${NET}.1/24 }
    track_interface { eth7 }
}
"""
    ours, remarks = imported([("k.conf", text)])
    assert "set chassis cluster redundancy-group 1 node 0 priority 120" in lines(ours)
    assert "set chassis cluster redundancy-group 1 node 1 priority 90" in lines(ours)
    assert "set interfaces reth0 unit 0 family inet address 203.0.113.1/24" in lines(ours)
    assert "set chassis cluster redundancy-group 1 interface-monitor eth7 weight 255" in lines(ours)
    assert not any("preempt" in line for line in lines(ours))
    assert any("a control link is wanted besides" in remark for remark in remarks)


def test_one_plain_file_is_mirrored_and_said() -> None:
    text = "vrrp_instance A {\n interface eth0\n priority 100\n virtual_ipaddress {\n 192.0.2.7\n }\n}\n"
    ours, remarks = imported([("k.conf", text)])
    assert "set chassis cluster redundancy-group 1 node 1 priority 50" in lines(ours)
    assert any("one file only" in remark for remark in remarks)
    assert any("192.0.2.7: without a prefix length it is 192.0.2.7/32" in remark for remark in remarks)


def test_instances_that_share_an_interface_move_together_and_others_do_not() -> None:
    def instance(name: str, interface: str, address: str) -> str:
        return f"vrrp_instance {name} {{ \n interface {interface}\n virtual_ipaddress {{ {address} }}\n}}\n"

    text = instance("A", "eth0", "192.0.2.1/24") + instance("B", "eth1", "198.51.100.1/24") + instance("C", "eth0", "192.0.2.2/24")
    ours, remarks = imported([("k", text)])
    assert "set interfaces reth0 redundant-ether-options redundancy-group 1" in lines(ours)
    assert "set interfaces reth1 redundant-ether-options redundancy-group 2" in lines(ours)
    assert any("eth0 carries A, C" in remark for remark in remarks)


def test_different_interfaces_go_into_the_groups_of_the_nodes() -> None:
    def text(interface: str, priority: int) -> str:
        return f"vrrp_instance A {{\n interface {interface}\n priority {priority}\n virtual_ipaddress {{ 192.0.2.1/24 }}\n}}\n"

    ours, _ = imported([("a", text("eth0", 150)), ("b", text("ens3", 100))])
    assert "set groups node0 interfaces eth0 gigether-options redundant-parent reth0" in lines(ours)
    assert "set groups node1 interfaces ens3 gigether-options redundant-parent reth0" in lines(ours)
    assert "set groups node1 chassis cluster redundancy-group 1 interface-monitor ens3 weight 255" in lines(ours)


def test_includes() -> None:
    parts = {"conf.d/*.conf": [("conf.d/a.conf", "vrrp_instance A {\n interface eth0\n virtual_ipaddress { 192.0.2.1/24 }\n}\n")]}
    ours, _ = imported([("k", "include conf.d/*.conf\n")], lambda pattern, _beside: parts[pattern])
    assert "set interfaces reth0 unit 0 family inet address 192.0.2.1/24" in lines(ours)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vrrp_instance A {\n", "not closed"),
        ("}\n", "unexpected }"),
        ("\0", "is not text"),
        ("global_defs {\n}\n", "no vrrp_instance"),
        ("include k\n", f"more than {MAX_INCLUDES} files"),
        ("a {\n" * 50, "levels deep"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(KeepalivedProblem, match=re.escape(said)):
        imported([("k", text)], lambda _pattern, _beside: [("k", text)])


def test_three_files_are_too_many() -> None:
    with pytest.raises(KeepalivedProblem, match="one file, or the two"):
        imported([("a", ""), ("b", ""), ("c", "")])


def of(text: str, **files: str) -> tuple[set[str], str]:
    """(set lines, remarks) of one file; ``files``: what includes find."""
    ours, remarks = imported([("k", text)], lambda pattern, _beside: [(pattern, files[pattern])] if pattern in files else [])
    return lines(ours), "\n".join(remarks)


def test_what_definitions_stand_for_is_decided_where_they_are_used() -> None:
    """And they may use one another, before the other is known."""
    made, _ = of("""$BASE=192.0.${SUB}
$SUB=2
$DEV=eth0
vrrp_instance A {
    interface $DEV
    virtual_ipaddress {
        ${BASE}.1/24
        $SUB=3
        ${BASE}.1/24 dev eth1
    }
}
""")
    assert "set interfaces reth0 unit 0 family inet address 192.0.2.1/24" in made
    assert "set interfaces reth1 unit 0 family inet address 192.0.3.1/24" in made
    assert "set interfaces eth0 gigether-options redundant-parent reth0" in made


INSTANCES = """\ufeff$INSTANCE= \\
vrrp_instance VI_$NUM { \\
    interface eth$NUM \\
    virtual_ipaddress { \\
        ~LST({HOST,LENGTH}, {1, 24}, {2, 25}) 198.51.10$NUM.$HOST/$LENGTH \\
    } \\
}
~SEQ(NUM, 0, 2) $INSTANCE
"""


def test_definitions_of_several_lines_and_repetitions() -> None:
    made, remarks = of(INSTANCES)
    for number in range(3):
        assert f"set interfaces reth{number} unit 0 family inet address 198.51.10{number}.1/24" in made
        assert f"set interfaces reth{number} unit 0 family inet address 198.51.10{number}.2/25" in made
        assert f"set interfaces reth{number} redundant-ether-options redundancy-group {number + 1}" in made
    assert "not defined" not in remarks


@pytest.mark.parametrize(
    ("sequence", "hosts"),
    [
        ("~SEQ(N, 5, 2, 9)", ["5", "7", "9"]),
        ("~SEQ(N, 3)", ["1", "2", "3"]),
        ("~SEQ(N, 9, -4, 1)", ["9", "5", "1"]),
        ("~SEQ(N, 3, 2)", ["3", "2"]),
        ("~SEQ(N, 1, ${LAST})", ["1", "2"]),
        ("~LST(N, 7, 200)", ["7", "200"]),
    ],
)
def test_repetitions(sequence: str, hosts: list[str]) -> None:
    text = f"$LAST=2\nvrrp_instance A {{\n interface eth0\n virtual_ipaddress {{\n  {sequence} 192.0.2.$N/24\n }}\n}}\n"
    made, _ = of(text)
    found = {line.split()[-1] for line in made if "family inet address" in line}
    assert found == {f"192.0.2.{host}/24" for host in hosts}


def test_hexadecimal_repetitions() -> None:
    made, _ = of("vrrp_instance A {\n interface eth0\n virtual_ipaddress {\n  ~SEQx(N, 9, 11) 2001:db8::$N/64\n }\n}\n")
    assert {line.split()[-1] for line in made if "inet6 address" in line} == {f"2001:db8::{n}/64" for n in "9ab"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("~SEQ(N, 1, 0, 5) x\n", "it is: ~SEQ"),
        ("~SEQ(N, a, b) x\n", "it is: ~SEQ"),
        ("~SEQ(N) x\n", "it is: ~SEQ"),
        ("~SEQ(N, 1, 99999999999) x\n", "definitions make more than"),
        ("~SEQ(N, 1, 999) ~SEQ(M, 1, 999) x\n", "definitions make more than"),
        ("$A= \\\n$A \\\n$A\n$A\n", "use one another"),
        (f"$A={'$B' * 9}\n$B={'$C' * 9}\n$C={'$D' * 9}\n$D={'x' * 99}\n{'$A' * 9}\n", "too much"),
    ],
)
def test_definitions_without_end_are_refused(text: str, said: str) -> None:
    with pytest.raises(KeepalivedProblem, match=re.escape(said)):
        of(text)


def test_what_is_referred_to_and_not_there_is_said() -> None:
    text = "include conf.d/*.conf\nvrrp_instance A {\n interface $NIC\n virtual_ipaddress { 192.0.2.1/24 dev eth0 }\n}\n"
    _, remarks = of(text)
    assert "k:1: include conf.d/*.conf: there is no such file; nothing of it is taken" in remarks
    assert "$NIC is not defined; it is taken as it stands" in remarks


EVERYTHING = """global_defs {
    router_id r1
    script_user root
    enable_script_security
    vrrp_garp_interval 0.1
    notification_email { ops@example.net }
}
static_routes { 203.0.113.0/24 via 192.0.2.9 dev eth0 }
static_rules { from 192.0.2.0/24 table 1 }
bfd_instance up { neighbor_ip 192.0.2.9 }
vrrp_track_file maint { file /run/maint }
vrrp_script unused { script /bin/true }
vrrp_script chk {
    script "/usr/bin/curl -fsS 'http://127.0.0.1:8080/#/health'"
    interval 0.5
    user nobody nogroup
}
vrrp_track_process web {
    process "/usr/sbin/nginx" -g daemon
    quorum 2
    delay 3
}
vrrp_sync_group G
{
    group { A
            B }
    global_tracking
    track_interface { eth2 weight -30 reverse }
    track_script { chk weight 10 }
    track_bfd { up }
    smtp_alert
}
vrrp_instance A {
    interface eth0
    state BACKUP
    priority 255
    nopreempt
    preempt_delay 10
    native_ipv6
    track_process { web }
    track_file { maint weight 10 }
    virtual_ipaddress {
        192.0.2.1/255.255.255.0 brd 192.0.2.255 dev eth0:1 scope global label eth0:vip
        gateway.example.net
    }
    virtual_rules { from 192.0.2.1 table 5 }
    virtual_routes { 203.0.113.0/24 via 192.0.2.254 dev eth0 }
}
vrrp_instance B { interface eth1
    priority 100#comment
    virtual_ipaddress { 198.51.100.1/24 }
}
vrrp_instance B { interface eth1
    virtual_ipaddress { 198.51.100.2/24 }
}
@^left !nothing
"""
SAID = (
    "vrrp_garp_interval 0.1: no counterpart here",
    "script_user root: scripts run as the daemon does",
    "notification_email: the system log tells",
    "static_routes: routes that do not move",
    "static_rules: rules that do not move",
    "bfd_instance: heartbeats watch the other node",
    "vrrp_track_file: write it as script-monitor",
    "vrrp_script unused: nothing tracks it; not taken",
    "user nobody nogroup: scripts run as the daemon does",
    "quorum 2: one process is enough",
    "delay 3: no counterpart",
    "global_tracking: a weight always counts",
    "eth2 weight -30 reverse: reverse has no counterpart",
    "track_bfd: heartbeats watch the other node",
    "smtp_alert: the system log",
    "state BACKUP: which node begins",
    "priority 255: a priority is 1..254; 254 is taken",
    "preempt_delay 10: without preemption",
    "native_ipv6: VRRP is not spoken",
    "track_file: write it as script-monitor",
    "eth0:1 is an alias; eth0 is taken",
    "brd 192.0.2.255 scope global label eth0:vip has no counterpart",
    "gateway.example.net: no address; not taken",
    "virtual_rules: rules are the operating system's",
    "next-hop 192.0.2.254",
    "vrrp_instance B: given twice; the last one is taken",
    "vrrp_script chk: interval 0.5 becomes 1: there are whole seconds only",
)


def test_shapes_of_every_kind_are_translated_or_remarked_upon() -> None:
    made, remarks = of(EVERYTHING)
    for said in SAID:
        assert said in remarks, said
    group = "set chassis cluster redundancy-group 1"
    assert f"{group} node 0 priority 254" in made
    assert "set interfaces reth0 unit 0 family inet address 192.0.2.1/24" in made
    assert "set interfaces eth0 gigether-options redundant-parent reth0" in made
    assert "set interfaces reth1 unit 0 family inet address 198.51.100.2/24" in made
    assert f"""{group} script-monitor chk command "/usr/bin/curl -fsS 'http://127.0.0.1:8080/#/health'\"""" in made
    assert any(line.startswith(f"{group} interface-monitor eth2 weight ") for line in made), "of the sync group"
    assert f'{group} script-monitor web command "/usr/bin/pgrep -x nginx"' in made
    assert not any(f"{group} preempt" in line for line in made)


def test_the_only_peer_tells_where_the_other_speaks_from() -> None:
    def text(peer: str, priority: int) -> str:
        return f"""vrrp_instance A {{
 interface sync
 priority {priority}
 unicast_peer {{ {peer} }}
 virtual_ipaddress {{ 192.0.2.1/24 dev lan }}
}}
"""

    ours, _ = imported([("a", text("10.0.0.2", 150)), ("b", text("10.0.0.1", 100))])
    for node, own, peer in ((0, 1, 2), (1, 2, 1)):
        (link,) = load(ours, Identity(1, node)).control_links
        assert (link.interface, link.local_address, link.peer_address) == ("sync", f"10.0.0.{own}", f"10.0.0.{peer}")
