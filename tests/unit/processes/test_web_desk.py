"""The REST interface on real sockets, between clients of every kind and a daemon played by the test."""

import asyncio
import contextlib
import grp
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jsrpd import __version__
from jsrpd.cli import render_json
from jsrpd.cli.tree import ENTRIES
from jsrpd.configuration.api_tokens import make_token, revoke_token
from jsrpd.core import checkpoint
from jsrpd.gateway import access, stream, web_server
from jsrpd.gateway import http as scrape
from jsrpd.gateway.access import ATTEMPTS, Peer, local
from jsrpd.gateway.stream import MAX_LISTENERS
from jsrpd.gateway.web_server import MAX_CONNECTIONS
from jsrpd.lab.certificate import self_signed
from jsrpd.management.requests import CoreState, Failover, FailoverReset, Reply, Request, ShowMetrics, ShowState, ShowStatus
from jsrpd.model.access import Access
from jsrpd.model.configuration import RestService, TlsListener
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.time import SECOND
from jsrpd.processes import api_resources, web_desk
from jsrpd.processes.gateway import ENGINE_SILENT
from jsrpd.processes.web_desk import MAX_BODY_BYTES, Services, WebDesk
from tests.unit.core import recorded
from tests.unit.management.daemon import cluster

PATIENCE_S = 10.0
SHOW = "/api/v1/show/chassis/cluster"
FAILOVER = "/api/v1/request/chassis/cluster/failover"
EVENT = JournalEvent(1_700_000_000_123_456_789, 0, EventKind.TRANSITION, "group 1: secondary > primary", (1,), "because")


class Running:
    """A desk in a thread, and a daemon whose answers the test chooses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "http.sock"
        self.asked: list[tuple[Request, str]] = []
        self.reports: list[str] = []
        self.status = Reply(True, node=0, status=cluster())
        self.answers: dict[type, Reply] = {
            Failover: Reply(True, "Initiated manual failover for redundancy group 1", 1),
            ShowMetrics: Reply(True, "# EOF\n"),
        }
        self._loop = asyncio.new_event_loop()
        services = Services(self._ask, self._scrape, self.reports.append, lambda _process, user: f"user {user}", self._failed)
        self.desk = self.within(lambda: WebDesk(services, directory, self.path))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.configure(RestService())

    def within(self, call: Callable[[], Any]) -> Any:
        """The value of a call made in the loop."""

        async def made() -> Any:
            return call()

        if not self._loop.is_running():
            return self._loop.run_until_complete(made())
        return asyncio.run_coroutine_threadsafe(made(), self._loop).result(PATIENCE_S)

    def configure(self, rest: RestService) -> None:
        self.within(lambda: self.desk.reconfigure(rest))
        self.until(lambda: self.path.exists() and self._connects(), "listening")

    def _connects(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.path))
            return True
        return False

    async def _ask(self, request: Request, by: str) -> Reply:
        self.asked.append((request, by))
        if isinstance(request, ShowStatus):
            return self.status
        return self.answers.get(type(request), Reply(False, "error: not here", 0))

    async def _scrape(self, request: scrape.Request) -> scrape.Response:
        return scrape.Response(200, f"metrics {request.headers['accept']}\n", "text/plain; version=0.0.4; charset=utf-8")

    def _failed(self, error: OSError) -> None:
        self.reports.append(str(error))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, f"{what}; {self.reports}"
            time.sleep(0.01)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        while True:
            try:
                connection.connect(str(self.path))
                return connection
            except BlockingIOError:
                time.sleep(0.01)  # Its queue is full (unix(7)).

    def http(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        return connection

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> "Answer":
        with contextlib.closing(self.http()) as connection:
            return answered(connection, method, path, body, headers)

    def get(self, path: str, **headers: str) -> "Answer":
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> "Answer":
        return self.send("POST", path, {} if body is None else body, **headers)

    def end(self) -> None:
        async def stop() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)


class Answer:
    """Status, headers and text; ``json`` of it."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        (error,) = self.json.values()
        return str(error)


def answered(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} if content is not None else {}
    connection.request(method, path, content, {**sent, **{name.replace("_", "-"): v for name, v in (headers or {}).items()}})
    return Answer(connection.getresponse())


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    for variable, name in (("STATE_DIRECTORY", "lib"), ("CONFIGURATION_DIRECTORY", "etc"), ("RUNTIME_DIRECTORY", "run")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    # Whoever runs the tests, root or not, may act.
    monkeypatch.setattr(access, "GROUP", grp.getgrgid(os.getgid()).gr_name)
    one = Running(tmp_path)
    yield one
    one.end()


# -- what is shown and ordered --------------------------------------------------------------------------------------------


def test_shows_what_the_command_shows(running: Running) -> None:
    answer = running.get(f"{SHOW}/status")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.text == render_json.snapshot(cluster())
    only = running.get(f"{SHOW}/status?redundancy-group=1").json
    assert [group["group"] for group in only["groups"]] == [1]
    assert running.get(f"{SHOW}/status", Accept="text/plain").text.startswith("Monitor Failure codes:")
    assert "<rpc-reply" in running.get(f"{SHOW}/status", Accept="application/xml").text
    assert running.get("/api/v1/show/version").json["version"] == __version__
    assert running.get("/api/v1/show/metrics", Accept="text/plain").text == "# EOF\n"
    assert running.get("/api/v1/show/metrics").json == []
    assert running.get("/metrics", Accept="a/b").text == "metrics a/b\n"
    assert running.get("/api/v1/whoami").json == {"name": f"user {os.getuid()}", "access": "operator"}


def test_orders_what_the_command_orders(running: Running) -> None:
    answer = running.post(FAILOVER, {"redundancy-group": 1, "node": 1})
    assert (answer.status, answer.json) == (200, {"text": "Initiated manual failover for redundancy group 1", "node": 1})
    assert (Failover(1, 1), f"user {os.getuid()}") in running.asked
    running.answers[FailoverReset] = Reply(False, "error: nothing to reset", 0)
    refused = running.post(f"{FAILOVER}/reset")
    assert (refused.status, refused.error) == (409, "error: nothing to reset")
    assert (FailoverReset(None), f"user {os.getuid()}") in running.asked


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "said"),
    [
        ("GET", f"{SHOW}/status?redundancy-group=129", None, {}, 400, "not within range 0..128"),
        ("GET", f"{SHOW}/status?redundancy-group=-1", None, {}, 400, "not within range"),
        ("GET", f"{SHOW}/status?redundancy-group=", None, {}, 400, "is empty"),
        ("GET", f"{SHOW}/status?redundancy-group=1&redundancy-group=2", None, {}, 400, "twice"),
        ("GET", f"{SHOW}/status?group=1", None, {}, 400, "unknown value 'group'; there is: redundancy-group"),
        ("GET", f"{SHOW}/status?redundancy-group=7", None, {}, 409, "redundancy group 7 is not configured"),
        ("GET", f"{SHOW}/status", None, {"Accept": "image/png"}, 406, "there is: application/json"),
        ("GET", f"{SHOW}/nothing", None, {}, 404, "openapi.json"),
        ("POST", f"{SHOW}/status", {}, {}, 405, "another method"),
        ("GET", FAILOVER, None, {}, 405, "another method"),
        ("POST", FAILOVER, {"node": 1}, {}, 400, "needed: redundancy-group"),
        ("POST", FAILOVER, {"redundancy-group": "1", "node": 1}, {}, 400, "must be a number"),
        ("POST", FAILOVER, {"redundancy-group": True, "node": 1}, {}, 400, "a JSON object of numbers and texts"),
        ("POST", FAILOVER, {"redundancy-group": 1, "node": 2}, {}, 400, "not within range 0..1"),
        ("POST", f"{FAILOVER}?node=1", {}, {}, 400, "in the body"),
        ("POST", FAILOVER, b"[1]", {}, 400, "a JSON object"),
        ("POST", FAILOVER, b"\xff", {}, 400, "a JSON object"),
        ("POST", FAILOVER, b"[" * 10_000, {}, 400, "a JSON object"),
        ("POST", FAILOVER, b"{}", {"Content_Type": "text/plain"}, 415, "application/json"),
        ("POST", FAILOVER, b" " * (MAX_BODY_BYTES + 1), {}, 413, "at most"),
        ("POST", "/api/v1/request/chassis/cluster/what-if", {"events": "x"}, {}, 409, "not here"),
        ("POST", "/api/v1/request/chassis/cluster/what-if", {"events": "n\x15"}, {}, 400, "not printable ASCII"),
        ("POST", "/api/v1/request/chassis/cluster/what-if", {"events": "n\u00e9"}, {}, 400, "not printable ASCII"),
        ("GET", f"{SHOW}/status", None, {"Origin": "http://evil.example"}, 403, "may not ask here"),
        ("GET", f"{SHOW}/status", None, {"Host": "evil.example"}, 403, "this is not evil.example"),
        ("GET", f"{SHOW}/status", None, {"Host": "[x"}, 403, "this is not"),
    ],
)
def test_refusals_say_why(
    running: Running, method: str, path: str, body: Any, headers: dict[str, str], status: int, said: str
) -> None:
    answer = running.send(method, path, body, **headers)
    assert (answer.status, said in answer.error) == (status, True), answer.text
    assert not any(isinstance(request, Failover) for request, _ in running.asked)


def test_a_silent_engine_is_no_refusal(running: Running) -> None:
    running.status = Reply(False, ENGINE_SILENT, 0)
    assert running.get(f"{SHOW}/status").status == 503
    running.answers[Failover] = Reply(False, ENGINE_SILENT, 0)
    assert running.post(FAILOVER, {"redundancy-group": 1, "node": 1}).status == 503


def test_the_engine_is_asked_once_however_many_ask(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_desk, "FRESH_S", 60.0)
    for _ in range(20):
        assert running.get(f"{SHOW}/interfaces").status == 200
    assert sum(isinstance(request, ShowStatus) for request, _ in running.asked) == 1
    running.post(FAILOVER, {"redundancy-group": 1, "node": 1})
    running.get(f"{SHOW}/interfaces")
    assert sum(isinstance(request, ShowStatus) for request, _ in running.asked) == 2


def test_too_much_at_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_desk, "WAITING", 0)
    answer = running.get(f"{SHOW}/status")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_files_of_the_node_are_not_read_for_others(running: Running, tmp_path: Path) -> None:
    """``what-if commit FILE`` works on the node; by REST it would be a way to look into files."""
    state = checkpoint.encode(recorded.core("until 5s\n"))
    running.answers[ShowState] = Reply(True, core=CoreState(5 * SECOND, 0, state))
    path = "/api/v1/request/chassis/cluster/what-if"
    assert running.post(path, {"events": "node 1 lost"}).json
    refused = running.post(path, {"events": f"commit {tmp_path}/x"})
    assert (refused.status, "on the node only" in refused.error) == (409, True)


def test_every_command_is_offered_or_left_out_for_a_reason() -> None:
    offered = {resource.command for resource in api_resources.resources()}
    every = {api_resources._command(entry) for entry in ENTRIES if entry.form.split()[0] in api_resources.VERBS}
    undecided = every - offered - set(api_resources.LEFT_OUT)
    assert undecided == set(), "put them into ORDERS, or into LEFT_OUT with the reason"
    assert not offered & set(api_resources.LEFT_OUT)
    assert set(api_resources.ORDERS) <= offered
    assert set(api_resources.ANSWERS) <= offered
    assert set(api_resources.CONFIDENTIAL) <= offered
    paths = [resource.path for resource in api_resources.resources()]
    assert len(set(paths)) == len(paths)


def test_document(running: Running) -> None:
    told = running.get("/api/v1/openapi.json").json
    assert told["openapi"].startswith("3.1")
    paths = {resource.path for resource in api_resources.resources()}
    assert set(told["paths"]) == {*paths, "/api/v1/stream"}
    failover = told["paths"][FAILOVER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert failover["required"] == ["redundancy-group", "node"]
    assert failover["properties"]["node"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 1,
        "description": "Number of the node (0..1)",
    }


def test_a_defect_is_said(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ValueError("planted")

    monkeypatch.setattr(web_desk, "_run", broken)
    assert running.get(f"{SHOW}/status").status == 500
    assert "planted" in running.reports[0]


# -- who may ----------------------------------------------------------------------------------------------------------------


def test_local_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_group", lambda: 77)
    assert local(Peer(1, 0, (0,)), False, "root").access is Access.ACT
    assert local(Peer(1, 5, (5, 77)), False, "x").access is Access.ACT
    assert local(Peer(1, 5, (5,)), True, "x").access is Access.READ
    refused = local(Peer(1, 5, (5,)), False, "x")
    assert (refused.access, "neither root nor of group jsrp" in refused.problem) == (Access.NONE, True)
    monkeypatch.setattr(access, "_group", lambda: None)
    assert local(Peer(1, 5, (5,)), False, "x").access is Access.NONE


def test_the_kernel_says_who_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = access.peer(ours)
    assert (found.process, found.user, found.groups[0]) == (os.getpid(), os.getuid(), os.getgid())
    assert set(os.getgroups()) <= set(found.groups)


def test_a_reader_may_not_act(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_desk, "local", lambda *_: access.Client(Access.READ, "anna"))
    assert running.get(f"{SHOW}/status").status == 200
    for refused in (running.post(FAILOVER, {"redundancy-group": 1, "node": 1}), running.get("/api/v1/show/configuration")):
        assert (refused.status, refused.error) == (403, "anna has the access read-only; this needs operator")
    monkeypatch.setattr(web_desk, "local", lambda *_: access.Client(Access.NONE, "anna", "because"))
    assert (running.get(f"{SHOW}/status").status, running.get(f"{SHOW}/status").error) == (403, "because")
    assert running.get("/api/v1/stream").status == 403
    assert running.get("/").status == 200


def test_others_may_read_where_it_is_configured(running: Running) -> None:
    assert running.path.stat().st_mode & 0o777 == 0o660
    running.configure(RestService(others_read=True))
    running.until(lambda: running.path.stat().st_mode & 0o777 == 0o666, "open to all")


# -- TLS and tokens -----------------------------------------------------------------------------------------------------------


class Tls:
    """A client of the TLS listener."""

    def __init__(self, running: Running, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.files = self_signed(directory)
        place = TlsListener("127.0.0.1", self.port, *map(str, self.files))
        running.configure(RestService(https=(place,)))
        running.until(self._listens, "TLS")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.files[0]))
        context.check_hostname = False
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=PATIENCE_S)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        with contextlib.closing(self.connect()) as connection:
            return answered(connection, method, path, body, headers)

    def with_token(self, token: str, path: str = f"{SHOW}/status", method: str = "GET", body: Any = None) -> Answer:
        return self.send(method, path, body, Authorization=f"Bearer {token}")


@pytest.fixture
def tls(running: Running, tmp_path: Path) -> Tls:
    return Tls(running, tmp_path)


def test_tokens(running: Running, tls: Tls, tmp_path: Path) -> None:
    refused = tls.send("GET", f"{SHOW}/status")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    reader = make_token(tmp_path, "reader", Access.READ)
    operator = make_token(tmp_path, "operator", Access.ACT)
    assert tls.with_token(reader).status == 200
    order = {"redundancy-group": 1, "node": 1}
    assert tls.with_token(reader, FAILOVER, "POST", order).status == 403
    assert tls.with_token(operator, FAILOVER, "POST", order).status == 200
    assert running.asked[-1][1] == "operator (token, from 127.0.0.1)"
    revoke_token(tmp_path, "operator")
    assert tls.with_token(operator).status == 401
    assert tls.send("GET", "/").status == 200


def test_guessing_is_limited_and_said(running: Running, tls: Tls, tmp_path: Path) -> None:
    token = make_token(tmp_path, "reader", Access.READ)
    for n in range(ATTEMPTS):
        assert tls.with_token(f"jsrp_{n}").status == 401
    assert len(running.reports) == 1
    barred = tls.with_token(token)
    assert barred.status == 429
    assert 0 < int(barred.headers["retry-after"]) <= 61
    assert "wrong tokens from 127.0.0.1" in running.reports[0]


def test_who_shows_no_token_is_not_guessing(tls: Tls, tmp_path: Path) -> None:
    token = make_token(tmp_path, "reader", Access.READ)
    for _ in range(2 * ATTEMPTS):
        assert tls.send("GET", f"{SHOW}/status").status == 401
    assert tls.with_token(token).status == 200


def test_a_file_of_tokens_that_others_can_read_is_not_used(running: Running, tls: Tls, tmp_path: Path) -> None:
    token = make_token(tmp_path, "reader", Access.READ)
    (tmp_path / "api-tokens").chmod(0o644)
    os.utime(tmp_path / "api-tokens", ns=(1, 1))
    assert tls.with_token(token).status == 401
    assert "chmod 600" in running.reports[0]


def test_a_renewed_certificate_is_taken_up(running: Running, tls: Tls, tmp_path: Path) -> None:
    """With no restart; one that is broken leaves the old one in use."""

    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", tls.port), timeout=PATIENCE_S)

    before = shown()
    for new, old in zip(self_signed(tmp_path, "renewed"), tls.files, strict=True):
        new.replace(old)
    assert shown() != before
    now = shown()
    tls.files[0].write_text("broken")
    assert shown() == now
    assert running.get("/").status == 200


def test_certificates_that_are_not_there_are_said_once(running: Running, tmp_path: Path) -> None:
    running.configure(RestService(https=(TlsListener("127.0.0.1", 1, f"{tmp_path}/none", f"{tmp_path}/none"),)))
    running.until(lambda: len(running.reports) == 1, "said")
    assert "No such file" in running.reports[0]


def test_plain_http_to_the_tls_port_is_nothing(tls: Tls) -> None:
    with socket.create_connection(("127.0.0.1", tls.port), PATIENCE_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not connection.recv(1000).startswith(b"HTTP")


# -- bounds -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000, b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", b"200"),
    ],
)
def test_bytes_that_are_no_request(running: Running, sent: bytes, status: bytes) -> None:
    with running.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        assert connection.recv(100).split(b" ")[1] == status
    assert running.get("/").status == 200


def test_who_does_not_finish_asking_is_left(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request of a connection, and a later one."""
    monkeypatch.setattr(web_server, "REQUEST_TIMEOUT_S", 0.1)
    with running.connect() as first, running.connect() as later:
        first.sendall(b"GET / HT")
        later.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert later.recv(10_000).startswith(b"HTTP/1.1 200")
        later.sendall(b"GET / HT")
        assert first.recv(1) == b""
        assert later.recv(1) == b""


def test_who_does_not_read_is_left(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "WRITE_TIMEOUT_S", 0.1)
    running.answers[ShowMetrics] = Reply(True, "x" * 10_000_000)
    with running.connect() as slow:
        slow.sendall(b"GET /api/v1/show/metrics HTTP/1.1\r\nAccept: text/plain\r\nHost: localhost\r\n\r\n")
        running.until(lambda: any(isinstance(request, ShowMetrics) for request, _ in running.asked), "asked")
        running.until(lambda: running.desk._server.connections == 0, "left")


def test_stalled_clients_give_way(running: Running) -> None:
    """Every place is taken by someone who asks nothing; an honest client is served all the same."""
    stalled = [running.connect() for _ in range(MAX_CONNECTIONS)]
    running.until(lambda: running.desk._server.connections == MAX_CONNECTIONS, "all places taken")
    for _ in range(3):
        assert running.get("/").status == 200
    assert running.desk._server.connections <= MAX_CONNECTIONS + 1
    for connection in stalled:
        connection.close()


def test_requests_of_one_connection(running: Running) -> None:
    """Kept alive, and several sent at once."""
    with contextlib.closing(running.http()) as connection:
        assert [answered(connection, "GET", "/").status for _ in range(5)] == [200] * 5
    with running.connect() as connection2:
        connection2.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            received += connection2.recv(10_000)


# -- the stream ---------------------------------------------------------------------------------------------------------------


class Listening:
    """A client of the stream; events in order."""

    def __init__(self, running: Running, last_id: str = "") -> None:
        self.socket = running.connect()
        self.socket.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last_id}\r\n\r\n".encode())
        self._buffer = b""

    def next(self, kind: str) -> tuple[str, Any]:
        """(id, data) of the next event of a kind."""
        while True:
            while b"\n\n" not in self._buffer:
                piece = self.socket.recv(100_000)
                assert piece, "the stream ended"
                self._buffer += piece
            block, _, self._buffer = self._buffer.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if ": " in line)
            if fields.get("event") == kind:
                return fields.get("id", ""), json.loads(fields["data"])


def test_stream(running: Running) -> None:
    listening = Listening(running)
    _, status = listening.next("status")
    assert status == json.loads(render_json.snapshot(cluster()))
    running.within(lambda: running.desk.happened((EVENT,)))
    number, event = listening.next("journal")
    assert (event["text"], event["reason"], event["groups"]) == (EVENT.text, "because", [1])
    running.within(lambda: running.desk.happened((EVENT, EVENT)))
    listening.socket.close()
    again = Listening(running, number)
    assert [again.next("journal")[0].rpartition("-")[2] for _ in range(2)] == ["2", "3"]
    again.socket.close()
    running.until(lambda: not running.desk.stream._listeners, "nobody listens")
    assert running.desk.stream._looking is None


def test_a_change_is_told(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.02)
    monkeypatch.setattr(web_desk, "FRESH_S", 0.0)
    listening, second = Listening(running), Listening(running)
    listening.next("status")
    second.next("status")
    running.status = Reply(True, node=0, status=msgspec.structs.replace(cluster(), notices=("something is wrong",)))
    assert listening.next("status")[1]["notices"] == ["something is wrong"]
    assert second.next("status")[1]["notices"] == ["something is wrong"]
    running.status = Reply(False, ENGINE_SILENT)
    assert listening.next("status")[1] == {"engine": False}


def test_who_falls_behind_is_let_go(running: Running) -> None:
    """His queue is bounded; what he missed is told when he comes back."""
    listening = Listening(running)
    listening.next("status")
    long = JournalEvent(1, 0, EventKind.MESSAGE, "x" * 10_000)
    for _ in range(40):
        running.within(lambda: running.desk.happened((long,) * 20))
    running.until(lambda: not running.desk.stream._listeners, "let go")
    listening.socket.close()


def test_listeners_are_bounded(running: Running) -> None:
    listening = [Listening(running) for _ in range(MAX_LISTENERS)]
    running.until(lambda: len(running.desk.stream._listeners) == MAX_LISTENERS, "all listen")
    assert running.get("/api/v1/stream").status == 503
    for one in listening:
        one.socket.close()
