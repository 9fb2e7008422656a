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
