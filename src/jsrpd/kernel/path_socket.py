"""One path to the peer: a connected UDP socket bound to its interface.

Connecting lets the kernel drop whatever does not come from the peer's address before it costs us anything, and
turns a peer without a daemon into a visible error (ECONNREFUSED). A classic filter drops what lacks our magic.
The socket is opened again when the interface went away and came back with another index.
"""

import ctypes
import errno
import socket
import struct
from socket import socket as Socket

from jsrpd.model.time import Duration, Instant

MAGIC = int.from_bytes(b"JSRP")
RECEIVE_BUFFER = 256 * 1024
MAX_DATAGRAM = 2048
REOPEN_AFTER: Duration = 20_000_000
"""How long to wait after a failed attempt to open, ns."""
GONE = {errno.ENODEV, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENXIO, errno.EBADF}
"""Errors after which the socket can never work again: its device or address has gone."""
SO_ATTACH_FILTER = 26


class PathSocket:
    """Never blocks, never raises on send; ``receive`` raises OSError for anything but "nothing there"."""

    def __init__(self, interface: str, local: str, peer: str, port: int) -> None:
        self.interface = interface
        self._local, self._peer, self._port = local, peer, port
        self._family = socket.AF_INET6 if ":" in local else socket.AF_INET
        self._socket: Socket | None = None
        self._index = 0
        self._tried_at: Instant = -REOPEN_AFTER
        self.send_failures = 0

    @property
    def socket(self) -> Socket | None:
        """The open socket, for the selector; None while the interface or address is absent."""
        return self._socket

    def ensure_open(self, now: Instant) -> bool:
        """Open if closed or if the interface was replaced; True when the socket changed. Tried at most every 20 ms."""
        if now - self._tried_at < REOPEN_AFTER:
            return False
        self._tried_at = now
        try:
            index = socket.if_nametoindex(self.interface)
        except OSError:
            index = 0
        if self._socket is not None and index == self._index:
            return False
        changed = self._socket is not None
        self.close()
        if index == 0:
            return changed
        try:
            self._socket = self._open(index)
        except OSError:
            return changed
        self._index = index
        return True

    def _open(self, index: int) -> Socket:
        opened = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode() + b"\0")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
            drop_without_magic(opened)
            opened.bind(self._address(self._local, index))
            opened.connect(self._address(self._peer, index))
        except OSError:
            opened.close()
            raise
        return opened

    def _address(self, address: str, index: int) -> tuple[str, int] | tuple[str, int, int, int]:
        if self._family == socket.AF_INET:
            return (address, self._port)
        return (address, self._port, 0, index if address.lower().startswith("fe80") else 0)

    def receive(self) -> bytes | None:
        """The next datagram, or None when there is none. OSError: the reception itself failed."""
        if self._socket is None:
            return None
        try:
            return self._socket.recv(MAX_DATAGRAM)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            if error.errno in GONE:
                self.close()
            raise

    def send(self, datagram: bytes) -> bool:
        """Hand a datagram to the kernel. False (and counted) when it could not be taken."""
        if self._socket is None:
            return False
        # Twice, because an ICMP error about an earlier datagram is reported once, in place of sending this one.
        for _attempt in range(2):
            try:
                self._socket.send(datagram)
            except OSError as error:
                if error.errno in GONE:
                    self.close()
                    break
            else:
                return True
        self.send_failures += 1
        return False

    def close(self) -> None:
        """Close; ``ensure_open`` opens again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def drop_without_magic(opened: Socket) -> None:
    """Classic BPF: the four bytes behind the 8-byte UDP header must be the magic."""
    instructions = [(0x20, 0, 0, 8), (0x15, 0, 1, MAGIC), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0)]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(instructions), ctypes.addressof(buffer))
    opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
