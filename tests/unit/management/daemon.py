"""A stand-in for the daemon's end of the management socket, and a cluster to ask about."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from jsrpd.management.requests import Reply, encode
from jsrpd.model.status import (
    ClusterStatus,
    FabricInterfaceStatus,
    GroupNodeStatus,
    GroupStatus,
    InterfaceMonitorStatus,
    LinkStatus,
    RethStatus,
)

IF, IP = 1 << 4, 1 << 5
PATIENCE_S = 10.0


@contextlib.contextmanager
def daemon(path: Path, *answers: Reply | bytes, patient: bool = True) -> Iterator[list[bytes]]:
    """Answers one connection after the other; yields what was asked. An answer of bytes is sent as it is.

    ``patient``: all of them are waited for at the end, each ten seconds at most; else there may be fewer questions, and any
    time between them.
    """
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE_S if patient else None)

        def serve() -> None:
            for reply in answers:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    assert not patient
                    return
                with connection, connection.makefile("rb") as lines:
                    asked.append(lines.readline())
                    connection.sendall(reply if isinstance(reply, bytes) else encode(reply))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        if not patient:
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


def row(node: int, priority: int, state: str, **changes: object) -> GroupNodeStatus:
    """A healthy node's row."""
    fields: dict[str, object] = {"preempt": False, "manual": False, "failures": 0, "weight": 255, "gate_open": state == "primary"}
    return GroupNodeStatus(node, priority, state, **(fields | changes))  # type: ignore[arg-type]


def lost(node: int) -> GroupNodeStatus:
    """A peer that is not heard."""
    return GroupNodeStatus(node, 0, "lost", None, None, None)


def cluster(*groups: GroupStatus, **changes: object) -> ClusterStatus:
    """Cluster 7 as node 0 sees it, both nodes well."""
    fields: dict[str, object] = {
        "cluster_id": 7,
        "node": 0,
        "groups": groups or (GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))),),
        "control_links": (LinkStatus(0, "ctl0", True, "heard"),),
        "fabric_up": True,
        "fabric_interfaces": (
            FabricInterfaceStatus("fab0", "lan2", True, True),
            FabricInterfaceStatus("fab1", "lan2", True, True),
        ),
        "reths": (RethStatus("reth0", True, 1),),
        "interface_monitors": (
            InterfaceMonitorStatus("lan0", 255, True, True, 1),
            InterfaceMonitorStatus("lan0", 255, True, True, 1),
        ),
    }
    return ClusterStatus(**(fields | changes))  # type: ignore[arg-type]
