"""What an operator orders of this node as a whole, carried out on the core and answered."""

from jsrpd.core.events import MaintenanceSet, PreemptCountCleared, RejoinRequested
from jsrpd.management import engine_link
from jsrpd.model.time import Instant
from jsrpd.processes.recorder import RecordedCluster


def carry_out(now: Instant, cluster: RecordedCluster, message: engine_link.Message) -> engine_link.CommandReplied | None:
    """The answer; None when it is none of these orders."""
    match message:
        case engine_link.PreemptCountsCleared(number, group, by):
            which = "" if group is None else f" redundancy-group {group}"
            return _replied(now, cluster, number, by, f"clear preempt-count{which}", *_clear(now, cluster, group))
        case engine_link.MaintenanceCommanded(number, on, by):
            cluster.handle(now, MaintenanceSet(on))
            text = "Maintenance is on: what the other node can take moves there" if on else "Maintenance is off"
            return _replied(now, cluster, number, by, f"maintenance {'on' if on else 'off'}", True, text)
        case engine_link.RejoinCommanded(number, by):
            refusal = cluster.refuse_rejoin()
            cluster.handle(now, RejoinRequested())
            return _replied(now, cluster, number, by, "rejoin", refusal is None, refusal or "Rejoining: every group begins in hold")
        case _:
            return None


def _clear(now: Instant, cluster: RecordedCluster, group: int | None) -> tuple[bool, str]:
    groups = sorted(cluster.groups) if group is None else [group]
    if not set(groups) <= set(cluster.groups):
        return False, f"Redundancy group {group} is not configured"
    for one in groups:
        cluster.handle(now, PreemptCountCleared(one))
    return True, "Cleared preempt-count for " + ("all redundancy-groups" if group is None else f"redundancy-group {group}")


def _replied(
    now: Instant, cluster: RecordedCluster, number: int, by: str, command: str, ok: bool, text: str
) -> engine_link.CommandReplied:
    cluster.commanded(now, by, command, ok, text)
    return engine_link.CommandReplied(number, ok, text)
