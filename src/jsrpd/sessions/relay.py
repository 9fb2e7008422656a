"""What the peer is told about a batch of events: the hot path of the session process.

Two events about one connection in the same batch say what the last of them says, so they travel as one message: a short
connection, six events within a millisecond or two, costs the peer's kernel one or two messages. The loop exists twice, in
Python and, where the package could be built with a compiler, in C (``_relay.c``); both give the same answers and pass the
same tests.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from struct import error as StructError
from typing import Protocol

from jsrpd.sessions.attribution import Attribution
from jsrpd.sessions.ctnetlink import (
    AF_INET,
    AF_INET6,
    ATTRIBUTE,
    CREATE,
    DELETE,
    HEADER,
    PREFIX,
    MalformedMessageError,
    Service,
    is_injectable,
)
from jsrpd.sessions.layout import Layout, Layouts

try:
    from jsrpd.sessions import _relay as compiled
except ImportError:  # Built without a compiler.
    compiled = None  # type: ignore[assignment]

SERVICES = 8
LARGEST_EVENT = 2048
"""Whatever is larger, or of an odd size, stands for itself."""
COUNTED = (Service.CREATE, Service.CHANGE, Service.CLOSE)


class Told(Protocol):
    """The loop. ``groups``: group by both tuples' addresses, as ``Attribution.known`` has it. ``look_up`` answers for
    others and for events of a rare form, None for what does not travel. ``plain`` says what the loop itself cannot.
    ``always_whole``: entries of a dump, any of which may be unknown to the peer.

    Returns the messages, and how many of them create, change and end connections, IPv4 and IPv6 of each in turn.
    """

    def __call__(
        self,
        events: Sequence[bytes],
        groups: dict[bytes, int],
        owned: frozenset[int],
        look_up: Callable[[bytes], int | None],
        plain: Callable[[bytes, bool], bytes],
        always_whole: bool = False,
        /,
    ) -> tuple[list[bytes], list[int]]: ...


class _Slot:
    """A message to be: of several events about one connection the last, which says everything the earlier ones said."""

    __slots__ = ("ends", "event", "layout", "whole")

    def __init__(self, event: bytes, layout: Layout, whole: bool, ends: bool) -> None:
        self.event, self.layout, self.whole, self.ends = event, layout, whole, ends


_layouts = Layouts()


def told_in_python(
    events: Sequence[bytes],
    groups: dict[bytes, int],
    owned: frozenset[int],
    look_up: Callable[[bytes], int | None],
    plain: Callable[[bytes, bool], bytes],
    always_whole: bool = False,
    /,
) -> tuple[list[bytes], list[int]]:
    """See ``Told``."""
    slots: list[_Slot | None] = []
    pending: dict[bytes, int] = {}
    layout_of, kind_and_flags = _layouts.of, ATTRIBUTE.unpack_from
    for event in events:
        try:
            layout = layout_of(event)
        except (MalformedMessageError, StructError, IndexError):
            look_up(event)
            continue
        original, reply = layout.addresses
        group = groups.get(event[original] + event[reply])
        if group is None:
            group = look_up(event)
        if group not in owned:
            continue
        kind, flags = kind_and_flags(event, 4)
        if len(event) % 4 or len(event) > LARGEST_EVENT:
            slots.append(_Slot(event, layout, always_whole or bool(flags & CREATE), kind == DELETE))
            continue
        key = layout.key(event)
        place = pending.get(key)
        if kind == DELETE:
            if place is not None:
                del pending[key]
                slots[place] = None
            slots.append(_Slot(event, layout, False, True))
            continue
        whole = always_whole or bool(flags & CREATE)
        if place is not None:
            earlier = slots[place]
            if earlier is not None and earlier.layout.says <= layout.says:
                earlier.event, earlier.layout = event, layout
                earlier.whole |= whole
                continue
        pending[key] = len(slots)
        slots.append(_Slot(event, layout, whole, False))
    return _said(slots, plain)


def _said(slots: list[_Slot | None], plain: Callable[[bytes, bool], bytes]) -> tuple[list[bytes], list[int]]:
    said: list[bytes] = []
    counts = [0] * (2 * len(COUNTED))
    for slot in slots:
        if slot is None:
            continue
        event = slot.event
        try:
            message = slot.layout.ended(event) if slot.ends else slot.layout.relayed(event, whole=slot.whole)
        except (MalformedMessageError, StructError, IndexError):
            message = plain(event, slot.whole)
        if message:
            said.append(message)
            counts[(4 if slot.ends else 0 if slot.whole else 2) + (event[HEADER.size] == AF_INET6)] += 1
    return said, counts


def counted_in_python(content: bytes) -> list[int]:
    """How many messages of each service (0 to 7) and family, IPv4 and IPv6 in turn. ValueError for anything that our kernel
    must not be told by a peer: it understands much more than connections."""
    counts = [0] * (2 * SERVICES)
    at, size = 0, len(content)
    while at + PREFIX <= size:
        length, kind, _flags, service, _port = HEADER.unpack_from(content, at)
        if not is_injectable(kind) or length < PREFIX or at + length > size or length % 4 or service >= SERVICES:
            break
        counts[2 * service + (content[at + HEADER.size] == AF_INET6)] += 1
        at += length
    if at != size:
        raise ValueError("not a connection")
    return counts


__all__ = ["Relay", "Told", "compiled", "counted", "counted_in_python", "told", "told_in_python"]

told: Told = told_in_python if compiled is None else compiled.told
counted: Callable[[bytes], list[int]] = counted_in_python if compiled is None else compiled.counted


class Relay:
    """Of one attribution. Counts what it told, by service and address family, and what it did not understand."""

    def __init__(self, attribution: Attribution, loop: Told = told) -> None:
        self.attribution = attribution
        self.sent: Counter[tuple[int, int]] = Counter()
        self.not_understood = 0
        self.filtered = False
        """The kernel holds back what the operator's filter does, of events."""
        self._loop = loop
        self._layouts = Layouts()

    def told(self, events: Sequence[bytes], owned: frozenset[int]) -> list[bytes]:
        """Messages for the peer's kernel about events of our groups, in order."""
        said, counts = self._loop(events, self._known, owned, self._look_up, self._plain)
        for number, count in enumerate(counts):
            if count:
                self.sent[COUNTED[number // 2], AF_INET6 if number % 2 else AF_INET] += count
        return said

    def told_of_dump(self, entries: Sequence[bytes], owned: frozenset[int]) -> list[bytes]:
        """The same of entries of the kernel's table, which are not counted."""
        return self._loop(entries, self._known, owned, self._look_up, self._plain, True)[0]

    @property
    def _known(self) -> dict[bytes, int]:
        return self.attribution.simply_known(filtered=self.filtered)

    def _look_up(self, event: bytes) -> int | None:
        try:
            layout = self._layouts.of(event)
            group = self.attribution.group_of(event, layout)
            return group if self.filtered or self.attribution.unfiltered or self.attribution.admits(layout.parts(event)) else None
        except (MalformedMessageError, StructError, IndexError):
            self.not_understood += 1
            return None

    def _plain(self, event: bytes, whole: bool) -> bytes:
        try:
            layout = self._layouts.of(event)
            return layout.ended(event) if ATTRIBUTE.unpack_from(event, 4)[0] == DELETE else layout.relayed(event, whole=whole)
        except (MalformedMessageError, StructError, IndexError):
            self.not_understood += 1
            return b""
