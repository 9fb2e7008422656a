"""The services process: runs what follows the roles, and the commands that are told of changes. It may block.

The machines of ``jsrpd.monitors.services`` say which step is next; this loop runs it, hands its end in and tells the engine
how things stand. What was begun is written down in the runtime directory, so that a successor of this process starts
nothing twice and stops what its predecessor began.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import msgspec

from jsrpd.management import children, monitor_link, service_link
from jsrpd.model.configuration import ClusterConfiguration, Notification, Service
from jsrpd.model.status import ServiceStatus
from jsrpd.model.time import SECOND, Instant
from jsrpd.monitors.events import CommandEnded, CommandNotRun, Failed, Recovered, Remark, TimePassed
from jsrpd.monitors.services import (
    Action,
    GroupServices,
    Kept,
    KillStep,
    Remember,
    RoleTold,
    RunStep,
    ServiceFailuresForgotten,
    Step,
    StepEnded,
    StepNotRun,
    SuccessorComes,
)
from jsrpd.processes.script_runner import ScriptRunner

REPORT_S = 1.0
MEMORY_NAME = "services.json"
MAX_WAITING = 16
"""Changes of state that wait for a slow notification; older ones are dropped, and that is said."""


def run(engine: socket.socket, parent: socket.socket, configuration: ClusterConfiguration, runtime_directory: Path) -> None:
    """Until SIGTERM or the parent is gone; then everything that runs here for a group is stopped first. SIGUSR1: until the step
    under way has ended; what runs goes on for a successor of this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(Services(engine, parent, configuration, runtime_directory / MEMORY_NAME).run())


def clock() -> Instant:
    """The same clock as the engine's."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def command_of(service: Service, step: Step) -> tuple[str, ...]:
    """What carries the step out."""
    if service.unit:
        return ("systemctl", step.value, service.unit)
    return service.start if step is Step.START else service.stop


class Memory:
    """What was begun here, on disk. A disk that does not take it is no reason to stop serving."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said = ""

    def read(self) -> dict[int, tuple[Kept, ...]]:
        """By group; nothing when there is nothing, or not of this version."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[int, tuple[Kept, ...]])
        except (OSError, msgspec.DecodeError):
            return {}

    def write(self, kept: dict[int, tuple[Kept, ...]]) -> str:
        """Why not, once per reason; or nothing."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(kept))
            fresh.replace(self._path)
        except OSError as error:
            said, before = error.strerror or str(error), self._said
            self._said = said
            return "" if said == before else f"{self._path}: {said}: a restarted services process will not know what runs"
        self._said = ""
        return ""


@dataclass
class Told:
    """A notification and what it has still to be told, oldest first."""

    group: int
    notification: Notification
    waiting: deque[dict[str, str]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Services:
    """The loop."""

    def __init__(self, engine: socket.socket, parent: socket.socket, configuration: ClusterConfiguration, memory: Path) -> None:
        self.engine, self.parent = engine, parent
        self.configuration = configuration
        self.memory = Memory(memory)
        self.groups: dict[int, GroupServices] = {}
        self.roles: dict[int, service_link.GroupRole] = {}
        self.version = 0
        self.told: dict[tuple[int, str], Told] = {}
        self.scripts = ScriptRunner()
        self.tasks: set[asyncio.Task[None]] = set()
        self.timer: asyncio.TimerHandle | None = None
        self.ending = False

    async def run(self) -> None:
        """For ever, or until everything has stopped after SIGTERM."""
        loop = asyncio.get_running_loop()
        for channel, read in ((self.engine, self._read_engine), (self.parent, self._read_parent)):
            channel.setblocking(False)
            loop.add_reader(channel, read)
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._begin(self._make_room()))
        kept = self.memory.read()
        for number in sorted({*kept, *(group.group for group in self.configuration.groups)}):
            self.groups[number] = GroupServices(number, self._configured(number), kept.get(number, ()))
        self._configure()
        while True:
            self._report()
            await asyncio.sleep(REPORT_S)

    def _configured(self, number: int) -> tuple[Service, ...]:
        return next((group.services for group in self.configuration.groups if group.group == number), ())

    def _configure(self) -> None:
        """A value diff: what is equal goes on undisturbed."""
        for group in self.configuration.groups:
            if group.group not in self.groups:
                self.groups[group.group] = GroupServices(group.group, group.services)
        for number, machine in self.groups.items():
            self._perform(number, machine.reconfigure(clock(), self._configured(number)))
        wanted = {(g.group, one.name): one for g in self.configuration.groups for one in g.notifications}
        for key in [key for key, told in self.told.items() if wanted.get(key) != told.notification]:
            self.told.pop(key).waiting.clear()
        for key, notification in wanted.items():
            self.told.setdefault(key, Told(key[0], notification))
        self._take_roles(self.version, tuple(self.roles.values()))

    # -- roles --------------------------------------------------------------------------------------------------------

    def _take_roles(self, version: int, roles: Iterable[service_link.GroupRole]) -> None:
        self.version = version
        for role in roles:
            before = self.roles.get(role.group)
            self.roles[role.group] = role
            if before is not None and before.state != role.state:
                self._notify(before.state, role)
            machine = self.groups.get(role.group)
            if machine is not None:
                self._perform(role.group, machine.handle(clock(), RoleTold(role.run and not self.ending)))
        self._schedule()

    def _end(self) -> None:
        """This node serves nothing any more: what runs for its groups ends in its own time, and then this process."""
        self.ending = True
        for number, machine in self.groups.items():
            self._perform(number, machine.handle(clock(), RoleTold(False)))
        self._schedule()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self.ending and all(machine.idle for machine in self.groups.values()):
            for machine in self.groups.values():
                machine.handle(clock(), ServiceFailuresForgotten())
            self._remember()
            self._report()
            self.scripts.kill_all()
            os._exit(0)

    async def _make_room(self) -> None:
        """A successor takes over what runs here (a restart in place): it finds no step half done and no change untold."""
        for machine in self.groups.values():
            machine.handle(clock(), SuccessorComes())
        here = asyncio.current_task()
        while busy := [task for task in (*self.tasks, *(told.task for told in self.told.values())) if task not in (here, None)]:
            await asyncio.wait(busy)
        self._remember()
        os._exit(0)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # -- notifications --------------------------------------------------------------------------------------------------

    def _notify(self, before: str, role: service_link.GroupRole) -> None:
        for told in self.told.values():
            if told.group != role.group:
                continue
            if len(told.waiting) >= MAX_WAITING:
                told.waiting.popleft()
                self._remark(
                    f"notification {told.notification.name} of redundancy group {role.group} is too slow: a change was not told"
                )
            told.waiting.append({**self._environment(role.group), "OLD_STATE": before})
            if told.task is None:
                told.task = asyncio.create_task(self._tell(told))

    async def _tell(self, told: Told) -> None:
        """One at a time, in order."""
        while told.waiting:
            name = f"notification {told.group} {told.notification.name}"
            running = asyncio.create_task(self.scripts.run(name, told.notification.command, told.waiting.popleft()))
            done, _ = await asyncio.wait({running}, timeout=told.notification.timeout_s)
            if not done:
                self.scripts.kill(name)
                self._remark(f"{name}: no end within {told.notification.timeout_s} s, killed")
                await asyncio.wait({running}, timeout=told.notification.timeout_s)
                continue
            match running.result():
                case CommandEnded(status) if status != 0:
                    self._remark(f"{name}: exit {status}")
                case CommandNotRun(reason):
                    self._remark(f"{name} cannot be run: {reason}")
        told.task = None

    def _environment(self, number: int) -> dict[str, str]:
        """What every command is told (SPEC 6.4)."""
        role = self.roles.get(number)
        state, reason = (role.state, role.reason) if role is not None else ("", "")
        return {"GROUP": str(number), "NODE": str(self.configuration.node_id), "STATE": state, "REASON": reason}

    # -- steps --------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        wanted = [at for machine in self.groups.values() if (at := machine.deadline()) is not None]
        if wanted:
            delay = max(0, min(wanted) - clock()) / SECOND
            self.timer = asyncio.get_running_loop().call_later(delay, self._turn)

    def _turn(self) -> None:
        for number, machine in self.groups.items():
            at = machine.deadline()
            if at is not None and at <= clock():
                self._perform(number, machine.handle(clock(), TimePassed()))
        self._schedule()

    def _perform(self, number: int, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case RunStep():
                    self._begin(self._step(number, action))
                case KillStep(run):
                    self.scripts.kill(f"{number} {run}")
                case Remember():
                    self._remember()
                case Remark(text):
                    self._remark(text)
                case Failed() | Recovered():
                    pass  # The report below says it.
                case _:
                    assert_never(action)
        if actions:
            self._report()

    async def _step(self, number: int, order: RunStep) -> None:
        command = command_of(order.service, order.step)
        ended = await self.scripts.run(f"{number} {order.number}", command, self._environment(number))
        event = (
            StepEnded(order.number, ended.status)
            if isinstance(ended, CommandEnded)
            else StepNotRun(order.number, f"{command[0]}: {ended.reason}")
        )
        self._perform(number, self.groups[number].handle(clock(), event))
        self._schedule()
        self._end_if_idle()

    def _remember(self) -> None:
        problem = self.memory.write({number: kept for number, machine in self.groups.items() if (kept := machine.kept())})
        if problem:
            self._remark(problem)

    # -- the other processes ------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """A full channel loses it; the next one says it again."""
        failed = [failure for machine in self.groups.values() for failure in machine.present_failures()]
        words = [(number, *words) for number, machine in self.groups.items() for words in machine.words()]
        self._tell_engine(
            service_link.ServicesReported(
                self.version,
                tuple(number for number, machine in self.groups.items() if machine.idle),
                tuple(monitor_link.MonitorFailed(f.group, f.code, f.name, f.weight, f.value, f.limit) for f in failed),
                tuple(ServiceStatus(number, name, state, why) for number, name, state, why in words),
            )
        )

    def _remark(self, text: str) -> None:
        self._tell_engine(service_link.ServiceRemark(text))

    def _tell_engine(self, message: service_link.Message) -> None:
        with contextlib.suppress(OSError):
            self.engine.send(service_link.encode(message), socket.MSG_DONTWAIT)

    def _read_engine(self) -> None:
        for data in _messages(self.engine):
            with contextlib.suppress(msgspec.DecodeError):
                match service_link.decode(data):
                    case service_link.RolesTold(version, groups):
                        self._take_roles(version, groups)
                    case service_link.FailuresForgotten(group):
                        for number, machine in self.groups.items():
                            if group in (None, number):
                                self._perform(number, machine.handle(clock(), ServiceFailuresForgotten()))
                        self._schedule()

    def _read_parent(self) -> None:
        for data in _messages(self.parent):
            message = children.decode(data)
            if isinstance(message, children.ConfigurationLoaded):
                self.configuration = message.configuration
                self._configure()


def _messages(channel: socket.socket) -> Iterator[bytes]:
    """All datagrams waiting."""
    while True:
        try:
            data = channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            return
        yield data
