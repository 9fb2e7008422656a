"""The world: true time, an agenda of what happens next, two nodes and the paths between them."""

import heapq
import random
from collections.abc import Callable
from typing import Any

from jsrpd.core.cluster import Cluster
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, PathId
from jsrpd.model.time import Duration, Instant
from simulator.arbiter import Arbiter
from simulator.clock import NodeClock
from simulator.history import FOREVER, History
from simulator.network import Datagram, Network
from simulator.node import ClusterFactory, SimulatedNode


class World:
    """A discrete-event simulation; what falls on one instant happens in the order it was scheduled."""

    def __init__(
        self,
        configurations: tuple[ClusterConfiguration, ClusterConfiguration],
        rng: random.Random,
        clocks: tuple[NodeClock, NodeClock] = (NodeClock(), NodeClock()),
        factory: ClusterFactory = Cluster,
        recording: bool = False,
        arbiter: Arbiter | None = None,
    ) -> None:
        self.now: Instant = 0
        self.rng = rng
        self.arbiter = arbiter or Arbiter(random.Random(0))
        self.recording = recording
        first = configurations[0]
        control = tuple(link.index for link in first.control_links)
        fabric = tuple(FIRST_FABRIC_PATH + link.index for link in first.fabric_links)
        self.network = Network(control + fabric)
        self.history = History(first.timing, tuple(group.group for group in first.groups))
        for configuration in configurations:
            self.history.committed(0, configuration)
        self._agenda: list[tuple[Instant, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduled = 0
        self._incarnations = 0
        self.nodes = (
            SimulatedNode(self, configurations[0], clocks[0], factory),
            SimulatedNode(self, configurations[1], clocks[1], factory),
        )
        for node in self.nodes:
            node.asker.start()

    def schedule(self, at: Instant, what: Callable[..., None], *arguments: object) -> None:
        """Do ``what`` at ``at``."""
        self._scheduled += 1
        heapq.heappush(self._agenda, (at, self._scheduled, what, arguments))

    def run(self, until: Instant) -> None:
        """Let everything happen that is due up to and including ``until``."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= until:
            self.now, _, what, arguments = heapq.heappop(agenda)
            what(*arguments)
        self.now = until
        self.history.ended_at = until

    def up_to(self, limit: Duration) -> Duration:
        """A random duration below ``limit``; 0 when there is none."""
        return self.rng.randrange(limit) if limit else 0

    def next_incarnation(self) -> int:
        """A new name for a life."""
        self._incarnations += 1
        return self._incarnations

    def send(self, sender: int, path: PathId, datagram: Datagram) -> None:
        """Carry one datagram to the other node, or lose it."""
        receiver = self.nodes[1 - sender]
        history = self.history
        history.datagrams += 1
        worst = FOREVER
        for delay in self.network.links[sender][path].arrivals(self.rng):
            worst = min(worst, delay)
            self.schedule(self.now + delay, receiver.deliver, path, datagram)
        if worst > history.shortest.interval // 4:
            history.impaired[receiver.number].append(self.now)
