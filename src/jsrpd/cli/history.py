"""What the journal on disk tells: ``show chassis cluster events`` and ``jsrp replay``. Both work without a daemon."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jsrpd.management.journal import EVENTS, contents
from jsrpd.model.journal import JournalEvent, decode_events

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

NANOSECONDS = 1_000_000_000


def stamp(wall: int) -> str:
    """Local time with milliseconds and zone, of ns since 1970."""
    seconds, rest = divmod(wall, NANOSECONDS)
    at = datetime.fromtimestamp(seconds).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03} {at:%z}"


def events(directory: Path) -> list[JournalEvent]:
    """All that is kept of a node, oldest first. OSError; what is not understood is left out."""
    found: list[JournalEvent] = []
    for content in contents(directory, EVENTS):
        try:
            found += decode_events(content)
        except msgspec.DecodeError:
            continue
    return found


def chosen(every: list[JournalEvent], group: int | None, last: int | None) -> list[JournalEvent]:
    """Those of a group (what concerns no group in particular concerns all), then the newest of them."""
    wanted = [event for event in every if group is None or not event.groups or group in event.groups]
    return wanted if last is None else wanted[-last:]


def events_text(shown: list[JournalEvent]) -> str:
    """A line each: when, on which node, which groups, kind, what, by whom."""
    return "".join(_event_line(event) for event in shown) or "No events\n"


def _event_line(event: JournalEvent) -> str:
    groups = ",".join(f"RG{group}" for group in event.groups)
    by = f" (by {event.by})" if event.by else ""
    first, *more = event.text.split("\n")
    line = f"{stamp(event.at)}  node{event.node}  {groups:<5} {event.kind.value:<13} {first}{by}\n"
    return line + "".join(f"{'':<60}{one}\n" for one in more)


def events_json(shown: list[JournalEvent]) -> str:
    """An array of objects: the fields of ``JournalEvent``, and ``time`` in ISO 8601."""
    tree = [{"time": _iso(event.at), **msgspec.to_builtins(event)} for event in shown]
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"


def _iso(wall: int) -> str:
    at = datetime.fromtimestamp(wall // NANOSECONDS).astimezone()
    return f"{at:%Y-%m-%dT%H:%M:%S}.{wall % NANOSECONDS // 1000:06}{at:%z}"


def events_xml(shown: list[JournalEvent]) -> "Element":
    """An element for each event; what it has not is left out."""
    return ("chassis-cluster-events", [("chassis-cluster-event", _event_leaves(event)) for event in shown])


def _event_leaves(event: JournalEvent) -> "list[Element]":
    leaves: list[Element] = [("event-time", _iso(event.at)), ("device-name", f"node{event.node}")]
    leaves += [("redundancy-group-id", group) for group in event.groups]
    leaves += [("event-type", event.kind.value), ("event-message", event.text)]
    leaves += [(name, text) for name, text in (("event-reason", event.reason), ("event-user", event.by)) if text]
    values = event.values.items()
    return leaves + [("event-value", [("name", name), ("value", value)]) for name, value in values]


# -- replay -----------------------------------------------------------------------------------------------------------


class ReplayFailed(Exception):
    """The journal cannot be replayed, or was answered differently; the text is for the operator."""


class Until:
    """A point in time as an operator types it: a duration from the first step on (``90s``, ``250ms``, ``5min``), a time of
    the first step's day (``03:12``, ``03:12:09.5``), or a date with a time (``2026-11-25T03:12``). ReplayFailed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end: int | None = None

    def passed(self, wall: int) -> bool:
        """Whether ``wall`` lies behind it."""
        if self._end is None:
            self._end = self._found(wall)
        return wall > self._end

    def _found(self, first: int) -> int:
        begun = datetime.fromtimestamp(first / NANOSECONDS).astimezone()
        for unit, length in (("min", 60.0), ("ms", 0.001), ("s", 1.0), ("h", 3600.0)):
            number = self._text.removesuffix(unit)
            if number != self._text and number.replace(".", "", 1).isdigit():
                return first + round(float(number) * length * NANOSECONDS)
        for said in (self._text, f"{begun:%Y-%m-%d}T{self._text}"):
            try:
                at = datetime.fromisoformat(said)
            except ValueError:
                continue
            if ":" in said:
                return round((at if at.tzinfo else at.astimezone()).timestamp() * NANOSECONDS)
        forms = "90s, 250ms, 5min, 03:12, 03:12:09.5 or 2026-11-25T03:12"
        raise ReplayFailed(f"error: the time '{self._text}' is not understood; it may be written {forms}")


def replayed(path: Path, until: str, verbose: bool) -> Iterator[str]:
    """Pieces of what ``jsrp replay`` prints. ReplayFailed at the first difference, naming the step; OSError."""
    from jsrpd.core.journal import Batch, JournalError, read_batch
    from jsrpd.core.replay import Replay, Weight

    limit = Until(until) if until else None

    def batches() -> Iterator[Batch]:
        for content in contents(path):
            try:
                yield read_batch(content)
            except JournalError as error:
                raise ReplayFailed(f"error: {path} was not written by this version: {error}") from error

    replay = Replay()
    for step in replay.steps(batches()):
        if limit is not None and limit.passed(step.wall):
            break
        shown = f"{stamp(step.wall) if step.wall else '':<29}  step {step.number:<7} {step.text}\n"
        details = "".join(f"{'':<31}{'':<13}{line}\n" for line in step.details)
        if step.weight is Weight.DIFFERENCE:
            yield shown + details
            raise ReplayFailed(f"error: step {step.number} was answered differently when it was recorded: {step.text}")
        if verbose or step.weight is not Weight.INPUT:
            yield shown + (details if verbose else _loud(step.details))
    if not replay.records:
        raise ReplayFailed(f"error: {path} holds no journal")
    skipped = f", {replay.skipped} could not be replayed" if replay.skipped else ""
    yield f"{replay.records} records, {replay.replayed} decided again{skipped}: no difference\n"


def _loud(details: list[str]) -> str:
    """What matters among the answers: messages and announcements, not the routine of heartbeats and leases."""
    quiet = ("acknowledge ", "send heartbeat ")
    return "".join(f"{'':<31}{'':<13}{line}\n" for line in details if not line.startswith(quiet))
