"""A real daemon, read as its users read it: by ``jsrp``, over the UNIX socket, and by a real Prometheus with our rules."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jsrpd.gateway.families import OLDER_TEXT, OPEN_METRICS
from jsrpd.lab.topology import inside
from tests.end_to_end.process_fixtures import CONFIGURATION, DAEMON, Node, bare_node
from tests.peers import program
from tools.dashboard import PANELS

RULES = Path(__file__).parents[2] / "packaging/prometheus/jsrpd.rules.yml"
LISTENING = "system services metrics address 127.0.0.1 port 9469;\n"
ALL_PROCESSES_BYTES = 150_000_000
"""SPEC section 14."""
SCRAPING = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [RULES]
scrape_configs: [{job_name: jsrpd, static_configs: [{targets: ["127.0.0.1:9469"]}]}]
"""


@pytest.fixture(scope="module")
def owner() -> Iterator[Node]:
    with bare_node() as made:
        made.configure(CONFIGURATION + LISTENING)
        made.start("-l")
        made.wait_for_answer()
        yield made


def read(node: Node, accept: str = "application/openmetrics-text") -> tuple[str, str]:
    """Content type and text of the page, over the UNIX socket."""
    connection = http.client.HTTPConnection("jsrpd")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(str(node.directory("run") / "http.sock"))
    connection.request("GET", "/metrics", headers={"Accept": accept})
    answer = connection.getresponse()
    assert answer.status == 200
    text = answer.read().decode()
    connection.close()
    return answer.headers["Content-Type"], text


def value(text: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def test_page(owner: Node) -> None:
    kind, text = read(owner)
    assert kind == OPEN_METRICS
    assert value(text, 'jsrpd_group_state{group="1",node="0",jsrpd_group_state="primary"}') == 1
    assert value(text, 'jsrpd_group_state{group="1",node="1",jsrpd_group_state="lost"}') == 1
    assert value(text, 'jsrpd_group_gate_open{group="1",node="0"}') == 1
    margin = value(text, 'jsrpd_group_lease_margin_seconds{group="1",node="0"}')
    assert margin is not None and 0 < margin < 0.5
    assert value(text, 'jsrpd_path_up{path="control0"}') == 0
    assert value(text, 'jsrpd_interface_monitor_up{group="1",node="0",interface="lan"}') == 1
    assert read(owner, "*/*")[0] == OLDER_TEXT


def test_promtool_and_jsrp(owner: Node) -> None:
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=read(owner, "")[1], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    shown = owner.run("jsrp", "show", "metrics").stdout
    assert shown.endswith("# EOF\n")
    assert value(shown, "jsrpd_engine_answers") == 1


def test_processes(owner: Node) -> None:
    """All are there, are small enough together, and a crash is counted, of the gateway itself too."""
    _, text = read(owner)
    sizes = [
        value(text, f'jsrpd_process_resident_memory_bytes{{process="{name}"}}')
        for name in ("parent", "engine", "kernel", "gateway")
    ]
    assert all(sizes)
    assert sum(size or 0 for size in sizes) < ALL_PROCESSES_BYTES
    for name in ("kernel", "gateway"):
        series = f'jsrpd_process_restarts_total{{process="{name}"}}'
        before = value(text, series) or 0
        os.kill(owner.pids()[f"jsrpd: {name}"], signal.SIGKILL)
        owner.wait(lambda: set(owner.pids()) == DAEMON, "all processes again")
        owner.wait(lambda series=series, before=before: _now(owner, series) == before + 1, series)  # type: ignore[misc]


def test_who_talks_to_the_network_has_no_rights(owner: Node) -> None:
    status = Path(f"/proc/{owner.pids()['jsrpd: gateway']}/status").read_text()
    for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert re.search(rf"^{which}:\s+0+$", status, re.MULTILINE), status
    assert "NoNewPrivs:\t1" in status


def _now(node: Node, series: str) -> float | None:
    try:
        return value(read(node)[1], series)
    except OSError:
        return None


def test_not_clustered() -> None:
    """The processes are seen all the same."""
    with bare_node() as node:
        node.start()
        node.wait(lambda: _now(node, "jsrpd_engine_answers") == 0, "the page of a node that is not clustered")


class Prometheus:
    """Debian's, in the node's namespace."""

    def __init__(self, node: Node, directory: Path) -> None:
        self.node = node
        (directory / "prometheus.yml").write_text(SCRAPING.replace("RULES", str(RULES)))
        options = [f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
        command = inside(node.namespace, program("prometheus"), *options, "--web.listen-address=127.0.0.1:9090")
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def get(self, path: str) -> Any:
        """An answer of its API; None while there is none."""
        script = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/api/v1/{path}').read().decode())"
        command = inside(self.node.namespace, sys.executable, "-c", script)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None

    def query(self, expression: str) -> list[str]:
        """Values of an expression now."""
        data = self.get(f"query?query={quote(expression)}")
        return [result["value"][1] for result in data["result"]] if data else []

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def prometheus(owner: Node) -> Iterator[Prometheus]:
    directory = Path(tempfile.mkdtemp(prefix="jp"))
    running = Prometheus(owner, directory)
    try:
        yield running
    finally:
        running.end()
        shutil.rmtree(directory)


def test_a_real_prometheus(owner: Node, prometheus: Prometheus) -> None:
    """It scrapes, as OpenMetrics; it takes our rules; and it sees that the peer is lost and the node alone is primary."""
    owner.wait(lambda: prometheus.query("up") == ["1"], "a scrape")
    (target,) = prometheus.get("targets")["activeTargets"]
    assert target["lastError"] == ""
    owner.wait(lambda: prometheus.query("count(jsrpd_group_state)") == ["28"], "states of two groups on two nodes")
    owner.wait(lambda: "JsrpdPeerLost" in _alerts(prometheus), "the alert")
    assert "JsrpdTwoOwners" not in _alerts(prometheus)
    (group,) = prometheus.get("rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}


def test_the_dashboard_shows_something(owner: Node, prometheus: Prometheus) -> None:
    """Every panel that is not about what went wrong has a line for a healthy node; every expression is understood."""
    owner.wait(lambda: prometheus.query("up") == ["1"], "Prometheus")
    for panel in PANELS:
        for expression, _ in panel.targets:
            asked = expression.replace("$cluster", ".*").replace("[5m]", "[10s]").replace("[10m]", "[10s]")
            if "> 0" in asked or "dropped" in asked or "arbiter" in asked:
                assert prometheus.get(f"query?query={quote(asked)}") is not None, asked
            else:
                owner.wait(lambda asked=asked: prometheus.query(asked) != [], panel.title)  # type: ignore[misc]
    (owners,) = (panel for panel in PANELS if panel.title.startswith("Owners"))
    assert prometheus.query(owners.targets[0][0].replace("$cluster", ".*")) == ["1", "1"]


def _alerts(prometheus: Prometheus) -> set[str]:
    return {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]}
