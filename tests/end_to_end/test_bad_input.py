"""Bad input to one daemon: files, directories, interfaces, clients, pauses and clocks (SPEC section 15)."""

import contextlib
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from jsrpd.lab.topology import run, signal_all
from jsrpd.management.requests import MAX_LINE, NOT_ENABLED, ShowStatus, encode
from jsrpd.model.addressing import CONTROL_PORT
from tests.end_to_end.process_fixtures import CONFIGURATION, PATIENCE_S, PEER, Node, bare_node
from tests.end_to_end.test_gate import inside

PRIMARY = {0: "primary", 1: "primary"}


@pytest.fixture
def node() -> Iterator[Node]:
    """Clustered; nothing runs."""
    with bare_node() as made:
        made.configure()
        yield made


@pytest.fixture(scope="module")
def owner() -> Iterator[Node]:
    """A running node that owns the address."""
    with bare_node() as made:
        made.configure()
        made.start()
        made.wait_for_answer()
        yield made


@contextlib.contextmanager
def unharmed(node: Node) -> Iterator[None]:
    """The same processes before and after; nothing moved in between; it owns the address and sends its heartbeats."""
    node.wait(lambda: node.states() == PRIMARY, "a status")
    node.wait(lambda: len(node.log.find("JSRPD_RG_STATE_CHANGE", "to 'primary'")) >= len(PRIMARY), "its words on how it came to be")
    pids, since = node.pids(), len(node.log.lines)
    yield
    node.wait(lambda: node.states() == PRIMARY, "a status")
    assert node.pids() == pids
    assert node.log.find("JSRPD_RG_STATE_CHANGE", since=since) == []
    assert node.answers()
    assert hears_heartbeats(node)


def hears_heartbeats(node: Node) -> bool:
    """The peer's end of the control link, where no daemon runs, receives them."""
    with inside(node.client):
        index = socket.if_nametoindex("ctl")
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with listener:
        listener.settimeout(PATIENCE_S)
        listener.bind((PEER, CONTROL_PORT, 0, index))
        return listener.recv(2048).startswith(b"JSRP")


# -- configuration and key ------------------------------------------------------------------------------------------


def write(name: str, text: str) -> Callable[[Node], object]:
    return lambda node: (node.directory("etc") / name).write_text(text)


def remove(name: str) -> Callable[[Node], object]:
    return lambda node: (node.directory("etc") / name).unlink()


def open_to(mode: int) -> Callable[[Node], object]:
    return lambda node: (node.directory("etc") / "cluster.key").chmod(mode)


GENERATE = "jsrp request chassis cluster key generate"
FILES = {
    "configuration missing": (remove("jsrpd.conf"), ["jsrpd.conf", "No such file or directory"]),
    "configuration empty": (write("jsrpd.conf", ""), ["jsrpd.conf:"]),
    "configuration binary": (write("jsrpd.conf", "\0\1\2{"), ["jsrpd.conf:1:"]),
    "configuration cut off": (write("jsrpd.conf", CONFIGURATION[:200]), ["jsrpd.conf:"]),
    "configuration of 100 MB": (
        lambda node: os.truncate(node.directory("etc") / "jsrpd.conf", 100 << 20),
        ["jsrpd.conf:1:1: more than a configuration may have (2 MB)"],
    ),
    "configuration without an end": (
        lambda node: (
            (node.directory("etc") / "jsrpd.conf").unlink() or (node.directory("etc") / "jsrpd.conf").symlink_to("/dev/urandom")
        ),
        ["jsrpd.conf:1:1: more than a configuration may have"],
    ),
    "braces without an end": (write("jsrpd.conf", "a { " * 100_000), ["jsrpd.conf:1:257: more than 64 levels deep"]),
    "groups of groups": (
        write("jsrpd.conf", "groups { a { apply-groups b; } b { apply-groups a; } }\napply-groups a;\n"),
        ["groups a: unknown statement apply-groups", "groups b: unknown statement apply-groups"],
    ),
    "several mistakes": (
        write("jsrpd.conf", CONFIGURATION.replace("heartbeat-interval 100", "heartbeat-intervall 100").replace("200", "999")),
        ["unknown statement heartbeat-intervall (did you mean heartbeat-interval?)", "node 0 priority: 999 is not within"],
    ),
    "identity out of range": (write("identity.conf", "cluster-id 256;\nnode 0;\n"), ["cluster-id must be 0..255"]),
    "identity cut off": (write("identity.conf", "cluster-id 7;\nno"), ["identity.conf:2"]),
    "key missing": (remove("cluster.key"), ["is missing", GENERATE]),
    "key of the group": (open_to(0o640), ["can be read by others", "chmod 600"]),
    "key of the world": (open_to(0o604), ["can be read by others", "chmod 600"]),
    "key too short": (write("cluster.key", "5a" * 31), ["has 31 bytes instead of 32", f"{GENERATE} force"]),
    "key no text": (write("cluster.key", "secret"), ["is not hexadecimal", f"{GENERATE} force"]),
}


@pytest.mark.parametrize(("spoil", "said"), FILES.values(), ids=FILES)
def test_bad_file(node: Node, spoil: Callable[[Node], object], said: list[str]) -> None:
    """Not started: the place and what mends it, to the operator and to the log."""
    spoil(node)
    done = node.run("jsrpd")
    assert done.returncode == 78
    line = node.log.wait_for("JSRPD_CONFIGURATION_INVALID")
    assert done.stderr == f"jsrpd: {line.text}\n"
    for part in said:
        assert part in line.text
    assert node.pids() == {}
    assert list(node.directory("run").iterdir()) == []


def test_not_clustered(node: Node) -> None:
    """Without an identity it runs and answers the vendor's sentence; ``-C`` says what to do."""
    (node.directory("etc") / "identity.conf").unlink()
    node.start()
    node.wait(lambda: node.ask() is not None, "an answer")
    shown = node.run("jsrp", "show", "chassis", "cluster", "status")
    assert (shown.returncode, shown.stdout + shown.stderr) == (1, f"{NOT_ENABLED}\n")
    checked = node.run("jsrpd", "-C")
    assert (checked.returncode, checked.stderr) == (78, "not clustered; use: jsrp set chassis cluster cluster-id 1 node 0\n")


# -- directories ----------------------------------------------------------------------------------------------------

NO_STATE = {
    "read-only": ('mount -t tmpfs -o ro none "$STATE_DIRECTORY"', "Read-only file system"),
    "a file in its place": ('rmdir "$STATE_DIRECTORY"; touch "$STATE_DIRECTORY"', "File exists"),
    "full": ('mount -t tmpfs -o size=4k none "$STATE_DIRECTORY"; printf x > "$STATE_DIRECTORY/fill"', ""),
}


@pytest.mark.parametrize(("prepare", "said"), NO_STATE.values(), ids=NO_STATE)
def test_state_directory_cannot_be_written(node: Node, prepare: str, said: str) -> None:
    """Without the journal the cluster runs all the same, and says so."""
    node.start(prepare=prepare)
    if said:
        assert said in node.log.wait_for("JSRPD_NOTICE", "no journal").text
    node.wait_for_answer()


FULL = 'mount -t tmpfs -o size=16k none "$STATE_DIRECTORY"; head -c 100k /dev/zero > "$STATE_DIRECTORY/fill" || :'
COMMIT = """printf 'set chassis cluster redundancy-group 1 gratuitous-arp-count 8\\ncommit\\n' | "$@" """


def test_a_commit_on_a_full_disk(node: Node) -> None:
    """Refused with the reason; what was in force is in force, on the disk as well, and no lock is left behind."""
    node.start(prepare=FULL)
    node.wait_for_answer()
    before = (node.directory("etc") / "jsrpd.conf").read_text()
    with unharmed(node):
        for _ in range(2):
            done = node.run("jsrp", "configure", wrap=("sh", "-c", COMMIT, "sh"))
            assert done.returncode == 1
            assert "No space left on device; nothing was committed" in done.stderr
        assert (node.directory("etc") / "jsrpd.conf").read_text() == before
        assert not list(node.directory("etc").glob(".jsrpd.conf*"))
        exclusive = node.run("jsrp", "configure", "exclusive", wrap=("sh", "-c", 'echo "commit check" | "$@"', "sh"))
        assert "configuration check succeeds" in exclusive.stdout, exclusive.stderr


def test_a_reload_of_a_file_without_end(node: Node) -> None:
    """The old configuration runs on, and every command answers."""
    node.start()
    # Whoever answers has not always logged it yet.
    for group in (0, 1):
        node.log.wait_for("JSRPD_RG_STATE_CHANGE", f"Redundancy-group {group} transitioned from 'secondary' to 'primary'")
    with unharmed(node):
        os.truncate(node.directory("etc") / "jsrpd.conf", 100 << 20)
        os.kill(int(node.pid_file.read_text()), signal.SIGHUP)
        assert "more than a configuration may have" in node.log.wait_for("JSRPD_CONFIGURATION_INVALID", "reload refused").text
        shown = node.run("jsrp", "show", "configuration")
        assert (shown.returncode, "more than a configuration may have" in shown.stderr) == (1, True)
        found = node.run("jsrp", "doctor", "|", "display", "json")
        assert "more than a configuration may have" in found.stdout


# -- interfaces -----------------------------------------------------------------------------------------------------


def test_interface_comes_and_goes(node: Node) -> None:
    """Absent at start it counts as down; each time it appears it is taken up, under whatever index."""
    node.unplug("lan")
    node.start()
    for _ in range(2):
        since = len(node.log.lines)
        node.log.wait_for("JSRPD_SET_INTF_MON_FAILURE")
        node.plug("lan")
        node.log.wait_for("JSRPD_UNSET_INTF_MON_FAILURE", since=since)
        node.wait_for_answer()
        since = len(node.log.lines)
        node.unplug("lan")
        node.log.wait_for("JSRPD_SET_INTF_MON_FAILURE", since=since)
    assert set(node.states()) == {0, 1}


def test_control_link_comes_and_goes(node: Node) -> None:
    """Heartbeats leave by it as soon as it is there."""
    node.unplug("ctl")
    node.start()
    node.wait_for_answer()
    for _ in range(2):
        node.plug("ctl")
        assert hears_heartbeats(node)
        node.unplug("ctl")
    assert node.states() == PRIMARY
    assert node.answers()


# -- management clients ---------------------------------------------------------------------------------------------

CLIENTS = 100
GARBAGE = {
    "bytes": random.Random(1).randbytes(MAX_LINE),
    "a line without end": b"x" * (4 * MAX_LINE),
    "deep": b"[" * (MAX_LINE - 2) + b"\n",
    "not a request": b'{"type": "reboot"}\n',
    "bad UTF-8": b'{"type": "\xff"}\n',
    "out of range": b'{"type": "failover", "group": 1000000, "node": 9}\n',
}


def connect(node: Node) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Connected without a time limit, which would make a full queue an error instead of a wait (unix(7)).
    made.connect(str(node.management))
    made.settimeout(PATIENCE_S)
    return made


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_client_that_sends_garbage(owner: Node, garbage: bytes) -> None:
    """It is disconnected."""
    with unharmed(owner), connect(owner) as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(garbage + b"\n")
        while client.recv(1 << 16):
            pass


def test_clients_that_stall(owner: Node) -> None:
    """More than are served, and none says anything."""
    with contextlib.ExitStack() as stack, unharmed(owner):
        for _ in range(CLIENTS):
            stack.enter_context(connect(owner))
        assert owner.states() == PRIMARY


def test_client_that_floods(owner: Node) -> None:
    """Questions as fast as they are taken, and no answer read: its end comes, others are served meanwhile."""
    with unharmed(owner), connect(owner) as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(encode(ShowStatus()) * 100)
        assert owner.states() == PRIMARY


# -- pauses and clocks ----------------------------------------------------------------------------------------------


def test_pause_of_everything(owner: Node) -> None:
    """While the node stands still its gate shuts by itself; with no peer that could have taken over it opens again."""
    with unharmed(owner):
        pids = owner.pids().values()
        signal_all(pids, signal.SIGSTOP)
        try:
            owner.wait(lambda: not owner.answers(), "the end of the lease")
        finally:
            signal_all(pids, signal.SIGCONT)
        owner.wait_for_answer()


STEPPED_CLOCK = """import time
from pathlib import Path

real = time.time
time.time = lambda: real() + int(Path({path!r}).read_text() or 0)
"""
DAYS = 86400


def test_clock_step(node: Node) -> None:
    """The wall clock leaps 40 days ahead, then 40 back: log lines carry the new time, nothing else notices.

    No namespace has a wall clock of its own (time_namespaces(7)) and the machine's belongs to others, so it is stepped
    where the daemon reads it. That decisions read another one, which nobody can set, is what this shows.
    """
    offset = node.lab.directory / "offset"
    offset.write_text("0")
    (node.lab.directory / "sitecustomize.py").write_text(STEPPED_CLOCK.format(path=str(offset)))
    path = f"{node.lab.directory}:{os.environ.get('PYTHONPATH', '')}"
    node.start(environment={"PYTHONPATH": path})
    node.wait_for_answer()
    month = node.log.wait_for("JSRPD_RG_STATE_CHANGE").stamp[:3]
    with unharmed(node):
        for days, link, tag in ((40, "down", "JSRPD_SET_INTF_MON_FAILURE"), (-40, "up", "JSRPD_UNSET_INTF_MON_FAILURE")):
            offset.write_text(str(days * DAYS))
            run("ip", "-n", node.client, "link", "set", "lan", link)
            assert node.log.wait_for(tag).stamp[:3] != month
        node.wait_for_answer()
