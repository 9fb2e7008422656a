"""Role-bound services on a real cluster: commands that start and stop real processes, and units.

systemd does not run where these tests do: ``systemctl`` is a script in front of the PATH that starts and stops a process
and keeps a record, as the commands do. What is judged is that record, which processes live on which node, and the log.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings, inside, run, wait_until
from tests.end_to_end.test_cluster import log_of, transitions

SETTINGS = Settings(interval_ms=100, threshold=3)
PATIENCE_S = 60.0
WEB, NAMED, ROUTED = "web", "named.service", "routed"
SERVICES = (WEB, NAMED, ROUTED)
SCRIPT = """#!/bin/sh
# service start|stop NAME; also installed as systemctl
here={directory}
echo "$(date +%s%N) node$NODE $1 $2 $GROUP $STATE" >> $here/record
if [ -e "$here/hang-$1-$2-$NODE" ]; then sleep 4321; fi
if [ -e "$here/bad-$1-$2-$NODE" ]; then exit 7; fi
case $1 in
start) [ -e "$here/pid-$2-$NODE" ] || {{ setsid "$here/worker" 100000 <&- >&- 2>&- & echo $! > "$here/pid-$2-$NODE"; }} ;;
stop) if [ -e "$here/pid-$2-$NODE" ]; then kill "$(cat "$here/pid-$2-$NODE")"; rm "$here/pid-$2-$NODE"; fi ;;
esac
"""
TOLD = """#!/bin/sh
if [ -e "{directory}/hang-tell-$NODE" ]; then exec sleep 4321; fi
echo "node$NODE RG$GROUP $OLD_STATE > $STATE: $REASON" >> {directory}/told
"""


def statements(lab: Lab) -> tuple[str, str]:
    """Of group 0 and of group 1."""

    def service(name: str) -> str:
        command = f"{lab.directory}/service"
        return f'service {name} {{ start "{command} start {name}"; stop "{command} stop {name}"; timeout 2; }}'

    told = f'notification told {{ command "{lab.directory}/tell"; timeout 2; }}'
    return service(ROUTED), f"{service(WEB)} service named {{ unit {NAMED}; timeout 2; }} {told}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster whose groups have services."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"js{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{made.directory}/bin:{path}"
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        configure(made)
        yield made
    finally:
        os.environ["PATH"] = path
        for node in NODES:
            topology.signal_all(list(running(made, node)), signal.SIGKILL)
        topology.down(made)


def configure(lab: Lab) -> None:
    (lab.directory / "bin").mkdir()
    (lab.directory / "record").touch()
    for path, script in (("service", SCRIPT), ("bin/systemctl", SCRIPT), ("tell", TOLD)):
        (lab.directory / path).write_text(script.format(directory=lab.directory))
        (lab.directory / path).chmod(0o755)
    run("cp", subprocess.check_output(["which", "sleep"], text=True).strip(), str(lab.directory / "worker"))
    zero, one = statements(lab)
    text = topology.configuration(SETTINGS)
    text = text.replace("hold-down-interval 1;", f"hold-down-interval 1; {zero}")
    text = text.replace("interface-monitor wan weight 255;", f"interface-monitor wan weight 255; {one}")
    for node in NODES:
        (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(text)
    for node in NODES:
        (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
        os.kill(parent, signal.SIGHUP)
    for node in NODES:
        wait_until(lambda node=node: "configuration reloaded" in log_of(lab, node), PATIENCE_S, "the reload")  # type: ignore[misc]


@dataclass(frozen=True)
class Record:
    """One run of a command."""

    at: int
    node: str
    step: str
    name: str
    state: str


def record(lab: Lab, since: int = 0) -> list[Record]:
    rows = [line.split() for line in (lab.directory / "record").read_text().splitlines()]
    found = [Record(int(at), node, step, name, " ".join(state)) for at, node, step, name, _group, *state in rows]
    return [one for one in found if one.at >= since]


def steps(lab: Lab, since: int, node: str) -> list[str]:
    return [f"{one.step} {one.name}" for one in record(lab, since) if one.node == node]


def running(lab: Lab, node: str) -> dict[int, str]:
    """Services that live on a node, by process."""
    found = {}
    for name in SERVICES:
        path = lab.directory / f"pid-{name}-{NODES.index(node)}"
        if path.exists() and (pid := path.read_text().strip()) and Path("/proc", pid).exists():
            found[int(pid)] = name
    return found


def names(lab: Lab, node: str) -> list[str]:
    return sorted(running(lab, node).values())


@pytest.fixture
def primary(lab: Lab) -> str:
    """The primary of both groups, with everything running there and nothing elsewhere."""
    faults.heal(lab)
    for path in (*lab.directory.glob("bad-*"), *lab.directory.glob("hang-*")):
        path.unlink()
    for node in NODES:
        command(lab, node, "clear", "chassis", "cluster", "service-failures")
    demo.settle(lab, "healing")
    for group in ("0", "1"):
        faults.request(lab, NODES[0], "failover", "reset", "redundancy-group", group)
    wait_until(lambda: settled(lab, 0) and settled(lab, 1), PATIENCE_S, "an owner and a standby of both groups")
    first = topology.primary_node(lab)
    if owner(lab, 0) != first:
        faults.request(lab, first, "failover", "redundancy-group", "0", "node", str(NODES.index(first)))
        wait_until(lambda: owner(lab, 0) == first, PATIENCE_S, "group 0 beside group 1")
        faults.request(lab, first, "failover", "reset", "redundancy-group", "0")
    wait_until(lambda: names(lab, first) == sorted(SERVICES), PATIENCE_S, f"the services on {first}")
    wait_until(lambda: names(lab, faults.peer_of(first)) == [], PATIENCE_S, "no service on the other node")
    wait_until(lambda: all(codes(lab, node) == [] for node in NODES), PATIENCE_S, "no failure")
    return first


def rows(lab: Lab, node: str, group: int) -> list[dict[str, object]]:
    groups = topology.cluster_status(lab, node)["groups"]
    assert isinstance(groups, list)
    (found,) = [one["nodes"] for one in groups if one["group"] == group]
    assert isinstance(found, list)
    return found


def owner(lab: Lab, group: int) -> str | None:
    return next((node for node, row in zip(NODES, rows(lab, NODES[0], group), strict=True) if row["state"] == "primary"), None)


def settled(lab: Lab, group: int) -> bool:
    """One node owns it, the other could."""
    return sorted(str(row["state"]) for row in rows(lab, NODES[0], group)) == ["primary", "secondary"]


def codes(lab: Lab, node: str) -> object:
    return next(row["failures"] for row in rows(lab, node, 1) if row["node"] == NODES.index(node))


def command(lab: Lab, node: str, *words: str) -> str:
    return run(*inside(lab.namespace(node), "jsrp", *words), env=lab.environment(node))


def fail_over(lab: Lab, group: int, to: str) -> int:
    wait_until(lambda: settled(lab, group), PATIENCE_S, "a standby that may have it")
    begin = time.time_ns()
    faults.request(lab, to, "failover", "redundancy-group", str(group), "node", str(NODES.index(to)))
    wait_until(lambda: owner(lab, group) == to, PATIENCE_S, f"group {group} on {to}")
    return begin


def terminate(lab: Lab, node: str) -> None:
    """As the service manager does it."""
    (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
    os.kill(parent, signal.SIGTERM)


# -- with the role ----------------------------------------------------------------------------------------------------


def test_a_planned_failover_stops_here_before_it_starts_there(lab: Lab, primary: str) -> None:
    other = faults.peer_of(primary)
    begin = fail_over(lab, 1, other)
    wait_until(lambda: names(lab, other) == sorted((WEB, NAMED)), PATIENCE_S, "the services there")
    assert names(lab, primary) == [ROUTED], "group 0 has not moved"
    assert steps(lab, begin, primary) == [f"stop {NAMED}", f"stop {WEB}"]
    assert steps(lab, begin, other) == [f"start {WEB}", f"start {NAMED}"]
    assert max(one.at for one in record(lab, begin) if one.step == "stop") < min(
        one.at for one in record(lab, begin) if one.step == "start"
    )
    assert {one.state for one in record(lab, begin) if one.step == "stop"} == {"primary"}, "it was still the owner"


def test_group_0_is_the_control_plane(lab: Lab, primary: str) -> None:
    other = faults.peer_of(primary)
    begin = fail_over(lab, 0, other)
    wait_until(lambda: names(lab, other) == [ROUTED], PATIENCE_S, "its service there")
    assert [f"{one.step} {one.name}" for one in record(lab, begin)] == [f"stop {ROUTED}", f"start {ROUTED}"]
    assert names(lab, primary) == sorted((WEB, NAMED))


def test_a_failed_monitor_moves_the_group_first_and_the_services_follow(lab: Lab, primary: str) -> None:
    other = faults.peer_of(primary)
    begin = time.time_ns()
    faults.inject(lab, "cut-lan", primary)
    wait_until(lambda: names(lab, other) == sorted((WEB, NAMED)), PATIENCE_S, "the services there")
    wait_until(lambda: names(lab, primary) == [ROUTED], PATIENCE_S, "none here")
    assert {one.state for one in record(lab, begin) if one.step == "stop"} <= {"secondary-hold", "secondary"}


def test_notifications_tell_every_change(lab: Lab, primary: str) -> None:
    other = faults.peer_of(primary)
    (lab.directory / "told").write_text("")
    fail_over(lab, 1, other)
    lines = {
        f"node{NODES.index(primary)} RG1 primary > secondary-hold: Manual failover",
        f"node{NODES.index(primary)} RG1 secondary-hold > secondary: Ready to become secondary",
        f"node{NODES.index(other)} RG1 secondary > primary: Remote is in secondary hold",
    }
    wait_until(lambda: set((lab.directory / "told").read_text().splitlines()) == lines, PATIENCE_S, "every change")


def test_a_notification_that_hangs_holds_up_nobody(lab: Lab, primary: str) -> None:
    """Group and services have moved while it hangs on both nodes; then it is killed, and what it was not told is told next."""
    other = faults.peer_of(primary)
    hangs = [lab.directory / f"hang-tell-{n}" for n in range(len(NODES))]
    for hang in hangs:
        hang.touch()
    (lab.directory / "told").write_text("")
    fail_over(lab, 1, other)
    wait_until(lambda: names(lab, other) == sorted((WEB, NAMED)), PATIENCE_S, "the services there")
    assert (lab.directory / "told").read_text() == ""
    killed = "notification 1 told: no end within 2 s, killed"
    wait_until(lambda: all(killed in log_of(lab, node) for node in NODES), PATIENCE_S, "the end of those that hang")
    for hang in hangs:
        hang.unlink()
    faults.request(lab, primary, "failover", "reset", "redundancy-group", "1")
    fail_over(lab, 1, primary)
    wait_until(lambda: "secondary > primary" in (lab.directory / "told").read_text(), PATIENCE_S, "the next change")


# -- what fails ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bad", "hang"])
def test_a_service_that_does_not_start_sends_the_group_back(lab: Lab, primary: str, kind: str) -> None:
    """And it does not come again by itself."""
    other = faults.peer_of(primary)
    (lab.directory / f"{kind}-start-{WEB}-{NODES.index(other)}").touch()
    begin = time.time_ns()
    faults.request(lab, other, "failover", "redundancy-group", "1", "node", str(NODES.index(other)))
    wait_until(lambda: codes(lab, other) == ["SV"], PATIENCE_S, "the failure")
    wait_until(lambda: owner(lab, 1) == primary, PATIENCE_S, "the group back")
    wait_until(lambda: names(lab, primary) == sorted(SERVICES), PATIENCE_S, "its services")
    changes = transitions(lab, begin, time.time_ns(), other)
    assert "primary > secondary-hold: Monitor failed: SV" in changes
    value = "exit 7" if kind == "bad" else "no end within 2 s"
    assert f"Monitor SV for redundancy-group 1: {WEB} failed: start: {value}" in log_of(lab, other)
    assert f"start: {value}" in command(lab, other, "show", "chassis", "cluster", "services")
    assert "SV" in command(lab, other, "show", "chassis", "cluster", "explain", "redundancy-group", "1")
    (lab.directory / f"{kind}-start-{WEB}-{NODES.index(other)}").unlink()
    assert codes(lab, other) == ["SV"], "only the operator knows that it is mended"
    assert "Cleared failures" in command(lab, other, "clear", "chassis", "cluster", "service-failures", "redundancy-group", "1")
    wait_until(lambda: codes(lab, other) == [], PATIENCE_S, "the end of the failure")


def test_a_hand_over_does_not_wait_for_ever(lab: Lab, primary: str) -> None:
    other = faults.peer_of(primary)
    hang = lab.directory / f"hang-stop-{WEB}-{NODES.index(primary)}"
    hang.touch()
    fail_over(lab, 1, other)
    wait_until(lambda: codes(lab, primary) == ["SV"], PATIENCE_S, "what was not stopped, as a failure")
    assert WEB in names(lab, primary)
    hang.unlink()
    wait_until(lambda: codes(lab, primary) == [], PATIENCE_S, "another attempt")
    assert names(lab, primary) == [ROUTED]


def test_a_killed_services_process_starts_nothing_twice(lab: Lab, primary: str) -> None:
    other = faults.peer_of(primary)
    begin = time.time_ns()
    before = running(lab, primary)
    (old,) = [pid for pid, title in topology.daemon_processes(lab, primary).items() if title == "jsrpd: services"]
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: "services process ended (signal 9)" in log_of(lab, primary), PATIENCE_S, "the end")
    wait_until(lambda: "running" in command(lab, primary, "show", "chassis", "cluster", "services"), PATIENCE_S, "its successor")
    fail_over(lab, 1, other)
    wait_until(lambda: names(lab, primary) == [ROUTED], PATIENCE_S, "what the predecessor had begun, stopped")
    assert steps(lab, begin, primary) == [f"stop {NAMED}", f"stop {WEB}"]
    assert {pid: name for pid, name in before.items() if name == ROUTED} == running(lab, primary)


def test_a_restart_in_place_leaves_the_services_running(lab: Lab, primary: str) -> None:
    """They follow the successor of the process that began them."""
    other = faults.peer_of(primary)
    begin, before = time.time_ns(), running(lab, primary)
    processes = {title: pid for pid, title in topology.daemon_processes(lab, primary).items()}
    assert "Restarting in place" in command(lab, primary, "request", "daemon", "restart")

    def renewed() -> bool:
        now = {title: pid for pid, title in topology.daemon_processes(lab, primary).items()}
        same = {title for title, pid in processes.items() if now.get(title) == pid}
        return set(now) == set(processes) and same == {"jsrpd"}

    wait_until(renewed, PATIENCE_S, "new processes under the old parent")
    wait_until(lambda: owner(lab, 1) == primary, PATIENCE_S, "an engine that answers")
    wait_until(lambda: "running" in command(lab, primary, "show", "chassis", "cluster", "services"), PATIENCE_S, "the services")
    assert running(lab, primary) == before
    assert record(lab, begin) == [], "no service was touched"
    fail_over(lab, 1, other)
    wait_until(lambda: names(lab, other) == sorted((WEB, NAMED)), PATIENCE_S, "the services there")
    assert steps(lab, begin, primary) == [f"stop {NAMED}", f"stop {WEB}"]


def test_a_daemon_that_is_stopped_leaves_nothing_running(lab: Lab, primary: str) -> None:
    """It hands over when its services have stopped, and what a lone node serves it stops as well."""
    other = faults.peer_of(primary)
    begin = time.time_ns()
    terminate(lab, primary)
    wait_until(lambda: names(lab, other) == sorted(SERVICES), PATIENCE_S, "everything there")
    assert names(lab, primary) == []
    assert "primary > secondary-hold: Node shutdown" in transitions(lab, begin, time.time_ns(), primary)
    for group in ((ROUTED,), (WEB, NAMED)):
        ends = [one.at for one in record(lab, begin) if one.node == primary and one.name in group]
        assert max(ends) < min(one.at for one in record(lab, begin) if one.node == other and one.name in group)
    terminate(lab, other)
    wait_until(lambda: names(lab, other) == [], PATIENCE_S, "nothing anywhere")
