"""Neighbour entries for a standby on a real kernel: usable at once, not permanent, and read back as they were put in."""

import itertools
import json
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from jsrpd.kernel.neighbours import Neighbour, Neighbours
from jsrpd.wire.neighbours import decode_neighbours, encode_neighbours
from jsrpd.wire.session import MalformedSessionError
from tests.end_to_end.test_gate import inside, ip

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
numbers = itertools.count(1)
MAC = bytes.fromhex("020000000042")
V4 = Neighbour("e0", socket.inet_pton(socket.AF_INET, "10.9.0.7"), MAC)
V6 = Neighbour("e0", socket.inet_pton(socket.AF_INET6, "2001:db8:9::7"), MAC)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"jsrpd-neigh-{os.getpid()}-{next(numbers)}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
        for device in ("e0", "e1"):
            ip("-n", name, "link", "set", device, "up")
        ip("-n", name, "addr", "add", "10.9.0.1/24", "dev", "e0")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@needs_root
def test_installed_entries_are_stale_learned_and_removable(namespace: str) -> None:
    with inside(namespace):
        neighbours = Neighbours()
        assert neighbours.install([V4, V6]) == 0
        assert neighbours.usable(frozenset({"e0"})) >= {V4, V6}
        assert neighbours.usable(frozenset({"e1"})) & {V4, V6} == frozenset()
        said = subprocess.run(["ip", "-json", "neigh", "show", "dev", "e0"], capture_output=True, text=True, check=True).stdout
        shown = {one["dst"]: one for one in json.loads(said)}
        for address in ("10.9.0.7", "2001:db8:9::7"):
            assert shown[address]["state"] == ["STALE"]
            assert shown[address]["extern_learn"] is None
        assert neighbours.remove([V4, V6]) == 0
        assert not neighbours.usable(frozenset({"e0"})) & {V4, V6}
        neighbours.close()


@needs_root
def test_an_interface_that_is_gone_is_no_error(namespace: str) -> None:
    with inside(namespace):
        neighbours = Neighbours()
        assert neighbours.install([Neighbour("gone", V4.address, MAC)]) == 0
        assert neighbours.usable(frozenset({"gone"})) == frozenset()
        neighbours.close()


def test_bytes_and_back() -> None:
    entries = [(0, V4.address, MAC), (127, V6.address, MAC)]
    said = encode_neighbours(entries)
    assert decode_neighbours(said) == entries
    for cut in (1, 7, 9, len(said) - 1):
        with pytest.raises(MalformedSessionError):
            decode_neighbours(said[:cut])
