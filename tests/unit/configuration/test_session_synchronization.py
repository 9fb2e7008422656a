"""``chassis cluster session-synchronization``: what it means, and what is refused."""

import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.model.configuration import (
    NatPool,
    RethUnitAddress,
    SessionFilter,
    SessionSynchronization,
)


def loaded(*statements: str) -> SessionSynchronization:
    lines = ["set chassis cluster control-link 0 interface c0", "set chassis cluster redundancy-group 1 node 0 priority 200"]
    lines += [f"set chassis cluster session-synchronization {statement}" for statement in statements]
    return load("\n".join(lines), Identity(1, 0)).session_synchronization


def test_on_unless_said_otherwise() -> None:
    assert loaded().on
    assert loaded("on").on
    assert not loaded("off").on


def test_everything() -> None:
    said = loaded(
        "filter protocol tcp",
        "filter protocol udp",
        "filter except-destination-port 53",
        "filter except-address 10.9.0.0/16",
        "pickup udp assured",
        "pickup tcp new",
        "nat-pool 198.51.100.0/28 redundancy-group 1",
        "mark 7 redundancy-group 1",
        "zone 9 redundancy-group 1",
    )
    assert said == SessionSynchronization(
        True,
        SessionFilter((6, 17), (53,), (RethUnitAddress("10.9.0.0", 16),), (17,)),
        (NatPool(RethUnitAddress("198.51.100.0", 28), 1),),
        ((7, 1),),
        ((9, 1),),
    )


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("mark 7 redundancy-group 2", "needs a redundancy-group that is configured"),
        ("mark 7", "needs a redundancy-group that is configured"),
        ("filter protocol carrier-pigeon", "carrier-pigeon is not"),
        ("filter except-destination-port 70000", "70000 is not within 1..65535"),
        ("pickup udp later", "later is not"),
        ("of", "unknown statement of"),
    ],
)
def test_refused(statement: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        loaded(statement)


def test_on_and_off_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="on and off exclude each other"):
        loaded("on", "off")
