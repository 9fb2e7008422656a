"""Records incidents of the lab for ``tests/scenario/recordings``: ``python -m tests.scenario.record`` as root, half a minute.

Each recording is a journal as a node kept it, its segments one behind the other. When the core changes on purpose, what it
decides no longer equals what an older core decided: record anew, and explain it in the commit.
"""

import os
import tempfile
from pathlib import Path

from jsrpd.lab import faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings
from jsrpd.management.journal import DIRECTORY, INPUTS, segments

RECORDINGS = Path(__file__).parent / "recordings"
INCIDENTS = ("cut-lan", "kill")


def main() -> None:
    """Every incident on the primary, healed afterwards, as both nodes saw it."""
    RECORDINGS.mkdir(exist_ok=True)
    for incident in INCIDENTS:
        with tempfile.TemporaryDirectory() as directory:
            lab = Lab(f"jr{os.getpid()}", Path(directory) / "lab")
            try:
                record(lab, incident)
            finally:
                topology.down(lab)


def record(lab: Lab, incident: str) -> None:
    """One incident, from the start of both daemons until both are well again."""
    topology.up(lab, Settings())
    topology.wait_until(lambda: topology.is_settled(lab), 30, "a primary and a secondary in every group")
    heir = faults.peer_of(topology.primary_node(lab))
    faults.inject(lab, incident)
    topology.wait_until(lambda: topology.group_states(lab, heir)[1][NODES.index(heir)] == "primary", 30, "the failover")
    faults.heal(lab)
    topology.wait_until(lambda: topology.is_settled(lab), 30, "a primary and a secondary again")
    for node in NODES:
        journal = lab.node_directory(node, "lib") / DIRECTORY
        recorded = b"".join(segment.read_bytes() for segment in segments(journal, INPUTS))
        (RECORDINGS / f"{incident}-{node}.journal").write_bytes(recorded)
        print(f"{incident}-{node}.journal: {len(recorded)} bytes")


if __name__ == "__main__":
    main()
