"""The unit under a real systemd, confined as it is shipped: in namespaces and a root file system of the test's own.

systemd runs as the first process of a PID namespace, over an overlay of the machine, as in a container. Everything ends
with that process.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsrpd.lab.topology import wait_until
from tests.end_to_end.process_fixtures import CONFIGURATION
from tests.end_to_end.test_package import UNIT
from tools import debian

SYSTEMD = Path("/usr/lib/systemd/systemd")
PATIENCE_S = 60.0
BOX = """
mount --make-rprivate /
mount -t tmpfs none {layers}; mkdir {layers}/upper {layers}/work {layers}/root
mount -t overlay none -o lowerdir=/,upperdir={layers}/upper,workdir={layers}/work {layers}/root
cd {layers}/root
mount -t proc none proc; mount -t sysfs none sys; mount -t tmpfs none run; mount -t tmpfs none tmp; mount -t tmpfs none dev
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7; mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0; ln -s pts/ptmx dev/ptmx
mkdir dev/pts dev/shm debs; mount -t devpts none dev/pts; mount --bind {debs} debs
mount -t tmpfs none sys/fs/cgroup
mount -t cgroup2 none sys/fs/cgroup 2>/dev/null || {{
    mkdir sys/fs/cgroup/systemd; mount -t cgroup none -o none,name=systemd sys/fs/cgroup/systemd; }}
rm -f etc/systemd/system/multi-user.target.wants/* usr/sbin/policy-rc.d
ip link set lo up
{cables}
exec chroot . env -i container=lxc /lib/systemd/systemd --system --unit=basic.target --log-target=null
"""
TO_NOBODY = """
for name in ctl lan; do
    ip link add $name type veth peer name $name-far; ip link set $name up; ip link set $name-far up
done
"""
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup")


@dataclass
class Box:
    """A machine that systemd has booted. ``first``: its first process, as we see it."""

    first: int
    root: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={self.first}", *NAMESPACES, "chroot", str(self.root)]
        plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run([*enter, *words], env=plain, capture_output=True, text=True, check=False, timeout=120)

    def succeed(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.succeed("systemctl", "show", "--value", f"--property={name}", "jsrpd").strip()

    def wait(self, *words: str, said: str) -> None:
        """Until a command says something."""
        wait_until(lambda: said in self.run(*words).stdout, PATIENCE_S, f"{said} from {' '.join(words)}")


@contextlib.contextmanager
def own_cgroup(name: str) -> Iterator[Path | None]:
    """For a box of its own: two service managers in one group would take each other's services for theirs. None: no cgroup2."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    top = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
    if top is None:
        yield None
        return
    made = top / name
    made.mkdir()
    try:
        yield made
    finally:
        for group in (*sorted((path for path in made.rglob("*") if path.is_dir()), reverse=True), made):
            wait_until(lambda group=group: _removed(group), PATIENCE_S, f"an empty {group}")  # type: ignore[misc]


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def booted(name: str, layers: Path, debs: Path, cables: str = "") -> Iterator[Box]:
    """A machine of its own until the end; what it writes goes to ``layers``. ``cables``: shell, in its network namespace."""
    if not SYSTEMD.exists():
        pytest.skip("this machine has no systemd to boot")
    layers.mkdir()
    with own_cgroup(f"{name}-{os.getpid()}") as group, _running(layers, debs, cables, group) as first:
        made = Box(first, layers / "root")
        made.wait("systemctl", "is-system-running", said="running")
        yield made


@pytest.fixture
def box(packages: Path, tmp_path: Path) -> Iterator[Box]:
    with booted("jsrpd-box", tmp_path / "layers", packages, TO_NOBODY) as made:
        yield made


@contextlib.contextmanager
def _running(layers: Path, debs: Path, cables: str, group: Path | None) -> Iterator[int]:
    script = BOX.format(layers=layers, debs=debs, cables=cables)
    command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "sh", "-ec", script]
    if group is not None:
        command = ["sh", "-ec", 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(group), *command]
    holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        wait_until(lambda: bool(children.read_text().split()), PATIENCE_S, "the first process")
        yield int(children.read_text().split()[0])
    finally:
        holder.kill()
        holder.wait()


def test_life_under_systemd(box: Box) -> None:
    """Installed, confined, owner; reloaded, killed, upgraded, removed: nothing is left."""
    before = box.succeed("ip", "rule")
    box.succeed("dpkg", "--install", f"/debs/jsrpd_1.0_{debian.architecture()}.deb")
    assert (box.show("ActiveState"), box.show("StatusText")[:13]) == ("active", "not clustered")
    box.succeed("sh", "-c", f"cat > /etc/jsrpd/jsrpd.conf <<'END'\n{CONFIGURATION}END")
    box.succeed("jsrp", "set", "chassis", "cluster", "cluster-id", "7", "node", "0")
    box.succeed("jsrp", "request", "chassis", "cluster", "key", "generate")
    box.succeed("systemctl", "restart", "jsrpd")
    assert box.show("StatusText") == "node0 of cluster 7"
    box.wait("jsrp", "show", "chassis", "cluster", "status", said="primary")
    assert "10.1.0.1/24" in box.succeed("ip", "-br", "addr", "show", "reth0")
    confined = box.succeed("cat", f"/proc/{box.show('MainPID')}/status")
    assert "NoNewPrivs:\t1" in confined
    assert "Seccomp:\t2" in confined
    looks_around(box)

    box.succeed("sh", "-c", "echo nonsense >> /etc/jsrpd/jsrpd.conf; systemctl reload jsrpd")
    box.wait("journalctl", "--unit=jsrpd", said="reload refused")
    box.succeed("sed", "-i", "/nonsense/d", "/etc/jsrpd/jsrpd.conf")
    killed = box.show("MainPID")
    box.succeed("kill", "-KILL", killed)
    wait_until(lambda: box.show("NRestarts") == "1" and box.show("ActiveState") == "active", PATIENCE_S, "another daemon")

    # Only an owner is restarted in place; who holds still decides anew.
    box.wait("jsrp", "show", "chassis", "cluster", "status", said="primary")
    crashed = box.show("MainPID")
    box.succeed("dpkg", "--install", f"/debs/jsrpd_1.1_{debian.architecture()}.deb")
    box.wait("journalctl", "--unit=jsrpd", said="restarted in place")
    assert box.show("ActiveState") == "active"
    assert (box.show("MainPID"), box.show("NRestarts")) == (crashed, "1")
    assert crashed != killed
    box.wait("jsrp", "show", "chassis", "cluster", "status", said="primary")
    box.wait("jsrp", "show", "chassis", "cluster", "events", said="hold -> primary: Restarted in place")

    box.succeed("dpkg", "--purge", "jsrpd")
    assert box.run("pgrep", "jsrpd").stdout == ""
    assert "10.1.0.1" not in box.succeed("ip", "addr")
    assert box.succeed("ip", "rule") == before


def looks_around(box: Box) -> None:
    """The doctor's look is not kept from anything by the confinement."""
    tree = json.loads(box.run("jsrp", "doctor", "|", "display", "json").stdout)
    (survey,) = tree["surveys"]
    assert survey["running"]
    assert survey["firewall"]["problem"] == ""
    assert survey["bpf_problem"] == ""
    assert survey["gates"] == {"reth0": True, "lan": True}
    assert survey["engine"]["policy"] == "SCHED_FIFO"
    assert survey["engine"]["locked_kb"] > 0
    assert [probe["problem"] for probe in survey["probes"]] == [""]
    assert {one["check"] for one in tree["findings"]} & {"daemon", "key", "kernel", "gates", "sysctls"} == set()


def test_a_bad_configuration_is_not_tried_again(box: Box) -> None:
    box.succeed("dpkg", "--install", f"/debs/jsrpd_1.0_{debian.architecture()}.deb")
    box.succeed("jsrp", "set", "chassis", "cluster", "cluster-id", "7", "node", "0")
    box.succeed("sh", "-c", "echo nonsense > /etc/jsrpd/jsrpd.conf")
    assert box.run("systemctl", "restart", "jsrpd").returncode != 0
    assert (box.show("ActiveState"), box.show("ExecMainStatus"), box.show("NRestarts")) == ("failed", "78", "0")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """No remark, and an exposure that is stated in the decision record."""
    if not SYSTEMD.exists():
        pytest.skip("this machine has no systemd")
    unit = tmp_path / "jsrpd.service"
    unit.write_text(UNIT.replace("/usr/sbin/jsrpd", "/bin/true").replace("Documentation=", "# "))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", unit], capture_output=True, text=True, check=False
    )
    assert scored.returncode == 0, scored.stdout
