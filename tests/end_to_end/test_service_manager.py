"""What a service manager hears from a real daemon, from start to end."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.end_to_end.process_fixtures import CLUSTER_ID, PATIENCE_S, Node, bare_node


@pytest.fixture
def node() -> Iterator[Node]:
    with bare_node() as made:
        yield made


@pytest.fixture
def manager(node: Node) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(node.lab.directory / "notify"))
        receiver.settimeout(PATIENCE_S)
        yield receiver


def heard(manager: socket.socket) -> dict[str, str]:
    """The next datagram."""
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))


@pytest.mark.parametrize("clustered", [True, False])
def test_a_daemons_life(node: Node, manager: socket.socket, clustered: bool) -> None:
    """Ready only when the gates stand; a reload ends with ready even when the file is broken."""
    status = "not clustered; use: jsrp set chassis cluster cluster-id 1 node 0"
    if clustered:
        node.configure()
        status = f"node0 of cluster {CLUSTER_ID}"
    process = node.start(environment={"NOTIFY_SOCKET": str(node.lab.directory / "notify")})
    assert heard(manager) == {"READY": "1", "STATUS": status}
    if clustered:
        (node.directory("etc") / "jsrpd.conf").write_text("nonsense")
    os.kill(process.pid, signal.SIGHUP)
    assert heard(manager)["RELOADING"] == "1"
    assert heard(manager) == {"READY": "1", "STATUS": status}
    os.kill(process.pid, signal.SIGTERM)
    assert heard(manager)["STOPPING"] == "1"
    assert process.wait(PATIENCE_S) == 0
