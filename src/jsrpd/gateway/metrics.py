"""The metrics of a node, from the snapshot that every display is made of, and from what its processes are like.

The number of series is bounded by the configuration: groups, links, interfaces, processes; no address, no session and
no text is ever a label. What the peer has not told has no sample, rather than an invented one.
"""

from collections.abc import Iterable, Sequence

import msgspec

from jsrpd.gateway.families import Family
from jsrpd.model.roles import GroupState, codes_of
from jsrpd.model.status import LATENESS_BOUNDS_NS, ClusterStatus, SessionStatus

NANOSECONDS_PER_SECOND, MILLISECONDS_PER_SECOND = 1e9, 1e3
LOST = "lost"
STATES = (*(state.label for state in GroupState), LOST)


class ProcessStatus(msgspec.Struct, frozen=True):
    """One process of the daemon. ``restarts``: since the daemon was started; None: the kernel did not tell."""

    name: str
    restarts: int
    resident_bytes: int | None = None
    cpu_s: float | None = None


def families(status: ClusterStatus | None, processes: Sequence[ProcessStatus], version: str, python_version: str) -> list[Family]:
    """All families that have samples. ``status`` None: not clustered, or the engine does not answer."""
    build = Family("jsrpd_build", "info", "Release of the daemon and of the interpreter it runs on.")
    build.add(1, version=version, python_version=python_version)
    engine = Family("jsrpd_engine_answers", "gauge", "Whether the engine answered when this was read: 1 or 0.")
    engine.add(int(status is not None))
    found = [build, engine, *_processes(processes)]
    if status is not None:
        found += [*_node(status), *_groups(status), *_links(status), *_arbitration(status), *_schedule(status)]
        found += [*_interfaces(status), *_log(status)]
        found += _sessions(status.sessions) if status.sessions is not None else []
    return [family for family in found if family.samples]


def _processes(processes: Iterable[ProcessStatus]) -> list[Family]:
    restarts = Family("jsrpd_process_restarts", "counter", "How often the process was started again.")
    memory = Family("jsrpd_process_resident_memory_bytes", "gauge", "Memory of the process that is resident.", "bytes")
    cpu = Family("jsrpd_process_cpu_seconds", "counter", "CPU time the process has used.", "seconds")
    for process in processes:
        restarts.add(process.restarts, process=process.name)
        if process.resident_bytes is not None:
            memory.add(process.resident_bytes, process=process.name)
        if process.cpu_s is not None:
            cpu.add(process.cpu_s, process=process.name)
    return [restarts, memory, cpu]


def _node(status: ClusterStatus) -> list[Family]:
    node = Family("jsrpd_node", "info", "Which node of which cluster this is.")
    node.add(1, cluster_id=str(status.cluster_id), node=str(status.node))
    notices = Family("jsrpd_notices", "gauge", "Standing conditions an operator should know; show chassis cluster status has them.")
    notices.add(len(status.notices))
    drops = Family("jsrpd_dropped_datagrams", "counter", "Datagrams received on the paths and dropped, by cause.")
    for cause, count in status.drops.items():
        drops.add(count, cause=cause)
    return [node, notices, drops]


def _groups(status: ClusterStatus) -> list[Family]:
    state = Family("jsrpd_group_state", "stateset", "State of the redundancy group on the node, as this node sees it.")
    priority = Family("jsrpd_group_priority", "gauge", "Effective priority: 0 not eligible, 255 set by hand.")
    weight = Family("jsrpd_group_weight", "gauge", "255 less the weights of what has failed; the group leaves at 0 or below.")
    failure = Family("jsrpd_group_monitor_failure", "gauge", "1 for each monitor-failure code that is set.")
    manual = Family("jsrpd_group_manual", "gauge", "Whether the group was moved by hand and not reset: 1 or 0.")
    gate = Family("jsrpd_group_gate_open", "gauge", "Whether the node's gate lets the group's frames pass: 1 or 0.")
    margin = Family("jsrpd_group_lease_margin_seconds", "gauge", "For how long this node's open gate would stay open.", "seconds")
    since = Family(
        "jsrpd_group_state_age_seconds", "gauge", "For how long this node has been in its state of the group.", "seconds"
    )
    failovers = Family("jsrpd_group_failovers", "counter", "Failovers of the group, as show chassis cluster status counts.")
    for group in status.groups:
        failovers.add(group.failover_count, group=str(group.group))
        for row in group.nodes:
            labels = {"group": str(group.group), "node": str(row.node)}
            for label in STATES:
                state.add(int(row.state == label), **labels, jsrpd_group_state=label)
            priority.add(row.priority, **labels)
            for code in codes_of(row.failures or 0):
                failure.add(1, **labels, code=code.name)
            for family, value in ((weight, row.weight), (manual, row.manual), (gate, row.gate_open)):
                if value is not None:
                    family.add(int(value), **labels)
            if row.lease_margin_ns is not None:
                margin.add(row.lease_margin_ns / NANOSECONDS_PER_SECOND, **labels)
            if row.since_ns is not None:
                since.add(row.since_ns / NANOSECONDS_PER_SECOND, **labels)
    return [state, since, priority, weight, failure, manual, gate, margin, failovers]


def _links(status: ClusterStatus) -> list[Family]:
    path = Family("jsrpd_path_up", "gauge", "Whether the peer is heard on the path: 1 or 0.")
    for link in status.control_links:
        path.add(int(link.up), path=f"control{link.index}")
    if status.fabric_interfaces:
        path.add(int(status.fabric_up), path="fabric")
    own_children = (child for child in status.fabric_interfaces if child.name == f"fab{status.node}")
    for index, own in enumerate(own_children):
        path.add(int(bool(own.monitored_up)), path=f"fabric{index}")
    sent = Family("jsrpd_heartbeats_sent", "counter", "Heartbeats sent on the path.")
    received = Family("jsrpd_heartbeats_received", "counter", "Heartbeats of the peer received on the path.")
    lost = Family("jsrpd_heartbeats_lost", "counter", "Heartbeats of the peer that had not come when a later one came by the path.")
    late = Family(
        "jsrpd_heartbeat_lateness_seconds", "gauge", "By how much a heartbeat came too late at worst within a minute.", "seconds"
    )
    errors = Family("jsrpd_heartbeat_errors", "counter", "What could not be sent, received or believed on the path.")
    for counted in status.paths:
        # "control0", as the family above names it.
        name = counted.name.replace(" link ", "").replace(" ", "")
        counts = ((sent, counted.sent), (received, counted.received), (lost, counted.missed), (errors, counted.errors))
        for family, count in counts:
            family.add(count, path=name)
        late.add(counted.late_ns / NANOSECONDS_PER_SECOND, path=name)
    return [path, sent, received, lost, late, errors]


def _arbitration(status: ClusterStatus) -> list[Family]:
    """``kind`` is ``probe`` or ``witness``; which addresses those are, the configuration says."""
    answers = Family("jsrpd_arbiter_answers", "gauge", "Whether the probed address, or the witness, answers this node: 1 or 0.")
    held = Family("jsrpd_arbitration_held", "gauge", "Whether this node could own alone by the arbiter's word: 1 or 0.")
    remaining = Family("jsrpd_arbitration_remaining_seconds", "gauge", "For how long the arbiter's word stands.", "seconds")
    told = status.arbitration
    if told is not None:
        held.add(int(told.held), kind=told.kind)
        remaining.add(told.remaining_ns / NANOSECONDS_PER_SECOND, kind=told.kind)
        if told.answers is not None:
            answers.add(int(told.answers), kind=told.kind)
    return [answers, held, remaining]


def _log(status: ClusterStatus) -> list[Family]:
    """By the kind of receiver; their addresses are in the configuration."""
    waiting = Family("jsrpd_log_messages_waiting", "gauge", "Log messages of the process that no receiver has taken yet.")
    dropped = Family("jsrpd_log_messages_dropped", "counter", "Log messages of the process that were lost to a full queue.")
    for queue in status.log:
        waiting.add(queue.waiting, process=queue.process, transport=queue.transport)
        dropped.add(queue.dropped, process=queue.process, transport=queue.transport)
    return [waiting, dropped]


def _schedule(status: ClusterStatus) -> list[Family]:
    slips = Family("jsrpd_schedule_slips", "counter", "How often the engine was woken later than the limit of schedule-monitoring.")
    longest = Family("jsrpd_schedule_longest_slip_seconds", "gauge", "The longest of them.", "seconds")
    late = Family("jsrpd_engine_lateness_seconds", "histogram", "By how much turns of the engine began too late.", "seconds")
    if status.lateness_counts:
        bounds = [bound / NANOSECONDS_PER_SECOND for bound in LATENESS_BOUNDS_NS]
        late.distribute(bounds, status.lateness_counts, status.lateness_sum_ns / NANOSECONDS_PER_SECOND)
    if status.schedule is not None and status.schedule.on:
        slips.add(status.schedule.slips)
        longest.add(status.schedule.longest_ms / MILLISECONDS_PER_SECOND)
    return [late, slips, longest]


def _interfaces(status: ClusterStatus) -> list[Family]:
    reth = Family("jsrpd_reth_up", "gauge", "Whether the reth's child on this node has carrier: 1 or 0.")
    for one in status.reths:
        reth.add(int(one.up), interface=one.name)
    monitor = Family("jsrpd_interface_monitor_up", "gauge", "Whether the monitored interface of the node is up: 1 or 0.")
    weight = Family("jsrpd_interface_monitor_weight", "gauge", "What the failure of the interface costs the group.")
    for watched in status.interface_monitors:
        if watched.node is None:
            continue
        labels = {"group": str(watched.group), "node": str(watched.node), "interface": watched.interface}
        weight.add(watched.weight, **labels)
        if watched.monitored_up is not None:
            monitor.add(int(watched.monitored_up), **labels)
    return [reth, monitor, weight]


def _sessions(sessions: SessionStatus) -> list[Family]:
    if not sessions.on:
        return []
    peer = Family("jsrpd_sessions_peer_heard", "gauge", "Whether the peer's session process speaks with ours: 1 or 0.")
    peer.add(int(sessions.peer))
    covered = Family("jsrpd_sessions_covered", "gauge", "Whether this node has the connections of the peer's groups: 1 or 0.")
    covered.add(int(sessions.covered))
    backlog = Family("jsrpd_sessions_backlog_bytes", "gauge", "What waits to be acknowledged by the peer.", "bytes")
    backlog.add(sessions.backlog_bytes)
    lag = Family("jsrpd_sessions_lag_seconds", "gauge", "Longest time of late until the peer had acknowledged an event.", "seconds")
    lag.add(sessions.lag_ns / NANOSECONDS_PER_SECOND)
    table = Family("jsrpd_sessions_table_entries", "gauge", "Connections in this kernel's table.")
    table.add(sessions.table[0])
    limit = Family("jsrpd_sessions_table_limit_entries", "gauge", "How many connections this kernel's table has room for.")
    limit.add(sessions.table[1])
    synced = Family("jsrpd_sessions_cold_synchronizations", "counter", "Cold synchronisations, by how they ended.")
    synced.add(sessions.completed, result="completed")
    synced.add(sessions.failed, result="failed")
    messages = Family("jsrpd_sessions_messages", "counter", "Messages about connections, in the words of the vendor's list.")
    for service, sent, received in sessions.services:
        messages.add(sent, service=service, direction="sent")
        messages.add(received, service=service, direction="received")
    incidents = Family("jsrpd_sessions_incidents", "counter", "What the session process counts besides; show has the same words.")
    for what, count in sessions.counters.items():
        incidents.add(count, what=what)
    return [peer, covered, backlog, lag, table, limit, synced, messages, incidents]
