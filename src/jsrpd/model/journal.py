"""What ``show chassis cluster events`` shows: one thing that happened to a node, in words, with reason and values."""

from collections.abc import Sequence
from enum import Enum

import msgspec


class EventKind(Enum):
    """The kinds of event, by the word operators read."""

    TRANSITION = "transition"
    MONITOR = "monitor"
    PATH = "path"
    COMMAND = "command"
    CONFIGURATION = "configuration"
    RESTART = "restart"
    MESSAGE = "message"
    GAP = "gap"


class JournalEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """``at``: wall clock, ns since 1970. ``node``: where it happened. ``groups``: which redundancy groups it concerns."""

    at: int
    node: int
    kind: EventKind
    text: str
    groups: tuple[int, ...] = ()
    reason: str = ""
    by: str = ""
    """Who gave the command."""
    values: dict[str, int | str] = {}


INFORMATION_CLEARED = "clear information"
"""The command after which ``show chassis cluster information`` begins anew."""


def since_cleared(events: Sequence[JournalEvent]) -> Sequence[JournalEvent]:
    """What an operator has not cleared; ``show chassis cluster events`` goes on showing everything."""
    cleared = [n for n, event in enumerate(events) if event.values.get("command") == INFORMATION_CLEARED]
    return events[cleared[-1] + 1 :] if cleared else events


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[JournalEvent, ...])


def encode_events(events: tuple[JournalEvent, ...]) -> bytes:
    """For the journal's file."""
    return _encoder.encode(events)


def decode_events(data: bytes) -> tuple[JournalEvent, ...]:
    """msgspec.DecodeError for anything else."""
    return _decoder.decode(data)
