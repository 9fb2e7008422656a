"""The lease map, which the engine writes without a system call, and the gates attached to interfaces.

A store is one aligned 8-byte write, so the programs see the old or the new deadline, never a mixture. The engine
pins beside the deadline what a successor needs to re-adopt the role (LEASE 19).
"""

import contextlib
import mmap
import os
import struct
from dataclasses import dataclass

from jsrpd.data_plane.gate_program import (
    ADDRESS_KEY_BYTES,
    MAC_KEY_BYTES,
    SLOT_BYTES,
    SLOTS,
    address_key,
    child_program,
    mac_key,
    reth_program,
    station_program,
)
from jsrpd.kernel import bpf
from jsrpd.model.roles import GroupState
from jsrpd.model.time import Instant

WORDS = SLOT_BYTES // 8
NAME_PREFIX = "jsrpd_"
MAX_ADDRESSES = 8192
MAX_MACS = 512
UNSPECIFIED = {address_key(bytes(4)), address_key(bytes(16))}
"""Who has no address yet may ask whether one is in use (RFC 5227, RFC 4861 section 7.2.2)."""
HOOKS = (bpf.TCX_INGRESS, bpf.TCX_EGRESS)


@dataclass(frozen=True, slots=True)
class PinnedLease:
    """A slot as its engine left it."""

    deadline: Instant
    state: GroupState
    generation: int
    acknowledged_at: Instant
    last_heard: Instant
    alone: bool


class LeaseMap:
    """Array map of one value that holds a slot per group, shared memory with the kernel."""

    def __init__(self, descriptor: int) -> None:
        self.fd = descriptor
        self._memory = mmap.mmap(descriptor, SLOTS * SLOT_BYTES, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._words = memoryview(self._memory).cast("B").cast("Q")

    @classmethod
    def create(cls) -> "LeaseMap":
        """A fresh map, all gates shut. OSError where the kernel or permissions refuse."""
        return cls(bpf.map_create(bpf.ARRAY, 4, SLOTS * SLOT_BYTES, 1, "jsrpd_lease", bpf.MMAPABLE))

    @classmethod
    def open(cls, path: str) -> "LeaseMap":
        """The map an earlier daemon pinned. FileNotFoundError: none is; OSError: what is pinned there is no lease map."""
        descriptor = bpf.pinned(path)
        try:
            return cls(descriptor)
        except OSError:
            os.close(descriptor)
            raise

    def pin(self, path: str) -> None:
        """Keep the map in a bpf file system, beyond this process."""
        bpf.pin(self.fd, path)

    def store(
        self,
        group: int,
        deadline: Instant,
        state: GroupState,
        generation: int,
        acknowledged_at: Instant,
        last_heard: Instant,
        alone: bool,
    ) -> None:
        """Write a slot. A nearer deadline goes in first and a later one last: stopped on any line, the gate is not longer open."""
        at, words = group * WORDS, self._words
        shortens = deadline < words[at]
        if shortens:
            words[at] = deadline
        words[at + 2] = state | generation << 8
        words[at + 3] = acknowledged_at
        words[at + 4] = last_heard
        words[at + 5] = alone
        if not shortens:
            words[at] = deadline

    def read(self, group: int) -> PinnedLease:
        """What is pinned for a group."""
        words = self._words[group * WORDS : (group + 1) * WORDS].tolist()
        return PinnedLease(words[0], GroupState(words[2] & 0xFF), words[2] >> 8, words[3], words[4], bool(words[5]))

    def drops(self, group: int) -> int:
        """Frames the group's gates have dropped."""
        return int(self._words[group * WORDS + 1])

    def shut_all(self) -> None:
        """Shut every gate."""
        for group in range(SLOTS):
            self._words[group * WORDS] = 0


class Gate:
    """Loads the programs against a lease map and keeps them attached, first in the chain.

    The tables of MACs and addresses are its own: fill them before ``attach_child`` and ``attach_station``, which end the guard
    of an earlier Gate with other tables. What is attached stays in force when the process dies.
    """

    def __init__(self, lease_map: LeaseMap) -> None:
        self._lease_map = lease_map
        self._macs = bpf.map_create(bpf.HASH, MAC_KEY_BYTES, 4, MAX_MACS, "jsrpd_macs")
        self._addresses = bpf.map_create(bpf.HASH, ADDRESS_KEY_BYTES, 4, MAX_ADDRESSES, "jsrpd_addresses")
        self._own = bpf.map_create(bpf.HASH, ADDRESS_KEY_BYTES, 4, MAX_ADDRESSES, "jsrpd_own")
        self._known_own: set[bytes] = set()
        self._attached: dict[int, list[int]] = {}
        self._guards: dict[int, str] = {}
        """Names of what was last attached."""

    def add_mac(self, mac: bytes, group: int) -> None:
        """Frames with this virtual MAC obey the group's deadline on the children."""
        bpf.map_update(self._macs, mac_key(mac), struct.pack("=I", group))

    def remove_mac(self, mac: bytes) -> None:
        """No longer a virtual MAC."""
        bpf.map_delete(self._macs, mac_key(mac))

    def add_address(self, packed: bytes, group: int) -> None:
        """No child speaks for, or takes frames to, this address by its own MAC."""
        bpf.map_update(self._addresses, address_key(packed), struct.pack("=I", group))

    def remove_address(self, packed: bytes) -> None:
        """No longer gated."""
        bpf.map_delete(self._addresses, address_key(packed))

    def set_own(self, addresses: set[bytes]) -> None:
        """The packed addresses by which this node is reached whatever its role, where it has no virtual MAC; no others are."""
        keys = {address_key(packed) for packed in addresses} | UNSPECIFIED
        for gone in self._known_own - keys:
            bpf.map_delete(self._own, gone)
        for key in keys - self._known_own:
            bpf.map_update(self._own, key, struct.pack("=I", 1))
        self._known_own = keys

    def attach_reth(self, index: int, group: int) -> None:
        """Gate a reth. Call before the link goes up. OSError when the interface is gone or the kernel refuses."""
        code = reth_program(self._lease_map.fd, group)
        self._attach(index, [(code, f"{NAME_PREFIX}rg{group}")] * len(HOOKS))

    def attach_child(self, index: int) -> None:
        """Guard a child. OSError when the interface is gone or the kernel refuses."""
        tables = self._lease_map.fd, self._macs, self._addresses
        codes = [child_program(*tables, ingress=hook == bpf.TCX_INGRESS) for hook in HOOKS]
        self._attach(index, [(code, f"{NAME_PREFIX}child") for code in codes])

    def attach_station(self, index: int, group: int) -> None:
        """Gate a reth that has its child's MAC, or that child; of the reth before the link goes up. OSError as ``attach_reth``."""
        codes = [station_program(self._lease_map.fd, self._own, group, ingress=hook == bpf.TCX_INGRESS) for hook in HOOKS]
        self._attach(index, [(code, f"{NAME_PREFIX}st{group}") for code in codes])

    def _attach(self, index: int, programs: list[tuple[bytes, str]]) -> None:
        """Ours first, then whatever we or an earlier daemon attached before is taken away: never a moment without a gate.

        Loaded anew each time, because a program cannot be attached twice to a hook, not even to come first again.
        """
        numbers = []
        for hook, (code, name) in zip(HOOKS, programs, strict=True):
            former = _ours(index, hook)
            fresh = bpf.prog_load(code, name)
            try:
                bpf.prog_attach_first(fresh, index, hook)
                numbers.append(bpf.prog_id(fresh))
                _detach(former, index, hook)
            finally:
                os.close(fresh)
                _close(former)
        self._attached[index], self._guards[index] = numbers, programs[0][1]

    def in_force(self, index: int, guard: str) -> bool:
        """This is the guard last attached to the interface by this gate (``child``, ``rg1``, ``st1``), first on both hooks."""
        return self._guards.get(index) == f"{NAME_PREFIX}{guard}" and not self.audit(index)

    def audit(self, index: int) -> list[str]:
        """What is wrong with the gate of an interface, in words; empty when all is well."""
        try:
            chains = [bpf.prog_query(index, hook) for hook in HOOKS]
        except OSError as error:
            return [str(error.strerror)]
        problems = []
        own = self._attached.get(index, [0] * len(HOOKS))
        for direction, chain, number in zip(("ingress", "egress"), chains, own, strict=True):
            if number not in chain:
                problems.append(f"no gate on {direction}")
            elif chain[0] != number:
                problems.append(f"program {_name_of(chain[0])} runs before the gate on {direction}")
        return problems


def stands(index: int) -> bool:
    """A gate of ours is there, and first in line on both hooks."""
    try:
        chains = [bpf.prog_query(index, hook) for hook in HOOKS]
    except OSError:
        return False
    return all(chain and _name_of(chain[0]).startswith(NAME_PREFIX) for chain in chains)


def detach_all(index: int) -> int:
    """Take every gate program of any daemon of ours off an interface; how many."""
    count = 0
    for hook in HOOKS:
        found = _ours(index, hook)
        try:
            count += _detach(found, index, hook)
        finally:
            _close(found)
    return count


def _detach(programs: dict[int, int], index: int, hook: int) -> int:
    """How many were taken off; one that somebody else took off meanwhile does not count."""
    count = 0
    for descriptor in programs.values():
        with contextlib.suppress(FileNotFoundError):
            bpf.prog_detach(descriptor, index, hook)
            count += 1
    return count


def _close(programs: dict[int, int]) -> None:
    for descriptor in programs.values():
        os.close(descriptor)


def _ours(index: int, hook: int) -> dict[int, int]:
    """Programs with our name on a hook: id -> open descriptor, to be closed by the caller."""
    found: dict[int, int] = {}
    try:
        numbers = bpf.prog_query(index, hook)
    except OSError:
        return {}
    for number in numbers:
        try:
            descriptor = bpf.prog_by_id(number)
        except FileNotFoundError:
            continue
        except OSError:
            _close(found)
            raise
        if bpf.prog_name(descriptor).startswith(NAME_PREFIX):
            found[number] = descriptor
        else:
            os.close(descriptor)
    return found


def _name_of(number: int) -> str:
    """Name and id of a loaded program, for the operator."""
    try:
        descriptor = bpf.prog_by_id(number)
    except OSError:
        return f"id {number}"
    try:
        return f"{bpf.prog_name(descriptor) or 'without name'} (id {number})"
    finally:
        os.close(descriptor)
