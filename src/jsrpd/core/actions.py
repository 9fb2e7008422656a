"""What the core orders, in the imperative. The engine carries them out in the order given.

Order matters: a claim sends first, then stores the deadline, then announces (LEASE 10); a hand-over caps the
deadline before it says secondary-hold (LEASE 15).
"""

from typing import TypeAlias

import msgspec

from jsrpd.messages.catalogue import LogMessage
from jsrpd.model.link_messages import Acknowledgement, Heartbeat, PathId
from jsrpd.model.roles import GroupState
from jsrpd.model.time import Instant


class SendAcknowledgement(msgspec.Struct, frozen=True):
    """Answer the newest heartbeat of this turn on the path it came by."""

    path: PathId
    acknowledgement: Acknowledgement


class SendHeartbeat(msgspec.Struct, frozen=True):
    """Send on every path."""

    sequence: int
    heartbeat: Heartbeat


class StoreLease(msgspec.Struct, frozen=True):
    """Write the group's slot of the gate map: ``deadline`` in boot-time ns; the gate is open while now <= deadline.

    The other fields are pinned beside it so that a restarted engine can re-adopt its role (LEASE 19).
    """

    group: int
    deadline: Instant
    state: GroupState
    generation: int
    acknowledged_at: Instant
    last_heard: Instant
    alone: bool
    """Rule 7 (the peer is silent) was in force."""


class Announce(msgspec.Struct, frozen=True):
    """Tell the segments of the group's reths that this node owns the virtual MACs and addresses.

    ``repeat``: False for the single frame after a hand-over is confirmed, True for the configured series.
    """

    group: int
    repeat: bool = True


class ChangeRole(msgspec.Struct, frozen=True):
    """The kernel process aligns the node's own routes with the role (off the fast path)."""

    group: int
    state: GroupState
    generation: int


class StopServices(msgspec.Struct, frozen=True):
    """A planned hand-over of the group is near: end its role-bound services, then tell (SPEC 6.4, step 0)."""

    group: int


class DrainSessions(msgspec.Struct, frozen=True):
    """A planned hand-over is near: see that the peer has every session, then tell (SPEC 6.4, step 0)."""


class AskWitness(msgspec.Struct, frozen=True):
    """The witness's key is wanted from now on, or no more: it is let go, and what was granted before counts no longer."""

    wanted: bool


class Reboot(msgspec.Struct, frozen=True):
    """A disabled node whose links are well again is rebooted (``control-link-recovery reboot``)."""


class Log(msgspec.Struct, frozen=True):
    """A catalogued message to the operator."""

    message: LogMessage


class Stop(msgspec.Struct, frozen=True):
    """Everything is handed over; the engine may exit."""


Action: TypeAlias = (
    SendAcknowledgement
    | SendHeartbeat
    | StoreLease
    | Announce
    | ChangeRole
    | StopServices
    | DrainSessions
    | AskWitness
    | Reboot
    | Log
    | Stop
)
