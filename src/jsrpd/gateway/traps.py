"""Traps of JUNIPER-CHASSIS-CLUSTER-MIB: which event is which notification, and what it carries (reference 9.1).

Every varbind is a DisplayString, in the order of the MIB. A node tells of itself: of its own changes of state, of its
own weights, and of the links as it hears them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, FIRST_IN_BAND_PATH
from jsrpd.model.status import ClusterStatus

MIB = "1.3.6.1.4.1.2636.3.39.1.14.1"
NOTIFICATIONS, OBJECTS = f"{MIB}.0", f"{MIB}.1"
SWITCHOVER, INTERFACE, WEIGHT = 1, 2, 4
GROUP, CLUSTER, NODE, PREVIOUS, CURRENT, REASON = 1, 2, 3, 4, 5, 6
INTERFACE_NAME, INTERFACE_STATE, INTERFACE_SEVERITY, INTERFACE_REASON = 7, 8, 9, 10
WEIGHT_CLUSTER, WEIGHT_GROUP, WEIGHT_NODE, WEIGHT_HEALTH, WEIGHT_VALUE = 15, 16, 17, 18, 19


@dataclass(frozen=True, slots=True)
class Trap:
    """``number``: of the notification; ``values``: (number of the object, text), in order."""

    number: int
    values: tuple[tuple[int, str], ...]

    @property
    def oid(self) -> str:
        """For snmpTrapOID."""
        return f"{NOTIFICATIONS}.{self.number}"

    @property
    def varbinds(self) -> list[tuple[str, str]]:
        """(OID of the scalar, text)."""
        return [(f"{OBJECTS}.{number}.0", text) for number, text in self.values]


def of_events(events: Iterable[JournalEvent], cluster: int, node: int) -> list[Trap]:
    """What is worth a trap of what happened."""
    found = [_of_event(event, cluster) for event in events if event.node == node]
    return [trap for trap in found if trap is not None]


def _of_event(event: JournalEvent, cluster: int) -> Trap | None:
    values = event.values
    # Leaving hold is the end of a start, not a switchover (reference 9.1).
    if event.kind is EventKind.TRANSITION and values.get("old-state") != "hold":
        old, new = str(values.get("old-state")), str(values.get("new-state"))
        group = ",".join(map(str, event.groups))
        said = ((GROUP, group), (CLUSTER, str(cluster)), (NODE, str(event.node)), (PREVIOUS, old), (CURRENT, new))
        return Trap(SWITCHOVER, (*said, (REASON, event.reason)))
    if event.kind is EventKind.PATH:
        path = values.get("path", 0)
        if "link" in values:
            name = str(values["link"])
        elif isinstance(path, int) and FIRST_FABRIC_PATH <= path < FIRST_IN_BAND_PATH:
            name = f"fab{event.node}"
        else:
            return None
        said_by_narrator, _, detail = event.text.partition(": ")
        up = said_by_narrator.endswith(" up")
        state, severity = ("UP", "minor") if up else ("DOWN", "major")
        return Trap(
            INTERFACE,
            (
                (CLUSTER, str(cluster)),
                (INTERFACE_NAME, name),
                (INTERFACE_STATE, state),
                (INTERFACE_SEVERITY, severity),
                (INTERFACE_REASON, event.reason or detail),
            ),
        )
    return None


class Weights:
    """Remembers which groups of this node were healthy, and tells of each that crosses zero. Healthy until seen otherwise."""

    def __init__(self) -> None:
        self._unhealthy: set[int] = set()

    def of(self, status: ClusterStatus) -> list[Trap]:
        """Traps for what has changed since the last snapshot."""
        traps = []
        for group in status.groups:
            weight = next((row.weight for row in group.nodes if row.node == status.node), None)
            if weight is None or (weight <= 0) == (group.group in self._unhealthy):
                continue
            health = "unhealthy" if weight <= 0 else "healthy"
            self._unhealthy ^= {group.group}
            values = ((WEIGHT_CLUSTER, str(status.cluster_id)), (WEIGHT_GROUP, str(group.group)), (WEIGHT_NODE, str(status.node)))
            traps.append(Trap(WEIGHT, (*values, (WEIGHT_HEALTH, health), (WEIGHT_VALUE, str(weight)))))
        return traps
