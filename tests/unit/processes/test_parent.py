"""The parent's answers to its children, without any child."""

import os
import socket
import time
from pathlib import Path

import pytest

from jsrpd.management import children
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.processes import restart_in_place
from jsrpd.processes.directories import Directories
from jsrpd.processes.options import Options
from jsrpd.processes.parent import Parent
from jsrpd.processes.pid_file import PidFile
from jsrpd.processes.syslog import SyslogSender

PATIENCE_S = 10.0


@pytest.fixture
def parent(tmp_path: Path) -> Parent:
    places = Directories(tmp_path, tmp_path, tmp_path, tmp_path)
    made = Parent(Options(), places, PidFile(tmp_path / "pid"), None, ClusterConfiguration(cluster_id=1, node_id=0), b"", None)
    made.syslog = SyslogSender(tmp_path / "log")
    return made


def ordered(parent: Parent) -> None:
    """The engine wants this node rebooted."""
    parent.channels.parent_engine.right.send(children.encode(children.RebootWanted()))
    parent._read_engine()


def test_a_reboot_runs_the_command_of_the_environment(parent: Parent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = tmp_path / "rebooted"
    monkeypatch.setenv("JSRPD_REBOOT_COMMAND", f"touch '{done}'")
    ordered(parent)
    give_up = time.monotonic() + PATIENCE_S
    while not done.exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert done.exists()


@pytest.mark.parametrize("command", ["/nowhere/reboot", "unbalanced '"])
def test_a_reboot_that_cannot_be_ordered_is_said(
    parent: Parent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("JSRPD_REBOOT_COMMAND", command)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(os.fspath(tmp_path / "log"))
        log.settimeout(PATIENCE_S)
        ordered(parent)
        parent.syslog.flush()
        assert f"cannot reboot by {command}" in log.recv(4096).decode()


class Checked:
    """Stands for the check of the new program."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


def test_a_program_that_is_not_fit_is_said_and_nothing_happens(parent: Parent) -> None:
    parent._restart_in_place(78)
    said = children.decode(parent.channels.parent_gateway.right.recv(1 << 16))
    assert said == children.RestartAnswered("the new program or the configuration is not fit (exit 78); see: jsrpd -C")


def test_one_restart_at_a_time(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def check() -> Checked:
        begun.append(1)
        return Checked(1)

    monkeypatch.setattr(restart_in_place, "check", check)
    parent.channels.parent_gateway.right.send(children.encode(children.RestartRequested()))
    parent._read_gateway()
    parent._check_new_image()
    assert begun == [1]


def test_a_program_that_cannot_be_started_is_said(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> Checked:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(restart_in_place, "check", check)
    parent._check_new_image()
    said = children.decode(parent.channels.parent_gateway.right.recv(1 << 16))
    assert said == children.RestartAnswered("the new program cannot be started: No such file or directory")
