"""Which group a connection belongs to, by its addresses, its zone or its mark; what stays at home; the filter."""

import ipaddress
import struct

import pytest

from jsrpd.model.configuration import (
    ClusterConfiguration,
    NatPool,
    Reth,
    RethUnitAddress,
    SessionFilter,
    SessionSynchronization,
)
from jsrpd.sessions.attribution import HOME, Attribution
from jsrpd.sessions.ctnetlink import MARK, STANDBY_TIMEOUT_S, STATUS, TIMEOUT, TUPLE_ORIG, TUPLE_REPLY, ZONE, Parts, attribute

NESTED = 0x8000


def tuple_attribute(kind: int, source: str, destination: str, ports: tuple[int, int], protocol: int) -> bytes:
    six = ":" in source
    addresses = attribute(3 if six else 1, packed(source)) + attribute(4 if six else 2, packed(destination))
    l4 = attribute(1, bytes((protocol,)))
    l4 += attribute(2, struct.pack(">H", ports[0])) + attribute(3, struct.pack(">H", ports[1]))
    return attribute(kind | NESTED, attribute(1 | NESTED, addresses) + attribute(2 | NESTED, l4))


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def flow(source: str, destination: str, translated: str = "", *, port: int = 80, protocol: int = 6, **more: int) -> Parts:
    parts = {
        TUPLE_ORIG: tuple_attribute(TUPLE_ORIG, source, destination, (40000, port), protocol),
        TUPLE_REPLY: tuple_attribute(TUPLE_REPLY, destination, translated or source, (port, 40000), protocol),
        STATUS: attribute(STATUS, struct.pack(">I", 8)),
    }
    if "mark" in more:
        parts[MARK] = attribute(MARK, struct.pack(">I", more["mark"]))
    if "zone" in more:
        parts[ZONE] = attribute(ZONE, struct.pack(">H", more["zone"]))
    return parts


def reth(index: int, group: int, *addresses: str) -> Reth:
    units = tuple(RethUnitAddress(text.split("/")[0], int(text.split("/")[1])) for text in addresses)
    return Reth(f"reth{index}", index, group, f"c{index}", f"c{index}", bytes(6), units)


def attribution(sync: SessionSynchronization = SessionSynchronization(), local: tuple[str, ...] = ()) -> Attribution:  # noqa: B008
    reths = (
        reth(0, 1, "10.1.0.1/24", "2001:db8:1::1/64"),
        reth(1, 2, "10.2.0.1/24"),
        reth(2, 3, "10.2.0.129/25"),
        reth(3, 2, "10.3.0.1/24"),
    )
    configuration = ClusterConfiguration(1, 0, reths=reths, session_synchronization=sync)
    return Attribution(configuration, frozenset(map(packed, local)))


@pytest.mark.parametrize(
    ("parts", "group"),
    [
        (flow("10.1.0.9", "192.0.2.1"), 1),
        (flow("192.0.2.1", "10.3.0.9"), 2),
        (flow("10.2.0.200", "192.0.2.1"), 3),
        (flow("10.2.0.9", "192.0.2.1"), 2),
        (flow("10.1.0.9", "192.0.2.1", translated="10.3.0.1"), 2),
        (flow("2001:db8:1::9", "2001:db8:ffff::1"), 1),
        (flow("172.16.0.1", "192.0.2.1"), 1),
        (flow("fe80::1", "fe80::2"), HOME),
        (flow("127.0.0.1", "127.0.0.1"), HOME),
        (flow("10.1.0.9", "224.0.0.251"), HOME),
        (flow("10.1.0.9", "10.1.0.2"), HOME),
    ],
    ids=[
        "source in a reth's prefix",
        "destination in one",
        "the longer prefix",
        "the shorter where the longer does not match",
        "the address NAT gives is a reth's own",
        "IPv6",
        "between networks behind other routers",
        "link-local",
        "loopback",
        "multicast",
        "to an address of the node itself",
    ],
)
def test_group_of_a_connection(parts: Parts, group: int) -> None:
    made = attribution(local=("10.1.0.2",))
    assert made.group(parts) == group
    assert made.group(parts) == group, "remembered"
    assert made.ambiguous == 0


def test_ambiguous_goes_to_the_lowest_and_is_counted() -> None:
    made = attribution()
    assert made.group(flow("10.1.0.9", "10.3.0.9")) == 1
    assert made.ambiguous == 1


def test_pool_mark_and_zone_name_the_group() -> None:
    pool = NatPool(RethUnitAddress("198.51.100.0", 28), 2)
    made = attribution(SessionSynchronization(nat_pools=(pool,), marks=((7, 3),), zones=((9, 2),)))
    assert made.group(flow("10.1.0.9", "192.0.2.1", translated="198.51.100.3")) == 2
    assert made.group(flow("10.1.0.9", "192.0.2.1", mark=7)) == 3
    assert made.group(flow("10.1.0.9", "192.0.2.1", zone=9)) == 2
    assert made.group(flow("10.1.0.9", "192.0.2.1", mark=8)) == 1


def test_what_a_standby_may_remove() -> None:
    """Traffic it forwards beside the cluster is left alone; what came from the peer is not."""
    made = attribution()
    beside, carried = (flow("172.16.0.1", "192.0.2.1") | {TIMEOUT: timeout(s)} for s in (120, STANDBY_TIMEOUT_S - 5))
    assert not made.is_ours_to_remove(beside)
    assert not made.is_ours_to_remove(beside | {TIMEOUT: timeout(432_000)})
    assert made.is_ours_to_remove(carried)
    assert made.is_ours_to_remove(flow("10.1.0.9", "192.0.2.1") | {TIMEOUT: timeout(120)})


def timeout(seconds: int) -> bytes:
    return attribute(TIMEOUT, struct.pack(">I", seconds))


def test_filter() -> None:
    excepted = (RethUnitAddress("10.1.0.64", 26),)
    made = attribution(SessionSynchronization(filter=SessionFilter((6,), (53,), excepted)))
    assert made.admits(flow("10.1.0.9", "192.0.2.1"))
    assert not made.admits(flow("10.1.0.9", "192.0.2.1", protocol=17))
    assert not made.admits(flow("10.1.0.9", "192.0.2.1", port=53))
    assert not made.admits(flow("10.1.0.65", "192.0.2.1"))
    assert not made.admits(flow("192.0.2.1", "10.1.0.65"))
    assert attribution().admits(flow("10.1.0.65", "192.0.2.1", port=53, protocol=17))
