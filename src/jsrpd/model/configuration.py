"""The configuration as the running cluster needs it: resolved for one node, defaults filled in, nothing optional left open.

``jsrpd.configuration`` makes it from Junos text; the parent hands it to the children.
"""

import msgspec

from jsrpd.model.addressing import control_address, fabric_address_link_local
from jsrpd.model.link_messages import MAX_IN_BAND_PATHS
from jsrpd.model.roles import RedundancyMode
from jsrpd.model.time import MILLISECOND, Timing


class ControlLink(msgspec.Struct, frozen=True):
    """One control link. Addresses are empty where they are derived (SPEC section 3)."""

    index: int
    interface: str
    local_address: str = ""
    peer_address: str = ""


class FabricLink(msgspec.Struct, frozen=True):
    """One fabric link: this node's member interface and the peer's (the name is for display)."""

    index: int
    interface: str
    peer_interface: str


class InterfaceMonitor(msgspec.Struct, frozen=True):
    """An interface of *this* node whose failure costs ``weight``."""

    interface: str
    weight: int


class IpTarget(msgspec.Struct, frozen=True):
    """An address that shall answer echo requests; ``reth`` it is asked by, empty: whatever the routes say."""

    address: str
    weight: int = 255
    reth: str = ""
    secondary_address: str = ""
    """Source of the node that is not primary, on its child of the reth; empty where it has none."""


class IpMonitoring(msgspec.Struct, frozen=True):
    """``ip-monitoring`` of a group (reference 5.3)."""

    global_weight: int = 255
    global_threshold: int = 0
    retry_interval_ms: int = 1000
    retry_count: int = 5
    targets: tuple[IpTarget, ...] = ()


class ScriptMonitor(msgspec.Struct, frozen=True):
    """A command whose exit status is watched. ``command``: the program and its arguments."""

    name: str
    command: tuple[str, ...]
    interval_s: int = 10
    timeout_s: int = 5
    rise: int = 2
    fall: int = 3
    weight: int = 255


class Service(msgspec.Struct, frozen=True):
    """What runs where the group is primary: a systemd unit, or two commands. Each step may take ``timeout_s``."""

    name: str
    unit: str = ""
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    timeout_s: int = 10


class Notification(msgspec.Struct, frozen=True):
    """A command that is told of every change of the group's state here, and that nothing waits for."""

    name: str
    command: tuple[str, ...]
    timeout_s: int = 30


class SpuMonitoring(msgspec.Struct, frozen=True):
    """What carries packets: CPUs, softnet, conntrack, declared processes and units. ``None``: not watched."""

    cpus: tuple[int, ...] = ()
    """CPUs that must be online and scheduling; empty: scheduling is judged on every CPU this node may use."""
    latency_limit_ms: int = 5000
    softnet_drop_limit: int | None = None
    """Packets a second."""
    conntrack_limit_percent: int | None = None
    processes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


class NpcMonitoring(msgspec.Struct, frozen=True):
    """Network cards. Device and driver are always watched; the limits are per minute, ``None``: not watched."""

    flap_limit: int | None = None
    error_limit: int | None = None
    transmit_timeout_limit: int | None = None
    pci_error_limit: int | None = None


class HardwareMonitoring(msgspec.Struct, frozen=True):
    """Limits of the machine; ``None`` or empty: not watched."""

    memory_limit_percent: int | None = None
    disk_limits_percent: tuple[tuple[str, int], ...] = ()
    """(mount point, limit)."""
    temperature_limit_celsius: int | None = None


class ScheduleMonitoring(msgspec.Struct, frozen=True):
    """Whether the engine is woken in time. ``slip_limit_ms`` None: half the dead time, 100 ms at least."""

    slip_limit_ms: int | None = None


class Preempt(msgspec.Struct, frozen=True):
    """``preempt``; delay in seconds (0: at once); at most ``limit`` moves in ``period_s`` (0: no limit)."""

    delay_s: int = 0
    limit: int = 0
    period_s: int = 0


class GroupConfiguration(msgspec.Struct, frozen=True):
    """One redundancy group. ``priorities`` by node-id."""

    group: int
    priorities: tuple[int, int] = (1, 1)
    preempt: Preempt | None = None
    hold_down_interval_s: int = 1
    gratuitous_arp_count: int = 4
    interface_monitors: tuple[InterfaceMonitor, ...] = ()
    peer_interface_monitors: tuple[InterfaceMonitor, ...] = ()
    ip_monitoring: IpMonitoring | None = None
    script_monitors: tuple[ScriptMonitor, ...] = ()
    services: tuple[Service, ...] = ()
    """Started in this order, stopped in the other."""
    notifications: tuple[Notification, ...] = ()

    @property
    def service_stop_limit_s(self) -> int:
        """The longest that a planned hand-over waits for the services to end."""
        return sum(service.timeout_s for service in self.services)


class RethUnitAddress(msgspec.Struct, frozen=True):
    """``address/prefix-length`` as text, for example ``192.0.2.1/24`` or ``2001:db8::1/64``."""

    address: str
    prefix_length: int


class Reth(msgspec.Struct, frozen=True):
    """A redundant Ethernet interface as it stands on this node."""

    name: str
    index: int
    group: int
    child: str
    """This node's child interface."""
    peer_child: str
    mac: bytes
    """Virtual MAC, 6 bytes; empty: the reth has its child's own."""
    addresses: tuple[RethUnitAddress, ...] = ()
    node_local_addresses: tuple[RethUnitAddress, ...] = ()

    @property
    def station(self) -> str:
        """The interface that has the addresses of this node on the segment: with one MAC for all, what comes for them enters
        by the reth."""
        return self.child if self.mac else self.name


class SyslogHost(msgspec.Struct, frozen=True):
    """A remote syslog receiver."""

    address: str
    port: int = 514
    structured_data: bool = False
    transport: str = "udp"
    """``udp``, ``tcp`` or ``tls``."""
    certificate_authority: str = ""
    """Over TLS: PEM file; empty: the system's."""
    server_name: str = ""
    """Over TLS: as the certificate has it; empty: the address."""
    certificate: str = ""
    private_key: str = ""
    """Over TLS: PEM files by which this node shows who it is, to a receiver that asks; both or neither."""


class MetricsListener(msgspec.Struct, frozen=True):
    """A TCP address of this node at which ``/metrics`` is read."""

    address: str
    port: int


class TlsListener(msgspec.Struct, frozen=True):
    """A TCP address of this node at which the REST interface is served; paths of PEM files."""

    address: str
    port: int
    certificate: str
    private_key: str


class RestService(msgspec.Struct, frozen=True):
    """``system services rest``. ``others_read``: local users who are neither root nor of group jsrp may read."""

    others_read: bool = False
    https: tuple[TlsListener, ...] = ()


class SnmpUser(msgspec.Struct, frozen=True):
    """``authentication``: ``sha`` or ``sha256``; ``privacy_password`` empty: not encrypted."""

    name: str
    authentication: str
    authentication_password: str
    privacy_password: str = ""


class TrapGroup(msgspec.Struct, frozen=True):
    """Receivers of traps. ``user`` None: version 2c, with the name as community."""

    name: str
    targets: tuple[str, ...]
    port: int = 162
    user: SnmpUser | None = None


class SessionFilter(msgspec.Struct, frozen=True):
    """Which connections travel: ``protocols`` (numbers; empty: all) less what the exceptions name."""

    protocols: tuple[int, ...] = ()
    except_ports: tuple[int, ...] = ()
    """Destination ports."""
    except_prefixes: tuple[RethUnitAddress, ...] = ()
    assured_protocols: tuple[int, ...] = ()
    """Of these a connection travels when its kernel calls it assured, not when it begins."""


class NatPool(msgspec.Struct, frozen=True):
    """Addresses NAT hands out that no reth carries, and the group they move with."""

    prefix: RethUnitAddress
    group: int


class SessionSynchronization(msgspec.Struct, frozen=True):
    """``chassis cluster session-synchronization``. Marks and zones name the group of a connection outright."""

    on: bool = True
    filter: SessionFilter = SessionFilter()
    nat_pools: tuple[NatPool, ...] = ()
    marks: tuple[tuple[int, int], ...] = ()
    zones: tuple[tuple[int, int], ...] = ()


class Arbitration(msgspec.Struct, frozen=True):
    """Who decides while the nodes do not hear each other: addresses of which one must answer, or an etcd cluster. Never both."""

    probes: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    """URLs of the etcd cluster's client side."""


class ClusterConfiguration(msgspec.Struct, frozen=True):
    """What one node needs to know to be half of the cluster."""

    cluster_id: int
    node_id: int
    host_name: str = ""
    heartbeat_interval_ms: int = 100
    heartbeat_threshold: int = 5
    redundancy_mode: RedundancyMode = RedundancyMode.ACTIVE_ACTIVE
    control_link_recovery: str = "rejoin"
    control_links: tuple[ControlLink, ...] = ()
    fabric_links: tuple[FabricLink, ...] = ()
    fabric_monitoring: bool = True
    """A secondary that hears no fabric link is not chosen."""
    disable_after_s: int = 180
    """The vendor's ineligible timer. No statement changes it; the simulator shortens it."""
    groups: tuple[GroupConfiguration, ...] = ()
    reths: tuple[Reth, ...] = ()
    in_band_heartbeat: bool = True
    """Hello frames on the segments of the reths."""
    syslog_hosts: tuple[SyslogHost, ...] = ()
    metrics_listeners: tuple[MetricsListener, ...] = ()
    rest: RestService = RestService()
    trap_groups: tuple[TrapGroup, ...] = ()
    spu_monitoring: SpuMonitoring | None = None
    npc_monitoring: NpcMonitoring | None = None
    hardware_monitoring: HardwareMonitoring | None = None
    schedule_monitoring: ScheduleMonitoring | None = None
    session_synchronization: SessionSynchronization = SessionSynchronization()
    arbitration: Arbitration | None = None
    """None: in a complete cut both nodes own the groups."""
    watchdog_device: str = ""
    """Empty: none."""
    watchdog_timeout_s: int = 30
    gate: str = "bpf"
    """``bpf``, or ``none``: promise 1 is off and said so."""
    digest: bytes = b"\0" * 8
    """First 8 bytes of a hash over the node-independent configuration."""

    @property
    def timing(self) -> Timing:
        """Heartbeat timing in nanoseconds."""
        return Timing(self.heartbeat_interval_ms * MILLISECOND, self.heartbeat_threshold)

    @property
    def witnessed(self) -> bool:
        """An etcd cluster decides while the nodes do not hear each other."""
        return self.arbitration is not None and bool(self.arbitration.endpoints)

    @property
    def fabric_monitored(self) -> bool:
        """Nothing is monitored that is not there (SPEC section 5)."""
        return self.fabric_monitoring and bool(self.fabric_links)

    @property
    def peer_id(self) -> int:
        """The other node's id."""
        return 1 - self.node_id

    def control_ends(self, link: ControlLink) -> tuple[str, str]:
        """This node's address on a control link and the peer's, as stated or derived (SPEC section 3)."""
        own, peer = (control_address(self.cluster_id, link.index, node) for node in (self.node_id, self.peer_id))
        return link.local_address or own, link.peer_address or peer

    def fabric_ends(self, link: FabricLink) -> tuple[str, str]:
        """This node's link-local address on a fabric link and the peer's."""
        own, peer = (fabric_address_link_local(self.cluster_id, link.index, node) for node in (self.node_id, self.peer_id))
        return own, peer

    @property
    def in_band_segments(self) -> tuple[Reth, ...]:
        """The reths whose segments carry hello frames, in the order of their paths. Enough of them to tell a dead peer from
        a cut; not all of many."""
        return self.reths[:MAX_IN_BAND_PATHS] if self.in_band_heartbeat else ()

    @property
    def watched_interfaces(self) -> tuple[str, ...]:
        """Interfaces of this node whose state is shown on both nodes, sorted; the index is the bit in the heartbeat."""
        monitors = {m.interface for g in self.groups for m in g.interface_monitors}
        return tuple(sorted(monitors | {r.child for r in self.reths} | self._link_interfaces(own=True)))

    @property
    def peer_watched_interfaces(self) -> tuple[str, ...]:
        """The peer's ``watched_interfaces``, as this node derives them from the common configuration."""
        monitors = {m.interface for g in self.groups for m in g.peer_interface_monitors}
        return tuple(sorted(monitors | {r.peer_child for r in self.reths} | self._link_interfaces(own=False)))

    def _link_interfaces(self, own: bool) -> set[str]:
        return {f.interface if own else f.peer_interface for f in self.fabric_links}

    def group(self, number: int) -> GroupConfiguration:
        """Configuration of one group; KeyError when it is not configured."""
        for group in self.groups:
            if group.group == number:
                return group
        raise KeyError(number)
