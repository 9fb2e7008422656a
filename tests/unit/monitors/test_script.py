"""The script monitor: failed, hung, and could not run are three things."""

from jsrpd.model.configuration import ScriptMonitor as Configuration
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import SECOND, Instant
from jsrpd.monitors.events import (
    Action,
    CommandEnded,
    CommandNotRun,
    Event,
    Failed,
    KillCommand,
    OwnershipChanged,
    Recovered,
    Remark,
    RunCommand,
    TimePassed,
)
from jsrpd.monitors.script import ScriptMonitor

CONFIGURATION = Configuration("web", ("check",), interval_s=10, timeout_s=4, rise=2, fall=3, weight=90)


def monitor() -> ScriptMonitor:
    return ScriptMonitor(1, CONFIGURATION, 0)


def runs(machine: ScriptMonitor, now: Instant, *ends: Event) -> list[list[Action]]:
    """Runs in a row that end so; what each led to."""
    said = []
    for end in ends:
        due = machine.deadline()
        assert due is not None
        now = max(now, due)
        assert machine.handle(now, TimePassed()) == [RunCommand()]
        said.append(machine.handle(now + SECOND, end))
    return said


BAD, GOOD = CommandEnded(2), CommandEnded(0)
FAILED = Failed(1, FailureCode.SC, "web", 90, "exit 2", "exit 0")


def test_fall_and_rise() -> None:
    machine = monitor()
    assert runs(machine, 0, BAD, BAD, GOOD, BAD, BAD, BAD) == [[], [], [], [], [], [FAILED]]
    assert list(machine.present_failures()) == [FAILED]
    assert runs(machine, 0, GOOD, GOOD) == [[], [Recovered(1, FailureCode.SC, "web", "exit 0", "exit 0")]]
    assert list(machine.present_failures()) == []


def test_one_run_at_a_time_and_one_each_interval() -> None:
    machine = monitor()
    assert machine.deadline() == 0
    assert machine.handle(0, TimePassed()) == [RunCommand()]
    assert machine.handle(SECOND, TimePassed()) == []
    machine.handle(2 * SECOND, GOOD)
    assert machine.deadline() == 10 * SECOND
    assert machine.handle(9 * SECOND, TimePassed()) == []
    assert machine.handle(10 * SECOND, TimePassed()) == [RunCommand()]


HUNG = Failed(1, FailureCode.SC, "web", 90, "no end within 4 s", "exit 0")


def test_a_hung_command_is_killed_and_has_failed() -> None:
    machine = monitor()
    said: list[Action] = []
    for start in (0, 10, 20):
        assert machine.handle(start * SECOND, TimePassed()) == [RunCommand()]
        assert machine.deadline() == (start + 4) * SECOND
        kill, *rest = machine.handle((start + 4) * SECOND, TimePassed())
        assert kill == KillCommand()
        assert machine.handle((start + 5) * SECOND, TimePassed()) == []
        assert machine.handle((start + 5) * SECOND, CommandEnded(-9)) == []
        said += rest
    assert said == [HUNG]


def test_what_cannot_be_killed_fails_as_well() -> None:
    """It is killed once and not run a second time."""
    machine = monitor()
    machine.handle(0, TimePassed())
    assert machine.handle(4 * SECOND, TimePassed()) == [KillCommand()]
    assert machine.deadline() == 10 * SECOND
    assert machine.handle(10 * SECOND, TimePassed()) == []
    assert machine.handle(20 * SECOND, TimePassed()) == [HUNG]


def test_killed_by_somebody_else() -> None:
    (failed,) = runs(monitor(), 0, *[CommandEnded(-11)] * 3)[-1]
    assert isinstance(failed, Failed)
    assert failed.value == "killed by signal 11"


def test_could_not_run_is_no_verdict() -> None:
    machine = monitor()
    said = runs(machine, 0, *[CommandNotRun("No such file or directory")] * 5)
    text = "script-monitor web could not run: No such file or directory; it still counts as well"
    assert said == [[Remark(text)], [], [], [], []], "said once"
    assert runs(machine, 0, CommandEnded(127))[0] == [Remark("script-monitor web could not run: exit 127; it still counts as well")]
    assert runs(machine, 0, BAD, BAD, BAD)[-1] == [FAILED]
    (remark,) = runs(machine, 0, CommandEnded(126))[0]
    assert isinstance(remark, Remark)
    assert remark.text.endswith("it still counts as failed")
    assert list(machine.present_failures()) == [FAILED]


def test_what_is_shown_of_it() -> None:
    """The newest finding beside the damped verdict; what could not run says so."""
    machine = monitor()

    def shown(*ends: Event) -> tuple[bool, str]:
        runs(machine, 0, *ends)
        (found,) = machine.objects()
        assert (found.code, found.name, found.limit, found.groups) == ("SC", "web", "exit 0", (1,))
        return found.failed, found.value

    assert shown() == (False, "has not run yet")
    assert shown(GOOD, BAD) == (False, "exit 2")
    assert shown(BAD, BAD, GOOD) == (True, "exit 0")
    assert shown(CommandNotRun("Permission denied")) == (True, "could not run: Permission denied")


def test_roles_are_nothing_to_it() -> None:
    assert monitor().handle(0, OwnershipChanged(True)) == []
