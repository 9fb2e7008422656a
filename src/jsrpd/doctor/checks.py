"""The checks of ``jsrp doctor``, in the order in which they are shown: each a small pure function over what was surveyed.

A check of one node sees one survey, a check of both sees two. A finding says what is (the cause), what comes of it, and
what mends it. Critical: the cluster does not do its work now. Warning: it will not, on a bad day. Note: worth knowing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from jsrpd.model.survey import InterfaceSurvey, Survey

OLDEST_KERNEL = (6, 6)
"""TCX, which the gate is attached by, came with it (kernel facts)."""
LATENESS_SHARE = 3
"""A dead time shorter than this many times the worst lateness calls a busy node dead."""
COMMIT_HERE = "jsrp configure, then commit, on the node whose configuration is right"
CONNTRACK_FULL_PERCENT, DISK_FULL_PERCENT = 80, 95
CLOCKS_APART_S = 2.0
STEADY_CLOCKS = frozenset({"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen", "riscv_clocksource", ""})
SAFE_ARP_IGNORE = ("0", "1", None)
MANY_RESTARTS = 3
NANOSECONDS = 1_000_000_000


class Severity(Enum):
    """How bad, by the word operators read; worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. ``node`` None: it concerns both. ``mend``: a command, or what to do."""

    check: str
    severity: Severity
    node: int | None
    cause: str
    consequence: str
    mend: str


@dataclass(frozen=True, slots=True)
class Said:
    """A finding before it has its place."""

    severity: Severity
    cause: str
    consequence: str
    mend: str


NodeCheck = Callable[[Survey], Iterator[Said]]
PairCheck = Callable[[Survey, Survey], Iterator[Said]]
CRITICAL, WARNING, NOTE = Severity.CRITICAL, Severity.WARNING, Severity.NOTE


# -- one node ---------------------------------------------------------------------------------------------------------


def _configuration(s: Survey) -> Iterator[Said]:
    for problem in s.problems:
        worst = CRITICAL if not s.running else WARNING
        yield Said(worst, problem, "the daemon refuses to start, or to load what stands there", "jsrpd -C")
    if s.file_differs:
        yield Said(
            WARNING,
            "the configuration file is not what the daemon runs with",
            "the next start or reload changes what this node does",
            "systemctl reload jsrpd, or take up what is in force: jsrp configure, then commit",
        )
    if s.difference:
        yield Said(
            WARNING,
            f"configuration not synchronized: {s.difference}",
            "the nodes may decide differently",
            "jsrp request chassis cluster configuration-synchronize",
        )


def _daemon(s: Survey) -> Iterator[Said]:
    if s.cluster_id and not s.running:
        yield Said(CRITICAL, "jsrpd does not run", "this node neither owns nor backs up anything", "systemctl start jsrpd")
    if s.engine_silent:
        cause = "the engine does not answer"
        yield Said(CRITICAL, cause, "this node decides nothing, and owns nothing once its lease has run out", "journalctl -u jsrpd")
    if not s.cluster_id and not s.problems:
        cause = "this node is not in a cluster"
        yield Said(CRITICAL, cause, "nothing is protected", "jsrp set chassis cluster cluster-id 1 node 0")
    for name, count in sorted(s.restarts.items()):
        if count >= MANY_RESTARTS:
            cause = f"the {name} process was restarted {count} times since the daemon started"
            yield Said(WARNING, cause, "each time its work stands still for a moment", "journalctl -u jsrpd")


def _key(s: Survey) -> Iterator[Said]:
    if s.key_problem:
        cause, _, mend = s.key_problem.partition("; ")
        consequence = "the nodes do not understand each other, and the daemon does not start"
        yield Said(CRITICAL, cause, consequence, mend.removeprefix("mend it with: ") or "jsrp request chassis cluster key generate")


def _kernel(s: Survey) -> Iterator[Said]:
    version = tuple(int(part) for part in s.kernel.split("-")[0].split(".")[:2] if part.isdigit())
    if s.cluster_id and version < OLDEST_KERNEL:
        cause = f"Linux {s.kernel} has no TCX"
        yield Said(CRITICAL, cause, "no gate can be attached", "install Linux 6.6 or newer, or set chassis cluster gate none")
    if s.bpf_problem:
        cause = f"the kernel refuses a BPF map: {s.bpf_problem}"
        yield Said(
            CRITICAL, cause, "no gate can be made", "run as root with CAP_BPF or CAP_SYS_ADMIN; look at: systemctl cat jsrpd"
        )
    if s.conntrack is None and s.session_synchronization:
        cause = "there is no connection tracking"
        yield Said(WARNING, cause, "no session survives a failover", "modprobe nf_conntrack_netlink")


def _clock(s: Survey) -> Iterator[Said]:
    if s.clock_problem:
        yield Said(CRITICAL, s.clock_problem, "a lease would outlive its engine", "start jsrpd outside of the time namespace")
    if s.clock_source not in STEADY_CLOCKS:
        cause = f"the clock source is {s.clock_source}"
        mend = "cat /sys/devices/system/clocksource/clocksource0/available_clocksource, and boot with clocksource=tsc if it can"
        yield Said(NOTE, cause, "each reading of the clock is slow", mend)
    if s.clock_synchronized is False:
        consequence = "times in logs and commits do not compare between the nodes; decisions do not depend on it"
        yield Said(NOTE, "nobody keeps the wall clock right", consequence, "timedatectl set-ntp true")


def _realtime(s: Survey) -> Iterator[Said]:
    runtime = s.sysctls.get("kernel/sched_rt_runtime_us")
    if runtime == "0":
        consequence = "the engine cannot run punctually"
        yield Said(CRITICAL, "real-time scheduling is off", consequence, "sysctl -w kernel.sched_rt_runtime_us=950000")
    if s.engine is None:
        return
    if s.engine.policy not in ("SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"):
        cause = f"the engine runs as {s.engine.policy}, not real-time"
        yield Said(WARNING, cause, "heartbeats are late while the machine is busy", "give the unit CAP_SYS_NICE and LimitRTPRIO=50")
    if not s.engine.locked_kb:
        cause = "the engine's memory is not locked"
        yield Said(
            WARNING, cause, "it waits for the disk when memory runs short", "give the unit CAP_IPC_LOCK and LimitMEMLOCK=infinity"
        )


def _lateness(s: Survey) -> Iterator[Said]:
    if s.lateness_ns is not None and s.lateness_ns * LATENESS_SHARE > s.dead_time_ns > 0:
        milliseconds, dead = s.lateness_ns / 1e6, s.dead_time_ns / 1e6
        yield Said(
            WARNING,
            f"the engine was {milliseconds:.0f} ms late at worst within the last hour; a node counts as dead after {dead:.0f} ms",
            "a busy moment may look like the death of this node",
            f"give the host more CPU, or: set chassis cluster heartbeat-interval {_longer(s)}",
        )


def _longer(s: Survey) -> int:
    """An interval, ms, at which the lateness seen does no harm, whatever the threshold (at least 3)."""
    assert s.lateness_ns is not None
    return min(2000, max(5, -(-s.lateness_ns * LATENESS_SHARE // 3_000_000)))


def _interfaces(s: Survey) -> Iterator[Said]:
    for one in s.interfaces:
        what = f"interface {one.name} ({one.use})"
        if one.use == "reth":
            if s.running and not one.present:
                yield Said(CRITICAL, f"{what} is missing", "its addresses are served by nobody here", "journalctl -u jsrpd")
            continue
        if not one.present:
            yield Said(CRITICAL, f"{what} does not exist", _lost(one), "ip link; then jsrp configure, and name the right one")
            continue
        if not one.up and s.running:
            yield Said(CRITICAL, f"{what} is set down", _lost(one), f"ip link set {one.name} up")
        elif not one.carrier and one.up:
            yield Said(CRITICAL, f"{what} has no carrier", _lost(one), "plug in the cable, and look at the switch port")
        if one.bridge:
            cause = f"{what} is a port of the bridge {one.bridge}"
            yield Said(
                CRITICAL,
                cause,
                "frames take their way past the gate",
                f"name the bridge instead, or: ip link set {one.name} nomaster",
            )
        if one.xdp:
            cause = f"{what} has an XDP program"
            yield Said(WARNING, cause, "what it forwards or drops never reaches the gate", f"ip link set {one.name} xdp off")
        if one.switch and one.use.startswith("child"):
            cause = f"{what} is a port of a switch chip"
            consequence = "what the chip forwards by itself does not pass the gate"
            yield Said(WARNING, cause, consequence, f"ethtool -K {one.name} hw-tc-offload off, and no routes offloaded")


def _lost(one: InterfaceSurvey) -> str:
    return "the group of its reth cannot be served here" if one.use.startswith("child") else f"{one.use} carries nothing"


def _managers(s: Survey) -> Iterator[Said]:
    for one in s.interfaces:
        for manager in one.managers:
            cause = f"{manager} configures {one.name} ({one.use})"
            consequence = "it may take addresses and routes away, or set the link down"
            yield Said(WARNING, cause, consequence, _unmanage(manager, one.name))
    for rival in s.rivals:
        cause = f"{rival} runs beside jsrpd"
        consequence = "two programs move the same sessions" if rival == "conntrackd" else "two programs move addresses"
        yield Said(WARNING, cause, consequence, f"systemctl disable --now {rival}, or keep it off the interfaces of the cluster")


def _unmanage(manager: str, name: str) -> str:
    if manager.startswith("NetworkManager"):
        return f"nmcli device set {name} managed no"
    if manager.startswith("systemd-networkd"):
        return f"a .network file that sorts first, with [Match] Name={name} and [Link] Unmanaged=yes; then: networkctl reload"
    return "end it, and take the interface out of its configuration"


def _gates(s: Survey) -> Iterator[Said]:
    for name, stands in s.gates.items():
        if not stands:
            cause = f"the gate of {name} is not there, or not first"
            consequence = "frames may pass while this node must be silent"
            yield Said(CRITICAL, cause, consequence, f"bpftool net show dev {name}; take away what stands in front")


def _sysctls(s: Survey) -> Iterator[Said]:
    for name, wanted in sorted(s.wanted_sysctls.items()):
        found = s.sysctls.get(name)
        if s.running and found is not None and found != wanted:
            dotted = name.replace("/", ".")
            cause = f"{dotted} is {found}, and this node needs {wanted}"
            mend = f"sysctl -w {dotted}={wanted}, and find out who sets it: grep -rs {name.rsplit('/')[-1]} /etc/sysctl.*"
            yield Said(CRITICAL, cause, SYSCTL_CONSEQUENCES[name.rsplit("/")[-1]], mend)
    arp_ignore, arp_filter = (s.sysctls.get(f"net/ipv4/conf/all/{name}") for name in ("arp_ignore", "arp_filter"))
    if arp_ignore not in SAFE_ARP_IGNORE:
        cause = f"net.ipv4.conf.all.arp_ignore is {arp_ignore}"
        yield Said(
            CRITICAL,
            cause,
            "the gateway addresses are not answered for as neighbours expect",
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        )
    if arp_filter not in ("0", None):
        cause = f"net.ipv4.conf.all.arp_filter is {arp_filter}"
        yield Said(WARNING, cause, "whether an address is answered depends on routes", "sysctl -w net.ipv4.conf.all.arp_filter=0")
    for name, found in s.sysctls.items():
        if name.endswith("/disable_ipv6") and found == "1":
            where = name.split("/")[3]
            links = "every control and fabric link" if where == "all" else where
            cause = f"IPv6 is off on {'all interfaces' if where == 'all' else where}"
            yield Said(CRITICAL, cause, f"{links} has no address to speak from", f"sysctl -w {name.replace('/', '.')}=0")


SYSCTL_CONSEQUENCES = {
    "ip_forward": "nothing is routed",
    "forwarding": "no IPv6 is routed",
    "ip_nonlocal_bind": "services cannot be bound before this node is primary",
    "rp_filter": "packets that come by the other way, as through the fabric, are dropped",
    "nf_conntrack_events": "connections that end are not told of, and stay with the peer",
    "arp_ignore": "a standby may answer for a gateway address",
    "arp_announce": "neighbours may learn a gateway address with the wrong MAC",
    "accept_local": "packets from an address that both nodes hold are dropped",
    "send_redirects": "hosts are told to go past the gateway",
    "accept_dad": "an IPv6 gateway address may be given up as a duplicate of the peer's",
    "retrans_time_ms": "a node that starts first may miss the other's first heartbeats",
    "accept_ra": "routers on the segment may give this node addresses and routes",
}
"""By the last part of its name: what comes of a wrong value."""


def _firewall(s: Survey) -> Iterator[Said]:
    for one in s.firewall.blocked:
        cause = f"nftables {'drops' if one.certain else 'may drop'} {one.traffic}: {one.chain}, {one.rule}"
        mend = f"nft -a list chain {one.chain}; accept it before that rule"
        consequence = (
            "the nodes do not hear each other there" if "commits" not in one.traffic else "commits do not reach the other node"
        )
        yield Said(CRITICAL if one.certain else NOTE, cause, consequence, mend)
    ours = {one.name for one in s.interfaces}
    for name, devices in sorted(s.firewall.flowtables.items()):
        touched = sorted(ours & set(devices))
        if touched:
            cause = f"{name} takes connections of {', '.join(touched)} out of the packet filter"
            consequence = "connections in it are not told of any more: they do not survive a failover"
            yield Said(
                WARNING, cause, consequence, f"nft delete rule of each 'flow add', then: nft delete {_as_nft_names_it(name)}"
            )
    if s.firewall.problem and s.cluster_id:
        cause = f"the packet filter cannot be read: {s.firewall.problem}"
        yield Said(NOTE, cause, "what it drops of the cluster's own packets is not known", "apt install nftables, and run as root")
    for table in s.firewall.legacy:
        tool = table.split()[0]
        cause = f"{table} holds rules of the older kind, which are not looked at"
        yield Said(
            NOTE, cause, "they may drop the cluster's own packets", f"{tool}-save; ports UDP 7273 to 7275 and TCP 7276 must pass"
        )


def _as_nft_names_it(name: str) -> str:
    """``inet firewall flowtable ft`` as the commands of nft want it."""
    family, table, kind, own = name.split(" ", 3)
    return f"{kind} {family} {table} {own}"


def _probes(s: Survey) -> Iterator[Said]:
    carriers = {one.name for one in s.interfaces if one.up and one.carrier}
    for probe in s.probes:
        what = f"{probe.use} ({probe.interface})"
        if probe.small and not probe.large:
            cause = f"packets of {probe.mtu} bytes do not get through on {what}, small ones do"
            consequence = "the nodes hear each other, and sessions and configurations get stuck"
            yield Said(
                CRITICAL,
                cause,
                consequence,
                f"ip link set {probe.interface} mtu 1500 on both nodes, and look at the switch between",
            )
        elif not probe.small and probe.interface in carriers:
            why = probe.problem or "no echo comes back"
            cause = f"the other node does not answer on {what}: {why}"
            mend = f"look at the other node, the cable, and ICMP in its packet filter: tcpdump -ni {probe.interface}"
            yield Said(WARNING, cause, "a path may be dead, or only ICMP is filtered", mend)


def _arbitration(s: Survey) -> Iterator[Said]:
    """One that answers is enough."""
    silent = [one for one in s.arbiters if one.problem]
    alone = len(silent) == len(s.arbiters)
    for one in silent:
        kind, mend = ("witness", f"curl {one.arbiter}/health") if "//" in one.arbiter else ("probe", f"ping {one.arbiter}")
        yield Said(
            WARNING if alone else NOTE,
            f"the arbitration {kind} {one.arbiter} does not answer: {one.problem}",
            "when the nodes lose each other, this one would own nothing" if alone else "arbitration hangs on the others",
            f"{mend}, on this node; or name another: set chassis cluster arbitration",
        )


def _duplicates(s: Survey) -> Iterator[Said]:
    for one in s.duplicates:
        cause = f"{one.mac} on {one.interface} answers for {one.address}, and is no node of this cluster"
        yield Said(
            CRITICAL,
            cause,
            "hosts send to it in place of the gateway",
            f"find it: tcpdump -eni {one.interface} ether host {one.mac}",
        )


def _strangers(s: Survey) -> Iterator[Said]:
    for cause, count in sorted(s.strangers.items()):
        said = f"{count} heartbeats of this cluster's number were dropped: {cause}"
        if cause == "own node-id":
            mend = f"jsrp set chassis cluster cluster-id {s.cluster_id} node {1 - s.node_id}, on the other, and restart it"
            yield Said(CRITICAL, said, f"two nodes were made node{s.node_id}: both may own the same addresses at once", mend)
            continue
        mend = "copy cluster.key from one node to the other, and restart both" if cause == "key mismatch" else "find who sends them"
        yield Said(WARNING, said, "somebody else uses this cluster-id, or the other node cannot be understood", mend)


def _conntrack(s: Survey) -> Iterator[Said]:
    if s.conntrack is None or not s.conntrack[1]:
        return
    entries, most = s.conntrack
    if 100 * entries >= CONNTRACK_FULL_PERCENT * most:
        cause = f"the connection table holds {entries} of {most}"
        yield Said(
            WARNING,
            cause,
            "soon new connections are dropped, here and at the standby",
            f"sysctl -w net.netfilter.nf_conntrack_max={2 * most}",
        )


def _disk(s: Survey) -> Iterator[Said]:
    if s.disk_percent is not None and s.disk_percent >= DISK_FULL_PERCENT:
        cause = f"the file system of the state directory is {s.disk_percent} % full"
        yield Said(
            WARNING,
            cause,
            "no journal and no commit can be written; the cluster runs on",
            "make room: du -xsh /var/lib/* /var/log/*",
        )


NODE_CHECKS: tuple[tuple[str, str, NodeCheck], ...] = (
    ("daemon", "whether jsrpd runs, and steadily", _daemon),
    ("configuration", "identity, file, directories, what is in force", _configuration),
    ("key", "the key file and who can read it", _key),
    ("kernel", "version, BPF, connection tracking", _kernel),
    ("clock", "boot-time clock, clock source, wall clock", _clock),
    ("real-time", "scheduling and memory of the engine", _realtime),
    ("lateness", "how punctual the engine has been", _lateness),
    ("interfaces", "presence, carrier, bridges, XDP, switch chips", _interfaces),
    ("managers", "who else configures the interfaces", _managers),
    ("gates", "gates in place and first in line", _gates),
    ("sysctls", "forwarding, rp_filter, arp settings, IPv6", _sysctls),
    ("firewall", "rules that drop the cluster's own packets, flowtables", _firewall),
    ("paths", "packets of full size to the other node", _probes),
    ("arbitration", "whether the probes or the witness answer", _arbitration),
    ("duplicates", "who else answers for the gateway addresses", _duplicates),
    ("strangers", "who else uses the cluster-id", _strangers),
    ("conntrack", "room in the connection table", _conntrack),
    ("disk", "room for journal and commits", _disk),
)


# -- both nodes -------------------------------------------------------------------------------------------------------


def _versions(a: Survey, b: Survey) -> Iterator[Said]:
    if a.version != b.version:
        cause = f"jsrpd {a.version} on node{a.node_id}, {b.version} on node{b.node_id}"
        yield Said(NOTE, cause, "normal during an upgrade, not afterwards", "upgrade the older node")
    if a.kernel != b.kernel:
        cause = f"Linux {a.kernel} on node{a.node_id}, {b.kernel} on node{b.node_id}"
        yield Said(NOTE, cause, "a failover changes the kernel that serves", "upgrade the older node when convenient")


def _same_configuration(a: Survey, b: Survey) -> Iterator[Said]:
    if a.configuration_digest != b.configuration_digest:
        cause = "the nodes run different configurations"
        # Where there are commits, one of the nodes says in which way it differs from them.
        committed = a.difference or b.difference
        mend = "jsrp request chassis cluster configuration-synchronize" if committed else COMMIT_HERE
        yield Said(WARNING, cause, "they may decide differently", mend)


def _same_firewall(a: Survey, b: Survey) -> Iterator[Said]:
    if a.firewall.problem or b.firewall.problem:
        return
    ours, theirs = a.firewall.digests, b.firewall.digests
    different = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if different:
        shown = ", ".join(different[:3]) + (f" and {len(different) - 3} more" if len(different) > 3 else "")
        cause = f"the packet filters of the nodes differ: {shown}"
        mend = "compare nft -s list ruleset of both nodes, and load the same"
        yield Said(WARNING, cause, "after a failover connections may be treated otherwise", mend)


def _same_mtu(a: Survey, b: Survey) -> Iterator[Said]:
    there = {probe.use: probe for probe in b.probes}
    for here in a.probes:
        other = there.get(here.use)
        if other is not None and here.mtu and other.mtu and here.mtu != other.mtu:
            cause = f"{here.use} has an MTU of {here.mtu} on node{a.node_id} and of {other.mtu} on node{b.node_id}"
            mend = f"ip link set {here.interface} mtu {max(here.mtu, other.mtu)}, on the node with the lower"
            yield Said(WARNING, cause, "packets that one node sends the other does not take", mend)


def _same_room(a: Survey, b: Survey) -> Iterator[Said]:
    for here, there in ((a, b), (b, a)):
        if here.conntrack is None or there.conntrack is None:
            continue
        if here.conntrack[1] < there.conntrack[1]:
            takes = f"node{here.node_id} takes {here.conntrack[1]} connections, that of node{there.node_id} {there.conntrack[1]}"
            cause = f"the connection table of {takes}"
            mend = f"sysctl -w net.netfilter.nf_conntrack_max={there.conntrack[1]}, on node{here.node_id}"
            worst = CRITICAL if there.conntrack[0] > here.conntrack[1] else WARNING
            yield Said(worst, cause, f"when it is full, node{here.node_id} cannot take over all sessions", mend)


def _same_time(a: Survey, b: Survey) -> Iterator[Said]:
    apart = abs(a.taken_at - b.taken_at) / NANOSECONDS
    if apart > CLOCKS_APART_S:
        cause = f"the wall clocks of the nodes are about {apart:.0f} s apart"
        consequence = "times in logs and commits do not compare; decisions do not depend on it"
        yield Said(NOTE, cause, consequence, "timedatectl set-ntp true, on both nodes")


PAIR_CHECKS: tuple[tuple[str, str, PairCheck], ...] = (
    ("versions", "jsrpd and Linux on both nodes", _versions),
    ("configuration drift", "the same configuration on both nodes", _same_configuration),
    ("firewall drift", "the same packet filter on both nodes", _same_firewall),
    ("MTU", "the same packet size on both nodes", _same_mtu),
    ("conntrack room", "room for each other's sessions", _same_room),
    ("clocks", "wall clocks of both nodes", _same_time),
)


def examine(own: Survey, peer: Survey | None, peer_problem: str = "") -> list[Finding]:
    """Everything found, the worst first. ``peer`` None: it could not be asked, ``peer_problem`` says why; empty: it need not be."""
    found: list[Finding] = []
    for survey in (own, peer):
        if survey is not None:
            node = survey.node_id if survey.cluster_id else None
            found += [_placed(name, node, said) for name, _, check in NODE_CHECKS for said in check(survey)]
    if peer is not None:
        first, second = sorted((own, peer), key=lambda survey: survey.node_id)
        found += [_placed(name, None, said) for name, _, check in PAIR_CHECKS for said in check(first, second)]
    elif peer_problem:
        said = Said(WARNING, peer_problem, "only this node was examined", f"run jsrp doctor on node{1 - own.node_id}")
        found.append(_placed("peer", 1 - own.node_id, said))
    order = list(Severity)
    return sorted(found, key=lambda one: order.index(one.severity))


def _placed(check: str, node: int | None, said: Said) -> Finding:
    return Finding(check, said.severity, node, said.cause, said.consequence, said.mend)
