"""Echo requests from a given source by a given device, and their answers, for IPv4 and IPv6.

A raw socket per way, not per address. The kernel hands it every ICMP packet of its kind; a filter keeps all but echo
replies and "unreachable" from it, and our identifier and a cookie tell our own from anybody else's.
"""

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ECHO_REQUEST, ECHO_REPLY, UNREACHABLE = {4: 8, 6: 128}, {4: 0, 6: 129}, {4: 3, 6: 1}
ECHO = struct.Struct("!BBHHH")
"""type, code, checksum, identifier, sequence."""
IP_FREEBIND, IPV6_FREEBIND = 15, 78
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IPV6_DONTFRAG = 10, 23, 62
PMTU_PROBE = 3
"""Do not fragment, and do not heed what a router once said of the way's size (ip(7))."""
SOL_RAW, ICMP_FILTER, ICMP6_FILTER = 255, 1, 1
COOKIE_BYTES = 8
IPV4_BYTES, IPV6_BYTES = 20, 40
RECEIVE_BUFFER = 1 << 20
MAX_SEQUENCE = 1 << 16
UNREACHABLE_REASONS = {0: "network unreachable", 1: "host unreachable", 3: "port unreachable", 13: "prohibited"}


@dataclass(frozen=True, slots=True)
class Answer:
    """``sequence`` modulo 65536; ``reason`` is empty for an echo reply, else why a router sent the request back."""

    address: str
    sequence: int
    reason: str = ""


class EchoSocket:
    """One way to ask. OSError when the device or the source does not exist."""

    def __init__(self, version: int, source: str = "", device: str = "") -> None:
        self.version = version
        family, protocol = (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        self._socket = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._cookie = os.urandom(COOKIE_BYTES)
        try:
            self._prepare(source, device)
        except OSError:
            self._socket.close()
            raise

    def _prepare(self, source: str, device: str) -> None:
        keep = (ECHO_REPLY[self.version], UNREACHABLE[self.version])
        if self.version == 4:
            # A set bit keeps a type from the socket.
            self._socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~sum(1 << kind for kind in keep) & 0xFFFFFFFF))
        else:
            words = [0xFFFFFFFF] * 8
            for kind in keep:
                words[kind // 32] &= ~(1 << kind % 32)
            self._socket.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *words))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if device:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        if source:
            # The address may not be local yet when this node has just become the owner.
            if self.version == 4:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            self._socket.bind((source, 0))

    def fileno(self) -> int:
        """Readable when something was answered."""
        return self._socket.fileno()

    def forbid_fragments(self) -> None:
        """What does not fit is refused, here and on the way."""
        if self.version == 4:
            self._socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTU_PROBE)
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTU_PROBE)
            self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)

    def ask(self, address: str, sequence: int, packet_bytes: int = 0) -> str:
        """Send one request, as a packet of that many bytes where it is not more anyway; why the kernel refused it, or nothing."""
        bare = (IPV4_BYTES if self.version == 4 else IPV6_BYTES) + ECHO.size + COOKIE_BYTES
        said = self._cookie + bytes(max(0, packet_bytes - bare))
        head = ECHO.pack(ECHO_REQUEST[self.version], 0, 0, self._identifier, sequence % MAX_SEQUENCE)
        if self.version == 4:
            # The kernel fills in the checksum for ICMPv6 only.
            checksum = _checksum(head + said + bytes(len(said) % 2))
            head = ECHO.pack(ECHO_REQUEST[4], 0, checksum, self._identifier, sequence % MAX_SEQUENCE)
        try:
            self._socket.sendto(head + said, (address, 0))
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return ""

    def answers(self, limit: int = 1024) -> Iterator[Answer]:
        """What has arrived for us, at most ``limit`` packets."""
        for _ in range(limit):
            try:
                packet, sender = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            answer = self._read(packet, str(sender[0]))
            if answer is not None:
                yield answer

    def _read(self, packet: bytes, sender: str) -> Answer | None:
        icmp = packet[(packet[0] & 0xF) * 4 :] if self.version == 4 and packet else packet
        if len(icmp) < ECHO.size:
            return None
        kind, code, _checksum, identifier, sequence = ECHO.unpack_from(icmp)
        if kind == ECHO_REPLY[self.version]:
            ours = identifier == self._identifier and icmp[ECHO.size :].startswith(self._cookie)
            # A link-local sender carries its zone.
            return Answer(sender.partition("%")[0], sequence) if ours else None
        if kind != UNREACHABLE[self.version]:
            return None
        return self._sent_back(code, icmp[ECHO.size :])

    def _sent_back(self, code: int, quoted: bytes) -> Answer | None:
        """A router quotes the header and at least eight bytes of what it could not deliver."""
        at = (quoted[0] & 0xF) * 4 if self.version == 4 and quoted else IPV6_BYTES
        if len(quoted) < at + ECHO.size or at < (IPV4_BYTES if self.version == 4 else IPV6_BYTES):
            return None
        kind, _code, _checksum, identifier, sequence = ECHO.unpack_from(quoted, at)
        if kind != ECHO_REQUEST[self.version] or identifier != self._identifier:
            return None
        destination = quoted[16:20] if self.version == 4 else quoted[24:40]
        reason = UNREACHABLE_REASONS.get(code, "unreachable") if self.version == 4 else "no route to host"
        return Answer(str(ipaddress.ip_address(destination)), sequence, reason)

    def close(self) -> None:
        """Close."""
        self._socket.close()


def _checksum(data: bytes) -> int:
    """Internet checksum of an even number of bytes (RFC 1071), in network order."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
