"""What the log says of dropped datagrams."""

from jsrpd.model.time import SECOND
from jsrpd.processes.drop_report import REPORT_INTERVAL, STRAYS, DropReport
from jsrpd.wire.envelope import DropCause

NOW = 1000 * SECOND
NONE = dict.fromkeys(DropCause, 0)


def test_nothing_dropped_nothing_said() -> None:
    assert DropReport().due(NOW, NONE) == []


def test_strays_are_only_counted() -> None:
    assert DropReport().due(NOW, NONE | {DropCause.REPLAYED: STRAYS}) == []


def test_each_cause_at_once_then_once_a_minute() -> None:
    """With all that came since; one cause does not silence another."""
    report = DropReport()
    assert report.due(NOW, NONE | {DropCause.REPLAYED: 30}) == ["dropped 30 datagrams: replayed"]
    flood = NONE | {DropCause.REPLAYED: 900, DropCause.MALFORMED: 11}
    assert report.due(NOW + 1, flood) == ["dropped 11 datagrams: malformed"]
    assert report.due(NOW + REPORT_INTERVAL - 1, flood) == []
    assert report.due(NOW + REPORT_INTERVAL, flood) == ["dropped 870 datagrams: replayed"]
    assert report.due(NOW + 9 * REPORT_INTERVAL, flood) == []


def test_the_beginning_of_every_life_is_no_news() -> None:
    assert DropReport().due(NOW, NONE | {DropCause.NOT_ADMITTED: 500}) == []
