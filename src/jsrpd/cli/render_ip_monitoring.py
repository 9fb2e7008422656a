"""``show chassis cluster ip-monitoring status``, in the vendor's layout and as JSON (reference 7.8)."""

from collections.abc import Sequence

import msgspec

from jsrpd.cli.render_text import node_block
from jsrpd.model.ip_monitoring import IpGroupStatus

NOTHING = "IP monitoring is not configured"


def as_text(node: int, groups: Sequence[IpGroupStatus]) -> str:
    """This node's block; a blank line in front of each group."""
    blocks = [_group(group) for group in groups] or [NOTHING]
    return node_block(node, "\n" + "\n\n".join(blocks))


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


def as_json(node: int, groups: Sequence[IpGroupStatus]) -> str:
    """Indented JSON with a final line end."""
    tree = {"node": node, "groups": msgspec.to_builtins(groups)}
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"
