"""The gateway on a real socket, between clients of every kind and an engine played by the test."""

import asyncio
import contextlib
import errno
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from jsrpd.core import checkpoint
from jsrpd.core.explain import explain
from jsrpd.management import children, engine_link, maintenance
from jsrpd.management.client import DaemonUnreachable, ask
from jsrpd.management.journal import EVENTS, SegmentWriter, contents
from jsrpd.management.requests import (
    MAX_LINE,
    NOT_ENABLED,
    NOT_UNDERSTOOD,
    SOCKET_NAME,
    AskPeer,
    ClearFailoverCount,
    ClearInformation,
    ClearPreemptCount,
    ClearStatistics,
    CoreState,
    Explain,
    Failover,
    FailoverReset,
    Maintenance,
    ReadEvents,
    Rejoin,
    Reply,
    Request,
    RestartDaemon,
    ShowState,
    ShowStatus,
    TakeSurvey,
    decode_reply,
    encode,
)
from jsrpd.messages.catalogue import LogMessage
from jsrpd.model.configuration import ClusterConfiguration, SyslogHost
from jsrpd.model.journal import EventKind, JournalEvent, decode_events, encode_events
from jsrpd.model.status import LogQueueStatus
from jsrpd.model.survey import Survey, decode_survey, encode_survey
from jsrpd.processes import gateway, survey_desk
from jsrpd.processes.gateway import ENGINE_SILENT, MAX_CLIENTS, OTHER_VERSION, OUTCOME_UNKNOWN, TOO_MANY_CLIENTS, Gateway
from jsrpd.processes.syslog import SyslogSender
from tests.unit.core import recorded
from tests.unit.management.daemon import cluster

PATIENCE_S = 10.0
CONFIGURATION = ClusterConfiguration(cluster_id=7, node_id=0)
STATUS = cluster()
SHOWN = msgspec.structs.replace(STATUS, log=(LogQueueStatus("gateway", "local", 0, 0),))
"""With what the gateway knows besides."""
ME = gateway._user(os.getpid(), os.getuid())


class Log(SyslogSender):
    """Keeps what is logged; tells when something is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.messages: list[LogMessage] = []
        self.logged = threading.Event()

    def send(self, message: LogMessage) -> None:
        self.messages.append(message)
        self.logged.set()


class Running:
    """A gateway in a thread; ``engine`` and ``parent`` are the other processes' ends of its channels."""

    def __init__(self, directory: Path, configuration: ClusterConfiguration | None, journal: Path | None = None) -> None:
        self.path = directory / SOCKET_NAME
        self.log = Log(directory / "log")
        self.engine, self._engine = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.parent, self._parent = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.engine.settimeout(PATIENCE_S)
        self.gateway = Gateway(self._engine, self._parent, configuration, self.path, self.log, journal)
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self.gateway.run())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        # Handlers of clients that are still connected end as the gateway's death would end them.
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def stop(self) -> None:
        """End the loop, then close the channels: the gateway takes a closed parent's end for the parent's death."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(PATIENCE_S)
        for end in (self.engine, self._engine, self.parent, self._parent):
            end.close()

    def connect(self) -> socket.socket:
        """A client's connection."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        until(lambda: _connected(connection, self.path), "the gateway listens")
        return connection

    def asked(self) -> engine_link.Message:
        """The next question to the engine."""
        return engine_link.decode(self.engine.recv(1 << 16))

    def answer_status(self) -> None:
        """Play the engine for one question about the status."""
        question = self.asked()
        assert isinstance(question, engine_link.StatusRequested)
        self.engine.send(engine_link.encode(engine_link.StatusReported(question.id, STATUS)))

    def works(self) -> bool:
        """A new client gets its answer."""
        with self.connect() as client:
            client.sendall(encode(ShowStatus()))
            self.answer_status()
            return answer(client) == Reply(True, node=0, status=SHOWN)


def _connected(connection: socket.socket, path: Path) -> bool:
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
        return False  # Not yet there, or its queue is full.
    return True


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for an event that comes within milliseconds."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if true():
            return
        pause.wait(0.01)
    pytest.fail(f"never: {what}")


def answer(client: socket.socket) -> Reply:
    """The next reply."""
    data = b""
    while not data.endswith(b"\n"):
        data += client.recv(1 << 16) or pytest.fail(f"closed after {data!r}")
    return decode_reply(data)


def is_closed(client: socket.socket) -> bool:
    """The gateway has ended this connection."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that is slow to play its part is not taken for an engine or a client that hangs."""
    for limit in ("ENGINE_TIMEOUT_S", "WRITE_TIMEOUT_S", "CLIENT_TIMEOUT_S"):
        monkeypatch.setattr(gateway, limit, PATIENCE_S)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A gateway of node 0 in cluster 7."""
    made = Running(tmp_path, CONFIGURATION)
    yield made
    made.stop()


# -- answers ---------------------------------------------------------------------------------------------------------------


def test_a_client_may_ask_again(running: Running) -> None:
    with running.connect() as client:
        for _ in range(3):
            client.sendall(encode(ShowStatus()))
            running.answer_status()
            assert answer(client) == Reply(True, node=0, status=SHOWN)


@pytest.mark.parametrize(
    ("request_", "command", "node"),
    [
        (Failover(5, 1), lambda number: engine_link.FailoverCommanded(number, 5, 1, ME), 1),
        (FailoverReset(5), lambda number: engine_link.FailoverResetCommanded(number, 5, ME), 0),
        (ClearFailoverCount(), lambda number: engine_link.FailoverCountsCleared(number, ME), 0),
        (ClearStatistics(True, False), lambda number: engine_link.StatisticsCleared(number, True, False, ME), 0),
        (ClearInformation(), lambda number: engine_link.InformationCleared(number, ME), 0),
        (ClearPreemptCount(5), lambda number: engine_link.PreemptCountsCleared(number, 5, ME), 0),
        (Rejoin(), lambda number: engine_link.RejoinCommanded(number, ME), 0),
    ],
)
@pytest.mark.parametrize(("done", "text"), [(True, "said"), (False, "error: said")])
def test_a_command_goes_to_an_engine_that_has_just_answered(
    running: Running, request_: Request, command: Callable[[int], engine_link.Message], node: int, done: bool, text: str
) -> None:
    with running.connect() as client:
        client.sendall(encode(request_))
        running.answer_status()
        question = running.asked()
        number = getattr(question, "id", 0)
        assert question == command(number)
        running.engine.send(engine_link.encode(engine_link.CommandReplied(number, done, "said")))
        assert answer(client) == Reply(done, text, node)


def test_maintenance_is_on_the_disk_before_the_engine_hears_of_it(tmp_path: Path) -> None:
    running = Running(tmp_path, CONFIGURATION, tmp_path / "state" / "journal")
    (tmp_path / "state").mkdir()
    try:
        assert isinstance(running.asked(), engine_link.CheckpointWanted)
        for on in (True, False):
            with running.connect() as client:
                client.sendall(encode(Maintenance(on)))
                running.answer_status()
                question = running.asked()
                assert question == engine_link.MaintenanceCommanded(getattr(question, "id", 0), on, ME)
                assert maintenance.is_on(tmp_path / "state") == on
                running.engine.send(engine_link.encode(engine_link.CommandReplied(getattr(question, "id", 0), True, "said")))
                assert answer(client) == Reply(True, "said", 0)
    finally:
        running.stop()


def test_maintenance_that_cannot_be_kept_is_not_begun(tmp_path: Path) -> None:
    running = Running(tmp_path, CONFIGURATION, tmp_path / "gone" / "journal")
    try:
        assert isinstance(running.asked(), engine_link.CheckpointWanted)
        with running.connect() as client:
            client.sendall(encode(Maintenance(True)))
            said = answer(client)
        assert not said.ok
        assert said.text == f"error: {tmp_path / 'gone' / 'maintenance'}: {os.strerror(errno.ENOENT)}, so nothing was done"
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("problem", "expected"),
    [("", Reply(True, "Restarting in place", 0)), ("not fit", Reply(False, "error: not fit", 0))],
)
def test_a_restart_is_the_parents_business(running: Running, problem: str, expected: Reply) -> None:
    running.parent.settimeout(PATIENCE_S)
    with running.connect() as client:
        client.sendall(encode(RestartDaemon()))
        assert children.decode(running.parent.recv(1 << 16)) == children.RestartRequested()
        running.parent.send(children.encode(children.RestartAnswered(problem)))
        assert answer(client) == expected


def test_the_state_of_the_core_is_handed_on(running: Running) -> None:
    state = bytes(range(256))
    with running.connect() as client:
        client.sendall(encode(ShowState()))
        question = running.asked()
        assert isinstance(question, engine_link.StateRequested)
        running.engine.send(engine_link.encode(engine_link.StateReported(question.id, 5, 6, state)))
        assert answer(client) == Reply(True, node=0, core=CoreState(5, 6, state))


def test_groups_are_explained(running: Running) -> None:
    core = recorded.core("at 2s node0 interface lan down\nuntil 5s\n")
    with running.connect() as client:
        client.sendall(encode(Explain()))
        question = running.asked()
        assert isinstance(question, engine_link.StateRequested)
        reported = engine_link.StateReported(question.id, core.judged, 7, checkpoint.encode(core))
        running.engine.send(engine_link.encode(reported))
        assert answer(client) == Reply(True, node=0, explanations=explain(core, core.judged, 7))


def test_the_journals_newest(tmp_path: Path) -> None:
    """Read from the disk, whether or not the engine answers."""
    running = Running(tmp_path, CONFIGURATION, tmp_path / "journal")
    writer = SegmentWriter(tmp_path / "journal", EVENTS, 1 << 20, 1 << 22)
    told = [JournalEvent(n, 0, EventKind.TRANSITION if n % 2 else EventKind.PATH, "x", (n % 3,)) for n in range(20)]
    writer.append(encode_events(tuple(told)))
    try:
        for request, expected in (
            (ReadEvents(3), told[-3:]),
            (ReadEvents(2, 1), [told[16], told[19]]),
            (ReadEvents(2, None, True), [told[17], told[19]]),
        ):
            with running.connect() as client:
                client.sendall(encode(request))
                replied = answer(client)
            assert (replied.ok, replied.node) == (True, 0)
            assert list(decode_events(replied.events)) == expected
    finally:
        running.stop()


def test_a_node_is_looked_at(running: Running) -> None:
    """By a process of the parent; what only a running daemon knows is added."""
    survey = Survey(1, "gw", "1.0", "6.8", cluster_id=7)
    status = msgspec.structs.replace(STATUS, lateness_ns=5, drops={"own node-id": 2, "replayed": 3})
    with running.connect() as client:
        client.sendall(encode(TakeSurvey()))
        running.parent.settimeout(PATIENCE_S)
        asked = children.decode(running.parent.recv(1 << 16))
        assert isinstance(asked, children.SurveyRequested)
        running.parent.send(children.encode(children.SurveyTaken(asked.number + 7, b"somebody else's")))
        running.parent.send(children.encode(children.SurveyTaken(asked.number, encode_survey(survey))))
        question = running.asked()
        assert isinstance(question, engine_link.StatusRequested)
        running.engine.send(engine_link.encode(engine_link.StatusReported(question.id, status)))
        replied = answer(client)
    assert replied.ok
    assert decode_survey(replied.survey) == msgspec.structs.replace(survey, lateness_ns=5, strangers={"own node-id": 2})


def test_a_look_that_does_not_end(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_desk, "TIMEOUT_S", 0.05)
    with running.connect() as client:
        client.sendall(encode(TakeSurvey()))
        assert answer(client) == Reply(False, survey_desk.SILENT, 0)
    assert running.works()


def test_a_node_without_a_peer_cannot_ask_it(running: Running) -> None:
    with running.connect() as client:
        client.sendall(encode(AskPeer(ShowStatus())))
        assert answer(client) == Reply(False, NOT_ENABLED)


def test_a_state_that_is_not_understood(running: Running) -> None:
    """Of an engine that was started from another version: said, and the next client is served."""
    with running.connect() as client:
        client.sendall(encode(Explain()))
        question = running.asked()
        running.engine.send(engine_link.encode(engine_link.StateReported(getattr(question, "id", 0), 5, 6, b"\x80")))
        assert answer(client) == Reply(False, OTHER_VERSION, 0)
    assert running.works()


def test_the_journal_is_kept(tmp_path: Path) -> None:
    """It asks for a checkpoint as soon as it runs, and writes what the engine hands over."""
    running = Running(tmp_path, CONFIGURATION, tmp_path / "journal")
    try:
        assert isinstance(running.asked(), engine_link.CheckpointWanted)
        (life,) = recorded.lives("until 2s\n")
        batches = list(recorded.written(life))
        for batch in batches:
            running.engine.send(engine_link.encode(engine_link.JournalClosed(batch)))
        until(lambda: list(contents(tmp_path / "journal")) == batches, "the journal is written")
        assert running.works()
    finally:
        running.stop()


def test_without_a_directory_there_is_no_journal(running: Running) -> None:
    running.engine.send(engine_link.encode(engine_link.JournalClosed(b"batch")))
    assert running.works()


def test_what_the_engine_said_last_is_kept_when_the_gateway_is_told_to_end(tmp_path: Path) -> None:
    parent, parents_child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    engine, engines_gateway = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    (life,) = recorded.lives("until 2s\n")
    batches = list(recorded.written(life))

    def child() -> None:
        parent.close()
        gateway.run(engines_gateway, parents_child, CONFIGURATION, tmp_path, tmp_path, SyslogSender(tmp_path / "log"), {})

    process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
    process.start()
    try:
        engine.settimeout(PATIENCE_S)
        assert isinstance(engine_link.decode(engine.recv(1 << 16)), engine_link.CheckpointWanted)
        os.kill(process.pid or 0, signal.SIGSTOP)
        for batch in batches:
            engine.send(engine_link.encode(engine_link.JournalClosed(batch)))
        process.terminate()
        os.kill(process.pid or 0, signal.SIGCONT)
        process.join(PATIENCE_S)
        assert process.exitcode == 0
        assert list(contents(tmp_path / "journal")) == batches
    finally:
        process.kill()
        for channel in (parent, parents_child, engine, engines_gateway):
            channel.close()


def test_not_clustered(tmp_path: Path) -> None:
    running = Running(tmp_path, None)
    try:
        with running.connect() as client:
            for request in (ShowStatus(), Failover(1, 1)):
                client.sendall(encode(request))
                assert answer(client) == Reply(False, NOT_ENABLED)
    finally:
        running.stop()


def test_a_new_configuration_counts_from_the_next_question(running: Running) -> None:
    host = SyslogHost("192.0.2.9")
    running.parent.send(children.encode(children.ConfigurationLoaded(ClusterConfiguration(7, 1, syslog_hosts=(host,)))))
    until(lambda: running.gateway.configuration != CONFIGURATION, "the configuration arrives")
    with running.connect() as client:
        client.sendall(encode(ShowStatus()))
        running.answer_status()
        assert answer(client).node == 1


# -- engines that are not well -----------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is given up at once."""
    monkeypatch.setattr(gateway, "ENGINE_TIMEOUT_S", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("request_", [ShowStatus(), Failover(1, 1), FailoverReset(), ClearFailoverCount()])
def test_an_engine_that_is_silent_is_given_no_command(running: Running, request_: Request) -> None:
    """What waits in the channel is carried out by the next engine: so nothing but harmless questions may wait there."""
    with running.connect() as client:
        client.sendall(encode(request_))
        assert answer(client) == Reply(False, ENGINE_SILENT, 0)
    assert isinstance(running.asked(), engine_link.StatusRequested)
    running.engine.setblocking(False)
    with pytest.raises(BlockingIOError):
        running.engine.recv(1)


def test_an_engine_that_stops_between_question_and_command(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "ENGINE_TIMEOUT_S", 1.0)
    with running.connect() as client:
        client.sendall(encode(Failover(1, 1)))
        running.answer_status()
        assert answer(client) == Reply(False, OUTCOME_UNKNOWN, 0)


@pytest.mark.usefixtures("impatient")
def test_a_channel_that_is_full(running: Running) -> None:
    running.gateway.engine.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            running.gateway.engine.send(b"x")
    with running.connect() as client:
        client.sendall(encode(Failover(1, 1)))
        assert answer(client) == Reply(False, ENGINE_SILENT, 0)


def test_a_channel_that_is_closed(running: Running) -> None:
    running.engine.shutdown(socket.SHUT_RDWR)
    with running.connect() as client:
        client.sendall(encode(Failover(1, 1)))
        assert answer(client) == Reply(False, ENGINE_SILENT, 0)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_comes_late_is_nobodys(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with running.connect() as client:
        client.sendall(encode(ShowStatus()))
        late = running.asked()
        assert answer(client) == Reply(False, ENGINE_SILENT, 0)
        assert isinstance(late, engine_link.StatusRequested)
        monkeypatch.setattr(gateway, "ENGINE_TIMEOUT_S", PATIENCE_S)
        running.engine.send(engine_link.encode(engine_link.StatusReported(late.id, STATUS)))
        client.sendall(encode(ShowStatus()))
        running.answer_status()
        assert answer(client).ok


@pytest.mark.parametrize("noise", [b"garbage", b"\xc1", engine_link.encode(engine_link.CommandReplied(1, True, "not asked"))])
def test_noise_from_the_engine(running: Running, noise: bytes) -> None:
    running.engine.send(noise)
    assert running.works()


# -- clients that are not well -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\n",
        b"\xff\xfe\n",
        b'{"type":"failover","group":1,"node":7}\n',
        b'{"type":"failover","group":129,"node":1}\n',
        b'{"x":' + b"[" * 50_000 + b"\n",
    ],
    ids=lambda line: line[:40].decode("latin-1").strip(),
)
def test_garbage_is_refused_in_words(running: Running, line: bytes) -> None:
    with running.connect() as client:
        client.sendall(line)
        assert answer(client) == Reply(False, NOT_UNDERSTOOD)
        assert is_closed(client)
    assert running.works()


def test_a_line_without_end(running: Running) -> None:
    with running.connect() as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                client.sendall(b"x" * MAX_LINE)
            client.shutdown(socket.SHUT_WR)
        assert is_closed(client)
    assert running.works()


def test_a_client_that_leaves_before_its_answer(running: Running) -> None:
    client = running.connect()
    client.sendall(encode(ShowStatus()))
    running.answer_status()
    client.close()
    assert running.works()
    until(lambda: running.gateway.clients == 0, "the gateway has forgotten them")


def test_a_reader_that_stalls_is_dropped(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "WRITE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(gateway, "ENGINE_SPACING_S", 0.0)

    def play_engine() -> None:
        with contextlib.suppress(msgspec.DecodeError):  # The end of the channel.
            while True:
                running.answer_status()

    engine = threading.Thread(target=play_engine, daemon=True)
    engine.start()
    with running.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.01)
        until(lambda: _is_refused(client, encode(ShowStatus()) * 100), "the gateway hangs up")
    until(lambda: running.gateway.clients == 0, "the gateway has forgotten it")
    assert ask(running.path, ShowStatus()).ok
    running.engine.shutdown(socket.SHUT_RDWR)
    engine.join(PATIENCE_S)


def _is_refused(client: socket.socket, data: bytes) -> bool:
    try:
        client.sendall(data)
    except TimeoutError:
        return False
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def test_a_client_that_says_nothing_is_dropped(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "CLIENT_TIMEOUT_S", 0.05)
    with running.connect() as client:
        assert is_closed(client)


def test_clients_that_say_nothing_keep_no_operator_out(running: Running) -> None:
    """The one that has waited longest gives way, and is told."""
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(running.connect()) for _ in range(MAX_CLIENTS)]
        until(lambda: len(running.gateway.idle) == MAX_CLIENTS, "all of them are in")
        assert running.works()
        assert answer(stalled[0]) == TOO_MANY_CLIENTS
        assert is_closed(stalled[0])
        stalled[1].sendall(encode(ShowStatus()))
        running.answer_status()
        assert answer(stalled[1]).ok


def test_as_many_as_the_gateway_can_ask_for_at_a_time(running: Running) -> None:
    """None of them is idle: the next one is turned away, and those who wait get their answers."""
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(running.connect()) for _ in range(MAX_CLIENTS)]
        for client in waiting:
            client.sendall(encode(ShowStatus()))
        until(lambda: running.gateway.clients == MAX_CLIENTS and not running.gateway.idle, "all of them wait")
        with running.connect() as client:
            assert answer(client) == TOO_MANY_CLIENTS
            assert is_closed(client)
        for _ in waiting:
            running.answer_status()
        assert all(answer(client).ok for client in waiting)


def test_a_flood_of_connections(running: Running) -> None:
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            for _ in range(2 * MAX_CLIENTS):
                stack.enter_context(running.connect())
    until(lambda: running.gateway.clients == 0, "all of them are gone")
    assert running.works()


# -- the socket ----------------------------------------------------------------------------------------------------------------


def test_only_root_and_its_group_may_connect(running: Running) -> None:
    running.connect().close()
    assert running.path.stat().st_mode & 0o777 == 0o660


def test_the_socket_of_a_gateway_that_died_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    running = Running(tmp_path, CONFIGURATION)
    try:
        assert running.works()
        assert running.log.messages == []
    finally:
        running.stop()


@pytest.mark.parametrize("backlog", [8, 0], ids=["listening", "backlog-full"])
def test_the_socket_of_a_gateway_that_lives_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backlog: int) -> None:
    """It is reported once, tried again, and had when the other one has gone."""
    monkeypatch.setattr(gateway, "RETRY_S", (0.01,))
    path = tmp_path / SOCKET_NAME
    with contextlib.ExitStack() as stack:
        living = stack.enter_context(socket.socket(socket.AF_UNIX))
        living.bind(str(path))
        living.listen(backlog)
        if backlog == 0:
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        inode = path.stat().st_ino
        running = Running(tmp_path, CONFIGURATION)
        stack.callback(running.stop)
        assert running.log.logged.wait(PATIENCE_S)
        assert path.stat().st_ino == inode
        living.close()
        assert running.works()
        assert [message.tag for message in running.log.messages] == ["JSRPD_SOCKET_LISTEN_FAILURE"]
        assert "Address already in use" in str(running.log.messages[0])


@pytest.mark.parametrize("obstacle", ["file", "no directory"])
def test_something_else_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str) -> None:
    monkeypatch.setattr(gateway, "RETRY_S", (0.01,))
    directory = tmp_path / "run"
    if obstacle == "file":
        directory.mkdir()
        (directory / SOCKET_NAME).write_text("precious")
    running = Running(directory, CONFIGURATION)
    try:
        assert running.log.logged.wait(PATIENCE_S)
        if obstacle == "file":
            assert (directory / SOCKET_NAME).read_text() == "precious"
            (directory / SOCKET_NAME).unlink()
        else:
            directory.mkdir()
        assert running.works()
        assert [message.tag for message in running.log.messages] == ["JSRPD_SOCKET_LISTEN_FAILURE"]
    finally:
        running.stop()


def test_no_socket_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "RETRY_S", (0.01,))
    refusals = iter(range(3))

    class Scarce(socket.socket):
        """Not to be had for the gateway's listener, three times."""

        def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            if type != -1 and type & socket.SOCK_CLOEXEC and next(refusals, None) is not None:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            super().__init__(family, type, proto, fileno)

    monkeypatch.setattr("socket.socket", Scarce)
    running = Running(tmp_path, CONFIGURATION)
    try:
        assert running.works()
        assert [message.tag for message in running.log.messages] == ["JSRPD_SOCKET_CREATION_FAILURE"]
    finally:
        running.stop()


# -- the process -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["SIGTERM", "death of the parent"])
def test_the_process_ends_with_its_parent_and_not_with_the_terminal(tmp_path: Path, end: str) -> None:
    parent, parents_child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    engine, engines_gateway = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def child() -> None:
        parent.close()
        gateway.run(engines_gateway, parents_child, None, tmp_path, tmp_path, SyslogSender(tmp_path / "log"), {})

    process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
    process.start()
    path = tmp_path / SOCKET_NAME
    try:
        until(path.is_socket, "the gateway listens")
        for ignored in (signal.SIGINT, signal.SIGHUP):
            os.kill(process.pid or 0, ignored)
        until(lambda: _says_not_enabled(path), "an answer")
        if end == "SIGTERM":
            process.terminate()
        else:
            parent.close()
        process.join(PATIENCE_S)
        assert process.exitcode == 0
    finally:
        process.kill()
        for channel in (parent, parents_child, engine, engines_gateway):
            channel.close()


def _says_not_enabled(path: Path) -> bool:
    try:
        return ask(path, ShowStatus()) == Reply(False, NOT_ENABLED)
    except DaemonUnreachable:
        return False  # Bound, but not yet listening.
