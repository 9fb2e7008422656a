"""What must hold in every run, judged afterwards from its history. One function per promise.

Each takes a ``History`` and answers with violations; none looks into the core. The promises are those of LEASE
("Promise, exactly") and SPEC 1; where a promise has exceptions, the function's docstring says exactly which.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from jsrpd.core.redundancy_group import TRANSITIONS
from jsrpd.model.roles import GroupState
from jsrpd.model.time import MILLISECOND, Duration, Instant
from simulator.history import FOREVER, History, Standing, milliseconds

Span = tuple[Instant, Instant]

TOLERANCE: Duration = 2 * MILLISECOND
"""Wake-up latency and message delay that a bound in T and I does not count."""
OWNING = (GroupState.PRIMARY, GroupState.SECONDARY, GroupState.SECONDARY_HOLD)
SLEEPS = ("paused", "machine paused", "stalled")
FREEZES = (*SLEEPS, "starved")
DEATHS = ("engine killed", "powered off")
PLANNED = ("Preempt", "Redundancy mode", "Manual failover", "Remote is in secondary hold")
"""Begun before, or whatever happens; ``manual_failover`` sees to it that nothing is moved unasked."""
MAX_ELEMENTS = 2048
"""Far more than a core of four groups needs, its 512 remembered send times included."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise was broken at ``at`` (true time)."""

    checker: str
    at: Instant
    text: str


# -- spans --------------------------------------------------------------------------------------------------------


def union(spans: list[Span]) -> list[Span]:
    """Sorted, disjoint, none empty."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def without(spans: list[Span], holes: list[Span]) -> list[Span]:
    """``spans`` less ``holes``; both sorted and disjoint."""
    left: list[Span] = []
    for start, end in spans:
        for hole_start, hole_end in holes:
            if hole_end <= start:
                continue
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = hole_end
        if start < end:
            left.append((start, end))
    return left


def common(first: list[Span], second: list[Span]) -> list[Span]:
    """Where both hold; inputs sorted and disjoint."""
    return without(first, without(first, second))


def within(spans: list[Span], at: Instant) -> bool:
    """Whether ``at`` lies in one of the sorted, disjoint spans."""
    index = bisect_right(spans, at, key=lambda span: span[0])
    return index > 0 and at < spans[index - 1][1]


def split(spans: list[Span], points: list[Instant]) -> Iterator[Span]:
    """Cut spans at points."""
    for start, end in spans:
        inner = [p for p in points if start < p < end]
        yield from pairwise([start, *sorted(set(inner)), end])


# -- 1: one owner ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overlap:
    """Both gates of a group open; ``hand_over``: one node stands in secondary-hold."""

    group: int
    start: Instant
    end: Instant
    hand_over: bool


def overlaps(history: History) -> Iterator[Overlap]:
    """All spans with two open gates, split where the kind changes."""
    for group in history.groups:
        writes = [(w.at, n, w) for n in (0, 1) for w in history.slots[group, n]]
        writes.sort(key=lambda entry: entry[0])
        current = {n: history.slots[group, n][0] for n in (0, 1)}
        pending: Overlap | None = None
        for index, (at, node, write) in enumerate(writes):
            current[node] = write
            following = writes[index + 1][0] if index + 1 < len(writes) else history.ended_at
            end = min(current[0].until + 1, current[1].until + 1, following)
            if end <= at:
                continue
            hand_over = GroupState.SECONDARY_HOLD in (current[0].state, current[1].state)
            if pending and pending.end == at and pending.hand_over == hand_over:
                pending = Overlap(group, pending.start, end, hand_over)
                continue
            if pending:
                yield pending
            pending = Overlap(group, at, end, hand_over)
        if pending:
            yield pending


def is_partition(history: History, overlap: Overlap) -> bool:
    """A complete cut, by what the network did: of all that was said within the lease's silence S before the overlap, and until its
    end, neither node had heard anything faster than L. Who died before could say nothing any more, so there the time before its
    death is judged. Where it was alone when it died, it had heard nothing for S, and its gate rests on the last that it sent: that
    must have gone unheard."""
    judged = overlap.start
    for node in (0, 1):
        standing = history.standing_at(overlap.group, node, overlap.start)
        slot = history.slot_at(overlap.group, node, overlap.start)
        if standing.state is not None:
            continue
        if not slot.alone:
            judged = min(judged, standing.at)
            continue
        sent = slot.until - history.configuration_at(node, standing.at).timing.lease
        if history.heard_within(1 - node, sent - MILLISECOND // 100, overlap.end):
            return False
    timings = [history.configuration_at(node, max(0, judged - 1)).timing for node in (0, 1)]
    timing = min(timings, key=lambda timing: timing.dead)
    start = judged - timing.lease_silence + timing.slop
    return not any(history.heard_within(node, start, overlap.end) for node in (0, 1))


def arbitrated(history: History, at: Instant) -> bool:
    """Both nodes have arbitration."""
    return all(history.configuration_at(node, at).arbitration is not None for node in (0, 1))


def both_answered(history: History, overlap: Overlap) -> bool:
    """A probed address answered both nodes at once: of the requests they sent later than V and the slop before the second gate
    opened, and until it shut, those of one began before those of the other had ended. Of a witness's word this is no excuse."""
    configurations = [history.configuration_at(node, overlap.start) for node in (0, 1)]
    if any(configuration.witnessed for configuration in configurations):
        return False
    timing = max((configuration.timing for configuration in configurations), key=lambda timing: timing.dead)
    since = overlap.start - timing.verdict - timing.slop
    asked = [[a.asked_at for a in history.answers[node] if since <= a.asked_at <= overlap.end] for node in (0, 1)]
    return all(asked) and max(map(min, asked)) <= min(map(max, asked))


def is_excused(history: History, overlap: Overlap) -> bool:
    """Without arbitration a complete cut; with it only what no echo can tell apart: an address that answers both sides of one."""
    return is_partition(history, overlap) and (not arbitrated(history, overlap.start) or both_answered(history, overlap))


def one_owner(history: History) -> list[Violation]:
    """At most one open gate per group, but for an acknowledged hand-over (at most the grace) and a complete cut: with a witness
    not even then, with a probed address only while it answers both nodes."""
    grace = history.timing.grace + history.timing.grace // 1000 + MILLISECOND // 100
    violations = []
    for overlap in overlaps(history):
        length = overlap.end - overlap.start
        if overlap.hand_over and length <= grace:
            continue
        if is_excused(history, overlap):
            continue
        kind = "in a hand-over beyond the grace" if overlap.hand_over else "without a complete cut"
        violations.append(
            Violation("one_owner", overlap.start, f"RG{overlap.group} two open gates {kind} for {milliseconds(length)}")
        )
    return violations


def partition_overlaps(history: History) -> int:
    """How often both owned a group in a complete cut where that is allowed; counted."""
    return sum(1 for overlap in overlaps(history) if not overlap.hand_over and is_excused(history, overlap))


def denied_spans(history: History, node: int) -> list[Span]:
    """When the node had heard nothing of its peer for 1.5 I and the arbiter's word was not enough to claim."""
    if all(configuration.arbitration is None for _, configuration in history.configurations[node]):
        return []
    allowed: list[Span] = []
    since = until = -1
    for answer in history.answers[node]:
        configuration = history.configuration_at(node, answer.asked_at)
        if answer.asked_at > until:
            since = answer.asked_at
        until = max(until, answer.until)
        wait = 0 if configuration.witnessed else configuration.timing.verdict + configuration.timing.slop
        allowed.append((max(answer.at, since + wait), answer.until))
    heard = [0, *history.heard[node], history.ended_at]
    silent = [(before, after) for before, after in pairwise(heard) if after - before > history.timing.fresh]
    return without(union(silent), union(allowed))


# -- 2: one primary after healing -------------------------------------------------------------------------------------


def one_primary_after_healing(history: History) -> list[Violation]:
    """From ``settle`` after everything is healed to the end: one node primary with its gate open throughout, the other
    secondary (or sitting out its hold-down)."""
    if history.healed_at == FOREVER:
        return []
    violations = []
    start, end = history.healed_at + history.settle, history.ended_at
    for group in history.groups:
        shut = without([(start, end)], union([s for n in (0, 1) for s in history.open_spans(group, n)]))
        states = [history.standing_at(group, node, end).state for node in (0, 1)]
        primaries = states.count(GroupState.PRIMARY)
        others = (GroupState.PRIMARY, GroupState.SECONDARY, GroupState.SECONDARY_HOLD)
        if primaries != 1 or any(state not in others for state in states):
            names = "/".join(state.label if state is not None else "down" for state in states)
            violations.append(Violation("one_primary_after_healing", end, f"RG{group} ends {names}"))
        elif shut:
            violations.append(Violation("one_primary_after_healing", shut[0][0], f"RG{group} without open gate after healing"))
    return violations


# -- 3: no owner ------------------------------------------------------------------------------------------------------


def down_spans(history: History, node: int, freezes: tuple[str, ...] = FREEZES) -> list[Span]:
    """When the node had no engine, or it was frozen."""
    any_group = history.groups[0]
    standings = history.standings[any_group, node]
    spans = [(d.start, d.end) for d in history.disturbances if d.node == node and d.kind in freezes]
    spans += [(a.at, b.at) for a, b in pairwise([*standings, Standing(history.ended_at, None, 0)]) if a.state is None]
    return union(spans)


def stopping_spans(history: History, node: int) -> list[Span]:
    """From the request to stop until the engine is started again."""
    spans: list[Span] = []
    since: Instant | None = None
    for disturbance in history.disturbances:
        if disturbance.node != node:
            continue
        if disturbance.kind == "told to stop":
            since = disturbance.start if since is None else since
        elif disturbance.kind == "started" and since is not None:
            spans.append((since, disturbance.start))
            since = None
    if since is not None:
        spans.append((since, history.ended_at))
    return union(spans)


def unfit_spans(history: History, group: int, node: int) -> list[Span]:
    """When the node could not own the group: down, frozen, stopping, in hold, ineligible, or without priority."""
    standings = [*history.standings[group, node], Standing(history.ended_at, None, 0)]
    spans = [(a.at, b.at) for a, b in pairwise(standings) if a.state not in OWNING or a.priority == 0]
    return union(spans + down_spans(history, node) + stopping_spans(history, node))


def deaf_spans(history: History, receiver: int) -> list[Span]:
    """When the network kept the peer's word from ``receiver``: longer than 1.5 I between two turns that heard it, and a
    datagram on its way was lost or late."""
    heard = [0, *history.heard[receiver], history.ended_at]
    interval = history.timing.interval
    return [
        (before, after)
        for before, after in pairwise(heard)
        if after - before > history.timing.fresh and history.impaired_within(receiver, before - 2 * interval, after)
    ]


def no_owner(history: History) -> list[Violation]:
    """While a fit node is up and a path works, a group has an open gate, but for stretches of at most T + I.

    Not counted: time in which no node is fit and awake, and heard its peer or else had the arbiter's word, or (both awake) the
    network kept one from hearing the other for more than 1.5 I. A stretch begins anew when either node starts, dies, freezes,
    wakes, or changes its fitness, and when a word arrives that the network kept until its sender had died or frozen: who hears it
    takes that one for alive. Each costs its own T.
    """
    bound = history.timing.dead + history.timing.interval
    bound += bound // 1000 + TOLERANCE
    down = [down_spans(history, node) for node in (0, 1)]
    # A starved node is no reason to claim in time, but it speaks: the network between the two may be to blame all the same.
    asleep = union([span for node in (0, 1) for span in down_spans(history, node, SLEEPS)])
    both_awake = without([(0, history.ended_at)], asleep)
    deaf = common(union(deaf_spans(history, 0) + deaf_spans(history, 1)), both_awake)
    # Not from the spans alone: who wakes and dies in one turn has one span, but was heard in between.
    changes = (*FREEZES, *DEATHS, "started", "stopped")
    nodes_struck = [edge for d in history.disturbances if d.kind in changes for edge in (d.start, d.end)]
    nodes_struck += [at for node in (0, 1) for at in history.stale[node]]
    violations = []
    for group in history.groups:
        owned = union([span for node in (0, 1) for span in history.open_spans(group, node)])
        unfit = [union(unfit_spans(history, group, node) + denied_spans(history, node)) for node in (0, 1)]
        edges = [edge for spans in (*unfit, *down) for span in spans for edge in span] + nodes_struck
        unowned = without([(0, history.ended_at)], owned)
        excused = union(common(unfit[0], unfit[1]) + deaf)
        for start, end in split(without(unowned, excused), edges):
            if end - start > bound:
                text = f"RG{group} without open gate for {milliseconds(end - start)} though a node is fit"
                violations.append(Violation("no_owner", start, text))
    return violations


# -- 4, 5: what must not happen ------------------------------------------------------------------------------------------


def calm(history: History, start: Instant, end: Instant, but: Instant) -> bool:
    """Nothing was done to the world in the span, but for what began at ``but``."""
    done = any(d.start != but and d.start < end and d.end > start for d in history.disturbances)
    return start > 0 and not done and not any(history.impaired_within(n, start, end) for n in (0, 1))


def standby_death_costs_nothing(history: History) -> list[Violation]:
    """With calm links and nothing else going on for 3 T before and after, the death of a standby that was secondary all
    that time never closes the primary's gate."""
    dead = history.timing.dead
    violations = []
    for death in history.disturbances:
        start, end = death.start - 3 * dead, death.start + 3 * dead
        if death.kind not in DEATHS or end > history.ended_at or not calm(history, start, end, death.start):
            continue
        assert death.node is not None
        for group in history.groups:
            standby = history.standing_at(group, death.node, death.start - 1)
            owner = history.standing_at(group, 1 - death.node, death.start - 1)
            settled = max(standby.at, owner.at) < start
            if not settled or standby.state != GroupState.SECONDARY or owner.state != GroupState.PRIMARY:
                continue
            shut = without([(start, end)], history.open_spans(group, 1 - death.node))
            if shut:
                text = f"RG{group} node{1 - death.node} shut for {milliseconds(shut[0][1] - shut[0][0])} when its standby died"
                violations.append(Violation("standby_death_costs_nothing", shut[0][0], text))
    return violations


def no_failover_when_late(history: History) -> list[Violation]:
    """With calm links and nothing else going on for 3 T before and after, a node that sleeps less than L moves nothing.

    A primary that sleeps falls silent for its sleep and up to an interval more, so for groups it owns the sleep must be
    shorter than T - 1.5 I. Preemption that was already due is not counted, nor what the operator wanted before.
    """
    violations = []
    for freeze in history.disturbances:
        length = freeze.end - freeze.start
        start, end = freeze.start - 3 * history.timing.dead, freeze.end + 3 * history.timing.dead
        timing = min((history.configuration_at(n, freeze.start).timing for n in (0, 1)), key=lambda one: one.dead)
        if freeze.kind not in SLEEPS or length >= timing.lease or not calm(history, start, end, freeze.start):
            continue
        for turn in history.turns:
            if not freeze.start <= turn.at < end:
                continue
            for logged in turn.logged:
                owned = history.standing_at(logged.group, freeze.node or 0, freeze.start).state == GroupState.PRIMARY
                planned = logged.reason.startswith(PLANNED)
                if "primary" not in (logged.old, logged.new) or planned:
                    continue
                if owned and length >= timing.dead - timing.fresh - timing.slop:
                    continue
                text = f"RG{logged.group} {logged.old} -> {logged.new} ({logged.reason}) after a sleep of {milliseconds(length)}"
                violations.append(Violation("no_failover_when_late", turn.at, text))
    return violations


# -- 7, 10: the core itself ----------------------------------------------------------------------------------------------


REASONS = {
    ("hold", "secondary"): r"Hold timer expired",
    ("hold", "primary"): r"Restarted in place",
    ("secondary", "primary"): (
        r"Better priority \(\d+/\d+\)|Remote yield \(\d+/0\)(, due to [A-Z ]+  failures)?|"
        r"Remote is in secondary hold|Only node present"
    ),
    ("secondary", "ineligible"): r"(Control|Fabric) link failure",
    ("primary", "secondary-hold"): (
        r"Monitor failed: [A-Z ]+|Preempt/yield\(\d+/\d+\)|Manual failover|Node shutdown|Control link failure|"
        r"Redundancy mode active-backup"
    ),
    ("primary", "secondary"): r"Lease expired",
    ("secondary-hold", "primary"): r"Only node present",
    ("secondary-hold", "secondary"): r"Ready to become secondary",
    ("secondary-hold", "ineligible"): r"(Control|Fabric) link failure",
    ("ineligible", "secondary"): r"(Control|Fabric) link recovered|Remote is not primary",
    ("ineligible", "disabled"): r"Ineligible timer expired",
    ("disabled", "hold"): r"Recovered from disabled",
    ("ineligible", "primary"): r"Only node present",
}
"""Every transition with the reasons it may have (SPEC 6.2, decision 0010), written here a second time."""


def transitions(history: History) -> list[Violation]:
    """Every change of state is a row of the table, has a reason of that row, and is logged exactly once."""
    violations = []
    for turn in history.turns:
        changed = sorted((group, old.label, new.label) for group, old, new in turn.changes)
        logged = sorted((line.group, line.old, line.new) for line in turn.logged)
        if changed != logged:
            violations.append(Violation("transitions", turn.at, f"node{turn.node} changed {changed}, logged {logged}"))
        for group, old, new in turn.changes:
            if (old, new) not in TRANSITIONS:
                text = f"node{turn.node} RG{group} {old.label} -> {new.label} is not in the table"
                violations.append(Violation("transitions", turn.at, text))
        for line in turn.logged:
            if re.fullmatch(REASONS.get((line.old, line.new), ""), line.reason) is None:
                text = f"node{turn.node} RG{line.group} {line.old} -> {line.new} because of {line.reason!r}"
                violations.append(Violation("transitions", turn.at, text))
    return violations


def bounded_state(history: History) -> list[Violation]:
    """The core's containers hold no more than a fixed number of elements, however long it runs."""
    return [
        Violation("bounded_state", at, f"node{node} core holds {size} elements")
        for at, node, size in history.sizes
        if size > MAX_ELEMENTS
    ]
