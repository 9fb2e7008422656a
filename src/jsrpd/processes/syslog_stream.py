"""Syslog over TCP, framed by octet counting (RFC 6587, section 3.4.1), without ever blocking.

TCP says that bytes were taken by the receiver's kernel, not that its syslog daemon has read them: one that restarts
throws away what it has not read. So a message stays here until it was acknowledged and the connection has lived on for a
while; when it ends earlier, what may have been lost is sent again over the next. A message may come twice, then; none is
missing as long as the queue holds it.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

QUEUE_LENGTH = 1024
SETTLE_S = 2.0
"""A connection that lives for this long after a message has delivered it: syslog daemons read at once."""
RETRY_S = 1.0
DEAD_AFTER_MS = 10_000
"""A receiver that acknowledges nothing for so long is given up (tcp(7), TCP_USER_TIMEOUT)."""
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S = 30, 10


def frame(message: bytes) -> bytes:
    """A message with its length in front."""
    return b"%d %b" % (len(message), message)


class Stream(Protocol):
    """A connection that stands. Whatever would block raises BlockingIOError."""

    def send(self, data: bytes, /) -> int:
        """How much was taken."""

    def recv(self, size: int, /) -> bytes:
        """Empty at the end."""


class StreamDestination:
    """One receiver over TCP. The queue and what is not settled yet hold ``QUEUE_LENGTH`` messages together."""

    def __init__(self, address: tuple[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self.queue: deque[bytes] = deque()
        self.sent: deque[tuple[float, bytes]] = deque()
        """What the kernel has taken, and when; in order, before everything in ``queue``."""
        self.dropped = 0
        self._address, self._clock = address, clock
        self._socket: socket.socket | None = None
        self._stream: Stream | None = None
        """What is written to once the connection stands."""
        self._connected = False
        self._rest = b""
        """What the kernel has not taken yet of the first frame in the queue, when it has taken some."""
        self._retry_at = float("-inf")
        self._owner = os.getpid()

    @property
    def waiting(self) -> int:
        """Messages that are not surely delivered."""
        return len(self.queue) + len(self.sent)

    @property
    def absent(self) -> bool:
        """Something waits, and there is no connection."""
        return self._socket is None and self.waiting > 0

    def put(self, message: bytes) -> None:
        """Queue behind what waits; the oldest gives way when there is no room."""
        self._leave_to_parent()
        if self.waiting >= QUEUE_LENGTH:
            self._drop_oldest()
        self.queue.append(message)

    def _drop_oldest(self) -> None:
        if self.sent:
            self.sent.popleft()  # Delivered in all likelihood: the kernel has taken it.
            return
        self.dropped += 1
        if self._rest:
            # A frame that has begun must be ended, or the receiver loses count: the next one gives way.
            begun = self.queue.popleft()
            self.queue.popleft()
            self.queue.appendleft(begun)
        else:
            self.queue.popleft()

    def flush(self) -> None:
        """Do what can be done now. Called again while messages wait."""
        self._leave_to_parent()
        if not self.waiting:
            return
        try:
            if self._is_connected():
                self._look_for_the_end()
                self._send()
                self._settle()
        except BlockingIOError:
            return
        except OSError:
            # Refused, reset, timed out, no route: the next connection gets what may not have arrived.
            self.close()
            self._retry_at = self._clock() + RETRY_S

    def close(self) -> None:
        """Drop the connection, keep the messages."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._stream, self._connected, self._rest = None, None, False, b""
        self.queue.extendleft(message for _, message in reversed(self.sent))
        self.sent.clear()

    # -- the connection -----------------------------------------------------------------------------------------------

    def _leave_to_parent(self) -> None:
        """After a fork the connection and what waits are the parent's: two writers would tear each other's frames."""
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self.close()
            self.queue.clear()

    def _is_connected(self) -> bool:
        if self._socket is None:
            if self._clock() < self._retry_at:
                return False
            self._socket = self._made()
        if not self._connected:
            result = self._socket.connect_ex(self._address)
            if result in (errno.EINPROGRESS, errno.EALREADY):
                return False
            if result not in (0, errno.EISCONN):
                raise OSError(result, os.strerror(result))
            self._connected = True
        if self._stream is None:
            self._stream = self._opened(self._socket)
        return True

    def _opened(self, connection: socket.socket) -> Stream:
        """What messages are written to."""
        return connection

    def _made(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
        return made

    def _look_for_the_end(self) -> None:
        """A receiver that has closed has said so by an end of file, and still lets us send into nothing."""
        assert self._stream is not None
        with contextlib.suppress(BlockingIOError):
            while self._stream.recv(4096):
                pass
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def _send(self) -> None:
        assert self._stream is not None
        while self.queue:
            rest = self._rest or frame(self.queue[0])
            self._rest = rest[self._stream.send(rest) :]
            if self._rest:
                return
            self.sent.append((self._clock(), self.queue.popleft()))

    def _settle(self) -> None:
        """Forget what was delivered. Nothing is while the receiver's kernel has not acknowledged everything."""
        assert self._socket is not None
        (unacknowledged,) = struct.unpack("=i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))
        while self.sent and not unacknowledged and self.sent[0][0] + SETTLE_S <= self._clock():
            self.sent.popleft()
