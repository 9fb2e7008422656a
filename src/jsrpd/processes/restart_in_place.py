"""Restart in place: another image of the daemon in the same process, while the old children go on (SPEC section 2).

Loading the program takes far longer than any lease. So the parent first lets the new program check the configuration, then
replaces itself by it (execve(2) keeps the pid, the children and whatever descriptors it is told to), and only then replaces its
children one by one, the engine last: that takes milliseconds, and the gates stay open on the lease that the old engine has just had
acknowledged. If the new image dies, the children hear of their parent's death and hand over.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, MutableMapping

import msgspec

from jsrpd.core.cluster import Cluster
from jsrpd.model.roles import RedundancyMode
from jsrpd.model.time import MILLISECOND, Duration, Instant
from jsrpd.processes.options import Options

VARIABLE = "JSRPD_KEPT"
"""In the environment of the new image: what it finds open and running."""
MODULE = "jsrpd.processes.parent"
SHORTEST_LEASE: Duration = 250 * MILLISECOND
"""With a shorter lease the engine hands over before it goes (SPEC section 2)."""
IGNORED = (signal.SIGHUP, signal.SIGUSR2)
"""They would end an image that has not come to handle them; what they ask for is done by it anyway."""


class KeptChild(msgspec.Struct, frozen=True):
    """A child of the old image."""

    name: str
    pid: int
    restarts: int


class Kept(msgspec.Struct, frozen=True):
    """What the old image leaves open and running. Numbers are descriptors; ``channels`` by name: both ends."""

    pid_file: int
    lease_map: int | None
    channels: dict[str, tuple[int, int]]
    children: tuple[KeptChild, ...]
    redundancy_mode: RedundancyMode

    def descriptors(self) -> Iterable[int]:
        """All of them."""
        yield self.pid_file
        if self.lease_map is not None:
            yield self.lease_map
        for ends in self.channels.values():
            yield from ends


def kept(environment: MutableMapping[str, str] = os.environ) -> Kept | None:
    """What an old image has left to this one; None at an ordinary start. Children will not inherit the descriptors."""
    text = environment.pop(VARIABLE, None)
    if text is None:
        return None
    found = msgspec.json.decode(text, type=Kept)
    for descriptor in found.descriptors():
        os.set_inheritable(descriptor, False)
    return found


def check() -> "subprocess.Popen[bytes]":
    """Start the new program in order to see that it runs and takes the configuration; exit status 0 when it does."""
    nothing = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", MODULE, "-C"], stdin=nothing, stdout=nothing, stderr=nothing)


def become(left: Kept, options: Options) -> None:
    """Replace the running image; returns only by OSError, with everything as it was."""
    words = [sys.executable, "-m", MODULE, "-N", *(["-l"] if options.log_to_stderr else []), "-d", str(options.debug_level)]
    for descriptor in left.descriptors():
        os.set_inheritable(descriptor, True)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
    try:
        os.execve(sys.executable, words, {**os.environ, VARIABLE: msgspec.json.encode(left).decode()})
    except OSError:
        for number, handler in before.items():
            signal.signal(number, handler)
        for descriptor in left.descriptors():
            os.set_inheritable(descriptor, False)
        raise


class Retirement:
    """When an engine that shall make room for its successor goes: with its newest heartbeat just acknowledged, so that the
    successor finds the whole lease; after two intervals in any case."""

    def __init__(self) -> None:
        self._since: Instant | None = None

    def order(self, now: Instant) -> None:
        """The successor is ready."""
        self._since = self._since if self._since is not None else now

    def must_hand_over(self, cluster: Cluster) -> bool:
        """Ordered, and the lease is too short for a successor to find it running."""
        return self._since is not None and cluster.configuration.timing.lease < SHORTEST_LEASE

    def due(self, now: Instant, cluster: Cluster) -> bool:
        """Ordered, and this is the moment. Called at the end of a turn."""
        if self._since is None or self.must_hand_over(cluster):
            return False
        interval = cluster.configuration.timing.interval
        sent_at = cluster.sent.newest_at or now
        lost = cluster.peer.heartbeat is None
        current = now - sent_at <= interval // 4 and (lost or cluster.peer.echoed >= cluster.sent.newest)
        return current or now - self._since >= 2 * interval
