"""The pollable table: what stands in it, and the conversation with snmpd."""

import io
import json
import re
from pathlib import Path

import pytest

from jsrpd.cli import render_json
from jsrpd.gateway.snmp_table import GROUPS, NODES, PATHS, ROOT, SCALARS, STATES, Oid, Reader, Value, serve, table
from jsrpd.model.roles import GroupState
from tests.unit.management.daemon import cluster

MIB = (Path(__file__).parents[3] / "packaging/snmp/JSRPD-MIB.txt").read_text()
STATUS = json.loads(render_json.snapshot(cluster()))
SMALL: dict[Oid, Value] = {(1, 1, 1, 0): ("integer", "1"), (1, 1, 2, 0): ("string", "x"), (1, 2, 1, 2, 10): ("gauge", "3")}


def dotted(oid: Oid) -> str:
    return f".{'.'.join(map(str, (*ROOT, *oid)))}"


def talk(sent: str, instances: dict[Oid, Value] = SMALL) -> list[str]:
    answers = io.StringIO()
    serve(io.StringIO(sent), answers, lambda: instances)
    return answers.getvalue().splitlines()


def test_table() -> None:
    found = table(STATUS)
    assert found[*SCALARS, 1, 0] == ("integer", str(STATUS["cluster_id"]))
    assert found[*SCALARS, 2, 0] == ("integer", str(STATUS["node"]))
    for group in STATUS["groups"]:
        number = group["group"]
        owners = [row["node"] for row in group["nodes"] if row["state"] == "primary"]
        assert found[*GROUPS, 2, number] == ("integer", str(owners[0]))
        for row in group["nodes"]:
            assert found[*NODES, 2, number, row["node"]] == ("integer", str(STATES[row["state"]]))
            assert found[*NODES, 4, number, row["node"]] == ("integer", str(row["weight"]))
    assert found[*PATHS, 2, 1] == ("string", "control0")


def test_what_the_peer_has_not_told_is_not_there() -> None:
    tree = json.loads(json.dumps(STATUS))
    tree["node"] = 0
    for group in tree["groups"]:
        lost = {"state": "lost", "priority": 0, "weight": None, "failures": None, "manual": None, "gate_open": None}
        group["nodes"][1] |= lost
        group["nodes"][0]["state"] = "secondary"
    found = table(tree)
    assert found[*SCALARS, 3, 0] == ("integer", "2")
    number = tree["groups"][0]["group"]
    assert found[*GROUPS, 2, number] == ("integer", "-1")
    assert found[*NODES, 2, number, 1] == ("integer", "5")
    assert (*NODES, 4, number, 1) not in found


def test_every_state_has_a_number() -> None:
    assert {state.label for state in GroupState} | {"lost"} == set(STATES)
    said = {
        name: int(number)
        for name, number in re.findall(r"(\w+)\((\d)\)", MIB.split("jsrpdGroupNodeState OBJECT-TYPE")[1].split("}")[0])
    }
    assert {state.replace("-h", "H"): number for state, number in STATES.items()} | {"unknown": 0} == said


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ("PING\n", ["PONG"]),
        (f"get\n{dotted((1, 1, 1, 0))}\n", [dotted((1, 1, 1, 0)), "integer", "1"]),
        (f"get\n{dotted((1, 1, 1))}\n", ["NONE"]),
        (f"getnext\n{dotted(())}\n", [dotted((1, 1, 1, 0)), "integer", "1"]),
        (f"getnext\n{dotted((1, 1, 1, 0))}\n", [dotted((1, 1, 2, 0)), "string", "x"]),
        (f"getnext\n{dotted((1, 2, 1, 2, 9))}\n", [dotted((1, 2, 1, 2, 10)), "gauge", "3"]),
        (f"getnext\n{dotted((1, 2, 1, 2, 10))}\n", ["NONE"]),
        (f"set\n{dotted((1, 1, 1, 0))}\ninteger 5\nPING\n", ["not-writable", "PONG"]),
        ("get\nnonsense\n", ["NONE"]),
        ("what\n", ["NONE"]),
    ],
)
def test_conversation(sent: str, answer: list[str]) -> None:
    assert talk(sent) == answer


def test_a_walk_sees_all_once_and_in_order() -> None:
    instances = table(STATUS)
    seen, at = [], dotted(())
    while (answer := talk(f"getnext\n{at}\n", instances)) != ["NONE"]:
        at = answer[0]
        seen.append(at)
    assert seen == [dotted(oid) for oid in sorted(instances)]


def test_without_a_daemon_there_is_nothing(tmp_path: Path) -> None:
    assert Reader(tmp_path / "none")() == {}
