"""Cold synchronisation: whether this node has every connection of the peer's groups, and what to do until it has.

A node that joins asks for everything and is not covered until the end mark has come. Later gaps (a stream that began
anew, a peer's session process that is silent while its engine is heard) leave it covered for a grace, in which they are
usually mended. Nothing waits for ever: a node that hears nobody has nothing to learn, and a peer that does not deliver
within the deadline is given up. A kernel whose table is full is not the peer's fault: as long as it is, this node lacks
connections and says so.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from jsrpd.model.time import SECOND, Duration, Instant

ALONE_AFTER: Duration = 4 * SECOND
"""Nobody was heard on the session link for so long after the start: there is nothing to learn."""
GRACE: Duration = 5 * SECOND
"""A node that was covered stays so for this long while a gap is mended."""
DEADLINE: Duration = 60 * SECOND
"""A peer that has not delivered by then is given up: a broken peer must not keep this node unfit for ever."""
ASK_AGAIN: Duration = 5 * SECOND


class State(Enum):
    """Where the cold synchronisation stands; the values are the operator's words."""

    WAITING = "waiting for the peer"
    ASKED = "asked for the peer's sessions"
    RECEIVING = "receiving the peer's sessions"
    COMPLETE = "complete"
    ALONE = "complete, no peer"
    LOST = "the peer's session process is silent"
    GIVEN_UP = "given up"
    REFUSED = "refused by this node's kernel: its connection table is full"


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """A life of the peer's session process speaks with us; whatever we had may be stale."""


@dataclass(frozen=True, slots=True)
class PeerLost:
    """It is silent."""


@dataclass(frozen=True, slots=True)
class GapFound:
    """Something of the peer's stream is missing here."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Our kernel has no room for some of what the peer says."""


@dataclass(frozen=True, slots=True)
class RoomFound:
    """It has some again."""


@dataclass(frozen=True, slots=True)
class ResyncBegan:
    """The peer sends everything from here to the end mark of the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class ResyncEnded:
    """The end mark came through."""

    number: int


@dataclass(frozen=True, slots=True)
class PeerHeard:
    """Whether the engine hears the peer's engine."""

    alive: bool


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Look at the clock."""


Event: TypeAlias = PeerJoined | PeerLost | GapFound | Refused | RoomFound | ResyncBegan | ResyncEnded | PeerHeard | TimePassed


@dataclass(frozen=True, slots=True)
class AskForAll:
    """Ask the peer for all connections of its groups, under this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Happened:
    """For the display's list of events."""

    text: str


Action: TypeAlias = AskForAll | Happened
UNFINISHED = (State.WAITING, State.ASKED, State.RECEIVING, State.LOST, State.REFUSED)


class ColdSync:
    """The machine: ``handle(now, event) -> actions`` and ``deadline()``. ``first_number`` is above all used before."""

    def __init__(self, now: Instant, first_number: int) -> None:
        self.state = State.WAITING
        self.since = now
        self.completed = 0
        self.failed = 0
        self._number = first_number
        self._ever_covered = False
        self._unfinished_since: Instant = now
        self._waiting_since: Instant = now
        """For the peer."""
        self._asked_at: Instant = now
        self._peer_alive = False
        self._looked_at: Instant = now

    def covered(self, now: Instant) -> bool:
        """False: a takeover by this node would lose connections."""
        if self.state not in UNFINISHED:
            return True
        return self._ever_covered and now - self._unfinished_since < GRACE

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """Take one event."""
        match event:
            case PeerJoined() | GapFound():
                return self._ask(now)
            case PeerLost():
                return self._peer_lost(now)
            case Refused():
                return self._refused(now)
            case RoomFound():
                if self.state == State.REFUSED:
                    self._waiting_since = now
                    return self._ask(now)
            case ResyncBegan(number):
                if number == self._number and self.state == State.ASKED:
                    self._enter(now, State.RECEIVING)
            case ResyncEnded(number):
                if number == self._number and self.state in (State.ASKED, State.RECEIVING, State.GIVEN_UP):
                    self.completed += 1
                    self._enter(now, State.COMPLETE)
                    return [Happened("Cold sync completed for PFE flowd")]
            case PeerHeard(alive):
                self._peer_alive = alive
                if self.state == State.LOST and not alive:
                    self._enter(now, State.ALONE)
            case TimePassed():
                return self._time_passed(now)
        return []

    def deadline(self) -> Instant | None:
        """When ``TimePassed`` is due."""
        if self.state not in UNFINISHED:
            return None
        wanted = [self._unfinished_since + GRACE]
        if self.state != State.REFUSED:
            wanted.append(self._waiting_since + DEADLINE)
        if self.state == State.WAITING:
            wanted.append(self.since + ALONE_AFTER)
        if self.state == State.ASKED:
            wanted.append(self._asked_at + ASK_AGAIN)
        return min((at for at in wanted if at > self._looked_at), default=None)

    def _enter(self, now: Instant, state: State) -> None:
        if state in UNFINISHED and self.state not in UNFINISHED:
            self._unfinished_since = self._waiting_since = now
        if state not in UNFINISHED:
            self._ever_covered = True
        self.state, self.since = state, now

    def _ask(self, now: Instant) -> list[Action]:
        self._number += 1
        self._asked_at = now
        self._enter(now, State.ASKED)
        return [AskForAll(self._number)]

    def _peer_lost(self, now: Instant) -> list[Action]:
        """Who is dead as a whole has nothing more to tell. A session process alone that is silent leaves us uncovered."""
        self._enter(now, State.LOST if self._peer_alive else State.ALONE)
        return []

    def _refused(self, now: Instant) -> list[Action]:
        if self.state in (State.REFUSED, State.LOST, State.ALONE, State.WAITING):
            return []
        self.failed += 1
        self._enter(now, State.REFUSED)
        return [Happened("Cold sync failed for PFE flowd: the connection table is full")]

    def _time_passed(self, now: Instant) -> list[Action]:
        self._looked_at = now
        if self.state not in UNFINISHED:
            return []
        if self.state == State.WAITING and now - self.since >= ALONE_AFTER and not self._peer_alive:
            self._enter(now, State.ALONE)
            return []
        if self.state == State.REFUSED:
            return []
        if now - self._waiting_since >= DEADLINE:
            self.failed += 1
            self._enter(now, State.GIVEN_UP)
            return [Happened("Cold sync failed for PFE flowd: the peer did not deliver in time")]
        if self.state == State.ASKED and now - self._asked_at >= ASK_AGAIN:
            return self._ask(now)
        return []
