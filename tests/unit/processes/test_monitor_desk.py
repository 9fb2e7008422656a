"""The engine's end of the monitors process: changes, the truth each second, silence."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from jsrpd.core.cluster import Cluster
from jsrpd.management import monitor_link
from jsrpd.management.monitor_link import (
    ArbiterAnswered,
    MonitorFailed,
    MonitorRecovered,
    MonitorRemark,
    MonitorsAlive,
    WitnessGranted,
)
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, GroupConfiguration, IpMonitoring, IpTarget
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import SECOND, Instant
from jsrpd.processes.monitor_desk import GRACE, PROCESS, MonitorDesk

CONFIGURATION = ClusterConfiguration(
    cluster_id=1,
    node_id=0,
    control_links=(ControlLink(0, "ctl"),),
    groups=(
        GroupConfiguration(0),
        GroupConfiguration(1, ip_monitoring=IpMonitoring(targets=(IpTarget("192.0.2.1"),))),
        GroupConfiguration(2),
    ),
)
IP = MonitorFailed(1, FailureCode.IP, "ip-monitoring", 200, "unreachable weight 100", "50")
SPU = MonitorFailed(2, FailureCode.SP, "cpu 1", 255, "waited 9 s", "5 s")
START = 1000 * SECOND


class Desk:
    """A desk, and the process at the other end."""

    def __init__(self) -> None:
        ours, self.process = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process.setblocking(False)
        self.cluster = Cluster(CONFIGURATION, START, 1)
        self.desk = MonitorDesk(ours, self.cluster, START)
        self.now: Instant = START
        self.told_wish = 0

    def take(self, *messages: monitor_link.Message, after: int = 0) -> list[str]:
        """Tags of what is logged."""
        self.now += after
        for message in messages:
            self.process.send(monitor_link.encode(message))
        return [line.tag for line in self.desk.drain(self.now)]

    def failures(self) -> dict[int, dict[str, int]]:
        groups = self.cluster.groups.items()
        return {n: {f"{code.name} {name}": w for (code, name), w in g.failures.items()} for n, g in groups if g.failures}

    def told(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        self.desk.tell_ownership(self.now)
        told: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        while True:
            try:
                message = monitor_link.decode(self.process.recv(1 << 16))
            except BlockingIOError:
                return told
            assert isinstance(message, monitor_link.OwnedGroups)
            told.append((message.groups, message.shut))

    def wish(self) -> int:
        """The number that the process was told last."""
        self.desk.tell_ownership(self.now)
        with contextlib.suppress(BlockingIOError):
            while True:
                message = monitor_link.decode(self.process.recv(1 << 16))
                assert isinstance(message, monitor_link.OwnedGroups)
                self.told_wish = message.wish
        return self.told_wish

    def close(self) -> None:
        self.process.close()
        self.desk.channel.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_a_failure_and_its_end(desk: Desk) -> None:
    assert desk.take(IP) == ["JSRPD_MONITOR_FAILED"]
    assert desk.take(IP) == [], "said once"
    assert desk.failures() == {1: {"IP ip-monitoring": 200}}
    assert desk.take(MonitorRecovered(1, FailureCode.IP, "ip-monitoring", "0", "50")) == ["JSRPD_MONITOR_RECOVERED"]
    assert desk.take(MonitorRecovered(1, FailureCode.IP, "ip-monitoring", "0", "50")) == []
    assert desk.failures() == {}


def test_what_was_lost_on_the_way_is_put_right(desk: Desk) -> None:
    assert desk.take(MonitorsAlive((IP, SPU), settled=True)) == ["JSRPD_MONITOR_FAILED"] * 2
    assert desk.failures() == {1: {"IP ip-monitoring": 200}, 2: {"SP cpu 1": 255}}
    assert desk.take(MonitorsAlive((IP,), settled=True)) == ["JSRPD_MONITOR_RECOVERED"]
    assert desk.failures() == {1: {"IP ip-monitoring": 200}}


def test_a_successor_that_has_not_looked_yet_takes_nothing_back(desk: Desk) -> None:
    desk.take(IP)
    assert desk.take(MonitorsAlive((), settled=False)) == []
    assert desk.failures() == {1: {"IP ip-monitoring": 200}}
    assert desk.take(MonitorsAlive((), settled=True)) == ["JSRPD_MONITOR_RECOVERED"]


def test_failures_that_others_tell_of_are_not_its_business(desk: Desk) -> None:
    desk.cluster.groups[1].failures[FailureCode.IF, "lan"] = 255
    assert desk.take(MonitorsAlive((), settled=True)) == []
    assert desk.failures() == {1: {"IF lan": 255}}


def test_unknown_groups_garbage_and_remarks(desk: Desk) -> None:
    desk.process.send(b"garbage")
    unknown = MonitorFailed(77, FailureCode.SC, "x", 1, "", "")
    assert desk.take(unknown, MonitorRecovered(77, FailureCode.SC, "x", "", ""), MonitorRemark("hear")) == ["JSRPD_NOTICE"]
    assert desk.failures() == {}


def test_silence_fails_the_groups_that_have_monitors_of_their_own(desk: Desk) -> None:
    seconds = GRACE // SECOND
    assert [desk.take(after=SECOND) for _ in range(seconds)] == [[]] * seconds
    assert desk.take(after=SECOND) == ["JSRPD_MONITOR_FAILED"]
    assert desk.failures() == {1: {f"SM {PROCESS}": 255}}
    assert desk.take(MonitorsAlive((), settled=False)) == []
    assert desk.take(MonitorsAlive((), settled=True)) == ["JSRPD_MONITOR_RECOVERED"]
    assert desk.failures() == {}


def test_a_pause_of_the_machine_is_nobodys_silence(desk: Desk) -> None:
    for _ in range(GRACE // SECOND - 1):
        assert desk.take(after=100 * GRACE) == []
    assert desk.failures() == {}


def test_signs_of_life_end_the_silence(desk: Desk) -> None:
    for _ in range(3):
        for _ in range(GRACE // SECOND - 1):
            assert desk.take(after=SECOND) == []
        assert desk.take(MonitorsAlive((), settled=True)) == []


def test_whether_the_witness_answers_is_known_while_somebody_says_so(desk: Desk) -> None:
    assert desk.desk.witness_answers is None
    for said in (True, False, None, True):
        desk.take(MonitorsAlive((), settled=True, witness=said))
        assert desk.desk.witness_answers is said
    for _ in range(GRACE // SECOND + 1):
        desk.take(after=SECOND)
    assert desk.desk.witness_answers is None


def test_ownership_is_told_on_change_and_on_each_sign_of_life(desk: Desk) -> None:
    assert desk.told() == [((), ())]
    assert desk.told() == []
    group = desk.cluster.groups[1]
    group.state = GroupState.PRIMARY
    assert desk.told() == [((), (1,))], "its gate is shut"
    group.lease = group.lease.__class__(deadline=desk.now + SECOND)
    assert desk.told() == [((1,), ())]
    assert desk.told() == []
    desk.take(MonitorsAlive((), settled=True))
    assert desk.told() == [((1,), ())]
    desk.now += 2 * SECOND
    assert desk.told() == [((), (1,))]


def test_what_the_arbiter_says_reaches_the_core(desk: Desk) -> None:
    """A grant only in answer to the present wish: what answers an older one has been given up since."""
    desk.take(ArbiterAnswered(START - 5))
    assert desk.cluster.arbitration.asked_at == START - 5
    assert desk.wish() == 0
    desk.cluster.witness_wanted = True
    first = desk.wish()
    assert first == START
    desk.take(WitnessGranted(first, START + 1))
    assert desk.cluster.arbitration.granted_until == START + 1
    desk.cluster.witness_wanted = False
    assert desk.wish() == 0
    desk.cluster.witness_wanted = True
    desk.take(after=SECOND)
    assert desk.wish() == START + SECOND
    desk.take(WitnessGranted(first, START + 9 * SECOND))
    assert desk.cluster.arbitration.granted_until == START + 1
