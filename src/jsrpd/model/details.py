"""What ``show chassis cluster information detail`` needs besides the engine's snapshot: from the monitors, from the commits."""

import msgspec


class MonitoredObject(msgspec.Struct, frozen=True):
    """One object of a monitor as it was found last. ``failed``: the damped verdict; ``groups``: those that suffer by it."""

    code: str
    name: str
    failed: bool
    value: str
    limit: str
    groups: tuple[int, ...]


class Synchronization(msgspec.Struct, frozen=True):
    """The configuration of this node beside the peer's.

    ``connected``: the management connection stands; ``problem``: why it does not. ``difference``: empty when both are in step.
    ``newest``: the newest commit this node knows, in words; empty when there is none.
    """

    connected: bool
    problem: str
    difference: str
    newest: str


class Details(msgspec.Struct, frozen=True):
    """``objects`` None: the monitors process did not answer. ``synchronization`` None: this node has no commits of its own."""

    objects: tuple[MonitoredObject, ...] | None
    synchronization: Synchronization | None
