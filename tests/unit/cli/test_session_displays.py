"""What is told of sessions: the vendor's skeleton (reference 7.5, 7.6), and words where he has none."""

import msgspec

from jsrpd.cli.render_sessions import cold_synchronization, data_plane_statistics
from jsrpd.model.roles import FailureCode
from jsrpd.model.status import ClusterStatus, GroupNodeStatus, GroupStatus, SessionStatus

SESSIONS = SessionStatus(
    on=True,
    peer=True,
    covered=True,
    cold_sync="complete",
    completed=2,
    failed=1,
    events=("Jan 31 00:57:36.021 : Cold sync completed for PFE flowd",),
    backlog_bytes=17,
    services=(("Session create", 124, 3), ("IPv6 session create", 0, 12)),
    counters={"events": 999},
    lag_ns=2_340_000,
    table=(130, 262_144),
    received=77,
)


def snapshot(sessions: SessionStatus | None, failures: int = 0) -> ClusterStatus:
    rows = (GroupNodeStatus(0, 200, "primary", False, False, 0), GroupNodeStatus(1, 0, "secondary", False, False, failures))
    return ClusterStatus(1, 1, (GroupStatus(1, 1, rows),), (), True, (), (), (), sessions=sessions)


def test_services_in_the_vendors_columns() -> None:
    assert data_plane_statistics(snapshot(SESSIONS)).splitlines() == [
        "Services Synchronized:",
        "    Service name                              RTOs sent    RTOs received",
        "    Session create                            124          3",
        "    IPv6 session create                       0            12",
        "",
        "Session synchronization:",
        "    Peer session process: heard",
        "    Sessions of the peer's groups here: complete",
        "    Waiting to be acknowledged: 17 bytes",
        "    Longest until acknowledged: 2.3 ms",
        "    Connection table: 130 of 262144",
        "    Events: 999",
    ]


def test_cold_synchronization_complete() -> None:
    said = cold_synchronization(snapshot(SESSIONS))
    for line in (
        "        Cold synchronization completed for: flowd",
        "        Cold synchronization failed for: None",
        "        Current Monitoring Weight: 0",
        "        CS RTO sync             1 of 1 SPUs completed",
        "        Sessions received: 77",
        "        Number of cold synchronization completed: 2",
        "        Number of cold synchronization failed: 1",
        "        Jan 31 00:57:36.021 : Cold sync completed for PFE flowd",
    ):
        assert line in said


def test_cold_synchronization_under_way() -> None:
    sessions = msgspec.structs.replace(SESSIONS, covered=False, failed=0, peer=False, cold_sync="waiting for the peer", events=())
    said = cold_synchronization(snapshot(sessions, failures=1 << FailureCode.CS))
    assert "        Cold synchronization not known for: flowd" in said
    assert "        Current Monitoring Weight: 255" in said
    assert "        CS Prereq               0 of 1 SPUs completed" in said
    assert "        State: waiting for the peer" in said


def test_off_and_silent() -> None:
    off = SessionStatus(on=False, peer=False, covered=True, cold_sync="off")
    assert "    State: off (session-synchronization off)" in data_plane_statistics(snapshot(off)).splitlines()
    assert "        Cold synchronization completed for: N/A" in cold_synchronization(snapshot(off))
    assert "has not reported yet" in data_plane_statistics(snapshot(None))
    assert "has not reported yet" in cold_synchronization(snapshot(None))[1]
