"""What an operator set to zero for ``show chassis cluster … statistics`` (reference 7.6)."""

import msgspec

from jsrpd.management.engine_link import CommandReplied, StatisticsCleared
from jsrpd.model.status import SessionStatus
from jsrpd.processes.path_statistics import PathStatistics


class StatisticsDesk:
    """Clears counts, those of other processes by what they were then."""

    def __init__(self, paths: PathStatistics) -> None:
        self._paths = paths
        self._sessions: SessionStatus | None = None
        """As they were when the operator cleared them: the session process counts on."""

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
            self._paths.clear()
            lines.append("Cleared control-plane statistics")
        if order.data_plane:
            self._sessions = sessions
            lines.append("Cleared data-plane statistics")
        return CommandReplied(order.id, True, "\n".join(lines))


def _grown(count: int, before: int) -> int:
    return count - before if count >= before else count
