"""Connections through a router under test that tell whether they live: each ``Talk`` is one exchange both ways.

Sockets are opened in the namespaces of the hosts; the caller keeps them and closes them.
"""

import http.client
import itertools
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from tests.end_to_end.test_gate import inside

ANSWER_S = 0.4
"""How long an exchange waits before it counts as dead."""
Talk = Callable[[], bool]
ports = itertools.count(5000)
CHUNK = bytes(range(256)) * 256
identifiers = itertools.count(4000)


@dataclass
class Hosts:
    """Namespaces of the client and the server."""

    client: str
    server: str
    sockets: list[socket.socket] = field(default_factory=list)

    def opened(self, namespace: str, address: str, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        """A socket of the address's family in a namespace."""
        with inside(namespace):
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)
        made.settimeout(5)
        self.sockets.append(made)
        return made

    def close(self) -> None:
        """All of them."""
        for one in self.sockets:
            one.close()
        self.sockets.clear()


def through(sender: socket.socket, receiver: socket.socket, wait_s: float = ANSWER_S) -> bool:
    """A byte sent here comes out there."""
    sender.send(b"x")
    return is_ready(receiver, wait_s) and receiver.recv(100) != b""


def is_ready(receiver: socket.socket, wait_s: float = ANSWER_S) -> bool:
    """There is something to read; unlike select(2) for any number of sockets."""
    waiting = select.poll()
    waiting.register(receiver, select.POLLIN)
    return bool(waiting.poll(wait_s * 1000))


def tcp(hosts: Hosts, asked: str, own: str) -> Talk:
    """The server speaks first."""
    port = next(ports)
    listener = hosts.opened(hosts.server, own, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((own, port))
    listener.listen()
    client = hosts.opened(hosts.client, asked, socket.SOCK_STREAM)
    client.connect((asked, port))
    server, _ = listener.accept()
    hosts.sockets.append(server)

    def talk() -> bool:
        with suppress(ConnectionError):
            return through(server, client) and through(client, server)
        return False

    return talk


def udp(hosts: Hosts, asked: str, own: str) -> Talk:
    """The server speaks first in each exchange: only an existing connection lets it through."""
    port = next(ports)
    server = hosts.opened(hosts.server, own, socket.SOCK_DGRAM)
    server.bind((own, port))
    client = hosts.opened(hosts.client, asked, socket.SOCK_DGRAM)
    client.connect((asked, port))
    client.send(b"first")
    _, peer = server.recvfrom(100)
    server.connect(peer)

    def talk() -> bool:
        with suppress(BlockingIOError, ConnectionRefusedError):
            return through(server, client) and through(client, server)
        return False

    return talk


def icmp(hosts: Hosts, asked: str, _own: str) -> Talk:
    """Echo requests of one identifier, answered by the server's kernel."""
    six = ":" in asked
    identifier, sequences = next(identifiers), itertools.count(1)
    client = hosts.opened(hosts.client, asked, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    client.connect((asked, 0))

    def talk() -> bool:
        sequence = next(sequences)
        body = struct.pack(">BBHHH", 128 if six else 8, 0, 0, identifier, sequence)
        total = sum(struct.unpack(">4H", body))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = b"\0\0" if six else struct.pack(">H", ~total & 0xFFFF)  # With IPv6 the kernel adds it.
        client.send(body[:2] + checksum + body[4:])
        while is_ready(client):
            answer = client.recv(2000)[0 if six else 20 :]
            # Of an earlier request the answer may come late.
            if answer[0] == (129 if six else 0) and answer[4:8] == struct.pack(">HH", identifier, sequence):
                return True
        return False

    return talk


class Download:
    """A file over HTTP from the server to the client, slowly enough that something can happen meanwhile."""

    def __init__(self, hosts: Hosts, asked: str, own: str, size: int, seconds: float) -> None:
        port = next(ports)
        self._chunks, self._pause_s = size // len(CHUNK), seconds * len(CHUNK) / size
        self._listener = hosts.opened(hosts.server, own, socket.SOCK_STREAM)
        self._listener.bind((own, port))
        self._listener.listen()
        self._listener.settimeout(30)
        self.sent, self._received = sha256(), sha256()
        self.failure = ""
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._client = threading.Thread(
            target=self._fetch, args=(hosts.opened(hosts.client, asked, socket.SOCK_STREAM), asked, port)
        )
        self._server.start()
        self._client.start()

    def _serve(self) -> None:
        made, _ = self._listener.accept()
        with made, suppress(OSError):
            made.settimeout(30)
            made.recv(4096)
            made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (self._chunks * len(CHUNK)))
            for number in range(self._chunks):
                chunk = number.to_bytes(8) + CHUNK[8:]
                made.sendall(chunk)
                self.sent.update(chunk)
                time.sleep(self._pause_s)

    def _fetch(self, client: socket.socket, asked: str, port: int) -> None:
        connection = http.client.HTTPConnection(asked, port)
        try:
            client.settimeout(30)
            client.connect((asked, port))
            connection.sock = client
            connection.request("GET", "/")
            answer = connection.getresponse()
            while chunk := answer.read(len(CHUNK)):
                self._received.update(chunk)
        except (OSError, http.client.HTTPException) as error:
            self.failure = str(error) or type(error).__name__

    @property
    def running(self) -> bool:
        """Not over yet."""
        return self._client.is_alive()

    def finish(self) -> bool:
        """Wait for its end: whether everything has come through unharmed."""
        self._client.join(60)
        self._server.join(5)
        return not self.failure and self._received.digest() == self.sent.digest()


PROTOCOLS: dict[str, Callable[[Hosts, str, str], Talk]] = {"tcp": tcp, "udp": udp, "icmp": icmp}
