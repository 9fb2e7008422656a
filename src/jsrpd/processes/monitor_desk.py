"""The engine's end of the monitors process: its words become events of the core, its silence a failure.

The engine runs on without monitors. Only when they have been silent for a grace time does this node say that it no
longer sees what it was told to watch: groups with monitors of their own (addresses, scripts) then fail with code SM,
so that a peer that does see takes them.
"""

import contextlib
import socket

import msgspec

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import ArbiterAnswered, MonitorFailed, MonitorRecovered, WitnessGranted
from jsrpd.management import monitor_link
from jsrpd.messages.catalogue import LogMessage, monitor_failed, monitor_recovered, notice
from jsrpd.model.roles import FULL_WEIGHT, FailureCode, GroupState
from jsrpd.model.time import SECOND, Duration, Instant

GRACE: Duration = 30 * SECOND
"""Silence of the monitors process, with restarts, until its monitors fail."""
CODES = frozenset({FailureCode.IP, FailureCode.SP, FailureCode.NP, FailureCode.HW, FailureCode.SC})
"""Failures that only the monitors process tells of."""
PROCESS = "monitors process"
MESSAGES_PER_TURN = 64


class MonitorDesk:
    """Takes what the monitors process says, and tells it which groups this node owns."""

    def __init__(self, channel: socket.socket, cluster: Cluster, now: Instant) -> None:
        self.channel, self.cluster = channel, cluster
        self.silence: Duration = 0
        """How long it has said nothing while this engine ran; a pause of the machine is nobody's silence."""
        self._looked = now
        self._told: monitor_link.OwnedGroups | None = None
        self._wish = 0
        """Number of the wish for the witness's key: what answers an older one has been given up since."""
        self.witness_answers: bool | None = None
        """As the monitors process has said; None while it has not, or is silent."""
        self._log: list[LogMessage] = []

    def drain(self, now: Instant) -> list[LogMessage]:
        """Take what is waiting, judge the silence; what is to be logged."""
        self.silence += min(now - self._looked, SECOND)
        self._looked = now
        for _ in range(MESSAGES_PER_TURN):
            try:
                data = self.channel.recv(1 << 20, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            if not data:
                break
            with contextlib.suppress(msgspec.DecodeError):
                self._take(now, monitor_link.decode(data))
        if self.silence > GRACE:
            self._miss_monitors(now)
        log, self._log = self._log, []
        return log

    def _take(self, now: Instant, message: monitor_link.Message) -> None:
        match message:
            case monitor_link.MonitorFailed():
                self._fail(now, message)
            case monitor_link.MonitorRecovered(group, code, name, value, limit):
                self._recover(now, group, code, name, value, limit)
            case monitor_link.MonitorsAlive(failed, settled, witness):
                self.silence = 0
                self.witness_answers = witness
                self._told = None
                self._align(now, failed, settled)
            case monitor_link.ArbiterAnswered(asked_at):
                self.cluster.handle(now, ArbiterAnswered(asked_at))
            case monitor_link.WitnessGranted(wish, until) if wish == self._wish:
                self.cluster.handle(now, WitnessGranted(until))
            case monitor_link.MonitorRemark(text):
                self._log.append(notice(text))
            case _:
                pass

    def _fail(self, now: Instant, told: monitor_link.MonitorFailed) -> None:
        group = self.cluster.groups.get(told.group)
        if group is None or group.failures.get((told.code, told.name)) == told.weight:
            return
        self.cluster.handle(now, MonitorFailed(told.group, told.code, told.name, told.weight, told.value, told.limit))
        self._log.append(monitor_failed(told.group, told.code.name, told.name, told.value, told.limit))

    def _recover(self, now: Instant, number: int, code: FailureCode, name: str, value: str, limit: str) -> None:
        group = self.cluster.groups.get(number)
        if group is None or (code, name) not in group.failures:
            return
        self.cluster.handle(now, MonitorRecovered(number, code, name, value, limit))
        self._log.append(monitor_recovered(number, code.name, name, value, limit))

    def _align(self, now: Instant, failed: tuple[monitor_link.MonitorFailed, ...], settled: bool) -> None:
        """What it says is failed, is; what it does not, is not, once it has had time to look."""
        for one in failed:
            self._fail(now, one)
        if not settled:
            return
        told = {(one.group, one.code, one.name) for one in failed}
        for number, group in self.cluster.groups.items():
            for code, name in list(group.failures):
                if code in CODES and (number, code, name) not in told:
                    self._recover(now, number, code, name, "no longer watched as failed", "")
            self._recover(now, number, FailureCode.SM, PROCESS, "it speaks again", f"{GRACE // SECOND} s")

    def _miss_monitors(self, now: Instant) -> None:
        self.witness_answers = None
        limit = f"{GRACE // SECOND} s"
        for number, group in self.cluster.groups.items():
            configuration = group.configuration
            if configuration.ip_monitoring is not None or configuration.script_monitors:
                value = f"silent for {self.silence // SECOND} s"
                self._fail(now, monitor_link.MonitorFailed(number, FailureCode.SM, PROCESS, FULL_WEIGHT, value, limit))

    def tell_ownership(self, now: Instant) -> None:
        """The groups that this node owns, and whether it wants the witness's key: at once on a change, and as an answer to each
        sign of life. At the end of a turn, when the leases are stored."""
        if self.cluster.witness_wanted != bool(self._wish):
            self._wish = now if self.cluster.witness_wanted else 0
        primary = [group for group in self.cluster.groups.values() if group.state == GroupState.PRIMARY]
        owned = monitor_link.OwnedGroups(
            tuple(group.number for group in primary if group.lease.is_open(now)),
            tuple(group.number for group in primary if not group.lease.is_open(now)),
            self._wish,
        )
        if owned == self._told:
            return
        with contextlib.suppress(OSError):
            self.channel.send(monitor_link.encode(owned), socket.MSG_DONTWAIT)
            self._told = owned
