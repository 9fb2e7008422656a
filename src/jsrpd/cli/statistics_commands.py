"""Commands about counters. Imports stay inside the functions, as in ``commands``."""

from jsrpd.cli.commands import Call, ask, snapshot_now


def show_statistics(call: Call) -> str:
    """``show chassis cluster statistics``: control plane and data plane."""
    from jsrpd.cli import render_sessions, render_statistics

    snapshot = snapshot_now()
    if call.display == "json":
        return render_statistics.json(snapshot)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_statistics.xml(snapshot), render_xml.services(snapshot), snapshot=snapshot)
    return render_statistics.control_plane(snapshot) + render_sessions.data_plane_statistics(snapshot)


def show_control_plane_statistics(call: Call) -> str:
    """``show chassis cluster control-plane statistics``."""
    from jsrpd.cli import render_statistics

    snapshot = snapshot_now()
    if call.display == "json":
        return render_statistics.json(snapshot)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_statistics.xml(snapshot), snapshot=snapshot)
    return render_statistics.control_plane(snapshot)


def clear_statistics(_call: Call) -> str:
    """``clear chassis cluster statistics``."""
    return _clear(control_plane=True, data_plane=True)


def clear_control_plane(_call: Call) -> str:
    """``clear chassis cluster control-plane statistics``."""
    return _clear(control_plane=True, data_plane=False)


def clear_data_plane(_call: Call) -> str:
    """``clear chassis cluster data-plane statistics``."""
    return _clear(control_plane=False, data_plane=True)


def clear_information(call: Call) -> str:
    """``clear chassis cluster information [node WHICH]``: what is shown begins anew, the journals keep everything."""
    from jsrpd.cli import both_nodes
    from jsrpd.cli.render_text import node_block
    from jsrpd.management.requests import ClearInformation

    answers = both_nodes.ordered(call, ClearInformation())
    return "".join(node_block(one.node, one.problem or (one.reply.text if one.reply else "")) for one in answers)


def _clear(*, control_plane: bool, data_plane: bool) -> str:
    from jsrpd.management.requests import ClearStatistics

    return ask(ClearStatistics(control_plane, data_plane)).text + "\n"
