"""Journals of real incidents: the core decides today what it decided then. Who drops one into ``recordings`` has a test."""

from pathlib import Path

import pytest

from jsrpd.core.journal import Batch, read_batch
from jsrpd.core.narrator import Narrator
from jsrpd.core.replay import Replay, Weight
from jsrpd.management.journal import contents
from jsrpd.model.journal import EventKind
from tests.scenario.record import INCIDENTS, RECORDINGS

JOURNALS = sorted(RECORDINGS.glob("*.journal"))


def batches(path: Path) -> list[Batch]:
    return [read_batch(content) for content in contents(path)]


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_recording(path: Path) -> None:
    """Everything is decided again, and as it was recorded."""
    replay = Replay()
    serious = [step for step in replay.steps(batches(path)) if step.weight in (Weight.GAP, Weight.DIFFERENCE)]
    assert not serious
    assert replay.skipped == replay.differences == 0
    assert replay.replayed > 100


def test_every_incident_is_recorded_on_both_nodes() -> None:
    recorded = {path.stem for path in JOURNALS}
    assert {f"{incident}-node{node}" for incident in INCIDENTS for node in (0, 1)} <= recorded


TRANSITIONS = {
    "cut-lan-node0": ["primary -> secondary-hold: Monitor failed: IF", "secondary-hold -> secondary: Ready to become secondary"],
    "cut-lan-node1": ["secondary -> primary: Remote is in secondary hold"],
    "kill-node0": ["hold -> secondary: Hold timer expired"],
    "kill-node1": ["secondary -> primary: Only node present"],
}
"""What group 1 did on each node after both had found their places."""


@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_recording_shows_its_incident(name: str) -> None:
    narrator = Narrator()
    told = [event for batch in batches(RECORDINGS / f"{name}.journal") for event in narrator.tell(batch)]
    found = [event.text for event in told if event.kind is EventKind.TRANSITION and event.groups == (1,)]
    places = 2 if name.endswith("node0") else 1
    assert found[places : places + len(TRANSITIONS[name])] == TRANSITIONS[name]
