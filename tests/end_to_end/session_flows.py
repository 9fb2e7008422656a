"""Connections through a router under test that tell whether they live: each ``Talk`` is one exchange both ways.

Sockets are opened in the namespaces of the hosts; the caller keeps them and closes them.
"""

import ftplib
import http.client
import itertools
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256

from tests.end_to_end.test_gate import inside

ANSWER_S = 0.4
"""How long an exchange waits before it counts as dead."""
FIRST_TRIES = 15
"""A first packet may be lost while a router's own address is being verified."""
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


@dataclass
class RawPath:
    """Between a client and a server by packets of a protocol no kernel here has sockets for."""

    client: socket.socket
    server: socket.socket
    back_to: str
    """Where the server finds the client: behind NAT another address."""

    @classmethod
    def between(cls, hosts: Hosts, asked: str, own: str, protocol: int) -> "RawPath":
        """Not connected yet: ``back_to`` is known once the server has heard something."""
        server = hosts.opened(hosts.server, own, socket.SOCK_RAW, protocol)
        server.bind((own, 0))
        client = hosts.opened(hosts.client, asked, socket.SOCK_RAW, protocol)
        client.connect((asked, 0))
        return cls(client, server, "")

    def to_server(self, packet: bytes, is_it: Callable[[bytes], bool]) -> bytes | None:
        """What has come out there."""
        self.client.send(packet)
        return self._received(self.server, is_it)

    def to_client(self, packet: bytes, is_it: Callable[[bytes], bool]) -> bytes | None:
        """What has come out here."""
        self.server.sendto(packet, (self.back_to, 0))
        return self._received(self.client, is_it)

    def _received(self, receiver: socket.socket, is_it: Callable[[bytes], bool]) -> bytes | None:
        while is_ready(receiver):
            packet, (address, *_) = receiver.recvfrom(2000)
            packet = packet[20 if receiver.family == socket.AF_INET else 0 :]
            if is_it(packet):
                if receiver is self.server:
                    self.back_to = address
                return packet
        return None


def gre(hosts: Hosts, asked: str, own: str) -> Talk:
    """A tunnel, of which conntrack knows the two ends only."""
    path = RawPath.between(hosts, asked, own, 47)
    numbers = itertools.count(1)
    name = struct.pack(">I", next(identifiers))

    def packet() -> bytes:
        return struct.pack(">HH", 0, 0x0800) + name + struct.pack(">I", next(numbers))

    def passes(there: Callable[[bytes, Callable[[bytes], bool]], bytes | None]) -> bool:
        sent = packet()
        return there(sent, lambda come: come == sent) is not None

    assert any(passes(path.to_server) for _ in range(FIRST_TRIES)), "the first packet of a tunnel"
    return lambda: passes(path.to_client) and passes(path.to_server)


def sctp(hosts: Hosts, asked: str, own: str) -> Talk:
    """An association. Conntrack takes data only with the tags that both ends have chosen (RFC 9260, section 8.5)."""
    path, port = RawPath.between(hosts, asked, own, 132), next(ports)
    own_tag, tsn = struct.pack(">I", next(identifiers)), itertools.count(1)
    peer_tag = bytes(byte ^ 0xFF for byte in own_tag)

    def begins(tag: bytes) -> bytes:
        return tag + struct.pack(">IHHI", 1 << 16, 1, 1, 1)

    def to_server(tag: bytes, kind: int, body: bytes) -> bytes:
        sent = sctp_packet(port, port, tag, kind, body)
        for _ in range(FIRST_TRIES if kind == SCTP_INIT else 1):
            come = path.to_server(sent, lambda one: one[2:4] == sent[2:4] and one[12:] == sent[12:])
            if come is not None:
                return come
        assert kind == SCTP_DATA, "an association that begins"
        return b""

    def to_client(to: int, tag: bytes, kind: int, body: bytes) -> bool:
        sent = sctp_packet(port, to, tag, kind, body)
        return path.to_client(sent, lambda one: one[:2] == sent[:2] and one[12:] == sent[12:]) is not None

    cookie = b"cookie!!"
    come = to_server(bytes(4), SCTP_INIT, begins(own_tag))
    behind = int.from_bytes(come[:2])
    assert to_client(behind, own_tag, SCTP_INIT_ACK, begins(peer_tag) + struct.pack(">HH", 7, 4 + len(cookie)) + cookie)
    to_server(peer_tag, SCTP_COOKIE_ECHO, cookie)
    assert to_client(behind, own_tag, SCTP_COOKIE_ACK, b"")

    def data() -> bytes:
        return struct.pack(">IHHI", next(tsn), 0, 0, 0) + b"data"

    return lambda: to_client(behind, own_tag, SCTP_DATA, data()) and bool(to_server(peer_tag, SCTP_DATA, data()))


SCTP_DATA, SCTP_INIT, SCTP_INIT_ACK, SCTP_COOKIE_ECHO, SCTP_COOKIE_ACK = 0, 1, 2, 10, 11


def sctp_packet(source: int, destination: int, tag: bytes, kind: int, body: bytes) -> bytes:
    """One chunk, with the checksum conntrack looks at."""
    head = struct.pack(">HH", source, destination) + tag
    chunk = struct.pack(">BBH", kind, 3 if kind == SCTP_DATA else 0, 4 + len(body)) + body
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def crc32c(data: bytes) -> int:
    """Castagnoli's (RFC 9260, appendix A)."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


class Pushes:
    """A connection in which only the server speaks, all the time, whatever happens to the router."""

    def __init__(self, hosts: Hosts, asked: str, own: str, kind: socket.SocketKind, interval_s: float = 0.01) -> None:
        port = next(ports)
        listener = hosts.opened(hosts.server, own, kind)
        listener.bind((own, port))
        self._client = hosts.opened(hosts.client, asked, kind)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        self._client.connect((asked, port))
        if kind == socket.SOCK_STREAM:
            self._server, _ = listener.accept()
            hosts.sockets.append(self._server)
        else:
            self._client.send(b"first")
            _, peer = listener.recvfrom(100)
            listener.connect(peer)
            self._server = listener
        self._kind, self._interval_s = kind, interval_s
        self._over = threading.Event()
        self.sent = self.received = 0
        """Numbers up to which everything was sent, and has come: of a stream all, else the newest."""
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._push, self._receive)]
        for thread in self._threads:
            thread.start()

    def _push(self) -> None:
        while not self._over.wait(self._interval_s):
            with suppress(ConnectionRefusedError):
                self._server.send(struct.pack(">I", self.sent + 1))
            self.sent += 1

    def _receive(self) -> None:
        while True:
            try:
                number = self._client.recv(4, socket.MSG_WAITALL)
            except TimeoutError:
                continue
            except OSError:
                return
            if len(number) < 4:
                return
            if self._kind == socket.SOCK_DGRAM or int.from_bytes(number) == self.received + 1:
                self.received = int.from_bytes(number)

    def goes_on(self, patience_s: float = 10) -> bool:
        """What is sent from now on comes, and of a stream everything before it as well."""
        wanted, until = self.sent + 5, time.monotonic() + patience_s
        while self.received < wanted and time.monotonic() < until:
            time.sleep(0.01)
        return self.received >= wanted

    def stop(self) -> None:
        """No more."""
        self._over.set()
        self._threads[0].join()


class Visitor(threading.Thread):
    """Somebody behind the WAN who begins one new connection after the other to a service behind the LAN."""

    def __init__(self, hosts: Hosts, asked: str, own: str, port: int) -> None:
        super().__init__(daemon=True)
        self._hosts, self._asked, self._port = hosts, asked, port
        self._listener = hosts.opened(hosts.client, own, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((own, port))
        self._listener.listen(128)
        self._over = threading.Event()
        self.served, self.failures = 0, list[str]()

    def run(self) -> None:
        """Each has ten seconds: a first packet nobody forwards is repeated after one."""
        while not self._over.is_set():
            visitor = self._hosts.opened(self._hosts.server, self._asked, socket.SOCK_STREAM)
            visitor.settimeout(10)
            try:
                visitor.connect((self._asked, self._port))
                served, _ = self._listener.accept()
                with served:
                    assert through(served, visitor, 5) and through(visitor, served, 5)
                self.served += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
            visitor.close()
            time.sleep(0.005)

    def stop(self) -> None:
        """After the one that is under way."""
        self._over.set()
        self.join()


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


class Ftp:
    """An FTP session whose data connection is announced and not begun: only what a helper expects lets it through.

    ``active``: the server begins it, towards an address the client has named; else the client does.
    """

    FILE = CHUNK

    def __init__(self, hosts: Hosts, asked: str, own: str, *, active: bool) -> None:
        self._hosts, self._active = hosts, active
        listener = hosts.opened(hosts.server, own, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((own, ftplib.FTP_PORT))
        listener.listen()
        threading.Thread(target=self._serve, args=(listener, own), daemon=True).start()
        self._session = ftplib.FTP(timeout=5)
        with inside(hosts.client):
            self._session.connect(asked)
            self._session.login()
            if active:
                self._waiting = self._session.makeport()
                hosts.sockets.append(self._waiting)
            else:
                self._named = self._session.makepasv()
        listener.close()

    def acknowledge(self) -> None:
        """Say something more, with which the announcement is acknowledged: it will not be repeated."""
        self._session.voidcmd("NOOP")

    def transfer(self) -> bool:
        """Begin the data connection: whether the file has come."""
        try:
            with self._data() as data:
                received = b""
                while chunk := data.recv(1 << 16):
                    received += chunk
            return received == self.FILE and self._session.getresp().startswith("226")
        except (OSError, ftplib.Error, EOFError):
            return False

    def _data(self) -> socket.socket:
        if self._active:
            self._session.sendcmd("RETR file")
            self._waiting.settimeout(5)
            return self._waiting.accept()[0]
        with inside(self._hosts.client):
            made = socket.create_connection(self._named, timeout=ANSWER_S * 4)
        self._session.sendcmd("RETR file")
        return made

    def _serve(self, listener: socket.socket, own: str) -> None:
        control, _ = listener.accept()
        open_data: Callable[[], socket.socket] | None = None
        with closing(control), control.makefile("rwb", 0) as lines, suppress(OSError):
            control.settimeout(60)
            lines.write(b"220 at your service\r\n")
            for line in lines:
                word, _, rest = line.decode().strip().partition(" ")
                if word in ("PASV", "EPSV"):
                    waiting = self._hosts.opened(self._hosts.server, own, socket.SOCK_STREAM)
                    waiting.bind((own, 0))
                    waiting.listen()
                    port = waiting.getsockname()[1]
                    open_data = lambda waiting=waiting: waiting.accept()[0]  # noqa: E731
                    where = f"{own.replace('.', ',')},{port >> 8},{port & 255}"
                    answer = f"227 Passive ({where})" if word == "PASV" else f"229 Extended Passive (|||{port}|)"
                elif word in ("PORT", "EPRT"):
                    to = _named_by(word, rest)
                    open_data = lambda to=to: self._connected(own, to)  # noqa: E731
                    answer = "200 will be called"
                elif word == "RETR" and open_data is not None:
                    lines.write(b"150 here it comes\r\n")
                    with closing(open_data()) as data:
                        data.sendall(self.FILE)
                    answer = "226 that was it"
                else:
                    answer = "230 welcome" if word == "USER" else "200 fine"
                lines.write(f"{answer}\r\n".encode())

    def _connected(self, own: str, to: tuple[str, int]) -> socket.socket:
        made = self._hosts.opened(self._hosts.server, own, socket.SOCK_STREAM)
        made.bind((own, 0))
        made.connect(to)
        return made


def _named_by(word: str, rest: str) -> tuple[str, int]:
    """Address and port in FTP's two ways to say them."""
    if word == "EPRT":
        _, _, address, port, _ = rest.split(rest[0])
        return address, int(port)
    numbers = rest.split(",")
    return ".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])


PROTOCOLS: dict[str, Callable[[Hosts, str, str], Talk]] = {
    "tcp": tcp,
    "udp": udp,
    "icmp": icmp,
    "sctp": sctp,
    "gre": gre,
}
