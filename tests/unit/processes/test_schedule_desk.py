"""The engine's lateness becomes a failure of its groups, with value and limit, and what is shown of it."""

from jsrpd.core.cluster import Cluster
from jsrpd.messages.catalogue import LogMessage
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, GroupConfiguration, ScheduleMonitoring
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.status import ScheduleStatus
from jsrpd.model.time import MILLISECOND, SECOND, Instant
from jsrpd.monitors.schedule import WINDOW
from jsrpd.processes.schedule_desk import NAME, ScheduleDesk

START = 1000 * SECOND
LATE = 400 * MILLISECOND


def configuration(stated: ScheduleMonitoring | None = ScheduleMonitoring(), *groups: int) -> ClusterConfiguration:  # noqa: B008
    members = tuple(GroupConfiguration(number) for number in (0, 1, *groups))
    return ClusterConfiguration(1, 0, control_links=(ControlLink(0, "ctl"),), groups=members, schedule_monitoring=stated)


class Desk:
    """A desk in an engine whose turns the test begins."""

    def __init__(self, stated: ScheduleMonitoring | None = ScheduleMonitoring()) -> None:  # noqa: B008
        self.cluster = Cluster(configuration(stated), START, 1)
        self.desk = ScheduleDesk(self.cluster, self.cluster.configuration)
        self.now: Instant = START
        self.desk.turn(START, START)

    def turn(self, late: int = 0) -> list[LogMessage]:
        """The next one, a second on."""
        self.now += SECOND
        return self.desk.turn(self.now, self.now - late)

    def failures(self) -> dict[int, dict[tuple[FailureCode, str], int]]:
        return {number: dict(group.failures) for number, group in self.cluster.groups.items() if group.failures}


def tags(log: list[LogMessage]) -> list[str]:
    return [message.tag.removeprefix("JSRPD_") for message in log]


def test_punctual() -> None:
    desk = Desk()
    assert [desk.turn(late) for late in (0, MILLISECOND, 250 * MILLISECOND)] == [[], [], []]
    assert desk.desk.status(desk.now) == ScheduleStatus(True, limit_ms=250)


def test_the_third_slip_weighs_on_every_group_until_a_quiet_minute() -> None:
    desk = Desk()
    assert [tags(desk.turn(LATE)) for _ in range(2)] == [["NOTICE"], []]
    assert desk.failures() == {}
    log = desk.turn(LATE)
    assert tags(log) == ["MONITOR_FAILED"] * 2
    assert dict(log[0].values) == {
        "rg-id": "0",
        "code": "SM",
        "object": NAME,
        "value": "3 slips",
        "limit": "2 slips in 60 s",
    }
    assert desk.failures() == {number: {(FailureCode.SM, NAME): FULL_WEIGHT} for number in (0, 1)}
    assert desk.desk.status(desk.now) == ScheduleStatus(True, True, 250, 3, 400, True, 60)
    desk.now += WINDOW - SECOND
    assert desk.turn() == []
    assert desk.desk.status(desk.now).clears_in_s == 0
    assert tags(desk.turn()) == ["MONITOR_RECOVERED"] * 2
    assert desk.failures() == {}
    assert desk.desk.status(desk.now) == ScheduleStatus(True, False, 250, 3, 400)


def test_a_long_turn_is_as_late_as_a_long_sleep() -> None:
    """However early it was to begin: nobody asked before the last turn began."""
    desk = Desk()
    desk.desk.turn(desk.now + LATE, START - SECOND)
    assert desk.desk.status(desk.now).longest_ms == 400


def test_the_start_is_nobodys_fault() -> None:
    desk = Desk()
    desk.desk = ScheduleDesk(desk.cluster, desk.cluster.configuration)
    assert desk.desk.turn(START + LATE, START) == []
    assert desk.desk.status(START + LATE).slips == 0


def test_not_watched() -> None:
    desk = Desk(None)
    assert [desk.turn(LATE) for _ in range(5)] == [[]] * 5
    assert desk.desk.status(desk.now) == ScheduleStatus(False)


def test_a_commit_changes_the_limit_and_the_groups() -> None:
    """A new group of a node that slips is as unfit as the others; whoever is not watched any more is well."""
    desk = Desk()
    for _ in range(3):
        desk.turn(LATE)
    fresh = configuration(ScheduleMonitoring(500), 2)
    for number in (0, 1, 2):
        desk.cluster.groups.setdefault(number, type(desk.cluster.groups[1])(fresh.group(number), 0, START))
    assert tags(desk.desk.reconfigure(desk.now, fresh)) == ["MONITOR_FAILED"]
    assert list(desk.failures()) == [0, 1, 2]
    assert desk.desk.status(desk.now).limit_ms == 500
    assert tags(desk.desk.reconfigure(desk.now, configuration(None, 2))) == ["MONITOR_RECOVERED"] * 3
    assert desk.failures() == {}
    assert desk.desk.reconfigure(desk.now, fresh) == []
    assert desk.desk.status(desk.now) == ScheduleStatus(True, limit_ms=500)
