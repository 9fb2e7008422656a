"""``python -m simulator.model_check --faults N``: every way in which N faults can strike two nodes, searched state by state.

Two nodes of the production core, one group, one path, time in quarters of an interval. At each quarter the adversary may let
things be, or spend one of its faults: lose what one node sends, or keep it for the dead time and more; pause a node; kill its
engine between two actions; have the operator move the group. Killed engines may come back at any quarter. States are compared with
times, sequences and generations taken relative to each other: a search ends when nothing new can be reached with the faults left.
What is checked in each state is promise 1: no two open gates, but in a hand-over within its grace or in a complete cut.

With ``--witness`` the nodes have one, which answers within a quarter, and the adversary may cut the path both ways, or one node off
from the witness, until it heals them again, which costs nothing. Then two gates are open in a hand-over only.
"""

import argparse
import sys
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from jsrpd.core.actions import Action, AskWitness, SendAcknowledgement, SendHeartbeat, StoreLease
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import AcknowledgementReceived, FailoverRequested, HeartbeatReceived, SocketsDrained, WitnessGranted
from jsrpd.core.lease import AdoptedLease
from jsrpd.core.peer import Peer, SentHeartbeats
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.model.configuration import Arbitration, ClusterConfiguration, ControlLink, GroupConfiguration
from jsrpd.model.roles import RG0, GroupState
from jsrpd.model.time import Duration, Instant
from simulator.node import ClusterFactory

INTERVAL_MS, THRESHOLD = 100, 3
CONFIGURATIONS = tuple(
    ClusterConfiguration(
        cluster_id=1,
        node_id=node,
        heartbeat_interval_ms=INTERVAL_MS,
        heartbeat_threshold=THRESHOLD,
        control_links=(ControlLink(0, "ctl0"),),
        groups=(GroupConfiguration(RG0, priorities=(200, 100), hold_down_interval_s=0),),
    )
    for node in (0, 1)
)
WITNESSED = tuple(replace(one, arbitration=Arbitration(endpoints=("http://192.0.2.9:2379",))) for one in CONFIGURATIONS)
TIMING = CONFIGURATIONS[0].timing
TTL: Duration = 2 * TIMING.dead
"""Of the witness's key."""
QUARTER: Duration = TIMING.interval // 4
HELD: Duration = TIMING.dead + QUARTER
"""How long a datagram is kept by the fault of that name: its sender may be taken for lost when it arrives."""
BEGIN: Instant = 1 << 50
"""Far above every sequence and generation, so that an instant is known by its size."""
SETTLED = 60
"""Quarters until two nodes that were started have come to rest."""
FAR = 5 * TIMING.dead
"""Instants farther away than this are all alike."""
LONG_AGO = 64
"""Heartbeats behind the newest; what is farther behind is all alike."""
MACHINES = (Cluster, Peer, SentHeartbeats, RedundancyGroup)

Message = SendHeartbeat | SendAcknowledgement


@dataclass(slots=True)
class Node:
    """An engine (None: killed), the slot of its gate map, and what the check of promise 1 needs."""

    cluster: Cluster | None = None
    slot: StoreLease | None = None
    incarnation: int = 0
    paused_until: Instant = 0
    killed_at: Instant = 0
    word: Instant = 0
    """When the newest word it has heard of its peer was sent."""
    inbox: list[tuple[Instant, int, Message]] = field(default_factory=list)
    """(when sent, life of the sender, what)."""

    def open_at(self, now: Instant) -> bool:
        """The kernel's gate."""
        return self.slot is not None and now <= self.slot.deadline


@dataclass(slots=True)
class State:
    """Everything. ``under_way``: (arrives, receiver, sent, life, what)."""

    now: Instant
    nodes: tuple[Node, Node]
    under_way: list[tuple[Instant, int, Instant, int, Message]] = field(default_factory=list)
    overlap_since: Instant | None = None
    witnessed: bool = False
    cut: bool = False
    blind: tuple[bool, bool] = (False, False)
    """Who does not reach the witness."""
    key: tuple[int, Instant] = (0, 0)
    """Who holds it, and until when."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the adversary does in one quarter. ``count``: actions carried out before the engine dies."""

    kind: str
    node: int = 0
    count: int = 0

    def __str__(self) -> str:
        return f"{self.kind} node{self.node}" + (f" after {self.count} actions" if self.kind == "kill" else "")


NOTHING = Fault("nothing")
FREE = ("nothing", "restart", "heal", "see")


def choices(state: State) -> Iterator[Fault]:
    """Everything the adversary may do now."""
    yield NOTHING
    if state.witnessed:
        yield Fault("heal" if state.cut else "cut")
        yield from (Fault("see" if state.blind[number] else "blind", number) for number in (0, 1))
    for number, node in enumerate(state.nodes):
        if node.cluster is None:
            yield Fault("restart", number)
            continue
        yield from (Fault(kind, number) for kind in ("lose", "keep", "fail over to"))
        if node.paused_until <= state.now:
            yield Fault("pause briefly", number)
            yield Fault("pause long", number)
        yield from (Fault("kill", number, count) for count in range(4))


# -- one quarter --------------------------------------------------------------------------------------------------------


def step(before: State, fault: Fault, factory: ClusterFactory) -> State:
    """The state a quarter of an interval later."""
    state = clone(before)
    state.now += QUARTER
    if fault.kind in ("cut", "heal"):
        state.cut = fault.kind == "cut"
    if fault.kind in ("blind", "see"):
        first, second = (fault.kind == "blind" if number == fault.node else was for number, was in enumerate(state.blind))
        state.blind = (first, second)
    _deliver(state)
    for number, node in enumerate(state.nodes):
        mine = fault if fault.node == number else NOTHING
        match mine.kind:
            case "restart":
                _start(state, number, factory)
            case "pause briefly":
                node.paused_until = state.now + TIMING.interval
            case "pause long":
                node.paused_until = state.now + TIMING.dead + QUARTER
        if node.cluster is not None and node.paused_until <= state.now:
            _turn(state, number, mine)
    owners = all(node.open_at(state.now) for node in state.nodes)
    state.overlap_since = (state.overlap_since or state.now) if owners else None
    return state


def _deliver(state: State) -> None:
    arriving = [entry for entry in state.under_way if entry[0] <= state.now]
    state.under_way = [entry for entry in state.under_way if entry[0] > state.now]
    for _, receiver, sent, life, message in arriving:
        if state.nodes[receiver].cluster is not None:
            state.nodes[receiver].inbox.append((sent, life, message))


def _start(state: State, number: int, factory: ClusterFactory) -> None:
    node, now = state.nodes[number], state.now
    pinned = node.slot
    adopted: tuple[AdoptedLease, ...] = ()
    if pinned is not None and pinned.state == GroupState.PRIMARY and now <= pinned.deadline:
        adopted = (
            AdoptedLease(
                RG0, pinned.deadline, pinned.state, pinned.generation, pinned.acknowledged_at, pinned.last_heard, pinned.alone
            ),
        )
    else:
        node.slot = None
    node.incarnation += 1
    node.cluster = factory((WITNESSED if state.witnessed else CONFIGURATIONS)[number], now, 2 * node.incarnation + number, adopted)


def _turn(state: State, number: int, fault: Fault) -> None:
    """As the engine does it: drain, judge, carry out in order."""
    node, now = state.nodes[number], state.now
    cluster = node.cluster
    assert cluster is not None
    for sent, life, message in node.inbox:
        if life < (cluster.peer.incarnation or 0):
            continue  # The link has retired that life of the peer.
        match message:
            case SendHeartbeat(sequence, heartbeat):
                cluster.handle(now, HeartbeatReceived(0, life, sequence, now, heartbeat))
            case SendAcknowledgement(_, acknowledgement):
                cluster.handle(now, AcknowledgementReceived(0, life, now, acknowledgement))
        if now - sent <= TIMING.lease:
            node.word = max(node.word, sent)
    node.inbox = []
    _ask(state, number, cluster)
    if fault.kind == "fail over to" and cluster.refuse_failover(now, RG0, number) is None:
        cluster.handle(now, FailoverRequested(RG0, number))
    actions = cluster.handle(now, SocketsDrained(now))
    if fault.kind == "kill":
        actions = actions[: fault.count]
        node.cluster, node.killed_at = None, now
    for action in actions:
        _perform(state, number, action, fault)


def _ask(state: State, number: int, cluster: Cluster) -> None:
    """The key is asked for while it is wanted; the answer is counted from the quarter before, when the request was sent."""
    holder, until = state.key
    if not cluster.witness_wanted or state.blind[number] or (holder != number and state.now <= until):
        return
    state.key = (number, state.now + TTL)
    cluster.handle(state.now, WitnessGranted(state.now - QUARTER + TTL))


def _perform(state: State, number: int, action: Action, fault: Fault) -> None:
    node = state.nodes[number]
    match action:
        case StoreLease():
            node.slot = action
        case AskWitness(False) if state.key[0] == number and not state.blind[number]:
            state.key = (number, 0)
        case SendHeartbeat() | SendAcknowledgement() if fault.kind != "lose" and not state.cut:
            delay = HELD if fault.kind == "keep" else 0
            life = 2 * node.incarnation + number
            # Read at the next quarter at the earliest: a datagram takes up to a quarter.
            state.under_way.append((state.now + 1 + delay, 1 - number, state.now, life, action))


def clone(state: State) -> State:
    """A copy that shares what does not change."""
    first, second = (
        Node(_clone(n.cluster), n.slot, n.incarnation, n.paused_until, n.killed_at, n.word, n.inbox.copy()) for n in state.nodes
    )
    twin = State(state.now, (first, second), state.under_way.copy(), state.overlap_since, state.witnessed)
    twin.cut, twin.blind, twin.key = state.cut, state.blind, state.key
    return twin


def _clone(thing: Any) -> Any:
    if isinstance(thing, MACHINES):
        twin = object.__new__(type(thing))
        twin.__dict__ = {name: _clone(value) for name, value in thing.__dict__.items()}
        return twin
    if isinstance(thing, dict):
        return {key: _clone(value) for key, value in thing.items()}
    return thing.copy() if isinstance(thing, list | set | deque) else thing


# -- what is the same ---------------------------------------------------------------------------------------------------


def fingerprint(state: State) -> Hashable:
    """Equal for states that differ only in when they are, and in how often something was counted before."""
    clusters = [node.cluster for node in state.nodes]
    newest = [cluster.sent.newest if cluster else 0 for cluster in clusters]
    generations = [cluster.groups[RG0].generation if cluster else 0 for cluster in clusters]
    floor = min(generations)
    nodes = tuple(_seen(state, number, newest, floor) for number in (0, 1))
    words = tuple(
        (at - state.now, receiver, sent - state.now, life == _life(state, 1 - receiver), _said(message, receiver, newest, floor))
        for at, receiver, sent, life, message in state.under_way
    )
    key = (state.key[0], state.key[1] - state.now) if state.key[1] >= state.now else None
    return nodes, words, state.overlap_since is None, state.cut, state.blind, key


def _life(state: State, number: int) -> int:
    return 2 * state.nodes[number].incarnation + number


def _near(at: Instant | None, now: Instant) -> int | None:
    return None if not at else max(-FAR, min(FAR, at - now))


def _said(message: Message, receiver: int, newest: list[int], floor: int) -> Hashable:
    match message:
        case SendHeartbeat(sequence, heartbeat):
            report = heartbeat.groups[0]
            told = (report.state, report.effective_priority, report.gate_open, report.manual, report.generation - floor)
            asked = tuple((request.kind, request.node) for request in heartbeat.requests)
            return sequence - newest[1 - receiver], heartbeat.echo_sequence - newest[receiver], told, asked
        case SendAcknowledgement(_, told_back):
            return told_back.echo_sequence - newest[receiver], told_back.primary_groups, told_back.alone


def _seen(state: State, number: int, newest: list[int], floor: int) -> Hashable:
    """All of a node that its future depends on."""
    node, now = state.nodes[number], state.now
    slot = node.slot
    kernel = None if slot is None else (_near(slot.deadline, now), slot.state, slot.alone, _near(slot.acknowledged_at, now))
    outside = (kernel, max(0, node.paused_until - now), _near(node.word, now), len(node.inbox))
    cluster = node.cluster
    if cluster is None:
        return outside, _near(node.killed_at, now)
    peer, group, lease = cluster.peer, cluster.groups[RG0], cluster.groups[RG0].lease
    report = peer.reports.get(RG0)
    told = None if report is None else (report.state, report.effective_priority, report.gate_open, report.generation - floor)
    instants = (
        cluster.started, cluster.judged, cluster.sent.newest_at, peer.first_heard, peer.last_heard, peer.bound_at, peer.floor,
        peer.echoed_at, peer.control_heard, peer.control_run_since, group.since, lease.deadline, lease.acknowledged_at,
        lease.alone_since, group.hold_down_until, group.grace_until, group.gate_shut_since, group.peer_preferred_since,
        group.yield_to_operator_until, group.state_sent_at, group.held_until, group.confirm_until,
        cluster.arbitration.granted_until,
    )  # fmt: skip
    sent = tuple(_near(cluster.sent.sent_at(newest[number] - age), now) for age in range(4 * THRESHOLD + 4))
    counted = (
        max(peer.newest_sequence - newest[1 - number], -LONG_AGO) if peer.incarnation == _life(state, 1 - number) else None,
        max(peer.echoed - newest[number], -4 * THRESHOLD - 4),
        group.generation - floor,
        len(cluster._requests),
    )
    flags = (
        group.state, group.manual, group.unannounced, peer.gone, peer.heartbeat is None, peer.incarnation is None,
        cluster.witness_wanted,
    )  # fmt: skip
    return outside, told, tuple(_near(at, now) for at in instants), sent, counted, flags


# -- the search ---------------------------------------------------------------------------------------------------------


def broken(state: State) -> bool:
    """Promise 1, as ``simulator.checkers.one_owner`` has it."""
    since = state.overlap_since
    if since is None:
        return False
    hand_over = any(node.slot is not None and node.slot.state == GroupState.SECONDARY_HOLD for node in state.nodes)
    if hand_over and state.now - since <= TIMING.grace:
        return False
    if state.witnessed:
        return True
    deaths = [node.killed_at for node in state.nodes if node.cluster is None and node.slot is not None and not node.slot.alone]
    heard_from = min([since, *deaths]) - TIMING.lease_silence + TIMING.slop
    return any(node.word >= heard_from for node in state.nodes)


@dataclass(slots=True)
class Found:
    """How a search ended. ``path``: what the adversary did, quarter by quarter, when promise 1 broke. ``quarters``: how far every
    path was followed; None: until nothing new was reached."""

    states: int
    path: list[Fault] | None = None
    quarters: int | None = None


def search(
    faults: int,
    factory: ClusterFactory = Cluster,
    settled: bool = True,
    quarters: int = 10_000,
    states: int = 1 << 62,
    witnessed: bool = False,
) -> Found:
    """Breadth first from two nodes at rest (``settled``) or just started, until nothing new is reached.

    ``quarters`` bounds the length of a path, ``states`` how many are looked at.
    """
    first = State(BEGIN, (Node(), Node()), witnessed=witnessed)
    for number in (0, 1):
        _start(first, number, factory)
    for _ in range(SETTLED if settled else 0):
        first = step(first, NOTHING, factory)
    best: dict[Hashable, int] = {fingerprint(first): faults}
    todo: deque[tuple[State, int, int]] = deque([(first, faults, 0)])
    came_from: list[tuple[int, Fault]] = [(-1, NOTHING)]
    length = {0: 0}
    while todo:
        state, left, index = todo.popleft()
        if length[index] >= quarters:
            continue
        if len(best) >= states:
            return Found(len(best), quarters=length[index])
        for fault in choices(state):
            rest = left - (fault.kind not in FREE)
            if rest < 0:
                continue
            after = step(state, fault, factory)
            came_from.append((index, fault))
            length[len(came_from) - 1] = length[index] + 1
            if broken(after):
                return Found(len(best), _path(came_from))
            mark = fingerprint(after)
            if best.get(mark, -1) < rest:
                best[mark] = rest
                todo.append((after, rest, len(came_from) - 1))
            else:
                came_from.pop()
    return Found(len(best))


def _path(came_from: list[tuple[int, Fault]]) -> list[Fault]:
    path, index = [], len(came_from) - 1
    while index > 0:
        index, fault = came_from[index][0], came_from[index][1]
        path.append(fault)
    return path[::-1]


def main() -> int:
    """Entry point; exit status 1 when promise 1 can be broken."""
    parser = argparse.ArgumentParser(prog="python -m simulator.model_check", description=__doc__)
    parser.add_argument("--faults", type=int, default=1, metavar="N", help="how many faults may strike (1)")
    parser.add_argument("--states", type=int, default=1 << 62, metavar="N", help="look at no more states than this")
    parser.add_argument("--witness", action="store_true", help="with arbitration by a witness")
    options = parser.parse_args()
    status = 0
    for settled in (True, False):
        found = search(options.faults, settled=settled, states=options.states, witnessed=options.witness)
        begin = "at rest" if settled else "at the start"
        far = "" if found.quarters is None else f", every path of {found.quarters} quarters"
        print(f"from two nodes {begin}: {found.states} states with up to {options.faults} faults{far}", flush=True)
        if found.path is not None:
            status = 1
            print("  two open gates after:")
            print("\n".join(f"    {n} quarters: {fault}" for n, fault in enumerate(found.path) if fault is not NOTHING))
    return status


if __name__ == "__main__":
    sys.exit(main())
