"""Holds the cluster's key at the witness for as long as the engine wants it, and tells until when it is ours at the least.

In contact nobody holds it: then whoever is left alone has it within two round trips, and a witness that is away is missed by
nobody. One key serves all groups, as a cut parts nodes and not groups. How long it is ours is counted from before the request
(the witness counts from when it arrives), less 2 % for the rates of two clocks.

What may still be under way when the key is let go does no harm: each wish has a lease and a value of its own, and a late write
finds neither. After a restart of this process the key is taken over from the former value of this node.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable

from jsrpd.model.time import SECOND, Duration, Instant
from jsrpd.processes.etcd_client import EtcdClient, EtcdError, Held

TTL_S = 3
"""A node that dies with the key in a cut blocks the other for so long; etcd has no less than about two seconds."""
LASTS: Duration = TTL_S * SECOND - TTL_S * SECOND // 50
RENEW_S, RETRY_S = 0.5, 0.1
ENGINE_PATIENCE: Duration = 3 * SECOND
"""The engine speaks each second. For one that no longer does nothing is renewed, or the other node would be kept out for ever."""
LOOK_S, LOOK_AGAIN_S = 30.0, 5.0
"""How often the witness is looked at while nobody wants anything, so that its absence is known before it matters; and after one
look in vain."""


def owner_key(cluster_id: int) -> str:
    """Where the owner of a cluster stands."""
    return f"/jsrpd/cluster-{cluster_id}/owner"


class WitnessKeeper:
    """``tell``: number of the wish, and until when it is fulfilled. ``remark``: a line for the log."""

    def __init__(
        self,
        client: EtcdClient,
        cluster_id: int,
        node_id: int,
        clock: Callable[[], Instant],
        tell: Callable[[int, Instant], None],
        remark: Callable[[str], None],
    ) -> None:
        self.client, self.clock, self.tell, self.remark = client, clock, tell, remark
        self.key = owner_key(cluster_id)
        self.node = f"node{node_id}"
        self.wish = 0
        self.answers: bool | None = None
        """Whether it answered what it was asked last."""
        self._heard_at: Instant = clock()
        self._changed = asyncio.Event()
        self._lease = 0
        self._value = ""
        self._leased = False
        self._said = ""

    def want(self, wish: int) -> None:
        """The engine's word: number of its wish, 0 for none."""
        self._heard_at = self.clock()
        if wish != self.wish:
            self.wish = wish
            self._changed.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            self._changed.clear()
            working = asyncio.create_task(self._keep(self.wish) if self.wish else self._rest())
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({working, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (working, changed):
                    task.cancel()
                await asyncio.gather(working, changed, return_exceptions=True)

    async def _keep(self, wish: int) -> None:
        """One round of asking, and the wait until the next."""
        until = None
        if self.clock() - self._heard_at < ENGINE_PATIENCE:
            try:
                until = await self._hold()
                self.answers = True
            except EtcdError as error:
                self.answers = False
                self._say(f"the witness does not answer: {error}")
        if until is not None:
            self.tell(wish, until)
            self._say(f"the witness has given its key to {self.node}")
        await asyncio.sleep(RETRY_S if until is None else RENEW_S)

    async def _rest(self) -> None:
        """Nobody wants the key: it is let go, and the witness looked at now and then."""
        if self._lease:
            lease, self._lease, self._leased = self._lease, 0, False
            # Where it cannot be told, the key lapses.
            with contextlib.suppress(EtcdError):
                await self.client.revoke(lease)
        try:
            await self.client.read(self.key)
        except EtcdError as error:
            self.answers = False
            self._say(f"the witness does not answer: {error}; alone, {self.node} would own nothing")
            await asyncio.sleep(LOOK_AGAIN_S)
        else:
            self.answers = True
            self._say("the witness answers")
            await asyncio.sleep(LOOK_S)

    async def _hold(self) -> Instant | None:
        """Until when the key is ours at the least; None when it is not. EtcdError."""
        asked_at = self.clock()
        if not await self._renewed():
            asked_at = self.clock()
            if not await self.client.keep_alive(self._lease):
                self._lease, self._leased = 0, False
                return None
        ours = Held(self._value, self._lease)
        held = await self.client.put_if(self.key, None, self._value, self._lease)
        if held is not None and held != ours and self._owner(held) == self.node:
            # Of a former life of this process, or of a wish of which the witness was not told that it was over.
            held = await self.client.put_if(self.key, held.value, self._value, self._lease)
        if held == ours:
            return asked_at + LASTS
        self._say(f"the witness has given its key to {self._owner(held)}")
        return None

    async def _renewed(self) -> bool:
        """Whether a lease has just begun; one that an unanswered request made, or an earlier round, runs already."""
        if self._leased:
            return False
        if not self._lease:
            self._lease = secrets.randbits(62) | 1
            self._value = f"{self.node} {self._lease:x}"
        new = await self.client.grant(self._lease, TTL_S)
        self._leased = True
        return new

    def _owner(self, held: Held | None) -> str:
        return held.value.partition(" ")[0] if held is not None else "nobody"

    def _say(self, text: str) -> None:
        """Once, until something else is to be said."""
        if text != self._said:
            self._said = text
            self.remark(text)
