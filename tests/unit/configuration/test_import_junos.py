"""An SRX cluster's configuration as ours: every form of the text, groups, ports, and a remark for all that is left out."""

import pytest

from jsrpd.configuration import import_junos
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.import_junos import imported, read_names
from jsrpd.configuration.junos import parse, render_set
from jsrpd.configuration.load import load

BRACES = """## Last commit: 2024-02-30 by nobody
version 20.4R3.8;
groups {
    node0 { system { host-name gw-a; } interfaces { fxp0 { unit 0 { family inet { address 198.51.100.11/24; } } } } }
    node1 { system { host-name gw-b; } }
    announce { chassis { cluster { redundancy-group <*> { gratuitous-arp-count 8; } } } }
}
apply-groups [ "${node}" announce ];
chassis { cluster {
    control-link-recovery; reth-count 2; heartbeat-interval 2000; heartbeat-threshold 8;
    redundancy-group 0 { node 0 priority 200; node 1 priority 100; }
    redundancy-group 1 {
        node 0 priority 200; node 1 priority 100; preempt { delay 60; }
        interface-monitor { ge-0/0/4 weight 255; ge-9/0/4 weight 255; }
        ip-monitoring { family { inet { 192.0.2.9 { weight 100; interface reth0.0 secondary-ip-address 192.0.2.8; } } } }
    }
} }
interfaces {
    ge-0/0/4 { description "to the switch"; gigether-options { redundant-parent reth0; } }
    ge-9/0/4 { gigether-options { redundant-parent reth0; } }
    ge-0/0/9 { unit 0 { family inet { address 10.9.9.1/24; } } }
    inactive: ge-0/0/10 { gigether-options { redundant-parent reth0; } }
    fab0 { fabric-options { member-interfaces { ge-0/0/2; } } }
    fab1 { fabric-options { member-interfaces { ge-9/0/2; } } }
    reth0 {
        redundant-ether-options { redundancy-group 1; lacp { active; } }
        unit 0 { family inet { address 192.0.2.1/24 { primary; } } }
    }
}
security { policies { default-policy { deny-all; } } }
"""
SET = """admin@gw-a> show configuration | display set
set version 20.4R3.8
set groups node0 system host-name gw-a
set groups node0 interfaces fxp0 unit 0 family inet address 198.51.100.11/24
set groups node1 system host-name gw-b
set groups announce chassis cluster redundancy-group <*> gratuitous-arp-count 8
set apply-groups "${node}"
set apply-groups announce
{primary:node0}[edit]
admin@gw-a# set chassis cluster control-link-recovery
set chassis cluster reth-count 2
set chassis cluster heartbeat-interval 2000
set chassis cluster heartbeat-threshold 8
set chassis cluster redundancy-group 0 node 0 priority 200
set chassis cluster redundancy-group 0 node 1 priority 100
set chassis cluster redundancy-group 1 node 0 priority 200
set chassis cluster redundancy-group 1 node 1 priority 100
set chassis cluster redundancy-group 1 preempt delay 60
set chassis cluster redundancy-group 1 interface-monitor ge-0/0/4 weight 255
set chassis cluster redundancy-group 1 interface-monitor ge-9/0/4 weight 255
set chassis cluster redundancy-group 1 ip-monitoring family inet 192.0.2.9 weight 100
set chassis cluster redundancy-group 1 ip-monitoring family inet 192.0.2.9 interface reth0.0 secondary-ip-address 192.0.2.8
set interfaces ge-0/0/4 description "to the switch"
set interfaces ge-0/0/4 gigether-options redundant-parent reth0
set interfaces ge-9/0/4 gigether-options redundant-parent reth0
set interfaces ge-0/0/9 unit 0 family inet address 10.9.9.1/24
set interfaces ge-0/0/10 gigether-options redundant-parent reth0
deactivate interfaces ge-0/0/10
set interfaces fab0 fabric-options member-interfaces ge-0/0/2
set interfaces fab1 fabric-options member-interfaces ge-9/0/2
set interfaces reth0 redundant-ether-options redundancy-group 1
set interfaces reth0 redundant-ether-options lacp active
set interfaces reth0 unit 0 family inet address 192.0.2.1/24 primary
set security policies default-policy deny-all
commit and-quit
"""
XML = """<rpc-reply xmlns:junos="http://xml.juniper.net/junos/20.4R0/junos"><configuration junos:commit-user="nobody">
<version>20.4R3.8</version>
<groups><name>node0</name><system><host-name>gw-a</host-name></system>
  <interfaces><interface><name>fxp0</name></interface></interfaces></groups>
<groups><name>node1</name><system><host-name>gw-b</host-name></system></groups>
<groups><name>announce</name><chassis><cluster><redundancy-group><name>&lt;*&gt;</name>
  <gratuitous-arp-count>8</gratuitous-arp-count></redundancy-group></cluster></chassis></groups>
<apply-groups>${node}</apply-groups><apply-groups>announce</apply-groups>
<chassis><cluster><control-link-recovery/><reth-count>2</reth-count><heartbeat-interval>2000</heartbeat-interval>
 <heartbeat-threshold>8</heartbeat-threshold>
 <redundancy-group><name>0</name><node><name>0</name><priority>200</priority></node>
  <node><name>1</name><priority>100</priority></node></redundancy-group>
 <redundancy-group><name>1</name><node><name>0</name><priority>200</priority></node>
  <node><name>1</name><priority>100</priority></node><preempt><delay>60</delay></preempt>
  <interface-monitor><name>ge-0/0/4</name><weight>255</weight></interface-monitor>
  <interface-monitor><name>ge-9/0/4</name><weight>255</weight></interface-monitor>
  <ip-monitoring><family><inet><address><name>192.0.2.9</name><weight>100</weight><interface>
   <logical-interface-name>reth0.0</logical-interface-name><secondary-ip-address>192.0.2.8</secondary-ip-address>
  </interface></address></inet></family></ip-monitoring>
 </redundancy-group></cluster></chassis>
<interfaces>
 <interface><name>ge-0/0/4</name><description>to the switch</description><gigether-options><redundant-parent><parent>reth0</parent>
 </redundant-parent></gigether-options></interface>
 <interface><name>ge-9/0/4</name><gigether-options><redundant-parent><parent>reth0</parent></redundant-parent></gigether-options></interface>
 <interface><name>ge-0/0/9</name><unit><name>0</name></unit></interface>
 <interface inactive="inactive"><name>ge-0/0/10</name></interface>
 <interface><name>fab0</name><fabric-options><member-interfaces><name>ge-0/0/2</name></member-interfaces></fabric-options></interface>
 <interface><name>fab1</name><fabric-options><member-interfaces><name>ge-9/0/2</name></member-interfaces></fabric-options></interface>
 <interface><name>reth0</name><redundant-ether-options><redundancy-group>1</redundancy-group><lacp><active/></lacp>
 </redundant-ether-options><unit><name>0</name><family><inet><address><name>192.0.2.1/24</name><primary/></address></inet></family>
 </unit></interface>
</interfaces>
<security><policies><default-policy><deny-all/></default-policy></policies></security>
</configuration></rpc-reply>
"""
NAMES = "ge-0/0/4 lan # the first node's\nge-9/0/4 lan\nge-0/0/2 fab\nge-9/0/2 fab\ncontrol-link ctl\n"
OURS = {
    "set chassis cluster reth-count 2",
    "set chassis cluster heartbeat-interval 2000",
    "set chassis cluster heartbeat-threshold 8",
    "set chassis cluster control-link 0 interface ctl",
    "set chassis cluster redundancy-group 0 node 0 priority 200",
    "set chassis cluster redundancy-group 0 node 1 priority 100",
    "set chassis cluster redundancy-group 0 gratuitous-arp-count 8",
    "set chassis cluster redundancy-group 1 node 0 priority 200",
    "set chassis cluster redundancy-group 1 node 1 priority 100",
    "set chassis cluster redundancy-group 1 gratuitous-arp-count 8",
    "set chassis cluster redundancy-group 1 preempt delay 60",
    "set chassis cluster redundancy-group 1 ip-monitoring family inet 192.0.2.9 weight 100",
    "set chassis cluster redundancy-group 1 ip-monitoring family inet 192.0.2.9 interface reth0.0 secondary-ip-address 192.0.2.8",
    "set groups node0 chassis cluster redundancy-group 1 interface-monitor lan weight 255",
    "set groups node1 chassis cluster redundancy-group 1 interface-monitor lan weight 255",
    "set groups node0 interfaces lan gigether-options redundant-parent reth0",
    "set groups node1 interfaces lan gigether-options redundant-parent reth0",
    "set groups node0 system host-name gw-a",
    "set groups node1 system host-name gw-b",
    "set interfaces fab0 fabric-options member-interfaces fab",
    "set interfaces fab1 fabric-options member-interfaces fab",
    "set interfaces reth0 redundant-ether-options redundancy-group 1",
    "set interfaces reth0 unit 0 family inet address 192.0.2.1/24",
    'set apply-groups "${node}"',
}
LEFT_OUT = (
    "version: the vendor's release; not taken",
    "control-link-recovery: not needed",
    "heartbeat-interval 2000: taken as it is",
    "interfaces ge-0/0/9 unit: addresses of other interfaces",
    "interfaces ge-0/0/10: inactive, not taken",
    "interfaces fxp0",
    "lacp",
    "address 192.0.2.1/24 primary: unknown statement primary; the rest is taken",
    "security: zones and policies",
)


@pytest.mark.parametrize("text", [BRACES, SET, XML], ids=["braces", "set", "xml"])
def test_every_form_becomes_the_same(text: str) -> None:
    ours, remarks = imported(text, "srx.conf", read_names(NAMES))
    assert set(render_set(parse(ours)).splitlines()) == OURS
    for left_out in LEFT_OUT[:5] + LEFT_OUT[6:]:
        assert any(left_out in remark for remark in remarks), (left_out, remarks)
    for node in (0, 1):
        made = load(ours, Identity(1, node))
        assert [reth.child for reth in made.reths] == ["lan"]
        assert [monitor.interface for monitor in made.groups[1].interface_monitors] == ["lan"]


def test_nothing_is_dropped_in_silence() -> None:
    """Each line of the text is in the result or in a remark."""
    _, remarks = imported(BRACES, "srx.conf")
    for left_out in LEFT_OUT:
        assert any(left_out in remark for remark in remarks), left_out
    assert any(remark.startswith("srx.conf:19: interfaces ge-0/0/4 description") for remark in remarks)


def test_names_that_the_table_lacks_are_made_and_said() -> None:
    ours, remarks = imported(BRACES, "srx.conf")
    assert "member-interfaces ge-9-0-2;" in ours
    assert any("ge-9/0/2 of node1 is called ge-9-0-2" in remark for remark in remarks)
    assert any("control-link 0 interface em0" in remark for remark in remarks)


def test_without_fabric_links_the_children_tell_the_nodes() -> None:
    lines = ["set chassis cluster reth-count 1", "set chassis cluster redundancy-group 1 node 0 priority 2"]
    lines += [f"set interfaces ge-{slot}/0/{port} gigether-options redundant-parent reth0" for slot, port in ((0, 1), (5, 1))]
    lines += ["set interfaces reth0 redundant-ether-options redundancy-group 1"]
    ours, _ = imported("\n".join(lines), "x")
    assert "set groups node1 interfaces ge-5-0-1 gigether-options redundant-parent reth0" in render_set(parse(ours))


def test_groups_are_laid_under_as_the_vendor_does() -> None:
    text = """
groups { base { chassis { cluster { reth-count 9; heartbeat-threshold 7; } } } other { chassis { cluster { reth-count 3; } } } }
chassis { cluster { apply-groups [ base other ]; reth-count 2;
    redundancy-group 1 { apply-groups-except base; node 0 priority 5; } } }
"""
    ours, _ = imported(text, "x")
    assert "reth-count 2;" in ours
    assert "heartbeat-threshold 7;" in ours


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chassis {", "{ is not closed"),
        ("<configuration><chassis>", "not XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><configuration/>', "document type"),
        ("<rpc-reply/>", "no configuration"),
        ("x" * (import_junos.MAX_TEXT_BYTES + 1), "more than a configuration"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        imported(text, "x")


def test_a_bad_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"import-names.conf:2"):
        read_names("ge-0/0/1 lan\nge-0/0/2\n")


SESSION = """\
{primary:node0}[edit]
admin@gw-a# edit chassis cluster

{primary:node0}[edit chassis cluster]
admin@gw-a# set reth-count 1
admin@gw-a# set redundancy-group 0 node 0 priority 200
admin@gw-a# edit redundancy-group 1
admin@gw-a# set node 0 priority 200
admin@gw-a# top set chassis cluster redundancy-group 1 node 1 priority 100
admin@gw-a# up set heartbeat-threshold 8
admin@gw-a# set preempt
admin@gw-a# exit
admin@gw-a# up 2
admin@gw-a# edit interfaces
set reth0 redundant-ether-options redundancy-group 1
set ge-0/0/4 gigether-options redundant-parent reth0
set ge-5/0/4 gigether-options redundant-parent reth0
set reth0 unit 0 family inet address 192.0.2.1/24
delete ge-0/0/9 unit 0
rename ge-0/0/1 to ge-0/0/2
exit
show | compare
set chassis cluster cluster-id 1 node 0 reboot
commit and-quit
commit complete
...
"""


def test_a_session_at_a_terminal() -> None:
    """Where a statement stands says the level one was at; what cannot be carried out is said with its line."""
    ours, remarks = imported(SESSION, "x", {"ge-0/0/4": "lan", "ge-5/0/4": "lan"})
    made = set(render_set(parse(ours)).splitlines())
    assert made == {
        "set chassis cluster reth-count 1",
        "set chassis cluster heartbeat-threshold 8",
        "set chassis cluster control-link 0 interface em0",
        "set chassis cluster redundancy-group 0 node 0 priority 200",
        "set chassis cluster redundancy-group 1 node 0 priority 200",
        "set chassis cluster redundancy-group 1 node 1 priority 100",
        "set chassis cluster redundancy-group 1 preempt",
        "set interfaces reth0 redundant-ether-options redundancy-group 1",
        "set interfaces reth0 unit 0 family inet address 192.0.2.1/24",
        "set groups node0 interfaces lan gigether-options redundant-parent reth0",
        "set groups node1 interfaces lan gigether-options redundant-parent reth0",
        'set apply-groups "${node}"',
    }
    for said in (
        "x:19: delete interfaces ge-0/0/9 unit 0: nothing above has set it; not taken",
        "x:20: rename ge-0/0/1 to ge-0/0/2: not carried out; do it by hand; not taken",
        "x:23: chassis cluster cluster-id 1 node 0 reboot: not of the configuration: jsrp set chassis cluster cluster-id",
    ):
        assert any(remark.startswith(said) for remark in remarks), said
    assert not any("commit" in remark for remark in remarks)


LOCKED = """\ufeff## Last changed: never
protect: chassis {
    cluster {
        reth-count 2; /* of two */
        protect: redundancy-group 1 { node 0 priority 200; node 1 priority 100; }
        redundancy-group 2 { node 0 priority "100"; inactive: preempt; }
    }
}
replace:
interfaces {
    interface-range UPLINKS {
        description "one; of { many }";
        member ge-0/0/1;
        member "ge-5/0/[1]";
        gigether-options { redundant-parent reth1; }
    }
    interface-range LANS { member-range xe-0/0/3 to xe-0/0/3; member-range xe-5/0/3; gigether-options { redundant-parent reth0; } }
    interface-range NOBODY { member ae*; mtu 9000; }
    ge-5/0/1 { mtu 9192; }
    fab0 { fabric-options { member-interfaces { ge-0/0/8; } } }
    fab1 { fabric-options { member-interfaces { ge-5/0/8; } } }
    reth0 { vlan-tagging; redundant-ether-options { redundancy-group 1; } unit 7 { vlan-id 7; } }
    reth1 { redundant-ether-options { redundancy-group 2; } unit 0 { family inet { address 192.0.2.1/24; } } }
}
groups { unused { system { host-name x; } } }
...
"""


def test_what_stands_in_real_files_besides() -> None:
    ours, remarks = imported(LOCKED, "x")
    made = set(render_set(parse(ours)).splitlines())
    for node, slot in ((0, 0), (1, 5)):
        assert f"set groups node{node} interfaces ge-{slot}-0-1 gigether-options redundant-parent reth1" in made
        assert f"set groups node{node} interfaces xe-{slot}-0-3 gigether-options redundant-parent reth0" in made
    assert "set chassis cluster redundancy-group 1 node 1 priority 100" in made
    assert "set chassis cluster redundancy-group 2 node 0 priority 100" in made
    assert not any("preempt" in line or "host-name" in line for line in made)
    said = "\n".join(remarks)
    for left_out in (
        "x:6: chassis cluster redundancy-group 2 preempt: inactive, not taken",
        "interfaces interface-range NOBODY: no member of it is known; not taken",
        "interfaces ge-5/0/1 mtu: not part of the cluster",
        "interfaces ge-5/0/1 description: not part of the cluster",
        "interfaces reth0 vlan-tagging: a reth has unit 0 only",
        "interfaces reth0 unit 7 vlan-id 7: a reth has unit 0 only",
        "groups unused: not applied anywhere",
    ):
        assert left_out in said, left_out


def test_groups_that_apply_one_another() -> None:
    """Each says its own once; nothing goes round."""
    text = """
groups {
    a { apply-groups b; chassis { apply-groups a; cluster { apply-groups [ a b ]; heartbeat-threshold 7; } } }
    b { apply-groups a; chassis { cluster { apply-groups [ b a ]; heartbeat-interval 500; } } }
}
apply-groups a;
chassis { cluster { reth-count 2; } }
"""
    ours, _ = imported(text, "x")
    assert "heartbeat-threshold 7;" in ours
    assert "heartbeat-interval 500;" in ours


def test_comments_in_xml_are_no_statements() -> None:
    text = """<rpc-reply xmlns:junos="http://xml.juniper.net/junos/20.4R0/junos"><configuration>
<junos:comment>/* two of them */</junos:comment><chassis><junos:comment># here</junos:comment><cluster><reth-count>2</reth-count>
</cluster></chassis></configuration></rpc-reply>"""
    ours, remarks = imported(text, "x")
    assert "reth-count 2;" in ours
    assert not any("comment" in remark for remark in remarks)
