"""Programs of others that ours must get on with: on the machine, or unpacked by ``make test``."""

import os
import shutil
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parents[1] / ".venv/peers"
LIBRARIES = UNPACKED / "usr/lib" / f"{os.uname().machine}-linux-gnu"
"""What unpacked programs are linked with."""


def library() -> Path:
    """Directory of Python packages that are no part of ours; the test is skipped where there is none."""
    if not (UNPACKED / "python").is_dir():
        pytest.skip("the libraries to meet are not here; make test installs them")
    return UNPACKED / "python"


def program(name: str) -> str:
    """Path of ``promtool``, ``prometheus`` or ``rsyslogd``; the test is skipped where there is none."""
    places = [UNPACKED / "usr/bin" / name, UNPACKED / "usr/sbin" / name]
    found = shutil.which(name) or next((path for place in places if (path := shutil.which(place))), None)
    if found is None:
        pytest.skip(f"{name} is not here; make test unpacks it")
    return found
