"""The engine's end of the services process: it is told the roles, and its answers become events of the core.

The engine never waits here. A hand-over that wants services stopped first is the core's business, and has an end without
an answer too.
"""

import contextlib
import socket

import msgspec

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import MonitorFailed, MonitorRecovered, ServicesStopped
from jsrpd.management import monitor_link, service_link
from jsrpd.messages.catalogue import LogMessage, monitor_failed, monitor_recovered, notice
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.status import ServiceStatus
from jsrpd.model.time import Instant

MESSAGES_PER_TURN = 64


class ServiceDesk:
    """Takes what the services process says, and tells it the roles."""

    def __init__(self, channel: socket.socket, cluster: Cluster, now: Instant) -> None:
        self.channel, self.cluster = channel, cluster
        self.services: tuple[ServiceStatus, ...] = ()
        """As last reported."""
        # Beyond the versions of an engine before this one, whose answers may still wait in the channel.
        self._version: int = now
        self._roles: tuple[service_link.GroupRole, ...] = ()
        self._told = False
        self._log: list[LogMessage] = []

    def drain(self, now: Instant) -> list[LogMessage]:
        """Take what is waiting; what is to be logged."""
        for _ in range(MESSAGES_PER_TURN):
            try:
                data = self.channel.recv(1 << 20, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            if not data:
                break
            with contextlib.suppress(msgspec.DecodeError):
                self._take(now, service_link.decode(data))
        log, self._log = self._log, []
        return log

    def _take(self, now: Instant, message: service_link.Message) -> None:
        match message:
            case service_link.ServicesReported(version, idle, failed, services):
                self._told = False
                self.services = services
                self._align(now, failed)
                if version == self._version:
                    self._stopped(now, idle)
            case service_link.ServiceRemark(text):
                self._log.append(notice(text))
            case _:
                pass

    def _stopped(self, now: Instant, idle: tuple[int, ...]) -> None:
        for number in idle:
            group = self.cluster.groups.get(number)
            if group is not None and group.services_until is not None and not group.services_stopped:
                self.cluster.handle(now, ServicesStopped(number))

    def _align(self, now: Instant, failed: tuple[monitor_link.MonitorFailed, ...]) -> None:
        told = {(one.group, one.name): one for one in failed}
        for (number, name), one in told.items():
            group = self.cluster.groups.get(number)
            if group is not None and (FailureCode.SV, name) not in group.failures:
                self.cluster.handle(now, MonitorFailed(number, one.code, name, one.weight, one.value, one.limit))
                self._log.append(monitor_failed(number, one.code.name, name, one.value, one.limit))
        for number, group in self.cluster.groups.items():
            for code, name in list(group.failures):
                if code is FailureCode.SV and (number, name) not in told:
                    self.cluster.handle(now, MonitorRecovered(number, code, name))
                    self._log.append(monitor_recovered(number, code.name, name, "no failure", ""))

    def forget(self, group: int | None) -> bool:
        """The operator clears failures; False when the process cannot be told."""
        try:
            self.channel.send(service_link.encode(service_link.FailuresForgotten(group)), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def tell(self) -> None:
        """The roles: at once on a change, and as an answer to each report."""
        roles = tuple(
            service_link.GroupRole(
                group.number, group.state.label, group.reason, group.state == GroupState.PRIMARY and group.services_until is None
            )
            for group in self.cluster.groups.values()
        )
        if roles != self._roles:
            self._roles, self._told = roles, False
            self._version += 1
        if self._told:
            return
        with contextlib.suppress(OSError):
            self.channel.send(service_link.encode(service_link.RolesTold(self._version, roles)), socket.MSG_DONTWAIT)
            self._told = True
