"""One path to the peer: a socket bound to its interface, and opened again when that went away and came back.

Two kinds. On control and fabric links a connected UDP socket: the kernel drops whatever does not come from the peer's
address before it costs us anything, and a peer without a daemon becomes a visible error (ECONNREFUSED). On the segments
of the reths hello frames (SPEC section 5), which need no address. A classic filter drops what lacks our magic.
"""

import ctypes
import errno
import socket
import struct
from abc import ABC, abstractmethod
from socket import socket as Socket

from jsrpd.model.time import Duration, Instant

MAGIC = int.from_bytes(b"JSRP")
HELLO_ETHERTYPE = 0x88B5
"""IEEE 802's local experimental EtherType."""
CLUSTER_AND_NODE = 8
"""Offset of cluster-id (16 bits) and node-id (8 bits) in a datagram."""
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_MULTICAST = 263, 1, 0
RECEIVE_BUFFER = 256 * 1024
MAX_DATAGRAM = 2048
REOPEN_AFTER: Duration = 20_000_000
"""How long to wait after a failed attempt to open, ns."""
LOOK_AGAIN_AFTER: Duration = 200_000_000
"""How often an open socket's interface is looked at, ns. Sending shows sooner that it has gone (``GONE``); this is for one
that was replaced while nothing was sent."""
GONE = {errno.ENODEV, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENXIO, errno.EBADF}
"""Errors after which the socket can never work again: its device or address has gone."""
SO_ATTACH_FILTER = 26
LOAD_WORD, LOAD_BYTE, IF_EQUAL, AND, RETURN = 0x20, 0x30, 0x15, 0x54, 0x06
"""Classic BPF."""


class PathSocket(ABC):
    """Never blocks, never raises on send; ``receive`` raises OSError for anything but "nothing there"."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._socket: Socket | None = None
        self._index = 0
        self._tried_at: Instant = -REOPEN_AFTER
        self.send_failures = 0

    @property
    def socket(self) -> Socket | None:
        """The open socket, for the selector; None while the interface or address is absent."""
        return self._socket

    def ensure_open(self, now: Instant) -> bool:
        """Open if closed (tried every 20 ms) or if the interface was replaced; True when the socket changed."""
        if now - self._tried_at < (REOPEN_AFTER if self._socket is None else LOOK_AGAIN_AFTER):
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

    @abstractmethod
    def _open(self, index: int) -> Socket:
        """A fresh socket on the interface of this index; OSError when it cannot be had."""

    @abstractmethod
    def _transmit(self, opened: Socket, datagram: bytes) -> None:
        """One datagram to the peer; OSError when the kernel did not take it."""

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
                self._transmit(self._socket, datagram)
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


class LinkSocket(PathSocket):
    """A control or fabric link: a connected UDP socket."""

    def __init__(self, interface: str, local: str, peer: str, port: int) -> None:
        super().__init__(interface)
        self._local, self._peer, self._port = local, peer, port
        self._family = socket.AF_INET6 if ":" in local else socket.AF_INET

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

    def _transmit(self, opened: Socket, datagram: bytes) -> None:
        opened.send(datagram)


class HelloSocket(PathSocket):
    """A segment of a reth: frames from the child's own MAC to a group address of the cluster.

    Several clusters may share a segment, so the filter lets in what the peer of this one says, and nothing else: not the
    frames of another cluster, and not our own, which the kernel hands back to packet sockets.
    """

    def __init__(self, interface: str, cluster_id: int, peer_id: int) -> None:
        super().__init__(interface)
        self._who = cluster_id << 8 | peer_id
        self._to = (interface, HELLO_ETHERTYPE, 0, 0, hello_group(cluster_id))

    def _open(self, index: int) -> Socket:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
            group = self._to[-1]
            membership = struct.pack("iHH8s", index, PACKET_MR_MULTICAST, len(group), group)
            opened.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
            # Cluster-id and node-id are the lower 24 bits of the word one byte before.
            who = [(LOAD_WORD, CLUSTER_AND_NODE - 1), (AND, 0xFFFFFF), (IF_EQUAL, self._who)]
            attach_filter(opened, [(LOAD_WORD, 0), (IF_EQUAL, MAGIC), *who])
            opened.bind((self.interface, HELLO_ETHERTYPE))
        except OSError:
            opened.close()
            raise
        return opened

    def _transmit(self, opened: Socket, datagram: bytes) -> None:
        opened.sendto(datagram, self._to)


def hello_group(cluster_id: int) -> bytes:
    """Destination MAC of a cluster's hello frames (SPEC section 5)."""
    return bytes([0x03, 0x6A, 0x73, 0, 0, cluster_id])


def drop_without_magic(opened: Socket) -> None:
    """The four bytes behind the 8-byte UDP header must be the magic."""
    attach_filter(opened, [(LOAD_WORD, 8), (IF_EQUAL, MAGIC)])


def attach_filter(opened: Socket, program: list[tuple[int, int]]) -> None:
    """Attach classic BPF of (code, operand); a comparison that fails drops the packet, the end takes it."""
    drop = len(program) + 1
    steps = [(code, 0, drop - at - 1 if code == IF_EQUAL else 0, operand) for at, (code, operand) in enumerate(program)]
    steps += [(RETURN, 0, 0, 0xFFFFFFFF), (RETURN, 0, 0, 0)]
    buffer = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(steps), ctypes.addressof(buffer)))
