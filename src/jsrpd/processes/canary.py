"""A thread that walks over the CPUs and notes how long it waited for each.

It moves itself by sched_setaffinity(2), which returns on the CPU it asked for. On one that gives nothing to ordinary
work it gets stuck there; then the loop that looks at its notes takes it away again, and its wait so far counts.
The call is made by ctypes, which holds no interpreter lock meanwhile: a stuck canary hinders nobody.
"""

import ctypes
import os
import threading
import time
from collections.abc import Iterable

from jsrpd.model.time import Duration

ROUND_S = 1.0
STACK_BYTES = 256 << 10
MASK_BYTES = 1024
"""8192 CPUs, the most that Linux is built for."""
_libc = ctypes.CDLL(None, use_errno=True)


class Canary:
    """Starts walking at once; ``stop`` ends it with the next step."""

    def __init__(self, cpus: Iterable[int] = ()) -> None:
        self._allowed = os.sched_getaffinity(0)
        self.cpus = tuple(sorted(set(cpus) & self._allowed)) or tuple(sorted(self._allowed))
        self._waits: dict[int, Duration] = {}
        self._step: tuple[int, int] | None = None
        """(CPU, monotonic ns) of the step that is not finished."""
        self._thread_id = 0
        self._stopped = threading.Event()
        before = threading.stack_size(STACK_BYTES)
        threading.Thread(target=self._walk, daemon=True, name="canary").start()
        threading.stack_size(before)

    def _walk(self) -> None:
        self._thread_id = threading.get_native_id()
        everywhere = _mask(self._allowed)
        masks = {cpu: _mask([cpu]) for cpu in self.cpus}
        while not self._stopped.wait(ROUND_S):
            for cpu, mask in masks.items():
                began = time.monotonic_ns()
                self._step = (cpu, began)
                refused = _libc.sched_setaffinity(0, MASK_BYTES, mask)
                # Still there until this returns as well; both together are the wait.
                _libc.sched_setaffinity(0, MASK_BYTES, everywhere)
                if not refused:
                    self._waits[cpu] = time.monotonic_ns() - began
                self._step = None

    def waits(self, limit: Duration) -> dict[int, Duration]:
        """The newest wait for each CPU (ns), an unfinished one included; a canary stuck beyond ``limit`` is rescued."""
        waits, step = dict(self._waits), self._step
        if step is not None:
            cpu, began = step
            waiting = time.monotonic_ns() - began
            # The last wait counts until a visit has ended better.
            waits[cpu] = max(waiting, waits.get(cpu, 0))
            if waiting > limit:
                self._rescue(cpu)
        return waits

    def _rescue(self, cpu: int) -> None:
        elsewhere = self._allowed - {cpu}
        if self._thread_id and elsewhere:
            _libc.sched_setaffinity(self._thread_id, MASK_BYTES, _mask(elsewhere))

    def stop(self) -> None:
        """Do not wait for it: it may be stuck."""
        self._stopped.set()


def _mask(cpus: Iterable[int]) -> ctypes.Array[ctypes.c_char]:
    bits = sum(1 << cpu for cpu in cpus)
    return ctypes.create_string_buffer(bits.to_bytes(MASK_BYTES, "little"), MASK_BYTES)
