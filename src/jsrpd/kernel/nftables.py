"""The one table of nftables that is ours, by netlink: packets which pass untracked (``data_plane.transit``).

The table is put in place as a whole, in one transaction. Its comment is a digest of its rules, so that a look at the comment
and at the number of rules tells whether it is as wanted. No decision is taken here.
"""

import contextlib
import errno
import ipaddress
import socket
import struct
from collections.abc import Sequence
from hashlib import blake2b

from jsrpd.data_plane.transit import Carried
from jsrpd.kernel.netlink import (
    ACK,
    APPEND,
    CREATE,
    DUMP,
    HEADER,
    NLMSG_DONE,
    NLMSG_ERROR,
    REQUEST,
    attribute,
    attributes,
    messages,
)

NETFILTER = 12
SUBSYSTEM = 10 << 8
NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, NEWRULE, GETRULE = (SUBSYSTEM | number for number in (0, 1, 2, 3, 6, 7))
BATCH_BEGIN, BATCH_END = 16, 17
NFGENMSG = struct.Struct("=BB")
INET, UNSPECIFIED = 1, 0
SOL_NETLINK, ADD_MEMBERSHIP, CHANGES = 270, 1, 7
"""NFNLGRP_NFTABLES."""
NESTED = 0x8000
TABLE, CHAIN = b"jsrpd\0", b"carried\0"
TABLE_NAME, TABLE_USERDATA = 1, 6
CHAIN_TABLE, CHAIN_NAME, CHAIN_HOOK, CHAIN_TYPE = 1, 3, 4, 7
HOOK_NUMBER, HOOK_PRIORITY, PREROUTING, BEFORE_TRACKING = 1, 2, 0, -300
RULE_TABLE, RULE_CHAIN, RULE_EXPRESSIONS = 1, 2, 4
ELEMENT, EXPRESSION_NAME, EXPRESSION_DATA = 1, 1, 2
REGISTER, DATA_VALUE = 1, 1
META_DESTINATION, META_KEY, META_INTERFACE, META_FAMILY = 1, 2, 6, 15
COMPARE_SOURCE, COMPARE_OPERATION, COMPARE_DATA, EQUAL, UNEQUAL = 1, 2, 3, 0, 1
FIB_DESTINATION, FIB_RESULT, FIB_FLAGS, FIB_INTERFACE_NAME, OF_SOURCE, OF_DESTINATION = 1, 2, 3, 2, 1, 2
PAYLOAD_DESTINATION, PAYLOAD_BASE, PAYLOAD_OFFSET, PAYLOAD_LENGTH, NETWORK_HEADER = 1, 2, 3, 4, 1
BITWISE_SOURCE, BITWISE_DESTINATION, BITWISE_LENGTH, BITWISE_MASK, BITWISE_XOR = 1, 2, 3, 4, 5
NAME_BYTES = 16
ADDRESSES = {4: (2, 4, 12, 16), 6: (10, 16, 8, 24)}
"""By IP version: family, bytes of an address, and where in the header source and destination stand."""
COMMENT = 0
RECEIVE_BYTES = 1 << 16
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BUFFER_BYTES = 8 << 20
"""A transaction is one message to the kernel and an answer for each rule: with a hundred groups 3 MB and five hundred."""
PATIENCE_S = 2.0


class CarriedTable:
    """Observes and replaces the table on one socket; another one hears of changes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER)
        self._socket.settimeout(PATIENCE_S)
        with contextlib.suppress(PermissionError):
            for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self._socket.bind((0, 0))
        self._sequence = 0
        self.notifications = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETFILTER
        )
        self.notifications.bind((0, 0))
        with contextlib.suppress(PermissionError):
            # Who may not listen may not change anything either, and is told that.
            self.notifications.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, CHANGES)

    def close(self) -> None:
        """Close."""
        self._socket.close()
        self.notifications.close()

    def stands(self, wanted: Sequence[Carried]) -> bool:
        """The table is as wanted; of nothing wanted, it is absent. OSError when the kernel has no answer."""
        tables = self._dump(GETTABLE, INET, b"")
        ours = [found for found in map(_attributes, tables) if found.get(TABLE_NAME) == TABLE]
        if not ours or not wanted:
            return not ours and not wanted
        rules = self._dump(GETRULE, INET, attribute(RULE_TABLE, TABLE))
        return ours[0].get(TABLE_USERDATA) == _comment(wanted) and len(rules) == len(_rules(wanted))

    def replace(self, wanted: Sequence[Carried]) -> int:
        """Put the table in place, or remove it when nothing is wanted. Errno, 0 when done."""
        name = attribute(TABLE_NAME, TABLE)
        # What is to be deleted must be there.
        requests = [(NEWTABLE, CREATE, name), (DELTABLE, 0, name)]
        if wanted:
            hook = attribute(HOOK_NUMBER, _number(PREROUTING)) + attribute(HOOK_PRIORITY, struct.pack(">i", BEFORE_TRACKING))
            chain = attribute(CHAIN_TABLE, TABLE) + attribute(CHAIN_NAME, CHAIN)
            chain += attribute(CHAIN_HOOK | NESTED, hook) + attribute(CHAIN_TYPE, b"filter\0")
            requests += [(NEWTABLE, CREATE, name + attribute(TABLE_USERDATA, _comment(wanted))), (NEWCHAIN, CREATE, chain)]
            place = attribute(RULE_TABLE, TABLE) + attribute(RULE_CHAIN, CHAIN)
            requests += [(NEWRULE, CREATE | APPEND, place + attribute(RULE_EXPRESSIONS | NESTED, rule)) for rule in _rules(wanted)]
        return self._transaction(requests)

    def drain(self) -> None:
        """Forget what was heard of changes: a look tells."""
        while True:
            try:
                self.notifications.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # ENOBUFS: more than it could hold.
                continue

    def _transaction(self, requests: list[tuple[int, int, bytes]]) -> int:
        """Errno of the first request that was refused: then none was carried out."""
        first = self._sequence + 1
        batch = self._message(BATCH_BEGIN, 0, UNSPECIFIED, b"", SUBSYSTEM >> 8)
        batch += b"".join(self._message(kind, flags | ACK, INET, body) for kind, flags, body in requests)
        batch += self._message(BATCH_END, 0, UNSPECIFIED, b"", SUBSYSTEM >> 8)
        self._socket.send(batch)
        missing = len(requests)
        while missing:
            try:
                answers = list(messages(self._socket.recv(RECEIVE_BYTES)))
            except TimeoutError:
                return errno.ETIMEDOUT
            for kind, sequence, body in answers:
                if kind == NLMSG_ERROR and sequence >= first:
                    number = -int(struct.unpack_from("=i", body)[0])
                    if number:
                        return number
                    missing -= 1
        return 0

    def _dump(self, kind: int, family: int, body: bytes) -> list[bytes]:
        self._socket.send(self._message(kind, DUMP, family, body))
        wanted, found = self._sequence, list[bytes]()
        while True:
            for answer, sequence, part in messages(self._socket.recv(RECEIVE_BYTES)):
                if sequence != wanted:
                    continue
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    number = -int(struct.unpack_from("=i", part)[0])
                    raise OSError(number, "nftables refuses to tell")
                found.append(part)

    def _message(self, kind: int, flags: int, family: int, body: bytes, resource: int = 0) -> bytes:
        self._sequence += 1
        content = NFGENMSG.pack(family, 0) + struct.pack(">H", resource) + body
        return HEADER.pack(HEADER.size + len(content), kind, flags | REQUEST, self._sequence, 0) + content


def _attributes(body: bytes) -> dict[int, bytes]:
    return attributes(body, 4)


def _comment(wanted: Sequence[Carried]) -> bytes:
    """As ``nft`` stores and shows it: type, length, text."""
    digest = blake2b(b"".join(_rules(wanted)), digest_size=8).hexdigest()
    text = f"jsrpd: connections of the other node, {digest}\0".encode()
    return bytes((COMMENT, len(text))) + text


# -- rules ------------------------------------------------------------------------------------------------------------


def _rules(wanted: Sequence[Carried]) -> list[bytes]:
    """The expressions of each rule: towards the fabric link and from it, of each family."""
    return [rule for one in wanted for version in ADDRESSES for rule in (_towards(one, version), _back(one, version))]


def _towards(one: Carried, version: int) -> bytes:
    """From a reth that is primary here to what is primary on the peer. Of a group that is about to move here the own view
    still says that neither is: then everything is tracked, as the tables of the owners have it."""
    ways = _leads_to(OF_SOURCE, one.reth) + _leads_to(OF_DESTINATION, one.fabric)
    return _of_family(version) + _came_by(one.reth) + ways + _but(one, version, OF_DESTINATION) + _expression("notrack")


def _back(one: Carried, version: int) -> bytes:
    ways = _leads_to(OF_DESTINATION, one.reth)
    return _of_family(version) + _came_by(one.fabric) + ways + _but(one, version, OF_SOURCE) + _expression("notrack")


def _of_family(version: int) -> bytes:
    load = attribute(META_DESTINATION, _number(REGISTER)) + attribute(META_KEY, _number(META_FAMILY))
    return _expression("meta", load) + _compare(EQUAL, bytes((ADDRESSES[version][0],)))


def _came_by(interface: str) -> bytes:
    load = attribute(META_DESTINATION, _number(REGISTER)) + attribute(META_KEY, _number(META_INTERFACE))
    return _expression("meta", load) + _compare(EQUAL, _name(interface))


def _leads_to(which: int, interface: str) -> bytes:
    """The node's own view has the way to the packet's source or destination by this interface."""
    asked = attribute(FIB_DESTINATION, _number(REGISTER)) + attribute(FIB_RESULT, _number(FIB_INTERFACE_NAME))
    return _expression("fib", asked + attribute(FIB_FLAGS, _number(which))) + _compare(EQUAL, _name(interface))


def _but(one: Carried, version: int, which: int) -> bytes:
    """The packet's source or destination is in none of the prefixes."""
    _family, size, *places = ADDRESSES[version]
    said = b""
    for network in map(ipaddress.ip_network, one.but):
        if network.version == version:
            place = places[which == OF_DESTINATION]
            load = attribute(PAYLOAD_DESTINATION, _number(REGISTER)) + attribute(PAYLOAD_BASE, _number(NETWORK_HEADER))
            load += attribute(PAYLOAD_OFFSET, _number(place)) + attribute(PAYLOAD_LENGTH, _number(size))
            mask = attribute(BITWISE_SOURCE, _number(REGISTER)) + attribute(BITWISE_DESTINATION, _number(REGISTER))
            mask += attribute(BITWISE_LENGTH, _number(size)) + attribute(BITWISE_MASK | NESTED, _value(network.netmask.packed))
            mask += attribute(BITWISE_XOR | NESTED, _value(bytes(size)))
            said += _expression("payload", load) + _expression("bitwise", mask)
            said += _compare(UNEQUAL, network.network_address.packed)
    return said


def _compare(operation: int, value: bytes) -> bytes:
    what = attribute(COMPARE_SOURCE, _number(REGISTER)) + attribute(COMPARE_OPERATION, _number(operation))
    return _expression("cmp", what + attribute(COMPARE_DATA | NESTED, _value(value)))


def _expression(name: str, data: bytes = b"") -> bytes:
    body = attribute(EXPRESSION_NAME, name.encode() + b"\0")
    return attribute(ELEMENT | NESTED, body + (attribute(EXPRESSION_DATA | NESTED, data) if data else b""))


def _value(data: bytes) -> bytes:
    return attribute(DATA_VALUE, data)


def _name(interface: str) -> bytes:
    return interface.encode().ljust(NAME_BYTES, b"\0")


def _number(number: int) -> bytes:
    return struct.pack(">I", number)
