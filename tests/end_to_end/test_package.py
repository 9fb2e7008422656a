"""The Debian package, by real dpkg, in a root file system of the test's own over the machine's; and its unit's rights.

Nothing of the machine is written to: an overlay takes what dpkg, the maintainer scripts and the daemon write. The
daemon runs with exactly the capabilities of the unit, which are shown to be needed one by one.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd.lab.topology import inside
from jsrpd.processes.kernel import AUDIT_S
from tests.end_to_end.process_fixtures import DAEMON, NODE, Node, bare_node
from tools import debian

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "packaging/systemd/jsrpd.service").read_text()
OTHER_ROOT = """
mount --make-rprivate /
mount -t tmpfs none {layers}; mkdir {layers}/upper {layers}/work {layers}/root
mount -t overlay none -o lowerdir=/,upperdir={layers}/upper,workdir={layers}/work {layers}/root
cd {layers}/root
mount -t proc none proc; mount -t sysfs none sys; mount -t tmpfs none run; mount -t tmpfs none tmp; mount -t tmpfs none dev
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/urandom c 1 9; mkdir debs; mount --bind {debs} debs
touch dev/log; mount --bind {log} dev/log
echo ready; exec sleep infinity
"""


def capabilities() -> list[str]:
    """The unit's, as setpriv spells them."""
    (line,) = [line for line in UNIT.splitlines() if line.startswith("CapabilityBoundingSet=")]
    return [name.removeprefix("CAP_").lower() for name in line.partition("=")[2].split()]


def as_in_the_unit(without: str = "", instead: str = "") -> list[str]:
    """Words in front of a command that give it the unit's rights, perhaps less one, perhaps another for it."""
    kept = ",".join(["-all", *(f"+{name}" for name in (*capabilities(), instead) if name not in (without, ""))])
    return ["setpriv", "--no-new-privs", "--bounding-set", kept]


@dataclass
class Machine:
    """A node with a root file system of its own."""

    node: Node
    holder: int
    """Process whose mounts they are."""
    root: Path
    """Where the file system is mounted, in that process's eyes."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run in it, in the node's network namespace."""
        root = ["nsenter", f"--target={self.holder}", "--mount", "--net", "chroot", str(self.root)]
        plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run([*root, *words], env=plain, capture_output=True, text=True, check=False, timeout=120)

    def succeed(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def machine(packages: Path) -> Iterator[Machine]:
    with bare_node() as node:
        layers = node.lab.directory / "layers"
        layers.mkdir()
        script = OTHER_ROOT.format(layers=layers, debs=packages, log=node.lab.directory / "devlog")
        command = inside(node.lab.namespace(NODE), "unshare", "--mount", "sh", "-ec", script)
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            yield Machine(node, holder.pid, layers / "root")
        finally:
            holder.kill()
            holder.wait()


def configure(machine: Machine) -> None:
    """As an operator would, with the installed command."""
    machine.node.configure()
    text = (machine.node.directory("etc") / "jsrpd.conf").read_text()
    machine.succeed("sh", "-c", f"cat > /etc/jsrpd/jsrpd.conf <<'END'\n{text}END")
    machine.succeed("jsrp", "set", "chassis", "cluster", "cluster-id", "7", "node", "0")
    machine.succeed("jsrp", "request", "chassis", "cluster", "key", "generate")


def install(machine: Machine, version: str) -> None:
    machine.succeed("dpkg", "--install", f"/debs/jsrpd_{version}_{debian.architecture()}.deb")


def left_in_kernel(machine: Machine) -> dict[str, str]:
    """What a daemon of ours changes, as the kernel has it."""
    asked = ("-o link | cut -d: -f2", "-br addr | awk '{$2 = \"\"; print}'", "rule", "-6 rule")
    found = {what: machine.succeed("sh", "-c", f"ip {what}") for what in asked}
    found["forwarding"] = machine.succeed("cat", "/proc/sys/net/ipv4/ip_forward")
    return found


def test_life_of_a_package(machine: Machine) -> None:
    """Installed, cluster up with the unit's rights, upgraded under way, removed: nothing is left, not even an address."""
    before = left_in_kernel(machine)
    install(machine, "1.0")
    assert "not clustered" in machine.run("jsrpd", "-X").stderr
    configure(machine)
    assert machine.succeed("jsrpd", "-X") == "ready to start\n"
    machine.succeed(*as_in_the_unit(), "jsrpd")
    machine.node.wait_for_answer()
    assert left_in_kernel(machine) != before
    running = {title: pid for title, pid in machine.node.pids().items() if title in DAEMON}
    assert set(running) == DAEMON

    install(machine, "1.1")
    assert {title: pid for title, pid in machine.node.pids().items() if title in DAEMON} == running
    assert machine.node.answers()
    assert "primary" in machine.succeed("jsrp", "show", "chassis", "cluster", "status")

    machine.succeed("dpkg", "--remove", "jsrpd")
    assert not DAEMON & set(machine.node.pids())
    assert not machine.node.answers()
    assert left_in_kernel(machine) == before
    machine.succeed("test", "-e", "/etc/jsrpd/cluster.key")
    machine.succeed("dpkg", "--purge", "jsrpd")
    for place in ("/etc/jsrpd", "/var/lib/jsrpd", "/run/jsrpd", "/usr/lib/jsrpd", "/usr/sbin/jsrpd"):
        machine.succeed("test", "!", "-e", place)


def test_removal_after_a_crash(machine: Machine) -> None:
    """Every process killed, so that nobody cleaned up: the removal does."""
    before = left_in_kernel(machine)
    install(machine, "1.0")
    configure(machine)
    machine.succeed("jsrpd")
    machine.node.wait_for_answer()
    for title, pid in machine.node.pids().items():
        if title in DAEMON:
            os.kill(pid, signal.SIGKILL)
    machine.node.wait(lambda: not DAEMON & set(machine.node.pids()), "no daemon")
    assert left_in_kernel(machine) != before
    machine.succeed("dpkg", "--purge", "jsrpd")
    assert left_in_kernel(machine) == before


def test_what_is_installed(machine: Machine) -> None:
    """Pages, completion and unit are where they are looked for, and no file is changed by use."""
    install(machine, "1.0")
    for page in ("jsrpd.8", "jsrpd-snmp.8", "jsrp.1", "jsrpd.conf.5"):
        machine.succeed("gzip", "--test", f"/usr/share/man/man{page[-1]}/{page}.gz")
    machine.succeed("bash", "-uc", "source /usr/share/bash-completion/completions/jsrp; complete -p jsrp")
    assert machine.succeed("cat", "/usr/lib/systemd/system/jsrpd.service") == UNIT
    assert machine.succeed("jsrp", "help", "syslog", "JSRPD_DUPLICATE").startswith("Name:")
    assert machine.succeed("getent", "group", "jsrp").startswith("jsrp:")
    machine.succeed("groupdel", "jsrp")
    machine.succeed("systemd-sysusers", "jsrpd.conf")
    assert machine.succeed("getent", "group", "jsrp").startswith("jsrp:")
    machine.succeed("systemd-tmpfiles", "--create", "jsrpd.conf")
    machine.succeed("test", "-d", "/run/jsrpd")
    assert machine.succeed("sh", "-c", "echo PING | jsrpd-snmp") == "PONG\n"
    assert "jsrpdMIB" in machine.succeed("cat", "/usr/share/snmp/mibs/JSRPD-MIB.txt")
    assert machine.succeed("dpkg", "--verify", "jsrpd") == ""
    listed = set(machine.succeed("dpkg", "--listfiles", "jsrpd").split("\n"))
    found = machine.succeed("find", "/usr/lib/jsrpd").split("\n")
    assert [path for path in found if path and path not in listed] == []


# -- the unit's rights ----------------------------------------------------------------------------------------------


@pytest.fixture
def clustered() -> Iterator[Node]:
    with bare_node() as node:
        node.configure()
        yield node


def wrapped(words: list[str]) -> str:
    """For ``Node.start``: put these in front."""
    return f'set -- {" ".join(words)} "$@"'


def test_these_rights_are_enough(clustered: Node) -> None:
    """Through a crash of the kernel process, a stop and another start, with no complaint."""
    first = clustered.start("-l", prepare=wrapped(as_in_the_unit()))
    clustered.wait_for_answer()
    kernel = clustered.pids()["jsrpd: kernel"]
    os.kill(kernel, signal.SIGKILL)
    clustered.wait(lambda: clustered.pids().get("jsrpd: kernel", kernel) != kernel, "another kernel process")
    os.kill(first.pid, signal.SIGTERM)
    first.wait(20)
    clustered.start("-l", prepare=wrapped(as_in_the_unit()))
    clustered.wait_for_answer()
    complaints = [line.text for line in clustered.log.find("JSRPD_NOTICE") if "signal 9" not in line.text]
    assert complaints == []


REFUSED = {"sys_nice": "SCHED_FIFO refused", "ipc_lock": "mlockall refused", "net_admin": "cannot add interface reth0"}


@pytest.mark.parametrize(("name", "complaint"), REFUSED.items())
def test_this_right_is_needed(clustered: Node, name: str, complaint: str) -> None:
    # The session process, too, cannot live without the right to use netlink.
    clustered.start(prepare=wrapped(as_in_the_unit(without=name)), complete=name != "net_admin")
    clustered.log.wait_for("JSRPD_NOTICE", complaint)


def test_without_any_reth_nobody_decides(clustered: Node) -> None:
    """A node on which the kernel refuses every reth must not become primary with nothing."""
    clustered.start(prepare=wrapped(as_in_the_unit(without="net_admin")), complete=False)
    clustered.log.wait_for("JSRPD_NOTICE", "cannot add interface reth0")
    time.sleep(2 * AUDIT_S)
    assert "jsrpd: engine" not in clustered.pids()


def test_right_to_send_frames() -> None:
    """Announcements need a packet socket."""
    program = "from jsrpd.kernel.packet_socket import FrameSocket; FrameSocket('lo')"
    for without, code in (("", 0), ("net_raw", 1)):
        done = subprocess.run([*as_in_the_unit(without), sys.executable, "-c", program], capture_output=True, check=False)
        assert done.returncode == code


def test_right_to_find_earlier_programs(clustered: Node) -> None:
    """A successor takes the gates of its predecessor away when its own stand; the right to use BPF is not enough for it."""
    first = clustered.start()
    clustered.wait_for_answer()
    os.kill(first.pid, signal.SIGTERM)
    first.wait(20)
    done = clustered.run("jsrpd", "-N", wrap=as_in_the_unit(without="sys_admin", instead="bpf"))
    assert done.returncode == 71
    assert "the gates cannot be attached" in done.stderr


def test_every_right_is_tried() -> None:
    assert set(capabilities()) == {*REFUSED, "net_raw", "sys_admin"}
