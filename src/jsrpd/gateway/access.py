"""Who is at the other end of a request, and what he may: the kernel's word on a UNIX socket, a token over TCP.

Who guesses tokens is told apart by his address and soon not listened to any more; each address has a few attempts a
minute. A page of somebody else in an operator's browser gets nothing done: no cookie exists, and requests with a
foreign ``Origin`` or, on the UNIX socket that ``ssh -L`` may have brought to a browser, a foreign ``Host`` are refused.
"""

import grp
import ipaddress
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from jsrpd.configuration.api_tokens import FILE_NAME, ApiToken, TokenFileError, matching, read_tokens
from jsrpd.model.access import Access

GROUP = "jsrp"
SO_PEERGROUPS = getattr(socket, "SO_PEERGROUPS", 59)
"""Supplementary groups of the peer at the time it connected (linux/socket.h; not in every Python)."""
MAX_GROUPS_BYTES = 1024
"""As much as Python reads: 256 groups."""
ATTEMPTS = 5
PER_S = 60.0
TELL_EVERY_S = 10.0
"""However many guess, the log has no more than that."""
IPV6_SITE = 64
"""Who has one IPv6 address has all of its /64."""
MAX_SOURCES = 1024
"""Addresses whose failures are remembered; beyond, the longest quiet is forgotten."""
LOCAL_HOSTS = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a UNIX socket."""

    process: int
    user: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """``name``: for the journal. ``problem``: why the access is none; ``retry_s``: when it may be tried again."""

    access: Access
    name: str
    problem: str = ""
    retry_s: int = 0


def peer(connection: socket.socket) -> Peer:
    """The kernel's word (unix(7))."""
    process, user, group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MAX_GROUPS_BYTES)
    except OSError:
        packed = b""  # In more groups than that; then only his first counts.
    more = struct.unpack(f"{len(packed) // 4}I", packed[: len(packed) // 4 * 4])
    return Peer(process, user, (group, *more))


def local(of: Peer, others_read: bool, name: str) -> Client:
    """What a local user may."""
    if of.user == 0 or _group() in of.groups:
        return Client(Access.ACT, name)
    if others_read:
        return Client(Access.READ, name)
    return Client(Access.NONE, name, f"{name} is neither root nor of group {GROUP}; to let others read: {OTHERS_READ}")


OTHERS_READ = "set system services rest other-users read-only"


def _group() -> int | None:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


class Tokens:
    """The file, read again when it has changed, and how often each address has guessed wrong."""

    def __init__(self, directory: Path, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._directory, self._report, self._clock = directory, report, clock
        self._known: list[ApiToken] = []
        self._seen: tuple[int, int, int] | None = None
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()
        self._told_at = float("-inf")

    def client(self, source: str, authorization: str) -> Client:
        """Who shows this header, from this address."""
        neighbourhood = _neighbourhood(source)
        wait_s = self._barred_for(neighbourhood)
        if wait_s > 0:
            return Client(Access.NONE, source, "too many wrong tokens from this address; try again later", int(wait_s) + 1)
        kind, _, secret = authorization.partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            return Client(Access.NONE, source, "a token is needed: Authorization: Bearer TOKEN")
        token = matching(self._current(), secret.strip())
        if token is None:
            self._note_wrong(neighbourhood)
            return Client(Access.NONE, source, "this token is not known")
        return Client(token.access, f"{token.name} (token, from {source})")

    def _current(self) -> list[ApiToken]:
        try:
            status = (self._directory / FILE_NAME).stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        except OSError:
            seen = (0, 0, 0)
        if seen != self._seen:
            self._seen = seen
            try:
                self._known = read_tokens(self._directory)
            except TokenFileError as error:
                self._known = []
                self._report(f"REST: no token is accepted: {error}")
        return self._known

    def _barred_for(self, source: str) -> float:
        """Seconds until this address has an attempt again."""
        now = self._clock()
        recent = [at for at in self._wrong.get(source, []) if now - at < PER_S]
        return recent[-ATTEMPTS] + PER_S - now if len(recent) >= ATTEMPTS else 0.0

    def _note_wrong(self, source: str) -> None:
        now = self._clock()
        recent = [*(at for at in self._wrong.pop(source, []) if now - at < PER_S), now]
        self._wrong[source] = recent
        if len(self._wrong) > MAX_SOURCES:
            self._wrong.popitem(last=False)
        if len(recent) == ATTEMPTS and now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self._report(f"REST: {ATTEMPTS} wrong tokens from {source} within {PER_S:.0f} s; it is not heard for a while")


def _neighbourhood(source: str) -> str:
    """What counts as one source."""
    if ":" not in source:
        return source
    return str(ipaddress.ip_network((source.partition("%")[0], IPV6_SITE), strict=False))


def foreign_page(headers: Mapping[str, str], on_unix_socket: bool) -> str:
    """Why this request is some other site's doing; empty when it is not."""
    host = headers.get("host", "")
    origin = headers.get("origin", "")
    if origin and urlsplit(origin).netloc != host:
        return f"the page of {origin} may not ask here"
    name = _name(host)
    if on_unix_socket and (name is None or ("." in name and name not in LOCAL_HOSTS)):
        return f"this is not {host}; over a forwarded socket use http://localhost"
    return ""


def _name(host: str) -> str | None:
    """Without the port; None for what is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None
