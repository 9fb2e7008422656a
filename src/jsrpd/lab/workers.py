"""What every measuring process of the lab shares: a deadline, punctual scheduling, kernel time stamps, result files.

Each runs alone in its namespace as ``python -m jsrpd.lab.MODULE WORDS…``, says ``ready`` on standard output, ends by
itself at its deadline or earlier on SIGTERM, and then writes its arrays. All stamps are CLOCK_REALTIME nanoseconds:
one machine, one clock, the same one the nodes write in their logs.
"""

import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jsrpd.lab.topology import Lab, LabError, inside, with_commands

SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
STAMP_SPACE = socket.CMSG_SPACE(16)
PRIORITY = 5
"""Low among the real-time ones: above everything ordinary so that probes are punctual, below the engine."""
PR_SET_PDEATHSIG = 1
RECEIVE_BUFFER = 8 << 20


class Deadline:
    """When to stop, in CLOCK_REALTIME ns; SIGTERM brings it forward to now."""

    def __init__(self, duration_s: float) -> None:
        self.at = time.time_ns() + int(duration_s * 1e9)
        signal.signal(signal.SIGTERM, self._now)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _now(self, _signal: int, _frame: object) -> None:
        self.at = min(self.at, time.time_ns())

    @property
    def left_s(self) -> float:
        """Seconds to go, never negative."""
        return max(0.0, (self.at - time.time_ns()) / 1e9)


def begin(duration_s: float) -> Deadline:
    """In the worker: end with the lab process, be punctual where the machine allows it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    return Deadline(duration_s)


def ready() -> None:
    """Tell the lab that sockets are open."""
    print("ready", flush=True)


def stamped(made: socket.socket) -> socket.socket:
    """Ask for kernel receive stamps and a queue that outlasts a frozen reader; non-blocking."""
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    made.setblocking(False)
    return made


def stamp_of(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    """The kernel's receive stamp in ns, from ``recvmsg``."""
    seconds, nanoseconds = struct.unpack_from("qq", ancillary[0][2])
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def save(directory: Path, arrays: dict[str, "array[int]"]) -> None:
    """One file per array."""
    for name, values in arrays.items():
        with (directory / name).open("wb") as file:
            values.tofile(file)


def load(path: Path, typecode: str = "Q") -> "array[int]":
    """What ``save`` wrote; LabError when the worker died before it could."""
    values: array[int] = array(typecode)
    try:
        values.frombytes(path.read_bytes())
    except OSError as error:
        raise LabError(f"a measuring process left no {path.name}") from error
    return values


@dataclass(frozen=True, slots=True)
class Worker:
    """A running measuring process."""

    name: str
    process: "subprocess.Popen[str]"

    def stop(self) -> None:
        """Bring its deadline forward; it still writes what it has."""
        self.process.send_signal(signal.SIGTERM)

    def finish(self, timeout_s: float) -> None:
        """Wait for its end; LabError with its words when it failed."""
        try:
            _, said = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            self.process.communicate()
            raise LabError(f"measuring process {self.name} did not end") from error
        if self.process.returncode != 0:
            raise LabError(f"measuring process {self.name}: {said.strip() or self.process.returncode}")


def start(lab: Lab, member: str, module: str, *words: object) -> Worker:
    """Start a worker in a member's namespace and wait until it is ready."""
    arguments = [sys.executable, "-m", f"jsrpd.lab.{module}", *(str(word) for word in words)]
    process = subprocess.Popen(
        inside(lab.namespace(member), *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=with_commands(os.environ),
        # Ctrl-C is the lab's to handle: it stops its workers itself.
        start_new_session=True,
    )
    worker = Worker(f"{module} {words[0]} in {member}", process)
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        process.kill()
        worker.finish(5)
    return worker
