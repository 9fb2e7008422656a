"""``show chassis cluster information detail …``. Imports stay inside the functions, as in ``commands``."""

import contextlib
from collections.abc import Callable
from functools import partial

from jsrpd.cli.commands import Call, CommandFailed, ask, journal, snapshot_of_groups


def show_detail(call: Call) -> str:
    """``show chassis cluster information detail [redundancy-group N]``: every section."""
    from jsrpd.cli.detail import SECTIONS

    return _show(call, tuple(SECTIONS), "chassis-cluster-detail-information")


def section(name: str) -> Callable[[Call], str]:
    """The command that shows one section."""
    return partial(_show_one, name)


def _show_one(name: str, call: Call) -> str:
    return _show(call, (name,), "")


def _show(call: Call, sections: tuple[str, ...], container: str) -> str:
    from jsrpd.cli import detail, history
    from jsrpd.management.requests import ShowDetails

    snapshot = snapshot_of_groups(call)
    details = ask(ShowDetails()).details
    if details is None:
        raise CommandFailed("error: the answer has no details; are jsrp and jsrpd of one version?")
    events = []
    with contextlib.suppress(OSError):  # Without a readable journal there is less to tell.
        events = history.events(journal())
    told = detail.Told(snapshot, events, details)
    if call.display == "json":
        return detail.json(told)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(detail.xml(told, sections, container), snapshot=snapshot)
    return detail.text(told, sections)
