"""Which event is which trap, varbind by varbind (reference 9.1)."""

import msgspec
import pytest

from jsrpd.gateway.traps import Weights, of_events
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH
from jsrpd.model.status import ClusterStatus
from tests.unit.management.daemon import cluster

MIB = "1.3.6.1.4.1.2636.3.39.1.14.1"


def transition(old: str, new: str, node: int = 0) -> JournalEvent:
    values: dict[str, int | str] = {"old-state": old, "new-state": new}
    return JournalEvent(1, node, EventKind.TRANSITION, f"{old} -> {new}: because", (1,), "because", values=values)


def path(text: str, reason: str = "", **values: int | str) -> JournalEvent:
    return JournalEvent(1, 0, EventKind.PATH, text, reason=reason, values=values)


def test_switchover() -> None:
    (trap,) = of_events([transition("primary", "secondary-hold")], 7, 0)
    assert trap.oid == f"{MIB}.0.1"
    texts = ["1", "7", "0", "primary", "secondary-hold", "because"]
    assert trap.varbinds == [(f"{MIB}.1.{n}.0", text) for n, text in enumerate(texts, 1)]


def test_leaving_hold_and_the_peer_are_nothing() -> None:
    assert of_events([transition("hold", "secondary"), transition("primary", "lost", node=1)], 7, 0) == []
    assert of_events([JournalEvent(1, 0, EventKind.MESSAGE, "x")], 7, 0) == []


@pytest.mark.parametrize(
    ("event", "texts"),
    [
        (path("control link ctl0 up: heard", link="ctl0"), ["7", "ctl0", "UP", "minor", "heard"]),
        (path("control link ctl0 down: no heartbeat", "no heartbeat", link="ctl0"), ["7", "ctl0", "DOWN", "major", "no heartbeat"]),
        (path("fabric link fab up: heard", path=FIRST_FABRIC_PATH), ["7", "fab0", "UP", "minor", "heard"]),
        (
            path("fabric link fab down: silent for 500 ms", path=FIRST_FABRIC_PATH),
            ["7", "fab0", "DOWN", "major", "silent for 500 ms"],
        ),
    ],
)
def test_links(event: JournalEvent, texts: list[str]) -> None:
    (trap,) = of_events([event], 7, 0)
    assert trap.oid == f"{MIB}.0.2"
    numbers = [2, 7, 8, 9, 10]
    assert trap.varbinds == [(f"{MIB}.1.{n}.0", text) for n, text in zip(numbers, texts, strict=True)]


def test_segments_are_no_links_of_the_vendor() -> None:
    assert of_events([path("segment of reth0 up: heard", path=FIRST_IN_BAND_PATH)], 7, 0) == []


def weighing(weight: int | None) -> ClusterStatus:
    status = cluster()
    groups = tuple(
        msgspec.structs.replace(group, nodes=tuple(msgspec.structs.replace(row, weight=weight) for row in group.nodes))
        for group in status.groups[:1]
    )
    return msgspec.structs.replace(status, groups=groups)


def test_weights_that_cross_zero() -> None:
    """Once for each crossing, of this node only, and nothing for a group that was healthy from the start."""
    weights = Weights()
    assert weights.of(weighing(255)) == []
    (low,) = weights.of(weighing(0))
    assert low.oid == f"{MIB}.0.4"
    status = cluster()
    texts = [str(status.cluster_id), str(status.groups[0].group), str(status.node), "unhealthy", "0"]
    assert low.varbinds == [(f"{MIB}.1.{n}.0", text) for n, text in enumerate(texts, 15)]
    assert weights.of(weighing(-255)) == []
    assert weights.of(weighing(None)) == []
    (high,) = weights.of(weighing(1))
    assert high.varbinds[3:] == [(f"{MIB}.1.18.0", "healthy"), (f"{MIB}.1.19.0", "1")]
