"""Many new connections through the gateway: two processes, one that opens them and one that answers.

``python -m bench.storm send FLOWS RATE`` on the client's side sends one UDP packet per connection, with RATE 0 as fast as
it can; ``answer`` on the server's side sends each back. A connection is then known to the gateway in two events. The
packets are made by hand, so that one socket serves any number of connections, and handed over in batches by
sendmmsg(2) and recvmmsg(2): on a machine of two cores whatever the load costs is missing to those who are measured.
``connect`` and ``serve`` are the same for short TCP connections, with the kernel's own TCP.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence

SOURCES = tuple(f"10.1.0.{number}" for number in range(101, 121))
"""Addresses the client's side speaks from; each has ``PORTS`` ports."""
PORT, FIRST_PORT, PORTS = 9, 2_000, 60_000
IP_UDP = struct.Struct(">BBHHHBBH4s4sHHHH")
PAYLOAD_BYTES = 18
PACKET_BYTES = IP_UDP.size + PAYLOAD_BYTES
SO_RCVBUFFORCE, BUFFER = 33, 64 << 20
SLICE_S = 0.001
"""A paced sender sends what is due so often."""
BATCH = 64
MSG_DONTWAIT = 0x40
IP_BIND_ADDRESS_NO_PORT = 24


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_uint32),
        ("size", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
NAME_BYTES = 16


class Batch:
    """``BATCH`` packets of a fixed size, each with a place for an address."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = ctypes.create_string_buffer(BATCH * size)
        self._names = ctypes.create_string_buffer(BATCH * NAME_BYTES)
        self._vectors = (_Vector * BATCH)()
        self._messages = (_Message * BATCH)()
        for number in range(BATCH):
            self._vectors[number] = _Vector(ctypes.addressof(self.data) + number * size, size)
            self._messages[number].vectors = ctypes.pointer(self._vectors[number])
            self._messages[number].vector_count = 1

    def with_names(self) -> "Batch":
        """Addresses are received, and sent to."""
        for number in range(BATCH):
            self._messages[number].name = ctypes.addressof(self._names) + number * NAME_BYTES
            self._messages[number].name_size = NAME_BYTES
        return self

    def send(self, by: int, count: int) -> None:
        """The first ``count`` packets by a socket that blocks. OSError when one is refused."""
        done = 0
        while done < count:
            sent = _libc.sendmmsg(by, ctypes.byref(self._messages, done * ctypes.sizeof(_Message)), count - done, 0)
            if sent < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            done += sent

    def receive(self, by: int) -> int:
        """How many came; 0 when none is there."""
        received: int = _libc.recvmmsg(by, self._messages, BATCH, MSG_DONTWAIT, None)
        return max(0, received)


def packets(destination: str, flows: int, offset: int = 0) -> bytes:
    """One packet of each connection, one behind the other; those of another ``offset`` are other connections."""
    target, sources = socket.inet_aton(destination), [socket.inet_aton(source) for source in SOURCES]
    made = []
    for number in range(offset, offset + flows):
        source, port = sources[number // PORTS % len(SOURCES)], FIRST_PORT + number % PORTS
        # The kernel fills in total length and checksum of the IP header; a UDP checksum of 0 is none.
        made.append(
            IP_UDP.pack(0x45, 0, PACKET_BYTES, 0, 0, 64, 17, 0, source, target, port, PORT, 8 + PAYLOAD_BYTES, 0)
            + bytes(PAYLOAD_BYTES)
        )
    return b"".join(made)


def send(destination: str, flows: int, rate: float, offset: int = 0) -> float:
    """Send them; how long it took, in seconds."""
    ready, batch = packets(destination, flows, offset), Batch(PACKET_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.connect((destination, 0))
        begin, sent = time.monotonic(), 0
        while sent < flows:
            due = min(flows, int((time.monotonic() - begin) * rate)) if rate else flows
            while sent < due:
                count = min(BATCH, due - sent)
                ctypes.memmove(batch.data, ready[sent * PACKET_BYTES : (sent + count) * PACKET_BYTES], count * PACKET_BYTES)
                batch.send(sender.fileno(), count)
                sent += count
            if sent < flows:
                time.sleep(SLICE_S)
        return time.monotonic() - begin


def answer(address: str) -> int:
    """Until SIGTERM; how many were answered."""
    count, going = 0, [True]
    signal.signal(signal.SIGTERM, lambda _number, _frame: going.clear())
    batch = Batch(PAYLOAD_BYTES).with_names()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answerer:
        answerer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        answerer.bind((address, PORT))
        print("ready", flush=True)
        while going:
            with contextlib.suppress(InterruptedError):
                select.select([answerer], [], [], 0.1)
            while received := batch.receive(answerer.fileno()):
                batch.send(answerer.fileno(), received)
                count += received
    return count


def connect(destination: str, count: int, source: str) -> float:
    """Short TCP connections one after another: 32 bytes there, 32 back, close. How long it took, in seconds."""
    begin = time.monotonic()
    for _ in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
            made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.bind((source, 0))
            made.connect((destination, PORT))
            made.send(bytes(32))
            while made.recv(64):
                pass
    return time.monotonic() - begin


def serve(address: str) -> None:
    """Answer short TCP connections until SIGTERM."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, PORT))
        listener.listen(1024)
        print("ready", flush=True)
        while True:
            made, _ = listener.accept()
            with made, contextlib.suppress(ConnectionError):
                made.recv(64)
                made.send(bytes(32))


def main(words: Sequence[str]) -> int:
    """See the module."""
    if words[0] == "send":
        print(send(words[1], int(words[2]), float(words[3]), int(words[4]) if len(words) > 4 else 0), flush=True)
    elif words[0] == "connect":
        print(connect(words[1], int(words[2]), words[3]), flush=True)
    elif words[0] == "serve":
        serve(words[1])
    else:
        print(answer(words[1]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
