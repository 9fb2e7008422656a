"""Recorded lives for the tests of the journal: scenarios run in the simulator, written down as the engine would."""

from collections.abc import Iterator

from msgspec.structs import replace

from jsrpd.core import checkpoint
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import ConfigurationChanged, SocketsDrained
from jsrpd.core.journal import Batch, Packer, read_batch
from simulator.history import Life
from tests.scenario.runner import Run, Scenario

CLUSTER = """\
cluster heartbeat-interval 100 heartbeat-threshold 5
group 0 priorities 200 100
group 1 priorities 200 100 monitor lan 255 monitor wan 100
at 0s start
"""
WALL_OFFSET = 1_795_564_800_000_000_000
"""2026-11-25 00:00 UTC, if the clock counts from there."""


def run(script: str, cluster: str = CLUSTER) -> Run:
    """A scenario of this cluster."""
    return Run(Scenario("recorded", cluster + script, ""))


def core(script: str, node: int = 0, cluster: str = CLUSTER) -> Cluster:
    """The core of a node at the end of a scenario."""
    return run(script, cluster).world.nodes[node].cluster


def lives(script: str, node: int = 0, cluster: str = CLUSTER) -> list[Life]:
    """All lives of a node in a scenario."""
    return [life for life in run(script, cluster).history.lives if life.configuration.node_id == node]


def written(life: Life, every: int = 50, checkpoints_every: int = 0) -> Iterator[bytes]:
    """A life as batches of ``every`` records; with ``checkpoints_every`` turns a batch that begins with a checkpoint."""
    packer = Packer(life.incarnation)
    packer.start(life.started, life.configuration, life.adopted, "0.1.0")
    cluster = Cluster(life.configuration, life.started, life.incarnation, life.adopted, "0.1.0")
    turns = 0
    for now, event, _, _ in life.turns:
        packer.event(now, event, cluster.handle(now, event))
        turns += isinstance(event, SocketsDrained)
        due = checkpoints_every and isinstance(event, SocketsDrained) and turns % checkpoints_every == 0
        if packer.count and (due or packer.count >= every):
            yield packer.close(WALL_OFFSET)
        if due:
            packer.checkpoint(now, checkpoint.encode(cluster))
    if packer.count:
        yield packer.close(WALL_OFFSET)


def batches(life: Life, every: int = 50, checkpoints_every: int = 0) -> list[Batch]:
    """The same, read again."""
    return [read_batch(data) for data in written(life, every, checkpoints_every)]


def wide_cluster(groups: int = 128, interfaces: int = 2) -> str:
    """A cluster whose groups and watched interfaces are more than 64, each group with interfaces of its own."""
    lines = ["cluster heartbeat-interval 100", "group 0 priorities 200 100"]
    for group in range(1, groups):
        monitors = " ".join(f"monitor g{group}i{number} 255" for number in range(interfaces))
        lines.append(f"group {group} priorities 200 100 {monitors}")
    return "\n".join([*lines, "at 0s start", ""])


def with_another_configuration() -> Cluster:
    """Node 0 after a commit that has not reached node 1 yet: group 1 is gone here, and the digests differ."""
    cluster = core("until 4s\n")
    configuration = cluster.configuration
    groups = tuple(group for group in configuration.groups if group.group == 0)
    cluster.handle(cluster.judged, ConfigurationChanged(replace(configuration, groups=groups, digest=b"another.")))
    cluster.handle(cluster.judged, SocketsDrained(cluster.judged))
    return cluster
