"""What the session process does, in the vendor's layout where there is one (reference 7.5 and 7.6), ours below it."""

from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.status import ClusterStatus, SessionStatus

ONE_UNIT = "flowd"
"""The vendor's name of the packet engine of a small node; here it is the kernel."""
SILENT = "The session process has not reported yet; if that lasts, look at: journalctl -u jsrpd\n"


def data_plane_statistics(snapshot: ClusterStatus) -> str:
    """``show chassis cluster data-plane statistics``: the vendor's list as far as the services exist on Linux."""
    sessions = snapshot.sessions
    if sessions is None:
        return SILENT
    lines = ["Services Synchronized:", f"    {'Service name':<42}{'RTOs sent':<13}RTOs received"]
    lines += [f"    {name:<42}{sent:<13}{received}" for name, sent, received in sessions.services]
    lines += ["", "Session synchronization:", *_state(sessions)]
    return "\n".join(lines) + "\n"


def _state(sessions: SessionStatus) -> list[str]:
    if not sessions.on:
        return ["    State: off (session-synchronization off)"]
    lines = [
        f"    Peer session process: {'heard' if sessions.peer else 'not heard'}",
        f"    Sessions of the peer's groups here: {'complete' if sessions.covered else 'incomplete'}",
        f"    Waiting to be acknowledged: {sessions.backlog_bytes} bytes",
        f"    Longest until acknowledged: {sessions.lag_ns / 1e6:.1f} ms",
        f"    Connection table: {sessions.table[0]} of {sessions.table[1]}",
    ]
    return lines + [f"    {name[0].upper()}{name[1:]}: {count}" for name, count in sessions.counters.items()]


def cold_synchronization(snapshot: ClusterStatus) -> list[str]:
    """The section; one line while the session process has not reported."""
    sessions = snapshot.sessions
    if sessions is None:
        return ["Cold Synchronization:", f"    {SILENT.rstrip()}"]
    done, failed, unknown = units(sessions)
    return [
        "Cold Synchronization:",
        "    Status:",
        f"        Cold synchronization completed for: {done}",
        f"        Cold synchronization failed for: {failed}",
        f"        Cold synchronization not known for: {unknown}",
        f"        Current Monitoring Weight: {cold_weight(snapshot)}",
        "",
        "    Progress:",
        f"        CS Prereq               {int(sessions.peer)} of 1 SPUs completed",
        f"           1. fabric link            {int(sessions.peer)} SPUs completed",
        f"        CS RTO sync             {int(done == ONE_UNIT)} of 1 SPUs completed",
        f"        Sessions received: {sessions.received}",
        f"        State: {sessions.cold_sync}",
        "",
        "    Statistics:",
        f"        Number of cold synchronization completed: {sessions.completed}",
        f"        Number of cold synchronization failed: {sessions.failed}",
        "",
        "    Events:",
        *(f"        {event}" for event in sessions.events),
    ]


def cold_weight(snapshot: ClusterStatus) -> int:
    """What its groups lose because sessions are missing on the answering node."""
    own = (node for group in snapshot.groups for node in group.nodes if node.node == snapshot.node)
    return FULL_WEIGHT if any(_cold(node.failures) for node in own) else 0


def _cold(failures: int | None) -> bool:
    return failures is not None and bool(failures >> FailureCode.CS & 1)


def units(sessions: SessionStatus) -> tuple[str, str, str]:
    """(completed for, failed for, not known for), as the vendor names packet engines."""
    if not sessions.on:
        return "N/A", "N/A", "N/A"
    if sessions.covered:
        return ONE_UNIT, "None", "None"
    return ("None", ONE_UNIT, "None") if sessions.failed else ("None", "None", ONE_UNIT)
