"""The stream between two session processes over a network that loses, reorders, repeats, and lets either side restart.

The world is simulated: one clock, a queue of datagrams with arrival times, chance from a seed. Whatever it does, what a
side was given between two joins or gaps comes out once, in order, without a hole.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field, replace

import pytest

from jsrpd.model.time import MILLISECOND, SECOND, Instant
from jsrpd.sessions import stream
from jsrpd.sessions.stream import (
    LOST_AFTER,
    QUEUE_BYTES,
    Acknowledged,
    Action,
    Deliver,
    Event,
    GapBegan,
    HelloHeard,
    PathsChanged,
    PeerJoined,
    PeerLost,
    PieceHeard,
    Queued,
    SendHello,
    SendPiece,
    Stream,
    TurnEnded,
)

PATHS = (4, 5)
lives = itertools.count(1000)


@dataclass
class Side:
    """One node: the machine, and what came out of it since the last join or gap."""

    name: str
    machine: Stream
    sequence: int = 0
    delivered: list[bytes] = field(default_factory=list)
    happened: list[type[Action]] = field(default_factory=list)
    given: int = 0
    next_given: int = 0


@dataclass
class World:
    """Two sides and the cables between them."""

    seed: int
    loss: float = 0.0
    repeat: float = 0.0
    delay: tuple[int, int] = (MILLISECOND // 10, MILLISECOND // 5)
    dead_paths: set[int] = field(default_factory=set)
    dead_ways: set[tuple[int, str]] = field(default_factory=set)
    """(path, side): nothing comes to the side by it."""
    stopped: str = ""
    """A side that does nothing for now, as a stopped process; what comes for it waits."""
    previous_version: str = ""
    """A side whose answers to challenges are not there."""
    now: Instant = SECOND

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.flying: list[tuple[Instant, int, str, Event]] = []
        self.order = itertools.count()
        self.waiting: list[Event] = []
        self.sides = {name: Side(name, self.born()) for name in "ab"}

    def born(self) -> Stream:
        life = next(lives)
        made = Stream(life, self.now, b"%d" % life)
        made.handle(self.now, PathsChanged(PATHS))
        return made

    def restart(self, name: str) -> None:
        self.sides[name] = Side(name, self.born())

    def give(self, name: str, body: bytes) -> None:
        self.do(self.sides[name], self.sides[name].machine.handle(self.now, Queued(body)))

    def do(self, side: Side, actions: list[Action]) -> None:
        for action in actions:
            side.happened.append(type(action))
            match action:
                case SendPiece(path, echo, number, sequence, body):
                    event: Event = PieceHeard(path, side.machine.incarnation, self.numbered(side), echo, number, sequence, body)
                    self.fly(side, path, event)
                case SendHello(path, echo, acknowledged, challenge, answer):
                    said: int | None = None if side.name == self.previous_version else answer
                    heard = HelloHeard(path, side.machine.incarnation, self.numbered(side), echo, acknowledged, challenge, said)
                    self.fly(side, path, heard)
                case Deliver(body):
                    side.delivered.append(body)
                case PeerJoined() | GapBegan():
                    side.delivered.clear()
                case PeerLost():
                    pass

    def numbered(self, side: Side) -> int:
        side.sequence += 1
        return side.sequence

    def fly(self, side: Side, path: int, event: Event) -> None:
        to = "b" if side.name == "a" else "a"
        for _ in range(1 + (self.chance.random() < self.repeat)):
            if path not in self.dead_paths and (path, to) not in self.dead_ways and self.chance.random() >= self.loss:
                at = self.now + self.chance.randint(*self.delay)
                heapq.heappush(self.flying, (at, next(self.order), to, event))

    def run(self, duration: int) -> None:
        end = self.now + duration
        while True:
            turns = [(side.machine.deadline(), name) for name, side in self.sides.items() if name != self.stopped]
            due, name = min(turns)
            arrival = self.flying[0][0] if self.flying else end
            at = min(due, arrival, end)
            self.now = max(self.now, at)
            if at == end:
                return
            if arrival <= due:
                _, _, name, event = heapq.heappop(self.flying)
                if name == self.stopped:
                    self.waiting.append(event)
                    continue
                side = self.sides[name]
                self.do(side, side.machine.handle(self.now, event))
            side = self.sides[name]
            self.do(side, side.machine.handle(self.now, TurnEnded()))


def bodies(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % n for n in range(first, first + count)]


def test_two_sides_find_each_other_and_speak() -> None:
    world = World(1)
    world.run(SECOND)
    for name in "ab":
        assert world.sides[name].happened.count(PeerJoined) == 1
        for body in bodies(5):
            world.give(name, body)
    world.run(100 * MILLISECOND)
    for side in world.sides.values():
        assert side.delivered == bodies(5)
        assert side.machine.settled
        assert side.machine.backlog == 0


def test_how_far_the_peer_is_behind() -> None:
    """The longest since it was asked last, from queued to acknowledged; what still waits counts as well."""
    world = World(2, delay=(3 * MILLISECOND, 3 * MILLISECOND))
    world.run(SECOND)
    sender = world.sides["a"].machine
    sender.lag(world.now)
    world.give("a", b"x")
    world.run(SECOND)
    assert sender.lag(world.now) == 6 * MILLISECOND
    assert sender.lag(world.now) == 0
    world.dead_paths = set(PATHS)
    world.give("a", b"y")
    world.run(50 * MILLISECOND)
    assert sender.lag(world.now) == 50 * MILLISECOND
    world.dead_paths = set()
    world.run(SECOND)
    assert 50 * MILLISECOND < sender.lag(world.now) < SECOND


@pytest.mark.parametrize("seed", range(40))
def test_nothing_lost_nothing_twice_in_order(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed, loss=chance.choice((0, 0.05, 0.3)), repeat=chance.choice((0, 0.2)))
    world.delay = chance.choice(((1, 2), (MILLISECOND // 10, 3 * MILLISECOND), (MILLISECOND, 60 * MILLISECOND)))
    world.run(2 * SECOND)
    expected: dict[str, list[bytes]] = {"a": [], "b": []}
    for step in range(60):
        for name, other in ("ab", "ba"):
            more = bodies(chance.randint(0, 40), 1000 * step)
            expected[other] += more
            for body in more:
                world.give(name, body)
        world.run(chance.randint(0, 5) * MILLISECOND)
    world.loss = min(world.loss, 0.1)
    world.run(20 * SECOND)
    for name, side in world.sides.items():
        assert side.delivered == expected[name]
        assert side.machine.settled


@pytest.mark.parametrize("seed", range(20))
def test_a_restart_of_either_side_begins_anew(seed: int) -> None:
    """What was given to a side that is gone is fetched by a resynchronisation; what comes after the join is complete."""
    chance = random.Random(seed)
    world = World(seed, loss=0.05, repeat=0.1, delay=(MILLISECOND // 10, 20 * MILLISECOND))
    world.run(2 * SECOND)
    for body in bodies(100):
        world.give("a", body)
    world.run(chance.randint(0, 30) * MILLISECOND)
    victim = chance.choice("ab")
    world.restart(victim)
    world.run(3 * SECOND)
    for side in world.sides.values():
        assert PeerJoined in side.happened
    for body in bodies(100, 500):
        world.give("a", body)
    world.run(5 * SECOND)
    assert world.sides["b"].delivered[-100:] == bodies(100, 500)


def test_a_dead_path_is_not_waited_for() -> None:
    world = World(3)
    world.run(SECOND)
    world.dead_paths = {PATHS[0]}
    world.run(SECOND)
    for body in bodies(200):
        world.give("a", body)
    world.run(SECOND)
    assert world.sides["b"].delivered == bodies(200)
    assert world.sides["a"].happened.count(PeerLost) == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_the_loss_of_a_path_costs_one_resend(reverse: bool) -> None:
    """Nothing waits until the path is known to be silent, in whichever direction it is dead; nor do pieces go by it any more."""
    world = World(5)
    world.run(SECOND)
    deaf, speaks = ("a", "b") if reverse else ("b", "a")
    world.dead_ways = {(PATHS[0], deaf)}
    slowest = 0
    for n in range(30):
        world.give(speaks, b"%d" % n)
        world.run(20 * MILLISECOND)
        slowest = max(slowest, world.sides[speaks].machine.lag(world.now))
    world.run(100 * MILLISECOND)
    assert world.sides[deaf].delivered == bodies(30)
    assert slowest < stream.RESEND_AFTER + 20 * MILLISECOND
    assert world.sides[speaks].machine.resent < 10


def test_silence_is_noticed_and_what_comes_after_is_known_as_a_gap() -> None:
    world = World(4)
    world.run(SECOND)
    world.give("a", b"before")
    world.run(SECOND)
    world.dead_paths = set(PATHS)
    world.give("a", b"lost")
    world.run(LOST_AFTER + SECOND)
    assert PeerLost in world.sides["a"].happened
    world.dead_paths = set()
    world.run(2 * SECOND)
    b = world.sides["b"]
    assert b.happened.count(PeerJoined) == 2
    world.give("a", b"after")
    world.run(SECOND)
    assert b.delivered == [b"after"]


@pytest.mark.parametrize("other", "ab")
def test_a_side_that_was_stopped_goes_on(other: str) -> None:
    """It has not noticed that it was missed, and takes up its stream in the middle."""
    world = World(7)
    world.run(SECOND)
    for name in "ab":
        for body in bodies(20):
            world.give(name, body)
    world.run(SECOND)
    world.stopped = other
    world.run(LOST_AFTER + SECOND)
    world.stopped = ""
    side = world.sides[other]
    for event in world.waiting:
        world.do(side, side.machine.handle(world.now, event))
    world.run(2 * SECOND)
    for name in "ab":
        world.give(name, b"again")
    world.run(2 * SECOND)
    for one in world.sides.values():
        assert one.delivered[-1] == b"again"
        assert one.machine.settled
    assert PeerLost in world.sides["a" if other == "b" else "b"].happened


def test_too_much_waiting_is_a_gap_and_not_silent() -> None:
    """The queue is bounded; when it overflows a new stream begins and the receiver is told."""
    world = World(5)
    world.run(SECOND)
    world.dead_paths = set(PATHS)
    big = bytes(1 << 20)
    for _ in range(QUEUE_BYTES // len(big) + 1):
        world.give("a", big)
        assert world.sides["a"].machine.backlog <= QUEUE_BYTES
    assert world.sides["a"].machine.overflows == 1
    world.dead_paths = set()
    world.give("a", b"after")
    world.run(2 * SECOND)
    b = world.sides["b"]
    assert GapBegan in b.happened or b.happened.count(Deliver) > 0
    assert b.delivered[-1] == b"after"


def test_a_gap_within_a_stream_is_told() -> None:
    world = World(6)
    world.run(SECOND)
    world.give("a", b"one")
    world.run(SECOND)
    a, b = world.sides["a"], world.sides["b"]
    world.dead_paths = set(PATHS)
    for _ in range(QUEUE_BYTES // (1 << 20) + 1):
        world.give("a", bytes(1 << 20))
    world.dead_paths = set()
    world.run(2 * SECOND)
    assert a.machine.overflows == 1
    assert b.happened.count(GapBegan) == 1


# -- who is believed ------------------------------------------------------------------------------------------------

ALL = Acknowledged(0, 0)


def machine() -> Stream:
    made = Stream(77, SECOND)
    made.handle(SECOND, PathsChanged(PATHS))
    return made


def test_a_peer_of_the_previous_version_is_spoken_with() -> None:
    world = World(8, previous_version="b")
    world.run(SECOND)
    world.give("a", b"x")
    world.give("b", b"y")
    world.run(SECOND)
    assert (world.sides["a"].delivered, world.sides["b"].delivered) == ([b"y"], [b"x"])


def hello(life: int, sequence: int, answer: int = 0, echo: int = 77) -> HelloHeard:
    """Of a life that knows challenges."""
    return HelloHeard(4, life, sequence, echo, ALL, answer=answer)


def posed(actions: list[Action]) -> int:
    """The challenge in the one hello that is said."""
    (said,) = [action for action in actions if isinstance(action, SendHello)]
    return said.challenge


def join(made: Stream, life: int, now: Instant) -> None:
    """As a living peer does it."""
    challenge = posed(made.handle(now, hello(life, 1)))
    assert PeerJoined() in made.handle(now, hello(life, 2, challenge))


def test_what_was_held_back_of_a_former_life_is_not_believed() -> None:
    """It knows our incarnation and answered a challenge; both were said before its successor joined."""
    made = machine()
    withheld = hello(5, 2, posed(made.handle(SECOND, hello(5, 1))))
    join(made, 6, SECOND)
    for event in (withheld, hello(5, 3), PieceHeard(4, 5, 4, 77, 1, 0, b"old")):
        assert not [one for one in made.handle(SECOND, event) if not isinstance(one, SendHello)]
    assert made.peer == 6


def test_a_challenge_does_not_wait_for_ever() -> None:
    made = machine()
    challenge = posed(made.handle(SECOND, hello(5, 1)))
    late = SECOND + stream.CHALLENGE_LASTS
    again = posed(made.handle(late, hello(5, 2, challenge)))
    assert made.peer is None
    assert again != challenge
    assert PeerJoined() in made.handle(late, hello(5, 3, again))


def test_recordings_of_any_number_of_lives_change_nothing() -> None:
    """More lives than are remembered have come and gone in ours; what each of them said is heard again."""
    made = machine()
    for life in range(100, 100 + 3 * stream.RETIRED):
        join(made, life, SECOND)
    last = made.peer
    for life in range(100, 100 + 3 * stream.RETIRED - 1):
        for sequence in (1, 2, 10**9):
            made.handle(SECOND, hello(life, sequence))
            assert made.handle(SECOND, PieceHeard(4, life, sequence, 77, 1, 0, b"old")) == []
    assert made.peer == last
    assert len(made._candidates) <= stream.CANDIDATES


def test_a_flood_of_recordings_keeps_nobody_out() -> None:
    """Each life is answered for itself, so a living one is admitted between any number of others."""
    made = machine()
    for life in range(1000, 1000 + stream.CANDIDATES - 1):
        made.handle(SECOND, hello(life, 1, echo=76))
    join(made, 5, SECOND)


def test_a_challenge_to_us_is_answered() -> None:
    made = machine()
    asked = HelloHeard(4, 5, 1, 0, ALL, challenge=4711, answer=0)
    (said,) = made.handle(SECOND, asked)
    assert isinstance(said, SendHello)
    assert (said.echo, said.answer) == (5, 4711)
    assert PeerJoined() in made.handle(SECOND, hello(5, 2, said.challenge))
    answers = [one.answer for one in made.handle(SECOND, replace(asked, sequence=9, echo=77)) if isinstance(one, SendHello)]
    assert answers == [4711]


def test_challenges_cannot_be_foreseen() -> None:
    """They come from random bytes of each start."""
    first, second = (Stream(77, SECOND, secret) for secret in (b"one", b"two"))
    assert posed(first.handle(SECOND, hello(5, 1))) != posed(second.handle(SECOND, hello(5, 1)))


def test_a_recording_from_before_our_life_is_answered_and_not_believed() -> None:
    made = machine()
    answer = made.handle(SECOND, HelloHeard(4, 5, 1, 76, ALL))
    assert [type(one) for one in answer] == [SendHello]
    assert made.handle(SECOND, PieceHeard(4, 5, 2, 76, 1, 0, b"old")) == []
    assert made.peer is None


def test_a_life_that_was_replaced_does_not_come_back() -> None:
    made = machine()
    assert PeerJoined() in made.handle(SECOND, HelloHeard(4, 5, 1, 77, ALL))
    assert PeerJoined() in made.handle(SECOND, HelloHeard(4, 6, 1, 77, ALL))
    assert made.handle(SECOND, HelloHeard(4, 5, 99, 77, ALL)) == []
    assert made.handle(SECOND, PieceHeard(4, 5, 100, 77, 1, 0, b"x")) == []
    assert made.peer == 6


def test_repeated_words_are_no_sign_of_life() -> None:
    made = machine()
    made.handle(SECOND, HelloHeard(4, 5, 9, 77, ALL))
    late = SECOND + LOST_AFTER
    made.handle(late - 1, HelloHeard(4, 5, 9, 77, ALL))
    made.handle(late - 1, HelloHeard(4, 5, 8, 77, ALL))
    assert PeerLost() in made.handle(late, TurnEnded())
    made.handle(late, HelloHeard(4, 5, 9, 77, ALL))
    assert made.peer is None, "a recording does not bring it back"
    assert PeerJoined() in made.handle(late, HelloHeard(4, 5, 10, 77, ALL))


@pytest.mark.parametrize("told", [Acknowledged(1, 10**9), Acknowledged(99, 1), Acknowledged(1, 0, ((0, 10**9),))])
def test_a_wrong_acknowledgement_frees_nothing(told: Acknowledged) -> None:
    made = machine()
    made.handle(SECOND, HelloHeard(4, 5, 1, 77, ALL))
    (sent,) = [a for a in made.handle(SECOND, Queued(b"x")) if isinstance(a, SendPiece)]
    assert sent.stream == 1
    made.handle(SECOND, HelloHeard(4, 5, 2, 77, told))
    assert not made.settled


def test_nothing_is_kept_without_a_peer() -> None:
    made = machine()
    assert made.handle(SECOND, Queued(b"x")) == []
    assert made.settled


def test_pieces_far_beyond_a_gap_are_not_kept() -> None:
    made = machine()
    made.handle(SECOND, HelloHeard(4, 5, 1, 77, ALL))
    for number in range(1, 3 * stream.REORDERED):
        assert made.handle(SECOND, PieceHeard(4, 5, 1 + number, 77, 1, number, b"x")) == []
    out = made.handle(SECOND, PieceHeard(4, 5, 10**6, 77, 1, 0, b"x"))
    assert len(out) == stream.REORDERED + 1
