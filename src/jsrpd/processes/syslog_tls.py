"""Syslog over TLS (RFC 5425): the stream of ``syslog_stream`` inside an encrypted and authenticated connection.

A handshake computes for milliseconds and reads a file of authorities, so it belongs into no process that must be
punctual: the others hand what is for such a receiver to the gateway, over a datagram socket that looks to them like
/dev/log, and the gateway carries it on.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from jsrpd.model.configuration import SyslogHost
from jsrpd.model.status import LogQueueStatus
from jsrpd.processes.syslog import MAX_DATAGRAM, relay_path
from jsrpd.processes.syslog_stream import QUEUE_LENGTH, Stream, StreamDestination

HANDSHAKE_S = 10.0
BUSY_S, QUIET_S = 0.05, 0.5
"""How often a receiver is tended while something waits for it, and otherwise."""


class TlsDestination(StreamDestination):
    """One receiver. The certificate must name it, or ``server_name``; ``failed`` is told of each error that is new.

    Since TLS 1.3 a receiver may refuse our certificate when it seems to us that the connection stands, so an error is over only
    when something was delivered.
    """

    def __init__(
        self, host: SyslogHost, failed: Callable[[str], None] = lambda _why: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__((host.address, host.port), clock)
        self._host, self._failed = host, failed
        self._handshake: ssl.SSLSocket | None = None
        self._give_up_at = 0.0
        self._said = ""

    def close(self) -> None:
        """Drop the connection, keep the messages."""
        if self._handshake is not None:
            self._handshake.close()
            self._handshake = None
        super().close()

    def _opened(self, connection: socket.socket) -> Stream:
        try:
            if self._handshake is None:
                self._handshake = self._begun(connection)
                self._give_up_at = self._clock() + HANDSHAKE_S
            try:
                self._handshake.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if self._clock() < self._give_up_at:
                    raise BlockingIOError from error
                raise TimeoutError("the receiver does not answer the handshake") from error
        except BlockingIOError:
            raise
        except OSError as error:
            self._say(str(error))
            raise
        return _Unblocking(self._handshake, self._say)

    def _begun(self, connection: socket.socket) -> ssl.SSLSocket:
        """The files are read anew for each connection, so that renewed ones are used."""
        context = ssl.create_default_context(cafile=self._host.certificate_authority or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._host.certificate:
            context.load_cert_chain(self._host.certificate, self._host.private_key)
        name = self._host.server_name or self._host.address
        # A copy of the descriptor: the connection itself goes on to be asked how much is not acknowledged.
        copy = socket.socket(connection.family, connection.type, fileno=os.dup(connection.fileno()))
        copy.setblocking(False)
        return context.wrap_socket(copy, server_hostname=name, do_handshake_on_connect=False)

    def _settle(self) -> None:
        sent = len(self.sent)
        super()._settle()
        if len(self.sent) < sent:
            self._said = ""

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            self._failed(f"syslog to {self._host.address} over TLS: {why}")


class _Unblocking:
    """What TLS wants first is, to whoever sends, just not possible now."""

    def __init__(self, connection: ssl.SSLSocket, failed: Callable[[str], None]) -> None:
        self._connection, self._failed = connection, failed

    def send(self, data: bytes) -> int:
        try:
            return self._connection.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except ssl.SSLError as error:
            self._failed(str(error))
            raise

    def recv(self, size: int) -> bytes:
        try:
            return self._connection.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except ssl.SSLEOFError:
            return b""
        except ssl.SSLError as error:
            self._failed(str(error))
            raise


class Relay:
    """The gateway's end: takes what the other processes hand over, and sends it on."""

    def __init__(self, directory: Path, failed: Callable[[str], None]) -> None:
        self._directory, self._failed = directory, failed
        self._receivers: dict[SyslogHost, tuple[socket.socket, TlsDestination]] = {}
        self._paused: set[SyslogHost] = set()
        self._tending: asyncio.TimerHandle | None = None
        self._gone = 0
        """Messages lost with receivers that are no longer configured."""

    def reconfigure(self, hosts: Iterable[SyslogHost]) -> None:
        """Other receivers; what waits for those that stay is kept. A place that cannot be had is said."""
        wanted = {host for host in hosts if host.transport == "tls"}
        for gone in set(self._receivers) - wanted:
            taken, destination = self._receivers.pop(gone)
            self._resume(gone, False)
            taken.close()
            destination.close()
            self._gone += destination.dropped + destination.waiting
        for host in wanted - set(self._receivers):
            try:
                self._receivers[host] = (self._bound(host), TlsDestination(host, self._failed))
            except OSError as error:
                self._failed(f"syslog to {host.address} over TLS: {error.strerror or error}")
                continue
            self._resume(host, True)
        if self._receivers and self._tending is None:
            self._tend()

    def queues(self, process: str) -> tuple[LogQueueStatus, ...]:
        """What waits for receivers over TLS, and what was lost."""
        those = [destination for _, destination in self._receivers.values()]
        dropped = self._gone + sum(one.dropped for one in those)
        return (LogQueueStatus(process, "tls", sum(one.waiting for one in those), dropped),) if those or dropped else ()

    def close(self) -> None:
        """Before the process ends: what has been handed over goes out, as far as it can at once."""
        for host in self._receivers:
            self._take(host)

    def _bound(self, host: SyslogHost) -> socket.socket:
        path = relay_path(self._directory, host)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            path.unlink(missing_ok=True)
            made.bind(str(path))
            path.chmod(0o600)
        except OSError:
            made.close()
            raise
        return made

    def _take(self, host: SyslogHost) -> None:
        """As much as has room; the rest waits with who sends it, whose queue is as long."""
        taken, destination = self._receivers[host]
        with contextlib.suppress(BlockingIOError):
            while destination.waiting < QUEUE_LENGTH:
                destination.put(taken.recv(MAX_DATAGRAM))
        destination.flush()
        if destination.waiting >= QUEUE_LENGTH:
            self._resume(host, False)

    def _resume(self, host: SyslogHost, on: bool) -> None:
        loop = asyncio.get_running_loop()
        if on:
            self._paused.discard(host)
            loop.add_reader(self._receivers[host][0], self._take, host)
        elif host in self._receivers and host not in self._paused:
            self._paused.add(host)
            loop.remove_reader(self._receivers[host][0])

    def _tend(self) -> None:
        waiting = False
        for host, (_, destination) in self._receivers.items():
            destination.flush()
            waiting = waiting or destination.waiting > 0
            if host in self._paused and destination.waiting < QUEUE_LENGTH // 2:
                self._resume(host, True)
        self._tending = asyncio.get_running_loop().call_later(BUSY_S if waiting else QUIET_S, self._tend)
