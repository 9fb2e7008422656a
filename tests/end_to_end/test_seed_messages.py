"""The 25 commissioned messages: the real condition provokes each of them, and a real rsyslogd receives it in both forms.

``LONE`` and ``CLUSTER`` name a condition for each; that none is missing is judged without running any.
"""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, SWITCH, Lab, Settings, inside, ip_batch, port_of, wait_until
from jsrpd.messages.catalogue import CATALOGUE
from tests.end_to_end.process_fixtures import CONFIGURATION, Node, bare_node
from tests.end_to_end.real_syslog import HOSTS, HOSTS_OF_BOTH_FORMS, Rsyslogd
from tests.end_to_end.test_cluster import log_of
from tests.end_to_end.test_monitors import SECONDARY_V4
from tests.end_to_end.test_process_contract import REFUSALS

PATIENCE_S = 60

# -- one node -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoggedNode:
    """A configured node whose log a real rsyslogd receives."""

    node: Node
    log: Rsyslogd


@pytest.fixture
def logged() -> Iterator[LoggedNode]:
    """Nothing runs but rsyslogd."""
    with bare_node() as node:
        node.configure(CONFIGURATION + HOSTS)
        node.log_socket = "rsyslog/log"
        rsyslogd = Rsyslogd(node.namespace, node.lab.directory / "rsyslog")
        try:
            yield LoggedNode(node, rsyslogd)
        finally:
            rsyslogd.end()


def refusal(case: str) -> Callable[[LoggedNode], None]:
    """A start that is refused."""

    def provoke(logged: LoggedNode) -> None:
        refused = REFUSALS[case]
        done = logged.node.run("jsrpd", *refused.options, prepare=refused.prepare, wrap=refused.wrap)
        assert done.returncode == refused.code

    return provoke


def second_copy(logged: LoggedNode) -> None:
    logged.node.start()
    assert logged.node.run("jsrpd", "-N").returncode == 75


def something_in_the_way(logged: LoggedNode) -> None:
    """Of the management socket."""
    logged.node.management.mkdir()
    logged.node.start()


def no_descriptor_left(logged: LoggedNode) -> None:
    """For the management socket, which the gateway makes when nothing is in its way any more."""
    something_in_the_way(logged)
    logged.log.wait_for("JSRPD_SOCKET_LISTEN_FAILURE")
    gateway = logged.node.pids()["jsrpd: gateway"]
    resource.prlimit(gateway, resource.RLIMIT_NOFILE, (3, resource.prlimit(gateway, resource.RLIMIT_NOFILE)[1]))
    logged.node.management.rmdir()


def peer_without_daemon(logged: LoggedNode) -> None:
    """Its kernel refuses the heartbeats."""
    logged.node.start()


LONE: dict[str, Callable[[LoggedNode], None]] = {
    "JSRPD_USAGE": refusal("unknown option"),
    "JSRPD_NOT_ROOT": refusal("not root"),
    "JSRPD_DAEMONIZE_FAILED": refusal("first fork"),
    "JSRPD_DUPLICATE": second_copy,
    "JSRPD_PID_FILE_LOCK": refusal("directory at the PID file"),
    "JSRPD_PID_FILE_UPDATE": refusal("full disk"),
    "JSRPD_SOCKET_LISTEN_FAILURE": something_in_the_way,
    "JSRPD_SOCKET_CREATION_FAILURE": no_descriptor_left,
    "JSRPD_SOCKET_RECV_HB_FAILURE": peer_without_daemon,
}


@pytest.mark.parametrize("tag", LONE)
def test_of_a_node_alone(logged: LoggedNode, tag: str) -> None:
    LONE[tag](logged)
    logged.log.wait_for(tag)


def test_a_refusal_without_a_readable_configuration(logged: LoggedNode) -> None:
    """There is nobody to tell but /dev/log, and that is enough."""
    (logged.node.directory("etc") / "jsrpd.conf").write_text("chassis {")
    assert logged.node.run("jsrpd", "-Z").returncode == 64
    logged.log.wait(lambda: [(one.tag, one.data) for one in logged.log.received()] == [("JSRPD_USAGE", None)], "usage")


# -- a cluster ------------------------------------------------------------------------------------------------------------

SETTINGS = Settings(interval_ms=100, threshold=3)
WORKER = "seedworker"
WATCHED = f"""
            ip-monitoring {{
                retry-interval 0.2;
                family inet {{
                    10.2.0.100 interface reth1.0 secondary-ip-address {SECONDARY_V4};
                }}
            }}
        }}
        in-band-heartbeat off;
        control-link-recovery manual;
        spu-monitoring {{
            process {WORKER};
        }}
        npc-monitoring {{
            flap-limit 3;
        """
"""Statements of group 1 and of the cluster. Without hellos, whose monitor would tell of a silent segment first."""
FLAPS = 5


@dataclass(frozen=True)
class LoggedLab:
    """A running cluster, the logs of its nodes received by real rsyslogds."""

    lab: Lab
    logs: dict[str, Rsyslogd]

    def lengths(self) -> dict[str, int]:
        """How much each has received so far."""
        return {node: len(log.received()) for node, log in self.logs.items()}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoggedLab]:
    """With the monitors that the lab has not by itself."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    lab = Lab(f"jx{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    logs: dict[str, Rsyslogd] = {}
    try:
        topology.up(lab, SETTINGS)
        demo.settle(lab, "the start")
        shutil.copy(shutil.which("sleep") or "sleep", lab.directory / WORKER)
        for node in NODES:
            logs[node] = Rsyslogd(lab.namespace(node), lab.directory / f"rsyslog-{node}")
            start_worker(lab, node)
            configure(lab, node, configuration())
        yield LoggedLab(lab, logs)
    finally:
        for log in logs.values():
            log.end()
        topology.down(lab)


def configuration() -> str:
    last = "            interface-monitor wan weight 255;\n"
    text = topology.configuration(SETTINGS)
    assert text.count(last) == 1
    return text.replace(last, last + WATCHED) + HOSTS_OF_BOTH_FORMS


def start_worker(lab: Lab, node: str) -> None:
    """The declared process."""
    subprocess.run(["setsid", "--fork", *inside(lab.namespace(node), str(lab.directory / WORKER), "100000")], check=True, cwd="/")


def workers(lab: Lab, node: str) -> list[int]:
    return [pid for pid, title in topology.processes(lab, node).items() if title.startswith(str(lab.directory / WORKER))]


def flap(lab: Lab, node: str) -> None:
    """The carrier of a card goes and comes, more often than is allowed in a minute."""
    for _ in range(FLAPS):
        for state in ("down", "up"):
            ip_batch(lab.namespace(SWITCH), [f"link set {port_of(node, 'lan')} {state}"])
            time.sleep(0.1)  # For the card to see it; the wait is for the verdict.


def restart(lab: Lab, node: str) -> None:
    """A node that comes back without any session."""
    faults.inject(lab, "kill", node)
    wait_until(lambda: not topology.daemon_processes(lab, node), PATIENCE_S, "the end")
    faults.inject(lab, "power-on", node)


def restart_without_fabric(lab: Lab, node: str) -> None:
    """And without a way to get any: with one, few are there before anybody has asked for them."""
    faults.inject(lab, "silent-fabric")
    restart(lab, node)


def configure(lab: Lab, node: str, text: str) -> None:
    """A file that is put in place, and the signal to read it."""
    before = log_of(lab, node).count("configuration reloaded")
    (lab.node_directory(node, "etc") / "jsrpd.conf").write_text(text)
    (parent,) = [pid for pid, title in topology.daemon_processes(lab, node).items() if title == "jsrpd"]
    os.kill(parent, signal.SIGHUP)
    wait_until(lambda: log_of(lab, node).count("configuration reloaded") > before, PATIENCE_S, "the reload")


def other_mode(lab: Lab, node: str) -> None:
    """Committed, and not in force before the daemon starts anew."""
    word = "        reth-count 2;\n"
    assert configuration().count(word) == 1
    configure(lab, node, configuration().replace(word, f"{word}        redundancy-mode active-backup;\n"))


def former_mode(lab: Lab, node: str) -> None:
    configure(lab, node, configuration())
    restart(lab, node)


def take_back(lab: Lab, node: str) -> None:
    """The control link is back, and the operator says so."""
    faults.heal(lab)
    faults.request(lab, node, "rejoin")


@dataclass(frozen=True)
class Condition:
    """What is done to a node, how it ends, and who says what (``self``: that node, ``other``: its peer) meanwhile and then."""

    provoke: Callable[[Lab, str], object]
    said: tuple[tuple[str, str], ...]
    end: Callable[[Lab, str], object] = lambda lab, _node: faults.heal(lab)
    said_then: tuple[tuple[str, str], ...] = ()
    to_primary: bool = True
    mend: Callable[[Lab, str], object] = lambda _lab, _node: None
    """What else must be done before another condition."""


CLUSTER = {
    "interface down": Condition(
        lambda lab, node: faults.inject(lab, "cut-lan", node),
        (("self", "JSRPD_SET_INTF_MON_FAILURE"), ("other", "JSRPD_SET_OTHER_INTF_MON_FAIL"), ("self", "JSRPD_RG_STATE_CHANGE")),
        said_then=(("self", "JSRPD_UNSET_INTF_MON_FAILURE"), ("other", "JSRPD_UNSET_OTHER_INTF_MON_FAIL")),
    ),
    "upstream dead": Condition(
        lambda lab, node: faults.inject(lab, "silent-wan", node),
        (("self", "JSRPD_SET_IP_MON_FAILURE"),),
        said_then=(("self", "JSRPD_UNSET_IP_MON_FAILURE"),),
    ),
    "packet process dead": Condition(
        lambda lab, node: topology.signal_all(workers(lab, node), signal.SIGKILL),
        (("self", "JSRPD_SET_SPU_MON_FAILURE"),),
        start_worker,
        (("self", "JSRPD_UNSET_SPU_MON_FAILURE"),),
    ),
    "no sessions yet": Condition(
        restart_without_fabric,
        (("self", "JSRPD_SET_CS_MON_FAILURE"),),
        lambda lab, _node: faults.heal(lab),
        (("self", "JSRPD_UNSET_CS_MON_FAILURE"),),
        to_primary=False,
    ),
    "flapping card": Condition(
        flap,
        (("self", "JSRPD_SET_NPC_MON_FAILURE"),),
        lambda _lab, _node: time.sleep(60),  # The minute in which flaps are counted.
        (("self", "JSRPD_UNSET_NPC_MON_FAILURE"),),
        to_primary=False,
    ),
    "another redundancy mode": Condition(
        other_mode,
        (("self", "JSRPD_REDUNDANCY_MODE_CHANGE"),),
        restart,
        (("self", "JSRPD_REDUNDANCY_MODE_MISMATCH"), ("other", "JSRPD_REDUNDANCY_MODE_MISMATCH")),
        to_primary=False,
        mend=former_mode,
    ),
    "no control link for three minutes": Condition(
        lambda lab, _node: faults.inject(lab, "silent-control"),
        (("self", "JSRPD_NODE_STATE_CHANGE"),),
        take_back,
        (("self", "JSRPD_NODE_STATE_CHANGE"),),
        to_primary=False,
    ),
}


@pytest.mark.parametrize("name", CLUSTER)
def test_of_a_cluster(running: LoggedLab, name: str) -> None:
    lab, condition = running.lab, CLUSTER[name]
    demo.settle(lab, "healing")
    primary = topology.primary_node(lab)
    victim = primary if condition.to_primary else faults.peer_of(primary)
    nodes = {"self": victim, "other": faults.peer_of(victim)}
    try:
        for act, said in ((condition.provoke, condition.said), (condition.end, condition.said_then)):
            since = running.lengths()
            act(lab, victim)
            for who, tag in said:
                running.logs[nodes[who]].wait_for(tag, since=since[nodes[who]])
    finally:
        condition.mend(lab, victim)


# -- nothing is missing -----------------------------------------------------------------------------------------------------


def test_each_message_has_its_condition() -> None:
    provoked = {tag for condition in CLUSTER.values() for _, tag in (*condition.said, *condition.said_then)} | set(LONE)
    assert provoked == {tag for tag, entry in CATALOGUE.items() if not entry.addition}
