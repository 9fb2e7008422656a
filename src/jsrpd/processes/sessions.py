"""The session process: what this kernel says of connections goes to the peer's kernel at once, and the other way round.

It may die, hang or fall behind: the engine only learns whether this node is covered. What it decides is in
``jsrpd.sessions``; here are the sockets, and the order in which a turn serves them: who owns what, what the peer sent,
what our kernel says, and last the long walks through the table, a piece a turn.
"""

import contextlib
import os
import selectors
import signal
import socket
import struct
import time
from collections import Counter
from datetime import datetime

from jsrpd.kernel import sysctl
from jsrpd.kernel.ctnetlink import EventReader, Finder, Injector
from jsrpd.kernel.path_socket import LinkSocket
from jsrpd.management import children
from jsrpd.model.addressing import SESSION_PORT
from jsrpd.model.configuration import ClusterConfiguration, SessionFilter
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, PathId
from jsrpd.model.roles import MAX_GROUP
from jsrpd.model.status import SessionStatus
from jsrpd.model.time import MILLISECOND, SECOND, Instant
from jsrpd.processes.expectation_relay import ExpectationRelay
from jsrpd.processes.kernel_watch import KernelWatch
from jsrpd.processes.local_addresses import local_addresses
from jsrpd.processes.neighbour_keeper import NeighbourKeeper
from jsrpd.processes.session_injection import Injection
from jsrpd.processes.session_walks import Outgoing, Retention, Sweep, Walk
from jsrpd.sessions import cold_sync, stream
from jsrpd.sessions.attribution import HOME, Attribution
from jsrpd.sessions.audit import Digests, decode_buckets, encode_buckets
from jsrpd.sessions.ctnetlink import (
    AF_INET,
    AF_INET6,
    ATTRIBUTE,
    DELETE,
    HEADER,
    TIMEOUTS,
    MalformedMessageError,
    Service,
    parts_of,
)
from jsrpd.sessions.event_filter import event_filter
from jsrpd.sessions.relay import Relay, counted
from jsrpd.wire.session import (
    EXPECTATIONS_SINCE,
    OVERHEAD_BYTES,
    SEQUENCE,
    Acknowledgement,
    Kind,
    MalformedSessionError,
    Opened,
    RecordKind,
    SessionLink,
    SessionMessage,
    decode_acknowledgement,
    encode_acknowledgement,
    packed,
    packed_records,
    records,
    unpacked,
)

EVENTS_PER_TURN = 4096
DATAGRAMS_PER_TURN = 512
PIECES_PER_TURN = 8
"""Of a walk: some thousand connections, a few milliseconds."""
DATAGRAM_BYTES = 1400
BODY_BYTES = DATAGRAM_BYTES - OVERHEAD_BYTES
SOCKET_BUFFER = 8 << 20
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
REPORT_INTERVAL = 500 * MILLISECOND
AUDIT_INTERVAL = 30 * SECOND
AUDIT_AFTER_CLAIM = 2 * SECOND
LOOK_AROUND = 10 * SECOND
"""How often the own addresses are read again."""
CHECK_INTERVAL, LISTEN_INTERVAL = 2 * SECOND, 200 * MILLISECOND
GATHER_S, GATHER_MORE_S = 0.001, 0.004
"""Under load events are taken by the dozen: waking for each costs more than handling it, and of a connection that has more
than one event within this time only the last is told."""
MANY_EVENTS = 48
BUSY_WITHIN = 6 * MILLISECOND
OVERRUN_PAUSE = SECOND
"""Shortest time between two resynchronisations because the kernel dropped events."""
YIELD_AFTER_LOSS = 2 * SECOND
"""The takeover comes first: looking through the connection table holds a processor for milliseconds (``Retention``). Until
then neither the timeouts nor the windows of what a moment ago was current have gone wrong; a group that comes back
sooner begins it at once."""
SETTLE_AFTER_CLAIM = 5 * SECOND
LATE_WORDS = SECOND
"""For so long after a claim the former owner's words about the group still count: it told the last of what it forwarded
when it learnt of its loss, and its queue and the path are behind that."""
MAX_EVENTS_KEPT = 16
NUMBER = struct.Struct(">I")
GROUP_BYTES = MAX_GROUP // 8 + 1
NOTICE_INTERVAL = 60 * SECOND
PATHS = "paths"
"""Of the selector: a socket to the peer."""


def run(engine: socket.socket, parent: socket.socket, configuration: ClusterConfiguration, key: bytes) -> None:
    """Until SIGTERM or the parent is gone."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Sessions(engine, parent, configuration, key).run()


def clock() -> Instant:
    """Boot-time clock, as the engine's."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Sessions:
    """The loop and its hands."""

    def __init__(self, engine: socket.socket, parent: socket.socket, configuration: ClusterConfiguration, key: bytes) -> None:
        self.engine, self.parent = engine, parent
        self.configuration = configuration
        start_id = os.urandom(16)
        self.link = SessionLink(configuration.cluster_id, configuration.node_id, key, start_id)
        now = clock()
        self.stream = stream.Stream(self.link.incarnation, now, os.urandom(32))
        self.cold = cold_sync.ColdSync(now, int.from_bytes(start_id[8:11]) << 7)
        self.injector = Injector()
        self.reader = EventReader(event_filter(self.injector.port_id, SessionFilter())[0])
        self.expectations = ExpectationRelay(self.injector)
        self.peer_speaks = 0
        """Newest version of the wire that the peer's present life knows."""
        self.paths: dict[PathId, LinkSocket] = {}
        self.wanted_paths = _path_addresses(configuration)
        self.attribution = Attribution(configuration, local_addresses(configuration))
        self.relay = Relay(self.attribution)
        self._filter()
        self.neighbours = NeighbourKeeper(configuration, now)
        self.look_around_at = now + LOOK_AROUND
        self.check_at = now + CHECK_INTERVAL
        self.listen_at = now
        self.kernel_watch = KernelWatch()
        self.owned: frozenset[int] = frozenset()
        self.told = False
        self.counters: Counter[str] = Counter()
        # By service and address family, as ``relay.sent``.
        self.received: Counter[tuple[int, int]] = Counter()
        self.events: list[str] = []
        self.injection = Injection(self.injector, Finder(), self.attribution, self._missing)
        self.came, self.coming = 0, False
        """Messages about connections that a resynchronisation has brought, and whether one is under way."""
        self.walks: list[Walk] = []
        self.outgoing: Outgoing | None = None
        self.wanted_out: list[tuple[int, frozenset[int] | None]] = []
        self.sweep: Sweep | None = None
        self.drains: list[int] = []
        self.yield_at: dict[int, Instant] = {}
        self.settle_at: dict[int, Instant] = {}
        self.claimed_at: dict[int, Instant] = {}
        self.audit_at = now + AUDIT_INTERVAL
        self.overrun_at: Instant = now - OVERRUN_PAUSE
        self.overrun_pending = False
        self.last_busy: Instant = 0
        self.many = False
        self.report_at: Instant = now
        self.reported: tuple[bool, str] | None = None
        self.noticed: dict[str, Instant] = {}
        self.selector = selectors.DefaultSelector()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the parent is gone."""
        for source in (self.engine, self.parent, self.reader, self.expectations):
            self.selector.register(source, selectors.EVENT_READ, source)
        self._listen()
        self._open_paths(clock())
        while True:
            self.turn({key.data for key, _ in self.selector.select(self._timeout())})

    def _listen(self) -> None:
        """To our kernel while it can say something the peer must know, else its events are only a cost.

        Without ``nf_conntrack_events=1`` a connection that begins while nobody listens would be silent for ever.
        """
        wanted = bool(self.owned) or sysctl.read("net/netfilter/nf_conntrack_events") != "1"
        wanted = wanted and self.configuration.session_synchronization.on
        self.expectations.reader.listen(wanted)
        if self.reader.listen(wanted) and wanted:
            # What began between the gate's opening and now is told soon.
            self.audit_at = min(self.audit_at, clock() + AUDIT_AFTER_CLAIM)

    def _filter(self) -> None:
        """What the operator's filter holds back does not even come, unless it is too long for the kernel."""
        program, self.relay.filtered = event_filter(self.injector.port_id, self.configuration.session_synchronization.filter)
        try:
            self.reader.filter(program)
        except OSError:
            self.relay.filtered = False

    def _refilter(self) -> None:
        """More is to travel than before, or less: both are told everything anew, whichever learns of it last."""
        self._filter()
        self.overrun_pending = True
        if self.stream.peer is not None and self.configuration.session_synchronization.on:
            self._follow_cold(self.cold.handle(clock(), cold_sync.GapFound()))

    def _attribute(self, local: frozenset[bytes]) -> None:
        self.attribution = self.relay.attribution = self.injection.attribution = Attribution(self.configuration, local)

    def _timeout(self) -> float:
        if self.walks or (self.outgoing is not None and self.stream.room):
            return 0.0
        now = clock()
        wanted = [self.stream.deadline(), self.report_at, self.audit_at, self.check_at, self.neighbours.due]
        wanted += [*self.yield_at.values(), *self.settle_at.values()]
        cold = self.cold.deadline()
        wanted += [] if cold is None else [cold]
        wanted += [now + 50 * MILLISECOND] if any(path.socket is None for path in self.paths.values()) else []
        return max(0.0, (min(wanted) - now) / 1e9)

    def turn(self, ready: set[object]) -> None:
        """Serve once what is ready: sockets, or ``PATHS``."""
        now = clock()
        if self.parent in ready:
            self._read_parent()
        if self.engine in ready:
            self._read_engine(now)
        self._open_paths(now)
        if PATHS in ready:
            self._drain_paths(now)
        if self.configuration.session_synchronization.on:
            if self.reader in ready:
                self._take_events(now)
            if self.expectations in ready:
                self._take_expectations()
            self._work(now)
        else:
            while self.walks:
                self.walks.pop().close()
        self._do(self.stream.handle(now, stream.TurnEnded()))
        self._flush()
        self._follow_cold(self.cold.handle(now, cold_sync.TimePassed()))
        self._answer_drains()
        self._timely(now)
        self._report(now)

    def _timely(self, now: Instant) -> None:
        if now >= self.neighbours.due:
            owned = self.owned if self.configuration.session_synchronization.on else frozenset[int]()
            try:
                self.neighbours.look(now, owned, lambda body: self._say(RecordKind.NEIGHBOURS, body))
            except OSError as error:
                self._notice(f"neighbours cannot be read: {error.strerror or error}")
        if now >= self.look_around_at:
            self.look_around_at = now + LOOK_AROUND
            self._listen()
            local = local_addresses(self.configuration)
            if local != self.attribution.local:
                self._attribute(local)
        if now >= self.listen_at:
            # Something is due that often anyway.
            self.listen_at = now + LISTEN_INTERVAL
            if self.configuration.session_synchronization.on:
                self.kernel_watch.listen()
        if now >= self.check_at:
            self._check_kernel(now)
        yielded = _due(self.yield_at, now)
        if yielded:
            self.walks.append(Retention.yielding(yielded, self.attribution))
        settled = _due(self.settle_at, now) & self.owned
        if settled:
            self.walks.append(Retention.settling(settled, self.attribution, _nominal_timeouts()))
        if now >= self.audit_at:
            self.audit_at = now + AUDIT_INTERVAL
            if self.owned and self.stream.peer is not None and self.outgoing is None:
                self._begin_outgoing(None, digests_only=True)

    def _check_kernel(self, now: Instant) -> None:
        """What somebody may have changed under us, and whether there is room again."""
        self.check_at = now + CHECK_INTERVAL
        if not self.configuration.session_synchronization.on:
            return
        for sentence in self.kernel_watch.look():
            self._notice(sentence)
        if self.kernel_watch.was_silent:
            # What began meanwhile nobody has told us, and will not.
            self.kernel_watch.was_silent, self.overrun_pending = False, True
        if self.cold.state == cold_sync.State.REFUSED and self.kernel_watch.has_room:
            self._follow_cold(self.cold.handle(now, cold_sync.RoomFound()))

    # -- the other processes ----------------------------------------------------------------------------------------

    def _read_parent(self) -> None:
        for data in _messages(self.parent):
            message = children.decode(data)
            if isinstance(message, children.ConfigurationLoaded):
                before, self.configuration = self.configuration, message.configuration
                if before.session_synchronization != message.configuration.session_synchronization:
                    self._refilter()
                self._attribute(local_addresses(self.configuration))
                self.neighbours.configuration = self.configuration
                self.wanted_paths = _path_addresses(self.configuration)
                self._listen()

    def _read_engine(self, now: Instant) -> None:
        for data in _messages(self.engine):
            message = children.decode(data)
            if isinstance(message, children.OwnershipTold):
                self._ownership(now, frozenset(message.primary) - {HOME}, message.peer_alive)
            elif isinstance(message, children.DrainRequested):
                self.drains.append(message.number)

    def _ownership(self, now: Instant, owned: frozenset[int], peer_alive: bool) -> None:
        lost = self.owned - owned
        if lost:
            # What happened before the loss is still ours to tell.
            self._take_events(now)
            self._take_expectations()
        gained = owned - self.owned
        self.owned = self.injection.owned = owned
        self.told = True
        self._listen()
        for group in lost:
            self.yield_at[group] = now + YIELD_AFTER_LOSS
        for group in gained:
            if group in self.yield_at:
                # The windows that moved while it was away are not known here, and its packets are coming.
                self.yield_at[group] = now
            self.settle_at[group] = now + SETTLE_AFTER_CLAIM
            self.claimed_at[group] = now
            # What it lacks of our table a new owner must not lose to a mark that refers to the old one.
            self.sweep = None
        self._follow_cold(self.cold.handle(now, cold_sync.PeerHeard(peer_alive)))

    def _answer_drains(self) -> None:
        """Everything that our kernel had said is acknowledged, or there is nobody to wait for."""
        if self.drains and (self.stream.settled or self.stream.peer is None):
            for number in self.drains:
                self._tell(children.Drained(number))
            self.drains.clear()

    def _report(self, now: Instant) -> None:
        decisive = self._covered(now), self._cold_state()
        if decisive == self.reported and now < self.report_at:
            return
        self.report_at = now + REPORT_INTERVAL
        self.reported = decisive
        self._tell(children.SessionsReported(self._status(now), started=not self.told))

    def _covered(self, now: Instant) -> bool:
        return not self.configuration.session_synchronization.on or self.cold.covered(now)

    def _cold_state(self) -> str:
        return self.cold.state.value if self.configuration.session_synchronization.on else "off"

    def _status(self, now: Instant) -> SessionStatus:
        on = self.configuration.session_synchronization.on
        counters = dict(self.counters + self.expectations.counters + self.injection.counters)
        counters["events dropped by the kernel"] = self.reader.overruns
        counters["pieces sent again"] = self.stream.resent
        counters["queue overflows"] = self.stream.overflows
        counters["events not understood"] = self.relay.not_understood
        counters["ambiguous groups"] = self.attribution.ambiguous
        counters |= {f"datagrams dropped: {cause.value}": count for cause, count in self.link.drops.items() if count}
        return SessionStatus(
            on=on,
            peer=self.stream.peer is not None,
            covered=self._covered(now),
            cold_sync=self._cold_state(),
            completed=self.cold.completed,
            failed=self.cold.failed,
            events=tuple(self.events),
            backlog_bytes=self.stream.backlog,
            services=tuple((name, self.relay.sent[key], self.received[key]) for name, key in SERVICES),
            counters={name: count for name, count in sorted(counters.items()) if count},
            lag_ns=self.stream.lag(now),
            table=self.kernel_watch.table(),
            received=self.came,
        )

    def _tell(self, message: children.Message) -> None:
        with contextlib.suppress(OSError):
            self.engine.send(children.encode(message), socket.MSG_DONTWAIT)

    def _notice(self, what: str) -> None:
        """To the log, each sentence once a minute at most."""
        now = clock()
        if now - self.noticed.get(what, now - NOTICE_INTERVAL) >= NOTICE_INTERVAL:
            self.noticed[what] = now
            self._tell(children.Notice(f"sessions: {what}"))

    # -- paths ------------------------------------------------------------------------------------------------------

    def _open_paths(self, now: Instant) -> None:
        wanted = self.wanted_paths if self.configuration.session_synchronization.on else {}
        changed = False
        for path in [path for path in self.paths if path not in wanted]:
            self._forget(self.paths.pop(path))
            changed = True
        for path, (interface, local, peer) in wanted.items():
            if path not in self.paths:
                self.paths[path] = LinkSocket(interface, local, peer, SESSION_PORT)
                changed = True
            made = self.paths[path]
            before = made.socket
            if made.ensure_open(now) or made.socket is not before:
                changed = True
        if changed:
            self._watch_paths(now)

    def _forget(self, path: LinkSocket) -> None:
        path.close()

    def _watch_paths(self, now: Instant) -> None:
        for key in list(self.selector.get_map().values()):
            if key.data == PATHS:
                self.selector.unregister(key.fileobj)
        for made in self.paths.values():
            if made.socket is not None:
                for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
                    with contextlib.suppress(OSError):
                        made.socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
                made.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 0)
                self.selector.register(made.socket, selectors.EVENT_READ, PATHS)
        usable = tuple(path for path, made in sorted(self.paths.items()) if made.socket is not None)
        self.stream.handle(now, stream.PathsChanged(usable))

    def _drain_paths(self, now: Instant) -> None:
        for path, made in self.paths.items():
            before = made.socket
            for _ in range(DATAGRAMS_PER_TURN):
                try:
                    datagram = made.receive()
                except OSError:
                    continue
                if datagram is None:
                    break
                opened = self.link.open(path, datagram)
                if opened is not None:
                    self._heard(now, path, opened)
            if made.socket is not before:
                self._watch_paths(now)

    def _heard(self, now: Instant, path: PathId, opened: Opened) -> None:
        message = opened.message
        try:
            if message.kind == Kind.DATA:
                number = SEQUENCE.unpack_from(message.body)[0]
                body = message.body[SEQUENCE.size :]
                event: stream.Event = stream.PieceHeard(
                    path, opened.incarnation, opened.sequence, message.echo, message.stream, number, body
                )
            else:
                told = decode_acknowledgement(message.body)
                acknowledged = stream.Acknowledged(message.stream, told.expected, told.missing)
                answer = told.answer if opened.answers else None
                event = stream.HelloHeard(
                    path, opened.incarnation, opened.sequence, message.echo, acknowledged, told.challenge, answer
                )
        except (MalformedSessionError, struct.error):
            self.counters["malformed"] += 1
            return
        self._do(self.stream.handle(now, event))
        if opened.incarnation == self.stream.peer:
            self.peer_speaks = opened.newest

    def _do(self, actions: list[stream.Action]) -> None:
        for action in actions:
            match action:
                case stream.SendPiece(path, echo, number, sequence, body):
                    self._send(path, SessionMessage(Kind.DATA, echo, number, SEQUENCE.pack(sequence) + body))
                case stream.SendHello(path, echo, acknowledged, challenge, answer):
                    said = Acknowledgement(acknowledged.expected, acknowledged.missing, challenge, answer)
                    body = encode_acknowledgement(said)
                    self._send(path, SessionMessage(Kind.HELLO, echo, acknowledged.stream, body))
                case stream.Deliver(body):
                    self._delivered(body)
                case stream.PeerJoined():
                    self.sweep = self.outgoing = None
                    self.wanted_out.clear()
                    self._follow_cold(self.cold.handle(clock(), cold_sync.PeerJoined()))
                case stream.PeerLost():
                    self.sweep = self.outgoing = None
                    self._follow_cold(self.cold.handle(clock(), cold_sync.PeerLost()))
                case stream.GapBegan():
                    self.sweep = None
                    self.counters["gaps in the peer's stream"] += 1
                    self._follow_cold(self.cold.handle(clock(), cold_sync.GapFound()))

    def _send(self, path: PathId, message: SessionMessage) -> None:
        made = self.paths.get(path)
        if made is not None:
            made.send(self.link.seal(path, message))

    def _queue(self, body: bytes) -> None:
        self._do(self.stream.handle(clock(), stream.Queued(body)))

    def _say(self, kind: RecordKind, body: bytes) -> None:
        self._queue(packed_records([(kind, body)]))

    # -- what the peer sent -----------------------------------------------------------------------------------------

    def _delivered(self, body: bytes) -> None:
        try:
            for kind, content in records(unpacked(body)):
                self._record(kind, content)
        except (MalformedSessionError, MalformedMessageError, struct.error, ValueError):
            self.counters["malformed"] += 1
            # Something of the stream is lost with it.
            self._missing()
        except OSError as error:
            self._notice(f"the connection table cannot be read: {error.strerror or error}")
            self._missing()

    def _record(self, kind: RecordKind, content: bytes) -> None:
        match kind:
            case RecordKind.CONNECTIONS:
                self._connections_came(content)
            case RecordKind.RESYNC_REQUESTED:
                number, buckets = NUMBER.unpack_from(content)[0], decode_buckets(content[NUMBER.size :])
                self.wanted_out.append((number, buckets))
            case RecordKind.RESYNC_BEGAN:
                number, groups, rest = _numbered_groups(content)
                self._flush()
                self.cold.handle(clock(), cold_sync.ResyncBegan(number))
                self.came, self.coming = 0, True
                self.sweep = Sweep(number, decode_buckets(rest), self.attribution, groups - self.owned, self._breathe)
            case RecordKind.RESYNC_ENDED:
                self._resync_ended(*_numbered_groups(content)[:2])
            case RecordKind.DIGESTS:
                _number, groups, rest = _numbered_groups(content)
                self._digests_came(groups - self.owned, Digests.decode(rest))
            case RecordKind.EXPECTATIONS:
                # What they wait for comes first.
                self._flush()
                self.expectations.came(content, self.attribution, self.owned)
            case RecordKind.NEIGHBOURS:
                self.neighbours.heard(clock(), content, self.owned)

    def _connections_came(self, content: bytes) -> None:
        counts = counted(content)
        if self.coming:
            self.came += sum(counts)
        for place, count in enumerate(counts):
            if count:
                self.received[place // 2, AF_INET6 if place % 2 else AF_INET] += count
        if self.owned or (self.sweep is not None and not self.sweep.holds_nothing):
            content = self._looked_at(content)
        self.injection.add(content)

    def _looked_at(self, content: bytes) -> bytes:
        """Each message is noted in the sweep; what is about a group of our own is left out.

        A node that was stopped and continues does not know yet that its group, and its word, is another's now. Of a group
        that came a moment ago the former owner's last words are still on their way.
        """
        foreign: list[bytes] = []
        late: list[bytes] = []
        now = clock()
        fresh = {group for group in self.owned if now - self.claimed_at[group] < LATE_WORDS}
        at = 0
        while at < len(content):
            one = content[at : at + HEADER.unpack_from(content, at)[0]]
            if self.sweep is not None:
                self.sweep.came(one)
            group = self.attribution.group(parts_of(one)) if self.owned else None
            if group not in self.owned:
                foreign.append(one)
            elif group in fresh:
                late.append(one)
            else:
                self.counters["messages about our own groups"] += 1
            at += len(one)
        self.injection.add_late(late)
        return b"".join(foreign)

    def _missing(self) -> None:
        """Some of what the peer said is not in our kernel, and we cannot tell what: it must say everything again."""
        self._follow_cold(self.cold.handle(clock(), cold_sync.GapFound()))

    def _flush(self) -> None:
        self.injection.flush()
        if self.injection.full:
            self.injection.full = False
            self._notice("the connection table is full: raise net.netfilter.nf_conntrack_max, on both nodes alike")
            self._follow_cold(self.cold.handle(clock(), cold_sync.Refused()))

    def _resync_ended(self, number: int, groups: frozenset[int]) -> None:
        self._flush()
        self.coming = False
        if self.sweep is not None and self.sweep.number == number:
            stale = self.sweep.stale(groups - self.owned)
            self.counters["stale connections removed"] += len(stale)
            for start in range(0, len(stale), 256):
                self.injector.inject(b"".join(stale[start : start + 256]))
            self.sweep = None
        self._follow_cold(self.cold.handle(clock(), cold_sync.ResyncEnded(number)))

    def _digests_came(self, groups: frozenset[int], theirs: Digests) -> None:
        """Compare with what we hold of the peer's groups, and ask for what differs."""
        self._flush()
        own = Sweep(0, None, self.attribution, groups, self._breathe, digests=True).digests
        differing = own.differing(theirs)
        self.counters["audits"] += 1
        if differing:
            self.counters["buckets repaired by audit"] += len(differing)
            self._say(RecordKind.RESYNC_REQUESTED, NUMBER.pack(0) + encode_buckets(differing))

    def _breathe(self) -> None:
        """In the middle of long work: the peer must not think we are gone."""
        self._do(self.stream.handle(clock(), stream.TurnEnded()))

    def _follow_cold(self, actions: list[cold_sync.Action]) -> None:
        for action in actions:
            if isinstance(action, cold_sync.AskForAll):
                self._say(RecordKind.RESYNC_REQUESTED, NUMBER.pack(action.number & 0xFFFFFFFF))
            else:
                self.events = [*self.events, f"{datetime.now():%b %d %H:%M:%S.%f}"[:-3] + f" : {action.text}"][-MAX_EVENTS_KEPT:]

    # -- what our kernel says -----------------------------------------------------------------------------------------

    def _take_events(self, now: Instant) -> None:
        if now - self.last_busy < BUSY_WITHIN:
            time.sleep(GATHER_MORE_S if self.many else GATHER_S)
        overruns = self.reader.overruns
        events = self.reader.read(EVENTS_PER_TURN)
        if self.reader.overruns != overruns:
            self.overrun_pending = True
        if not events:
            return
        self.last_busy, self.many = clock() if len(events) > 1 else 0, len(events) >= MANY_EVENTS
        self.counters["events"] += len(events)
        if self.stream.peer is None or not self.owned:
            return
        told = self._told(events)
        for body in packed(told, BODY_BYTES):
            self._queue(body)

    def _take_expectations(self) -> None:
        """Behind the events of connections, the announcing ones among them."""
        told, overrun = self.expectations.heard(self.attribution, self.owned if self._peer_takes_expectations else frozenset())
        self.overrun_pending |= overrun
        self._tell_expectations(told)

    @property
    def _peer_takes_expectations(self) -> bool:
        return self.stream.peer is not None and self.peer_speaks >= EXPECTATIONS_SINCE

    def _tell_expectations(self, told: list[bytes]) -> None:
        if self._peer_takes_expectations:
            for body in packed(told, BODY_BYTES, RecordKind.EXPECTATIONS):
                self._queue(body)

    def _told(self, events: list[bytes]) -> list[bytes]:
        """What the peer is to be told about these events."""
        if self.outgoing is not None:
            for event in events:
                if ATTRIBUTE.unpack_from(event, 4)[0] == DELETE:
                    with contextlib.suppress(MalformedMessageError):
                        self.outgoing.destroyed(parts_of(event))
        return self.relay.told(events, self.owned)

    # -- walks ------------------------------------------------------------------------------------------------------

    def _work(self, now: Instant) -> None:
        if self.overrun_pending and now - self.overrun_at >= OVERRUN_PAUSE and self.outgoing is None:
            # What the kernel could not tell us is found by telling everything.
            self.overrun_pending, self.overrun_at = False, now
            if self.owned and self.stream.peer is not None:
                self._begin_outgoing(None)
        if self.outgoing is None and self.wanted_out and self.told and self.stream.peer is not None:
            number, buckets = self.wanted_out.pop(0)
            self._begin_outgoing(buckets, number)
        if self.outgoing is not None:
            self._continue_outgoing()
        if self.walks:
            self._continue_walk(self.walks[0])

    def _begin_outgoing(self, buckets: frozenset[int] | None, number: int = 0, *, digests_only: bool = False) -> None:
        self.outgoing = Outgoing(number, buckets, self.attribution, self.owned, digests_only)
        if not digests_only:
            self.counters["resynchronisations sent"] += 1
            self._say(RecordKind.RESYNC_BEGAN, NUMBER.pack(number) + _encode_groups(self.owned) + encode_buckets(buckets))

    def _continue_outgoing(self) -> None:
        outgoing = self.outgoing
        assert outgoing is not None
        for _ in range(PIECES_PER_TURN):
            if not self.stream.room or self.outgoing is None:
                return
            try:
                told = outgoing.next()
            except OSError as error:
                self.outgoing = None
                self._notice(f"the connection table cannot be read: {error.strerror or error}")
                self.wanted_out.insert(0, (outgoing.number, outgoing.buckets))
                return
            for body in packed(told, BODY_BYTES):
                self._queue(body)
            if outgoing.done:
                self.outgoing = None
                self._end_outgoing(outgoing)
                return

    def _end_outgoing(self, outgoing: Outgoing) -> None:
        if not outgoing.digests_only:
            if outgoing.buckets is None:
                try:
                    self._tell_expectations(self.expectations.all(self.attribution, self.owned))
                except OSError as error:
                    self._notice(f"expectations cannot be read: {error.strerror or error}")
            # Of a group lost since the beginning we cannot say what is stale.
            mark = NUMBER.pack(outgoing.number) + _encode_groups(outgoing.groups & self.owned)
            self._say(RecordKind.RESYNC_ENDED, mark + NUMBER.pack(outgoing.count))
        elif outgoing.groups == self.owned:
            self._say(RecordKind.DIGESTS, NUMBER.pack(0) + _encode_groups(self.owned) + outgoing.digests.encode())

    def _continue_walk(self, walk: Walk) -> None:
        for _ in range(PIECES_PER_TURN):
            try:
                changes = walk.next()
            except OSError:
                walk.done = True
                changes = []
            if changes:
                self.injector.inject(b"".join(changes))
            if walk.done:
                walk.close()
                self.walks.remove(walk)
                return


SERVICES = (
    ("Session create", (Service.CREATE, AF_INET)),
    ("IPv6 session create", (Service.CREATE, AF_INET6)),
    ("Session close", (Service.CLOSE, AF_INET)),
    ("IPv6 session close", (Service.CLOSE, AF_INET6)),
    ("Session change", (Service.CHANGE, AF_INET)),
    ("IPv6 session change", (Service.CHANGE, AF_INET6)),
)
"""In the vendor's order and words (reference 7.6). NAT travels with its session and has no row of its own."""


def _due(instants: dict[int, Instant], now: Instant) -> frozenset[int]:
    """Takes the groups out whose instant has come."""
    due = frozenset(group for group, at in instants.items() if now >= at)
    for group in due:
        del instants[group]
    return due


def _encode_groups(groups: frozenset[int]) -> bytes:
    return sum(1 << group for group in groups).to_bytes(GROUP_BYTES)


def _numbered_groups(content: bytes) -> tuple[int, frozenset[int], bytes]:
    """Number, groups and the rest of a record that begins with them."""
    at = NUMBER.size + GROUP_BYTES
    if len(content) < at:
        raise MalformedSessionError("record ends early")
    bits = int.from_bytes(content[NUMBER.size : at])
    return NUMBER.unpack_from(content)[0], frozenset(g for g in range(MAX_GROUP + 1) if bits >> g & 1), content[at:]


def _path_addresses(c: ClusterConfiguration) -> dict[PathId, tuple[str, str, str]]:
    """Interface, own and the peer's address of each path: the fabric links, without any the control links."""
    if c.fabric_links:
        return {FIRST_FABRIC_PATH + link.index: (link.interface, *c.fabric_ends(link)) for link in c.fabric_links}
    return {link.index: (link.interface, *c.control_ends(link)) for link in c.control_links}


def _nominal_timeouts() -> dict[str, int]:
    """Seconds by name, as this kernel has them."""
    return {name: int(sysctl.read(f"net/netfilter/nf_conntrack_{name}") or default) for name, default in TIMEOUTS.items()}


def _messages(channel: socket.socket) -> list[bytes]:
    """All datagrams waiting; the process ends when the other side is gone for good."""
    found: list[bytes] = []
    while True:
        try:
            data = channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        if not data:
            os._exit(0)
        found.append(data)
