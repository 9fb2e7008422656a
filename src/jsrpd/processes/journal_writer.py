"""Keeps the journal on disk: a thread of the gateway that may wait for a disk as long as it likes.

What the engine hands over is written as it came, and told in words to a second, longer-lived journal of events. Nobody
waits for this thread: its queue is bounded, and what does not fit is lost and shows as a gap. A disk that is full or
read-only costs the journal, nothing else (SPEC section 15).
"""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jsrpd.core.journal import Batch, CheckpointTaken, JournalError, LifeStarted, read_batch
from jsrpd.core.narrator import Narrator
from jsrpd.management.journal import EVENTS, INPUTS, SegmentWriter
from jsrpd.messages.catalogue import LogMessage, notice
from jsrpd.model.journal import JournalEvent, encode_events

INPUT_SEGMENT_BYTES, INPUT_BYTES = 4 << 20, 64 << 20
EVENT_SEGMENT_BYTES, EVENT_BYTES = 1 << 20, 8 << 20
QUEUE_LENGTH = 256
"""Batches that may wait for the disk; the engine makes about one a second."""
TRY_AGAIN_S = 10.0
CLOSE_WITHIN_S = 2.0


class JournalWriter:
    """``want_checkpoint`` asks the engine for one; ``report`` tells the log; ``told`` gets what happened, in words. All are
    called in the thread."""

    def __init__(
        self,
        directory: Path,
        want_checkpoint: Callable[[], None],
        report: Callable[[LogMessage], None],
        told: Callable[[tuple[JournalEvent, ...]], None] = lambda _events: None,
    ) -> None:
        self.directory = directory
        self.inputs = SegmentWriter(directory, INPUTS, INPUT_SEGMENT_BYTES, INPUT_BYTES)
        self.events = SegmentWriter(directory, EVENTS, EVENT_SEGMENT_BYTES, EVENT_BYTES)
        self.lost = 0
        """Batches that were not written since the last one that was."""
        self._want_checkpoint, self._report, self._told = want_checkpoint, report, told
        self._narrator = Narrator()
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_LENGTH)
        self._asked = False
        self._failed = ""
        self._not_before = 0.0
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def put(self, batch: bytes) -> None:
        """One batch of the engine; never waits."""
        try:
            self._queue.put_nowait(batch)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what waits, unless the disk takes too long for it."""
        try:
            self._queue.put(None, timeout=CLOSE_WITHIN_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_WITHIN_S)

    def _work(self) -> None:
        self._ask()
        while (data := self._queue.get()) is not None:
            try:
                self._keep(data, read_batch(data))
            except JournalError as error:
                self._fail(f"a batch is not understood: {error}")
        self.inputs.close()
        self.events.close()

    def _keep(self, data: bytes, batch: Batch) -> None:
        begins = any(isinstance(record, LifeStarted | CheckpointTaken) for record in batch.records[:1])
        self._asked = self._asked and not begins
        told = self._narrator.tell(batch)
        if told:
            self._told(told)
        if time.monotonic() < self._not_before:
            self.lost += 1
            return
        try:
            self.inputs.append(data, may_rotate=begins, sync=bool(told))
            if told:
                self.events.append(encode_events(told), sync=True)
        except OSError as error:
            self._fail(f"{error.filename or self.directory}: {error.strerror}")
            return
        if self._failed:
            self._report(notice(f"journal: written again; {self.lost} batches were lost"))
            self._failed, self.lost = "", 0
            self._ask()
        if self.inputs.full:
            self._ask()

    def _ask(self) -> None:
        """Once until it comes."""
        if not self._asked:
            self._asked = True
            self._want_checkpoint()

    def _fail(self, why: str) -> None:
        """Said once for each reason; tried again later."""
        self.lost += 1
        self._not_before = time.monotonic() + TRY_AGAIN_S
        if why != self._failed:
            self._failed = why
            self._report(notice(f"journal: {why}; the cluster runs on without it"))
