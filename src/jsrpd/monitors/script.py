"""The script monitor: a command's exit status, damped. A command that cannot be started is no verdict."""

from collections.abc import Iterable

from jsrpd.model.configuration import ScriptMonitor as Configuration
from jsrpd.model.details import MonitoredObject
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import SECOND, Instant
from jsrpd.monitors.damping import Damper
from jsrpd.monitors.events import (
    Action,
    CommandEnded,
    CommandNotRun,
    Event,
    Failed,
    KillCommand,
    Recovered,
    Remark,
    RunCommand,
    TimePassed,
)

LIMIT = "exit 0"
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit statuses by which a shell says that it could not run what it was told to."""


class ScriptMonitor:
    """One command for one group; at most one run at a time."""

    def __init__(self, group: int, configuration: Configuration, now: Instant) -> None:
        self.group, self.configuration = group, configuration
        self.failure: Failed | None = None
        self._damper = Damper(configuration.rise, configuration.fall)
        self._due = now
        self._kill_at: Instant | None = None
        """When the present run is killed; None while nothing runs."""
        self._hanging = False
        self._reason = ""
        self._value = "has not run yet"

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """Runs, ends, hangs."""
        match event:
            case TimePassed():
                return self._look(now)
            case CommandEnded(status):
                self._kill_at = None
                if self._hanging:
                    return []  # Its verdict fell when it was killed.
                if status in (NOT_EXECUTABLE, NOT_FOUND):
                    return self._not_run(f"exit {status}")
                self._reason = ""
                return self._found(status == 0, f"exit {status}" if status >= 0 else f"killed by signal {-status}")
            case CommandNotRun(reason):
                self._kill_at = None
                return self._not_run(reason)
            case _:
                return []

    def _look(self, now: Instant) -> list[Action]:
        at = self.deadline()
        if at is not None and now < at:
            return []
        if self._kill_at is not None and not self._hanging:
            self._hanging = True
            return [KillCommand(), *self._hung()]
        self._due = now + self.configuration.interval_s * SECOND
        if self._kill_at is not None:
            # Killed and not gone: it waits in the kernel, for a dead disk perhaps. That is no better than before.
            return self._hung()
        self._kill_at = now + self.configuration.timeout_s * SECOND
        self._hanging = False
        return [RunCommand()]

    def _hung(self) -> list[Action]:
        return self._found(False, f"no end within {self.configuration.timeout_s} s")

    def _not_run(self, reason: str) -> list[Action]:
        """Said once per reason; the verdict stays what it was."""
        self._value = f"could not run: {reason}"
        if reason == self._reason:
            return []
        self._reason = reason
        verdict = "failed" if self._damper.failed else "well"
        return [Remark(f"script-monitor {self.configuration.name} could not run: {reason}; it still counts as {verdict}")]

    def _found(self, well: bool, value: str) -> list[Action]:
        self._value = value
        if not self._damper.find(well):
            return []
        name, weight = self.configuration.name, self.configuration.weight
        if self._damper.failed:
            self.failure = Failed(self.group, FailureCode.SC, name, weight, value, LIMIT)
            return [self.failure]
        self.failure = None
        return [Recovered(self.group, FailureCode.SC, name, value, LIMIT)]

    def deadline(self) -> Instant | None:
        """The next run, or the end of patience with the present one."""
        return self._due if self._kill_at is None or self._hanging else self._kill_at

    def objects(self) -> tuple[MonitoredObject, ...]:
        """The one command."""
        name, failed = self.configuration.name, self._damper.failed
        return (MonitoredObject(FailureCode.SC.name, name, failed, self._value, LIMIT, (self.group,)),)

    def present_failures(self) -> Iterable[Failed]:
        """What is failed now."""
        return () if self.failure is None else (self.failure,)
