"""What has failed on the answering node besides interfaces: the parts of ``Failure Information:`` (reference 7.4).

A part is a table; each cell carries the name of the vendor's leaf, so that text, XML and JSON are one thing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from jsrpd.cli.render_sessions import ONE_UNIT
from jsrpd.cli.render_text import up
from jsrpd.model.details import Details, MonitoredObject
from jsrpd.model.ip_monitoring import IpGroupStatus
from jsrpd.model.roles import FailureCode
from jsrpd.model.status import ClusterStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

Cells: TypeAlias = dict[str, str]
"""By the vendor's leaf."""
TOLD_BY_MONITORS = frozenset({FailureCode.SP, FailureCode.NP, FailureCode.HW, FailureCode.SC, FailureCode.IP})
"""Codes whose objects the monitors process knows."""
WIDTH = 24


class Form(NamedTuple):
    """How a part is shown. ``element``: the vendor's container, empty where there is none; ``inner``: around each row in it."""

    title: str
    heading: tuple[str, ...]
    element: str = ""
    inner: str = ""


_OBJECT, _PIC = ("Object", "Status"), "spu-monitoring-failure-pic-state"
FORMS: Mapping[str, Form] = {
    "spu": Form("SPU Monitoring Failure Information", _OBJECT, "spu-monitoring-failure-information", _PIC),
    "ip": Form(
        "IP Monitoring Failure Information",
        ("Redundancy Group", "IP address", "Status", "Reason"),
        "ip-monitoring-failure-information",
    ),
    "cold-sync": Form(
        "Cold-sync Monitoring Failure Information",
        ("PFE", "Status"),
        "coldsync-monitoring-failure-information",
        "coldsync-monitoring-spu-list",
    ),
    "hardware": Form("Hardware Monitoring Failure Information", _OBJECT),
    "script": Form("Script Monitoring Failure Information", _OBJECT),
    "control-link": Form(
        "Control-link Failure Information",
        ("Interface", "Monitored Status", "Reason"),
        "control-link-failure-information",
        "control-link-interface-state",
    ),
    "schedule": Form("Schedule Monitoring Failure Information", ("Status", "Clears"), "schedule-monitoring-failure-information"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """``kind``: one of ``FORMS``; ``rows``: what has failed, an entry each."""

    kind: str
    rows: tuple[Cells, ...]


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
        Part("spu", _objects(failed, FailureCode.SP, FailureCode.NP)),
        Part("ip", _addresses(addresses)),
        Part("cold-sync", _cold_sync(snapshot)),
        Part("hardware", _objects(failed, FailureCode.HW)),
        Part("script", _objects(failed, FailureCode.SC)),
        Part("control-link", _control_links(snapshot)),
        Part("schedule", _schedule(snapshot)),
    )
    return tuple(part for part in found if part.rows)


def _objects(failed: Sequence[MonitoredObject], *codes: FailureCode) -> tuple[Cells, ...]:
    names = {code.name for code in codes}
    wanted = (one for one in failed if one.code in names)
    return tuple({"pfe-name": one.name, "pic-state": f"Down, {one.value}, limit {one.limit}"} for one in wanted)


def _addresses(groups: Sequence[IpGroupStatus]) -> tuple[Cells, ...]:
    return tuple(
        {
            "redundancy-group-id": str(group.group),
            "ip-address": target.address,
            "ip-reachability-status": target.status.capitalize(),
            "ip-unreachable-reason": target.reason or "n/a",
        }
        for group in groups
        for target in group.targets
        if target.status == "unreachable"
    )


def _cold_sync(snapshot: ClusterStatus) -> tuple[Cells, ...]:
    if FailureCode.CS not in own_codes(snapshot):
        return ()
    state = snapshot.sessions.cold_sync if snapshot.sessions is not None else "the session process has not reported yet"
    return ({"pfe-name": ONE_UNIT, "coldsync-state": state},)


def _control_links(snapshot: ClusterStatus) -> tuple[Cells, ...]:
    return tuple(
        {
            "control-link-interface-name": link.interface,
            "control-link-interface-monitored-status": up(link.up),
            "reason": link.state,
        }
        for link in snapshot.control_links
        if not link.up
    )


def _schedule(snapshot: ClusterStatus) -> tuple[Cells, ...]:
    schedule = snapshot.schedule
    if schedule is None or not schedule.failed:
        return ()
    clears = f"in {schedule.clears_in_s} s"
    return ({"schedule-monitoring-failure-status": f"{schedule.slips} slips", "schedule-monitoring-failure-clear-time": clears},)


def lines(found: Sequence[Part]) -> list[str]:
    """As text, a blank line before each part."""
    shown: list[str] = []
    for part in found:
        form = FORMS[part.kind]
        table = [form.heading, *(tuple(row.values()) for row in part.rows)]
        shown += ["", f"    {form.title}:"]
        shown += ["          " + "".join(f"{cell:<{WIDTH}}" for cell in row).rstrip() for row in table]
    return shown


def elements(found: Sequence[Part]) -> "Iterator[Element]":
    """Those that the vendor has an element for."""
    for part in found:
        form = FORMS[part.kind]
        if form.element:
            rows: list[Element] = []
            for row in part.rows:
                rows += [(form.inner, [*row.items()])] if form.inner else row.items()
            yield (form.element, rows)
