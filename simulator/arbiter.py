"""The third party: an address that answers, or a witness that gives its key to one node at a time (SPEC 6.5).

On each node something outside of the engine asks it, in its own time, and tells the engine what it heard.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jsrpd.core.events import ArbiterAnswered, WitnessGranted
from jsrpd.model.time import MICROSECOND, Duration, Instant
from simulator.history import Answer

if TYPE_CHECKING:
    from simulator.node import SimulatedNode
    from simulator.world import World

PROBES_PER_VERDICT = 4
"""As the monitors process asks: so many times within the time for which an answer stands."""


@dataclass(slots=True)
class Arbiter:
    """``beside``: the node it stands next to, so that the other one reaches it only while some path between the nodes carries both
    ways; None: both by ways of their own. ``cuts``: per node, how many are in force. ``key``: holder, until when (true time),
    number of the grant. A generator of its own, so that a run without arbitration draws what it always drew."""

    rng: random.Random
    ttl: Duration = 0
    beside: int | None = None
    delay: Duration = 100 * MICROSECOND
    loss: float = 0.0
    cuts: list[int] = field(default_factory=lambda: [0, 0])
    key: tuple[int, Instant, int] = (0, -1, 0)
    grants: int = 0

    def reached(self, world: World, node: int) -> bool:
        """Whether what ``node`` sends now, or is sent, arrives."""
        if self.cuts[node] or (self.loss and self.rng.random() < self.loss):
            return False
        if self.beside in (None, node):
            return True
        first, second = world.network.links
        return any(not first[path].cuts and not second[path].cuts for path in world.network.paths)

    def heal(self) -> None:
        """It answers both."""
        self.cuts = [0, 0]
        self.loss = 0.0

    def delayed(self) -> Duration:
        """One way."""
        return self.delay + self.rng.randrange(self.delay)


class Asker:
    """What asks on one node. It lives as long as the node has power, whatever its engine does."""

    def __init__(self, world: World, node: SimulatedNode) -> None:
        self.world, self.node, self.arbiter = world, node, world.arbiter
        self.wanted = False
        self._probing = False
        self._asking = 0
        """Number of the present wish for the key; what answers another one is thrown away."""
        self._granted = 0
        """The grant that would have to be given back."""

    def start(self) -> None:
        """From the begin of the run, or the commit that brings arbitration."""
        if self._probes() and not self._probing:
            self._probing = True
            self._probe()

    def _probes(self) -> bool:
        stated = self.node.configuration.arbitration
        return stated is not None and bool(stated.probes)

    def _able(self) -> bool:
        return self.node.powered and self.world.now >= self.node.deaf_until

    # -- an address -------------------------------------------------------------------------------------------------

    def _probe(self) -> None:
        if not self._probes():
            self._probing = False
            return
        self.world.schedule(self.world.now + self.node.timing.verdict // PROBES_PER_VERDICT, self._probe)
        if self._able() and self.arbiter.reached(self.world, self.node.number):
            asked = self.world.now, self.node.clock()
            self.world.schedule(self.world.now + self.arbiter.delayed(), self._answer, *asked)

    def _answer(self, asked_at: Instant, by_clock: Instant) -> None:
        if self.arbiter.reached(self.world, self.node.number):
            self.world.schedule(self.world.now + self.arbiter.delayed(), self._answered, asked_at, by_clock)

    def _answered(self, asked_at: Instant, by_clock: Instant) -> None:
        if not self._able():
            return
        until = asked_at + self.node.timing.verdict
        self.world.history.answers[self.node.number].append(Answer(self.world.now, asked_at, until))
        self.node.tell(ArbiterAnswered(by_clock))

    # -- a witness --------------------------------------------------------------------------------------------------

    def want(self, wanted: bool) -> None:
        """The engine's order."""
        self.wanted = wanted
        self._asking += 1
        self.world.history.disclaimed(self.node.number, self.world.now)
        if wanted:
            self._ask(self._asking)
        elif self._granted and self.arbiter.reached(self.world, self.node.number):
            self.world.schedule(self.world.now + self.arbiter.delayed(), self._released, self._granted)

    def _released(self, grant: int) -> None:
        holder, _, newest = self.arbiter.key
        if (holder, newest) == (self.node.number, grant):
            self.arbiter.key = (holder, -1, grant)

    def _ask(self, asking: int) -> None:
        if asking != self._asking:
            return
        self.world.schedule(self.world.now + self.node.timing.interval // 4, self._ask, asking)
        if self.node.up and self._able() and self.arbiter.reached(self.world, self.node.number):
            asked = asking, self.world.now, self.node.clock()
            self.world.schedule(self.world.now + self.arbiter.delayed(), self._decide, *asked)

    def _decide(self, asking: int, asked_at: Instant, by_clock: Instant) -> None:
        arbiter, now = self.arbiter, self.world.now
        holder, until, _ = arbiter.key
        if holder != self.node.number and now <= until:
            return
        arbiter.grants += 1
        arbiter.key = (self.node.number, now + arbiter.ttl, arbiter.grants)
        if arbiter.reached(self.world, self.node.number):
            self.world.schedule(now + arbiter.delayed(), self._taken, asking, arbiter.grants, asked_at, by_clock)

    def _taken(self, asking: int, grant: int, asked_at: Instant, by_clock: Instant) -> None:
        if not self._able():
            return
        self._granted = max(self._granted, grant)
        if asking == self._asking:
            lasts = self.arbiter.ttl - self.arbiter.ttl // 50
            self.world.history.answers[self.node.number].append(Answer(self.world.now, asked_at, asked_at + lasts))
            self.node.tell(WitnessGranted(by_clock + lasts))
