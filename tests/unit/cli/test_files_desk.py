"""Configuration mode where no daemon runs: the file is written, and nothing that stood in it is lost."""

from pathlib import Path

import pytest

from jsrpd.cli.commands import CommandFailed
from jsrpd.cli.configuration_client import DaemonDesk, FilesDesk, desk
from jsrpd.management.commits import digest

WHOLE = Path("docs/examples/two-nodes.conf").read_text()
BROKEN = WHOLE.replace("heartbeat-interval", "hartbeat-interval")
NOTHING = digest("")
NOT_RUNNING = "warning: jsrpd is not running; a commit takes effect when it starts"


@pytest.fixture
def files(tmp_path: Path) -> FilesDesk:
    (tmp_path / "etc").mkdir()
    made = desk(tmp_path / "jsrpd.sock", tmp_path / "etc", tmp_path / "state")
    assert isinstance(made, FilesDesk)
    return made


def configuration(files: FilesDesk) -> Path:
    return files.directory / "jsrpd.conf"


def test_a_first_configuration(files: FilesDesk) -> None:
    told = files.open(exclusive=False)
    assert (told.text, told.remarks) == ("", (NOT_RUNNING,))
    shown, now = files.commit(WHOLE, told.base, "from nothing", 0, check=False)
    assert shown == "commit complete\n"
    assert now is not None and now.text == files.open(exclusive=False).text
    assert configuration(files).stat().st_mode & 0o777 == 0o640
    assert [(one.number, one.comment) for one in files.commits()] == [(0, "from nothing")]


def test_what_stood_in_the_file_can_be_rolled_back_to(files: FilesDesk) -> None:
    configuration(files).write_text(WHOLE)
    told = files.open(exclusive=False)
    files.commit(told.text.replace("priority 200", "priority 150"), told.base, "", 0, check=False)
    assert "priority 150" in configuration(files).read_text()
    assert files.read(1) == told.text


def test_a_file_that_cannot_be_read_is_told_and_kept(files: FilesDesk) -> None:
    configuration(files).write_text(BROKEN)
    told = files.open(exclusive=False)
    assert told.text == ""
    assert "did you mean heartbeat-interval?" in told.remarks[1]
    assert told.remarks[-1] == (
        "warning: jsrpd.conf cannot be read; an empty configuration is edited, and a commit replaces the file"
    )
    files.commit(WHOLE, told.base, "", 0, check=False)
    assert files.read(1) == BROKEN


def test_a_broken_edit_after_a_commit(files: FilesDesk) -> None:
    files.commit(WHOLE, files.open(exclusive=False).base, "", 0, check=False)
    configuration(files).write_text(BROKEN)
    told = files.open(exclusive=False)
    assert "priority 200" in told.text
    assert told.remarks[-1].startswith("warning: jsrpd.conf cannot be read; the last commit is edited")


def test_a_check_writes_nothing_and_an_error_changes_nothing(files: FilesDesk) -> None:
    told = files.open(exclusive=False)
    files.commit(WHOLE, told.base, "", 0, check=True)
    assert not configuration(files).exists()
    with pytest.raises(CommandFailed, match=r"is not within 1\.\.254"):
        files.commit(WHOLE.replace("priority 200", "priority 900"), told.base, "", 0, check=False)
    assert (configuration(files).exists(), files.commits()) == (False, ())


def test_one_holds_it_exclusively(files: FilesDesk, tmp_path: Path) -> None:
    other = FilesDesk(files.directory, tmp_path / "state")
    files.open(exclusive=True)
    with pytest.raises(CommandFailed, match="locked by another process"):
        other.open(exclusive=True)
    with pytest.raises(CommandFailed, match="locked by another process"):
        other.commit(WHOLE, NOTHING, "", 0, check=False)
    files.close()
    other.commit(WHOLE, NOTHING, "", 0, check=False)
    assert len(files.commits()) == 1


def test_no_such_rollback(files: FilesDesk) -> None:
    with pytest.raises(CommandFailed, match="there is no rollback 3; the history has 0 entries"):
        files.read(3)


def test_a_socket_that_nobody_answers_behind_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="jsrpd does not answer on"):
        DaemonDesk(tmp_path / "jsrpd.sock").open(exclusive=False)
