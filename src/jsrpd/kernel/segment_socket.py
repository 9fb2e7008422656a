"""Who else is on a path's cable: a call to all its nodes, and an ear for theirs.

Derived addresses contain the cluster-id, so the connected socket of a path never hears a node that was given another
cluster-id by mistake. While a path is silent both call by multicast; what is heard here is only looked at, never taken.
"""

import contextlib
import socket

from jsrpd.kernel.path_socket import MAX_DATAGRAM, drop_without_magic

ALL_NODES = "ff02::1"
RECEIVE_BUFFER = 16 * 1024
DATAGRAMS = 8
"""Looked at in one go; what comes faster than that is dropped by the kernel."""


class SegmentSocket:
    """Raises OSError when the interface is not there; afterwards nothing raises and nothing blocks."""

    def __init__(self, interface: str, port: int) -> None:
        self._port = port
        self._index = socket.if_nametoindex(interface)
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
            # The path's own socket has the same port, and an address, so the kernel gives it what is meant for it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            drop_without_magic(self._socket)
            self._socket.bind(("::", port, 0, self._index))
        except OSError:
            self._socket.close()
            raise

    def call(self, datagram: bytes) -> bool:
        """Say it to every node on the cable. False when that failed, for instance because the interface was replaced."""
        try:
            self._socket.sendto(datagram, (ALL_NODES, self._port, 0, self._index))
        except OSError:
            return False
        return True

    def receive(self) -> list[bytes]:
        """What others called since the last look, at most a few."""
        heard = []
        with contextlib.suppress(OSError):
            for _ in range(DATAGRAMS):
                heard.append(self._socket.recv(MAX_DATAGRAM))
        return heard

    def close(self) -> None:
        """Close for good."""
        self._socket.close()
