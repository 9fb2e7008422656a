"""A checked tree into the ``ClusterConfiguration`` of one node, and the checks that need the whole picture."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable

from jsrpd.configuration import monitoring
from jsrpd.configuration.check import nearest
from jsrpd.configuration.groups import expanded
from jsrpd.configuration.junos import Node, Word, render_set, root
from jsrpd.configuration.problems import Problem, problem_at
from jsrpd.configuration.schema import PROTOCOLS
from jsrpd.model.configuration import (
    Arbitration,
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    GroupConfiguration,
    InterfaceMonitor,
    MetricsListener,
    NatPool,
    Preempt,
    RestService,
    Reth,
    RethUnitAddress,
    SessionFilter,
    SessionSynchronization,
    SnmpUser,
    SyslogHost,
    TlsListener,
    TrapGroup,
)
from jsrpd.model.roles import NODE_IDS, RG0, RedundancyMode

RETH = re.compile(r"reth(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-7])")
FABRIC_INTERFACES = {"fab0", "fab1"}
UNIT = ("unit", "0")
CHILD_OPTIONS = ("gigether-options", "fastether-options", "ether-options")
MODES = {mode.label: mode for mode in RedundancyMode}
MAX_FABRIC_LINKS = 2
DIGEST_BYTES = 8


class Resolver:
    """Reads one tree for one node, collecting as it goes: ``problems``, and ``missing``, what should stand there and does not."""

    def __init__(self, tree: Node, cluster_id: int, node_id: int) -> None:
        self.tree, self.cluster_id, self.node_id = tree, cluster_id, node_id
        self.views = {node: expanded(tree, node) for node in NODE_IDS}
        self.problems: list[Problem] = []
        self.missing: list[Problem] = []

    def configuration(self) -> ClusterConfiguration:
        """The configuration. Meaningful only while ``problems`` is empty."""
        view = self.views[self.node_id]
        cluster = view.find("chassis", "cluster") or root()
        groups = self._groups(cluster)
        watchdog = cluster.find("watchdog")
        configuration = ClusterConfiguration(
            cluster_id=self.cluster_id,
            node_id=self.node_id,
            host_name=_value(view, "", "system", "host-name"),
            heartbeat_interval_ms=int(_value(cluster, "100", "heartbeat-interval")),
            heartbeat_threshold=int(_value(cluster, "5", "heartbeat-threshold")),
            control_links=self._control_links(cluster),
            redundancy_mode=MODES[_value(cluster, "active-active", "redundancy-mode")],
            control_link_recovery=_recovery(cluster),
            fabric_links=self._fabric_links(),
            fabric_monitoring=cluster.find("no-fabric-monitoring") is None,
            groups=groups,
            reths=self._reths(),
            spu_monitoring=monitoring.spu(cluster),
            npc_monitoring=monitoring.npc(cluster),
            hardware_monitoring=monitoring.hardware(cluster),
            schedule_monitoring=monitoring.schedule(cluster),
            in_band_heartbeat=_value(cluster, "on", "in-band-heartbeat") == "on",
            syslog_hosts=self._syslog_hosts(view),
            metrics_listeners=_metrics_listeners(view),
            rest=self._rest(view),
            trap_groups=self._trap_groups(view),
            session_synchronization=self._session_synchronization(cluster, {group.group for group in groups}),
            arbitration=self._arbitration(cluster),
            watchdog_device=_value(watchdog, "/dev/watchdog", "device") if watchdog is not None else "",
            watchdog_timeout_s=int(_value(watchdog, "30", "timeout")),
            gate=_value(cluster, "bpf", "gate"),
            digest=hashlib.sha256(render_set(self.tree).encode()).digest()[:DIGEST_BYTES],
        )
        self._check_stanzas()
        self._check_uses(cluster)
        self._check_addresses()
        where = (self.tree.find("chassis", "cluster", "redundancy-group") or self.tree).word
        for path, message in monitoring.problems(configuration):
            self._missing(where, path, message)
        return configuration

    def _problem(self, word: Word, path: str, message: str) -> None:
        self.problems.append(problem_at(word, path, message))

    def _missing(self, word: Word, path: str, message: str, suggestion: str = "") -> None:
        self.missing.append(problem_at(word, path, message, suggestion))

    def _interfaces(self, node_id: int) -> dict[str, Node]:
        """``interfaces NAME`` as a node sees them."""
        stated = self.views[node_id].find("interfaces")
        return stated.children if stated else {}

    def _arbitration(self, cluster: Node) -> Arbitration | None:
        """``arbitration``: addresses or a witness, not both, for two judges could each speak for another node."""
        stated = cluster.find("arbitration")
        if stated is None:
            return None
        probes, witness = _words(stated, "probe"), stated.find("witness", "etcd") or root()
        endpoints = _words(witness, "endpoints")
        if probes and endpoints:
            self._problem(stated.word, "arbitration", "takes probe or witness, not both: each could speak for another node")
        if not probes and not endpoints:
            self._missing(stated.word, "arbitration", "needs probe ADDRESS, or witness etcd endpoints URL")
        for address in probes:
            self._check_probe(stated.word, address)
        return Arbitration(tuple(str(ipaddress.ip_address(address)) for address in probes), tuple(endpoints))

    def _check_probe(self, where: Word, address: str) -> None:
        """It must be somebody else's, and each node must reach it without the other."""
        asked, path = ipaddress.ip_address(address), f"arbitration probe {address}"
        for name, node in self._interfaces(self.node_id).items():
            gateways = _units(*(node.find(*UNIT, "family", family, "address") for family in ("inet", "inet6")))
            own = [_units(node.find(*UNIT, "node-local-address", "node", str(n))) for n in NODE_IDS]
            if any(asked == unit.ip for unit in (*gateways, *own[0], *own[1])):
                self._missing(where, path, "is an address of this cluster")
            elif any(asked in unit.network for unit in gateways):
                without = [f"node{n}" for n in NODE_IDS if not any(asked in unit.network for unit in own[n])]
                if without:
                    there = f"on the segment of {name}, where {' and '.join(without)} has no node-local-address"
                    self._missing(where, path, f"is {there} to ask from while it is secondary")

    def _syslog_hosts(self, view: Node) -> tuple[SyslogHost, ...]:
        hosts = view.find("system", "syslog", "host")
        return tuple(self._syslog_host(address, node) for address, node in (hosts.children if hosts else {}).items())

    def _syslog_host(self, address: str, node: Node) -> SyslogHost:
        """Half of a proof of who this node is would be none, and so would one that is never asked for."""
        transport = _value(node, "udp", "transport")
        port = int(_value(node, "6514" if transport == "tls" else "514", "port"))
        authority, name = _value(node, "", "certificate-authority"), _value(node, "", "server-name")
        certificate, private_key = (_value(node, "", word) for word in ("certificate", "private-key"))
        if certificate or private_key:
            path = f"system syslog host {address}"
            if not (certificate and private_key):
                self._missing(node.word, path, "needs certificate FILE and private-key FILE together")
            if transport != "tls":
                self._missing(node.word, path, "needs transport tls for its certificate")
        structured = "structured-data" in node.children
        return SyslogHost(address, port, structured, transport, authority, name, certificate, private_key)

    def _rest(self, view: Node) -> RestService:
        """``system services rest``. TLS without a certificate would be nothing, so that is refused."""
        service = view.find("system", "services", "rest")
        others_read = _value(service, "none", "other-users") == "read-only"
        https = service.find("https") if service is not None else None
        addresses = https.find("address") if https is not None else None
        if https is None or addresses is None:
            return RestService(others_read)
        certificate, private_key = (_value(https, "", word) for word in ("certificate", "private-key"))
        if not (certificate and private_key):
            self._missing(https.word, "services rest https", "needs certificate FILE and private-key FILE")
        listeners = (
            TlsListener(address, int(_value(node, "9470", "port")), certificate, private_key)
            for address, node in addresses.children.items()
        )
        return RestService(others_read, tuple(listeners))

    def _trap_groups(self, view: Node) -> tuple[TrapGroup, ...]:
        stated = view.find("snmp", "trap-group")
        return tuple(self._trap_group(view, name, node) for name, node in (stated.children if stated else {}).items())

    def _trap_group(self, view: Node, name: str, node: Node) -> TrapGroup:
        user = None
        if _value(node, "v2", "version") == "v3":
            user = self._snmp_user(view, node, _value(node, "", "user"), f"snmp trap-group {name}")
        if not _words(node, "targets"):
            self._missing(node.word, f"snmp trap-group {name}", "needs targets ADDRESS")
        return TrapGroup(name, tuple(_words(node, "targets")), int(_value(node, "162", "destination-port")), user)

    def _snmp_user(self, view: Node, node: Node, name: str, path: str) -> SnmpUser | None:
        stated = view.find("snmp", "v3", "usm", "local-engine", "user", name) if name else None
        if stated is None:
            self._missing(node.word, path, "version v3 needs user U, and that in snmp v3 usm local-engine user U")
            return None
        for kind in ("sha256", "sha"):
            password = _value(stated, "", f"authentication-{kind}", "authentication-password")
            if password:
                return SnmpUser(name, kind, password, _value(stated, "", "privacy-aes128", "privacy-password"))
        self._missing(stated.word, f"snmp v3 usm local-engine user {name}", "needs authentication-sha256 authentication-password P")
        return None

    # -- groups ---------------------------------------------------------------------------------------------------

    def _groups(self, cluster: Node) -> tuple[GroupConfiguration, ...]:
        stated = cluster.find("redundancy-group")
        groups = {RG0: GroupConfiguration(RG0, hold_down_interval_s=30)}
        for text, node in (stated.children if stated else {}).items():
            groups[int(text)] = self._group(int(text), node)
        return tuple(groups[number] for number in sorted(groups))

    def _group(self, number: int, node: Node) -> GroupConfiguration:
        preempt = node.find("preempt")
        if preempt is not None and number == RG0:
            self._problem(preempt.word, "redundancy-group 0", "preempt is not possible for redundancy group 0")
        priorities = tuple(int(_value(node, "1", "node", str(n), "priority")) for n in NODE_IDS)
        return GroupConfiguration(
            group=number,
            priorities=(priorities[0], priorities[1]),
            preempt=self._preempt(number, preempt) if preempt is not None else None,
            hold_down_interval_s=int(_value(node, "30" if number == RG0 else "1", "hold-down-interval")),
            gratuitous_arp_count=int(_value(node, "4", "gratuitous-arp-count")),
            interface_monitors=self._monitors(self.node_id, number),
            peer_interface_monitors=self._monitors(1 - self.node_id, number),
            ip_monitoring=monitoring.ip(node),
            script_monitors=monitoring.scripts(node),
            services=monitoring.services(node),
            notifications=monitoring.notifications(node),
        )

    def _preempt(self, number: int, preempt: Node) -> Preempt:
        delay, limit, period = (int(_value(preempt, "0", word)) for word in ("delay", "limit", "period"))
        if bool(limit) != bool(period):
            self._missing(preempt.word, f"redundancy-group {number} preempt", "limit and period go together")
        return Preempt(delay, limit, period)

    def _monitors(self, node_id: int, number: int) -> tuple[InterfaceMonitor, ...]:
        stated = self.views[node_id].find("chassis", "cluster", "redundancy-group", str(number), "interface-monitor")
        entries = stated.children if stated else {}
        for name, node in entries.items():
            if name not in self._interfaces(node_id):
                path = f"redundancy-group {number} interface-monitor {name}"
                self._missing(node.word, path, "Interface must be defined before configuring monitoring")
        return tuple(InterfaceMonitor(name, int(_value(node, "255", "weight"))) for name, node in entries.items())

    # -- sessions -------------------------------------------------------------------------------------------------

    def _session_synchronization(self, cluster: Node, groups: set[int]) -> SessionSynchronization:
        stated = cluster.find("session-synchronization") or root()
        if "on" in stated.children and "off" in stated.children:
            self._problem(stated.word, "session-synchronization", "on and off exclude each other")
        wanted, pickup = stated.find("filter") or root(), stated.find("pickup") or root()
        return SessionSynchronization(
            on="off" not in stated.children,
            filter=SessionFilter(
                protocols=tuple(PROTOCOLS[word] for word in _words(wanted, "protocol")),
                except_ports=tuple(int(word) for word in _words(wanted, "except-destination-port")),
                except_prefixes=_prefixes(wanted.find("except-address")),
                assured_protocols=tuple(number for word, number in PROTOCOLS.items() if _value(pickup, "new", word) == "assured"),
            ),
            nat_pools=tuple(
                NatPool(_prefixes_of([text])[0], group) for text, group in self._owned_sessions(stated, "nat-pool", groups)
            ),
            marks=tuple((int(text), group) for text, group in self._owned_sessions(stated, "mark", groups)),
            zones=tuple((int(text), group) for text, group in self._owned_sessions(stated, "zone", groups)),
        )

    def _owned_sessions(self, stated: Node, word: str, groups: set[int]) -> list[tuple[str, int]]:
        found = stated.find(word)
        owned = []
        for text, node in (found.children if found else {}).items():
            group = int(_value(node, "0", "redundancy-group"))
            if group not in groups - {RG0}:
                self._problem(node.word, f"session-synchronization {word} {text}", "needs a redundancy-group that is configured")
            owned.append((text, group))
        return owned

    # -- links ----------------------------------------------------------------------------------------------------

    def _control_links(self, cluster: Node) -> tuple[ControlLink, ...]:
        stated = cluster.find("control-link")
        if stated is None:
            where = self.tree.find("chassis", "cluster") or self.tree
            self._missing(where.word, "chassis cluster", "no control-link: the nodes cannot hear each other")
            return ()
        links = []
        for text, node in stated.children.items():
            interface = _value(node, "", "interface")
            if not interface:
                self._missing(node.word, f"control-link {text}", "needs an interface")
            local, peer = _value(node, "", "local-address"), _value(node, "", "peer-address")
            if bool(local) != bool(peer):
                self._missing(node.word, f"control-link {text}", "local-address and peer-address go together")
            links.append(ControlLink(int(text), interface, local, peer))
        return tuple(sorted(links, key=lambda link: link.index))

    def _fabric_links(self) -> tuple[FabricLink, ...]:
        members = {node: self._fabric_members(node) for node in NODE_IDS}
        own, other = members[self.node_id], members[1 - self.node_id]
        if len(own) != len(other):
            where = self.tree.find("interfaces") or self.tree
            self._missing(where.word, "interfaces", "fab0 and fab1 need the same number of member-interfaces")
        return tuple(FabricLink(n, mine, theirs) for n, (mine, theirs) in enumerate(zip(own, other, strict=False)))

    def _fabric_members(self, node: int) -> list[str]:
        found = self.views[node].find("interfaces", f"fab{node}", "fabric-options", "member-interfaces")
        if found is None:
            return []
        if len(found.children) > MAX_FABRIC_LINKS:
            many = f"has {len(found.children)} member-interfaces, takes {MAX_FABRIC_LINKS} at most"
            self._problem(found.word, f"interfaces fab{node}", many)
        return list(found.children)

    # -- reths ----------------------------------------------------------------------------------------------------

    def _reths(self) -> tuple[Reth, ...]:
        reths = []
        for name, node in self._interfaces(self.node_id).items():
            if RETH.fullmatch(name):
                reths.append(self._reth(name, node))
            elif name.startswith("reth"):
                self._problem(node.word, f"interfaces {name}", "reth interfaces are named reth0 to reth127")
        count = self.views[self.node_id].find("chassis", "cluster", "reth-count")
        if count is not None and reths:
            highest = max(reth.index for reth in reths)
            if highest >= int(_value(count, "128")):
                self._problem(count.word, "reth-count", f"must be at least {highest + 1} for reth{highest}")
        return tuple(sorted(reths, key=lambda reth: reth.index))

    def _reth(self, name: str, node: Node) -> Reth:
        path = f"interfaces {name}"
        group = int(_value(node, "-1", "redundant-ether-options", "redundancy-group"))
        if self.views[self.node_id].find("chassis", "cluster", "redundancy-group", str(group)) is None:
            stated = node.find("redundant-ether-options", "redundancy-group", str(group))
            self._missing((stated or node).word, path, "A redundancy group should be defined")
        children = {n: self._children(n, name) for n in NODE_IDS}
        for n, found in children.items():
            if not found:
                self._missing(node.word, path, f"has no child on node{n}")
            if len(found) > 1:
                several = f"has several children ({', '.join(found)}), this release takes one, on node{n}"
                self._problem(node.word, path, several)
        return Reth(
            name=name,
            index=int(name[4:]),
            group=group,
            child=(children[self.node_id] or [""])[0],
            peer_child=(children[1 - self.node_id] or [""])[0],
            mac=self._virtual_mac(int(name[4:])),
            addresses=self._addresses(node, path),
            node_local_addresses=_prefixes(node.find("unit", "0", "node-local-address", "node", str(self.node_id))),
        )

    def _children(self, node_id: int, reth: str) -> list[str]:
        return [name for name, node in self._interfaces(node_id).items() if _parents(node).get(reth)]

    def _addresses(self, node: Node, path: str) -> tuple[RethUnitAddress, ...]:
        stated = [node.find("unit", "0", "family", family, "address") for family in ("inet", "inet6")]
        for family in stated:
            for text, word in (family.children if family else {}).items():
                reason = _not_a_gateway(ipaddress.ip_interface(text))
                if reason:
                    self._problem(word.word, path, f"{text} is {reason} and cannot be a gateway address")
        return tuple(address for family in stated for address in _prefixes(family))

    def _virtual_mac(self, index: int) -> bytes:
        scheme = _value(self.views[self.node_id].find("chassis", "cluster"), "local", "virtual-mac")
        if scheme == "child":
            return b""
        if scheme == "juniper":
            # Reference 1.5: the nibbles of the cluster-id are swapped.
            return bytes([0x00, 0x10, 0xDB, 0xFF, (self.cluster_id & 0xF) << 4 | self.cluster_id >> 4, index])
        return bytes([0x02, 0x6A, 0x73, self.cluster_id, index >> 8, index & 0xFF])

    # -- the whole picture ------------------------------------------------------------------------------------------

    def _check_stanzas(self) -> None:
        """Nothing under ``interfaces`` is passed over in silence (reference 6.5 and 6.2)."""
        interfaces = self._interfaces(self.node_id)
        reths = {name for name in interfaces if RETH.fullmatch(name)}
        for name, node in interfaces.items():
            path = f"interfaces {name}"
            children, unit = _parents(node), node.find("unit")
            for reth, word in children.items():
                if reth not in reths:
                    self._missing(word, path, f"{reth} is not defined", nearest(reth, reths))
            if unit is not None and children:
                self._problem(unit.word, path, "Logical unit is not allowed on redundant-ethernet member")
            elif unit is not None and name not in reths:
                self._problem(unit.word, path, "only a reth has units; addresses of other interfaces are the operating system's")
            for options, fitting, whose in (
                ("redundant-ether-options", reths, "reth interfaces"),
                ("fabric-options", FABRIC_INTERFACES, "fab0 and fab1"),
            ):
                stated = node.find(options)
                if stated is not None and name not in fitting:
                    self._problem(stated.word, path, f"{options} are for {whose} only")

    def _check_uses(self, cluster: Node) -> None:
        """One use per interface of this node."""
        links = cluster.find("control-link")
        wanted = [
            (child.word, f"control link {number}")
            for number, link in (links.children if links else {}).items()
            for child in _children(link.find("interface"))
        ]
        members = self.views[self.node_id].find("interfaces", f"fab{self.node_id}", "fabric-options", "member-interfaces")
        wanted += [(child.word, "the fabric link") for child in _children(members)]
        for node in self._interfaces(self.node_id).values():
            wanted += [(node.word, f"child of {reth}") for reth in _parents(node)]
        uses: dict[str, str] = {}
        for word, use in wanted:
            if word.text in uses:
                self._problem(word, "interfaces", f"{word.text} is both {uses[word.text]} and {use}")
            uses[word.text] = use

    def _check_addresses(self) -> None:
        """One place per address of this node, and its own address on a segment in the prefix of a gateway."""
        owners: dict[str, str] = {}
        for name, node in self._interfaces(self.node_id).items():
            gateways = [child for family in ("inet", "inet6") for child in _children(node.find(*UNIT, "family", family, "address"))]
            own = _children(node.find(*UNIT, "node-local-address", "node", str(self.node_id)))
            for child in (*gateways, *own):
                address = str(ipaddress.ip_interface(child.word.text).ip)
                if address in owners:
                    self._problem(child.word, f"interfaces {name}", f"{address} is on {owners[address]} and on {name}")
                owners[address] = name
            networks = {ipaddress.ip_interface(gateway.word.text).network for gateway in gateways}
            for child in own:
                if ipaddress.ip_interface(child.word.text).network not in networks:
                    message = f"{child.word.text} is not on the segment of a gateway address of {name}"
                    self._missing(child.word, f"interfaces {name}", message)


def _children(node: Node | None) -> tuple[Node, ...]:
    return tuple(node.children.values()) if node is not None else ()


def _units(*stated: Node | None) -> list[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    return [ipaddress.ip_interface(child.word.text) for node in stated for child in _children(node)]


def _parents(interface: Node) -> dict[str, Word]:
    """The reth an interface is a child of, with the word that says so."""
    stated = [child for options in CHILD_OPTIONS for child in _children(interface.find(options, "redundant-parent"))]
    return {child.word.text: child.word for child in stated}


def _not_a_gateway(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> str:
    """Why no host could use it as its gateway."""
    address, network = interface.ip, interface.network
    if address.is_link_local:
        return "link-local"
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return "not an address of one host"
    if interface.version == 4 and network.prefixlen < 31 and address in (network[0], network[-1]):
        return "the network's own or its broadcast address"
    return ""


def _value(node: Node | None, default: str, *path: str) -> str:
    """The single value at a path, or the default."""
    found = node.find(*path) if node is not None else None
    return next(iter(found.children)) if found is not None and found.children else default


def _recovery(cluster: Node) -> str:
    stated = cluster.find("control-link-recovery")
    return "rejoin" if stated is None else _value(stated, "reboot")


def _words(node: Node, path: str) -> list[str]:
    """All values at a place."""
    found = node.find(path)
    return list(found.children) if found is not None else []


def _prefixes(node: Node | None) -> tuple[RethUnitAddress, ...]:
    return _prefixes_of(node.children if node else ())


def _prefixes_of(texts: Iterable[str]) -> tuple[RethUnitAddress, ...]:
    interfaces = [ipaddress.ip_interface(text) for text in texts]
    return tuple(RethUnitAddress(str(i.ip), i.network.prefixlen) for i in interfaces)


def _metrics_listeners(view: Node) -> tuple[MetricsListener, ...]:
    addresses = view.find("system", "services", "metrics", "address")
    return tuple(
        MetricsListener(address, int(_value(node, "9469", "port")))
        for address, node in (addresses.children if addresses else {}).items()
    )
