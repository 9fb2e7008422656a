"""What operators were promised, judged from the history of a run: hold-down, preemption, manual failover, priorities, messages.

Beside ``simulator.checkers``, which judges who owns a group and for how long. A rule is judged only where the history leaves no
doubt what each node knew: where links were good and nothing else happened, or where the reason logged tells it.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from jsrpd.model.roles import MANUAL_PRIORITY, RG0, GroupState, RedundancyMode
from jsrpd.model.time import SECOND, Duration, Instant
from simulator.checkers import FREEZES, TOLERANCE, Violation, calm, stopping_spans, union, within, without
from simulator.history import History, Logged, Standing, Turn, milliseconds

PRIMARY, SECONDARY, SECONDARY_HOLD = GroupState.PRIMARY, GroupState.SECONDARY, GroupState.SECONDARY_HOLD
PRIORITIES = re.compile(
    r"^(Better priority|Remote yield|Preempt/yield)\((\d+)/(\d+)\)|^(Better priority|Remote yield) \((\d+)/(\d+)\)"
)
MONITOR = re.compile(r"^JSRPD_(UN)?SET_(.+)$")


def moves(history: History) -> Iterator[tuple[Turn, Logged]]:
    """Every change of state that was logged, with its turn."""
    for turn in history.turns:
        for logged in turn.logged:
            yield turn, logged


def priorities(reason: str) -> tuple[int, int] | None:
    """Local and remote priority as a reason tells them."""
    found = PRIORITIES.match(reason)
    if found is None:
        return None
    local, remote = (found[2], found[3]) if found[1] else (found[5], found[6])
    return int(local), int(remote)


# -- 6: hold-down, preemption, manual failover --------------------------------------------------------------------------


def hold_down(history: History) -> list[Violation]:
    """Secondary-hold lasts as long as the hold-down interval says: no longer (or the grace) by more than an interval while the node
    is awake; no shorter while the peer owns the group and has been heard to. A node that was told to stop leaves it only by
    stopping, which takes it two graces at most, after the services of its other groups."""
    violations = []
    timing = history.timing
    # Two turns may fall on one instant.
    turns = {(t.node, t.at, group, new): t for t in history.turns for group, _, new in t.changes}
    for (group, node), standings in history.standings.items():
        for start, end in pairwise(_states(standings)):
            if start.state != SECONDARY_HOLD:
                continue
            began = turns[node, start.at, group, SECONDARY_HOLD]
            hold = began.configuration.group(group).hold_down_interval_s * SECOND
            # A turn counts from the instant it judges; who sleeps in the turn that yields has slept in its hold-down.
            lasted = end.at - began.known.judged
            hindered = any(
                d.node == node and d.kind in FREEZES and d.end >= start.at and d.start <= end.at for d in history.disturbances
            )
            told = [since for since, until in stopping_spans(history, node) if since < end.at and until > start.at]
            bound = max(hold, timing.grace) + timing.interval
            if told:
                configured = [t.configuration for t in history.turns if t.node == node and start.at <= t.at <= end.at]
                services = max(g.service_stop_limit_s for c in configured for g in c.groups) * SECOND
                bound = max(bound, told[0] - start.at + services + 2 * timing.grace + timing.interval)
            if not hindered and lasted > bound + bound // 1000 + TOLERANCE:
                text = f"node{node} RG{group} in secondary-hold for {milliseconds(lasted)}, {milliseconds(hold)} were configured"
                violations.append(Violation("hold_down", end.at, text))
            if end.state != SECONDARY:
                continue
            left = turns[node, end.at, group, SECONDARY]
            peer, silent = left.known.peer(group), left.known.judged - left.known.taken
            # Its last words may call it the owner still: it stops whether anybody has taken the group or not.
            stopped = left.known.word is not None and left.known.word.stopped
            heard = silent < left.configuration.timing.dead - TOLERANCE
            owned = peer is not None and peer.state == PRIMARY and heard and not stopped
            if owned and lasted < hold - hold // 1000:
                text = f"node{node} RG{group} left secondary-hold after {milliseconds(lasted)} of {milliseconds(hold)}"
                violations.append(Violation("hold_down", end.at, text))
    return violations


def _states(standings: list[Standing]) -> list[Standing]:
    """Without those in which only the priority changed."""
    return [one for index, one in enumerate(standings) if index == 0 or standings[index - 1].state != one.state]


def preemption(history: History) -> list[Violation]:
    """A primary yields to a better peer only if preempt is configured, never in RG0, never from a manual failover, and not before
    the peer has been fit and better for the configured delay."""
    violations = []
    for turn, logged in moves(history):
        at, node, group = turn.at, turn.node, logged.group
        values = priorities(logged.reason)
        peer = turn.known.peer(group)
        if not logged.reason.startswith("Preempt/yield") or values is None or (peer is not None and peer.state == PRIMARY):
            continue  # The last: two primaries have met, and that is a healing.
        local, remote = values
        preempt = turn.configuration.group(group).preempt
        wrong = None
        if preempt is None or group == RG0:
            wrong = "though it may not"
        elif local == MANUAL_PRIORITY:
            wrong = "though it was put here by the operator"
        elif local >= remote:
            wrong = "to a peer no better"
        else:
            wrong = _too_early(history, group, turn, preempt.delay_s)
        if wrong:
            violations.append(Violation("preemption", at, f"node{node} RG{group} preempted ({local}/{remote}) {wrong}"))
    return violations


def _too_early(history: History, group: int, turn: Turn, delay_s: int) -> str | None:
    """All the delay long, by the node's own clock, what it knew of the peer was fit and better than it was itself."""
    node, delay = turn.node, delay_s * SECOND
    start = turn.known.judged - delay + delay // 1000
    weighed = [(turn.known, turn.priorities[group])]
    for known in history.known_within(node, start, turn.at) if delay else ():
        own = history.standing_at(group, node, max(known.at, start))
        weighed.append((known, own.priority if own.state == PRIMARY else MANUAL_PRIORITY))
    for known, priority in weighed:
        peer = known.peer(group)
        if peer is None or peer.state != SECONDARY or peer.effective_priority <= priority:
            return f"before the peer was known to be fit for {delay_s} s"
    return None


def manual_failover(history: History) -> list[Violation]:
    """The operator's accepted request is carried out, at once when nothing is in the way, and nothing is carried out unasked."""
    violations = []
    timing = history.timing
    wishes: dict[tuple[int, int], list[Instant]] = {}
    for request in history.requests:
        if request.refusal is not None:
            continue
        for group in _moved_with(history, request.group):
            wishes.setdefault((group, request.target), []).append(request.at)
        patience = timing.dead + services_time(history, request.group, 1 - request.target, request.at)
        start, end = request.at - 2 * timing.dead, request.at + timing.dead + patience
        standing = history.standing_at(request.group, request.target, request.at + patience)
        if end <= history.ended_at and calm(history, start, end, but=request.at) and standing.state != PRIMARY:
            text = f"RG{request.group} did not move to node{request.target} as the operator asked"
            violations.append(Violation("manual_failover", request.at, text))
    done: dict[tuple[int, int], int] = {}
    for turn, logged in moves(history):
        if logged.reason == "Manual failover":
            key = (logged.group, 1 - turn.node)
            done[key] = done.get(key, 0) + 1
            if done[key] > sum(1 for at in wishes.get(key, ()) if at <= turn.at):
                violations.append(Violation("manual_failover", turn.at, f"node{turn.node} RG{logged.group} yielded unasked"))
    return violations


def services_time(history: History, group: int, node: int, at: Instant) -> Duration:
    """How long a planned hand-over of the group by the node waits for services at most."""
    return history.configuration_at(node, at).group(group).service_stop_limit_s * SECOND


def _in_maintenance(history: History, node: int, at: Instant) -> bool:
    words = [d.kind for d in history.disturbances if d.node == node and d.kind.startswith("maintenance") and d.start <= at]
    return bool(words) and words[-1] == "maintenance on"


def _was_told_to_stop(history: History, node: int, at: Instant) -> bool:
    """Just before, as far as it was awake to hear it."""
    told = [d.start for d in history.disturbances if d.node == node and d.kind == "told to stop" and d.start <= at]
    return bool(told) and at - told[-1] <= history.timing.dead


def _moved_with(history: History, group: int) -> list[int]:
    """In mode active-backup a group takes all others along, but for group 0."""
    together = history.configuration_at(0, 0).redundancy_mode == RedundancyMode.ACTIVE_BACKUP and group != RG0
    return [one for one in history.groups if one != RG0] if together else [group]


def unfit_yields(history: History) -> list[Violation]:
    """With good links and nothing else going on, a primary with priority 0 yields to a fit peer within T + I, manual or not.

    Only in maintenance, or when it was told to stop, its services may take their time before: that hand-over is planned.
    """
    violations = []
    for (group, node), standings in history.standings.items():
        for standing, following in pairwise([*standings, Standing(history.ended_at, None, 0)]):
            start, end = standing.at, following.at
            bound = history.timing.dead + history.timing.interval
            if _in_maintenance(history, node, start) or _was_told_to_stop(history, node, start):
                bound += services_time(history, group, node, start)
            if standing.state != PRIMARY or standing.priority > 0 or end - start <= bound:
                continue
            end = start + bound + TOLERANCE
            peer = history.standing_at(group, 1 - node, start)
            changed = any(start < other.at <= end for other in history.standings[group, 1 - node])
            fit = peer.state == SECONDARY and peer.priority > 0 and not changed
            if fit and end < following.at and calm(history, start - bound, end, but=start):
                text = f"node{node} RG{group} stays primary with priority 0 beside a fit peer"
                violations.append(Violation("unfit_yields", end, text))
    return violations


# -- 7: messages --------------------------------------------------------------------------------------------------------


def pairs(history: History) -> list[Violation]:
    """In each life of an engine, per group: SET and UNSET of a monitor take turns, and SET comes first."""
    violations = []
    failed: dict[tuple[int, str, str], bool] = {}
    for at, life, message in history.logs:
        found = MONITOR.match(message.tag)
        if found is None:
            continue
        key = (life, found[2], dict(message.values).get("rg-id", ""))
        sets = found[1] is None
        if failed.get(key, False) == sets:
            violations.append(Violation("pairs", at, f"{message.tag} RG{key[2]} {'again' if sets else 'without SET'}"))
        failed[key] = sets
    return violations


# -- 8: priorities and the first-up rule --------------------------------------------------------------------------------


def election(history: History) -> list[Violation]:
    """Elected against a heard peer is the higher effective priority, or the lower node-id where they are equal."""
    violations = []
    for turn, logged in moves(history):
        values = priorities(logged.reason)
        if values is None or logged.new != "primary":
            continue
        local, remote = values
        wins = local > remote or (local == remote and turn.node == 0)
        told = remote > 0 if logged.reason.startswith("Better priority") else remote == 0
        # The claim leaves the priority as it is, so what the turn ended with is what must have been weighed.
        true = local == turn.priorities[logged.group]
        if not wins or not told or not true:
            violations.append(Violation("election", turn.at, f"node{turn.node} RG{logged.group} claimed by {logged.reason}"))
    return violations


def first_up(history: History) -> list[Violation]:
    """Whoever was up T and more before the other, with good links and nothing else going on, is the first to be primary of a group
    it is fit for, whatever the priorities."""
    timing = history.timing
    starts = [next((d.start for d in history.disturbances if d.kind == "started" and d.node == node), None) for node in (0, 1)]
    if None in starts:
        return []
    first = 0 if (starts[0] or 0) < (starts[1] or 0) else 1
    begin, joined = starts[first] or 0, starts[1 - first] or 0
    end = joined + timing.start_up_hold + timing.dead
    others = [d.start for d in history.disturbances if d.start not in (begin, joined)]
    quiet = min([*others, history.ended_at]) > end and not any(history.impaired_within(node, 0, end) for node in (0, 1))
    if joined - begin < timing.dead + 2 * timing.interval or not quiet:
        return []
    violations = []
    for group in history.groups:
        claims = [(s.at, n) for n in (0, 1) for s in history.standings[group, n] if s.state == PRIMARY]
        unfit = any(s.priority == 0 and s.state is not None for s in history.standings[group, first] if s.at <= end)
        if claims and min(claims)[1] != first and not unfit:
            violations.append(Violation("first_up", min(claims)[0], f"RG{group} went to node{1 - first}, which came later"))
    return violations


# -- 4: what a lost datagram costs ----------------------------------------------------------------------------------------


def lost_datagram_costs_nothing(history: History) -> list[Violation]:
    """One datagram lost or late, nothing else for 3 T before and after: no group with a settled owner is without an open gate for
    longer than an interval, and none moves."""
    around = 3 * history.timing.dead
    disturbed = union([(d.start - around, d.end + around + 1) for d in history.disturbances])
    violations = []
    impaired = sorted((at, node) for node in (0, 1) for at in history.impaired[node])
    for index, (at, _) in enumerate(impaired):
        before = impaired[index - 1][0] if index else 0
        after = impaired[index + 1][0] if index + 1 < len(impaired) else history.ended_at
        start, end = at - around, at + around
        if start < max(before, 1) or end > after or within(disturbed, at):
            continue
        for group in history.groups:
            for node in (0, 1):
                owner, peer = (history.standing_at(group, n, start) for n in (node, 1 - node))
                settled = owner.state == PRIMARY and peer.state == SECONDARY and not history.standing_at(group, node, at).at > start
                if not settled:
                    continue
                shut = without([(start, end)], history.open_spans(group, node))
                moved = [m.reason for turn, m in moves(history) if m.group == group and start < turn.at < end]
                planned = moved and moved[0].startswith(("Preempt", "Redundancy mode"))
                if not planned and (moved or any(b - a > history.timing.interval for a, b in shut)):
                    text = f"RG{group} node{node} {'moved' if moved else 'was shut'} for one lost datagram"
                    violations.append(Violation("lost_datagram_costs_nothing", at, text))
    return violations
