"""The production core through 200 bad nights, and the same nights twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.campaign import summaries

ROOT = Path(__file__).parents[2]
CHUNK = 25


@pytest.mark.parametrize("first", range(0, 200, CHUNK))
def test_no_promise_is_broken(first: int) -> None:
    reports = [summary.report for summary in summaries(range(first, first + CHUNK), os.cpu_count() or 1) if summary.broken]
    assert not reports, "\n".join(reports)


def simulator(hash_seed: str, jobs: str) -> str:
    """Standard output of ``python -m simulator`` over a few seeds."""
    command = [sys.executable, "-m", "simulator", "--seeds", "6", "--hash", "--trace", "--jobs", jobs]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300).stdout


def test_a_run_is_a_function_of_its_seed() -> None:
    """Whatever the hashing of strings and the number of processes: the same trace, to the last line."""
    output = simulator("1", "1")
    assert "digest" in output
    assert simulator("2", "1") == output
    assert simulator("3", "2") == output
