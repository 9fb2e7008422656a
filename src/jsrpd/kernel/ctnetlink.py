"""Connection tracking by netlink: a socket that hears events, one that dumps, one that injects, one that asks for a single one.

All of them hand bytes through; what they mean is the business of ``jsrpd.sessions``. The reader never blocks and counts
what the kernel could not deliver; a program in the kernel keeps from it what nobody wants to hear.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator

from jsrpd.kernel.netlink import DUMP, HEADER, NLMSG_DONE, NLMSG_ERROR, REQUEST

NETFILTER = 12
EVENT_GROUPS = (1, 2, 3)
"""NFNLGRP_CONNTRACK_NEW, UPDATE, DESTROY."""
EXPECTATION_GROUPS = (4, 6)
"""NFNLGRP_CONNTRACK_EXP_NEW, DESTROY; no kernel tells of updates."""
SOL_NETLINK, ADD_MEMBERSHIP, DROP_MEMBERSHIP = 270, 1, 2
GET_CONNECTIONS, GET_EXPECTATIONS = 0x101, 0x201
NFGENMSG = struct.Struct("=BBH")
ERRNO = struct.Struct("=i")
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
EVENT_BUFFER = 64 << 20
"""Asked for with SO_RCVBUFFORCE: a burst of 200,000 events while the process does something else."""
EVENT_BUFFER_OF_EXPECTATIONS = 1 << 20
DUMP_BUFFER = 4 << 20
RECEIVE_BYTES = 1 << 16
EVENT_BYTES = 4096
"""An event is a quarter of it at most; a larger place costs time for each."""
BATCH_BYTES = 1 << 16
"""Most that one ``send`` carries; the kernel takes a whole buffer of messages in one call (measured best at 64 to 256)."""


def _netfilter(receive_bytes: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETFILTER)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_bytes)
    except PermissionError:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    return made


class Injector:
    """Tells the kernel of connections. The kernel works through a buffer before ``send`` returns."""

    def __init__(self) -> None:
        self._socket = _netfilter(DUMP_BUFFER)
        self._socket.bind((0, 0))
        self.port_id: int = self._socket.getsockname()[0]

    def inject(self, batch: bytes) -> list[tuple[int, bytes]]:
        """Send a buffer of messages, at most ``BATCH_BYTES``; (errno, message) of each that was refused.

        ENOBUFS with an empty message: the kernel could not take the buffer, or had more to complain than it could say.
        """
        try:
            self._socket.send(batch)
        except OSError as error:
            return [(error.errno or errno.EIO, b"")]
        return list(self._refusals())

    def _refusals(self) -> Iterator[tuple[int, bytes]]:
        while True:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                yield error.errno or errno.EIO, b""
                continue
            for kind, body in _messages(data):
                if kind == NLMSG_ERROR and len(body) > ERRNO.size:
                    yield -ERRNO.unpack_from(body)[0], body[ERRNO.size :]

    def close(self) -> None:
        """Close."""
        self._socket.close()


class EventReader:
    """Hears of connections that begin, change and end, as far as ``program`` (classic BPF) lets it. ``groups``: what else there
    is to hear."""

    def __init__(self, program: bytes, groups: tuple[int, ...] = EVENT_GROUPS, buffer: int = EVENT_BUFFER) -> None:
        self._groups = groups
        self._socket = _netfilter(buffer)
        _attach(self._socket, program)
        self._socket.bind((0, 0))
        self.overruns = 0
        self._listening = False
        self.listen(True)

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def listen(self, wanted: bool) -> bool:
        """Whether the kernel is to tell us anything; True when that changed.

        An event nobody has asked for is not even made, which is a third of what an injection costs a standby.
        """
        if wanted == self._listening:
            return False
        for group in self._groups:
            self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP if wanted else DROP_MEMBERSHIP, group)
        self._listening = wanted
        return True

    def filter(self, program: bytes) -> None:
        """Another program in the place of the present one. OSError when the kernel has no room for it."""
        _attach(self._socket, program)

    def read(self, limit: int) -> list[bytes]:
        """At most ``limit`` events. When the kernel had to drop some, ``overruns`` has grown."""
        found: list[bytes] = []
        receive = self._socket.recv
        while len(found) < limit:
            try:
                found.append(receive(EVENT_BYTES))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1
        return found

    def close(self) -> None:
        """Close."""
        self._socket.close()


def _attach(reader: socket.socket, program: bytes) -> None:
    """A classic BPF program."""
    buffer = ctypes.create_string_buffer(program, len(program))
    reader.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(buffer)))


class Dump:
    """One walk through the kernel's table, a piece at a time so that the loop around it goes on."""

    def __init__(self, kind: int = GET_CONNECTIONS) -> None:
        self._socket = _netfilter(DUMP_BUFFER)
        self._socket.settimeout(2.0)
        self._socket.bind((0, 0))
        request = NFGENMSG.pack(0, 0, 0)
        self._socket.send(HEADER.pack(HEADER.size + len(request), kind, REQUEST | DUMP, 1, 0) + request)
        self.done = False

    def read(self) -> list[bytes]:
        """The next connections, some hundred at a time; ``done`` is set with the last. OSError when the kernel breaks off."""
        data = self._socket.recv(RECEIVE_BYTES)
        found: list[bytes] = []
        at, end = 0, len(data)
        while at + HEADER.size <= end:
            length, kind, _flags, _sequence, _port = HEADER.unpack_from(data, at)
            if kind == NLMSG_DONE:
                self.done = True
                break
            if kind == NLMSG_ERROR or length < HEADER.size:
                number = -ERRNO.unpack_from(data, at + HEADER.size)[0] if kind == NLMSG_ERROR else errno.EBADMSG
                raise OSError(number, "conntrack dump broken off")
            found.append(data[at : at + length])
            at += (length + 3) & ~3
        return found

    def close(self) -> None:
        """Close."""
        self._socket.close()


class Finder:
    """Asks the kernel for one connection; it answers before ``send`` returns."""

    def __init__(self) -> None:
        self._socket = _netfilter(EVENT_BUFFER_OF_EXPECTATIONS)
        self._socket.bind((0, 0))

    def find(self, request: bytes) -> bytes | None:
        """The connection as in a dump; None where there is none, or the kernel has no room to answer."""
        try:
            self._socket.send(request)
            data = self._socket.recv(RECEIVE_BYTES)
        except OSError:
            return None
        length, kind, _flags, _sequence, _port = HEADER.unpack_from(data)
        return data[:length] if kind not in (NLMSG_ERROR, NLMSG_DONE) else None

    def close(self) -> None:
        """Close."""
        self._socket.close()


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        yield kind, data[at + HEADER.size : at + length]
        at += (length + 3) & ~3
