"""The canary visits every CPU, and is freed from one that does not let it run."""

import os
import time
from collections.abc import Callable

import pytest

from jsrpd.model.time import SECOND
from jsrpd.processes.canary import Canary

PATIENCE_S = 30


def eventually(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_every_cpu_is_visited_and_this_thread_stays_where_it_may_be() -> None:
    allowed = os.sched_getaffinity(0)
    canary = Canary()
    eventually(lambda: set(canary.waits(SECOND)) == allowed)
    assert os.sched_getaffinity(0) == allowed
    canary.stop()


def test_only_the_cpus_asked_for() -> None:
    cpu = min(os.sched_getaffinity(0))
    canary = Canary([cpu, 8191])
    assert canary.cpus == (cpu,)
    eventually(lambda: set(canary.waits(SECOND)) == {cpu})
    canary.stop()


def test_an_unfinished_visit_counts_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a CPU that is really stuck: the note of a visit that began long ago."""
    rescued: list[int] = []
    canary = Canary()
    canary.stop()
    monkeypatch.setattr(canary, "_rescue", rescued.append)
    monkeypatch.setattr(canary, "_step", (0, time.monotonic_ns() - 3 * SECOND))
    assert canary.waits(4 * SECOND)[0] >= 3 * SECOND
    assert rescued == []
    assert canary.waits(2 * SECOND)[0] >= 3 * SECOND
    assert rescued == [0]
