"""Which redundancy group a connection belongs to, and whether it is to travel at all.

Events carry no interface (kernel facts), so the addresses decide: the longest match of either direction's tuples on the
prefixes of the reths and the configured pools. Traffic between networks that lie behind other routers matches none; it
belongs to the lowest group. What ends on an address of this node outside the reths stays at home.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from jsrpd.model.configuration import ClusterConfiguration, SessionFilter
from jsrpd.sessions.ctnetlink import (
    ASSURED,
    MARK,
    STANDBY_TIMEOUT_S,
    STATUS,
    TIMEOUT,
    TUPLE_ORIG,
    TUPLE_REPLY,
    ZONE,
    Parts,
    Tuple,
    number_of,
    tuple_of,
)
from jsrpd.sessions.layout import Layout

REMEMBERED = 1 << 16
"""Pairs of addresses whose group is remembered; then all are forgotten, which costs microseconds each."""
KEPT_AT_LEAST_S = 5 * 86_400
"""The longest timeout a kernel gives by itself; what has more left has it from a peer."""
HOME = 0
"""In place of a group: a connection of the node itself. Group 0 has no addresses and no connections."""
NEVER_TRAVELS = (
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("224.0.0.0", 4),
    ("255.255.255.255", 32),
    ("::1", 128),
    ("fe80::", 10),
    ("ff00::", 8),
)


@dataclass(frozen=True, slots=True)
class Prefix:
    """``bits`` of the address, as a number shifted right by ``shift``."""

    size: int
    length: int
    bits: int
    group: int


@dataclass(slots=True)
class Attribution:
    """Made for one configuration. ``local``: addresses of this node that no reth has, packed."""

    configuration: ClusterConfiguration
    local: frozenset[bytes] = frozenset()
    ambiguous: int = 0
    """Connections whose addresses match several groups equally; the lowest got them."""
    _prefixes: list[Prefix] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)
    _named: dict[bytes, bool] = field(default_factory=dict)
    _default: int = HOME
    _stated: bool = False
    """Zones or marks name groups."""
    unfiltered: bool = True

    def __post_init__(self) -> None:
        self._prefixes = sorted(_prefixes(self.configuration), key=lambda p: (-p.length, p.group))
        sync = self.configuration.session_synchronization
        self._stated = bool(sync.zones or sync.marks)
        self.unfiltered = sync.filter == NO_FILTER
        self._default = min((reth.group for reth in self.configuration.reths), default=HOME)

    def group(self, parts: Parts) -> int:
        """The group of a connection; ``HOME`` when it does not travel."""
        sync = self.configuration.session_synchronization
        if self._stated:
            stated = dict(sync.zones).get(number_of(parts, ZONE)) or dict(sync.marks).get(number_of(parts, MARK))
            if stated is not None:
                return stated
        key = _addresses(parts)
        known = self._known.get(key)
        return self._remember(key, parts) if known is None else known

    def simply_known(self, *, filtered: bool) -> dict[bytes, int]:
        """Groups by both tuples' addresses, as far as they alone decide; grows by ``group_of``. ``filtered``: the filter has
        been applied already."""
        return {} if self._stated or not (filtered or self.unfiltered) else self._known

    def group_of(self, event: bytes, layout: Layout) -> int:
        """The same for an event whose layout is known."""
        if self._stated:
            return self.group(layout.parts(event))
        original, reply = layout.addresses
        key = event[original] + event[reply]
        known = self._known.get(key)
        return self._remember(key, layout.parts(event)) if known is None else known

    def _remember(self, key: bytes, parts: Parts) -> int:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = group = self._look_up(parts)
        return group

    def is_ours_to_remove(self, parts: Parts) -> bool:
        """A standby may take it out when the owner does not have it.

        What no prefix, pool, mark or zone names may as well be traffic this node forwards beside the cluster: of that, only
        what is kept alive artificially has come from the peer.
        """
        key = _addresses(parts)
        named = self._named.get(key)
        if named is None:
            if len(self._named) >= REMEMBERED:
                self._named.clear()
            self._named[key] = named = self._stated or bool(self._best(parts))
        return named or self.is_carried(parts)

    def is_carried(self, parts: Parts) -> bool:
        """It is kept alive as only what came from a peer is."""
        return KEPT_AT_LEAST_S < number_of(parts, TIMEOUT) <= STANDBY_TIMEOUT_S

    def admits(self, parts: Parts) -> bool:
        """The operator's filter lets it travel."""
        wanted = self.configuration.session_synchronization.filter
        return self.unfiltered or _passes(tuple_of(parts[TUPLE_ORIG]), number_of(parts, STATUS), wanted)

    def _look_up(self, parts: Parts) -> int:
        original = tuple_of(parts[TUPLE_ORIG])
        reply = tuple_of(parts[TUPLE_REPLY]) if TUPLE_REPLY in parts else original
        addresses = (original.source, original.destination, reply.source, reply.destination)
        if any(address in self.local for address in addresses) or any(_never(address) for address in addresses):
            return HOME
        groups = self._best(parts)
        self.ambiguous += len(groups) > 1
        return min(groups, default=self._default)

    def _best(self, parts: Parts) -> set[int]:
        """The groups of the longest prefixes that match."""
        original = tuple_of(parts[TUPLE_ORIG])
        reply = tuple_of(parts[TUPLE_REPLY]) if TUPLE_REPLY in parts else original
        addresses = (original.source, original.destination, reply.source, reply.destination)
        best: list[Prefix] = []
        for prefix in self._prefixes:
            if best and prefix.length < best[0].length:
                break
            if any(_matches(prefix, address) for address in addresses):
                best.append(prefix)
        return {prefix.group for prefix in best}


def _addresses(parts: Parts) -> bytes:
    """Both addresses of either tuple, with their attribute headers."""
    original = parts[TUPLE_ORIG]
    size = 24 if original[8] == 8 else 48
    return original[8:size] + parts.get(TUPLE_REPLY, original)[8:size]


NO_FILTER = SessionFilter()


def _passes(original: Tuple, status: int, wanted: SessionFilter) -> bool:
    if original.protocol in wanted.assured_protocols and not status & ASSURED:
        return False
    if wanted.protocols and original.protocol not in wanted.protocols:
        return False
    if original.ports[1] in wanted.except_ports and original.l4:
        return False
    excepted = [_prefix(address.address, address.prefix_length, 1) for address in wanted.except_prefixes]
    return not any(_matches(p, address) for p in excepted for address in (original.source, original.destination))


def _prefixes(configuration: ClusterConfiguration) -> Iterable[Prefix]:
    for reth in configuration.reths:
        for unit in reth.addresses:
            yield _prefix(unit.address, unit.prefix_length, reth.group)
            yield _prefix(unit.address, 128 if ":" in unit.address else 32, reth.group)
    for pool in configuration.session_synchronization.nat_pools:
        yield _prefix(pool.prefix.address, pool.prefix.prefix_length, pool.group)


def _prefix(address: str, length: int, group: int) -> Prefix:
    packed = packed_address(address)
    return Prefix(len(packed), length, int.from_bytes(packed) >> (8 * len(packed) - length), group)


def _matches(prefix: Prefix, address: bytes) -> bool:
    return len(address) == prefix.size and int.from_bytes(address) >> (8 * prefix.size - prefix.length) == prefix.bits


def _never(address: bytes) -> bool:
    return any(_matches(prefix, address) for prefix in _HOME_PREFIXES)


def packed_address(address: str) -> bytes:
    """4 or 16 bytes of an address."""
    return ipaddress.ip_address(address).packed


_HOME_PREFIXES = [_prefix(address, length, HOME) for address, length in NEVER_TRAVELS]
