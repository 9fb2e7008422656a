"""Plans into rtnetlink messages and back: what is asked for is what would be observed."""

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.data_plane.plan import (
    LOCAL_TABLE,
    MAIN_TABLE,
    OWN_TABLE,
    OWNER_TABLE,
    PEER_TABLE,
    RULE_FROM,
    RULE_IIF,
    RULE_LOCAL,
    RULE_OWN,
    RULE_PEER,
    Add,
    Address,
    LinkUp,
    MacVlan,
    Operation,
    Remove,
    Route,
    Rule,
    Thing,
)
from jsrpd.kernel import rtnetlink
from jsrpd.kernel.netlink import CREATE, EXCLUSIVE, REPLACE, attribute, attributes
from jsrpd.kernel.rtnetlink import KERNEL_PROTOCOL, LINK, PROTOCOL, ROUTE, RtNetlink

INDEXES = {"lan": 3, "reth0": 7, "fab": 9}
NAMES = {index: name for name, index in INDEXES.items()}
RETHS = frozenset({"reth0"})
MAC = bytes.fromhex("026a73070000")


def request(operation: Operation) -> tuple[int, int, bytes]:
    found = rtnetlink._request(operation, INDEXES)
    assert found is not None
    return found


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


BY_VERSION = {4: st.ip_addresses(v=4), 6: st.ip_addresses(v=6)}


@st.composite
def networks(draw: st.DrawFn, version: int) -> str:
    length = draw(st.integers(0, 32 if version == 4 else 128))
    return str(ipaddress.ip_network((draw(BY_VERSION[version]), length), strict=False))


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Any route of the plan's kinds."""
    version = draw(st.sampled_from([4, 6]))
    kind = draw(st.sampled_from(list(rtnetlink.ROUTE_KINDS)))
    hosts = st.just("") | BY_VERSION[version].map(str)
    metric = draw(st.integers(0, 1 << 31).filter(lambda metric: metric != rtnetlink.IPV6_DEFAULT_METRIC))
    return Route(
        table=draw(st.sampled_from([OWNER_TABLE, PEER_TABLE, OWN_TABLE, MAIN_TABLE, LOCAL_TABLE])),
        destination=draw(networks(version)),
        interface="" if kind == "blackhole" else draw(st.sampled_from(["reth0", "fab"])),
        kind=kind,
        via=draw(hosts) if kind == "unicast" else "",
        source=draw(hosts) if kind == "unicast" else "",
        metric=metric,
    )


@given(routes())
def test_route_round_trip(route: Route) -> None:
    kind, flags, body = request(Add(route))
    assert (kind, flags) == (rtnetlink.NEWROUTE, CREATE | EXCLUSIVE)
    assert rtnetlink._route(body, NAMES, RETHS) == route


@given(addresses, st.data())
def test_address_round_trip(address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject) -> None:
    wanted = Address("reth0", str(address), data.draw(st.integers(1, address.max_prefixlen)))
    kind, flags, body = request(Add(wanted))
    assert (kind, flags) == (rtnetlink.NEWADDR, CREATE | REPLACE)
    assert rtnetlink._address(body, NAMES) == wanted


def test_no_duplicate_detection_and_no_prefix_route() -> None:
    """But for link-local addresses, whose prefix route the kernel must make."""
    flags = {
        text: struct.unpack("=I", attributes(request(Add(Address("lan", text, 64)))[2], 8)[rtnetlink.IFA_FLAGS])[0]
        for text in ("2001:db8::1", "fe80::1")
    }
    assert flags == {"2001:db8::1": rtnetlink.NO_DAD | rtnetlink.NO_PREFIX_ROUTE, "fe80::1": rtnetlink.NO_DAD}


RULES = [
    Rule(4, RULE_IIF, OWNER_TABLE, iif="reth0"),
    Rule(6, RULE_IIF, OWNER_TABLE, iif="reth0"),
    Rule(4, RULE_FROM, OWNER_TABLE, source="192.0.2.1/32"),
    Rule(6, RULE_FROM, OWNER_TABLE, source="2001:db8::1/128"),
    Rule(6, RULE_PEER, PEER_TABLE, iif="fab"),
    Rule(4, RULE_OWN, OWN_TABLE, source="192.0.2.11/32"),
    Rule(4, RULE_LOCAL, LOCAL_TABLE),
    Rule(6, 0, LOCAL_TABLE),
]


@pytest.mark.parametrize("rule", RULES)
def test_rule_round_trip(rule: Rule) -> None:
    kind, flags, body = request(Add(rule))
    assert (kind, flags) == (rtnetlink.NEWRULE, CREATE | EXCLUSIVE)
    assert rtnetlink._rule(body) == rule


def test_rules_of_others_are_not_seen() -> None:
    """Neither another priority nor another table, nor another family (multicast routing has rules too)."""
    foreign = (
        Rule(4, 10, OWNER_TABLE, iif="reth0"),
        Rule(4, RULE_PEER, OWNER_TABLE, iif="fab"),
        Rule(4, RULE_IIF, MAIN_TABLE),
        Rule(4, RULE_IIF, PEER_TABLE, iif="reth0"),
        Rule(4, 32766, MAIN_TABLE),
    )
    for rule in foreign:
        assert rtnetlink._rule(request(Add(rule))[2]) is None
    body = request(Add(RULES[0]))[2]
    assert rtnetlink._rule(bytes([128]) + body[1:]) is None


def test_macvlan_round_trip() -> None:
    """Private mode on its parent, with the virtual MAC."""
    kind, flags, body = request(Add(MacVlan("reth0", "lan", MAC)))
    assert (kind, flags) == (rtnetlink.NEWLINK, CREATE | EXCLUSIVE)
    link = rtnetlink._link(body)
    assert (link.name, link.mac, link.kind, link.mode) == ("reth0", MAC, "macvlan", rtnetlink.MACVLAN_PRIVATE)
    assert NAMES[link.parent] == "lan"


def test_macvlan_without_a_virtual_mac() -> None:
    """It has its parent's, and does not make it promiscuous."""
    link = rtnetlink._link(request(Add(MacVlan("reth0", "lan", b"")))[2])
    assert (link.name, link.mac, link.kind, link.mode) == ("reth0", b"", "macvlan", rtnetlink.MACVLAN_PASSTHRU)


def test_a_plain_interface() -> None:
    body = LINK.pack(0, 0, 1, 3, rtnetlink.IFF_UP, 0) + attribute(rtnetlink.IFLA_IFNAME, b"lan\0")
    link = rtnetlink._link(body)
    assert (link.name, link.index, link.up, link.kind, link.parent, link.mode) == ("lan", 3, True, "", 0, 0)


@pytest.mark.parametrize("adding", [True, False])
def test_link_up_and_down(adding: bool) -> None:
    operation: Operation = Add(LinkUp("lan")) if adding else Remove(LinkUp("lan"))
    kind, flags, body = request(operation)
    assert (kind, flags) == (rtnetlink.NEWLINK, 0)
    assert LINK.unpack(body) == (0, 0, 0, 3, int(adding), 1), "only the one flag is touched"


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (MacVlan("reth0", "lan", MAC), rtnetlink.DELLINK),
        (Address("reth0", "192.0.2.1", 24), rtnetlink.DELADDR),
        (Route(MAIN_TABLE, "192.0.2.0/24", "reth0"), rtnetlink.DELROUTE),
        (RULES[0], rtnetlink.DELRULE),
    ],
)
def test_removal_names_what_was_added(thing: Thing, kind: int) -> None:
    asked, flags, body = request(Remove(thing))
    assert (asked, flags) == (kind, 0)
    assert body


def test_removal_of_a_route_takes_any_protocol() -> None:
    """The kernel's own are in the way as well as ours."""
    assert ROUTE.unpack_from(request(Remove(Route(MAIN_TABLE, "192.0.2.0/24", "reth0")))[2])[5] == 0


ABSENT: list[Thing] = [
    MacVlan("reth1", "wan", MAC),
    LinkUp("wan"),
    Address("wan", "192.0.2.1", 24),
    Route(MAIN_TABLE, "192.0.2.0/24", "wan"),
]


@pytest.mark.parametrize("operation", [verb(thing) for verb in (Add, Remove) for thing in ABSENT])
def test_an_absent_interface_is_not_asked_for(operation: Operation) -> None:
    assert rtnetlink._request(operation, INDEXES) is None


def route_body(interface: str, *, table: int, kind: int, protocol: int, destination: str = "192.0.2.0/24") -> bytes:
    network = ipaddress.ip_network(destination)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    header = ROUTE.pack(family, network.prefixlen, 0, 0, table, protocol, 0, kind, 0)
    oif = attribute(rtnetlink.RTA_OIF, struct.pack("=I", INDEXES[interface]))
    return header + attribute(rtnetlink.RTA_DST, network.network_address.packed) + oif


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (route_body("reth0", table=LOCAL_TABLE, kind=rtnetlink.LOCAL, protocol=KERNEL_PROTOCOL), True),
        (route_body("reth0", table=MAIN_TABLE, kind=rtnetlink.UNICAST, protocol=KERNEL_PROTOCOL), True),
        (route_body("lan", table=MAIN_TABLE, kind=rtnetlink.UNICAST, protocol=KERNEL_PROTOCOL), False),
        (route_body("reth0", table=MAIN_TABLE, kind=rtnetlink.UNICAST, protocol=4), False),
        (route_body("lan", table=MAIN_TABLE, kind=rtnetlink.UNICAST, protocol=PROTOCOL), True),
        (route_body("reth0", table=200, kind=rtnetlink.UNICAST, protocol=PROTOCOL), False),
        (route_body("reth0", table=MAIN_TABLE, kind=rtnetlink.UNICAST, protocol=KERNEL_PROTOCOL, destination="fe80::/64"), False),
    ],
    ids=["local of a reth", "prefix of a reth", "prefix of another", "static", "ours", "another table", "link-local"],
)
def test_which_routes_are_seen(body: bytes, seen: bool) -> None:
    """Ours, and of the kernel's those of reths, which a standby must not have."""
    assert (rtnetlink._route(body, NAMES, RETHS) is not None) == seen


def test_ipv6_says_an_interface_of_a_route_that_leads_nowhere() -> None:
    body = route_body("lan", table=0, kind=rtnetlink.BLACKHOLE, protocol=PROTOCOL, destination="2001:db8::/64")
    body += attribute(rtnetlink.RTA_TABLE, struct.pack("=I", PEER_TABLE))
    assert rtnetlink._route(body, NAMES, RETHS) == Route(PEER_TABLE, "2001:db8::/64", "", "blackhole")


def test_the_default_metric_of_ipv6_is_none() -> None:
    """The kernel fills it in where the plan says nothing."""
    body = request(Add(Route(MAIN_TABLE, "2001:db8::/64", "fab", metric=rtnetlink.IPV6_DEFAULT_METRIC)))[2]
    seen = rtnetlink._route(body, NAMES, RETHS)
    assert seen is not None
    assert seen.metric == 0


def test_addresses_of_unknown_interfaces_are_not_seen() -> None:
    body = request(Add(Address("lan", "192.0.2.1", 24)))[2]
    assert rtnetlink._address(body, {}) is None
    assert rtnetlink._address(rtnetlink.ADDRESS.pack(socket.AF_INET, 24, 0, 0, 3), NAMES) is None


def test_observation_needs_no_right() -> None:
    """The loopback interface is there, and nothing of it is ours."""
    netlink = RtNetlink()
    observed = netlink.observe(frozenset({"reth0"}), frozenset())
    netlink.close()
    assert "lo" in observed.links
    assert not {thing for thing in observed.things if isinstance(thing, MacVlan | Address | Route)}


def test_operations_on_absent_interfaces_answer_enodev() -> None:
    netlink = RtNetlink()
    assert netlink.execute([Add(thing) for thing in ABSENT], {}) == [19] * len(ABSENT)
    netlink.close()
