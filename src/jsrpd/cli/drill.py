"""``request chassis cluster drill``: a group moves to the other node and back, on purpose and measured.

Nothing moves unless both nodes are fit for it; the engine refuses by its own rules what becomes unfit meanwhile. What is
measured is what the segments see: the node that becomes owner asks the gateway addresses from its own ports until it owns
them itself, by its own clock.
"""

import contextlib
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from jsrpd.cli.commands import CommandFailed, ask
from jsrpd.management.requests import AskPeer, Failover, FailoverReset, ReadEvents, Reply, Request, ShowStatus, WatchGateway
from jsrpd.model.journal import JournalEvent, decode_events
from jsrpd.model.roles import render_codes
from jsrpd.model.status import ClusterStatus, GroupNodeStatus
from jsrpd.model.survey import GatewayWatch, decode_watches

WATCH_S, BEFORE_S = 3, 0.7
"""How long the addresses are asked, and how long before the move that begins."""
MOVE_TIMEOUT_S, READY_TIMEOUT_S, LOOK_EVERY_S = 10.0, 60.0, 0.02
ANSWER_TIMEOUT_S = 25.0
MILLISECOND = 1_000_000
NOBODY = "error: nobody is at a terminal to be asked; say it with: no-confirm"

Ask = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a drill needs of the world: the daemon, a clock (s), sleep, and where to tell how far it is."""

    ask: Ask
    clock: Callable[[], float]
    wall_ns: Callable[[], int]
    sleep: Callable[[float], None]
    say: Callable[[str], None]


def run(group: int, confirm: bool) -> str:
    """Moves the group there and back. CommandFailed when it must not begin, and when it did not come to its end."""
    around = Surroundings(lambda request: ask(request, ANSWER_TIMEOUT_S), time.monotonic, time.time_ns, time.sleep, _say)
    drill = Drill(group, around)
    owner = drill.check()
    if confirm and not _confirmed(
        f"Redundancy group {group} moves from node{owner} to node{1 - owner} and back. Proceed? [yes,no] (no) "
    ):
        raise CommandFailed("error: the drill was not begun")
    return drill.run(owner)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _confirmed(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandFailed(NOBODY)
    with _lines(sys.stdin.fileno()):
        _say(question)
        return sys.stdin.readline().strip().lower() in ("yes", "y")


@contextlib.contextmanager
def _lines(keyboard: int) -> Iterator[None]:
    """Whole lines, seen as they are typed, whatever mode the session has the terminal in."""
    before = termios.tcgetattr(keyboard)
    mode = termios.tcgetattr(keyboard)
    mode[0] |= termios.ICRNL
    mode[3] |= termios.ICANON | termios.ECHO | termios.ISIG
    termios.tcsetattr(keyboard, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def unfit(status: ClusterStatus, group: int) -> list[str]:
    """Why a group must not be moved for a rehearsal, a sentence each."""
    rows = _rows(status, group)
    if not rows:
        return [f"redundancy group {group} is not configured"]
    problems = []
    for row in rows:
        if row.state not in ("primary", "secondary"):
            problems.append(f"node{row.node} is {row.state}")
        if row.failures:
            problems.append(f"node{row.node} has failures: {render_codes(row.failures)}")
        if row.state in ("primary", "secondary") and row.priority == 0:
            problems.append(f"node{row.node} is not fit: its priority is 0")
    if sorted(row.state for row in rows) != ["primary", "secondary"] and not problems:
        problems.append("it is not primary on one node and secondary on the other")
    if any(row.manual for row in rows):
        problems.append(f"a manual failover is in force; end it: request chassis cluster failover reset redundancy-group {group}")
    if not any(link.up for link in status.control_links):
        problems.append("no control link is up")
    if status.fabric_interfaces and not status.fabric_up:
        problems.append("no fabric link is up")
    if status.sessions is not None and status.sessions.on and not status.sessions.peer:
        problems.append("the session processes of the nodes do not speak with each other")
    return problems


def _rows(status: ClusterStatus, group: int) -> tuple[GroupNodeStatus, ...]:
    return next((one.nodes for one in status.groups if one.group == group), ())


@dataclass(frozen=True, slots=True)
class Move:
    """One way of the drill. ``took_s``: from the request until the new owner was seen. ``lines``: what the segments saw."""

    target: int
    took_s: float
    lines: list[str]


class Drill:
    """There and back."""

    def __init__(self, group: int, around: Surroundings) -> None:
        self.group, self.around = group, around
        self.at: int | None = None
        """Where the group was seen last."""

    def check(self) -> int:
        """The owner. CommandFailed when the group must not be moved; then nothing has been done."""
        status = self._status()
        problems = unfit(status, self.group)
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise CommandFailed(f"error: the drill was not begun, nothing has moved:{listed}")
        self.at = next(row.node for row in _rows(status, self.group) if row.state == "primary")
        return self.at

    def run(self, owner: int) -> str:
        """What is printed at the end."""
        try:
            there = self._move(1 - owner)
            self._until_ready("the node that handed over")
            back = self._move(owner)
            self._reset()
        except CommandFailed as failed:
            raise CommandFailed(f"{failed}\n{self._where(owner)}") from failed
        except KeyboardInterrupt:
            raise CommandFailed(f"error: interrupted\n{self._where(owner)}") from None
        lines = [line for move in (there, back) for line in move.lines]
        unanswered = any("unanswered" in line for line in lines)
        found = "the segments noticed it, see above" if unanswered else "nothing was lost as far as the segments were watched"
        return f"The drill of redundancy group {self.group} is complete: node{owner} owns it again; {found}\n"

    def _where(self, owner: int) -> str:
        """For whoever must tidy up."""
        if self.at == owner:
            return f"redundancy group {self.group} is on node{owner}, where it was; see: show chassis cluster status"
        return (
            f"redundancy group {self.group} is on node{self.at}; bring it back with: request chassis cluster failover reset "
            f"redundancy-group {self.group}, then: request chassis cluster failover redundancy-group {self.group} node {owner}"
        )

    # -- one way ------------------------------------------------------------------------------------------------------

    def _move(self, target: int) -> Move:
        """CommandFailed when it is refused or does not happen."""
        self._reset()
        here = self._status().node
        if target == self.at:
            return self._told(Move(target, 0.0, ["  it had moved by itself: preempt"]))
        with ThreadPoolExecutor(1) as pool:
            watch = WatchGateway(self.group, WATCH_S)
            watching = pool.submit(self.around.ask, watch if target == here else AskPeer(watch))
            self.around.sleep(BEFORE_S)
            began, began_ns = self.around.clock(), self.around.wall_ns()
            self.around.ask(Failover(self.group, target))
            self._until(lambda status: _owner(status, self.group) == target, MOVE_TIMEOUT_S, f"node{target} to own it")
            took = self.around.clock() - began
            lines = self._seen(watching, target, here, began_ns)
        return self._told(Move(target, took, lines))

    def _told(self, move: Move) -> Move:
        took = f", {move.took_s * 1000:.0f} ms after the request" if move.took_s else ""
        self.around.say(
            "".join(f"{line}\n" for line in [f"node{move.target} owns redundancy group {self.group}{took}", *move.lines])
        )
        return move

    def _seen(self, watching: "Future[Reply]", target: int, here: int, began_ns: int) -> list[str]:
        """What the new owner saw of the old one, until it was owner itself."""
        try:
            watches = decode_watches(watching.result().watches)
            question = ReadEvents(6, self.group, True)
            events = decode_events(self.around.ask(question if target == here else AskPeer(question)).events)
        except (CommandFailed, msgspec.DecodeError) as error:
            return [f"  not measured: {error}"]
        opened = _opened(events, target, began_ns if target == here else 0)
        if opened is None:
            return [f"  not measured: the journal of node{target} does not tell when it became primary"]
        return [seen(watch, opened) for watch in watches] or ["  not measured: the group has no gateway address"]

    def _reset(self) -> None:
        """The mark of a manual failover would refuse the next."""
        self.around.ask(FailoverReset(self.group))
        self._until(lambda status: not any(row.manual for row in _rows(status, self.group)), MOVE_TIMEOUT_S, "the reset")

    def _until_ready(self, what: str) -> None:
        self._until(lambda status: not unfit_but_manual(status, self.group), READY_TIMEOUT_S, f"{what} to be fit again")

    def _until(self, condition: Callable[[ClusterStatus], bool], timeout_s: float, what: str) -> None:
        give_up = self.around.clock() + timeout_s
        while not condition(self._status()):
            if self.around.clock() > give_up:
                raise CommandFailed(f"error: waited {timeout_s:g} s in vain for {what}")
            self.around.sleep(LOOK_EVERY_S)

    def _status(self) -> ClusterStatus:
        status = self.around.ask(ShowStatus()).status
        if status is None:
            raise CommandFailed("error: the answer has no status; are jsrp and jsrpd of one version?")
        owner = _owner(status, self.group)
        self.at = self.at if owner is None else owner
        return status


def unfit_but_manual(status: ClusterStatus, group: int) -> list[str]:
    """As ``unfit``, of a group that this drill itself has placed."""
    groups = tuple(
        msgspec.structs.replace(one, nodes=tuple(msgspec.structs.replace(row, manual=False) for row in one.nodes))
        for one in status.groups
    )
    return unfit(msgspec.structs.replace(status, groups=groups), group)


def _owner(status: ClusterStatus, group: int) -> int | None:
    owners = [row.node for row in _rows(status, group) if row.state == "primary"]
    return owners[0] if len(owners) == 1 else None


def _opened(events: tuple[JournalEvent, ...], node: int, since: int) -> int | None:
    """When a node became primary last, by its own clock; ``since`` where that is ours."""
    found = [event.at for event in events if event.node == node and event.values.get("new-state") == "primary"]
    return found[-1] if found and found[-1] >= since else None


def seen(watch: GatewayWatch, opened: int) -> str:
    """How an address answered until its new owner opened its gate."""
    where = f"{watch.address} ({watch.reth})"
    if watch.problem:
        return f"  {where} not measured: {watch.problem}"
    asked = [at for at in watch.asked if at < opened]
    answered = [at for at in watch.answered if at < opened]
    if not asked or not answered:
        return f"  {where} not measured: the former owner did not answer on this segment"
    gap = (opened - answered[-1]) / MILLISECOND
    lost = sum(at > answered[-1] for at in asked)
    if lost <= 1:
        # The newest question may still have been on its way.
        return (
            f"  {where} answered without a gap: {len(answered)} answers, the last {gap:.1f} ms before the new owner's gate opened"
        )
    return f"  {where} unanswered for {gap:.1f} ms: {lost} of {len(asked)} questions"
