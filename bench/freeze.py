"""When the whole machine stood still: a thread per CPU that only sleeps, under a priority above everything measured.

Run as a program it writes ``FROM TO`` (CLOCK_REALTIME ns) for each sleep that took far too long.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from jsrpd.lab.topology import with_commands
from jsrpd.lab.workers import begin, ready

TICK_S = 0.001
NOTED_NS = 2_000_000
PRIORITY = 98
LONGEST_S = 6 * 3600.0


class Reference:
    """The reference threads, alive inside the ``with`` block. ``directory`` takes their records."""

    def __init__(self, directory: Path) -> None:
        self.files = [directory / f"stalls.{cpu}" for cpu in sorted(os.sched_getaffinity(0))]
        self.processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for file in self.files:
            process = subprocess.Popen(
                [sys.executable, __file__, file.suffix[1:], str(file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                env=with_commands(os.environ),
                start_new_session=True,
            )
            self.processes.append(process)
            assert process.stdout is not None
            process.stdout.readline()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def stalls(self) -> list[tuple[int, int]]:
        """Every stall so far, of any CPU; CLOCK_REALTIME ns. RuntimeError when a thread has died."""
        if any(process.poll() is not None for process in self.processes):
            raise RuntimeError("a reference thread has ended: freezes of the machine would go unseen")
        lines = [line.split() for file in self.files for line in file.read_text().splitlines()]
        return [(int(words[0]), int(words[1])) for words in lines]


def main(cpu: int, file: Path) -> None:
    """Sleep and note, until the bench ends."""
    deadline = begin(LONGEST_S)
    os.sched_setaffinity(0, {cpu})
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    with file.open("w", buffering=1) as record:
        ready()
        last = time.time_ns()
        while deadline.left_s:
            time.sleep(TICK_S)
            now = time.time_ns()
            if now - last > NOTED_NS:
                record.write(f"{last} {now}\n")
            last = now


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
