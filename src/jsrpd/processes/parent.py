"""The parent: options, checks, PID file, daemonising, and the life of the children.

It starts the kernel process first and waits until the gates are attached shut; only then may an engine speak. It
keeps both ends of every channel between children and the lease map itself, so that a child that crashed is replaced
by one that finds everything where the old one left it.
"""

import contextlib
import ctypes
import errno
import os
import select
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import setproctitle

from jsrpd import __version__
from jsrpd.configuration.identity import Identity, read_identity
from jsrpd.configuration.key import KeyFileError, read_key
from jsrpd.configuration.load import load_file
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.kernel.gate import LeaseMap
from jsrpd.management import children, maintenance
from jsrpd.messages.catalogue import (
    LogMessage,
    daemonize_failed,
    duplicate,
    not_root,
    notice,
    pid_file_lock,
    pid_file_update,
    start_refused,
    usage,
)
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.roles import RedundancyMode
from jsrpd.processes import commit_desk, engine, gateway, kernel, monitors, preflight, restart_in_place, services, sessions
from jsrpd.processes.directories import Directories, directories
from jsrpd.processes.notify import ServiceManager
from jsrpd.processes.options import Options, UsageError, parse
from jsrpd.processes.pid_file import AlreadyRunning, PidFile
from jsrpd.processes.restart_in_place import Kept, KeptChild, kept
from jsrpd.processes.syslog import SyslogSender

EX_USAGE, EX_OSERR, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 64, 71, 75, 77, 78
PR_SET_PDEATHSIG = 1
RESTART_DELAY_S = (0.0, 0.2, 1.0, 5.0)
"""Pause before the first, second … restart of a child that keeps crashing; the last repeats."""
STEADY_AFTER_S = 30.0
"""A child that lived this long starts again with no pause."""
STOP_WAIT_S = 5.0
REBOOT_COMMAND = "systemctl reboot"
"""How a disabled node reboots in mode ``control-link-recovery reboot``; the environment may say otherwise."""
SYSLOG_PATH = Path("/dev/log")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``jsrpd``. Returns the exit code (SPEC section 2)."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        options = parse(words)
    except UsageError:
        return _refuse(usage(), EX_USAGE)
    if options.version:
        print(f"jsrpd {__version__}")
        return 0
    if os.geteuid() != 0 and not options.check:
        return _refuse(not_root(), EX_NOPERM)
    places = directories()
    if options.check or options.preflight:
        return preflight.report(places, deep=options.preflight)
    return _start(options, places)


def _start(options: Options, places: Directories) -> int:
    """Everything that can be refused is refused before the terminal is let go."""
    try:
        identity = read_identity(places.configuration)
        configuration = load_file(places.configuration_file, identity) if identity else None
        key = read_key(places.configuration) if identity else b""
    except (ConfigurationError, KeyFileError, OSError, ValueError) as error:
        return _refuse(start_refused(str(error)), EX_CONFIG)
    pid_file = PidFile(places.pid_file)
    left = kept()
    if left is not None:
        pid_file.descriptor = left.pid_file
        parent = Parent(options, places, pid_file, identity, configuration, key, None)
        parent.adopt(left)
        try:
            return parent.run()
        finally:
            pid_file.remove()
    try:
        places.runtime.mkdir(parents=True, exist_ok=True)
        pid_file.lock()
    except AlreadyRunning:
        return _refuse(duplicate(), EX_TEMPFAIL)
    except OSError as error:
        return _refuse(pid_file_lock(error.strerror or str(error)), EX_OSERR)
    waiting = None
    try:
        if not options.foreground:
            try:
                waiting = _daemonize()
            except OSError as error:
                return _refuse(daemonize_failed(error.strerror or str(error)), EX_OSERR)
        try:
            pid_file.write(os.getpid())
        except OSError as error:
            return _refuse(pid_file_update(error.strerror or str(error)), EX_OSERR, waiting)
        return Parent(options, places, pid_file, identity, configuration, key, waiting).run()
    finally:
        pid_file.remove()


def _refuse(message: LogMessage, code: int, waiting: int | None = None) -> int:
    """Say it in the log and to whoever started us; ``waiting`` as returned by ``_daemonize``."""
    sender = SyslogSender(SYSLOG_PATH)
    sender.send(message)
    sender.flush()
    said = f"jsrpd: {render_text(message)}\n"
    if waiting is None:
        sys.stderr.write(said)
    else:
        _release_shell(waiting, code, said)
    return code


def _daemonize() -> int:
    """Fork twice, own session, root directory, no terminal. The first process waits in front of the shell for
    ``_release_shell`` on the descriptor that is returned. OSError when the first fork is refused."""
    read, write = os.pipe()
    if os.fork() > 0:
        os.close(write)
        told = os.read(read, select.PIPE_BUF) or bytes([EX_OSERR]) + b"jsrpd: it ended while it started\n"
        os.write(2, told[1:])
        os._exit(told[0])
    os.close(read)
    os.setsid()
    try:
        if os.fork() > 0:
            os._exit(0)
    except OSError as error:
        os._exit(_refuse(daemonize_failed(error.strerror or str(error)), EX_OSERR, write))
    os.chdir("/")
    os.umask(0o027)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return write


def _release_shell(waiting: int, code: int, said: str = "") -> None:
    """Let the waiting first process print this and leave with ``code``, unless somebody has stopped it."""
    with contextlib.suppress(BrokenPipeError):
        os.write(waiting, (bytes([code]) + said.encode())[: select.PIPE_BUF])
    os.close(waiting)


@dataclass
class Child:
    """One child process: how to start it, and how its life goes."""

    name: str
    body: Callable[[], None]
    pid: int = 0
    started_at: float = 0.0
    crashes: int = 0
    restarts: int = 0
    restart_at: float | None = None


@dataclass
class Channel:
    """A SEQPACKET pair; the parent keeps both ends open for successors."""

    left: socket.socket
    right: socket.socket

    @classmethod
    def create(cls) -> "Channel":
        """A fresh pair with room for large status messages."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (left, right):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        return cls(left, right)

    @classmethod
    def of(cls, left: int, right: int) -> "Channel":
        """One that is open already, by its descriptors."""
        return cls(socket.socket(fileno=left), socket.socket(fileno=right))


@dataclass
class Channels:
    """Between the children, and from each child to the parent."""

    engine_kernel: Channel = field(default_factory=Channel.create)
    engine_gateway: Channel = field(default_factory=Channel.create)
    engine_monitors: Channel = field(default_factory=Channel.create)
    engine_sessions: Channel = field(default_factory=Channel.create)
    engine_services: Channel = field(default_factory=Channel.create)
    gateway_monitors: Channel = field(default_factory=Channel.create)
    parent_engine: Channel = field(default_factory=Channel.create)
    parent_kernel: Channel = field(default_factory=Channel.create)
    parent_gateway: Channel = field(default_factory=Channel.create)
    parent_monitors: Channel = field(default_factory=Channel.create)
    parent_sessions: Channel = field(default_factory=Channel.create)
    parent_services: Channel = field(default_factory=Channel.create)


class Parent:
    """Starts, watches and ends the children."""

    def __init__(
        self,
        options: Options,
        places: Directories,
        pid_file: PidFile,
        identity: Identity | None,
        configuration: ClusterConfiguration | None,
        key: bytes,
        waiting: int | None,
    ) -> None:
        self.options = options
        self.places = places
        self.pid_file = pid_file
        self.identity = identity
        self.configuration = configuration
        self.key = key
        self.redundancy_mode = configuration.redundancy_mode if configuration else RedundancyMode.ACTIVE_ACTIVE
        """In force as long as this daemon runs (SPEC section 3)."""
        hosts = configuration.syslog_hosts if configuration else ()
        self.syslog = SyslogSender(SYSLOG_PATH, hosts, options.log_to_stderr)
        self.channels = Channels()
        self.children: dict[str, Child] = {}
        self.waiting = waiting
        self.service_manager = ServiceManager()
        self.signals: list[int] = []
        self.lease_map: LeaseMap | None = None
        self.new_image: subprocess.Popen[bytes] | None = None
        """The check that a restart in place waits for."""
        self.retire_engine = False
        """The engine is of the old image and goes as soon as the kernel process of this one is ready."""
        self.retire_services = False
        """The services process is of the old image and goes as soon as the step under way has ended."""

    def adopt(self, left: Kept) -> None:
        """Go on where the old image stood: its channels, its lease map, and its children until they are replaced."""
        self.channels = Channels(**{name: Channel.of(*ends) for name, ends in left.channels.items()})
        self.lease_map = LeaseMap(left.lease_map) if left.lease_map is not None else None
        self.redundancy_mode = left.redundancy_mode
        bodies = {"kernel": self._kernel, "gateway": self._gateway, "engine": self._engine}
        bodies |= {"monitors": self._monitors, "sessions": self._sessions, "services": self._services}
        for child in left.children:
            self.children[child.name] = Child(child.name, bodies[child.name], child.pid, time.monotonic(), restarts=child.restarts)

    def _replace_children(self) -> None:
        """The engine goes when the kernel process of the new image is ready for its successor. The services process stops nothing
        and goes between two steps, however long one takes: nobody here waits for that."""
        for child in self.children.values():
            if child.name == "engine" and child.pid:
                self.retire_engine = True
                continue
            if child.name == "services" and child.pid:
                self.retire_services = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGUSR1)
                continue
            if child.pid:
                self._end(child, STOP_WAIT_S)
            self._fork(child)

    def _start(self) -> str:
        """The first children; what keeps the gates from being had, or nothing."""
        if self.configuration is not None:
            if self.configuration.gate == "bpf":
                try:
                    preflight.check_clock()
                    self.lease_map = LeaseMap.create()
                except OSError as error:
                    return f"the gate cannot be made: {error}"
            self._add("kernel", self._kernel)
        self._add("gateway", self._gateway)
        if self.configuration is None:
            self._ready()
        return ""

    def run(self) -> int:
        """Until SIGTERM. 0 on a clean end, EX_OSERR when the gates cannot be had."""
        setproctitle.setproctitle("jsrpd")
        wake = self._watch_signals()
        self._prepare_state()
        if self.children:
            self._replace_children()
            self._ready()
        elif problem := self._start():
            return _refuse(start_refused(problem), EX_OSERR, self.waiting)
        selector = selectors.DefaultSelector()
        selector.register(wake, selectors.EVENT_READ)
        selector.register(self.channels.parent_kernel.left, selectors.EVENT_READ)
        selector.register(self.channels.parent_engine.left, selectors.EVENT_READ)
        selector.register(self.channels.parent_gateway.left, selectors.EVENT_READ)
        while True:
            selector.select(self._timeout())
            with contextlib.suppress(BlockingIOError):
                wake.recv(64)
            self._read_kernel()
            self._read_engine()
            self._read_gateway()
            signals, self.signals = self.signals, []
            if signal.SIGHUP in signals:
                self._reload()
            if signal.SIGUSR2 in signals:
                self._check_new_image()
            if signal.SIGTERM in signals or signal.SIGINT in signals:
                self._stop()
                return 0
            self._reap()
            if self._kernel_is_hopeless():
                self._stop()
                return _refuse(start_refused("the gates cannot be attached: see the log"), EX_OSERR, self.waiting)
            self._restart_due()
            self.syslog.flush()

    def _watch_signals(self) -> socket.socket:
        read, write = socket.socketpair()
        read.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2):
            signal.signal(number, lambda received, _frame: self.signals.append(received))
        self._wake_write = write
        return read

    def _timeout(self) -> float | None:
        due = [c.restart_at for c in self.children.values() if c.restart_at is not None]
        if self.syslog.pending:
            due.append(time.monotonic() + 0.5)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _prepare_state(self) -> None:
        """Without a journal the cluster runs all the same (SPEC section 15)."""
        try:
            self.places.state.mkdir(parents=True, exist_ok=True)
            if not os.access(self.places.state, os.W_OK):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        except OSError as error:
            self.syslog.send(notice(f"no journal: {self.places.state}: {error.strerror}"))

    def _ready(self) -> None:
        """What can be refused at start has not been: who waits may go on."""
        if self.waiting is not None:
            _release_shell(self.waiting, 0)
            self.waiting = None
        self.service_manager.ready(self._standing())

    def _standing(self) -> str:
        """One line for whoever asks the service manager."""
        if self.identity is None:
            return "not clustered; use: jsrp set chassis cluster cluster-id 1 node 0"
        return f"node{self.identity.node_id} of cluster {self.identity.cluster_id}"

    # -- children -------------------------------------------------------------------------------------------------

    def _add(self, name: str, body: Callable[[], None]) -> None:
        self.children[name] = Child(name, body)
        self._fork(self.children[name])

    def _fork(self, child: Child) -> None:
        parent = os.getpid()
        child.started_at = time.monotonic()
        child.restart_at = None
        try:
            child.pid = os.fork()
        except OSError as error:
            self.syslog.send(notice(f"cannot start {child.name}: {error.strerror}"))
            child.pid = 0
            child.restart_at = time.monotonic() + RESTART_DELAY_S[-1]
            return
        if child.pid == 0:
            if self.waiting is not None:
                os.close(self.waiting)
            _become_child(child, parent, self.pid_file)

    def _kernel(self) -> None:
        assert self.configuration is not None
        kernel.run(
            self.channels.engine_kernel.right,
            self.channels.parent_kernel.right,
            self.configuration,
            self.lease_map,
            self.places.state,
        )

    def _engine(self) -> None:
        assert self.configuration is not None
        engine.run(
            engine.EngineResources(
                parent=self.channels.parent_engine.right,
                kernel=self.channels.engine_kernel.left,
                gateway=self.channels.engine_gateway.left,
                monitors=self.channels.engine_monitors.left,
                sessions=self.channels.engine_sessions.left,
                services=self.channels.engine_services.left,
                lease_map=self.lease_map,
                configuration=self.configuration,
                key=self.key,
                syslog_path=SYSLOG_PATH,
                copy_log=self.options.log_to_stderr,
                redundancy_mode=self.redundancy_mode,
                maintenance=maintenance.is_on(self.places.state),
            )
        )

    def _sessions(self) -> None:
        assert self.configuration is not None
        sessions.run(
            self.channels.engine_sessions.right,
            self.channels.parent_sessions.right,
            self.configuration,
            self.key,
        )

    def _gateway(self) -> None:
        gateway.run(
            self.channels.engine_gateway.right,
            self.channels.parent_gateway.right,
            self.configuration,
            self.places.runtime,
            self.places.state,
            self.syslog,
            {child.name: child.restarts for child in self.children.values()},
            self.channels.gateway_monitors.left,
            commit_desk.Commits(self.places.configuration, self.identity, self.key),
        )

    def _monitors(self) -> None:
        assert self.configuration is not None
        monitors.run(
            self.channels.engine_monitors.right,
            self.channels.gateway_monitors.right,
            self.channels.parent_monitors.right,
            self.configuration,
        )

    def _services(self) -> None:
        assert self.configuration is not None
        services.run(
            self.channels.engine_services.right,
            self.channels.parent_services.right,
            self.configuration,
            self.places.runtime,
        )

    def _add_services(self) -> None:
        """Only where something follows the roles, or did before: most clusters have no use for one more process."""
        groups = self.configuration.groups if self.configuration is not None else ()
        begun = (self.places.runtime / services.MEMORY_NAME).exists()
        if "services" not in self.children and (begun or any(group.services or group.notifications for group in groups)):
            self._add("services", self._services)

    def _read_kernel(self) -> None:
        while True:
            try:
                data = self.channels.parent_kernel.left.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            message = children.decode(data)
            if isinstance(message, children.DataPlaneReady) and self.retire_engine:
                with contextlib.suppress(OSError):
                    self.channels.parent_engine.left.send(children.encode(children.RetireWanted()), socket.MSG_DONTWAIT)
            elif isinstance(message, children.DataPlaneReady) and "engine" not in self.children:
                self._add("engine", self._engine)
                self._add("monitors", self._monitors)
                self._add("sessions", self._sessions)
                self._add_services()
                self._ready()
            elif isinstance(message, children.DataPlaneFailed):
                self.syslog.send(notice(f"data plane: {message.problem}"))

    def _read_engine(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                message = children.decode(self.channels.parent_engine.left.recv(1 << 16, socket.MSG_DONTWAIT))
                if isinstance(message, children.RebootWanted):
                    self._reboot()

    def _reboot(self) -> None:
        """Ordered only; the machine ends this daemon in its own way."""
        command = os.environ.get("JSRPD_REBOOT_COMMAND", REBOOT_COMMAND)
        try:
            subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, start_new_session=True)
        except (OSError, ValueError) as error:
            self.syslog.send(notice(f"cannot reboot by {command}: {error}"))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.new_image is not None and pid == self.new_image.pid:
                self.new_image = None
                self._restart_in_place(os.waitstatus_to_exitcode(status))
            for child in self.children.values():
                if child.pid == pid:
                    self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        now = time.monotonic()
        child.pid = 0
        if child.name == "engine" and self.retire_engine:
            self.retire_engine = False
            self._fork(child)
            self.syslog.send(notice(f"restarted in place, jsrpd {__version__}"))
            return
        if child.name == "services" and self.retire_services:
            self.retire_services = False
            self._fork(child)
            return
        child.crashes = 0 if now - child.started_at > STEADY_AFTER_S else child.crashes
        delay = RESTART_DELAY_S[min(child.crashes, len(RESTART_DELAY_S) - 1)]
        child.crashes += 1
        child.restart_at = now + delay
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}"
        self.syslog.send(notice(f"{child.name} process ended ({how}); restarted in {delay:g} s"))

    def _kernel_is_hopeless(self) -> bool:
        """It crashed again and again and the gates never stood: nothing is served yet, so the start is refused."""
        if self.configuration is None or "engine" in self.children:
            return False
        return self.children["kernel"].crashes >= len(RESTART_DELAY_S)

    def _restart_due(self) -> None:
        for child in self.children.values():
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                child.restarts += 1
                self._fork(child)
                with contextlib.suppress(BlockingIOError):
                    told = children.encode(children.ChildRestarted(child.name, child.restarts))
                    self.channels.parent_gateway.left.send(told, socket.MSG_DONTWAIT)

    # -- restart in place ---------------------------------------------------------------------------------------

    def _check_new_image(self) -> None:
        """SIGUSR2: the new program first looks at the configuration; ``_reap`` hears of its end."""
        if self.new_image is not None or self.retire_engine:
            return
        try:
            self.new_image = restart_in_place.check()
        except OSError as error:
            self._answer_restart(f"the new program cannot be started: {error.strerror}")

    def _restart_in_place(self, status: int) -> None:
        if status != 0:
            self._answer_restart(f"the new program or the configuration is not fit (exit {status}); see: jsrpd -C")
            return
        self._answer_restart("")
        self.syslog.flush()
        running = tuple(KeptChild(child.name, child.pid, child.restarts) for child in self.children.values())
        ends = {one.name: getattr(self.channels, one.name) for one in fields(Channels)}
        channels = {name: (channel.left.fileno(), channel.right.fileno()) for name, channel in ends.items()}
        lease_map = self.lease_map.fd if self.lease_map is not None else None
        try:
            restart_in_place.become(
                Kept(self.pid_file.descriptor, lease_map, channels, running, self.redundancy_mode), self.options
            )
        except OSError as error:
            self.syslog.send(start_refused(f"restart in place: {error.strerror}; the daemon runs on as it is"))

    def _answer_restart(self, problem: str) -> None:
        if problem:
            self.syslog.send(start_refused(f"restart in place: {problem}; the daemon runs on as it is"))
        with contextlib.suppress(OSError):
            self.channels.parent_gateway.left.send(children.encode(children.RestartAnswered(problem)), socket.MSG_DONTWAIT)

    # -- reload and stop ------------------------------------------------------------------------------------------

    def _read_gateway(self) -> None:
        """It has written the file for a commit and waits for the outcome."""
        channel = self.channels.parent_gateway.left
        with contextlib.suppress(BlockingIOError):
            while data := channel.recv(1 << 16, socket.MSG_DONTWAIT):
                message = children.decode(data)
                if isinstance(message, children.RestartRequested):
                    self._check_new_image()
                elif isinstance(message, children.ReloadRequested):
                    channel.send(children.encode(children.Reloaded(message.number, self._reload())), socket.MSG_DONTWAIT)

    def _reload(self) -> str:
        """What is wrong with the file. The service manager must hear of an end in any case."""
        self.service_manager.reloading()
        problem = self._load_again(self.identity) if self.identity is not None else ""
        self.service_manager.ready(self._standing())
        return problem

    def _load_again(self, identity: Identity) -> str:
        """A file that fails leaves everything as it is; then why."""
        try:
            fresh = load_file(self.places.configuration_file, identity)
        except (ConfigurationError, OSError) as error:
            self.syslog.send(start_refused(f"reload refused, the old configuration runs on: {error}"))
            return str(error)
        if fresh == self.configuration:
            self.syslog.send(notice("configuration reloaded: no change"))
            return ""
        self.configuration = fresh
        self.syslog.reconfigure(fresh.syslog_hosts)
        message = children.encode(children.ConfigurationLoaded(fresh))
        c = self.channels
        for channel in (
            c.parent_kernel,
            c.parent_engine,
            c.parent_gateway,
            c.parent_monitors,
            c.parent_sessions,
            c.parent_services,
        ):
            with contextlib.suppress(BlockingIOError):
                channel.left.send(message, socket.MSG_DONTWAIT)
        if "engine" in self.children:
            self._add_services()
        self.syslog.send(notice("configuration reloaded"))
        return ""

    def _stop(self) -> None:
        """The engine first: it hands over. Then the rest; the gates stay attached and shut."""
        self.service_manager.stopping()
        groups = self.configuration.groups if self.configuration is not None else ()
        services = max((group.service_stop_limit_s for group in groups), default=0)
        for name in ("engine", "services", "sessions", "gateway", "monitors", "kernel"):
            child = self.children.get(name)
            if child is not None and child.pid:
                self._end(child, STOP_WAIT_S + (services if name in ("engine", "services") else 0))
        if self.lease_map is not None:
            self.lease_map.shut_all()
        self.syslog.flush()

    def _end(self, child: Child, wait_s: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
        give_up = time.monotonic() + wait_s
        while time.monotonic() < give_up:
            pid, _status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                return
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def _become_child(child: Child, parent: int, pid_file: PidFile) -> None:
    """In the forked child: die with the parent, drop its lock and signal handlers, run, exit."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    if os.getppid() != parent:
        os._exit(0)
    pid_file.close_in_child()
    setproctitle.setproctitle(f"jsrpd: {child.name}")
    code = 0
    try:
        child.body()
    except BaseException as error:
        # A daemon's standard error goes nowhere.
        SyslogSender(SYSLOG_PATH).send(notice(f"{child.name} process: {type(error).__name__}: {error}"))
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
