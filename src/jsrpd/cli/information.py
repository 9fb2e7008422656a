"""``show chassis cluster information``: how each group came to its state, and what has failed (reference 7.4 (a)).

The answering node tells its own transitions, from its journal; of the other node it shows what that node tells in its
heartbeats, and says so when nothing is heard of it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jsrpd.cli.render_text import node_block, up
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.status import ClusterStatus, GroupNodeStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

RECORDS = 6
"""Transitions shown of a group, as many as the vendor's daemon keeps (reference 2.12)."""
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Transition:
    """``at``: ns since 1970."""

    at: int
    old: str
    new: str
    reason: str

    @property
    def stamp(self) -> str:
        """``May 24 15:31:20``."""
        return f"{datetime.fromtimestamp(self.at // NANOSECONDS).astimezone():%b %d %H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Group:
    """A group on one node. ``weight`` None: not told."""

    group: int
    state: str
    weight: int | None
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A watched interface that is down: of a group's monitor, or a fabric child (``group`` None)."""

    interface: str
    group: int | None
    physical_up: bool
    monitored_up: bool
    fabric: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One node's block. ``problem``: why there is none; empty otherwise."""

    node: int
    groups: tuple[Group, ...] = ()
    led_color: str = ""
    led_reason: str = ""
    failures: tuple[Failure, ...] = ()
    problem: str = ""
    configured_mode: str | None = None
    """Redundancy mode of the configuration; None: not told, as of the other node."""
    mode: str | None = None
    """Redundancy mode in force."""


def nodes(snapshot: ClusterStatus, events: Sequence[JournalEvent]) -> tuple[Node, ...]:
    """Both nodes, in order."""
    return tuple(_node(snapshot, node, events) for node in (0, 1))


def _node(snapshot: ClusterStatus, node: int, events: Sequence[JournalEvent]) -> Node:
    rows = [(group.group, row) for group in snapshot.groups for row in group.nodes if row.node == node]
    if node != snapshot.node and all(row.state == "lost" for _, row in rows):
        return Node(node, problem=f"error: node{node} is lost: nothing is heard of it")
    groups = tuple(Group(group, row.state, row.weight, _transitions(events, group, node)) for group, row in rows)
    color, reason = led(snapshot, node)
    own = node == snapshot.node
    configured, mode = (snapshot.configured_mode, snapshot.mode) if own else (None, snapshot.peer_mode)
    return Node(node, groups, color, reason, _failures(snapshot, node), configured_mode=configured, mode=mode)


def _transitions(events: Sequence[JournalEvent], group: int, node: int) -> tuple[Transition, ...]:
    found = [
        Transition(event.at, str(event.values.get("old-state", "")), str(event.values.get("new-state", "")), event.reason)
        for event in events
        if event.kind is EventKind.TRANSITION and event.node == node and group in event.groups
    ]
    return tuple(found[-RECORDS:])


def led(snapshot: ClusterStatus, node: int) -> tuple[str, str]:
    """Colour of the HA light of a node, and why (reference 3.7)."""
    own = [row for group in snapshot.groups for row in group.nodes if row.node == node]
    other = [row for group in snapshot.groups for row in group.nodes if row.node != node]
    if _any(own, "disabled"):
        return "Off", f"node{node} is disabled"
    for state in ("disabled", "lost"):
        if _any(other, state):
            return "Red", f"Peer node: node{1 - node} is {state}"
    if _any(own, "ineligible") or _any(other, "ineligible") or any(row.failures for row in own):
        return "Amber", "Monitored objects are down"
    return "Green", "No failures"


def _any(rows: Sequence[GroupNodeStatus], state: str) -> bool:
    return any(row.state == state for row in rows)


def _failures(snapshot: ClusterStatus, node: int) -> tuple[Failure, ...]:
    monitors = [
        Failure(one.interface, one.group, bool(one.physical_up), bool(one.monitored_up))
        for one in snapshot.interface_monitors
        if one.node == node and one.physical_up is not None and not (one.physical_up and one.monitored_up)
    ]
    fabric = [
        Failure(one.child, None, bool(one.physical_up), bool(one.monitored_up), one.name)
        for one in snapshot.fabric_interfaces
        if one.name == f"fab{node}" and one.physical_up is not None and not (one.physical_up and one.monitored_up)
    ]
    return (*monitors, *fabric)


# -- text -------------------------------------------------------------------------------------------------------------


def text(told: Sequence[Node]) -> str:
    """Both blocks."""
    return "".join(node_block(node.node, node.problem or "\n".join(_lines(node))) for node in told)


def _lines(node: Node) -> list[str]:
    modes = (("Configured", node.configured_mode), ("Operational", node.mode))
    lines = [f"    {which} mode: {mode}" for which, mode in modes if mode is not None]
    lines = ["Redundancy mode:", *lines, ""] if lines else []
    lines += ["Redundancy Group Information:", ""]
    for group in node.groups:
        weight = "n/a" if group.weight is None else group.weight
        lines += [f"    Redundancy Group {group.group} , Current State: {group.state}, Weight: {weight}", ""]
        if group.transitions:
            lines.append("        Time            From           To             Reason")
            lines += [f"        {one.stamp} {one.old:<14} {one.new:<14} {one.reason}" for one in group.transitions]
            lines.append("")
    lines += [
        "Chassis cluster LED information:",
        f"    Current LED color: {node.led_color}",
        f"    Last LED change reason: {node.led_reason}",
        "Control port tagging:",
        "    Disabled",
    ]
    return lines + _failure_lines(node.failures)


def _failure_lines(failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    lines = ["", "Failure Information:"]
    monitors = [one for one in failures if not one.fabric]
    for group in sorted({one.group for one in monitors if one.group is not None}):
        lines += [
            "",
            "    Interface Monitoring Failure Information:",
            f"        Redundancy Group {group}, Monitoring status: Failed",
        ]
        lines.append(f"          {'Interface':<22}Status")
        lines += [f"          {one.interface:<22}Down" for one in monitors if one.group == group]
    fabric = [one for one in failures if one.fabric]
    if fabric:
        lines += ["", "    Fabric-link Failure Information:", f"        Fabric Interface: {fabric[0].fabric}"]
        lines.append("          Child interface   Physical / Monitored Status")
        lines += [f"          {one.interface:<22}{up(one.physical_up):<4} / {up(one.monitored_up)}" for one in fabric]
    return lines


# -- JSON and XML --------------------------------------------------------------------------------------------------------


def json(told: Sequence[Node]) -> str:
    """An array of ``Node``, its fields by name."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode([asdict(node) for node in told]), indent=2).decode() + "\n"


def xml(told: Sequence[Node]) -> "Element":
    """``multi-routing-engine-results``."""
    from jsrpd.cli.render_xml import by_node, problem

    return by_node(
        (node.node, [problem(node.problem)] if node.problem else [("chassis-cluster-information", _content(node))]) for node in told
    )


def _content(node: Node) -> "list[Element]":
    groups: list[Element] = []
    for group in node.groups:
        records: list[Element] = []
        for one in group.transitions:
            records += [("transition-time", one.stamp), ("from-state", one.old), ("to-state", one.new)]
            records += [("transition-reason", one.reason)]
        leaves: list[Element] = [("redundancy-group-id", group.group), ("redundancy-group-status", group.state)]
        leaves.append(("redundancy-group-weight", "n/a" if group.weight is None else group.weight))
        groups.append(("redundancy-group-list", [*leaves, ("redundancy-group-state-transition-record", records)]))
    modes: list[Element] = [
        (leaf, mode) for leaf, mode in (("configured", node.configured_mode), ("operational", node.mode)) if mode is not None
    ]
    content: list[Element] = [("chassis-cluster-redundancy-mode", modes)] if modes else []
    content += [
        ("chassis-cluster-redundancy-group-information", groups),
        ("chassis-cluster-led-information", [("current-led-color", node.led_color), ("last-change-reason", node.led_reason)]),
        ("control-link-vlan-information", [("control-link-vlan-status", "Disabled")]),
    ]
    if node.failures:
        content.append(("chassis-cluster-monitoring-failure-information", _failure_elements(node.failures)))
    return content


def _failure_elements(failures: Sequence[Failure]) -> "list[Element]":
    content: list[Element] = [("monitoring-failure-title", "Failure Information:")]
    monitors = [one for one in failures if not one.fabric]
    for group in sorted({one.group for one in monitors if one.group is not None}):
        leaves: list[Element] = [("redundancy-group-id", group), ("interface-monitoring-status", "Failed")]
        for one in monitors:
            if one.group == group:
                leaves += [("monitoring-interface-name", one.interface), ("monitoring-interface-status", "Down")]
        content.append(("interface-monitoring-failure-information", leaves))
    fabric: list[Element] = [
        (
            "fabric-link-interface-status",
            [
                ("fabric-link-interface-index", one.fabric.removeprefix("fab")),
                (
                    "fabric-link-child-interface-status",
                    [
                        ("fabric-link-child-interface-name", one.interface),
                        ("fabric-link-child-interface-physical-status", up(one.physical_up)),
                        ("fabric-link-child-interface-monitored-status", up(one.monitored_up)),
                    ],
                ),
            ],
        )
        for one in failures
        if one.fabric
    ]
    return content + ([("fabric-link-failure-information", fabric)] if fabric else [])
