"""The table of nftables that is ours, on the real kernel: as ``nft`` reads it, and noticed when somebody touches it."""

import os
import select
from collections.abc import Iterator

import pytest

from jsrpd.data_plane.transit import Carried
from jsrpd.kernel.nftables import CarriedTable
from jsrpd.lab.topology import inside, run, wait_until
from tests.end_to_end.test_gate import inside as inside_namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

NAMESPACE = f"jn{os.getpid()}"
ONE = (Carried("reth1", "fab"),)
TWO = (Carried("reth1", "fab", ("2001:db8:1::/64", "203.0.113.128/25")), Carried("reth2", "fab"))
READ = """\
		meta nfproto ipv4 iifname "reth1" fib saddr oifname "reth1" fib daddr oifname "fab" notrack
		meta nfproto ipv4 iifname "fab" fib daddr oifname "reth1" notrack
		meta nfproto ipv6 iifname "reth1" fib saddr oifname "reth1" fib daddr oifname "fab" notrack
		meta nfproto ipv6 iifname "fab" fib daddr oifname "reth1" notrack
"""


@pytest.fixture
def table() -> Iterator[CarriedTable]:
    run("ip", "netns", "add", NAMESPACE)
    with inside_namespace(NAMESPACE):
        made = CarriedTable()
    yield made
    made.close()
    run("ip", "netns", "del", NAMESPACE)


def nft(*words: str) -> str:
    return run(*inside(NAMESPACE, "nft", *words))


def test_the_rules_as_others_read_them(table: CarriedTable) -> None:
    assert table.replace(ONE) == 0
    said = nft("list", "table", "inet", "jsrpd")
    assert READ in said
    assert "type filter hook prerouting priority raw; policy accept;" in said


def test_prefixes_whose_connections_are_tracked_here(table: CarriedTable) -> None:
    """Those of higher groups, each in the rules of its family, on the side beyond the fabric link."""
    assert table.replace(TWO) == 0
    first, second, third, fourth, *others = nft("list", "chain", "inet", "jsrpd", "carried").splitlines()[3:-2]
    assert first.endswith('fib daddr oifname "fab" ip daddr != 203.0.113.128/25 notrack')
    assert second.endswith('fib daddr oifname "reth1" ip saddr != 203.0.113.128/25 notrack')
    assert third.endswith('fib daddr oifname "fab" ip6 daddr != 2001:db8:1::/64 notrack')
    assert fourth.endswith('fib daddr oifname "reth1" ip6 saddr != 2001:db8:1::/64 notrack')
    assert len(others) == 4
    assert all("!=" not in rule for rule in others)


def test_it_stands_as_long_as_nobody_touches_it(table: CarriedTable) -> None:
    assert table.stands(())
    assert not table.stands(ONE)
    for wanted in (ONE, TWO, ONE):
        assert table.replace(wanted) == 0
        assert [table.stands(each) for each in ((), ONE, TWO)] == [False, wanted == ONE, wanted == TWO]
    assert table.replace(()) == 0
    assert table.stands(())
    assert nft("list", "tables") == ""


@pytest.mark.parametrize(
    "damage",
    [
        "flush ruleset",
        "delete table inet jsrpd",
        "flush chain inet jsrpd carried",
        "add rule inet jsrpd carried drop",
    ],
)
def test_what_somebody_does_to_it_is_heard_and_seen(table: CarriedTable, damage: str) -> None:
    assert table.replace(ONE) == 0
    table.drain()
    assert not select.select([table.notifications], [], [], 0)[0]
    nft(*damage.split())
    wait_until(lambda: bool(select.select([table.notifications], [], [], 0)[0]), 10, "a notification")
    assert not table.stands(ONE)
    assert table.replace(ONE) == 0
    assert table.stands(ONE)
    assert READ in nft("list", "table", "inet", "jsrpd")


def test_other_tables_are_left_alone(table: CarriedTable) -> None:
    nft("add", "table", "inet", "theirs")
    nft("add", "table", "ip", "jsrpd")
    for wanted in (ONE, ()):
        assert table.replace(wanted) == 0
        assert {"table inet theirs", "table ip jsrpd"} <= set(nft("list", "tables").splitlines())


def test_a_refusal_changes_nothing(table: CarriedTable) -> None:
    """An interface name that is too long: the kernel takes the whole or nothing."""
    assert table.replace(ONE) == 0
    assert table.replace((Carried("a-name-far-too-long-for-an-interface", "fab"),)) != 0
    assert table.stands(ONE)
