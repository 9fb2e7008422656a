"""Heartbeat sockets on real cables: what the kernel keeps away from them, and what they survive (SPEC sections 5 and 15).

Two namespaces, ``own`` and ``peer``, joined by the cable ``c0``. In both families:
derived addresses are IPv6 link-local, configured control links may have IPv4.
"""

import itertools
import os
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd.kernel.path_socket import LOOK_AGAIN_AFTER, REOPEN_AFTER, LinkSocket, PathSocket
from jsrpd.lab.topology import run
from tests.end_to_end.test_gate import eventually, inside, ip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PORT = 7273
HEARTBEAT = b"JSRP heartbeat"
FOREIGN = [b"", b"J", b"JSR", b"jsrp heartbeat", b" JSRP", b"\0" * 1400]
numbers = itertools.count(1)


@dataclass(frozen=True)
class Family:
    """Addresses of the path's ends, and another one that the peer's namespace has on the same cable."""

    own: str
    peer: str
    third: str
    length: int

    @property
    def number(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.own else socket.AF_INET


FAMILIES = [Family("192.0.2.1", "192.0.2.2", "192.0.2.3", 24), Family("fe80::a1", "fe80::a2", "fe80::a3", 64)]


@dataclass
class Ends:
    """Both namespaces, and the path socket of each."""

    family: Family
    own_namespace: str
    peer_namespace: str
    own: PathSocket
    peer: PathSocket
    now: int = 0

    def ensure_open(self, end: PathSocket) -> bool:
        """As the engine's turns do, each long enough after the last."""
        self.now += LOOK_AGAIN_AFTER
        with inside(self.own_namespace if end is self.own else self.peer_namespace):
            return end.ensure_open(self.now)

    def stranger(self, address: str, port: int = PORT, cable: str = "c0") -> socket.socket:
        """A plain socket in the peer's namespace that talks to our end of the path by a cable."""
        with inside(self.peer_namespace):
            made = socket.socket(self.family.number, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, cable.encode())
            scope = socket.if_nametoindex(cable)
            for call, where in ((made.bind, (address, port)), (made.connect, (self.family.own, PORT))):
                call(where if self.family.number == socket.AF_INET else (*where, 0, scope))
        return made

    def drops(self) -> int:
        """Datagrams that the kernel has dropped at our socket (last column of the table of UDP sockets)."""
        table = "udp6" if self.family.number == socket.AF_INET6 else "udp"
        with inside(self.own_namespace):
            rows = Path("/proc/thread-self/net", table).read_text().splitlines()[1:]
        assert self.own.socket is not None
        (row,) = [row.split() for row in rows if int(row.split()[9]) == os.fstat(self.own.socket.fileno()).st_ino]
        return int(row[-1])


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Cables plugged in, addresses there, both sockets open."""
    family: Family = request.param
    own, peer = names = [f"jpath-{os.getpid()}-{next(numbers)}-{role}" for role in ("own", "peer")]
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        plug(own, peer, "c0")
        address(own, "c0", family.own, family.length)
        for one in (family.peer, family.third):
            address(peer, "c0", one, family.length)
        both = Ends(
            family, own, peer, LinkSocket("c0", family.own, family.peer, PORT), LinkSocket("c0", family.peer, family.own, PORT)
        )
        assert both.ensure_open(both.own)
        assert both.ensure_open(both.peer)
        yield both
        both.own.close()
        both.peer.close()
    finally:
        for name in names:
            if Path("/run/netns", name).exists():
                ip("netns", "delete", name)


def plug(own: str, peer: str, cable: str) -> None:
    ip("-n", own, "link", "add", cable, "up", "type", "veth", "peer", "name", cable, "netns", peer)
    ip("-n", peer, "link", "set", cable, "up")


def address(namespace: str, cable: str, one: str, length: int) -> None:
    ip("-n", namespace, "address", "add", f"{one}/{length}", "dev", cable, *(("nodad",) if ":" in one else ()))


def received(end: PathSocket) -> list[bytes]:
    """Everything waiting; what ICMP reported meanwhile is passed over."""
    found: list[bytes] = []
    while True:
        try:
            datagram = end.receive()
        except OSError:
            continue
        if datagram is None:
            return found
        found.append(datagram)


def arrives(sender: PathSocket, receiver: PathSocket) -> None:
    """Heartbeats get through, the first perhaps lost."""

    def tried() -> bool:
        sender.send(HEARTBEAT)
        return HEARTBEAT in received(receiver)

    eventually(tried, "a heartbeat arrives")


def received_up_to(end: PathSocket, last: bytes) -> list[bytes]:
    """What is received up to a datagram."""
    found: list[bytes] = []

    def complete() -> bool:
        found.extend(received(end))
        return found[-1:] == [last]

    eventually(complete, f"{last!r} arrives")
    return found


# -- what comes in --------------------------------------------------------------------------------------------------


def test_both_directions(ends: Ends) -> None:
    for sender, receiver in ((ends.own, ends.peer), (ends.peer, ends.own)):
        assert sender.send(HEARTBEAT)
        assert received_up_to(receiver, HEARTBEAT) == [HEARTBEAT]
        assert receiver.receive() is None


def test_what_lacks_the_magic_costs_nothing(ends: Ends) -> None:
    """The kernel drops it at the socket: nothing wakes, nothing is read."""
    assert ends.own.socket is not None
    ends.peer.close()
    with ends.stranger(ends.family.peer) as stranger:
        for datagram in FOREIGN:
            stranger.send(datagram)
        eventually(lambda: ends.drops() == len(FOREIGN), "foreign datagrams are dropped")
        assert select.select([ends.own.socket], [], [], 0)[0] == []
        stranger.send(HEARTBEAT)
        assert received_up_to(ends.own, HEARTBEAT) == [HEARTBEAT]


@pytest.mark.parametrize("who", ["another address", "another port", "another cable"])
def test_nobody_but_the_peer_is_heard(ends: Ends, who: str) -> None:
    """Right magic, wrong sender. The peer's datagram behind it shows that it had its chance."""
    sender = ends.family.third if who == "another address" else ends.family.peer
    port, cable = (PORT + 1 if who == "another port" else PORT), ("c1" if who == "another cable" else "c0")
    plug(ends.own_namespace, ends.peer_namespace, "c1")
    for namespace, one in ((ends.own_namespace, ends.family.own), (ends.peer_namespace, ends.family.peer)):
        address(namespace, "c1", one, ends.family.length)
    with ends.stranger(sender, port, cable) as stranger:
        stranger.send(b"JSRP forged")
        eventually(lambda: no_port_errors(ends) > 0, "the kernel finds no socket for it")
    arrives(ends.peer, ends.own)
    assert b"JSRP forged" not in received(ends.own)


def no_port_errors(ends: Ends) -> int:
    """Datagrams for which our namespace had no socket."""
    with inside(ends.own_namespace):
        if ends.family.number == socket.AF_INET6:
            lines = Path("/proc/thread-self/net/snmp6").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("Udp6NoPorts"))
        names, values = [
            line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines() if line.startswith("Udp:")
        ]
    return int(values[names.index("NoPorts")])


# -- errors reported by others --------------------------------------------------------------------------------------


def error_waits(end: PathSocket) -> bool:
    assert end.socket is not None
    poller = select.poll()
    poller.register(end.socket, 0)
    return bool(poller.poll(0))


def test_a_refused_heartbeat_is_seen_and_stops_nothing(ends: Ends) -> None:
    """No daemon on the peer: that is an error to be read once; the socket stays open and hears the daemon when it comes."""
    ends.peer.close()

    def refused() -> bool:
        ends.own.send(HEARTBEAT)
        try:
            ends.own.receive()
        except ConnectionRefusedError:
            return True
        return False

    eventually(refused, "the refusal is reported")
    assert ends.own.socket is not None
    assert ends.ensure_open(ends.peer)
    arrives(ends.own, ends.peer)
    arrives(ends.peer, ends.own)


REJECTIONS = {"refused": "", "prohibited": "icmpx type admin-prohibited"}


@pytest.mark.parametrize("how", REJECTIONS.values(), ids=REJECTIONS)
def test_an_error_that_waits_does_not_cost_the_next_heartbeat(ends: Ends, how: str) -> None:
    """The kernel reports the fate of an earlier datagram in place of sending the next one."""
    if how:
        rules = f"table inet t {{ chain c {{ type filter hook input priority 0; udp dport {PORT} reject with {how}; }}; }}"
        run("ip", "netns", "exec", ends.peer_namespace, "nft", "-f", "-", text=rules)
    else:
        ends.peer.close()
    assert ends.own.send(b"JSRP rejected")
    eventually(lambda: error_waits(ends.own), "the error comes back")
    if how:
        run("ip", "netns", "exec", ends.peer_namespace, "nft", "flush", "ruleset")
    else:
        assert ends.ensure_open(ends.peer)
    assert ends.own.send(HEARTBEAT)
    assert received_up_to(ends.peer, HEARTBEAT) == [HEARTBEAT]
    assert ends.own.send_failures == 0


# -- the interface under it -----------------------------------------------------------------------------------------


def comes_back(ends: Ends) -> None:
    """What the engine does each turn is enough: open if needed, send."""

    def tried() -> bool:
        ends.ensure_open(ends.own)
        ends.own.send(HEARTBEAT)
        return HEARTBEAT in received(ends.peer)

    eventually(tried, "heartbeats after the interface came back")
    arrives(ends.peer, ends.own)


def test_interface_down_and_up(ends: Ends) -> None:
    """Going down takes the IPv6 addresses away; the data plane puts them back. Sending fails meanwhile, and is counted."""
    ip("-n", ends.own_namespace, "link", "set", "c0", "down")
    assert not ends.own.send(HEARTBEAT)
    assert ends.own.send_failures == 1
    assert received(ends.own) == []
    ip("-n", ends.own_namespace, "link", "set", "c0", "up")
    if ":" in ends.family.own:
        address(ends.own_namespace, "c0", ends.family.own, ends.family.length)
    comes_back(ends)


@pytest.mark.parametrize("noticed", [True, False], ids=["seen missing", "between two looks"])
def test_interface_replaced(ends: Ends, noticed: bool) -> None:
    """Gone: closed, and nothing raises. Back under another index: a new socket, even if nobody saw it missing."""
    before = ends.own.socket
    ip("-n", ends.own_namespace, "link", "delete", "c0")
    if noticed:
        assert ends.ensure_open(ends.own)
        assert ends.own.socket is None
        assert not ends.own.send(HEARTBEAT)
        assert ends.own.receive() is None
        assert not ends.ensure_open(ends.own), "closed and still closed: nothing for the selector"
    ends.peer.close()
    plug(ends.own_namespace, ends.peer_namespace, "c0")
    for namespace, one in ((ends.own_namespace, ends.family.own), (ends.peer_namespace, ends.family.peer)):
        address(namespace, "c0", one, ends.family.length)
    assert ends.ensure_open(ends.peer)
    assert ends.ensure_open(ends.own)
    assert ends.own.socket is not before
    comes_back(ends)


@pytest.mark.parametrize("missing", ["interface", "address"])
def test_what_is_missing_at_first(ends: Ends, missing: str) -> None:
    """Tried again, at most every 20 ms, until interface and address are there."""
    ends.own.close()
    if missing == "interface":
        ip("-n", ends.own_namespace, "link", "set", "c0", "down", "name", "away")
    else:
        ip("-n", ends.own_namespace, "address", "delete", f"{ends.family.own}/{ends.family.length}", "dev", "c0")
    late = LinkSocket("c0", ends.family.own, ends.family.peer, PORT)
    with inside(ends.own_namespace):
        assert not late.ensure_open(0)
        assert late.socket is None
        if missing == "interface":
            ip("-n", ends.own_namespace, "link", "set", "away", "name", "c0", "up")
        if missing == "address" or ":" in ends.family.own:
            address(ends.own_namespace, "c0", ends.family.own, ends.family.length)
        assert not late.ensure_open(REOPEN_AFTER - 1), "too early to ask again"
        assert late.ensure_open(REOPEN_AFTER)
    arrives(ends.peer, late)
    late.close()
