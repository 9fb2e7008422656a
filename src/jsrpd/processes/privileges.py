"""Gives up the rights of root in a process that needs none: it stays user 0, so files of root stay its own, and no more.

No new privileges can be gained, so that a program it might start gets none back from the bounding set (capabilities(7)).
"""

import ctypes
import os
import struct

PR_SET_NO_NEW_PRIVS = 38
VERSION_3 = 0x20080522
"""Two words per set: 64 capabilities (linux/capability.h)."""


def drop_all() -> None:
    """Every capability, for good. OSError when the kernel refuses, which no Linux of ours does."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    header, none = struct.pack("=II", VERSION_3, 0), bytes(2 * 3 * 4)
    _check(libc.capset(header, none))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
