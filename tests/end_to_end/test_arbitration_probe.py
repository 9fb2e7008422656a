"""``arbitration probe`` on the real kernel: every path between the nodes is cut, LAN and WAN live on, and one address decides.

Who owns the gateway addresses is seen from outside, as in ``test_cluster``.
"""

import os
import time
from collections.abc import Iterator

import pytest

from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import BY_SEGMENT, NODES, Lab, Settings, wait_until
from jsrpd.lab.traffic import Result
from tests.end_to_end import third_party
from tests.end_to_end.test_cluster import log_of, says_all, transitions
from tests.end_to_end.test_doctor import findings

SETTINGS = Settings(interval_ms=100, threshold=5)
OPTIONS = traffic.Options(duration_s=60, rate=200, connections=5)
CLAIM = ("secondary > primary: Only node present",)
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster whose nodes ask one address."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"ja{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        third_party.attach(made)
        third_party.configure(made, f"probe {third_party.ADDRESS};")
        yield made
    finally:
        third_party.detach(made)
        topology.down(made)


@pytest.fixture
def primary(lab: Lab) -> str:
    """The primary of group 1 in a healthy cluster whose nodes both reach the address."""
    third_party.silence(lab)
    faults.heal(lab)
    demo.settle(lab, "healing")
    wait_until(lambda: all(said_last(lab, node) == "ANSWERS" for node in NODES), PATIENCE_S, "the answers of the address")
    time.sleep(SETTINGS.interval_ms * SETTINGS.threshold / 1000)  # Until an answer has stood for long enough to be claimed on.
    return topology.primary_node(lab)


def said_last(lab: Lab, node: str) -> str:
    """The last word of a node on its arbiter: LOST or ANSWERS."""
    lines = [line for line in log_of(lab, node).splitlines() if "JSRPD_ARBITRATION_" in line]
    words = [line.split("JSRPD_ARBITRATION_")[1].split(":")[0] for line in lines]
    return words[-1] if words else ""


def cut_everything(lab: Lab, *isolated: str) -> int:
    """No path is left between the nodes, and these do not reach the address; when it began, CLOCK_REALTIME ns."""
    begin = time.time_ns()
    faults.inject(lab, "silent-hellos")
    third_party.silence(lab, *isolated)
    faults.inject(lab, "silent-heartbeats")
    return begin


def judge(result: Result, begin: int, owner: str) -> None:
    """One owner at any time, the right one in the end, and every connection alive."""
    owners = result.ownerships(begin, result.end)
    assert {(o.segment, o.family) for o in owners} == {(segment, family) for segment in BY_SEGMENT for family in (4, 6)}
    for one in owners:
        assert one.two_owners_ms == 0, one
        assert one.final_owner == NODES.index(owner), one
    for tcp in result.tcp:
        assert tcp.alive == tcp.connections == OPTIONS.connections, tcp


def test_the_owner_that_loses_the_address_is_shut_before_the_other_opens(lab: Lab, primary: str) -> None:
    """It ends as secondary, and nothing moves when the cut heals."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = cut_everything(lab, primary)
        wait_until(lambda: says_all(lab, begin, other, CLAIM), PATIENCE_S, "a claim by silence")
        wait_until(
            lambda: says_all(lab, begin, primary, ("primary > secondary: Lease expired",)), PATIENCE_S, "the end of the role"
        )
        faults.heal(lab)
        third_party.silence(lab)
        demo.settle(lab, "a complete cut")
        result = flow.finish(now=True)
    assert topology.primary_node(lab) == other
    assert transitions(lab, begin, time.time_ns(), other) == list(CLAIM)
    judge(result, begin, other)


def test_the_owner_that_reaches_the_address_loses_nothing(lab: Lab, primary: str) -> None:
    """The other one stays secondary and says why."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = cut_everything(lab, other)
        wait_until(lambda: "JSRPD_ARBITRATION_LOST" in log_of(lab, other), PATIENCE_S, "the loss said")
        wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(primary)] == "lost", PATIENCE_S, "a lost peer")
        explained = topology.run(
            *topology.inside(lab.namespace(other), "jsrp", "show", "chassis", "cluster", "explain", "redundancy-group", "1"),
            env=lab.environment(other),
        )
        notices = topology.cluster_status(lab, other)["notices"]
        assert third_party.hold_still(lambda: not transitions(lab, begin, time.time_ns(), other), 2)
        told = [third_party.metric(lab, node, 'jsrpd_arbiter_answers{kind="probe"}') for node in (primary, other)]
        healed = time.time_ns()
        faults.heal(lab)
        third_party.silence(lab)
        demo.settle(lab, "a complete cut")
        result = flow.finish(now=True)
    assert f"arbitration: {third_party.ADDRESS} does not speak for {other}" in explained
    assert f"arbitration: {third_party.ADDRESS} does not speak for {other}, which owns nothing" in str(notices)
    assert told == ["1", "0"]
    assert transitions(lab, begin, time.time_ns(), primary) == []
    # Meeting shuts the gate for one round trip, whatever it rested on before (LEASE 6).
    assert [stream for stream in result.window(begin, healed) if stream.lost] == []
    judge(result, begin, primary)


def test_an_engine_that_crashes_in_the_cut_goes_on_by_its_lease(lab: Lab, primary: str) -> None:
    """Its successor begins with what the map holds, and hears of the address before that has run out."""
    other = faults.peer_of(primary)
    begin = cut_everything(lab, other)
    wait_until(
        lambda: topology.group_states(lab, primary).get(1, ("", ""))[NODES.index(other)] == "lost", PATIENCE_S, "a lost peer"
    )
    faults.inject(lab, "kill-engine", primary)
    wait_until(lambda: says_all(lab, begin, primary, ("hold > primary: Restarted in place",)), PATIENCE_S, "a new engine")
    assert third_party.hold_still(lambda: transitions(lab, begin, time.time_ns(), primary)[1:] == [], 2)
    assert transitions(lab, begin, time.time_ns(), other) == []


def test_a_dead_owner_is_replaced(lab: Lab, primary: str) -> None:
    """The address has answered all the time, so nothing is waited for beyond the silence."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        faults.inject(lab, "kill", primary)
        wait_until(lambda: says_all(lab, begin, other, CLAIM), PATIENCE_S, "a claim by silence")
        faults.heal(lab)
        demo.settle(lab, "a killed daemon")
        result = flow.finish(now=True)
    judge(result, begin, other)


def test_who_reaches_nothing_owns_nothing(lab: Lab, primary: str) -> None:
    """Both are cut off from the address as well: nobody owns, until one of them reaches it again."""
    begin = cut_everything(lab, *NODES)
    wait_until(lambda: says_all(lab, begin, primary, ("primary > secondary: Lease expired",)), PATIENCE_S, "the end of the role")
    other = faults.peer_of(primary)
    assert transitions(lab, begin, time.time_ns(), other) == []
    third_party.silence(lab, primary)
    wait_until(lambda: says_all(lab, begin, other, CLAIM), PATIENCE_S, "a claim by silence")
    faults.heal(lab)
    third_party.silence(lab)
    demo.settle(lab, "a complete cut")
    assert topology.primary_node(lab) == other


def test_between_nodes_that_hear_each_other_it_plays_no_role(lab: Lab, primary: str) -> None:
    """Neither reaches the address, and nothing happens but a word in the log."""
    begin = time.time_ns()
    with traffic.running(lab, OPTIONS) as flow:
        third_party.silence(lab, *NODES)
        wait_until(lambda: all(said_last(lab, node) == "LOST" for node in NODES), PATIENCE_S, "the loss said")
        time.sleep(1)
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, result.end) if stream.lost] == []
    assert [transitions(lab, begin, time.time_ns(), node) for node in NODES] == [[], []]
    assert topology.primary_node(lab) == primary


def test_the_doctor_asks_it(lab: Lab, primary: str) -> None:
    """At the node that it does not answer, and as the warning it is before the bad day."""

    def said() -> list[tuple[object, ...]]:
        return [(one["severity"], one["node"], one["cause"]) for one in findings(lab, primary) if one["check"] == "arbitration"]

    assert said() == []
    silent = faults.peer_of(primary)
    third_party.silence(lab, silent)
    cause = f"the arbitration probe {third_party.ADDRESS} does not answer: no answer"
    assert said() == [("warning", NODES.index(silent), cause)]
