"""The schedule monitor at work in the engine: its turns are measured, its verdict becomes events of the core."""

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import MonitorFailed, MonitorRecovered
from jsrpd.messages.catalogue import LogMessage, monitor_failed, monitor_recovered, notice
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.roles import FULL_WEIGHT, FailureCode
from jsrpd.model.status import ScheduleStatus
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant
from jsrpd.monitors.schedule import SLIPS, WINDOW, ScheduleMonitor, default_limit

NAME = "engine schedule"
CODE = FailureCode.SM
LIMIT = f"{SLIPS - 1} slips in {WINDOW // SECOND} s"


class ScheduleDesk:
    """Every group of the node suffers, for one engine serves them all."""

    def __init__(self, cluster: Cluster, configuration: ClusterConfiguration) -> None:
        self.cluster = cluster
        self.monitor = _monitor(configuration)
        self._turn_at: Instant | None = None
        """The first turn is as late as the start was long, which is nobody's fault."""

    def turn(self, now: Instant, wanted: Instant) -> list[LogMessage]:
        """A turn begins at ``now`` that was to begin at ``wanted``; what is to be logged.

        A turn that took long itself delays the next one as sleep does: time counts from the last one's beginning.
        """
        late = 0 if self._turn_at is None else now - max(wanted, self._turn_at)
        self._turn_at = now
        if self.monitor is None:
            return []
        slips = self.monitor.slips
        changed = self.monitor.began(now, late)
        log: list[LogMessage] = []
        if self.monitor.slips > slips and self.monitor.recent == 1:
            limit = f"limit {_ms(self.monitor.limit)}"
            log.append(notice(f"schedule slip: the engine was {_ms(late)} late, {limit}; heartbeats of that time prove nothing"))
        return log + self._align(now) if changed else log

    def reconfigure(self, now: Instant, configuration: ClusterConfiguration) -> list[LogMessage]:
        """Another limit, or another set of groups; counts are kept."""
        fresh = _monitor(configuration)
        if fresh is not None and self.monitor is not None:
            self.monitor.limit = fresh.limit
        else:
            self.monitor = fresh
        return self._align(now)

    def _align(self, now: Instant) -> list[LogMessage]:
        failed = self.monitor is not None and self.monitor.failed
        value = f"{self.monitor.recent} slips" if self.monitor is not None else "not watched"
        log: list[LogMessage] = []
        for number, group in self.cluster.groups.items():
            if failed == ((CODE, NAME) in group.failures):
                continue
            if failed:
                self.cluster.handle(now, MonitorFailed(number, CODE, NAME, FULL_WEIGHT, value, LIMIT))
                log.append(monitor_failed(number, CODE.name, NAME, value, LIMIT))
            else:
                self.cluster.handle(now, MonitorRecovered(number, CODE, NAME, value, LIMIT))
                log.append(monitor_recovered(number, CODE.name, NAME, value, LIMIT))
        return log

    def status(self, now: Instant) -> ScheduleStatus:
        """For displays. Timers about the peer are ignored for one dead time after a slip (SPEC section 5)."""
        monitor = self.monitor
        if monitor is None:
            return ScheduleStatus(False)
        since: Duration | None = None if monitor.newest_at is None else now - monitor.newest_at
        return ScheduleStatus(
            on=True,
            failed=monitor.failed,
            limit_ms=monitor.limit // MILLISECOND,
            slips=monitor.slips,
            longest_ms=monitor.longest // MILLISECOND,
            timers_ignored=since is not None and since < self.cluster.configuration.timing.dead,
            clears_in_s=-(-(WINDOW - since) // SECOND) if monitor.failed and since is not None else None,
        )


def _monitor(configuration: ClusterConfiguration) -> ScheduleMonitor | None:
    stated = configuration.schedule_monitoring
    if stated is None:
        return None
    limit = default_limit(configuration.timing) if stated.slip_limit_ms is None else stated.slip_limit_ms * MILLISECOND
    return ScheduleMonitor(limit)


def _ms(duration: Duration) -> str:
    return f"{duration // MILLISECOND} ms"
