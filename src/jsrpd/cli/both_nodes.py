"""Commands whose answer has a block for each node: this node's word and the other's, or why that does not answer (7.10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jsrpd.cli.commands import CommandFailed, ask

if TYPE_CHECKING:
    from jsrpd.management.requests import PeerQuestion, Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """A node's. ``reply`` None: ``problem`` says why there is none, for the operator."""

    node: int
    reply: "Reply | None"
    problem: str = ""


def asked(request: "PeerQuestion") -> Sequence[Answer]:
    """Both answers, in order. CommandFailed where this node itself does not answer."""
    from jsrpd.management.requests import AskPeer

    own = ask(request)
    here = own.node or 0
    try:
        other = Answer(1 - here, ask(AskPeer(request)))
    except CommandFailed as failed:
        other = Answer(1 - here, None, str(failed))
    return sorted((Answer(here, own), other), key=lambda answer: answer.node)
