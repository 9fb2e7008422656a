"""What the kernel tells of the daemon's processes, by the titles they carry."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from jsrpd.gateway.metrics import ProcessStatus

PARENT = "parent"
TITLE = "jsrpd: "
UTIME, STIME, RESIDENT_PAGES = 11, 12, 21
"""Fields of /proc/PID/stat behind the name in parentheses (proc(5) counts from 1 and includes pid and name)."""


def statuses(parent: int, restarts: Mapping[str, int], proc: Path = Path("/proc")) -> list[ProcessStatus]:
    """The parent process and its children; what ends while we look is left out, unless it is known from ``restarts``."""
    pids = {PARENT: parent}
    with contextlib.suppress(OSError):
        for pid in (proc / f"{parent}/task/{parent}/children").read_text().split():
            title = _title(proc / pid)
            if title.startswith(TITLE):
                pids[title.removeprefix(TITLE)] = int(pid)
    return [_status(name, proc / str(pids.get(name, 0)), restarts.get(name, 0)) for name in sorted({*pids, *restarts})]


def _title(directory: Path) -> str:
    try:
        return (directory / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""


def _status(name: str, directory: Path, restarts: int) -> ProcessStatus:
    try:
        fields = (directory / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ProcessStatus(name, restarts)
    ticks = int(fields[UTIME]) + int(fields[STIME])
    resident = int(fields[RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE")
    return ProcessStatus(name, restarts, resident, ticks / os.sysconf("SC_CLK_TCK"))
