"""A strict firewall with NAT on both nodes of the lab: what passes after a failover has been carried over.

New connections from the LAN, and from the WAN to one published service; TCP with its first packet only, everything invalid
is dropped, and nothing from the WAN reaches the node itself. FTP has its helper. Without the connections of the other node,
nothing but new ones would get through.

With groups on both nodes the LAN's packets come by the fabric link to the node that has the WAN, which tracks them. The node
that has the LAN passes them on untracked (decision 0135).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsrpd.lab.topology import Segment

SYSCTLS = {"net/netfilter/nf_conntrack_tcp_loose": 0}
NAT = ("source", "none", "destination", "both")
PUBLISHED_PORT = 8080
"""Of the client, for everybody behind the WAN: under its own address, and under the WAN's gateway address by NAT."""
FABRICS = ("fab", "fab2")
"""Of a lab with one fabric link the second is a name that nothing has."""
FIRST_OF_TCP = "tcp flags & (syn|ack) == syn"
NEIGHBOUR_DISCOVERY = "icmpv6 type { 133, 134, 135, 136 } accept"


def server(wan: "Segment", family: int, nat: str) -> tuple[str, str]:
    """(address a client asks for, address the server has) of connections with this kind of NAT."""
    number = NAT.index(nat)
    own = wan.hosts[0 if family == 4 else 1] + (f":{number:x}" if family == 6 and number else "")
    if family == 4:
        own = f"10.2.0.{100 + number}"
    asked = own
    if nat in ("destination", "both"):
        asked = f"10.2.0.{110 + number}" if family == 4 else own.replace("::100:", "::110:")
    return asked, own


def more_server_addresses(wan: "Segment") -> list[str]:
    """Those the server has besides its first, with prefix length."""
    return [f"{server(wan, family, nat)[1]}/{24 if family == 4 else 64}" for nat in NAT[1:] for family in (4, 6)]


def ruleset(lan: "Segment", wan: "Segment") -> str:
    """For ``nft -f``."""
    return "\n".join(
        [
            "table inet firewall {",
            "ct helper ftp {",
            'type "ftp" protocol tcp;',
            "}",
            "chain helpers {",
            "type filter hook prerouting priority 0;",
            'tcp dport 21 ct helper set "ftp"',
            "}",
            "chain forward {",
            "type filter hook forward priority 0; policy drop;",
            "ct state invalid drop",
            "ct state established,related accept",
            f"iifname {lan.reth} oifname {{ {', '.join(FABRICS)} }} ct state untracked accept",
            f"iifname {{ {', '.join(FABRICS)} }} oifname {lan.reth} ct state untracked accept",
            f"{_from(lan)} meta l4proto tcp {FIRST_OF_TCP} ct state new accept",
            f"iifname {wan.reth} tcp dport {PUBLISHED_PORT} {FIRST_OF_TCP} ct state new accept",
            f"iifname {wan.reth} udp dport {PUBLISHED_PORT} ct state new accept",
            f"{_from(lan)} meta l4proto != tcp ct state new accept",
            "}",
            "chain input {",
            "type filter hook input priority 0; policy accept;",
            NEIGHBOUR_DISCOVERY,
            f"iifname {wan.reth} drop",
            "}",
            "chain postrouting {",
            "type nat hook postrouting priority 100;",
            *(_source(lan, wan, family, nat) for nat in ("source", "both") for family in (4, 6)),
            "}",
            "chain prerouting {",
            "type nat hook prerouting priority -100;",
            *(_destination(lan, wan, family, nat) for nat in ("destination", "both") for family in (4, 6)),
            *(_published(lan, wan, family) for family in (4, 6)),
            "}",
            "}",
            "",
        ]
    )


def _from(lan: "Segment") -> str:
    """What the LAN sends, by this node or by the other."""
    return f"iifname {{ {', '.join((lan.reth, *FABRICS))} }}"


def _source(lan: "Segment", wan: "Segment", family: int, nat: str) -> str:
    protocol, gateway = ("ip", wan.gateways[0]) if family == 4 else ("ip6", wan.gateways[1])
    return f"{_from(lan)} oifname {wan.reth} {protocol} daddr {server(wan, family, nat)[1]} snat {protocol} to {gateway}"


def _destination(lan: "Segment", wan: "Segment", family: int, nat: str) -> str:
    protocol = "ip" if family == 4 else "ip6"
    asked, own = server(wan, family, nat)
    return f"{_from(lan)} {protocol} daddr {asked} dnat {protocol} to {own}"


def _published(lan: "Segment", wan: "Segment", family: int) -> str:
    protocol, number = ("ip", 0) if family == 4 else ("ip6", 1)
    asked = f"{protocol} daddr {wan.gateways[number]} meta l4proto {{ tcp, udp }} th dport {PUBLISHED_PORT}"
    return f"iifname {wan.reth} {asked} dnat {protocol} to {lan.hosts[number]}"
