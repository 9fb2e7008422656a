"""Neighbours as bytes: a round trip, and nothing but the format's own error for anything else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.wire.neighbours import decode_neighbours, encode_neighbours
from jsrpd.wire.session import MalformedSessionError

addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
entries = st.tuples(st.integers(0, 127), addresses, st.binary(min_size=6, max_size=6))


@given(st.lists(entries, max_size=20))
def test_round_trip(some: list[tuple[int, bytes, bytes]]) -> None:
    assert decode_neighbours(encode_neighbours(some)) == some


def test_each_entry_takes_what_it_needs() -> None:
    assert encode_neighbours([(1, bytes(4), bytes(6))]) == b"\x01\x04" + bytes(10)


@pytest.mark.parametrize("cut", [1, 7, 8, 11])
def test_what_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(MalformedSessionError, match="end early"):
        decode_neighbours(encode_neighbours([(1, bytes(4), bytes(6))])[:cut])


def test_an_address_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedSessionError):
        decode_neighbours(b"\x01\x05" + bytes(11))


@given(st.binary(max_size=80))
def test_any_bytes_are_neighbours_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedSessionError):
        assert encode_neighbours(decode_neighbours(data)) == data
