"""Which of two nodes a silent segment has lost: the one that receives nothing else there (SPEC section 9).

A switch port that dies with its carrier up is seen by nobody: the node goes on forwarding into nothing. But the hello
frames of the other node stop coming by that segment while it is heard elsewhere. Either node may then be the one cut off,
and both ask the hosts of the segment to say something. Whoever hears nothing at all has lost it. If both hear nothing,
both have, and the group stays where it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from jsrpd.model.link_messages import PathId
from jsrpd.model.time import MILLISECOND, SECOND, Duration, Instant, Timing

ANSWER_TIME: Duration = 100 * MILLISECOND
"""How long the hosts have for an answer, at least."""
FIRST_QUESTIONS: Duration = 50 * MILLISECOND
"""Between two questions until the first verdict. Every host of the segment may answer, so not more often."""
LATER_QUESTIONS: Duration = 1 * SECOND
"""Between two questions while the other node, or this one, has lost the segment for longer."""
ANSWERS_TO_RECOVER = 3
"""Later questions in a row that must have been answered, where no hello frame shows the recovery."""


@dataclass(frozen=True, slots=True)
class SegmentsObserved:
    """``heard``: when the peer was last heard on each path, other kinds of path included. ``received``: frames the child of
    a segment has received since it exists; without an entry when it is missing or has no carrier, which others watch."""

    heard: Mapping[PathId, Instant]
    received: Mapping[PathId, int]


@dataclass(frozen=True, slots=True)
class AskHosts:
    """Make the hosts of the segment send something."""

    path: PathId


@dataclass(frozen=True, slots=True)
class SegmentFailed:
    """Nothing arrives there any more."""

    path: PathId


@dataclass(frozen=True, slots=True)
class SegmentRecovered:
    """Something has arrived there for the dead time without a break."""

    path: PathId


Action: TypeAlias = AskHosts | SegmentFailed | SegmentRecovered


@dataclass(slots=True)
class _Segment:
    failed: bool = False
    asked_since: Instant | None = None
    """Since when an answer is waited for; None while all is well."""
    received: int = 0
    """Frames received by then."""
    question_at: Instant = 0
    """When the next question is due."""
    answer_time: Duration = 0
    answers: int = 0
    """Questions in a row that were answered, while failed."""
    hello_since: Instant | None = None


class SegmentMonitor:
    """The machine: told each interval what was heard and received."""

    def __init__(self, paths: tuple[PathId, ...], timing: Timing, now: Instant) -> None:
        self._timing = timing
        self._segments = {path: _Segment() for path in paths}
        self._next = now + timing.interval

    def deadline(self) -> Instant | None:
        """When it wants to be told; None when there is no segment."""
        return self._next if self._segments else None

    def handle(self, now: Instant, observed: SegmentsObserved) -> list[Action]:
        """Judge every segment at ``now``."""
        self._next = now + self._timing.interval
        actions: list[Action] = []
        for path, segment in self._segments.items():
            heard, received = observed.heard.get(path), observed.received.get(path)
            hello = heard is not None and now - heard <= self._timing.fresh
            if segment.failed:
                actions += self._while_failed(now, path, segment, hello, received)
                continue
            elsewhere = any(other != path and now - at <= self._timing.fresh for other, at in observed.heard.items())
            # Never heard: in-band may have been off on the peer, or its link down, since before this node started.
            if hello or heard is None or not elsewhere or received is None:
                segment.asked_since = None
            else:
                actions += self._while_unheard(now, path, segment, received)
        return actions

    def _while_unheard(self, now: Instant, path: PathId, segment: _Segment, received: int) -> list[Action]:
        """One of the two has lost the segment. Questions until the verdict, then a look now and then."""
        if segment.asked_since is None:
            segment.answer_time = max(self._timing.dead - self._timing.fresh, ANSWER_TIME)
            self._wait(now, segment, received)
            segment.question_at = now
        assert segment.asked_since is not None
        if now - segment.asked_since >= segment.answer_time:
            if received == segment.received:
                segment.failed, segment.answers, segment.hello_since = True, 0, None
                segment.question_at = now
                return [SegmentFailed(path)]
            # Not us. Nothing more is at stake here, unless this node loses the segment as well.
            segment.answer_time = 2 * LATER_QUESTIONS
            self._wait(now, segment, received)
        return self._ask(now, path, segment, LATER_QUESTIONS if segment.answer_time > LATER_QUESTIONS else FIRST_QUESTIONS)

    def _while_failed(self, now: Instant, path: PathId, segment: _Segment, hello: bool, received: int | None) -> list[Action]:
        """Asked on, because hosts that are silent by themselves would never show that the segment is back."""
        segment.hello_since = (segment.hello_since or now) if hello else None
        if received is not None and now >= segment.question_at:
            segment.answers = segment.answers + 1 if received != segment.received else 0
            segment.received = received
        well = segment.hello_since is not None and now - segment.hello_since >= self._timing.dead
        if well or segment.answers >= ANSWERS_TO_RECOVER:
            segment.failed, segment.asked_since = False, None
            return [SegmentRecovered(path)]
        return self._ask(now, path, segment, LATER_QUESTIONS)

    def _wait(self, now: Instant, segment: _Segment, received: int) -> None:
        segment.asked_since, segment.received = now, received

    def _ask(self, now: Instant, path: PathId, segment: _Segment, spacing: Duration) -> list[Action]:
        if now < segment.question_at:
            return []
        segment.question_at = now + spacing
        return [AskHosts(path)]
