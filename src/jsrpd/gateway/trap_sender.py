"""Sends traps with pysnmp, which is loaded only where receivers are configured: SNMPv2c, or v3 with USM.

A trap is not confirmed, so nothing is kept or sent again. As the sender of traps this node is the authoritative engine
(RFC 3414, 2.2): its engine-id is made of its number in the cluster, and its boots are counted in a file.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from pysnmp.hlapi.v3arch.asyncio import (
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    Udp6TransportTarget,
    UdpTransportTarget,
    UsmUserData,
    send_notification,
    usmAesCfb128Protocol,
    usmHMAC192SHA256AuthProtocol,
    usmHMACSHAAuthProtocol,
)
from pysnmp.proto.rfc1902 import ObjectIdentifier, OctetString, TimeTicks

from jsrpd.gateway.traps import Trap
from jsrpd.model.configuration import TrapGroup

BOOTS_FILE = "snmp-boots"
MAX_BOOTS = 2**31 - 1
QUEUE = 256
SYS_UP_TIME, TRAP_OID = "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0"
ENTERPRISE, ADMINISTRATIVE_TEXT = 8072, 4
"""net-snmp's, whose private arc our own MIB lies in; and the format of an engine-id that is a text (RFC 3411, 5)."""
AUTHENTICATION = {"sha": usmHMACSHAAuthProtocol, "sha256": usmHMAC192SHA256AuthProtocol}


def engine_id(cluster: int, node: int) -> bytes:
    """Of a node: the same for ever, so that a receiver can be told of it once."""
    head = (0x80000000 | ENTERPRISE).to_bytes(4, "big")
    return head + bytes([ADMINISTRATIVE_TEXT]) + f"jsrpd-{cluster}-{node}".encode()


class TrapSender:
    """``up_time``: hundredths of a second since the daemon was started; ``report``: to the log."""

    def __init__(self, cluster: int, node: int, directory: Path, up_time: Callable[[], int], report: Callable[[str], None]) -> None:
        self._up_time, self._report = up_time, report
        self._failed = ""
        self._engine = SnmpEngine(OctetString(engine_id(cluster, node)))
        (boots,) = self._engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineBoots")
        boots.syntax = boots.syntax.clone(self._next_boots(directory / BOOTS_FILE))
        self._waiting: asyncio.Queue[tuple[Trap, tuple[TrapGroup, ...]]] = asyncio.Queue(QUEUE)
        self._task = asyncio.get_running_loop().create_task(self._work())

    def send(self, traps: Sequence[Trap], groups: tuple[TrapGroup, ...]) -> None:
        """Never waits; what does not fit is lost, as any trap may be."""
        for trap in traps:
            try:
                self._waiting.put_nowait((trap, groups))
            except asyncio.QueueFull:
                self._fail("too many at once; some were not sent")

    def close(self) -> None:
        """Nothing more is sent."""
        self._task.cancel()

    async def _work(self) -> None:
        while True:
            trap, groups = await self._waiting.get()
            for group in groups:
                for target in group.targets:
                    try:
                        await self._send(trap, group, target)
                    except Exception as error:  # pysnmp has its own kinds for a network that is away.
                        self._fail(f"to {target}: {error}")

    async def _send(self, trap: Trap, group: TrapGroup, address: str) -> None:
        kind = Udp6TransportTarget if ":" in address else UdpTransportTarget
        target = await kind.create((address, group.port), timeout=1, retries=0)
        varbinds = [(SYS_UP_TIME, TimeTicks(self._up_time())), (TRAP_OID, ObjectIdentifier(trap.oid))]
        varbinds += [(oid, OctetString(text.encode())) for oid, text in trap.varbinds]
        typed = [ObjectType(ObjectIdentity(oid), value) for oid, value in varbinds]
        problem, *_ = await send_notification(self._engine, _authority(group), target, ContextData(), "trap", *typed)
        if problem:
            self._fail(f"to {address}: {problem}")

    def _fail(self, why: str) -> None:
        if why != self._failed:
            self._failed = why
            self._report(f"SNMP traps: {why}")

    def _next_boots(self, path: Path) -> int:
        """One more than at the last start; a lost file is said, because receivers then refuse version 3 for a while."""
        try:
            boots = int(path.read_text())
        except FileNotFoundError:
            boots = 0
        except (OSError, ValueError) as error:
            self._fail(f"{path}: {error}")
            boots = 0
        try:
            fresh = path.with_suffix(".new")
            fresh.write_text(f"{boots + 1}\n")
            fresh.replace(path)
        except OSError as error:
            self._fail(f"{path}: {error.strerror}; after the next start receivers may refuse version 3")
        return min(boots + 1, MAX_BOOTS)


def _authority(group: TrapGroup) -> CommunityData | UsmUserData:
    if group.user is None:
        return CommunityData(group.name, mpModel=1)
    user = group.user
    if not user.privacy_password:
        return UsmUserData(user.name, user.authentication_password, authProtocol=AUTHENTICATION[user.authentication])
    return UsmUserData(
        user.name,
        user.authentication_password,
        user.privacy_password,
        authProtocol=AUTHENTICATION[user.authentication],
        privProtocol=usmAesCfb128Protocol,
    )
