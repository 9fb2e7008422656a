"""``redundancy-mode active-backup``: all groups from 1 on stand on one node (SPEC section 3).

The lowest of them leads: it alone is elected by priority and preempts, and the others yield to the node on which it is primary.
What fails for one counts for all, so that the leader moves for the sake of any. In mode active-active every group is by itself.
"""

from collections.abc import Mapping

import msgspec

from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.model.roles import RG0, RedundancyMode


class Joint(msgspec.Struct, frozen=True):
    """What counts for all groups that stand together. ``weight``: the lowest; ``failure_bits``: of all; ``leader``: a group."""

    weight: int
    failure_bits: int
    leader: int


def joint(mode: RedundancyMode, groups: Mapping[int, RedundancyGroup]) -> Joint | None:
    """None where every group is by itself."""
    members = [group for group in groups.values() if group.number != RG0]
    if mode == RedundancyMode.ACTIVE_ACTIVE or not members:
        return None
    bits = 0
    for member in members:
        bits |= member.failure_bits
    return Joint(min(member.weight for member in members), bits, min(member.number for member in members))


def moved_with(mode: RedundancyMode, groups: Mapping[int, RedundancyGroup], number: int) -> list[RedundancyGroup]:
    """The group and all that move with it; none when it is not configured."""
    if number not in groups:
        return []
    if mode == RedundancyMode.ACTIVE_ACTIVE or number == RG0:
        return [groups[number]]
    return [group for group in groups.values() if group.number != RG0]
