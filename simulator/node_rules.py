"""What is promised of a node as a whole and of how often its groups move, judged from the history of a run.

Beside ``simulator.rules``: preempt limit, disabled nodes, groups that stand together.
"""

from jsrpd.model.roles import RG0, GroupState, RedundancyMode
from jsrpd.model.time import SECOND, Instant
from simulator.checkers import FREEZES, Violation
from simulator.history import FOREVER, History, Standing
from simulator.rules import moves


def preempt_limit(history: History) -> list[Violation]:
    """In each life of an engine, unless the operator cleared the count: no more preemptions within the period than the limit."""
    violations = []
    preempted: dict[tuple[int, int], list[Instant]] = {}
    for turn, logged in moves(history):
        at, node, group = turn.at, turn.node, logged.group
        preempt = history.configuration_at(node, at).group(group).preempt
        if not logged.reason.startswith("Preempt/yield") or preempt is None or _healing(history, group, node, at):
            continue
        since = at - preempt.period_s * SECOND
        earlier = preempted.setdefault((group, node), [])
        excused = any(
            (d.kind in ("started", f"operator clear preempt-count RG{group}") or d.kind.startswith("commit"))
            and since <= d.start <= at
            for d in history.disturbances
        )
        # On the node's own clock, which may be a little slow.
        counted = [one for one in earlier if one > since + preempt.period_s * SECOND // 1000]
        if preempt.limit and len(counted) >= preempt.limit and not excused:
            text = f"node{node} RG{group} preempted once more than {preempt.limit} times within {preempt.period_s} s"
            violations.append(Violation("preempt_limit", at, text))
        earlier.append(at)
    return violations


def _healing(history: History, group: int, node: int, at: Instant) -> bool:
    """The peer was primary lately; a word of that may be 2 T under way, and wait as long."""
    ends = [*history.standings[group, 1 - node][1:], Standing(at, None, 0)]
    spans = zip(history.standings[group, 1 - node], ends, strict=True)
    return any(
        start.state == GroupState.PRIMARY and end.at > at - 5 * history.timing.dead and start.at < at for start, end in spans
    )


def disabled_in_time(history: History) -> list[Violation]:
    """A node is disabled only where the configuration says so, all of its groups at once, and not before its time has passed."""
    violations = []
    since: dict[tuple[int, int], Instant] = {}
    for turn, logged in moves(history):
        if logged.new == "ineligible":
            since[logged.group, turn.node] = turn.at
        if logged.new != "disabled":
            continue
        configuration = history.configuration_at(turn.node, turn.at)
        begun = since[logged.group, turn.node]
        # A turn that was frozen counts from the time it had read before.
        frozen = any(
            d.kind in FREEZES and d.node == turn.node and any(d.start < at <= d.end for at in (begun, turn.at))
            for d in history.disturbances
        )
        wanted = configuration.disable_after_s * SECOND
        lasted = turn.at - begun
        states = [history.standing_at(group, turn.node, turn.at).state for group in history.groups]
        if configuration.control_link_recovery == "rejoin":
            violations.append(Violation("disabled_in_time", turn.at, f"node{turn.node} was disabled in mode rejoin"))
        elif lasted < wanted - wanted // 1000 and not frozen:
            violations.append(Violation("disabled_in_time", turn.at, f"node{turn.node} RG{logged.group} was disabled too early"))
        elif any(state != GroupState.DISABLED for state in states):
            violations.append(Violation("disabled_in_time", turn.at, f"node{turn.node} was disabled with groups that were not"))
    return violations


def groups_together(history: History) -> list[Violation]:
    """In mode active-backup all groups from 1 on are primary on one node once the cluster has come to rest."""
    if history.configuration_at(0, 0).redundancy_mode == RedundancyMode.ACTIVE_ACTIVE or history.healed_at == FOREVER:
        return []
    at = history.ended_at
    owners = {
        node
        for group in history.groups
        for node in (0, 1)
        if group != RG0 and history.standing_at(group, node, at).state == GroupState.PRIMARY
    }
    return [Violation("groups_together", at, "groups stand on both nodes in mode active-backup")] if len(owners) > 1 else []
