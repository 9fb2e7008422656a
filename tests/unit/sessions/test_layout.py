"""The fast way says exactly what the plain way says."""

import struct

import pytest

from jsrpd.sessions.ctnetlink import (
    CREATE,
    HEADER,
    MARK,
    STATUS,
    TUPLE_MASTER,
    TUPLE_ORIG,
    TUPLE_REPLY,
    ZONE,
    MalformedMessageError,
    attribute,
    ended,
    number_of,
    parts_of,
    relayed,
)
from jsrpd.sessions.layout import Layout, Layouts
from tests.unit.sessions.test_ctnetlink import RECORDED, split, with_part

EVENTS = [(name, event) for name, events in RECORDED.items() for event in events]


def meaning(said: bytes) -> list[tuple[tuple[int, ...], dict[int, bytes]]]:
    """Header without its length, and attributes, of each message: of a repeated attribute the kernel takes the last."""
    return [(HEADER.unpack_from(one)[1:], parts_of(one)) for _, _, one in split(said)]


def variants(event: bytes) -> list[bytes]:
    """The event as it is, with a mark, in a zone, and as an expected connection."""
    parts = parts_of(event)
    found = [event, with_part(event, MARK, b"\0\0\0\7"), with_part(event, ZONE, b"\0\5")]
    if STATUS in parts:
        expected = attribute(STATUS, struct.pack(">I", number_of(parts, STATUS) | 1))
        found.append(with_part(event.replace(parts[STATUS], expected), TUPLE_MASTER, parts[TUPLE_ORIG][4:]))
    return found


@pytest.mark.parametrize(("name", "event"), EVENTS, ids=[f"{name} {n}" for n, (name, _) in enumerate(EVENTS)])
def test_fast_is_plain(name: str, event: bytes) -> None:
    for variant in variants(event):
        layout, parts = Layout(variant), parts_of(variant)
        assert layout.fits(variant)
        assert layout.parts(variant) == parts
        assert meaning(layout.ended(variant)) == meaning(ended(variant, parts))
        if TUPLE_REPLY in parts and "ended" not in name:
            for whole in (True, False):
                assert meaning(layout.relayed(variant, whole=whole)) == meaning(relayed(variant, parts, whole=whole))


def test_layouts_are_told_apart() -> None:
    layouts = Layouts()
    for _ in range(3):
        for _, event in EVENTS:
            for variant in variants(event):
                assert layouts.of(variant).parts(variant) == parts_of(variant)


def test_the_same_length_is_not_the_same_layout() -> None:
    layouts = Layouts()
    event = RECORDED["udp4 none"][0]
    marked, labelled = with_part(event, MARK, b"\0\0\0\7"), with_part(event, ZONE, b"\0\5\0\0")
    assert len(marked) == len(labelled)
    assert layouts.of(marked).parts(marked) == parts_of(marked)
    assert layouts.of(labelled).parts(labelled) == parts_of(labelled)


def test_garbage_is_refused() -> None:
    for garbage in (b"", bytes(19), bytes(24), HEADER.pack(20, 0x100, CREATE, 0, 0) + bytes(4)):
        with pytest.raises(MalformedMessageError):
            Layouts().of(garbage)
