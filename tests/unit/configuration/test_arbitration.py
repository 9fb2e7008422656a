"""``chassis cluster arbitration``: the address or the witness, and that each node can ask it in either role."""

import pytest

from jsrpd.model.configuration import Arbitration
from tests.unit.configuration.texts import problems, read

STATEMENT = "set chassis cluster arbitration"
OWN = [f"set interfaces reth0 unit 0 node-local-address node {n} 192.0.2.{2 + n}/24" for n in (0, 1)]


def test_none_by_default() -> None:
    assert read().arbitration is None
    assert not read().witnessed


def test_addresses_and_witness() -> None:
    assert read(f"{STATEMENT} probe 198.51.100.9", f"{STATEMENT} probe 2001:DB8:9::1").arbitration == Arbitration(
        probes=("198.51.100.9", "2001:db8:9::1")
    )
    witnessed = read(f'{STATEMENT} witness etcd endpoints [ http://192.0.2.9:2379 "https://[2001:db8::9]:2379" ]')
    assert witnessed.arbitration == Arbitration(endpoints=("http://192.0.2.9:2379", "https://[2001:db8::9]:2379"))
    assert witnessed.witnessed


def test_one_of_them() -> None:
    both = problems(f"{STATEMENT} probe 198.51.100.9", f"{STATEMENT} witness etcd endpoints http://192.0.2.9:2379")
    assert both == ["arbitration: takes probe or witness, not both: each could speak for another node"]
    for nothing in ("", " witness", " witness etcd"):
        assert "arbitration: needs probe ADDRESS, or witness etcd endpoints URL" in problems(f"{STATEMENT}{nothing}")


@pytest.mark.parametrize(
    "url",
    [
        "192.0.2.9:2379",
        "ftp://192.0.2.9:2379",
        "http://192.0.2.9",
        "http://:2379",
        "http://a:2379/v3",
        "http://u:p@a:2379",
        "http://[x:1",
    ],
)
def test_what_is_no_client_side(url: str) -> None:
    (problem,) = problems(f'{STATEMENT} witness etcd endpoints "{url}"')
    assert problem.endswith(f"{url} is not a URL such as http://192.0.2.9:2379")


def test_an_address_on_a_segment_is_asked_from_an_address_of_each_node_there() -> None:
    """A standby's own routes to the prefix lead to the owner, whose death is what the address is to tell of."""
    probe = f"{STATEMENT} probe 192.0.2.9"
    assert problems(probe, *OWN) == []
    (problem,) = problems(probe, OWN[0])
    assert problem == (
        "arbitration probe 192.0.2.9: is on the segment of reth0, where node1 has no node-local-address to ask from "
        "while it is secondary"
    )
    assert "node0 and node1 has no node-local-address" in problems(probe)[0]


@pytest.mark.parametrize("address", ["192.0.2.1", "192.0.2.3"])
def test_no_address_of_the_cluster_arbitrates(address: str) -> None:
    assert problems(f"{STATEMENT} probe {address}", *OWN) == [f"arbitration probe {address}: is an address of this cluster"]
