"""An etcd cluster by its JSON gateway (version 3.4 and later), as far as a lock needs it: leases, and one key.

Every request may be sent twice: leases have names of our own, and every write is a comparison first. So it goes to one member,
a moment later to the next as well, and the first answer counts.
"""

import asyncio
import base64
import contextlib
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

STAGGER_S = 0.05
"""How long a member is waited for before the next is asked, too."""
TIMEOUT_S = 1.0
MAX_REPLY = 1 << 16
LEASE_EXISTS, LEASE_UNKNOWN = "lease already exists", "lease not found"


class EtcdError(Exception):
    """No member answered, or one refused; what it said, for the operator."""


@dataclass(frozen=True, slots=True)
class Held:
    """What stands under the key. ``lease`` 0: for good."""

    value: str
    lease: int


class EtcdClient:
    """``endpoints``: URLs of the members' client sides."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.endpoints = list(endpoints)

    async def grant(self, lease: int, ttl_s: int) -> bool:
        """A lease under a name of ours; False where it exists already."""
        try:
            await self._call("lease/grant", {"ID": str(lease), "TTL": str(ttl_s)})
        except EtcdError as error:
            if LEASE_EXISTS in str(error):
                return False
            raise
        return True

    async def keep_alive(self, lease: int) -> bool:
        """Its whole time begins anew; False when it is gone."""
        reply = await self._call("lease/keepalive", {"ID": str(lease)})
        return int(reply.get("result", {}).get("TTL", 0)) > 0

    async def revoke(self, lease: int) -> None:
        """It ends, with its keys."""
        try:
            await self._call("lease/revoke", {"ID": str(lease)})
        except EtcdError as error:
            if LEASE_UNKNOWN not in str(error):
                raise

    async def read(self, key: str) -> Held | None:
        """What stands there, as the majority has it."""
        return _held(await self._call("kv/range", {"key": _packed(key)}))

    async def put_if(self, key: str, expected: str | None, value: str, lease: int) -> Held | None:
        """Write where ``expected`` stands (None: nothing). What stands there afterwards; None when it has just vanished."""
        where = {"key": _packed(key), "result": "EQUAL"}
        if expected is None:
            compare = {**where, "target": "CREATE", "createRevision": "0"}
        else:
            compare = {**where, "target": "VALUE", "value": _packed(expected)}
        put = {"requestPut": {"key": _packed(key), "value": _packed(value), "lease": str(lease)}}
        look = {"requestRange": {"key": _packed(key)}}
        reply = await self._call("kv/txn", {"compare": [compare], "success": [put], "failure": [look]})
        if reply.get("succeeded"):
            return Held(value, lease)
        return _held(reply["responses"][0]["response_range"])

    async def _call(self, method: str, body: Mapping[str, object]) -> dict[str, Any]:
        """The first answer of any member. One that refuses has answered; who is not there or does not speak has not."""
        data = json.dumps(body).encode()
        problem = "no answer"
        running: set[asyncio.Task[dict[str, Any]]] = set()
        waiting = list(self.endpoints)
        end = asyncio.get_running_loop().time() + TIMEOUT_S
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.create_task(_post(waiting.pop(0), method, data)))
                left = end - asyncio.get_running_loop().time()
                wait = min(left, STAGGER_S) if waiting else left
                done, running = await asyncio.wait(running, timeout=max(0, wait), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    try:
                        return task.result()
                    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                        problem = _reason(error)
                if left <= 0:
                    break
        finally:
            for task in running:
                task.cancel()
        raise EtcdError(problem)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0).lower()
    return str(error) or "no answer"


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _held(reply: Mapping[str, Any]) -> Held | None:
    for found in reply.get("kvs", []):
        return Held(base64.b64decode(found.get("value", "")).decode(errors="replace"), int(found.get("lease", 0)))
    return None


async def _post(endpoint: str, method: str, body: bytes) -> dict[str, Any]:
    """The reply of one member: EtcdError when it refuses, OSError or ValueError when it does not answer as etcd does."""
    parts = urlsplit(endpoint)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=secure, limit=MAX_REPLY)
    try:
        head = (
            f"POST /v3/{method} HTTP/1.0\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        writer.write(f"{head}\r\n\r\n".encode() + body)
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        await reader.readuntil(b"\r\n\r\n")
        content = await reader.read(MAX_REPLY)
        while more := await reader.read(MAX_REPLY):
            content += more
            if len(content) > MAX_REPLY:
                raise ValueError(f"{endpoint} says too much")
    except asyncio.LimitOverrunError as error:
        raise ValueError(f"{endpoint} does not speak HTTP") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    reply = json.loads(content)
    if not isinstance(reply, dict):
        raise ValueError(f"{endpoint} does not speak as etcd does")
    if status == 200 and "error" not in reply:
        return reply
    said = str(reply.get("message") or reply.get("error"))
    if LEASE_EXISTS in said or LEASE_UNKNOWN in said:
        raise EtcdError(said)
    # A member without a leader, or without its majority: another one may know better.
    raise ValueError(f"{endpoint}: {said}")
