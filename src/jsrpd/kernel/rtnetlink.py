"""Plans into rtnetlink messages and dumps into observed state. No decision is taken here."""

import contextlib
import ipaddress
import socket
import struct
from dataclasses import dataclass, field

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
    Route,
    Rule,
    Thing,
)
from jsrpd.kernel.netlink import CREATE, EXCLUSIVE, REPLACE, Netlink, attribute, attributes, messages

PROTOCOL = 73
"""Routes with this protocol number are ours."""
KERNEL_PROTOCOL = 2
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWRULE, DELRULE, GETRULE = 32, 33, 34
IFF_UP = 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO = 1, 3, 5, 18
INFO_KIND, INFO_DATA, MACVLAN_MODE, MACVLAN_FLAGS = 1, 2, 1, 2
MACVLAN_PRIVATE, MACVLAN_PASSTHRU, NOT_PROMISCUOUS = 1, 8, 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
NO_DAD, NO_PREFIX_ROUTE = 0x02, 0x200
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_TABLE = 1, 4, 5, 6, 7, 15
UNICAST, LOCAL, BLACKHOLE = 1, 2, 6
ROUTE_KINDS = {"unicast": UNICAST, "local": LOCAL, "blackhole": BLACKHOLE}
KIND_NAMES = {number: name for name, number in ROUTE_KINDS.items()}
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
ONLINK = 4
FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_TABLE = 2, 3, 6, 15
TO_TABLE = 1
IPV6_DEFAULT_METRIC = 1024
ROUTES_OF_INTEREST = (
    (0, PROTOCOL, 0),
    (MAIN_TABLE, KERNEL_PROTOCOL, UNICAST),
    (LOCAL_TABLE, 0, LOCAL),
)
"""(table, protocol, type), 0 for any: all that ``_route`` may accept."""
LINK = struct.Struct("=BBHiII")
ADDRESS = struct.Struct("=BBBBi")
ROUTE = struct.Struct("=BBBBBBBBI")
RULE = struct.Struct("=BBBBBBBBI")
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(slots=True)
class Link:
    """An interface as dumped."""

    index: int
    name: str
    up: bool
    mac: bytes
    kind: str
    parent: int
    mode: int


@dataclass(slots=True)
class Observed:
    """What exists of what may be ours, and the interfaces by name."""

    things: set[Thing] = field(default_factory=set)
    links: dict[str, Link] = field(default_factory=dict)


class RtNetlink:
    """Observes and executes on one request socket."""

    def __init__(self) -> None:
        self._netlink = Netlink()

    def close(self) -> None:
        """Close."""
        self._netlink.close()

    def links(self) -> dict[str, Link]:
        """Interfaces by name."""
        found = (_link(body) for _kind, body in self._netlink.dump(GETLINK, LINK.pack(0, 0, 0, 0, 0, 0)))
        return {link.name: link for link in found}

    def observe(self, reths: frozenset[str], links: frozenset[str]) -> Observed:
        """Ours and what stands in our way: all of the reths, our routes and rules, and addresses on our links."""
        observed = Observed(links=self.links())
        names = {link.index: link.name for link in observed.links.values()}
        for link in observed.links.values():
            if link.up:
                observed.things.add(LinkUp(link.name))
            if link.name in reths:
                ours = link.kind == "macvlan" and link.mode in (MACVLAN_PRIVATE, MACVLAN_PASSTHRU)
                # Anything else by that name is in the way: an unknown parent makes the plan replace it.
                mac = b"" if link.mode == MACVLAN_PASSTHRU else link.mac
                observed.things.add(MacVlan(link.name, names.get(link.parent, "") if ours else "", mac))
        for family in FAMILIES.values():
            for _kind, body in self._netlink.dump(GETADDR, ADDRESS.pack(family, 0, 0, 0, 0)):
                address = _address(body, names)
                if address is None or address.interface not in reths | links:
                    continue
                made_by_kernel = address.interface in reths and ipaddress.ip_address(address.address).is_link_local
                if not made_by_kernel:
                    observed.things.add(address)
            observed.things |= self._routes(family, names, reths)
            for _kind, body in self._netlink.dump(GETRULE, RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
                rule = _rule(body)
                if rule is not None:
                    observed.things.add(rule)
        return observed

    def _routes(self, family: int, names: dict[int, str], reths: frozenset[str]) -> set[Route]:
        """Filtered by the kernel: a router may hold a million routes that are none of ours."""
        found: set[Route] = set()
        for table, protocol, kind in ROUTES_OF_INTEREST:
            request = ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, kind, 0)
            request += attribute(RTA_TABLE, struct.pack("=I", table)) if table else b""
            with contextlib.suppress(FileNotFoundError):  # A table that never held a route does not exist.
                routes = (_route(body, names, reths) for _kind, body in self._netlink.dump(GETROUTE, request))
                found |= {route for route in routes if route is not None}
        return found

    def execute(self, operations: list[Operation], links: dict[str, Link]) -> list[int]:
        """Errno of each operation, 0 where done. An operation on an absent interface answers ENODEV unasked."""
        results = [19] * len(operations)
        indexes = {name: link.index for name, link in links.items()}
        possible = [(n, request) for n, op in enumerate(operations) if (request := _request(op, indexes)) is not None]
        for (n, _), result in zip(possible, self._netlink.execute([r for _, r in possible]), strict=True):
            results[n] = result
        return results


def concerns_us(notification: bytes) -> bool:
    """False when a datagram of notifications tells only of routes that are none of ours, such as a routing daemon's."""
    for kind, _sequence, body in messages(notification):
        if kind not in (NEWROUTE, DELROUTE):
            return True
        _family, _dst, _src, _tos, table, protocol, _scope, _type, _flags = ROUTE.unpack_from(body)
        table = _number(attributes(body, ROUTE.size).get(RTA_TABLE)) or table
        if protocol in (PROTOCOL, KERNEL_PROTOCOL) or table in (OWNER_TABLE, PEER_TABLE, OWN_TABLE, LOCAL_TABLE):
            return True
    return False


def _request(operation: Operation, indexes: dict[str, int]) -> tuple[int, int, bytes] | None:
    """(type, flags, body), or None when the interface does not exist (yet)."""
    adding = isinstance(operation, Add)
    match operation.thing:
        case MacVlan() as macvlan:
            return _macvlan_request(macvlan, adding, indexes)
        case LinkUp(interface):
            index = indexes.get(interface)
            return None if index is None else (NEWLINK, 0, LINK.pack(0, 0, 0, index, IFF_UP if adding else 0, IFF_UP))
        case Address() as address:
            index = indexes.get(address.interface)
            return None if index is None else _address_request(address, adding, index)
        case Route() as route:
            index = indexes.get(route.interface) if route.interface else 0
            return None if index is None else _route_request(route, adding, index)
        case Rule() as rule:
            return _rule_request(rule, adding)


def _macvlan_request(macvlan: MacVlan, adding: bool, indexes: dict[str, int]) -> tuple[int, int, bytes] | None:
    name = attribute(IFLA_IFNAME, macvlan.name.encode() + b"\0")
    if not adding:
        index = indexes.get(macvlan.name)
        return None if index is None else (DELLINK, 0, LINK.pack(0, 0, 0, index, 0, 0))
    parent = indexes.get(macvlan.parent)
    if parent is None:
        return None
    if macvlan.mac:
        mac, data = attribute(IFLA_ADDRESS, macvlan.mac), attribute(MACVLAN_MODE, struct.pack("=I", MACVLAN_PRIVATE))
    else:
        mac, data = b"", attribute(MACVLAN_MODE, struct.pack("=I", MACVLAN_PASSTHRU))
        data += attribute(MACVLAN_FLAGS, struct.pack("=H", NOT_PROMISCUOUS))
    info = attribute(IFLA_LINKINFO, attribute(INFO_KIND, b"macvlan") + attribute(INFO_DATA, data))
    body = LINK.pack(0, 0, 0, 0, 0, 0) + name + attribute(IFLA_LINK, struct.pack("=I", parent))
    return NEWLINK, CREATE | EXCLUSIVE, body + mac + info


def _address_request(address: Address, adding: bool, index: int) -> tuple[int, int, bytes]:
    ip = ipaddress.ip_address(address.address)
    scope = SCOPE_LINK if ip.is_link_local else SCOPE_UNIVERSE
    # Link-local addresses need the prefix route the kernel makes; everything else has its routes from the plan.
    flags = NO_DAD | (0 if ip.version == 6 and ip.is_link_local else NO_PREFIX_ROUTE)
    body = ADDRESS.pack(FAMILIES[ip.version], address.prefix_length, 0, scope, index)
    body += attribute(IFA_LOCAL, ip.packed) + attribute(IFA_ADDRESS, ip.packed)
    if not adding:
        return DELADDR, 0, body
    return NEWADDR, CREATE | REPLACE, body + attribute(IFA_FLAGS, struct.pack("=I", flags))


def _route_request(route: Route, adding: bool, index: int) -> tuple[int, int, bytes]:
    network = ipaddress.ip_network(route.destination)
    connected = route.kind == "unicast" and not route.via and network.version == 4
    scope = SCOPE_HOST if route.kind == "local" else SCOPE_LINK if connected else SCOPE_UNIVERSE
    table = route.table if route.table < 256 else 0
    flags = ONLINK if route.via else 0
    kind = ROUTE_KINDS[route.kind]
    protocol = PROTOCOL if adding else 0
    body = ROUTE.pack(FAMILIES[network.version], network.prefixlen, 0, 0, table, protocol, scope, kind, flags if adding else 0)
    body += attribute(RTA_TABLE, struct.pack("=I", route.table))
    if network.prefixlen:
        body += attribute(RTA_DST, network.network_address.packed)
    if index:
        body += attribute(RTA_OIF, struct.pack("=I", index))
    if route.via:
        body += attribute(RTA_GATEWAY, ipaddress.ip_address(route.via).packed)
    if route.source:
        body += attribute(RTA_PREFSRC, ipaddress.ip_address(route.source).packed)
    if route.metric:
        body += attribute(RTA_PRIORITY, struct.pack("=I", route.metric))
    return (NEWROUTE, CREATE | EXCLUSIVE, body) if adding else (DELROUTE, 0, body)


def _rule_request(rule: Rule, adding: bool) -> tuple[int, int, bytes]:
    source = ipaddress.ip_network(rule.source) if rule.source else None
    table = rule.table if rule.table < 256 else 0
    body = RULE.pack(FAMILIES[rule.family], 0, source.prefixlen if source else 0, 0, table, 0, 0, TO_TABLE, 0)
    body += attribute(FRA_PRIORITY, struct.pack("=I", rule.priority)) + attribute(FRA_TABLE, struct.pack("=I", rule.table))
    if source is not None:
        body += attribute(FRA_SRC, source.network_address.packed)
    if rule.iif:
        body += attribute(FRA_IIFNAME, rule.iif.encode() + b"\0")
    return (NEWRULE, CREATE | EXCLUSIVE, body) if adding else (DELRULE, 0, body)


def _link(body: bytes) -> Link:
    _family, _pad, _type, index, flags, _change = LINK.unpack_from(body)
    found = attributes(body, LINK.size)
    info = attributes(found.get(IFLA_LINKINFO, b""))
    data = attributes(info.get(INFO_DATA, b""))
    kind = info.get(INFO_KIND, b"").rstrip(b"\0").decode()
    return Link(
        index=index,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        up=bool(flags & IFF_UP),
        mac=found.get(IFLA_ADDRESS, b""),
        kind=kind,
        parent=_number(found.get(IFLA_LINK)),
        mode=_number(data.get(MACVLAN_MODE)) if kind == "macvlan" else 0,
    )


def _number(data: bytes | None) -> int:
    return int.from_bytes(data[:4], "little") if data else 0


def _address(body: bytes, names: dict[int, str]) -> Address | None:
    family, length, _flags, _scope, index = ADDRESS.unpack_from(body)
    found = attributes(body, ADDRESS.size)
    packed = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
    if family not in FAMILIES.values() or packed is None or index not in names:
        return None
    return Address(names[index], str(ipaddress.ip_address(packed)), length)


def _route(body: bytes, names: dict[int, str], reths: frozenset[str]) -> Route | None:
    """Our routes, and those the kernel made for reths: a standby must not have ``local`` ones, nor prefixes beside ours."""
    family, length, _src, _tos, table, protocol, _scope, kind, _flags = ROUTE.unpack_from(body)
    found = attributes(body, ROUTE.size)
    table = _number(found.get(RTA_TABLE)) or table
    # Of a route that leads nowhere IPv6 says lo, IPv4 nothing.
    name = "" if kind == BLACKHOLE else names.get(_number(found.get(RTA_OIF)), "")
    local_of_reth = table == LOCAL_TABLE and kind == LOCAL
    prefix_of_reth = table == MAIN_TABLE and kind == UNICAST and protocol == KERNEL_PROTOCOL
    in_the_way = name in reths and (local_of_reth or prefix_of_reth)
    ours = protocol == PROTOCOL and table in (OWNER_TABLE, PEER_TABLE, OWN_TABLE, MAIN_TABLE, LOCAL_TABLE)
    if not ours and not in_the_way:
        return None
    zero = bytes(4 if family == socket.AF_INET else 16)
    destination = f"{ipaddress.ip_address(found.get(RTA_DST, zero))}/{length}"
    if ipaddress.ip_network(destination).is_link_local and not ours:
        return None
    metric = _number(found.get(RTA_PRIORITY))
    source = found.get(RTA_PREFSRC)
    via = found.get(RTA_GATEWAY)
    return Route(
        table=table,
        destination=destination,
        interface=name,
        kind=KIND_NAMES.get(kind, "unicast"),
        via=str(ipaddress.ip_address(via)) if via else "",
        source=str(ipaddress.ip_address(source)) if source and kind != LOCAL else "",
        metric=0 if family == socket.AF_INET6 and metric == IPV6_DEFAULT_METRIC else metric,
    )


def _rule(body: bytes) -> Rule | None:
    """Our rules, and the kernel's own first rule for ``local``."""
    family, _dst, source_length, _tos, table, _r1, _r2, _action, _flags = RULE.unpack_from(body)
    found = attributes(body, RULE.size)
    priority = _number(found.get(FRA_PRIORITY))
    table = _number(found.get(FRA_TABLE)) or table
    if family not in FAMILIES.values() or (priority, table) not in {
        (RULE_IIF, OWNER_TABLE),
        (RULE_FROM, OWNER_TABLE),
        (RULE_PEER, PEER_TABLE),
        (RULE_OWN, OWN_TABLE),
        (RULE_LOCAL, LOCAL_TABLE),
        (0, LOCAL_TABLE),
    }:
        return None
    source = found.get(FRA_SRC)
    return Rule(
        family=4 if family == socket.AF_INET else 6,
        priority=priority,
        table=table,
        iif=found.get(FRA_IIFNAME, b"").rstrip(b"\0").decode(),
        source=f"{ipaddress.ip_address(source)}/{source_length}" if source else "",
    )
