"""``show chassis cluster explain``: plain sentences, to be read at three in the morning."""

import msgspec

from jsrpd.cli.history import stamp
from jsrpd.model.explanation import GroupExplanation, MonitoredObject, NodeExplanation
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.time import SECOND, seconds

UP = {True: "up", False: "down", None: "not told"}


def with_orders(explained: tuple[GroupExplanation, ...], events: list[JournalEvent]) -> tuple[GroupExplanation, ...]:
    """Says who gave the failover command that a manual state goes back to, as far as this node's journal knows."""
    return tuple(_with_order(group, events) if _manual(group) else group for group in explained)


def _manual(group: GroupExplanation) -> bool:
    return any(block.startswith("a manual failover") for block in group.blocks)


def _with_order(group: GroupExplanation, events: list[JournalEvent]) -> GroupExplanation:
    for event in reversed(events):
        ordered = event.kind is EventKind.COMMAND and event.text.startswith("failover redundancy-group")
        if ordered and group.group in event.groups and event.values.get("outcome", "done") == "done":
            note = f"the failover was ordered by {event.by or 'somebody'} at {stamp(event.at)}"
            return msgspec.structs.replace(group, notes=(note, *group.notes))
    note = "who ordered the failover does not stand in the journal of this node; look at the events of the other one"
    return msgspec.structs.replace(group, notes=(note, *group.notes))


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
    return lines + (_list("Worth knowing:", group.notes) if group.notes else [])


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
