"""``explain`` and ``what-if`` from the words typed to what is printed, against golden files and a stand-in daemon."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.cli import what_if
from jsrpd.cli.main import main
from jsrpd.cli.what_if import FORMS, NotUnderstood
from jsrpd.configuration.identity import Identity, write_identity
from jsrpd.core import checkpoint
from jsrpd.core.explain import explain
from jsrpd.core.what_if import (
    Committed,
    FailoverOrdered,
    InterfaceSet,
    MonitorSet,
    NodeKilled,
    NodeLost,
    NodeStarted,
    NodeStopped,
    PathsSet,
    Planned,
    ResetOrdered,
    Supposed,
)
from jsrpd.management.journal import EVENTS, SegmentWriter
from jsrpd.management.requests import SOCKET_NAME, CoreState, Reply
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.explanation import GroupExplanation
from jsrpd.model.journal import EventKind, JournalEvent, encode_events
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import MILLISECOND, SECOND
from tests.unit.core import recorded
from tests.unit.management.daemon import daemon

GOLDEN = Path(__file__).parent / "golden"
FAILED_OVER = "at 2s node0 interface lan down\nat 2s node1 interface wan down\nuntil 5s\n"
MANUAL = "at 2s node0 request failover redundancy-group 1 node 1\nuntil 5s\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One directory for everything, and one time zone."""
    for variable in ("RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


def explained(script: str) -> tuple[GroupExplanation, ...]:
    core = recorded.core(script)
    return explain(core, core.judged, recorded.WALL_OFFSET)


def printed(capsys: pytest.CaptureFixture[str], directory: Path, typed: str, reply: Reply, code: int = 0) -> str:
    with daemon(directory / SOCKET_NAME, reply):
        assert main(typed.split()) == code
    (directory / SOCKET_NAME).unlink()
    said = capsys.readouterr()
    return said.out + said.err


@pytest.mark.parametrize(
    ("script", "typed", "golden"),
    [
        ("until 4s\n", "show chassis cluster explain", "explain-healthy.txt"),
        (FAILED_OVER, "show chassis cluster explain redundancy-group 1", "explain-failed-over.txt"),
        (FAILED_OVER, "show chassis cluster explain redundancy-group 1 | display json", "explain-failed-over.json"),
        (FAILED_OVER, "show chassis cluster explain redundancy-group 1 | display xml", "xml-explain-failed-over.xml"),
        ("at 2s node1 kill\nuntil 5s\n", "show chassis cluster explain redundancy-group 1", "explain-peer-lost.txt"),
    ],
)
def test_explain(capsys: pytest.CaptureFixture[str], directory: Path, script: str, typed: str, golden: str) -> None:
    reply = Reply(True, node=0, explanations=explained(script))
    assert printed(capsys, directory, typed, reply) == (GOLDEN / golden).read_text()


def test_a_manual_failover_names_who_ordered_it(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    def order(at: int, group: int, by: str, outcome: str) -> JournalEvent:
        text = f"failover redundancy-group {group} node 1: said"
        return JournalEvent(at * SECOND, 0, EventKind.COMMAND, text, (group,), by=by, values={"outcome": outcome})

    reply = Reply(True, node=0, explanations=explained(MANUAL))
    typed = "show chassis cluster explain redundancy-group 1"
    assert "does not stand in the journal of this node" in printed(capsys, directory, typed, reply)
    writer = SegmentWriter(directory / "journal", EVENTS, 1 << 20, 1 << 20)
    for event in (
        order(1, 1, "early", "done"),
        order(2, 1, "root", "done"),
        order(3, 1, "late", "refused"),
        order(4, 2, "other", "done"),
    ):
        writer.append(encode_events((event,)))
    shown = printed(capsys, directory, typed, reply)
    assert "    - the failover was ordered by root at 1970-01-01 00:00:02.000 +0000\n" in shown


def test_the_last_changes_come_from_the_journal(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    writer = SegmentWriter(directory / "journal", EVENTS, 1 << 20, 1 << 20)
    for at in range(1, 7):
        writer.append(encode_events((JournalEvent(at * SECOND, 0, EventKind.TRANSITION, f"change {at}", (1 + at % 5 // 4,)),)))
    reply = Reply(True, node=0, explanations=explained(FAILED_OVER))
    shown = printed(capsys, directory, "show chassis cluster explain redundancy-group 1", reply)
    changes = "".join(f"    - 1970-01-01 00:00:0{at}.000 +0000  change {at}\n" for at in (2, 3, 5, 6))
    assert shown == (GOLDEN / "explain-failed-over.txt").read_text() + "  Its last changes on node0:\n" + changes


def test_a_group_that_is_not_there(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    reply = Reply(True, node=0, explanations=explained("until 4s\n"))
    shown = printed(capsys, directory, "show chassis cluster explain redundancy-group 7", reply, 1)
    assert shown == "error: redundancy group 7 is not configured\n"


# -- what-if --------------------------------------------------------------------------------------------------------------


def state(script: str = "until 4s\n") -> Reply:
    core = recorded.core(script)
    return Reply(True, node=0, core=CoreState(core.judged, recorded.WALL_OFFSET, checkpoint.encode(core)))


@pytest.mark.parametrize(
    ("events", "golden"),
    [
        ("interface lan down; after 2s; node 1 lost", "what-if.txt"),
        ("all links down; after 1s all links up | display json", "what-if.json"),
    ],
)
def test_what_if(capsys: pytest.CaptureFixture[str], directory: Path, events: str, golden: str) -> None:
    shown = printed(capsys, directory, f"request chassis cluster what-if {events}", state())
    assert shown == (GOLDEN / golden).read_text()


def test_quotes_or_not(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    with daemon(directory / SOCKET_NAME, state()):
        assert main(["request", "chassis", "cluster", "what-if", "interface lan down; after 2s; node 1 lost"]) == 0
    assert capsys.readouterr().out == (GOLDEN / "what-if.txt").read_text()


def test_a_daemon_of_another_version(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    reply = Reply(True, node=0, core=CoreState(0, 0, b"\x80"))
    shown = printed(capsys, directory, "request chassis cluster what-if node 1 lost", reply, 1)
    assert shown == "error: the daemon's state is not understood; jsrp and jsrpd must be of one version\n"


def never(_path: Path) -> tuple[ClusterConfiguration, ClusterConfiguration]:
    raise AssertionError("no file was named")


CORE = recorded.core("until 4s\n")


def parsed(text: str) -> list[Planned]:
    return what_if.parse(text, CORE, never)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("interface lan down", InterfaceSet(0, "lan", False)),
        ("interface lan up on node 1", InterfaceSet(1, "lan", True)),
        ("interface fab0 down", InterfaceSet(0, "fab0", False)),
        ("interface ctl0 down", InterfaceSet(0, "ctl0", False)),
        ("monitor SG failed redundancy-group 1", MonitorSet(0, 1, FailureCode.SG, 255)),
        ("monitor IP failed redundancy-group 1 weight 100 on node 1", MonitorSet(1, 1, FailureCode.IP, 100)),
        ("monitor CS recovered redundancy-group 0 on node 1", MonitorSet(1, 0, FailureCode.CS, None)),
        ("node 0 lost", NodeLost(0)),
        ("node 1 killed", NodeKilled(1)),
        ("node node1 stopped", NodeStopped(1)),
        ("node 1 started", NodeStarted(1)),
        ("control link 0 down", PathsSet((0,), False)),
        ("control link ctl0 up", PathsSet((0,), True)),
        ("fabric down", PathsSet((4,), False)),
        ("fabric link up", PathsSet((4,), True)),
        ("fabric link 0 down", PathsSet((4,), False)),
        ("all links down", PathsSet((0, 4), False)),
        ("failover redundancy-group 1 node 1", FailoverOrdered(1, 1)),
        ("reset", ResetOrdered(None)),
        ("failover reset redundancy-group 0", ResetOrdered(0)),
    ],
)
def test_every_form(text: str, event: Supposed) -> None:
    assert parsed(text) == [Planned(0, event, text)]


def test_waiting() -> None:
    plan = parsed("reset; after 5s; node 1 lost; after 500ms node 1 started; node 0 lost after 1.5min;")
    assert [planned.after for planned in plan] == [0, 5 * SECOND, 5500 * MILLISECOND, 95_500 * MILLISECOND]
    assert [planned.text for planned in plan] == ["reset", "node 1 lost", "node 1 started", "node 0 lost"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "error: no event"),
        ("after 5s", "error: no event"),
        ("interface lam down", "the cluster knows no interface of node0 'lam' (did you mean lan?); it knows fab0, lan, wan, ctl0"),
        ("interface lan dwn", "error: 'interface lan dwn' is not understood (nearest: interface IF down)"),
        ("monitor IF failed redundancy-group 1", "error: the cluster knows no failure code 'IF'"),
        ("monitor SG failed redundancy-group 1 weight 300", "error: 'weight 300' is not understood; a weight is 0..255"),
        ("monitor SG failed redundancy-group 7", "error: the cluster knows no redundancy group '7'; it knows 0, 1"),
        ("node 2 lost", "error: node 2 is not within range 0..1"),
        ("node 1 lots", "error: 'node 1 lots' is not understood (nearest: node N lost)"),
        ("control link 3 down", "error: the cluster knows no control link '3'; it knows 0, ctl0"),
        ("failover redundancy-group 5 node 1", "error: the cluster knows no redundancy group '5'; it knows 0, 1"),
        ("reset; after 5 node 1 lost", "error: '5' is not a duration; for example 500ms, 5s, 2min; at most 10min"),
        ("reset; after 11min; reset", "error: '11min' is not a duration"),
        ("unplug everything", "error: 'unplug everything' is not understood"),
    ],
)
def test_wrong_events(text: str, said: str) -> None:
    with pytest.raises(NotUnderstood) as raised:
        parsed(text)
    assert said in str(raised.value)


def test_what_is_not_understood_is_answered_with_all_forms(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    shown = printed(capsys, directory, "request chassis cluster what-if lan is broken", state(), 1)
    assert all(f"  {form}\n" in shown for form in FORMS)


def test_every_form_that_is_offered_is_understood() -> None:
    concrete = {"IF": "lan", "N": "1", "M": "0", "W": "255", "CODE": "SG", "DURATION": "1s; reset", "FILE": "candidate.conf"}
    for form in FORMS:
        words = [concrete.get(word, word) for word in form.replace("link N", "link 0").split()]
        pair = (CORE.configuration, CORE.configuration)
        plan = what_if.parse(" ".join(words), CORE, lambda _path, pair=pair: pair)  # type: ignore[misc]
        assert plan, form
        assert isinstance(plan[0].what, Committed) == form.startswith("commit")


# -- candidates -----------------------------------------------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "two-nodes.conf"


def test_a_candidate_is_read_for_both_nodes(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    write_identity(directory, Identity(1, 0))
    shown = printed(capsys, directory, f"request chassis cluster what-if commit {EXAMPLE} | display json", state())
    assert json.loads(shown)["timeline"][0]["text"] == f"commit {EXAMPLE}"


def test_a_candidate_that_would_be_refused(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    write_identity(directory, Identity(1, 0))
    (directory / "wrong.conf").write_text("chassis { cluster { heartbeat-interval 1; } }\n")
    shown = printed(capsys, directory, f"request chassis cluster what-if commit {directory}/wrong.conf", state(), 1)
    assert shown.startswith(f"error: {directory}/wrong.conf would be refused:\n")
    assert "heartbeat-interval" in shown
    shown = printed(capsys, directory, f"request chassis cluster what-if commit {directory}/absent.conf", state(), 1)
    assert shown == f"error: {directory}/absent.conf: No such file or directory\n"
