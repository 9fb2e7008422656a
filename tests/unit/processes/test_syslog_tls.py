"""Syslog over TLS: the gateway's relay between our processes and a real rsyslogd that is restarted, and bad receivers."""

import asyncio
import contextlib
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from jsrpd.lab.certificate import self_signed
from jsrpd.messages.catalogue import notice
from jsrpd.model.configuration import SyslogHost
from jsrpd.model.status import LogQueueStatus
from jsrpd.processes import syslog_stream, syslog_tls
from jsrpd.processes.syslog import Destination, SyslogSender, relay_path
from jsrpd.processes.syslog_stream import QUEUE_LENGTH
from jsrpd.processes.syslog_tls import Relay, TlsDestination
from tests.peers import LIBRARIES
from tests.unit.processes.test_syslog_stream import FORM, PATIENCE_S, Rsyslogd

CONFIGURATION = """
global(workDirectory="{directory}" defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{authority}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" keepalive="on" streamDriver.name="ossl" streamDriver.mode="1" {peers})
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="all")
ruleset(name="all") {{ action(type="omfile" file="{directory}/log" template="raw") }}
"""


ANYBODY = 'streamDriver.authMode="anon"'
VOUCHED_FOR = 'streamDriver.authMode="x509/certvalid"'


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_stream, "RETRY_S", 0.05)
    monkeypatch.setattr(syslog_tls, "BUSY_S", 0.01)


class Relaying:
    """A relay in the loop of a thread, as the gateway runs it."""

    def __init__(self, directory: Path) -> None:
        self.reports: list[str] = []
        self.relay = Relay(directory, self.reports.append)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def within(self, call: Callable[[], object]) -> None:
        async def called() -> None:
            call()

        asyncio.run_coroutine_threadsafe(called(), self.loop).result(PATIENCE_S)

    def configure(self, *hosts: SyslogHost) -> None:
        self.within(lambda: self.relay.reconfigure(hosts))

    @property
    def waiting(self) -> int:
        return sum(destination.waiting for _, destination in self.relay._receivers.values())

    def end(self) -> None:
        self.configure()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)


@pytest.fixture
def relaying(tmp_path: Path) -> Iterator[Relaying]:
    one = Relaying(tmp_path)
    yield one
    one.end()


def until(condition: Callable[[], object], what: str = "", flush: Callable[[], None] = lambda: None) -> None:
    """``flush`` is called before each look."""
    give_up = time.monotonic() + PATIENCE_S
    while not _seen(condition, flush):
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def _seen(condition: Callable[[], object], flush: Callable[[], None]) -> bool:
    flush()
    return bool(condition())


class TlsRsyslogd(Rsyslogd):
    """Debian's, with its OpenSSL driver."""

    def __init__(self, directory: Path, certificate: Path, key: Path, authority: Path | None = None, peers: str = ANYBODY) -> None:
        super().__init__(directory)
        if not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")) and not (LIBRARIES / "rsyslog/lmnsd_ossl.so").exists():
            pytest.skip("rsyslog's driver for TLS is not here; make test unpacks it")
        ours = {"directory": directory, "port": self.port, "certificate": certificate, "key": key}
        text = CONFIGURATION.format(**ours, authority=authority or certificate, peers=peers)
        (directory / "conf").write_text(text)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("structured", [False, True])
def test_nothing_is_lost_over_a_restart(tmp_path: Path, relaying: Relaying, end: signal.Signals, structured: bool) -> None:
    """Said by one process, carried by the relay, kept by a real rsyslogd: ended while messages flow, and started again."""
    certificate, key = self_signed(tmp_path)
    server = TlsRsyslogd(tmp_path, certificate, key)
    host = SyslogHost("127.0.0.1", server.port, structured, "tls", str(certificate), "localhost")
    relaying.configure(host)
    running = server.start()
    sender = SyslogSender(tmp_path / "devlog", [host], runtime=tmp_path)
    sent = 0

    def say(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sender.send(notice(f"number {sent}"))
            sent += 1

    (handing_over,) = sender._remote.values()
    assert isinstance(handing_over, Destination)

    def handed_over() -> bool:
        sender.flush()
        return handing_over.waiting == 0 and relaying.waiting == 0

    try:
        say(200)
        until(lambda: len(server.lines()) >= 100, str(relaying.reports), sender.flush)
        say(50)
        running.send_signal(end)
        say(50)
        running.wait(PATIENCE_S)
        say(200)
        running = server.start()
        say(100)
        until(handed_over, str(relaying.reports))
        found = [FORM[structured].fullmatch(line) for line in server.lines()]
        assert all(found)
        assert {int(line[1]) for line in found if line} == set(range(sent))
        assert sender.dropped == 0
    finally:
        running.kill()
        running.wait()


class Trying(TlsDestination):
    """Counts its handshakes."""

    handshakes = 0

    def _begun(self, connection: socket.socket) -> ssl.SSLSocket:
        self.handshakes += 1
        return super()._begun(connection)


def test_a_receiver_that_asks_who_we_are(tmp_path: Path) -> None:
    """A real rsyslogd that demands a certificate: with the one it trusts everything arrives; else nothing does,
    and why is said once, however often it is tried."""
    certificate, key = self_signed(tmp_path)
    own, own_key = self_signed(tmp_path, "node0")
    other, other_key = self_signed(tmp_path, "node1")
    server = TlsRsyslogd(tmp_path, certificate, key, own, VOUCHED_FOR)
    running = server.start()
    plain = SyslogHost("127.0.0.1", server.port, False, "tls", str(certificate), "localhost")
    try:
        for shown in ({}, {"certificate": str(other), "private_key": str(other_key)}):
            reports = list[str]()
            in_vain = Trying(msgspec.structs.replace(plain, **shown), reports.append)
            in_vain.put(b"<29>not to be heard")
            until(lambda to=in_vain, told=reports: to.handshakes > 3 and told, str(reports), in_vain.flush)  # type: ignore[misc]
            assert in_vain.waiting == 1
            assert len(reports) == 1, reports
            in_vain.close()
        with_own = msgspec.structs.replace(plain, certificate=str(own), private_key=str(own_key))
        destination = TlsDestination(with_own, reports.append)
        for number in range(20):
            destination.put(b"<29>number %d" % number)
        until(lambda: len(server.lines()) == 20, str(reports), destination.flush)
        assert server.lines() == [f"<29>number {number}" for number in range(20)]
        destination.close()
    finally:
        running.kill()
        running.wait()


class TlsReceiver:
    """A listener with a certificate; takes one connection and reads what comes."""

    def __init__(self, certificate: Path, key: Path, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.received = b""
        self.connections = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True) as stream:
                while data := stream.recv(10_000):
                    self.received += data


def test_who_cannot_show_the_right_certificate_gets_nothing(tmp_path: Path) -> None:
    """Unknown authority, wrong name: said once, nothing sent, and tried again."""
    certificate, key = self_signed(tmp_path)
    other, _ = self_signed(tmp_path, "other")
    for authority, name, said in ((other, "localhost", "self-signed"), (certificate, "elsewhere", "not valid for")):
        receiver, reports = TlsReceiver(certificate, key), list[str]()
        host = SyslogHost("127.0.0.1", receiver.port, False, "tls", str(authority), name)
        destination = TlsDestination(host, reports.append)
        destination.put(b"secret")
        until(lambda of=receiver: of.connections >= 3, flush=destination.flush)  # type: ignore[misc]
        assert len(reports) == 1
        assert said in reports[0]
        assert receiver.received == b""
        assert destination.waiting == 1
        destination.close()
        receiver.listener.close()


def test_who_never_answers_the_handshake_is_given_up() -> None:
    now, reports = [0.0], list[str]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = SyslogHost("127.0.0.1", listener.getsockname()[1], False, "tls", "", "x")
        destination = TlsDestination(host, reports.append, lambda: now[0])
        destination.put(b"x")
        until(lambda: destination._handshake is not None, flush=destination.flush)
        assert reports == []
        now[0] += syslog_tls.HANDSHAKE_S
        until(lambda: reports, flush=destination.flush)
    assert "handshake" in reports[0]
    assert destination.absent


def test_missing_authorities_are_said(tmp_path: Path) -> None:
    reports: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = SyslogHost("127.0.0.1", listener.getsockname()[1], False, "tls", f"{tmp_path}/none")
        destination = TlsDestination(host, reports.append)
        destination.put(b"x")
        until(lambda: reports, flush=destination.flush)
    assert "No such file" in reports[0]


def test_the_relay_takes_no_more_than_it_can_hold(tmp_path: Path, relaying: Relaying) -> None:
    """Nobody listens: the relay stops reading, who sends keeps the rest, and all of it arrives in the end, in order."""
    certificate, key = self_signed(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host = SyslogHost("127.0.0.1", port, False, "tls", str(certificate), "localhost")
    relaying.configure(host)
    sender = SyslogSender(tmp_path / "devlog", [host], runtime=tmp_path)
    (handing_over,) = sender._remote.values()
    count = QUEUE_LENGTH + QUEUE_LENGTH // 2
    for number in range(count):
        sender.send(notice(f"number {number}."))
    until(lambda: relaying.waiting == QUEUE_LENGTH, str(relaying.reports), sender.flush)
    assert handing_over.waiting > 0
    assert relaying.relay.queues("gateway") == (LogQueueStatus("gateway", "tls", QUEUE_LENGTH, 0),)
    receiver = TlsReceiver(certificate, key, port)
    until(lambda: f"number {count - 1}.".encode() in receiver.received, str(relaying.reports), sender.flush)
    assert all(f"number {number}.".encode() in receiver.received for number in range(count))
    assert handing_over.dropped == 0
    receiver.listener.close()


def test_places_come_and_go(tmp_path: Path, relaying: Relaying) -> None:
    one, two = (SyslogHost("127.0.0.1", port, False, "tls") for port in (1, 2))
    assert relaying.relay.queues("gateway") == ()
    relaying.configure(one, SyslogHost("127.0.0.1", 3, False, "tcp"))
    assert relay_path(tmp_path, one).stat().st_mode & 0o777 == 0o600
    relaying.within(lambda: relaying.relay._receivers[one][1].put(b"x"))
    relaying.configure(two)
    assert set(relaying.relay._receivers) == {two}
    assert relaying.relay.queues("gateway") == (LogQueueStatus("gateway", "tls", 0, 1),), "lost with its receiver"
    relay_path(tmp_path, one).unlink()
    relay_path(tmp_path, one).mkdir()
    relaying.configure(one, two)
    assert set(relaying.relay._receivers) == {two}
    assert len(relaying.reports) == 1
