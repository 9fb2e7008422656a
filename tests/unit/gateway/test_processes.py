"""What is told of processes: of real ones, and of a /proc made by the test."""

import os
from pathlib import Path

from jsrpd.gateway.metrics import ProcessStatus
from jsrpd.gateway.processes import statuses

STAT = "7 (a ) name) S 1 1 1 0 -1 4194304 100 0 0 0 {user} {system} 0 0 20 0 1 0 55 1000000 {pages} 18446744073709551615\n"


def process(proc: Path, pid: int, title: bytes, user: int = 0, system: int = 0, pages: int = 0) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cmdline").write_bytes(title)
    (proc / str(pid) / "stat").write_text(STAT.format(user=user, system=system, pages=pages))


def test_ourselves() -> None:
    (parent,) = statuses(os.getpid(), {})
    assert parent.name == "parent"
    assert parent.resident_bytes is not None and parent.resident_bytes > 1_000_000
    assert parent.cpu_s is not None and parent.cpu_s > 0


def test_children_by_title(tmp_path: Path) -> None:
    """A hook is no child of ours by name; one that has just died is known from its restarts."""
    process(tmp_path, 10, b"jsrpd\0", 1, 1, 2)
    process(tmp_path, 11, b"jsrpd: engine\0", 150, 50, 3)
    process(tmp_path, 12, b"/bin/hook\0jsrpd: engine\0")
    (tmp_path / "10/task/10").mkdir(parents=True)
    (tmp_path / "10/task/10/children").write_text("11 12 13 ")
    tick, page = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert statuses(10, {"engine": 2, "kernel": 1}, tmp_path) == [
        ProcessStatus("engine", 2, 3 * page, 200 * tick),
        ProcessStatus("kernel", 1),
        ProcessStatus("parent", 0, 2 * page, 2 * tick),
    ]
