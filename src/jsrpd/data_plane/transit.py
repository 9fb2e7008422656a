"""Packets that this node carries for a connection which the other node tracks (decision 0135).

A connection between the reths of two groups belongs to the lower group. While these are primary on different nodes, only the
node of the lower one tracks it: it alone filters, translates and tells of it. The node that has the other reth passes its
packets on like a cable, both ways, and its connection tracking keeps nothing but what the peer has told. What these rules say
does not change with the roles: they ask the node's own view of the routes, which does.
"""

import ipaddress
from dataclasses import dataclass

from jsrpd.model.configuration import ClusterConfiguration


@dataclass(frozen=True, slots=True)
class Carried:
    """What passes between a reth and the fabric link untracked: everything that does not come from, or go to, one of the
    prefixes in ``but`` (CIDR text) on the other side."""

    reth: str
    fabric: str
    but: tuple[str, ...] = ()


def carried(c: ClusterConfiguration) -> tuple[Carried, ...]:
    """Of every reth whose group is not the lowest. Nothing without a fabric link: no packet crosses."""
    lowest = min((reth.group for reth in c.reths), default=0)
    if not c.fabric_links:
        return ()
    fabric = c.fabric_links[0].interface
    return tuple(Carried(reth.name, fabric, _of_higher(c, reth.group)) for reth in c.reths if reth.group > lowest)


def _of_higher(c: ClusterConfiguration, group: int) -> tuple[str, ...]:
    """Networks of the groups above: a connection between them and this group belongs to this group."""
    units = [unit for reth in c.reths if reth.group > group for unit in reth.addresses]
    units += [pool.prefix for pool in c.session_synchronization.nat_pools if pool.group > group]
    networks = {ipaddress.ip_network(f"{unit.address}/{unit.prefix_length}", strict=False) for unit in units}
    return tuple(sorted(map(str, networks)))
