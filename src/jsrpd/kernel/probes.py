"""Questions that only the wire can answer: how large a packet gets through, and who answers for an address.

Bounded in number and time, and without effect: echo requests, and probes as in duplicate address detection, which no
neighbour learns anything from (RFC 5227 section 2.1.1, RFC 4862 section 5.4.2).
"""

import contextlib
import ipaddress
import select
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from jsrpd.kernel.icmp import EchoSocket
from jsrpd.kernel.path_socket import IF_EQUAL, LOAD_BYTE, attach_filter
from jsrpd.model.survey import GatewayWatch

ATTEMPTS, PATIENCE_S = 3, 0.4
LISTEN_S = 0.6
WATCH_EVERY_S = 0.002
SMALL = 100
"""Bytes of a packet that fits everywhere."""
ETHERNET = struct.Struct("!6s6sH")
ARP = struct.Struct("!HHBBH6s4s6s4s")
ETH_P_ALL, ETH_P_ARP, ETH_P_IPV6 = 3, 0x0806, 0x86DD
REQUEST, REPLY = 1, 2
ICMPV6, SOLICITATION, ADVERTISEMENT = 58, 135, 136
SOURCE_LINK_LAYER = 1
IPV6_HEADER_BYTES = 40
PACKET_OUTGOING = 4
ADVERTISEMENTS = [(LOAD_BYTE, 20), (IF_EQUAL, ICMPV6), (LOAD_BYTE, 54), (IF_EQUAL, ADVERTISEMENT)]
"""Of the frames of IPv6, by the offsets of next header and type."""


def passing(version: int, interface: str, source: str, address: str, sizes: Sequence[int]) -> tuple[set[int], str]:
    """Packets of which of these bytes reach the address by the interface (any, where it is empty) and are answered, and the last
    word against the others: the kernel's or a router's, empty where there is only silence. OSError when it cannot be tried."""
    passed: set[int] = set()
    refused = ""
    echo = EchoSocket(version, device=interface, source=source)
    try:
        echo.forbid_fragments()
        for attempt in range(ATTEMPTS):
            asked = 0
            for place, size in enumerate(sizes):
                said = echo.ask(address, attempt * len(sizes) + place, size)
                asked += not said
                refused = said or refused
            give_up = time.monotonic() + PATIENCE_S
            while asked and max(sizes) not in passed and (remaining := give_up - time.monotonic()) > 0:
                for answer in echo.answers() if select.select([echo], [], [], remaining)[0] else ():
                    refused = answer.reason or refused
                    passed |= set() if answer.reason else {sizes[answer.sequence % len(sizes)]}
            if not asked or max(sizes) in passed:
                break
    finally:
        echo.close()
    return passed, refused


def answerers(asked: Mapping[str, Iterable[str]]) -> set[tuple[str, str, str]]:
    """(interface, address, MAC) of everybody who answers for one of the addresses asked for on the segment of an interface.

    All are asked at once. An interface that nothing can be sent by has no answers.
    """
    found: set[tuple[str, str, str]] = set()
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for interface, addresses in asked.items():
            wanted = {ipaddress.ip_address(address).packed: address for address in addresses}
            try:
                listener = stack.enter_context(_frame_socket())
                listener.bind((interface, ETH_P_ALL))
            except OSError:
                continue
            selector.register(listener, selectors.EVENT_READ, (interface, wanted))
            mac = listener.getsockname()[4]
            for packed in wanted:
                with contextlib.suppress(OSError):
                    listener.send(_probe(mac, packed))
        give_up = time.monotonic() + LISTEN_S
        while (remaining := give_up - time.monotonic()) > 0 and selector.get_map():
            for key, _ in selector.select(remaining):
                interface, wanted = key.data
                assert isinstance(key.fileobj, socket.socket)
                found |= {(interface, wanted[packed], mac) for packed, mac in _heard(key.fileobj) if packed in wanted}
    return found


def watch(reths: Sequence[tuple[str, str, bytes, str]], seconds: int) -> list[GatewayWatch]:
    """Ask each (reth, child, virtual MAC, address) every ``WATCH_EVERY_S`` for so long, and note each answer.

    To the virtual MAC and nobody else, and answered to this port and nobody else, so that neither hosts nor switches have work
    with it; without one to everybody, and whoever answers has it. ARP is asked from no address; a neighbour solicitation from the
    port's link-local address, because an answer to none would go to every host of the segment (RFC 4861 section 7.2.4).
    """
    watched = [_Watched(*reth) for reth in reths]
    selector = selectors.DefaultSelector()
    for one in watched:
        if one.socket is not None:
            selector.register(one.socket, selectors.EVENT_READ, one)
    end = due = time.monotonic()
    end += seconds
    while (now := time.monotonic()) < end and selector.get_map():
        if now >= due:
            due = max(due + WATCH_EVERY_S, now)
            for one in watched:
                one.ask()
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            key.data.hear()
    selector.close()
    return [one.end() for one in watched]


def _frame_socket() -> socket.socket:
    """That hears nothing before it is bound."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)


class _Watched:
    """One reth of ``watch``."""

    def __init__(self, reth: str, child: str, mac: bytes, address: str) -> None:
        self._reth, self._mac, self._address = reth, mac, address
        self._packed = ipaddress.ip_address(address).packed
        self._asked: list[int] = []
        self._answered: list[int] = []
        self._problem = ""
        protocol = ETH_P_ARP if len(self._packed) == 4 else ETH_P_IPV6
        self.socket: socket.socket | None = _frame_socket()
        try:
            if protocol == ETH_P_IPV6:
                # All that is forwarded by this port would be read besides.
                attach_filter(self.socket, ADVERTISEMENTS)
            self.socket.bind((child, protocol))
            self._question = question(self.socket.getsockname()[4], mac, self._packed)
        except OSError as error:
            self.socket.close()
            self.socket, self._problem = None, error.strerror or str(error)

    def ask(self) -> None:
        """Once."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.send(self._question)
                self._asked.append(time.time_ns())

    def hear(self) -> None:
        """What has arrived."""
        assert self.socket is not None
        with contextlib.suppress(OSError):
            while True:
                frame, (_name, _protocol, kind, _hardware, _sender) = self.socket.recvfrom(256)
                answer = read_answer(frame) if kind != PACKET_OUTGOING else None
                if answer is not None and answer[0] == self._packed and self._mac.hex(":") in ("", answer[1]):
                    self._answered.append(time.time_ns())

    def end(self) -> GatewayWatch:
        """What was seen."""
        if self.socket is not None:
            self.socket.close()
        return GatewayWatch(self._reth, self._address, tuple(self._asked), tuple(self._answered), self._problem)


def _heard(listener: socket.socket) -> Iterator[tuple[bytes, str]]:
    """(packed address, MAC) of the answer that has arrived, if it is one."""
    try:
        frame, (_name, _protocol, kind, _hardware, _sender) = listener.recvfrom(256)
    except OSError:  # Also an interface that has just gone down.
        return
    answer = read_answer(frame) if kind != PACKET_OUTGOING else None
    if answer is not None:
        yield answer


def read_answer(frame: bytes) -> tuple[bytes, str] | None:
    """(packed address, MAC in hexadecimal with colons) of an ARP reply or a neighbour advertisement."""
    if len(frame) < ETHERNET.size:
        return None
    _destination, source, kind = ETHERNET.unpack_from(frame)
    body = frame[ETHERNET.size :]
    if kind == ETH_P_ARP and len(body) >= ARP.size:
        _h, _p, _hl, _pl, operation, sender, address, _target, _asked = ARP.unpack_from(body)
        return (address, sender.hex(":")) if operation == REPLY else None
    if kind == ETH_P_IPV6 and len(body) >= IPV6_HEADER_BYTES + 24 and body[6] == ICMPV6:
        icmp = body[IPV6_HEADER_BYTES:]
        return (icmp[8:24], source.hex(":")) if icmp[0] == ADVERTISEMENT else None
    return None


def question(mac: bytes, virtual_mac: bytes, packed: bytes) -> bytes:
    """Of a port with that MAC to who has the virtual MAC: does it answer for the address? As in neighbour unreachability
    detection (RFC 4861 section 7.3). Without a virtual MAC to everybody, as who looks for it does."""
    if not virtual_mac:
        return _probe(mac, packed)
    if len(packed) == 4:
        return virtual_mac + _probe(mac, packed)[6:]
    option = struct.pack("!BB6s", SOURCE_LINK_LAYER, 1, mac)
    return _solicitation(virtual_mac, mac, link_local(mac), packed, packed, option)


def link_local(mac: bytes) -> bytes:
    """Packed (RFC 4291 appendix A). The kernel need not have it: what is sent to it is read as a frame."""
    return bytes.fromhex("fe80") + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]


def _probe(mac: bytes, packed: bytes) -> bytes:
    if len(packed) == 4:
        body = ARP.pack(1, 0x0800, 6, 4, REQUEST, mac, bytes(4), bytes(6), packed)
        return ETHERNET.pack(b"\xff" * 6, mac, ETH_P_ARP) + body
    # From the unspecified address, so that the answer goes to all nodes (RFC 4861 section 7.2.4).
    destination = ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + packed[13:]
    return _solicitation(b"\x33\x33" + destination[12:], mac, bytes(16), destination, packed)


def _solicitation(to: bytes, mac: bytes, source: bytes, destination: bytes, target: bytes, options: bytes = b"") -> bytes:
    icmp = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + target + options
    pseudo = source + destination + struct.pack("!II", len(icmp), ICMPV6) + icmp
    icmp = icmp[:2] + struct.pack("!H", _checksum(pseudo)) + icmp[4:]
    header = struct.pack("!IHBB", 6 << 28, len(icmp), ICMPV6, 255) + source + destination
    return ETHERNET.pack(to, mac, ETH_P_IPV6) + header + icmp


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
