"""What the service manager hears, on a real socket of both kinds."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.processes.notify import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, ServiceManager]]:
    """The receiving socket, and the sender that found its name in the environment."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name if request.param == "path" else "\0" + name[1:])
        receiver.settimeout(10)
        yield receiver, ServiceManager({"NOTIFY_SOCKET": name})


def test_states(manager: tuple[socket.socket, ServiceManager]) -> None:
    receiver, sender = manager
    sender.ready("node0 of cluster 1")
    assert receiver.recv(4096) == b"READY=1\nSTATUS=node0 of cluster 1"
    sender.reloading()
    first, second = receiver.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert second.partition("=")[2].isdigit()
    sender.stopping()
    assert receiver.recv(4096).startswith(b"STOPPING=1\n")


def test_a_manager_that_does_not_read_is_not_waited_for(manager: tuple[socket.socket, ServiceManager]) -> None:
    """The kernel queues a few datagrams; what is beyond is lost, and nobody waits."""
    receiver, sender = manager
    for number in range(10_000):
        sender.ready(str(number))
    assert receiver.recv(4096) == b"READY=1\nSTATUS=0"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}, {"NOTIFY_SOCKET": "x"}])
def test_no_manager(environment: dict[str, str]) -> None:
    ServiceManager(environment).ready("alone")
