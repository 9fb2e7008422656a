"""What ``show chassis cluster events`` shows: one thing that happened to a node, in words, with reason and values."""

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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[JournalEvent, ...])


def encode_events(events: tuple[JournalEvent, ...]) -> bytes:
    """For the journal's file."""
    return _encoder.encode(events)


def decode_events(data: bytes) -> tuple[JournalEvent, ...]:
    """msgspec.DecodeError for anything else."""
    return _decoder.decode(data)
