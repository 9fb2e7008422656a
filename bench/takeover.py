"""Which groups a node has taken over, and when: ``python -m bench.takeover SECONDS``, in that node's namespace; and the
measure that asks.

A node that is not primary lets no frame of a reth's virtual MAC out, so the first one of each says when it began to own. Prints
interface and time of each first frame (CLOCK_REALTIME ns, the kernel's stamp), a line each.
"""

import os
import subprocess
import sys
import time

from bench.contestants import Jsrpd
from bench.lateness import frames
from bench.measure import ACTS
from jsrpd.lab import faults, many, topology
from jsrpd.lab.topology import NODES, Lab, LabError, inside, wait_until, with_commands

SOURCE = slice(6, 12)
VIRTUAL_MAC = bytes((0x02, 0x6A, 0x73))
PATIENCE_S = 120.0
WATCH_S, QUIET_S = 3.0, 2.0
INTERFACES = many.GROUPS + 1
"""With reth0 and reth1, which are both of group 1."""


def measure(lab: Lab) -> dict[str, float]:
    """Every group's node falls silent at once: from the first to the last interface by which the other one speaks as owner, ms."""
    many.enlarge(lab, PATIENCE_S)
    primary = topology.primary_node(lab)
    wait_until(lambda: _owns_all(lab, primary), PATIENCE_S, "one owner of every group")
    time.sleep(QUIET_S)
    words = inside(lab.namespace(faults.peer_of(primary)), sys.executable, "-m", "bench.takeover", f"{WATCH_S}")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=with_commands(os.environ)) as tap:
        assert tap.stdout is not None
        tap.stdout.readline()
        ACTS["killed"](Jsrpd(), lab, primary)
        stamps = sorted(int(line.split()[1]) for line in tap.stdout)
    many.reduce(lab)
    if len(stamps) != INTERFACES:
        raise LabError(f"of {INTERFACES} interfaces {len(stamps)} were heard")
    return {"spread": (stamps[-1] - stamps[0]) / 1e6}


def _owns_all(lab: Lab, node: str) -> bool:
    return all(states[NODES.index(node)] == "primary" for states in topology.group_states(lab, node).values())


def main(duration_s: float) -> None:
    """Listen, then print."""
    first: dict[bytes, tuple[str, int]] = {}
    for frame, interface, leaves, stamp in frames("", duration_s, 64):
        source = frame[SOURCE]
        # Of the reth itself, a macvlan, and of its child: the later one is on the wire.
        if leaves and source.startswith(VIRTUAL_MAC) and not interface.startswith("reth"):
            first.setdefault(source, (interface, stamp))
    print("\n".join(f"{interface} {stamp}" for interface, stamp in first.values()))


if __name__ == "__main__":
    main(float(sys.argv[1]))
