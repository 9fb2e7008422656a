"""A new user's way: two bare machines, the package, what the documents say and nothing else; a node dies, and everybody sees.

Each machine is a systemd of its own over a layer of this one, with cables between them and to a third place, where the user sits:
a host on the LAN, Debian's Prometheus, and a browser. Statements and Prometheus's file are taken out of the documents.
"""

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jsrpd.lab.certificate import self_signed
from jsrpd.lab.topology import inside, ip_batch, run, wait_until
from tests.end_to_end.test_dashboard import BROWSERS, PICTURES, WIDE
from tests.end_to_end.test_unit import Box, booted
from tests.peers import library, program
from tools import debian

DOCS = Path(__file__).parents[2] / "docs"
RULES = "/usr/share/doc/jsrpd/jsrpd.rules.yml"
MANAGEMENT = ("192.0.2.10", "192.0.2.11")
GATEWAY = "10.1.0.1"
PATIENCE_S = 120.0
NAMES = ("node0", "node1")


def block(document: str, holding: str) -> str:
    """The first fenced piece of a document that holds a text."""
    pieces: list[str] = re.findall(r"```\n(.*?)```", (DOCS / document).read_text(), re.DOTALL)
    return next(piece for piece in pieces if holding in piece)


class Desk:
    """Where the user sits. ``namespace`` is on the LAN and on the management network."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self.namespace, self.directory = namespace, directory
        self.prometheus: subprocess.Popen[bytes] | None = None

    def cable(self, boxes: list[Box]) -> None:
        """Both machines to each other, and to the bridges here."""
        lines = []
        for bridge, address in (("lan", "10.1.0.100/24"), ("wan", "10.2.0.100/24"), ("mgmt", "192.0.2.1/24")):
            lines += [f"link add {bridge} type bridge", f"link set {bridge} up", f"address add {address} dev {bridge}"]
        for name in ("ctl0", "fab"):
            lines.append(f"link add {name}-0 type veth peer name {name}-1")
        for number, box in enumerate(boxes):
            for name in ("lan", "wan", "mgmt"):
                far = f"{name}-{number}"
                lines += [f"link add {far} type veth peer name {name}-to-{number} index {10 * (number + 4) + len(name)}{len(far)}"]
                lines += [f"link set {name}-to-{number} master {name}", f"link set {name}-to-{number} up"]
            for name in ("ctl0", "fab", "lan", "wan", "mgmt"):
                lines.append(f"link set {name}-{number} netns {box.first} name {name}")
        ip_batch(self.namespace, lines)
        for number, box in enumerate(boxes):
            for name in ("ctl0", "fab", "lan", "wan", "mgmt"):
                box.succeed("ip", "link", "set", name, "up")
            box.succeed("ip", "address", "add", f"{MANAGEMENT[number]}/24", "dev", "mgmt")

    def fetch(self, url: str) -> Any:
        """JSON from a server here; None while there is none."""
        script = f"import urllib.request as u; print(u.urlopen({url!r}).read().decode())"
        done = subprocess.run(inside(self.namespace, sys.executable, "-c", script), capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def start_prometheus(self) -> None:
        """Debian's, with the file of docs/metrics.md, the package's rules, and a hurry."""
        scraping = block("metrics.md", "scrape_configs").replace("jsrpd.rules.yml", str(self.directory / "jsrpd.rules.yml"))
        (self.directory / "prometheus.yml").write_text("global: {scrape_interval: 1s, evaluation_interval: 1s}\n" + scraping)
        options = [f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data"]
        command = inside(self.namespace, program("prometheus"), *options, "--web.listen-address=127.0.0.1:9090")
        self.prometheus = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def query(self, expression: str) -> dict[str, str]:
        """Value by instance."""
        answer = self.fetch(f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}")
        found = answer["data"]["result"] if answer else []
        return {one["metric"].get("instance", ""): one["value"][1] for one in found}

    def alerts(self) -> set[str]:
        answer = self.fetch("http://127.0.0.1:9090/api/v1/alerts")
        return {one["labels"]["alertname"] for one in answer["data"]["alerts"]} if answer else set()

    def reaches(self) -> bool:
        """The gateway answers the host on the LAN."""
        ping = inside(self.namespace, "ping", "-c1", "-W1", GATEWAY)
        return subprocess.run(ping, capture_output=True, check=False).returncode == 0

    def end(self) -> None:
        if self.prometheus is not None:
            self.prometheus.kill()
            self.prometheus.wait()


@pytest.fixture
def desk() -> Iterator[Desk]:
    namespace = f"ju{os.getpid()}"
    directory = Path(tempfile.mkdtemp(prefix="ju"))
    run("ip", "netns", "add", namespace)
    made = Desk(namespace, directory)
    try:
        ip_batch(namespace, ["link set lo up"])
        yield made
    finally:
        made.end()
        run("ip", "netns", "delete", namespace)
        shutil.rmtree(directory)


@pytest.fixture
def boxes(packages: Path, tmp_path: Path, desk: Desk) -> Iterator[list[Box]]:
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(booted(f"jsrpd-{name}", tmp_path / name, packages)) for name in NAMES]
        desk.cable(made)
        yield made


@pytest.fixture
def browser(desk: Desk, tmp_path: Path) -> Iterator[Any]:
    """Chromium, at the desk."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine; make test installs Debian's")
    sys.path.append(str(library()))
    try:
        playwright = importlib.import_module("playwright.sync_api")
    finally:
        sys.path.pop()
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\nexec ip netns exec {desk.namespace} {found} "$@"\n')
    script.chmod(0o755)
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(script), args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def write(box: Box, path: str, text: str, mode: str = "600") -> None:
    """A file as an editor or scp makes it."""
    box.succeed("sh", "-c", f"umask 077; cat > {path} <<'END'\n{text}END\nchmod {mode} {path}")


def set_up(boxes: list[Box], directory: Path) -> None:
    """README, "Install on two machines", and the pages on metrics and REST."""
    certificate, key = self_signed(directory, "gateway")
    for number, box in enumerate(boxes):
        box.succeed("apt", "install", "--yes", f"/debs/jsrpd_1.0_{debian.architecture()}.deb")
        box.succeed("cp", "/usr/share/doc/jsrpd/examples/two-nodes.conf", "/etc/jsrpd/jsrpd.conf")
        more = block("metrics.md", "services metrics") + block("rest.md", "services rest https")
        box.succeed("sh", "-c", f"cat >> /etc/jsrpd/jsrpd.conf <<'END'\n{more}END")
        write(box, "/etc/jsrpd/tls.pem", certificate.read_text())
        write(box, "/etc/jsrpd/tls.key", key.read_text())
        said = box.succeed("jsrp", "set", "chassis", "cluster", "cluster-id", "1", "node", str(number))
        assert "Restart jsrpd" in said
    boxes[0].succeed("jsrp", "request", "chassis", "cluster", "key", "generate")
    shared = boxes[0].succeed("base64", "/etc/jsrpd/cluster.key")
    boxes[1].succeed("sh", "-c", f"umask 077; echo '{shared.strip()}' | base64 -d > /etc/jsrpd/cluster.key")
    for box in boxes:
        assert box.succeed("jsrpd", "-X") == "ready to start\n"
        box.succeed("systemctl", "restart", "jsrpd")


def owner(box: Box) -> str:
    """Of group 1, as ``jsrp`` shows it; empty while nobody or not known."""
    done = box.run("jsrp", "show", "chassis", "cluster", "status", "redundancy-group", "1", "|", "display", "json")
    if done.returncode != 0:
        return ""
    rows = json.loads(done.stdout)["groups"][0]["nodes"]
    return next((f"node{row['node']}" for row in rows if row["state"] == "primary"), "")


def test_from_the_package_to_a_failover_that_everybody_sees(boxes: list[Box], desk: Desk, browser: Any, tmp_path: Path) -> None:
    set_up(boxes, tmp_path)
    for box in boxes:
        wait_until(lambda box=box: owner(box) == "node0", PATIENCE_S, "node0 to own group 1")  # type: ignore[misc]
        box.wait("jsrp", "show", "chassis", "cluster", "status", said="secondary")
    wait_until(desk.reaches, PATIENCE_S, "the gateway")
    (desk.directory / "jsrpd.rules.yml").write_text(boxes[0].succeed("cat", RULES))
    desk.start_prometheus()
    targets = {f"{address}:9469" for address in MANAGEMENT}
    wait_until(lambda: desk.query("up == 1").keys() == targets, PATIENCE_S, "both nodes scraped")
    owning = 'jsrpd_group_state{group="1",jsrpd_group_state="primary"} == 1'
    wait_until(lambda: desk.query(f"{owning} and on () jsrpd_build_info").keys() == targets, PATIENCE_S, "an owner in both views")

    token = boxes[1].succeed("jsrp", *["request", "system", "api-token", "generate", "me", "access", "operator"]).strip()
    context = browser.new_context(ignore_https_errors=True, viewport=WIDE)
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_S * 1000)
    tab.goto(f"https://{MANAGEMENT[1]}:9470/")
    tab.wait_for_selector("#login[open]")
    tab.fill("#token", token)
    tab.keyboard.press("Enter")
    shown = "tr[data-group='1'] td[data-label=Owner]"
    tab.locator(shown, has_text="node0").wait_for()
    tab.locator(".verdict.good").wait_for()
    PICTURES.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=PICTURES / "new-user-whole.png", full_page=True)

    os.kill(boxes[0].first, signal.SIGKILL)
    wait_until(lambda: owner(boxes[1]) == "node1", PATIENCE_S, "node1 to own group 1")
    wait_until(desk.reaches, PATIENCE_S, "the gateway, from the other node")
    tab.locator(shown, has_text="node1").wait_for()
    tab.locator(".verdict.bad", has_text="node0 is lost").wait_for()
    tab.locator("tr[data-group='1'] td[data-label=Reason]", has_text="Only node present").wait_for()
    tab.screenshot(path=PICTURES / "new-user-failover.png", full_page=True)
    left = f"{MANAGEMENT[1]}:9469"
    wait_until(
        lambda: desk.query(f'{owning} and jsrpd_group_state{{node="1"}}').keys() == {left}, PATIENCE_S, "Prometheus to see it"
    )
    wait_until(lambda: {"JsrpdDown", "JsrpdPeerLost"} <= desk.alerts(), PATIENCE_S, "the alerts")
    events = boxes[1].succeed("jsrp", "show", "chassis", "cluster", "events")
    assert re.search(r"RG1 .*secondary -> primary", events), events
    context.close()
