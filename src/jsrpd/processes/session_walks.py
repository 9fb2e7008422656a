"""Walks through the connection table, a piece at a time: for the peer, for an audit, and after a change of owner."""

from collections.abc import Callable
from typing import Protocol

from jsrpd.kernel.ctnetlink import Dump
from jsrpd.sessions.attribution import KEPT_AT_LEAST_S, Attribution
from jsrpd.sessions.audit import Digests, place
from jsrpd.sessions.ctnetlink import (
    DELETE,
    FIXED_TIMEOUT,
    PREFIX,
    REQUEST,
    STANDBY_TIMEOUT_S,
    STATUS,
    TIMEOUT,
    Parts,
    key_of,
    message,
    number_of,
    parts_of,
    retained,
    timeout_name,
)
from jsrpd.sessions.layout import Layouts
from jsrpd.sessions.relay import Relay

PIECES_BETWEEN_BREATHS = 64


class Walk(Protocol):
    """Messages for our own kernel, piece by piece until ``done``."""

    done: bool

    def next(self) -> list[bytes]:
        """What one piece of the table calls for. OSError when the kernel breaks the dump off."""

    def close(self) -> None:
        """Free the socket."""


class Outgoing:
    """Tells the peer of the connections of our groups, in some buckets or in all; or only counts them for an audit."""

    def __init__(
        self,
        number: int,
        buckets: frozenset[int] | None,
        attribution: Attribution,
        owned: frozenset[int],
        digests_only: bool,
    ) -> None:
        self.number, self.buckets = number, buckets
        self.digests_only = digests_only
        self.digests = Digests()
        self.count = 0
        self.done = False
        self.groups = owned
        self._attribution = attribution
        self._layouts = Layouts()
        self._relay = Relay(attribution)
        self._gone: set[bytes] = set()
        self._dump = Dump()

    def destroyed(self, parts: Parts) -> None:
        """It ended while the walk goes on: the kernel fills its answers ahead, so the walk may still meet it."""
        self._gone.add(key_of(parts))

    def next(self) -> list[bytes]:
        """What the peer is told about the next piece."""
        entries = self._dump.read()
        simple = self.buckets is None and not self.digests_only and not self._gone
        told = self._relay.told_of_dump(entries, self.groups) if simple else self._looked_at(entries)
        self.count += len(told)
        if self._dump.done:
            self.done = True
            self._dump.close()
        return told

    def _looked_at(self, entries: list[bytes]) -> list[bytes]:
        told: list[bytes] = []
        for entry in entries:
            layout = self._layouts.of(entry)
            if self._attribution.group_of(entry, layout) not in self.groups:
                continue
            parts = layout.parts(entry)
            if not self._attribution.admits(parts):
                continue
            key = key_of(parts)
            if key in self._gone:
                continue
            if self.digests_only:
                self.digests.add(key)
            elif self.buckets is None or place(key)[0] in self.buckets:
                told.append(layout.relayed(entry, whole=True))
        return told


class Sweep:
    """Finds what this node holds of the peer's groups and the peer no longer has.

    Taken when a resynchronisation begins; what comes until its end mark is struck off; what is left is stale.
    """

    def __init__(
        self,
        number: int,
        buckets: frozenset[int] | None,
        attribution: Attribution,
        groups: frozenset[int],
        breathe: Callable[[], None],
        *,
        digests: bool = False,
    ) -> None:
        self.number = number
        self.digests = Digests()
        self._held: dict[bytes, tuple[int, int]] = {}
        dump, pieces, layouts = Dump(), 0, Layouts()
        try:
            while not dump.done:
                for entry in dump.read():
                    layout = layouts.of(entry)
                    group = attribution.group_of(entry, layout)
                    if group not in groups:
                        continue
                    parts = layout.parts(entry)
                    admitted = attribution.admits(parts)
                    # What is to travel no more may have been carried here before that.
                    if not attribution.is_ours_to_remove(parts) or not (admitted or attribution.is_carried(parts)):
                        continue
                    key = key_of(parts)
                    if digests and not admitted:
                        continue
                    if digests:
                        self.digests.add(key)
                    elif buckets is None or place(key)[0] in buckets:
                        self._held[key] = (group, entry[PREFIX - 4])
                pieces += 1
                if pieces % PIECES_BETWEEN_BREATHS == 0:
                    breathe()
        finally:
            dump.close()

    @property
    def holds_nothing(self) -> bool:
        """Whatever comes need not be looked at."""
        return not self._held

    def came(self, told: bytes) -> None:
        """The peer has it (or has just ended it, which its own message carries out)."""
        if self._held:
            self._held.pop(key_of(parts_of(told)), None)

    def stale(self, groups: frozenset[int]) -> list[bytes]:
        """Messages that remove what is left of these groups."""
        return [message(DELETE, REQUEST, family, key) for key, (group, family) in self._held.items() if group in groups]


class Retention:
    """Changes timeouts (and windows) of the connections of some groups after a change of owner.

    One walk for all of them: the kernel holds a processor, its packets included, for as long as it looks through a table
    that is mostly empty (10 ms for 262,144 buckets, measured). ``above_s``: what has no longer timeout is left alone.
    """

    def __init__(
        self,
        groups: frozenset[int],
        attribution: Attribution,
        timeout_of: Callable[[Parts], int | None],
        *,
        liberal: bool,
        above_s: int = 0,
    ) -> None:
        self.done = False
        self._groups, self._attribution = groups, attribution
        self._timeout_of, self._liberal, self._above_s = timeout_of, liberal, above_s
        self._layouts = Layouts()
        self._dump = Dump()

    @classmethod
    def yielding(cls, groups: frozenset[int], attribution: Attribution) -> "Retention":
        """This node has lost the groups: their packets go by another node, so neither clock nor windows move here."""
        return cls(groups, attribution, lambda _parts: STANDBY_TIMEOUT_S, liberal=True)

    @classmethod
    def settling(cls, groups: frozenset[int], attribution: Attribution, nominal: dict[str, int]) -> "Retention":
        """This node has claimed the groups: what no packet has refreshed gets an owner's timeout again."""

        def timeout_of(parts: Parts) -> int | None:
            wanted_s = nominal[timeout_name(parts)]
            return wanted_s if number_of(parts, TIMEOUT) > wanted_s else None

        # Whatever has less was set by this kernel; looking closer at each of 500,000 would take seconds.
        return cls(groups, attribution, timeout_of, liberal=False, above_s=KEPT_AT_LEAST_S)

    def next(self) -> list[bytes]:
        """Changes of the next piece."""
        changes = []
        for entry in self._dump.read():
            layout = self._layouts.of(entry)
            if layout.timeout_s(entry) <= self._above_s or self._attribution.group_of(entry, layout) not in self._groups:
                continue
            parts = layout.parts(entry)
            # What is fixed stays as it is, on an owner as well: no packet would ever lengthen it again.
            timeout_s = None if number_of(parts, STATUS) & FIXED_TIMEOUT else self._timeout_of(parts)
            if timeout_s is not None:
                changes.append(retained(entry, parts, timeout_s, liberal=self._liberal))
        self.done = self._dump.done
        return changes

    def close(self) -> None:
        """Free the socket."""
        self._dump.close()
