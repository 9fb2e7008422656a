"""Why a redundancy group stands where it stands: what ``show chassis cluster explain`` is rendered from."""

import msgspec


class MonitoredObject(msgspec.Struct, frozen=True):
    """Something that counts against a group when it fails. ``up`` None: the node has not told."""

    kind: str
    name: str
    weight: int
    up: bool | None


class NodeExplanation(msgspec.Struct, frozen=True):
    """One node's standing in a group. A lost peer has state ``lost`` and None where nothing is known.

    ``sum``: the weight as a sum, ``255 - 255 (IF lan)``.
    """

    node: int
    state: str
    configured_priority: int
    effective_priority: int
    weight: int | None
    sum: str
    why_priority: str
    gate_open: bool | None
    monitored: tuple[MonitoredObject, ...]


class GroupExplanation(msgspec.Struct, frozen=True):
    """``since``: wall clock, ns since 1970, of this node's present state; ``lasted_s``: for how long.

    ``reason``: of this node's last transition. ``owner``: the node that is primary, None when none says so. ``to_move``:
    what would let the other node own the group, a sentence each. ``blocks``: what stands in the way now. ``history``: this
    node's last changes, as far as its journal is at hand.
    """

    group: int
    node: int
    state: str
    since: int
    lasted_s: float
    reason: str
    owner: int | None
    summary: str
    nodes: tuple[NodeExplanation, ...]
    to_move: tuple[str, ...]
    blocks: tuple[str, ...]
    notes: tuple[str, ...]
    history: tuple[str, ...] = ()
