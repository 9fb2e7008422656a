"""What the data plane shall look like in each role, and the steps from any state to it (SPEC section 7)."""

import ipaddress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.data_plane.plan import (
    LOCAL_TABLE,
    MAIN_TABLE,
    NODE_LOCAL_METRIC,
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
    State,
    Thing,
    describe,
    desired,
    movable_addresses,
    own_addresses,
    plan,
)
from jsrpd.kernel import rtnetlink
from jsrpd.model.addressing import fabric_address_v4, fabric_address_v6
from jsrpd.model.configuration import (
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    GroupConfiguration,
    IpMonitoring,
    IpTarget,
    Reth,
    RethUnitAddress,
)

LAN_MAC, WAN_MAC = bytes.fromhex("02005e005301"), bytes.fromhex("02005e005302")
V4, V6 = "192.0.2.1", "2001:db8::1"
GATEWAYS = {
    V4: "192.0.2.0/24",
    V6: "2001:db8::/64",
}
"""Addresses of reth0, with their prefixes."""
OWN = RethUnitAddress("192.0.2.11", 24)
CONFIGURATION = ClusterConfiguration(
    cluster_id=7,
    node_id=0,
    control_links=(ControlLink(0, "ctl"),),
    fabric_links=(FabricLink(0, "fab", "fab"),),
    reths=(
        Reth("reth0", 0, 1, "lan", "lan", LAN_MAC, (RethUnitAddress(V4, 24), RethUnitAddress(V6, 64)), (OWN,)),
        Reth("reth1", 1, 2, "wan", "wan", WAN_MAC, (RethUnitAddress("198.51.100.1", 24),)),
    ),
)
RETHS = frozenset({"reth0", "reth1"})
ROLES = [frozenset[int](), frozenset({1}), frozenset({2}), frozenset({1, 2})]
KERNELS_OWN = frozenset(Rule(family, 0, LOCAL_TABLE) for family in (4, 6))
"""As the kernel boots: ``local`` before everything."""
FOREIGN: State = frozenset(
    {
        LinkUp("eth9"),
        Address("lan", "192.0.2.77", 24),
        Address("fab", "203.0.113.1", 24),
        MacVlan("macvlan0", "lan", bytes(6)),
    }
)
"""The administrator's."""


def host(address: str) -> str:
    """The address as a route's destination."""
    return str(ipaddress.ip_network(address))


def on_node(node: int) -> ClusterConfiguration:
    return msgspec.structs.replace(CONFIGURATION, node_id=node)


def own_view(state: State, address: str) -> set[Route]:
    """Routes the node's own packets to a gateway address and its neighbours may take."""
    destinations = {host(address), GATEWAYS[address]}
    return {
        thing
        for thing in state
        if isinstance(thing, Route)
        and thing.table in (MAIN_TABLE, LOCAL_TABLE)
        and thing.destination in destinations
        and not thing.metric
    }


def after(observed: State, operations: list[Operation]) -> State:
    """The kernel as it is when a plan was carried out; a plan that creates what is there or deletes what is not is wrong."""
    things = set(observed)
    for operation in operations:
        assert isinstance(operation, Add) != (operation.thing in things), operation
        (things.add if isinstance(operation, Add) else things.remove)(operation.thing)
    return frozenset(things)


# -- desired --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [0, 1])
@pytest.mark.parametrize("address", GATEWAYS)
def test_the_primary_has_the_gateway_address_itself(node: int, address: str) -> None:
    assert own_view(desired(on_node(node), frozenset({1})), address) == {
        Route(LOCAL_TABLE, host(address), "reth0", "local"),
        Route(MAIN_TABLE, GATEWAYS[address], "reth0", source=address),
    }


@pytest.mark.parametrize("primary", [frozenset(), frozenset({2})], ids=["for nothing", "for another group"])
@pytest.mark.parametrize("node", [0, 1])
@pytest.mark.parametrize("address", GATEWAYS)
def test_a_standby_reaches_it_on_the_peer(node: int, address: str, primary: frozenset[int]) -> None:
    """By the fabric, with a source: the kernel would choose the destination, which the node holds too (kernel facts)."""
    fabric_address = fabric_address_v4 if address == V4 else fabric_address_v6
    via, source = fabric_address(7, 0, 1 - node), fabric_address(7, 0, node)
    assert own_view(desired(on_node(node), primary), address) == {
        Route(MAIN_TABLE, destination, "fab", via=via, source=source) for destination in (host(address), GATEWAYS[address])
    }


@pytest.mark.parametrize(("chosen", "used"), [(None, 1), (0, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("address", GATEWAYS)
def test_of_two_fabric_links_the_chosen_one_is_used(address: str, chosen: int | None, used: int) -> None:
    """The last one while none is chosen, or one that is not configured; either is ready all the time."""
    two = msgspec.structs.replace(CONFIGURATION, fabric_links=(FabricLink(0, "fab", "fab"), FabricLink(1, "fab2", "fab2")))
    state = desired(two, frozenset(), chosen)
    fabric_address = fabric_address_v4 if address == V4 else fabric_address_v6
    via, source = fabric_address(7, used, 1), fabric_address(7, used, 0)
    interface = ("fab", "fab2")[used]
    assert own_view(state, address) == {
        Route(MAIN_TABLE, destination, interface, via=via, source=source) for destination in (host(address), GATEWAYS[address])
    }
    others = {thing for thing in state if not (isinstance(thing, Route) and thing.via)}
    assert others == {thing for thing in desired(two, frozenset()) if not (isinstance(thing, Route) and thing.via)}
    ready = {LinkUp("fab"), LinkUp("fab2"), *(Rule(family, RULE_PEER, PEER_TABLE, iif="fab2") for family in (4, 6))}
    assert ready < state


@pytest.mark.parametrize("address", GATEWAYS)
def test_without_a_fabric_a_standby_has_no_way_to_it(address: str) -> None:
    alone = msgspec.structs.replace(CONFIGURATION, fabric_links=())
    assert own_view(desired(alone, frozenset()), address) == set()


@pytest.mark.parametrize("primary", ROLES, ids=str)
def test_whatever_the_role_all_stands_behind_the_gates(primary: frozenset[int]) -> None:
    """reth, addresses and owner's table: nothing of it waits for a takeover."""
    always: set[Thing] = {
        MacVlan("reth0", "lan", LAN_MAC),
        MacVlan("reth1", "wan", WAN_MAC),
        *(LinkUp(name) for name in ("ctl", "fab", "lan", "wan", "reth0", "reth1")),
        *(Rule(family, RULE_LOCAL, LOCAL_TABLE) for family in (4, 6)),
        *(Rule(family, RULE_PEER, PEER_TABLE, iif="fab") for family in (4, 6)),
        *(Route(OWNER_TABLE, host(address), "reth0", "local") for address in GATEWAYS),
        *(Route(OWNER_TABLE, prefix, "reth0", source=address) for address, prefix in GATEWAYS.items()),
        Address("reth0", V4, 24),
        Address("reth0", V6, 64),
        Address("reth1", "198.51.100.1", 24),
    }
    assert always <= desired(CONFIGURATION, primary)


ADDRESSES = {**dict.fromkeys(GATEWAYS, 1), "198.51.100.1": 2}
"""Group by gateway address."""


def asks_owners_table(state: State, group: int) -> set[Rule]:
    """What of a group asks the owner's table."""
    (reth,) = [reth for reth in CONFIGURATION.reths if reth.group == group]
    sources = {host(unit.address) for unit in reth.addresses}
    rules = {thing for thing in state if isinstance(thing, Rule) and thing.table == OWNER_TABLE}
    return {rule for rule in rules if rule.iif == reth.name or rule.source in sources}


@pytest.mark.parametrize("primary", ROLES, ids=str)
@pytest.mark.parametrize("group", [1, 2])
def test_who_owns_a_group_reaches_the_others_on_the_peer(group: int, primary: frozenset[int]) -> None:
    """By the node's own view. A group that is not primary here asks the owner's table, as if the peer were lost: its takeover
    waits for nothing. So does one that is primary together with all others."""
    (reth,) = [reth for reth in CONFIGURATION.reths if reth.group == group]
    found = asks_owners_table(desired(CONFIGURATION, primary), group)
    if group in primary and len(primary) == 1:
        assert found == set()
    else:
        assert found == {
            *(Rule(family, RULE_IIF, OWNER_TABLE, iif=reth.name) for family in (4, 6)),
            *(Rule(6 if ":" in u.address else 4, RULE_FROM, OWNER_TABLE, source=host(u.address)) for u in reth.addresses),
        }


@pytest.mark.parametrize("primary", ROLES, ids=str)
def test_without_a_fabric_all_ask_the_owners_table(primary: frozenset[int]) -> None:
    state = desired(msgspec.structs.replace(CONFIGURATION, fabric_links=()), primary)
    assert all(asks_owners_table(state, group) for group in (1, 2))
    assert not [thing for thing in state if isinstance(thing, Route) and thing.interface == "fab"]


@pytest.mark.parametrize("old", ROLES, ids=str)
@pytest.mark.parametrize("new", ROLES, ids=str)
def test_nothing_asks_the_own_view_before_it_is_as_it_shall_be(old: frozenset[int], new: frozenset[int]) -> None:
    """Whoever is to ask the owner's table does so before the first route changes, whoever is not any more, after the last."""
    operations = plan(desired(CONFIGURATION, new), desired(CONFIGURATION, old), RETHS)
    kinds = [(type(operation), isinstance(operation.thing, Rule)) for operation in operations]
    order = [(Add, True), (Remove, False), (Add, False), (Remove, True)]
    assert kinds == sorted(kinds, key=order.index)


@pytest.mark.parametrize("primary", ROLES, ids=str)
def test_what_the_peer_sends_does_not_go_back(primary: frozenset[int]) -> None:
    """Of the prefixes that are not primary here nothing from the fabric link is forwarded; of the others everything."""
    state = desired(CONFIGURATION, primary)
    prefixes = {GATEWAYS.get(address, "198.51.100.0/24") for address, group in ADDRESSES.items() if group not in primary}
    dropped = {thing for thing in state if isinstance(thing, Route) and thing.table == PEER_TABLE}
    assert dropped == {Route(PEER_TABLE, prefix, "", "blackhole") for prefix in prefixes}


@pytest.mark.parametrize("old", ROLES, ids=str)
@pytest.mark.parametrize("new", ROLES, ids=str)
def test_a_role_changes_the_nodes_own_view_only(old: frozenset[int], new: frozenset[int]) -> None:
    """No routing change stands between the gate's opening and the first packet. Who asks the owner's table changes where groups
    come to be, or were, on different nodes."""
    operations = plan(desired(CONFIGURATION, new), desired(CONFIGURATION, old), RETHS)
    split = {role for role in (old, new) if len(role) == 1}
    for operation in operations:
        thing = operation.thing
        assert isinstance(thing, Route) or (split and isinstance(thing, Rule))
        assert thing.table in (MAIN_TABLE, LOCAL_TABLE, PEER_TABLE) or isinstance(thing, Rule)
    assert bool(operations) == (old != new)


def test_the_nodes_own_prefix_loses_against_the_reth() -> None:
    """Both exist on a primary; equal metrics would collide (kernel facts)."""
    state = desired(CONFIGURATION, frozenset({1}))
    assert Address("lan", OWN.address, 24) in state
    assert Route(MAIN_TABLE, "192.0.2.0/24", "lan", source=OWN.address, metric=NODE_LOCAL_METRIC[4]) in state
    assert NODE_LOCAL_METRIC[4] > 0
    assert NODE_LOCAL_METRIC[6] > rtnetlink.IPV6_DEFAULT_METRIC


@pytest.mark.parametrize("primary", ROLES, ids=str)
def test_what_the_node_says_as_itself_leaves_by_the_segment(primary: frozenset[int]) -> None:
    """Also where everything else for the segment goes by the owner; but what is local comes before. Of several addresses in a
    network one makes the route."""
    assert RULE_LOCAL < RULE_OWN < 32766
    several = (OWN, RethUnitAddress("192.0.2.12", 24), RethUnitAddress("2001:db8::11", 64))
    reth0 = msgspec.structs.replace(CONFIGURATION.reths[0], node_local_addresses=several)
    state = desired(msgspec.structs.replace(CONFIGURATION, reths=(reth0, CONFIGURATION.reths[1])), primary)
    of_own = {thing for thing in state if isinstance(thing, Route | Rule) and thing.table == OWN_TABLE}
    assert of_own == {
        Route(OWN_TABLE, "192.0.2.0/24", "lan"),
        Route(OWN_TABLE, "2001:db8::/64", "lan"),
        *(Rule(4 if "." in own.address else 6, RULE_OWN, OWN_TABLE, source=host(own.address)) for own in several),
    }
    assert {thing for thing in state if isinstance(thing, Route) and thing.table == MAIN_TABLE and thing.interface == "lan"} == {
        Route(MAIN_TABLE, "192.0.2.0/24", "lan", source=OWN.address, metric=NODE_LOCAL_METRIC[4]),
        Route(MAIN_TABLE, "2001:db8::/64", "lan", source="2001:db8::11", metric=NODE_LOCAL_METRIC[6]),
    }


def test_the_kernels_rule_for_local_is_not_wanted() -> None:
    """It would let every node answer for all addresses before the rules of the owner's table are asked."""
    rules = {thing for thing in desired(CONFIGURATION, frozenset()) if isinstance(thing, Rule)}
    assert not rules & KERNELS_OWN
    assert all(rule.priority < RULE_LOCAL for rule in rules if rule.table not in (LOCAL_TABLE, OWN_TABLE))


def test_links_get_the_derived_addresses_of_this_node() -> None:
    def on_links(node: int) -> set[str]:
        state = desired(on_node(node), frozenset())
        return {t.address for t in state if isinstance(t, Address) and t.interface in ("ctl", "fab")}

    assert len(on_links(0)) == len(on_links(1)) == 4
    assert not on_links(0) & on_links(1)
    subnets = [{ipaddress.ip_interface(f"{a}/{30 if '.' in a else 64}").network for a in on_links(n)} for n in (0, 1)]
    assert subnets[0] == subnets[1]


def test_a_configured_control_address_is_left_to_the_administrator() -> None:
    links = (ControlLink(0, "ctl", "203.0.113.1", "203.0.113.2"),)
    state = desired(msgspec.structs.replace(CONFIGURATION, control_links=links), frozenset())
    assert LinkUp("ctl") in state
    assert not any(isinstance(thing, Address) and thing.interface == "ctl" for thing in state)


# -- plan -----------------------------------------------------------------------------------------------------------

ALL_DESIRED = {role: desired(CONFIGURATION, role) for role in ROLES}
states = st.sampled_from(sorted(ALL_DESIRED.values(), key=repr))
things = st.sets(st.sampled_from(sorted(frozenset().union(*ALL_DESIRED.values(), KERNELS_OWN, FOREIGN), key=repr))).map(frozenset)


@given(wanted=states, observed=things)
def test_from_any_state_to_the_wanted_one(wanted: State, observed: State) -> None:
    """Each operation once and needed; nothing is left but what is the administrator's; then there is nothing to do."""
    reached = after(observed, plan(wanted, observed, RETHS))
    assert reached >= wanted
    assert reached - wanted <= FOREIGN
    assert reached & FOREIGN == observed & FOREIGN
    assert plan(wanted, reached, RETHS) == []


@given(wanted=states, observed=things)
def test_the_local_table_is_always_reachable(wanted: State, observed: State) -> None:
    """A node that had a rule for it in a family has one after each step."""
    state = observed
    for operation in plan(wanted, observed, RETHS):
        before, state = state, after(state, [operation])
        for family in (4, 6):
            rules = {Rule(family, priority, LOCAL_TABLE) for priority in (0, RULE_LOCAL)}
            assert state & rules or not before & rules


@given(wanted=states, observed=things)
def test_nothing_is_added_before_what_it_stands_on(wanted: State, observed: State) -> None:
    """Interface, up, addresses, connected routes, routes by a gateway, each before what needs it; removed the other way."""

    def level(thing: Thing) -> int:
        match thing:
            case MacVlan():
                return 0
            case LinkUp():
                return 1
            case Address():
                return 2
            case Route():
                return 4 if thing.via else 3
            case Rule():
                return 5

    operations = plan(wanted, observed, RETHS)
    added = [level(op.thing) for op in operations if isinstance(op, Add) and not isinstance(op.thing, Rule)]
    removed = [level(op.thing) for op in operations if isinstance(op, Remove) and not isinstance(op.thing, Rule)]
    assert added == sorted(added)
    assert removed == sorted(removed, reverse=True)


@given(wanted=states, observed=things)
def test_an_old_route_leaves_before_its_successor_comes(wanted: State, observed: State) -> None:
    """Same table and destination: the kernel would answer EEXIST."""
    state = observed
    for operation in plan(wanted, observed, RETHS):
        thing = operation.thing
        if isinstance(operation, Add) and isinstance(thing, Route):
            rivals = [r for r in state if isinstance(r, Route) and (r.table, r.destination) == (thing.table, thing.destination)]
            assert all(rival in wanted or rival.metric != thing.metric for rival in rivals), thing
        state = after(state, [operation])


@pytest.mark.parametrize("lost", sorted(ALL_DESIRED[frozenset({1})], key=repr), ids=describe)
def test_one_missing_object_is_one_operation(lost: Thing) -> None:
    wanted = ALL_DESIRED[frozenset({1})]
    assert plan(wanted, wanted - {lost}, RETHS) == [Add(lost)]


@pytest.mark.parametrize(
    "intruder",
    [
        Address("reth0", "192.0.2.66", 24),
        Route(LOCAL_TABLE, "192.0.2.66/32", "reth0", "local"),
        Route(OWNER_TABLE, "203.0.113.0/24", "reth0"),
        Route(PEER_TABLE, "203.0.113.0/24", "", "blackhole"),
        Rule(4, RULE_FROM, OWNER_TABLE, source="203.0.113.9/32"),
        Rule(4, RULE_PEER, PEER_TABLE, iif="reth0"),
        Rule(6, 0, LOCAL_TABLE),
        MacVlan("reth7", "lan", LAN_MAC),
    ],
    ids=describe,
)
def test_what_does_not_belong_on_ours_is_one_removal(intruder: Thing) -> None:
    wanted = ALL_DESIRED[frozenset({1})]
    assert plan(wanted, wanted | {intruder}, RETHS | {"reth7"}) == [Remove(intruder)]


@pytest.mark.parametrize(("parent", "mac"), [("lan", WAN_MAC), ("wan", LAN_MAC), ("", LAN_MAC)])
def test_a_wrong_reth_is_made_anew(parent: str, mac: bytes) -> None:
    """Other MAC, other child, or no macvlan at all: a macvlan cannot change its parent."""
    right, found = MacVlan("reth0", "lan", LAN_MAC), MacVlan("reth0", parent, mac)
    wanted = ALL_DESIRED[frozenset({1})]
    assert plan(wanted, wanted - {right} | {found}, RETHS) == [Remove(found), Add(right)]


def test_a_reth_that_is_no_longer_configured_goes_with_all_that_lies_on_it() -> None:
    """Its routes first, itself last; the links' and the other reth's objects stay."""
    smaller = msgspec.structs.replace(CONFIGURATION, reths=CONFIGURATION.reths[1:])
    operations = plan(desired(smaller, frozenset()), ALL_DESIRED[frozenset({1})], RETHS)
    at_last = [operation for operation in operations if not isinstance(operation.thing, Rule)][-1]
    assert at_last == Remove(MacVlan("reth0", "lan", LAN_MAC))
    assert after(ALL_DESIRED[frozenset({1})], operations) == desired(smaller, frozenset()) | {
        LinkUp("reth0"),
        LinkUp("lan"),
        Address("lan", OWN.address, 24),
    }


# -- describe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (MacVlan("reth0", "lan", LAN_MAC), "interface reth0 on lan"),
        (LinkUp("reth0"), "interface reth0 up"),
        (Address("reth0", V6, 64), "address 2001:db8::1/64 on reth0"),
        (Route(LOCAL_TABLE, "192.0.2.1/32", "reth0", "local"), "route 192.0.2.1/32 by reth0 in table 255"),
        (Route(PEER_TABLE, "192.0.2.0/24", "", "blackhole"), "route 192.0.2.0/24 by blackhole in table 1001"),
        (Rule(6, RULE_LOCAL, LOCAL_TABLE), "IPv6 rule 100"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_log_names_the_object(thing: Thing, said: str) -> None:
    assert describe(thing) == said


# -- addresses of a standby -----------------------------------------------------------------------------------------

SECOND_V4, SECOND_V6 = "192.0.2.9", "2001:db8::9"
MONITORED = msgspec.structs.replace(
    CONFIGURATION,
    reths=(msgspec.structs.replace(CONFIGURATION.reths[0], node_local_addresses=()), CONFIGURATION.reths[1]),
    groups=(
        GroupConfiguration(
            1,
            ip_monitoring=IpMonitoring(
                targets=(
                    IpTarget("192.0.2.100", 255, "reth0", SECOND_V4),
                    IpTarget("192.0.2.101", 255, "reth0", SECOND_V4),
                    IpTarget("2001:db8::100", 255, "reth0", SECOND_V6),
                    IpTarget("198.51.100.7", 255, "reth1"),
                )
            ),
        ),
    ),
)
OF_STANDBY = {
    Address("lan", SECOND_V4, 32),
    Address("lan", SECOND_V6, 128),
    Route(MAIN_TABLE, "192.0.2.0/24", "lan", source=SECOND_V4, metric=NODE_LOCAL_METRIC[4]),
    Route(MAIN_TABLE, "2001:db8::/64", "lan", source=SECOND_V6, metric=NODE_LOCAL_METRIC[6]),
}


def test_a_standby_has_its_own_addresses_and_the_owner_has_not() -> None:
    standby, owner = desired(MONITORED, frozenset()), desired(MONITORED, frozenset({1}))
    assert standby >= OF_STANDBY
    assert not owner & OF_STANDBY
    assert movable_addresses(MONITORED) == {SECOND_V4, SECOND_V6}


def test_they_move_with_the_role_and_nothing_else_on_the_child_does() -> None:
    standby, owner = desired(MONITORED, frozenset()), desired(MONITORED, frozenset({1}))
    administrators = Address("lan", "192.0.2.77", 24)
    removed = {
        op.thing for op in plan(owner, standby | {administrators}, RETHS, movable_addresses(MONITORED)) if isinstance(op, Remove)
    }
    assert {thing for thing in removed if isinstance(thing, Address)} == {
        Address("lan", SECOND_V4, 32),
        Address("lan", SECOND_V6, 128),
    }
    assert not {op.thing for op in plan(owner, standby, RETHS) if isinstance(op, Remove) and isinstance(op.thing, Address)}
    operations = plan(standby, owner, RETHS, movable_addresses(MONITORED))
    added = [op.thing for op in operations if isinstance(op, Add) and not isinstance(op.thing, Rule)]
    assert [thing for thing in added if isinstance(thing, Address)] == added[:2], "addresses before the routes that use them"


def test_with_a_node_local_address_there_is_a_route_already() -> None:
    configuration = msgspec.structs.replace(MONITORED, reths=CONFIGURATION.reths)
    routes = {thing for thing in desired(configuration, frozenset()) if isinstance(thing, Route) and thing.source == SECOND_V4}
    assert routes == set()


# -- without a virtual MAC ----------------------------------------------------------------------------------------------

WITHOUT = msgspec.structs.replace(
    MONITORED,
    reths=(msgspec.structs.replace(CONFIGURATION.reths[0], mac=b""), msgspec.structs.replace(CONFIGURATION.reths[1], mac=b"")),
)


@pytest.mark.parametrize("primary", ROLES, ids=str)
def test_without_a_virtual_mac_everything_is_on_the_reth(primary: frozenset[int]) -> None:
    """It takes all that comes for its child. Own addresses are local in every role and in both tables."""
    state = desired(WITHOUT, primary)
    assert MacVlan("reth0", "lan", b"") in state
    assert not {thing for thing in state if isinstance(thing, Address | Route) and thing.interface in ("lan", "wan")}
    own = {OWN.address} if 1 in primary else {OWN.address, SECOND_V4, SECOND_V6}
    for address in own:
        for table in (LOCAL_TABLE, OWNER_TABLE):
            assert Route(table, host(address), "reth0", "local") in state
    assert {thing.address for thing in state if isinstance(thing, Address) and thing.interface == "reth0"} == own | set(GATEWAYS)
    assert Route(OWN_TABLE, "192.0.2.0/24", "reth0") in state


def test_only_then_the_gate_knows_the_nodes_own_addresses() -> None:
    """With a virtual MAC they are the child's, which is not gated."""
    expected = {ipaddress.ip_address(address).packed for address in (OWN.address, SECOND_V4, SECOND_V6)}
    assert own_addresses(WITHOUT) == expected
    assert own_addresses(MONITORED) == set()
