"""Commands that show or try the cluster as a whole. Imports stay inside the functions, as in ``commands``."""

import contextlib
from typing import TYPE_CHECKING

from jsrpd.cli.commands import Call, CommandFailed, ask, snapshot_now, snapshot_of_groups
from jsrpd.model.roles import FailureCode

if TYPE_CHECKING:
    from jsrpd.cli.failures import Part
    from jsrpd.cli.render_xml import Element
    from jsrpd.model.status import ClusterStatus


MOST_TRANSITIONS = 1000
"""Six of each of 128 groups are shown."""


def show_information(call: Call) -> str:
    """``show chassis cluster information [redundancy-group N] [node WHICH]``."""
    from jsrpd.cli import both_nodes, information
    from jsrpd.management.requests import ReadEvents
    from jsrpd.model.journal import decode_events, since_cleared

    snapshot = snapshot_of_groups(call)
    group = call.number("group") if "group" in call.values else None
    (answers,) = both_nodes.asked(call, ReadEvents(MOST_TRANSITIONS, group, True))
    events = [event for one in answers if one.reply is not None for event in since_cleared(decode_events(one.reply.events))]
    untold = {one.node: one.problem for one in answers if one.problem}
    named = {one.node for one in answers}
    told = [node for node in information.nodes(snapshot, events, untold, _failures(snapshot)) if node.node in named]
    if call.display == "json":
        return information.json(told)
    return _xml(information.xml(told), snapshot) if call.display == "xml" else information.text(told)


def _failures(snapshot: "ClusterStatus") -> "tuple[Part, ...]":
    """The monitors process is asked only where it has something to tell."""
    from jsrpd.cli import failures
    from jsrpd.management.requests import ShowDetails, ShowIpMonitoring

    codes = failures.own_codes(snapshot)
    details, addresses = None, None
    with contextlib.suppress(CommandFailed):  # Without an answer there is less to tell.
        if codes & failures.TOLD_BY_MONITORS:
            details = ask(ShowDetails()).details
        if FailureCode.IP in codes:
            addresses = ask(ShowIpMonitoring()).ip_monitoring
    return failures.parts(snapshot, details, addresses or ())


def monitor(call: Call) -> str:
    """``monitor chassis cluster [interval SECONDS]``."""
    from jsrpd.cli.monitor import run

    return run(call.number("seconds") if "seconds" in call.values else 1)


def drill(call: Call) -> str:
    """``request chassis cluster drill redundancy-group N``."""
    from jsrpd.cli.drill import run

    return run(call.number("group"), confirm=True)


def drill_unasked(call: Call) -> str:
    """``request chassis cluster drill redundancy-group N no-confirm``."""
    from jsrpd.cli.drill import run

    return run(call.number("group"), confirm=False)


def show_data_plane_interfaces(call: Call) -> str:
    """``show chassis cluster data-plane interfaces``."""
    snapshot = snapshot_now()
    if call.display == "json":
        from jsrpd.cli import render_json

        return render_json.snapshot(snapshot)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return _xml(render_xml.data_plane_interfaces(snapshot), snapshot)
    from jsrpd.cli import render_text

    return render_text.data_plane_interfaces(snapshot)


def show_control_interfaces(call: Call) -> str:
    """``show chassis cluster control-interface status``."""
    snapshot = snapshot_now()
    if call.display == "json":
        from jsrpd.cli import render_json

        return render_json.snapshot(snapshot)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return _xml(render_xml.control_interfaces(snapshot), snapshot)
    from jsrpd.cli import render_text

    return render_text.control_interfaces(snapshot)


def _xml(element: "Element", snapshot: "ClusterStatus") -> str:
    from jsrpd.cli import render_xml

    return render_xml.reply(element, snapshot=snapshot)
