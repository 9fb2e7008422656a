"""Paths between the two nodes, each direction with its own faults.

A datagram is a value; what travels is never encoded. A cut swallows what is sent while it lasts, not what is already
on its way, so that very late datagrams turn up in the middle of cuts and after restarts.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.model.time import MICROSECOND, Duration, Instant


@dataclass(frozen=True, slots=True)
class Challenge:
    """Prove that the life ``incarnation`` lives."""

    nonce: int
    incarnation: Incarnation


@dataclass(frozen=True, slots=True)
class Response:
    """The proof, for the asker's own life ``incarnation``."""

    nonce: int
    incarnation: Incarnation


Payload = Heartbeat | Acknowledgement | Challenge | Response


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram of the life ``incarnation``; ``sent_at`` is true time, for the checkers only."""

    incarnation: Incarnation
    sequence: int
    payload: Payload
    sent_at: Instant


@dataclass(slots=True)
class Direction:
    """One direction of one path. Probabilities 0..1, delays in ns."""

    delay: Duration = 200 * MICROSECOND
    jitter: Duration = 0
    loss: float = 0.0
    duplication: float = 0.0
    tail: float = 0.0
    """Share of datagrams that take up to ``tail_delay``."""
    tail_delay: Duration = 0
    corruption: float = 0.0
    """Share of datagrams whose bits change on the way. The envelope authenticates every bit, so the receiver counts and
    drops them, like those of another wire version; to the core either is a loss."""
    corrupted: int = 0
    cuts: int = 0
    """How many cuts are in force."""

    def arrivals(self, rng: random.Random) -> Iterator[Duration]:
        """Delays after which copies of a datagram arrive: none when lost, two when duplicated."""
        if self.cuts or (self.loss and rng.random() < self.loss):
            return
        if self.corruption and rng.random() < self.corruption:
            self.corrupted += 1
            return
        copies = 2 if self.duplication and rng.random() < self.duplication else 1
        for _ in range(copies):
            delay = self.delay + (rng.randrange(self.jitter) if self.jitter else 0)
            if self.tail and rng.random() < self.tail:
                delay += rng.randrange(self.tail_delay)
            yield delay

    def heal(self) -> None:
        """Loss-free, prompt, whole."""
        self.cuts = 0
        self.loss = self.duplication = self.tail = self.corruption = 0.0
        self.jitter = 0


@dataclass(slots=True)
class Network:
    """All directions: ``links[sender][path]``."""

    paths: tuple[PathId, ...]
    links: tuple[dict[PathId, Direction], dict[PathId, Direction]] = field(default_factory=lambda: ({}, {}))

    def __post_init__(self) -> None:
        for sender in self.links:
            sender.update({path: Direction() for path in self.paths})

    def directions(self) -> Iterator[Direction]:
        """Every direction of every path."""
        for sender in self.links:
            yield from sender.values()
