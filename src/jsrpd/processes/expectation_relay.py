"""Expectations of helpers, between the two kernels: few, and each travels with the connection that announced it."""

import contextlib
import errno
from collections import Counter
from struct import error as StructError

from jsrpd.kernel.ctnetlink import (
    EVENT_BUFFER_OF_EXPECTATIONS,
    EXPECTATION_GROUPS,
    GET_EXPECTATIONS,
    Dump,
    EventReader,
    Finder,
    Injector,
)
from jsrpd.model.configuration import SessionFilter
from jsrpd.sessions.attribution import Attribution
from jsrpd.sessions.ctnetlink import TUPLE_ORIG, MalformedMessageError, mended, parts_of, relayed
from jsrpd.sessions.event_filter import event_filter
from jsrpd.sessions.expectations import (
    expectation_of,
    expected,
    is_about_its_end,
    master_request,
    master_tuple,
    no_longer_expected,
    split,
)

EVENTS_PER_TURN = 256
REFUSALS_UNDERSTOOD = (errno.EEXIST, errno.ENOENT)
"""It is there already; what ended is gone already, or its connection is not ours to know."""


class ExpectationRelay:
    """Hears of our kernel's expectations, and tells our kernel of the peer's."""

    def __init__(self, injector: Injector) -> None:
        self.reader = EventReader(
            event_filter(injector.port_id, SessionFilter())[0], EXPECTATION_GROUPS, EVENT_BUFFER_OF_EXPECTATIONS
        )
        self.counters: Counter[str] = Counter()
        self._injector = injector
        self._finder = Finder()

    def fileno(self) -> int:
        """For a selector."""
        return self.reader.fileno()

    # -- out --------------------------------------------------------------------------------------------------------

    def heard(self, attribution: Attribution, owned: frozenset[int]) -> tuple[list[bytes], bool]:
        """What the peer is to be told of what has happened, and whether the kernel could not tell us everything."""
        overruns = self.reader.overruns
        events = self.reader.read(EVENTS_PER_TURN)
        return self._told(events, attribution, owned), self.reader.overruns != overruns

    def all(self, attribution: Attribution, owned: frozenset[int]) -> list[bytes]:
        """What the peer is to be told of all there are; a kernel holds some thousand at most. OSError as of ``Dump``."""
        dump, entries = Dump(GET_EXPECTATIONS), list[bytes]()
        try:
            while not dump.done:
                entries += dump.read()
        finally:
            dump.close()
        return self._told(entries, attribution, owned)

    def _told(self, events: list[bytes], attribution: Attribution, owned: frozenset[int]) -> list[bytes]:
        told = []
        for event in events:
            with contextlib.suppress(MalformedMessageError, StructError):
                parts = expectation_of(event)
                # An expectation says too little of its connection to know whose that is, and without it it is worth nothing.
                master = self._finder.find(master_request(event, parts))
                connection = parts_of(master) if master else {TUPLE_ORIG: master_tuple(parts)}
                if attribution.group(connection) not in owned:
                    continue
                if is_about_its_end(event):
                    told.append(no_longer_expected(event, parts))
                elif master is not None and attribution.admits(connection):
                    told.append(relayed(master, connection, whole=True) + expected(event, parts))
        self.counters["expectations sent"] += len(told)
        return told

    # -- in ---------------------------------------------------------------------------------------------------------

    def came(self, content: bytes, attribution: Attribution, owned: frozenset[int]) -> None:
        """Into our kernel, but for what is about a group of our own. ValueError for what a peer may not say."""
        wanted = [one for one, expects in split(content) if self._is_foreign(one, expects, attribution, owned)]
        self.counters["expectations received"] += 1
        for number, message in self._injector.inject(b"".join(wanted)) if wanted else ():
            again = b""
            with contextlib.suppress(MalformedMessageError, StructError):
                again = b"" if is_about_its_end(message) else mended(message, number)
            if again:
                self._injector.inject(again)
            elif number not in REFUSALS_UNDERSTOOD:
                self.counters[f"expectations refused by the kernel: {errno.errorcode.get(number, number)}"] += 1

    def _is_foreign(self, one: bytes, expects: bool, attribution: Attribution, owned: frozenset[int]) -> bool:
        if not owned:
            return True
        if not expects:
            return attribution.group(parts_of(one)) not in owned
        parts = expectation_of(one)
        master = self._finder.find(master_request(one, parts))
        return attribution.group(parts_of(master) if master else {TUPLE_ORIG: master_tuple(parts)}) not in owned
