"""The management connection's bytes: two ends that hold the key understand each other, and nobody else is understood."""

import pytest

from jsrpd.wire import management
from jsrpd.wire.management import GREETING, LENGTH, PIECE_BYTES, BrokenConnectionError, ManagementChannel, frame_length

KEY = bytes(range(32))


def channel(node: int, cluster: int = 7, key: bytes = KEY, random: bytes | None = None) -> ManagementChannel:
    return ManagementChannel(cluster, node, key, random or bytes([node + 1] * 16))


def pair() -> tuple[ManagementChannel, ManagementChannel]:
    one, other = channel(0), channel(1)
    one.greeted(other.greeting())
    other.greeted(one.greeting())
    return one, other


def frames(sender: ManagementChannel, message: bytes) -> list[bytes]:
    """The sealed part of each frame, its length checked."""
    found = []
    for frame in sender.seal(message):
        length, sealed = frame[: LENGTH.size], frame[LENGTH.size :]
        assert frame_length(length) == len(sealed)
        found.append(sealed)
    return found


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5])
def test_a_message_arrives_in_pieces_both_ways(size: int) -> None:
    one, other = pair()
    message = bytes(n % 251 for n in range(size))
    for sender, receiver in ((one, other), (other, one), (one, other)):
        *first, last = frames(sender, message)
        assert [receiver.open(piece) for piece in first] == [None] * len(first)
        assert receiver.open(last) == message


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (channel(1, cluster=8), "wrong cluster-id"),
        (channel(0), "own node-id"),
        (channel(1, key=bytes(32)), "key mismatch"),
    ],
)
def test_who_is_not_the_peer_is_told_apart(other: ManagementChannel, cause: str) -> None:
    with pytest.raises(BrokenConnectionError, match=cause):
        channel(0).greeted(other.greeting())


@pytest.mark.parametrize(("at", "cause"), [(0, "not ours"), (4, "no common version")])
def test_another_protocol_is_refused(at: int, cause: str) -> None:
    greeting = bytearray(channel(1).greeting())
    greeting[at] ^= 0x40
    with pytest.raises(BrokenConnectionError, match=cause):
        channel(0).greeted(bytes(greeting))
    assert len(greeting) == GREETING.size


def test_what_is_changed_repeated_or_out_of_order_does_not_open() -> None:
    one, other = pair()
    first, second = frames(one, b"first"), frames(one, b"second")
    with pytest.raises(BrokenConnectionError, match="not authentic"):
        other.open(second[0])
    with pytest.raises(BrokenConnectionError, match="not authentic"):
        other.open(first[0][:-1] + bytes([first[0][-1] ^ 1]))
    assert other.open(first[0]) == b"first"
    with pytest.raises(BrokenConnectionError, match="not authentic"):
        other.open(first[0])


def test_a_recorded_connection_says_nothing_to_a_later_one() -> None:
    """The same greeting and frames come again; the receiver's own greeting is another now."""
    one, other = pair()
    recorded = frames(one, b"commit")
    later = channel(1, random=b"\x77" * 16)
    later.greeted(one.greeting())
    with pytest.raises(BrokenConnectionError, match="not authentic"):
        later.open(recorded[0])
    assert other.open(recorded[0]) == b"commit"


def test_own_words_do_not_come_back() -> None:
    one, _ = pair()
    said = frames(one, b"mine")
    with pytest.raises(BrokenConnectionError, match="not authentic"):
        one.open(said[0])


def test_a_message_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair()
    monkeypatch.setattr(management, "MAX_MESSAGE_BYTES", PIECE_BYTES)
    first, second, *_ = frames(one, bytes(3 * PIECE_BYTES))
    assert other.open(first) is None
    with pytest.raises(BrokenConnectionError, match="without end"):
        other.open(second)


@pytest.mark.parametrize("length", [0, 16, management.MAX_FRAME_BYTES + 1, 1 << 31])
def test_a_frame_that_nobody_sends(length: int) -> None:
    with pytest.raises(BrokenConnectionError, match="malformed"):
        frame_length(LENGTH.pack(length))
