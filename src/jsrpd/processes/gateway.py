"""The gateway: operators' commands in, questions to the engine out. Clients that stall or flood hurt only themselves."""

import asyncio
import contextlib
import errno
import functools
import grp
import importlib
import os
import pwd
import signal
import socket
import struct
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jsrpd.core import checkpoint
from jsrpd.core.explain import explain
from jsrpd.gateway import families, http, listening, processes
from jsrpd.gateway.access import GROUP
from jsrpd.gateway.scrape import Scrape
from jsrpd.management import children, engine_link, maintenance
from jsrpd.management.events import newest
from jsrpd.management.journal import DIRECTORY
from jsrpd.management.requests import (
    CONFIGURATION_REQUESTS,
    MAX_LINE,
    NOT_ENABLED,
    NOT_UNDERSTOOD,
    SOCKET_NAME,
    AskPeer,
    ClearFailoverCount,
    ClearInformation,
    ClearIpFailureCounts,
    ClearPreemptCount,
    ClearServiceFailures,
    ClearStatistics,
    CoreState,
    Explain,
    Failover,
    FailoverReset,
    Maintenance,
    PeerQuestion,
    ReadEvents,
    Rejoin,
    Reply,
    Request,
    RestartDaemon,
    ShowDetails,
    ShowIpMonitoring,
    ShowMetrics,
    ShowState,
    ShowStatus,
    TakeSurvey,
    WatchGateway,
    decode_request,
    encode,
)
from jsrpd.messages.catalogue import LogMessage, notice, socket_creation_failure, socket_listen_failure
from jsrpd.model.configuration import ClusterConfiguration, MetricsListener, RestService
from jsrpd.model.details import Details
from jsrpd.model.journal import JournalEvent, encode_events
from jsrpd.model.status import ClusterStatus, LogQueueStatus
from jsrpd.model.survey import Survey
from jsrpd.processes.commit_desk import CommitDesk, Commits, Session
from jsrpd.processes.journal_writer import JournalWriter
from jsrpd.processes.monitor_questions import MonitorQuestions
from jsrpd.processes.privileges import drop_all
from jsrpd.processes.survey_desk import SurveyDesk
from jsrpd.processes.syslog import SyslogSender
from jsrpd.processes.syslog_tls import Relay
from jsrpd.processes.trap_desk import TrapDesk

if TYPE_CHECKING:
    from jsrpd.processes.web_desk import WebDesk

HTTP_SOCKET_NAME = "http.sock"

MAX_CLIENTS = 32
CLIENT_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 5.0
ENGINE_TIMEOUT_S = 1.0
RESTART_TIMEOUT_S = 20.0
"""For the new program to look at the configuration."""
RETRY_S = (0.5, 2.0, 10.0)
BACKLOG = 16
ENGINE_SPACING_S = 0.02
"""Least time between two clients' questions: a snapshot of many groups costs the engine milliseconds."""
LOG_RETRY_S = 0.5
QUESTIONS = (ShowStatus, ShowState, ShowDetails, Explain, ReadEvents, TakeSurvey, WatchGateway)
"""Requests that change nothing."""
NOBODY_LOGGED_IN = 0xFFFFFFFF
"""The kernel's audit login uid of what no login has started (proc(5))."""
ANSWERS_PER_WAKE_UP = 64
ENGINE_SILENT = "error: the engine does not answer, so nothing was done; look at: journalctl -u jsrpd"
OUTCOME_UNKNOWN = "error: the engine has stopped answering; whether this was done tells: show chassis cluster status"
OTHER_VERSION = "error: the engine runs another version than the gateway; restart jsrpd"
TOO_MANY_CLIENTS = Reply(False, "error: too many management clients; try again")


def run(
    engine: socket.socket,
    parent: socket.socket,
    configuration: ClusterConfiguration | None,
    runtime_directory: Path,
    state_directory: Path,
    syslog: SyslogSender,
    restarts: dict[str, int],
    monitors: socket.socket | None = None,
    commits: Commits | None = None,
) -> None:
    """Until SIGTERM or the parent is gone. ``configuration`` None: the node is not clustered. ``restarts``: by child."""
    _join_group()
    drop_all()
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    journal = state_directory / DIRECTORY if configuration is not None else None
    path = runtime_directory / SOCKET_NAME
    gateway = Gateway(engine, parent, configuration, path, syslog, journal, restarts, monitors)
    if commits is not None:
        gateway.desk = CommitDesk(commits, state_directory, configuration, gateway)
        gateway.rest_directory = commits.directory
    asyncio.run(gateway.run())


def _join_group() -> None:
    """So that the socket can be given to the group, without the right to give files away: chown(2) lets a file's owner choose
    among his own groups. Under systemd the unit has said so already, and we may not."""
    with contextlib.suppress(KeyError, PermissionError):
        os.setgroups([*os.getgroups(), grp.getgrnam(GROUP).gr_gid])


class Gateway:
    """Serves the management socket."""

    def __init__(
        self,
        engine: socket.socket,
        parent: socket.socket,
        configuration: ClusterConfiguration | None,
        path: Path,
        syslog: SyslogSender,
        journal_directory: Path | None = None,
        restarts: dict[str, int] | None = None,
        monitors: socket.socket | None = None,
    ) -> None:
        self.monitors = MonitorQuestions(monitors) if monitors is not None else None
        self.engine, self.parent = engine, parent
        self.configuration = configuration
        self.path = path
        self.syslog = syslog
        self.clients = 0
        # Clients that have nothing asked at the moment, the longest waiting first.
        self.idle: dict[asyncio.StreamWriter, None] = {}
        self.restart_asked: list[asyncio.Future[str]] = []
        self.waiting: dict[int, asyncio.Future[engine_link.Message]] = {}
        # Beyond the ids of a gateway before this one, whose late answers may still wait in the channel.
        self.questions = time.monotonic_ns()
        self.turn = asyncio.Lock()
        self.asked_at = 0.0
        self.reported = ""
        self.restarts = dict(restarts or {})
        self.scrape = Scrape(self._status, lambda: processes.statuses(os.getppid(), self.restarts))
        self.http = http.Server(self.scrape.answer)
        self.http_listeners: dict[MetricsListener, asyncio.Task[None]] = {}
        self.rest_directory: Path | None = None
        """Where the tokens are; None: without REST."""
        self.web: WebDesk | None = None
        self.traps: TrapDesk | None = None
        self.relay = Relay(path.parent, self._note)
        self.journal_directory = journal_directory
        self.journal: JournalWriter | None = None
        self.desk: CommitDesk | None = None
        self.surveys = SurveyDesk(parent, self._status, self._difference, lambda: self.restarts)

    def _tell_log(self, loop: asyncio.AbstractEventLoop, message: LogMessage) -> None:
        """From the journal's thread; the sender is the loop's."""
        loop.call_soon_threadsafe(self.syslog.send, message)

    def _want_checkpoint(self) -> None:
        with contextlib.suppress(OSError):
            self.engine.send(engine_link.encode(engine_link.CheckpointWanted()), socket.MSG_DONTWAIT)

    async def run(self) -> None:
        """Listen for ever; a socket that cannot be had is said and tried again."""
        loop = asyncio.get_running_loop()
        self.engine.setblocking(False)
        self.parent.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            loop.add_signal_handler(signal.SIGTERM, self._end)
        if self.journal_directory is not None:
            tell_log, tell_others = functools.partial(self._tell_log, loop), functools.partial(self._tell_others, loop)
            self.traps = TrapDesk(self.journal_directory.parent, self.status, self._note)
            self.traps.reconfigure(self.configuration)
            self.journal = JournalWriter(self.journal_directory, self._want_checkpoint, tell_log, tell_others)
        loop.add_reader(self.engine, self._read_engine)
        loop.add_reader(self.parent, self._read_parent)
        if self.monitors is not None:
            self.monitors.listen(loop)
        self.relay.reconfigure(self.configuration.syslog_hosts if self.configuration is not None else ())
        self._flush_log()
        self._listen_for_http()
        if self.desk is not None:
            self.desk.start()
        web = loop.create_task(self._serve_web(self.rest_directory)) if self.rest_directory is not None else None
        try:
            await self._serve()
        finally:
            if web is not None:
                web.cancel()

    async def _serve(self) -> None:
        attempt = 0
        while True:
            listener = self._listener()
            if listener is not None:
                server = await asyncio.start_unix_server(self._client, sock=listener, limit=MAX_LINE, backlog=BACKLOG)
                async with server:
                    await server.serve_forever()
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _listen_for_http(self) -> None:
        """At the addresses that are configured now."""
        wanted = set(self.configuration.metrics_listeners if self.configuration is not None else ())
        for gone in set(self.http_listeners) - wanted:
            self.http_listeners.pop(gone).cancel()
        for place in wanted - set(self.http_listeners):
            bind = partial(listening.tcp, place.address, place.port)
            serving = listening.serve(bind, self.http.client, http.MAX_HEAD_BYTES, self._no_http)
            self.http_listeners[place] = asyncio.get_running_loop().create_task(serving)
        if self.web is not None:
            self.web.reconfigure(self.configuration.rest if self.configuration is not None else RestService())

    async def _serve_web(self, directory: Path) -> None:
        """Its libraries are loaded aside: ``jsrp`` is answered meanwhile, and no other process has them in its memory."""
        desk = await asyncio.to_thread(importlib.import_module, "jsrpd.processes.web_desk")
        services = desk.Services(self._answer, self.scrape.answer, self._note, _user, self._no_http)
        self.web = desk.WebDesk(services, directory, self.path.with_name(HTTP_SOCKET_NAME))
        self._listen_for_http()

    def _tell_others(self, loop: asyncio.AbstractEventLoop, events: tuple[JournalEvent, ...]) -> None:
        """From the journal's thread."""
        loop.call_soon_threadsafe(self._happened, events)

    def _happened(self, events: tuple[JournalEvent, ...]) -> None:
        if self.web is not None:
            self.web.happened(events)
        if self.traps is not None:
            self.traps.happened(events)

    async def _answer(self, request: Request, by: str) -> Reply:
        """As a client of the management socket gets it, for who asks by REST."""
        if isinstance(request, CONFIGURATION_REQUESTS) and self.desk is not None:
            return await self.desk.reply(request, by, Session()) or Reply(False, NOT_UNDERSTOOD)
        return await self._reply(request, by)

    def _note(self, text: str) -> None:
        self.syslog.send(notice(text))

    def _no_http(self, error: OSError) -> None:
        self._report(socket_listen_failure(_reason(error)))

    def _end(self) -> None:
        """The engine has ended before us: what it handed over last is still in the channel."""
        self._read_engine()
        self.syslog.flush()
        self.relay.close()
        if self.journal is not None:
            self.journal.close()
        os._exit(0)

    def _flush_log(self) -> None:
        self.syslog.flush()
        asyncio.get_running_loop().call_later(LOG_RETRY_S, self._flush_log)

    def _report(self, message: LogMessage) -> None:
        """Once per problem, however often it is tried again."""
        if self.reported != repr(message):
            self.reported = repr(message)
            self.syslog.send(message)

    def _listener(self) -> socket.socket | None:
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._report(socket_creation_failure(_reason(error)))
            return None
        try:
            self._clear_stale()
            listener.bind(str(self.path))
            self.path.chmod(0o660)
            listener.listen(BACKLOG)  # Here for its error; the server would only say it on standard error.
        except OSError as error:
            listener.close()
            self._report(socket_listen_failure(_reason(error)))
            return None
        self.reported = ""
        return listener

    def _clear_stale(self) -> None:
        """A socket file of a daemon that died is in the way; a living one must not be taken over."""
        if not self.path.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink()
                return
            except BlockingIOError:
                pass  # Its backlog is full, so somebody does listen.
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    # -- clients ----------------------------------------------------------------------------------------------------

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # With no allowance, drain means sent: a reader that stalls is found out, and abort cuts nothing off.
        writer.transport.set_write_buffer_limits(high=0)
        if self.clients >= MAX_CLIENTS and not self._make_room():
            _turn_away(writer)
            return
        self.clients += 1
        session = Session()
        try:
            while line := await self._line(reader, writer, session):
                try:
                    request = decode_request(line)
                except msgspec.DecodeError:
                    await _send(writer, Reply(False, NOT_UNDERSTOOD))
                    return
                by = "" if isinstance(request, QUESTIONS) else await _operator(writer)
                if isinstance(request, CONFIGURATION_REQUESTS) and self.desk is not None:
                    answer = await self.desk.reply(request, by, session)
                    if answer is not None:
                        await _send(writer, answer)
                    continue
                await _send(writer, await self._reply(request, by))
        except (TimeoutError, ValueError, ConnectionError):
            # Stalled, a line without end, or gone: this client is done, nobody else notices.
            return
        finally:
            self.clients -= 1
            if self.desk is not None:
                self.desk.leave(session)
            writer.transport.abort()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session) -> bytes:
        """The client's next line; empty at its end, and when it was turned away just as the line came. Who holds the
        configuration for himself may think as long as he likes."""
        if session.exclusive:
            return await reader.readline()
        self.idle[writer] = None
        try:
            line = await asyncio.wait_for(reader.readline(), CLIENT_TIMEOUT_S)
        finally:
            self.idle.pop(writer, None)
        return b"" if writer.is_closing() else line

    def _make_room(self) -> bool:
        """Who asks nothing gives way to who comes, so that no number of stalled clients keeps an operator out."""
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        del self.idle[longest]
        _turn_away(longest)
        return True

    async def status(self) -> ClusterStatus | None:
        """The engine's, None while it does not answer."""
        return (await self._reply(ShowStatus(), "commit")).status

    async def own_firewall(self) -> Survey:
        """This node's packet filter. OSError, msgspec.DecodeError."""
        return await self.surveys.take(only_firewall=True)

    async def peer_asked(self, request: PeerQuestion, by: str) -> Reply:
        """The other node's operator wants to know."""
        node = self.configuration.peer_id if self.configuration is not None else None
        return await self._reply(request, f"{by} on node{node}")

    def _difference(self) -> str:
        return self.desk.committer.difference() if self.desk is not None and self.configuration is not None else ""

    async def _status(self) -> ClusterStatus | None:
        return (await self._reply(ShowStatus(), "metrics")).status

    def _log_queues(self, status: ClusterStatus) -> tuple[LogQueueStatus, ...]:
        """The engine's, and our own, which carry what goes over TLS as well."""
        own: dict[str, LogQueueStatus] = {}
        for queue in (*self.syslog.queues("gateway"), *self.relay.queues("gateway")):
            known = own.get(queue.transport, LogQueueStatus("gateway", queue.transport, 0, 0))
            added = {"waiting": known.waiting + queue.waiting, "dropped": known.dropped + queue.dropped}
            own[queue.transport] = msgspec.structs.replace(known, **added)
        return (*status.log, *own.values())

    async def _reply(self, request: Request, by: str) -> Reply:
        """One question at a time and spaced, so that the engine does not notice how many clients ask how often.

        A command goes only to an engine that has just answered: one left in the channel of a dead engine would be
        carried out by its successor, long after the operator was told that it failed.
        """
        if isinstance(request, ShowMetrics):
            return Reply(True, families.open_metrics(await self.scrape.read()))
        if isinstance(request, TakeSurvey):
            node = self.configuration.node_id if self.configuration is not None else None
            return await self.surveys.reply(node, request.only_firewall)
        if isinstance(request, RestartDaemon):
            return await self._restart()
        if self.configuration is None or isinstance(request, CONFIGURATION_REQUESTS):
            return Reply(False, NOT_ENABLED)
        if isinstance(request, WatchGateway):
            return await self.surveys.watch(request.group, request.seconds, self.configuration.node_id)
        if isinstance(request, AskPeer):
            return await self.desk.ask_peer(request.request, by) if self.desk is not None else Reply(False, NOT_ENABLED)
        if isinstance(request, ReadEvents):
            return await self._events(request, self.configuration.node_id)
        if isinstance(request, (ShowIpMonitoring, ClearIpFailureCounts)) and self.monitors is not None:
            return await self.monitors.reply(request, self.configuration.node_id)
        if isinstance(request, ShowDetails):
            objects = await self.monitors.objects() if self.monitors is not None else None
            synchronization = self.desk.synchronization() if self.desk is not None else None
            return Reply(True, node=self.configuration.node_id, details=Details(objects, synchronization))
        if isinstance(request, Maintenance) and (unwritten := self._keep_maintenance(request.on)):
            return Reply(False, unwritten, self.configuration.node_id)
        problem = ENGINE_SILENT
        try:
            async with asyncio.timeout(ENGINE_TIMEOUT_S), self.turn:
                await self._keep_spacing()
                if not isinstance(request, QUESTIONS):
                    await self._ask(ShowStatus(), by)
                    problem = OUTCOME_UNKNOWN
                answer = await self._ask(request, by)
        except OSError:  # TimeoutError is one, and so is a channel that is full.
            return Reply(False, problem, self.configuration.node_id)
        # The vendor prints a failover's answer in the block of the node that was named (reference 7.9).
        node = request.node if isinstance(request, Failover) else self.configuration.node_id
        if isinstance(answer, engine_link.StatusReported):
            return Reply(True, node=node, status=msgspec.structs.replace(answer.status, log=self._log_queues(answer.status)))
        if isinstance(answer, engine_link.StateReported):
            if isinstance(request, Explain):
                try:
                    cluster = checkpoint.decode(answer.state)
                except checkpoint.CheckpointError:
                    return Reply(False, OTHER_VERSION, node)
                return Reply(True, node=node, explanations=explain(cluster, answer.now, answer.wall_offset))
            return Reply(True, node=node, core=CoreState(answer.now, answer.wall_offset, answer.state))
        assert isinstance(answer, engine_link.CommandReplied)
        return Reply(answer.ok, answer.text if answer.ok else f"error: {answer.text}", node)

    async def _events(self, request: ReadEvents, node: int) -> Reply:
        """From the disk, aside."""
        found = []
        with contextlib.suppress(OSError):
            if self.journal_directory is not None:
                found = await asyncio.to_thread(newest, self.journal_directory, request.last, request.group, request.transitions)
        return Reply(True, node=node, events=encode_events(tuple(found)))

    async def _restart(self) -> Reply:
        """The parent first lets the new program look at the configuration; this process is replaced a moment after the answer."""
        node = self.configuration.node_id if self.configuration is not None else None
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.restart_asked.append(answer)
        try:
            self.parent.send(children.encode(children.RestartRequested()), socket.MSG_DONTWAIT)
            problem = await asyncio.wait_for(answer, RESTART_TIMEOUT_S)
        except OSError:  # TimeoutError is one.
            return Reply(False, "error: the daemon does not answer; look at: journalctl -u jsrpd", node)
        finally:
            self.restart_asked.remove(answer)
        return Reply(False, f"error: {problem}", node) if problem else Reply(True, "Restarting in place", node)

    def _keep_maintenance(self, on: bool) -> str:
        """On the disk first, so that no death of the daemon or of the machine forgets it. What went wrong, or nothing."""
        assert self.journal_directory is not None
        state_directory = self.journal_directory.parent
        try:
            maintenance.keep(state_directory, on)
        except OSError as error:
            return f"error: {state_directory / maintenance.FILE}: {_reason(error)}, so nothing was done"
        return ""

    async def _keep_spacing(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self.asked_at + ENGINE_SPACING_S - loop.time()))
        self.asked_at = loop.time()

    async def _ask(self, request: Request, by: str) -> engine_link.Message:
        self.questions += 1
        number = self.questions
        answer: asyncio.Future[engine_link.Message] = asyncio.get_running_loop().create_future()
        self.waiting[number] = answer
        try:
            self.engine.send(engine_link.encode(_question(number, request, by)))
            return await answer
        finally:
            del self.waiting[number]

    # -- the other processes ------------------------------------------------------------------------------------------

    def _read_engine(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(ANSWERS_PER_WAKE_UP):
                data = self.engine.recv(1 << 20)
                if not data:
                    asyncio.get_running_loop().remove_reader(self.engine)
                    return
                try:
                    message = engine_link.decode(data)
                except msgspec.DecodeError:
                    continue
                if isinstance(message, engine_link.JournalClosed):
                    if self.journal is not None:
                        self.journal.put(message.batch)
                    continue
                waiting = self.waiting.get(getattr(message, "id", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)

    def _read_parent(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.parent.recv(1 << 20)
                if not data:
                    self._end()
                    return
                message = children.decode(data)
                if isinstance(message, children.ConfigurationLoaded):
                    self.configuration = message.configuration
                    self.syslog.reconfigure(message.configuration.syslog_hosts)
                    self.relay.reconfigure(message.configuration.syslog_hosts)
                    self._listen_for_http()
                    if self.traps is not None:
                        self.traps.reconfigure(message.configuration)
                    if self.desk is not None:
                        self.desk.reconfigure(message.configuration)
                elif isinstance(message, children.Reloaded):
                    if self.desk is not None:
                        self.desk.reloaded(message)
                elif isinstance(message, children.SurveyTaken):
                    self.surveys.taken(message)
                elif isinstance(message, children.RestartAnswered):
                    for waiting in self.restart_asked:
                        if not waiting.done():
                            waiting.set_result(message.problem)
                elif isinstance(message, children.ChildRestarted):
                    self.restarts[message.name] = message.restarts


def _turn_away(writer: asyncio.StreamWriter) -> None:
    writer.write(encode(TOO_MANY_CLIENTS))
    writer.close()


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(encode(reply))
    await asyncio.wait_for(writer.drain(), WRITE_TIMEOUT_S)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _question(number: int, request: Request, by: str) -> engine_link.Message:
    match request:
        case ShowStatus() | ShowMetrics():
            return engine_link.StatusRequested(number)
        case ShowState() | Explain():
            return engine_link.StateRequested(number)
        case Failover(group, node):
            return engine_link.FailoverCommanded(number, group, node, by)
        case FailoverReset(group):
            return engine_link.FailoverResetCommanded(number, group, by)
        case ClearFailoverCount():
            return engine_link.FailoverCountsCleared(number, by)
        case ClearStatistics(control_plane, data_plane):
            return engine_link.StatisticsCleared(number, control_plane, data_plane, by)
        case ClearInformation():
            return engine_link.InformationCleared(number, by)
        case ClearServiceFailures(group):
            return engine_link.ServiceFailuresCleared(number, group, by)
        case ClearPreemptCount(group):
            return engine_link.PreemptCountsCleared(number, group, by)
        case Maintenance(on):
            return engine_link.MaintenanceCommanded(number, on, by)
        case Rejoin():
            return engine_link.RejoinCommanded(number, by)
        case RestartDaemon():
            raise AssertionError("the parent does this, not the engine")
        case ShowIpMonitoring() | ClearIpFailureCounts() | ShowDetails():
            raise AssertionError("the monitors answer this, not the engine")
        case _:
            raise AssertionError("the gateway answers this by itself")


async def _operator(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end, for the journal: the user as the kernel knows it, and who had logged in as another before."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _group = struct.unpack("3i", credentials)
    # Looked up aside: a directory service may take its time.
    return await asyncio.to_thread(_user, process, user)


def _user(process: int, user: int) -> str:
    logged_in = NOBODY_LOGGED_IN
    with contextlib.suppress(OSError, ValueError):
        logged_in = int(Path(f"/proc/{process}/loginuid").read_text())
    if logged_in in (NOBODY_LOGGED_IN, user):
        return _name(user)
    return f"{_name(user)} (logged in as {_name(logged_in)})"


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"
