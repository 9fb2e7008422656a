"""Checkpoints against the core itself: whatever a run did, a copy made anywhere in it goes on exactly like the original."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jsrpd.core import checkpoint
from jsrpd.core.actions import Action
from jsrpd.core.checkpoint import CheckpointError
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import Event, SocketsDrained
from jsrpd.core.redundancy_group import RedundancyGroup
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.time import Instant
from simulator.history import Life
from simulator.swarm import simulate
from tests.unit.core import recorded

CONFIGURATION = ClusterConfiguration(cluster_id=1, node_id=0)


class Copied(Cluster):
    """Becomes a copy of itself after every ``every``-th turn."""

    every = 1
    turns = 0

    def handle(self, now: Instant, event: Event) -> list[Action]:
        actions = super().handle(now, event)
        if isinstance(event, SocketsDrained):
            self.turns += 1
            if self.turns % self.every == 0:
                self.__dict__.update(checkpoint.decode(checkpoint.encode(self)).__dict__)
        return actions


def test_every_attribute_of_the_core_is_in_a_checkpoint() -> None:
    """Who adds one to the core must say here what becomes of it."""
    cluster = Cluster(CONFIGURATION, 5, 1)
    names = set(checkpoint.ClusterState.__struct_fields__)
    assert set(vars(cluster)) - checkpoint.ALWAYS_EMPTY - checkpoint.DERIVED[Cluster] == names - {"spoken_interfaces_up"}
    assert set(vars(cluster.peer)) == set(checkpoint.PeerState.__struct_fields__) - {"interfaces_up"}
    assert set(vars(cluster.sent)) == set(checkpoint.SentState.__struct_fields__)
    group = set(vars(cluster.groups[0])) - checkpoint.DERIVED[RedundancyGroup]
    assert group == set(checkpoint.RedundancyGroupState.__struct_fields__)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 100_000), every=st.integers(1, 40))
def test_copies_behave_like_the_original(seed: int, every: int) -> None:
    """A swarm run whose cores are replaced by copies of themselves all the time leaves the same trace."""
    kind = type("Copied", (Copied,), {"every": every})
    original, copied = simulate(seed), simulate(seed, factory=kind)
    assert copied.digest == original.digest
    assert copied.violations == original.violations


def a_life() -> Life:
    """The longest recorded life of a run."""
    return max(simulate(7, recording=True).history.lives, key=lambda life: len(life.turns))


def test_encoding_is_the_same_after_a_round_trip() -> None:
    life = a_life()
    cluster = Cluster(life.configuration, life.started, life.incarnation, life.adopted)
    for number, (now, event, _, _) in enumerate(life.turns):
        cluster.handle(now, event)
        if isinstance(event, SocketsDrained) and number % 50 == 0:
            for name in checkpoint.ALWAYS_EMPTY:
                assert not getattr(cluster, name)
            data = checkpoint.encode(cluster)
            assert checkpoint.encode(checkpoint.decode(data)) == data


def test_a_copy_shares_nothing_with_its_original() -> None:
    life = a_life()
    cluster = Cluster(life.configuration, life.started, life.incarnation, life.adopted)
    half = len(life.turns) // 2
    for now, event, _, _ in life.turns[:half]:
        cluster.handle(now, event)
    while not isinstance(life.turns[half - 1][1], SocketsDrained):
        cluster.handle(life.turns[half][0], life.turns[half][1])
        half += 1
    before = checkpoint.encode(cluster)
    copy = checkpoint.decode(before)
    for now, event, actions, deadline in life.turns[half:]:
        assert copy.handle(now, event) == actions
        assert copy.deadline() == deadline
    assert checkpoint.encode(cluster) == before


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc1", b"\x91" * 5000, msgspec.msgpack.encode({"configuration": 1})])
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.decode(data)


def test_an_unknown_attribute_is_refused() -> None:
    """A checkpoint of a newer core must not be taken for one of ours."""
    tree = msgspec.msgpack.decode(checkpoint.encode(Cluster(CONFIGURATION, 5, 1)))
    with pytest.raises(CheckpointError):
        checkpoint.decode(msgspec.msgpack.encode(tree | {"witchcraft": 1}))


def test_more_groups_and_interfaces_than_an_integer_of_msgpack_has_bits() -> None:
    core = recorded.core("at 1200ms node1 interface g127i1 down\nuntil 1500ms\n", cluster=recorded.wide_cluster())
    copy = checkpoint.decode(checkpoint.encode(core))
    assert checkpoint.encode(copy) == checkpoint.encode(core)
    assert copy.peer.heartbeat == core.peer.heartbeat
    assert copy.interfaces_up == core.interfaces_up
    assert copy._spoken == core._spoken
    assert copy.interfaces_up.bit_length() > 200
