"""Every event and action of the core has words, and so has every path."""

from typing import get_args

import pytest

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
from jsrpd.core.words import action_text, event_text, path_name, paths_of, request_text
from jsrpd.messages.catalogue import set_intf_mon_failure
from jsrpd.model.configuration import (
    ClusterConfiguration,
    ControlLink,
    FabricLink,
    GroupConfiguration,
    InterfaceMonitor,
    Reth,
)
from jsrpd.model.link_messages import Acknowledgement, GroupReport, Heartbeat, PeerRequest, RequestKind
from jsrpd.model.roles import FailureCode, GroupState, RedundancyMode
from jsrpd.model.time import MILLISECOND, SECOND, seconds

MONITOR = InterfaceMonitor("lan", 255)
CONFIGURATION = ClusterConfiguration(
    1,
    0,
    control_links=(ControlLink(0, "ctl0"),),
    fabric_links=(FabricLink(0, "fab", "fab"),),
    groups=(GroupConfiguration(1, interface_monitors=(MONITOR,)),),
    reths=(Reth("reth0", 0, 1, "lan", "lan", bytes(6)),),
)
REPORT = GroupReport(1, GroupState.PRIMARY, 200, 255, 155, 1 << FailureCode.IF, True, False, 3)
HEARTBEAT = Heartbeat(RedundancyMode.ACTIVE_ACTIVE, "", 100, 5, bytes(8), 1, 41, 1, 1, (REPORT,))
LAST = Heartbeat(RedundancyMode.ACTIVE_ACTIVE, "", 100, 5, bytes(8), 1, 41, 1, 1, (), stopped=True)
ECHO = Acknowledgement(1, 40, 0)

EVENTS: dict[Event, str] = {
    HeartbeatReceived(0, 1, 7, 0, HEARTBEAT): "heartbeat 7 by control link ctl0, echo 41: RG1 primary 255 manual IF, gate shut",
    HeartbeatReceived(8, 1, 8, 0, LAST): "heartbeat 8 by segment of reth0, echo 41, its last words: ",
    AcknowledgementReceived(4, 1, 0, ECHO): "acknowledgement of 40 by fabric link fab",
    StrangerHeard(0, 1, 0, 0, 0): "heartbeat of a life not admitted by control link ctl0, echo 0",
    StrangerHeard(4, 1, 0, 0b1010, 7): "heartbeat of a life not admitted by fabric link fab, echo 7, primary for RG1, RG3",
    SocketsDrained(0, 500): "turn",
    SocketsDrained(0, 5 * MILLISECOND): "turn, woke 5 ms late",
    WatchedInterfacesChanged(2): "interfaces: fab down, lan up",
    MonitorFailed(1, FailureCode.SG, "lan", 255): "monitor SG lan of redundancy group 1 failed: weight 255",
    MonitorRecovered(1, FailureCode.SG, "lan"): "monitor SG lan of redundancy group 1 recovered",
    FailoverRequested(1, 0): "operator: failover redundancy-group 1 node 0",
    FailoverReset(1): "operator: failover reset redundancy-group 1",
    FailoverCountCleared(): "operator: clear failover-count",
    PreemptCountCleared(1): "operator: clear preempt-count redundancy-group 1",
    RejoinRequested(): "operator: rejoin",
    MaintenanceSet(True): "operator: maintenance on",
    MaintenanceSet(False): "operator: maintenance off",
    ConfigurationChanged(CONFIGURATION): "configuration: no difference",
    ServicesStopped(1): "services of redundancy group 1 have stopped",
    SessionLinkChanged(True): "the peer's session process is heard",
    SessionLinkChanged(False): "the peer's session process is not heard",
    SessionsDrained(): "every session is with the peer",
    ArbiterAnswered(5): "the probed address answered",
    WitnessGranted(5): "the witness grants its key to this node",
    ShutdownRequested(): "told to stop",
}
ACTIONS: dict[Action, str] = {
    SendAcknowledgement(4, ECHO): "acknowledge 40 on path 4",
    SendHeartbeat(9, HEARTBEAT): "send heartbeat 9, echo 41: RG1 primary 255 manual IF, gate shut",
    StoreLease(1, 350 * MILLISECOND, GroupState.PRIMARY, 3, 0, 0, False): "RG1 primary: gate open for 250 ms",
    StoreLease(1, 0, GroupState.SECONDARY, 3, 0, 0, False): "RG1 secondary: gate shut",
    Announce(1): "RG1 announce",
    Announce(1, repeat=False): "RG1 announce once more",
    ChangeRole(1, GroupState.PRIMARY, 3): "RG1 routes for primary, generation 3",
    Log(set_intf_mon_failure(1)): "JSRPD_SET_INTF_MON_FAILURE: Interface Monitor failed for redundancy-group 1",
    StopServices(1): "RG1 stop the services",
    DrainSessions(): "drain the sessions",
    AskWitness(True): "ask the witness for its key",
    AskWitness(False): "let the witness's key go",
    Reboot(): "reboot",
    Stop(): "stop",
}


@pytest.mark.parametrize("event", EVENTS)
def test_events(event: Event) -> None:
    assert event_text(event, CONFIGURATION) == EVENTS[event]


@pytest.mark.parametrize("action", ACTIONS)
def test_actions(action: Action) -> None:
    assert action_text(action, 100 * MILLISECOND) == ACTIONS[action]


def test_none_is_left_out() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    assert {type(action) for action in ACTIONS} == set(get_args(Action))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (RequestKind.FAILOVER, "failover redundancy-group 1 node 0"),
        (RequestKind.RESET, "failover reset redundancy-group 1"),
        (RequestKind.CLEAR_FAILOVER_COUNT, "clear failover-count"),
        (RequestKind.CLEAR_PREEMPT_COUNT, "clear preempt-count redundancy-group 1"),
    ],
)
def test_requests_of_the_other_node(kind: RequestKind, text: str) -> None:
    assert request_text(PeerRequest(1, kind, 1, 0)) == text


def test_paths() -> None:
    assert [path_name(CONFIGURATION, path) for path in paths_of(CONFIGURATION)] == [
        "control link ctl0",
        "fabric link fab",
        "segment of reth0",
    ]
    assert path_name(CONFIGURATION, 3) == "control link 3"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 ms"),
        (200_000, "0.2 ms"),
        (490 * MILLISECOND, "490 ms"),
        (1500 * MILLISECOND, "1.5 s"),
        (119 * SECOND, "119 s"),
        (150 * SECOND, "2 min"),
        (3 * 3600 * SECOND, "3 h 0 min"),
    ],
)
def test_durations(length: int, text: str) -> None:
    assert seconds(length) == text
