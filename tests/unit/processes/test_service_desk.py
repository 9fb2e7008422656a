"""The engine's end of the services process: the roles it tells, the answers it believes."""

import socket

from jsrpd.core.cluster import Cluster
from jsrpd.management import service_link
from jsrpd.management.monitor_link import MonitorFailed
from jsrpd.management.service_link import FailuresForgotten, RolesTold, ServiceRemark, ServicesReported
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, GroupConfiguration, Service
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.status import ServiceStatus
from jsrpd.model.time import SECOND
from jsrpd.processes.service_desk import ServiceDesk

CONFIGURATION = ClusterConfiguration(
    cluster_id=1,
    node_id=0,
    control_links=(ControlLink(0, "ctl"),),
    groups=(GroupConfiguration(0), GroupConfiguration(1, services=(Service("web", unit="web.service"),))),
)
START = 1000 * SECOND
FAILED = MonitorFailed(1, FailureCode.SV, "web", 255, "start: exit 1", "exit 0")


class Desk:
    """A desk, and the process at the other end."""

    def __init__(self) -> None:
        ours, self.process = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process.setblocking(False)
        self.cluster = Cluster(CONFIGURATION, START, 1)
        self.desk = ServiceDesk(ours, self.cluster, START)

    def report(self, version: int, idle: tuple[int, ...] = (), failed: tuple[MonitorFailed, ...] = ()) -> list[str]:
        """Tags of what is logged."""
        services = (ServiceStatus(1, "web", "running"),)
        self.process.send(service_link.encode(ServicesReported(version, idle, failed, services)))
        return [line.tag for line in self.desk.drain(START)]

    def told(self) -> list[service_link.Message]:
        self.desk.tell()
        found: list[service_link.Message] = []
        while True:
            try:
                found.append(service_link.decode(self.process.recv(1 << 16)))
            except BlockingIOError:
                return found

    def roles(self) -> RolesTold:
        (message,) = self.told()
        assert isinstance(message, RolesTold)
        return message


def test_roles_are_told_on_a_change_and_as_an_answer() -> None:
    desk = Desk()
    first = desk.roles()
    assert [(role.group, role.state, role.run) for role in first.groups] == [(0, "hold", False), (1, "hold", False)]
    assert desk.told() == []
    desk.cluster.groups[1].state = GroupState.PRIMARY
    second = desk.roles()
    assert second.version > first.version
    assert [role.run for role in second.groups] == [False, True]
    desk.report(second.version)
    assert desk.roles() == second
    assert desk.desk.services == (ServiceStatus(1, "web", "running"),)


def test_while_a_hand_over_waits_they_shall_not_run_and_their_end_is_told_to_the_core() -> None:
    desk = Desk()
    group = desk.cluster.groups[1]
    group.state, group.services_until = GroupState.PRIMARY, START + SECOND
    told = desk.roles()
    assert not told.groups[1].run
    desk.report(told.version - 1, idle=(1,))
    assert not group.services_stopped, "said before it had heard"
    desk.report(told.version, idle=(0,))
    assert not group.services_stopped
    desk.report(told.version, idle=(1, 7))
    assert group.services_stopped


def test_failures_are_what_the_process_says() -> None:
    desk = Desk()
    unknown = MonitorFailed(9, FailureCode.SV, "web", 255, "", "")
    assert desk.report(0, failed=(FAILED, unknown)) == ["JSRPD_MONITOR_FAILED"]
    assert desk.cluster.groups[1].failures == {(FailureCode.SV, "web"): 255}
    assert desk.report(0, failed=(FAILED,)) == []
    assert desk.report(0) == ["JSRPD_MONITOR_RECOVERED"]
    assert desk.cluster.groups[1].failures == {}


def test_remarks_garbage_and_the_operators_word() -> None:
    desk = Desk()
    desk.process.send(b"garbage")
    desk.process.send(service_link.encode(ServiceRemark("notification pager: exit 1")))
    desk.process.send(service_link.encode(FailuresForgotten(None)))
    assert [line.tag for line in desk.desk.drain(START)] == ["JSRPD_NOTICE"]
    assert desk.desk.forget(1)
    assert FailuresForgotten(1) in desk.told()
    desk.process.close()
    assert not desk.desk.forget(None)
    assert desk.desk.drain(START) == []
