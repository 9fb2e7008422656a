"""Packets that this node carries for a connection which the other node tracks (decision 0135).

A connection between the reths of two groups belongs to the lower group. While these are primary on different nodes, only the
node of the lower one tracks it: it alone filters, translates and tells of it. The node that has the other reth passes its
packets on like a cable, both ways, and its connection tracking keeps nothing but what the peer has told. What these rules say
does not change with the roles: they ask the node's own view of the routes, which does.
"""

import ipaddress
from dataclasses import dataclass

from jsrpd.model.configuration import ClusterConfiguration

MOST_NETWORKS = 32
"""A rule of nftables holds 128 expressions, and each network takes three."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What passes between a reth and the fabric link untracked: everything that does not come from, or go to, one of the
    prefixes in ``but`` (CIDR text) on the other side."""

    reth: str
    fabric: str
    but: tuple[str, ...] = ()


def carried(c: ClusterConfiguration) -> tuple[Carried, ...]:
    """Of every reth whose group is not the lowest, by each fabric link, of which the nodes may use different ones. Nothing without
    any: no packet crosses. Nor of a reth with more networks in the groups above than a rule can name: what crosses there is
    tracked by both nodes (decision 0135)."""
    lowest = min((reth.group for reth in c.reths), default=0)
    higher = {reth.name: _of_higher(c, reth.group) for reth in c.reths if reth.group > lowest}
    few = {reth: but for reth, but in higher.items() if len(but) <= MOST_NETWORKS}
    return tuple(Carried(reth, fabric.interface, but) for reth, but in few.items() for fabric in c.fabric_links)


def _of_higher(c: ClusterConfiguration, group: int) -> tuple[str, ...]:
    """Networks of the groups above: a connection between them and this group belongs to this group."""
    units = [unit for reth in c.reths if reth.group > group for unit in reth.addresses]
    units += [pool.prefix for pool in c.session_synchronization.nat_pools if pool.group > group]
    networks = {ipaddress.ip_network(f"{unit.address}/{unit.prefix_length}", strict=False) for unit in units}
    v4 = ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv6Network))
    return tuple(map(str, (*v4, *v6)))
