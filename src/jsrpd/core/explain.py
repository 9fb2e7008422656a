"""Why a group stands where it stands, and what would move it, read from the same state that the election reads.

Every sentence must be true of ``core.election`` and something that an operator can act on. Nothing here decides: where
there is a rule in the core (``refuse_failover``, the view of a group), it is asked.
"""

from jsrpd.core.cluster import RECOVERED_INTERVALS, Cluster
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.core.words import arbiter, path_name, paths_of
from jsrpd.model.configuration import InterfaceMonitor
from jsrpd.model.explanation import GroupExplanation, MonitoredObject, NodeExplanation
from jsrpd.model.link_messages import GroupReport
from jsrpd.model.roles import FULL_WEIGHT, MANUAL_PRIORITY, RG0, FailureCode, GroupState, codes_of
from jsrpd.model.time import SECOND, Duration, Instant, seconds

SURVIVES = (GroupState.SECONDARY, GroupState.SECONDARY_HOLD, GroupState.INELIGIBLE)
"""States from which a node becomes primary when it is alone."""


def explain(cluster: Cluster, now: Instant, wall_offset: Duration) -> tuple[GroupExplanation, ...]:
    """Every group, by number. ``cluster`` at the end of a turn, ``now`` no earlier than that."""
    return tuple(_Explainer(cluster, now, group).explain(wall_offset) for _, group in sorted(cluster.groups.items()))


CHOSEN = (GroupState.SECONDARY, GroupState.PRIMARY, GroupState.SECONDARY_HOLD)


class _Explainer:
    """One group at one instant."""

    def __init__(self, cluster: Cluster, now: Instant, group: RedundancyGroup) -> None:
        self.cluster, self.now, self.group = cluster, now, group
        self.configuration = cluster.configuration
        self.here, self.there = self.configuration.node_id, self.configuration.peer_id
        self.view = cluster._view(now, group)
        self.report = None if self.view.peer_silent else self.view.peer

    def explain(self, wall_offset: Duration) -> GroupExplanation:
        """All of it."""
        group = self.group
        own, peer = self._own(), self._peer()
        owner = self._owner()
        return GroupExplanation(
            group=group.number,
            node=self.here,
            state=group.state.label,
            since=group.since + wall_offset,
            lasted_s=max(0, self.now - group.since) / SECOND,
            reason=group.reason,
            owner=owner,
            summary=self._summary(owner),
            nodes=(own, peer) if self.here == 0 else (peer, own),
            to_move=tuple(self._to_move(owner)),
            blocks=tuple(self._blocks(owner)),
            notes=tuple(self._notes()),
        )

    def _owner(self) -> int | None:
        mine = self.group.state == GroupState.PRIMARY
        theirs = self.report is not None and self.report.state == GroupState.PRIMARY
        if mine and theirs:
            return None
        return self.here if mine else self.there if theirs else None

    def _summary(self, owner: int | None) -> str:
        number = self.group.number
        if owner is not None:
            shut = "" if self._gate_of(owner) else ", but its gate is shut: it forwards nothing"
            return f"node{owner} owns redundancy group {number}{shut}"
        if self.group.state == GroupState.PRIMARY:
            return f"both nodes say that they own redundancy group {number}; one of them yields as soon as they have met"
        if self.report is not None and GroupState.SECONDARY_HOLD in (self.group.state, self.report.state):
            return f"redundancy group {number} is being handed over"
        return f"no node owns redundancy group {number}"

    def _gate_of(self, node: int) -> bool:
        if node == self.here:
            return self.group.lease.is_open(self.now)
        return self.report is not None and self.report.gate_open

    # -- the sum ------------------------------------------------------------------------------------------------------

    def _own(self) -> NodeExplanation:
        group = self.group
        monitored = self._interfaces(self.here, group.configuration.interface_monitors)
        others = tuple(
            MonitoredObject(code.name, name, weight, False)
            for (code, name), weight in group.failures.items()
            if code != FailureCode.IF
        )
        effective = self.cluster.effective_priority(group)
        configured = group.configuration.priorities[self.here]
        return NodeExplanation(
            node=self.here,
            state=group.state.label,
            configured_priority=configured,
            effective_priority=effective,
            weight=group.weight,
            sum=_sum(group.weight, [(f"{code.name} {name}", weight) for (code, name), weight in group.failures.items()]),
            why_priority=_why(configured, effective, group.weight, group.state),
            gate_open=group.lease.is_open(self.now),
            monitored=(*monitored, *others),
        )

    def _peer(self) -> NodeExplanation:
        report, configured = self.report, self.group.configuration.priorities[self.there]
        monitored = self._interfaces(self.there, self.group.configuration.peer_interface_monitors)
        if report is None:
            why = "it is not heard, so it does not count"
            return NodeExplanation(self.there, "lost", configured, 0, None, "not known", why, None, monitored)
        return NodeExplanation(
            node=self.there,
            state=report.state.label,
            configured_priority=report.configured_priority,
            effective_priority=report.effective_priority,
            weight=report.weight,
            sum=_sum(report.weight, self._peer_failures(report, monitored)),
            why_priority=_why(report.configured_priority, report.effective_priority, report.weight, report.state),
            gate_open=report.gate_open,
            monitored=monitored,
        )

    def _peer_failures(self, report: GroupReport, monitored: tuple[MonitoredObject, ...]) -> list[tuple[str, int]]:
        """By name as far as its interfaces tell; what is left of the sum under the codes it reports."""
        known = [(f"IF {one.name}", one.weight) for one in monitored if one.up is False]
        left = FULL_WEIGHT - report.weight - sum(weight for _, weight in known)
        codes = [code.name for code in codes_of(report.failures) if code != FailureCode.IF or not known]
        return [*known, (" ".join(codes) or "not told", left)] if left else known

    def _interfaces(self, node: int, monitors: tuple[InterfaceMonitor, ...]) -> tuple[MonitoredObject, ...]:
        cluster, heartbeat = self.cluster, self.cluster.peer.heartbeat
        if node == self.here:
            names, up = self.configuration.watched_interfaces, cluster.interfaces_up if cluster.interfaces_known else None
        else:
            same = heartbeat is not None and heartbeat.configuration_digest == self.configuration.digest
            names, up = self.configuration.peer_watched_interfaces, heartbeat.interfaces_up if heartbeat and same else None
        return tuple(
            MonitoredObject("IF", m.interface, m.weight, None if up is None else bool(up >> names.index(m.interface) & 1))
            for m in monitors
        )

    # -- what would move it ---------------------------------------------------------------------------------------------

    def _to_move(self, owner: int | None) -> list[str]:
        if owner is None:
            return []
        other = 1 - owner
        if self.report is None:
            cure = "its daemon must run and one path between the nodes must work"
            return [f"node{other} must be heard again: {cure}; it then joins as secondary, which moves nothing by itself"]
        ways = []
        refusal = self.cluster.refuse_failover(self.now, self.group.number, other)
        if refusal is None:
            ways.append(f"you order it: request chassis cluster failover redundancy-group {self.group.number} node {other}")
        if self._fit(other):
            ways.append(self._by_failure(owner))
            ways += self._by_preempt(owner)
        else:
            ways += self._to_be_fit(other)
        dead = seconds(self.cluster._claim_timing.dead)
        if self._standing(other)[0] in SURVIVES:
            ways.append(f"node{owner} falls silent on every path for {dead}: node{other} takes it, fit or not")
        return ways

    def _fit(self, node: int) -> bool:
        state, priority = self._standing(node)
        return state == GroupState.SECONDARY and priority > 0

    def _standing(self, node: int) -> tuple[GroupState, int]:
        if node == self.here:
            return self.group.state, self.cluster.effective_priority(self.group)
        assert self.report is not None
        return self.report.state, self.report.effective_priority

    def _by_failure(self, owner: int) -> str:
        """Which failures on the owner are enough, as a fit peer takes the group when nothing is left of the 255."""
        standing = self._own() if owner == self.here else self._peer()
        left = standing.weight or 0
        up = [one for one in standing.monitored if one.up]
        enough = [f"{one.kind} {one.name} ({one.weight})" for one in up if one.weight >= left]
        if enough:
            return f"one more failure on node{owner} is enough: {' or '.join(enough)}"
        if sum(one.weight for one in up) >= left:
            named = ", ".join(f"{one.kind} {one.name} ({one.weight})" for one in up)
            return f"failures on node{owner} worth {left} together, of {named}"
        what = "all that is monitored there is worth less" if up else "no interface is monitored there"
        return f"failures on node{owner} worth {left}; {what}, so no cable moves it"

    def _by_preempt(self, owner: int) -> list[str]:
        other, preempt = 1 - owner, self.group.configuration.preempt
        mine, theirs = self._standing(owner)[1], self._standing(other)[1]
        joint = self.cluster._joint_of(self.group)
        if joint is not None and joint.leader != self.group.number:
            return [f"mode active-backup: it moves with redundancy group {joint.leader}"]
        if preempt is None or self.group.number == RG0:
            never = "redundancy group 0 never preempts" if self.group.number == RG0 else "preempt is not configured"
            return [f"priority alone moves nothing: {never}"]
        if theirs <= mine:
            return [f"preempt: the priority of node{other} must be above {mine}; it is {theirs}"]
        if owner == self.here and self.group.preempt_held:
            return [f"preempt: it has moved {preempt.limit} times within {preempt.period_s} s; {self._cleared()}"]
        since = self.group.peer_preferred_since
        if owner == self.here and since is not None:
            left = since + preempt.delay_s * SECOND - self.now
            return [f"preempt: it moves by itself in {seconds(max(0, left))}"]
        return [f"preempt: it moves by itself once node{other} has been preferred for {preempt.delay_s} s"]

    def _cleared(self) -> str:
        return f"let it again with: clear chassis cluster preempt-count redundancy-group {self.group.number}"

    def _to_be_fit(self, node: int) -> list[str]:
        """What must change before this node can be given the group."""
        state, priority = self._standing(node)
        wanted = []
        if state == GroupState.SECONDARY_HOLD:
            wanted.append(f"node{node} must leave secondary-hold: {self._hold_down(node)}")
        elif state != GroupState.SECONDARY:
            wanted.append(f"node{node} must be secondary; it is {state.label}")
        standing = self._own() if node == self.here else self._peer()
        if priority == 0 and standing.weight is not None and standing.weight <= 0:
            down = " and ".join(f"{one.kind} {one.name} ({one.weight})" for one in standing.monitored if one.up is False)
            wanted.append(f"node{node} must be fit: its weight is {standing.weight}; mend {down or 'what has failed there'}")
        return wanted

    def _hold_down(self, node: int) -> str:
        if node != self.here:
            return f"it does so by itself after its hold-down of {self.group.configuration.hold_down_interval_s} s"
        return f"it does so by itself in {seconds(max(0, self.group.hold_down_until - self.now))}"

    # -- what stands in the way -----------------------------------------------------------------------------------------

    def _manual(self) -> bool:
        return self.group.manual or (self.report is not None and self.report.manual)

    def _blocks(self, owner: int | None) -> list[str]:
        blocks = []
        group, number = self.group, self.group.number
        if self.report is None:
            blocks.append(f"node{self.there} is not heard on any path{self._silent_for()}")
            blocks += self._denied()
        elif not self.view.peer_fresh:
            blocks.append(f"node{self.there} was last heard more than 1.5 heartbeat intervals ago, so nothing is handed over to it")
        blocks += self._stranger()
        if self._manual():
            end = f"request chassis cluster failover reset redundancy-group {number}"
            blocks.append(
                f"a manual failover is in force: priorities do not move the group and no other is accepted; end it with: {end}"
            )
        if self.cluster.control_failed:
            blocks.append(
                f"control link failure: node{self.here} is heard by fabric only, so none of its groups is eligible; mend the link"
            )
        if self.cluster.fabric_failed:
            blocks.append(f"fabric link failure: node{self.there} is heard by control links only; mend the fabric link")
        if group.state == GroupState.INELIGIBLE and not self.cluster.control_failed and not self.cluster.fabric_failed:
            needed = RECOVERED_INTERVALS * self.cluster._claim_timing.interval
            blocks.append(f"node{self.here} is ineligible until its links have been well for {seconds(needed)}")
        if self.report is not None and self.report.state == GroupState.INELIGIBLE:
            lost = "the fabric links" if self.report.failures >> FailureCode.FL & 1 else "the control links"
            blocks.append(f"node{self.there} is ineligible: it has lost {lost}; mend them")
        blocks += self._out_of_service()
        for node in (0, 1):
            if self.report is not None and self._standing(node)[0] == GroupState.SECONDARY_HOLD:
                blocks.append(f"node{node} is in secondary-hold: {self._hold_down(node)}")
        if group.state == GroupState.PRIMARY and not group.lease.is_open(self.now):
            blocks.append(f"the gate of node{self.here} is shut until node{self.there} acknowledges its heartbeats again")
        if owner is not None and self.report is not None:
            blocks += self._unfit(1 - owner)
        if self.cluster.stopping_since is not None:
            blocks.append(f"the daemon of node{self.here} is stopping")
        return blocks

    def _stranger(self) -> list[str]:
        """Somebody who cannot be admitted holds back whoever would be alone (decision 0061)."""
        peer, timing, number = self.cluster.peer, self.cluster._claim_timing, self.group.number
        if self.now - peer.stranger_at >= timing.dead or not peer.stranger_may_own(number, timing):
            return []
        leads = f" and says that it owns redundancy group {number}" if number in peer.stranger_led else ""
        return [
            f"a daemon with this cluster's key is heard{leads}, but does not hear node{self.here}: beside it nobody owns alone; "
            f"mend the way from node{self.here} to node{self.there}, or stop what plays back its packets"
        ]

    def _out_of_service(self) -> list[str]:
        """By the operator, by the vendor's timer, or by a group that moves with this one."""
        blocks = []
        joint = self.cluster._joint_of(self.group)
        if joint is not None and joint.weight <= 0 < self.group.weight:
            failed = [number for number, group in self.cluster.groups.items() if group.weight <= 0 and number != RG0]
            named = ", ".join(map(str, failed))
            blocks.append(f"mode active-backup: nothing is left of the weight of redundancy group {named} on node{self.here}")
        if self.cluster.maintenance:
            blocks.append(f"node{self.here} is in maintenance; end it with: request chassis cluster maintenance off")
        if self.report is not None and self.report.failures >> FailureCode.RE & 1:
            blocks.append(f"node{self.there} is in maintenance; end it there with: request chassis cluster maintenance off")
        for node, state in ((self.here, self.group.state), (self.there, self.report.state if self.report else None)):
            if state == GroupState.DISABLED:
                blocks.append(f"node{node} is disabled; once its links are mended, order there: request chassis cluster rejoin")
        return blocks

    def _denied(self) -> list[str]:
        """By arbitration, which counts only while the other node is not heard."""
        cluster = self.cluster
        if self.configuration.arbitration is None or cluster.arbitration_permits(self.now):
            return []
        who = arbiter(self.configuration)
        if cluster.arbitration_held(self.now):
            left = seconds(max(0, cluster.arbitration.claimed_from(cluster._claim_timing) - self.now))
            return [f"arbitration: {who} has answered node{self.here} again only just now; it counts in {left}"]
        return [f"arbitration: {who} does not speak for node{self.here}, so alone it owns nothing; mend the way to it"]

    def _silent_for(self) -> str:
        last = self.cluster.peer.last_heard
        return " and never was since this daemon started" if last is None else f"; last heard {seconds(self.now - last)} ago"

    def _unfit(self, node: int) -> list[str]:
        state, priority = self._standing(node)
        if state == GroupState.SECONDARY and priority == 0:
            return [f"node{node} is not fit: its effective priority is 0"]
        return [f"node{node} has only just started: it is in hold"] if state == GroupState.HOLD else []

    def _notes(self) -> list[str]:
        """What bears on the next decision without standing in its way today."""
        cluster, notes = self.cluster, []
        heartbeat = cluster.peer.heartbeat
        if heartbeat is not None and heartbeat.configuration_digest != self.configuration.digest:
            notes.append("the nodes run different configurations, so what is said here of the other node's interfaces may be wrong")
        paths = paths_of(self.configuration)
        notes += [
            f"nothing is heard by {path_name(self.configuration, path)}" for path in paths if not cluster.path_up(self.now, path)
        ]
        arbitrated = self.configuration.arbitration is not None
        if len(paths) < 2 and not arbitrated:
            notes.append("there is one path between the nodes: when it is cut, both become primary")
        if arbitrated and self.report is not None and cluster.arbitration_said is False:
            notes.append(
                f"{arbiter(self.configuration)} does not answer node{self.here}: were node{self.there} silent, it would own nothing"
            )
        return notes


def _sum(weight: int, failed: list[tuple[str, int]]) -> str:
    """``255 - 255 (IF lan) = 0``."""
    if not failed:
        return f"{FULL_WEIGHT}, nothing has failed"
    return f"{FULL_WEIGHT}{''.join(f' - {lost} ({what})' for what, lost in failed)} = {weight}"


def _why(configured: int, effective: int, weight: int, state: GroupState) -> str:
    if effective == MANUAL_PRIORITY and configured != MANUAL_PRIORITY:
        return f"raised from {configured} by the manual failover"
    if effective == configured:
        return "as configured"
    if weight <= 0:
        return f"not the configured {configured}, because its weight is not above 0"
    if state in CHOSEN and effective == 0:
        return f"not the configured {configured}, because of its links or of another group: see what stands in the way"
    return f"not the configured {configured}, because it is {state.label}" if effective == 0 else "as told"
