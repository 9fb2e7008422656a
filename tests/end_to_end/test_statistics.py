"""Counters of a running cluster: they grow with the heartbeats, tell a sick path from a well one, and can be cleared."""

import json
import os
import re
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings, inside, run, wait_until

SETTINGS = Settings(interval_ms=100, threshold=3, control_links=2)
PATIENCE_S = 60.0
CLUSTER = ("chassis", "cluster")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jc{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        yield made
    finally:
        topology.down(made)


def jsrp(lab: Lab, *words: str) -> str:
    return run(*inside(lab.namespace(NODES[0]), "jsrp", *words), env=lab.environment(NODES[0]))


def paths(lab: Lab) -> dict[str, dict[str, int]]:
    """Counts by interface."""
    told = json.loads(jsrp(lab, "show", *CLUSTER, "control-plane", "statistics", "|", "display", "json"))
    return {path.pop("interface"): path for path in told["paths"]}


def test_heartbeats_are_counted_on_every_path(lab: Lab) -> None:
    begin = paths(lab)
    assert list(begin) == ["ctl0", "ctl1", "fab", "lan", "wan"]
    for name, before in begin.items():
        for count in ("sent", "received", "last_sent", "last_received"):
            wait_until(
                lambda name=name, count=count, before=before: paths(lab)[name][count] > before[count] > 0,  # type: ignore[misc]
                PATIENCE_S,
                f"{count} of {name}",
            )
    text = jsrp(lab, "show", *CLUSTER, "statistics")
    assert [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")] == [
        "Control link statistics:",
        "Fabric link statistics:",
        "In-band heartbeat statistics:",
        "Services Synchronized:",
        "Session synchronization:",
    ]


def test_what_is_lost_is_not_counted_as_received(lab: Lab) -> None:
    """A silent control link: the kernel takes what is sent, nothing comes."""
    faults.inject(lab, "silent-control")
    try:
        before = paths(lab)
        wait_until(lambda: paths(lab)["ctl0"]["sent"] >= before["ctl0"]["sent"] + 10, PATIENCE_S, "ten heartbeats")
        after = paths(lab)
    finally:
        faults.heal(lab)
    assert after["ctl0"]["received"] - before["ctl0"]["received"] <= 1, "one may have been on its way"
    assert after["fab"]["received"] >= before["fab"]["received"] + 5
    demo.settle(lab, "healing")


def test_cleared(lab: Lab) -> None:
    before = paths(lab)
    assert jsrp(lab, "clear", *CLUSTER, "statistics") == "Cleared control-plane statistics\nCleared data-plane statistics\n"
    after = paths(lab)
    for name in before:
        assert after[name]["sent"] < before[name]["sent"]
        assert after[name]["last_sent"] > before[name]["last_sent"], "a sequence is no count"
    assert jsrp(lab, "clear", *CLUSTER, "control-plane", "statistics") == "Cleared control-plane statistics\n"
    assert jsrp(lab, "clear", *CLUSTER, "data-plane", "statistics") == "Cleared data-plane statistics\n"


def test_information_begins_anew(lab: Lab) -> None:
    def transitions(display: str) -> int:
        return len(re.findall(r"Hold timer expired", jsrp(lab, "show", *CLUSTER, display)))

    wait_until(lambda: transitions("information") >= 2, PATIENCE_S, "the start of both groups")
    events = transitions("events")
    assert "Cleared information" in jsrp(lab, "clear", *CLUSTER, "information")
    wait_until(lambda: transitions("information") == 0, PATIENCE_S, "nothing")
    assert transitions("events") == events
