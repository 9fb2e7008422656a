"""Role-bound services of one group: started in order where it is primary, stopped in the other order where it is not.

Level-triggered: the machine is told whether they shall run, and works towards it a step at a time. Each step has its
time; one that fails or does not end is a failure with code SV, tried again later. A failed start stays a failure when
the group has moved on: were it forgotten, two nodes that both cannot start the service would pass the group to and fro
for ever. It ends with a start that succeeds, the operator's word, or another configuration (decision 0080).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import msgspec

from jsrpd.model.configuration import Service
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.time import SECOND, Duration, Instant
from jsrpd.monitors.events import Failed, Recovered, Remark, TimePassed

FIRST_PAUSE: Duration = SECOND
LONGEST_PAUSE: Duration = 60 * SECOND
"""Between two attempts at the same step; doubled each time."""
LIMIT = "exit 0"


class Step(StrEnum):
    """What is done with a service."""

    START = "start"
    STOP = "stop"


class Kept(msgspec.Struct, frozen=True):
    """What must outlive this process: a service that was begun here, whether its start succeeded, and what is wrong with it."""

    service: Service
    begun: bool = False
    running: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class RoleTold:
    """Whether the services shall run here."""

    run: bool


@dataclass(frozen=True, slots=True)
class StepEnded:
    """``status``: exit status, negative for the signal that killed it."""

    number: int
    status: int


@dataclass(frozen=True, slots=True)
class StepNotRun:
    """The command could not be started."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceFailuresForgotten:
    """The operator has mended what kept a service from starting, or means to try."""


@dataclass(frozen=True, slots=True)
class SuccessorComes:
    """The step under way ends here, the next one is begun by another process."""


@dataclass(frozen=True, slots=True)
class RunStep:
    """Run this step; its end is told with ``number``."""

    number: int
    service: Service
    step: Step


@dataclass(frozen=True, slots=True)
class KillStep:
    """It took too long, or is not wanted any more: kill it with its process group."""

    number: int


@dataclass(frozen=True, slots=True)
class Remember:
    """What is kept has changed."""


Event: TypeAlias = RoleTold | StepEnded | StepNotRun | ServiceFailuresForgotten | SuccessorComes | TimePassed
Action: TypeAlias = RunStep | KillStep | Remember | Failed | Recovered | Remark


@dataclass
class _Now:
    """How one service stands."""

    service: Service
    wanted: bool = True
    """It stands in the configuration."""
    begun: bool = False
    running: bool = False
    unknown: bool = False
    """A unit that this daemon has not looked at yet: the boot may have started it."""
    failed: Step | None = None
    why: str = ""
    due: Instant | None = None
    """The next attempt after one that failed."""
    pause: Duration = FIRST_PAUSE

    @property
    def may_run(self) -> bool:
        return self.begun or self.unknown

    @property
    def word(self) -> str:
        if self.failed is not None:
            return f"{self.failed} failed"
        return "running" if self.running else "not looked at yet" if self.may_run else "stopped"


@dataclass(frozen=True, slots=True)
class _Run:
    number: int
    of: _Now
    step: Step
    kill_at: Instant


class GroupServices:
    """The services of one group on this node."""

    def __init__(self, group: int, services: tuple[Service, ...], kept: Iterable[Kept] = ()) -> None:
        self.group = group
        self.run: bool | None = None
        """Whether they shall run; None while nobody has said."""
        self._run: _Run | None = None
        self._runs = 0
        self._last = False
        """No step follows the present one."""
        self._all: list[_Now] = []
        for one in kept:
            failed = Step(one.failed.split(":")[0]) if one.failed else None
            self._all.append(_Now(one.service, begun=one.begun, running=one.running, failed=failed, why=one.failed))
        self._arrange(services)

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """A role, an end, the passing of time."""
        match event:
            case RoleTold(run):
                return self._told(now, run)
            case StepEnded(number, status):
                if self._run is None or self._run.number != number:
                    return []  # It was given up before.
                said = f"exit {status}" if status >= 0 else f"killed by signal {-status}"
                return self._ended(now, status == 0, said)
            case StepNotRun(number, reason):
                if self._run is None or self._run.number != number:
                    return []
                return self._ended(now, False, f"cannot be run: {reason}")
            case ServiceFailuresForgotten():
                return self._forget(now)
            case SuccessorComes():
                self._last = True
                return []
            case TimePassed():
                if self._run is not None and now >= self._run.kill_at:
                    killed, said = KillStep(self._run.number), f"no end within {self._run.of.service.timeout_s} s"
                    return [killed, *self._ended(now, False, said)]
                return self._go_on(now)

    def reconfigure(self, now: Instant, services: tuple[Service, ...]) -> list[Action]:
        """What is equal goes on undisturbed; what is gone or different is stopped as it was started."""
        actions: list[Action] = []
        for one in self._all:
            if one.service not in services and one.wanted:
                one.due = None
                if one.failed is not None:
                    actions.append(self._recovered(one, "no longer configured"))
        self._arrange(services)
        return [*actions, Remember(), *self._go_on(now)]

    def _arrange(self, services: tuple[Service, ...]) -> None:
        """In the order of the configuration; what is to be stopped for good stands at the end, so it is stopped first."""
        known = {one.service: one for one in self._all}
        new = [known.get(service) or _Now(service, unknown=bool(service.unit)) for service in services]
        old = [one for one in self._all if one.service not in services and one.may_run]
        for one in old:
            one.wanted = False
            one.failed, one.why = None, ""
        self._all = new + old

    def _told(self, now: Instant, run: bool) -> list[Action]:
        if run == self.run:
            return []
        self.run = run
        for one in self._all:
            one.due, one.pause = None, FIRST_PAUSE
        actions: list[Action] = []
        if not run and self._run is not None and self._run.step is Step.START:
            actions.append(KillStep(self._run.number))
            self._run = None
        return actions + self._go_on(now)

    def _forget(self, now: Instant) -> list[Action]:
        actions: list[Action] = []
        for one in self._all:
            if one.failed is not None:
                actions.append(self._recovered(one, "cleared by the operator"))
                one.due, one.pause = None, FIRST_PAUSE
        return [*actions, Remember(), *self._go_on(now)] if actions else []

    # -- steps ----------------------------------------------------------------------------------------------------

    def _go_on(self, now: Instant) -> list[Action]:
        if self._run is not None or self._last:
            return []
        found = self._next(now)
        if found is None:
            return []
        one, step = found
        self._runs += 1
        self._run = _Run(self._runs, one, step, now + one.service.timeout_s * SECOND)
        one.begun = True
        one.unknown = False
        return [Remember(), RunStep(self._runs, one.service, step)]

    def _next(self, now: Instant) -> tuple[_Now, Step] | None:
        for one in reversed(self._all):
            if (not one.wanted or self.run is False) and one.may_run and (one.due is None or one.due <= now):
                return one, Step.STOP
        for one in self._all:
            if self.run and one.wanted and not one.running and (one.due is None or one.due <= now):
                return one, Step.START
        return None

    def _ended(self, now: Instant, well: bool, said: str) -> list[Action]:
        assert self._run is not None
        one, step = self._run.of, self._run.step
        self._run = None
        if not well:
            return [*self._failed(now, one, step, said), Remember(), *self._go_on(now)]
        one.running = one.begun = step is Step.START
        one.due, one.pause = None, FIRST_PAUSE
        actions: list[Action] = []
        if one.failed is step or (one.failed is not None and step is Step.START):
            actions.append(self._recovered(one, said))
        self._all = [other for other in self._all if other.wanted or other.may_run]
        return [*actions, Remember(), *self._go_on(now)]

    def _failed(self, now: Instant, one: _Now, step: Step, said: str) -> list[Action]:
        one.running = False
        if not one.wanted:
            # Nothing of the configuration suffers from it, and nothing will try again.
            self._all.remove(one)
            return [Remark(f"service {one.service.name}, no longer configured, was not stopped: {said}")]
        one.due, one.pause = now + one.pause, min(2 * one.pause, LONGEST_PAUSE)
        before = one.failed, one.why
        if one.failed is not Step.START or step is Step.START:
            one.failed, one.why = step, f"{step}: {said}"
        return [] if before == (one.failed, one.why) else [self._failure(one)]

    def _failure(self, one: _Now) -> Failed:
        return Failed(self.group, FailureCode.SV, one.service.name, FULL_WEIGHT, one.why, LIMIT)

    def _recovered(self, one: _Now, said: str) -> Recovered:
        one.failed, one.why = None, ""
        return Recovered(self.group, FailureCode.SV, one.service.name, said, LIMIT)

    # -- the state of things ----------------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """The end of patience with the present step, or the next attempt."""
        if self._run is not None:
            return self._run.kill_at
        if self._last:
            return None
        wanted = Step.START if self.run else Step.STOP
        dues = [one.due for one in self._all if one.due is not None and (one.may_run or wanted is Step.START)]
        return min(dues, default=None)

    @property
    def idle(self) -> bool:
        """They shall not run, and none does, or each that could not be stopped has had its time."""
        untried = any(one.may_run and one.due is None for one in self._all)
        return self.run is False and self._run is None and not untried

    def present_failures(self) -> tuple[Failed, ...]:
        """What is failed now."""
        return tuple(self._failure(one) for one in self._all if one.failed is not None)

    def kept(self) -> tuple[Kept, ...]:
        """For a successor of this process."""
        return tuple(Kept(one.service, one.begun, one.running, one.why) for one in self._all if one.begun or one.failed is not None)

    def words(self) -> tuple[tuple[str, str, str], ...]:
        """(name, how it stands, what is wrong), for displays."""
        busy = {} if self._run is None else {self._run.of.service.name: "starting" if self._run.step is Step.START else "stopping"}
        return tuple((one.service.name, busy.get(one.service.name, one.word), one.why) for one in self._all)
