"""What a third party lets this node do while its peer is not heard (SPEC 6.5, decision 0136).

Alone, a node owns nothing beyond its peer's acknowledgements unless the arbiter has spoken for it of late. A probed address
answers whoever reaches it, so its word is short-lived, V = T/2, and may be claimed on only after it has held for longer than
V without interruption: whoever lost the address before that is shut by then. A witness gives its word to one node at a
time and says until when. Both only ever bound what the lease rules allow; neither opens anything by itself.
"""

import msgspec
from msgspec.structs import replace

from jsrpd.core.lease import NEVER
from jsrpd.model.time import Instant, Timing


class Arbitration(msgspec.Struct, frozen=True):
    """The arbiter's word. ``asked_at``: send time of the newest request that a probed address answered; ``since``: of the first
    one in the present run of answers, each of which came within the validity of the one before. ``granted_until``: how long this
    node holds the witness's key at the least."""

    since: Instant = NEVER
    asked_at: Instant = NEVER
    granted_until: Instant = NEVER

    def limit(self, timing: Timing) -> Instant:
        """Until when a gate may be open by it. ``timing``: that of the leases."""
        answered = self.asked_at + timing.verdict if self.asked_at else NEVER
        return max(answered, self.granted_until)

    def claimed_from(self, timing: Timing) -> Instant:
        """From when the present run of answers permits a claim. ``timing``: that of the claims."""
        return self.since + timing.verdict + timing.slop

    def allows(self, now: Instant, lease: Timing, claim: Timing) -> bool:
        """Whether a group may be claimed by silence at ``now``."""
        return now <= self.granted_until or (now <= self.limit(lease) and now >= self.claimed_from(claim))


def answered(arbitration: Arbitration, asked_at: Instant, timing: Timing) -> Arbitration:
    """A probed address has answered the request sent at ``asked_at``."""
    if asked_at <= arbitration.asked_at:
        return arbitration
    unbroken = arbitration.asked_at and asked_at <= arbitration.asked_at + timing.verdict
    return replace(arbitration, since=arbitration.since if unbroken else asked_at, asked_at=asked_at)
