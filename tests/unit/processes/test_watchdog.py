"""The watchdog against a fake device: what is written to it, and when."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd.messages.rendering import render_text
from jsrpd.model.time import SECOND
from jsrpd.processes.watchdog import Watchdog

NOW = 100 * SECOND


@dataclass
class Device:
    """A FIFO whose other end tells what was written."""

    path: Path
    end: int

    def heard(self) -> bytes:
        """Everything written since it was asked last."""
        try:
            return os.read(self.end, 4096)
        except BlockingIOError:
            return b""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    path = tmp_path / "watchdog"
    os.mkfifo(path)
    made = Device(path, os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    yield made
    os.close(made.end)


def test_armed_only_while_primary(device: Device) -> None:
    watchdog = Watchdog(str(device.path), 30)
    assert watchdog.turn(NOW, owner=False) == []
    assert device.heard() == b"V", "an engine before this one may have left it armed"
    watchdog.turn(NOW + 1, owner=False)
    assert device.heard() == b""
    watchdog.turn(NOW + 2, owner=True)
    assert device.heard() == b"\0"
    watchdog.turn(NOW + SECOND // 2, owner=True)
    assert device.heard() == b"", "once a second is enough"
    watchdog.turn(NOW + 2 * SECOND, owner=True)
    assert device.heard() == b"\0"
    watchdog.turn(NOW + 2 * SECOND + 1, owner=False)
    assert device.heard() == b"V"


def test_a_daemon_that_ends_on_purpose_disarms_it(device: Device) -> None:
    watchdog = Watchdog(str(device.path), 30)
    watchdog.release()
    watchdog.turn(NOW, owner=True)
    watchdog.release()
    assert device.heard() == b"\0V"


def test_another_device_is_taken_and_the_old_one_disarmed(device: Device) -> None:
    watchdog = Watchdog(str(device.path), 30)
    watchdog.turn(NOW, owner=True)
    watchdog.reconfigure(str(device.path), 30)
    assert device.heard() == b"\0"
    watchdog.reconfigure("", 30)
    assert device.heard() == b"V"
    assert watchdog.turn(NOW + 9 * SECOND, owner=True) == []
    assert device.heard() == b""


def test_a_device_that_is_not_there_is_said_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "watchdog"
    watchdog = Watchdog(str(path), 30)
    (said,) = watchdog.turn(NOW, owner=True)
    assert render_text(said) == f"watchdog {path}: No such file or directory; tried again in 30 s"
    assert watchdog.turn(NOW + SECOND, owner=True) == []
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert watchdog.turn(NOW + 31 * SECOND, owner=True) == []
    assert os.read(end, 10) == b"\0"
    os.close(end)


def test_none_is_configured() -> None:
    watchdog = Watchdog("", 30)
    assert watchdog.turn(NOW, owner=True) == []
    watchdog.release()
