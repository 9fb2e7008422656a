"""Addresses and ports the nodes derive instead of configuring (SPEC section 3).

Control and fabric links carry IPv6 link-local addresses for heartbeats and probes. The fabric also carries routed
addresses of both families, because a standby reaches the gateway addresses on the peer through it.
"""

import ipaddress

CONTROL_PORT = 7273
FABRIC_PORT = 7274
SESSION_PORT = 7275
"""On the fabric links, or on the control links where there are none."""
MANAGEMENT_PORT = 7276
"""TCP, on the control links."""
FABRIC_OFFSET = 16
"""Fabric links are numbered behind the control links in the derived link-local addresses."""


def control_address(cluster_id: int, link: int, node: int) -> str:
    """IPv6 link-local address of a node's end of a control link (/64)."""
    return str(ipaddress.IPv6Address(f"fe80::6a73:{cluster_id:x}:{link:x}:{node + 1:x}"))


def fabric_address_link_local(cluster_id: int, link: int, node: int) -> str:
    """IPv6 link-local address of a node's end of a fabric link (/64), for the probes."""
    return control_address(cluster_id, FABRIC_OFFSET + link, node)


def fabric_address_v4(cluster_id: int, link: int, node: int) -> str:
    """IPv4 link-local address (/30) of a node's end of a fabric link, next hop towards that node."""
    return f"169.254.{cluster_id}.{4 * link + node + 1}"


def fabric_address_v6(cluster_id: int, link: int, node: int) -> str:
    """Unique local IPv6 address (/64) of a node's end of a fabric link, next hop towards that node."""
    return str(ipaddress.IPv6Address(f"fd6a:73{cluster_id:02x}:0:{link:x}::{node + 1:x}"))
