"""One node for the tests of the process contract, in namespaces of its own, with a log that the test reads.

The node's cables end in a second namespace, ``client``: the peer's end of the control link, where no daemon runs, and
a host on the LAN that asks who answers for the gateway address. Each command runs in a mount namespace of its own,
whose /dev/log is the test's, so that a disk can be full or a directory read-only for one daemon alone.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jsrpd.lab import topology
from jsrpd.lab.topology import Lab, inside, ip_batch, run, wait_until
from jsrpd.management.client import DaemonUnreachable, ask
from jsrpd.management.requests import SOCKET_NAME, Reply, ShowStatus
from jsrpd.model.addressing import control_address

NODE, CLIENT = "node0", "client"
COMMANDS = Path(sys.executable).parent
CLUSTER_ID = 7
GATEWAY = "10.1.0.1"
PEER = control_address(CLUSTER_ID, 0, 1)
FAR_ADDRESSES = {"ctl": f"{PEER}/64", "lan": "10.1.0.100/24"}
"""In the other namespace, by the node's interface that the cable leads to."""
PATIENCE_S = 60.0
DAEMON = {"jsrpd", "jsrpd: engine", "jsrpd: kernel", "jsrpd: sessions", "jsrpd: gateway", "jsrpd: monitors"}
"""Titles of the processes of a clustered node."""
FORM = re.compile(r"<(?P<priority>\d+)>(?P<stamp>\w{3} [ \d]\d \d\d:\d\d:\d\d) jsrpd\[(?P<pid>\d+)\]: (?P<tag>\w+): (?P<text>.*)")
"""The BSD form of a message as a local daemon takes it (SPEC section 10, decision 0130)."""

CONFIGURATION = """chassis {
    cluster {
        reth-count 1;
        heartbeat-interval 100;
        heartbeat-threshold 5;
        control-link 0 {
            interface ctl;
        }
        redundancy-group 0 {
            node 0 priority 200;
            node 1 priority 100;
        }
        redundancy-group 1 {
            node 0 priority 200;
            node 1 priority 100;
            interface-monitor lan weight 255;
        }
    }
}
interfaces {
    lan {
        gigether-options {
            redundant-parent reth0;
        }
    }
    reth0 {
        redundant-ether-options {
            redundancy-group 1;
        }
        unit 0 {
            family inet {
                address 10.1.0.1/24;
            }
        }
    }
}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One message as it arrived at /dev/log."""

    priority: int
    stamp: str
    pid: int
    tag: str
    text: str


class Log:
    """The receiver of /dev/log: reads all the time, because the kernel queues ten datagrams and no more."""

    def __init__(self, path: Path) -> None:
        self.lines: list[Line] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while data := self._socket.recv(1 << 16):
            form = FORM.fullmatch(data.decode())
            if form is None:
                # In a namespace of their own mounts others of the host may log here too.
                assert b" jsrpd[" not in data, data
                continue
            self.lines.append(Line(int(form["priority"]), form["stamp"], int(form["pid"]), form["tag"], form["text"]))

    def find(self, tag: str, text: str = "", since: int = 0) -> list[Line]:
        """Messages of a tag that contain a text, from a number of lines on."""
        return [line for line in self.lines[since:] if line.tag == tag and text in line.text]

    def wait_for(self, tag: str, text: str = "", since: int = 0) -> Line:
        """The first such message; fails with the whole log when none comes."""
        give_up = time.monotonic() + PATIENCE_S
        while not (found := self.find(tag, text, since)):
            assert time.monotonic() < give_up, f"no {tag} with {text!r} among {self.lines[since:]}"
            time.sleep(0.02)
        return found[0]

    def close(self) -> None:
        """Stop reading."""
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join(PATIENCE_S)
        self._socket.close()


@dataclass
class Node:
    """A node whose daemon is started as an operator would, and the host that watches it."""

    lab: Lab
    log: Log
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    log_socket: str = "devlog"
    """What the commands of the node have as /dev/log, in the directory of the lab."""

    @property
    def namespace(self) -> str:
        return self.lab.namespace(NODE)

    @property
    def client(self) -> str:
        return self.lab.namespace(CLIENT)

    def directory(self, kind: str) -> Path:
        """``etc``, ``run``, ``lib`` or ``log``."""
        return self.lab.node_directory(NODE, kind)

    @property
    def pid_file(self) -> Path:
        return self.directory("run") / "jsrpd.pid"

    @property
    def stderr(self) -> Path:
        return self.directory("log") / "stderr"

    @property
    def management(self) -> Path:
        return self.directory("run") / SOCKET_NAME

    def configure(self, text: str = CONFIGURATION) -> None:
        """Identity, key and configuration of a clustered node."""
        etc = self.directory("etc")
        (etc / "identity.conf").write_text(f"cluster-id {CLUSTER_ID};\nnode 0;\n")
        key = etc / "cluster.key"
        key.touch(mode=0o600)
        key.write_text("5a" * 32)
        (etc / "jsrpd.conf").write_text(text)

    # -- commands -----------------------------------------------------------------------------------------------------

    def _command(self, words: Sequence[str], prepare: str, wrap: Sequence[str]) -> list[str]:
        """A command line with /dev/log of its own; ``prepare``: shell commands before; ``wrap``: words in front."""
        script = (
            "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9; "
            f'ln -s {self.lab.directory}/{self.log_socket} /dev/log; {prepare or ":"}; exec "$@"'
        )
        program, *rest = words
        return inside(self.namespace, "sh", "-ec", script, "sh", *wrap, str(COMMANDS / program), *rest)

    def run(self, *words: str, prepare: str = "", wrap: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run to the end of ``words``: until nobody holds its standard output any more."""
        return subprocess.run(
            self._command(words, prepare, wrap),
            env=self.lab.environment(NODE),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def start(
        self, *options: str, prepare: str = "", environment: dict[str, str] | None = None, complete: bool = True
    ) -> subprocess.Popen[bytes]:
        """``jsrpd -N`` until it runs with all its children, unless some cannot run (``complete`` False)."""
        with self.stderr.open("ab") as stderr:
            process = subprocess.Popen(
                self._command(["jsrpd", "-N", *options], prepare, ()),
                env={**self.lab.environment(NODE), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        self.started.append(process)
        wanted = DAEMON if (self.directory("etc") / "identity.conf").exists() else {"jsrpd", "jsrpd: gateway"}
        if complete:
            self.wait(lambda: set(self.pids()) == wanted, "all processes of the daemon")
        return process

    # -- what is seen -------------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """Process of each title; a receiver of the log is no part of the node, and what is about to end has no title."""
        return {title: pid for pid, title in topology.processes(self.lab, NODE).items() if title and "rsyslogd" not in title}

    def answers(self, address: str = GATEWAY) -> bool:
        """The host gets an echo reply from an address."""
        with contextlib.suppress(topology.LabError):
            run(*inside(self.client, "ping", "-n", "-c1", "-W1", address))
            return True
        return False

    def wait_for_answer(self, address: str = GATEWAY) -> None:
        """Until an address answers the host."""
        self.wait(lambda: self.answers(address), f"an answer from {address}")

    def ask(self) -> Reply | None:
        """The status; None while nobody answers."""
        with contextlib.suppress(DaemonUnreachable):
            return ask(self.management, ShowStatus())
        return None

    def states(self) -> dict[int, str]:
        """State of this node in each group; empty while nobody answers."""
        reply = self.ask()
        if reply is None or reply.status is None:
            return {}
        return {group.group: group.nodes[0].state for group in reply.status.groups}

    def wait(self, predicate: Callable[[], bool], what: str) -> None:
        wait_until(predicate, PATIENCE_S, what)

    # -- cables -------------------------------------------------------------------------------------------------------

    def plug(self, interface: str) -> None:
        """A cable from the node to the other namespace, up on both ends."""
        ip_batch(
            self.client,
            [
                f"link add {interface} type veth peer name {interface} netns {self.namespace}",
                f"link set {interface} up",
                f"addr add {FAR_ADDRESSES[interface]} dev {interface} nodad",
            ],
        )
        # Without the address that the kernel gives by itself after a while.
        ip_batch(self.namespace, [f"link set {interface} addrgenmode none", f"link set {interface} up"])

    def unplug(self, interface: str) -> None:
        """Delete the interface on both ends."""
        ip_batch(self.client, [f"link del {interface}"])

    def end(self) -> None:
        """Kill what runs and remove everything."""
        for member in (NODE, CLIENT):
            topology.kill_everything(self.lab, member)
            with contextlib.suppress(topology.LabError):
                run("ip", "netns", "del", self.lab.namespace(member))
        for process in self.started:
            process.wait(PATIENCE_S)
        self.log.close()
        shutil.rmtree(self.lab.directory)


@contextlib.contextmanager
def bare_node() -> Iterator[Node]:
    """A node with cables and empty directories, not clustered."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    # Not below pytest's directory: paths of UNIX sockets are limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="jp"))
    directory.chmod(0o755)
    lab = Lab(directory.name, directory)
    node = Node(lab, Log(directory / "devlog"))
    try:
        for kind in ("etc", "run", "lib", "log"):
            node.directory(kind).mkdir(parents=True)
        for member in (NODE, CLIENT):
            run("ip", "netns", "add", lab.namespace(member))
            ip_batch(lab.namespace(member), ["link set lo up"])
        for interface in ("ctl", "lan"):
            node.plug(interface)
        yield node
    finally:
        node.end()
