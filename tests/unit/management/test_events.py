"""The newest events of a journal, as the other node asks for them."""

from pathlib import Path

from jsrpd.management.events import newest
from jsrpd.management.journal import EVENTS, SegmentWriter
from jsrpd.model.journal import INFORMATION_CLEARED, EventKind, JournalEvent, encode_events, since_cleared


def test_among_transitions_it_stays_visible_that_they_were_cleared(tmp_path: Path) -> None:
    def transition(at: int) -> JournalEvent:
        return JournalEvent(at, 0, EventKind.TRANSITION, "x", (1,))

    def command(at: int, what: str) -> JournalEvent:
        return JournalEvent(at, 0, EventKind.COMMAND, what, values={"command": what})

    told = (transition(1), command(2, INFORMATION_CLEARED), transition(3), command(4, "clear statistics"), transition(5))
    SegmentWriter(tmp_path, EVENTS, 1 << 20, 1 << 22).append(encode_events(told))
    found = newest(tmp_path, 10, transitions=True)
    assert [event.at for event in found] == [1, 2, 3, 5]
    assert [event.at for event in since_cleared(found)] == [3, 5]
    assert [event.at for event in newest(tmp_path, 10, 1, transitions=True)] == [1, 2, 3, 5]
    assert [event.at for event in newest(tmp_path, 10)] == [1, 2, 3, 4, 5]
