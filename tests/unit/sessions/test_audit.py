"""Digests find the buckets that differ, and only those."""

import random

import pytest

from jsrpd.sessions.audit import BUCKETS, Digests, decode_buckets, encode_buckets, place


def digests(keys: list[bytes]) -> Digests:
    made = Digests()
    for key in keys:
        made.add(key)
    return made


def test_equal_sets_in_any_order_are_equal() -> None:
    keys = [f"flow {n}".encode() for n in range(5000)]
    shuffled = random.Random(1).sample(keys, len(keys))
    assert digests(keys).differing(digests(shuffled)) == frozenset()


@pytest.mark.parametrize("missing", [1, 2, 7])
def test_exactly_the_buckets_of_what_is_missing(missing: int) -> None:
    keys = [f"flow {n}".encode() for n in range(5000)]
    assert digests(keys).differing(digests(keys[missing:])) == {place(key)[0] for key in keys[:missing]}


def test_bytes_and_back() -> None:
    made = digests([b"one", b"two"])
    assert Digests.decode(made.encode()).differing(made) == frozenset()
    for buckets in (None, frozenset(), frozenset({0, 17, BUCKETS - 1})):
        assert decode_buckets(encode_buckets(buckets)) == buckets
    for garbage in (b"x", b"x" * 33):
        with pytest.raises(ValueError, match="not"):
            decode_buckets(garbage)
        with pytest.raises(ValueError, match="not"):
            Digests.decode(garbage)
