"""Commands that ask both nodes, from the words typed: both answer, one is away, the cluster is not enabled."""

from pathlib import Path

import pytest

from jsrpd.cli.main import main
from jsrpd.management.requests import NOT_ENABLED, SOCKET_NAME, ClearStatistics, Reply, decode_request
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.model.journal import EventKind, JournalEvent, encode_events
from tests.unit.management.daemon import cluster, daemon

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


def test_cold_synchronization_of_both(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    with daemon(path, Reply(True, node=0, status=cluster()), Reply(True, node=1, status=cluster(node=1))):
        said = typed(capsys, "show chassis cluster information detail coldsync")
    assert [line for line in said.splitlines() if line.startswith("node")] == ["node0:", "node1:"]


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
