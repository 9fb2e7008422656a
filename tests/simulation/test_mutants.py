"""What the mutation score showed that no other test noticed."""

from msgspec.structs import replace

from jsrpd.core.actions import ChangeRole, SendHeartbeat
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import (
    AcknowledgementReceived,
    ConfigurationChanged,
    HeartbeatReceived,
    SocketsDrained,
    WatchedInterfacesChanged,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, GroupConfiguration, InterfaceMonitor
from jsrpd.model.link_messages import Acknowledgement, GroupReport, Heartbeat, PeerRequest, RequestKind
from jsrpd.model.roles import RG0, GroupState, RedundancyMode
from jsrpd.model.time import MILLISECOND, SECOND

OURS, THEIRS, START = 5, 9, 1000 * SECOND
GROUP = GroupConfiguration(RG0, interface_monitors=(InterfaceMonitor("ge-0/0/1", 100),))
CONFIGURATION = ClusterConfiguration(cluster_id=1, node_id=1, control_links=(ControlLink(0, "ctl0"),), groups=(GROUP,))
PINNED = AdoptedLease(RG0, START + 400 * MILLISECOND, GroupState.PRIMARY, 1, START - 90 * MILLISECOND, START, False)
STANDBY = GroupReport(RG0, GroupState.SECONDARY, 1, 1, 255, 0, False, False, 1)


def heartbeat(*requests: PeerRequest) -> Heartbeat:
    """The peer is secondary."""
    return Heartbeat(RedundancyMode.ACTIVE_ACTIVE, "", 100, 5, b"", OURS, 0, 1, 0, (STANDBY,), requests)


def test_a_new_life_that_was_heard_by_an_acknowledgement_may_ask_at_once() -> None:
    cluster = Cluster(CONFIGURATION, START, OURS, (PINNED,))
    cluster.handle(START, AcknowledgementReceived(0, THEIRS, START, Acknowledgement(OURS, 0, 0)))
    wish = PeerRequest(1, RequestKind.FAILOVER, RG0, 0)
    cluster.handle(START, HeartbeatReceived(0, THEIRS, 1, START, heartbeat(wish)))
    roles = [action.state for action in cluster.handle(START, SocketsDrained(START)) if isinstance(action, ChangeRole)]
    assert roles[-1] == GroupState.SECONDARY_HOLD


def test_a_commit_weighs_what_has_failed_anew() -> None:
    cluster = Cluster(CONFIGURATION, START, OURS)
    cluster.handle(START, WatchedInterfacesChanged(0))
    assert cluster.groups[RG0].weight == 155
    heavier = replace(GROUP, interface_monitors=(InterfaceMonitor("ge-0/0/1", 255),))
    cluster.handle(START, ConfigurationChanged(replace(CONFIGURATION, groups=(heavier,))))
    assert cluster.groups[RG0].weight == 0


def test_a_heartbeat_says_on_which_paths_the_peer_was_heard() -> None:
    cluster = Cluster(CONFIGURATION, START, OURS)
    cluster.handle(START, HeartbeatReceived(4, THEIRS, 1, START, heartbeat()))
    (sent,) = [action for action in cluster.handle(START, SocketsDrained(START)) if isinstance(action, SendHeartbeat)]
    assert sent.heartbeat.paths_heard == 1 << 4
