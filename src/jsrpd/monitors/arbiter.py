"""Asks the addresses of ``arbitration probe``, as often as their word is short-lived, and tells when the answered one was asked.

It judges nothing: how long an answer stands, and what follows from it, is the core's business (``core.arbitration``). Each
node asks by a way of its own, whatever its role: by the child of a reth on whose segment it has an address of its own, else
as the kernel's routes say.
"""

import ipaddress
from collections.abc import Iterable

from jsrpd.model.configuration import Arbitration, Reth
from jsrpd.model.time import MILLISECOND, Instant, Timing
from jsrpd.monitors.events import Action, Answered, EchoHeard, Event, Failed, SendEcho, TimePassed, Way

ROUNDS_PER_VERDICT = 4
"""So that three of four may be lost or late before an answer has lapsed."""
SHORTEST_ROUND = 5 * MILLISECOND
REMEMBERED = 64
"""Rounds whose send time is known; an answer to an older one is worth nothing any more."""


class ArbiterProbe:
    """All addresses together: one of them is enough."""

    def __init__(self, configuration: Arbitration, reths: Iterable[Reth], timing: Timing, now: Instant) -> None:
        self.period = max(SHORTEST_ROUND, timing.verdict // ROUNDS_PER_VERDICT)
        self._ways = {address: way(address, reths) for address in configuration.probes}
        self._sequence = 0
        self._asked: dict[int, Instant] = {}
        self._due = now

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """Rounds of requests, and answers. ``now`` is read before what is ordered is sent."""
        match event:
            case TimePassed() if now >= self._due:
                self._due = now + self.period
                self._sequence += 1
                self._asked[self._sequence] = now
                self._asked.pop(self._sequence - REMEMBERED, None)
                return [SendEcho(address, self._sequence, by) for address, by in self._ways.items()]
            case EchoHeard(address, sequence) if address in self._ways and sequence in self._asked:
                return [Answered(self._asked[sequence])]
            case _:
                return []

    def deadline(self) -> Instant | None:
        """The next round."""
        return self._due

    def present_failures(self) -> Iterable[Failed]:
        """It fails no group."""
        return ()


def way(address: str, reths: Iterable[Reth]) -> Way:
    """How this node asks an address in either role."""
    asked = ipaddress.ip_address(address)
    for reth in reths:
        for unit in reth.node_local_addresses:
            if asked in ipaddress.ip_network(f"{unit.address}/{unit.prefix_length}", strict=False):
                return Way(unit.address, reth.station)
    return Way()
