"""The wire as values: which life of the peer is admitted, and what was heard before.

The same rules as ``jsrpd.wire.link`` without bytes and keys: an unknown life is challenged, its answer admits it and
retires the one before; every datagram is taken once.
"""

from dataclasses import dataclass, field

from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.wire.envelope import ReplayWindow
from jsrpd.wire.link import CHALLENGE_EVERY, MAX_CANDIDATES
from simulator.network import Challenge, Datagram, Response


@dataclass(slots=True)
class _Life:
    windows: dict[tuple[type, PathId], ReplayWindow] = field(default_factory=dict)
    nonce: int = 0
    datagrams: int = 0
    newest: int = 0

    def take(self, path: PathId, datagram: Datagram) -> bool:
        key = (type(datagram.payload), path)
        if key not in self.windows:
            self.windows[key] = ReplayWindow()
        return self.windows[key].take(datagram.sequence)


class SimulatedLink:
    """One per engine life."""

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.peer: Incarnation | None = None
        self._life = _Life()
        self._candidates: dict[Incarnation, _Life] = {}
        self._retired: set[Incarnation] = set()
        self._nonces = 0
        self.unadmitted: Heartbeat | None = None

    def receive(self, path: PathId, datagram: Datagram) -> Heartbeat | Acknowledgement | Challenge | Response | None:
        """What a datagram means: a message of the admitted peer, an answer to be sent back, or nothing."""
        self.unadmitted = None
        known = datagram.incarnation == self.peer
        life = self._life if known else self._candidate(datagram.incarnation)
        payload = datagram.payload
        match payload:
            case Challenge(nonce, whom):
                if not life.take(path, datagram) or whom != self.incarnation:
                    return None
                return Response(nonce, datagram.incarnation)
            case Response(nonce, whom):
                if not known and life.nonce and nonce == life.nonce and whom == self.incarnation:
                    if self.peer is not None:
                        self._retired.add(self.peer)
                    self.peer, self._life = datagram.incarnation, life
                    del self._candidates[datagram.incarnation]
                return None
            case _ if not known:
                new = isinstance(payload, Heartbeat) and datagram.sequence > life.newest
                new = new and datagram.incarnation not in self._retired
                if isinstance(payload, Heartbeat) and new:
                    life.newest, self.unadmitted = datagram.sequence, payload
                return self._challenge(datagram.incarnation, life, new)
            case _:
                return payload if life.take(path, datagram) else None

    def _candidate(self, incarnation: Incarnation) -> _Life:
        life = self._candidates.pop(incarnation, None) or _Life()
        self._candidates[incarnation] = life
        if len(self._candidates) > MAX_CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        return life

    def _challenge(self, incarnation: Incarnation, life: _Life, new: bool) -> Challenge | None:
        life.datagrams += 1
        if not life.nonce:
            self._nonces += 1
            life.nonce = self._nonces
        elif not new and life.datagrams % CHALLENGE_EVERY:
            return None
        return Challenge(life.nonce, incarnation)
