"""``request chassis cluster what-if``: the events as an operator writes them, and the answer.

    interface IF down|up [on node N]            node N lost|killed|stopped|started
    monitor CODE failed|recovered redundancy-group N [weight W] [on node N]       CODE as status shows it: IP, SG, CS ...
    control link N down|up                      fabric [link N] down|up     all links down|up
    all paths down|up (links and segments)
    failover redundancy-group N node M          reset [redundancy-group N]
    maintenance on|off node N                   rejoin node N
    commit FILE                                 after DURATION [event]

Events are separated by semicolons. They name what the running configuration has; anything else is answered with what is
understood, and the nearest.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from jsrpd.core.cluster import Cluster
from jsrpd.core.what_if import (
    Committed,
    FailoverOrdered,
    InterfaceSet,
    MaintenanceOrdered,
    Moment,
    MonitorSet,
    NodeKilled,
    NodeLost,
    NodeStarted,
    NodeStopped,
    Outcome,
    PathsSet,
    Planned,
    RejoinOrdered,
    ResetOrdered,
    Supposed,
)
from jsrpd.core.words import paths_of
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH
from jsrpd.model.roles import FULL_WEIGHT, NODE_IDS, FailureCode
from jsrpd.model.time import MILLISECOND, SECOND, Duration, seconds

FORMS = (
    "interface IF down",
    "interface IF up",
    "interface IF down on node N",
    "monitor CODE failed redundancy-group N",
    "monitor CODE failed redundancy-group N weight W on node M",
    "monitor CODE recovered redundancy-group N",
    "node N lost",
    "node N killed",
    "node N stopped",
    "node N started",
    "control link N down",
    "control link N up",
    "fabric down",
    "fabric up",
    "fabric link N down",
    "fabric link N up",
    "all links down",
    "all links up",
    "all paths down",
    "all paths up",
    "failover redundancy-group N node M",
    "reset redundancy-group N",
    "maintenance on node N",
    "maintenance off node N",
    "rejoin node N",
    "commit FILE",
    "after DURATION",
)
UNITS = {"ms": MILLISECOND, "s": SECOND, "sec": SECOND, "min": 60 * SECOND, "m": 60 * SECOND}
LONGEST_WAIT = 600 * SECOND
UP = {"up": True, "down": False}
FATES: dict[str, Callable[[int], Supposed]] = {
    "lost": NodeLost,
    "killed": NodeKilled,
    "stopped": NodeStopped,
    "started": NodeStarted,
}
Candidate = Callable[[Path], tuple[ClusterConfiguration, ClusterConfiguration]]


class NotUnderstood(Exception):
    """The text says what is wrong, what is understood, and the nearest."""


def parse(text: str, cluster: Cluster, candidate: Candidate) -> list[Planned]:
    """The plan that ``text`` describes. ``candidate`` reads a configuration file for both nodes."""
    plan: list[Planned] = []
    at: Duration = 0
    for piece in text.split(";"):
        words = piece.split()
        wait, words = _waited(words)
        at += wait
        if words:
            plan.append(Planned(at, _event(words, cluster, candidate), " ".join(words)))
    if not plan:
        raise NotUnderstood(f"error: no event\n{understood()}")
    return plan


def understood() -> str:
    """All forms, for messages."""
    return "\n".join(["Understood, separated by semicolons:", *(f"  {form}" for form in FORMS)])


def _waited(words: list[str]) -> tuple[Duration, list[str]]:
    """``after 5s`` before an event, behind it, or alone."""
    for at in (0, len(words) - 2):
        if at >= 0 and words[at : at + 1] == ["after"]:
            return _duration(words[at + 1 : at + 2]), words[:at] + words[at + 2 :]
    return 0, words


def _duration(words: Sequence[str]) -> Duration:
    text = words[0] if words else ""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = UNITS.get(text[len(number) :])
    if unit is None or not number.replace(".", "", 1).isdigit() or (length := round(float(number) * unit)) > LONGEST_WAIT:
        raise NotUnderstood(f"error: '{text}' is not a duration; for example 500ms, 5s, 2min; at most 10min")
    return length


def _event(words: list[str], cluster: Cluster, candidate: Candidate) -> Supposed:
    configuration = cluster.configuration
    match words:
        case ["interface", name, ("up" | "down") as state]:
            return _interface(configuration, configuration.node_id, name, UP[state])
        case ["interface", name, ("up" | "down") as state, "on", "node", node]:
            return _interface(configuration, _node(node), name, UP[state])
        case ["monitor", code, ("failed" | "recovered") as state, "redundancy-group", group, *rest]:
            return _monitor(cluster, code, state == "failed", group, rest)
        case ["node", node, fate] if fate in FATES:
            return FATES[fate](_node(node))
        case ["control", "link", number, ("up" | "down") as state]:
            known = {str(link.index): link.index for link in configuration.control_links}
            known |= {link.interface: link.index for link in configuration.control_links}
            return PathsSet((_known("control link", number, known),), UP[state])
        case ["fabric", ("up" | "down") as state] | ["fabric", "link", ("up" | "down") as state]:
            fabric = tuple(FIRST_FABRIC_PATH + link.index for link in configuration.fabric_links)
            if not fabric:
                raise NotUnderstood("error: no fabric link is configured")
            return PathsSet(fabric, UP[state])
        case ["fabric", "link", number, ("up" | "down") as state]:
            links = {str(link.index): FIRST_FABRIC_PATH + link.index for link in configuration.fabric_links}
            links |= {link.interface: FIRST_FABRIC_PATH + link.index for link in configuration.fabric_links}
            return PathsSet((_known("fabric link", number, links),), UP[state])
        case ["all", ("links" | "paths") as which, ("up" | "down") as state]:
            every = paths_of(configuration)
            return PathsSet(tuple(path for path in every if which == "paths" or path < FIRST_IN_BAND_PATH), UP[state])
        case ["failover", "redundancy-group", group, "node", node]:
            return FailoverOrdered(_group(cluster, group), _node(node))
        case ["reset"] | ["failover", "reset"]:
            return ResetOrdered(None)
        case ["reset", "redundancy-group", group] | ["failover", "reset", "redundancy-group", group]:
            return ResetOrdered(_group(cluster, group))
        case ["maintenance", ("on" | "off") as state, "node", node]:
            return MaintenanceOrdered(_node(node), state == "on")
        case ["rejoin", "node", node]:
            return RejoinOrdered(_node(node))
        case ["commit", file]:
            return Committed(candidate(Path(file)))
    raise NotUnderstood(f"error: '{' '.join(words)}' is not understood{_nearest(words)}\n{understood()}")


def _node(text: str) -> int:
    number = text.removeprefix("node")
    if number not in map(str, NODE_IDS):
        raise NotUnderstood(f"error: node {text} is not within range {NODE_IDS[0]}..{NODE_IDS[-1]}")
    return int(number)


def _group(cluster: Cluster, text: str) -> int:
    return _known("redundancy group", text, {str(number): number for number in sorted(cluster.groups)})


def _interface(configuration: ClusterConfiguration, node: int, name: str, up: bool) -> InterfaceSet:
    """Only what the cluster looks at: another interface's failure would change nothing, and is more likely a slip."""
    own = node == configuration.node_id
    names = configuration.watched_interfaces if own else configuration.peer_watched_interfaces
    known = dict.fromkeys((*names, *(link.interface for link in configuration.control_links)), True)
    _known(f"interface of node{node}", name, known)
    return InterfaceSet(node, name, up)


def _monitor(cluster: Cluster, code: str, failed: bool, group: str, rest: list[str]) -> MonitorSet:
    """Interface monitors follow from their interfaces, so those are what can be supposed to fail."""
    codes = {one.name: int(one) for one in FailureCode if one != FailureCode.IF}
    node, weight = cluster.configuration.node_id, FULL_WEIGHT
    match rest:
        case [*others, "on", "node", name]:
            node, rest = _node(name), others
    match rest:
        case ["weight", number] if number.isdigit() and int(number) <= FULL_WEIGHT:
            weight, rest = int(number), []
    if rest:
        raise NotUnderstood(f"error: '{' '.join(rest)}' is not understood; a weight is 0..{FULL_WEIGHT}\n{understood()}")
    which = FailureCode(_known("failure code", code, codes))
    return MonitorSet(node, _group(cluster, group), which, weight if failed else None)


def _known(what: str, text: str, known: dict[str, int] | dict[str, bool]) -> int:
    if text in known:
        return int(known[text])
    import difflib  # Only a mistake has to pay for it.

    near = difflib.get_close_matches(text, known, 1, 0.5)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise NotUnderstood(f"error: the cluster knows no {what} '{text}'{meant}; it knows {', '.join(known) or 'none'}")


def _nearest(words: Sequence[str]) -> str:
    import difflib  # Only a mistake has to pay for it.

    near = difflib.get_close_matches(" ".join(words), FORMS, 1, 0.3)
    return f" (nearest: {near[0]})" if near else ""


# -- the answer ---------------------------------------------------------------------------------------------------------


def text(outcome: Outcome) -> str:
    """Assumptions, time line, and where it ends."""
    lines = ["Assumed:", *(f"  - {one}" for one in outcome.assumptions), "", "Time line (0 is the first event):"]
    lines += [_moment(moment) for moment in _sorted(outcome)]
    rest = "at rest" if outcome.at_rest else "still under way"
    lines += ["", f"After {seconds(round(outcome.followed_ms * MILLISECOND))}, {rest}:", *_groups(outcome)]
    return "\n".join(lines) + "\n"


def _sorted(outcome: Outcome) -> list[Moment]:
    return sorted(outcome.timeline, key=lambda moment: moment.at_ms)


def _moment(moment: Moment) -> str:
    at = f"{moment.at_ms / 1000:>10.4f} s"
    if moment.node is None:
        return f"{at}  > {moment.text}"
    return f"{at}    node{moment.node} {moment.text}"


def _groups(outcome: Outcome) -> Iterator[str]:
    for group in outcome.groups:
        before, after = (_owner(owner) for owner in (group.owner_before, group.owner_after))
        moves = f"ends on {after}, as before" if before == after else f"moves from {before} to {after}"
        gaps = [
            f"{seconds(round(ms * MILLISECOND))} {what}"
            for ms, what in ((group.nobody_ms, "without an owner"), (group.both_ms, "with two"))
            if ms
        ]
        yield f"  redundancy group {group.group} {moves}{': ' if gaps else ''}{', '.join(gaps)}"
        for standing in outcome.after:
            if standing.group == group.group:
                gate = "open" if standing.gate_open else "shut"
                yield f"      node{standing.node} {standing.state}, priority {standing.effective_priority}, gate {gate}"


def _owner(node: int | None) -> str:
    return "no single node" if node is None else f"node{node}"


def json(outcome: Outcome) -> str:
    """``Outcome``, its fields by name."""
    return msgspec.json.format(msgspec.json.encode(outcome), indent=2).decode() + "\n"
