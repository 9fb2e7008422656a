"""The packets of the lab: UDP streams at an exact rate, and TCP connections that count, between client and server.

Two processes, one per end, each a single loop without busy waiting: sleep until the next absolute due time, send all
that is due as a burst, take what has come. Arrivals carry the kernel's receive stamp, so a reader that is late
falsifies nothing. Three kinds of stream per address family: ``echo`` (client to server and back), ``push`` (only the
server sends, after one packet from the client) and TCP counters.
"""

import contextlib
import json
import select
import socket
import struct
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jsrpd.lab.topology import LAN, WAN
from jsrpd.lab.workers import STAMP_SPACE, Deadline, begin, ready, save, stamp_of, stamped

ECHO_PORT, PUSH_PORT, TCP_PORT = 7001, 7002, 7003
SEQUENCE = struct.Struct(">Q")
SHORTEST_TICK_S = 0.0005
"""Faster streams go out in bursts of this spacing: a sleep costs more than a packet."""
COUNT_INTERVAL_S = 0.2
TCP_TICK_S = 0.02
LATE_ARRIVALS_S = 0.5
"""How long the ends listen on after the last packet was sent."""
TCP_DRAIN_S = 4.0
"""How long a TCP connection may take to recover after the streams end: two retransmissions beyond the common gaps."""
READ_BATCH = 256


def address_of(family: int) -> tuple[str, socket.AddressFamily]:
    """The server's address in a family (4 or 6)."""
    return (WAN.hosts[0], socket.AF_INET) if family == 4 else (WAN.hosts[1], socket.AF_INET6)


@dataclass
class Pace:
    """Absolute due times: packet n leaves at start + n / rate. ``sent`` are CLOCK_REALTIME ns by sequence number."""

    rate: float
    start: float = field(default_factory=time.monotonic)
    sent: "array[int]" = field(default_factory=lambda: array("Q"))

    def due(self, now: float) -> range:
        """Sequence numbers to send now."""
        return range(len(self.sent), max(len(self.sent), int((now - self.start) * self.rate) + 1))

    @property
    def next_at(self) -> float:
        """Monotonic time of the next tick with something to send."""
        return max(self.start + len(self.sent) / self.rate, time.monotonic() + SHORTEST_TICK_S / 2)


@dataclass
class Arrivals:
    """What came in: sequence numbers and kernel stamps (CLOCK_REALTIME ns)."""

    sequences: "array[int]" = field(default_factory=lambda: array("Q"))
    stamps: "array[int]" = field(default_factory=lambda: array("Q"))

    def take(self, made: socket.socket, echo: bool = False) -> "tuple[object, ...] | None":
        """Read what waits, at most a batch, answering each datagram if asked to; the last sender."""
        sender: tuple[object, ...] | None = None
        for _ in range(READ_BATCH):
            try:
                data, ancillary, _flags, sender = made.recvmsg(64, STAMP_SPACE)
            except BlockingIOError:
                break
            except OSError:
                # A queued ICMP error (unreachable while nobody owns the gateway); the socket lives on.
                continue
            self.sequences.append(SEQUENCE.unpack_from(data)[0])
            self.stamps.append(stamp_of(ancillary))
            if echo:
                with contextlib.suppress(OSError):
                    made.sendto(data, sender)
        return sender


def send_due(made: socket.socket, pace: Pace, target: "tuple[object, ...] | None" = None) -> None:
    """Send all that is due. A refused packet counts as sent and lost."""
    for sequence in pace.due(time.monotonic()):
        pace.sent.append(time.time_ns())
        with contextlib.suppress(OSError):
            if target is None:
                made.send(SEQUENCE.pack(sequence))
            else:
                made.sendto(SEQUENCE.pack(sequence), target)


# -- server -----------------------------------------------------------------------------------------------------------


class Server:
    """Echoes UDP, pushes UDP to whoever asked, echoes TCP."""

    def __init__(self, families: Sequence[int], rate: float) -> None:
        self.rate = rate
        self.echo = {family: _bound(family, ECHO_PORT, socket.SOCK_DGRAM) for family in families}
        self.push = {family: _bound(family, PUSH_PORT, socket.SOCK_DGRAM) for family in families}
        self.listeners = [_bound(family, TCP_PORT, socket.SOCK_STREAM) for family in families]
        self.arrived = {family: Arrivals() for family in families}
        self.paces: dict[int, tuple[Pace, tuple[object, ...]]] = {}
        self.tcp = select.epoll()
        self.connections: dict[int, socket.socket] = {}

    def run(self, deadline: Deadline) -> None:
        """Until the deadline, which lies behind the client's."""
        for listener in self.listeners:
            self.tcp.register(listener, select.EPOLLIN)
        waiting: list[socket.socket | select.epoll] = [*self.echo.values(), *self.push.values(), self.tcp]
        while deadline.left_s:
            nexts = [pace.next_at for pace, _ in self.paces.values()]
            wait_s = max(0.0, min((at - time.monotonic() for at in nexts), default=0.1))
            readable = select.select(waiting, [], [], wait_s)[0]
            for family, made in self.echo.items():
                if made in readable:
                    self.arrived[family].take(made, echo=True)
            for family, made in self.push.items():
                self._push(family, made, made in readable)
            if self.tcp in readable:
                self._serve_tcp()

    def _push(self, family: int, made: socket.socket, readable: bool) -> None:
        sender = Arrivals().take(made) if readable else None
        if sender is not None and family not in self.paces:
            self.paces[family] = (Pace(self.rate), sender)
        if family in self.paces:
            send_due(made, *self.paces[family])

    def _serve_tcp(self) -> None:
        listeners = {listener.fileno(): listener for listener in self.listeners}
        for descriptor, _event in self.tcp.poll(0):
            if descriptor in listeners:
                made, _ = listeners[descriptor].accept()
                made.setblocking(False)
                self.connections[made.fileno()] = made
                self.tcp.register(made, select.EPOLLIN)
            else:
                self._echo_tcp(descriptor)

    def _echo_tcp(self, descriptor: int) -> None:
        made = self.connections[descriptor]
        try:
            data = made.recv(4096)
            if data:
                made.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.tcp.unregister(descriptor)
        self.connections.pop(descriptor).close()

    def files(self) -> dict[str, "array[int]"]:
        """What the run measured at this end."""
        found: dict[str, array[int]] = {}
        for family, arrivals in self.arrived.items():
            found |= {f"server.echo{family}.seq": arrivals.sequences, f"server.echo{family}.at": arrivals.stamps}
            sent = self.paces[family][0].sent if family in self.paces else array("Q")
            found[f"server.push{family}.sent"] = sent
        return found


def _bound(family: int, port: int, kind: socket.SocketKind) -> socket.socket:
    address, domain = address_of(family)
    made = socket.socket(domain, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    if kind == socket.SOCK_STREAM:
        made.listen(256)
        made.setblocking(False)
        return made
    return stamped(made)


# -- client -----------------------------------------------------------------------------------------------------------


class Counter:
    """One TCP connection: sends the next number every 200 ms and checks that the echoes come back in order."""

    def __init__(self, made: socket.socket, first_at: float) -> None:
        self.socket = made
        self.next_at = first_at
        self.sent = self.echoed = 0
        self.last_echo = first_at
        self.longest_stall = 0.0
        self.broken = ""
        self._rest = b""

    def turn(self, now: float, sending: bool) -> None:
        """Send what is due, take what has come."""
        if self.broken:
            return
        try:
            if sending and now >= self.next_at:
                self.next_at += COUNT_INTERVAL_S
                if self.sent == self.echoed:
                    self.last_echo = now
                self.socket.send(SEQUENCE.pack(self.sent))
                self.sent += 1
            self._take(now, self.socket.recv(4096))
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = error.strerror or "error"
        if self.sent > self.echoed:
            self.longest_stall = max(self.longest_stall, now - self.last_echo)

    def _take(self, now: float, data: bytes) -> None:
        if not data:
            self.broken = "closed by the server"
        self._rest += data
        while len(self._rest) >= SEQUENCE.size:
            number = SEQUENCE.unpack_from(self._rest)[0]
            self._rest = self._rest[SEQUENCE.size :]
            if number != self.echoed:
                self.broken = f"echo {number} instead of {self.echoed}"
                return
            self.echoed += 1
            self.last_echo = now

    @property
    def alive(self) -> bool:
        """Every number sent has come back, in order."""
        return not self.broken and self.sent == self.echoed


class Client:
    """Sends echo streams, receives pushes, keeps the TCP connections counting."""

    def __init__(self, families: Sequence[int], rate: float, connections: int) -> None:
        self.families = families
        self.echo = {family: _connected(family, ECHO_PORT) for family in families}
        self.push = {family: _connected(family, PUSH_PORT) for family in families}
        self.echoed = {family: Arrivals() for family in families}
        self.pushed = {family: Arrivals() for family in families}
        self.counters = {family: _counters(family, connections) for family in families}
        self.paces = {family: Pace(rate) for family in families}

    def ask_for_pushes(self) -> None:
        """One packet per family; asked again only until the first push has come. LabError's text when none comes."""
        give_up = time.monotonic() + 5
        while not all(self.pushed[family].stamps for family in self.families):
            if time.monotonic() > give_up:
                sys.exit("the server's push stream does not reach the client: is there a primary?")
            for family, made in self.push.items():
                if not self.pushed[family].stamps:
                    with contextlib.suppress(OSError):
                        made.send(SEQUENCE.pack(0))
            select.select(list(self.push.values()), [], [], 0.1)
            for family, made in self.push.items():
                self.pushed[family].take(made)

    def run(self, deadline: Deadline) -> None:
        """Streams until the deadline, then late arrivals, then TCP until every number is back or time is up."""
        self.paces = {family: Pace(pace.rate) for family, pace in self.paces.items()}
        tcp_at = 0.0
        while not self._done(deadline):
            now = time.monotonic()
            if deadline.left_s:
                for family, pace in self.paces.items():
                    send_due(self.echo[family], pace)
            for family in self.families:
                self.echoed[family].take(self.echo[family])
                self.pushed[family].take(self.push[family])
            if now >= tcp_at:
                tcp_at = now + TCP_TICK_S
                for counter in self._all_counters():
                    counter.turn(now, bool(deadline.left_s))
            nexts = [pace.next_at for pace in self.paces.values()] if deadline.left_s else [now + TCP_TICK_S]
            time.sleep(max(0.0, min(nexts) - time.monotonic()))

    def _done(self, deadline: Deadline) -> bool:
        over = (time.time_ns() - deadline.at) / 1e9
        settled = all(counter.alive or counter.broken for counter in self._all_counters())
        return over > TCP_DRAIN_S or (over > LATE_ARRIVALS_S and settled)

    def _all_counters(self) -> list[Counter]:
        return [counter for counters in self.counters.values() for counter in counters]

    def files(self) -> dict[str, "array[int]"]:
        """What the run measured at this end."""
        found: dict[str, array[int]] = {}
        for family in self.families:
            found[f"client.echo{family}.sent"] = self.paces[family].sent
            for kind, arrivals in (("echo", self.echoed[family]), ("push", self.pushed[family])):
                found |= {f"client.{kind}{family}.seq": arrivals.sequences, f"client.{kind}{family}.at": arrivals.stamps}
        return found

    def tcp_summary(self) -> dict[int, dict[str, object]]:
        """Per family: connections, alive, the longest wait for an echo in ms, and what broke."""
        return {
            family: {
                "connections": len(counters),
                "alive": sum(counter.alive for counter in counters),
                "longest_stall_ms": round(1000 * max((c.longest_stall for c in counters), default=0.0), 1),
                "broken": sorted({c.broken for c in counters if c.broken}),
            }
            for family, counters in self.counters.items()
        }


def _connected(family: int, port: int) -> socket.socket:
    address, domain = address_of(family)
    made = stamped(socket.socket(domain, socket.SOCK_DGRAM))
    made.bind((LAN.hosts[0 if family == 4 else 1], 0))
    made.connect((address, port))
    return made


def _counters(family: int, count: int) -> list[Counter]:
    """Connections that start to count one after the other, spread over an interval."""
    address, _ = address_of(family)
    start = time.monotonic()
    made = [socket.create_connection((address, TCP_PORT), timeout=5) for _ in range(count)]
    for one in made:
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return [Counter(one, start + n * COUNT_INTERVAL_S / max(1, count)) for n, one in enumerate(made)]


def main(words: Sequence[str]) -> None:
    """``server|client SECONDS DIRECTORY FAMILIES RATE CONNECTIONS``; families as ``4``, ``6`` or ``4,6``."""
    role, duration_s, directory = words[0], float(words[1]), Path(words[2])
    families, rate, connections = [int(f) for f in words[3].split(",")], float(words[4]), int(words[5])
    deadline = begin(duration_s)
    if role == "server":
        server = Server(families, rate)
        ready()
        server.run(deadline)
        save(directory, server.files())
        return
    try:
        client = Client(families, rate, connections)
    except OSError as error:
        sys.exit(f"the client does not reach the server: {error}")
    client.ask_for_pushes()
    ready()
    client.run(deadline)
    save(directory, client.files())
    (directory / "client.tcp.json").write_text(json.dumps(client.tcp_summary()))


if __name__ == "__main__":
    main(sys.argv[1:])
