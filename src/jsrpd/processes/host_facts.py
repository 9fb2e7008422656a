"""What the lints at commit want to know of this machine: whom it hears, what carries its links."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from jsrpd.configuration.lints import Facts
from jsrpd.model.status import ClusterStatus
from jsrpd.model.survey import FirewallSurvey, Survey
from jsrpd.wire.envelope import DropCause

FOREIGN = (DropCause.OWN_NODE, DropCause.KEY_MISMATCH)
"""What is dropped of somebody who uses this cluster's number."""
NETWORK = Path("/sys/class/net")


async def gather(
    status: Callable[[], Awaitable[ClusterStatus | None]], firewalls: Callable[[], Awaitable[tuple[Survey, Survey] | None]]
) -> Facts:
    """As far as it can be known without asking for long. ``firewalls``: both nodes' packet filters."""
    answered, filters = await asyncio.gather(status(), firewalls())
    foreign = answered is not None and any(answered.drops.get(cause.value, 0) for cause in FOREIGN)
    lateness_ms = answered.lateness_ns / 1e6 if answered is not None else 0.0
    own, peer = (_digest(survey.firewall) for survey in filters) if filters is not None else ("", "")
    return Facts(lateness_ms, foreign, (own, peer), _carriers())


def _digest(firewall: FirewallSurvey) -> str:
    """Of the whole ruleset; empty where it could not be read."""
    return "" if firewall.problem else hashlib.sha256(repr(sorted(firewall.digests.items())).encode()).hexdigest()


def _carriers() -> dict[str, str]:
    """The interface below each VLAN or macvlan of this host: two links over one cable are one link."""
    found = dict[str, str]()
    for interface in NETWORK.iterdir():
        below = [path.name.removeprefix("lower_") for path in interface.glob("lower_*")]
        if len(below) == 1:
            found[interface.name] = below[0]
    return found
