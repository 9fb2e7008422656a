"""The envelope: what authenticates, what tells keys apart, and the window that takes each sequence once."""

import random

import pytest

from jsrpd.wire.envelope import (
    HEADER,
    TAG_BYTES,
    WINDOW,
    DatagramType,
    DropCause,
    Header,
    ReplayWindow,
    Sealer,
    incarnation_of,
    key_id,
    unpack,
)
from tests.unit.wire.nodes import KEY, OTHER_KEY, start_id


def header(**changes: object) -> Header:
    """A heartbeat's header."""
    fields: dict[str, object] = {
        "version": 1,
        "oldest": 1,
        "newest": 1,
        "type": DatagramType.HEARTBEAT,
        "cluster_id": 258,
        "node_id": 1,
        "path": 4,
        "key_id": key_id(KEY),
        "start_id": start_id("a"),
        "sequence": 5,
    }
    return Header(**(fields | changes))  # type: ignore[arg-type]


def test_header_layout_is_pinned() -> None:
    clear = b"JSRP" + bytes([1, 1, 1, 1]) + b"\x01\x02" + bytes([1, 4]) + key_id(KEY) + start_id("a") + bytes(7) + b"\x05"
    assert header().pack() == clear
    assert unpack(clear + bytes(TAG_BYTES)) == header()


def test_no_header() -> None:
    clear = header().pack()
    assert unpack(clear + bytes(TAG_BYTES - 1)) is DropCause.TOO_SHORT
    assert unpack(b"PRSJ" + clear[4:] + bytes(TAG_BYTES)) is DropCause.BAD_MAGIC


def test_incarnation_is_the_first_half_of_the_start_id() -> None:
    assert incarnation_of(bytes(7) + b"\x01" + b"\xff" * 8) == 1
    assert header().incarnation == incarnation_of(start_id("a"))


def test_key_ids_tell_keys_apart_and_are_no_part_of_the_key() -> None:
    assert len(key_id(KEY)) == 4
    assert key_id(KEY) == key_id(KEY)
    assert key_id(KEY) != key_id(OTHER_KEY)
    assert key_id(KEY) not in KEY


def test_seal_and_open() -> None:
    datagram = Sealer(KEY, start_id("a")).seal(header(), b"payload")
    assert b"payload" not in datagram
    assert Sealer(KEY, start_id("a")).open(header(), datagram) == b"payload"
    assert Sealer(OTHER_KEY, start_id("a")).open(header(), datagram) is None
    assert Sealer(KEY, start_id("b")).open(header(), datagram) is None


def test_one_sequence_on_other_types_and_paths_is_sealed_differently() -> None:
    """The nonce holds type and path: equal payloads give bodies that share nothing but the length."""
    sealer = Sealer(KEY, start_id("a"))
    headers = [header(type=kind, path=path) for kind in DatagramType for path in range(16)]
    bodies = {sealer.seal(one, bytes(32))[HEADER.size : HEADER.size + 32] for one in headers}
    assert len(bodies) == len(headers)


@pytest.mark.parametrize(("key", "life"), [(KEY[:31], start_id("a")), (KEY + b"x", start_id("a")), (KEY, b"short")])
def test_keys_and_start_ids_of_a_wrong_length_are_refused(key: bytes, life: bytes) -> None:
    with pytest.raises(ValueError):
        Sealer(key, life)


def test_window_takes_each_sequence_once() -> None:
    window = ReplayWindow()
    assert [window.take(sequence) for sequence in (1, 1, 3, 2, 2, 3, 4)] == [True, False, True, True, False, False, True]


def test_window_edges() -> None:
    window = ReplayWindow()
    assert window.take(1000)
    assert window.take(1000 - WINDOW + 1)
    assert not window.take(1000 - WINDOW)
    assert window.take(1000 + WINDOW - 1)
    assert not window.take(1000)
    assert window.take(1001)
    assert window.take(2000)
    assert window.take(1999)
    assert window.take((1 << 64) - 1)
    assert not window.take((1 << 64) - 1)


def test_window_takes_nothing_up_to_its_floor() -> None:
    window = ReplayWindow(100)
    assert not any(window.take(sequence) for sequence in range(101))
    assert window.take(102)
    assert window.take(101)
    assert not window.take(100)
    assert not ReplayWindow().take(0)


def test_window_agrees_with_a_set() -> None:
    """Against the plain definition: newer than all, or unseen and less than WINDOW behind."""
    source = random.Random(1)
    window, taken, newest = ReplayWindow(), set[int](), 0
    for _ in range(5000):
        sequence = max(1, newest + source.randint(-WINDOW - 5, 6) + (source.random() < 0.01) * 200)
        expected = sequence > newest or (newest - sequence < WINDOW and sequence not in taken)
        assert window.take(sequence) == expected
        taken.add(sequence)
        newest = max(newest, sequence)
