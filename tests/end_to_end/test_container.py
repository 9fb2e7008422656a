"""The container's recipe, carried out without a container engine: its RUN line in a bare Debian, its CMD with its rights, twice.

``make container-root`` fetches the bare Debian (debootstrap), else this is skipped. What an engine adds beyond that (its filter of
system calls, its layers) is not met here.
"""

import contextlib
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab.topology import wait_until
from tests.end_to_end.test_new_user import GATEWAY, PATIENCE_S, Desk, desk, owner
from tests.end_to_end.test_unit import Box
from tools import debian

__all__ = ["desk"]
ROOT = Path(__file__).parents[2]
BARE = ROOT / "build/debian"
RECIPE = (ROOT / "packaging/container/Containerfile").read_text()
PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
MOUNTED = """
mount --make-rprivate /
mkdir -p {layers}/upper {layers}/work {layers}/root
mount -t overlay none -o lowerdir={below},upperdir={layers}/upper,workdir={layers}/work {layers}/root
cd {layers}/root
mount --rbind /proc proc; mount -t sysfs none sys; mount -t tmpfs none dev; mount -t tmpfs none tmp
for name in null:3 zero:5 random:8 urandom:9; do mknod -m 666 dev/${{name%:*}} c 1 ${{name#*:}}; done
cp {packages}/*.deb tmp/
echo ready; exec sleep infinity
"""


def instruction(name: str) -> str:
    """What the recipe says under a word, its lines joined."""
    found: str
    (found,) = re.findall(rf"^{name} ((?:[^\n\\]|\\\n)*)", RECIPE, re.MULTILINE)
    return found.replace("\\\n", "")


def command() -> list[str]:
    (words,) = re.findall(r"^CMD \[(.*)\]", RECIPE, re.MULTILINE)
    return [word.strip().strip('"') for word in words.split(",")]


def rights() -> list[str]:
    """Of the head of the recipe, as setpriv spells them."""
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in re.findall(r"--cap-add (\w+)", RECIPE))])
    return ["setpriv", "--no-new-privs", "--bounding-set", kept]


class Container(Box):
    """A root file system of its own, and a network namespace that is its host."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.inside(*words), env=PLAIN, capture_output=True, text=True, check=False, timeout=120)

    def inside(self, *words: str) -> list[str]:
        """With the container's rights."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--net", "--uts", "--ipc", "chroot", str(self.root)]
        return [*enter, *rights(), *words]


@contextlib.contextmanager
def mounted(layers: Path, below: str, packages: Path, *namespaces: str) -> Iterator[Container]:
    """Layers over a root file system until the end."""
    layers.mkdir()
    script = MOUNTED.format(layers=layers, below=below, packages=packages)
    holder = subprocess.Popen(["unshare", "--mount", *namespaces, "sh", "-ec", script], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield Container(holder.pid, layers / "root")
    finally:
        holder.kill()
        holder.wait()


@pytest.fixture
def image(packages: Path, tmp_path: Path) -> str:
    """What the recipe makes of a bare Debian, with the network of this machine: its layers, the uppermost first."""
    if not (BARE / "etc/debian_version").exists():
        pytest.skip("there is no bare Debian; make container-root fetches one")
    one = tmp_path / "package"
    one.mkdir()
    (one / "jsrpd_1.0.deb").symlink_to(packages / f"jsrpd_1.0_{debian.architecture()}.deb")
    with mounted(tmp_path / "image", str(BARE), one) as made:
        enter = ["nsenter", f"--target={made.first}", "--mount", "chroot", str(made.root), "sh", "-ec", instruction("RUN")]
        done = subprocess.run(enter, env=PLAIN, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return f"{tmp_path / 'image/upper'}:{BARE}"


@pytest.fixture
def nodes(image: str, tmp_path: Path, desk: Desk) -> Iterator[list[Container]]:
    with contextlib.ExitStack() as stack:
        (empty := tmp_path / "empty").mkdir()
        (empty / "none.deb").touch()
        made = [stack.enter_context(mounted(tmp_path / f"node{n}", image, empty, "--net", "--uts", "--ipc")) for n in (0, 1)]
        desk.cable(list(made))
        yield made


def test_two_containers_are_a_cluster(nodes: list[Container], desk: Desk) -> None:
    """Configured as the README says; whoever is stopped as a container engine does it hands over without loss."""
    for number, node in enumerate(nodes):
        node.succeed("cp", "/usr/share/doc/jsrpd/examples/two-nodes.conf", "/etc/jsrpd/jsrpd.conf")
        node.succeed("jsrp", "set", "chassis", "cluster", "cluster-id", "1", "node", str(number))
    nodes[0].succeed("jsrp", "request", "chassis", "cluster", "key", "generate")
    shared = nodes[0].succeed("base64", "/etc/jsrpd/cluster.key").strip()
    nodes[1].succeed("sh", "-c", f"umask 077; echo '{shared}' | base64 -d > /etc/jsrpd/cluster.key")
    health = shlex.split(" ".join(re.findall(r"^HEALTHCHECK .* CMD \[(.*)\]", RECIPE, re.MULTILINE)).replace(",", " "))
    daemons = []
    try:
        for node in nodes:
            assert node.succeed("jsrpd", "-X") == "ready to start\n"
            daemons.append(subprocess.Popen(node.inside(*command()), env=PLAIN, stderr=subprocess.DEVNULL))
        wait_until(lambda: owner(nodes[0]) == owner(nodes[1]) == "node0", PATIENCE_S, "node0 to own group 1")
        nodes[1].wait("jsrp", "show", "chassis", "cluster", "status", said="secondary")
        wait_until(desk.reaches, PATIENCE_S, "the gateway")
        for node in nodes:
            node.succeed(*health)
        asking = ["ip", "netns", "exec", desk.namespace, "ping", "-q", "-i0.01", "-c300", GATEWAY]
        ping = subprocess.Popen(asking, stdout=subprocess.PIPE, text=True)
        daemons[0].send_signal(getattr(signal, instruction("STOPSIGNAL")))
        daemons[0].wait(PATIENCE_S)
        said, _ = ping.communicate(timeout=PATIENCE_S)
        assert " 0% packet loss" in said, said
        assert owner(nodes[1]) == "node1"
        nodes[0].succeed("jsrp", "release")
        assert "reth" not in nodes[0].succeed("ip", "-br", "link")
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait(PATIENCE_S)
