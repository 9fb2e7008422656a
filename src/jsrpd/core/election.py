"""What a group does next, decided from a snapshot: one function per state, each a reading of SPEC 6.2 and LEASE.

Every function answers with the next state and the reason operators will read, or None to stay. Nothing here
remembers anything; nothing here changes anything.
"""

import msgspec

from jsrpd.model.configuration import Preempt
from jsrpd.model.link_messages import GroupReport
from jsrpd.model.roles import RG0, GroupState, render_codes
from jsrpd.model.time import SECOND, Instant, Timing

FABRIC_FAILURE = "Fabric link failure"


class Decision(msgspec.Struct, frozen=True):
    """Go to ``state`` because of ``reason``."""

    state: GroupState
    reason: str


class GroupView(msgspec.Struct, frozen=True):
    """All that a decision about one group may depend on, as of the instant judged."""

    now: Instant
    timing: Timing
    node: int
    group: int
    state: GroupState
    since: Instant
    effective_priority: int
    weight: int
    failures: int
    manual: bool
    generation: int
    gate_open: bool
    gate_shut_since: Instant | None
    """Since when the gate of a primary is shut although the peer is heard."""
    hold_down_until: Instant
    grace_until: Instant
    stopping: bool
    yield_to_operator: bool
    preempt: Preempt | None
    preempt_held: bool
    """It preempted as often as it may; the operator has to let it again."""
    follows: bool
    """Mode active-backup: the group that leads is primary on the peer."""
    peer_preferred_since: Instant | None
    """Since when the peer is fit and has the higher priority."""
    peer_silent: bool
    """No heartbeat on any path for T (no word at all where the peer did not lead the group), or it said that it has stopped."""
    peer_fresh: bool
    """Heard within 1.5 intervals."""
    peer_echoed: bool
    """The peer has echoed our current state of this group while it was not primary for it."""
    peer_exchanged: bool
    """Both have heard each other in their present lives."""
    first_up: bool
    """This node was up for T before it first heard the peer's present life."""
    control_failed: bool
    """No control link heard for T, other paths are, and RG0 is primary on the peer."""
    fabric_failed: bool
    """Fabric monitoring is on, no fabric link was heard for T, and control links are."""
    links_recovered: bool
    """The control links, and the fabric links that are monitored, have been well for 30 intervals."""
    by_fabric: bool
    """It was the fabric that made the group ineligible."""
    disable_due: bool
    """All groups of this node have been ineligible for the vendor's 180 s, and the configuration wants it disabled then."""
    rejoin: bool
    """The operator takes the disabled node back."""
    peer: GroupReport | None
    """The peer's newest word on this group; None when it has said nothing in its present life."""

    @property
    def peer_is_primary(self) -> bool:
        """Heard, and says it owns the group."""
        return self.peer is not None and self.peer.state == GroupState.PRIMARY

    @property
    def peer_fit(self) -> bool:
        """LEASE terms: secondary, effective priority above 0, heard within 1.5 intervals."""
        return (
            self.peer is not None
            and self.peer.state == GroupState.SECONDARY
            and self.peer.effective_priority > 0
            and self.peer_fresh
        )

    @property
    def priorities(self) -> str:
        """``(L/R)`` as the reasons carry it, from this node's view."""
        return f"({self.effective_priority}/{self.peer.effective_priority if self.peer else 0})"


def decide(view: GroupView) -> Decision | None:
    """The next state of the group, or None to stay."""
    match view.state:
        case GroupState.HOLD:
            return _from_hold(view)
        case GroupState.SECONDARY:
            return _from_secondary(view)
        case GroupState.PRIMARY:
            return _from_primary(view)
        case GroupState.SECONDARY_HOLD:
            return _from_secondary_hold(view)
        case GroupState.INELIGIBLE:
            return _from_ineligible(view)
        case GroupState.DISABLED:
            return Decision(GroupState.HOLD, "Recovered from disabled") if view.rejoin else None


def _from_hold(view: GroupView) -> Decision | None:
    up = view.now - view.since
    if up >= view.timing.start_up_hold or (view.peer_exchanged and up >= view.timing.dead):
        return Decision(GroupState.SECONDARY, "Hold timer expired")
    return None


def _from_secondary(view: GroupView) -> Decision | None:
    if view.stopping:
        return None
    if view.peer_silent:
        return Decision(GroupState.PRIMARY, "Only node present")
    if view.peer_is_primary:
        return _unchosen(view)
    if view.peer is None or not view.peer_echoed:
        return None
    if view.peer.state == GroupState.SECONDARY_HOLD:
        fit = view.effective_priority > 0
        return Decision(GroupState.PRIMARY, "Remote is in secondary hold") if fit else None
    return _elect(view, view.peer)


def _unchosen(view: GroupView) -> Decision | None:
    """Beside a heard primary (LEASE 13), a node that has lost a kind of link is not chosen any more."""
    if view.control_failed:
        return Decision(GroupState.INELIGIBLE, "Control link failure")
    return Decision(GroupState.INELIGIBLE, FABRIC_FAILURE) if view.fabric_failed else None


def _elect(view: GroupView, peer: GroupReport) -> Decision | None:
    """Nobody is primary. First up wins, then priority, then the lower node-id (reference 2.3)."""
    local, remote = view.effective_priority, peer.effective_priority
    if peer.state == GroupState.HOLD:
        if not view.first_up:
            return None
        remote = 0
    if local < remote or (local == remote and view.node != 0):
        return None
    if remote > 0:
        return Decision(GroupState.PRIMARY, f"Better priority ({local}/{remote})")
    failed = render_codes(peer.failures)
    # Two blanks before "failures": the vendor's own layout, which log parsers match (reference 2.9).
    because = f", due to {failed}  failures" if failed else ""
    return Decision(GroupState.PRIMARY, f"Remote yield ({local}/{remote}){because}")


def _from_primary(view: GroupView) -> Decision | None:
    if view.peer_is_primary:
        return Decision(GroupState.SECONDARY_HOLD, f"Preempt/yield{view.priorities}") if _loses_healing(view) else None
    if view.gate_shut_since is not None and view.now - view.gate_shut_since >= view.timing.dead:
        return Decision(GroupState.SECONDARY, "Lease expired")
    if not view.peer_fit:
        return None
    reason = _reason_to_yield(view)
    return Decision(GroupState.SECONDARY_HOLD, reason) if reason else None


def _loses_healing(view: GroupView) -> bool:
    """Both primary and heard: who yields (LEASE 12)."""
    assert view.peer is not None
    if view.gate_open != view.peer.gate_open:
        return not view.gate_open
    if not view.gate_open and view.generation != view.peer.generation:
        return view.generation < view.peer.generation
    if view.effective_priority != view.peer.effective_priority:
        return view.effective_priority < view.peer.effective_priority
    return view.node != 0


def _reason_to_yield(view: GroupView) -> str | None:
    """Why a primary hands over to a fit peer."""
    if view.stopping:
        return "Node shutdown"
    if view.control_failed:
        return "Control link failure"
    if view.weight <= 0:
        return f"Monitor failed: {render_codes(view.failures)}"
    if view.yield_to_operator:
        return "Manual failover"
    if view.preempt is not None and view.group != RG0 and not view.manual and view.peer_preferred_since is not None:
        preferred_for = view.now - view.peer_preferred_since
        if preferred_for >= view.preempt.delay_s * SECOND and not view.preempt_held:
            return f"Preempt/yield{view.priorities}"
    return "Redundancy mode active-backup" if view.follows else None


def _from_secondary_hold(view: GroupView) -> Decision | None:
    if view.stopping:
        return None
    if view.peer_silent:
        return Decision(GroupState.PRIMARY, "Only node present")
    if view.now < view.grace_until:
        return None
    unchosen = _unchosen(view) if view.peer_is_primary else None
    if unchosen is not None:
        return unchosen
    nobody_takes_it = not view.peer_is_primary and not view.peer_fit
    if view.now >= view.hold_down_until or nobody_takes_it:
        return Decision(GroupState.SECONDARY, "Ready to become secondary")
    return None


def _from_ineligible(view: GroupView) -> Decision | None:
    if view.stopping:
        return None
    if view.peer_silent:
        return Decision(GroupState.PRIMARY, "Only node present")
    if view.links_recovered:
        return Decision(GroupState.SECONDARY, f"{'Fabric' if view.by_fabric else 'Control'} link recovered")
    if not view.peer_is_primary and view.now - view.since >= view.timing.dead:
        return Decision(GroupState.SECONDARY, "Remote is not primary")
    return Decision(GroupState.DISABLED, "Ineligible timer expired") if view.disable_due else None
