"""The words for what a group and a node can be, and what can be wrong with them (reference 2.1 and 2.10)."""

from enum import IntEnum

NODE_IDS = (0, 1)
RG0 = 0
"""Redundancy group 0: the node itself (control plane); it owns no reth."""
MAX_GROUP = 128
FULL_WEIGHT = 255
MANUAL_PRIORITY = 255


class GroupState(IntEnum):
    """State of a redundancy group on one node. The numbers travel on the wire."""

    HOLD = 0
    SECONDARY = 1
    PRIMARY = 2
    SECONDARY_HOLD = 3
    INELIGIBLE = 4
    DISABLED = 5

    @property
    def label(self) -> str:
        """The word operators read, for example ``secondary-hold``."""
        return self.name.lower().replace("_", "-")


class RedundancyMode(IntEnum):
    """``chassis cluster redundancy-mode``. The numbers travel on the wire."""

    ACTIVE_ACTIVE = 0
    ACTIVE_BACKUP = 1

    @property
    def label(self) -> str:
        """The word operators read, for example ``active-backup``."""
        return self.name.lower().replace("_", "-")


class FailureCode(IntEnum):
    """Monitor-failure codes; the value is the bit number in the 24-bit field of the heartbeat."""

    CS = 0
    FL = 1
    GR = 2
    HW = 3
    IF = 4
    IP = 5
    LB = 6
    MB = 7
    NH = 8
    NP = 9
    SP = 10
    SM = 11
    CF = 12
    RE = 13
    IS = 14
    SG = 15
    SC = 16
    SV = 17


def codes_of(failures: int) -> tuple[FailureCode, ...]:
    """The codes set in a 24-bit failure field, in display order (bit order)."""
    return tuple(code for code in FailureCode if failures >> code & 1)


def render_codes(failures: int, separator: str = " ") -> str:
    """Codes as operators read them (``IF IP``); empty when nothing has failed."""
    return separator.join(code.name for code in codes_of(failures))
