"""``show chassis cluster explain``: plain sentences, to be read at three in the morning."""

from typing import TYPE_CHECKING

import msgspec

from jsrpd.cli.history import stamp
from jsrpd.model.explanation import GroupExplanation, MonitoredObject, NodeExplanation
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.time import SECOND, seconds

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

UP = {True: "up", False: "down", None: "not told"}


CHANGES = 4
"""How many of a group's last changes are shown."""


def with_history(explained: tuple[GroupExplanation, ...], events: list[JournalEvent]) -> tuple[GroupExplanation, ...]:
    """Adds what only the journal knows: each group's last changes on this node, and who ordered a manual failover."""
    return tuple(_with_history(group, [event for event in events if group.group in event.groups]) for group in explained)


def _with_history(group: GroupExplanation, events: list[JournalEvent]) -> GroupExplanation:
    changes = [f"{stamp(event.at)}  {event.text}" for event in events if event.kind is EventKind.TRANSITION]
    manual = any(block.startswith("a manual failover") for block in group.blocks)
    notes = (_order(events), *group.notes) if manual else group.notes
    return msgspec.structs.replace(group, notes=notes, history=tuple(changes[-CHANGES:]))


def _order(events: list[JournalEvent]) -> str:
    for event in reversed(events):
        ordered = event.kind is EventKind.COMMAND and event.text.startswith("failover redundancy-group")
        if ordered and event.values.get("outcome", "done") == "done":
            return f"the failover was ordered by {event.by or 'somebody'} at {stamp(event.at)}"
    return "who ordered the failover does not stand in the journal of this node; look at the events of the other one"


def text(explained: tuple[GroupExplanation, ...]) -> str:
    """All groups."""
    return "\n".join("".join(f"{line}\n" for line in _group(group)) for group in explained)


def _group(group: GroupExplanation) -> list[str]:
    lasted = seconds(round(group.lasted_s * SECOND))
    lines = [
        f"Redundancy group {group.group}: {group.summary}",
        f"    node{group.node} (asked) is {group.state} for {lasted}, since {stamp(group.since)}",
        f"    because: {group.reason}",
    ]
    for node in group.nodes:
        lines += _node(node)
    if group.owner is not None:
        lines += _list(f"For node{1 - group.owner} to own it:", group.to_move)
    lines += _list("In the way now:", group.blocks or ("nothing",))
    lines += _list("Worth knowing:", group.notes) if group.notes else []
    return lines + (_list(f"Its last changes on node{group.node}:", group.history) if group.history else [])


def _node(node: NodeExplanation) -> list[str]:
    gate = "" if node.gate_open is None else f", gate {'open' if node.gate_open else 'shut'}"
    lines = [
        f"  node{node.node}: {node.state}{gate}",
        f"    priority  {node.effective_priority}: {node.why_priority}",
        f"    weight    {node.sum}",
    ]
    return [*lines, f"    monitors  {', '.join(map(_object, node.monitored)) or 'nothing'}"]


def _object(one: MonitoredObject) -> str:
    return f"{one.kind} {one.name} ({one.weight}) {UP[one.up]}"


def _list(title: str, sentences: tuple[str, ...]) -> list[str]:
    return [f"  {title}", *(f"    - {sentence}" for sentence in sentences)]


def json(explained: tuple[GroupExplanation, ...]) -> str:
    """An array of ``GroupExplanation``, its fields by name."""
    return msgspec.json.format(msgspec.json.encode(explained), indent=2).decode() + "\n"


def xml(explained: tuple[GroupExplanation, ...]) -> "Element":
    """An element for each group; sentences are repeated leaves."""
    return ("chassis-cluster-explanation", [("redundancy-group", _group_elements(group)) for group in explained])


def _group_elements(group: GroupExplanation) -> "list[Element]":
    content: list[Element] = [
        ("redundancy-group-id", group.group),
        ("redundancy-group-summary", group.summary),
        ("re-name", f"node{group.node}"),
        ("redundancy-group-status", group.state),
        ("status-since", stamp(group.since)),
        ("transition-reason", group.reason),
    ]
    content += [("device-explanation", _node_elements(node)) for node in group.nodes]
    sentences = (
        ("takeover-condition", group.to_move),
        ("takeover-obstacle", group.blocks),
        ("note", group.notes),
        ("past-transition", group.history),
    )
    return content + [(name, said) for name, several in sentences for said in several]


def _node_elements(node: NodeExplanation) -> "list[Element]":
    content: list[Element] = [("device-name", f"node{node.node}"), ("redundancy-group-status", node.state)]
    if node.gate_open is not None:
        content.append(("gate-status", "Open" if node.gate_open else "Shut"))
    content += [
        ("configured-priority", node.configured_priority),
        ("device-priority", node.effective_priority),
        ("priority-reason", node.why_priority),
        ("redundancy-group-weight", "n/a" if node.weight is None else node.weight),
        ("weight-sum", node.sum),
    ]
    for one in node.monitored:
        leaves: list[Element] = [("monitor-type", one.kind), ("monitor-name", one.name), ("weight", one.weight)]
        content.append(("monitored-object", [*leaves, ("status", UP[one.up])]))
    return content
