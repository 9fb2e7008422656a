"""What concerns a node as a whole, where scenarios do not reach: maintenance, fabric, redundancy mode, preempt limit, disabled."""

from msgspec.structs import replace

from jsrpd.core import checkpoint, status
from jsrpd.core.actions import Reboot
from jsrpd.core.events import (
    ConfigurationChanged,
    FailoverReset,
    MaintenanceSet,
    MonitorFailed,
    MonitorRecovered,
    PreemptCountCleared,
    RejoinRequested,
    SocketsDrained,
)
from jsrpd.model.configuration import GroupConfiguration, Preempt
from jsrpd.model.link_messages import PeerRequest, RequestKind
from jsrpd.model.roles import FailureCode, GroupState, RedundancyMode
from jsrpd.model.time import MILLISECOND, SECOND
from tests.unit.core import recorded
from tests.unit.core.stage import CONFIGURATION, Stage, said
from tests.unit.core.views import report

SECONDARY, PRIMARY = GroupState.SECONDARY, GroupState.PRIMARY
BACKUP = RedundancyMode.ACTIVE_BACKUP
STANDBY = tuple(report(group=number, effective_priority=50) for number in range(3))
OWNER = tuple(report(group=number, state=PRIMARY, gate_open=True, effective_priority=250) for number in range(3))
EXTRA = replace(CONFIGURATION, groups=(*CONFIGURATION.groups, GroupConfiguration(7)))
CHANGE = "Redundancy mode change will not be effective until all nodes in the cluster are rebooted simultaneously"
MISMATCH = "Change in HA redundancy mode detected..please reboot all nodes in the cluster simultaneously!!"


def notices(stage: Stage) -> tuple[str, ...]:
    """What displays say of the node."""
    return stage.cluster.status(stage.now).notices


def test_maintenance_is_said_once_and_weighs_on_groups_that_come_later() -> None:
    stage = Stage()
    stage.tell(MaintenanceSet(True))
    stage.tell(MaintenanceSet(True))
    assert said(stage.turn()) == ["maintenance of node0 is on, nothing stays here that the other node can take"]
    stage.tell(ConfigurationChanged(EXTRA))
    assert {group.weight for group in stage.cluster.groups.values()} == {0}
    assert "node0 is in maintenance; end it with: request chassis cluster maintenance off" in notices(stage)
    assert stage.cluster.status(stage.now).maintenance
    stage.tell(MaintenanceSet(False))
    assert {group.weight for group in stage.cluster.groups.values()} == {255}


def test_a_failed_fabric_is_shown_on_groups_that_come_later() -> None:
    stage = Stage(replace(CONFIGURATION, fabric_monitoring=True))
    stage.live(2 * SECOND, *OWNER)
    assert set(stage.states().values()) == {GroupState.INELIGIBLE}
    stage.tell(ConfigurationChanged(replace(EXTRA, fabric_monitoring=True)))
    assert {group.failure_bits for group in stage.cluster.groups.values()} == {1 << FailureCode.FL}
    assert {group.weight for group in stage.cluster.groups.values()} == {255}
    stage.tell(ConfigurationChanged(EXTRA))
    stage.live(SECOND, *OWNER)
    assert {group.failure_bits for group in stage.cluster.groups.values()} == {0}


def test_a_dead_peer_is_no_fabric_failure() -> None:
    stage = Stage(replace(CONFIGURATION, fabric_monitoring=True))
    for _ in range(100):
        for path in (0, 4):
            stage.hear(*OWNER, path=path)
        stage.turn(20 * MILLISECOND)
    assert set(stage.states().values()) == {SECONDARY}
    stage.be_silent(2 * SECOND)
    assert not stage.cluster.fabric_failed
    assert set(stage.states().values()) == {PRIMARY}


def test_the_mode_is_latched() -> None:
    stage = Stage()
    changed = replace(CONFIGURATION, redundancy_mode=BACKUP)
    stage.tell(ConfigurationChanged(changed))
    assert said(stage.turn()) == [CHANGE]
    stage.tell(ConfigurationChanged(replace(changed, heartbeat_threshold=6)))
    assert CHANGE not in said(stage.turn())
    shown = stage.cluster.status(stage.now)
    assert (shown.mode, shown.configured_mode) == ("active-active", "active-backup")
    together = "restart both daemons at the same time"
    assert f"redundancy mode: active-backup is configured, active-active is in force; {together}" in shown.notices
    stage.tell(ConfigurationChanged(CONFIGURATION))
    assert CHANGE not in said(stage.turn())


def test_a_peer_of_the_other_mode_is_told_once_per_detection() -> None:
    stage = Stage()
    for _ in range(3):
        stage.hear(*STANDBY, mode=BACKUP)
    assert said(stage.turn()).count(MISMATCH) == 1
    together = "restart both daemons at the same time"
    assert f"redundancy mode: node0 runs active-active, node1 runs active-backup; {together}" in notices(stage)
    stage.be_silent(SECOND)
    assert not any(notice.startswith("redundancy mode") for notice in notices(stage))
    stage.hear(*STANDBY, mode=BACKUP)
    assert MISMATCH in said(stage.turn())
    stage.hear(*STANDBY)
    stage.hear(*STANDBY, mode=BACKUP)
    assert MISMATCH in said(stage.turn())


def test_active_backup_with_group_0_only() -> None:
    alone = replace(CONFIGURATION, redundancy_mode=BACKUP, groups=(GroupConfiguration(0),), reths=())
    stage = Stage(alone)
    stage.live(2 * SECOND, *OWNER[:1])
    assert stage.states() == {0: SECONDARY}
    assert stage.cluster.effective_priority(stage.cluster.groups[0]) > 0


def test_what_fails_for_one_counts_for_all() -> None:
    stage = Stage(replace(CONFIGURATION, redundancy_mode=BACKUP))
    stage.tell(MonitorFailed(2, FailureCode.IP, "upstream", 255))
    cluster = stage.cluster
    assert [cluster.effective_priority(group) > 0 for group in cluster.groups.values()] == [True, False, False]
    stage.turn()
    copy = checkpoint.decode(checkpoint.encode(cluster))
    assert [copy.effective_priority(group) > 0 for group in copy.groups.values()] == [True, False, False]
    stage.tell(MonitorRecovered(2, FailureCode.IP, "upstream"))
    assert all(cluster.effective_priority(group) > 0 for group in cluster.groups.values())


def test_orders_for_groups_that_are_not_there() -> None:
    stage = Stage()
    stage.tell(PreemptCountCleared(9))
    stage.tell(FailoverReset(9))
    requests = (PeerRequest(1, RequestKind.CLEAR_PREEMPT_COUNT, 9, 0), PeerRequest(2, RequestKind.RESET, 9, 0))
    stage.hear(*STANDBY, requests=requests)
    stage.turn()
    assert stage.cluster.refuse_rejoin() == "node0 is not disabled; there is nothing to rejoin"
    stage.tell(RejoinRequested())
    assert set(stage.states().values()) == {GroupState.HOLD}


def limited(preempt: Preempt) -> Stage:
    """Primary of group 1, whose peer is better and which preempted twice, as often as ``preempt`` may allow."""
    groups = tuple(replace(group, preempt=preempt) if group.group == 1 else group for group in CONFIGURATION.groups)
    stage = Stage(replace(CONFIGURATION, groups=groups))
    stage.live(2 * SECOND, *STANDBY)
    stage.cluster.groups[1].preempted = (stage.now - 20 * SECOND, stage.now)
    return stage


BETTER = (STANDBY[0], report(group=1, effective_priority=250, configured_priority=250), STANDBY[2])
HELD = "Preemption of redundancy-group 1 stopped after 2 moves within 60 seconds"


def test_a_group_beyond_its_limit_stays_and_says_so_until_cleared() -> None:
    stage = limited(Preempt(limit=2, period_s=60))
    assert said(stage.live(2 * SECOND, *BETTER)).count(HELD) == 1
    assert stage.states()[1] == PRIMARY
    cure = "clear chassis cluster preempt-count redundancy-group 1"
    assert f"redundancy group 1: stays here, it has preempted as often as its limit allows; {cure}" in notices(stage)
    stage.tell(PreemptCountCleared(1))
    stage.live(SECOND // 10, *BETTER)
    assert stage.states()[1] != PRIMARY


def test_the_peer_clears_the_count_as_well() -> None:
    stage = limited(Preempt(limit=2, period_s=60))
    stage.live(SECOND, *BETTER)
    stage.hear(*BETTER, requests=(PeerRequest(1, RequestKind.CLEAR_PREEMPT_COUNT, 1, 0),))
    stage.turn()
    assert stage.states()[1] != PRIMARY


def test_what_is_older_than_the_period_does_not_count() -> None:
    stage = limited(Preempt(limit=2, period_s=10))
    assert HELD not in said(stage.live(SECOND // 10, *BETTER))
    assert stage.states()[1] != PRIMARY


def test_a_manual_failover_is_not_counted_as_held() -> None:
    stage = limited(Preempt(limit=2, period_s=60))
    stage.cluster.groups[1].manual = True
    stage.live(SECOND, *BETTER)
    assert not stage.cluster.groups[1].preempt_held


def test_another_limit_begins_to_count_anew() -> None:
    stage = limited(Preempt(limit=2, period_s=60))
    stage.live(SECOND, *BETTER)
    groups = tuple(
        replace(group, preempt=Preempt(limit=3, period_s=60)) if group.group == 1 else group
        for group in stage.cluster.configuration.groups
    )
    stage.tell(ConfigurationChanged(replace(stage.cluster.configuration, groups=groups)))
    stage.live(SECOND // 10, *BETTER)
    assert stage.states()[1] != PRIMARY


def test_the_countdown_is_shown_and_what_follows() -> None:
    cluster = "cluster control-link-recovery reboot\n" + recorded.CLUSTER
    core = recorded.core("at 2s cut control\nuntil 62400ms\n", 1, cluster)
    assert (
        "node1 is ineligible (Control link failure) and will be disabled in 2 min" in status.of(core, core.judged, {}, {}).notices
    )
    core = recorded.core("at 2s cut control\nuntil 200s\n", 1, cluster)
    cure = "node1 is disabled; once its links are mended: request chassis cluster rejoin"
    assert cure in status.of(core, core.judged, {}, {}).notices
    core = recorded.core("at 2s cut control\nuntil 200s\n", 1)
    assert not any("disabled" in notice for notice in status.of(core, core.judged, {}, {}).notices)


REBOOTS = "cluster control-link-recovery reboot disable-after 1\n" + recorded.CLUSTER


def test_a_reboot_is_ordered_once() -> None:
    history = recorded.run("at 2s cut control for 5s\nuntil 20s\n", REBOOTS).history
    answers = [actions for life in history.lives for _, _, actions, _ in life.turns]
    assert [action for actions in answers for action in actions if action == Reboot()] == [Reboot()]


def test_a_reboot_that_does_not_come_is_not_ordered_again() -> None:
    core = recorded.core("at 2s cut control for 5s\nuntil 9900ms\n", 1, REBOOTS)
    group = core.groups[0]
    assert group.state == GroupState.DISABLED
    since = core.judged - 40 * core.configuration.timing.interval
    core.peer.control_run_since = core.peer.fabric_run_since = since
    ordered = [Reboot() in core._judge_node(core.judged, GroupState.DISABLED) for _ in range(3)]
    assert ordered == [True, False, False]
    core.handle(core.judged, RejoinRequested())
    core.handle(core.judged + 1, SocketsDrained(core.judged + 1))
    assert group.reason == "Recovered from disabled"
    assert not core.reboot_ordered
