"""Events and actions of the core in words, for replay, the list of events and explanations."""

from jsrpd.core.actions import (
    Action,
    Announce,
    AskWitness,
    ChangeRole,
    DrainSessions,
    Log,
    Reboot,
    SendAcknowledgement,
    SendHeartbeat,
    Stop,
    StopServices,
    StoreLease,
)
from jsrpd.core.events import (
    AcknowledgementReceived,
    ArbiterAnswered,
    ConfigurationChanged,
    Event,
    FailoverCountCleared,
    FailoverRequested,
    FailoverReset,
    HeartbeatReceived,
    MaintenanceSet,
    MonitorFailed,
    MonitorRecovered,
    PreemptCountCleared,
    RejoinRequested,
    ServicesStopped,
    SessionLinkChanged,
    SessionsDrained,
    ShutdownRequested,
    SocketsDrained,
    StrangerHeard,
    WatchedInterfacesChanged,
    WitnessGranted,
)
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH, GroupReport, PathId, PeerRequest, RequestKind
from jsrpd.model.link_messages import path_name as number_name
from jsrpd.model.roles import render_codes
from jsrpd.model.time import MILLISECOND, Instant, seconds

NOT_NAMED = {"digest", "node_id", "groups"}
"""Fields of the configuration that ``configuration_changes`` does not name one by one."""


def paths_of(configuration: ClusterConfiguration) -> list[PathId]:
    """All paths that are configured."""
    fabric = [FIRST_FABRIC_PATH + link.index for link in configuration.fabric_links]
    segments = [FIRST_IN_BAND_PATH + n for n in range(len(configuration.in_band_segments))]
    return [*(link.index for link in configuration.control_links), *fabric, *segments]


def path_name(configuration: ClusterConfiguration, path: PathId) -> str:
    """``control link ctl0``, ``fabric link fab``, ``segment of reth0``: by the interface where it is configured."""
    control = {link.index: f"control link {link.interface}" for link in configuration.control_links}
    fabric = {FIRST_FABRIC_PATH + link.index: f"fabric link {link.interface}" for link in configuration.fabric_links}
    segments = {FIRST_IN_BAND_PATH + n: f"segment of {reth.name}" for n, reth in enumerate(configuration.in_band_segments)}
    return (control | fabric | segments).get(path) or number_name(path)


def monitors_of(configuration: ClusterConfiguration, node: int, interface: str) -> dict[int, int]:
    """Group -> weight that the interface of ``node`` is monitored with."""
    own = node == configuration.node_id
    return {
        group.group: monitor.weight
        for group in configuration.groups
        for monitor in (group.interface_monitors if own else group.peer_interface_monitors)
        if monitor.interface == interface
    }


def request_text(request: PeerRequest) -> str:
    """What an operator of the other node wants of this one."""
    match request.kind:
        case RequestKind.FAILOVER:
            return f"failover redundancy-group {request.group} node {request.node}"
        case RequestKind.RESET:
            return f"failover reset redundancy-group {request.group}"
        case RequestKind.CLEAR_FAILOVER_COUNT:
            return "clear failover-count"
        case RequestKind.CLEAR_PREEMPT_COUNT:
            return f"clear preempt-count redundancy-group {request.group}"


def configuration_changes(old: ClusterConfiguration, new: ClusterConfiguration) -> list[str]:
    """What differs, a phrase each."""
    changes = []
    for name in new.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if name in NOT_NAMED or before == after:
            continue
        plain = isinstance(after, int | str)
        changes.append(f"{name.replace('_', '-')} {f'{before} -> {after}' if plain else 'changed'}")
    was, now = ({group.group: group for group in one.groups} for one in (old, new))
    for number in sorted(was | now):
        if number not in now:
            changes.append(f"redundancy group {number} removed")
        elif number not in was:
            changes.append(f"redundancy group {number} added")
        elif was[number] != now[number]:
            fields = [
                f.replace("_", "-") for f in now[number].__struct_fields__ if getattr(was[number], f) != getattr(now[number], f)
            ]
            changes.append(f"redundancy group {number} changed ({', '.join(fields)})")
    return changes


def event_text(event: Event, configuration: ClusterConfiguration) -> str:
    """One input of the core."""
    match event:
        case HeartbeatReceived(path, _, sequence, _, heartbeat):
            groups = "; ".join(map(report_text, heartbeat.groups))
            last = ", its last words" if heartbeat.stopped else ""
            name = path_name(configuration, path)
            return f"heartbeat {sequence} by {name}, echo {heartbeat.echo_sequence}{last}: {groups}"
        case AcknowledgementReceived(path, _, _, echo):
            return f"acknowledgement of {echo.echo_sequence} by {path_name(configuration, path)}"
        case StrangerHeard(path, _, _, primary, echo):
            owned = [f"RG{number}" for number in range(primary.bit_length()) if primary >> number & 1]
            says = f", primary for {', '.join(owned)}" if owned else ""
            return f"heartbeat of a life not admitted by {path_name(configuration, path)}, echo {echo}{says}"
        case SocketsDrained(_, late):
            return f"turn, woke {seconds(late)} late" if late >= MILLISECOND else "turn"
        case WatchedInterfacesChanged(up):
            names = configuration.watched_interfaces
            return "interfaces: " + ", ".join(f"{name} {'up' if up >> bit & 1 else 'down'}" for bit, name in enumerate(names))
        case MonitorFailed(group, code, name, weight):
            return f"monitor {code.name} {name} of redundancy group {group} failed: weight {weight}"
        case MonitorRecovered(group, code, name):
            return f"monitor {code.name} {name} of redundancy group {group} recovered"
        case FailoverRequested(group, node):
            return f"operator: failover redundancy-group {group} node {node}"
        case FailoverReset(group):
            return f"operator: failover reset redundancy-group {group}"
        case FailoverCountCleared():
            return "operator: clear failover-count"
        case PreemptCountCleared(group):
            return f"operator: clear preempt-count redundancy-group {group}"
        case RejoinRequested():
            return "operator: rejoin"
        case MaintenanceSet(on):
            return f"operator: maintenance {'on' if on else 'off'}"
        case ConfigurationChanged(new):
            return "configuration: " + ("; ".join(configuration_changes(configuration, new)) or "no difference")
        case ServicesStopped(group):
            return f"services of redundancy group {group} have stopped"
        case SessionLinkChanged(up):
            return f"the peer's session process is {'heard' if up else 'not heard'}"
        case SessionsDrained():
            return "every session is with the peer"
        case ArbiterAnswered():
            return "the probed address answered"
        case WitnessGranted():
            return "the witness grants its key to this node"
        case ShutdownRequested():
            return "told to stop"


def report_text(report: GroupReport) -> str:
    """A group's line in a heartbeat."""
    failed = f" {render_codes(report.failures)}" if report.failures else ""
    gate = "open" if report.gate_open else "shut"
    manual = " manual" if report.manual else ""
    return f"RG{report.group} {report.state.label} {report.effective_priority}{manual}{failed}, gate {gate}"


def action_text(action: Action, now: Instant) -> str:
    """One answer of the core, given at ``now``."""
    match action:
        case SendAcknowledgement(path, echo):
            return f"acknowledge {echo.echo_sequence} on path {path}"
        case SendHeartbeat(sequence, heartbeat):
            return f"send heartbeat {sequence}, echo {heartbeat.echo_sequence}: " + "; ".join(map(report_text, heartbeat.groups))
        case StoreLease(group, deadline, state):
            left = deadline - now
            return f"RG{group} {state.label}: gate " + (f"open for {seconds(left)}" if left >= 0 else "shut")
        case Announce(group, repeat):
            return f"RG{group} announce{'' if repeat else ' once more'}"
        case ChangeRole(group, state, generation):
            return f"RG{group} routes for {state.label}, generation {generation}"
        case StopServices(group):
            return f"RG{group} stop the services"
        case DrainSessions():
            return "drain the sessions"
        case AskWitness(wanted):
            return "ask the witness for its key" if wanted else "let the witness's key go"
        case Reboot():
            return "reboot"
        case Log(message):
            return f"{message.tag}: {render_text(message)}"
        case Stop():
            return "stop"


def arbiter(configuration: ClusterConfiguration) -> str:
    """Who decides while the nodes do not hear each other."""
    stated = configuration.arbitration
    assert stated is not None
    return f"the witness {', '.join(stated.endpoints)}" if stated.endpoints else ", ".join(stated.probes)
