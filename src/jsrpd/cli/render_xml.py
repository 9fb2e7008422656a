"""``| display xml``: names, nesting and flat repeated leaves as the vendor's collectors expect them (reference 7.2 to 7.8).

Several leaves of one kind stand one behind the other in one container; every parser relies on it.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from jsrpd.cli.commands import banner_of
from jsrpd.cli.render_sessions import SILENT, cold_weight, units
from jsrpd.cli.render_text import up, yes_no
from jsrpd.model.ip_monitoring import IpGroupStatus
from jsrpd.model.roles import render_codes
from jsrpd.model.status import ClusterStatus, FabricInterfaceStatus, GroupNodeStatus, GroupStatus

Element: TypeAlias = tuple[str, "str | int | Sequence[Element]"]
INDENT = "    "
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""As ``xml.sax.saxutils`` has them, which would import a web client for it: 25 ms of a command's 150."""


def reply(*elements: Element, snapshot: ClusterStatus | None = None) -> str:
    """The whole answer, as NETCONF would carry it, with the banner of the node that was asked."""
    banner = banner_of(snapshot) if snapshot is not None else ""
    return render(("rpc-reply", [*elements, ("cli", [("banner", banner)])]))


def render(element: Element, depth: int = 0) -> str:
    """Indented lines; an element without content is one empty tag. Behind the name may stand attributes."""
    opening, content = element
    name, space = opening.partition(" ")[0], INDENT * depth
    if isinstance(content, (str, int)):
        text = printable(str(content))
        return f"{space}<{opening}>{text}</{name}>\n" if text else f"{space}<{opening}/>\n"
    if not content:
        return f"{space}<{opening}/>\n"
    return f"{space}<{opening}>\n{''.join(render(one, depth + 1) for one in content)}{space}</{name}>\n"


def printable(text: str) -> str:
    """What XML may hold; control characters are left out (XML 1.0, 2.2)."""
    return "".join(_ESCAPED.get(one, one) for one in text if one in "\t\n" or (one >= " " and not "\ud800" <= one <= "\udfff"))


def by_node(blocks: Iterable[tuple[int, Sequence[Element]]]) -> Element:
    """One item for each node (reference 7.10)."""
    items = [("multi-routing-engine-item", [("re-name", f"node{node}"), *content]) for node, content in blocks]
    return ("multi-routing-engine-results", items)


def problem(text: str) -> Element:
    """What stands in the item of a node that does not answer."""
    return ("error", [("message", text)])


def status(snapshot: ClusterStatus) -> Element:
    """``show chassis cluster status``."""
    groups = [_group(snapshot, group) for group in snapshot.groups]
    return ("chassis-cluster-status", [("cluster-id", snapshot.cluster_id), *groups])


def _group(snapshot: ClusterStatus, group: GroupStatus) -> Element:
    leaves: list[Element] = [leaf for node in group.nodes for leaf in _row(node)]
    return (
        "redundancy-group",
        [
            ("cluster-id", snapshot.cluster_id),
            ("redundancy-group-id", group.group),
            ("redundancy-group-failover-count", group.failover_count),
            ("device-stats", leaves),
        ],
    )


def _row(node: GroupNodeStatus) -> list[Element]:
    failures = "n/a" if node.failures is None else render_codes(node.failures) or "None"
    return [
        ("device-name", f"node{node.node}"),
        ("device-priority", node.priority),
        ("redundancy-group-status", node.state),
        ("preempt", yes_no(node.preempt)),
        ("failover-mode", yes_no(node.manual)),
        ("monitor-failures", failures),
    ]


def interfaces(snapshot: ClusterStatus) -> Element:
    """``show chassis cluster interfaces``."""
    control: list[Element] = [
        (
            "control-information",
            [
                ("control-link-interface-index", link.index),
                ("control-link-interface-name", link.interface),
                ("control-link-interface-status", up(link.up)),
                ("control-link-interface-internal-sa-status", "Disabled"),
                ("control-link-interface-security-status", "Enabled"),
            ],
        )
        for link in snapshot.control_links
    ]
    reths: list[Element] = []
    for reth in snapshot.reths:
        group = "Not configured" if reth.group is None else str(reth.group)
        reths += [("reth-name", reth.name), ("reth-status", up(reth.up)), ("redundancy-group-id-for-reth", group)]
    monitors: list[Element] = []
    for monitor in snapshot.interface_monitors:
        monitors += [
            ("interface-name-for-monitoring", monitor.interface),
            ("weight", monitor.weight),
            ("status", f"{up(monitor.physical_up)}  /  {up(monitor.monitored_up)}"),
            ("redundancy-group-for-interface", monitor.group),
        ]
    return (
        "chassis-cluster-interface-statistics",
        [
            ("control-interface-status", up(any(link.up for link in snapshot.control_links))),
            ("control-link-interfaces", control),
            ("dataplane-interface-status", up(snapshot.fabric_up)),
            ("dataplane-interfaces", [_fabric(fabric) for fabric in snapshot.fabric_interfaces]),
            ("reth", reths),
            ("interface-monitoring", monitors),
        ],
    )


def _fabric(fabric: FabricInterfaceStatus) -> Element:
    """The index stands in front and once more at the end; between them nothing when the peer has not told."""
    index: Element = ("fabric-interface-index", fabric.name.removeprefix("fab"))
    if fabric.physical_up is None:
        return ("fabric-information", [index, index])
    return (
        "fabric-information",
        [
            index,
            ("fabric-child-interface-name", fabric.child),
            ("fabric-child-interface-status", f"{up(fabric.physical_up):<4} / {up(fabric.monitored_up)}"),
            ("fabric-link-interface-security-status", "Enabled"),
            index,
        ],
    )


def data_plane_interfaces(snapshot: ClusterStatus) -> Element:
    """``show chassis cluster data-plane interfaces``."""
    content: list[Element] = []
    for name in sorted({fabric.name for fabric in snapshot.fabric_interfaces}):
        leaves: list[Element] = []
        for fabric in snapshot.fabric_interfaces:
            if fabric.name == name and fabric.physical_up is not None:
                leaves.append(("fabric-child-interface-name", fabric.child))
                leaves.append(("fabric-child-interface-status", up(fabric.physical_up).lower()))
        content += [("fabric-interface-index", name.removeprefix("fab")), ("fabric-information", leaves)]
    return ("chassis-cluster-dataplane-interfaces", content)


def control_interfaces(snapshot: ClusterStatus) -> Element:
    """``show chassis cluster control-interface status``."""
    content: list[Element] = []
    for link in snapshot.control_links:
        content += [("control-interface-index", link.index), ("control-interface-name", link.interface)]
        content += [("control-interface-status", up(link.up)), ("control-interface-reason", link.state)]
    return ("chassis-cluster-control-port-status", content)


def services(snapshot: ClusterStatus) -> Element:
    """``show chassis cluster data-plane statistics``."""
    leaves: list[Element] = []
    for name, sent, received in snapshot.sessions.services if snapshot.sessions else ():
        leaves += [("service-name", name), ("rtos-sent", sent), ("rtos-received", received)]
    return ("services-synchronized", leaves)


def cold_synchronization(snapshot: ClusterStatus) -> Element:
    """The section of ``show chassis cluster information detail``."""
    container, sessions = "cold-synchronization-monitoring-information", snapshot.sessions
    if sessions is None:
        return (container, [("cold-synchronization-progress", SILENT.rstrip())])
    done, failed, unknown = units(sessions)
    content: list[Element] = [
        ("cold-synchronization-progress", f"State: {sessions.cold_sync}"),
        (
            "cold-synchronization-status-information",
            [
                ("cold-synchronization-completed", done),
                ("cold-synchronization-not-completed", failed),
                ("cold-synchronization-unknown", unknown),
                ("cold-synchronization-weight", cold_weight(snapshot)),
            ],
        ),
        (
            "cold-synchronization-statistics",
            [
                ("current-cold-synchronization-completed", sessions.completed),
                ("current-cold-synchronization-failed", sessions.failed),
            ],
        ),
        ("cold-synchronization-events", [("cold-synchronization-event", event) for event in sessions.events]),
    ]
    return (container, content)


def ip_monitoring(groups: Sequence[IpGroupStatus]) -> Element:
    """``show chassis cluster ip-monitoring status``, a node's part."""
    content: list[Element] = []
    for group in groups:
        content += [
            ("redundancy-group", group.group),
            ("ip-monitoring-global-weight", group.global_weight),
            ("ip-monitoring-global-threshold", group.global_threshold),
            ("ip-monitoring-current-threshold", group.current_threshold),
        ]
        for target in group.targets:
            content += [
                ("ip-address", target.address),
                ("ip-reachability-status", target.status),
                ("failure-count", target.failure_count),
                ("ip-monitoring-weight", target.weight),
                ("ip-unreachable-reason", target.reason or "n/a"),
            ]
    return ("chassis-cluster-ip-monitoring", content)
