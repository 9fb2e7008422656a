"""Restart in place and the death of every process, on the real kernel under traffic: nothing moves and nothing is lost."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import NODES, Lab, LabError, Settings, inside, run, wait_until

SETTINGS = Settings(interval_ms=100, threshold=5, control_links=1)
OPTIONS = traffic.Options(duration_s=60, rate=500, connections=5)
PROCESSES = {"jsrpd", "jsrpd: engine", "jsrpd: kernel", "jsrpd: gateway", "jsrpd: monitors", "jsrpd: sessions"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"ji{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        yield made
    finally:
        topology.down(made)


@pytest.fixture
def owner(lab: Lab) -> str:
    """The primary of group 1 in a healthy cluster."""
    for node in NODES:
        topology.start_daemon(lab, node)
    demo.settle(lab, "the start")
    return topology.primary_node(lab)


def pids(lab: Lab, node: str) -> dict[str, int]:
    """Process of each title."""
    return {title: pid for pid, title in topology.daemon_processes(lab, node).items() if title in PROCESSES}


def command(lab: Lab, node: str, *words: str) -> str:
    """``jsrp WORDS…`` on a node; what it answers."""
    return run(*inside(lab.namespace(node), "jsrp", *words), env=lab.environment(node), timeout_s=30)


def answers(lab: Lab, node: str) -> bool:
    """The node's engine can be asked."""
    return bool(topology.group_states(lab, node))


def by_signal(lab: Lab, node: str) -> None:
    os.kill(pids(lab, node)["jsrpd"], signal.SIGUSR2)


def by_command(lab: Lab, node: str) -> None:
    assert "Restarting in place" in command(lab, node, "request", "daemon", "restart")


@pytest.mark.parametrize("order", [by_signal, by_command])
@pytest.mark.parametrize("standby", [False, True], ids=["owner", "standby"])
def test_a_restart_in_place_moves_nothing_and_loses_nothing(
    lab: Lab, owner: str, order: Callable[[Lab, str], None], standby: bool
) -> None:
    node = faults.peer_of(owner) if standby else owner
    before = pids(lab, node)
    assert set(before) == PROCESSES
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        order(lab, node)
        wait_until(lambda: replaced(before, pids(lab, node)), 30, "new processes under the old parent")
        wait_until(lambda: answers(lab, node), 20, "an engine that answers")
        demo.settle(lab, "the restart")
        end = time.time_ns()
        time.sleep(0.3)
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, end) if stream.lost] == []
    assert all(tcp.alive == tcp.connections for tcp in result.tcp)
    assert topology.primary_node(lab) == owner
    for one in result.ownerships(begin, result.end):
        assert one.final_owner == NODES.index(owner)
        assert one.two_owners_ms == 0
    said = [line for _, line in demo.messages(lab, begin, time.time_ns())]
    assert any(f" {node} " in line and "restarted in place" in line for line in said)
    other = faults.peer_of(owner)
    assert not [line for line in said if f" {other} JSRPD_RG_STATE_CHANGE" in line and "'primary'" in line]


def replaced(before: dict[str, int], now: dict[str, int]) -> bool:
    """The parent is the same process, everything else another."""
    same = {title for title in PROCESSES if before[title] == now.get(title)}
    return set(now) == PROCESSES and same == {"jsrpd"}


def test_a_configuration_that_is_not_fit_refuses_the_restart(lab: Lab, owner: str) -> None:
    before, file = pids(lab, owner), lab.node_directory(owner, "etc") / "jsrpd.conf"
    text = file.read_text()
    file.write_text(text.replace("heartbeat-interval", "heartbeat-intervall"))
    try:
        with pytest.raises(LabError) as error:
            command(lab, owner, "request", "daemon", "restart")
        assert "see: jsrpd -C" in str(error.value)
        assert pids(lab, owner) == before
    finally:
        file.write_text(text)


@pytest.mark.parametrize("name", ["engine", "kernel", "gateway", "monitors", "sessions"])
def test_the_death_of_a_child_loses_nothing(lab: Lab, owner: str, name: str) -> None:
    title = f"jsrpd: {name}"
    before = pids(lab, owner)
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        os.kill(before[title], signal.SIGKILL)
        wait_until(lambda: pids(lab, owner).get(title) not in (None, before[title]), 20, f"another {title}")
        wait_until(lambda: answers(lab, owner), 20, "an engine that answers")
        time.sleep(1)
        end = time.time_ns()
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, end) if stream.lost] == []
    assert topology.primary_node(lab) == owner


def test_a_crash_loop_of_the_engine_gives_the_groups_away(lab: Lab, owner: str) -> None:
    """Each new engine is killed as soon as it is there, until the lease has run out and the other node has taken over."""
    other = faults.peer_of(owner)

    def taken() -> bool:
        engine = pids(lab, owner).get("jsrpd: engine")
        if engine is not None:
            topology.signal_all([engine], signal.SIGKILL)
        return topology.group_states(lab, other)[1][NODES.index(other)] == "primary"

    with traffic.running(lab, OPTIONS) as flow:
        wait_until(taken, 30, "the other node as primary")
        wait_until(lambda: answers(lab, owner), 20, "an engine that stays")
        demo.settle(lab, "the crash loop")
        time.sleep(0.5)
        result = flow.finish(now=True)
    assert topology.primary_node(lab) == other
    assert all(tcp.alive == tcp.connections for tcp in result.tcp)
    for one in result.ownerships(result.begin, result.end):
        assert one.two_owners_ms == 0


def test_the_loss_of_the_parent_is_a_planned_hand_over(lab: Lab, owner: str) -> None:
    other = faults.peer_of(owner)
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        os.kill(pids(lab, owner)["jsrpd"], signal.SIGKILL)
        wait_until(lambda: topology.group_states(lab, other)[1][NODES.index(other)] == "primary", 20, "the other node as primary")
        wait_until(lambda: not pids(lab, owner), 20, "nothing left of the daemon")
        time.sleep(0.5)
        end = time.time_ns()
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, end) if stream.lost] == []
    said = Path(topology.log_file(lab, owner)).read_text(errors="replace")
    assert "due to Node shutdown" in said


def test_with_a_short_lease_it_hands_over_first(tmp_path: Path) -> None:
    """10 ms x 5: no successor could find that lease running (SPEC section 2)."""
    made = Lab(f"js{os.getpid()}", tmp_path / "lab")
    try:
        topology.up(made, Settings(interval_ms=10, threshold=5, control_links=1))
        demo.settle(made, "the start")
        owner = topology.primary_node(made)
        other, before = faults.peer_of(owner), pids(made, owner)
        with traffic.running(made, OPTIONS) as flow:
            begin = time.time_ns()
            by_signal(made, owner)
            wait_until(lambda: replaced(before, pids(made, owner)), 30, "new processes under the old parent")
            demo.settle(made, "the restart")
            end = time.time_ns()
            time.sleep(0.3)
            result = flow.finish(now=True)
        assert [stream for stream in result.window(begin, end) if stream.lost] == []
        assert topology.primary_node(made) == other
    finally:
        topology.down(made)


def test_the_watchdog_is_petted_by_the_owner_alone(lab: Lab, owner: str, tmp_path: Path) -> None:
    """A FIFO stands for the device: a crash leaves it armed for the successor, a hand-over and an end disarm it."""
    device = tmp_path / "watchdog"
    os.mkfifo(device)
    end = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    heard = bytearray()

    def listen(wanted: Callable[[], bool]) -> bool:
        with contextlib.suppress(BlockingIOError):
            heard.extend(os.read(end, 4096))
        return wanted()

    # A parent that has seen no crash: it would wait before it starts the successor, and the group would move.
    old = pids(lab, owner)
    by_signal(lab, owner)
    wait_until(lambda: replaced(old, pids(lab, owner)), 30, "new processes under the old parent")
    demo.settle(lab, "the restart")
    file = lab.node_directory(owner, "etc") / "jsrpd.conf"
    text = file.read_text()
    file.write_text(text.replace("reth-count 2;", f"reth-count 2; watchdog {{ device {device}; }}"))
    try:
        os.kill(pids(lab, owner)["jsrpd"], signal.SIGHUP)
        wait_until(lambda: listen(lambda: len(heard) >= 2), 20, "two signs of life")
        before = pids(lab, owner)["jsrpd: engine"]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: pids(lab, owner).get("jsrpd: engine") not in (None, before), 20, "another engine")
        heard.clear()
        wait_until(lambda: listen(lambda: len(heard) >= 2), 20, "signs of life of the successor")
        assert b"V" not in heard
        heard.clear()
        faults.inject(lab, "handover", owner)
        command(lab, owner, "request", "chassis", "cluster", "maintenance", "on")
        wait_until(lambda: listen(lambda: heard.endswith(b"V")), 20, "the end of the watch")
    finally:
        file.write_text(text)
        command(lab, owner, "request", "chassis", "cluster", "maintenance", "off")
        os.kill(pids(lab, owner)["jsrpd"], signal.SIGHUP)
        os.close(end)
