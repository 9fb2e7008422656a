"""Echo requests on the real kernel: answered, refused, sent back by a router, and nobody else's answers."""

import os
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from jsrpd.kernel.icmp import Answer, EchoSocket
from jsrpd.lab.topology import ip_batch, run
from tests.end_to_end.test_gate import inside

PATIENCE_S = 60.0
US, THEM = {4: "192.0.2.1", 6: "2001:db8::1"}, {4: "192.0.2.2", 6: "2001:db8::2"}
BEYOND = {4: "198.51.100.9", 6: "2001:db8:9::9"}
FAMILIES = [pytest.param(4, id="IPv4"), pytest.param(6, id="IPv6")]


@pytest.fixture(scope="module")
def wire() -> Iterator[str]:
    """Our end of a cable, ``near``; the other end answers, and is a router without a route beyond."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    near, far = f"je{os.getpid()}-near", f"je{os.getpid()}-far"
    try:
        for namespace in (near, far):
            run("ip", "netns", "add", namespace)
        ip_batch(near, [f"link add near type veth peer name far netns {far}"])
        for namespace, interface, own in ((near, "near", US), (far, "far", THEM)):
            addresses = [f"addr add {own[4]}/24 dev {interface}", f"addr add {own[6]}/64 dev {interface} nodad"]
            ip_batch(namespace, ["link set lo up", f"link set {interface} up", *addresses])
        run("ip", "netns", "exec", far, "sh", "-ec", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        run("ip", "netns", "exec", far, "sh", "-ec", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        ip_batch(near, [f"route add {BEYOND[4]} via {THEM[4]}", f"route add {BEYOND[6]} via {THEM[6]}"])
        yield near
    finally:
        for namespace in (near, far):
            run("ip", "netns", "del", namespace)


def eventually(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def opened(wire: str, version: int, source: str = "", device: str = "") -> EchoSocket:
    with inside(wire):
        return EchoSocket(version, source, device)


def heard(echo: EchoSocket) -> list[Answer]:
    """What arrives, as soon as something has."""
    found: list[Answer] = []

    def arrived() -> bool:
        found.extend(echo.answers())
        return bool(found)

    eventually(arrived)
    return found


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("bound", [True, False])
def test_an_answer_carries_its_number(wire: str, version: int, bound: bool) -> None:
    echo = opened(wire, version, *((US[version], "near") if bound else ()))
    for sequence in (1, 65535, 65536 + 7):
        assert echo.ask(THEM[version], sequence) == ""
        assert heard(echo) == [Answer(THEM[version], sequence % 65536)]
    echo.close()


@pytest.mark.parametrize("version", FAMILIES)
def test_others_answers_are_not_ours(wire: str, version: int) -> None:
    ours, others = opened(wire, version), opened(wire, version)
    others.ask(THEM[version], 5)
    ours.ask(THEM[version], 6)
    assert heard(ours) == [Answer(THEM[version], 6)]
    for echo in (ours, others):
        echo.close()


@pytest.mark.parametrize("version", FAMILIES)
def test_a_router_says_that_there_is_no_way(wire: str, version: int) -> None:
    echo = opened(wire, version)
    echo.ask(BEYOND[version], 9)
    answer = heard(echo)[0]
    assert (answer.address, answer.sequence) == (BEYOND[version], 9)
    assert "unreachable" in answer.reason or "no route" in answer.reason
    echo.close()


@pytest.mark.parametrize("version", FAMILIES)
def test_no_route_is_said_at_once(wire: str, version: int) -> None:
    echo = opened(wire, version)
    assert "unreachable" in echo.ask("203.0.113.1" if version == 4 else "2001:db8:ffff::1", 1)
    assert list(echo.answers()) == []
    echo.close()


def test_what_is_absent_is_refused(wire: str) -> None:
    with pytest.raises(OSError, match="No such device"):
        opened(wire, 4, device="absent")


@pytest.mark.parametrize("version", FAMILIES)
def test_a_source_may_be_bound_before_it_is_local(wire: str, version: int) -> None:
    """As on a node that has just taken a role: the address comes a moment later, and the same socket asks from it."""
    source, length = ("192.0.2.77", 32) if version == 4 else ("2001:db8::77", 128)
    echo = opened(wire, version, source, "near")
    echo.ask(THEM[version], 1)
    ip_batch(wire, [f"addr add {source}/{length} dev near{' nodad' if version == 6 else ''}"])
    assert echo.ask(THEM[version], 2) == ""
    eventually(lambda: Answer(THEM[version], 2) in heard(echo))
    echo.close()


@pytest.mark.parametrize("version", FAMILIES)
def test_malformed_packets_are_nothing(wire: str, version: int) -> None:
    """Whatever a raw socket is handed."""
    echo = opened(wire, version)
    head = b"\x45" + bytes(19) if version == 4 else b""
    unreachable = head + struct.pack("!BBHHH", 3 if version == 4 else 1, 0, 0, 0, 0)
    for packet in (b"", b"\x4f", head, head + b"\0" * 7, unreachable, unreachable + b"\x4f" * 9, unreachable + bytes(60)):
        assert echo._read(packet, THEM[version]) is None
    echo.close()
