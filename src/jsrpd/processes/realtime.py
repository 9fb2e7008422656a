"""Makes the engine punctual: real-time scheduling, locked memory, no garbage collection pauses (SPEC section 2).

Each step that the machine refuses is answered with a sentence for the log; none of them is fatal.
"""

import ctypes
import gc
import os
import resource

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
RTTIME_LIMIT_US = 2_000_000
"""A real-time engine that spins this long without sleeping is a bug; the kernel then stops it and the lease runs out."""
PRIORITY = 50


def make_punctual() -> list[str]:
    """Apply everything; what was refused, one sentence each."""
    refused: list[str] = []
    resource.setrlimit(resource.RLIMIT_RTTIME, (RTTIME_LIMIT_US, RTTIME_LIMIT_US))
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as error:
        refused.append(f"SCHED_FIFO refused ({error.strerror}); running at nice -20")
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        except OSError as lower:
            refused.append(f"nice -20 refused ({lower.strerror}); heartbeats may be late under load")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        refused.append(f"mlockall refused ({os.strerror(ctypes.get_errno())})")
    gc.collect()
    gc.freeze()
    # What the loop allocates is freed by reference counting; a rare full collection of the small young heap is cheap.
    gc.set_threshold(50_000, 20, 100)
    return refused
