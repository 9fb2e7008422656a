"""The data plane as it shall be, and what to do about the difference. Level-triggered: plan(desired, observed).

Both nodes hold all reths, addresses and the *owner's table* all the time, behind the gates (SPEC section 7). That table is as
if the peer were lost, so nothing stands between the opening of a gate and the first forwarded packet. With a role change
the node's own view (tables ``local`` and ``main``), and, while groups are primary on both nodes, whether what enters by a group
that is primary here asks the owner's table or the node's own view, which has the ways by the fabric link to the groups on
the peer (decision 0134). Objects are values; a plan is a list of operations on them.
"""

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

from jsrpd.model.addressing import (
    control_address,
    fabric_address_link_local,
    fabric_address_v4,
    fabric_address_v6,
)
from jsrpd.model.configuration import ClusterConfiguration, Reth, RethUnitAddress

OWNER_TABLE, PEER_TABLE, OWN_TABLE, MAIN_TABLE, LOCAL_TABLE = 1000, 1001, 1002, 254, 255
"""``PEER_TABLE`` is for what comes from the peer by a fabric link, ``OWN_TABLE`` for what this node says as itself."""
RULE_IIF, RULE_FROM, RULE_PEER, RULE_LOCAL, RULE_OWN = 50, 51, 52, 100, 101
NODE_LOCAL_METRIC = {4: 100, 6: 1124}
"""By IP version, worse than the reth's prefix route, which must win while both exist (kernel facts). IPv6's default is 1024."""
LINK_LOCAL_PREFIX = 64


@dataclass(frozen=True, slots=True)
class MacVlan:
    """A reth: macvlan in private mode on its child, with the virtual MAC. ``mac`` empty: in passthru mode, with the child's."""

    name: str
    parent: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class LinkUp:
    """An interface that is administratively up."""

    interface: str


@dataclass(frozen=True, slots=True)
class Address:
    """An address on an interface, never with a prefix route made by the kernel, never with duplicate detection."""

    interface: str
    address: str
    prefix_length: int


@dataclass(frozen=True, slots=True)
class Route:
    """``destination`` as CIDR text. ``kind``: ``unicast``, ``local`` or ``blackhole``, which has no interface. ``via`` and
    ``source`` empty where there is none."""

    table: int
    destination: str
    interface: str
    kind: str = "unicast"
    via: str = ""
    source: str = ""
    metric: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule; family 4 or 6."""

    family: int
    priority: int
    table: int
    iif: str = ""
    source: str = ""


Thing: TypeAlias = MacVlan | LinkUp | Address | Route | Rule
State: TypeAlias = frozenset[Thing]


@dataclass(frozen=True, slots=True)
class Add:
    """Create it."""

    thing: Thing


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete it."""

    thing: Thing


Operation: TypeAlias = Add | Remove


def desired(configuration: ClusterConfiguration, primary: frozenset[int], fabric: int | None = None) -> State:
    """Everything this node shall have while it is primary for the groups in ``primary`` and reaches the peer by the fabric link
    of index ``fabric``; None while that is not known."""
    things: set[Thing] = {
        *_links(configuration),
        *(Rule(family, RULE_LOCAL, LOCAL_TABLE) for family in (4, 6)),
    }
    for reth in configuration.reths:
        things |= _pre_provisioned(reth)
        things |= _own_view(configuration, reth, reth.group in primary, fabric)
        things |= _asks_owners_table(configuration, reth, primary)
        if reth.group not in primary:
            things |= _secondary_addresses(configuration, reth)
    return frozenset(things)


def movable_addresses(configuration: ClusterConfiguration) -> frozenset[str]:
    """Addresses on children that stand on whichever node is not primary: taken away when it becomes primary."""
    monitored = (group.ip_monitoring for group in configuration.groups)
    return frozenset(t.secondary_address for m in monitored if m is not None for t in m.targets if t.secondary_address)


def own_addresses(configuration: ClusterConfiguration) -> set[bytes]:
    """Packed addresses by which this node is reached whatever its role, on reths without a virtual MAC."""
    stations = [reth for reth in configuration.reths if not reth.mac]
    own = {unit.address for reth in stations for unit in reth.node_local_addresses}
    found = own | (set(movable_addresses(configuration)) if stations else set())
    return {ipaddress.ip_address(address).packed for address in found}


def _secondary_addresses(c: ClusterConfiguration, reth: Reth) -> set[Thing]:
    """From where a node that is not primary asks the monitored addresses of a segment (reference 5.3).

    The route is worse than the way to the peer, so that only what is bound to the child takes it.
    """
    monitored = (group.ip_monitoring for group in c.groups if group.group == reth.group)
    targets = [target for m in monitored if m is not None for target in m.targets if target.secondary_address]
    things: set[Thing] = set()
    for unit in reth.addresses:
        prefix = ipaddress.ip_network(f"{unit.address}/{unit.prefix_length}", strict=False)
        inside = sorted({t.secondary_address for t in targets if ipaddress.ip_address(t.secondary_address) in prefix})
        for source in inside:
            things |= _own_address(reth, source, prefix.max_prefixlen)
        has_route = any(ipaddress.ip_address(own.address) in prefix for own in reth.node_local_addresses)
        if inside and not has_route:
            things.add(Route(MAIN_TABLE, str(prefix), reth.station, source=inside[0], metric=NODE_LOCAL_METRIC[prefix.version]))
    return things


def _links(c: ClusterConfiguration) -> set[Thing]:
    things: set[Thing] = set()
    for control in c.control_links:
        things.add(LinkUp(control.interface))
        if not control.local_address:
            address = control_address(c.cluster_id, control.index, c.node_id)
            things.add(Address(control.interface, address, LINK_LOCAL_PREFIX))
    for fabric in c.fabric_links:
        things.add(LinkUp(fabric.interface))
        v4 = fabric_address_v4(c.cluster_id, fabric.index, c.node_id)
        v6 = fabric_address_v6(c.cluster_id, fabric.index, c.node_id)
        link_local = fabric_address_link_local(c.cluster_id, fabric.index, c.node_id)
        things |= {
            Address(fabric.interface, v4, 30),
            Address(fabric.interface, v6, 64),
            Address(fabric.interface, link_local, LINK_LOCAL_PREFIX),
            Route(MAIN_TABLE, _network(v4, 30), fabric.interface),
            Route(MAIN_TABLE, _network(v6, 64), fabric.interface),
            *(Rule(family, RULE_PEER, PEER_TABLE, iif=fabric.interface) for family in (4, 6)),
        }
    return things


def _pre_provisioned(reth: Reth) -> set[Thing]:
    """What both nodes have at all times."""
    things: set[Thing] = {
        LinkUp(reth.child),
        MacVlan(reth.name, reth.child, reth.mac),
        LinkUp(reth.name),
    }
    sources: dict[str, str] = {}
    for own in reth.node_local_addresses:
        things |= _own_address(reth, own.address, own.prefix_length)
        # Answers leave by the segment as the questions came, not by the owner: its firewall knows nothing of them.
        things.add(Rule(_family(own.address), RULE_OWN, OWN_TABLE, source=_host(own.address)))
        sources.setdefault(_network(own.address, own.prefix_length), own.address)
    for prefix, source in sources.items():
        metric = NODE_LOCAL_METRIC[_family(source)]
        things |= {
            Route(OWN_TABLE, prefix, reth.station),
            Route(MAIN_TABLE, prefix, reth.station, source=source, metric=metric),
        }
    for unit in reth.addresses:
        things |= {
            Address(reth.name, unit.address, unit.prefix_length),
            Route(OWNER_TABLE, _host(unit.address), reth.name, "local"),
            Route(OWNER_TABLE, _network(unit.address, unit.prefix_length), reth.name, source=unit.address),
        }
    return things


def _own_address(reth: Reth, address: str, prefix_length: int) -> set[Thing]:
    """An address of this node on the segment. On a reth it is local in every role, also for what asks the owner's table."""
    things: set[Thing] = {Address(reth.station, address, prefix_length)}
    if reth.station == reth.name:
        things |= {Route(table, _host(address), reth.name, "local") for table in (LOCAL_TABLE, OWNER_TABLE)}
    return things


def _asks_owners_table(c: ClusterConfiguration, reth: Reth, primary: frozenset[int]) -> set[Thing]:
    """Rules for what enters by a reth or comes from its addresses; without them the node's own view is asked.

    A group that is not primary here has them: nothing enters by it, and when that begins, the peer may be lost. So has one that
    is primary together with all others. Beside a group that is primary on the peer the owner's table would lead to a shut gate.
    """
    split = bool(c.fabric_links) and any(each.group not in primary for each in c.reths)
    if split and reth.group in primary:
        return set()
    things: set[Thing] = {Rule(family, RULE_IIF, OWNER_TABLE, iif=reth.name) for family in (4, 6)}
    sources = (unit.address for unit in reth.addresses)
    return things | {Rule(_family(source), RULE_FROM, OWNER_TABLE, source=_host(source)) for source in sources}


def _own_view(c: ClusterConfiguration, reth: Reth, primary: bool, fabric: int | None) -> set[Thing]:
    """What the node itself sees: its own addresses when primary, else the way to the peer through the fabric.

    Without a fabric link a standby has no way to the gateway addresses. What the peer sends by the fabric for a group that is
    not primary here must not go back there: for a moment in a failover neither node is primary, and each packet would go
    to and fro until its hop limit ends, on a link that carries heartbeats.
    """
    things: set[Thing] = set()
    for unit in reth.addresses:
        prefix = _network(unit.address, unit.prefix_length)
        if primary:
            things.add(Route(LOCAL_TABLE, _host(unit.address), reth.name, "local"))
            things.add(Route(MAIN_TABLE, prefix, reth.name, source=unit.address))
        elif c.fabric_links:
            things |= _by_the_fabric(c, unit, fabric)
            things.add(Route(PEER_TABLE, prefix, "", "blackhole"))
    return things


def _by_the_fabric(c: ClusterConfiguration, unit: RethUnitAddress, index: int | None) -> set[Thing]:
    """The way to an address and its neighbours by the peer: by the last link while none is chosen, or one that is not there any
    more. The sessions prefer the first.

    With a source: selection would prefer the destination itself, which this node holds as well (kernel facts).
    """
    fabric = next((link for link in c.fabric_links if link.index == index), c.fabric_links[-1])
    fabric_address = fabric_address_v4 if _family(unit.address) == 4 else fabric_address_v6
    via = fabric_address(c.cluster_id, fabric.index, c.peer_id)
    source = fabric_address(c.cluster_id, fabric.index, c.node_id)
    destinations = (_host(unit.address), _network(unit.address, unit.prefix_length))
    return {Route(MAIN_TABLE, destination, fabric.interface, via=via, source=source) for destination in destinations}


def plan(wanted: State, observed: State, reths: frozenset[str], movable: frozenset[str] = frozenset()) -> list[Operation]:
    """What makes ``observed`` into ``wanted``, in an order that never leaves a node without its ``local`` table.

    ``reths``: interfaces that are ours altogether. On others (children, links) nothing is ever taken down, and of the
    addresses there, which may be the administrator's, only those in ``movable`` are removed. Removals come first where a
    new object would collide with an old one. Rules collide with nothing, and each names a table: they come first of all and
    go last, so that there is always one, and never one for what is not there yet. Empty when nothing is to be done.
    """
    add = wanted - observed
    remove = frozenset(thing for thing in observed - wanted if _removable(thing, reths, movable))
    operations: list[Operation] = [Add(rule) for rule in _sorted(add) if isinstance(rule, Rule)]
    operations += [Remove(thing) for thing in reversed(_sorted(remove)) if not isinstance(thing, Rule)]
    operations += [Add(thing) for thing in _sorted(add) if not isinstance(thing, Rule)]
    return operations + [Remove(thing) for thing in _sorted(remove) if isinstance(thing, Rule)]


def _removable(thing: Thing, reths: frozenset[str], movable: frozenset[str]) -> bool:
    match thing:
        case LinkUp():
            return False
        case Address(interface, address):
            return interface in reths or address in movable
        case MacVlan(name):
            return name in reths
        case _:
            return True


_ORDER = {MacVlan: 0, LinkUp: 1, Address: 2, Rule: 3, Route: 4}


def _sorted(things: State) -> list[Thing]:
    """Interfaces before what lies on them; what is a source or on the way first; otherwise by text."""

    def key(thing: Thing) -> tuple[int, bool, bool, str]:
        through = isinstance(thing, Route) and bool(thing.via)
        with_source = isinstance(thing, Route) and bool(thing.source)
        return _ORDER[type(thing)], through, with_source, repr(thing)

    return sorted(things, key=key)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _host(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _network(address: str, prefix_length: int) -> str:
    return str(ipaddress.ip_network(f"{address}/{prefix_length}", strict=False))


def describe(thing: Thing) -> str:
    """For the log: what was put back."""
    match thing:
        case MacVlan(name, parent):
            return f"interface {name} on {parent}"
        case LinkUp(interface):
            return f"interface {interface} up"
        case Address(interface, address, length):
            return f"address {address}/{length} on {interface}"
        case Route(table, destination, interface, kind):
            return f"route {destination} by {interface or kind} in table {table}"
        case Rule(family, priority):
            return f"IPv{family} rule {priority}"
