"""SNMP traps: from what the journal is told, and from the weights afterwards, to the receivers that are configured now.

pysnmp is loaded when the first receiver is, and aside: it takes a third of a second and 25 MB.
"""

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jsrpd.gateway import traps
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.status import ClusterStatus

if TYPE_CHECKING:
    from jsrpd.gateway.trap_sender import TrapSender

Status = Callable[[], Awaitable[ClusterStatus | None]]
LIBRARY = "jsrpd.gateway.trap_sender"
KEPT = 256
"""Traps that wait for the library."""


class TrapDesk:
    """``status`` asks the engine; ``report`` tells the log. Lives in the gateway's loop."""

    def __init__(
        self, directory: Path, status: Callable[[], Awaitable[ClusterStatus | None]], report: Callable[[str], None]
    ) -> None:
        self._directory, self._status, self._report = directory, status, report
        self._configuration: ClusterConfiguration | None = None
        self._weights = traps.Weights()
        self._began = time.monotonic()
        self._loading: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._changed = False
        self._sender: TrapSender | None = None
        self._early: list[traps.Trap] = []

    def reconfigure(self, configuration: ClusterConfiguration | None) -> None:
        """Receivers from now on."""
        self._configuration = configuration
        if configuration is not None and configuration.trap_groups and self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load(configuration))

    def happened(self, events: tuple[JournalEvent, ...]) -> None:
        """Never waits."""
        configuration = self._configuration
        if configuration is None or not configuration.trap_groups:
            return
        self._send(traps.of_events(events, configuration.cluster_id, configuration.node_id))
        if any(event.kind is EventKind.MONITOR for event in events):
            self._changed = True
            if self._looking is None:
                self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _load(self, configuration: ClusterConfiguration) -> None:
        module = await asyncio.to_thread(importlib.import_module, LIBRARY)
        self._sender = module.TrapSender(
            configuration.cluster_id, configuration.node_id, self._directory, self._up_time, self._report
        )
        early, self._early = self._early, []
        self._send(early)

    async def _look(self) -> None:
        """The events tell of single monitors; what the group's weight is now, the engine knows."""
        try:
            while self._changed:
                self._changed = False
                status = await self._status()
                if status is not None:
                    self._send(self._weights.of(status))
        finally:
            self._looking = None

    def _send(self, found: list[traps.Trap]) -> None:
        if self._sender is None:
            self._early = [*self._early, *found][-KEPT:]
        elif self._configuration is not None:
            self._sender.send(found, self._configuration.trap_groups)

    def _up_time(self) -> int:
        """Hundredths of a second, as sysUpTime counts them."""
        return int((time.monotonic() - self._began) * 100) & 0xFFFFFFFF
