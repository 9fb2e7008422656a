"""The gateway's questions to the monitors process, past the engine, which has better things to do."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from functools import partial

import msgspec

from jsrpd.management import monitor_link
from jsrpd.management.requests import ClearIpFailureCounts, Reply, ShowIpMonitoring
from jsrpd.model.details import MonitoredObject
from jsrpd.model.ip_monitoring import IpGroupStatus

TIMEOUT_S = 2.0
SILENT = "error: the monitors process does not answer; look at: journalctl -u jsrpd"
ANSWERS_PER_WAKE_UP = 64


class MonitorQuestions:
    """One question, one answer, told apart by number."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self._waiting: dict[int, asyncio.Future[monitor_link.Message]] = {}
        # Beyond the numbers of a gateway before this one, whose answers may still wait in the channel.
        self._number = time.monotonic_ns()

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take answers from now on."""
        self.channel.setblocking(False)
        loop.add_reader(self.channel, self._read)

    async def reply(self, request: ShowIpMonitoring | ClearIpFailureCounts, node: int) -> Reply:
        """The operator's answer; a silent monitors process is said."""
        answer = await self._asked(_question(request))
        if not isinstance(answer, monitor_link.IpMonitoringReported):
            return Reply(False, SILENT, node)
        groups = answer.groups
        if isinstance(request, ClearIpFailureCounts):
            return self._cleared(request.address, groups, node)
        if request.group is not None:
            groups = tuple(group for group in groups if group.group == request.group)
        return Reply(True, node=node, ip_monitoring=groups)

    async def objects(self) -> tuple[MonitoredObject, ...] | None:
        """What is watched besides addresses; None when the process does not answer."""
        answer = await self._asked(monitor_link.ObjectsRequested)
        return answer.objects if isinstance(answer, monitor_link.ObjectsReported) else None

    def _cleared(self, address: str, groups: tuple[IpGroupStatus, ...], node: int) -> Reply:
        if not address:
            return Reply(True, "Cleared failure count for all IPs", node)
        if all(target.address != address for group in groups for target in group.targets):
            return Reply(False, f"error: {address} is not monitored", node)
        return Reply(True, f"Cleared failure count for IP: {address}", node)

    async def _asked(self, question: Callable[[int], monitor_link.Message]) -> monitor_link.Message | None:
        """The answer to a question that gets its number here; None: none came in time."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[monitor_link.Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.channel.send(monitor_link.encode(question(number)), socket.MSG_DONTWAIT)
            return await asyncio.wait_for(answer, TIMEOUT_S)
        except OSError:  # TimeoutError is one, and so is a channel that is full.
            return None
        finally:
            del self._waiting[number]

    def _read(self) -> None:
        for _ in range(ANSWERS_PER_WAKE_UP):
            try:
                data = self.channel.recv(1 << 20)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                asyncio.get_running_loop().remove_reader(self.channel)
                return
            with contextlib.suppress(msgspec.DecodeError):
                message = monitor_link.decode(data)
                waiting = self._waiting.get(getattr(message, "id", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)


def _question(request: ShowIpMonitoring | ClearIpFailureCounts) -> Callable[[int], monitor_link.Message]:
    if isinstance(request, ClearIpFailureCounts):
        return partial(monitor_link.IpFailureCountsCleared, address=request.address)
    return monitor_link.IpMonitoringRequested
