"""The screen of ``monitor chassis cluster``: golden at 80x24, in its place whatever the size, with and without colour."""

import re
from pathlib import Path

import msgspec
import pytest

from jsrpd.cli import live_view
from jsrpd.cli.live_view import View, rates, screen
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.status import (
    ClusterStatus,
    GroupStatus,
    InterfaceMonitorStatus,
    PathStatus,
    SessionStatus,
)
from tests.unit.management.daemon import IF, IP, cluster, lost, row

GOLDEN = Path(__file__).parent / "golden"
SECOND = 1_000_000_000
NOW = 1_764_000_000 * SECOND
CODES = re.compile(r"\x1b\[[\d;]*m")


def path(name: str, interface: str, up: bool = True, loss: float = 0.0, late_ms: float = 0.4) -> PathStatus:
    return PathStatus(name, interface, up, 1000, 999, 1, loss, round(late_ms * 1e6))


def sessions(**changes: object) -> SessionStatus:
    fields: dict[str, object] = {"on": True, "peer": True, "covered": True, "cold_sync": "Completed"}
    return SessionStatus(**(fields | changes))  # type: ignore[arg-type]


EVENTS = [
    JournalEvent(
        NOW - (40 - n) * SECOND, 0, EventKind.TRANSITION if n % 3 else EventKind.PATH, f"event {n}", (n % 2,) if n % 3 else ()
    )
    for n in range(40)
]
HEALTHY = cluster(
    GroupStatus(0, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))),
    GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))),
    paths=(path("control link 0", "ctl0"), path("fabric link 0", "fab", loss=0.4, late_ms=12.3), path("segment 0", "lan")),
    sessions=sessions(),
    lateness_ns=1_200_000,
)
TROUBLE = cluster(
    GroupStatus(0, 3, (row(0, 200, "primary", manual=True), lost(1))),
    GroupStatus(1, 3, (row(0, 0, "primary", weight=0, failures=IF, gate_open=False), lost(1))),
    paths=(path("control link 0", "ctl0", up=False), path("fabric link 0", "a-very-long-interface", up=False)),
    notices=("redundancy group 1: the gate is shut until the peer acknowledges again", "second", "third"),
    interface_monitors=(
        InterfaceMonitorStatus("lan", 255, False, False, 1, 0),
        InterfaceMonitorStatus("wan", 100, True, True, 1, 0),
        InterfaceMonitorStatus("lan", 255, None, None, 1, 1),
    ),
    sessions=sessions(peer=False, covered=False, backlog_bytes=80_000),
)


def view(status: ClusterStatus | None, **changes: object) -> View:
    fields: dict[str, object] = {"events": EVENTS, "rates": (120.4, 3.0)}
    return View("gw-a", NOW, 1, status, **(fields | changes))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("healthy", view(HEALTHY)),
        ("trouble", view(TROUBLE)),
        ("no-daemon", view(None, problem="error: jsrpd is not running (nobody listens); start it with: jsrpd", events=[])),
        ("not-told", view(cluster(sessions=None), rates=None, events=[])),
        ("off", view(cluster(sessions=sessions(on=False)))),
    ],
)
def test_golden(name: str, shown: View) -> None:
    lines = [line.rstrip() for line in screen(shown, 80, 24, colour=False)]
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "\n".join(lines) + "\n" == (GOLDEN / f"monitor-{name}.txt").read_text()


@pytest.mark.parametrize("status", [HEALTHY, TROUBLE])
def test_colours_change_nothing_else(status: ClusterStatus) -> None:
    plain, coloured = (screen(view(status), 80, 24, colour) for colour in (False, True))
    assert [CODES.sub("", line) for line in coloured] == plain
    assert all("\x1b" not in line for line in plain)
    assert any("\x1b[31" in line for line in coloured) == (status is TROUBLE)
    assert all(line.count("\x1b[0m") * 2 == line.count("\x1b[") for line in coloured), "every colour ends"


@pytest.mark.parametrize("columns", [1, 20, 79, 200])
@pytest.mark.parametrize("rows", [1, 2, 10, 24, 60])
def test_any_size(columns: int, rows: int) -> None:
    for status in (HEALTHY, TROUBLE, None):
        lines = screen(view(status), columns, rows, colour=True)
        assert len(lines) <= rows
        assert all(len(CODES.sub("", line)) <= columns for line in lines)


def test_what_is_wrong_is_not_cut_off() -> None:
    lines = screen(view(None, problem="a problem that is told in many words, " * 4 + "mend it"), 80, 24, colour=False)
    assert " ".join(lines).endswith("mend it")
    status = msgspec.structs.replace(HEALTHY, notices=("a notice that is told in many words, " * 4 + "look there",))
    assert "look there" in " ".join(screen(view(status), 80, 24, colour=False))


def test_of_many_groups_the_unwell_are_shown() -> None:
    groups = [GroupStatus(n, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))) for n in range(129)]
    groups[77] = GroupStatus(77, 2, (row(0, 0, "secondary", failures=IF, weight=0), row(1, 100, "primary")))
    lines = screen(view(cluster(*groups, paths=HEALTHY.paths, sessions=sessions())), 80, 24, colour=False)
    shown = [line for line in lines if line.startswith("RG")]
    assert any(line.startswith("RG77") for line in shown)
    assert f"and {129 - len(shown)} more groups, all of them well" in "\n".join(lines)
    assert "Last events" in "\n".join(lines)


def test_unwell_groups_that_do_not_fit_are_not_called_well() -> None:
    groups = [GroupStatus(n, 1, (row(0, 200, "primary"), lost(1))) for n in range(129)]
    lines = screen(view(cluster(*groups, paths=HEALTHY.paths, sessions=sessions())), 80, 24, colour=False)
    left_out = 129 - len([line for line in lines if line.startswith("RG")])
    assert f"and {left_out} more groups, {left_out} of them not well" in "\n".join(lines)


def test_what_is_cut_has_a_sign_of_it() -> None:
    long = JournalEvent(NOW, 0, EventKind.COMMAND, "a command that was given with very many words, " * 3, ())
    line = screen(view(HEALTHY, events=[long]), 80, 24, colour=False)[-1]
    assert line.endswith("…")
    assert len(line) == 80


def test_what_happened_on_the_other_node_says_so() -> None:
    told = JournalEvent(NOW, 1, EventKind.MONITOR, "interface lan down", (1,))
    lines = screen(view(HEALTHY, events=[told, *EVENTS[-1:]]), 80, 24, colour=False)[-2:]
    assert lines[0].endswith("RG1    node1: interface lan down")
    assert lines[1].endswith("        event 39")


def test_failures_that_do_not_fit_are_counted() -> None:
    many = GroupStatus(1, 1, (row(0, 0, "secondary", failures=IF | IP | 1, weight=0), row(1, 100, "primary", failures=IF | IP)))
    (line,) = [line for line in screen(view(cluster(many)), 80, 24, colour=False) if line.startswith("RG1")]
    assert "+2" in line
    assert line.rstrip().endswith("IF IP")


def test_of_many_paths_the_worst_are_shown() -> None:
    paths = [path(f"segment {n}", f"if{n}") for n in range(20)]
    paths[13] = path("segment 13", "if13", up=False)
    paths[17] = path("segment 17", "if17", loss=3.0)
    text = "\n".join(screen(view(msgspec.structs.replace(HEALTHY, paths=tuple(paths))), 80, 24, colour=False))
    assert "segment 13" in text
    assert "segment 17" in text
    assert "and 14 more paths" in text


def test_of_many_monitors_some_are_shown() -> None:
    down = tuple(InterfaceMonitorStatus(f"if{n}", 1, False, False, 1, 0) for n in range(9))
    text = "\n".join(screen(view(msgspec.structs.replace(HEALTHY, interface_monitors=down)), 80, 30, colour=False))
    assert "0 up, 9 down" in text
    assert "and 6 more down" in text


def test_rates() -> None:
    before, after = (cluster(sessions=sessions(services=(("a", n, 2 * n), ("b", 0, 0)))) for n in (10, 30))
    assert rates(before, after, 2.0) == (10.0, 20.0)
    assert rates(after, before, 2.0) == (0.0, 0.0), "a process that began anew"
    assert rates(None, after, 2.0) is None
    assert rates(before, after, 0.0) is None
    assert rates(cluster(), after, 1.0) is None
    assert rates(before, cluster(), 1.0) is None


def test_every_state_has_a_style() -> None:
    from jsrpd.model.roles import GroupState

    assert {state.label for state in GroupState} | {"lost"} <= set(live_view.STATES) | {"lost"}
