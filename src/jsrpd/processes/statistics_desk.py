"""What the engine counts for ``show chassis cluster … statistics``, per path, and what an operator set to zero (reference 7.6)."""

from dataclasses import dataclass

import msgspec

from jsrpd.management.engine_link import CommandReplied, StatisticsCleared
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH, PathId
from jsrpd.model.status import HeartbeatCounters, SessionStatus
from jsrpd.wire.envelope import DropCause


@dataclass(slots=True)
class Counters:
    """Of one path, since the start or since they were cleared. ``last_…``: sequence numbers."""

    sent: int = 0
    received: int = 0
    errors: int = 0
    duplicates: int = 0
    last_sent: int = 0
    last_received: int = 0


class StatisticsDesk:
    """Counts, shows and clears."""

    def __init__(self) -> None:
        self._paths: dict[PathId, Counters] = {}
        self._sessions: SessionStatus | None = None
        """As they were when the operator cleared them: the session process counts on."""

    def _of(self, path: PathId) -> Counters:
        return self._paths.setdefault(path, Counters())

    def sent(self, path: PathId, sequence: int, taken: bool) -> None:
        """A heartbeat was given to the kernel, which took it or not."""
        counters = self._of(path)
        counters.last_sent = sequence
        if taken:
            counters.sent += 1
        else:
            counters.errors += 1

    def heard(self, path: PathId, sequence: int) -> None:
        """A heartbeat of the peer."""
        counters = self._of(path)
        counters.received += 1
        counters.last_received = sequence

    def dropped(self, path: PathId, cause: DropCause) -> None:
        """Something that was not taken. Whoever is not admitted yet has made no mistake."""
        if cause is DropCause.REPLAYED:
            self._of(path).duplicates += 1
        elif cause is not DropCause.NOT_ADMITTED:
            self._of(path).errors += 1

    def failed(self, path: PathId) -> None:
        """The kernel could not receive."""
        self._of(path).errors += 1

    def heartbeats(self, configuration: ClusterConfiguration) -> tuple[HeartbeatCounters, ...]:
        """Of the paths that are configured: control links, fabric links, segments."""
        control = [("control", link.index, link.interface, link.index) for link in configuration.control_links]
        fabric = [("fabric", link.index, link.interface, FIRST_FABRIC_PATH + link.index) for link in configuration.fabric_links]
        segments = enumerate(configuration.in_band_segments)
        in_band = [("in-band", number, reth.child, FIRST_IN_BAND_PATH + number) for number, reth in segments]
        return tuple(
            HeartbeatCounters(kind, index, interface, c.sent, c.received, c.errors, c.duplicates, c.last_sent, c.last_received)
            for kind, index, interface, path in (*control, *fabric, *in_band)
            for c in [self._of(path)]
        )

    def sessions(self, status: SessionStatus | None) -> SessionStatus | None:
        """With the counts since they were cleared. Counts that fell are those of a new session process, which began at zero."""
        base = self._sessions
        if status is None or base is None:
            return status
        before = {name: (sent, received) for name, sent, received in base.services}
        services = []
        for name, sent, received in status.services:
            sent_before, received_before = before.get(name, (0, 0))
            services.append((name, _grown(sent, sent_before), _grown(received, received_before)))
        counters = {name: _grown(count, base.counters.get(name, 0)) for name, count in status.counters.items()}
        return msgspec.structs.replace(status, services=tuple(services), counters=counters)

    def clear(self, order: StatisticsCleared, sessions: SessionStatus | None) -> CommandReplied:
        """Carry out an operator's order."""
        lines = []
        if order.control_plane:
            for counters in self._paths.values():
                counters.sent = counters.received = counters.errors = counters.duplicates = 0
            lines.append("Cleared control-plane statistics")
        if order.data_plane:
            self._sessions = sessions
            lines.append("Cleared data-plane statistics")
        return CommandReplied(order.id, True, "\n".join(lines))


def _grown(count: int, before: int) -> int:
    return count - before if count >= before else count
