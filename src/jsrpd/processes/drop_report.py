"""Says in the log what was dropped: each cause when there is more of it than strays, then at most once a minute."""

from collections.abc import Mapping

from jsrpd.model.time import SECOND, Duration, Instant
from jsrpd.wire.envelope import DropCause

REPORT_INTERVAL: Duration = 60 * SECOND
STRAYS = 10
"""So many of a cause are only counted: a second answer to a challenge is a replay too, and no reason to look."""
ORDINARY = {DropCause.NOT_ADMITTED}
"""Every start of a peer begins with these; they are counted only."""


class DropReport:
    """Remembers what of the counters of ``wire.link.Link`` was said, and when."""

    def __init__(self) -> None:
        self._said: dict[DropCause, tuple[Instant, int]] = {}

    def due(self, now: Instant, drops: Mapping[DropCause, int]) -> list[str]:
        """Sentences about causes of which many came and nothing was said for a minute."""
        sentences = []
        for cause, count in drops.items():
            said_at, said = self._said.get(cause, (now - REPORT_INTERVAL, 0))
            if count - said > STRAYS and now - said_at >= REPORT_INTERVAL and cause not in ORDINARY:
                sentences.append(f"dropped {count - said} datagrams: {cause.value}")
                self._said[cause] = (now, count)
        return sentences
