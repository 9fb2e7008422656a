"""How long the gate of a primary group may stay open: LEASE rules 6 to 10, and nothing else.

Two regimes. While the peer is heard, its acknowledgements carry the lease: deadline = send time of the newest
heartbeat it acknowledged while not primary, + L. When it is silent after its acknowledgements were current, or
nothing was heard since a claim, the group is *alone*: deadline = newest heartbeat sent, + L. The peer claims no
earlier than its last reception + T, and T > L, so in both regimes the old gate is shut before a new one opens.

With arbitration (SPEC 6.5) a group that is alone has no more than the arbiter's word allows, ``limit``, or what the peer's
acknowledgements give it anyway. Without, ``limit`` is never reached.
"""

import msgspec
from msgspec.structs import replace

from jsrpd.model.roles import GroupState
from jsrpd.model.time import NOT_SOON, Instant, Timing

SHUT: Instant = 0
NEVER: Instant = 0
"""No acknowledgement yet; before every lease."""


class Lease(msgspec.Struct, frozen=True):
    """A group's lease. ``alone_since`` is None while the peer's word carries the lease."""

    deadline: Instant = SHUT
    acknowledged_at: Instant = NEVER
    """Send time of the newest heartbeat acknowledged by a peer that said it is not primary."""
    alone_since: Instant | None = None

    def is_open(self, now: Instant) -> bool:
        """What the kernel's gate decides at ``now``."""
        return now <= self.deadline


class AdoptedLease(msgspec.Struct, frozen=True):
    """What the previous engine pinned beside the map (LEASE 19)."""

    group: int
    deadline: Instant
    state: GroupState
    generation: int
    acknowledged_at: Instant
    last_heard: Instant
    alone: bool


def acknowledged(lease: Lease, sent_at: Instant) -> Lease:
    """A peer that is not primary for the group has acknowledged the heartbeat sent at ``sent_at``."""
    return replace(lease, acknowledged_at=sent_at) if sent_at > lease.acknowledged_at else lease


def unacknowledged(lease: Lease) -> Lease:
    """The peer says that it is primary: what it acknowledged before holds it back no longer, however long leases have become since
    by a commit (decision 0060)."""
    return replace(lease, acknowledged_at=NEVER)


def claimed_alone(lease: Lease, now: Instant, timing: Timing, limit: Instant = NOT_SOON) -> Lease:
    """A claim by silence (LEASE 10). ``now`` is the instant judged, no later than the send."""
    return replace(lease, deadline=min(now + timing.lease, limit), alone_since=now)


def capped(lease: Lease, now: Instant, timing: Timing) -> Lease:
    """A hand-over begins: at most the grace remains, and it is never raised again (LEASE 15)."""
    return replace(lease, deadline=min(lease.deadline, now + timing.grace), alone_since=None)


def shut(lease: Lease) -> Lease:
    """Shut at once."""
    return replace(lease, deadline=SHUT, alone_since=None)


def renewed(
    lease: Lease,
    now: Instant,
    timing: Timing,
    *,
    sent_at: Instant,
    last_heard: Instant | None,
    quiet_since: Instant,
    peer_gone: bool,
    limit: Instant = NOT_SOON,
) -> Lease:
    """The lease of a primary after this turn (LEASE 6, 7, 8).

    ``sent_at``: the newest heartbeat sent, this turn's included. ``last_heard``: when the peer was last heard, None
    if never. ``quiet_since``: from when its silence counts (lateness moves it forward). ``peer_gone``: the peer said
    that this life of it claims nothing any more, so nobody needs our silence. ``limit``: how long arbitration lets a gate be
    open by this node's own sends.
    """
    acknowledged_until = lease.acknowledged_at + timing.lease
    by_own_sends = max(acknowledged_until, min(sent_at + timing.lease, limit))
    if peer_gone and limit > acknowledged_until:
        return replace(lease, deadline=by_own_sends, alone_since=lease.alone_since or now)
    if lease.alone_since is not None and not lease.is_open(now):
        # Silent for so long, this node may have lost the group to a peer whose word is still under way (decision 0063).
        return replace(lease, alone_since=None)
    heard_since_alone = lease.alone_since is not None and last_heard is not None and last_heard > lease.alone_since
    if lease.alone_since is not None and not heard_since_alone:
        return replace(lease, deadline=by_own_sends)
    if now - quiet_since < timing.lease_silence:
        return replace(lease, deadline=acknowledged_until, alone_since=None)
    if not lease.is_open(now) or last_heard is None:
        return replace(lease, alone_since=None)
    if last_heard - lease.acknowledged_at <= timing.fresh and limit > acknowledged_until:
        return replace(lease, deadline=by_own_sends, alone_since=now)
    return replace(lease, alone_since=None)
