"""What our kernel need not even hand over: a classic BPF program for the socket that hears of connections. Pure bytes.

It leaves out what we caused ourselves, what the operator's filter holds back, connections that are not picked up yet, and
the steps in which TCP takes leave: the peer learns of its end (TIME_WAIT or CLOSE), and until then goes on with it. An
attribute it does not find means that the event comes through; Python has the last word.
"""

import ipaddress
import struct
from collections.abc import Iterable

from jsrpd.model.configuration import SessionFilter
from jsrpd.sessions.ctnetlink import (
    ASSURED,
    DST_PORT,
    NEW,
    PREFIX,
    PROTO_NUM,
    PROTOINFO,
    PROTOINFO_TCP,
    STATUS,
    TCP_STATE,
    TUPLE_IP,
    TUPLE_ORIG,
    TUPLE_PROTO,
    V4_DST,
    V4_SRC,
    V6_DST,
    V6_SRC,
)

LOAD_WORD, LOAD_BYTE = 0x20, 0x30
WORD_AT_X, HALF_AT_X, BYTE_AT_X = 0x40, 0x48, 0x50
LOAD_NUMBER, X_NUMBER, STORE, LOAD_STORED, X_FROM_A = 0x00, 0x01, 0x02, 0x60, 0x07
AND, JUMP, JUMP_EQUAL, JUMP_SET, RETURN = 0x54, 0x05, 0x15, 0x45, 0x06
FIND, FIND_IN_NEST = 0xFFFFF000 + 12, 0xFFFFF000 + 16
"""SKF_AD_NLATTR and SKF_AD_NLATTR_NEST: from offset A, or inside the attribute at A, the one of type X; A is its offset or 0."""
PASS, DROP = 0xFFFFFFFF, 0
PORT_ID_AT, TYPE_AT = 12, 4
VALUE = 4
"""Behind an attribute's header."""
ORIGINAL, PROTOCOL_PART, PROTOCOL, ADDRESSES, ADDRESS = range(5)
"""Where the program keeps what it has found: offsets, and a number."""
TAKING_LEAVE = (4, 5, 6)
"""TCP's states FIN_WAIT, CLOSE_WAIT, LAST_ACK."""
MOST_INSTRUCTIONS = 4096
INSTRUCTION = struct.Struct("=HBBI")

Code = list[tuple[int, int, int, int]]


def event_filter(port_id: int, wanted: SessionFilter) -> tuple[bytes, bool]:
    """The program, and whether it holds back everything that ``wanted`` does; of a filter that is too long only the first is
    done here. ``port_id``: whose doing is left out."""
    own: Code = [(LOAD_WORD, 0, 0, PORT_ID_AT), *_drop_if(int.from_bytes(struct.pack("=I", port_id)))]
    rest = _filtered(wanted) + _unless_taking_leave() + [(RETURN, 0, 0, PASS)]
    whole = own + rest
    if len(whole) > MOST_INSTRUCTIONS:
        return _bytes(own + _unless_taking_leave() + [(RETURN, 0, 0, PASS)]), False
    return _bytes(whole), True


def _bytes(code: Code) -> bytes:
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)


def _drop_if(number: int) -> Code:
    """A is this number."""
    return [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, DROP)]


def _found(where: Code, kind: int, then: Code, *, nested: bool = True) -> Code:
    """``then`` with the attribute's offset in A and X, if it is there. ``where``: leads to what it is in."""
    inner = [(X_FROM_A, 0, 0, 0), *then]
    skip = [(JUMP_EQUAL, 0, 1, 0), (JUMP, 0, 0, len(inner))]
    return [*where, (X_NUMBER, 0, 0, kind), (LOAD_WORD, 0, 0, FIND_IN_NEST if nested else FIND), *skip, *inner]


def _top(kind: int, then: Code) -> Code:
    return _found([(LOAD_NUMBER, 0, 0, PREFIX)], kind, then, nested=False)


def _stored(place: int) -> Code:
    return [(LOAD_STORED, 0, 0, place)]


def _filtered(wanted: SessionFilter) -> Code:
    if wanted == SessionFilter():
        return []
    protocol: Code = [(BYTE_AT_X, 0, 0, VALUE), (STORE, 0, 0, PROTOCOL), *_only(wanted.protocols)]
    code = _found(_stored(PROTOCOL_PART), PROTO_NUM, [*protocol, *_only_assured(wanted.assured_protocols)])
    if wanted.except_ports:
        ports = [instruction for port in wanted.except_ports for instruction in _drop_if(port)]
        code += _found(_stored(PROTOCOL_PART), DST_PORT, [(HALF_AT_X, 0, 0, VALUE), *ports])
    code = _found(_stored(ORIGINAL), TUPLE_PROTO, [(STORE, 0, 0, PROTOCOL_PART), *code])
    if wanted.except_prefixes:
        code += _found(_stored(ORIGINAL), TUPLE_IP, [(STORE, 0, 0, ADDRESSES), *_except(wanted)])
    return _top(TUPLE_ORIG, [(STORE, 0, 0, ORIGINAL), *code])


def _only(protocols: tuple[int, ...]) -> Code:
    """A is one of these; none given: whatever."""
    if not protocols:
        return []
    last = len(protocols) - 1
    code: Code = [(JUMP_EQUAL, last - place + 1, 0, number) for place, number in enumerate(protocols)]
    return [*code, (RETURN, 0, 0, DROP)]


def _only_assured(protocols: tuple[int, ...]) -> Code:
    """Of these protocols what both sides have spoken in, as the kernel judges it."""
    if not protocols:
        return []
    look = _top(STATUS, [(WORD_AT_X, 0, 0, VALUE), (JUMP_SET, 1, 0, ASSURED), (RETURN, 0, 0, DROP)])
    last = len(protocols) - 1
    any_of: Code = [(JUMP_EQUAL, last - place + 1, 0, number) for place, number in enumerate(protocols)]
    return [*_stored(PROTOCOL), *any_of, (JUMP, 0, 0, len(look)), *look]


def _except(wanted: SessionFilter) -> Code:
    networks = [ipaddress.ip_network(f"{one.address}/{one.prefix_length}", strict=False) for one in wanted.except_prefixes]
    code: Code = []
    for version, kinds in ((4, (V4_SRC, V4_DST)), (6, (V6_SRC, V6_DST))):
        of_family = [one for one in networks if one.version == version]
        for kind in kinds if of_family else ():
            code += _found(_stored(ADDRESSES), kind, [(STORE, 0, 0, ADDRESS), *(step for one in of_family for step in _in(one))])
    return code


def _in(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Code:
    """Dropped when the address at X is in it. X stays."""
    code: Code = [(RETURN, 0, 0, DROP)]
    for at, mask, bits in reversed(list(_words(network))):
        code = [(WORD_AT_X, 0, 0, VALUE + at), (AND, 0, 0, mask), (JUMP_EQUAL, 0, len(code), bits), *code]
    return code


def _words(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterable[tuple[int, int, int]]:
    mask, bits = network.netmask.packed, network.network_address.packed
    for at in range(0, len(mask), 4):
        word = int.from_bytes(mask[at : at + 4])
        if word or at == 0:
            yield at, word, int.from_bytes(bits[at : at + 4])


def _unless_taking_leave() -> Code:
    """Of a TCP connection that lives; an end says more."""
    states: Code = [(BYTE_AT_X, 0, 0, VALUE)]
    for state in TAKING_LEAVE:
        states += _drop_if(state)
    tcp = _found([], TCP_STATE, states)
    info = _top(PROTOINFO, _found([], PROTOINFO_TCP, tcp))
    return [(LOAD_BYTE, 0, 0, TYPE_AT), (JUMP_EQUAL, 1, 0, NEW & 0xFF), (JUMP, 0, 0, len(info)), *info]
