"""The newest of a node's journal without reading all of it: as the other node and the live view ask for it."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from jsrpd.management.journal import EVENTS, contents, segments
from jsrpd.model.journal import INFORMATION_CLEARED, EventKind, JournalEvent, decode_events


def newest(directory: Path, last: int, group: int | None = None, transitions: bool = False) -> list[JournalEvent]:
    """At most ``last``, oldest first. OSError; what is not understood is left out."""
    found: list[JournalEvent] = []
    for segment in reversed(segments(directory, EVENTS)):
        found = _wanted(segment, lambda event: _concerns(event, group, transitions)) + found
        if len(found) >= last:
            break
    return found[-last:]


def _wanted(segment: Path, wanted: Callable[[JournalEvent], bool]) -> list[JournalEvent]:
    found: list[JournalEvent] = []
    for content in contents(segment):
        try:
            found += filter(wanted, decode_events(content))
        except msgspec.DecodeError:
            continue
    return found


def _concerns(event: JournalEvent, group: int | None, transitions: bool) -> bool:
    """What concerns no group in particular concerns all. Among transitions it stays visible when they were cleared."""
    if transitions and event.kind is not EventKind.TRANSITION and event.values.get("command") != INFORMATION_CLEARED:
        return False
    return group is None or not event.groups or group in event.groups
