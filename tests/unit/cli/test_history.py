"""``show chassis cluster events`` and ``jsrp replay`` on journals made by the production writer, against golden files."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.cli.history import ReplayFailed, Until
from jsrpd.cli.main import main
from jsrpd.management.journal import frame
from jsrpd.processes.journal_writer import JournalWriter
from tests.unit.core import recorded

GOLDEN = Path(__file__).parent / "golden"
NOBODY = 65534
SCRIPT = """\
at 2s node0 interface lan down
at 4s node0 interface lan up
at 5s node0 request failover redundancy-group 1 node 0
at 7s node0 stop
at 9s node0 start
until 12s
"""


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Golden files hold times of one zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journal of node 0 in the script, where ``jsrp`` looks for it."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    writer = JournalWriter(tmp_path / "journal", lambda: None, lambda _message: None)
    for life in recorded.lives(SCRIPT):
        for batch in recorded.written(life, every=40, checkpoints_every=60):
            writer.put(batch)
    writer.close()
    return tmp_path / "journal"


def printed(capsys: pytest.CaptureFixture[str], typed: str, code: int = 0) -> str:
    assert main(typed.split()) == code
    said = capsys.readouterr()
    return said.out + said.err


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("typed", "golden"),
    [
        ("show chassis cluster events", "events.txt"),
        ("show chassis cluster events redundancy-group 1", "events-group-1.txt"),
        ("show chassis cluster events redundancy-group 1 last 3 | display json", "events-last-3.json"),
        ("show chassis cluster events redundancy-group 1 last 3 | display xml", "xml-events-last-3.xml"),
        ("replay", "replay.txt"),
    ],
)
def test_golden(capsys: pytest.CaptureFixture[str], typed: str, golden: str) -> None:
    assert printed(capsys, typed) == (GOLDEN / golden).read_text()


@pytest.mark.usefixtures("journal")
def test_last_counts_after_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    every = printed(capsys, "show chassis cluster events").splitlines()
    assert printed(capsys, "show chassis cluster events last 4").splitlines() == every[-4:]
    group = [line for line in every if "RG1" in line or "RG" not in line]
    assert printed(capsys, "show chassis cluster events redundancy-group 1 last 5").splitlines() == group[-5:]


@pytest.mark.usefixtures("journal")
def test_json_holds_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    tree = json.loads(printed(capsys, "show chassis cluster events | display json"))
    assert len(tree) == len(printed(capsys, "show chassis cluster events").splitlines())
    assert {event["kind"] for event in tree} == {"restart", "path", "transition", "monitor"}
    assert all(event["time"].startswith("2026-11-25T00:00:") for event in tree)


def test_no_journal(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert printed(capsys, "show chassis cluster events") == "No events\n"
    assert json.loads(printed(capsys, "show chassis cluster events | display json")) == []
    assert printed(capsys, "replay", 1) == f"error: {tmp_path}/journal holds no journal\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("typed", ["show chassis cluster events", "replay"])
def test_who_may_not_read_the_journal_is_told_so(capsys: pytest.CaptureFixture[str], journal: Path, typed: str) -> None:
    """And not that nothing has happened."""
    for directory in journal.parents[:3]:
        directory.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        assert printed(capsys, typed, 1) == f"error: {journal}: permission denied; run as root\n"
    finally:
        os.seteuid(0)


def test_what_is_not_understood_among_events_is_left_out(capsys: pytest.CaptureFixture[str], journal: Path) -> None:
    before = printed(capsys, "show chassis cluster events")
    (segment,) = journal.glob("events-*")
    segment.write_bytes(frame(b"\xc1") + segment.read_bytes() + b"JSRJ torn")
    assert printed(capsys, "show chassis cluster events") == before


# -- replay ---------------------------------------------------------------------------------------------------------------


def test_verbose_shows_every_record(capsys: pytest.CaptureFixture[str], journal: Path) -> None:
    shown = printed(capsys, f"replay {journal} --verbose")
    records = int(shown.splitlines()[-1].split()[0])
    assert len([line for line in shown.splitlines() if "  step " in line]) == records
    assert "heartbeat 12 by control link ctl0, echo" in shown
    assert "send heartbeat" in shown
    assert len(printed(capsys, f"replay {journal}")) < len(shown) / 5


def test_until(capsys: pytest.CaptureFixture[str], journal: Path) -> None:
    for until in ("3s", "3000ms", "00:00:04", "2026-11-25T00:00:04+00:00", "2026-11-25 00:00:04"):
        shown = printed(capsys, f"replay {journal} --until {until}")
        assert "Monitor failed: IF" in shown, until
        assert "RG1 routes for primary, generation 3" not in shown, until
        assert shown.endswith("no difference\n")


@pytest.mark.parametrize("words", ["--until", "--until soon", "--untill 3s", "and more"])
def test_words_that_replay_does_not_understand(capsys: pytest.CaptureFixture[str], journal: Path, words: str) -> None:
    assert "is not understood; it" in printed(capsys, f"replay {journal} {words}", 1)


def test_a_difference_is_an_error_that_names_the_step(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The recorded node thought of another priority than its configuration says."""
    (life,) = recorded.lives("until 3s\n")
    genuine = b"".join(map(frame, recorded.written(life)))
    path = tmp_path / "recording.journal"
    path.write_bytes(genuine)
    assert printed(capsys, f"replay {path}").endswith("no difference\n")
    other = b"".join(frame(batch.replace(b"priorities\x92\xcc\xc8", b"priorities\x92\xcc\xfa")) for batch in recorded.written(life))
    assert other != genuine
    path.write_bytes(other)
    assert main(["replay", str(path)]) == 1
    said = capsys.readouterr()
    assert "was answered differently when it was recorded" in said.err
    number = said.err.split()[2]
    assert f"step {number}" in said.out
    assert "replayed  " in said.out
    assert "no difference" not in said.out


def test_a_journal_of_another_version(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "old.journal"
    path.write_bytes(frame(b"\x93\x01\x02\x03"))
    assert printed(capsys, f"replay {path}", 1).startswith(f"error: {path} was not written by this version")


@pytest.mark.parametrize(
    ("text", "end"), [("1.5s", 1_500_000_000), ("2min", 120_000_000_000), ("1h", 3_600_000_000_000), ("00:00:01.5", 1_500_000_000)]
)
def test_points_in_time(text: str, end: int) -> None:
    limit = Until(text)
    assert not limit.passed(0)
    assert not limit.passed(end)
    assert limit.passed(end + 1)


@pytest.mark.parametrize("text", ["", "5", "s", "1.2.3s", "yesterday", "2026-11-25", "25:00", "-3s"])
def test_no_point_in_time(text: str) -> None:
    with pytest.raises(ReplayFailed):
        Until(text).passed(0)
