"""The snapshot that displays are rendered from: both nodes' rows, links, interfaces, standing conditions."""

from msgspec.structs import replace

from jsrpd.core.events import ArbiterAnswered, WatchedInterfacesChanged
from jsrpd.core.status import fabric_ways
from jsrpd.model.configuration import (
    Arbitration,
    ClusterConfiguration,
    FabricLink,
    GroupConfiguration,
    InterfaceMonitor,
    Reth,
)
from jsrpd.model.roles import GroupState, RedundancyMode
from jsrpd.model.status import ArbitrationStatus, ClusterStatus, InterfaceMonitorStatus, RethStatus
from jsrpd.model.time import MILLISECOND, SECOND
from tests.unit.core.stage import CONFIGURATION, Stage
from tests.unit.core.views import report

STANDBY = tuple(report(group=number, effective_priority=50) for number in range(3))
MONITORED = replace(
    CONFIGURATION,
    groups=(
        GroupConfiguration(
            1,
            (200, 100),
            interface_monitors=(InterfaceMonitor("lan", 255),),
            peer_interface_monitors=(InterfaceMonitor("ge0", 128),),
        ),
    ),
    reths=(Reth("reth0", 0, 1, "lan", "ge0", b"\2\0\0\0\0\1"),),
)


def snapshot(stage: Stage, conditions: dict[int, str] | None = None) -> ClusterStatus:
    return stage.cluster.status(stage.now, conditions)


def notices(
    configuration: ClusterConfiguration = CONFIGURATION,
    *,
    mode: RedundancyMode = RedundancyMode.ACTIVE_ACTIVE,
    digest: bytes = CONFIGURATION.digest,
    conditions: dict[int, str] | None = None,
) -> tuple[str, ...]:
    """What a node that hears such a peer shows."""
    stage = Stage(configuration)
    stage.hear(*STANDBY, mode=mode, configuration_digest=digest)
    stage.turn()
    return snapshot(stage, conditions).notices


def test_nothing_to_say_of_a_healthy_cluster() -> None:
    assert notices() == ()


def test_every_standing_condition_says_what_to_do() -> None:
    assert notices(digest=b"another.") == ("the nodes run different configurations; load the same jsrpd.conf on both",)
    (mode,) = notices(mode=RedundancyMode.ACTIVE_BACKUP)
    assert mode.endswith("restart both daemons at the same time")
    (gate,) = notices(replace(CONFIGURATION, gate="none"))
    assert gate.startswith("gate none: ")
    (fabric,) = notices(replace(CONFIGURATION, fabric_links=()))
    assert fabric.startswith("no fabric link and no in-band heartbeat: ")
    conditions = {0: "key mismatch", 4: "no common version", 9: "wrong cluster-id"}
    assert notices(conditions=conditions) == (
        "control link 0: heard, key mismatch",
        "fabric link 0: heard, no common version",
        "segment 1: heard, wrong cluster-id",
    )


def test_a_shut_primary_is_shown() -> None:
    stage = Stage()
    stage.live(2 * SECOND, *STANDBY)
    assert snapshot(stage).notices == ()
    for _ in range(30):
        stage.hear(*STANDBY, echo_sequence=0)
        stage.turn(20 * MILLISECOND)
    assert snapshot(stage).notices[0] == "redundancy group 0: the gate is shut until the peer acknowledges again"


def test_rows_stand_in_node_order() -> None:
    for node in (0, 1):
        stage = Stage(replace(CONFIGURATION, node_id=node))
        stage.hear(*STANDBY)
        assert [row.node for row in snapshot(stage).groups[0].nodes] == [0, 1]


def test_a_peer_never_heard_is_lost() -> None:
    """Nothing is invented about it."""
    status = snapshot(Stage())
    peer = status.groups[0].nodes[1]
    assert (peer.state, peer.priority, peer.weight, peer.gate_open) == ("lost", 0, None, None)
    assert [(link.up, link.state) for link in status.control_links] == [(False, "no heartbeat")]


def test_links_and_drops() -> None:
    """A link says why it is down; only causes that happened are listed."""
    stage = Stage()
    status = stage.cluster.status(stage.now, {0: "key mismatch"}, {"malformed": 3, "replayed": 0})
    assert status.control_links[0].state == "key mismatch"
    assert status.drops == {"malformed": 3}
    stage.hear(*STANDBY)
    stage.hear(*STANDBY, path=4)
    status = snapshot(stage)
    assert (status.control_links[0].up, status.control_links[0].state, status.fabric_up) == (True, "heard", True)


def test_interfaces_of_both_nodes() -> None:
    """What nobody has looked at yet is unknown; the peer's bits count only under the same configuration."""
    stage = Stage(MONITORED)
    unknown = (
        InterfaceMonitorStatus("lan", 255, None, None, 1, 0),
        InterfaceMonitorStatus("ge0", 128, None, None, 1, 1),
    )
    assert snapshot(stage).interface_monitors == unknown
    assert [fabric.physical_up for fabric in snapshot(stage).fabric_interfaces] == [None, None]
    stage.tell(WatchedInterfacesChanged(0b11))
    stage.hear(*STANDBY, configuration_digest=b"another.", interfaces_up=0b11)
    assert [monitor.physical_up for monitor in snapshot(stage).interface_monitors] == [True, None]
    stage.hear(*STANDBY, path=4, interfaces_up=0b01)
    status = snapshot(stage)
    assert [monitor.physical_up for monitor in status.interface_monitors] == [True, False]
    assert [(f.name, f.physical_up, f.monitored_up) for f in status.fabric_interfaces] == [
        ("fab0", True, True),
        ("fab1", True, True),
    ]
    assert status.reths == (RethStatus("reth0", True, 1),)
    stage.tell(WatchedInterfacesChanged(0b01))
    assert snapshot(stage).reths == (RethStatus("reth0", False, 1),)


TWO_FABRICS = replace(MONITORED, fabric_links=(FabricLink(0, "fab", "fab"), FabricLink(1, "fab2", "fab2")))
"""Watched here: fab, fab2, lan; on the peer: fab, fab2, ge0."""


def test_each_fabric_link_for_itself() -> None:
    stage = Stage(TWO_FABRICS)
    stage.tell(WatchedInterfacesChanged(0b111))
    stage.hear(*STANDBY, path=5, interfaces_up=0b111)
    status = snapshot(stage)
    assert status.fabric_up
    assert [(f.name, f.child, f.monitored_up) for f in status.fabric_interfaces] == [
        ("fab0", "fab", False),
        ("fab0", "fab2", True),
        ("fab1", "fab", False),
        ("fab1", "fab2", True),
    ]


def test_packets_pass_by_a_fabric_link_both_ways_or_not() -> None:
    """Each node hears the other there, and no end has lost its carrier; what is not known of the peer's does not count."""
    stage = Stage(TWO_FABRICS)
    assert fabric_ways(stage.cluster, stage.now) == ()
    both = 1 << 4 | 1 << 5
    for path in (4, 5):
        stage.hear(*STANDBY, path=path, paths_heard=both, interfaces_up=0b111)
    assert fabric_ways(stage.cluster, stage.now) == (0, 1)
    stage.tell(WatchedInterfacesChanged(0b101))
    assert fabric_ways(stage.cluster, stage.now) == (0,)
    stage.tell(WatchedInterfacesChanged(0b111))
    stage.hear(*STANDBY, paths_heard=both, interfaces_up=0b110)
    assert fabric_ways(stage.cluster, stage.now) == (1,)
    stage.hear(*STANDBY, paths_heard=both, interfaces_up=0b110, configuration_digest=b"another.")
    assert fabric_ways(stage.cluster, stage.now) == (0, 1)
    stage.hear(*STANDBY, paths_heard=1 << 4, interfaces_up=0b111)
    assert fabric_ways(stage.cluster, stage.now) == (0,), "the peer does not hear us there"
    stage.now += TWO_FABRICS.timing.dead
    stage.hear(*STANDBY, path=5, paths_heard=both, interfaces_up=0b111)
    assert fabric_ways(stage.cluster, stage.now) == (1,), "silent for the dead time"


def test_states_are_the_operators_words() -> None:
    stage = Stage()
    stage.hear(report(group=1, state=GroupState.SECONDARY_HOLD, manual=True))
    own, peer = snapshot(stage).groups[1].nodes
    assert (own.state, peer.state, peer.manual) == ("hold", "secondary-hold", True)


def test_an_arbiter_that_does_not_speak_for_this_node() -> None:
    """Said in contact once the log has said it, and alone at once."""
    probed = replace(CONFIGURATION, arbitration=Arbitration(probes=("192.0.2.9",)))
    stage = Stage(probed)
    stage.tell(ArbiterAnswered(stage.now))
    stage.live(200 * MILLISECOND, *STANDBY)
    assert snapshot(stage).notices == ()
    held = snapshot(stage).arbitration
    assert held is not None
    assert (held.kind, held.held, held.answers) == ("probe", True, True)
    assert 0 < held.remaining_ns < SECOND
    stage.live(200 * MILLISECOND, *STANDBY)
    assert snapshot(stage).notices == ()
    stage.live(SECOND, *STANDBY)
    assert snapshot(stage).arbitration == ArbitrationStatus("probe", False, False)
    assert snapshot(stage).notices == (
        "arbitration: 192.0.2.9 does not speak for node0, which would own nothing were node1 silent",
    )
    stage.be_silent(2 * SECOND)
    assert "arbitration: 192.0.2.9 does not speak for node0, which owns nothing" in snapshot(stage).notices
    witnessed = replace(CONFIGURATION, arbitration=Arbitration(endpoints=("http://a:1", "http://b:2")))
    stage = Stage(witnessed)
    stage.live(SECOND, *STANDBY)
    assert snapshot(stage).notices == ()
    assert snapshot(stage).arbitration == ArbitrationStatus("witness", False, None), "who asks it knows whether it answers"
    stage.be_silent(2 * SECOND)
    (notice, *_) = snapshot(stage).notices
    assert notice == "arbitration: the witness http://a:1, http://b:2 does not speak for node0, which owns nothing"
