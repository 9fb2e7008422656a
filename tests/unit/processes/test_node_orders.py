"""Orders for the node as a whole: what the core is told, what the operator and the journal are."""

import pytest
from msgspec.structs import replace

from jsrpd.core.events import SocketsDrained
from jsrpd.core.journal import Commanded, read_batch, unpack
from jsrpd.management import engine_link
from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration
from jsrpd.model.roles import GroupState
from jsrpd.model.time import SECOND
from jsrpd.processes.node_orders import carry_out
from jsrpd.processes.recorder import RecordedCluster

NOW = 100 * SECOND
CONFIGURATION = ClusterConfiguration(cluster_id=7, node_id=0, groups=(GroupConfiguration(0), GroupConfiguration(1)))


@pytest.fixture
def cluster() -> RecordedCluster:
    return RecordedCluster(CONFIGURATION, NOW, 1)


def written(cluster: RecordedCluster) -> Commanded:
    """What the journal has of the newest command."""
    records = [record for _, record, _ in unpack(read_batch(cluster._packer.close(0))) if isinstance(record, Commanded)]
    return replace(records[-1], after=0)


def test_maintenance(cluster: RecordedCluster) -> None:
    answer = carry_out(NOW, cluster, engine_link.MaintenanceCommanded(3, True, "root"))
    assert answer == engine_link.CommandReplied(3, True, "Maintenance is on: what the other node can take moves there")
    assert {group.weight for group in cluster.groups.values()} == {0}
    assert written(cluster) == Commanded(0, "root", "maintenance on", True, answer.text)
    answer = carry_out(NOW, cluster, engine_link.MaintenanceCommanded(4, False, "root"))
    assert answer == engine_link.CommandReplied(4, True, "Maintenance is off")
    assert {group.weight for group in cluster.groups.values()} == {255}


def test_the_preempt_count(cluster: RecordedCluster) -> None:
    for group in cluster.groups.values():
        group.preempt_held = True
    answer = carry_out(NOW, cluster, engine_link.PreemptCountsCleared(3, 1, "root"))
    assert answer == engine_link.CommandReplied(3, True, "Cleared preempt-count for redundancy-group 1")
    assert [group.preempt_held for group in cluster.groups.values()] == [True, False]
    assert written(cluster) == Commanded(0, "root", "clear preempt-count redundancy-group 1", True, answer.text)
    answer = carry_out(NOW, cluster, engine_link.PreemptCountsCleared(4, None))
    assert answer == engine_link.CommandReplied(4, True, "Cleared preempt-count for all redundancy-groups")
    assert not any(group.preempt_held for group in cluster.groups.values())
    answer = carry_out(NOW, cluster, engine_link.PreemptCountsCleared(5, 9))
    assert answer == engine_link.CommandReplied(5, False, "Redundancy group 9 is not configured")


def test_rejoin(cluster: RecordedCluster) -> None:
    answer = carry_out(NOW, cluster, engine_link.RejoinCommanded(3, "root"))
    assert answer == engine_link.CommandReplied(3, False, "node0 is not disabled; there is nothing to rejoin")
    for group in cluster.groups.values():
        group.state = GroupState.DISABLED
    answer = carry_out(NOW, cluster, engine_link.RejoinCommanded(4, "root"))
    assert answer == engine_link.CommandReplied(4, True, "Rejoining: every group begins in hold")
    cluster.handle(NOW + 1, SocketsDrained(NOW + 1))
    assert {group.state for group in cluster.groups.values()} == {GroupState.HOLD}


def test_anything_else_is_none_of_them(cluster: RecordedCluster) -> None:
    assert carry_out(NOW, cluster, engine_link.CheckpointWanted()) is None
