"""Run in a node's namespace: sends bad datagrams from the node's own address and port, as fast as it can for a while.

    python flood.py CLUSTER-ID NODE PATH INTERFACE LOCAL PEER PORT KEY-FILE SECONDS

The node's daemon goes on beside it: the port is shared, and what arrives goes to the daemon's socket, because that one is
connected and this one is not. Genuine datagrams are recorded from the wire first, to be replayed, truncated and spoilt.
Prints how many of each kind were sent.
"""

import itertools
import json
import os
import socket
import sys
import time
from pathlib import Path

from jsrpd.wire.envelope import HEADER, MAGIC, DatagramType, Header, Sealer, key_id

RECORDED = 20
ETH_P_IPV6, PACKET_OUTGOING = 0x86DD, 4
HEADERS = 40 + 8
"""IPv6 and UDP, in front of a recorded datagram."""
BATCH = 64


def recorded(interface: str) -> list[bytes]:
    """What the daemon of this node says on a link."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6)) as wire:
        # Only a socket for all protocols sees what leaves.
        wire.bind((interface, 3))
        found: list[bytes] = []
        while len(found) < RECORDED:
            packet, address = wire.recvfrom(2048)
            if address[2] == PACKET_OUTGOING and packet[HEADERS:].startswith(MAGIC):
                found.append(packet[HEADERS:])
        return found


def sealed(key: bytes, cluster: int, node: int, path: int, start_id: bytes, payload: bytes, version: int = 1) -> bytes:
    header = Header(version, version, version, DatagramType.HEARTBEAT, cluster, node, path, key_id(key), start_id, 1)
    return Sealer(key, start_id).seal(header, payload)


def bad_datagrams(genuine: list[bytes], key: bytes, cluster: int, node: int, path: int) -> dict[str, list[bytes]]:
    """By the cause that the receiver shall count."""
    life = os.urandom(16)
    spoilt = [datagram[:-1] + bytes([datagram[-1] ^ 1]) for datagram in genuine]
    cut = [datagram[: HEADER.size + 16 + n] for n, datagram in enumerate(genuine)]
    return {
        "replayed": genuine,
        "not authentic": spoilt + cut,
        "too short": [MAGIC + os.urandom(n) for n in range(20)],
        "wrong cluster-id": [sealed(key, cluster + 1, node, path, life, b"foreign")],
        "key mismatch": [sealed(bytes(32), cluster, node, path, life, os.urandom(90))],
        "own node-id": [sealed(key, cluster, 1 - node, path, life, os.urandom(90))],
        "no common version": [sealed(key, cluster, node, path, life, os.urandom(90), version=99)],
        "wrong path": [sealed(key, cluster, node, path + 1, life, os.urandom(90))],
        "not admitted yet": [sealed(key, cluster, node, path, os.urandom(16), os.urandom(90)) for _ in range(20)],
        "without magic": [os.urandom(90)],
    }


def main(words: list[str]) -> None:
    cluster, node, path = map(int, words[:3])
    interface, local, peer, port, key_file, seconds = words[3:]
    key = bytes.fromhex(Path(key_file).read_text().strip())
    kinds = bad_datagrams(recorded(interface), key, cluster, node, path)
    sent = dict.fromkeys(kinds, 0)
    scope = socket.if_nametoindex(interface)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as flood:
        flood.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        flood.bind((local, int(port), 0, scope))
        give_up = time.monotonic() + float(seconds)
        rounds = itertools.cycle([(cause, datagrams) for cause, datagrams in kinds.items() if datagrams])
        while time.monotonic() < give_up:
            cause, datagrams = next(rounds)
            for datagram in itertools.islice(itertools.cycle(datagrams), BATCH):
                try:
                    flood.sendto(datagram, (peer, int(port), 0, scope))
                except OSError:
                    continue
                sent[cause] += 1
    sys.stdout.write(json.dumps(sent))


if __name__ == "__main__":
    main(sys.argv[1:])
