"""``show chassis cluster information detail …``: each node's own. Imports stay inside the functions, as in ``commands``."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from jsrpd.cli.commands import Call, CommandFailed, chosen_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jsrpd.cli.detail import Block

MOST_EVENTS = 1000


def show_detail(call: Call) -> str:
    """``show chassis cluster information detail [redundancy-group N] [node WHICH]``: every section."""
    from jsrpd.cli.detail import SECTIONS

    return _show(call, tuple(SECTIONS), "chassis-cluster-detail-information")


def section(name: str) -> Callable[[Call], str]:
    """The command that shows one section."""
    return partial(_show_one, name)


def _show_one(name: str, call: Call) -> str:
    return _show(call, (name,), "")


def _show(call: Call, sections: tuple[str, ...], container: str) -> str:
    from jsrpd.cli import detail

    blocks = _blocks(call)
    if call.display == "json":
        return detail.json(blocks)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(detail.xml(blocks, sections, container))
    return detail.text(blocks, sections)


def _blocks(call: Call) -> "Sequence[Block]":
    """What each node told; of one that did not, why."""
    from jsrpd.cli import both_nodes
    from jsrpd.cli.detail import Block, Told
    from jsrpd.management.requests import ReadEvents, ShowDetails, ShowStatus
    from jsrpd.model.journal import decode_events

    found = []
    for one, *others in zip(*both_nodes.asked(call, ShowStatus(), ShowDetails(), ReadEvents(MOST_EVENTS)), strict=True):
        replies = [answer.reply for answer in (one, *others)]
        problem = next((answer.problem for answer in (one, *others) if answer.problem), "")
        if problem or None in replies:
            found.append(Block(one.node, None, problem))
            continue
        status, details, events = (reply for reply in replies if reply is not None)
        if status.status is None or details.details is None:
            raise CommandFailed("error: the answer has no details; are jsrp and jsrpd of one version?")
        told = Told(chosen_groups(call, status.status), decode_events(events.events), details.details)
        found.append(Block(one.node, told))
    return found
