"""``| display xml`` and ``show chassis cluster information`` against ``golden/``, compared by eye with reference 7.2 to 7.8."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from jsrpd.cli import information, render_ip_monitoring, render_statistics, render_text, render_xml
from jsrpd.cli.both_nodes import Answer
from jsrpd.cli.render_xml import Element
from jsrpd.management.requests import Reply
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.status import (
    ClusterStatus,
    FabricInterfaceStatus,
    GroupStatus,
    InterfaceMonitorStatus,
    LinkStatus,
    PathStatus,
    SessionStatus,
)
from tests.unit.management.daemon import IF, cluster, lost, row

GOLDEN = Path(__file__).parent / "golden"
RG0 = GroupStatus(0, 1, (row(0, 200, "primary"), row(1, 100, "secondary")))
SESSIONS = SessionStatus(True, True, True, "complete", 1, 0, ("Nov 25 05:00:00 : complete",), 0, (("Session create", 3, 4),), {})
HEALTHY = cluster(RG0, GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))), sessions=SESSIONS)
FAILED_OVER = cluster(
    RG0,
    GroupStatus(1, 2, (row(0, 0, "secondary", failures=IF, weight=0), row(1, 100, "primary"))),
    interface_monitors=(
        InterfaceMonitorStatus("lan0", 255, False, False, 1, 0),
        InterfaceMonitorStatus("lan0", 255, True, True, 1, 1),
    ),
    fabric_interfaces=(FabricInterfaceStatus("fab0", "lan2", True, False), FabricInterfaceStatus("fab1", "lan2", True, True)),
)
MANUAL = cluster(RG0, GroupStatus(1, 2, (row(0, 200, "secondary", manual=True), row(1, 255, "primary", manual=True))))
PEER_LOST = cluster(
    GroupStatus(0, 1, (row(0, 200, "primary"), lost(1))),
    GroupStatus(1, 3, (row(0, 200, "primary"), lost(1))),
    control_links=(LinkStatus(0, "ctl0", False, "no heartbeat"),),
    fabric_up=False,
    fabric_interfaces=(FabricInterfaceStatus("fab0", "lan2", True, False), FabricInterfaceStatus("fab1", "lan2", None, None)),
)
INELIGIBLE = cluster(RG0, GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 0, "ineligible"))))
DISABLED = cluster(RG0, GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 0, "disabled"))))
TWO_FABRIC_LINKS = cluster(
    RG0,
    fabric_interfaces=(
        FabricInterfaceStatus("fab0", "lan2", False, False),
        FabricInterfaceStatus("fab0", "lan3", True, True),
        FabricInterfaceStatus("fab1", "lan2", True, False),
        FabricInterfaceStatus("fab1", "lan3", True, True),
    ),
)
CLUSTERS = {
    "healthy": HEALTHY,
    "failed-over": FAILED_OVER,
    "manual": MANUAL,
    "peer-lost": PEER_LOST,
    "ineligible": INELIGIBLE,
    "disabled": DISABLED,
}
AT = 1_764_050_000 * 1_000_000_000


def transition(node: int, seconds: int, old: str, new: str, reason: str) -> JournalEvent:
    values: dict[str, int | str] = {"old-state": old, "new-state": new}
    return JournalEvent(AT + seconds * 10**9, node, EventKind.TRANSITION, f"{old} -> {new}: {reason}", (1,), reason, values=values)


EVENTS = [
    transition(0, 0, "hold", "secondary", "Hold timer expired"),
    transition(0, 1, "secondary", "primary", "Better priority (200/100)"),
    JournalEvent(AT, 0, EventKind.MONITOR, "interface lan0 down", (1,)),
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day do not depend on where the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def golden(name: str, printed: str) -> None:
    """``printed`` is what the file holds."""
    assert printed == (GOLDEN / name).read_text()


@pytest.mark.parametrize("name", CLUSTERS)
def test_status(name: str) -> None:
    printed = render_xml.reply(render_xml.status(CLUSTERS[name]), snapshot=CLUSTERS[name])
    golden(f"xml-status-{name}.xml", printed)
    rows = ElementTree.fromstring(printed).findall("chassis-cluster-status/redundancy-group/device-stats")
    assert [len(group.findall("device-name")) for group in rows] == [2, 2]


@pytest.mark.parametrize("name", CLUSTERS)
def test_information(name: str) -> None:
    told = information.nodes(CLUSTERS[name], EVENTS, {})
    golden(f"information-{name}.txt", information.text(told))
    golden(f"xml-information-{name}.xml", render_xml.reply(information.xml(told), snapshot=CLUSTERS[name]))
    assert [node["node"] for node in json.loads(information.json(told))] == [0, 1]


@pytest.mark.parametrize("name", ["healthy", "failed-over", "peer-lost"])
@pytest.mark.parametrize("render", [render_xml.interfaces, render_xml.data_plane_interfaces, render_xml.control_interfaces])
def test_interfaces(name: str, render: Callable[[ClusterStatus], Element]) -> None:
    printed = render_xml.reply(render(CLUSTERS[name]), snapshot=CLUSTERS[name])
    golden(f"xml-{render.__name__.replace('_', '-')}-{name}.xml", printed)


def test_two_fabric_links() -> None:
    """Each child of each node has a row of its own, and the one that failed is named."""
    golden("xml-interfaces-two-fabric-links.xml", render_xml.reply(render_xml.interfaces(TWO_FABRIC_LINKS)))
    golden("data-plane-interfaces-two-fabric-links.txt", render_text.data_plane_interfaces(TWO_FABRIC_LINKS))
    golden("information-two-fabric-links.txt", information.text(information.nodes(TWO_FABRIC_LINKS, [], {})))


@pytest.mark.parametrize("name", ["healthy", "peer-lost"])
def test_link_tables(name: str) -> None:
    golden(f"data-plane-interfaces-{name}.txt", render_text.data_plane_interfaces(CLUSTERS[name]))
    golden(f"control-interface-{name}.txt", render_text.control_interfaces(CLUSTERS[name]))


PATHS = (
    PathStatus("control link 0", "ctl0", True, 124, 125, 0, 0.0, 0, 0, 1, 124, 131),
    PathStatus("control link 1", "ctl1", False, 0, 0, 0, 0.0, 0, 3, 0, 124, 0),
    PathStatus("fabric link 0", "fab", True, 124, 120, 4, 3.2, 0, 2, 0, 124, 131),
    PathStatus("segment 0", "lan", True, 124, 119, 0, 0.0, 0, 0, 0, 124, 131),
)


@pytest.mark.parametrize(("name", "paths"), [("links", PATHS), ("alone", PATHS[:1])])
def test_statistics(name: str, paths: tuple[PathStatus, ...]) -> None:
    snapshot = msgspec.structs.replace(HEALTHY, paths=paths)
    golden(f"control-plane-statistics-{name}.txt", render_statistics.control_plane(snapshot))
    golden(f"xml-control-plane-statistics-{name}.xml", render_xml.reply(render_statistics.xml(snapshot), snapshot=snapshot))
    golden(f"statistics-{name}.json", render_statistics.json(snapshot))


AWAY = "error: node0 does not answer: control link 0: no answer"


def test_sessions() -> None:
    golden("xml-services.xml", render_xml.reply(render_xml.services(HEALTHY), render_xml.cold_synchronization(HEALTHY)))
    assert "has not reported" in render_xml.reply(render_xml.cold_synchronization(MANUAL))


def answers() -> list[Answer]:
    """Of node 1; node 0 is away."""
    targets = (IpTargetStatus("192.0.2.1", "unreachable", 3, 100, "no <reply>"),)
    told = Reply(True, node=1, ip_monitoring=(IpGroupStatus(1, 255, 100, 0, targets),))
    return [Answer(0, None, AWAY), Answer(1, told)]


def test_ip_monitoring() -> None:
    golden("xml-ip-monitoring.xml", render_xml.reply(render_ip_monitoring.as_xml(answers())))
    golden("ip-monitoring-peer-away.txt", render_ip_monitoring.as_text(answers()))
    tree = json.loads(render_ip_monitoring.as_json(answers()))
    assert [(one["node"], one["problem"], len(one["groups"])) for one in tree] == [(0, AWAY, 0), (1, "", 1)]


def test_information_of_a_node_that_is_heard_and_cannot_be_asked() -> None:
    told = information.nodes(CLUSTERS["healthy"], EVENTS, {1: "error: node1 does not answer: control link 0: no answer"})
    golden("information-peer-away.txt", information.text(told))
    golden("xml-information-peer-away.xml", render_xml.reply(information.xml(told), snapshot=CLUSTERS["healthy"]))
    assert json.loads(information.json(told))[1]["untold"].startswith("error: node1")


@pytest.mark.parametrize(
    ("name", "node", "light"),
    [
        ("healthy", 0, ("Green", "No failures")),
        ("failed-over", 0, ("Amber", "Monitored objects are down")),
        ("failed-over", 1, ("Green", "No failures")),
        ("peer-lost", 0, ("Red", "Peer node: node1 is lost")),
        ("disabled", 0, ("Red", "Peer node: node1 is disabled")),
        ("disabled", 1, ("Off", "node1 is disabled")),
        ("ineligible", 0, ("Amber", "Monitored objects are down")),
    ],
)
def test_the_light(name: str, node: int, light: tuple[str, str]) -> None:
    """Reference 3.7."""
    assert information.led(CLUSTERS[name], node) == light


def test_text_that_xml_cannot_hold_is_left_out() -> None:
    assert render_xml.render(("a", "x\x00<\ud800&")) == "<a>x&lt;&amp;</a>\n"
