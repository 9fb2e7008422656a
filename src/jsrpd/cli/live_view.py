"""The screen of ``monitor chassis cluster`` as values: sections, rows and styles, cut to whatever size there is. Pure.

Made for 80 columns and 24 rows. Where something must be left out it is what is well; how much is left out is said.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from jsrpd.model.journal import JournalEvent
from jsrpd.model.roles import codes_of
from jsrpd.model.status import ClusterStatus, GroupNodeStatus, GroupStatus, InterfaceMonitorStatus, PathStatus

NANOSECONDS = 1_000_000_000
LATE_SHOWN_NS = 5_000_000
"""Less than this is not worth a colour."""
MOST_NOTICES, MOST_PATHS, MOST_MONITORS, FEWEST_EVENTS = 2, 6, 3, 4
CODES_WIDTH = 5
CUT = "…"


class Style(Enum):
    """How text is shown; the value is the terminal's code (ECMA-48 section 8.3.117)."""

    PLAIN = ""
    TITLE = "7"
    HEAD = "1"
    GOOD = "32"
    ODD = "33"
    BAD = "31;1"
    FAINT = "2"


Span = tuple[str, Style]
Line = Sequence[Span]


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. ``now``: wall clock, ns. ``problem``: why ``status`` is None or old. ``rates``: sessions a second out, in."""

    host: str
    now: int
    interval_s: float
    status: ClusterStatus | None = None
    events: Sequence[JournalEvent] = field(default=())
    rates: tuple[float, float] | None = None
    problem: str = ""


def screen(view: View, columns: int, rows: int, colour: bool) -> list[str]:
    """At most ``rows`` lines of at most ``columns`` characters, escape sequences apart; without ``colour`` there are none."""
    lines: list[Line] = [_title(view)]
    lines += [[(part, Style.BAD)] for part in textwrap.wrap(view.problem, columns)]
    if view.status is not None:
        lines += _body(view, view.status, rows - len(lines), columns)
    return [_painted(line, columns, colour) for line in lines[:rows]]


def _painted(line: Line, columns: int, colour: bool) -> str:
    """Where it is cut there is a sign of it."""
    left, parts = columns, []
    rest = sum(len(text.rstrip() if at == len(line) - 1 else text) for at, (text, _) in enumerate(line))
    for text, style in line:
        shown = text[:left]
        left, rest = left - len(shown), rest - len(shown)
        if shown and not left and rest > 0:
            shown = f"{shown[:-1]}{CUT}"
        plain = not colour or style is Style.PLAIN or (style is not Style.TITLE and not shown.strip())
        parts.append(shown if plain else f"\x1b[{style.value}m{shown}\x1b[0m")
    return "".join(parts)


def _title(view: View) -> Line:
    status = view.status
    where = f"node{status.node} of cluster {status.cluster_id}, " if status is not None else ""
    clock = datetime.fromtimestamp(view.now / NANOSECONDS).astimezone()
    left = f" {where}{view.host}"
    right = f"{clock:%H:%M:%S}  every {view.interval_s:g} s  c colour  q leave "
    return [(f"{left:<{max(len(left) + 1, 80 - len(right))}}{right}", Style.TITLE)]


def _body(view: View, status: ClusterStatus, rows: int, columns: int) -> list[Line]:
    """Groups and events share what the rest leaves."""
    notices = [part for notice in status.notices[:MOST_NOTICES] for part in textwrap.wrap(f"! {notice}", columns)]
    top: list[Line] = [[(part, Style.BAD)] for part in notices]
    top += [*_left_out(len(status.notices) - MOST_NOTICES, "notices: show chassis cluster status"), *_paths(status), []]
    middle: list[Line] = [[], *_monitors(status), *_sessions(view, status), _engine(status), []]
    room = rows - len(top) - len(middle) - 2
    groups = _groups(status, max(1, room - FEWEST_EVENTS))
    return [*top, *groups, *middle, *_events(status.node, view.events, room + 1 - len(groups))]


# -- paths --------------------------------------------------------------------------------------------------------------


def _paths(status: ClusterStatus) -> list[Line]:
    head = [(f"{'Path':<17}{'Interface':<16}{'State':<7}{'Loss':>6}  {'Late':>9}  {'Sent':>9} {'Heard':>9}", Style.HEAD)]
    worst = sorted(status.paths, key=lambda path: (path.up, -path.recent_loss_percent))
    kept = set(worst[:MOST_PATHS])
    rows = [_path(path) for path in status.paths if path in kept]
    return [head, *rows, *_left_out(len(status.paths) - len(rows), "paths")]


def _path(path: PathStatus) -> Line:
    first: Span = (f"{path.name:<17}{path.interface:<15.15} ", Style.PLAIN)
    counts: Span = (f"{path.sent:>9} {path.received:>9}", Style.FAINT)
    if not path.up:
        # What was lost and late before it fell silent says nothing about now.
        return [first, (f"{'down':<7}{'-':>6}  {'-':>9}  ", Style.BAD), counts]
    return [
        first,
        ("up     ", Style.GOOD),
        (f"{path.recent_loss_percent:>5.1f}%  ", Style.ODD if path.recent_loss_percent else Style.PLAIN),
        (f"{path.late_ns / 1e6:>6.1f} ms  ", Style.ODD if path.late_ns >= LATE_SHOWN_NS else Style.PLAIN),
        counts,
    ]


def _left_out(count: int, what: str, bad: bool = False) -> list[Line]:
    return [[(f"  and {count} more {what}", Style.BAD if bad else Style.FAINT)]] if count > 0 else []


# -- groups -------------------------------------------------------------------------------------------------------------


STATES = {
    "primary": Style.GOOD,
    "secondary": Style.PLAIN,
    "hold": Style.ODD,
    "secondary-hold": Style.ODD,
    "ineligible": Style.BAD,
    "disabled": Style.BAD,
    "lost": Style.BAD,
}


def _groups(status: ClusterStatus, room: int) -> list[Line]:
    side = f"{'Prio':>4} {'Weight':>6} {'Gate':<5}{'Fails':<5}"
    head = [(f"{'Group':<6}{'node0':<14}{side} {'node1':<14}{side}".rstrip(), Style.HEAD)]
    shown = _worst(status.groups, room)
    unwell = sum(not _is_well(group) for group in status.groups if group not in shown)
    what = f"groups, {unwell} of them not well" if unwell else "groups, all of them well"
    return [head, *(_group(group) for group in shown), *_left_out(len(status.groups) - len(shown), what, unwell > 0)]


def _worst(groups: Sequence[GroupStatus], room: int) -> list[GroupStatus]:
    """Those that fit, the unwell before the well, each in its place."""
    if len(groups) <= room:
        return list(groups)
    kept = sorted(groups, key=_is_well)[: max(1, room - 1)]
    return [group for group in groups if group in kept]


def _is_well(group: GroupStatus) -> bool:
    return sorted(row.state for row in group.nodes) == ["primary", "secondary"] and not any(row.failures for row in group.nodes)


def _group(group: GroupStatus) -> Line:
    """With an ``m`` behind its number where an operator has placed it."""
    manual = any(row.manual for row in group.nodes)
    name = f"RG{group.group}{'m' if manual else ''}"
    line: list[Span] = [(f"{name:<6}", Style.ODD if manual else Style.PLAIN)]
    for row in group.nodes:
        line += [*_node(row), (" ", Style.PLAIN)]
    return line


def _node(row: GroupNodeStatus) -> list[Span]:
    weight = "-" if row.weight is None else str(row.weight)
    codes = [code.name for code in codes_of(row.failures or 0)] or ["-"]
    fails = " ".join(codes)
    if len(fails) > CODES_WIDTH:
        fails = f"{codes[0]}+{len(codes) - 1}"
    gate = {None: "-", True: "open", False: "shut"}[row.gate_open]
    primary_and_shut = row.state == "primary" and row.gate_open is False
    return [
        (f"{row.state:<14}", STATES.get(row.state, Style.PLAIN)),
        (f"{row.priority:>4} ", Style.PLAIN),
        (f"{weight:>6} ", Style.BAD if row.weight is not None and row.weight <= 0 else Style.PLAIN),
        (f"{gate:<5}", Style.BAD if primary_and_shut else Style.PLAIN),
        (f"{fails:<{CODES_WIDTH}}", Style.BAD if row.failures else Style.PLAIN),
    ]


# -- monitors, sessions, events -----------------------------------------------------------------------------------------


def _monitors(status: ClusterStatus) -> list[Line]:
    """Those that are down, one by one; the others counted."""
    down = [one for one in status.interface_monitors if not (one.physical_up and one.monitored_up)]
    well = len(status.interface_monitors) - len(down)
    first: Line = [("Monitors  ", Style.HEAD), (f"{well} up", Style.PLAIN), (f", {len(down)} down" if down else "", Style.BAD)]
    rows = [_monitor(one) for one in down[:MOST_MONITORS]]
    return [first, *rows, *_left_out(len(down) - len(rows), "down")]


def _monitor(one: InterfaceMonitorStatus) -> Line:
    where = f" on node{one.node}" if one.node is not None else ""
    said = "not told" if one.physical_up is None else "down"
    return [(f"          RG{one.group} {one.interface}{where}: {said}, weight {one.weight}", Style.BAD)]


def _sessions(view: View, status: ClusterStatus) -> list[Line]:
    told = status.sessions
    if told is None or not told.on:
        return [[("Sessions  ", Style.HEAD), ("not synchronized" if told is not None else "not told", Style.ODD)]]
    covered: Span = ("covered", Style.GOOD) if told.covered else ("not covered", Style.BAD)
    peer: Span = ("", Style.PLAIN) if told.peer else (", the peer is silent", Style.BAD)
    rates = "" if view.rates is None else f", {view.rates[0]:.0f} out {view.rates[1]:.0f} in a second"
    backlog: Span = (f", backlog {told.backlog_bytes >> 10} kB" if told.backlog_bytes else "", Style.ODD)
    return [[("Sessions  ", Style.HEAD), covered, peer, (rates, Style.PLAIN), backlog]]


def _engine(status: ClusterStatus) -> Line:
    style = Style.ODD if status.lateness_ns >= LATE_SHOWN_NS else Style.PLAIN
    return [("Engine    ", Style.HEAD), (f"{status.lateness_ns / 1e6:.1f} ms late at worst within an hour", style)]


def _events(node: int, events: Sequence[JournalEvent], room: int) -> list[Line]:
    """Of the answering node's journal; what happened on the other one, as far as it was told, says so."""
    head: list[Line] = [[(f"Last events of node{node}", Style.HEAD)]]
    return head + [_event(node, event) for event in (events[-room:] if room > 0 else ())]


def _event(node: int, event: JournalEvent) -> Line:
    at = datetime.fromtimestamp(event.at // NANOSECONDS).astimezone()
    groups = ",".join(f"RG{group}" for group in event.groups)
    text = ("" if event.node == node else f"node{event.node}: ") + event.text.split("\n")[0]
    moved = event.kind.value == "transition"
    return [
        (f"{at:%H:%M:%S}.{event.at % NANOSECONDS // 1_000_000:03} {groups:<6.6} ", Style.FAINT),
        (text, Style.ODD if moved else Style.PLAIN),
    ]


def rates(before: ClusterStatus | None, after: ClusterStatus, elapsed_s: float) -> tuple[float, float] | None:
    """Messages about sessions a second, out and in; None where that cannot be told."""
    if before is None or before.sessions is None or after.sessions is None or elapsed_s <= 0:
        return None
    sent, received = (_moved(before.sessions.services, after.sessions.services, place) for place in (1, 2))
    return max(0.0, sent / elapsed_s), max(0.0, received / elapsed_s)


def _moved(before: Iterable[tuple[str, int, int]], after: Iterable[tuple[str, int, int]], place: int) -> int:
    return sum(int(row[place]) for row in after) - sum(int(row[place]) for row in before)
