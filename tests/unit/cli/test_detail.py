"""``show chassis cluster information detail`` against ``golden/``, compared by eye with reference 7.5."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from jsrpd.cli import detail, render_xml
from jsrpd.cli.detail import EVENTS, SECTIONS, Block, Told
from jsrpd.cli.main import main
from jsrpd.management.requests import SOCKET_NAME, Reply
from jsrpd.model.details import Details, MonitoredObject, Synchronization
from jsrpd.model.journal import EventKind, JournalEvent, encode_events
from jsrpd.model.link_messages import FIRST_FABRIC_PATH
from jsrpd.model.status import (
    ArbitrationStatus,
    FabricInterfaceStatus,
    GroupStatus,
    LogQueueStatus,
    ScheduleStatus,
    SessionStatus,
)
from tests.unit.cli.test_structured_displays import AT, PATHS, RG0, transition
from tests.unit.management.daemon import IF, cluster, daemon, lost, row

GOLDEN = Path(__file__).parent / "golden"
SESSIONS = SessionStatus(True, True, True, "complete", 1, 0, ("Nov 25 05:00:00 : complete",), 0, (), {})


def event(
    seconds: int, kind: EventKind, text: str, groups: tuple[int, ...] = (), node: int = 0, **values: int | str
) -> JournalEvent:
    by = "root" if kind is EventKind.COMMAND else ""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return JournalEvent(AT + seconds * 10**9, node, kind, text, groups, by=by, values=named)


HAPPENED = (
    transition(0, 0, "hold", "secondary", "Hold timer expired"),
    transition(0, 1, "secondary", "primary", "Better priority (200/100)"),
    transition(1, 1, "hold", "secondary", "of the other node"),
    event(2, EventKind.PATH, "control link ctl0 up: heard", link="ctl0"),
    event(3, EventKind.PATH, "fabric link fab0 up: heard", path=FIRST_FABRIC_PATH),
    event(4, EventKind.MONITOR, "interface lan0 down: weight 255 of redundancy group 1", (1,), interface="lan0", state="down"),
    event(5, EventKind.MONITOR, "interface spare down: not monitored", interface="spare", state="down"),
    event(6, EventKind.MONITOR, "SP cpu 1 failed: waited 9 s, limit 5 s, weight 255", (1,), monitor="SP", object="cpu 1"),
    event(7, EventKind.MONITOR, "HW memory failed: 97%, limit 95%, weight 255", (0, 1), monitor="HW", object="memory"),
    event(8, EventKind.MONITOR, "SM engine schedule failed: 3 slips", (0, 1), monitor="SM", object="engine schedule"),
    event(9, EventKind.MONITOR, "SC web failed: exit 1, limit exit 0, weight 100", (1,), monitor="SC", object="web"),
    event(10, EventKind.CONFIGURATION, "configuration loaded: weights"),
    event(11, EventKind.COMMAND, "clear statistics: Cleared control-plane statistics\nCleared data-plane statistics"),
)
OBJECTS = (
    MonitoredObject("SP", "cpu 0", False, "1 ms", "5000 ms", (1,)),
    MonitoredObject("SP", "cpu 1", True, "waited 9 s", "5000 ms", (1,)),
    MonitoredObject("NP", "lan flaps", False, "0 a minute", "5 a minute", (1,)),
    MonitoredObject("HW", "memory", True, "97%", "95%", (0, 1)),
    MonitoredObject("HW", "temperature", False, "61 C", "90 C", (0, 1)),
    MonitoredObject("SC", "web", True, "exit 1", "exit 0", (1,)),
)
BUSY = Told(
    cluster(
        RG0,
        GroupStatus(1, 2, (row(0, 0, "secondary", failures=IF, weight=0), row(1, 100, "primary"))),
        sessions=SESSIONS,
        paths=PATHS,
        heartbeat_interval_ms=100,
        heartbeat_threshold=5,
        control_link_recovery="rejoin",
        schedule=ScheduleStatus(True, True, 250, 3, 1400, True, 42),
        arbitration=ArbitrationStatus("probe", True, True, 180_000_000),
        log=(LogQueueStatus("engine", "local", 0, 0), LogQueueStatus("gateway", "tls", 3, 17)),
    ),
    HAPPENED,
    Details(OBJECTS, Synchronization(True, "", "", "commit 7 by root on node1")),
)
ALONE = Told(
    cluster(
        GroupStatus(0, 1, (row(0, 200, "primary"), lost(1))),
        control_links=(),
        fabric_up=False,
        fabric_interfaces=(),
        heartbeat_interval_ms=10,
        heartbeat_threshold=3,
        control_link_recovery="manual",
        schedule=ScheduleStatus(False),
        arbitration=ArbitrationStatus("witness", False),
    ),
    (),
    Details(None, Synchronization(False, "control link 0: no answer", "the histories differ", "commit 7 by root on node1")),
)
CALLER = Told(
    msgspec.structs.replace(ALONE.snapshot, node=1, sessions=SESSIONS, schedule=ScheduleStatus(True, False, 100)),
    (),
    Details((), None),
)
NODES = {"busy": BUSY, "alone": ALONE, "caller": CALLER}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day do not depend on where the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def block(told: Told) -> Block:
    return Block(told.snapshot.node, told)


@pytest.mark.parametrize("name", NODES)
def test_everything(name: str) -> None:
    blocks = [block(NODES[name])]
    assert detail.text(blocks, tuple(SECTIONS)) == (GOLDEN / f"detail-{name}.txt").read_text()
    printed = render_xml.reply(detail.xml(blocks, tuple(SECTIONS), "chassis-cluster-detail-information"))
    assert printed == (GOLDEN / f"xml-detail-{name}.xml").read_text()
    assert ElementTree.fromstring(printed).find("multi-routing-engine-results/multi-routing-engine-item/re-name") is not None


@pytest.mark.parametrize(("in_use", "named"), [(None, ""), (0, "lan2"), (1, "lan3"), (2, "")])
def test_the_fabric_link_that_carries_data_is_named(in_use: int | None, named: str) -> None:
    """Where there is a choice; after a commit it may be one that is gone."""
    both = tuple(FabricInterfaceStatus(f"fab{node}", child, True, True) for node in (0, 1) for child in ("lan2", "lan3"))
    told = Told(msgspec.structs.replace(BUSY.snapshot, fabric_interfaces=both, fabric_in_use=in_use), (), BUSY.details)
    shown = detail.text([block(told)], ("fabric-link",))
    assert ("Child link that carries data" in shown) == bool(named)
    assert f"Child link that carries data: {named}\n" in shown or not named
    xml = render_xml.reply(detail.xml([block(told)], ("fabric-link",), "fabric-link-information"))
    assert (f"<fabric-data-child-interface-name>{named}<" in xml) == bool(named)
    alone = msgspec.structs.replace(told.snapshot, fabric_interfaces=both[::2], fabric_in_use=0)
    assert "carries data" not in detail.text([block(Told(alone, (), BUSY.details))], ("fabric-link",))


def test_events_of_the_other_node_are_in_its_own_journal() -> None:
    assert "of the other node" not in detail.text([block(BUSY)], tuple(SECTIONS))


def test_only_the_newest_events_are_shown() -> None:
    many = tuple(event(n, EventKind.PATH, f"control link ctl0 number {n}", link="ctl0") for n in range(EVENTS + 5))
    shown = detail.text([block(with_events(BUSY, many))], ("control-link",))
    assert "number 4" not in shown
    assert "number 5" in shown
    assert f"number {EVENTS + 4}" in shown


def with_events(told: Told, events: tuple[JournalEvent, ...]) -> Told:
    return Told(told.snapshot, events, told.details)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("detail", "Redundancy mode:"),
        ("detail redundancy-group 0", "Redundancy mode:"),
        ("detail spu", "SPU monitoring:"),
        ("detail interface-monitor", "Interface monitoring:"),
        ("detail fabric-link", "Fabric monitoring:"),
        ("detail control-link", "Control link status: Up"),
        ("detail hardware-monitor", "Hardware monitoring:"),
        ("detail schedule-monitor", "Schedule monitoring:"),
        ("detail command-history", "Command history:"),
        ("configuration-synchronization", "Configuration Synchronization:"),
    ],
)
def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, first: str
) -> None:
    for variable in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(variable, str(tmp_path))
    away = Reply(False, "error: node1 does not answer", 1)
    answers = (
        *(Reply(True, node=0, status=BUSY.snapshot), away),
        *(Reply(True, node=0, details=BUSY.details), away),
        *(Reply(True, node=0, events=encode_events(HAPPENED)), away),
    )
    for display, check in (
        ("", lambda said: said.splitlines()[2] == first and said.splitlines()[-2] == away.text),
        ("| display json", lambda said: [one["problem"] for one in json.loads(said)] == ["", away.text]),
        ("| display xml", lambda said: ElementTree.fromstring(said).findtext(".//error/message") == away.text),
    ):
        with daemon(tmp_path / SOCKET_NAME, *answers) as asked:
            assert main(f"show chassis cluster information {typed} {display}".split()) == 0
        (tmp_path / SOCKET_NAME).unlink()
        said = capsys.readouterr().out
        assert check(said), said
        assert [json.loads(line)["type"] for line in asked] == [
            *("show-status", "ask-peer", "show-details", "ask-peer", "read-events", "ask-peer")
        ]


def test_both_nodes_tell_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    answers = (
        *(Reply(True, node=1, status=CALLER.snapshot), Reply(True, node=0, status=BUSY.snapshot)),
        *(Reply(True, node=1, details=CALLER.details), Reply(True, node=0, details=BUSY.details)),
        *(Reply(True, node=1, events=encode_events(())), Reply(True, node=0, events=encode_events(HAPPENED))),
    )
    with daemon(tmp_path / SOCKET_NAME, *answers):
        assert main(["show", "chassis", "cluster", "information", "detail"]) == 0
    assert capsys.readouterr().out == "".join((GOLDEN / f"detail-{name}.txt").read_text() for name in ("busy", "caller"))


def test_a_group_is_chosen() -> None:
    one = Told(msgspec.structs.replace(BUSY.snapshot, groups=BUSY.snapshot.groups[:1]), BUSY.events, BUSY.details)
    assert "Redundancy group: 1" not in detail.text([block(one)], ("groups",))
    assert "Redundancy group: 1" in detail.text([block(BUSY)], ("groups",))


def test_a_daemon_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    answers = (Reply(True, node=0, status=BUSY.snapshot), Reply(True, node=1, status=CALLER.snapshot))
    with daemon(tmp_path / SOCKET_NAME, *answers, *[Reply(True, node=0), Reply(True, node=1)] * 2):
        assert main(["show", "chassis", "cluster", "information", "detail"]) == 1
    assert "of one version" in capsys.readouterr().err
