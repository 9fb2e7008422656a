"""Displays against the files of ``golden/``, whose layout was compared by eye with reference 7.2 and 7.3."""

import json
from pathlib import Path

import msgspec
import pytest

from jsrpd.cli import render_json, render_text
from jsrpd.model.status import (
    ClusterStatus,
    FabricInterfaceStatus,
    GroupStatus,
    InterfaceMonitorStatus,
    LinkStatus,
    RethStatus,
)
from tests.unit.management.daemon import IF, IP, cluster, lost, row

GOLDEN = Path(__file__).parent / "golden"

HEALTHY = cluster()
SEVERAL_GROUPS = cluster(
    GroupStatus(0, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))),
    GroupStatus(1, 4, (row(0, 0, "secondary", preempt=True, failures=IF), row(1, 100, "primary", preempt=True))),
    GroupStatus(128, 12, (row(0, 1, "secondary-hold"), row(1, 254, "primary", failures=IF | IP))),
)
MANUAL = cluster(
    GroupStatus(1, 2, (row(0, 200, "secondary-hold", preempt=True, manual=True), row(1, 255, "primary", preempt=True, manual=True)))
)
PEER_LOST = cluster(
    GroupStatus(1, 3, (row(0, 200, "primary"), lost(1))),
    control_links=(LinkStatus(0, "ctl0", False, "no heartbeat"),),
    fabric_up=False,
    fabric_interfaces=(
        FabricInterfaceStatus("fab0", "lan2", True, False),
        FabricInterfaceStatus("fab1", "lan2", None, None),
    ),
    interface_monitors=(
        InterfaceMonitorStatus("lan0", 255, True, True, 1),
        InterfaceMonitorStatus("lan0", 255, None, None, 1),
    ),
)
NOTICES = cluster(notices=("the nodes run different redundancy modes", "no fabric link"))
INTERFACE_DOWN = cluster(
    control_links=(LinkStatus(0, "ctl0", False, "no heartbeat"), LinkStatus(1, "enp101s0f0np0v1", True, "heard")),
    reths=(RethStatus("reth0", False, 1), RethStatus("reth127", True, None)),
    interface_monitors=(
        InterfaceMonitorStatus("lan0", 255, False, False, 1),
        InterfaceMonitorStatus("enp101s0f0np0v1", 1, True, True, 128),
    ),
)
TWO_FABRIC_LINKS = cluster(
    fabric_interfaces=(
        FabricInterfaceStatus("fab0", "lan2", False, False),
        FabricInterfaceStatus("fab0", "lan3", True, True),
        FabricInterfaceStatus("fab1", "lan2", True, False),
        FabricInterfaceStatus("fab1", "lan3", True, True),
    ),
    fabric_in_use=1,
)
BARE = cluster(control_links=(), fabric_up=False, fabric_interfaces=(), reths=(), interface_monitors=())


@pytest.mark.parametrize(
    ("name", "snapshot"),
    [
        ("status-healthy", HEALTHY),
        ("status-several-groups", SEVERAL_GROUPS),
        ("status-manual-failover", MANUAL),
        ("status-peer-lost", PEER_LOST),
        ("status-notices", NOTICES),
        ("interfaces-healthy", HEALTHY),
        ("interfaces-peer-lost", PEER_LOST),
        ("interfaces-one-down", INTERFACE_DOWN),
        ("interfaces-none", BARE),
        ("interfaces-two-fabric-links", TWO_FABRIC_LINKS),
    ],
)
def test_text(name: str, snapshot: ClusterStatus) -> None:
    render = render_text.status if name.startswith("status") else render_text.interfaces
    assert render(snapshot) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize(("name", "snapshot"), [("several-groups", SEVERAL_GROUPS), ("peer-lost", PEER_LOST)])
def test_json(name: str, snapshot: ClusterStatus) -> None:
    assert render_json.snapshot(snapshot) == (GOLDEN / f"{name}.json").read_text()


@pytest.mark.parametrize("snapshot", [HEALTHY, SEVERAL_GROUPS, MANUAL, PEER_LOST, INTERFACE_DOWN, TWO_FABRIC_LINKS, BARE])
def test_json_has_the_documented_shape(snapshot: ClusterStatus) -> None:
    """The fields of ``ClusterStatus`` and no others; only the failures are written as codes."""
    tree = json.loads(render_json.snapshot(snapshot))
    for group, shown in zip(snapshot.groups, tree["groups"], strict=True):
        for node, shown_node in zip(group.nodes, shown["nodes"], strict=True):
            codes = shown_node["failures"]
            shown_node["failures"] = None if codes is None else sum({"IF": IF, "IP": IP}[code] for code in codes)
            assert shown_node["node"] == node.node
    assert msgspec.convert(tree, ClusterStatus) == snapshot
    assert tree.keys() == set(ClusterStatus.__struct_fields__)


def test_an_answer_stands_under_its_node() -> None:
    assert render_text.node_block(1, "done") == f"node1:\n{'-' * 74}\ndone\n\n"
