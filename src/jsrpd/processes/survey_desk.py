"""The gateway's desk for ``jsrp doctor``: has this node looked at, and adds what only a running daemon can tell."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import msgspec

from jsrpd.management import children
from jsrpd.management.requests import Reply
from jsrpd.model.status import ClusterStatus
from jsrpd.model.survey import Survey, decode_survey, encode_survey
from jsrpd.wire.envelope import DropCause

TIMEOUT_S = 15.0
SILENT = "error: the look at this node has not come to an end; look at: journalctl -u jsrpd"
STRANGERS = (DropCause.OWN_NODE, DropCause.KEY_MISMATCH)
"""What is dropped of somebody who uses this cluster's number."""


class SurveyDesk:
    """``difference``: why the configuration may not be the peer's. ``restarts``: of the daemon's processes."""

    def __init__(
        self,
        parent: socket.socket,
        status: Callable[[], Awaitable[ClusterStatus | None]],
        difference: Callable[[], str],
        restarts: Callable[[], dict[str, int]],
    ) -> None:
        self._parent, self._status, self._difference, self._restarts = parent, status, difference, restarts
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._one_at_a_time = asyncio.Lock()

    async def reply(self, node: int | None, only_firewall: bool = False) -> Reply:
        """The operator's answer."""
        try:
            survey = await self.take(only_firewall)
        except (OSError, msgspec.DecodeError):  # TimeoutError is the former.
            return Reply(False, SILENT, node)
        return Reply(True, node=node, survey=encode_survey(survey))

    async def take(self, only_firewall: bool = False) -> Survey:
        """OSError when none comes."""
        async with self._one_at_a_time:
            asked = children.SurveyRequested(self._number + 1, only_firewall)
            survey = decode_survey(await asyncio.wait_for(self._look(asked), TIMEOUT_S))
        if not survey.cluster_id:
            return survey
        status = await self._status()
        drops = status.drops if status is not None else {}
        return msgspec.structs.replace(
            survey,
            engine_silent=status is None,
            lateness_ns=status.lateness_ns if status is not None else None,
            strangers={cause.value: drops[cause.value] for cause in STRANGERS if drops.get(cause.value)},
            difference=self._difference(),
            restarts=self._restarts(),
        )

    async def watch(self, group: int, seconds: int, node: int) -> Reply:
        """How the gateway addresses of a group answer this node."""
        try:
            async with self._one_at_a_time:
                asked = children.SurveyRequested(self._number + 1, watched_group=group, seconds=seconds)
                return Reply(True, node=node, watches=await asyncio.wait_for(self._look(asked), seconds + TIMEOUT_S))
        except OSError:
            return Reply(False, SILENT, node)

    async def _look(self, asked: children.SurveyRequested) -> bytes:
        self._number = asked.number
        taken: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[asked.number] = taken
        try:
            self._parent.send(children.encode(asked), socket.MSG_DONTWAIT)
            return await taken
        finally:
            del self._waiting[asked.number]

    def taken(self, message: children.SurveyTaken) -> None:
        """The look has come to its end."""
        waiting = self._waiting.get(message.number)
        with contextlib.suppress(asyncio.InvalidStateError):
            if waiting is not None:
                waiting.set_result(message.survey)
