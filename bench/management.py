"""What 200 management clients cost the heartbeats: ``make bench-management`` (root).

A lab at 10 ms; node0's heartbeats are time-stamped at the switch by the kernel, first in peace, then while node0's gateway is
asked by well-behaved clients, listened to, scraped a thousand times a minute, sent huge requests, read by nobody, and
guessed at. Shown is by how much each heartbeat came later than an interval after the one before; no limit is asserted.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from jsrpd.lab import demo, topology
from jsrpd.lab.certificate import self_signed
from jsrpd.lab.topology import SWITCH, Lab, Settings, inside, with_commands

INTERVAL_MS = 10
SETTINGS = Settings(interval_ms=INTERVAL_MS, threshold=5)
COMMON_SHARE = 0.2
"""Of the datagrams of one length. Of the lengths that are so common the longest is the heartbeats', acknowledgements are short."""
SO_TIMESTAMPNS = 35
IPV6, NEXT_HEADER, UDP = b"\x86\xdd", 20, 17
SHOWING, LISTENING, STALLING, SCRAPES_PER_S, HUGE_PER_S, GUESSES_PER_S = 100, 40, 60, 17, 5, 5
PAUSE_S = 0.5
"""Between a showing client's questions."""
SETTLE_S = 3.0
PORT = 9470
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
STATUS, METRICS, STREAM = b"/api/v1/show/chassis/cluster/status", b"/metrics", b"/api/v1/stream"


# -- heartbeats, seen at the switch -----------------------------------------------------------------------------------


def watch(port: str, seconds: float) -> None:
    """In the switch's namespace: arrival times of the node's heartbeats, ns, a line each."""
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    sniffer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sniffer.bind((port, 0))
    sniffer.settimeout(0.5)
    end, seen = time.monotonic() + seconds, list[tuple[int, int]]()
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            frame, ancillary, _, address = sniffer.recvmsg(2048, 128)
            if address[2] != socket.PACKET_OUTGOING and frame[12:14] == IPV6 and frame[NEXT_HEADER] == UDP:
                stamp = struct.unpack("2q", ancillary[0][2])
                seen.append((len(frame), stamp[0] * 1_000_000_000 + stamp[1]))
    lengths = Counter(length for length, _ in seen)
    heartbeat = max((length for length, count in lengths.items() if count > COMMON_SHARE * len(seen)), default=0)
    sys.stdout.write("".join(f"{at}\n" for length, at in seen if length == heartbeat))


def lateness(lab: Lab, seconds: float) -> list[float]:
    """By how many ms each heartbeat of node0 came later than an interval after the one before, sorted."""
    command = [sys.executable, "-m", "bench.management", "--watch", topology.port_of("node0", "ctl0"), "--seconds", str(seconds)]
    said = subprocess.run(inside(lab.namespace(SWITCH), *command), capture_output=True, text=True, check=True).stdout
    times = [int(line) / 1e6 for line in said.split()]
    return sorted(max(0.0, later - earlier - INTERVAL_MS) for earlier, later in itertools.pairwise(times))


# -- the load -----------------------------------------------------------------------------------------------------------


class Load:
    """Clients of every kind; ``seen`` counts what they were answered."""

    def __init__(self, directory: Path, port: int) -> None:
        self.rest, self.port = directory / "http.sock", port
        self.seen: Counter[str] = Counter()
        self._anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._anyone.check_hostname, self._anyone.verify_mode = False, ssl.CERT_NONE

    async def run(self, seconds: float) -> None:
        """All at once, for so long."""
        clients = [self.repeat(PAUSE_S, "show", self.show) for _ in range(SHOWING)]
        clients += [self.repeat(PAUSE_S, "stream", self.listen) for _ in range(LISTENING)]
        clients += [self.repeat(PAUSE_S, "stalled", self.stall) for _ in range(STALLING)]
        clients += [self.repeat(1 / SCRAPES_PER_S, "scrape", self.scrape), self.repeat(1 / HUGE_PER_S, "huge", self.huge)]
        clients += [self.repeat(1 / GUESSES_PER_S, "guess", self.guess)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*clients)

    async def repeat(self, pause_s: float, name: str, client: Callable[[], Awaitable[str]]) -> None:
        """One client, for ever. Being sent away is an answer, too."""
        while True:
            try:
                self.seen[f"{name} {await client()}"] += 1
            except (OSError, EOFError):
                self.seen[f"{name} cut off"] += 1
            await asyncio.sleep(pause_s)

    async def show(self) -> str:
        """Asks and reads."""
        return await self._answered(GET % STATUS)

    async def scrape(self) -> str:
        """As Prometheus does."""
        return await self._answered(GET % METRICS)

    async def huge(self) -> str:
        """A megabyte where 16 KiB are allowed."""
        head = b"POST /api/v1/clear/chassis/cluster/failover-count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        return await self._answered(head + b" " * 1_000_000)

    async def guess(self) -> str:
        """A wrong token over TLS."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._anyone)
        return await self._status(reader, writer, GET[:-2] % STATUS + b"Authorization: Bearer jsrp_wrong\r\n\r\n")

    async def listen(self) -> str:
        """To the stream, until it ends."""
        reader, writer = await asyncio.open_unix_connection(self.rest)
        writer.write(GET % STREAM)
        while await reader.read(65536):
            pass
        writer.close()
        return "ended"

    async def stall(self) -> str:
        """Asks for much, again and again, and reads nothing."""
        reader, writer = await asyncio.open_unix_connection(self.rest, limit=1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write((GET % METRICS) * 200)
        await asyncio.sleep(2 * PAUSE_S)
        writer.transport.abort()
        return "left"

    async def _answered(self, sent: bytes) -> str:
        return await self._status(*await asyncio.open_unix_connection(self.rest), sent)

    async def _status(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> str:
        try:
            writer.write(sent)
            status = (await reader.readuntil(b"\r\n")).split(b" ")[1].decode()
            await reader.readuntil(b"\r\n\r\n")
            return status
        finally:
            writer.transport.abort()


# -- both -----------------------------------------------------------------------------------------------------------------


def certificate(directory: Path) -> str:
    """Statements of a REST interface with a certificate made here."""
    files = self_signed(directory)
    return f"system services rest https {{ address 127.0.0.1; certificate {files[0]}; private-key {files[1]}; }}\n"


def show(title: str, found: list[float]) -> None:
    """One line of figures."""
    at = [found[min(len(found) - 1, round(share * (len(found) - 1)))] for share in (0.5, 0.99, 0.999, 1)]
    print(
        f"{title:<16}{len(found):>6} heartbeats, late by ms: " + ", ".join(f"{n} {x:.2f}" for n, x in zip(NAMES, at, strict=True))
    )


NAMES = ("median", "p99", "p99.9", "most")


def bench(seconds: float) -> None:
    """Peace, load, and what the clients were answered."""
    lab = Lab(f"jm{os.getpid()}", Path(f"/run/jsrpd-bench-management-{os.getpid()}"))
    try:
        topology.up(lab, SETTINGS)
        demo.settle(lab, "the start")
        file = lab.node_directory("node0", "etc") / "jsrpd.conf"
        file.write_text(file.read_text() + certificate(lab.node_directory("node0", "etc")))
        topology.signal_all([pid for pid, name in topology.processes(lab, "node0").items() if name == "jsrpd"], signal.SIGHUP)
        time.sleep(SETTLE_S)
        show("in peace", lateness(lab, seconds))
        environment = {**with_commands(os.environ), "RUNTIME_DIRECTORY": str(lab.node_directory("node0", "run"))}
        command = [sys.executable, "-m", "bench.management", "--load", "--seconds", str(seconds + 2)]
        load = subprocess.Popen(inside(lab.namespace("node0"), *command), env=environment, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        show("under load", lateness(lab, seconds))
        print(f"answered: {load.communicate()[0].strip()}")
        gateway = next(pid for pid, name in topology.processes(lab, "node0").items() if name == "jsrpd: gateway")
        resident = next(line for line in Path(f"/proc/{gateway}/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(f"gateway, most memory: {int(resident.split()[1]) // 1024} MB; load average {os.getloadavg()[0]:.2f}")
    finally:
        topology.down(lab)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.management", description="Heartbeats beside 200 management clients.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--watch", metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(arguments.watch, arguments.seconds)
    elif arguments.load:
        load = Load(Path(os.environ["RUNTIME_DIRECTORY"]), PORT)
        asyncio.run(load.run(arguments.seconds))
        print(", ".join(f"{name}: {count}" for name, count in sorted(load.seen.items())))
    else:
        bench(arguments.seconds)


if __name__ == "__main__":
    main()
