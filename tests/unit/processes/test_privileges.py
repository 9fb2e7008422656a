"""What a process that has given up its rights can no longer do, and what a program it starts cannot."""

import multiprocessing
import os
import socket
import subprocess

import pytest

from jsrpd.processes.privileges import drop_all


def _refused() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except PermissionError:
        return True
    return False


def _child() -> None:
    before = _refused()
    drop_all()
    own = _refused()
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    started = [line.split()[1] for line in status.splitlines() if line.startswith(("CapPrm", "CapEff"))]
    os._exit(0 if (before, own, started) == (False, True, ["0" * 16] * 2) else 1)


def test_nothing_is_left() -> None:
    if os.geteuid() != 0:
        pytest.skip("there is nothing to give up")
    child = multiprocessing.get_context("fork").Process(target=_child)
    child.start()
    child.join(20)
    assert child.exitcode == 0
