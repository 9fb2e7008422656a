"""After a real fault: events, explain, what-if and replay tell the truth about it, on both nodes, and change nothing."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from jsrpd.lab import faults, topology
from jsrpd.lab.topology import NODES, Lab, LabError, Settings, inside, run, wait_until

SETTINGS = Settings(interval_ms=100, threshold=5)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster whose node 0, the owner of group 1, has lost its LAN link."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"je{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        wait_until(lambda: topology.is_settled(made), 30, "a primary and a secondary in every group")
        assert topology.primary_node(made) == "node0"
        faults.inject(made, "cut-lan", "node0")
        wait_until(lambda: topology.is_settled(made), 30, "a primary and a secondary again")
        assert topology.primary_node(made) == "node1"
        yield made
    finally:
        topology.down(made)


def jsrp(lab: Lab, node: str, *words: str) -> str:
    """What a command prints on a node."""
    return run(*inside(lab.namespace(node), "jsrp", *words), env=lab.environment(node), timeout_s=30)


def tree(lab: Lab, node: str, *words: str) -> Any:
    """The same as JSON."""
    return json.loads(jsrp(lab, node, *words, "|", "display", "json"))


def events(lab: Lab, node: str) -> Any:
    """All events of a node."""
    return tree(lab, node, "show", "chassis", "cluster", "events")


def group_1(lab: Lab, node: str) -> Any:
    (explained,) = tree(lab, node, "show", "chassis", "cluster", "explain", "redundancy-group", "1")
    return explained


def test_events_tell_what_happened(lab: Lab) -> None:
    """In order on each node, with reasons; the cause before its effect."""
    owner = [
        e for e in tree(lab, "node0", "show", "chassis", "cluster", "events", "redundancy-group", "1") if 1 in e.get("groups", ())
    ]
    texts = [f"{e['kind']}: {e['text']}" for e in owner]
    assert texts[-3:] == [
        "monitor: interface lan down: weight 255 of redundancy group 1",
        "transition: primary -> secondary-hold: Monitor failed: IF",
        "transition: secondary-hold -> secondary: Ready to become secondary",
    ]
    heir = [e for e in events(lab, "node1") if 1 in e.get("groups", ())]
    assert [(e["node"], e["text"]) for e in heir[-2:]] == [
        (0, "interface lan down: weight 255 of redundancy group 1"),
        (1, "secondary -> primary: Remote is in secondary hold"),
    ]
    assert heir[-1]["values"] == {"old-state": "secondary", "new-state": "primary"}
    assert len(jsrp(lab, "node0", "show", "chassis", "cluster", "events", "last", "2").splitlines()) == 2


def test_both_nodes_explain_the_same(lab: Lab) -> None:
    for node in NODES:
        told = group_1(lab, node)
        assert told["owner"] == 1
        assert told["nodes"][0]["sum"] == "255 - 255 (IF lan) = 0"
        assert told["nodes"][0]["effective_priority"] == 0
        assert told["nodes"][1]["sum"] == "255, nothing has failed"
        assert "node0 must be fit: its weight is 0; mend IF lan (255)" in told["to_move"]
        assert told["blocks"] == ["node0 is not fit: its effective priority is 0"]
    assert group_1(lab, "node0")["history"][-2].endswith("primary -> secondary-hold: Monitor failed: IF")


def test_what_if_foretells_what_then_happens_and_changes_nothing(lab: Lab) -> None:
    """Were the cable mended and node 1's cut instead, the group would come back; it then does."""
    before = [topology.group_states(lab, node) for node in NODES]
    question = "interface lan up on node 0; after 1s; interface lan down on node 1"
    for node in NODES:
        outcome = tree(lab, node, "request", "chassis", "cluster", "what-if", question)
        moved = outcome["groups"][1]
        assert (moved["owner_before"], moved["owner_after"]) == (1, 0)
        said = [(m["node"], m["text"].split(": ", 1)[1]) for m in outcome["timeline"] if m["kind"] == "transition"]
        assert said[:2] == [
            (1, "Redundancy-group 1 transitioned from 'primary' to 'secondary-hold' state due to Monitor failed: IF"),
            (0, "Redundancy-group 1 transitioned from 'secondary' to 'primary' state due to Remote is in secondary hold"),
        ]
    assert [topology.group_states(lab, node) for node in NODES] == before
    faults.heal(lab)
    wait_until(lambda: group_1(lab, "node1")["nodes"][0]["weight"] == 255, 20, "node 0 to be fit again")
    faults.inject(lab, "cut-lan", "node1")
    wait_until(lambda: topology.is_settled(lab), 30, "a primary and a secondary again")
    assert topology.primary_node(lab) == "node0"
    texts = [e["text"] for e in events(lab, "node1") if e["kind"] == "transition"]
    assert "primary -> secondary-hold: Monitor failed: IF" in texts


def test_a_command_is_recorded_with_who_gave_it(lab: Lab) -> None:
    """Refused: node 1 has no LAN."""
    with pytest.raises(LabError, match="not fit"):
        faults.request(lab, "node0", "failover", "redundancy-group", "1", "node", "1")
    wait_until(lambda: "command" in {e["kind"] for e in events(lab, "node0")}, 10, "the command")
    (event,) = [e for e in events(lab, "node0") if e["kind"] == "command"]
    assert event["by"].startswith("root")
    assert event["values"]["outcome"] == "refused"
    assert event["groups"] == [1]


def test_replay_agrees_even_after_a_killed_gateway_and_engine(lab: Lab) -> None:
    """No gap: what the engine hands over while the gateway is dead waits in the channel."""
    gateways = [pid for pid, title in topology.daemon_processes(lab, "node0").items() if title == "jsrpd: gateway"]
    topology.signal_all(gateways, 9)
    wait_until(lambda: "RG0" in events_after(lab, "node0"), 20, "a gateway that answers")
    faults.inject(lab, "kill-engine", "node0")
    wait_until(lambda: "Restarted in place" in events_after(lab, "node0"), 20, "the engine's restart in the events")
    for node in NODES:
        shown = jsrp(lab, node, "replay")
        assert shown.endswith("no difference\n")
        assert "could not be replayed" not in shown
        assert "gap" not in shown
        assert "Monitor failed: IF" in shown


def events_after(lab: Lab, node: str) -> str:
    """The events, from a node whose gateway answers."""
    try:
        group_1(lab, node)
    except LabError:
        return ""
    return jsrp(lab, node, "show", "chassis", "cluster", "events")
