"""What may be written: one schema as data, for checking, suggestions and documentation.

A statement is a ``Statement`` with the kind of value that follows its word and the statements allowed below. Ranges
and defaults: SPEC section 3, reference chapter 6.
"""

import ipaddress
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Value:
    """A kind of value: how to check it and what to say when it is wrong."""

    description: str
    accepts: Callable[[str], bool]


_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}")
"""As it is written only one way, so that 1 and 01 are not two groups; and never longer than any range."""


def is_integer(text: str, low: int, high: int) -> bool:
    """Whether it is a whole number within a range, without sign or leading zeros."""
    return bool(_INTEGER.fullmatch(text)) and low <= int(text) <= high


def integer(low: int, high: int, unit: str = "") -> Value:
    """A whole number within a range."""
    return Value(f"{low}..{high}{' ' + unit if unit else ''}", lambda text: is_integer(text, low, high))


def seconds(low: str, high: str) -> Value:
    """Seconds with up to three decimals, within a range."""

    def accepts(text: str) -> bool:
        return bool(re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text, re.ASCII)) and Decimal(low) <= Decimal(text) <= Decimal(high)

    return Value(f"{low}..{high} s", accepts)


def choice(*words: str) -> Value:
    """One of some words."""
    return Value(" | ".join(words), lambda text: text in words)


def _is(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return accepts


def _interface_address(version: int) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        try:
            return "/" in text and ipaddress.ip_interface(text).version == version
        except ValueError:
            return False

    return accepts


NAME = Value("a name of up to 63 letters, digits, - and .", lambda text: bool(re.fullmatch(r"[A-Za-z0-9.-]{1,63}", text)))
INTERFACE = Value("an interface name of up to 15 characters", lambda text: bool(re.fullmatch(r"[^\s/]{1,15}", text)))
# Without a zone: the socket would look its name up, and the engine must not wait for anything.
ADDRESS = Value("an IP address", lambda text: "%" not in text and _is(ipaddress.ip_address)(text))
ADDRESS_V4 = Value("an IPv4 address", _is(ipaddress.IPv4Address))
ADDRESS_V6 = Value("an IPv6 address", lambda text: "%" not in text and _is(ipaddress.IPv6Address)(text))
PREFIX_V4 = Value("an IPv4 address with prefix length, such as 192.0.2.1/24", _interface_address(4))
PREFIX_V6 = Value("an IPv6 address with prefix length, such as 2001:db8::1/64", _interface_address(6))
PREFIX = Value("an address with prefix length", lambda t: PREFIX_V4.accepts(t) or PREFIX_V6.accepts(t))
ANY = Value("a word", bool)


@dataclass(frozen=True, slots=True)
class Statement:
    """``key``: each value opens a list entry with the statements below it. ``value``: exactly one value follows.

    ``many``: several values may follow. ``refuse``: why this release does not carry it out. ``presence``: it says something
    with nothing below it, too.
    """

    help: str
    key: Value | None = None
    value: Value | None = None
    many: bool = False
    default: str = ""
    below: dict[str, "Statement"] = field(default_factory=dict)
    bare: str = ""
    """The value that the word alone stands for."""
    refuse: str = ""
    presence: bool = False


NOT_YET = "is not in this release"
WEIGHT = Statement("what a failure costs of the group's 255", value=integer(0, 255), default="255")

RETH_UNIT = Value("a reth unit such as reth0.0", lambda text: bool(re.fullmatch(r"reth\d{1,3}\.0", text, re.ASCII)))
UNIT = Value("a systemd unit such as named.service", lambda text: bool(re.fullmatch(r"[\w.@:\\-]{1,255}", text)))
PATH = Value("an absolute path", lambda text: text.startswith("/"))


def _is_command(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


COMMAND = Value("a command with balanced quotes", _is_command)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        bare = not parts.path.strip("/") and not parts.query and not parts.fragment and parts.username is None
        return parts.scheme in ("http", "https") and bool(parts.hostname) and bool(parts.port) and bare
    except ValueError:
        return False


URL = Value("a URL such as http://192.0.2.9:2379", _is_url)


def _targets(address: Value) -> Statement:
    """Addresses of one family, each with its weight and the way it is asked."""
    way = {"secondary-ip-address": Statement("source of the node that is not primary", value=address)}
    target = {"weight": WEIGHT, "interface": Statement("asked by this reth unit", key=RETH_UNIT, below=way)}
    entry = Statement("an address that shall answer", key=address, below=target)
    # Junos hides the word before the address; both forms are taken.
    return Statement("addresses of the family", below={"": entry, "address": entry})


IP_MONITORING = {
    "global-weight": Statement("what the failure costs of the group's 255", value=integer(0, 255), default="255"),
    "global-threshold": Statement("sum of unreachable weights that is a failure", value=integer(0, 255), default="0"),
    "retry-interval": Statement("time between requests", value=seconds("0.1", "30"), default="1"),
    "retry-count": Statement("requests without an answer until unreachable", value=integer(5, 15), default="5"),
    "family": Statement("families", below={"inet": _targets(ADDRESS_V4), "inet6": _targets(ADDRESS_V6)}),
}
SCRIPT_MONITOR = {
    "command": Statement("program and arguments; exit status 0 is well", value=COMMAND),
    "interval": Statement("time between runs", value=integer(1, 86400, "s"), default="10"),
    "timeout": Statement("longest run; then it is killed and has failed", value=integer(1, 3600, "s"), default="5"),
    "rise": Statement("good runs until recovered", value=integer(1, 100), default="2"),
    "fall": Statement("bad runs until failed", value=integer(1, 100), default="3"),
    "weight": WEIGHT,
}
SERVICE = {
    "unit": Statement("a systemd unit", value=UNIT),
    "start": Statement("command that starts it, and ends", value=COMMAND),
    "stop": Statement("command that stops it, and ends", value=COMMAND),
    "timeout": Statement("longest start, and longest stop", value=integer(1, 60, "s"), default="10"),
}
NOTIFICATION = {
    "command": Statement("program and arguments", value=COMMAND),
    "timeout": Statement("longest run; then it is killed", value=integer(1, 3600, "s"), default="30"),
}
DISABLE = Statement("do not watch")
SPU_MONITORING = {
    "disable": DISABLE,
    "cpu": Statement("CPUs that carry packets", value=integer(0, 4095), many=True, default="every CPU, scheduling only"),
    "latency-limit": Statement("longest wait for a CPU", value=integer(100, 60000, "ms"), default="5000"),
    "softnet-drop-limit": Statement("packets dropped a second", value=integer(1, 10_000_000)),
    "conntrack-limit": Statement("fill of the connection table", value=integer(1, 100, "%")),
    "process": Statement("a process that must run", value=NAME, many=True),
    "unit": Statement("a systemd unit that must be active", value=UNIT, many=True),
}
NPC_MONITORING = {
    "disable": DISABLE,
    "flap-limit": Statement("losses of carrier a minute", value=integer(1, 100_000)),
    "error-limit": Statement("errors a minute", value=integer(1, 1_000_000_000)),
    "transmit-timeout-limit": Statement("stalls of a transmit queue a minute", value=integer(1, 100_000)),
    "pci-error-limit": Statement("uncorrectable PCI errors of a card a minute", value=integer(1, 100_000)),
}
HARDWARE_MONITORING = {
    "memory-limit": Statement("use of memory", value=integer(1, 100, "%")),
    "disk-limit": Statement("use of a file system", key=PATH, value=integer(1, 100, "%")),
    "temperature-limit": Statement("hottest sensor", value=integer(1, 150, "degrees Celsius")),
}
SCHEDULE_MONITORING = {
    "disable": DISABLE,
    "slip-limit": Statement(
        "how late the engine may be", value=integer(20, 60000, "ms"), default="half the dead time, at least 100"
    ),
}

REDUNDANCY_GROUP = {
    "node": Statement(
        "priority of a node",
        key=integer(0, 1),
        below={"priority": Statement("higher is preferred", value=integer(1, 254), default="1")},
    ),
    "preempt": Statement(
        "move to the node with the higher priority when it is fit",
        presence=True,
        below={
            "delay": Statement("wait before moving", value=integer(1, 21600, "s")),
            "limit": Statement("moves per period; one more waits for the operator", value=integer(1, 50)),
            "period": Statement("period of the limit", value=integer(1, 1400, "s")),
        },
    ),
    "gratuitous-arp-count": Statement("announcements after a failover", value=integer(1, 16), default="4"),
    "hold-down-interval": Statement(
        "shortest stay in secondary-hold", value=integer(0, 1800, "s"), default="30 for group 0, else 1"
    ),
    "interface-monitor": Statement("watch an interface", key=INTERFACE, below={"weight": WEIGHT}),
    "ip-monitoring": Statement("watch addresses", below=IP_MONITORING),
    "script-monitor": Statement("watch what a command says", key=NAME, below=SCRIPT_MONITOR),
    "service": Statement("runs where the group is primary", key=NAME, below=SERVICE),
    "notification": Statement("told of every change of the group's state; nothing waits for it", key=NAME, below=NOTIFICATION),
    "route": Statement("routes that exist where the group is primary", refuse=NOT_YET),
}

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "sctp": 132, "udplite": 136}
OWNING_GROUP = {"redundancy-group": Statement("the group they move with", value=integer(1, 128))}
SESSION_SYNCHRONIZATION = {
    "off": Statement("the peer is told of no session: a failover loses them"),
    "on": Statement("the peer is told of sessions; the default"),
    "filter": Statement(
        "which sessions the peer is told of",
        below={
            "protocol": Statement("only these", value=choice(*PROTOCOLS), many=True),
            "except-destination-port": Statement("none with this destination port", value=integer(1, 65535), many=True),
            "except-address": Statement("none from or to this prefix", value=PREFIX, many=True),
        },
    ),
    "pickup": Statement(
        "when a session begins to travel",
        below={word: Statement(f"sessions of {word}", value=choice("new", "assured"), default="new") for word in PROTOCOLS},
    ),
    "nat-pool": Statement("addresses that NAT gives out and no reth has", key=PREFIX, below=OWNING_GROUP),
    "mark": Statement("sessions with this conntrack mark", key=integer(1, 0xFFFFFFFF), below=OWNING_GROUP),
    "zone": Statement("sessions in this conntrack zone", key=integer(1, 65535), below=OWNING_GROUP),
}

CLUSTER = {
    "reth-count": Statement("number of reth interfaces", value=integer(1, 128)),
    "heartbeat-interval": Statement("time between heartbeats", value=integer(5, 2000, "ms"), default="100"),
    "heartbeat-threshold": Statement("missed heartbeats until the peer is lost", value=integer(3, 20), default="5"),
    "redundancy-mode": Statement(
        "how groups are spread; latched at start",
        value=choice("active-active", "active-backup"),
        default="active-active",
    ),
    "control-link-recovery": Statement(
        "how a node comes back that has lost the links; without a value it is reboot, as the vendor's",
        value=choice("rejoin", "reboot", "manual"),
        default="rejoin",
        bare="reboot",
    ),
    "no-fabric-monitoring": Statement("a secondary that hears no fabric link stays eligible"),
    "control-link": Statement(
        "a link that carries heartbeats",
        key=integer(0, 3),
        below={
            "interface": Statement("interface of the link", value=INTERFACE),
            "local-address": Statement("this node's address on a routed link", value=ADDRESS),
            "peer-address": Statement("the other node's address on a routed link", value=ADDRESS),
        },
    ),
    "in-band-heartbeat": Statement("hello frames on the reth segments", value=choice("on", "off"), default="on"),
    "virtual-mac": Statement(
        "how virtual MAC addresses are made; child: none, a reth has its child's own",
        value=choice("local", "juniper", "child"),
        default="local",
    ),
    "session-synchronization": Statement("sessions survive a failover", below=SESSION_SYNCHRONIZATION),
    "watchdog": Statement(
        "reboot a machine whose engine hangs while it owns a group",
        below={
            "device": Statement("the kernel's watchdog", value=PATH, default="/dev/watchdog"),
            "timeout": Statement("without a turn of the engine", value=integer(5, 600, "s"), default="30"),
        },
    ),
    "gate": Statement("who shuts a hung node", value=choice("bpf", "none"), default="bpf"),
    "spu-monitoring": Statement("watch what carries packets", below=SPU_MONITORING),
    "npc-monitoring": Statement("watch network cards", below=NPC_MONITORING),
    "hardware-monitoring": Statement("watch the machine", below=HARDWARE_MONITORING),
    "schedule-monitoring": Statement("watch whether the daemon is woken in time", below=SCHEDULE_MONITORING),
    "arbitration": Statement(
        "who may own a group while the nodes do not hear each other",
        below={
            "probe": Statement("an address that must answer the owner; of several, any", value=ADDRESS, many=True),
            "witness": Statement(
                "who gives the groups to one node at a time",
                below={
                    "etcd": Statement(
                        "an etcd cluster", below={"endpoints": Statement("URL of a member's client side", value=URL, many=True)}
                    )
                },
            ),
        },
    ),
    "configuration-synchronize": Statement(
        "how a node comes to the configuration of the other",
        below={"no-secondary-bootup-auto": Statement("a node that has never committed keeps its own file")},
    ),
    "redundancy-group": Statement("a unit of failover", key=integer(0, 128), below=REDUNDANCY_GROUP),
}

REDUNDANT_PARENT = {"redundant-parent": Statement("make it a child of a reth", value=INTERFACE)}
FAMILY = {
    "inet": Statement("IPv4", below={"address": Statement("gateway address", value=PREFIX_V4, many=True)}),
    "inet6": Statement("IPv6", below={"address": Statement("gateway address", value=PREFIX_V6, many=True)}),
}
INTERFACE_STATEMENTS = {
    "redundant-ether-options": Statement(
        "of a reth", below={"redundancy-group": Statement("group that owns the reth", value=integer(1, 128))}
    ),
    "gigether-options": Statement("of a child", below=REDUNDANT_PARENT),
    "fastether-options": Statement("of a child", below=REDUNDANT_PARENT),
    "ether-options": Statement("of a child", below=REDUNDANT_PARENT),
    "fabric-options": Statement(
        "of fab0 and fab1",
        below={"member-interfaces": Statement("children of the fabric interface, one or two", value=INTERFACE, many=True)},
    ),
    "unit": Statement(
        "logical unit",
        key=integer(0, 0),
        below={
            "family": Statement("addresses", below=FAMILY),
            "vlan-id": Statement("VLAN of the unit", value=integer(1, 4094), refuse="needs a kernel with VLAN and " + NOT_YET),
            "node-local-address": Statement(
                "a node's own addresses on the segment",
                below={"node": Statement("which node", key=integer(0, 1), value=PREFIX, many=True)},
            ),
        },
    ),
}

SYSTEM = {
    "host-name": Statement("name of the node", value=NAME),
    "services": Statement(
        "what others may ask the node",
        below={
            "metrics": Statement(
                "metrics over HTTP, unencrypted and to anyone who reaches the address",
                below={
                    "address": Statement(
                        "address to listen at",
                        key=ADDRESS,
                        below={"port": Statement("TCP port", value=integer(1024, 65535), default="9469")},
                    )
                },
            ),
            "rest": Statement(
                "REST interface and dashboard; on the UNIX socket always",
                below={
                    "other-users": Statement(
                        "what a local user may who is neither root nor of group jsrp",
                        value=choice("none", "read-only"),
                        default="none",
                    ),
                    "https": Statement(
                        "over TLS, for who has a token",
                        below={
                            "address": Statement(
                                "address to listen at",
                                key=ADDRESS,
                                below={"port": Statement("TCP port", value=integer(1024, 65535), default="9470")},
                            ),
                            "certificate": Statement("PEM file with the certificate and its chain", value=PATH),
                            "private-key": Statement("PEM file with its key", value=PATH),
                        },
                    ),
                },
            ),
        },
    ),
    "syslog": Statement(
        "system log",
        below={
            "host": Statement(
                "remote receiver",
                key=ADDRESS,
                below={
                    "structured-data": Statement("RFC 5424 form"),
                    "port": Statement("port of the receiver, 514 or with tls 6514", value=integer(1, 65535)),
                    "transport": Statement("how to send", value=choice("udp", "tcp", "tls"), default="udp"),
                    "certificate-authority": Statement(
                        "PEM file with the authorities that may vouch for a receiver over tls; else the system's", value=PATH
                    ),
                    "server-name": Statement("name in the receiver's certificate, where it is not the address", value=NAME),
                    "certificate": Statement("PEM file that this node shows to a receiver over tls that asks for it", value=PATH),
                    "private-key": Statement("PEM file with its key", value=PATH),
                    "any": Statement("facility and severity", value=choice("any")),
                },
            )
        },
    ),
}

PASSWORD = Value("8 to 64 printable characters without blanks", lambda text: bool(re.fullmatch(r"[!-~]{8,64}", text)))
"""RFC 3414, 11.2: at least eight."""
AUTHENTICATION = {"authentication-password": Statement("password for it", value=PASSWORD)}
SNMP = {
    "trap-group": Statement(
        "receivers of traps; its name is the community of version v2",
        key=NAME,
        below={
            "version": Statement("of SNMP", value=choice("v2", "v3"), default="v2"),
            "user": Statement("of version v3", value=NAME),
            "targets": Statement("receiver", value=ADDRESS, many=True),
            "destination-port": Statement("UDP port of the receivers", value=integer(1, 65535), default="162"),
            "categories": Statement("which traps", value=choice("chassis-cluster"), default="chassis-cluster"),
        },
    ),
    "v3": Statement(
        "version 3",
        below={
            "usm": Statement(
                "user-based security (RFC 3414)",
                below={
                    "local-engine": Statement(
                        "users that send",
                        below={
                            "user": Statement(
                                "a user",
                                key=NAME,
                                below={
                                    "authentication-sha": Statement("with HMAC-SHA-96", below=AUTHENTICATION),
                                    "authentication-sha256": Statement("with HMAC-192-SHA-256", below=AUTHENTICATION),
                                    "privacy-aes128": Statement(
                                        "encrypted", below={"privacy-password": Statement("password for it", value=PASSWORD)}
                                    ),
                                },
                            )
                        },
                    )
                },
            )
        },
    ),
}
TOP = {
    "snmp": Statement("traps", below=SNMP),
    "system": Statement("the node itself", below=SYSTEM),
    "chassis": Statement("chassis", below={"cluster": Statement("chassis cluster", below=CLUSTER)}),
    "interfaces": Statement("interfaces", below={"": Statement("an interface", key=INTERFACE, below=INTERFACE_STATEMENTS)}),
}
"""The whole schema. An empty word is the key itself: ``interfaces NAME { … }``."""
