"""The metrics of a snapshot: golden text in both formats, what the standard demands, and what promtool says."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from jsrpd.gateway.families import SUFFIX, Family, older_text, open_metrics
from jsrpd.gateway.metrics import ProcessStatus, families
from jsrpd.model.roles import MAX_GROUP, FailureCode
from jsrpd.model.status import (
    LATENESS_BOUNDS_NS,
    ArbitrationStatus,
    ClusterStatus,
    GroupStatus,
    InterfaceMonitorStatus,
    LogQueueStatus,
    PathStatus,
    ScheduleStatus,
    SessionStatus,
)
from tests.peers import program
from tests.unit.management.daemon import IF, IP, cluster, lost, row

GOLDEN = Path(__file__).parent / "golden"
PROCESSES = [
    ProcessStatus("engine", 2, 31_457_280, 12.5),
    ProcessStatus("gateway", 0),
    ProcessStatus("parent", 0, 29_000_000, 0.25),
]
WATCHED = (
    InterfaceMonitorStatus("lan0", 255, True, True, 1, 0),
    InterfaceMonitorStatus("lan0", 255, True, True, 1, 1),
    InterfaceMonitorStatus("wan0", 128, None, None, 1, 1),
)
BUSY = cluster(
    GroupStatus(0, 0, (row(0, 200, "primary", lease_margin_ns=490_000_000, since_ns=61_500_000_000), row(1, 100, "secondary"))),
    GroupStatus(1, 3, (row(0, 0, "secondary-hold", weight=-10, failures=IF | IP), row(1, 255, "primary", manual=True))),
    interface_monitors=WATCHED,
    notices=("something stands",),
    drops={"replayed": 4, "malformed": 1},
    arbitration=ArbitrationStatus("probe", True, True, 180_000_000),
    log=(LogQueueStatus("engine", "local", 0, 0), LogQueueStatus("gateway", "tls", 3, 17)),
    lateness_counts=(90, 8, *[0] * (len(LATENESS_BOUNDS_NS) - 2), 2),
    lateness_sum_ns=3_250_000_000,
    paths=(
        PathStatus("control link 0", "ctl0", True, 124, 125, 0, 0.0, 0),
        PathStatus("fabric link 0", "fab", True, 124, 120, 4, 3.2, 12_500_000, 2, missed=5),
        PathStatus("segment 0", "lan", True, 124, 119, 0, 0.0, 0),
    ),
    schedule=ScheduleStatus(True, False, 250, 2, 1400),
    sessions=SessionStatus(
        on=True,
        peer=True,
        covered=False,
        cold_sync="receiving the peer's sessions",
        completed=3,
        failed=1,
        backlog_bytes=4096,
        services=(("Session create", 12, 7), ("Session close", 3, 0)),
        counters={"events": 40},
        lag_ns=2_500_000,
        table=(130, 262_144),
    ),
)
OFF = SessionStatus(on=False, peer=False, covered=True, cold_sync="off")
ALONE = cluster(
    GroupStatus(1, 1, (row(0, 200, "primary"), lost(1))),
    fabric_interfaces=(),
    schedule=ScheduleStatus(False),
    sessions=OFF,
    arbitration=ArbitrationStatus("witness", False),
)


def everything(status: ClusterStatus | None) -> list[Family]:
    return families(status, PROCESSES, "1.2.3", "3.11.2")


@pytest.mark.parametrize(("name", "status"), [("busy", BUSY), ("alone", ALONE), ("no-engine", None)])
def test_golden(name: str, status: ClusterStatus | None) -> None:
    assert open_metrics(everything(status)) == (GOLDEN / f"{name}.om").read_text()
    assert older_text(everything(status)) == (GOLDEN / f"{name}.txt").read_text()


# -- what OpenMetrics 1.0 demands -----------------------------------------------------------------------------------

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e-]+)')
FULL = cluster(
    *(
        GroupStatus(n, 9, (row(0, 1, "hold", failures=2 ** len(FailureCode) - 1), row(1, 1, "disabled")))
        for n in range(MAX_GROUP + 1)
    ),
    interface_monitors=WATCHED,
    drops={"replayed": 1},
)


@pytest.mark.parametrize("status", [BUSY, ALONE, FULL])
def test_families_are_well_formed(status: ClusterStatus) -> None:
    """Metadata before samples, families in one piece, units at the end of names, every series once."""
    lines = open_metrics(everything(status)).split("\n")
    assert lines[-2:] == ["# EOF", ""]
    seen: set[str] = set()
    series: set[str] = set()
    kind = name = ""
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in seen
            assert not name.endswith(("_total", "_info"))
            seen.add(name)
        elif line.startswith("# UNIT "):
            assert line.split(" ")[2] == name
            assert name.endswith("_" + line.split(" ")[3])
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == name
            assert line.endswith(".") and len(line.split(" ")) > 4
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            suffix = found[1].removeprefix(name + SUFFIX[kind])  # type: ignore[index]
            assert suffix in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
            assert kind != "stateset" or (f'{name}="' in found[2] and found[3] in ("0", "1"))
            assert kind != "info" or found[3] == "1"
            where = line.rpartition(" ")[0]
            assert where not in series
            series.add(where)


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    family = Family("x_seconds", "histogram", "help", "seconds")
    family.distribute((0.1, 1), (3, 2, 1), 4.5)
    assert open_metrics([family]).splitlines()[3:-1] == [
        *('x_seconds_bucket{le="0.1"} 3', 'x_seconds_bucket{le="1"} 5', 'x_seconds_bucket{le="+Inf"} 6'),
        *("x_seconds_count 6", "x_seconds_sum 4.5"),
    ]


def test_units_are_stated() -> None:
    for family in everything(BUSY):
        base = next((unit for unit in ("seconds", "bytes") if family.name.endswith(f"_{unit}")), "")
        assert family.unit == base


def test_each_node_is_in_one_state() -> None:
    (states,) = (family for family in everything(FULL) if family.kind == "stateset")
    for group in map(str, range(MAX_GROUP + 1)):
        for node in "01":
            assert sum(s.value for s in states.samples if (s.labels["group"], s.labels["node"]) == (group, node)) == 1


def test_the_number_of_series_is_bounded() -> None:
    """129 groups with everything failed: what a Prometheus can take, and nothing that grows by itself."""
    assert sum(len(family.samples) for family in everything(FULL)) < 6000


def test_texts_never_become_labels() -> None:
    text = open_metrics(everything(BUSY))
    assert "something stands" not in text
    assert "ctl0" not in text


def test_labels_are_escaped() -> None:
    family = Family("x", "gauge", 'a "quoted" \\ help')
    family.add(1, name='"\\\n')
    assert open_metrics([family]).splitlines()[2] == 'x{name="\\"\\\\\\n"} 1'


def test_a_snapshot_of_an_older_daemon() -> None:
    """Monitors that do not say whose they are cannot be told apart, so they are left out."""
    unknown = (msgspec.structs.replace(WATCHED[0], node=None),)
    assert "interface_monitor" not in open_metrics(everything(cluster(interface_monitors=unknown)))


# -- promtool -------------------------------------------------------------------------------------------------------


def promtool(text: str) -> tuple[int, str]:
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("status", [BUSY, ALONE, FULL, None])
def test_promtool_has_no_remark(status: ClusterStatus | None) -> None:
    assert promtool(older_text(everything(status))) == (0, "")


def test_promtool_would_have_one() -> None:
    code, said = promtool("# TYPE jsrpd_x counter\njsrpd_x 1\n")
    assert code == 3
    assert "no help text" in said
