"""What one node found when it looked at itself for ``jsrp doctor``: facts only, nothing is judged here."""

import msgspec


class InterfaceSurvey(msgspec.Struct, frozen=True):
    """An interface that the configuration names, or a reth. ``use``: what for, in the operator's words."""

    name: str
    use: str
    present: bool = False
    up: bool = False
    """Administratively."""
    carrier: bool = False
    mtu: int = 0
    bridge: str = ""
    """The bridge it is a port of."""
    managers: tuple[str, ...] = ()
    """Who else configures it, as ``systemd-networkd (/etc/systemd/network/x.network)``."""
    xdp: bool = False
    """An XDP program sits in front of the gate."""
    switch: bool = False
    """It is a port of a switch chip, which may forward without the kernel."""


class ProbeSurvey(msgspec.Struct, frozen=True):
    """Echo requests to the peer's end of a link, not to be fragmented. ``mtu``: bytes of the largest one sent."""

    interface: str
    use: str
    mtu: int
    large: bool
    small: bool
    problem: str = ""
    """Why it could not be tried."""


class ArbiterSurvey(msgspec.Struct, frozen=True):
    """The address of an arbitration probe, or the URL of a member of the witness, asked once. ``problem``: why it is of no use."""

    arbiter: str
    problem: str = ""


class DuplicateSurvey(msgspec.Struct, frozen=True):
    """Somebody who is no node of this cluster answers for a gateway address."""

    address: str
    interface: str
    mac: str


class BlockedTraffic(msgspec.Struct, frozen=True):
    """Packets that a packet filter drops. ``certain``: False where a rule could not be read to the end."""

    traffic: str
    chain: str
    rule: str
    certain: bool = True


class FirewallSurvey(msgspec.Struct, frozen=True):
    """The nftables ruleset. ``problem``: why it could not be read; empty otherwise."""

    problem: str = ""
    digests: dict[str, str] = {}
    """By chain and set, ``inet firewall chain forward``: counters, handles and what times out left out."""
    blocked: tuple[BlockedTraffic, ...] = ()
    flowtables: dict[str, tuple[str, ...]] = {}
    """Devices by ``inet firewall flowtable ft``."""
    legacy: tuple[str, ...] = ()
    """Tables of iptables that nftables does not see."""


class EngineSurvey(msgspec.Struct, frozen=True):
    """The running engine. ``policy``: of the scheduler, ``SCHED_FIFO``; ``locked_kb``: memory that is never paged out."""

    policy: str
    priority: int
    locked_kb: int


class Survey(msgspec.Struct, frozen=True):
    """Everything ``jsrp doctor`` judges of one node. Sysctls by path, ``net/ipv4/ip_forward``."""

    taken_at: int
    """Wall clock, ns since 1970."""
    host_name: str
    version: str
    kernel: str
    cluster_id: int = 0
    """0: not clustered."""
    node_id: int = 0
    running: bool = False
    """The daemon."""
    problems: tuple[str, ...] = ()
    """Of identity, configuration file and directories, a sentence each."""
    key_problem: str = ""
    clock_problem: str = ""
    clock_synchronized: bool | None = None
    """By NTP or alike, as the kernel was told."""
    clock_source: str = ""
    sysctls: dict[str, str | None] = {}
    """As they are; None: this kernel has none of that name."""
    wanted_sysctls: dict[str, str] = {}
    """As this node needs them."""
    bpf_problem: str = ""
    gates: dict[str, bool] = {}
    """Interfaces that must have a gate, and whether it is there and first in line."""
    interfaces: tuple[InterfaceSurvey, ...] = ()
    probes: tuple[ProbeSurvey, ...] = ()
    duplicates: tuple[DuplicateSurvey, ...] = ()
    arbiters: tuple[ArbiterSurvey, ...] = ()
    rivals: tuple[str, ...] = ()
    """Programs in this network namespace that move addresses or sessions as well."""
    firewall: FirewallSurvey = FirewallSurvey()
    conntrack: tuple[int, int] | None = None
    """Entries, and the most there may be."""
    engine: EngineSurvey | None = None
    disk_percent: int | None = None
    """Use of the file system with the state directory."""
    dead_time_ns: int = 0
    """Interval x threshold."""
    session_synchronization: bool = True
    control_links: int = 0
    configuration_digest: str = ""
    """Of what runs; of the file where nothing runs."""
    file_differs: bool = False
    """The file is good and is not what runs."""
    # From here on what only the running daemon can add.
    engine_silent: bool = False
    """It was asked, and has not answered."""
    lateness_ns: int | None = None
    """By how much the engine was late at the worst within the last hour."""
    strangers: dict[str, int] = {}
    """Dropped heartbeats that name this cluster, by cause."""
    difference: str = ""
    """Why its configuration may not be the peer's."""
    restarts: dict[str, int] = {}
    """Of the daemon's processes, by name."""


class GatewayWatch(msgspec.Struct, frozen=True):
    """How a gateway address answered a node on its segment, while another owned it. Wall-clock times, ns since 1970."""

    reth: str
    address: str
    asked: tuple[int, ...] = ()
    answered: tuple[int, ...] = ()
    problem: str = ""
    """Why it could not be watched."""


_encoder = msgspec.msgpack.Encoder()
_watches: msgspec.msgpack.Decoder[tuple[GatewayWatch, ...]] = msgspec.msgpack.Decoder(tuple[GatewayWatch, ...])
_decoder = msgspec.msgpack.Decoder(Survey)


def encode_survey(survey: Survey) -> bytes:
    """As it travels."""
    return _encoder.encode(survey)


def decode_survey(data: bytes) -> Survey:
    """msgspec.DecodeError for anything else."""
    return _decoder.decode(data)


def encode_watches(watches: tuple[GatewayWatch, ...]) -> bytes:
    """As they travel."""
    return _encoder.encode(watches)


def decode_watches(data: bytes) -> tuple[GatewayWatch, ...]:
    """msgspec.DecodeError for anything else."""
    return _watches.decode(data)
