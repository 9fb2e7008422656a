"""``show chassis cluster statistics`` and ``control-plane statistics``: heartbeats by path (reference 7.6).

What the vendor counts as probes of the fabric are the same heartbeats here.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from jsrpd.model.status import ClusterStatus, PathStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

CONTROL, FABRIC, SEGMENT = "control link ", "fabric link ", "segment "
"""How the names of paths begin; their number follows."""
CHILD_LINKS = 2
"""The vendor's display has two children of the fabric, whether they are there or not."""


def of_kind(snapshot: ClusterStatus, kind: str) -> list[tuple[int, PathStatus]]:
    """Paths whose name begins so, with their number."""
    return [(int(path.name.removeprefix(kind)), path) for path in snapshot.paths if path.name.startswith(kind)]


def control_plane(snapshot: ClusterStatus) -> str:
    """Control and fabric links as the vendor shows them, then the segments of the reths."""
    return "\n".join([*_control(snapshot), *_fabric(snapshot), *in_band_lines(snapshot)]) + "\n"


def _control(snapshot: ClusterStatus) -> list[str]:
    lines = ["Control link statistics:"]
    for index, link in of_kind(snapshot, CONTROL):
        lines += [
            f"    Control link {index}:",
            f"        Heartbeat packets sent: {link.sent}",
            f"        Heartbeat packets received: {link.received}",
            f"        Heartbeat packet errors: {link.errors}",
        ]
    return lines


def _fabric(snapshot: ClusterStatus) -> list[str]:
    known = {index: (link.sent, link.received) for index, link in of_kind(snapshot, FABRIC)}
    lines = ["Fabric link statistics:"]
    for index in range(CHILD_LINKS):
        sent, received = known.get(index, (0, 0))
        lines += [f"    Child link {index}", f"        Probes sent: {sent}", f"        Probes received: {received}"]
    return lines


def in_band_lines(snapshot: ClusterStatus) -> list[str]:
    """Not in the vendor's display: hello frames on the segments; nothing where there are none."""
    segments = of_kind(snapshot, SEGMENT)
    lines = ["In-band heartbeat statistics:"] if segments else []
    for _, segment in segments:
        lines += [
            f"    Interface {segment.interface}:",
            f"        Hellos sent: {segment.sent}",
            f"        Hellos received: {segment.received}",
            f"        Hello errors: {segment.errors}",
        ]
    return lines


def xml(snapshot: ClusterStatus) -> "Element":
    """``chassis-cluster-statistics``."""
    control: list[Element] = []
    for index, link in of_kind(snapshot, CONTROL):
        control += [("control-interface-index", index), *_heartbeats(link)]
    fabric: list[Element] = [
        (
            "fabric-child",
            [
                ("fabric-child-index", index),
                ("fabric-hello-sent", link.sent),
                ("fabric-hello-received", link.received),
                ("fabric-hello-error", link.errors),
            ],
        )
        for index, link in of_kind(snapshot, FABRIC)
    ]
    both: list[Element] = [("chassis-cluster-control", control), ("chassis-cluster-fabric", fabric)]
    return ("chassis-cluster-statistics", [("chassis-cluster-interfaces", both)])


def _heartbeats(link: PathStatus) -> "Sequence[Element]":
    return [("heartbeat-sent", link.sent), ("heartbeat-received", link.received), ("heartbeat-errors", link.errors)]


def json(snapshot: ClusterStatus) -> str:
    """Every path with all its counts, and the synchronised services."""
    services = snapshot.sessions.services if snapshot.sessions else ()
    tree = {
        "node": snapshot.node,
        "paths": msgspec.to_builtins(snapshot.paths),
        "services": [{"name": name, "sent": sent, "received": received} for name, sent, received in services],
    }
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"
