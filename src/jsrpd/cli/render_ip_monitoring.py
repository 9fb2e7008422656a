"""``show chassis cluster ip-monitoring status``, in the vendor's layout and as JSON (reference 7.8)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from jsrpd.cli.both_nodes import Answer
from jsrpd.cli.render_text import node_block
from jsrpd.model.ip_monitoring import IpGroupStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

NOTHING = "IP monitoring is not configured"


def as_text(answers: Sequence[Answer]) -> str:
    """A block for each node; a blank line in front of each group."""
    return "".join(node_block(one.node, one.problem or _groups(one)) for one in answers)


def _groups(answer: Answer) -> str:
    blocks = [_group(group) for group in _of(answer)] or [NOTHING]
    return "\n" + "\n\n".join(blocks)


def _of(answer: Answer) -> Sequence[IpGroupStatus]:
    return (answer.reply.ip_monitoring if answer.reply is not None else None) or ()


def _group(group: IpGroupStatus) -> str:
    width = max([24, *(len(target.address) for target in group.targets)])
    lines = [
        f"Redundancy group: {group.group}",
        f"Global weight: {group.global_weight}",
        f"Global threshold: {group.global_threshold}",
        f"Current threshold: {group.current_threshold}",
        "",
        f"{'IP address':<{width}}  {'Status':<14}{'Failure count':<15}{'Weight':<8}Reason",
    ]
    for target in group.targets:
        reason = target.reason or "n/a"
        count = f"{target.failure_count:^13}"
        lines.append(f"{target.address:<{width}}  {target.status:<14}{count:<15}{target.weight:<8}{reason}")
    return "\n".join(lines)


def as_json(answers: Sequence[Answer]) -> str:
    """An array with an object for each node: ``node``, ``problem`` (why it does not answer, empty otherwise), ``groups``."""
    tree = [{"node": one.node, "problem": one.problem, "groups": msgspec.to_builtins(_of(one))} for one in answers]
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"


def as_xml(answers: Sequence[Answer]) -> "Element":
    """``multi-routing-engine-results``."""
    from jsrpd.cli.render_xml import by_node, ip_monitoring, problem

    return by_node((one.node, [problem(one.problem) if one.problem else ip_monitoring(_of(one))]) for one in answers)
