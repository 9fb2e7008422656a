"""``show chassis cluster statistics`` and ``control-plane statistics``: what was sent and heard on each link (reference 7.6)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jsrpd.model.status import ClusterStatus, PathStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

CONTROL, FABRIC = "control link ", "fabric link "
"""How the names of these paths begin; their number follows."""


def _links(snapshot: ClusterStatus, kind: str) -> Iterable[tuple[int, PathStatus]]:
    return [(int(path.name.removeprefix(kind)), path) for path in snapshot.paths if path.name.startswith(kind)]


def control_plane(snapshot: ClusterStatus) -> str:
    """Control and fabric links."""
    lines = ["Control link statistics:"]
    for number, path in _links(snapshot, CONTROL):
        lines += [
            f"    Control link {number}:",
            f"        Heartbeat packets sent: {path.sent}",
            f"        Heartbeat packets received: {path.received}",
            f"        Heartbeat packet errors: {path.errors}",
        ]
    lines.append("Fabric link statistics:")
    for number, path in _links(snapshot, FABRIC):
        lines += [f"    Child link {number}", f"        Probes sent: {path.sent}", f"        Probes received: {path.received}"]
    return "\n".join(lines) + "\n"


def everything(snapshot: ClusterStatus) -> str:
    """And the services."""
    lines = ["Services Synchronized:", f"    {'Service name':<42}{'RTOs sent':<13}RTOs received"]
    services = snapshot.sessions.services if snapshot.sessions is not None else ()
    lines += [f"    {name:<42}{sent:<13}{received}" for name, sent, received in services]
    return control_plane(snapshot) + "\n".join(lines) + "\n"


def xml(snapshot: ClusterStatus) -> "Element":
    """``chassis-cluster-statistics``."""
    control: list[Element] = [
        (
            "chassis-cluster-control",
            [
                ("control-interface-index", number),
                ("heartbeat-sent", path.sent),
                ("heartbeat-received", path.received),
                ("heartbeat-errors", path.errors),
            ],
        )
        for number, path in _links(snapshot, CONTROL)
    ]
    fabric: list[Element] = [
        (
            "fabric-child",
            [
                ("fabric-child-index", number),
                ("fabric-hello-sent", path.sent),
                ("fabric-hello-received", path.received),
                ("fabric-hello-error", path.errors),
            ],
        )
        for number, path in _links(snapshot, FABRIC)
    ]
    interfaces: list[Element] = [*control, ("chassis-cluster-fabric", fabric)]
    return ("chassis-cluster-statistics", [("chassis-cluster-interfaces", interfaces)])
