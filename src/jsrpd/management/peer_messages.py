"""What the two gateways ask each other over the management connection: msgpack, each answer with its question's number."""

import msgspec

from jsrpd.management.commits import Commit
from jsrpd.management.requests import PeerQuestion, Reply


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Are you there; also the answer, and the answer to what needs no other."""


class HistoryAsked(msgspec.Struct, frozen=True, tag=True):
    """Which commits do you have besides these (ids, the one in force first)? ``edited``: the asker's file is not the commit's."""

    ids: tuple[str, ...]
    edited: bool


class HistoryTold(msgspec.Struct, frozen=True, tag=True):
    """``commits``: those the asker lacks. ``lacking``: ids the answerer lacks, to be given. ``head``: in force here."""

    commits: tuple[Commit, ...]
    lacking: tuple[str, ...]
    head: str
    edited: bool


class HistoryGiven(msgspec.Struct, frozen=True, tag=True):
    """The commits that were lacking. Answered by ``HistoryTold`` with nothing more to give."""

    commits: tuple[Commit, ...]


class SynchronizationWanted(msgspec.Struct, frozen=True, tag=True):
    """Something has changed here: ask for it. Answered by a ``Ping`` at once."""


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Check this configuration and be ready to take it; it is in force when ``Decide`` says so, else never."""

    text: str
    author: str


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """``problem``: why not; empty: ready, and nothing else is begun here meanwhile. ``sequence``: the highest in use here."""

    problem: str
    sequence: int


class Decide(msgspec.Struct, frozen=True, tag=True):
    """``commit`` is in force; None: forget what was prepared."""

    commit: Commit | None


class Decided(msgspec.Struct, frozen=True, tag=True):
    """``problem``: it is recorded and could not be put in force; empty: done."""

    problem: str


class Asked(msgspec.Struct, frozen=True, tag=True):
    """What an operator of the asking node wants to know of the other. ``by``: who."""

    request: PeerQuestion
    by: str


class Answered(msgspec.Struct, frozen=True, tag=True):
    """To ``Asked``."""

    reply: Reply


Message = (
    Asked
    | Answered
    | Ping
    | HistoryAsked
    | HistoryTold
    | HistoryGiven
    | SynchronizationWanted
    | Prepare
    | Prepared
    | Decide
    | Decided
)


class Envelope(msgspec.Struct, frozen=True):
    """``answer``: this is the answer to the question of that number, else a question."""

    number: int
    answer: bool
    message: Message


class _Number(msgspec.Struct):
    number: int
    answer: bool


_numbers: msgspec.msgpack.Decoder[_Number] = msgspec.msgpack.Decoder(_Number)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """As it is sealed."""
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """msgspec.DecodeError for anything else."""
    return _decoder.decode(data)


def question_number(data: bytes) -> int:
    """Number of a question that is not understood otherwise. msgspec.DecodeError when it is none."""
    envelope = _numbers.decode(data)
    if envelope.answer:
        raise msgspec.DecodeError("an answer that is not understood")
    return envelope.number
