"""What happens becomes traps for the receivers that are configured now; what comes before the library is there waits."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from jsrpd.gateway.traps import Trap
from jsrpd.model.configuration import ClusterConfiguration, TrapGroup
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.status import ClusterStatus
from jsrpd.processes import trap_desk
from jsrpd.processes.trap_desk import TrapDesk
from tests.unit.gateway.test_traps import transition, weighing

PATIENCE_S = 10.0
GROUPS = (TrapGroup("noc", ("192.0.2.1",)),)
CONFIGURATION = ClusterConfiguration(cluster_id=7, node_id=0, trap_groups=GROUPS)
MONITOR = JournalEvent(1, 0, EventKind.MONITOR, "IF lan failed", (1,))


class TrapSender:
    """In place of pysnmp."""

    def __init__(self, *_: object) -> None:
        self.sent: list[tuple[Trap, tuple[TrapGroup, ...]]] = []
        made.append(self)

    def send(self, traps: Sequence[Trap], groups: tuple[TrapGroup, ...]) -> None:
        self.sent += [(trap, groups) for trap in traps]


made: list[TrapSender] = []


@pytest.fixture(autouse=True)
def without_pysnmp(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    monkeypatch.setattr(trap_desk, "LIBRARY", __name__)


def test_from_events_to_receivers(tmp_path: Path) -> None:
    weight = [0]

    async def status() -> ClusterStatus | None:
        return weighing(weight[0])

    async def run() -> None:
        desk = TrapDesk(tmp_path, status, lambda _text: None)
        desk.reconfigure(msgspec.structs.replace(CONFIGURATION, trap_groups=()))
        desk.happened((transition("secondary", "primary"),))
        await asyncio.sleep(0)
        assert made == [], "nobody is to be told, so nothing is loaded"
        desk.reconfigure(CONFIGURATION)
        desk.happened((transition("secondary", "primary"),))
        async with asyncio.timeout(PATIENCE_S):
            while not (made and made[0].sent):
                await asyncio.sleep(0.01)
            assert [(trap.number, groups) for trap, groups in made[0].sent] == [(1, GROUPS)]
            desk.happened((MONITOR,))
            desk.happened((MONITOR,))
            while len(made[0].sent) < 2:
                await asyncio.sleep(0.01)
            weight[0] = 255
            desk.happened((MONITOR,))
            while len(made[0].sent) < 3:
                await asyncio.sleep(0.01)
        assert [dict(trap.values)[18] for trap, _ in made[0].sent[1:]] == ["unhealthy", "healthy"]
        desk.reconfigure(msgspec.structs.replace(CONFIGURATION, trap_groups=()))
        desk.happened((transition("primary", "secondary-hold"),))
        assert len(made[0].sent) == 3
        assert len(made) == 1

    asyncio.run(run())
