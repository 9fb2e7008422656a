"""What campaigns found that no scenario can show, each as the shortest input to the core."""

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import AcknowledgementReceived, SocketsDrained
from jsrpd.core.lease import AdoptedLease
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, GroupConfiguration
from jsrpd.model.link_messages import Acknowledgement
from jsrpd.model.roles import RG0, GroupState
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
