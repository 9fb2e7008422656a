"""The REST interface: checks who asks and what, has it answered, and writes the answer as the client wants it.

What the resources are and how they are answered comes from outside (``Backend``); here is HTTP. Every refusal is a JSON
object that says why.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jsrpd.gateway import http
from jsrpd.gateway.access import Client, foreign_page
from jsrpd.gateway.resources import DISPLAYS, JSON, ROOT, TEXT, Resource, document
from jsrpd.gateway.scrape import PATH as METRICS_PATH
from jsrpd.gateway.stream import Listener, Stream, TooManyListeners
from jsrpd.gateway.web_server import PEER_STATE
from jsrpd.model.access import Access

STREAM_PATH = f"{ROOT}/stream"
DOCUMENT_PATH = f"{ROOT}/openapi.json"
WHO_PATH = f"{ROOT}/whoami"
PAGE = Path(__file__).with_name("dashboard.html")
ANY_TEXT = ("*/*", "application/*", "")
Values = Mapping[str, int | str]
_body_decoder = msgspec.json.Decoder(dict[str, int | float | str])


class Refused(Exception):
    """``status``: of HTTP; the text is for the client."""

    def __init__(self, status: int, text: str, retry_s: int = 0) -> None:
        super().__init__(text)
        self.status, self.retry_s = status, retry_s


class Backend(Protocol):
    """What the gateway process does for the interface."""

    resources: tuple[Resource, ...]
    stream: Stream

    async def client(self, request: Request) -> Client:
        """Who asks."""

    async def answer(self, resource: Resource, values: dict[str, str], display: str, by: str) -> str:
        """What the command prints; Refused."""

    async def metrics(self, request: http.Request) -> http.Response:
        """The page for Prometheus."""

    def report(self, text: str) -> None:
        """To the log."""


def application(backend: Backend, version: str) -> Starlette:
    """All of it."""
    text = msgspec.json.encode(document(backend.resources, STREAM_PATH, version))
    page, policy = _page()

    async def openapi(_request: Request) -> Response:
        return Response(text, media_type=JSON)

    async def dashboard(_request: Request) -> Response:
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy, "X-Frame-Options": "DENY"})

    async def metrics(request: Request) -> Response:
        await _client(backend, request, Access.READ)
        answer = await backend.metrics(http.Request("GET", METRICS_PATH, {"accept": request.headers.get("accept", "")}))
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def who(request: Request) -> Response:
        client = await _client(backend, request, Access.READ)
        return Response(msgspec.json.encode({"name": client.name, "access": client.access.value}), media_type=JSON)

    async def stream(request: Request) -> Response:
        await _client(backend, request, Access.READ)
        try:
            return EventStream(backend.stream.listen(request.headers.get("last-event-id", "")))
        except TooManyListeners as error:
            raise Refused(503, "too many listen already; try again later", 5) from error

    async def broken(request: Request, error: Exception) -> Response:
        """A mistake of ours: the client learns so, the log what it was."""
        backend.report(f"REST: {request.method} {request.url.path} failed: {error!r}")
        return _problem(500, "this is a defect of jsrpd; the log has more", {})

    return Starlette(
        routes=[
            Route("/", dashboard),
            Route(METRICS_PATH, metrics),
            Route(DOCUMENT_PATH, openapi),
            Route(WHO_PATH, who),
            Route(STREAM_PATH, stream),
            *(Route(one.path, _endpoint(backend, one), methods=["POST" if one.changes else "GET"]) for one in backend.resources),
        ],
        exception_handlers={Refused: _refused, HTTPException: _not_there, Exception: broken},
    )


def _endpoint(backend: Backend, resource: Resource) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        client = await _client(backend, request, resource.access)
        representation = _representation(resource, request.headers.get("accept", ""))
        values = await _body(request) if resource.changes else _query(request)
        checked = _checked(resource, values)
        content = await backend.answer(resource, checked, DISPLAYS[representation], client.name)
        return Response(content, media_type=representation, headers={"Cache-Control": "no-store", "Vary": "Accept"})

    return answer


async def _client(backend: Backend, request: Request, wanted: Access) -> Client:
    """Who asks, if he may."""
    problem = foreign_page(request.headers, getattr(request.state, PEER_STATE) is not None)
    if problem:
        raise Refused(403, problem)
    client = await backend.client(request)
    if client.retry_s:
        raise Refused(429, client.problem, client.retry_s)
    if not client.access.covers(wanted):
        over_tcp = getattr(request.state, PEER_STATE) is None
        if client.access is Access.NONE:
            raise Refused(401 if over_tcp else 403, client.problem)
        raise Refused(403, f"{client.name} has the access {client.access.value}; this needs {wanted.value}")
    return client


def _representation(resource: Resource, accept: str) -> str:
    """The first one that the client takes; qualities are not weighed."""
    for piece in accept.split(","):
        kind = piece.partition(";")[0].strip().lower()
        if kind in resource.representations:
            return kind
        if kind in ANY_TEXT:
            return resource.representations[0]
        if kind == "text/*" and TEXT in resource.representations:
            return TEXT
    raise Refused(406, f"there is: {', '.join(resource.representations)}")


def _query(request: Request) -> Values:
    names = [name for name, _ in request.query_params.multi_items()]
    if len(set(names)) != len(names):
        raise Refused(400, "a parameter is given twice")
    return dict(request.query_params)


async def _body(request: Request) -> Values:
    content = await request.body()
    if request.query_params:
        raise Refused(400, "values are given in the body, as a JSON object")
    if not content:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refused(415, f"a body must be {JSON}")
    try:
        given = _body_decoder.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Refused(400, f"a JSON object of numbers and texts is needed: {error}") from error
    return {name: _whole(name, value) for name, value in given.items()}


def _whole(name: str, value: int | float | str) -> int | str:
    """1.0 is a whole number, too (JSON Schema, Numeric types)."""
    if not isinstance(value, float):
        return value
    if not value.is_integer():
        raise Refused(400, f"{name} must be a whole number")
    return int(value)


def _checked(resource: Resource, given: Values) -> dict[str, str]:
    """Values as a command takes them. Their ranges are the grammar's; here stand their names and types."""
    known = {one.name: one for one in resource.parameters}
    for name in given:
        if name not in known:
            raise Refused(400, f"unknown value {name!r}; there is: {', '.join(known) or 'none'}")
    missing = [one.name for one in resource.parameters if one.required and one.name not in given]
    if missing:
        raise Refused(400, f"needed: {', '.join(missing)}")
    values = {}
    for name, value in given.items():
        if resource.changes and isinstance(value, int) != (known[name].within is not None):
            raise Refused(400, f"{name} must be a {'number' if known[name].within is not None else 'text'}")
        values[name] = str(value)
        text = values[name]
        if not (0 < len(text) <= known[name].schema.get("maxLength", 20) and text.isascii() and text.isprintable()):
            raise Refused(400, f"{name} is empty, too long, or not printable ASCII")
    return values


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"Cache-Control": "no-store"}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_s:
        headers["Retry-After"] = str(error.retry_s)
    return _problem(error.status, str(error), headers)


async def _not_there(request: Request, error: Exception) -> Response:
    """Starlette's own: no such path, no such method."""
    assert isinstance(error, HTTPException)
    text = {404: f"there is no {request.url.path}; what there is: {DOCUMENT_PATH}", 405: "this path has another method"}
    return _problem(error.status_code, text.get(error.status_code, error.detail), dict(error.headers or {}))


def _problem(status: int, text: str, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode({"error": text}), status, headers=headers, media_type=JSON)


class EventStream(StreamingResponse):
    """Ends with its listener, however it ends."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener.lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One client (ASGI 3)."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listener.leave()


def _page() -> tuple[bytes, str]:
    """The dashboard, and the policy that lets a browser run nothing but what stands in it."""
    page = PAGE.read_bytes()

    def hashes(element: bytes) -> str:
        pieces = re.findall(b"<%s>(.*?)</%s>" % (element, element), page, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(piece).digest()).decode()}'" for piece in pieces)

    policy = (
        f"default-src 'none'; script-src {hashes(b'script')}; style-src {hashes(b'style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
