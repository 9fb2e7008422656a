"""Cores with a planted fault each: the mistakes the checkers exist for. A checker that stays silent about its own is worthless."""

from collections.abc import Iterable
from itertools import count

from msgspec.structs import replace

from jsrpd.core.actions import Action, ChangeRole, Log
from jsrpd.core.cluster import Cluster
from jsrpd.core.election import GroupView
from jsrpd.core.events import AcknowledgementReceived, Event, HeartbeatReceived, SocketsDrained, StrangerHeard
from jsrpd.core.lease import AdoptedLease
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.core.together import Joint
from jsrpd.messages.catalogue import set_intf_mon_failure
from jsrpd.model.configuration import ClusterConfiguration, Preempt
from jsrpd.model.link_messages import GroupReport, Incarnation
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import NOT_SOON, SECOND, Instant


class RenewsByOwnClock(Cluster):
    """A primary's lease follows its own clock: what a watchdog in the daemon would do."""

    def _renew(self, now: Instant) -> None:
        for group in self.groups.values():
            if group.state == GroupState.PRIMARY:
                group.lease = replace(group.lease, deadline=now + self._timing.lease)


class ClaimsEarly(Cluster):
    """Takes the peer for lost after half the dead time."""

    def _peer_silent(self, now: Instant) -> bool:
        return self.peer.gone or now - self.peer.unbound_since >= self._claim_timing.dead // 2


class DeafToStrangers(Cluster):
    """A life that cannot be admitted is as good as none."""

    def handle(self, now: Instant, event: Event) -> list[Action]:
        return [] if isinstance(event, StrangerHeard) else super().handle(now, event)


class IgnoresTheArbiter(Cluster):
    """Owns in a complete cut whatever the arbiter says."""

    @property
    def arbitration_limit(self) -> Instant:
        return NOT_SOON

    def arbitration_permits(self, _now: Instant) -> bool:
        return True


class ClaimsOnTheFirstAnswer(Cluster):
    """Does not wait until an owner that has lost the address must be shut."""

    def arbitration_permits(self, now: Instant) -> bool:
        return self.configuration.arbitration is None or self.arbitration_held(now)


class KeepsOldGrants(Cluster):
    """Lets the witness's key go, and goes on owning by it."""

    def _ask_witness(self, now: Instant) -> list[Action]:
        granted = self.arbitration
        actions = super()._ask_witness(now)
        self.arbitration = granted
        return actions


class HandsOverWithoutCap(Cluster):
    """The old owner's gate stays open through a hand-over as long as its lease lasts, confirmed or not (LEASE 15, 17)."""

    def _judge_group(self, now: Instant, group: RedundancyGroup) -> list[Action]:
        before = group.lease.deadline
        actions = super()._judge_group(now, group)
        if group.state == GroupState.SECONDARY_HOLD and before:
            group.lease = replace(group.lease, deadline=before)
        return actions

    def _give_up(self, group: RedundancyGroup) -> list[Action]:
        if group.state == GroupState.SECONDARY_HOLD:
            return group.store(self.peer.last_heard)
        return super()._give_up(group)


class NeverAlone(Cluster):
    """Without acknowledgements every lease runs out: rule 7 of LEASE is missing."""

    def _renew(self, now: Instant) -> None:
        super()._renew(now)
        for group in self.groups.values():
            if group.state == GroupState.PRIMARY and self.peer.first_heard is not None and not self.peer.gone:
                word = group.lease.acknowledged_at + self._lease_timing.lease
                group.lease = replace(group.lease, deadline=min(group.lease.deadline, word), alone_since=None)


class NeverClaimsBySilence(Cluster):
    """A dead peer is waited for."""

    def _peer_silent(self, now: Instant) -> bool:
        return now < 0


class IgnoresLateness(Cluster):
    """Its own sleep counts as the peer's silence (LEASE 3)."""

    def _judge(self, now: Instant, drained: SocketsDrained) -> list[Action]:
        self._due = now
        return super()._judge(now, SocketsDrained(min(now, drained.at)))


class NobodyYieldsInHealing(Cluster):
    """Two primaries that meet both stay."""

    def _judge_group(self, now: Instant, group: RedundancyGroup) -> list[Action]:
        report = self.peer.reports.get(group.number)
        if group.state == GroupState.PRIMARY and report is not None and report.state == GroupState.PRIMARY:
            return []
        return super()._judge_group(now, group)


class MovesInSilence(Cluster):
    """Changes of state are not logged."""

    def handle(self, now: Instant, event: Event) -> list[Action]:
        actions = super().handle(now, event)
        return [a for a in actions if not (isinstance(a, Log) and a.message.tag == "JSRPD_RG_STATE_CHANGE")]


class RemembersEverything(Cluster):
    """Keeps every reception."""

    def __init__(
        self,
        configuration: ClusterConfiguration,
        now: Instant,
        incarnation: Incarnation,
        adopted: Iterable[AdoptedLease] = (),
        software_version: str = "",
    ) -> None:
        super().__init__(configuration, now, incarnation, adopted, software_version)
        self.seen: list[Event] = []

    def handle(self, now: Instant, event: Event) -> list[Action]:
        if isinstance(event, HeartbeatReceived | AcknowledgementReceived):
            self.seen.append(event)
        return super().handle(now, event)


class Whims(Cluster):
    """Answers depend on something that is no input."""

    _turns = count()

    def handle(self, now: Instant, event: Event) -> list[Action]:
        actions = super().handle(now, event)
        if isinstance(event, SocketsDrained) and next(self._turns) % 100 == 99:
            actions = [*actions, ChangeRole(0, GroupState.SECONDARY, 0)]
        return actions


class LeavesHoldDownEarly(Cluster):
    """Secondary-hold ends with the grace, whatever was configured."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), hold_down_until=now)


class StaysInHoldDown(Cluster):
    """Secondary-hold does not end by itself."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), hold_down_until=now + self._timing.dead)


class PreemptsUnasked(Cluster):
    """Every group is preempted, whatever was configured."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), preempt=Preempt())


class PreemptsManual(Cluster):
    """Preemption undoes what the operator did."""

    def _note_conditions(self, now: Instant, group: RedundancyGroup) -> None:
        super()._note_conditions(now, group)
        report = self.peer.reports.get(group.number)
        if group.manual and group.state == GroupState.PRIMARY and report is not None and report.state == GroupState.SECONDARY:
            group.peer_preferred_since = 0

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), manual=False)


class DisobeysTheOperator(Cluster):
    """Accepts a failover and forgets it."""

    def _failover_requested(self, now: Instant, number: int, node: int) -> None:
        assert self.refuse_failover(now, number, node) is not None or now > 0


class MovesUnasked(Cluster):
    """Takes every word of the peer for an operator's wish."""

    def _report_received(self, report: GroupReport, before: GroupReport | None) -> None:
        super()._report_received(report, before)
        self.groups[report.group].yield_to_operator_until = self.judged + self._timing.dead


class KeepsWhatItIsUnfitFor(Cluster):
    """A failed monitor does not make a primary yield."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), weight=1)


class RepeatsSet(Cluster):
    """Says that a monitor failed each time it looks."""

    def _fail(self, group: RedundancyGroup, code: FailureCode, name: str, weight: int) -> None:
        super()._fail(group, code, name, weight)
        if code == FailureCode.IF:
            self._pending.append(Log(set_intf_mon_failure(group.number)))


class ElectsTheLower(Cluster):
    """The lower priority wins."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        view = super()._view(now, group)
        if view.peer is None or group.state != GroupState.SECONDARY:
            return view
        peer = replace(view.peer, effective_priority=max(0, 254 - view.peer.effective_priority))
        return replace(view, effective_priority=max(0, 254 - view.effective_priority), peer=peer)


class ClaimsByNodeId(Cluster):
    """Equal priorities go to the higher node-id."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), node=1 - group.node)


class IgnoresFirstUp(Cluster):
    """Waits for the late-comer's hold to end, and then lets priorities decide."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), first_up=False)


class MovesForOneLoss(Cluster):
    """One heartbeat late is a dead peer."""

    def _peer_silent(self, now: Instant) -> bool:
        return self.peer.gone or now - self.peer.unbound_since >= self._timing.interval * 3 // 2


class ElectsByUnechoedPriority(Cluster):
    """Waits for the echo of its state, but not of its priority."""

    def _note_conditions(self, now: Instant, group: RedundancyGroup) -> None:
        group.priority_judged = self.effective_priority(group)
        super()._note_conditions(now, group)


class PreemptsWithoutLimit(Cluster):
    """Is not kept from it by having preempted often enough."""

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        return replace(super()._view(now, group), preempt_held=False)


class GivesUpEarly(Cluster):
    """Disabled as soon as it is ineligible."""

    def disabled_at(self) -> Instant:
        at = super().disabled_at()
        return at if at == NOT_SOON else at - self.configuration.disable_after_s * SECOND


class GroupsStayApart(Cluster):
    """Mode active-backup: no group follows the one that leads."""

    def _joint_of(self, group: RedundancyGroup) -> Joint | None:
        return None if group.number else super()._joint_of(group)
