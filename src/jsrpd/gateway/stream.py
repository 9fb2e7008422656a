"""Server-sent events: what happened, and how things are now, to everyone who listens, none of whom can hold up another.

The cluster is looked at only while somebody listens, once for all of them. Who does not read is left behind: his
stream ends when his queue is full, and his next one begins with what he missed, as far as it is still remembered.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

MAX_LISTENERS = 64
QUEUE = 256
REMEMBERED = 512
LOOK_S = 1.0
"""How often the cluster is looked at while somebody listens."""
ALIVE_S = 15.0
"""After so much silence a comment is sent, so that a dead connection is noticed."""
Look = Callable[[], Awaitable[tuple[str, str]]]
"""The status as one line of JSON, and what of it must differ for it to be sent again. OSError while there is none."""


class TooManyListeners(Exception):
    """Try again later."""


@dataclass(frozen=True, slots=True)
class Event:
    """``number``: 0 for what need not be repeated to who comes back."""

    kind: str
    data: str
    number: int = 0


class Stream:
    """``life``: of this gateway, since numbers of an earlier one mean nothing."""

    def __init__(self, look: Look, life: str) -> None:
        self._look, self.life = look, life
        self._number = 0
        self._past: deque[Event] = deque(maxlen=REMEMBERED)
        self._listeners: dict[Listener, None] = {}
        self._looking: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._status, self._essence = "", ""

    def happened(self, events: list[str]) -> None:
        """Each one line of JSON; called in the loop."""
        for data in events:
            self._number += 1
            event = Event("journal", data, self._number)
            self._past.append(event)
            self._tell(event)
        self._wake.set()

    def listen(self, last_id: str) -> "Listener":
        """One more. TooManyListeners."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise TooManyListeners
        listener = Listener(self, self._missed(last_id))
        self._listeners[listener] = None
        if self._looking is None:
            self._status, self._essence = "", ""
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking())
        elif self._status:
            listener.tell(Event("status", self._status))
        return listener

    def leave(self, listener: "Listener") -> None:
        """One less."""
        self._listeners.pop(listener, None)
        if not self._listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                status, essence = await self._look()
                if essence != self._essence:
                    self._status, self._essence = status, essence
                    self._tell(Event("status", status))
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)

    def _tell(self, event: Event) -> None:
        for listener in list(self._listeners):
            listener.tell(event)

    def _missed(self, last_id: str) -> list[Event]:
        life, _, number = last_id.rpartition("-")
        if life != self.life or not (number.isascii() and number.isdigit()):
            return []
        return [event for event in self._past if event.number > int(number[:18])]


class Listener:
    """One client's queue. Whoever made it must ``leave``."""

    def __init__(self, stream: Stream, missed: list[Event]) -> None:
        self._stream, self._missed = stream, missed
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE)

    def leave(self) -> None:
        """The client has gone."""
        self._stream.leave(self)

    def tell(self, event: Event) -> None:
        """Never waits: a queue that is full is the end of it."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.leave()
            self._queue.get_nowait()
            self._queue.put_nowait(None)

    async def lines(self) -> AsyncIterator[bytes]:
        """What the client is sent (WHATWG HTML, Server-sent events)."""
        yield b"retry: 2000\n\n"
        for event in self._missed:
            yield self._encoded(event)
        while True:
            try:
                event_or_end = await asyncio.wait_for(self._queue.get(), ALIVE_S)
            except TimeoutError:
                yield b": alive\n\n"
                continue
            if event_or_end is None:
                return
            yield self._encoded(event_or_end)

    def _encoded(self, event: Event) -> bytes:
        number = f"id: {self._stream.life}-{event.number}\n" if event.number else ""
        return f"{number}event: {event.kind}\ndata: {event.data}\n\n".encode()
