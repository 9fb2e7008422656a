"""Addresses of this node that no reth carries: what ends there stays at home."""

from jsrpd.kernel.netlink import Netlink, attributes
from jsrpd.kernel.rtnetlink import ADDRESS, GETADDR, IFA_ADDRESS, IFA_LOCAL
from jsrpd.model.addressing import fabric_address_v6
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.sessions.attribution import packed_address


def local_addresses(configuration: ClusterConfiguration) -> frozenset[bytes]:
    """Packed; of all interfaces, less the gateway addresses. Empty when the kernel does not tell."""
    c, netlink = configuration, Netlink()
    try:
        answers = [body for _kind, body in netlink.dump(GETADDR, ADDRESS.pack(0, 0, 0, 0, 0))]
    except OSError:
        return frozenset()
    finally:
        netlink.close()
    found = set()
    for body in answers:
        values = attributes(body, ADDRESS.size)
        found.add(values.get(IFA_LOCAL) or values.get(IFA_ADDRESS) or b"")
    # The peer's own packets that pass by us are not ours to carry back to it.
    found |= {packed_address(fabric_address_v6(c.cluster_id, link.index, c.peer_id)) for link in c.fabric_links}
    gateways = {packed_address(unit.address) for reth in configuration.reths for unit in reth.addresses}
    return frozenset(found - gateways - {b""})
