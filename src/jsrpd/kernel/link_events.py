"""Whether interfaces have carrier, for the engine: from netlink events, and by asking where events may come late.

The kernel delays the DOWN event of a link that is its own lower link (every physical card) up to a second; a query of
the carrier makes it catch up at once, so such links are to be asked every few milliseconds. The event of any other link
(VLAN, macvlan, most veth) comes at once (kernel facts). Asking waits for the kernel's configuration lock, which others
may hold for tens of milliseconds; reading events never does. So what need not be asked is not.
"""

import array
import contextlib
import fcntl
import socket
import struct
import sys
from collections.abc import Mapping, Sequence

from jsrpd.kernel.netlink import Netlink, attributes, messages

SIOCGIFFLAGS, SIOCETHTOOL, ETHTOOL_GLINK = 0x8913, 0x8946, 0x0A
NEWLINK, DELLINK, GETLINK = 16, 17, 18
IFLA_IFNAME, IFLA_LINK, IFLA_CARRIER = 3, 5, 33
IFF_UP = 1
RTMGRP_LINK = 1
NAME_BYTES = 16
LINK = struct.Struct("=BxHiII")
"""family, type, index, flags, change of a link message."""
RECEIVE_BYTES = 1 << 16


class LinkMonitor:
    """State of a fixed list of interfaces. A missing interface is down."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self.interfaces = tuple(interfaces)
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        self._events.bind((0, RTMGRP_LINK))
        self._query = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._up = dict.fromkeys(self.interfaces, False)
        self._names: dict[int, str] = {}
        self._told: set[str] = set()
        """Those whose loss of carrier the kernel tells at once."""
        self._value = array.array("I", [ETHTOOL_GLINK, 0])
        address = self._value.buffer_info()[0]
        self._glink = {name: struct.pack("16sP", name.encode()[: NAME_BYTES - 1], address) + bytes(16) for name in self.interfaces}
        self._flags = {name: struct.pack("16s24x", name.encode()[: NAME_BYTES - 1]) for name in self.interfaces}
        self._look_once()

    def _look_once(self) -> None:
        """What is there already, in one dump; the only time that this waits for an answer."""
        netlink = Netlink()
        with contextlib.suppress(OSError):
            for kind, body in netlink.dump(GETLINK, LINK.pack(0, 0, 0, 0, 0)):
                self._take(kind, body)
        netlink.close()

    @property
    def must_be_asked(self) -> int:
        """How many links' loss of carrier may be told late: ``ask`` every few milliseconds where there are any."""
        return len(self.interfaces) - len(self._told)

    def fileno(self) -> int:
        """Readable when any link changed."""
        return self._events.fileno()

    def read_events(self) -> None:
        """Take what was told since the last time; after a loss of events (ENOBUFS) every interface is asked."""
        lost = False
        while True:
            try:
                data = self._events.recv(RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                lost = True
                continue
            for kind, _sequence, body in messages(data):
                self._take(kind, body)
        if lost:
            self._told.clear()
            self.ask()

    def _take(self, kind: int, body: bytes) -> None:
        family, _type, index, flags, _change = LINK.unpack_from(body)
        # A port that leaves a bridge is told as a deleted link of family AF_BRIDGE, and lives on.
        if family != socket.AF_UNSPEC or kind not in (NEWLINK, DELLINK):
            return
        found = attributes(body, LINK.size)
        name = found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode()
        known = self._names.get(index)
        if known is not None and (known != name or kind == DELLINK):
            self._forget(index, known)
        if kind == DELLINK or name not in self._up:
            return
        self._names[index] = name
        self._up[name] = bool(flags & IFF_UP) and found.get(IFLA_CARRIER) == b"\1"
        lower = int.from_bytes(found.get(IFLA_LINK, b""), sys.byteorder) or index
        (self._told.add if lower != index else self._told.discard)(name)

    def _forget(self, index: int, name: str) -> None:
        """Deleted or renamed. The name may live on as another interface, told of before."""
        del self._names[index]
        if name not in self._names.values():
            self._up[name] = False
            self._told.discard(name)

    def ask(self) -> bool:
        """Ask for the carrier of those that may be told late (about 2 us each); True when one changed."""
        changed = False
        for name in self.interfaces:
            if name not in self._told:
                up = self._has_carrier(name)
                changed = changed or up != self._up[name]
                self._up[name] = up
        return changed

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
        """Exists, is administratively up and has carrier, as last told or asked."""
        return self._up[interface]

    @property
    def up(self) -> Mapping[str, bool]:
        """The same for all of them, by name."""
        return self._up

    def close(self) -> None:
        """Close both sockets."""
        self._events.close()
        self._query.close()
