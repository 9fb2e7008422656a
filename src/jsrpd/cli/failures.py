"""What has failed on the answering node besides interfaces: the parts of ``Failure Information:`` (reference 7.4).

A part is a table; each cell carries the name of the vendor's leaf, so that text and XML are one thing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from jsrpd.cli.render_sessions import ONE_UNIT
from jsrpd.cli.render_text import up
from jsrpd.model.details import Details, MonitoredObject
from jsrpd.model.ip_monitoring import IpGroupStatus
from jsrpd.model.roles import FailureCode
from jsrpd.model.status import ClusterStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

Cells: TypeAlias = tuple[tuple[str, str], ...]
TOLD_BY_MONITORS = frozenset({FailureCode.SP, FailureCode.NP, FailureCode.HW, FailureCode.SC, FailureCode.IP})
"""Codes whose objects the monitors process knows."""
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Part:
    """``element``: the vendor's container, empty where there is none; ``inner``: around each row in it."""

    title: str
    heading: tuple[str, ...]
    rows: tuple[Cells, ...]
    element: str = ""
    inner: str = ""


def own_codes(snapshot: ClusterStatus) -> frozenset[FailureCode]:
    """What has failed for any group on the answering node."""
    bits = 0
    for group in snapshot.groups:
        for row in group.nodes:
            bits |= (row.failures or 0) if row.node == snapshot.node else 0
    return frozenset(code for code in FailureCode if bits >> code & 1)


def parts(snapshot: ClusterStatus, details: Details | None, addresses: Sequence[IpGroupStatus]) -> tuple[Part, ...]:
    """Those that have something to report. ``details`` None: not asked for, or not answered."""
    failed = [one for one in (details.objects or () if details is not None else ()) if one.failed]
    found = (
        _objects("SPU", "spu-monitoring-failure-information", failed, FailureCode.SP, FailureCode.NP),
        _addresses(addresses),
        _cold_sync(snapshot),
        _objects("Hardware", "", failed, FailureCode.HW),
        _objects("Script", "", failed, FailureCode.SC),
        _control_links(snapshot),
        _schedule(snapshot),
    )
    return tuple(part for part in found if part.rows)


def _objects(name: str, element: str, failed: Sequence[MonitoredObject], *codes: FailureCode) -> Part:
    names = {code.name for code in codes}
    rows = tuple(
        (("pfe-name", one.name), ("pic-state", f"Down, {one.value}, limit {one.limit}")) for one in failed if one.code in names
    )
    heading = ("Object", "Status")
    return Part(f"{name} Monitoring Failure Information", heading, rows, element, "spu-monitoring-failure-pic-state")


def _addresses(groups: Sequence[IpGroupStatus]) -> Part:
    rows = tuple(
        (
            ("redundancy-group-id", str(group.group)),
            ("ip-address", target.address),
            ("ip-reachability-status", target.status.capitalize()),
            ("ip-unreachable-reason", target.reason or "n/a"),
        )
        for group in groups
        for target in group.targets
        if target.status == "unreachable"
    )
    heading = ("Redundancy Group", "IP address", "Status", "Reason")
    return Part("IP Monitoring Failure Information", heading, rows, "ip-monitoring-failure-information")


def _cold_sync(snapshot: ClusterStatus) -> Part:
    title, heading = "Cold-sync Monitoring Failure Information", ("PFE", "Status")
    element, inner = "coldsync-monitoring-failure-information", "coldsync-monitoring-spu-list"
    if FailureCode.CS not in own_codes(snapshot):
        return Part(title, heading, (), element, inner)
    state = snapshot.sessions.cold_sync if snapshot.sessions is not None else "the session process has not reported yet"
    return Part(title, heading, ((("pfe-name", ONE_UNIT), ("coldsync-state", state)),), element, inner)


def _control_links(snapshot: ClusterStatus) -> Part:
    rows = tuple(
        (
            ("control-link-interface-name", link.interface),
            ("control-link-interface-monitored-status", up(link.up)),
            ("reason", link.state),
        )
        for link in snapshot.control_links
        if not link.up
    )
    heading, element = ("Interface", "Monitored Status", "Reason"), "control-link-failure-information"
    return Part("Control-link Failure Information", heading, rows, element, "control-link-interface-state")


def _schedule(snapshot: ClusterStatus) -> Part:
    schedule = snapshot.schedule
    rows: tuple[Cells, ...] = ()
    if schedule is not None and schedule.failed:
        clears = ("schedule-monitoring-failure-clear-time", f"in {schedule.clears_in_s} s")
        rows = ((("schedule-monitoring-failure-status", f"{schedule.slips} slips"), clears),)
    element = "schedule-monitoring-failure-information"
    return Part("Schedule Monitoring Failure Information", ("Status", "Clears"), rows, element)


def lines(found: Sequence[Part]) -> list[str]:
    """As text, a blank line before each part."""
    shown: list[str] = []
    for part in found:
        table = [part.heading, *(tuple(value for _, value in row) for row in part.rows)]
        shown += ["", f"    {part.title}:"]
        shown += ["          " + "".join(f"{cell:<{WIDTH}}" for cell in row).rstrip() for row in table]
    return shown


def elements(found: Sequence[Part]) -> "Iterator[Element]":
    """Those that the vendor has an element for."""
    for part in found:
        if part.element:
            rows: list[Element] = []
            for row in part.rows:
                rows += [(part.inner, row)] if part.inner else row
            yield (part.element, rows)
