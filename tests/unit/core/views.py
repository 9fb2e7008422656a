"""Snapshots for the tests of the election: a healthy node of an established cluster, and what is different."""

from jsrpd.core.election import GroupView
from jsrpd.model.link_messages import GroupReport
from jsrpd.model.roles import GroupState
from jsrpd.model.time import MILLISECOND, SECOND, Timing

TIMING = Timing(100 * MILLISECOND, 5)
NOW = 1000 * SECOND
"""Long after start."""


def report(**changes: object) -> GroupReport:
    """What a healthy secondary of priority 100 says of group 1."""
    fields: dict[str, object] = {
        "group": 1,
        "state": GroupState.SECONDARY,
        "configured_priority": 100,
        "effective_priority": 100,
        "weight": 255,
        "failures": 0,
        "manual": False,
        "gate_open": False,
        "generation": 1,
    }
    return GroupReport(**(fields | changes))  # type: ignore[arg-type]


def view(**changes: object) -> GroupView:
    """A secondary of priority 200 on node0, ten seconds in its state, with a healthy secondary for a peer."""
    fields: dict[str, object] = {
        "now": NOW,
        "timing": TIMING,
        "node": 0,
        "group": 1,
        "state": GroupState.SECONDARY,
        "since": NOW - 10 * SECOND,
        "effective_priority": 200,
        "weight": 255,
        "failures": 0,
        "manual": False,
        "generation": 1,
        "gate_open": False,
        "gate_shut_since": None,
        "hold_down_until": NOW - SECOND,
        "grace_until": NOW - SECOND,
        "stopping": False,
        "yield_to_operator": False,
        "preempt": None,
        "peer_preferred_since": None,
        "peer_silent": False,
        "peer_fresh": True,
        "peer_echoed": True,
        "peer_exchanged": True,
        "first_up": False,
        "control_failed": False,
        "fabric_failed": False,
        "links_recovered": False,
        "by_fabric": False,
        "disable_due": False,
        "rejoin": False,
        "preempt_held": False,
        "follows": False,
        "peer": report(),
    }
    return GroupView(**(fields | changes))  # type: ignore[arg-type]
