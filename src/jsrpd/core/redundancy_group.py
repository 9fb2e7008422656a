"""One redundancy group on one node. Everything that changes a group's state is in this file; the table is the law."""

from jsrpd.core.actions import Action, ChangeRole, Log, StopServices, StoreLease
from jsrpd.core.election import Decision
from jsrpd.core.lease import NEVER, AdoptedLease, Lease, capped, claimed_alone, shut
from jsrpd.core.weight import effective_priority, failure_bits, weight_of
from jsrpd.messages.catalogue import rg_state_change
from jsrpd.model.configuration import GroupConfiguration
from jsrpd.model.link_messages import GroupReport
from jsrpd.model.roles import FailureCode, GroupState
from jsrpd.model.time import SECOND, Duration, Instant, Timing

HOLD, SECONDARY, PRIMARY = GroupState.HOLD, GroupState.SECONDARY, GroupState.PRIMARY
SECONDARY_HOLD, INELIGIBLE, DISABLED = GroupState.SECONDARY_HOLD, GroupState.INELIGIBLE, GroupState.DISABLED

MAX_PREEMPT_LIMIT = 50

TRANSITIONS: frozenset[tuple[GroupState, GroupState]] = frozenset(
    {
        (HOLD, SECONDARY),
        (HOLD, PRIMARY),  # only by re-adopting an unexpired lease
        (SECONDARY, PRIMARY),
        (SECONDARY, INELIGIBLE),
        (PRIMARY, SECONDARY_HOLD),
        (PRIMARY, SECONDARY),
        (SECONDARY_HOLD, PRIMARY),
        (SECONDARY_HOLD, SECONDARY),
        (SECONDARY_HOLD, INELIGIBLE),
        (INELIGIBLE, SECONDARY),
        (INELIGIBLE, PRIMARY),
        (INELIGIBLE, DISABLED),
        (DISABLED, HOLD),
    }
)
"""The legal transitions (SPEC 6.2); anything else is a bug."""


class RedundancyGroup:
    """State of one group, its failures, its lease. Changed only through the methods below."""

    def __init__(self, configuration: GroupConfiguration, node: int, now: Instant) -> None:
        self.configuration = configuration
        self.number = configuration.group
        self.node = node
        self.state = HOLD
        self.since = now
        self.reason = "Started"
        """Why the group is in its present state, for displays only."""
        self.generation = 0
        self.cleared_generation = 0
        self.manual = False
        self.failures: dict[tuple[FailureCode, str], int] = {}
        """What has failed now; changed by ``fail`` and ``recover`` only."""
        self.weight = weight_of(self.failures)
        """255 less what has failed."""
        self.failure_bits = failure_bits(self.failures)
        self.lease = Lease()
        self.stored: StoreLease | None = None
        self.hold_down_until: Instant = now
        self.grace_until: Instant = now
        self.gate_shut_since: Instant | None = None
        self.peer_preferred_since: Instant | None = None
        self.preempted: tuple[Instant, ...] = ()
        """When it yielded by preemption here, within the period of the limit."""
        self.preempt_held = False
        """It would have preempted beyond its limit: it stays until the operator clears the count."""
        self.yield_to_operator_until: Instant | None = None
        self.state_sent_at: Instant | None = None
        """When the present state and priority were first sent; the peer must echo them before we claim (LEASE 11)."""
        self.priority_judged = 0
        self.held_until: Instant = now
        """Until when a gate that was open alone counts as open in healing, though the contact shut it (LEASE 6, 12)."""
        self.unannounced = False
        """Claimed, not yet announced: that happens when the gate is stored open."""
        self.peer_interface_failed = False
        self.confirm_until: Instant | None = None
        """After a claim in a hand-over: repeat ``primary`` and announce once more until the old gate is known shut."""
        self.services_until: Instant | None = None
        """A planned hand-over waits so long for the group's services to end here; None while none does."""
        self.services_wanted_at: Instant = now
        """When that hand-over was last wanted."""
        self.services_stopped = False
        """They have ended."""

    def note_preempt(self, now: Instant) -> bool:
        """Count what the limit counts; True when just now it would move once more and may not."""
        preempt, since = self.configuration.preempt, self.peer_preferred_since
        if preempt is None or not preempt.limit:
            return False
        if self.preempted and self.preempted[0] <= now - preempt.period_s * SECOND:
            self.preempted = tuple(at for at in self.preempted if at > now - preempt.period_s * SECOND)
        due = since is not None and not self.manual and now - since >= preempt.delay_s * SECOND
        if self.preempt_held or not due or len(self.preempted) < preempt.limit:
            return False
        self.preempt_held = True
        return True

    def clear_preempt_count(self) -> None:
        """It may preempt again."""
        self.preempted = ()
        self.preempt_held = False

    def fail(self, code: FailureCode, name: str, weight: int) -> bool:
        """A watched object failed; True when it is the first of its code."""
        first = not self.failure_bits >> code & 1
        self.failures[code, name] = weight
        self._recompute()
        return first

    def recover(self, code: FailureCode, name: str) -> bool:
        """A watched object is well; True when it was the last of its code."""
        if self.failures.pop((code, name), None) is None:
            return False
        self._recompute()
        return not self.failure_bits >> code & 1

    def _recompute(self) -> None:
        self.weight = weight_of(self.failures)
        self.failure_bits = failure_bits(self.failures)

    @property
    def failover_count(self) -> int:
        """Claims by either node since the operator cleared the count."""
        return self.generation - self.cleared_generation

    def effective_priority(self, eligible: bool) -> int:
        """Priority that counts in an election (SPEC 6.1)."""
        fit = eligible and self.state not in (INELIGIBLE, DISABLED)
        manual_here = self.manual and self.state == PRIMARY
        return effective_priority(self.configuration.priorities[self.node], self.weight, eligible=fit, manual_here=manual_here)

    def holds_gate(self, now: Instant) -> bool:
        """The gate is open, or was when a primary met its peer again.

        Meeting shuts both gates (LEASE 6). Which one was open before decides the healing (LEASE 12), and both nodes
        must still see the same when their messages cross, or both would yield.
        """
        return self.lease.is_open(now) or (self.state == PRIMARY and now < self.held_until)

    def report(self, now: Instant, eligible: bool) -> GroupReport:
        """This group's line in the heartbeat."""
        return GroupReport(
            group=self.number,
            state=self.state,
            configured_priority=self.configuration.priorities[self.node],
            effective_priority=self.effective_priority(eligible),
            weight=self.weight,
            failures=self.failure_bits,
            manual=self.manual,
            gate_open=self.holds_gate(now),
            generation=self.generation,
        )

    def adopt(self, now: Instant, adopted: AdoptedLease) -> list[Action]:
        """Take over what the previous engine of this node held, its lease still running (LEASE 19)."""
        alone_since = adopted.last_heard if adopted.alone else None
        self.lease = Lease(adopted.deadline, adopted.acknowledged_at, alone_since)
        self.generation = adopted.generation
        return self._enter(now, Decision(PRIMARY, "Restarted in place"))

    def apply(self, now: Instant, timing: Timing, decision: Decision, peer: GroupReport | None) -> list[Action]:
        """Carry out a decision: state, generation, lease, timers. Announcements follow once the gate is stored open."""
        if decision.state == PRIMARY:
            self._claim(now, timing, decision, peer)
        elif self.state == PRIMARY:
            self._yield(now, timing, decision, peer)
        return self._enter(now, decision)

    def _claim(self, now: Instant, timing: Timing, decision: Decision, peer: GroupReport | None) -> None:
        handed_over = peer is not None and peer.state == SECONDARY_HOLD
        if peer is not None and handed_over:
            # The old owner has counted this claim already, in the message that offered it.
            self.generation = max(peer.generation, self.generation)
            self.manual = peer.manual
            self.confirm_until = now + timing.grace
        else:
            self.generation = max(self.generation, peer.generation if peer else 0) + 1
            self.manual = False
        if decision.reason == "Only node present":
            self.lease = claimed_alone(self.lease, now, timing)

    def _yield(self, now: Instant, timing: Timing, decision: Decision, peer: GroupReport | None) -> None:
        both_primary = peer is not None and peer.state == PRIMARY
        if both_primary or decision.state != SECONDARY_HOLD:
            self.lease = shut(self.lease)
            self.grace_until = now
            self.generation = max(self.generation, peer.generation if peer else 0)
        else:
            self.lease = capped(self.lease, now, timing)
            self.grace_until = now + timing.grace
            self.generation += 1
            if decision.reason.startswith("Preempt"):
                self.preempted = (*self.preempted, now)[-MAX_PREEMPT_LIMIT:]
        self.manual = decision.reason == "Manual failover"
        self.hold_down_until = now + self.configuration.hold_down_interval_s * SECOND
        # What the peer acknowledged while we were primary says nothing once it may be primary itself.
        self.lease = Lease(self.lease.deadline, NEVER, None)

    def _enter(self, now: Instant, decision: Decision) -> list[Action]:
        old, new = self.state, decision.state
        assert (old, new) in TRANSITIONS, f"illegal transition {old.label} -> {new.label}: {decision.reason}"
        self.state = new
        self.since = now
        self.reason = decision.reason
        self.held_until = now
        self.gate_shut_since = None
        self.peer_preferred_since = None
        self.yield_to_operator_until = None
        self.state_sent_at = None
        self.services_until = None
        self.services_stopped = False
        self.unannounced = new == PRIMARY
        if new != PRIMARY:
            self.confirm_until = None
        return [
            ChangeRole(self.number, new, self.generation),
            Log(rg_state_change(self.number, old.label, new.label, decision.reason)),
        ]

    def stop_services(self, now: Instant) -> list[Action] | None:
        """What to do instead of handing over: wait for the services to end, for a bounded time; None to go on."""
        services = self.configuration.services
        self.services_wanted_at = now
        if not services or self.services_stopped:
            return None
        if self.services_until is None:
            self.services_until = now + self.configuration.service_stop_limit_s * SECOND
            return [StopServices(self.number)]
        return [] if now < self.services_until else None

    def keep_services(self, now: Instant, patience: Duration) -> None:
        """No hand-over is wanted now. One that is not wanted again within ``patience`` is off: the services come back."""
        if self.services_until is not None and now - self.services_wanted_at >= patience:
            self.services_until = None
            self.services_stopped = False
            self.yield_to_operator_until = None

    def store(self, last_heard: Instant | None) -> list[Action]:
        """The map slot, when it differs from what was stored last."""
        lease = StoreLease(
            group=self.number,
            deadline=self.lease.deadline,
            state=self.state,
            generation=self.generation,
            acknowledged_at=self.lease.acknowledged_at,
            last_heard=last_heard or NEVER,
            alone=self.lease.alone_since is not None,
        )
        if lease == self.stored:
            return []
        self.stored = lease
        return [lease]
