"""The IP monitor: does what lies beyond the links still answer, by the way this node would send?

Each address is asked at every retry-interval. Nothing heard of the last retry-count requests: unreachable. An answer
that comes late still counts, so a path slower than the interval is no failure. The weights of unreachable addresses are
held against the global threshold, and only then does the group lose the global weight (reference 5.3).

The vendor's decision table (move only if the other node reaches what this one does not) follows from both nodes asking:
the other node's monitor takes its weight there, and the core moves a group only to a node that is fit. For this the
standby must come to its verdict first when both lose the same upstream, so it is content with fewer lost requests.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from jsrpd.model.configuration import IpMonitoring, IpTarget, Reth, RethUnitAddress
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant
from jsrpd.monitors.events import (
    Action,
    EchoHeard,
    EchoRefused,
    Event,
    Failed,
    FailureCountsCleared,
    OwnershipChanged,
    Recovered,
    SendEcho,
    TimePassed,
    Way,
)

NAME = "ip-monitoring"
RISE = 3
"""Answers in a row until an unreachable address is reachable again; the first of all needs one."""
STANDBY_SOONER = 2
"""So many requests sooner a standby calls an address unreachable: a whole interval before the owner at the least."""
UNASKED: Duration = 60 * SECOND
"""How long a verdict lasts when a node can no longer ask: it has no source of its own as secondary."""
NO_REPLY, NOT_ASKED = "no reply", "this node has no address of its own there"
UNKNOWN, REACHABLE, UNREACHABLE = "unknown", "reachable", "unreachable"
NAMED = 3
"""Unreachable addresses that a failure names."""


@dataclass(slots=True)
class _Target:
    configuration: IpTarget
    way: Way | None = None
    status: str = UNKNOWN
    sequence: int = 0
    answered: int = 0
    """The newest answered sequence."""
    lost: int = 0
    good: int = 0
    failures: int = 0
    reason: str = ""
    unasked_since: Instant | None = None


class IpMonitor:
    """All addresses of one group."""

    def __init__(self, group: int, configuration: IpMonitoring, reths: Iterable[Reth], now: Instant) -> None:
        self.group, self.configuration = group, configuration
        self.reths = tuple(reths)
        self.failure: Failed | None = None
        self.owner: bool | None = False
        self._targets = {target.address: _Target(target) for target in configuration.targets}
        self._due = now
        self._choose_ways(now, owner=False)

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """Requests, answers, roles."""
        match event:
            case TimePassed():
                return self._look(now)
            case EchoHeard(address, sequence):
                return self._heard(address, sequence)
            case EchoRefused(address, reason):
                if address in self._targets:
                    self._targets[address].reason = reason
            case OwnershipChanged(owner):
                self._choose_ways(now, owner)
            case FailureCountsCleared(address):
                for target in self._targets.values():
                    if address in ("", target.configuration.address):
                        target.failures = 0
            case _:
                pass
        return []

    def _choose_ways(self, now: Instant, owner: bool | None) -> None:
        """A new way begins with a clean count; the verdict of the old one stands until it is contradicted."""
        self.owner = owner
        for target in self._targets.values():
            target.way = way(target.configuration, self.reths, owner) if owner is not None else None
            target.lost = target.good = 0
            target.answered = target.sequence
            target.unasked_since = now if target.way is None else None

    def _look(self, now: Instant) -> list[Action]:
        if now < self._due:
            return []
        interval = self.configuration.retry_interval_ms * MILLISECOND
        # From now, not from when it was due: each request gets a whole interval, however late the loop is.
        self._due = now + interval
        actions: list[Action] = []
        for target in self._targets.values():
            self._judge(now, target)
            if target.way is not None:
                target.sequence += 1
                actions.append(SendEcho(target.configuration.address, target.sequence, target.way))
        return [*actions, *self._verdict()]

    def _judge(self, now: Instant, target: _Target) -> None:
        if target.way is None:
            since = target.unasked_since
            if since is not None and now - since >= UNASKED and target.status != UNKNOWN:
                target.status, target.reason = UNKNOWN, NOT_ASKED
            return
        if target.answered >= target.sequence:
            return
        target.lost += 1
        if target.lost > 1:
            target.good = 0
        if target.lost >= self.patience and target.status != UNREACHABLE:
            target.status = UNREACHABLE
            target.failures += 1
            target.reason = target.reason or NO_REPLY

    def _heard(self, address: str, sequence: int) -> list[Action]:
        target = self._targets.get(address)
        if target is None or not target.answered < sequence <= target.sequence:
            return []
        target.answered = sequence
        target.lost = 0
        target.good += 1
        if target.status == UNREACHABLE and target.good < RISE:
            return []
        target.status, target.reason = REACHABLE, ""
        return self._verdict()

    @property
    def patience(self) -> int:
        """Requests in a row that must be lost."""
        return self.configuration.retry_count - (0 if self.owner else STANDBY_SOONER)

    @property
    def unreachable_weight(self) -> int:
        """Sum over the addresses that do not answer."""
        return sum(t.configuration.weight for t in self._targets.values() if t.status == UNREACHABLE)

    def _verdict(self) -> list[Action]:
        weight, threshold = self.unreachable_weight, self.configuration.global_threshold
        failed = weight > 0 and weight >= threshold
        if failed == (self.failure is not None):
            return []
        value, limit = f"unreachable weight {weight}", str(threshold)
        if not failed:
            self.failure = None
            return [Recovered(self.group, FailureCode.IP, NAME, value, limit)]
        silent = [address for address, target in self._targets.items() if target.status == UNREACHABLE]
        more = ["..."] if len(silent) > NAMED else []
        value = f"{value} ({', '.join([*silent[:NAMED], *more])})"
        self.failure = Failed(self.group, FailureCode.IP, NAME, self.configuration.global_weight, value, limit)
        return [self.failure]

    def deadline(self) -> Instant | None:
        """The next round of requests."""
        return self._due

    def present_failures(self) -> Iterable[Failed]:
        """What is failed now."""
        return () if self.failure is None else (self.failure,)

    def status(self) -> IpGroupStatus:
        """For ``show chassis cluster ip-monitoring status``."""
        return IpGroupStatus(
            group=self.group,
            global_weight=self.configuration.global_weight,
            global_threshold=self.configuration.global_threshold,
            current_threshold=self.configuration.global_threshold - self.unreachable_weight,
            targets=tuple(
                IpTargetStatus(
                    address=address,
                    status=target.status,
                    failure_count=target.failures,
                    weight=target.configuration.weight,
                    reason=NOT_ASKED if target.way is None and target.status == UNKNOWN else target.reason,
                )
                for address, target in self._targets.items()
            ),
        )


def way(target: IpTarget, reths: Iterable[Reth], owner: bool) -> Way | None:
    """How this node asks an address, or None when it cannot.

    The owner asks through the reth with the gateway address as source, the way that forwarded packets go; its gate lets
    nothing out while it is shut. The other node has a source of its own on its child, and reaches only what is on the
    segment: the next hop beyond belongs to the owner.
    """
    address = ipaddress.ip_address(target.address)
    for reth in reths:
        if target.reth not in ("", reth.name):
            continue
        unit = _unit(reth.addresses, address)
        if unit is None and target.reth:
            family = [u for u in reth.addresses if ipaddress.ip_address(u.address).version == address.version]
            return Way(family[0].address, reth.name) if owner and family else None
        if unit is None:
            continue
        if owner:
            return Way(unit.address, reth.name)
        own = _unit(reth.node_local_addresses, address)
        source = target.secondary_address or (own.address if own else "")
        return Way(source, reth.station) if source else None
    return Way() if owner else None


def _unit(units: Iterable[RethUnitAddress], address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> RethUnitAddress | None:
    """The unit address whose prefix holds ``address``."""
    for unit in units:
        if address in ipaddress.ip_network(f"{unit.address}/{unit.prefix_length}", strict=False):
            return unit
    return None
