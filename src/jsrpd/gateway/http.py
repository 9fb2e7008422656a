"""HTTP for one page that is read: a request, an answer, the end. Clients that stall, flood or send garbage are bounded.

Each connection carries one request, so nothing of a client's outlives its answer. When all places are taken, who has
not finished asking gives way to who comes. No request has a body, none changes anything.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MAX_CLIENTS = 16
MAX_HEAD_BYTES = 8192
REQUEST_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0
PLAIN = "text/plain; charset=utf-8"
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")
END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request matters here: header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with a short body."""

    status: int
    body: str
    content_type: str = PLAIN


def parse(head: bytes) -> Request | None:
    """A request from the bytes up to the empty line; None for what is none."""
    line, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    found = REQUEST_LINE.fullmatch(line)
    if found is None:
        return None
    headers = {}
    for field in rest:
        name, colon, value = field.partition(":")
        if not colon or not name or name != name.strip():
            return None
        headers[name.lower()] = value.strip()
    return Request(found[1], found[2].partition("?")[0], headers)


class Server:
    """Answers clients of stream sockets; ``answer`` is asked for each good GET or HEAD."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer
        self.clients = 0
        # Who has not finished asking, the longest waiting first.
        self._asking: dict[asyncio.StreamWriter, None] = {}

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        writer.transport.set_write_buffer_limits(high=0)  # Drained means sent, so a reader that stalls is found out.
        if self.clients >= MAX_CLIENTS and not self._make_room():
            writer.write(_encoded(Response(503, "too many clients; try again\n"), body=True))
            writer.close()
            return
        self.clients += 1
        try:
            await self._serve(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # Stalled or gone: this client is done, nobody else notices.
        finally:
            self.clients -= 1
            writer.transport.abort()

    def _make_room(self) -> bool:
        longest = next(iter(self._asking), None)
        if longest is None:
            return False
        del self._asking[longest]
        longest.transport.abort()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking[writer] = None
        try:
            head = await asyncio.wait_for(reader.readuntil(END), REQUEST_TIMEOUT_S)
        except asyncio.LimitOverrunError:
            request, response = None, Response(431, "the request is too long\n")
        else:
            request = parse(head)
            response = await self._response(request)
        finally:
            self._asking.pop(writer, None)
        writer.write(_encoded(response, body=request is None or request.method != "HEAD"))
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await writer.drain()
            # The client is to close first: what it has sent beyond would otherwise reset the answer away.
            writer.write_eof()
            with contextlib.suppress(OSError):
                while await reader.read(MAX_HEAD_BYTES):
                    pass

    async def _response(self, request: Request | None) -> Response:
        if request is None:
            return Response(400, "this is not a request\n")
        if request.method not in ("GET", "HEAD"):
            return Response(405, "only GET and HEAD\n")
        return await self._answer(request)


def _encoded(response: Response, body: bool) -> bytes:
    content = response.body.encode()
    head = [
        f"HTTP/1.1 {response.status} {REASONS[response.status]}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(["Allow: GET, HEAD"] if response.status == 405 else []),
        "Connection: close",
    ]
    return "\r\n".join(head).encode() + END + (content if body else b"")
