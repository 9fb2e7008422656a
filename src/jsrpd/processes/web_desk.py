"""The REST interface's side of the gateway: runs the commands of ``jsrp`` themselves, in threads, with our own answers.

What a command asks the daemon comes here instead of to the management socket, with the name of who really asks. So what
REST shows is what ``jsrp`` shows, and a refusal has the same words. Only so many commands run at once, because each
costs this process time.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from starlette.requests import Request

from jsrpd import __version__
from jsrpd.cli import history, render_json
from jsrpd.cli.commands import Call, CommandFailed, via
from jsrpd.cli.grammar import GrammarError, parse
from jsrpd.cli.tree import COMMANDS
from jsrpd.gateway import api, http, listening
from jsrpd.gateway.access import GROUP, Client, Peer, Tokens, local
from jsrpd.gateway.api import Refused
from jsrpd.gateway.resources import Resource
from jsrpd.gateway.stream import Stream
from jsrpd.gateway.web_server import PEER_STATE, Certificate, Limited, WebServer
from jsrpd.management import requests
from jsrpd.model.configuration import RestService, TlsListener
from jsrpd.model.journal import JournalEvent
from jsrpd.model.status import ClusterStatus
from jsrpd.processes import api_resources

AT_ONCE = 4
WAITING = 64
ANSWER_TIMEOUT_S = 25.0
"""A restart in place is answered when the new program has looked at the configuration."""
FRESH_S = 0.25
"""A snapshot that is younger is shown again: many clients cost the engine no more than one."""
MAX_BODY_BYTES = 16 * 1024
UNAVAILABLE_ENDINGS = ("journalctl -u jsrpd",)
Ask = Callable[[requests.Request, str], Awaitable[requests.Reply]]
Scraped = Callable[[http.Request], Awaitable[http.Response]]
UserName = Callable[[int, int], str]


@dataclass(frozen=True, slots=True)
class Services:
    """What the gateway does for it. ``ask``: a request in somebody's name; ``report``: to the log; ``user``: of a process."""

    ask: Ask
    scrape: Scraped
    report: Callable[[str], None]
    user: UserName
    no_listener: Callable[[OSError], None]


class WebDesk:
    """Everything of the interface that is not HTTP."""

    def __init__(self, services: Services, configuration_directory: Path, socket_path: Path) -> None:
        self._services, self._socket_path = services, socket_path
        self.resources = api_resources.resources()
        self.stream = Stream(self._look, secrets.token_hex(4))
        self._tokens = Tokens(configuration_directory, self.report)
        self._rest = RestService()
        self._listeners: dict[tuple[TlsListener | None, bool], asyncio.Task[None]] = {}
        self._running, self._waiting = asyncio.Semaphore(AT_ONCE), 0
        self._snapshot: requests.Reply | None = None
        self._snapshot_at = 0.0
        self._snapshot_turn = asyncio.Lock()
        self._reported = ""
        self._server = WebServer(Limited(api.application(self, __version__), MAX_BODY_BYTES))

    # -- listening ------------------------------------------------------------------------------------------------------

    def reconfigure(self, rest: RestService) -> None:
        """Listen at the UNIX socket, and where is configured now."""
        self._rest = rest
        wanted = {(None, rest.others_read), *((place, False) for place in rest.https)}
        for gone in set(self._listeners) - wanted:
            self._listeners.pop(gone).cancel()
        for place, others in wanted - set(self._listeners):
            serving = self._serve_unix(others) if place is None else self._serve_tls(place)
            self._listeners[place, others] = asyncio.get_running_loop().create_task(serving)

    async def _serve_unix(self, others: bool) -> None:
        def bind() -> socket.socket:
            return listening.unix(self._socket_path, others, GROUP)

        await listening.keep(bind, self._server.serve, self._services.no_listener)

    async def _serve_tls(self, place: TlsListener) -> None:
        certificates: list[Certificate] = []

        def bind() -> socket.socket:
            certificates[:] = [Certificate(place)]
            return listening.tcp(place.address, place.port)

        async def serve(listener: socket.socket) -> None:
            await self._server.serve(listener, certificates[0])

        await listening.keep(bind, serve, self._services.no_listener)

    # -- who and what -----------------------------------------------------------------------------------------------------

    async def client(self, request: Request) -> Client:
        """Who asks: looked up aside, since a directory service may take its time."""
        who: Peer | None = getattr(request.state, PEER_STATE)
        if who is not None:
            name = await asyncio.to_thread(self._services.user, who.process, who.user)
            return await asyncio.to_thread(local, who, self._rest.others_read, name)
        source = request.client.host if request.client else ""
        return self._tokens.client(source, request.headers.get("authorization", ""))

    async def metrics(self, request: http.Request) -> http.Response:
        """The page for Prometheus."""
        return await self._services.scrape(request)

    def report(self, text: str) -> None:
        """To the log, once in a row."""
        if text != self._reported:
            self._reported = text
            self._services.report(text)

    async def answer(self, resource: Resource, values: dict[str, str], display: str, by: str) -> str:
        """What the command prints."""
        try:
            command, typed = parse(COMMANDS, api_resources.line(resource, values))
        except GrammarError as error:
            raise Refused(400, str(error)) from error
        has = display in command.displays
        ask = _Asking(self, asyncio.get_running_loop(), by)
        async with self._place():
            text = await asyncio.to_thread(_run, command.run, Call(typed, display if has else ""), ask)
        if display == "json" and not has:
            return json.dumps({"text": ask.replied(text), "node": ask.node})
        return text

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING:
            raise Refused(503, "too much is asked at once; try again later", 1)
        self._waiting += 1
        try:
            async with self._running:
                yield
        finally:
            self._waiting -= 1

    # -- what commands ask ------------------------------------------------------------------------------------------------

    async def reply(self, request: requests.Request, by: str) -> requests.Reply:
        """The daemon's answer to a command."""
        if isinstance(request, requests.ShowStatus):
            return await self._status()
        self._snapshot = None
        return await self._services.ask(request, by)

    async def _status(self) -> requests.Reply:
        async with self._snapshot_turn:
            now = time.monotonic()
            if self._snapshot is None or now - self._snapshot_at > FRESH_S:
                self._snapshot = await self._services.ask(requests.ShowStatus(), "")
                self._snapshot_at = time.monotonic()
            return self._snapshot

    # -- the stream -------------------------------------------------------------------------------------------------------

    async def _look(self) -> tuple[str, str]:
        status = (await self._status()).status
        if status is None:
            return '{"engine": false}', ""
        return tuple(_one_line(render_json.snapshot(one)) for one in (status, _without_margins(status)))  # type: ignore[return-value]

    def happened(self, events: tuple[JournalEvent, ...]) -> None:
        """What the journal has just been told; called in the loop."""
        self._snapshot = None
        tree = json.loads(history.events_json(list(events)))
        self.stream.happened([json.dumps(event) for event in tree])


class _Asking:
    """The way from a command's thread to the gateway's loop. ``node``: which node answered last."""

    def __init__(self, desk: WebDesk, loop: asyncio.AbstractEventLoop, by: str) -> None:
        self._desk, self._loop, self._by = desk, loop, by
        self._text: str | None = None
        self.node: int | None = None

    def __call__(self, request: requests.Request) -> requests.Reply:
        """In the thread."""
        asked = asyncio.run_coroutine_threadsafe(self._desk.reply(request, self._by), self._loop)
        try:
            reply = asked.result(ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            asked.cancel()
            raise Refused(503, "the daemon takes too long to answer") from error
        if not reply.ok and reply.text.endswith(UNAVAILABLE_ENDINGS):
            raise Refused(503, reply.text)
        self.node, self._text = reply.node, reply.text
        return reply

    def replied(self, printed: str) -> str:
        """The daemon's own words, without the block of the node around them."""
        return (self._text or printed).strip()


def _run(run: Callable[[Call], str], call: Call, ask: _Asking) -> str:
    """In a thread of its own context: ``via`` is set for this command alone."""
    via.set(ask)
    try:
        return run(call)
    except CommandFailed as failed:
        raise Refused(409, str(failed)) from failed


def _one_line(text: str) -> str:
    return msgspec.json.format(text.encode(), indent=-1).decode().strip()


def _without_margins(status: ClusterStatus) -> ClusterStatus:
    """Without what changes from one moment to the next although nothing happens."""
    rows = msgspec.structs.replace
    groups = tuple(
        rows(group, nodes=tuple(rows(row, lease_margin_ns=None, since_ns=None) for row in group.nodes)) for group in status.groups
    )
    arbitration = rows(status.arbitration, remaining_ns=0) if status.arbitration is not None else None
    sessions = rows(status.sessions, counters={}, services=(), backlog_bytes=0) if status.sessions is not None else None
    return rows(status, groups=groups, sessions=sessions, drops={}, arbitration=arbitration, lateness_counts=(), lateness_sum_ns=0)
