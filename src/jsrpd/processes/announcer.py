"""What a new owner says on its segments: first where the virtual MACs are now, then, a bounded number a turn, each address.

The first frame of a virtual MAC moves the switches' tables, and with them all traffic (SPEC 7, takeover). The addresses
only refresh neighbours that hold another MAC, so a thousand of them must not keep the engine from its heartbeats.
"""

from collections import deque
from collections.abc import Collection

from jsrpd.data_plane.announcements import gratuitous_arp, switch_frame, unsolicited_na
from jsrpd.kernel.packet_socket import FrameSocket
from jsrpd.model.configuration import ClusterConfiguration, Reth
from jsrpd.model.time import MILLISECOND, Duration, Instant

SPREAD: Duration = 100 * MILLISECOND
"""Between two announcements of the same addresses (``gratuitous-arp-count``)."""
FRAMES_A_TURN = 128
"""About a millisecond's work, and with it the whole of an ordinary cluster's addresses."""
REST: Duration = 1 * MILLISECOND
"""Between two turns that announce."""


class Announcer:
    """Of one configuration; ``turn`` belongs into each turn of the engine, and ``deadline`` says when it has work."""

    def __init__(self, configuration: ClusterConfiguration) -> None:
        self._sockets: dict[str, FrameSocket] = {}
        self._waiting: deque[tuple[int, str, bytes]] = deque()
        """Group, reth and frame, in order."""
        self._next_at: Instant = 0
        self._due: list[tuple[Instant, int]] = []
        self.reconfigure(configuration)

    def reconfigure(self, configuration: ClusterConfiguration) -> None:
        """What was still to be said is not said of another configuration. Sockets of reths that stay are kept: to close one waits
        for the kernel (``packet_release`` waits for all readers), and the engine must not."""
        for gone in self._sockets.keys() - {reth.name for reth in configuration.reths}:
            self._sockets.pop(gone).close()
        self._waiting.clear()
        self._counts = {group.group: group.gratuitous_arp_count for group in configuration.groups}
        self._reths: dict[int, list[Reth]] = {}
        for reth in configuration.reths:
            self._reths.setdefault(reth.group, []).append(reth)

    def prepare(self) -> None:
        """Open what a takeover will send by, as far as it is there: with a hundred reths that takes some milliseconds."""
        for reths in self._reths.values():
            for reth in reths:
                self._socket(reth.name)

    def announce(self, now: Instant, group: int, repeat: bool) -> None:
        """The frames of its virtual MACs at once, its addresses in the turns from this one on; a reth that is not there or not up
        yet has nobody to say them to."""
        heard = [reth for reth in self._reths.get(group, []) if self._send(reth.name, switch_frame(reth.mac))]
        self._waiting.extend((group, reth.name, frame) for reth in heard for frame in _announcements(reth))
        self._next_at = min(self._next_at, now)
        if repeat:
            self._due += [(now + n * SPREAD, group) for n in range(1, self._counts.get(group, 0))]

    def turn(self, now: Instant, owned: Collection[int]) -> None:
        """Send what is due, of groups still owned."""
        for group in sorted({group for at, group in self._due if at <= now}):
            if group in owned:
                self.announce(now, group, repeat=False)
        self._due = [(at, group) for at, group in self._due if at > now]
        if now < self._next_at:
            return
        silent: set[str] = set()
        for _ in range(min(FRAMES_A_TURN, len(self._waiting))):
            group, reth, frame = self._waiting.popleft()
            if group in owned and reth not in silent and not self._send(reth, frame):
                # Went down meanwhile: to find that out costs ten times a frame.
                silent.add(reth)
        self._next_at = now + REST

    def deadline(self) -> Instant | None:
        """When ``turn`` has something to do; None: it has nothing."""
        waiting = [self._next_at] if self._waiting else []
        return min((*waiting, *(at for at, _ in self._due)), default=None)

    def _socket(self, reth: str) -> FrameSocket | None:
        if reth not in self._sockets:
            try:
                self._sockets[reth] = FrameSocket(reth)
            except OSError:
                return None
        return self._sockets[reth]

    def _send(self, reth: str, frame: bytes) -> bool:
        """Whether the kernel took it."""
        for _attempt in range(2):
            frame_socket = self._socket(reth)
            if frame_socket is None:
                return False
            if frame_socket.send([frame]):
                return True
            # The reth may have been made anew under the same name: the old socket is bound to the old index.
            self._sockets.pop(reth).close()
        return False


def _announcements(reth: Reth) -> list[bytes]:
    frames: list[bytes] = []
    for address in reth.addresses:
        if ":" in address.address:
            frames.append(unsolicited_na(reth.mac, address.address))
        else:
            frames.extend(gratuitous_arp(reth.mac, address.address))
    return frames
