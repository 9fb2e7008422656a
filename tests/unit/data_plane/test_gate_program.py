"""The assembler and the layout of the gate programs. What they do to frames is shown by the kernel, in end_to_end."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.data_plane.gate_program import (
    SLOT_BYTES,
    SLOTS,
    Instruction,
    Label,
    Line,
    address_key,
    assemble,
    child_program,
    mac_key,
    reth_program,
    station_program,
)
from jsrpd.model.roles import MAX_GROUP

EXIT = Instruction(0x95)
JUMP, WIDE_LOAD = 0x05, 0x18
CONDITIONAL = {0x15, 0x25, 0x2D, 0x55}


def decoded(code: bytes) -> list[tuple[int, int, int, int, int]]:
    """(code, destination, source, offset, immediate) of each 8-byte slot."""
    return [(c, r & 15, r >> 4, o, i) for c, r, o, i in struct.iter_unpack("<BBhi", code)]


def test_reth_program_is_the_measured_listing() -> None:
    """The dozen instructions of the kernel facts: clock, slot, deadline, verdicts."""
    assert decoded(reth_program(lease_map=7, group=3)) == [
        (0x18, 6, 2, 0, 7),
        (0, 0, 0, 0, 3 * SLOT_BYTES),
        (0x85, 0, 0, 0, 125),
        (0x79, 2, 6, 0, 0),
        (0x2D, 0, 2, 2, 0),
        (0xB7, 0, 0, 0, -1),
        (0x95, 0, 0, 0, 0),
        (0xB7, 3, 0, 0, 1),
        (0xDB, 6, 3, 8, 0),
        (0xB7, 0, 0, 0, 2),
        (0x95, 0, 0, 0, 0),
    ]


@given(before=st.lists(st.booleans(), max_size=8), between=st.lists(st.booleans(), max_size=8))
def test_jumps_count_wide_loads_as_two(before: list[bool], between: list[bool]) -> None:
    """A jump lands behind everything between it and its label, whichever mixture of short and wide that is."""

    def filler(wide: bool) -> Line:
        return Instruction(WIDE_LOAD, 1, wide=5) if wide else Instruction(0xB7, 1, immediate=5)

    lines: list[Line] = [*map(filler, before), Instruction(JUMP, target="end"), *map(filler, between), Label("end"), EXIT]
    code = decoded(assemble(lines))
    jump = sum(1 + wide for wide in before)
    assert code[jump][0] == JUMP
    assert code[jump + 1 + code[jump][3]][0] == EXIT.code


def test_unknown_label_is_an_error() -> None:
    with pytest.raises(KeyError):
        assemble([Instruction(JUMP, target="nowhere"), EXIT])


@pytest.mark.parametrize("ingress", [True, False])
@pytest.mark.parametrize("program", [child_program, station_program])
def test_jumps_land_on_instructions(program: Callable[..., bytes], ingress: bool) -> None:
    """Forward only (the verifier needs no loop bound), never into the second half of a wide load."""
    code = decoded(program(1, 2, 3, ingress=ingress))
    halves = {place + 1 for place, one in enumerate(code) if one[0] == WIDE_LOAD}
    jumps = [(place, one[3]) for place, one in enumerate(code) if one[0] == JUMP or one[0] in CONDITIONAL]
    assert len(jumps) > 8
    for place, offset in jumps:
        assert offset >= 0
        assert place + 1 + offset < len(code)
        assert place + 1 + offset not in halves


def test_every_group_has_a_slot_and_the_shift_reaches_it() -> None:
    assert SLOTS == MAX_GROUP + 1
    shifts = [one[4] for one in decoded(child_program(1, 2, 3, ingress=True)) if one[0] == 0x67]
    assert [1 << shift for shift in shifts] == [SLOT_BYTES]


def test_keys() -> None:
    """Fixed sizes: MAC padded to 8 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2)."""
    assert mac_key(bytes.fromhex("02005e005301")) == bytes.fromhex("02005e0053010000")
    assert address_key(bytes([192, 0, 2, 1])) == bytes.fromhex("00000000000000000000ffffc0000201")
    assert address_key(bytes(range(16))) == bytes(range(16))
