"""The journal's format: what is read is what was written, losses show, and anything else is refused."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsrpd.core.actions import Announce, Stop
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import (
    AcknowledgementReceived,
    ArbiterAnswered,
    ConfigurationChanged,
    Event,
    FailoverRequested,
    MonitorFailed,
    SocketsDrained,
    StrangerHeard,
    WatchedInterfacesChanged,
    WitnessGranted,
)
from jsrpd.core.journal import (
    DIGEST_MASK,
    AcknowledgementRepeated,
    CheckpointTaken,
    Commanded,
    HeartbeatHeard,
    HeartbeatRepeated,
    JournalError,
    LifeStarted,
    Packer,
    Told,
    TurnEnded,
    digest,
    read_batch,
    unpack,
)
from jsrpd.core.lease import AdoptedLease
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.roles import FailureCode, GroupState
from simulator.swarm import simulate
from tests.unit.core import recorded

CONFIGURATION = ClusterConfiguration(cluster_id=1, node_id=0)
EVENTFUL = "at 2s node0 interface lan down\nat 3s node0 request failover redundancy-group 0 node 1\nuntil 5s\n"


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 100_000), every=st.integers(1, 300))
def test_what_is_read_is_what_was_written(seed: int, every: int) -> None:
    """Every event of every life of a swarm run, at its instant, whatever the batches."""
    for life in simulate(seed, recording=True).history.lives:
        events: list[tuple[int, Event]] = []
        number = 0
        for batch in recorded.batches(life, every):
            assert (batch.incarnation, batch.first) == (life.incarnation, number)
            events += [(now, event) for now, _, event in unpack(batch) if event is not None]
            number = batch.end
        assert events == [(now, event) for now, event, _, _ in life.turns]


def test_a_turn_keeps_its_messages_and_a_digest_of_all_actions() -> None:
    (life,) = recorded.lives(EVENTFUL)
    cluster = Cluster(life.configuration, life.started, life.incarnation, life.adopted, "0.1.0")
    answers = [(event, cluster.handle(now, event)) for now, event, _, _ in life.turns]
    kept = [record for batch in recorded.batches(life) for record in batch.records if isinstance(record, TurnEnded)]
    for record, (_, actions) in zip(kept, [one for one in answers if isinstance(one[0], SocketsDrained)], strict=True):
        assert record.messages == tuple(action.message for action in actions if hasattr(action, "message"))
        assert record.digest == digest(actions)
    assert any(record.messages for record in kept)


def test_repetitions_are_short() -> None:
    """What a heartbeat repeats is not written again, and each batch can be read without the others."""
    (life,) = recorded.lives("until 5s\n")
    for batch in recorded.batches(life)[5:]:
        kinds = [type(record) for record in batch.records]
        assert kinds.count(HeartbeatHeard) == 1
        assert kinds.count(HeartbeatRepeated) >= 3
        assert kinds.count(AcknowledgementRepeated) >= 3
        list(unpack(batch))


def test_digest() -> None:
    """Kind, order and values count; nothing is 0."""
    several = [[], [Stop()], [Announce(1)], [Announce(2)], [Announce(1), Stop()], [Stop(), Announce(1)], [Announce(1, False)]]
    digests = [digest(list(actions)) for actions in several]  # type: ignore[call-overload]
    assert digests[0] == 0
    assert len(set(digests)) == len(several)
    assert all(0 < one <= DIGEST_MASK for one in digests[1:])


def test_the_other_records() -> None:
    lease = AdoptedLease(1, 99, GroupState.PRIMARY, 3, 50, 60, True)
    packer = Packer(1 << 63)
    packer.start(100, CONFIGURATION, (lease,), "1.2")
    packer.command(107, "root", "failover redundancy-group 1 node 1", False, "node1 is lost")
    events: list[Event] = [
        MonitorFailed(1, FailureCode.IP, "192.0.2.9", 100),
        ConfigurationChanged(CONFIGURATION),
        FailoverRequested(1, 0),
    ]
    for event in events:
        packer.event(110, event, [])
    packer.checkpoint(120, b"state")
    batch = read_batch(packer.close(7))
    assert (batch.incarnation, batch.first, batch.end, batch.began, batch.wall_offset) == (1 << 63, 0, 6, 100, 7)
    read = list(unpack(batch))
    assert read[0][:2] == (100, LifeStarted(0, CONFIGURATION, (lease,), "1.2"))
    command = "failover redundancy-group 1 node 1"
    assert read[1][:2] == (107, Commanded(7, "root", command, False, "node1 is lost"))
    assert [event for _, _, event in read[2:5]] == events
    assert read[5][:2] == (120, CheckpointTaken(10, b"state"))


def test_what_an_operator_will_read_is_marked() -> None:
    packer = Packer(1)
    packer.event(5, SocketsDrained(5), [Announce(1)])
    assert not packer.readable
    packer.event(5, FailoverRequested(1, 0), [])
    assert packer.readable
    packer.close(0)
    assert not packer.readable


def test_dropped_records_leave_their_numbers() -> None:
    packer = Packer(1)
    for _ in range(3):
        packer.event(5, SocketsDrained(5), [])
    assert packer.drop() == 3
    assert packer.size == packer.count == 0
    packer.event(9, SocketsDrained(9), [])
    batch = read_batch(packer.close(0))
    assert (batch.first, batch.began) == (3, 9)


@pytest.mark.parametrize("data", [b"", b"\x95", b"\xc1", b"\x90", b"\x91" * 4000])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(JournalError):
        read_batch(data)


REPEATED_NOTHING = [HeartbeatRepeated(0, 0, 1, 0, 0), AcknowledgementRepeated(0, 0, 0, 0)]
UNKNOWN = [Told(0, "Exploded", msgspec.Raw(b"\x80")), Told(0, "FailoverReset", msgspec.Raw(b"\x80"))]


@pytest.mark.parametrize("record", [*REPEATED_NOTHING, *UNKNOWN])
def test_records_that_say_nothing_are_refused(record: HeartbeatRepeated | AcknowledgementRepeated | Told) -> None:
    batch = read_batch(msgspec.msgpack.encode([1, 0, 0, 0, [record]]))
    with pytest.raises(JournalError):
        list(unpack(batch))


def test_every_event_of_the_core_can_be_kept() -> None:
    """Who adds an event must say how it is written."""
    (life,) = recorded.lives("at 1s node0 monitor 1 IP x failed 5\nat 2s node0 monitor 1 IP x recovered\nuntil 3s\n")
    samples: dict[type[Event], Event] = {type(event): event for _, event, _, _ in life.turns}
    for kind in get_args(Event):
        if kind not in samples:
            fields = {
                name: {"configuration": CONFIGURATION, "up": True, "on": True}.get(name, 1) for name in kind.__struct_fields__
            }
            samples[kind] = kind(**fields)
    packer = Packer(1)
    for event in samples.values():
        packer.event(1, event, [])
    assert [event for _, _, event in unpack(read_batch(packer.close(0)))] == list(samples.values())


def test_more_groups_and_interfaces_than_an_integer_of_msgpack_has_bits() -> None:
    """Bitmaps of 128 groups and 254 interfaces, in heartbeats, acknowledgements, events and the digest."""
    wide = recorded.wide_cluster()
    (life,) = recorded.lives("at 1200ms node0 interface g127i1 down\nuntil 1500ms\n", cluster=wide)
    events = [event for batch in recorded.batches(life) for _, _, event in unpack(batch) if event is not None]
    assert events == [event for _, event, _, _ in life.turns]
    assert max(event.up for event in events if isinstance(event, WatchedInterfacesChanged)).bit_length() > 200
    (standby,) = recorded.lives("until 1500ms\n", 1, cluster=wide)
    told = [event for batch in recorded.batches(standby) for _, _, event in unpack(batch) if event is not None]
    assert told == [event for _, event, _, _ in standby.turns]
    assert max(e.acknowledgement.primary_groups for e in told if isinstance(e, AcknowledgementReceived)).bit_length() == 128


def test_who_is_not_admitted_may_lead_any_group() -> None:
    """Its bitmap has 128 bits like that of an acknowledgement; an engine that cannot write it down must not end by it."""
    strangers = [StrangerHeard(0, 7, 5, groups, 3, 500) for groups in (0, (1 << 63) - 1, 1 << 63, 1 << 127 | 1, (1 << 128) - 1)]
    packer = Packer(1)
    for event in strangers:
        packer.event(1, event, [])
    assert [event for _, _, event in unpack(read_batch(packer.close(0)))] == strangers


def test_answers_of_an_arbiter_are_told_in_few_bytes() -> None:
    """They come many times a second, and wake nobody."""
    packer = Packer(1)
    packer.event(1000, ArbiterAnswered(400), [])
    assert not packer.readable
    assert packer.size < 16
    packer.event(2000, WitnessGranted(9000), [])
    told = [(now, event) for now, _, event in unpack(read_batch(packer.close(0)))]
    assert told == [(1000, ArbiterAnswered(400)), (2000, WitnessGranted(9000))]
