"""The display's snapshot of a node: both nodes' rows, links, interfaces, and standing conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jsrpd.core.words import arbiter
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, PathId, path_name
from jsrpd.model.roles import RG0, GroupState
from jsrpd.model.status import (
    PROBE,
    WITNESS,
    ArbitrationStatus,
    ClusterStatus,
    FabricInterfaceStatus,
    GroupNodeStatus,
    GroupStatus,
    InterfaceMonitorStatus,
    LinkStatus,
    RethStatus,
)
from jsrpd.model.time import NOT_SOON, Instant, seconds

if TYPE_CHECKING:
    from jsrpd.core.cluster import Cluster
    from jsrpd.core.redundancy_group import RedundancyGroup


def of(cluster: Cluster, now: Instant, conditions: Mapping[PathId, str], drops: Mapping[str, int]) -> ClusterStatus:
    """Snapshot of ``cluster`` at ``now``."""
    configuration = cluster.configuration
    own, theirs = _interfaces(cluster)
    heartbeat = cluster.peer.heartbeat
    heard = {link.index: cluster.path_up(now, FIRST_FABRIC_PATH + link.index) for link in configuration.fabric_links}
    fabric = [
        FabricInterfaceStatus(f"fab{node}", name, states.get(name), _both(states.get(name), heard[link.index]))
        for node in (0, 1)
        for link in configuration.fabric_links
        for name, states in [(link.interface, own) if node == configuration.node_id else (link.peer_interface, theirs)]
    ]
    return ClusterStatus(
        cluster_id=configuration.cluster_id,
        node=configuration.node_id,
        groups=tuple(_group(cluster, now, group) for group in sorted(cluster.groups.values(), key=lambda g: g.number)),
        control_links=tuple(
            LinkStatus(link.index, link.interface, up, "heard" if up else conditions.get(link.index, "no heartbeat"))
            for link in configuration.control_links
            for up in [cluster.path_up(now, link.index)]
        ),
        fabric_up=any(heard.values()),
        fabric_interfaces=tuple(fabric),
        reths=tuple(RethStatus(r.name, bool(own.get(r.child)), r.group) for r in configuration.reths),
        interface_monitors=_monitors(cluster, own, theirs),
        notices=tuple(_notices(cluster, now, conditions)),
        mode=cluster.mode.label,
        configured_mode=configuration.redundancy_mode.label,
        peer_mode=heartbeat.mode.label if heartbeat else None,
        maintenance=cluster.maintenance,
        drops={cause: count for cause, count in drops.items() if count},
        heartbeat_interval_ms=configuration.heartbeat_interval_ms,
        heartbeat_threshold=configuration.heartbeat_threshold,
        control_link_recovery=configuration.control_link_recovery,
        arbitration=_arbitration(cluster, now),
    )


def fabric_ways(cluster: Cluster, now: Instant) -> tuple[int, ...]:
    """Fabric links by which packets pass both ways, as far as is known: each node hears the other there, and neither end has
    lost its carrier."""
    heartbeat = cluster.peer.heartbeat
    hears = heartbeat.paths_heard if heartbeat is not None else 0
    own, theirs = _interfaces(cluster)
    return tuple(
        link.index
        for link in cluster.configuration.fabric_links
        for path in [FIRST_FABRIC_PATH + link.index]
        if cluster.path_up(now, path) and hears >> path & 1
        if own.get(link.interface, True) and theirs.get(link.peer_interface, True)
    )


def _interfaces(cluster: Cluster) -> tuple[dict[str, bool], dict[str, bool]]:
    """Carrier of the watched interfaces here and of the peer's; empty where that is not known. Which bit is whose follows from
    the configuration, so that under another one the peer's say nothing."""
    configuration, heartbeat = cluster.configuration, cluster.peer.heartbeat
    same = heartbeat is not None and heartbeat.configuration_digest == configuration.digest
    return (
        _states(configuration.watched_interfaces, cluster.interfaces_up if cluster.interfaces_known else None),
        _states(configuration.peer_watched_interfaces, heartbeat.interfaces_up if heartbeat and same else None),
    )


def _states(names: tuple[str, ...], up: int | None) -> dict[str, bool]:
    return {} if up is None else {name: bool(up >> bit & 1) for bit, name in enumerate(names)}


def _arbitration(cluster: Cluster, now: Instant) -> ArbitrationStatus | None:
    """Whether a witness answers while its key is not wanted, only who speaks with it knows."""
    if cluster.configuration.arbitration is None:
        return None
    held = cluster.arbitration_held(now)
    remaining = cluster.arbitration_limit - now if held else 0
    if cluster.configuration.arbitration.endpoints:
        return ArbitrationStatus(WITNESS, held, remaining_ns=remaining)
    return ArbitrationStatus(PROBE, held, cluster.arbitration_said, remaining)


def _both(physical: bool | None, heard: bool) -> bool | None:
    return None if physical is None else physical and heard


def _group(cluster: Cluster, now: Instant, group: RedundancyGroup) -> GroupStatus:
    configuration = cluster.configuration
    report = group.report(now, cluster.eligible_for(group))
    own = GroupNodeStatus(
        node=configuration.node_id,
        priority=report.effective_priority,
        state=group.state.label,
        preempt=group.configuration.preempt is not None,
        manual=group.manual,
        failures=report.failures,
        weight=report.weight,
        gate_open=report.gate_open,
        lease_margin_ns=group.lease.deadline - now if group.lease.is_open(now) else None,
        since_ns=now - group.since,
    )
    heard = cluster.peer.reports.get(group.number)
    if heard is None:
        peer = GroupNodeStatus(configuration.peer_id, 0, "lost", None, None, None)
    else:
        peer = GroupNodeStatus(
            node=configuration.peer_id,
            priority=heard.effective_priority,
            state=heard.state.label,
            preempt=group.configuration.preempt is not None,
            manual=heard.manual or group.manual,
            failures=heard.failures,
            weight=heard.weight,
            gate_open=heard.gate_open,
        )
    rows = (own, peer) if configuration.node_id == 0 else (peer, own)
    return GroupStatus(group.number, group.failover_count, rows)


def _monitors(cluster: Cluster, own: Mapping[str, bool], theirs: Mapping[str, bool]) -> tuple[InterfaceMonitorStatus, ...]:
    rows: list[InterfaceMonitorStatus] = []
    for node in (0, 1):
        local = node == cluster.configuration.node_id
        for group in cluster.configuration.groups:
            monitors = group.interface_monitors if local else group.peer_interface_monitors
            for monitor in monitors:
                up = (own if local else theirs).get(monitor.interface)
                rows.append(InterfaceMonitorStatus(monitor.interface, monitor.weight, up, up, group.group, node))
    return tuple(rows)


def _of_node(cluster: Cluster, now: Instant) -> list[str]:
    """What is the matter with a node as a whole."""
    notices: list[str] = []
    configuration, heartbeat = cluster.configuration, cluster.peer.heartbeat
    here, there = f"node{configuration.node_id}", f"node{configuration.peer_id}"
    together = "restart both daemons at the same time"
    if heartbeat is not None and heartbeat.mode != cluster.mode:
        notices.append(f"redundancy mode: {here} runs {cluster.mode.label}, {there} runs {heartbeat.mode.label}; {together}")
    if configuration.redundancy_mode != cluster.mode:
        configured = configuration.redundancy_mode.label
        notices.append(f"redundancy mode: {configured} is configured, {cluster.mode.label} is in force; {together}")
    if cluster.maintenance:
        notices.append(f"{here} is in maintenance; end it with: request chassis cluster maintenance off")
    group = cluster.groups[RG0]
    if group.state == GroupState.DISABLED:
        notices.append(f"{here} is disabled; once its links are mended: request chassis cluster rejoin")
    elif group.state == GroupState.INELIGIBLE and (left := cluster.disabled_at() - now) < NOT_SOON - now:
        notices.append(f"{here} is ineligible ({group.reason}) and will be disabled in {seconds(max(0, left))}")
    return notices


def _notices(cluster: Cluster, now: Instant, conditions: Mapping[PathId, str]) -> list[str]:
    """Standing conditions, each with what to do."""
    notices: list[str] = []
    heartbeat, configuration = cluster.peer.heartbeat, cluster.configuration
    for path, condition in sorted(conditions.items()):
        notices.append(f"{path_name(path)}: heard, {condition}")
    if heartbeat is not None and heartbeat.configuration_digest != configuration.digest:
        notices.append("the nodes run different configurations; load the same jsrpd.conf on both")
    notices += _of_node(cluster, now)
    if configuration.gate == "none":
        notices.append("gate none: a hung node is not shut by its kernel; two owners are possible")
    if not configuration.fabric_links and not configuration.in_band_segments:
        notices.append("no fabric link and no in-band heartbeat: the failure of all control links looks like a dead peer")
    alone = cluster.peer.heartbeat is None
    denied = configuration.arbitration is not None and not cluster.arbitration_held(now)
    if denied and (alone or cluster.arbitration_said is False):
        owns = "owns nothing" if alone else f"would own nothing were node{configuration.peer_id} silent"
        notices.append(f"arbitration: {arbiter(configuration)} does not speak for node{configuration.node_id}, which {owns}")
    for group in cluster.groups.values():
        if group.state.label == "primary" and not group.lease.is_open(now):
            notices.append(f"redundancy group {group.number}: the gate is shut until the peer acknowledges again")
        if group.preempt_held:
            cure = f"clear chassis cluster preempt-count redundancy-group {group.number}"
            notices.append(f"redundancy group {group.number}: stays here, it has preempted as often as its limit allows; {cure}")
    return notices
