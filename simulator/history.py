"""What happened in a run, in true time, as the checkers need it."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from jsrpd.core.actions import Action
from jsrpd.core.events import Event
from jsrpd.core.lease import AdoptedLease
from jsrpd.messages.catalogue import LogMessage
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import GroupReport, Heartbeat, Incarnation
from jsrpd.model.roles import GroupState
from jsrpd.model.time import MILLISECOND, Duration, Instant, Timing

FOREVER: Instant = 1 << 62


@dataclass(frozen=True, slots=True)
class SlotWritten:
    """A slot of a node's gate map was written: open up to and including ``until`` (-1: shut)."""

    at: Instant
    until: Instant
    state: GroupState
    alone: bool = False
    """By the owner's own clock, for it had not heard its peer (LEASE 7)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """From ``at`` on a node's group had this state and effective priority; state None: no engine."""

    at: Instant
    state: GroupState | None
    priority: int


@dataclass(frozen=True, slots=True)
class Logged:
    """One JSRPD_RG_STATE_CHANGE."""

    group: int
    old: str
    new: str
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a node judged by from ``at`` on, the turn having begun at ``judged``.

    ``word``: the newest heartbeat that the node had taken of its peer, at ``taken``; None: none of its present life.
    """

    at: Instant
    judged: Instant
    taken: Instant
    word: Heartbeat | None

    def peer(self, group: int) -> GroupReport | None:
        """What the peer had said of a group."""
        reports = self.word.groups if self.word else ()
        return next((report for report in reports if report.group == group), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """The arbiter spoke for a node, which heard it at ``at``, having asked at ``asked_at``. It stands until ``until``."""

    at: Instant
    asked_at: Instant
    until: Instant


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn in which a state changed or a state change was logged. ``priorities``: effective ones it ended with."""

    at: Instant
    node: int
    known: Known
    configuration: ClusterConfiguration
    priorities: dict[int, int]
    changes: tuple[tuple[int, GroupState, GroupState], ...]
    logged: tuple[Logged, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """The operator asked on ``node`` that ``group`` be primary on ``target``. ``refusal`` None: accepted."""

    at: Instant
    node: int
    group: int
    target: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that was done to the world. ``node`` None: to the network."""

    kind: str
    node: int | None
    start: Instant
    end: Instant


@dataclass(slots=True)
class Life:
    """One life of an engine: how it was started and everything it was told and answered (when recorded)."""

    configuration: ClusterConfiguration
    started: Instant
    incarnation: Incarnation
    adopted: tuple[AdoptedLease, ...]
    turns: list[tuple[Instant, Event, list[Action], Instant | None]] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """One run. Lists are in order of time; keys (group, node)."""

    timing: Timing
    """The longest dead time any node had in this run."""
    groups: tuple[int, ...]
    shortest: Timing = field(init=False)
    """The shortest."""
    configurations: tuple[list[tuple[Instant, ClusterConfiguration]], ...] = field(default_factory=lambda: ([], []))
    """Per node: what it was told to run, and from when on."""
    known: tuple[list[Known], list[Known]] = field(default_factory=lambda: ([], []))
    slots: dict[tuple[int, int], list[SlotWritten]] = field(default_factory=dict)
    standings: dict[tuple[int, int], list[Standing]] = field(default_factory=dict)
    heard: tuple[list[Instant], list[Instant]] = field(default_factory=lambda: ([], []))
    """Per node: ends of turns that heard something new of the peer, no older than the lease when it arrived. What had been
    overtaken by a later word does not count."""
    words: tuple[list[Instant], list[Instant]] = field(default_factory=lambda: ([], []))
    """Per node, beside ``heard``: when the newest word of that turn was sent."""
    stale: tuple[list[Instant], list[Instant]] = field(default_factory=lambda: ([], []))
    """Per receiving node: when it was handed a word more than an interval old of a peer that had died, or was frozen."""
    impaired: tuple[list[Instant], list[Instant]] = field(default_factory=lambda: ([], []))
    """Per receiving node: when a datagram to it was lost, or delayed by more than a quarter interval."""
    answers: tuple[list[Answer], list[Answer]] = field(default_factory=lambda: ([], []))
    """Per node."""
    turns: list[Turn] = field(default_factory=list)
    logs: list[tuple[Instant, Incarnation, LogMessage]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    sizes: list[tuple[Instant, int, int]] = field(default_factory=list)
    """(when, node, elements in the core's containers)."""
    lines: list[tuple[Instant, str]] = field(default_factory=list)
    datagrams: int = 0
    settle: Duration = 0
    """How long after healing exactly one primary must stand."""
    healed_at: Instant = FOREVER
    ended_at: Instant = 0

    def __post_init__(self) -> None:
        self.shortest = self.timing
        for group in self.groups:
            for node in (0, 1):
                self.slots[group, node] = [SlotWritten(0, -1, GroupState.HOLD)]
                self.standings[group, node] = [Standing(0, None, 0)]

    def committed(self, at: Instant, configuration: ClusterConfiguration) -> None:
        """A node was given a configuration."""
        before = self.configurations[configuration.node_id]
        if before:
            self.disturb("commit", configuration.node_id, at)
        before.append((at, configuration))
        self.timing = max(self.timing, configuration.timing, key=lambda timing: timing.dead)
        self.shortest = min(self.shortest, configuration.timing, key=lambda timing: timing.dead)

    def disclaimed(self, node: int, at: Instant) -> None:
        """What the witness had granted to a node counts no more: it is let go, or asked for anew."""
        answers = self.answers[node]
        for index in range(len(answers) - 1, -1, -1):
            if answers[index].until <= at:
                break
            answers[index] = Answer(answers[index].at, answers[index].asked_at, at)

    def configuration_at(self, node: int, at: Instant) -> ClusterConfiguration:
        """What the node was to run at ``at``."""
        commits = self.configurations[node]
        return commits[bisect_right(commits, at, key=lambda commit: commit[0]) - 1][1]

    def note(self, at: Instant, text: str) -> None:
        """One line of the trace."""
        self.lines.append((at, text))

    def disturb(self, kind: str, node: int | None, start: Instant, end: Instant | None = None) -> None:
        """Remember what was done to the world."""
        end = start if end is None else end
        self.disturbances.append(Disturbance(kind, node, start, end))
        whom = "network" if node is None else f"node{node}"
        length = f" for {milliseconds(end - start)}" if end > start else ""
        self.note(start, f"{whom} {kind}{length}")

    def open_spans(self, group: int, node: int) -> list[tuple[Instant, Instant]]:
        """When the gate was open: half-open spans, merged, clipped to the run."""
        spans: list[tuple[Instant, Instant]] = []
        writes = self.slots[group, node]
        for index, write in enumerate(writes):
            following = writes[index + 1].at if index + 1 < len(writes) else self.ended_at
            end = min(write.until + 1, following)
            if end <= write.at:
                continue
            if spans and spans[-1][1] == write.at:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((write.at, end))
        return spans

    def slot_at(self, group: int, node: int, at: Instant) -> SlotWritten:
        """The slot's content at ``at``."""
        writes = self.slots[group, node]
        return writes[bisect_right(writes, at, key=lambda w: w.at) - 1]

    def standing_at(self, group: int, node: int, at: Instant) -> Standing:
        """State and priority at ``at``."""
        standings = self.standings[group, node]
        return standings[bisect_right(standings, at, key=lambda s: s.at) - 1]

    def heard_within(self, node: int, start: Instant, end: Instant) -> bool:
        """Whether ``node`` had heard, before ``end``, a word sent at ``start`` or later."""
        return bisect_left(self.heard[node], end) > bisect_left(self.words[node], start)

    def known_within(self, node: int, start: Instant, end: Instant) -> list[Known]:
        """What the node judged by in the half-open span, that of its begin included. It counts from the begin of the turn."""
        known = self.known[node]
        first = max(0, bisect_right(known, start, key=lambda one: one.judged) - 1)
        return known[first : bisect_left(known, end, key=lambda one: one.at)]

    def impaired_within(self, receiver: int, start: Instant, end: Instant) -> bool:
        """Whether a datagram to ``receiver`` was lost or late in the half-open span."""
        impaired = self.impaired[receiver]
        return bisect_left(impaired, end) > bisect_left(impaired, start)

    def trace(self) -> list[str]:
        """All lines in order of time, the gates' edges included."""
        lines = list(self.lines)
        for (group, node), _ in self.slots.items():
            for start, end in self.open_spans(group, node):
                lines.append((start, f"node{node} RG{group} gate open"))
                if end < self.ended_at:
                    lines.append((end, f"node{node} RG{group} gate shut"))
        return [f"{milliseconds(at)} {text}" for at, text in sorted(lines, key=lambda line: line[0])]


def milliseconds(duration: Duration) -> str:
    """For the trace: milliseconds with three places."""
    return f"{duration // MILLISECOND}.{duration % MILLISECOND // 1000:03d}"
