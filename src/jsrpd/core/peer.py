"""What is known of the peer: when and where it was heard, the newest it said, and what it echoed.

Receptions are only recorded here. Silence is judged elsewhere, at the instant read before the sockets were drained
(LEASE 1), and our own lateness moves forward from when it counts, because whoever slept cannot say that the other was
silent (LEASE 3). Two silences are told apart. Nothing heard at all bears on our own lease. No *new heartbeat* heard bears
on a claim: the peer's lease lives on heartbeats that we acknowledge, so its acknowledgements of ours prolong nothing,
unless it says that its gate stood open by itself.
"""

from collections import deque

from jsrpd.core.events import AcknowledgementReceived, HeartbeatReceived, StrangerHeard
from jsrpd.model.link_messages import (
    FIRST_FABRIC_PATH,
    FIRST_IN_BAND_PATH,
    GroupReport,
    Heartbeat,
    Incarnation,
    PathId,
)
from jsrpd.model.roles import GroupState
from jsrpd.model.time import SECOND, Duration, Instant, Timing

SENT_HISTORY = 512
"""Heartbeats whose send time is remembered; at a quarter interval each this is far more than any lease."""
MAX_STRANGERS = 4
"""Lives that were not admitted and may still hold us back; what more are heard until one is admitted do not."""


class SentHeartbeats:
    """Send times of our newest heartbeats by sequence (consecutive, from 1)."""

    def __init__(self) -> None:
        self.newest = 0
        self.newest_at: Instant | None = None
        self._times: deque[Instant] = deque(maxlen=SENT_HISTORY)

    def record(self, sent_at: Instant) -> int:
        """Note a heartbeat about to be sent; its sequence."""
        self.newest += 1
        self.newest_at = sent_at
        self._times.append(sent_at)
        return self.newest

    def sent_at(self, sequence: int) -> Instant | None:
        """When ``sequence`` was sent; None when it never was or is forgotten."""
        age = self.newest - sequence
        if age < 0 or age >= len(self._times):
            return None
        return self._times[-1 - age]


class Peer:
    """One peer, across its lives (incarnations)."""

    def __init__(self, now: Instant, own_incarnation: Incarnation) -> None:
        self.own_incarnation = own_incarnation
        self.incarnation: Incarnation | None = None
        self.heartbeat: Heartbeat | None = None
        self.reports: dict[int, GroupReport] = {}
        self.led: frozenset[int] = frozenset()
        """Groups that its newest heartbeat said it was primary for; remembered when it is lost."""
        self.newest_sequence = 0
        self.echoed = 0
        self.first_heard: Instant | None = None
        self.last_heard: Instant | None = None
        self.bound_at: Instant | None = None
        """When the last word came that a lease of the peer may rest on: its newest heartbeat, or that it was alone. What was
        overtaken by a newer one says nothing."""
        self.gone = False
        """Its newest heartbeat said that it has stopped."""
        self.heard_on: dict[PathId, Instant] = {}
        self.control_heard: Instant | None = None
        """When it was last heard on any control link."""
        self.control_run_since: Instant | None = None
        self.fabric_heard: Instant | None = None
        """When it was last heard on any fabric link."""
        self.fabric_run_since: Instant | None = None
        self.echoed_at: Instant | None = None
        self.floor: Instant = now
        """Silence is never counted from before this instant."""
        self.strangers: dict[Incarnation, Instant] = {}
        """Lives heard but not admitted, and since when."""
        self.stranger_since: Instant | None = None
        """Since when the one is heard that was heard last; None when there is none."""
        self.stranger_at: Instant = 0
        self.stranger_led: dict[int, Instant | None] = {}
        """Groups that it said it was primary for, and since when it says so no more; None while it does."""
        self.stranger_hears = False
        """It has heard this life of ours, so it is no old recording."""
        self.stranger_dead: Duration = 0
        """The dead time that it has, as it says; 0 while that is not known."""

    @property
    def quiet_since(self) -> Instant:
        """From when the present silence of the peer counts."""
        return self.floor if self.last_heard is None else max(self.last_heard, self.floor)

    @property
    def unbound_since(self) -> Instant:
        """From when the dead time of the peer counts, after which no gate of it is open."""
        return self.floor if self.bound_at is None else max(self.bound_at, self.floor)

    def silence(self, now: Instant) -> Duration:
        """How long nothing was heard on any path; never negative."""
        return max(0, now - self.quiet_since)

    @property
    def control_quiet_since(self) -> Instant:
        """From when the present silence of all control links counts."""
        return self.floor if self.control_heard is None else max(self.control_heard, self.floor)

    @property
    def fabric_quiet_since(self) -> Instant:
        """From when the present silence of all fabric links counts."""
        return self.floor if self.fabric_heard is None else max(self.fabric_heard, self.floor)

    def note_lateness(self, at: Instant) -> None:
        """We were late: whatever silence we saw up to ``at`` is ours, not the peer's."""
        self.floor = max(self.floor, at)

    def heartbeat_received(self, event: HeartbeatReceived, timing: Timing) -> bool:
        """Record a heartbeat; True when it is the newest, whose state counts (LEASE 4)."""
        self._meet(event.incarnation, event.received_at)
        self._heard(event.path, event.received_at, timing)
        if event.sequence <= self.newest_sequence:
            return False
        self.bound_at = max(self.bound_at or 0, event.received_at)
        self.newest_sequence = event.sequence
        self.heartbeat = event.heartbeat
        self.gone = event.heartbeat.stopped
        self.reports = {report.group: report for report in event.heartbeat.groups}
        self.led = frozenset([report.group for report in event.heartbeat.groups if report.state == GroupState.PRIMARY])
        return True

    def acknowledgement_received(self, event: AcknowledgementReceived, timing: Timing) -> None:
        """Record an acknowledgement as heard."""
        self._meet(event.incarnation, event.received_at)
        self._heard(event.path, event.received_at, timing)
        if event.acknowledgement.alone:
            self.bound_at = max(self.bound_at or 0, event.received_at)

    def stranger_heard(self, event: StrangerHeard, timing: Timing) -> None:
        """Record the word of a life that is not admitted. Each may hold us back for a bounded time only: it may be a recording.

        One that speaks again after a silence of T was stopped, perhaps: it has not claimed when its time had come, and counts anew
        (decision 0151).
        """
        if len(self.strangers) < MAX_STRANGERS:
            self.strangers.setdefault(event.incarnation, event.received_at)
        first = self.strangers.get(event.incarnation)
        if first is None or event.received_at - first >= max(60 * SECOND, 2 * timing.start_up_hold):
            return
        again = event.received_at - self.stranger_at >= timing.dead
        self.stranger_since = event.received_at if again else max(first, self.stranger_since or first)
        self.stranger_at = event.received_at
        self.stranger_hears, self.stranger_dead = event.echo_sequence > 0, event.dead
        leads = event.primary_groups
        for number, gave_up_at in self.stranger_led.items():
            if gave_up_at is None and not leads >> number & 1:
                self.stranger_led[number] = event.received_at
        self.stranger_led |= dict.fromkeys(number for number in range(leads.bit_length()) if leads >> number & 1)

    def stranger_may_own(self, group: int, timing: Timing) -> bool:
        """Whether a life that is not admitted said that it owns the group, or may come to: it has heard us, and will claim when it
        no longer does; or it has not, and its start-up hold is not long over; or it gave the group up not long ago, and deaf as it
        is, it claims again T later (decision 0063)."""
        since = self.stranger_since
        if since is None:
            return False
        young = self.stranger_at - since < timing.start_up_hold + 2 * timing.dead
        return young or self.stranger_hears or self._stranger_leads(group, timing)

    def _stranger_leads(self, group: int, timing: Timing) -> bool:
        """It says so, or said so less than 2 T ago."""
        gave_up_at = self.stranger_led.get(group)
        return group in self.stranger_led and (gave_up_at is None or self.stranger_at - gave_up_at < 2 * timing.dead)

    def stranger_owns(self, group: int, now: Instant, timing: Timing, shut: bool = False) -> bool:
        """Whether it must be taken to own the group: it says so, or it soon will, as our challenges have not reached it for T, so
        it does not hear us. Where ``shut`` (our own lease ran out, we slept) it may have come and claimed meanwhile; where we have
        met nobody yet it is we who are new; and who has heard us counts T from then. Until it has been silent for T, our lateness
        not counted."""
        if self.stranger_since is None or now - max(self.stranger_at, self.floor) >= timing.dead:
            return False
        # It counts by its own dead time; ours may rest on what a former life of it told us.
        deaf = self.stranger_at - self.stranger_since >= min(timing.dead, self.stranger_dead or timing.dead)
        known = deaf or shut or self.stranger_hears or self.incarnation is None or self._stranger_leads(group, timing)
        return known and self.stranger_may_own(group, timing)

    def echo(self, incarnation: Incarnation, sequence: int, at: Instant) -> bool:
        """The peer echoed ``sequence`` of the engine called ``incarnation``; True when that is this engine."""
        if incarnation != self.own_incarnation or sequence == 0:
            return False
        if sequence > self.echoed:
            self.echoed = sequence
            self.echoed_at = at
        return True

    def lose(self) -> None:
        """Silent for the dead time: forget what it said, keep when it was heard."""
        self.heartbeat = None
        self.reports = {}

    def _meet(self, incarnation: Incarnation, at: Instant) -> None:
        """A new life of the peer has promised nothing and heard nothing."""
        if incarnation == self.incarnation:
            return
        self.incarnation = incarnation
        self.first_heard = at
        self.newest_sequence = 0
        self.echoed = 0
        self.echoed_at = None
        self.gone = False
        self.led = frozenset()
        self.strangers = {}
        self.stranger_since = None
        self.stranger_led = {}
        self.lose()

    def _heard(self, path: PathId, at: Instant, timing: Timing) -> None:
        self.last_heard = at if self.last_heard is None else max(self.last_heard, at)
        if path < FIRST_FABRIC_PATH:
            before = self.control_heard
            if before is None or self.control_run_since is None or at - before > timing.dead:
                self.control_run_since = at
            self.control_heard = at if before is None else max(before, at)
        elif path < FIRST_IN_BAND_PATH:
            before = self.fabric_heard
            if before is None or self.fabric_run_since is None or at - before > timing.dead:
                self.fabric_run_since = at
            self.fabric_heard = at if before is None else max(before, at)
        self.heard_on[path] = at
