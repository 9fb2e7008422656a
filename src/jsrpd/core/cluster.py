"""One node of the cluster: turns what happened into what is to be done.

Receptions and wishes only record. ``SocketsDrained`` ends the turn, and then in this order (LEASE 1, 10, 15):
acknowledge, judge, cap or shut what is given up, send, store what is held, and last announce, align routes and log.
``now`` is always the instant read before the drain, so whatever is derived from it is never later than the truth.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from jsrpd.core import status as snapshot
from jsrpd.core import together
from jsrpd.core.actions import (
    Action,
    Announce,
    AskWitness,
    DrainSessions,
    Log,
    Reboot,
    SendAcknowledgement,
    SendHeartbeat,
    Stop,
)
from jsrpd.core.arbitration import Arbitration, answered
from jsrpd.core.election import FABRIC_FAILURE, GroupView, decide
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
from jsrpd.core.lease import NEVER, AdoptedLease, acknowledged, claimed_alone, renewed, shut, unacknowledged
from jsrpd.core.peer import Peer, SentHeartbeats
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.messages.catalogue import (
    arbitration_allows,
    arbitration_denies,
    ha_control_link_down,
    ha_control_link_up,
    node_state_change,
    notice,
    preempt_limit_reached,
    redundancy_mode_change,
    redundancy_mode_mismatch,
    set_cs_mon_failure,
    set_intf_mon_failure,
    set_ip_mon_failure,
    set_npc_mon_failure,
    set_other_intf_mon_fail,
    set_spu_mon_failure,
    unset_cs_mon_failure,
    unset_intf_mon_failure,
    unset_ip_mon_failure,
    unset_npc_mon_failure,
    unset_other_intf_mon_fail,
    unset_spu_mon_failure,
)
from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration
from jsrpd.model.link_messages import (
    FIRST_FABRIC_PATH,
    Acknowledgement,
    GroupReport,
    Heartbeat,
    Incarnation,
    PathId,
    PeerRequest,
    RequestKind,
)
from jsrpd.model.roles import FULL_WEIGHT, RG0, FailureCode, GroupState
from jsrpd.model.status import ClusterStatus
from jsrpd.model.time import MILLISECOND, NOT_SOON, SECOND, SHORTEST_START_UP_HOLD, Instant, Timing

REPEAT = 2 * MILLISECOND
"""How often ``secondary-hold`` and ``primary`` are repeated in a hand-over until answered (LEASE 16)."""
RECOVERED_INTERVALS = 30
"""Heartbeat intervals a link must be well before it counts as recovered (SPEC 6.2)."""
MAINTENANCE = (FailureCode.RE, "maintenance")
FABRIC = (FailureCode.FL, "fabric links")
MAX_REQUESTS = 16
UNCHOSEN = (GroupState.INELIGIBLE, GroupState.DISABLED)
LONGEST_DRAIN = 50 * MILLISECOND
UNHURRIED = ("Node shutdown", "Manual failover", "Preempt/yield", "Redundancy mode", "Monitor failed: RE")
"""Reasons of a planned hand-over that can wait for the sessions. A failed monitor yields first (SPEC 6.4)."""
MONITOR_MESSAGES = {
    FailureCode.IF: (set_intf_mon_failure, unset_intf_mon_failure),
    FailureCode.CS: (set_cs_mon_failure, unset_cs_mon_failure),
    FailureCode.IP: (set_ip_mon_failure, unset_ip_mon_failure),
    FailureCode.SP: (set_spu_mon_failure, unset_spu_mon_failure),
    FailureCode.NP: (set_npc_mon_failure, unset_npc_mon_failure),
}
"""What is said of a group when the first object of a code fails, and when the last one has recovered."""


class Speech(msgspec.Struct, frozen=True):
    """What a heartbeat says of us; when it differs from the last one, the next goes out at once (SPEC 5)."""

    groups: tuple[GroupReport, ...]
    interfaces_up: int
    requests: tuple[int, ...]
    stopping: bool


class Cluster:
    """The machine. One per engine; see ARCHITECTURE section 1 for the shape."""

    def __init__(
        self,
        configuration: ClusterConfiguration,
        now: Instant,
        incarnation: Incarnation,
        adopted: Iterable[AdoptedLease] = (),
        software_version: str = "",
    ) -> None:
        self.configuration = configuration
        self.software_version = software_version
        self.incarnation = incarnation
        self.started = now
        self.judged = now
        self._due: Instant = now
        """When the next turn should begin at the latest."""
        self.peer = Peer(now, incarnation)
        self.sent = SentHeartbeats()
        self.groups: dict[int, RedundancyGroup] = {}
        self.interfaces_up = (1 << len(configuration.watched_interfaces)) - 1
        self.interfaces_known = False
        self.control_failed = False
        self.fabric_failed = False
        self.maintenance = False
        self.mode = configuration.redundancy_mode
        """In force. Latched at start, whatever is committed later (SPEC section 3)."""
        self.mode_mismatched = False
        """The peer runs the other mode, which was said."""
        self.reboot_ordered = False
        self._rejoin = False
        """The operator takes this node back; carried out by the turn that is under way."""
        self.arbitration = Arbitration()
        """The arbiter's word as far as it was told; bears on nothing while the configuration has none."""
        self.arbitration_said: bool | None = None
        """What the log said last: the probed addresses answer. None: nothing yet."""
        self.arbitrated_since: Instant = 0
        """When the present statement was committed; 0: it was there from the start."""
        self.witness_wanted = False
        self.stopping_since: Instant | None = None
        self.stopped = False
        self.session_link_up = False
        self._draining_until: Instant | None = None
        self._drained = False
        self._requests: dict[int, tuple[PeerRequest, int]] = {}
        self._request_ids = 0
        self._peer_request_id = 0
        self._unacknowledged: dict[PathId, HeartbeatReceived] = {}
        self._announcing: set[int] = set()
        self._spoken: Speech | None = None
        self._control_up: dict[PathId, bool] = {}
        self._pending: list[Action] = []
        self._told_timing: Timing | None = None
        self._set_timings()
        for group in _with_group_zero(configuration):
            self.groups[group.group] = RedundancyGroup(group, configuration.node_id, now)
        self._joint = together.joint(self.mode, self.groups)
        self._adopt(now, adopted)

    # -- what happened ------------------------------------------------------------------------------------------

    def handle(self, now: Instant, event: Event) -> list[Action]:
        """Take one event at the instant judged; the actions it calls for, in order."""
        match event:
            case SocketsDrained():
                return self._judge(now, event)
            case HeartbeatReceived():
                self._heartbeat_received(event)
            case AcknowledgementReceived():
                self._acknowledgement_received(event)
            case StrangerHeard():
                self._stranger_heard(event)
            case WatchedInterfacesChanged():
                self._interfaces_changed(event.up)
            case MonitorFailed():
                self._monitor_failed(event)
            case MonitorRecovered():
                self._monitor_recovered(event)
            case FailoverRequested():
                self._failover_requested(now, event.group, event.node)
            case FailoverReset():
                self._failover_reset(event.group)
            case FailoverCountCleared():
                self._clear_failover_counts()
                self._ask_peer(RequestKind.CLEAR_FAILOVER_COUNT, RG0, self.configuration.peer_id)
            case PreemptCountCleared(number):
                self._clear_preempt_count(number)
                self._ask_peer(RequestKind.CLEAR_PREEMPT_COUNT, number, self.configuration.peer_id)
            case RejoinRequested():
                self._rejoin = self.refuse_rejoin() is None
            case MaintenanceSet(on):
                self._set_maintenance(on)
            case ConfigurationChanged():
                self._configuration_changed(now, event.configuration)
            case ServicesStopped(number):
                self._services_stopped(number)
            case SessionLinkChanged(up):
                self.session_link_up = up
            case SessionsDrained():
                self._drained = self._draining_until is not None
            case ArbiterAnswered(asked_at):
                self.arbitration = answered(self.arbitration, asked_at, self._lease_timing)
            case WitnessGranted(until):
                if self.witness_wanted:
                    self.arbitration = replace(self.arbitration, granted_until=max(self.arbitration.granted_until, until))
            case ShutdownRequested():
                self.stopping_since = now if self.stopping_since is None else self.stopping_since
        return []

    def _heartbeat_received(self, event: HeartbeatReceived) -> None:
        before = self.peer.reports
        new_life = event.incarnation != self.peer.incarnation
        if new_life:
            self._peer_request_id = 0
            before = {}
        known = self._unacknowledged.get(event.path)
        if new_life or known is None or event.sequence > known.sequence:
            self._unacknowledged[event.path] = event
        if not self.peer.heartbeat_received(event, self._timing):
            return
        heartbeat = event.heartbeat
        told = heartbeat.timing
        if told != self._told_timing:
            self._told_timing = told
            self._set_timings()
        mismatched = heartbeat.mode != self.mode
        if mismatched and not self.mode_mismatched:
            self._pending.append(Log(redundancy_mode_mismatch()))
        self.mode_mismatched = mismatched
        primary = sum(1 << r.group for r in heartbeat.groups if r.state == GroupState.PRIMARY)
        self._echoed(heartbeat.echo_incarnation, heartbeat.echo_sequence, primary, event.received_at)
        for report in heartbeat.groups:
            self._report_received(report, before.get(report.group))
        for request in heartbeat.requests:
            self._peer_requested(event.received_at, request)

    def _acknowledgement_received(self, event: AcknowledgementReceived) -> None:
        if event.incarnation != self.peer.incarnation:
            self._peer_request_id = 0
        self.peer.acknowledgement_received(event, self._timing)
        echo = event.acknowledgement
        self._echoed(echo.echo_incarnation, echo.echo_sequence, echo.primary_groups, event.received_at)

    def _stranger_heard(self, event: StrangerHeard) -> None:
        """Its echo acknowledges, for it is fresh: it names this life of ours. Whoever joins costs an owner nothing."""
        self.peer.stranger_heard(event, self._claim_timing)
        self._acknowledged(event.echo_sequence, event.primary_groups)

    def _echoed(self, incarnation: Incarnation, sequence: int, primary_groups: int, at: Instant) -> None:
        """LEASE 6: each group takes the send time of what the peer echoed while saying it is not primary for it."""
        if self.peer.echo(incarnation, sequence, at):
            self._acknowledged(sequence, primary_groups)

    def _acknowledged(self, sequence: int, primary_groups: int) -> None:
        sent_at = self.sent.sent_at(sequence)
        if sent_at is None:
            return
        for group in self.groups.values():
            if not primary_groups >> group.number & 1:
                group.lease = acknowledged(group.lease, sent_at)

    def _report_received(self, report: GroupReport, before: GroupReport | None) -> None:
        group = self.groups.get(report.group)
        if group is None:
            return
        group.generation = max(group.generation, report.generation)
        if group.state != GroupState.PRIMARY and report.state == GroupState.PRIMARY:
            group.manual = report.manual
        if group.state == report.state == GroupState.PRIMARY:
            group.lease = unacknowledged(group.lease)
        stepped_down = before is not None and before.state == GroupState.PRIMARY and report.state != GroupState.PRIMARY
        if group.state == GroupState.PRIMARY and stepped_down:
            # The other side answered for the addresses too; what it announced last must be overwritten.
            self._announcing.add(group.number)
        failed = bool(report.failures >> FailureCode.IF & 1)
        if failed != group.peer_interface_failed:
            group.peer_interface_failed = failed
            log = set_other_intf_mon_fail if failed else unset_other_intf_mon_fail
            self._pending.append(Log(log(group.number)))

    def _interfaces_changed(self, up: int) -> None:
        """Interface monitors follow from the state of the watched interfaces; a reth child that is back is announced."""
        before, self.interfaces_up = self.interfaces_up, up
        self.interfaces_known = True
        names = self.configuration.watched_interfaces
        state = {name: bool(up >> bit & 1) for bit, name in enumerate(names)}
        for group in self.groups.values():
            for monitor in group.configuration.interface_monitors:
                if state[monitor.interface]:
                    self._recover(group, FailureCode.IF, monitor.interface)
                else:
                    self._fail(group, FailureCode.IF, monitor.interface, monitor.weight)
        for reth in self.configuration.reths:
            bit = names.index(reth.child)
            if up >> bit & 1 and not before >> bit & 1:
                self._announcing.add(reth.group)

    def _monitor_failed(self, event: MonitorFailed) -> None:
        group = self.groups.get(event.group)
        if group is not None:
            self._fail(group, event.code, event.name, event.weight)

    def _monitor_recovered(self, event: MonitorRecovered) -> None:
        group = self.groups.get(event.group)
        if group is not None:
            self._recover(group, event.code, event.name)

    def _fail(self, group: RedundancyGroup, code: FailureCode, name: str, weight: int) -> None:
        first = group.fail(code, name, weight)
        self._joint = together.joint(self.mode, self.groups)
        if first and code in MONITOR_MESSAGES:
            self._pending.append(Log(MONITOR_MESSAGES[code][0](group.number)))

    def _recover(self, group: RedundancyGroup, code: FailureCode, name: str) -> None:
        last = group.recover(code, name)
        self._joint = together.joint(self.mode, self.groups)
        if last and code in MONITOR_MESSAGES:
            self._pending.append(Log(MONITOR_MESSAGES[code][1](group.number)))

    def _set_node_failure(self, failure: tuple[FailureCode, str], weight: int | None) -> None:
        """What weighs on every group of this node; None: no more."""
        for group in self.groups.values():
            if weight is None:
                self._recover(group, *failure)
            else:
                self._fail(group, *failure, weight)

    def _set_maintenance(self, on: bool) -> None:
        if on != self.maintenance:
            self.maintenance = on
            self._set_node_failure(MAINTENANCE, FULL_WEIGHT if on else None)
            told = "on, nothing stays here that the other node can take" if on else "off"
            self._pending.append(Log(notice(f"maintenance of node{self.configuration.node_id} is {told}")))

    # -- what the operator wants ----------------------------------------------------------------------------------

    def refuse_failover(self, now: Instant, number: int, node: int) -> str | None:
        """Why a manual failover is refused, or None. ``node`` is where the group shall be primary (LEASE 14)."""
        group = self.groups.get(number)
        if group is None:
            return f"Redundancy group {number} is not configured"
        report = self.peer.reports.get(number)
        if report is None or self._peer_silent(now):
            return f"node{self.configuration.peer_id} is lost; redundancy group {number} stays where it is"
        local = node == self.configuration.node_id
        target = group.state if local else report.state
        owner = report.state if local else group.state
        priority = self.effective_priority(group) if local else report.effective_priority
        if target == GroupState.PRIMARY:
            return f"node{node} is already primary for redundancy group {number}"
        if group.manual:
            return (
                f"A manual failover of redundancy group {number} is in force; "
                f"end it first: request chassis cluster failover reset redundancy-group {number}"
            )
        if target != GroupState.SECONDARY:
            return f"node{node} is in {target.label} for redundancy group {number}; try again when it is secondary"
        if priority == 0:
            return f"node{node} is not fit for redundancy group {number}: its priority is 0"
        if owner != GroupState.PRIMARY:
            return f"Redundancy group {number} has no primary that could hand it over"
        return None

    def _failover_requested(self, now: Instant, number: int, node: int) -> None:
        if self.refuse_failover(now, number, node) is not None:
            return
        if node == self.configuration.node_id:
            self._ask_peer(RequestKind.FAILOVER, number, node)
        else:
            for group in together.moved_with(self.mode, self.groups, number):
                patience = self._timing.dead + group.configuration.service_stop_limit_s * SECOND
                group.yield_to_operator_until = now + patience

    def _failover_reset(self, number: int) -> None:
        """The flag belongs to the primary; the other node mirrors it, so a reset given here may have to travel."""
        group = self.groups.get(number)
        if group is None or not group.manual:
            return
        self._end_manual(number)
        if group.state != GroupState.PRIMARY:
            self._ask_peer(RequestKind.RESET, number, self.configuration.peer_id)

    def _end_manual(self, number: int) -> None:
        for group in together.moved_with(self.mode, self.groups, number):
            group.manual = False

    def refuse_rejoin(self) -> str | None:
        """Why the operator cannot take this node back, or None."""
        if self.groups[RG0].state == GroupState.DISABLED:
            return None
        return f"node{self.configuration.node_id} is not disabled; there is nothing to rejoin"

    def _clear_preempt_count(self, number: int) -> None:
        group = self.groups.get(number)
        if group is not None:
            group.clear_preempt_count()

    def _clear_failover_counts(self) -> None:
        for group in self.groups.values():
            group.cleared_generation = group.generation

    def _ask_peer(self, kind: RequestKind, group: int, node: int) -> None:
        if len(self._requests) >= MAX_REQUESTS:
            return
        self._request_ids += 1
        self._requests[self._request_ids] = (PeerRequest(self._request_ids, kind, group, node), 0)

    def _peer_requested(self, now: Instant, request: PeerRequest) -> None:
        if request.id <= self._peer_request_id:
            return
        self._peer_request_id = request.id
        match request.kind:
            case RequestKind.FAILOVER:
                if request.node == self.configuration.peer_id:
                    self._failover_requested(now, request.group, request.node)
            case RequestKind.RESET:
                self._end_manual(request.group)
            case RequestKind.CLEAR_FAILOVER_COUNT:
                self._clear_failover_counts()
            case RequestKind.CLEAR_PREEMPT_COUNT:
                self._clear_preempt_count(request.group)

    # -- configuration ----------------------------------------------------------------------------------------------

    def _configuration_changed(self, now: Instant, new: ClusterConfiguration) -> None:
        """A value diff: a group whose configuration is equal sees nothing."""
        old_names = self.configuration.watched_interfaces
        up = {name for bit, name in enumerate(old_names) if self.interfaces_up >> bit & 1}
        if new.redundancy_mode not in (self.mode, self.configuration.redundancy_mode):
            self._pending.append(Log(redundancy_mode_change()))
        if new.arbitration != self.configuration.arbitration:
            self.arbitration_said, self.arbitrated_since = None, now
        self.configuration = new
        self._set_timings()
        wanted = {group.group: group for group in _with_group_zero(new)}
        for number in [n for n in self.groups if n not in wanted]:
            group = self.groups.pop(number)
            group.lease = shut(group.lease)
            self._pending += group.store(self.peer.last_heard)
        for number, configuration in wanted.items():
            known = self.groups.get(number)
            if known is None:
                self.groups[number] = fresh = RedundancyGroup(configuration, new.node_id, now)
                if self.maintenance:
                    self._fail(fresh, *MAINTENANCE, FULL_WEIGHT)
                if self.fabric_failed:
                    self._fail(fresh, *FABRIC, 0)
            elif known.configuration != configuration:
                if known.configuration.preempt != configuration.preempt:
                    known.clear_preempt_count()
                known.configuration = configuration
                monitored = {m.interface for m in configuration.interface_monitors}
                for code, name in [key for key in known.failures if key[0] == FailureCode.IF]:
                    if name not in monitored:
                        self._recover(known, code, name)
        self._joint = together.joint(self.mode, self.groups)
        new_names = new.watched_interfaces
        # A newly watched interface counts as up until the engine, which is told as well, has looked. Renumbered before
        # it is compared: none of them came up just now.
        self.interfaces_up = sum(1 << b for b, n in enumerate(new_names) if n in up or n not in old_names)
        self._interfaces_changed(self.interfaces_up)

    # -- the end of a turn ------------------------------------------------------------------------------------------

    def _judge(self, now: Instant, drained: SocketsDrained) -> list[Action]:
        self.judged = now
        # The last term: a stall after the last judgement, even if input was waiting when the loop came round again.
        late = max(drained.at - now, drained.woke_late_by, now - self._due)
        if late > self._timing.lateness:
            self.peer.note_lateness(drained.at)
        if late >= SHORTEST_START_UP_HOLD:
            self.peer.gone = False  # Time enough to come back, unheard, whatever its timers are by then.
        actions = self._acknowledgements()
        self._judge_paths(now)
        self._judge_probes(now)
        after: list[Action] = []
        node_before = self.groups[RG0].state
        for group in self.groups.values():
            after += self._judge_group(now, group)
        after += self._judge_node(now, node_before)
        if self._draining_until is not None and now >= self._draining_until:
            self._draining_until, self._drained = None, False
        for group in self.groups.values():
            if group.state != GroupState.PRIMARY:
                actions += self._give_up(group)
        actions += self._speak_and_store(now)
        actions += self._ask_witness(now)
        actions += self._announcements(now)
        actions += self._pending + after
        self._pending = []
        actions += self._stop_if_done(now)
        self._due = self._next_turn(now)
        return actions

    def _acknowledgements(self) -> list[Action]:
        """One per turn and path, for the newest heartbeat (LEASE 4), with what we are before anything is judged."""
        primary = sum(1 << g.number for g in self.groups.values() if g.state == GroupState.PRIMARY)
        alone = any(group.lease.alone_since is not None for group in self.groups.values())
        actions: list[Action] = [
            SendAcknowledgement(path, Acknowledgement(event.incarnation, event.sequence, primary, alone))
            for path, event in self._unacknowledged.items()
            if event.incarnation == self.peer.incarnation
        ]
        self._unacknowledged.clear()
        return actions

    def _judge_paths(self, now: Instant) -> None:
        if self._peer_silent(now) and self.peer.heartbeat is not None:
            self.peer.lose()
            self.mode_mismatched = False
            for group in self.groups.values():
                group.manual = False
        for link in self.configuration.control_links:
            up = self.path_up(now, link.index)
            if up != self._control_up.get(link.index, False):
                self._control_up[link.index] = up
                log = ha_control_link_up(link.interface) if up else ha_control_link_down(link.interface, "no heartbeat")
                self._pending.append(Log(log))
        control_quiet_since = self.peer.control_quiet_since
        control_silent = now - control_quiet_since >= self._claim_timing.dead
        # A dead peer falls silent on all paths within one heartbeat; a dead link leaves others speaking (reference 3.1).
        others = any(
            path >= FIRST_FABRIC_PATH and at - control_quiet_since > self._timing.interval // 2 and self.path_up(now, path)
            for path, at in self.peer.heard_on.items()
        )
        remote = self.peer.reports.get(RG0)
        peer_leads = remote is not None and remote.state == GroupState.PRIMARY
        if not self.control_failed:
            leads = self.groups[RG0].state == GroupState.PRIMARY
            self.control_failed = control_silent and others and peer_leads and not leads
        elif not control_silent or not others:
            self.control_failed = False
        self._judge_fabric(now)

    def _judge_fabric(self, now: Instant) -> None:
        """Failed: silent for T, while a control link has been heard later than by what one heartbeat differs by path."""
        peer, timing = self.peer, self._claim_timing
        quiet_since = peer.fabric_quiet_since
        control = peer.control_heard is not None and peer.control_heard - quiet_since > timing.interval // 2
        silent = self.configuration.fabric_monitored and now - quiet_since >= timing.dead
        failed = silent and (self.fabric_failed or (control and now - peer.control_quiet_since < timing.dead))
        if failed != self.fabric_failed:
            self.fabric_failed = failed
            self._set_node_failure(FABRIC, 0 if failed else None)

    def arbitration_held(self, now: Instant) -> bool:
        """Whether the arbiter has spoken for this node of late."""
        return now <= self.arbitration.limit(self._lease_timing)

    def _judge_probes(self, now: Instant) -> None:
        """Say when the probed addresses have not answered for T, and when they answer again, though it bears on nothing now."""
        stated = self.configuration.arbitration
        if stated is None or not stated.probes:
            return
        answers = self.arbitration_held(now)
        if answers and self.arbitration_said is not True:
            self.arbitration_said = True
            self._pending.append(Log(arbitration_allows(", ".join(stated.probes))))
        elif not answers and self.arbitration_said is not False and now >= self._unanswered_at():
            self.arbitration_said = False
            self._pending.append(Log(arbitration_denies(", ".join(stated.probes))))

    def _unanswered_at(self) -> Instant:
        """When it is said that nothing answers."""
        return max(self.arbitration.asked_at, self.arbitrated_since, self.started) + self._timing.dead

    def _ask_witness(self, now: Instant) -> list[Action]:
        """Behind the stored leases: when the key is let go no gate rests on it any more."""
        wanted = self._witness_wanted(now)
        if wanted == self.witness_wanted:
            return []
        self.witness_wanted = wanted
        if not wanted:
            self.arbitration = replace(self.arbitration, granted_until=NEVER)
        return [AskWitness(wanted)]

    def _witness_wanted(self, now: Instant) -> bool:
        """From when a heartbeat is missing where a group is owned; elsewhere only an interval before it could be claimed, so that a
        cut moves nothing. For as long as a gate may be open by this node's own word."""
        if self.stopped or not self.configuration.witnessed:
            return False
        groups, timing = self.groups.values(), self._claim_timing
        if any(g.lease.alone_since is not None or (g.state == GroupState.SECONDARY_HOLD and g.lease.is_open(now)) for g in groups):
            return True
        patience = timing.quiet if any(g.state == GroupState.PRIMARY for g in groups) else timing.dead - timing.interval
        return self.peer.gone or now - self.peer.unbound_since >= patience

    def _judge_node(self, now: Instant, before: GroupState) -> list[Action]:
        """The node as a whole follows group 0: disabled, back, and the reboot that brings it back (SPEC 6.3)."""
        self._rejoin = False
        group, node = self.groups[RG0], self.configuration.node_id
        if group.state == GroupState.DISABLED != before:
            return [Log(node_state_change(node, "disabled", group.reason))]
        if before == GroupState.DISABLED != group.state:
            self.reboot_ordered = False
            return [Log(node_state_change(node, "hold", group.reason))]
        wanted = group.state == GroupState.DISABLED and self.configuration.control_link_recovery == "reboot"
        if not wanted or self.reboot_ordered or not self._links_recovered(now):
            return []
        self.reboot_ordered = True
        return [Log(node_state_change(node, "rebooting", "links recovered")), Reboot()]

    def _judge_group(self, now: Instant, group: RedundancyGroup) -> list[Action]:
        self._note_conditions(now, group)
        decision = decide(self._view(now, group))
        if decision is None:
            group.keep_services(now, self._timing.dead)
            return []
        report = self.peer.reports.get(group.number)
        healing = report is not None and report.state == GroupState.PRIMARY
        planned = group.state == GroupState.PRIMARY and decision.reason.startswith(UNHURRIED) and not healing
        wait = group.stop_services(now) if planned else None
        if wait is None and planned and group.number != RG0:
            wait = self._drain(now)
        return group.apply(now, self._timing, decision, report) if wait is None else wait

    def _services_stopped(self, number: int) -> None:
        group = self.groups.get(number)
        if group is not None and group.services_until is not None:
            group.services_stopped = True

    def _drain(self, now: Instant) -> list[Action] | None:
        """What to do instead of yielding: wait until the sessions are with the peer, for a bounded time; None to go on."""
        if not self.session_link_up or self._drained:
            return None
        if self._draining_until is None:
            self._draining_until = now + min(LONGEST_DRAIN, self._timing.dead // 2)
            return [DrainSessions()]
        return [] if now < self._draining_until else None

    def _note_conditions(self, now: Instant, group: RedundancyGroup) -> None:
        """Conditions that must have lasted: the shut gate of a primary, the preferred peer, the operator's wish, our word."""
        priority = self.effective_priority(group)
        if priority != group.priority_judged:
            # The peer elects by what it knows of us: until it has echoed the new priority it may claim by the old one.
            group.priority_judged = priority
            group.state_sent_at = None
        primary = group.state == GroupState.PRIMARY
        shut = primary and not group.lease.is_open(now)
        # Alone and denied, it does not keep the role either: its services would run on behind the shut gate.
        shut_for_good = shut and (not self._peer_silent(now) or not self.arbitration_permits(now))
        shut_since = group.gate_shut_since or now
        if (self.peer.last_heard or 0) < self.peer.floor:
            # Not heard since we slept: it may be silent, and silence is counted from there, too.
            shut_since = max(shut_since, self.peer.floor)
        group.gate_shut_since = shut_since if shut_for_good else None
        report = self.peer.reports.get(group.number)
        preferred = primary and report is not None and report.state == GroupState.SECONDARY and report.effective_priority > priority
        group.peer_preferred_since = (group.peer_preferred_since or now) if preferred else None
        if group.note_preempt(now) and group.configuration.preempt is not None:
            limit, period = group.configuration.preempt.limit, group.configuration.preempt.period_s
            self._pending.append(Log(preempt_limit_reached(group.number, limit, period)))
        wish = group.yield_to_operator_until
        if wish is not None and now > wish:
            group.yield_to_operator_until = None

    def _view(self, now: Instant, group: RedundancyGroup) -> GroupView:
        peer, timing = self.peer, self._claim_timing
        first = peer.first_heard
        joint = self._joint_of(group)
        return GroupView(
            now=now,
            timing=timing,
            node=group.node,
            group=group.number,
            state=group.state,
            since=group.since,
            effective_priority=self.effective_priority(group),
            weight=joint.weight if joint else group.weight,
            failures=joint.failure_bits if joint else group.failure_bits,
            manual=group.manual,
            generation=group.generation,
            gate_open=group.holds_gate(now),
            gate_shut_since=group.gate_shut_since,
            hold_down_until=group.hold_down_until,
            grace_until=group.grace_until,
            stopping=self.stopping_since is not None,
            yield_to_operator=group.yield_to_operator_until is not None,
            preempt=group.configuration.preempt if joint is None or joint.leader == group.number else None,
            preempt_held=group.preempt_held,
            follows=joint is not None and self._leads_there(joint.leader),
            peer_preferred_since=group.peer_preferred_since,
            peer_silent=self._may_be_claimed(now, group.number),
            peer_fresh=peer.last_heard is not None and now - peer.last_heard <= timing.fresh,
            peer_echoed=self._state_echoed(group),
            peer_exchanged=peer.heartbeat is not None and peer.echoed > 0,
            first_up=first is not None and first - self.started >= timing.dead,
            control_failed=self.control_failed,
            fabric_failed=self.fabric_failed,
            links_recovered=self._links_recovered(now),
            by_fabric=group.reason == FABRIC_FAILURE,
            disable_due=group.state == GroupState.INELIGIBLE and now >= self.disabled_at(),
            rejoin=self._rejoin,
            peer=peer.reports.get(group.number),
        )

    def _state_echoed(self, group: RedundancyGroup) -> bool:
        """LEASE 11. An echo by a peer that is primary by then must not count: its claim may still be on the way to us."""
        return group.state_sent_at is not None and group.lease.acknowledged_at >= group.state_sent_at

    def _leads_there(self, number: int) -> bool:
        report = self.peer.reports.get(number)
        there = report is not None and report.state == GroupState.PRIMARY
        return there and self.groups[number].state != GroupState.PRIMARY

    def _links_recovered(self, now: Instant) -> bool:
        peer = self.peer
        fabric = not self.configuration.fabric_monitored or self._well(now, peer.fabric_quiet_since, peer.fabric_run_since)
        return fabric and self._well(now, peer.control_quiet_since, peer.control_run_since)

    def _well(self, now: Instant, quiet_since: Instant, run_since: Instant | None) -> bool:
        timing = self._claim_timing
        running = run_since is not None and now - run_since >= RECOVERED_INTERVALS * timing.interval
        return running and now - quiet_since < timing.dead

    def disabled_at(self) -> Instant:
        """When a node with nothing but ineligible groups is disabled; never in mode rejoin, nor while it may still own any."""
        groups = self.groups.values()
        if self.configuration.control_link_recovery == "rejoin" or any(g.state not in UNCHOSEN for g in groups):
            return NOT_SOON
        since = max((g.since for g in groups if g.state == GroupState.INELIGIBLE), default=NOT_SOON)
        return since + self.configuration.disable_after_s * SECOND

    def _give_up(self, group: RedundancyGroup) -> list[Action]:
        """Not primary: shut, except for the grace of a hand-over, which ends when the new owner is heard (LEASE 15, 17)."""
        report = self.peer.reports.get(group.number)
        taken = report is not None and report.state == GroupState.PRIMARY
        if group.state != GroupState.SECONDARY_HOLD or taken:
            group.lease = shut(group.lease)
        return group.store(self.peer.last_heard)

    def _speak_and_store(self, now: Instant) -> list[Action]:
        """A claim is said before it is stored (LEASE 10). A lease that shortens is stored before the peer can hear of what
        shortened it: intervals that a commit made shorter bring its claim forward."""
        speech = self._speak(now)
        shorter: list[Action] = []
        longer: list[Action] = []
        for group in self.groups.values():
            if group.state == GroupState.PRIMARY:
                shortens = group.stored is not None and group.lease.deadline < group.stored.deadline
                (shorter if shortens else longer).extend(group.store(self.peer.last_heard))
        return shorter + speech + longer

    def _speak(self, now: Instant) -> list[Action]:
        """Send when it is time or something changed; leases of primaries follow the send, never precede it (LEASE 10)."""
        due = self._next_send(now) <= now
        if due:
            self.sent.record(now)
        self._renew(now)
        spoken = self._speech(now)
        if not due:
            if self._muted(now) or spoken == self._spoken:
                return []
            self.sent.record(now)
        self._spoken = spoken
        sequence = self.sent.newest
        for group in self.groups.values():
            if group.state_sent_at is None:
                group.state_sent_at = self.sent.newest_at
        self._requests = {
            number: (request, first or sequence)
            for number, (request, first) in self._requests.items()
            if not first or self.peer.echoed < first
        }
        return [SendHeartbeat(sequence, self._heartbeat(now, spoken.groups))]

    def _renew(self, now: Instant) -> None:
        """Leases of all primaries. A shut gate and nothing heard for T: claimed anew by silence (LEASE 8, 10).

        Nothing at all, acknowledgements included: they say that the peer lives, and what it is.
        """
        lost = self._nothing_heard(now)
        timing = self._lease_timing
        for group in self.groups.values():
            if group.state != GroupState.PRIMARY:
                continue
            stranger = self.peer.stranger_owns(group.number, now, self._claim_timing, shut=not group.lease.is_open(now))
            quiet_since = self.peer.quiet_since
            if self.peer.stranger_may_own(group.number, self._claim_timing):
                # Its word does not count, but silent it is not: nobody goes on alone beside it.
                quiet_since = max(quiet_since, self.peer.stranger_at)
            permitted = self.arbitration_permits(now)
            if lost and not stranger and permitted and not group.lease.is_open(now) and group.lease.alone_since is None:
                group.lease = claimed_alone(group.lease, now, timing, self.arbitration_limit)
                continue
            before = group.lease
            group.lease = renewed(
                before,
                now,
                timing,
                sent_at=self.sent.newest_at or self.started,
                last_heard=max(self.peer.last_heard or 0, self.peer.stranger_at) if stranger else self.peer.last_heard,
                quiet_since=quiet_since,
                peer_gone=self.peer.gone and not stranger and (permitted or group.lease.is_open(now)),
                limit=self.arbitration_limit,
            )
            if before.alone_since is not None and group.lease.alone_since is None and before.is_open(now):
                group.held_until = now + timing.dead

    def _speech(self, now: Instant) -> Speech:
        return Speech(self._reports(now), self.interfaces_up, tuple(self._requests), self.stopping_since is not None)

    def _reports(self, now: Instant) -> tuple[GroupReport, ...]:
        return tuple([group.report(now, self.eligible_for(group)) for group in self.groups.values()])

    def _heartbeat(self, now: Instant, reports: tuple[GroupReport, ...]) -> Heartbeat:
        configuration = self.configuration
        return Heartbeat(
            mode=self.mode,
            software_version=self.software_version,
            interval_ms=configuration.heartbeat_interval_ms,
            threshold=configuration.heartbeat_threshold,
            configuration_digest=configuration.digest,
            echo_incarnation=self.peer.incarnation or 0,
            echo_sequence=self.peer.newest_sequence,
            paths_heard=sum(1 << path for path in self.peer.heard_on if self.path_up(now, path)),
            interfaces_up=self.interfaces_up,
            groups=reports,
            requests=tuple(request for request, _ in self._requests.values()),
            stopped=self.stopped,
        )

    def _announcements(self, now: Instant) -> list[Action]:
        actions: list[Action] = []
        for group in self.groups.values():
            owner = group.state == GroupState.PRIMARY and group.lease.is_open(now)
            if group.state != GroupState.PRIMARY:
                self._announcing.discard(group.number)
                continue
            if owner and (group.unannounced or group.number in self._announcing):
                group.unannounced = False
                self._announcing.discard(group.number)
                actions.append(Announce(group.number))
            report = self.peer.reports.get(group.number)
            old_owner_shut = self.peer.gone or (report is not None and not report.gate_open)
            if owner and group.confirm_until is not None and (old_owner_shut or now >= group.confirm_until):
                group.confirm_until = None
                actions.append(Announce(group.number, repeat=False))
        return actions

    def _stop_if_done(self, now: Instant) -> list[Action]:
        """Shut down once nothing is left to hand over, at the latest after the grace (SPEC section 2, SIGTERM)."""
        if self.stopping_since is None or self.stopped:
            return []
        handing_over = any(g.state == GroupState.SECONDARY_HOLD and g.lease.is_open(now) for g in self.groups.values())
        owning = any(g.state == GroupState.PRIMARY for g in self.groups.values())
        if (handing_over or owning) and now < self._stop_at_last(self.stopping_since):
            peer_could = self.peer.last_heard is not None and not self._peer_silent(now)
            if handing_over or peer_could:
                return []
        self.stopped = True
        actions: list[Action] = []
        for group in self.groups.values():
            group.lease = shut(group.lease)
            actions += group.store(self.peer.last_heard)
        self.sent.record(now)
        said = SendHeartbeat(self.sent.newest, self._heartbeat(now, self._reports(now)))
        return [*actions, *self._ask_witness(now), said, Stop()]

    def _stop_at_last(self, since: Instant) -> Instant:
        """A hand-over has two graces, after the services of the slowest group have had their time."""
        services = max(group.configuration.service_stop_limit_s for group in self.groups.values())
        return since + services * SECOND + 2 * self._claim_timing.grace

    # -- time -------------------------------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """When the next turn is due if nothing arrives; None once stopped."""
        return None if self.stopped else self._due

    def _next_turn(self, now: Instant) -> Instant:
        wanted = [self._next_send(now), *self._peer_deadlines()]
        if self._draining_until is not None:
            wanted.append(self._draining_until)
        for group in self.groups.values():
            wanted += self._group_deadlines(group)
        return min((at for at in wanted if at > now), default=now + self._timing.interval)

    def _peer_deadlines(self) -> list[Instant]:
        claim, quiet = self._claim_timing, self.peer.quiet_since
        wanted = [self.peer.unbound_since + claim.dead, quiet + claim.dead, quiet + claim.quiet]
        wanted.append(self.peer.control_quiet_since + claim.dead)
        wanted += [at + claim.dead for at in self.peer.heard_on.values()]
        wanted.append(self.peer.fabric_quiet_since + claim.dead)
        if any(group.state in UNCHOSEN for group in self.groups.values()):
            runs = (self.peer.control_run_since, self.peer.fabric_run_since)
            wanted += [run + RECOVERED_INTERVALS * claim.interval for run in runs if run is not None]
            wanted.append(self.disabled_at())
        if self.stopping_since is not None:
            wanted.append(self._stop_at_last(self.stopping_since))
        if self.configuration.arbitration is not None:
            wanted += [self.arbitration.claimed_from(claim), self.arbitration_limit + 1, self._unanswered_at()]
        if self.configuration.witnessed:
            wanted += [self.peer.unbound_since + claim.quiet, self.peer.unbound_since + claim.dead - claim.interval]
        return wanted

    def _group_deadlines(self, group: RedundancyGroup) -> list[Instant]:
        timing, lease = self._claim_timing, self._lease_timing
        match group.state:
            case GroupState.HOLD:
                return [group.since + timing.dead, group.since + timing.start_up_hold]
            case GroupState.PRIMARY:
                quiet = self.peer.quiet_since
                wanted = [group.lease.deadline + 1, quiet + lease.lease_silence]
                if group.services_until is not None:
                    wanted += [group.services_until, group.services_wanted_at + self._timing.dead]
                if group.gate_shut_since is not None:
                    wanted.append(group.gate_shut_since + timing.dead)
                preempt = group.configuration.preempt
                if group.peer_preferred_since is not None and preempt is not None:
                    wanted.append(group.peer_preferred_since + preempt.delay_s * SECOND)
                if group.confirm_until is not None:
                    wanted.append(group.confirm_until)
                return wanted
            case GroupState.SECONDARY_HOLD:
                return [group.grace_until, group.hold_down_until]
            case GroupState.INELIGIBLE:
                return [group.since + timing.dead]
            case _:
                return []

    def _next_send(self, now: Instant) -> Instant:
        """Each interval; each quarter while evidence is gathered; every 2 ms in a hand-over (LEASE 5, 16, 20)."""
        last = self.sent.newest_at
        timing, interval = self._timing, self._send_interval
        if self._muted(now):
            return self.started + timing.quiet
        if last is None:
            return now
        if any(self._repeating(now, group) for group in self.groups.values()):
            return last + min(REPEAT, interval)
        echoed_at = max(self.peer.echoed_at or self.started, self.peer.floor)
        quiet = interval * 5 // 4
        gathering = self.peer.silence(now) >= quiet or now - echoed_at >= quiet
        return last + (interval // 4 if gathering else interval)

    def _muted(self, now: Instant) -> bool:
        """After start nothing of our own is sent until the peer is heard or 1.25 intervals have passed (LEASE 20)."""
        return self.peer.first_heard is None and now < self.started + self._timing.quiet

    def _repeating(self, now: Instant, group: RedundancyGroup) -> bool:
        if group.state == GroupState.SECONDARY_HOLD:
            report = self.peer.reports.get(group.number)
            return now < group.grace_until and (report is None or report.state != GroupState.PRIMARY)
        return group.confirm_until is not None and now < group.confirm_until

    def _set_timings(self) -> None:
        """The peer's intervals, as it last told them, differ from ours only while a commit is in flight. Leases follow the
        shorter dead time, for the peer may claim after its own; claims wait for the longer one. Sent is at the shorter interval,
        or a lease of the shorter time would run out between two heartbeats."""
        own = self.configuration.timing
        both = (own, self._told_timing or own)
        self._timing = own
        self._lease_timing = min(both, key=lambda timing: timing.dead)
        self._claim_timing = max(both, key=lambda timing: timing.dead)
        self._send_interval = min(timing.interval for timing in both)

    # -- the state of things ------------------------------------------------------------------------------------------

    def path_up(self, now: Instant, path: PathId) -> bool:
        """The peer was heard on this path within the dead time."""
        heard = self.peer.heard_on.get(path)
        return heard is not None and now - heard < self._claim_timing.dead

    def _peer_silent(self, now: Instant) -> bool:
        return self.peer.gone or now - self.peer.unbound_since >= self._claim_timing.dead

    def _nothing_heard(self, now: Instant) -> bool:
        return self.peer.gone or self.peer.silence(now) >= self._claim_timing.dead

    def _may_be_claimed(self, now: Instant, group: int) -> bool:
        """By silence. The lease of a peer that led the group rests on its heartbeats; a peer that did not may be about to claim as
        well, so as long as it acknowledges ours it is not silent."""
        if self.peer.stranger_owns(group, now, self._claim_timing, shut=True):
            return False
        silent = self._peer_silent(now) and (group in self.peer.led or self._nothing_heard(now))
        return silent and self.arbitration_permits(now)

    @property
    def arbitration_limit(self) -> Instant:
        """Until when a gate may be open by this node's own word."""
        return NOT_SOON if self.configuration.arbitration is None else self.arbitration.limit(self._lease_timing)

    def arbitration_permits(self, now: Instant) -> bool:
        """Whether a group may be claimed by silence, as far as the arbiter is concerned."""
        unasked = self.configuration.arbitration is None
        return unasked or self.arbitration.allows(now, self._lease_timing, self._claim_timing)

    @property
    def eligible(self) -> bool:
        """May become primary: false while the control links have failed and the peer leads RG0, and of a node that is leaving:
        whoever yields must not yield to it."""
        return not self.control_failed and self.stopping_since is None

    def eligible_for(self, group: RedundancyGroup) -> bool:
        """In mode active-backup what makes one group unfit makes all that move with it unfit."""
        joint = self._joint_of(group)
        return self.eligible and (joint is None or joint.weight > 0)

    def _joint_of(self, group: RedundancyGroup) -> together.Joint | None:
        return None if group.number == RG0 else self._joint

    def effective_priority(self, group: RedundancyGroup) -> int:
        """Priority that counts in an election (SPEC 6.1)."""
        return group.effective_priority(self.eligible_for(group))

    def status(
        self, now: Instant, conditions: Mapping[PathId, str] | None = None, drops: Mapping[str, int] | None = None
    ) -> ClusterStatus:
        """What displays are rendered from. ``conditions``: why a path is down, as the wire saw it."""
        return snapshot.of(self, now, conditions or {}, drops or {})

    def _adopt(self, now: Instant, adopted: Iterable[AdoptedLease]) -> None:
        """LEASE 19: a lease that still runs is taken over as it is; what has run out is not."""
        for lease in adopted:
            group = self.groups.get(lease.group)
            if group is None:
                continue
            group.generation = lease.generation
            if lease.state == GroupState.PRIMARY and now <= lease.deadline:
                self._pending += group.adopt(now, lease)
                if lease.alone:
                    # It was stored by what the arbiter had said, so the arbiter has allowed it to this end.
                    granted = max(self.arbitration.granted_until, lease.deadline)
                    self.arbitration = replace(self.arbitration, granted_until=granted)
                if lease.last_heard:
                    self.peer.last_heard = max(self.peer.last_heard or 0, lease.last_heard)


def _with_group_zero(configuration: ClusterConfiguration) -> tuple[GroupConfiguration, ...]:
    """Group 0, the node itself, exists in every cluster whether configured or not (reference 1.3)."""
    if any(group.group == RG0 for group in configuration.groups):
        return configuration.groups
    return (GroupConfiguration(RG0, hold_down_interval_s=30), *configuration.groups)
