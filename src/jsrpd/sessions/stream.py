"""A reliable, ordered stream over datagrams, both ways, between two lives of the session processes.

Numbered pieces, cumulative acknowledgements with gaps, resending, and a bound on what waits. When the bound is reached,
or the peer was silent for too long, nothing is kept: a new stream begins, and its number tells the receiver that
something is missing and must be fetched by a resynchronisation. So there is never a silent gap.

A life of the peer is admitted when it answers a challenge made for it just now. So neither a recording of a former life
nor what somebody held back of one counts, whatever it says; and a life that was replaced is not admitted again. A peer
of the previous version, whose word for it is authenticated, knows no challenges and is admitted when it echoes our own
random incarnation, which no recording from before our life can know.
"""

from collections import deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

from jsrpd.model.link_messages import Incarnation, PathId
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant

HELLO_INTERVAL: Duration = 200 * MILLISECOND
LOST_AFTER: Duration = 5 * SECOND
"""Silence after which the peer's session process counts as gone. Longer than any work in one piece."""
PATH_QUIET: Duration = 700 * MILLISECOND
"""A path that was not heard for so long is used only when no other is."""
DOUBT_LASTS: Duration = 2 * SECOND
"""For so long after a piece that it carried was missed, another path is used where one is heard."""
WINDOW = 512
"""Pieces under way."""
QUEUE_BYTES = 24 << 20
"""Bound of what is under way and waiting."""
REORDERED = 1024
"""Pieces kept beyond a gap."""
RESEND_AFTER: Duration = 60 * MILLISECOND
GAP_AFTER: Duration = 5 * MILLISECOND
"""A piece that others have overtaken is sent again, but not twice within this."""
RESEND_AT_MOST: Duration = 400 * MILLISECOND
RESEND_BURST = 64
RETIRED = 64
CANDIDATES = 8
"""Lives that are being challenged at once."""
CHALLENGE_LASTS: Duration = 2 * SECOND
NO_CHALLENGE = 0


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Of a stream: everything before ``expected`` arrived, ``missing`` did not (inclusive ranges)."""

    stream: int
    expected: int
    missing: tuple[tuple[int, int], ...] = ()


# -- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HelloHeard:
    """``acknowledged``: how far the sender has our stream. ``echo``: whom it takes us for.

    ``challenge``: wants to be answered, unless it is ``NO_CHALLENGE``. ``answer``: to ours, None from a peer of a version
    that knows none.
    """

    path: PathId
    incarnation: Incarnation
    sequence: int
    echo: Incarnation
    acknowledged: Acknowledged
    challenge: int = NO_CHALLENGE
    answer: int | None = None


@dataclass(frozen=True, slots=True)
class PieceHeard:
    """A piece of the peer's stream."""

    path: PathId
    incarnation: Incarnation
    sequence: int
    echo: Incarnation
    stream: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Queued:
    """To be delivered to the peer, in order."""

    body: bytes


@dataclass(frozen=True, slots=True)
class PathsChanged:
    """The paths there are, in order of preference."""

    paths: tuple[PathId, ...]


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Everything that had arrived is handed in; or time has passed."""


Event: TypeAlias = HelloHeard | PieceHeard | Queued | PathsChanged | TurnEnded


# -- actions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendHello:
    """With ``acknowledged`` it is the acknowledgement as well."""

    path: PathId
    echo: Incarnation
    acknowledged: Acknowledged
    challenge: int = NO_CHALLENGE
    answer: int = NO_CHALLENGE


@dataclass(frozen=True, slots=True)
class SendPiece:
    """A piece of our stream."""

    path: PathId
    echo: Incarnation
    stream: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """The next body of the peer's stream."""

    body: bytes


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """A life of the peer is heard and hears us: everything it knows is news."""


@dataclass(frozen=True, slots=True)
class PeerLost:
    """Silent for ``LOST_AFTER``."""


@dataclass(frozen=True, slots=True)
class GapBegan:
    """The peer's stream began anew: what was in between is missing here."""


Action: TypeAlias = SendHello | SendPiece | Deliver | PeerJoined | PeerLost | GapBegan


@dataclass(slots=True)
class Piece:
    """Sent and not acknowledged."""

    body: bytes
    queued_at: Instant
    sent_at: Instant
    path: PathId
    times: int = 1


@dataclass(slots=True)
class Candidate:
    """A life that is not admitted yet."""

    challenge: int
    posed_at: Instant
    answered_at: Instant
    """When we last spoke to it."""


@dataclass(slots=True)
class Outgoing:
    """Our stream."""

    number: int = 0
    next: int = 0
    under_way: dict[int, Piece] = field(default_factory=dict)
    waiting: deque[tuple[bytes, Instant]] = field(default_factory=deque)
    bytes: int = 0

    def restart(self) -> None:
        """Everything is dropped; the receiver learns it by the number."""
        self.number += 1
        self.next = 0
        self.under_way.clear()
        self.waiting.clear()
        self.bytes = 0


@dataclass(slots=True)
class Incoming:
    """The peer's stream."""

    number: int | None = None
    expected: int = 0
    beyond: dict[int, bytes] = field(default_factory=dict)

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Gaps before what was kept."""
        gaps = []
        at = self.expected
        for number in sorted(self.beyond):
            if number > at:
                gaps.append((at, number - 1))
            at = number + 1
        return tuple(gaps)


class Stream:
    """The machine: ``handle(now, event) -> actions`` and ``deadline()``. ``secret``: random bytes, from which challenges come."""

    def __init__(self, incarnation: Incarnation, now: Instant, secret: bytes = b"") -> None:
        self.incarnation = incarnation
        self.peer: Incarnation | None = None
        self.resent = 0
        self.overflows = 0
        self._known: Incarnation = 0
        """The life that was admitted last, heard or not."""
        self._secret = secret
        self._posed = 0
        self._candidates: dict[Incarnation, Candidate] = {}
        self._retired: deque[Incarnation] = deque(maxlen=RETIRED)
        self._out, self._in = Outgoing(), Incoming()
        self._paths: tuple[PathId, ...] = ()
        self._heard: dict[PathId, Instant] = {}
        self._doubted: dict[PathId, Instant] = {}
        """Until when."""
        self._heard_at: Instant = now
        self._newest = 0
        self._hello_at: Instant = now
        self._owed: PathId | None = None
        """By which path the piece came that is to be acknowledged: there the peer is heard now."""
        self._longest: Duration = 0

    def lag(self, now: Instant) -> Duration:
        """Longest time from queued to acknowledged since this was asked last, what still waits for it included."""
        first = next(iter(self._out.under_way.values()), None)
        longest, self._longest = self._longest, 0
        return longest if first is None else max(longest, now - first.queued_at)

    @property
    def backlog(self) -> int:
        """Bytes under way and waiting."""
        return self._out.bytes

    @property
    def room(self) -> bool:
        """Whether bulk may be added without making live events wait for long."""
        return len(self._out.waiting) < WINDOW // 4

    @property
    def settled(self) -> bool:
        """Everything queued has been acknowledged."""
        return not self._out.under_way and not self._out.waiting

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """Take one event."""
        match event:
            case HelloHeard():
                return self._hello_heard(now, event)
            case PieceHeard():
                return self._piece_heard(now, event)
            case Queued(body):
                return self._queued(now, body)
            case PathsChanged(paths):
                self._paths = paths
                self._hello_at = now
                return []
            case TurnEnded():
                return self._turn_ended(now)

    def deadline(self) -> Instant:
        """When ``TurnEnded`` is due at the latest."""
        wanted = [self._hello_at]
        if self.peer is not None:
            wanted.append(self._heard_at + LOST_AFTER)
        first = next(iter(self._out.under_way.values()), None)
        if first is not None:
            wanted.append(first.sent_at + _patience(first))
        return min(wanted)

    # -- who speaks -------------------------------------------------------------------------------------------------

    def _is_heard(self, incarnation: Incarnation, sequence: int, echo: Incarnation) -> bool:
        """It is the admitted life; one that was silent must say something it has not said before."""
        if incarnation != self._known or not self._known or echo != self.incarnation:
            return False
        return self.peer is not None or sequence > self._newest

    def _admits(self, now: Instant, event: HelloHeard) -> bool:
        """Another life than the one we know proves that it lives now, and knows our present life."""
        if event.echo != self.incarnation or event.incarnation in self._retired:
            return False
        if event.answer is None:
            return event.incarnation != self._known
        candidate = self._candidates.get(event.incarnation)
        return candidate is not None and event.answer == candidate.challenge and now - candidate.posed_at < CHALLENGE_LASTS

    def _join(self, now: Instant, incarnation: Incarnation) -> list[Action]:
        if incarnation != self._known:
            # A peer that was silent and is the same may go on with its stream where we are.
            self._newest, self._in = 0, Incoming()
            self._retired.append(self._known)
        self.peer = self._known = incarnation
        # What was posed to others before may have been answered by lives that are no more.
        self._candidates.clear()
        self._out.restart()
        self._hello_at = now
        return [PeerJoined()]

    def _note(self, now: Instant, path: PathId, sequence: int) -> None:
        if sequence > self._newest:
            # What was overtaken or is a repetition is no sign of life.
            self._newest = sequence
            self._heard_at = self._heard[path] = now

    def _hello_heard(self, now: Instant, event: HelloHeard) -> list[Action]:
        actions: list[Action] = []
        if not self._is_heard(event.incarnation, event.sequence, event.echo):
            if not self._admits(now, event):
                return self._challenged(now, event)
            actions += self._join(now, event.incarnation)
        elif self.peer is None:
            actions += self._join(now, event.incarnation)
        fresh = event.sequence > self._newest
        self._note(now, event.path, event.sequence)
        if event.challenge != NO_CHALLENGE:
            actions.append(SendHello(event.path, event.incarnation, self._acknowledged(), answer=event.challenge))
        if fresh:
            actions += self._acknowledgement(now, event.acknowledged)
        return actions

    def _challenged(self, now: Instant, event: HelloHeard) -> list[Action]:
        """Tell a life that we do not believe yet who we are, and what it has to answer; and answer what it asks."""
        if event.incarnation in self._retired:
            return []
        candidate = self._candidates.get(event.incarnation)
        if candidate is None or now - candidate.posed_at >= CHALLENGE_LASTS:
            self._posed += 1
            said = self._posed.to_bytes(8) + event.incarnation.to_bytes(8)
            challenge = int.from_bytes(blake2b(said, key=self._secret[:64], digest_size=8).digest()) or 1
            self._candidates.pop(event.incarnation, None)
            self._candidates[event.incarnation] = candidate = Candidate(challenge, now, now - HELLO_INTERVAL)
            if len(self._candidates) > CANDIDATES:
                del self._candidates[next(iter(self._candidates))]
        if event.challenge == NO_CHALLENGE and now - candidate.answered_at < HELLO_INTERVAL // 10:
            return []
        candidate.answered_at = now
        return [SendHello(event.path, event.incarnation, self._acknowledged(), candidate.challenge, event.challenge)]

    # -- our stream -------------------------------------------------------------------------------------------------

    def _queued(self, now: Instant, body: bytes) -> list[Action]:
        if self.peer is None:
            return []
        if self._out.bytes + len(body) > QUEUE_BYTES:
            self.overflows += 1
            self._out.restart()
        self._out.bytes += len(body)
        self._out.waiting.append((body, now))
        return self._fill(now)

    def _fill(self, now: Instant) -> list[Action]:
        out, path = self._out, self._best_path(now)
        actions: list[Action] = []
        if path is None or self.peer is None:
            return actions
        while out.waiting and len(out.under_way) < WINDOW:
            body, queued_at = out.waiting.popleft()
            out.under_way[out.next] = Piece(body, queued_at, now, path)
            actions.append(SendPiece(path, self.peer, out.number, out.next, body))
            out.next += 1
        return actions

    def _best_path(self, now: Instant) -> PathId | None:
        """The first that is heard and not doubted. That the peer is heard there does not say that it hears us."""
        heard = [path for path in self._paths if now - self._heard.get(path, now - PATH_QUIET) < PATH_QUIET]
        return min(heard or self._paths, key=lambda path: max(now, self._doubted.get(path, now)), default=None)

    def _acknowledgement(self, now: Instant, told: Acknowledged) -> list[Action]:
        out = self._out
        if told.stream != out.number or told.expected > out.next:
            return []
        while out.under_way and (first := next(iter(out.under_way))) < told.expected:
            piece = out.under_way.pop(first)
            out.bytes -= len(piece.body)
            self._longest = max(self._longest, now - piece.queued_at)
        again = [n for first, last in told.missing for n in range(max(first, told.expected), min(last + 1, out.next))]
        return self._resend(now, again[:RESEND_BURST], GAP_AFTER) + self._fill(now)

    def _resend(self, now: Instant, numbers: list[int], not_within: Duration) -> list[Action]:
        path = self._best_path(now)
        actions: list[Action] = []
        if path is None or self.peer is None:
            return actions
        for number in numbers:
            piece = self._out.under_way.get(number)
            if piece is None or now - piece.sent_at < not_within:
                continue
            piece.sent_at, piece.times, piece.path = now, piece.times + 1, path
            self.resent += 1
            actions.append(SendPiece(path, self.peer, self._out.number, number, piece.body))
        return actions

    # -- the peer's stream --------------------------------------------------------------------------------------------

    def _piece_heard(self, now: Instant, event: PieceHeard) -> list[Action]:
        if not self._is_heard(event.incarnation, event.sequence, event.echo):
            return []
        actions = self._join(now, event.incarnation) if self.peer is None else []
        self._note(now, event.path, event.sequence)
        into = self._in
        if into.number is None or event.stream > into.number:
            if into.number is not None:
                actions.append(GapBegan())
            self._in = into = Incoming(event.stream)
        if event.stream < (into.number or 0):
            return actions
        self._owed = event.path
        if event.number < into.expected or event.number - into.expected > REORDERED:
            return actions
        into.beyond[event.number] = event.body
        while into.expected in into.beyond:
            actions.append(Deliver(into.beyond.pop(into.expected)))
            into.expected += 1
        return actions

    def _acknowledged(self) -> Acknowledged:
        return Acknowledged(self._in.number or 0, self._in.expected, self._in.missing())

    # -- time -------------------------------------------------------------------------------------------------------

    def _turn_ended(self, now: Instant) -> list[Action]:
        actions: list[Action] = []
        if self.peer is not None and now - self._heard_at >= LOST_AFTER:
            # Its next word, in whatever life, makes it join again.
            self.peer = None
            self._out.restart()
            actions.append(PeerLost())
        if now >= self._hello_at:
            self._hello_at = now + HELLO_INTERVAL
            self._owed = None
            actions += [SendHello(path, self.peer or 0, self._acknowledged()) for path in self._paths]
        elif self._owed is not None and self.peer is not None:
            path, self._owed = self._owed, None
            actions.append(SendHello(path, self.peer, self._acknowledged()))
        return actions + self._overdue(now)

    def _overdue(self, now: Instant) -> list[Action]:
        first = next(iter(self._out.under_way.values()), None)
        if first is None or now - first.sent_at < _patience(first):
            return []
        self._doubted[first.path] = now + DOUBT_LASTS
        return self._resend(now, list(self._out.under_way)[:RESEND_BURST], _patience(first))


def _patience(piece: Piece) -> Duration:
    """How long to wait for its acknowledgement; doubles each time."""
    return min(RESEND_AFTER << min(piece.times - 1, 8), RESEND_AT_MOST)
