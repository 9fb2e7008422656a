"""``show chassis cluster information detail``: every section of the vendor's display that has a meaning here (reference 7.5).

A section is lines of text and, where the vendor has elements for it, an element. What only this daemon has stands behind, under
headings of its own. Each block is what its node told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from jsrpd.cli.information import led
from jsrpd.cli.render_sessions import cold_synchronization
from jsrpd.cli.render_statistics import CHILD_LINKS, CONTROL, FABRIC, in_band_lines, of_kind
from jsrpd.cli.render_text import node_block, up
from jsrpd.model.details import Details, MonitoredObject, Synchronization
from jsrpd.model.journal import EventKind, JournalEvent, since_cleared
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH
from jsrpd.model.roles import FULL_WEIGHT, RG0, FailureCode, codes_of
from jsrpd.model.status import WITNESS, ClusterStatus, GroupNodeStatus, PathStatus, ScheduleStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

EVENTS = 16
"""Newest events that a section shows."""
SILENT = "The monitors process does not answer; look at: journalctl -u jsrpd"
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """What the sections are made of. ``events``: of the journal, oldest first; ``groups``: the ones asked for."""

    snapshot: ClusterStatus
    events: Sequence[JournalEvent]
    details: Details

    @property
    def rows(self) -> list[tuple[int, GroupNodeStatus]]:
        """The answering node's row of each group."""
        return [(group.group, row) for group in self.snapshot.groups for row in group.nodes if row.node == self.snapshot.node]

    def happened(self, wanted: Callable[[JournalEvent], bool]) -> list[str]:
        """The newest events that are wanted, with their time."""
        found = [event for event in since_cleared(self.events) if event.node == self.snapshot.node and wanted(event)]
        return [f"{stamp(event.at)} : {event.text}" for event in found[-EVENTS:]]

    def objects(self, code: FailureCode) -> list[MonitoredObject]:
        """What is watched under a code; nothing when the monitors process does not answer."""
        return [one for one in self.details.objects or () if one.code == code.name]


@dataclass(frozen=True, slots=True)
class Block:
    """A node's. ``told`` None: ``problem`` says why there is nothing."""

    node: int
    told: Told | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """``lines`` without indentation of their own; ``xml`` None: the vendor has no element for it."""

    lines: Callable[[Told], list[str]]
    xml: "Callable[[Told], list[Element]] | None" = None


def stamp(at: int) -> str:
    """``Jan 31 00:56:28.354``, local time of ns since 1970."""
    seconds, rest = divmod(at, NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds).astimezone():%b %d %H:%M:%S}.{rest // 1_000_000:03}"


def text(blocks: Sequence[Block], sections: Sequence[str]) -> str:
    """Each node's block with these sections."""
    return "".join(node_block(block.node, _body(block, sections)) for block in blocks)


def _body(block: Block, sections: Sequence[str]) -> str:
    if block.told is None:
        return block.problem
    parts = ["\n".join(SECTIONS[name].lines(block.told)) for name in sections]
    return "\n\n".join(part for part in parts if part)


def xml(blocks: Sequence[Block], sections: Sequence[str], container: str = "") -> "Element":
    """``multi-routing-engine-results``; the sections' elements in a container of that name, or bare."""
    from jsrpd.cli.render_xml import by_node, problem

    items: list[tuple[int, list[Element]]] = []
    for block in blocks:
        if block.told is None:
            items.append((block.node, [problem(block.problem)]))
            continue
        content: list[Element] = []
        for name in sections:
            build = SECTIONS[name].xml
            content += build(block.told) if build is not None else []
        items.append((block.node, [(container, content)] if container else content))
    return by_node(items)


def json(blocks: Sequence[Block]) -> str:
    """Of each node: what monitors, sessions and commits told, counts of paths, and the events that the sections show."""
    tree = [{"node": block.node, "problem": block.problem, **(_tree(block.told) if block.told else {})} for block in blocks]
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"


def _tree(told: Told) -> dict[str, object]:
    return {
        "objects": msgspec.to_builtins(told.details.objects),
        "synchronization": msgspec.to_builtins(told.details.synchronization),
        "schedule": msgspec.to_builtins(told.snapshot.schedule),
        "arbitration": msgspec.to_builtins(told.snapshot.arbitration),
        "log": msgspec.to_builtins(told.snapshot.log),
        "paths": msgspec.to_builtins(told.snapshot.paths),
        "sessions": msgspec.to_builtins(told.snapshot.sessions),
        "events": msgspec.to_builtins(since_cleared(told.events)),
    }


def _titled(title: str, lines: Sequence[str]) -> list[str]:
    """A part of a section; nothing when there is nothing to tell."""
    return [f"    {title}:", *(f"        {line}" for line in lines)] if lines else []


# -- the cluster and its node -------------------------------------------------------------------------------------------


def _cluster(told: Told) -> list[str]:
    s = told.snapshot
    dead_ms = s.heartbeat_interval_ms * s.heartbeat_threshold
    return [
        "Redundancy mode:",
        f"    Configured mode: {s.configured_mode}",
        f"    Operational mode: {s.mode}",
        "Cluster configuration:",
        f"    Heartbeat interval: {s.heartbeat_interval_ms} ms",
        f"    Heartbeat threshold: {s.heartbeat_threshold}",
        f"    Control link recovery: {s.control_link_recovery}",
        f"    Fabric link down timeout: {dead_ms / 1000:g} sec",
        "Node health information:",
        f"    Local node health: {_health(told.snapshot, told.snapshot.node)}",
        f"    Remote node health: {_health(told.snapshot, 1 - told.snapshot.node)}",
    ]


def _cluster_xml(told: Told) -> "list[Element]":
    s = told.snapshot
    configuration: list[Element] = [
        ("heartbeat-interval", s.heartbeat_interval_ms),
        ("heartbeat-threshold", s.heartbeat_threshold),
        ("control-link-recovery", s.control_link_recovery),
        ("fabric-link-timeout", f"{s.heartbeat_interval_ms * s.heartbeat_threshold / 1000:g}"),
    ]
    health: list[Element] = [
        ("local-node-health", _health(s, s.node)),
        ("remote-node-health", _health(s, 1 - s.node)),
    ]
    modes: list[Element] = [("configured", s.configured_mode), ("operational", s.mode)]
    return [
        ("chassis-cluster-redundancy-mode", modes),
        ("chassis-cluster-configuration-information", configuration),
        ("chassis-cluster-node-health", health),
    ]


def _health(snapshot: ClusterStatus, node: int) -> str:
    rows = [row for group in snapshot.groups for row in group.nodes if row.node == node]
    if any(row.failures is None for row in rows):
        return "Not known"
    return "Not healthy" if any(row.failures or row.state in ("ineligible", "disabled") for row in rows) else "Healthy"


def _transitions(told: Told, group: int) -> list[str]:
    events = [
        event
        for event in since_cleared(told.events)
        if event.kind is EventKind.TRANSITION and event.node == told.snapshot.node and group in event.groups
    ]
    return [
        f"{stamp(event.at)} : {event.values.get('old-state')}->{event.values.get('new-state')}, reason: {event.reason}"
        for event in events[-EVENTS:]
    ]


def _failure_words(row: GroupNodeStatus) -> str:
    return " ".join(code.name for code in codes_of(row.failures or 0)) or "none"


def _groups(told: Told) -> list[str]:
    lines: list[str] = []
    for group, row in told.rows:
        lines.append(f"Redundancy group: {group}, Threshold: {row.weight}, Monitoring failures: {_failure_words(row)}")
        lines += [*_titled("Events", _transitions(told, group)), ""]
    return lines[:-1]


def _groups_xml(told: Told) -> "list[Element]":
    groups: list[Element] = []
    for group, row in told.rows:
        monitoring: list[Element] = [
            ("redundancy-group-threshold", row.weight or 0),
            ("monitoring-failure-string", _failure_words(row)),
        ]
        events: list[Element] = [("redundancy-group-state-transition-event", event) for event in _transitions(told, group)]
        content: list[Element] = [
            ("redundancy-group-id", group),
            ("redundancy-group-monitoring-information", monitoring),
            ("redundancy-group-state-transition-events", events),
        ]
        groups.append(("redundancy-group-information", content))
    return [("redundancy-group-information-list", groups)]


# -- links ----------------------------------------------------------------------------------------------------------------


def _statistics(told: Told) -> list[str]:
    lines = ["Control link statistics:"]
    for index, link in of_kind(told.snapshot, CONTROL):
        lines += [
            f"    Control link {index}:",
            f"        Heartbeat packets sent: {link.sent}",
            f"        Heartbeat packets received: {link.received}",
            f"        Heartbeat packet errors: {link.errors}",
            f"        Duplicate heartbeat packets received: {link.duplicates}",
        ]
    sent, received = _newest(of_kind(told.snapshot, CONTROL))
    lines += [
        f"    Sequence number of last heartbeat packet sent: {sent}",
        f"    Sequence number of last heartbeat packet received: {received}",
        "Fabric link statistics:",
    ]
    known = {index: (link.sent, link.received) for index, link in of_kind(told.snapshot, FABRIC)}
    for index in range(CHILD_LINKS):
        probes = known.get(index, (0, 0))
        lines += [f"    Child link {index}", f"        Probes sent: {probes[0]}", f"        Probes received: {probes[1]}"]
    return lines + in_band_lines(told.snapshot)


def _newest(links: Sequence[tuple[int, PathStatus]]) -> tuple[int, int]:
    """Sequence numbers: (sent, received)."""
    return max((link.last_sent for _, link in links), default=0), max((link.last_received for _, link in links), default=0)


def _statistics_xml(told: Told) -> "list[Element]":
    control: list[Element] = []
    for index, link in of_kind(told.snapshot, CONTROL):
        control += [
            ("control-interface-index", index),
            ("heartbeat-sent", link.sent),
            ("heartbeat-received", link.received),
            ("heartbeat-errors", link.errors),
            ("heartbeat-duplicates", link.duplicates),
        ]
    sent, received = _newest(of_kind(told.snapshot, CONTROL))
    control += [("last-heartbeat-id-sent", sent), ("last-heartbeat-id-received", received)]
    fabric: list[Element] = []
    for index, link in of_kind(told.snapshot, FABRIC):
        child: list[Element] = [("fabric-child-index", index), ("fabric-hello-sent", link.sent)]
        child += [("fabric-hello-received", link.received), ("fabric-hello-error", link.errors)]
        fabric.append(("fabric-child", child))
    both: list[Element] = [("chassis-cluster-control-statistics", control), ("chassis-cluster-fabric-statistics", fabric)]
    return [("chassis-cluster-internal-statistics", both)]


def _led(told: Told) -> list[str]:
    color, reason = led(told.snapshot, told.snapshot.node)
    return [
        "Chassis cluster LED information:",
        f"    Current LED color: {color}",
        f"    Last LED change reason: {reason}",
        "Control port tagging:",
        "    Disabled",
    ]


def _led_xml(told: Told) -> "list[Element]":
    color, reason = led(told.snapshot, told.snapshot.node)
    return [
        ("chassis-cluster-led-information", [("current-led-color", color), ("last-change-reason", reason)]),
        ("control-link-vlan-information", [("control-link-vlan-status", "Disabled")]),
    ]


def _is_interface(event: JournalEvent) -> bool:
    return event.kind is EventKind.MONITOR and "interface" in event.values and bool(event.groups)


def _interface_failures(told: Told) -> int:
    return sum(1 for event in told.events if _is_interface(event) and event.values.get("state") == "down")


def _interfaces(told: Told) -> list[str]:
    return [
        "Interface monitoring:",
        *_titled("Statistics", [f"Monitored interface failure count: {_interface_failures(told)}"]),
        *_titled("Events", told.happened(_is_interface)),
    ]


def _interfaces_xml(told: Told) -> "list[Element]":
    events: list[Element] = [("interface-monitoring-event", event) for event in told.happened(_is_interface)]
    count: list[Element] = [("monitored-interface-failover-count", _interface_failures(told))]
    content: list[Element] = [("interface-monitoring-statistics", count), ("interface-monitoring-events", events)]
    return [("interface-monitoring-information", content)]


def _is_fabric(event: JournalEvent) -> bool:
    path = event.values.get("path")
    return event.kind is EventKind.PATH and isinstance(path, int) and FIRST_FABRIC_PATH <= path < FIRST_IN_BAND_PATH


def _fabric_state(told: Told) -> tuple[str, str, str]:
    """(monitoring, activation, state)."""
    s = told.snapshot
    if not s.fabric_interfaces:
        return "Disabled", "Suspended", "Down"
    return "Enabled", "Active", up(s.fabric_up)


def _fabric_in_use(told: Told) -> str:
    """Of several fabric links the child by which this node sends what is for the peer; empty where there is no choice."""
    s = told.snapshot
    own = [child.child for child in s.fabric_interfaces if child.name == f"fab{s.node}"]
    return own[s.fabric_in_use] if s.fabric_in_use is not None and s.fabric_in_use < len(own) > 1 else ""


def _fabric(told: Told) -> list[str]:
    monitoring, activation, state = _fabric_state(told)
    events = told.happened(_is_fabric)
    status = [
        f"Fabric Monitoring: {monitoring}",
        f"Activation status: {activation}",
        f"Fabric Status reported by data plane: {state}",
        f"JSRPD internal fabric status: {state}",
    ]
    in_use = _fabric_in_use(told)
    status += [f"Child link that carries data: {in_use}"] if in_use else []
    lines = ["Fabric monitoring:", *_titled("Status", status)]
    return [*lines, "", "Fabric link events:", *(f"        {event}" for event in events)] if events else lines


def _fabric_xml(told: Told) -> "list[Element]":
    monitoring, activation, state = _fabric_state(told)
    status: list[Element] = [
        ("fabric-monitoring-state", monitoring),
        ("fabric-monitoring-activation-status", activation),
        ("fabric-monitoring-data-plane-notified-status", state),
        ("fabric-monitoring-internal-status", state),
    ]
    in_use = _fabric_in_use(told)
    status += [("fabric-data-child-interface-name", in_use)] if in_use else []
    events: list[Element] = [("fabric-link-event", event) for event in told.happened(_is_fabric)]
    content: list[Element] = [("fabric-monitoring-information", [("fabric-monitoring-status", status)])]
    return [("fabric-link-information", [*content, ("fabric-link-events", events)])]


def _is_control(event: JournalEvent) -> bool:
    return event.kind is EventKind.PATH and "link" in event.values


def _connection(told: Told) -> tuple[str, str, str]:
    """(role, status, peer) of the management connection: node 0 listens, node 1 calls."""
    found = told.details.synchronization
    role = "Server" if told.snapshot.node == 0 else "Client"
    if found is None or not found.connected:
        return role, "Inactive" if found is None or not found.problem else f"Inactive ({found.problem})", "None"
    return role, "Connected", f"node{1 - told.snapshot.node}"


def _control(told: Told) -> list[str]:
    role, status, peer = _connection(told)
    lines = [
        f"Control link status: {up(any(link.up for link in told.snapshot.control_links))}",
        *_titled(f"{role} information", [f"{role} status : {status}", f"{role} connected to {peer}"]),
    ]
    events = told.happened(_is_control)
    return [*lines, "", "Control link events:", *(f"        {event}" for event in events)] if events else lines


def _control_xml(told: Told) -> "list[Element]":
    role, status, peer = _connection(told)
    word = role.lower()
    events: list[Element] = [("control-link-event", event) for event in told.happened(_is_control)]
    ends: list[Element] = [(f"{word}-status", status), (f"{word}-connections", peer)]
    content: list[Element] = [
        ("control-interface-status", up(any(link.up for link in told.snapshot.control_links))),
        (f"control-link-{word}-information", ends),
        ("control-link-events", events),
    ]
    return [("control-link-information", content)]


# -- monitors -------------------------------------------------------------------------------------------------------------


def _is_of(*codes: FailureCode) -> Callable[[JournalEvent], bool]:
    names = {code.name for code in codes}
    return lambda event: event.kind is EventKind.MONITOR and event.values.get("monitor") in names


def _objects(found: Sequence[MonitoredObject]) -> list[str]:
    return [f"{one.name}: {'failed' if one.failed else 'up'}, {one.value}, limit {one.limit}" for one in found]


def _down(found: Sequence[MonitoredObject]) -> tuple[int, int]:
    """(up, down)."""
    failed = sum(one.failed for one in found)
    return len(found) - failed, failed


def _spu(told: Told) -> list[str]:
    if told.details.objects is None:
        return ["SPU monitoring:", f"    {SILENT}"]
    units, cards = told.objects(FailureCode.SP), told.objects(FailureCode.NP)
    return [
        "SPU monitoring:",
        *_titled("Status", [f"Activation status: {'Enabled' if units else 'Disabled'}", *_objects(units)]),
        *_titled("Network cards", _objects(cards)),
        *_titled(
            "Statistics",
            [
                f"SPU up count: {_down(units)[0]}",
                f"SPU down count: {_down(units)[1]}",
                f"NPC up count: {_down(cards)[0]}",
                f"NPC down count: {_down(cards)[1]}",
            ],
        ),
        *_titled("Events", told.happened(_is_of(FailureCode.SP, FailureCode.NP))),
    ]


def _spu_xml(told: Told) -> "list[Element]":
    units, cards = told.objects(FailureCode.SP), told.objects(FailureCode.NP)
    states: list[Element] = []
    for one in units:
        states += [("pfe-name", one.name), ("pic-state", "Down" if one.failed else "Up")]
    status: list[Element] = [
        ("spu-monitoring-state", "Enabled" if units else "Disabled"),
        ("spu-monitoring-weight", FULL_WEIGHT if _down(units)[1] else 0),
        ("spu-monitoring-spu-state", [("spu-monitoring-spu-state-list", states)]),
    ]
    statistics: list[Element] = [
        ("spu-up-count", _down(units)[0]),
        ("spu-down-count", _down(units)[1]),
        ("npc-up-count", _down(cards)[0]),
        ("npc-down-count", _down(cards)[1]),
    ]
    happened = told.happened(_is_of(FailureCode.SP, FailureCode.NP))
    events: list[Element] = [("spu-monitoring-event", event) for event in happened]
    content: list[Element] = [("spu-monitoring-status", status), ("spu-monitoring-statistics", statistics)]
    return [("spu-monitoring-information", [*content, ("spu-monitoring-events", events)])]


def _hardware_errors(told: Told) -> tuple[int, int]:
    """(group 0, groups from 1): objects that weigh on them now."""
    failed = [one for one in told.objects(FailureCode.HW) if one.failed]
    return sum(RG0 in one.groups for one in failed), sum(any(group != RG0 for group in one.groups) for one in failed)


def _hardware(told: Told) -> list[str]:
    if told.details.objects is None:
        return ["Hardware monitoring:", f"    {SILENT}"]
    found = told.objects(FailureCode.HW)
    zero, others = _hardware_errors(told)
    status = [
        f"Activation status: {'Enabled' if found else 'Disabled'}",
        f"Redundancy group 0 failover for hardware faults: {'Enabled' if found else 'Disabled'}",
        f"Hardware redundancy group 0 errors: {zero}",
        f"Hardware redundancy group 1 errors: {others}",
        *_objects(found),
    ]
    return ["Hardware monitoring:", *_titled("Status", status), *_titled("Events", told.happened(_is_of(FailureCode.HW)))]


def _hardware_xml(told: Told) -> "list[Element]":
    found = told.objects(FailureCode.HW)
    zero, others = _hardware_errors(told)
    state = "Enabled" if found else "Disabled"
    status: list[Element] = [
        ("hardware-monitoring-activation-status", state),
        ("hardware-monitoring-rg0-failover", state),
        ("hardware-monitoring-rg0-errors", zero),
        ("hardware-monitoring-rg1-errors", others),
    ]
    events: list[Element] = [("hardware-monitoring-event", event) for event in told.happened(_is_of(FailureCode.HW))]
    content: list[Element] = [("hardware-monitoring-status-information", status), ("hardware-monitoring-events", events)]
    return [("hardware-monitoring-information", content)]


def _schedule(told: Told) -> list[str]:
    schedule = told.snapshot.schedule or ScheduleStatus(False)
    slip = f"within the last minute; it clears in {schedule.clears_in_s} s" if schedule.failed else "None"
    status = [
        f"Activation status: {'Enabled' if schedule.on else 'Disabled'}",
        f"Schedule slip detected: {slip}",
        f"Timer ignored: {'Yes' if schedule.timers_ignored else 'No'}",
    ]
    status += [f"Limit: {schedule.limit_ms} ms"] if schedule.on else []
    statistics = [
        f"Total slip detected count: {schedule.slips}",
        f"Longest slip duration: {schedule.longest_ms / 1000:g}(s)",
    ]
    events = told.happened(_is_of(FailureCode.SM))
    return ["Schedule monitoring:", *_titled("Status", status), *_titled("Statistics", statistics), *_titled("Events", events)]


def _schedule_xml(told: Told) -> "list[Element]":
    schedule = told.snapshot.schedule or ScheduleStatus(False)
    content: list[Element] = [
        ("activation-status", "Enabled" if schedule.on else "Disabled"),
        ("slip-detected", "Yes" if schedule.failed else "None"),
        ("timers-ignored", "Yes" if schedule.timers_ignored else "No"),
        ("total-slip-count", schedule.slips),
        ("max-slip-duration", f"{schedule.longest_ms / 1000:g}"),
    ]
    return [("schedule-monitoring-information", content)]


def _scripts(told: Told) -> list[str]:
    """Not in the vendor's display."""
    found = told.objects(FailureCode.SC)
    events = told.happened(_is_of(FailureCode.SC))
    return ["Script monitoring:", *_titled("Status", _objects(found)), *_titled("Events", events)] if found else []


def _arbitration(told: Told) -> list[str]:
    """Not in the vendor's display."""
    arbitration = told.snapshot.arbitration
    if arbitration is None:
        return []
    answers = {True: "Yes", False: "No", None: "Not known"}[arbitration.answers]
    alone = f"Yes, for {arbitration.remaining_ns / NANOSECONDS:.1f} s" if arbitration.held else "No"
    word = "Key held" if arbitration.kind == WITNESS else "Speaks for this node"
    return ["Arbitration:", f"    Kind: {arbitration.kind}", f"    Answers: {answers}", f"    {word}: {alone}"]


def _log(told: Told) -> list[str]:
    """Not in the vendor's display."""
    lines = [f"{one.process} to {one.transport}: waiting {one.waiting}, dropped {one.dropped}" for one in told.snapshot.log]
    return ["Log messages:", *(f"    {line}" for line in lines)] if lines else []


def _cold_sync(told: Told) -> list[str]:
    return cold_synchronization(told.snapshot)


def _cold_sync_xml(told: Told) -> "list[Element]":
    from jsrpd.cli.render_xml import cold_synchronization

    return [cold_synchronization(told.snapshot)]


# -- configuration and commands ---------------------------------------------------------------------------------------------


def _is_configuration(event: JournalEvent) -> bool:
    return event.kind is EventKind.CONFIGURATION


def _synchronization_state(told: Told) -> tuple[str, str, str]:
    """(last operation, result, message)."""
    found = told.details.synchronization or Synchronization(False, "", "", "")
    if found.difference:
        return found.newest or "None", "Failed", found.difference
    return found.newest or "None", "Succeeded" if found.newest else "Not needed", ""


def _synchronization(told: Told) -> list[str]:
    operation, result, message = _synchronization_state(told)
    status = [
        "Activation status: Enabled",
        f"Last sync operation: {operation}",
        f"Last sync result: {result}",
        f"Last sync mgd messages: {message}".rstrip(),
    ]
    events = told.happened(_is_configuration)
    return ["Configuration Synchronization:", *_titled("Status", status), *_titled("Events", events)]


def _synchronization_xml(told: Told) -> "list[Element]":
    operation, result, message = _synchronization_state(told)
    status: list[Element] = [
        ("activation-status", "Enabled"),
        ("last-sync-operation", operation),
        ("last-sync-result", result),
        ("last-sync-mgd-messages", message),
    ]
    events: list[Element] = [("configuration-synchronization-event", event) for event in told.happened(_is_configuration)]
    content: list[Element] = [("configuration-synchronization-status", status)]
    return [
        ("configuration-synchronization-information", [*content, ("configuration-synchronization-events", events)]),
    ]


def _commands(told: Told) -> list[str]:
    found = [event for event in told.events if event.kind is EventKind.COMMAND][-EVENTS:]
    lines = [f"{stamp(event.at)} : {event.text.splitlines()[0]}{f' (by {event.by})' if event.by else ''}" for event in found]
    return ["Command history:", *(f"        {line}" for line in lines)]


def _commands_xml(told: Told) -> "list[Element]":
    lines = _commands(told)[1:]
    return [("command-history-information", [("chassis-cluster-command-history-event", line.strip()) for line in lines])]


SECTIONS = {
    "cluster": Section(_cluster, _cluster_xml),
    "groups": Section(_groups, _groups_xml),
    "statistics": Section(_statistics, _statistics_xml),
    "led": Section(_led, _led_xml),
    "spu": Section(_spu, _spu_xml),
    "coldsync": Section(_cold_sync, _cold_sync_xml),
    "interface-monitor": Section(_interfaces, _interfaces_xml),
    "fabric-link": Section(_fabric, _fabric_xml),
    "control-link": Section(_control, _control_xml),
    "hardware-monitor": Section(_hardware, _hardware_xml),
    "schedule-monitor": Section(_schedule, _schedule_xml),
    "scripts": Section(_scripts),
    "arbitration": Section(_arbitration),
    "log": Section(_log),
    "configuration-synchronization": Section(_synchronization, _synchronization_xml),
    "command-history": Section(_commands, _commands_xml),
}
"""In the order of the vendor's display, by the words of its commands where it has some."""
