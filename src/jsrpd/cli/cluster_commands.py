"""Commands that show or try the cluster as a whole. Imports stay inside the functions, as in ``commands``."""

from typing import TYPE_CHECKING

from jsrpd.cli.commands import Call, ask, snapshot_now, snapshot_of_groups

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element
    from jsrpd.model.status import ClusterStatus


MOST_TRANSITIONS = 1000
"""Six of each of 128 groups are shown."""


def show_information(call: Call) -> str:
    """``show chassis cluster information [redundancy-group N]``."""
    from jsrpd.cli import both_nodes, information
    from jsrpd.management.requests import ReadEvents
    from jsrpd.model.journal import decode_events

    snapshot = snapshot_of_groups(call)
    group = call.number("group") if "group" in call.values else None
    answers = both_nodes.asked(ReadEvents(MOST_TRANSITIONS, group, True))
    events = [event for one in answers if one.reply is not None for event in decode_events(one.reply.events)]
    told = information.nodes(snapshot, events, {one.node: one.problem for one in answers if one.problem})
    if call.display == "json":
        return information.json(told)
    return _xml(information.xml(told), snapshot) if call.display == "xml" else information.text(told)


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


def show_statistics(call: Call) -> str:
    """``show chassis cluster statistics``."""
    from jsrpd.cli import render_json, render_xml, statistics

    snapshot = snapshot_now()
    if call.display == "json":
        return render_json.snapshot(snapshot)
    if call.display == "xml":
        return render_xml.reply(statistics.xml(snapshot), render_xml.services(snapshot), snapshot=snapshot)
    return statistics.everything(snapshot)


def clear_statistics(_call: Call) -> str:
    """``clear chassis cluster statistics``."""
    return _clear(control_plane=True, data_plane=True)


def clear_control_plane_statistics(_call: Call) -> str:
    """``clear chassis cluster control-plane statistics``."""
    return _clear(control_plane=True)


def clear_data_plane_statistics(_call: Call) -> str:
    """``clear chassis cluster data-plane statistics``."""
    return _clear(data_plane=True)


def _clear(control_plane: bool = False, data_plane: bool = False) -> str:
    from jsrpd.management.requests import ClearStatistics

    return f"{ask(ClearStatistics(control_plane, data_plane)).text}\n"


def show_control_plane_statistics(call: Call) -> str:
    """``show chassis cluster control-plane statistics``."""
    from jsrpd.cli import render_json, statistics

    snapshot = snapshot_now()
    if call.display == "json":
        return render_json.snapshot(snapshot)
    return _xml(statistics.xml(snapshot), snapshot) if call.display == "xml" else statistics.control_plane(snapshot)


def show_data_plane_interfaces(call: Call) -> str:
    """``show chassis cluster data-plane interfaces``."""
    from jsrpd.cli import render_json, render_text, render_xml

    snapshot = snapshot_now()
    if call.display == "json":
        return render_json.snapshot(snapshot)
    if call.display == "xml":
        return _xml(render_xml.data_plane_interfaces(snapshot), snapshot)
    return render_text.data_plane_interfaces(snapshot)


def show_control_interfaces(call: Call) -> str:
    """``show chassis cluster control-interface status``."""
    from jsrpd.cli import render_json, render_text, render_xml

    snapshot = snapshot_now()
    if call.display == "json":
        return render_json.snapshot(snapshot)
    if call.display == "xml":
        return _xml(render_xml.control_interfaces(snapshot), snapshot)
    return render_text.control_interfaces(snapshot)


def _xml(element: "Element", snapshot: "ClusterStatus") -> str:
    from jsrpd.cli import render_xml

    return render_xml.reply(element, snapshot=snapshot)
