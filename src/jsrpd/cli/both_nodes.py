"""Commands whose answer has a block for each node: this node's word and the other's, or why that does not answer (7.10).

``node WHICH`` behind such a command names the nodes that are asked; without it both are.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jsrpd.cli.commands import Call, CommandFailed, ask, begun, snapshot_now
from jsrpd.model.roles import RG0

if TYPE_CHECKING:
    from jsrpd.management.requests import PeerQuestion, Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """A node's. ``reply`` None: ``problem`` says why there is none, for the operator."""

    node: int
    reply: "Reply | None"
    problem: str = ""


def asked(call: Call, *requests: "PeerQuestion") -> list[Sequence[Answer]]:
    """Of each request the answers in the order of the nodes; all are under way at once.

    CommandFailed where this node itself does not answer.
    """
    from jsrpd.management.requests import AskPeer

    here, own, other = _named(call)
    answers: list[Sequence[Answer]] = []
    with ExitStack() as stack:
        under_way = [
            (
                stack.enter_context(begun(request)) if own else None,
                stack.enter_context(begun(AskPeer(request))) if other else None,
            )
            for request in requests
        ]
        for mine, others in under_way:
            found = []
            if mine is not None:
                reply = mine()
                here = reply.node or 0
                found.append(Answer(here, reply))
            if others is not None:
                found.append(_told(1 - here, others))
            answers.append(_in_order(found))
    return answers


def ordered(call: Call, request: "PeerQuestion") -> Sequence[Answer]:
    """As ``asked``, of what changes something: the other node is told when this one has done it."""
    from jsrpd.management.requests import AskPeer

    here, own, other = _named(call)
    found = []
    if own:
        reply = ask(request)
        here = reply.node or 0
        found.append(Answer(here, reply))
    if other:
        found.append(_told(1 - here, lambda: ask(AskPeer(request))))
    return _in_order(found)


def _named(call: Call) -> tuple[int, bool, bool]:
    """(this node, whether it is to be asked, whether the other one is); this node is not known where both are."""
    which = call.values.get("which", "all")
    if which == "all":
        return 0, True, True
    status = snapshot_now()
    if which == "local":
        return status.node, True, False
    if which == "primary":
        rows = (row for group in status.groups if group.group == RG0 for row in group.nodes)
        owners = [row.node for row in rows if row.state == "primary"]
        if not owners:
            raise CommandFailed("error: no node is primary of redundancy group 0")
        return status.node, status.node in owners, 1 - status.node in owners
    return status.node, int(which) == status.node, int(which) != status.node


def _told(node: int, answer: "Callable[[], Reply]") -> Answer:
    try:
        return Answer(node, answer())
    except CommandFailed as failed:
        return Answer(node, None, str(failed))


def _in_order(found: Sequence[Answer]) -> Sequence[Answer]:
    return sorted(found, key=lambda one: one.node)
