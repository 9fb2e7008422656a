"""Role-bound services: order, time, failure, and what a successor of the process knows."""

import pytest

from jsrpd.model.configuration import Service
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.time import SECOND, Instant
from jsrpd.monitors.events import Failed, Recovered, Remark, TimePassed
from jsrpd.monitors.services import (
    LONGEST_PAUSE,
    Action,
    GroupServices,
    Kept,
    KillStep,
    RoleTold,
    RunStep,
    ServiceFailuresForgotten,
    Step,
    StepEnded,
    StepNotRun,
    SuccessorComes,
)

WEB = Service("web", start=("web", "up"), stop=("web", "down"), timeout_s=4)
DNS = Service("dns", unit="named.service", timeout_s=3)
RUN, LEAVE = RoleTold(True), RoleTold(False)


class Stage:
    """The test plays the process: ``ran`` are the steps in the order in which they were begun."""

    def __init__(self, *services: Service, kept: tuple[Kept, ...] = ()) -> None:
        self.machine = GroupServices(1, services, kept)
        self.now: Instant = 0
        self.ran: list[tuple[str, Step]] = []
        self.number = 0
        self.said: list[Action] = []

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, RunStep):
                self.ran.append((action.service.name, action.step))
                self.number = action.number
            elif isinstance(action, (Failed, Recovered, Remark, KillStep)):
                self.said.append(action)

    def tell(self, event: RoleTold | ServiceFailuresForgotten | SuccessorComes) -> None:
        self.take(self.machine.handle(self.now, event))

    def end(self, status: int = 0) -> None:
        self.take(self.machine.handle(self.now, StepEnded(self.number, status)))

    def wait(self) -> None:
        """Until the machine wants to look again."""
        at = self.machine.deadline()
        assert at is not None
        self.now = max(self.now, at)
        self.take(self.machine.handle(self.now, TimePassed()))


def failed(name: str, value: str) -> Failed:
    return Failed(1, FailureCode.SV, name, FULL_WEIGHT, value, "exit 0")


def test_started_in_order_and_stopped_in_the_other() -> None:
    stage = Stage(WEB, DNS)
    assert not stage.machine.idle
    stage.tell(RUN)
    stage.end()
    stage.end()
    assert stage.ran == [("web", Step.START), ("dns", Step.START)]
    assert stage.machine.deadline() is None
    stage.tell(LEAVE)
    stage.end()
    assert not stage.machine.idle
    stage.end()
    assert stage.ran[2:] == [("dns", Step.STOP), ("web", Step.STOP)]
    assert stage.machine.idle
    assert stage.said == []


def test_a_unit_that_the_boot_may_have_started_is_stopped_on_a_standby_but_a_command_is_not_run() -> None:
    stage = Stage(WEB, DNS)
    stage.tell(LEAVE)
    assert stage.ran == [("dns", Step.STOP)]
    stage.end()
    assert stage.machine.idle


def test_the_same_role_told_again_changes_nothing() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end()
    stage.tell(RUN)
    assert stage.ran == [("web", Step.START)]


@pytest.mark.parametrize(("status", "value"), [(3, "start: exit 3"), (-9, "start: killed by signal 9")])
def test_a_failing_start_is_a_failure_and_is_tried_again_ever_more_slowly(status: int, value: str) -> None:
    stage = Stage(WEB, DNS)
    stage.tell(RUN)
    stage.end(status)
    assert stage.said == [failed("web", value)]
    assert stage.machine.present_failures() == (failed("web", value),)
    stage.end()
    pauses = []
    for _ in range(9):
        before = stage.now
        stage.wait()
        pauses.append(stage.now - before)
        stage.end(status)
    assert pauses == [min(2**n * SECOND, LONGEST_PAUSE) for n in range(9)]
    assert len(stage.said) == 1
    stage.wait()
    stage.end()
    assert stage.said[1:] == [Recovered(1, FailureCode.SV, "web", "exit 0", "exit 0")]
    assert stage.ran[1] == ("dns", Step.START), "one that fails keeps none of the others from running"


def test_a_failed_start_stays_a_failure_when_the_group_has_gone() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end(1)
    stage.tell(LEAVE)
    assert stage.ran[-1] == ("web", Step.STOP)
    stage.end()
    assert stage.machine.idle
    assert stage.machine.present_failures() == (failed("web", "start: exit 1"),)
    stage.tell(RUN)
    stage.end()
    assert stage.machine.present_failures() == ()


def test_the_operator_ends_a_failure_and_with_it_the_pause() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end(1)
    stage.tell(ServiceFailuresForgotten())
    assert stage.said[1:] == [Recovered(1, FailureCode.SV, "web", "cleared by the operator", "exit 0")]
    assert stage.ran == [("web", Step.START)] * 2
    stage.end()
    assert stage.machine.handle(stage.now, ServiceFailuresForgotten()) == []


def test_a_start_that_does_not_end_is_killed_and_its_late_end_means_nothing() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    first = stage.number
    stage.wait()
    assert stage.now == WEB.timeout_s * SECOND
    assert stage.said == [KillStep(first), failed("web", "start: no end within 4 s")]
    assert stage.machine.handle(stage.now, StepEnded(first, -9)) == []
    assert stage.machine.handle(stage.now, StepNotRun(first, "gone")) == []


def test_a_start_is_given_up_when_the_group_goes() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    first = stage.number
    stage.tell(LEAVE)
    assert stage.said == [KillStep(first)]
    assert stage.ran[-1] == ("web", Step.STOP)


def test_a_stop_is_waited_for_before_it_is_started_again() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end()
    stage.tell(LEAVE)
    stage.tell(RUN)
    assert stage.ran[-1] == ("web", Step.STOP)
    stage.end()
    assert stage.ran[-1] == ("web", Step.START)


def test_what_cannot_be_stopped_is_a_failure_that_a_hand_over_waits_for_once() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end()
    stage.tell(LEAVE)
    stage.wait()
    assert stage.machine.present_failures() == (failed("web", "stop: no end within 4 s"),)
    assert stage.machine.idle
    stage.wait()
    stage.end()
    assert stage.said[-1] == Recovered(1, FailureCode.SV, "web", "exit 0", "exit 0")
    assert stage.machine.deadline() is None


def test_a_successor_finds_the_step_ended_and_begins_the_next() -> None:
    stage = Stage(WEB, DNS)
    stage.tell(RUN)
    stage.tell(SuccessorComes())
    stage.end()
    assert stage.ran == [("web", Step.START)]
    assert stage.machine.deadline() is None
    successor = Stage(WEB, DNS, kept=stage.machine.kept())
    successor.tell(RUN)
    assert successor.ran == [("dns", Step.START)]


def test_a_step_that_does_not_end_does_not_keep_a_successor_waiting() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.tell(SuccessorComes())
    stage.wait()
    assert stage.said == [KillStep(1), failed("web", "start: no end within 4 s")]
    assert stage.machine.deadline() is None


def test_a_failed_stop_does_not_hide_a_failed_start() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end(1)
    stage.tell(LEAVE)
    stage.end(2)
    stage.wait()
    stage.end()
    assert stage.machine.present_failures() == (failed("web", "start: exit 1"),)


def test_without_systemd_a_unit_cannot_be_run() -> None:
    stage = Stage(DNS)
    stage.tell(LEAVE)
    stage.take(stage.machine.handle(0, StepNotRun(stage.number, "systemctl: No such file or directory")))
    assert stage.machine.present_failures() == (failed("dns", "stop: cannot be run: systemctl: No such file or directory"),)


# -- configuration and successors ----------------------------------------------------------------------------------------


def test_a_service_that_is_gone_from_the_configuration_is_stopped_and_one_that_is_equal_is_left_alone() -> None:
    stage = Stage(WEB, DNS)
    stage.tell(RUN)
    stage.end()
    stage.end()
    stage.take(stage.machine.reconfigure(stage.now, (DNS,)))
    assert stage.ran[2:] == [("web", Step.STOP)]
    stage.end()
    assert [name for name, *_ in stage.machine.words()] == ["dns"]
    assert stage.machine.deadline() is None


def test_a_service_whose_commands_changed_is_stopped_by_the_old_and_started_by_the_new() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end(1)
    new = Service("web", start=("better", "up"), stop=("better", "down"))
    stage.take(stage.machine.reconfigure(stage.now, (new,)))
    stage.end(5)
    assert stage.said[-2:] == [
        Recovered(1, FailureCode.SV, "web", "no longer configured", "exit 0"),
        Remark("service web, no longer configured, was not stopped: exit 5"),
    ]
    assert stage.ran == [("web", Step.START), ("web", Step.STOP), ("web", Step.START)]


def test_a_successor_starts_nothing_twice_and_stops_what_was_begun() -> None:
    stage = Stage(WEB, DNS)
    stage.tell(RUN)
    stage.end()
    kept = stage.machine.kept()
    assert kept == (Kept(WEB, True, True), Kept(DNS, True, False))
    heir = Stage(WEB, DNS, kept=kept)
    heir.tell(RUN)
    assert heir.ran == [("dns", Step.START)]
    other = Stage(WEB, DNS, kept=kept)
    other.tell(LEAVE)
    other.end()
    assert other.ran == [("dns", Step.STOP), ("web", Step.STOP)]


def test_a_successor_knows_what_had_failed() -> None:
    stage = Stage(WEB)
    stage.tell(RUN)
    stage.end(1)
    stage.tell(LEAVE)
    stage.end()
    heir = Stage(WEB, kept=stage.machine.kept())
    assert heir.machine.present_failures() == (failed("web", "start: exit 1"),)
    gone = Stage(DNS, kept=stage.machine.kept())
    assert gone.machine.present_failures() == ()


def test_words_for_displays() -> None:
    stage = Stage(WEB, DNS)
    assert stage.machine.words() == (("web", "stopped", ""), ("dns", "not looked at yet", ""))
    stage.tell(RUN)
    assert stage.machine.words()[0] == ("web", "starting", "")
    stage.end(1)
    assert stage.machine.words()[0] == ("web", "start failed", "start: exit 1")
    stage.end()
    assert stage.machine.words()[1] == ("dns", "running", "")
    stage.tell(LEAVE)
    assert stage.machine.words()[1] == ("dns", "stopping", "")
