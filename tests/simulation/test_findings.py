"""What campaigns found that no scenario can show, each as the shortest input to the core."""

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import AcknowledgementReceived, HeartbeatReceived, SocketsDrained
from jsrpd.core.lease import AdoptedLease
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, GroupConfiguration
from jsrpd.model.link_messages import Acknowledgement, GroupReport, Heartbeat
from jsrpd.model.roles import RG0, GroupState, RedundancyMode
from jsrpd.model.time import MILLISECOND, SECOND

OURS, PREDECESSOR, THEIRS = 5, 4, 9
CONFIGURATION = ClusterConfiguration(
    cluster_id=1, node_id=1, control_links=(ControlLink(0, "ctl0"),), groups=(GroupConfiguration(RG0),)
)


def test_a_shut_primary_does_not_claim_anew_while_acknowledgements_arrive() -> None:
    """Restarted in place in a one-way cut, it hears no heartbeat for T; then comes an acknowledgement meant for its predecessor.

    The peer lives and may have claimed (seed 1650 of the first campaign: two open gates for 9 ms).
    """
    start = 1000 * SECOND
    pinned = AdoptedLease(RG0, start + 190 * MILLISECOND, GroupState.PRIMARY, 1, start - 300 * MILLISECOND, start, False)
    cluster = Cluster(CONFIGURATION, start, OURS, (pinned,))
    for after in range(0, 500, 25):
        cluster.handle(start + after * MILLISECOND, SocketsDrained(start + after * MILLISECOND))
    group = cluster.groups[RG0]
    assert not group.lease.is_open(start + 480 * MILLISECOND)
    late = start + 495 * MILLISECOND
    cluster.handle(late, AcknowledgementReceived(0, THEIRS, late, Acknowledgement(PREDECESSOR, 41, primary_groups=0)))
    for after in range(495, 700, 5):
        now = start + after * MILLISECOND
        cluster.handle(now, SocketsDrained(now))
        assert not group.lease.is_open(now)


def test_two_secondaries_that_acknowledge_each_other_do_not_claim_by_silence() -> None:
    """Heartbeats are lost for T while acknowledgements arrive: the peer is in the same position and would claim as well.

    Seed 20084 of the third campaign: two open gates for 18 ms. Where the peer led the group, T after its heartbeat is enough.
    """
    for led, claims in ((GroupState.SECONDARY, False), (GroupState.PRIMARY, True)):
        start = 1000 * SECOND
        cluster = Cluster(CONFIGURATION, start, OURS)
        report = GroupReport(RG0, led, 1, 1, 255, 0, False, led == GroupState.PRIMARY, 1)
        word = Heartbeat(RedundancyMode.ACTIVE_ACTIVE, "", 100, 5, b"", OURS, 0, 1, 0, (report,))
        group = cluster.groups[RG0]
        for count in range(1, 80):
            now = start + count * 25 * MILLISECOND
            if count <= 40:
                cluster.handle(now, HeartbeatReceived(0, THEIRS, count, now, word))
            elif count % 2:
                cluster.handle(now, AcknowledgementReceived(0, THEIRS, now, Acknowledgement(OURS, 0, primary_groups=0)))
            cluster.handle(now, SocketsDrained(now))
        assert (group.state == GroupState.PRIMARY) == claims
        silent = now + 525 * MILLISECOND
        for at in range(now, silent, 25 * MILLISECOND):
            cluster.handle(at, SocketsDrained(at))
        assert group.state == GroupState.PRIMARY
