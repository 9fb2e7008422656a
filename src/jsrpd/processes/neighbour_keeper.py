"""Neighbour entries for the peer, and the peer's for us: each second a look, a word only when something changed."""

from collections.abc import Callable

from jsrpd.kernel.neighbours import Neighbour, Neighbours
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.time import SECOND, Instant
from jsrpd.wire.neighbours import decode_neighbours, encode_neighbours

LOOK_INTERVAL = SECOND
TELL_AGAIN = 10 * SECOND
MOST = 4096
"""Neighbours that are kept; a segment with more resolves the rest itself."""
PER_RECORD = 48


class NeighbourKeeper:
    """On the owner's side it tells, on the standby's it installs, group by group."""

    def __init__(self, configuration: ClusterConfiguration, now: Instant) -> None:
        self.configuration = configuration
        self.due: Instant = now + LOOK_INTERVAL
        self._kernel = Neighbours()
        self._told: frozenset[Neighbour] = frozenset()
        self._told_at: Instant = now - TELL_AGAIN
        # By interface and address: the MAC, and when the peer named it last.
        self._wanted: dict[tuple[str, bytes], tuple[bytes, Instant]] = {}
        self._installed: set[Neighbour] = set()

    def look(self, now: Instant, owned: frozenset[int], tell: Callable[[bytes], None]) -> None:
        """Tell the peer of our groups' neighbours; put back what is missing of the peer's."""
        self.due = now + LOOK_INTERVAL
        ours = {reth.name: reth.index for reth in self.configuration.reths if reth.group in owned}
        theirs = frozenset(reth.name for reth in self.configuration.reths if reth.group not in owned)
        usable = self._kernel.usable(frozenset(ours) | theirs)
        self._tell(now, ours, frozenset(one for one in usable if one.interface in ours), tell)
        # What the owner has not named for three rounds is gone there as well.
        self._wanted = {k: (mac, at) for k, (mac, at) in self._wanted.items() if k[0] in theirs and now - at < 3 * TELL_AGAIN}
        wanted = {Neighbour(interface, address, mac) for (interface, address), (mac, _at) in self._wanted.items()}
        stale = {one for one in self._installed - wanted if one.interface in theirs}
        self._kernel.remove(stale)
        missing = wanted - usable
        self._kernel.install(missing)
        self._installed = {one for one in self._installed - stale if one.interface in theirs} | missing

    def _tell(self, now: Instant, indexes: dict[str, int], known: frozenset[Neighbour], tell: Callable[[bytes], None]) -> None:
        if not known or (known == self._told and now - self._told_at < TELL_AGAIN):
            return
        self._told, self._told_at = known, now
        entries = [(indexes[one.interface], one.address, one.mac) for one in list(known)[:MOST]]
        for start in range(0, len(entries), PER_RECORD):
            tell(encode_neighbours(entries[start : start + PER_RECORD]))

    def heard(self, now: Instant, data: bytes, owned: frozenset[int]) -> None:
        """The peer's neighbours. MalformedSessionError for what is none."""
        names = {reth.index: reth.name for reth in self.configuration.reths if reth.group not in owned}
        for index, address, mac in decode_neighbours(data):
            if index in names and len(self._wanted) < MOST:
                self._wanted[names[index], address] = (mac, now)
        self.due = min(self.due, now)
