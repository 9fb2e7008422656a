"""Commands that ask both nodes, from the words typed: both answer, one is away, the cluster is not enabled."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jsrpd.cli.main import main
from jsrpd.management.requests import NOT_ENABLED, SOCKET_NAME, ClearStatistics, Reply, decode_request
from jsrpd.model.details import Details
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.model.journal import EventKind, JournalEvent, encode_events
from jsrpd.model.status import GroupStatus
from tests.unit.management.daemon import cluster, daemon, row

AWAY = Reply(False, "error: node1 does not answer: no management connection", 1)
BLOCK = "node{}:\n" + "-" * 74 + "\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    return tmp_path / SOCKET_NAME


def typed(capsys: pytest.CaptureFixture[str], words: str, code: int = 0) -> str:
    assert main(words.split()) == code
    said = capsys.readouterr()
    return said.out + said.err


def transition(node: int, second: int, new: str) -> JournalEvent:
    values: dict[str, int | str] = {"old-state": "hold", "new-state": new}
    return JournalEvent(second * 10**9, node, EventKind.TRANSITION, "x", (1,), f"because of {new}", values=values)


def test_each_node_tells_its_own_transitions(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    own = Reply(True, node=0, events=encode_events((transition(0, 1, "primary"),)))
    peer = Reply(True, node=1, events=encode_events((transition(1, 2, "secondary"),)))
    with daemon(path, Reply(True, node=0, status=cluster()), own, peer) as asked:
        said = typed(capsys, "show chassis cluster information")
    assert b"ask-peer" in asked[2]
    node0, node1 = said.split("node1:\n")
    assert "because of primary" in node0
    assert "because of secondary" in node1


def test_information_says_so_when_the_other_does_not_answer(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    own = Reply(True, node=0, events=encode_events((transition(0, 1, "primary"),)))
    with daemon(path, Reply(True, node=0, status=cluster()), own, AWAY):
        said = typed(capsys, "show chassis cluster information")
    assert "Transitions are not known: node1 does not answer: no management connection" in said.split("node1:\n")[1]


def watched(node: int) -> Reply:
    target = IpTargetStatus(f"192.0.2.{node}", "reachable", 0, 100, "")
    return Reply(True, node=node, ip_monitoring=(IpGroupStatus(1, 255, 100, 0, (target,)),))


def test_addresses_as_either_node_sees_them(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """Asked on node 1: the blocks stand in the order of the nodes all the same."""
    with daemon(path, watched(1), watched(0)):
        said = typed(capsys, "show chassis cluster ip-monitoring status")
    assert said.index("node0:") < said.index("192.0.2.0") < said.index("node1:") < said.index("192.0.2.1")


def test_one_that_is_away_has_its_block(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    with daemon(path, watched(0), AWAY):
        said = typed(capsys, "show chassis cluster ip-monitoring status")
    assert said.endswith(f"{BLOCK.format(1)}{AWAY.text}\n\n")


def test_counts_are_cleared_on_both(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    done = "Cleared failure count for all IPs"
    with daemon(path, Reply(True, done, 0), Reply(True, done, 1)):
        said = typed(capsys, "clear chassis cluster ip-monitoring failure-count")
    assert said == f"{BLOCK.format(0)}{done}\n\n{BLOCK.format(1)}{done}\n\n"


def detailed(node: int) -> list[Reply]:
    """The three answers that a node's details are made of."""
    status = Reply(True, node=node, status=cluster(node=node))
    return [status, Reply(True, node=node, details=Details((), None)), Reply(True, node=node, events=encode_events(()))]


def test_details_of_both(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    both = [reply for pair in zip(detailed(0), detailed(1), strict=True) for reply in pair]
    with daemon(path, *both) as asked:
        said = typed(capsys, "show chassis cluster information detail coldsync")
    assert [line for line in said.splitlines() if line.startswith("node")] == ["node0:", "node1:"]
    assert [b"ask-peer" in one for one in asked] == [False, True] * 3


# -- node WHICH ---------------------------------------------------------------------------------------------------------

OWNER_ELSEWHERE = Reply(True, node=0, status=cluster(GroupStatus(0, 1, (row(0, 100, "secondary"), row(1, 200, "primary")))))
NO_OWNER = Reply(True, node=0, status=cluster(GroupStatus(0, 1, (row(0, 100, "secondary"), row(1, 200, "secondary")))))


@pytest.mark.parametrize(("which", "node"), [("0", 0), ("local", 0), ("1", 1), ("primary", 1)])
@pytest.mark.parametrize("command", ["show chassis cluster ip-monitoring status", "clear chassis cluster information"])
def test_only_the_node_that_is_named(capsys: pytest.CaptureFixture[str], path: Path, command: str, which: str, node: int) -> None:
    """And the other one is not asked, much less cleared."""
    with daemon(path, OWNER_ELSEWHERE, watched(node)) as asked:
        said = typed(capsys, f"{command} node {which}")
    assert [line for line in said.splitlines() if line.startswith("node")] == [f"node{node}:"]
    assert [b"ask-peer" in one for one in asked] == [False, node == 1]


@pytest.mark.parametrize("display", ["xml", "json"])
def test_only_the_node_that_is_named_in_other_formats(capsys: pytest.CaptureFixture[str], path: Path, display: str) -> None:
    with daemon(path, OWNER_ELSEWHERE, *detailed(1)):
        said = typed(capsys, f"show chassis cluster information detail node 1 | display {display}")
    if display == "json":
        assert [one["node"] for one in json.loads(said)] == [1]
    else:
        assert [one.text for one in ElementTree.fromstring(said).iter("re-name")] == ["node1"]


def test_information_of_one_node(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """What is known of a node without asking it comes from this node's snapshot."""
    peer = Reply(True, node=1, events=encode_events((transition(1, 2, "secondary"),)))
    with daemon(path, OWNER_ELSEWHERE, OWNER_ELSEWHERE, peer):
        said = typed(capsys, "show chassis cluster information node 1")
    assert said.startswith("node1:")
    assert "node0:" not in said


def test_one_that_is_named_and_away(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    with daemon(path, OWNER_ELSEWHERE, AWAY):
        said = typed(capsys, "show chassis cluster ip-monitoring status node 1")
    assert said == f"{BLOCK.format(1)}{AWAY.text}\n\n"


def test_no_primary_to_be_asked(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    with daemon(path, NO_OWNER):
        said = typed(capsys, "show chassis cluster ip-monitoring status node primary", code=1)
    assert said == "error: no node is primary of redundancy group 0\n"


def test_a_node_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    said = typed(capsys, "show chassis cluster information node 2", code=64)
    assert said == "error: node 2 is not one of: 0, 1, all, local, primary\n"


@pytest.mark.parametrize(
    ("words", "control_plane", "data_plane"),
    [("statistics", True, True), ("control-plane statistics", True, False), ("data-plane statistics", False, True)],
)
def test_statistics_are_cleared(
    capsys: pytest.CaptureFixture[str], path: Path, words: str, control_plane: bool, data_plane: bool
) -> None:
    with daemon(path, Reply(True, "Cleared", 0)) as asked:
        assert typed(capsys, f"clear chassis cluster {words}") == "Cleared\n"
    assert decode_request(asked[0]) == ClearStatistics(control_plane, data_plane)


@pytest.mark.parametrize(
    "words",
    [
        "show chassis cluster information",
        "clear chassis cluster statistics",
        "show chassis cluster information detail coldsync",
        "show chassis cluster ip-monitoring status",
        "show chassis cluster statistics",
        "show chassis cluster control-plane statistics",
        "clear chassis cluster ip-monitoring failure-count",
        "request chassis cluster drill redundancy-group 1 no-confirm",
    ],
)
def test_not_clustered(capsys: pytest.CaptureFixture[str], path: Path, words: str) -> None:
    with daemon(path, Reply(False, NOT_ENABLED)):
        assert typed(capsys, words, code=1) == f"{NOT_ENABLED}\n"
