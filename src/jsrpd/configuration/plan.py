"""What a commit will do to the running cluster, group by group, before it is done."""

import msgspec

from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration, Reth

Pair = tuple[ClusterConfiguration, ClusterConfiguration]
"""As node 0 and as node 1 reads it."""
TRAFFIC = "warning: traffic impact: "


def impact(old: Pair, new: Pair) -> list[str]:
    """One line for each group that is touched, what it means, and what traffic will notice."""
    lines = _cluster(old[0], new[0])
    numbers = sorted({group.group for one in (*old, *new) for group in one.groups})
    for number in numbers:
        said = list(dict.fromkeys(line for was, now in zip(old, new, strict=True) for line in _group(number, was, now)))
        lines += [f"redundancy group {number}: {line}" if not line.startswith("warning") else line for line in said]
    return lines


def _cluster(old: ClusterConfiguration, new: ClusterConfiguration) -> list[str]:
    lines = list[str]()
    if old.timing != new.timing:
        lines.append(f"heartbeats: a dead node is noticed after {_dead(new)} ms instead of {_dead(old)} ms")
    if old.control_links != new.control_links or old.fabric_links != new.fabric_links:
        kept = {link.interface for link in old.control_links} & {link.interface for link in new.control_links}
        lines.append("paths between the nodes are opened anew")
        if not kept:
            lines.append("warning: every control link changes at once; commit confirmed takes it back if the nodes lose each other")
    if old.gate != new.gate and new.gate == "none":
        lines.append("warning: gate none: a hung node goes on answering for its addresses")
    if old.in_band_heartbeat and not new.in_band_heartbeat:
        lines.append("warning: without in-band heartbeats a cut of the links between the nodes leaves two owners")
    if old.session_synchronization.on and not new.session_synchronization.on:
        lines.append(f"{TRAFFIC}sessions are no longer synchronized: a failover ends them")
    return lines


def _dead(configuration: ClusterConfiguration) -> int:
    return configuration.heartbeat_interval_ms * configuration.heartbeat_threshold


def _group(number: int, old: ClusterConfiguration, new: ClusterConfiguration) -> list[str]:
    was, now = _find(old, number), _find(new, number)
    lines = list[str]()
    if was is None:
        lines.append("is new")
    elif now is None:
        lines.append("is removed")
        if any(reth.group == number for reth in old.reths):
            lines.append(f"{TRAFFIC}redundancy group {number} gives up its addresses")
    elif was != now:
        changed = [field for field in msgspec.structs.fields(now) if getattr(was, field.name) != getattr(now, field.name)]
        words = dict.fromkeys(field.name.removeprefix("peer_").replace("_", "-") for field in changed)
        lines.append(f"changes its {', '.join(words)}")
        lines += _may_move(number, was, now)
    return lines + _reths(number, old, new)


def _find(configuration: ClusterConfiguration, number: int) -> GroupConfiguration | None:
    return next((group for group in configuration.groups if group.group == number), None)


def _may_move(number: int, was: GroupConfiguration, now: GroupConfiguration) -> list[str]:
    turned = _preferred(was) != _preferred(now)
    if now.preempt is not None and (turned or was.preempt is None):
        delay = f" after {now.preempt.delay_s} s" if now.preempt.delay_s else " at once"
        return [f"{TRAFFIC}redundancy group {number} moves{delay} if node{_preferred(now)} is not primary for it"]
    return []


def _preferred(group: GroupConfiguration) -> int:
    return 0 if group.priorities[0] >= group.priorities[1] else 1


def _reths(number: int, old: ClusterConfiguration, new: ClusterConfiguration) -> list[str]:
    """Interfaces of the group that come, go or change."""
    before = {reth.name: reth for reth in old.reths if reth.group == number}
    after = {reth.name: reth for reth in new.reths if reth.group == number}
    lines = list[str]()
    for name in sorted(before.keys() | after.keys(), key=lambda name: int(name[4:])):
        was, now = before.get(name), after.get(name)
        if was is None:
            lines.append(f"gets {name}")
        elif now is None:
            lines.append(f"loses {name}")
            lines.append(f"{TRAFFIC}nobody answers for {_addresses(was)} in redundancy group {number} any more")
        elif was != now:
            lines.append(f"{name} changes")
            lines += _reth_impact(was, now)
    return lines


def _reth_impact(was: Reth, now: Reth) -> list[str]:
    lines = list[str]()
    if was.child != now.child or was.mac != now.mac:
        lines.append(f"{TRAFFIC}{now.name} is made anew; its addresses are silent for a moment")
    gone = [address for address in was.addresses if address not in now.addresses]
    if gone:
        lines.append(f"{TRAFFIC}nobody answers for {', '.join(one.address for one in gone)} any more")
    return lines


def _addresses(reth: Reth) -> str:
    return ", ".join(address.address for address in reth.addresses) or reth.name
