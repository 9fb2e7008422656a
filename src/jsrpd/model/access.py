"""What a client of the REST interface may do."""

from enum import Enum


class Access(Enum):
    """As it is written in commands and in the file of tokens."""

    NONE = "none"
    READ = "read-only"
    ACT = "operator"

    def covers(self, wanted: "Access") -> bool:
        """Whether who has this may do what needs ``wanted``."""
        order = list(Access)
        return order.index(self) >= order.index(wanted)
