"""What may be committed and deserves a second thought, each with the command that mends it."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration, IpMonitoring
from jsrpd.model.roles import FULL_WEIGHT, RG0

Pair = tuple[ClusterConfiguration, ClusterConfiguration]
"""As node 0 and as node 1 reads it."""
ARBITRATED_DEAD_MS = 200
"""Below it an answer of the arbiter stands for less than the monitors process of a busy node may be late."""
LATENESS_SHARE = 3
"""A dead time shorter than this many times the worst lateness seen calls a busy node dead."""


@dataclass(frozen=True, slots=True)
class Lint:
    """One remark, and a statement or command that mends it."""

    text: str
    mend: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What this host knows beyond the text. ``carriers``: the interface below each of its interfaces that has one."""

    lateness_ms: float = 0.0
    cluster_id_in_use: bool = False
    firewall_digests: tuple[str, str] = ("", "")
    carriers: Mapping[str, str] = field(default_factory=dict)


def lints(pair: Pair, own: int, facts: Facts) -> list[Lint]:
    """``own``: the node that ``facts`` are of. Each remark once, though both nodes give rise to it."""
    return list(dict.fromkeys([*_groups(pair), *_links(pair, own, facts), *_cluster(pair[own], facts)]))


def _groups(pair: Pair) -> Iterator[Lint]:
    for configuration in pair:
        for group in configuration.groups:
            if group.group != RG0:
                yield from _unwatched(configuration, group)
                yield from _weights(configuration.node_id, group)
            yield from _targets(configuration, group)
            if group.preempt is not None and group.preempt.delay_s == 0:
                yield Lint(
                    f"redundancy group {group.group} preempts without delay: a node that flaps moves it each time",
                    f"set chassis cluster redundancy-group {group.group} preempt delay 60",
                )


def _unwatched(configuration: ClusterConfiguration, group: GroupConfiguration) -> Iterator[Lint]:
    reths = [reth for reth in configuration.reths if reth.group == group.group]
    watched = group.interface_monitors or group.script_monitors or (group.ip_monitoring and group.ip_monitoring.targets)
    if reths and not watched:
        yield Lint(
            f"redundancy group {group.group} has {reths[0].name} and no monitor on node{configuration.node_id}: "
            "a dead link does not move it",
            f"set chassis cluster redundancy-group {group.group} interface-monitor {reths[0].child} weight 255",
        )


def _weights(node: int, group: GroupConfiguration) -> Iterator[Lint]:
    """What can fail together must be able to cost 255, and a monitor that costs nothing says nothing."""
    at = f"redundancy-group {group.group}"
    weights = [(f"interface-monitor {one.interface}", one.weight) for one in group.interface_monitors]
    weights += [(f"script-monitor {one.name}", one.weight) for one in group.script_monitors]
    if group.ip_monitoring is not None and group.ip_monitoring.targets:
        weights.append(("ip-monitoring", group.ip_monitoring.global_weight))
        yield from _thresholds(group.ip_monitoring, at)
    for name, weight in weights:
        if weight == 0:
            yield Lint(f"{at} {name} has weight 0: its failure changes nothing", f"set chassis cluster {at} {_weight(name)} 255")
    total = sum(weight for _, weight in weights)
    if weights and 0 < total < FULL_WEIGHT:
        yield Lint(
            f"{at}: all monitors of node{node} together cost {total}, less than 255: they can never move it",
            f"set chassis cluster {at} {_weight(weights[0][0])} 255",
        )


def _weight(monitor: str) -> str:
    return f"{monitor} global-weight" if monitor == "ip-monitoring" else f"{monitor} weight"


def _thresholds(watched: IpMonitoring, at: str) -> Iterator[Lint]:
    total = sum(target.weight for target in watched.targets)
    if watched.global_threshold > total:
        yield Lint(
            f"{at} ip-monitoring: all addresses together weigh {total}, below the global-threshold {watched.global_threshold}: "
            "they can never fail",
            f"set chassis cluster {at} ip-monitoring global-threshold {total}",
        )
    elif len(watched.targets) > 1 and watched.global_threshold <= min(target.weight for target in watched.targets):
        yield Lint(
            f"{at} ip-monitoring: the loss of any single address of {len(watched.targets)} is a failure",
            f"set chassis cluster {at} ip-monitoring global-threshold {min(total, FULL_WEIGHT)}",
        )


def _targets(configuration: ClusterConfiguration, group: GroupConfiguration) -> Iterator[Lint]:
    networks = [
        ipaddress.ip_interface(f"{address.address}/{address.prefix_length}").network
        for reth in configuration.reths
        for address in reth.addresses
    ]
    for target in group.ip_monitoring.targets if group.ip_monitoring else ():
        address = ipaddress.ip_address(target.address)
        if target.reth and not any(address in network for network in networks if network.version == address.version):
            yield Lint(
                f"redundancy-group {group.group} ip-monitoring: {target.address} is in no subnet of a reth; "
                "it is asked by whatever route there is, and fails with that route",
                f"see to a route to it on both nodes: ip route get {target.address}",
            )


def _links(pair: Pair, own: int, facts: Facts) -> Iterator[Lint]:
    for configuration in pair:
        control = {link.interface for link in configuration.control_links}
        if len(configuration.control_links) == 1 and not configuration.fabric_links:
            yield Lint(
                "one control link and no fabric link: a single cable is all that joins the nodes outside the segments",
                "set chassis cluster control-link 1 interface NAME",
            )
        elif len(configuration.control_links) == 1:
            yield Lint(
                "one control link only: its loss leaves the fabric link and the segments to tell a dead node from a cut",
                "set chassis cluster control-link 1 interface NAME",
            )
        below = facts.carriers if configuration.node_id == own else {}
        cables = {below.get(interface, interface) for interface in control}
        for link in configuration.fabric_links:
            if below.get(link.interface, link.interface) in cables:
                yield Lint(
                    f"node{configuration.node_id}: fabric member {link.interface} is on the same interface as a control link: "
                    "both are lost together",
                    f"set interfaces fab{configuration.node_id} fabric-options member-interfaces NAME",
                )
        members = [below.get(link.interface, link.interface) for link in configuration.fabric_links]
        if len(set(members)) < len(members):
            yield Lint(
                f"node{configuration.node_id}: both fabric members are on {members[0]}: they are lost together",
                f"set interfaces fab{configuration.node_id} fabric-options member-interfaces NAME",
            )
        children = {reth.child for reth in configuration.reths}
        for interface in sorted(control & children):
            yield Lint(
                f"node{configuration.node_id}: {interface} carries traffic and heartbeats: a full link delays them",
                "set chassis cluster control-link 0 interface NAME",
            )
        without = [reth.name for reth in configuration.reths if not reth.node_local_addresses]
        if without:
            node = configuration.node_id
            yield Lint(
                f"{', '.join(without)}: no node-local-address of node{node}, which as a standby has no address of its own there",
                f"set interfaces {without[0]} unit 0 node-local-address node {node} ADDRESS/LENGTH",
            )


def _cluster(configuration: ClusterConfiguration, facts: Facts) -> Iterator[Lint]:
    dead = configuration.heartbeat_interval_ms * configuration.heartbeat_threshold
    if facts.lateness_ms * LATENESS_SHARE > dead:
        wanted = -(-int(facts.lateness_ms * LATENESS_SHARE) // configuration.heartbeat_threshold)
        yield Lint(
            f"a node counts as dead after {dead} ms, and this host was {facts.lateness_ms:.0f} ms late at worst",
            f"set chassis cluster heartbeat-interval {min(max(wanted, 5), 2000)}",
        )
    if configuration.arbitration is not None and dead < ARBITRATED_DEAD_MS:
        wanted = -(-ARBITRATED_DEAD_MS // configuration.heartbeat_threshold)
        yield Lint(
            f"with arbitration and a dead time of {dead} ms the arbiter has less than {dead // 2} ms to answer: "
            "alone, a busy node is shut for moments",
            f"set chassis cluster heartbeat-interval {wanted}",
        )
    if facts.cluster_id_in_use:
        yield Lint(
            f"somebody else of cluster {configuration.cluster_id} is heard: this node's number, or another key",
            f"set chassis cluster cluster-id N node {configuration.node_id}",
        )
    here, there = facts.firewall_digests
    if here and there and here != there:
        yield Lint(
            "the firewall rulesets of the nodes differ: after a failover connections may be treated otherwise",
            "which chains: jsrp doctor; then load the same on both nodes",
        )
