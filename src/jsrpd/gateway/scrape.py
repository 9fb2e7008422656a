"""The page ``/metrics``: read at most once a second, however many ask, and written as the client wants it."""

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable

from jsrpd import __version__
from jsrpd.gateway import families, metrics
from jsrpd.gateway.families import Family
from jsrpd.gateway.http import Request, Response
from jsrpd.gateway.metrics import ProcessStatus
from jsrpd.model.status import ClusterStatus

PATH = "/metrics"
FRESH_S = 1.0
"""What is younger is shown again: scrapes cost the engine one question a second at most."""


class Scrape:
    """Asks for a snapshot and keeps it while it is fresh."""

    def __init__(
        self,
        status: Callable[[], Awaitable[ClusterStatus | None]],
        processes: Callable[[], list[ProcessStatus]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status, self._processes, self._clock = status, processes, clock
        self._turn = asyncio.Lock()
        self._read_at: float | None = None
        self._families: list[Family] = []

    async def read(self) -> list[Family]:
        """The families now, or as they were a moment ago."""
        async with self._turn:
            if self._read_at is None or self._clock() - self._read_at >= FRESH_S:
                status = await self._status()
                self._families = metrics.families(status, self._processes(), __version__, platform.python_version())
                self._read_at = self._clock()
            return self._families

    async def answer(self, request: Request) -> Response:
        """The page in OpenMetrics for who can read it, else in the older text format."""
        if request.path != PATH:
            return Response(404, f"there is only {PATH}\n")
        if "application/openmetrics-text" in request.headers.get("accept", ""):
            return Response(200, families.open_metrics(await self.read()), families.OPEN_METRICS)
        return Response(200, families.older_text(await self.read()), families.OLDER_TEXT)
