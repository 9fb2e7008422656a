"""The parts of ``Failure Information:`` besides interfaces (reference 7.4): shown where something has failed, and only there."""

import json
from pathlib import Path

import msgspec
import pytest

from jsrpd.cli import failures, information, render_xml
from jsrpd.cli.main import main
from jsrpd.management.requests import SOCKET_NAME, Reply
from jsrpd.model.details import Details
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.model.journal import encode_events
from jsrpd.model.roles import FailureCode
from jsrpd.model.status import ClusterStatus, GroupStatus, LinkStatus, ScheduleStatus, SessionStatus
from tests.unit.cli.test_detail import OBJECTS
from tests.unit.management.daemon import IP, cluster, daemon, row

GOLDEN = Path(__file__).parent / "golden"
TARGETS = (IpTargetStatus("192.0.2.9", "unreachable", 1, 100, "no reply"), IpTargetStatus("192.0.2.8", "reachable", 0, 100, ""))
ADDRESSES = (IpGroupStatus(1, 255, 0, -100, TARGETS),)
DETAILS = Details(OBJECTS, None)


def bits(*codes: FailureCode) -> int:
    return sum(1 << code for code in codes)


def snapshot(failed: int, **changes: object) -> ClusterStatus:
    """Node 0 has failed so; the other node has failed otherwise, which is not ours to tell."""
    groups = (
        GroupStatus(0, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))),
        GroupStatus(
            1, 2, (row(0, 0, "secondary", failures=failed, weight=0), row(1, 100, "primary", failures=bits(FailureCode.HW)))
        ),
    )
    return cluster(*groups, **changes)


SICK = snapshot(
    bits(FailureCode.SP, FailureCode.HW, FailureCode.SC, FailureCode.IP, FailureCode.CS, FailureCode.SM),
    sessions=SessionStatus(True, True, False, "bulk: 7 of 100"),
    schedule=ScheduleStatus(True, True, 250, 4, 900, False, 42),
    control_links=(LinkStatus(0, "ctl0", False, "key mismatch"), LinkStatus(1, "ctl1", True, "heard")),
)


def test_everything_that_can_fail() -> None:
    told = information.nodes(SICK, (), {}, failures.parts(SICK, DETAILS, ADDRESSES))
    assert information.text(told) == (GOLDEN / "information-failures.txt").read_text()
    printed = render_xml.reply(information.xml(told), snapshot=SICK)
    assert printed == (GOLDEN / "xml-information-failures.xml").read_text()
    own, other = json.loads(information.json(told))
    assert [part["kind"] for part in own["others"]] == list(failures.FORMS)
    links = next(part["rows"] for part in own["others"] if part["kind"] == "control-link")
    assert [(row["control-link-interface-name"], row["reason"]) for row in links] == [("ctl0", "key mismatch")]
    assert other["others"] == []


def test_what_is_well_is_not_there() -> None:
    well = snapshot(0, sessions=SessionStatus(True, True, True, "complete"), schedule=ScheduleStatus(True))
    assert failures.parts(well, Details(OBJECTS[:1], None), ADDRESSES[:0]) == ()
    assert failures.parts(well, None, ()) == ()


def test_cold_synchronisation_that_nobody_tells_of() -> None:
    (part,) = failures.parts(snapshot(bits(FailureCode.CS)), None, ())
    assert part.rows[0]["coldsync-state"] == "the session process has not reported yet"


@pytest.mark.parametrize(
    ("failed", "answers", "asked", "shown"),
    [
        (0, (), [], False),
        (bits(FailureCode.IF), (), [], False),
        (bits(FailureCode.HW), (Reply(True, details=DETAILS),), ["show-details"], True),
        (IP, (Reply(True, details=DETAILS), Reply(True, ip_monitoring=ADDRESSES)), ["show-details", "show-ip-monitoring"], True),
        (IP, (Reply(False, "error: the monitors process does not answer"),), ["show-details"], False),
    ],
)
def test_the_monitors_are_asked_where_they_have_something_to_tell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failed: int,
    answers: tuple[Reply, ...],
    asked: list[str],
    shown: bool,
) -> None:
    for variable in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(variable, str(tmp_path))
    status = msgspec.structs.replace(snapshot(failed), interface_monitors=())
    events = (Reply(True, node=0, events=encode_events(())), Reply(False, "error: node1 does not answer", 1))
    with daemon(tmp_path / SOCKET_NAME, Reply(True, node=0, status=status), *events, *answers) as lines:
        assert main(["show", "chassis", "cluster", "information"]) == 0
    assert [json.loads(line)["type"] for line in lines] == ["show-status", "read-events", "ask-peer", *asked]
    assert ("Failure Information:" in capsys.readouterr().out) == shown
