"""Whether interfaces have carrier, for the engine: netlink events as a wake-up, ETHTOOL_GLINK as the truth.

The kernel delays DOWN events up to a second, and a query of the carrier makes it catch up at once (kernel facts), so
the engine asks every few milliseconds. The ioctl needs no sysfs and follows the network namespace of its socket.
"""

import array
import contextlib
import fcntl
import socket
import struct
from collections.abc import Sequence

SIOCGIFFLAGS, SIOCETHTOOL, ETHTOOL_GLINK = 0x8913, 0x8946, 0x0A
IFF_UP = 1
RTMGRP_LINK = 1
NAME_BYTES = 16


class LinkMonitor:
    """State of a fixed list of interfaces. A missing interface is down."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self.interfaces = tuple(interfaces)
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        self._events.bind((0, RTMGRP_LINK))
        self._query = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._up = dict.fromkeys(self.interfaces, False)
        self._value = array.array("I", [ETHTOOL_GLINK, 0])
        address = self._value.buffer_info()[0]
        self._glink = {name: struct.pack("16sP", name.encode()[: NAME_BYTES - 1], address) + bytes(16) for name in self.interfaces}
        self._flags = {name: struct.pack("16s24x", name.encode()[: NAME_BYTES - 1]) for name in self.interfaces}

    def fileno(self) -> int:
        """Readable when any link changed."""
        return self._events.fileno()

    def read_events(self) -> None:
        """Drain the wake-ups; what changed is asked for, not parsed, so an overrun loses nothing."""
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    self._events.recv(1 << 16)
                except OSError as error:
                    if isinstance(error, BlockingIOError):
                        raise
                    # ENOBUFS: events were lost, which does not matter.

    def poll_carrier(self) -> None:
        """Ask for the carrier of every interface (about 1 us each)."""
        for name in self.interfaces:
            self._up[name] = self._has_carrier(name)

    def _has_carrier(self, name: str) -> bool:
        try:
            flags = fcntl.ioctl(self._query, SIOCGIFFLAGS, self._flags[name])
            if not struct.unpack_from("H", flags, NAME_BYTES)[0] & IFF_UP:
                return False
            fcntl.ioctl(self._query, SIOCETHTOOL, self._glink[name])
        except OSError:
            return False
        return self._value[1] == 1

    def is_up(self, interface: str) -> bool:
        """Exists, is administratively up and has carrier, as of the last poll."""
        return self._up[interface]

    def close(self) -> None:
        """Close both sockets."""
        self._events.close()
        self._query.close()
