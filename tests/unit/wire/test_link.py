"""The link: whose word counts, what is dropped and why, and that no recording ever counts."""

from dataclasses import replace

import pytest

from jsrpd.model.link_messages import Acknowledgement
from jsrpd.wire.envelope import HEADER, DatagramType, DropCause, Header, Sealer, key_id, unpack
from jsrpd.wire.heartbeat import encode_heartbeat
from jsrpd.wire.link import (
    MAX_CANDIDATES,
    AcknowledgementHeard,
    Admitted,
    Answer,
    Dropped,
    HeartbeatHeard,
    Link,
    Received,
    Unadmitted,
)
from tests.unit.wire.nodes import KEY, OTHER_KEY, admit, heartbeat, make_link, start_id

ACKNOWLEDGEMENT = Acknowledgement(3, 4, 0b1001)


def header_of(datagram: bytes) -> Header:
    """The clear header of a whole datagram."""
    header = unpack(datagram)
    assert isinstance(header, Header)
    return header


def forged(datagram: bytes, **changes: object) -> bytes:
    """The same body under a changed clear header, as someone without the key can make it."""
    return replace(header_of(datagram), **changes).pack() + datagram[HEADER.size :]  # type: ignore[arg-type]


def sealed(life: str, payload: bytes, **changes: object) -> bytes:
    """A datagram of node 1 with any body and header, sealed with the right key."""
    fields: dict[str, object] = {
        "version": 1,
        "oldest": 1,
        "newest": 1,
        "type": DatagramType.HEARTBEAT,
        "cluster_id": 1,
        "node_id": 1,
        "path": 0,
        "key_id": key_id(KEY),
        "start_id": start_id(life),
        "sequence": 1000,
    }
    return Sealer(KEY, start_id(life)).seal(Header(**(fields | changes)), payload)  # type: ignore[arg-type]


def answer(received: Received) -> bytes:
    """The datagram of an answer."""
    assert isinstance(received, Answer)
    return received.datagram


def joined() -> tuple[Link, Link]:
    """Two nodes that have admitted each other; each has sent heartbeat 1 on path 0."""
    a, b = make_link(0, "a"), make_link(1, "b")
    admit(a, b)
    admit(b, a)
    return a, b


# -- hearing the peer -----------------------------------------------------------------------------------------------


def test_heartbeats_and_acknowledgements_are_heard() -> None:
    a, b = joined()
    assert a.receive(0, b.heartbeat(0, 2, heartbeat())) == HeartbeatHeard(b.incarnation, 2, heartbeat())
    assert a.receive(0, b.acknowledgement(0, ACKNOWLEDGEMENT)) == AcknowledgementHeard(b.incarnation, ACKNOWLEDGEMENT)
    assert b.receive(0, a.heartbeat(0, 2, heartbeat())) == HeartbeatHeard(a.incarnation, 2, heartbeat())


def test_one_sequence_is_heard_once_on_each_path() -> None:
    a, b = joined()
    for path in (0, 1, 4, 8):
        datagram = b.heartbeat(path, 2, heartbeat())
        assert a.receive(path, datagram) == HeartbeatHeard(b.incarnation, 2, heartbeat())
        assert a.receive(path, datagram) == Dropped(DropCause.REPLAYED)


def test_each_heartbeat_is_heard_as_it_was_said() -> None:
    """One value over several paths, then another value over the same."""
    a, b = joined()
    for sequence, said in enumerate([heartbeat(), heartbeat(echo_sequence=5), heartbeat()], start=2):
        for path in (0, 1):
            assert a.receive(path, b.heartbeat(path, sequence, said)) == HeartbeatHeard(b.incarnation, sequence, said)


def test_reordering_inside_the_window_is_heard_and_outside_it_is_not() -> None:
    a, b = joined()
    datagrams = {sequence: b.heartbeat(0, sequence, heartbeat()) for sequence in range(2, 102)}
    assert isinstance(a.receive(0, datagrams[100]), HeartbeatHeard)
    assert isinstance(a.receive(0, datagrams[37]), HeartbeatHeard)
    assert a.receive(0, datagrams[36]) == Dropped(DropCause.REPLAYED)
    assert isinstance(a.receive(0, datagrams[101]), HeartbeatHeard)
    assert a.receive(0, datagrams[37]) == Dropped(DropCause.REPLAYED)


def test_replayed_acknowledgements_are_dropped() -> None:
    a, b = joined()
    datagram = b.acknowledgement(0, ACKNOWLEDGEMENT)
    assert isinstance(a.receive(0, datagram), AcknowledgementHeard)
    assert a.receive(0, datagram) == Dropped(DropCause.REPLAYED)


def test_a_forged_sequence_does_not_move_the_window() -> None:
    a, b = joined()
    datagram = b.heartbeat(0, 2, heartbeat())
    assert a.receive(0, forged(datagram, sequence=(1 << 64) - 1)) == Dropped(DropCause.NOT_AUTHENTIC)
    assert isinstance(a.receive(0, datagram), HeartbeatHeard)


# -- every cause ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"cluster_id": 2}, DropCause.WRONG_CLUSTER),
        ({"node_id": 0}, DropCause.OWN_NODE),
        ({"key_id": b"else"}, DropCause.KEY_MISMATCH),
        ({"oldest": 2, "newest": 3, "version": 2}, DropCause.NO_COMMON_VERSION),
        ({"oldest": 0, "newest": 0, "version": 0}, DropCause.NO_COMMON_VERSION),
        ({"newest": 2, "version": 2}, DropCause.NO_COMMON_VERSION),
        ({"oldest": 0, "version": 0}, DropCause.NO_COMMON_VERSION),
        ({"path": 1}, DropCause.WRONG_PATH),
        ({"sequence": 3}, DropCause.NOT_AUTHENTIC),
        ({"type": DatagramType.ACKNOWLEDGEMENT}, DropCause.NOT_AUTHENTIC),
        ({"start_id": start_id("nobody")}, DropCause.NOT_AUTHENTIC),
        ({"newest": 2}, DropCause.NOT_AUTHENTIC),
    ],
)
def test_a_changed_header_is_dropped_by_its_cause(changes: dict[str, object], cause: DropCause) -> None:
    """One changed field each; the unchanged datagram is heard afterwards."""
    a, b = joined()
    datagram = b.heartbeat(0, 2, heartbeat())
    assert a.receive(0, forged(datagram, **changes)) == Dropped(cause)
    assert a.drops == dict.fromkeys(DropCause, 0) | {cause: 1}
    assert isinstance(a.receive(0, datagram), HeartbeatHeard)


def test_too_short_and_bad_magic() -> None:
    a, b = joined()
    datagram = b.heartbeat(0, 2, heartbeat())
    assert a.receive(0, b"") == Dropped(DropCause.TOO_SHORT)
    assert a.receive(0, datagram[:55]) == Dropped(DropCause.TOO_SHORT)
    assert a.receive(0, b"XSRP" + datagram[4:]) == Dropped(DropCause.BAD_MAGIC)


def test_malformed_bodies_of_the_peer_are_dropped() -> None:
    a, _ = joined()
    for sequence, (kind, body) in enumerate(
        [
            (DatagramType.HEARTBEAT, b""),
            (DatagramType.HEARTBEAT, encode_heartbeat(heartbeat())[:-1]),
            (DatagramType.ACKNOWLEDGEMENT, bytes(32)),
            (DatagramType.CHALLENGE, bytes(31)),
            (99, b"a type of the future"),
        ],
        start=1000,
    ):
        assert a.receive(0, sealed("b", body, type=kind, sequence=sequence)) == Dropped(DropCause.MALFORMED)


def test_own_packets_reflected() -> None:
    a, _ = joined()
    assert a.receive(0, a.heartbeat(0, 2, heartbeat())) == Dropped(DropCause.OWN_NODE)


def test_another_key_is_a_visible_state_of_the_path_until_the_peer_is_heard() -> None:
    a, b = joined()
    stranger = make_link(1, "b2", key=OTHER_KEY)
    assert a.receive(0, stranger.heartbeat(0, 1, heartbeat())) == Dropped(DropCause.KEY_MISMATCH)
    assert a.path_conditions == {0: DropCause.KEY_MISMATCH}
    assert isinstance(a.receive(1, b.heartbeat(1, 2, heartbeat())), HeartbeatHeard)
    assert a.path_conditions == {0: DropCause.KEY_MISMATCH}
    assert isinstance(a.receive(0, b.heartbeat(0, 2, heartbeat())), HeartbeatHeard)
    assert a.path_conditions == {}


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (make_link(1, "b", cluster=2), DropCause.WRONG_CLUSTER),
        (make_link(1, "b", versions=(2, 3)), DropCause.NO_COMMON_VERSION),
    ],
)
def test_other_clusters_and_releases_are_visible_too(other: Link, cause: DropCause) -> None:
    a = make_link(0, "a")
    assert a.receive(2, other.heartbeat(2, 1, heartbeat())) == Dropped(cause)
    assert a.receive(2, b"noise") == Dropped(DropCause.TOO_SHORT)
    assert a.path_conditions == {2: cause}


def test_the_right_key_id_without_the_key_stays_invisible() -> None:
    """Anybody can write a key id; without the key nothing is answered and nothing remembered."""
    a = make_link(0, "a")
    stranger = make_link(1, "b", key=OTHER_KEY)
    for sequence in range(1, 20):
        datagram = forged(stranger.heartbeat(0, sequence, heartbeat()), key_id=key_id(KEY))
        assert a.receive(0, datagram) == Dropped(DropCause.NOT_AUTHENTIC)
    assert not a._candidates


# -- admission ------------------------------------------------------------------------------------------------------


def test_first_contact_is_challenged_and_then_heard() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    challenge = answer(a.receive(0, b.heartbeat(0, 1, heartbeat())))
    response = answer(b.receive(0, challenge))
    assert a.receive(0, response) == Admitted(b.incarnation)
    assert isinstance(a.receive(0, b.heartbeat(0, 2, heartbeat())), HeartbeatHeard)


def test_acknowledgements_of_an_unknown_life_are_challenged_too() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    assert header_of(answer(a.receive(0, b.acknowledgement(0, ACKNOWLEDGEMENT)))).type == DatagramType.CHALLENGE


def test_a_candidate_is_challenged_again_with_each_new_heartbeat() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    received = [a.receive(0, b.heartbeat(0, sequence, heartbeat())) for sequence in range(1, 13)]
    assert all(isinstance(one, Answer) for one in received)
    assert a.receive(0, answer(b.receive(0, answer(received[7])))) == Admitted(b.incarnation)


def test_what_is_played_back_is_challenged_with_every_fourth_datagram_only() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    recording = b.heartbeat(0, 1, heartbeat())
    received = [a.receive(0, recording) for _ in range(12)]
    assert [number for number, one in enumerate(received, start=1) if isinstance(one, Answer)] == [1, 4, 8, 12]
    assert received[1] == Dropped(DropCause.NOT_ADMITTED)
    assert a.drops[DropCause.NOT_ADMITTED] == 8


def test_a_second_answer_to_a_repeated_challenge_is_no_forgery() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    first, *_, fourth = [a.receive(0, b.heartbeat(0, sequence, heartbeat())) for sequence in range(1, 5)]
    responses = [answer(b.receive(0, answer(challenge))) for challenge in (first, fourth)]
    assert a.receive(0, responses[0]) == Admitted(b.incarnation)
    assert a.receive(0, responses[1]) == Admitted(b.incarnation)
    assert not any(a.drops.values())
    assert a.receive(0, responses[1]) == Dropped(DropCause.REPLAYED), "the same once more"


def test_a_challenge_is_answered_before_the_challenger_is_admitted_and_only_once() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    challenge = answer(a.receive(0, b.heartbeat(0, 1, heartbeat())))
    assert header_of(answer(b.receive(0, challenge))).type == DatagramType.RESPONSE
    assert b.receive(0, challenge) == Dropped(DropCause.REPLAYED)
    # Asking admits nobody: the challenger's own word does not count yet.
    assert isinstance(b.receive(0, a.heartbeat(0, 1, heartbeat())), Answer)


def test_the_admitted_peer_is_answered_too() -> None:
    """It may have restarted its view of us while we kept ours of it."""
    a, b = make_link(0, "a"), make_link(1, "b")
    admit(b, a)
    challenge = answer(a.receive(0, b.heartbeat(0, 1, heartbeat())))
    assert a.receive(0, answer(b.receive(0, challenge))) == Admitted(b.incarnation)
    assert b.receive(0, challenge) == Dropped(DropCause.REPLAYED)


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(bytes(16) + start_id("a") + bytes(16), id="wrong nonce"),
        pytest.param(b"", id="no proof"),
        pytest.param(bytes(47), id="one byte short"),
    ],
)
def test_a_wrong_response_admits_nobody(proof: bytes) -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    challenge = answer(a.receive(0, b.heartbeat(0, 1, heartbeat())))
    response = sealed("b", proof, type=DatagramType.RESPONSE)
    assert a.receive(0, response) == Dropped(DropCause.FORGED_RESPONSE)
    assert header_of(answer(a.receive(0, b.heartbeat(0, 2, heartbeat())))).type == DatagramType.CHALLENGE
    assert a.receive(0, answer(b.receive(0, challenge))) == Admitted(b.incarnation)


def test_a_response_nobody_asked_for_admits_nobody() -> None:
    """An empty challenge must not be answered by zeros."""
    a = make_link(0, "a")
    for nonce in (b"", bytes(16)):
        response = sealed("b", nonce + start_id("a") + bytes(16), type=DatagramType.RESPONSE)
        assert a.receive(0, response) == Dropped(DropCause.FORGED_RESPONSE)


def test_a_response_meant_for_another_life_of_ours_admits_nobody() -> None:
    """Same nonce, but the proof names the asker: it cannot be carried over."""
    a, b = make_link(0, "a"), make_link(1, "b")
    answer(a.receive(0, b.heartbeat(0, 1, heartbeat())))
    nonce = a._candidates[start_id("b")].challenge
    proof = sealed("b", nonce + start_id("older a") + bytes(16), type=DatagramType.RESPONSE)
    assert a.receive(0, proof) == Dropped(DropCause.FORGED_RESPONSE)


def test_a_challenge_meant_for_another_life_is_not_answered() -> None:
    """Otherwise a living node would prove the life of a dead one."""
    a, old_b, b = make_link(0, "a"), make_link(1, "old b"), make_link(1, "b")
    challenge = answer(a.receive(0, old_b.heartbeat(0, 1, heartbeat())))
    assert b.receive(0, challenge) == Dropped(DropCause.REPLAYED)


def test_candidates_are_bounded_and_the_newest_are_kept() -> None:
    a = make_link(0, "a")
    for number in range(20):
        assert isinstance(a.receive(0, make_link(1, f"b{number}").heartbeat(0, 1, heartbeat())), Answer)
        assert len(a._candidates) <= MAX_CANDIDATES
    assert list(a._candidates) == [start_id(f"b{number}") for number in range(16, 20)]


def test_what_a_life_says_before_it_is_admitted_is_told_once() -> None:
    """Its word does not count, but that somebody with the key speaks is known; each sequence by the first path that brought it."""
    a, b = make_link(0, "a"), make_link(1, "b")
    a.receive(0, b.heartbeat(0, 5, heartbeat()))
    assert a.unadmitted == Unadmitted(b.incarnation, heartbeat())
    a.receive(4, b.heartbeat(4, 5, heartbeat()))
    assert a.unadmitted is None
    a.receive(0, b.acknowledgement(0, ACKNOWLEDGEMENT))
    assert a.unadmitted is None
    a.receive(0, b.heartbeat(0, 6, heartbeat()))
    assert a.unadmitted is not None
    a.receive(0, sealed("b", b"", sequence=7))
    assert a.unadmitted is None
    a.receive(0, sealed("b", b"", sequence=9, key_id=key_id(OTHER_KEY)))
    assert a.unadmitted is None


def test_a_life_that_another_has_replaced_is_no_stranger() -> None:
    """The admitted one neither."""
    a, b = joined()
    reborn = make_link(1, "b reborn")
    admit(a, reborn)
    a.receive(0, b.heartbeat(0, 2, heartbeat()))
    assert a.unadmitted is None
    a.receive(0, reborn.heartbeat(0, 2, heartbeat()))
    assert a.unadmitted is None


# -- restarts and recordings ----------------------------------------------------------------------------------------


def test_a_restarted_peer_replaces_its_former_life() -> None:
    """Nothing on disk is needed: a start id is new at each start (a lost boot counter does not matter)."""
    a, b = joined()
    reborn = make_link(1, "b reborn")
    admit(a, reborn)
    assert a.receive(0, reborn.heartbeat(0, 2, heartbeat())) == HeartbeatHeard(reborn.incarnation, 2, heartbeat())
    assert isinstance(a.receive(0, b.heartbeat(0, 2, heartbeat())), Answer)


def test_a_recorded_life_never_replaces_the_living_one() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    recording = [b.heartbeat(0, 1, heartbeat())]
    recording.append(answer(b.receive(0, answer(a.receive(0, recording[0])))))
    assert a.receive(0, recording[1]) == Admitted(b.incarnation)
    recording += [b.heartbeat(0, sequence, heartbeat()) for sequence in range(2, 50)]
    recording += [b.acknowledgement(0, ACKNOWLEDGEMENT) for _ in range(20)]
    reborn = make_link(1, "b reborn")
    admit(a, reborn)
    for datagram in recording * 2:
        assert isinstance(a.receive(0, datagram), Answer | Dropped)
        if isinstance(challenge := a.receive(0, datagram), Answer):
            assert isinstance(reborn.receive(0, challenge.datagram), Dropped)
    assert isinstance(a.receive(0, reborn.heartbeat(0, 2, heartbeat())), HeartbeatHeard)


def test_a_recorded_session_is_not_admitted_after_our_restart() -> None:
    a, b = make_link(0, "a"), make_link(1, "b")
    recording = [b.heartbeat(0, 1, heartbeat())]
    recording.append(answer(b.receive(0, answer(a.receive(0, recording[0])))))
    recording += [b.heartbeat(0, sequence, heartbeat()) for sequence in range(2, 50)]
    reborn = make_link(0, "a reborn")
    for datagram in recording * 3:
        assert isinstance(reborn.receive(0, datagram), Answer | Dropped)
    assert reborn.drops[DropCause.FORGED_RESPONSE] == 3


def test_a_late_answer_of_a_former_life_does_not_replace_the_living_one() -> None:
    """Both were challenged; the first answer that comes makes the other challenge void."""
    a, b, reborn = make_link(0, "a"), make_link(1, "b"), make_link(1, "b reborn")
    late = answer(b.receive(0, answer(a.receive(0, b.heartbeat(0, 1, heartbeat())))))
    admit(a, reborn)
    assert a.receive(0, late) == Dropped(DropCause.FORGED_RESPONSE)
    assert isinstance(a.receive(0, reborn.heartbeat(0, 2, heartbeat())), HeartbeatHeard)


def test_what_a_living_peer_said_before_it_was_admitted_is_never_heard() -> None:
    """After our restart its former words could be played back on a path where it is not heard, and outlive it."""
    _, b = joined()
    recorded = [b.heartbeat(path, sequence, heartbeat()) for path in (0, 1) for sequence in range(2, 200)]
    recorded_acknowledgements = [b.acknowledgement(path, ACKNOWLEDGEMENT) for path in (0, 1) for _ in range(100)]
    reborn = make_link(0, "a reborn")
    admit(reborn, b, sequence=200)
    for datagram in recorded + recorded_acknowledgements:
        assert reborn.receive(header_of(datagram).path, datagram) == Dropped(DropCause.REPLAYED)
    assert isinstance(reborn.receive(1, b.heartbeat(1, 201, heartbeat())), HeartbeatHeard)
    assert isinstance(reborn.receive(1, b.acknowledgement(1, ACKNOWLEDGEMENT)), AcknowledgementHeard)


# -- versions -------------------------------------------------------------------------------------------------------


def test_an_older_and_a_newer_release_meet_in_the_common_version() -> None:
    """From first contact on, in both directions, though the newer one speaks its newest before it has heard the other."""
    old, new = make_link(0, "a", versions=(1, 1)), make_link(1, "b", versions=(1, 2))
    assert old.receive(0, new.heartbeat(0, 1, heartbeat())) == Dropped(DropCause.NO_COMMON_VERSION)
    admit(new, old)
    admit(old, new, sequence=2)
    assert old.path_conditions == {}
    datagram = new.heartbeat(0, 3, heartbeat())
    assert header_of(datagram).version == 1
    assert isinstance(old.receive(0, datagram), HeartbeatHeard)
    assert isinstance(new.receive(0, old.heartbeat(0, 2, heartbeat())), HeartbeatHeard)


def test_a_peer_that_returns_with_another_release_is_met_in_its_version() -> None:
    """Upgrade and downgrade of one node move the version both ways."""
    a = make_link(0, "a", versions=(1, 2))
    for number, versions in enumerate([(1, 2), (1, 1), (2, 3)]):
        peer = make_link(1, f"b{number}", versions=versions)
        challenge = answer(a.receive(0, sealed_heartbeat(peer, versions)))
        assert a.receive(0, answer(peer.receive(0, challenge))) == Admitted(peer.incarnation)
        assert header_of(a.heartbeat(0, number + 1, heartbeat())).version == min(2, versions[1])


def sealed_heartbeat(peer: Link, versions: tuple[int, int]) -> bytes:
    """A heartbeat of a life of node 1 in a version that node 0, speaking 1 and 2, can read."""
    life = peer._start_id
    header = Header(min(2, versions[1]), *versions, DatagramType.HEARTBEAT, 1, 1, 0, key_id(KEY), life, 1)
    return Sealer(KEY, life).seal(header, encode_heartbeat(heartbeat()))


def test_a_recording_of_an_older_release_does_not_change_what_we_speak_to_the_peer() -> None:
    a, former, peer = (make_link(n, life, versions=v) for n, life, v in [(0, "a", (1, 2)), (1, "f", (1, 1)), (1, "b", (2, 2))])
    recorded = former.heartbeat(0, 1, heartbeat())
    admit(a, peer)
    assert header_of(answer(a.receive(0, recorded))).version == 1
    assert header_of(a.heartbeat(0, 1, heartbeat())).version == 2


# -- nonces ---------------------------------------------------------------------------------------------------------


def test_no_nonce_repeats_in_one_life() -> None:
    """Everything a link can be made to say, over several paths and lives of the peer."""
    a = make_link(0, "a")
    said = [a.heartbeat(path, sequence, heartbeat()) for sequence in range(1, 40) for path in (0, 1, 4, 8)]
    said += [a.acknowledgement(path, ACKNOWLEDGEMENT) for _ in range(40) for path in (0, 1, 4, 8)]
    for number in range(10):
        # Two lives of the peer at once, one on each path: challenges of ours, and our answers to theirs.
        for path in (0, 1):
            peer = make_link(1, f"b{number} {path}")
            received = [a.receive(path, peer.heartbeat(path, sequence, heartbeat())) for sequence in range(1, 9)]
            said += [one.datagram for one in received if isinstance(one, Answer)]
            said.append(a.heartbeat(path, 50 + number, heartbeat()))
            said.append(answer(a.receive(path, answer(peer.receive(path, said[-1])))))
    nonces = [(header.start_id, header.type, header.path, header.sequence) for header in map(header_of, said)]
    assert {kind for _, kind, _, _ in nonces} == set(DatagramType)
    assert len(set(nonces)) == len(nonces) > 300


@pytest.mark.parametrize("sequence", [0, 4, 5])
def test_a_heartbeat_sequence_that_does_not_grow_on_its_path_is_refused(sequence: int) -> None:
    a = make_link(0, "a")
    a.heartbeat(0, 5, heartbeat())
    with pytest.raises(ValueError):
        a.heartbeat(0, sequence, heartbeat())
    assert header_of(a.heartbeat(1, 5, heartbeat())).sequence == 5


def test_incarnations_follow_start_ids() -> None:
    assert make_link(0, "a").incarnation == int.from_bytes(start_id("a")[:8])


def test_another_cluster_on_the_cable_is_a_state_of_the_path() -> None:
    """Seen only while searching a silent path; whatever else is overheard says nothing, and our own cluster is no stranger."""
    listener, stranger, peer = make_link(0, "a"), make_link(1, "s", cluster=9), make_link(1, "b")
    for datagram in (b"", b"JSRP", peer.heartbeat(0, 1, heartbeat())):
        listener.overhear(0, datagram)
    assert (listener.path_conditions, sum(listener.drops.values())) == ({}, 0)
    listener.overhear(0, stranger.heartbeat(0, 1, heartbeat()))
    assert listener.path_conditions == {0: DropCause.WRONG_CLUSTER}
    assert listener.drops[DropCause.WRONG_CLUSTER] == 1
    admit(listener, peer, sequence=2)
    assert listener.path_conditions == {}
