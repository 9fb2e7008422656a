"""The gateway's questions to a monitors process played by the test."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from jsrpd.management import monitor_link
from jsrpd.management.requests import ClearIpFailureCounts, Reply, ShowIpMonitoring
from jsrpd.model.details import MonitoredObject
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.processes import monitor_questions
from jsrpd.processes.monitor_questions import SILENT, MonitorQuestions

OBJECTS = (MonitoredObject("SP", "cpu 1", True, "7 s", "5 s", (1,)),)
GROUPS = tuple(IpGroupStatus(n, 255, 0, 0, (IpTargetStatus(f"192.0.2.{n}", "reachable", 2, 100, ""),)) for n in (1, 2))
Process = Callable[[monitor_link.Message], list[bytes]]


def asked(question: Callable[[MonitorQuestions], Awaitable[object]], process: Process) -> object:
    """What comes of a question when the process answers as it does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)

    async def ask() -> object:
        loop = asyncio.get_running_loop()

        def play() -> None:
            for data in process(monitor_link.decode(theirs.recv(1 << 16))):
                theirs.send(data)

        loop.add_reader(theirs, play)
        questions = MonitorQuestions(ours)
        questions.listen(loop)
        return await question(questions)

    with ours, theirs:
        return asyncio.run(ask())


def answering(message: monitor_link.Message) -> list[bytes]:
    """A process that is well, and speaks of something else first."""
    answer: monitor_link.Message
    match message:
        case monitor_link.ObjectsRequested(number):
            answer = monitor_link.ObjectsReported(number, OBJECTS)
        case monitor_link.IpMonitoringRequested(number) | monitor_link.IpFailureCountsCleared(number):
            answer = monitor_link.IpMonitoringReported(number, GROUPS)
        case _:
            pytest.fail(f"{message}")
    other = monitor_link.encode(monitor_link.ObjectsReported(number - 1, ()))
    return [b"\xc1", other, monitor_link.encode(answer), monitor_link.encode(answer)]


def test_objects() -> None:
    assert asked(lambda questions: questions.objects(), answering) == OBJECTS


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (ShowIpMonitoring(), Reply(True, node=1, ip_monitoring=GROUPS)),
        (ShowIpMonitoring(2), Reply(True, node=1, ip_monitoring=GROUPS[1:])),
        (ClearIpFailureCounts(), Reply(True, "Cleared failure count for all IPs", 1)),
        (ClearIpFailureCounts("192.0.2.2"), Reply(True, "Cleared failure count for IP: 192.0.2.2", 1)),
        (ClearIpFailureCounts("192.0.2.9"), Reply(False, "error: 192.0.2.9 is not monitored", 1)),
    ],
)
def test_addresses(request_: ShowIpMonitoring | ClearIpFailureCounts, reply: Reply) -> None:
    assert asked(lambda questions: questions.reply(request_, 1), answering) == reply


def test_silence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_questions, "TIMEOUT_S", 0.05)
    assert asked(lambda questions: questions.objects(), lambda _: []) is None
    assert asked(lambda questions: questions.reply(ShowIpMonitoring(), 0), lambda _: []) == Reply(False, SILENT, 0)


def test_an_answer_to_another_question_is_none() -> None:
    def confused(message: monitor_link.Message) -> list[bytes]:
        return [monitor_link.encode(monitor_link.IpMonitoringReported(getattr(message, "id", 0), GROUPS))]

    assert asked(lambda questions: questions.objects(), confused) is None
