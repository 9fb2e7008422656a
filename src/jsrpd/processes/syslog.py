"""Delivers messages to /dev/log and remote hosts without ever blocking: queued, bounded, counted when dropped."""

import contextlib
import datetime
import os
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path

from jsrpd.messages.catalogue import LogMessage
from jsrpd.messages.rendering import render_bsd, render_rfc5424
from jsrpd.model.configuration import SyslogHost
from jsrpd.model.status import LogQueueStatus
from jsrpd.processes.directories import directories
from jsrpd.processes.syslog_stream import StreamDestination

QUEUE_LENGTH = 1024
MAX_DATAGRAM = 8192
"""Longer messages are cut: receivers do the same, and one that no socket takes would stop all behind it."""
MAX_LOCAL_NAME = 64
LOCAL = "local"
"""The kind of receiver that /dev/log is, beside the transports of remote ones."""
LAST_WORDS_POLL_S = 0.02


class Destination:
    """One receiver: a datagram socket that is made again when it fails, and a bounded queue in order."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        self.queue: deque[bytes] = deque()
        self.dropped = 0
        self._address = address
        self._socket: socket.socket | None = None

    @property
    def absent(self) -> bool:
        """Something waits and nobody was there to take it; trying again costs a new socket each time."""
        return self._socket is None and bool(self.queue)

    @property
    def waiting(self) -> int:
        """Messages that are not sent."""
        return len(self.queue)

    def put(self, datagram: bytes) -> None:
        """Queue behind what waits; the oldest gives way when the queue is full."""
        if len(self.queue) >= QUEUE_LENGTH:
            self.queue.popleft()
            self.dropped += 1
        self.queue.append(datagram[:MAX_DATAGRAM].decode(errors="ignore").encode())

    def flush(self) -> None:
        """Send what can be sent now."""
        while self.queue:
            try:
                if self._socket is None:
                    self._socket = self._connect()
                self._socket.send(self.queue[0], socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                # Receiver gone or not there yet (ENOENT, ECONNREFUSED, ENETUNREACH): keep the message, try later.
                self.close()
                return
            self.queue.popleft()

    def _connect(self) -> socket.socket:
        if isinstance(self._address, str):
            family: int = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            made.connect(self._address)
        except OSError:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Drop the socket, keep the queue."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def relay_path(runtime: Path, host: SyslogHost) -> Path:
    """Where the gateway takes messages for a receiver over TLS."""
    return runtime / f"{host.address}-{host.port}.syslog"


def _destination(host: SyslogHost, runtime: Path) -> Destination | StreamDestination:
    place = host.address, host.port
    if host.transport == "tls":
        # The gateway carries it on: encryption is nothing for a process that must be punctual.
        return Destination(str(relay_path(runtime, host)))
    return StreamDestination(place) if host.transport == "tcp" else Destination(place)


class SyslogSender:
    """Never blocks, never raises. ``flush`` is called again while ``pending``. ``runtime``: where the gateway takes messages
    for receivers over TLS; the daemon's own directory unless said otherwise."""

    def __init__(
        self,
        path: Path = Path("/dev/log"),
        hosts: Iterable[SyslogHost] = (),
        copy_to_stderr: bool = False,
        *,
        now: Callable[[], float] = time.time,
        runtime: Path | None = None,
    ) -> None:
        self._runtime = runtime or directories().runtime
        self._local = Destination(str(path))
        self._remote: dict[SyslogHost, Destination | StreamDestination] = {}
        self._copy = copy_to_stderr
        self._now = now
        self.copies_dropped = 0
        self._gone: Counter[str] = Counter()
        """Lost with receivers that are no longer configured, by transport."""
        self.reconfigure(hosts)

    def reconfigure(self, hosts: Iterable[SyslogHost]) -> None:
        """Other remote hosts; the queues of those that stay are kept."""
        wanted = {host: self._remote.get(host) or _destination(host, self._runtime) for host in hosts}
        for host in set(self._remote) - set(wanted):
            gone = self._remote[host]
            gone.close()
            self._gone[host.transport] += gone.dropped + gone.waiting
        self._remote = wanted

    @property
    def pending(self) -> int:
        """Messages that wait."""
        return sum(destination.waiting for destination in self._destinations())

    @property
    def pressing(self) -> bool:
        """Something waits for a receiver that is there."""
        return any(destination.waiting and not destination.absent for destination in self._destinations())

    @property
    def dropped(self) -> int:
        """Messages lost to full queues since start."""
        return sum(queue.dropped for queue in self.queues(""))

    def queues(self, process: str) -> tuple[LogQueueStatus, ...]:
        """What waits and what was lost, by the kind of receiver: addresses are as many as somebody configures."""
        waiting, dropped = Counter({LOCAL: self._local.waiting}), Counter({LOCAL: self._local.dropped})
        for host, destination in self._remote.items():
            waiting[host.transport] += destination.waiting
            dropped[host.transport] += destination.dropped
        dropped.update(self._gone)
        return tuple(LogQueueStatus(process, one, waiting[one], dropped[one]) for one in sorted({*waiting, *dropped}))

    def send(self, message: LogMessage) -> None:
        """Render and hand over to every destination."""
        at = datetime.datetime.fromtimestamp(self._now()).astimezone()
        host, pid = socket.gethostname()[:MAX_LOCAL_NAME], os.getpid()
        bsd = render_bsd(message, at, host, pid)
        self._local.put(render_bsd(message, at, "", pid))
        for receiver, destination in self._remote.items():
            destination.put(render_rfc5424(message, at, host, pid) if receiver.structured_data else bsd)
        if self._copy:
            self._copy_to_stderr(at.isoformat(timespec="microseconds").encode() + b" " + bsd[bsd.index(b">") + 17 :] + b"\n")
        self.flush()

    def flush(self) -> None:
        """Try again what waits."""
        for destination in self._destinations():
            destination.flush()

    def last_words(self, patience_s: float) -> None:
        """For a process that ends: until every receiver that is there has taken all, or the time is up."""
        give_up = time.monotonic() + patience_s
        self.flush()
        while self.pressing and time.monotonic() < give_up:
            time.sleep(LAST_WORDS_POLL_S)
            self.flush()

    def _destinations(self) -> list[Destination | StreamDestination]:
        return [self._local, *self._remote.values()]

    def _copy_to_stderr(self, line: bytes) -> None:
        """Option -l. A reader that does not read costs lines, not time: only what a writable pipe takes whole is written."""
        line = line[: select.PIPE_BUF - 1].rstrip(b"\n") + b"\n"
        with contextlib.suppress(OSError, ValueError):
            descriptor = sys.stderr.fileno()
            if select.select([], [descriptor], [], 0)[1]:
                os.write(descriptor, line)
                return
        self.copies_dropped += 1
