"""Displays in the vendor's layout, column for column, so that existing parsers work unchanged (reference 7.2, 7.3)."""

from jsrpd.model.roles import render_codes
from jsrpd.model.status import ClusterStatus, GroupNodeStatus, GroupStatus

LEGEND = (
    ("CS", "Cold Sync monitoring"),
    ("FL", "Fabric Connection monitoring"),
    ("GR", "GRES monitoring"),
    ("HW", "Hardware monitoring"),
    ("IF", "Interface monitoring"),
    ("IP", "IP monitoring"),
    ("LB", "Loopback monitoring"),
    ("MB", "Mbuf monitoring"),
    ("NH", "Nexthop monitoring"),
    ("NP", "NPC monitoring"),
    ("SP", "SPU monitoring"),
    ("SM", "Schedule monitoring"),
    ("CF", "Config Sync monitoring"),
    ("RE", "Relinquish monitoring"),
    ("IS", "IRQ storm"),
)
RULER = "-" * 74


def status(snapshot: ClusterStatus) -> str:
    """``show chassis cluster status``."""
    cells = [f"{code}  {text}" for code, text in LEGEND]
    lines = ["Monitor Failure codes:"]
    for left in range(0, len(cells), 2):
        lines.append("    " + "".join(f"{cell:<32}" for cell in cells[left : left + 2]).rstrip())
    lines += ["", f"Cluster ID: {snapshot.cluster_id}"]
    lines.append("Node   Priority Status               Preempt Manual   Monitor-failures")
    for group in snapshot.groups:
        lines += ["", *_group(group)]
    return "\n".join([*lines, *_notices(snapshot)]) + "\n"


def _group(group: GroupStatus) -> list[str]:
    header = f"Redundancy group: {group.group} , Failover count: {group.failover_count}"
    return [header, *(_row(node) for node in group.nodes)]


def _row(node: GroupNodeStatus) -> str:
    failures = "n/a" if node.failures is None else render_codes(node.failures) or "None"
    preempt, manual = yes_no(node.preempt), yes_no(node.manual)
    return f"node{node.node:<3}{node.priority:<9}{node.state:<21}{preempt:<8}{manual:<9}{failures}".rstrip()


def yes_no(value: bool | None) -> str:
    """As a column shows it."""
    return "n/a" if value is None else "yes" if value else "no"


def _notices(snapshot: ClusterStatus) -> list[str]:
    return ["", *(f"Notice: {notice}" for notice in snapshot.notices)] if snapshot.notices else []


def interfaces(snapshot: ClusterStatus) -> str:
    """``show chassis cluster interfaces``. The control and fabric links are always authenticated and encrypted."""
    heard = any(link.up for link in snapshot.control_links)
    lines = [f"Control link status: {up(heard)}", "", "Control interfaces:"]
    lines.append("    Index   Interface   Monitored-Status   Internal-SA   Security")
    for link in snapshot.control_links:
        monitored = _cell(link.interface, 12) + up(link.up)
        lines.append(f"    {link.index:<8}{monitored:<31}{'Disabled':<14}Enabled")
    lines += ["", *_fabric(snapshot), "", *_reths(snapshot), "", *_monitors(snapshot)]
    return "\n".join([*lines, *_notices(snapshot)]) + "\n"


def up(value: bool | None) -> str:
    """What the peer has not told is down: the layout has no word for unknown."""
    return "Up" if value else "Down"


def _cell(text: str, width: int) -> str:
    """Padded to the column, and never run into the next one."""
    return f"{text:<{width - 1}} "


def _fabric(snapshot: ClusterStatus) -> list[str]:
    """Every name has two lines, one for each child; of a child that is not there or not told of, the name only."""
    lines = [f"Fabric link status: {up(snapshot.fabric_up)}", "", "Fabric interfaces:"]
    lines.append("    Name    Child-interface    Status                    Security")
    lines.append("                               (Physical/Monitored)")
    for name in sorted({fabric.name for fabric in snapshot.fabric_interfaces}):
        children = [fabric for fabric in snapshot.fabric_interfaces if fabric.name == name]
        for fabric in children:
            if fabric.physical_up is None:
                lines.append(f"    {name}")
            else:
                state = f"{up(fabric.physical_up):<4} / {up(fabric.monitored_up)}"
                lines.append(f"    {name:<8}{_cell(fabric.child, 19)}{state:<26}Enabled")
        lines += [f"    {name}"] * (2 - len(children))
    return lines


def _reths(snapshot: ClusterStatus) -> list[str]:
    lines = ["Redundant-ethernet Information:", "    Name         Status      Redundancy-group"]
    for reth in snapshot.reths:
        group = "Not configured" if reth.group is None else reth.group
        lines.append(f"    {_cell(reth.name, 13)}{up(reth.up):<12}{group}")
    return lines


def _monitors(snapshot: ClusterStatus) -> list[str]:
    """What the peer has not told is shown as down: the layout has no word for unknown."""
    lines = ["Interface Monitoring:", "    Interface         Weight    Status                    Redundancy-group"]
    lines.append("                                (Physical/Monitored)")
    for monitor in snapshot.interface_monitors:
        state = f"{up(monitor.physical_up)}  /  {up(monitor.monitored_up)}"
        lines.append(f"    {_cell(monitor.interface, 18)}{monitor.weight:<10}{state:<26}{monitor.group}")
    return lines


def data_plane_interfaces(snapshot: ClusterStatus) -> str:
    """``show chassis cluster data-plane interfaces`` (reference 7.7)."""
    lines: list[str] = []
    for name in sorted({fabric.name for fabric in snapshot.fabric_interfaces}):
        lines += [f"{name}:", "    Name               Status"]
        for fabric in snapshot.fabric_interfaces:
            if fabric.name == name and fabric.physical_up is not None:
                lines.append(f"    {_cell(fabric.child, 19)}{up(fabric.physical_up).lower()}")
    return "\n".join(lines or ["No fabric link is configured"]) + "\n"


def control_interfaces(snapshot: ClusterStatus) -> str:
    """``show chassis cluster control-interface status``: each control link, and why it is down where that is known."""
    lines = ["Index   Interface        Status   Reason"]
    lines += [f"{link.index:<8}{_cell(link.interface, 17)}{up(link.up):<9}{link.state}" for link in snapshot.control_links]
    return "\n".join(lines if snapshot.control_links else ["No control link is configured"]) + "\n"


def node_block(node: int, text: str) -> str:
    """An answer under the name of the node that gave it (reference 7.10)."""
    return f"node{node}:\n{RULER}\n{text}\n\n"
