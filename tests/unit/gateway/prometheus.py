"""Where Prometheus and its promtool are: on the machine, or unpacked by ``make test``."""

import shutil
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parents[3] / ".venv/prometheus/usr/bin"


def program(name: str) -> str:
    """Path of ``promtool`` or ``prometheus``; the test is skipped where there is none."""
    found = shutil.which(name) or shutil.which(str(UNPACKED / name))
    if found is None:
        pytest.skip(f"{name} is not here; make test unpacks it")
    return found
