"""The engine's flight recorder: a core that writes down what it is told and answers, and hands it over in batches.

There is no other way to tell this core something, so nothing can be forgotten. It touches no disk and waits for nobody:
batches go to the gateway process as far as the channel takes them, wait here within bounds otherwise, and beyond that
are dropped and counted. After a loss a checkpoint comes first, so that what follows can be replayed again.
"""

import socket
import time
from collections import deque
from collections.abc import Iterable

from jsrpd.core import checkpoint
from jsrpd.core.actions import Action
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import Event
from jsrpd.core.journal import Packer
from jsrpd.core.lease import AdoptedLease
from jsrpd.management import engine_link
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import Incarnation
from jsrpd.model.time import SECOND, Duration, Instant

BATCH_BYTES = 32 * 1024
BATCH_AGE: Duration = 1 * SECOND
WAITING_BYTES = 1 << 20
"""What may wait for a gateway that does not read, besides what the channel holds."""


def wall_offset() -> Duration:
    """Wall clock less boot-time clock, ns. For readers only: nothing is decided by it."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class RecordedCluster(Cluster):
    """The core, recorded."""

    def __init__(
        self,
        configuration: ClusterConfiguration,
        now: Instant,
        incarnation: Incarnation,
        adopted: Iterable[AdoptedLease] = (),
        software_version: str = "",
    ) -> None:
        leases = tuple(adopted)
        super().__init__(configuration, now, incarnation, leases, software_version)
        self.checkpoint_wanted = False
        self.dropped = 0
        """Records lost since start."""
        self._packer = Packer(incarnation)
        self._packer.start(now, configuration, leases, software_version)
        self._batch_due = now + BATCH_AGE
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._waiting_records = 0

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """As ``Cluster.handle``, and written down."""
        actions = super().handle(now, event)
        self._packer.event(now, event, actions)
        return actions

    def commanded(self, now: Instant, by: str, command: str, ok: bool, answer: str) -> None:
        """An operator's command was carried out or refused."""
        self._packer.command(now, by, command, ok, answer)

    def hand_over(self, now: Instant, gateway: socket.socket, last: bool = False) -> None:
        """At the end of a turn: send what is due; at once when an operator will want to read it, or it was the ``last`` turn."""
        packer = self._packer
        if self.checkpoint_wanted:
            self.checkpoint_wanted = False
            self._close()
            packer.checkpoint(now, checkpoint.encode(self))
        if packer.count and (last or packer.readable or now >= self._batch_due or packer.size >= BATCH_BYTES):
            self._close()
            self._batch_due = now + BATCH_AGE
            self._send(gateway)

    def _close(self) -> None:
        if not self._packer.count:
            return
        self._waiting_records += self._packer.count
        batch = engine_link.encode(engine_link.JournalClosed(self._packer.close(wall_offset())))
        self._waiting.append(batch)
        self._waiting_bytes += len(batch)

    def _send(self, gateway: socket.socket) -> None:
        while self._waiting:
            try:
                gateway.send(self._waiting[0], socket.MSG_DONTWAIT)
            except OSError:
                # Full, or nobody there. What waits is kept for a gateway that comes back, within bounds.
                if self._waiting_bytes > WAITING_BYTES:
                    self.dropped += self._waiting_records
                    self._forget()
                    self.checkpoint_wanted = True
                return
            self._waiting_bytes -= len(self._waiting.popleft())
        self._forget()

    def _forget(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = self._waiting_records = 0
