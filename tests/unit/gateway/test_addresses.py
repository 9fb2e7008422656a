"""From the statement in the configuration to the port that answers, through a reload."""

import socket
from pathlib import Path

import msgspec
import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.management import children
from jsrpd.model.configuration import MetricsListener
from tests.unit.processes.test_gateway import CONFIGURATION, Running, until

MINIMAL = "set chassis cluster control-link 0 interface ctl\n"


def listeners(*statements: str) -> tuple[MetricsListener, ...]:
    text = MINIMAL + "".join(f"set system services metrics {statement}\n" for statement in statements)
    return load(text, Identity(1, 0)).metrics_listeners


def test_statements() -> None:
    assert listeners() == ()
    assert listeners("address 192.0.2.1 port 9100", "address 2001:db8::1") == (
        MetricsListener("192.0.2.1", 9100),
        MetricsListener("2001:db8::1", 9469),
    )


@pytest.mark.parametrize("statement", ["address any", "address 192.0.2.1 port 80", "adress 192.0.2.1"])
def test_what_is_refused(statement: str) -> None:
    with pytest.raises(ConfigurationError):
        listeners(statement)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /nowhere HTTP/1.1\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 404 ")
    except ConnectionRefusedError:
        return False


def test_a_reload_moves_the_port(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    assert first != second
    running = Running(tmp_path, msgspec.structs.replace(CONFIGURATION, metrics_listeners=(MetricsListener("127.0.0.1", first),)))
    try:
        until(lambda: answers(first), "an answer")
        fresh = msgspec.structs.replace(CONFIGURATION, metrics_listeners=(MetricsListener("127.0.0.1", second),))
        running.parent.send(children.encode(children.ConfigurationLoaded(fresh)))
        until(lambda: answers(second), "an answer at the new port")
        until(lambda: not answers(first), "no answer at the old one")
    finally:
        running.stop()
