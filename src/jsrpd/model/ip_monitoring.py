"""What ``show chassis cluster ip-monitoring status`` is rendered from (reference 7.8)."""

import msgspec


class IpTargetStatus(msgspec.Struct, frozen=True):
    """One address. ``status``: ``unknown``, ``reachable`` or ``unreachable``; ``failure_count``: how often it became that."""

    address: str
    status: str
    failure_count: int
    weight: int
    reason: str


class IpGroupStatus(msgspec.Struct, frozen=True):
    """One group; ``current_threshold`` is the threshold less the weights of unreachable addresses."""

    group: int
    global_weight: int
    global_threshold: int
    current_threshold: int
    targets: tuple[IpTargetStatus, ...]
