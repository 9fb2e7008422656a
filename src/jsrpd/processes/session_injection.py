"""The peer's word into our kernel, a buffer at a time; and what is done about that which the kernel does not take.

A refusal is said differently where that helps (``ctnetlink.mended``); where another connection has the addresses, that of
the group's owner takes its place; what is left is counted by errno and cause. A table that is full is for whoever asks
``full``: this node lacks connections then, and knows it.
"""

import errno
import struct
from collections import Counter
from collections.abc import Callable, Sequence

from jsrpd.kernel.ctnetlink import BATCH_BYTES, Finder, Injector
from jsrpd.sessions.attribution import HOME, Attribution
from jsrpd.sessions.ctnetlink import (
    CREATE,
    DELETE,
    EXCLUSIVE,
    GET,
    HEADER,
    NESTED,
    NEW,
    PREFIX,
    REQUEST,
    TUPLE_ORIG,
    TUPLE_REPLY,
    MalformedMessageError,
    attribute,
    ended,
    family_of,
    key_of,
    mended,
    message,
    parts_of,
    progress,
    value_of,
)

TABLE_FULL = (errno.ENOMEM, errno.ENOSPC, errno.ENFILE)
CAUSES = {
    **dict.fromkeys(TABLE_FULL, "the connection table is full"),
    errno.EEXIST: "another connection has its addresses",
    errno.EOPNOTSUPP: "something this kernel does not have",
    errno.EBUSY: "not to be changed now",
    errno.EINVAL: "not understood",
    errno.ENOENT: "not there",
    errno.EPERM: "not permitted",
}
"""In an operator's words, behind the errno."""


class Injection:
    """``attribution`` and ``owned`` are those of the present; ``lost``: the kernel refused it cannot say what."""

    def __init__(self, injector: Injector, finder: Finder, attribution: Attribution, lost: Callable[[], None]) -> None:
        self.attribution = attribution
        self.owned: frozenset[int] = frozenset()
        self.counters: Counter[str] = Counter()
        self.full = False
        """Something was refused because the table is full. Whoever reads it sets it back."""
        self._injector, self._finder, self._lost = injector, finder, lost
        self._waiting: list[bytes] = []
        self._bytes = 0

    def add(self, content: bytes) -> None:
        """Messages, into the kernel with the next ``flush`` or before."""
        if self._bytes + len(content) > BATCH_BYTES:
            self.flush()
        self._waiting.append(content)
        self._bytes += len(content)

    def add_late(self, content: Sequence[bytes]) -> None:
        """A former owner's last words about groups that are ours by now: what it still forwarded while the role moved.

        They never set a connection back: what we lack is created, what has come less far here is brought up to date, and no
        end counts.
        """
        begun: set[bytes] = set()
        for one in content:
            try:
                said = self._late(one, begun)
            except (MalformedMessageError, struct.error):
                said = b""
            self.counters["late words of the former owner" if said else "messages about our own groups"] += 1
            if said:
                self.add(said)

    def _late(self, one: bytes, begun: set[bytes]) -> bytes:
        """What is to be said to our kernel of one message; empty: nothing. ``begun``: keys of what this call has begun."""
        _length, kind, flags, _sequence, _port = HEADER.unpack_from(one)
        theirs = parts_of(one)
        key = key_of(theirs)
        if kind != NEW:
            return b""
        if key in begun:
            return one
        found = self._finder.find(message(GET, REQUEST, family_of(one), key))
        if found is not None:
            ours = parts_of(found)
            if flags & EXCLUSIVE or progress(ours) >= progress(theirs):
                # The message behind a first one says the same with the translation.
                return b""
            if ours.get(TUPLE_REPLY) == theirs.get(TUPLE_REPLY, ours.get(TUPLE_REPLY)):
                return one
        # Where ours is translated otherwise, the other end knows theirs.
        begun.add(key)
        again = one if flags & CREATE else mended(one, errno.ENOENT)
        return ended(found, ours) + again if found is not None and again else again

    def flush(self) -> None:
        """What waits is in the kernel, as far as it takes it."""
        if not self._waiting:
            return
        batch, self._waiting, self._bytes = b"".join(self._waiting), [], 0
        again = [self._said_differently(*one) for one in self._injector.inject(batch)]
        if any(again):
            self.counters["messages mended"] += 1
            for number, refused in self._injector.inject(b"".join(again)):
                self._last_word(number, refused)

    def _last_word(self, number: int, refused: bytes) -> None:
        """About what was said differently: a connection that can neither be changed nor created is in another's way."""
        if self._is_harmless(number, refused):
            return
        displacing = self._displacing(number, refused)
        if not displacing:
            self._count(errno.EEXIST if number == errno.ENOENT else number)
        for still, other in self._injector.inject(displacing) if displacing else ():
            if not self._is_harmless(still, other):
                self._count(still)

    def _said_differently(self, number: int, refused: bytes) -> bytes:
        """Empty: nothing helps, and it is counted; or nothing need be done."""
        if number == 0:
            return b""
        try:
            other = mended(refused, number) if len(refused) >= PREFIX else b""
        except (MalformedMessageError, struct.error):
            other = b""
        other = other or self._displacing(number, refused)
        if other:
            return other
        if number == errno.ENOBUFS and not refused:
            self.counters["refusals lost"] += 1
            self._lost()
        elif not self._is_harmless(number, refused):
            self._count(number)
        return b""

    @staticmethod
    def _is_harmless(number: int, refused: bytes) -> bool:
        """It is there already, and the message behind it brings it up to date; or it was to end and has ended."""
        if len(refused) < HEADER.size:
            return False
        _length, kind, flags, _sequence, _port = HEADER.unpack_from(refused)
        return (number == errno.EEXIST and bool(flags & EXCLUSIVE)) or (number == errno.ENOENT and kind == DELETE)

    def _displacing(self, number: int, refused: bytes) -> bytes:
        """Ends what has the addresses of a connection and says that again; empty when it is not that, or not the peer's affair."""
        if number not in (errno.EEXIST, errno.ENOENT) or len(refused) < PREFIX:
            return b""
        length, kind, flags, _sequence, _port = HEADER.unpack_from(refused)
        try:
            parts = parts_of(refused[:length])
            if kind != NEW or flags & EXCLUSIVE or TUPLE_REPLY not in parts:
                return b""
            wanted = attribute(TUPLE_ORIG | NESTED, value_of(parts[TUPLE_REPLY]))
            found = self._finder.find(message(GET, REQUEST, family_of(refused), wanted))
            theirs = {} if found is None else parts_of(found)
            if found is None or self.attribution.group(theirs) in self.owned | {HOME}:
                return b""
            self.counters["connections displaced"] += 1
            again = refused[:length] if flags & CREATE else mended(refused, errno.ENOENT)
            return ended(found, theirs) + again
        except (MalformedMessageError, struct.error):
            return b""

    def _count(self, number: int) -> None:
        name = errno.errorcode.get(number, str(number))
        cause = f" ({CAUSES[number]})" if number in CAUSES else ""
        self.counters[f"refused by the kernel: {name}{cause}"] += 1
        self.full |= number in TABLE_FULL
