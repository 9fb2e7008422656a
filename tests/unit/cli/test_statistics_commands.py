"""``clear chassis cluster information`` on both nodes, and that what was cleared is not shown."""

import json
from pathlib import Path

import pytest

from jsrpd.cli.main import main
from jsrpd.management.requests import SOCKET_NAME, Reply
from jsrpd.model.journal import EventKind, JournalEvent, encode_events, since_cleared
from tests.unit.cli.test_structured_displays import AT, EVENTS, HEALTHY
from tests.unit.management.daemon import daemon

CLEARED = JournalEvent(AT, 0, EventKind.COMMAND, "clear information: Cleared", values={"command": "clear information"})


def test_cleared_on_both_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    answers = (Reply(True, "Cleared information", 1), Reply(False, "error: node0 does not answer: no connection yet", 0))
    with daemon(tmp_path / SOCKET_NAME, *answers) as asked:
        assert main(["clear", "chassis", "cluster", "information"]) == 0
    assert [json.loads(line) for line in asked] == [
        {"type": "clear-information"},
        {"type": "ask-peer", "request": {"type": "clear-information"}},
    ]
    assert [line for line in capsys.readouterr().out.splitlines() if line and set(line) != {"-"}] == [
        "node0:",
        "error: node0 does not answer: no connection yet",
        "node1:",
        "Cleared information",
    ]


HALF = [CLEARED, *EVENTS[:1], CLEARED, *EVENTS[1:]]


@pytest.mark.parametrize(("events", "left"), [([], 0), (EVENTS, 3), ([*EVENTS, CLEARED], 0), (HALF, 2)])
def test_what_is_left(events: list[JournalEvent], left: int) -> None:
    assert list(since_cleared(events)) == events[len(events) - left :]


def test_information_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each node by its own order: what one has cleared, the other still tells."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    of_peer = tuple(JournalEvent(e.at, 1, e.kind, e.text, e.groups, e.reason, values=e.values) for e in EVENTS)
    told = [Reply(True, node=0, events=encode_events((*EVENTS, CLEARED))), Reply(True, node=1, events=encode_events(of_peer))]
    with daemon(tmp_path / SOCKET_NAME, Reply(True, node=0, status=HEALTHY), *told):
        assert main(["show", "chassis", "cluster", "information"]) == 0
    own, other = capsys.readouterr().out.split("node1:")
    assert "Better priority" not in own
    assert "Better priority" in other
