"""The settings of connection tracking that the session process watches, in a tree that stands for /proc/sys."""

from pathlib import Path

import pytest

from jsrpd.kernel import sysctl
from jsrpd.processes.kernel_watch import EVENTS, PREFIX, KernelWatch


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / PREFIX).parent.mkdir(parents=True)
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    for name, value in (("events", 1), ("tcp_loose", 0), ("tcp_be_liberal", 0), ("count", 5), ("max", 100)):
        (tmp_path / f"{PREFIX}{name}").write_text(f"{value}\n")
    return tmp_path


def test_a_silent_kernel_is_made_to_talk_again_and_the_silence_is_known(tree: Path) -> None:
    """Whoever puts it back is who must tell everything anew: nobody else may be faster."""
    watch = KernelWatch()
    (tree / EVENTS).write_text("0\n")
    watch.listen()
    assert (tree / EVENTS).read_text() == "1"
    assert watch.was_silent
    (told,) = watch.look()
    assert "nf_conntrack_events to 0" in told


def test_the_kernel_s_default_is_put_right_without_a_word(tree: Path) -> None:
    """With 2 and somebody who listens, what begins is told."""
    watch = KernelWatch()
    (tree / EVENTS).write_text("2\n")
    watch.listen()
    assert (tree / EVENTS).read_text() == "1"
    assert not watch.was_silent
    assert watch.look() == []


def test_a_setting_that_cannot_be_put_back_is_told_as_long_as_it_lasts(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only its end asks for everything anew."""
    monkeypatch.setattr(sysctl, "write", lambda _name, _value: False)
    watch = KernelWatch()
    (tree / EVENTS).write_text("0\n")
    for _ in range(2):
        watch.listen()
        assert not watch.was_silent
        assert len(watch.look()) == 1
    monkeypatch.undo()
    monkeypatch.setattr(sysctl, "ROOT", tree)
    watch.listen()
    assert watch.was_silent


def test_a_silence_that_somebody_else_ends_is_known(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we may not write, whoever had set it puts it back."""
    monkeypatch.setattr(sysctl, "write", lambda _name, _value: False)
    watch = KernelWatch()
    (tree / EVENTS).write_text("0\n")
    watch.listen()
    (tree / EVENTS).write_text("1\n")
    watch.listen()
    assert watch.was_silent


def test_changes_are_told_once_and_a_full_table_while_it_is_full(tree: Path) -> None:
    watch = KernelWatch()
    assert watch.look() == []
    (tree / f"{PREFIX}tcp_loose").write_text("1\n")
    (tree / f"{PREFIX}count").write_text("100\n")
    assert [told.split(":")[0] for told in watch.look()] == [
        "net.netfilter.nf_conntrack_tcp_loose was changed from 0 to 1",
        "the connection table is full",
    ]
    assert not watch.has_room
    assert len(watch.look()) == 1
