"""What the lints at commit want to know of this machine: whom it hears, what carries its links."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from jsrpd.configuration.lints import Facts
from jsrpd.model.status import ClusterStatus
from jsrpd.wire.envelope import DropCause

FOREIGN = (DropCause.OWN_NODE, DropCause.KEY_MISMATCH)
"""What is dropped of somebody who uses this cluster's number."""
NETWORK = Path("/sys/class/net")


async def gather(status: Callable[[], Awaitable[ClusterStatus | None]]) -> Facts:
    """As far as it can be known without asking for long."""
    answered = await status()
    foreign = answered is not None and any(answered.drops.get(cause.value, 0) for cause in FOREIGN)
    return Facts(cluster_id_in_use=foreign, carriers=_carriers())


def _carriers() -> dict[str, str]:
    """The interface below each VLAN or macvlan of this host: two links over one cable are one link."""
    found = dict[str, str]()
    for interface in NETWORK.iterdir():
        below = [path.name.removeprefix("lower_") for path in interface.glob("lower_*")]
        if len(below) == 1:
            found[interface.name] = below[0]
    return found
