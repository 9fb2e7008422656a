"""The process contract on the real system: every refusal provoked, daemonising, reload, crashes, a clean end.

SPEC sections 2 and 10. Each refusal is judged by its exit code, by what arrives at /dev/log and by what the operator
reads; the owner of the address by what the host on the LAN gets.
"""

import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd import __version__
from jsrpd.lab.topology import run
from jsrpd.processes.pid_file import AlreadyRunning, PidFile
from tests.end_to_end.process_fixtures import CONFIGURATION, DAEMON, Node, bare_node

FACILITY_DAEMON = 3 * 8
EMERGENCY, ERROR = 0, 3
USAGE = "Usage: jsrpd [-C] [-N] [-X] [-d debug-level] [-l] [-v]"
FULL_DISK = 'mount -t tmpfs -o size=4k none "$RUNTIME_DIRECTORY"; printf x > "$RUNTIME_DIRECTORY/fill"'


@pytest.fixture
def node() -> Iterator[Node]:
    """Not clustered; nothing runs."""
    with bare_node() as made:
        yield made


@pytest.fixture
def clustered(node: Node) -> Node:
    """Configured; nothing runs."""
    node.configure()
    return node


@pytest.fixture(scope="module")
def owner() -> Iterator[Node]:
    """A running node that owns the address and that no test harms for long."""
    with bare_node() as made:
        made.configure()
        made.start("-l")
        made.wait_for_answer()
        yield made


# -- refusals -------------------------------------------------------------------------------------------------------


def processes_at_most(limit: int) -> tuple[str, ...]:
    """Root in everything but the real user, whose number of processes is limited: the kernel exempts user 0 and whoever
    has one of these capabilities (copy_process)."""
    user = ("setpriv", "--ruid", "54321", "--euid", "0", "--bounding-set", "-sys_admin,-sys_resource")
    return (*user, "prlimit", f"--nproc={limit}:{limit}")


@dataclass(frozen=True)
class Refusal:
    """What is done to the daemon, and what it says."""

    tag: str
    text: str
    code: int
    severity: int = ERROR
    options: tuple[str, ...] = ("-N",)
    prepare: str = ""
    wrap: tuple[str, ...] = ()


DAEMONIZE = "Aborting, unable to run in the background as a daemon: Resource temporarily unavailable"
LOCK, UPDATE = "Unable to lock PID file: ", "Unable to update process PID file: "
AS_NOBODY = ("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""Who may read everything, because Python may be installed where only root looks."""
REFUSALS = {
    "unknown option": Refusal("JSRPD_USAGE", USAGE, 64, options=("-Z",)),
    "an argument": Refusal("JSRPD_USAGE", USAGE, 64, options=("start",)),
    "debug level 8": Refusal("JSRPD_USAGE", USAGE, 64, options=("-d", "8")),
    "not root": Refusal("JSRPD_NOT_ROOT", "Must be run as root", 77, wrap=AS_NOBODY),
    "first fork": Refusal("JSRPD_DAEMONIZE_FAILED", DAEMONIZE, 71, EMERGENCY, (), wrap=processes_at_most(1)),
    "second fork": Refusal("JSRPD_DAEMONIZE_FAILED", DAEMONIZE, 71, EMERGENCY, (), wrap=processes_at_most(2)),
    "directory at the PID file": Refusal(
        "JSRPD_PID_FILE_LOCK", f"{LOCK}Is a directory", 71, prepare='mkdir "$RUNTIME_DIRECTORY/jsrpd.pid"'
    ),
    "file at the directory": Refusal(
        "JSRPD_PID_FILE_LOCK", f"{LOCK}File exists", 71, prepare='rmdir "$RUNTIME_DIRECTORY"; touch "$RUNTIME_DIRECTORY"'
    ),
    "read-only": Refusal(
        "JSRPD_PID_FILE_LOCK", f"{LOCK}Read-only file system", 71, prepare='mount -t tmpfs -o ro none "$RUNTIME_DIRECTORY"'
    ),
    "full disk": Refusal("JSRPD_PID_FILE_UPDATE", f"{UPDATE}No space left on device", 71, prepare=FULL_DISK),
    "full disk, in the background": Refusal(
        "JSRPD_PID_FILE_UPDATE", f"{UPDATE}No space left on device", 71, options=(), prepare=FULL_DISK
    ),
}


def refused(node: Node, case: Refusal) -> None:
    """Start it; see that it is refused as it should be, and that nothing runs."""
    done = node.run("jsrpd", *case.options, prepare=case.prepare, wrap=case.wrap)
    assert (done.returncode, done.stdout, done.stderr) == (case.code, "", f"jsrpd: {case.text}\n")
    line = node.log.wait_for(case.tag)
    assert (line.text, line.priority) == (case.text, FACILITY_DAEMON + case.severity)


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_refusal(node: Node, case: Refusal) -> None:
    refused(node, case)
    node.wait(lambda: node.pids() == {}, "no process left")
    assert len(node.log.lines) == 1


NO_GATE = {
    "no right to make the map": (("setpriv", "--bounding-set", "-bpf,-sys_admin"), "the gate cannot be made: "),
    "no right to load the program": (("setpriv", "--bounding-set", "-net_admin,-sys_admin"), "the gates cannot be attached"),
    "a clock that is not the gate's": (("unshare", "--time", "--boottime", "86400", "--fork"), "boot-time clock"),
}


@pytest.mark.parametrize("options", [("-N",), ()], ids=["foreground", "background"])
@pytest.mark.parametrize(("wrap", "text"), NO_GATE.values(), ids=NO_GATE)
def test_no_gate_no_daemon(clustered: Node, options: tuple[str, ...], wrap: tuple[str, ...], text: str) -> None:
    """Who waits for a daemon in the background learns of it as well."""
    done = clustered.run("jsrpd", *options, wrap=wrap)
    assert done.returncode == 71
    line = clustered.log.wait_for("JSRPD_CONFIGURATION_INVALID")
    assert text in line.text
    assert done.stderr.endswith(f"jsrpd: {line.text}\n")
    clustered.wait(lambda: clustered.pids() == {}, "no process left")
    assert not clustered.pid_file.exists()


def test_killed_while_it_starts(clustered: Node) -> None:
    """Who waits in front of the shell is not left waiting."""
    wrap, _ = NO_GATE["no right to load the program"]
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(clustered.run, "jsrpd", wrap=wrap)
        clustered.log.wait_for("JSRPD_NOTICE", "kernel process ended")
        os.kill(int(clustered.pid_file.read_text()), signal.SIGKILL)
        done = starting.result()
    assert (done.returncode, done.stdout, done.stderr) == (71, "", "jsrpd: it ended while it started\n")


@pytest.mark.parametrize("options", [("-N",), ()], ids=["foreground", "background"])
def test_duplicate(owner: Node, options: tuple[str, ...]) -> None:
    """The second is refused, the first does not notice."""
    before = owner.pids()
    refused(owner, Refusal("JSRPD_DUPLICATE", "Another copy of this program is running", 75, options=options))
    assert owner.pids() == before
    assert owner.pid_file.read_text() == f"{before['jsrpd']}\n"
    assert owner.answers()


# -- options --------------------------------------------------------------------------------------------------------

BROKEN = CONFIGURATION.replace("heartbeat-threshold 5", "heartbeat-threshold 500").replace("priority 100", "priorty 100", 1)
PROBLEMS = [
    "jsrpd.conf:5:29: chassis cluster heartbeat-threshold: 500 is not within ",
    "jsrpd.conf:11:20: chassis cluster redundancy-group 0 node 1: unknown statement priorty (did you mean priority?)",
]


@pytest.mark.parametrize("wrap", [(), AS_NOBODY], ids=["root", "nobody"])
def test_version(node: Node, wrap: tuple[str, ...]) -> None:
    done = node.run("jsrpd", "-v", wrap=wrap)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"jsrpd {__version__}\n", "")
    assert node.log.lines == []


def checked(node: Node, option: str) -> tuple[int, str, list[str]]:
    """Exit code, standard output and problems of a check, which touches nothing and is no matter for the log."""
    done = node.run("jsrpd", option)
    assert node.log.lines == []
    assert [list(node.directory(kind).iterdir()) for kind in ("run", "lib")] == [[], []]
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.mark.parametrize(("option", "said"), [("-C", "configuration is valid\n"), ("-X", "ready to start\n")])
def test_check_of_a_good_node(clustered: Node, option: str, said: str) -> None:
    assert checked(clustered, option) == (0, said, [])


def test_check_says_every_problem(clustered: Node) -> None:
    clustered.configure(BROKEN)
    code, said, problems = checked(clustered, "-C")
    assert (code, said, len(problems)) == (78, "", len(PROBLEMS))
    for problem, expected in zip(problems, PROBLEMS, strict=True):
        assert expected in problem


def test_preflight_says_every_problem(clustered: Node) -> None:
    clustered.unplug("lan")
    (clustered.directory("etc") / "cluster.key").chmod(0o644)
    code, said, problems = checked(clustered, "-X")
    assert (code, said) == (78, "")
    assert len(problems) == 2
    assert "can be read by others; mend it with: chmod 600" in problems[0]
    assert problems[1] == "interface lan (child of reth0) does not exist"


def test_copy_of_the_log(owner: Node) -> None:
    """Option -l."""
    line = owner.log.wait_for("JSRPD_RG_STATE_CHANGE")
    assert f"jsrpd[{line.pid}]: {line.tag}: {line.text}\n" in owner.stderr.read_text()


# -- to the background and to the end -------------------------------------------------------------------------------


def kernel_state(namespace: str) -> list[str]:
    """Interfaces with addresses, and rules."""
    return [run("ip", "-n", namespace, "-o", *words.split()) for words in ("addr show", "-4 rule", "-6 rule")]


def assert_detached(pid: int) -> None:
    """No terminal, a session of another process's, nothing of the caller's kept (daemon(7))."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(stat[3]), int(stat[4])
    assert session not in (pid, os.getsid(0))
    assert terminal == 0
    assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
    assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)} == {"/dev/null"}


def test_background_and_clean_end(clustered: Node) -> None:
    """Back at the shell when the gates stand; after SIGTERM nobody answers; after ``jsrp release`` nothing is left."""
    before = kernel_state(clustered.namespace)
    done = clustered.run("jsrpd")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "reth0" in kernel_state(clustered.namespace)[0]
    clustered.wait(lambda: set(clustered.pids()) == DAEMON, "all processes")
    pids = clustered.pids()
    assert clustered.pid_file.read_text() == f"{pids['jsrpd']}\n"
    for pid in pids.values():
        assert_detached(pid)
    clustered.wait_for_answer()

    os.kill(pids["jsrpd"], signal.SIGTERM)
    clustered.wait(lambda: clustered.pids() == {}, "no process left")
    assert not clustered.pid_file.exists()
    assert not clustered.answers()

    assert clustered.run("jsrp", "release").returncode == 0
    assert kernel_state(clustered.namespace) == before
    assert not clustered.pid_file.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end_in_the_foreground(node: Node, number: int) -> None:
    process = node.start()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert node.pids() == {}
    assert not node.pid_file.exists()


# -- PID file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [f"{os.getpid()}\n", "no number", ""], ids=["a living process", "garbage", "empty"])
def test_stale_pid_file(node: Node, content: str) -> None:
    """What counts is the lock; the process that is named has nothing to do with it."""
    node.pid_file.write_text(content)
    process = node.start()
    assert node.pid_file.read_text() == f"{process.pid}\n"


def test_pid_file_removed_while_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ends between our open and our lock takes the file away: we must lock the one that the next will see."""
    path = tmp_path / "jsrpd.pid"
    flock = fcntl.flock

    def after_the_other_ended(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_other_ended)
    PidFile(path).lock()
    with pytest.raises(AlreadyRunning):
        PidFile(path).lock()


# -- reload ---------------------------------------------------------------------------------------------------------

SECOND = "10.1.0.2"
CHANGED = CONFIGURATION.replace("address 10.1.0.1/24;", f"address 10.1.0.1/24;\n                address {SECOND}/24;")


def reload(node: Node, text: str | None, tag: str, said: str) -> str:
    """Put a file in place (None: take it away), SIGHUP; the daemon's answer. Nothing restarts, nothing moves."""
    pids, states, since = node.pids(), node.states(), len(node.log.lines)
    file = node.directory("etc") / "jsrpd.conf"
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_text(text)
    os.kill(pids["jsrpd"], signal.SIGHUP)
    line = node.log.wait_for(tag, said, since)
    assert (node.pids(), node.states()) == (pids, states)
    assert node.log.find("JSRPD_RG_STATE_CHANGE", since=since) == []
    return line.text


def test_reload(owner: Node) -> None:
    """A change is taken, what is broken changes nothing."""
    reload(owner, CHANGED, "JSRPD_NOTICE", "configuration reloaded")
    owner.wait_for_answer(SECOND)
    said = reload(owner, BROKEN, "JSRPD_CONFIGURATION_INVALID", "reload refused, the old configuration runs on")
    assert all(problem in said for problem in PROBLEMS)
    reload(owner, None, "JSRPD_CONFIGURATION_INVALID", "No such file or directory")
    assert owner.answers()
    assert owner.answers(SECOND)
    reload(owner, CHANGED, "JSRPD_NOTICE", "configuration reloaded: no change")
    reload(owner, CONFIGURATION, "JSRPD_NOTICE", "configuration reloaded")
    owner.wait(lambda: not owner.answers(SECOND), "the end of the second address")
    assert owner.answers()


# -- crashes --------------------------------------------------------------------------------------------------------

ADOPTED = "Redundancy-group {} transitioned from 'hold' to 'primary' state due to Restarted in place"


@pytest.mark.parametrize("child", ["engine", "kernel", "sessions", "gateway"])
def test_child_killed(owner: Node, child: str) -> None:
    """Replaced at once, the others run on, and the address stays where it is."""
    before, since = owner.pids(), len(owner.log.lines)
    title = f"jsrpd: {child}"
    os.kill(before[title], signal.SIGKILL)
    owner.log.wait_for("JSRPD_NOTICE", f"{child} process ended (signal 9)", since)
    owner.wait(lambda: owner.pids().get(title, before[title]) != before[title], "a new process")
    owner.wait(lambda: owner.states() == {0: "primary", 1: "primary"}, "the same owner")
    after = owner.pids()
    assert {**after, title: 0} == {**before, title: 0}
    assert owner.answers()
    run("ip", "-n", owner.namespace, "link", "set", "reth0", "down")
    owner.wait_for_answer()
    adopted = {line.text for line in owner.log.find("JSRPD_RG_STATE_CHANGE", since=since)}
    assert adopted == ({ADOPTED.format(group) for group in (0, 1)} if child == "engine" else set())


def test_parent_killed(clustered: Node) -> None:
    """Its children go, nobody answers, and the next start finds nothing in its way."""
    first = clustered.start()
    clustered.wait_for_answer()
    first.kill()
    clustered.wait(lambda: clustered.pids() == {}, "no process left")
    assert not clustered.answers()
    assert clustered.pid_file.read_text() == f"{first.pid}\n"
    second = clustered.start()
    assert clustered.pid_file.read_text() == f"{second.pid}\n"
    clustered.wait_for_answer()


# -- sockets --------------------------------------------------------------------------------------------------------


def test_management_socket_in_trouble(clustered: Node) -> None:
    """Something in its way, then no descriptor left: both are said, the cluster runs on, and it mends itself."""
    clustered.management.mkdir()
    clustered.start()
    line = clustered.log.wait_for("JSRPD_SOCKET_LISTEN_FAILURE")
    assert line.text == "Socket listen (server) failed unexpectedly. Address already in use"
    gateway = clustered.pids()["jsrpd: gateway"]
    limits = resource.prlimit(gateway, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway, resource.RLIMIT_NOFILE, (3, limits[1]))
    clustered.management.rmdir()
    line = clustered.log.wait_for("JSRPD_SOCKET_CREATION_FAILURE")
    assert line.text == "Socket creation (server) failed unexpectedly Too many open files."
    assert line.priority == FACILITY_DAEMON + ERROR
    clustered.wait_for_answer()
    resource.prlimit(gateway, resource.RLIMIT_NOFILE, limits)
    clustered.wait(lambda: clustered.states() == {0: "primary", 1: "primary"}, "a status by the management socket")
    assert clustered.pids()["jsrpd: gateway"] == gateway


def test_heartbeat_cannot_be_received(owner: Node) -> None:
    """The peer is up and no daemon runs there: its kernel refuses our heartbeats, which is said once."""
    line = owner.log.wait_for("JSRPD_SOCKET_RECV_HB_FAILURE")
    assert line.text == "Socket reception of heartbeat from failed unexpectedly Connection refused."
    assert line.priority == FACILITY_DAEMON + ERROR
    engines = {line.pid for line in owner.log.lines if line.tag == "JSRPD_SOCKET_RECV_HB_FAILURE"}
    assert len(owner.log.find("JSRPD_SOCKET_RECV_HB_FAILURE")) == len(engines)
