"""Hello frames on a real segment: heard from the peer of the same cluster, from nobody else, and by their own MAC (SPEC 5)."""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.kernel.path_socket import HELLO_ETHERTYPE, REOPEN_AFTER, HelloSocket, hello_group
from tests.end_to_end.test_gate import eventually, inside, ip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

CLUSTER = 7
OWN, PEER = f"jhello-{os.getpid()}-own", f"jhello-{os.getpid()}-peer"
MACS = {OWN: "02:00:00:00:00:01", PEER: "02:00:00:00:00:02"}


@pytest.fixture
def segment() -> Iterator[None]:
    """Two namespaces joined by the cable ``seg``."""
    try:
        for name in (OWN, PEER):
            ip("netns", "add", name)
        plug()
        yield
    finally:
        for name in (OWN, PEER):
            if Path("/run/netns", name).exists():
                ip("netns", "delete", name)


def plug() -> None:
    ip("-n", OWN, "link", "add", "seg", "type", "veth", "peer", "name", "seg", "netns", PEER)
    for name, mac in MACS.items():
        ip("-n", name, "link", "set", "seg", "address", mac, "up")


def opened(namespace: str, cluster: int, peer: int) -> HelloSocket:
    made = HelloSocket("seg", cluster, peer)
    with inside(namespace):
        assert made.ensure_open(0)
    return made


def said(cluster: int, node: int, text: str) -> bytes:
    """The head of a datagram as far as the filter looks, and something to tell it by."""
    return b"JSRP" + bytes(4) + struct.pack(">HB", cluster, node) + text.encode()


def heard(end: HelloSocket) -> list[bytes]:
    return list(iter(end.receive, None))


def hears_up_to(end: HelloSocket, last: bytes) -> list[bytes]:
    """What is heard until ``last``; frames of one cable arrive in order."""
    found: list[bytes] = []

    def complete() -> bool:
        found.extend(heard(end))
        return last in found

    eventually(complete, f"{last!r} is heard")
    return found


@pytest.mark.usefixtures("segment")
def test_only_the_peer_of_this_cluster_is_heard() -> None:
    own, peer = opened(OWN, CLUSTER, 1), opened(PEER, CLUSTER, 0)
    hello = said(CLUSTER, 1, "peer")
    for foreign in (said(CLUSTER + 1, 1, "other cluster"), said(CLUSTER, 0, "own node-id"), b"jsrp" + hello[4:], hello[:8]):
        assert peer.send(foreign)
    assert own.send(said(CLUSTER, 0, "myself"))
    assert peer.send(hello)
    assert hears_up_to(own, hello) == [hello]
    assert hears_up_to(peer, said(CLUSTER, 0, "myself")) == [said(CLUSTER, 0, "myself")]


@pytest.mark.usefixtures("segment")
def test_frames_leave_by_the_childs_own_mac() -> None:
    """Behind a reth with another MAC, too: the switch must not take hello frames for the gateway."""
    ip("-n", OWN, "link", "add", "reth0", "link", "seg", "address", "02:6a:73:07:00:00", "up", "type", "macvlan", "mode", "private")
    with inside(PEER):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(HELLO_ETHERTYPE))
        listener.bind(("seg", HELLO_ETHERTYPE))
        listener.settimeout(5)
    opened(OWN, CLUSTER, 1).send(said(CLUSTER, 0, "hello"))
    frame = listener.recv(2048)
    assert frame[:6] == hello_group(CLUSTER) == bytes.fromhex("036a73000007")
    assert frame[6:12].hex(":") == MACS[OWN]
    listener.close()


@pytest.mark.usefixtures("segment")
def test_an_interface_that_is_replaced() -> None:
    own, peer = opened(OWN, CLUSTER, 1), opened(PEER, CLUSTER, 0)
    ip("-n", OWN, "link", "delete", "seg")
    assert not own.send(said(CLUSTER, 0, "into nothing"))
    plug()
    for end, namespace in ((own, OWN), (peer, PEER)):
        with inside(namespace):
            end.ensure_open(2 * REOPEN_AFTER)
    hello = said(CLUSTER, 1, "again")
    assert peer.send(hello)
    assert hears_up_to(own, hello) == [hello]
