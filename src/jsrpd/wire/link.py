"""The link to the peer: seals what is said, opens what is heard, and decides whose word counts.

A life of the peer (start id) is admitted only when it answers a fresh challenge, so a recorded session can never pose
as a living peer, and nothing needs to be remembered on disk (decision 0004). No clocks, no I/O; randomness comes in.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from struct import Struct

from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.wire.envelope import (
    START_ID_BYTES,
    DatagramType,
    DropCause,
    Header,
    ReplayWindow,
    Sealer,
    incarnation_of,
    key_id,
    unpack,
)
from jsrpd.wire.heartbeat import (
    MalformedError,
    decode_acknowledgement,
    decode_heartbeat,
    encode_acknowledgement,
    encode_heartbeat,
)

NONCE_BYTES = 16
PROOF = Struct(">16s16sQQ")
"""Body of a response: nonce and start id of the asker, newest heartbeat and acknowledgement sequence sealed so far."""
MAX_CANDIDATES = 4
MAX_RETIRED = 64
"""Lives of the peer that others have taken the place of, and whose late words are known as such."""
CHALLENGE_EVERY = 4
"""A candidate is challenged again with each new heartbeat, in case the answer was lost, and with every fourth of its other
datagrams: what is played back over and over gets no answer each time."""
VERSIONS = (1, 1)
STANDING = {DropCause.KEY_MISMATCH, DropCause.WRONG_CLUSTER, DropCause.NO_COMMON_VERSION}
"""Causes that are a visible state of the path: somebody is there, but not as configured."""


@dataclass(frozen=True, slots=True)
class HeartbeatHeard:
    """The peer said this."""

    incarnation: Incarnation
    sequence: int
    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True)
class AcknowledgementHeard:
    """The peer echoed this."""

    incarnation: Incarnation
    acknowledgement: Acknowledgement


@dataclass(frozen=True, slots=True)
class Answer:
    """Send this back on the same path."""

    datagram: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """A new life of the peer has proven that it lives; what it says from now on counts."""

    incarnation: Incarnation


@dataclass(frozen=True, slots=True)
class Dropped:
    """Not taken, and counted."""

    cause: DropCause


@dataclass(frozen=True, slots=True)
class Unadmitted:
    """A heartbeat under the cluster's key, newer than all before it, of a life that has not proven that it lives."""

    incarnation: Incarnation
    heartbeat: Heartbeat


Received = HeartbeatHeard | AcknowledgementHeard | Answer | Admitted | Dropped


@dataclass(slots=True)
class Life:
    """One life of the peer: its key, and what of it was already taken."""

    sealer: Sealer
    windows: dict[tuple[int, PathId], ReplayWindow] = field(default_factory=dict)
    challenge: bytes = b""
    datagrams: int = 0
    newest: int = 0
    """Highest heartbeat sequence heard before it was admitted."""
    floors: dict[int, int] = field(default_factory=dict)
    """By type: what was sealed up to here is older than the proof of life, so it may be a recording."""

    def take(self, header: Header) -> bool:
        """False for a datagram that was taken before."""
        key = (header.type, header.path)
        if key not in self.windows:
            self.windows[key] = ReplayWindow(self.floors.get(header.type, 0))
        return self.windows[key].take(header.sequence)


class Link:
    """See the module. One per engine; ``incarnation`` is this engine's own."""

    def __init__(
        self,
        cluster_id: int,
        node_id: int,
        key: bytes,
        *,
        start_id: bytes,
        random_bytes: Callable[[int], bytes],
        versions: tuple[int, int] = VERSIONS,
    ) -> None:
        self.incarnation = incarnation_of(start_id)
        self.drops: dict[DropCause, int] = dict.fromkeys(DropCause, 0)
        self.path_conditions: dict[PathId, DropCause] = {}
        self._cluster_id, self._node_id = cluster_id, node_id
        self._key, self._key_id = key, key_id(key)
        self._start_id = start_id
        self._random_bytes = random_bytes
        self._oldest, self._newest = versions
        self._version = versions[1]
        self._sealer = Sealer(key, start_id)
        self._sequences = dict.fromkeys(DatagramType, 0)
        self._heartbeat_sequences: dict[PathId, int] = {}
        self._encoded: tuple[Heartbeat | None, bytes] = (None, b"")
        self._peer: Life | None = None
        self._peer_start_id = b""
        self._decoded: tuple[bytes, Heartbeat] | None = None
        self._candidates: OrderedDict[bytes, Life] = OrderedDict()
        self._retired: deque[bytes] = deque(maxlen=MAX_RETIRED)
        self.unadmitted: Unadmitted | None = None
        """What the datagram received last said, when that counts for nothing but must be known (decision 0061)."""

    # -- saying -----------------------------------------------------------------------------------------------------

    def heartbeat(self, path: PathId, sequence: int, heartbeat: Heartbeat) -> bytes:
        """One datagram for one path; the same heartbeat carries the same sequence on all of them.

        Sequences grow from 1 on each path; ValueError otherwise, because the nonce would repeat.
        """
        if sequence <= self._heartbeat_sequences.get(path, 0):
            raise ValueError(f"heartbeat {sequence} was sealed for path {path} before")
        self._heartbeat_sequences[path] = sequence
        self._sequences[DatagramType.HEARTBEAT] = max(sequence, self._sequences[DatagramType.HEARTBEAT])
        # The same value goes out on every path: encoding it once is most of the cost with 128 groups.
        if self._encoded[0] is not heartbeat:
            self._encoded = (heartbeat, encode_heartbeat(heartbeat))
        return self._seal(DatagramType.HEARTBEAT, path, sequence, self._encoded[1], self._version)

    def acknowledgement(self, path: PathId, acknowledgement: Acknowledgement) -> bytes:
        """One datagram."""
        sequence = self._next(DatagramType.ACKNOWLEDGEMENT)
        return self._seal(DatagramType.ACKNOWLEDGEMENT, path, sequence, encode_acknowledgement(acknowledgement), self._version)

    def _next(self, kind: DatagramType) -> int:
        self._sequences[kind] += 1
        return self._sequences[kind]

    def _seal(self, kind: DatagramType, path: PathId, sequence: int, payload: bytes, version: int) -> bytes:
        header = Header(
            version,
            self._oldest,
            self._newest,
            kind,
            self._cluster_id,
            self._node_id,
            path,
            self._key_id,
            self._start_id,
            sequence,
        )
        return self._sealer.seal(header, payload)

    # -- hearing ----------------------------------------------------------------------------------------------------

    def receive(self, path: PathId, datagram: bytes) -> Received:
        """What a datagram that came by ``path`` means."""
        self.unadmitted = None
        received = self._receive(path, datagram)
        if isinstance(received, Dropped):
            self.drops[received.cause] += 1
            if received.cause in STANDING:
                self.path_conditions[path] = received.cause
        elif path in self.path_conditions:
            del self.path_conditions[path]
        return received

    def overhear(self, path: PathId, datagram: bytes) -> None:
        """A datagram called to all on the path's cable: it can only show that somebody of another cluster is there."""
        header = unpack(datagram)
        if isinstance(header, Header) and header.cluster_id != self._cluster_id:
            self.drops[DropCause.WRONG_CLUSTER] += 1
            self.path_conditions[path] = DropCause.WRONG_CLUSTER

    def _receive(self, path: PathId, datagram: bytes) -> Received:
        header = unpack(datagram)
        if isinstance(header, DropCause):
            return Dropped(header)
        refused = self._refuse(path, header)
        if refused is not None:
            return Dropped(refused)
        if header.start_id == self._peer_start_id and self._peer is not None:
            return self._from_peer(self._peer, header, datagram)
        return self._from_candidate(header, datagram)

    def _refuse(self, path: PathId, header: Header) -> DropCause | None:
        """What the clear header alone rules out."""
        if header.cluster_id != self._cluster_id:
            return DropCause.WRONG_CLUSTER
        if header.node_id == self._node_id:
            return DropCause.OWN_NODE
        if header.key_id != self._key_id:
            return DropCause.KEY_MISMATCH
        if not (header.oldest <= self._newest and self._oldest <= header.newest and self._oldest <= header.version <= self._newest):
            return DropCause.NO_COMMON_VERSION
        if header.path != path:
            return DropCause.WRONG_PATH
        return None

    def _from_peer(self, peer: Life, header: Header, datagram: bytes) -> Received:
        payload = peer.sealer.open(header, datagram)
        if payload is None:
            return Dropped(DropCause.NOT_AUTHENTIC)
        if not peer.take(header):
            return Dropped(DropCause.REPLAYED)
        self._version = self._common_version(header)
        try:
            return self._meaning(peer, header, payload)
        except MalformedError:
            return Dropped(DropCause.MALFORMED)

    def _common_version(self, header: Header) -> int:
        """What its sender and we both speak; a challenged life may speak another than the admitted one."""
        return min(self._newest, header.newest)

    def _meaning(self, peer: Life, header: Header, payload: bytes) -> Received:
        if header.type == DatagramType.HEARTBEAT:
            return HeartbeatHeard(header.incarnation, header.sequence, self._heartbeat_of(payload))
        if header.type == DatagramType.ACKNOWLEDGEMENT:
            return AcknowledgementHeard(header.incarnation, decode_acknowledgement(payload))
        if header.type == DatagramType.CHALLENGE:
            return self._respond(header, payload)
        if header.type == DatagramType.RESPONSE:
            return self._answered_again(header, peer, payload)
        return Dropped(DropCause.MALFORMED)

    def _answered_again(self, header: Header, peer: Life, payload: bytes) -> Received:
        """A repeated challenge has several answers, the first of which was news. One to a former life of ours is a recording."""
        return Admitted(header.incarnation) if self._proves(peer, payload) else Dropped(DropCause.REPLAYED)

    def _proves(self, life: Life, payload: bytes) -> bool:
        """It answers what this life of ours has asked that life of the peer."""
        if len(payload) < PROOF.size:
            return False
        nonce, asker, *_ = PROOF.unpack_from(payload)
        return bool(nonce == life.challenge and asker == self._start_id)

    def _heartbeat_of(self, payload: bytes) -> Heartbeat:
        """Each path carries the same one: it is taken apart once."""
        if self._decoded is None or self._decoded[0] != payload:
            self._decoded = payload, decode_heartbeat(payload)
        return self._decoded[1]

    def _from_candidate(self, header: Header, datagram: bytes) -> Received:
        """A life we do not know: authentic first, then proven living by a challenge."""
        candidate = self._candidates.get(header.start_id) or Life(Sealer(self._key, header.start_id))
        payload = candidate.sealer.open(header, datagram)
        if payload is None:
            return Dropped(DropCause.NOT_AUTHENTIC)
        self._remember(header.start_id, candidate)
        if header.type == DatagramType.CHALLENGE:
            # To prove that we live needs no trust in who asks, only the right key. Once per datagram of theirs.
            return self._respond(header, payload) if candidate.take(header) else Dropped(DropCause.REPLAYED)
        if header.type == DatagramType.RESPONSE:
            return self._admit(header, candidate, payload)
        new = header.type == DatagramType.HEARTBEAT and header.sequence > candidate.newest and header.start_id not in self._retired
        if new:
            candidate.newest = header.sequence
            with suppress(MalformedError):
                self.unadmitted = Unadmitted(header.incarnation, decode_heartbeat(payload))
        return self._challenge(header, candidate, new)

    def _remember(self, start_id: bytes, candidate: Life) -> None:
        self._candidates[start_id] = candidate
        self._candidates.move_to_end(start_id)
        if len(self._candidates) > MAX_CANDIDATES:
            self._candidates.popitem(last=False)

    def _admit(self, header: Header, life: Life, payload: bytes) -> Received:
        if not self._proves(life, payload):
            return Dropped(DropCause.FORGED_RESPONSE)
        _, _, heartbeats, acknowledgements = PROOF.unpack_from(payload)
        life.take(header)
        life.floors = {DatagramType.HEARTBEAT: heartbeats, DatagramType.ACKNOWLEDGEMENT: acknowledgements}
        if self._peer is not None:
            self._retired.append(self._peer_start_id)
        self._peer, self._peer_start_id = life, header.start_id
        self._version = self._common_version(header)
        # Other challenges become void: the late answer of an older life must not replace this one.
        self._candidates.clear()
        return Admitted(header.incarnation)

    def _challenge(self, header: Header, candidate: Life, new: bool) -> Received:
        candidate.datagrams += 1
        if not candidate.challenge:
            candidate.challenge = self._random_bytes(NONCE_BYTES)
        elif not new and candidate.datagrams % CHALLENGE_EVERY:
            return Dropped(DropCause.NOT_ADMITTED)
        sequence = self._next(DatagramType.CHALLENGE)
        question = candidate.challenge + header.start_id
        return Answer(self._seal(DatagramType.CHALLENGE, header.path, sequence, question, self._common_version(header)))

    def _respond(self, header: Header, payload: bytes) -> Received:
        """Echo the nonce under our own life's key, for the asker's life, if the question was meant for this life."""
        if len(payload) < NONCE_BYTES + START_ID_BYTES:
            return Dropped(DropCause.MALFORMED)
        if payload[NONCE_BYTES : NONCE_BYTES + START_ID_BYTES] != self._start_id:
            return Dropped(DropCause.REPLAYED)
        sequence = self._next(DatagramType.RESPONSE)
        proof = PROOF.pack(
            payload[:NONCE_BYTES],
            header.start_id,
            self._sequences[DatagramType.HEARTBEAT],
            self._sequences[DatagramType.ACKNOWLEDGEMENT],
        )
        return Answer(self._seal(DatagramType.RESPONSE, header.path, sequence, proof, self._common_version(header)))
