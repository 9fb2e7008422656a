"""What passes untracked because the other node tracks its connection (decision 0135)."""

import msgspec

from jsrpd.data_plane.transit import MOST_NETWORKS, Carried, carried
from jsrpd.model.configuration import (
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    NatPool,
    Reth,
    RethUnitAddress,
    SessionSynchronization,
)


def reth(number: int, group: int, *addresses: RethUnitAddress) -> Reth:
    return Reth(f"reth{number}", number, group, f"p{number}", f"p{number}", bytes(6), addresses)


WAN = reth(0, 1, RethUnitAddress("198.51.100.1", 24))
LAN = reth(1, 2, RethUnitAddress("192.0.2.1", 24), RethUnitAddress("2001:db8::1", 64))
DMZ = reth(2, 3, RethUnitAddress("203.0.113.1", 25), RethUnitAddress("2001:db8:1::1", 64))
CONFIGURATION = ClusterConfiguration(
    cluster_id=7,
    node_id=0,
    control_links=(ControlLink(0, "ctl"),),
    fabric_links=(FabricLink(0, "fab", "fab"),),
    reths=(WAN, LAN, DMZ),
)


def configured(*reths: Reth) -> ClusterConfiguration:
    return msgspec.structs.replace(CONFIGURATION, reths=reths)


def test_the_lowest_group_tracks_everything() -> None:
    """Each other reth is carried, towards all but those of the groups above."""
    assert carried(CONFIGURATION) == (
        Carried("reth1", "fab", ("203.0.113.0/25", "2001:db8:1::/64")),
        Carried("reth2", "fab"),
    )


def test_pools_count_as_their_groups_networks() -> None:
    pools = (NatPool(RethUnitAddress("198.18.0.0", 28), 3), NatPool(RethUnitAddress("198.18.1.0", 28), 2))
    with_pools = msgspec.structs.replace(configured(WAN, LAN), session_synchronization=SessionSynchronization(nat_pools=pools))
    assert carried(with_pools) == (Carried("reth1", "fab", ("198.18.0.0/28",)),)


def test_what_is_too_much_for_a_rule_is_not_carried() -> None:
    """A hundred groups: those with many networks above are tracked on both nodes; the kernel is asked for what it takes."""
    every = [reth(n, n + 1, RethUnitAddress(f"10.0.{2 * n}.1", 24)) for n in range(MOST_NETWORKS + 3)]
    assert [one.reth for one in carried(configured(*every))] == [one.name for one in every[2:]]
    adjacent = [reth(n, n + 1, RethUnitAddress(f"10.1.{n}.1", 24)) for n in range(128)]
    assert len(carried(configured(*adjacent))) == 127, "neighbouring networks are one"


def test_one_group_crosses_nothing() -> None:
    assert carried(configured(WAN)) == ()
    assert carried(configured()) == ()


def test_without_a_fabric_link_nothing_crosses() -> None:
    assert carried(msgspec.structs.replace(CONFIGURATION, fabric_links=())) == ()


def test_it_may_cross_by_either_fabric_link() -> None:
    """The nodes may use different ones, and change them at different times."""
    links = (FabricLink(0, "fab", "fab"), FabricLink(1, "fab2", "fab2"))
    two = msgspec.structs.replace(configured(WAN, LAN), fabric_links=links)
    assert carried(two) == (Carried("reth1", "fab"), Carried("reth1", "fab2"))


def test_it_is_the_same_on_both_nodes() -> None:
    """What depends on the roles is asked of the routes."""
    assert carried(msgspec.structs.replace(CONFIGURATION, node_id=1)) == carried(CONFIGURATION)
