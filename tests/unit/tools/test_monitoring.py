"""The alert rules and the dashboard speak of metrics that exist."""

import json
import re
import subprocess
from pathlib import Path

from jsrpd.gateway.families import SUFFIX
from tests.peers import program
from tests.unit.gateway.test_metrics import BUSY, everything
from tools.dashboard import dashboard

PACKAGING = Path(__file__).parents[3] / "packaging"
RULES = PACKAGING / "prometheus/jsrpd.rules.yml"
TESTS = PACKAGING / "prometheus/jsrpd.rules.test.yml"
DASHBOARD = PACKAGING / "grafana/jsrpd.json"
NAME = re.compile(r"\bjsrpd_[a-z_]+\b")


def names() -> set[str]:
    """Every series that a node may have, and the label of the state set."""
    found = {family.name + SUFFIX[family.kind] + one.suffix for family in everything(BUSY) for one in family.samples}
    return found | {"jsrpd_group_state"}


def promtool(*words: str) -> None:
    done = subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(TESTS))
    assert set(NAME.findall(RULES.read_text())) <= names()


def test_every_alert_is_brought_about_and_silent() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    tests = TESTS.read_text()
    assert len(alerts) == len(set(alerts)) > 10
    for alert in alerts:
        assert len(re.findall(rf"alertname: {alert}\b", tests)) == 2


def test_dashboard() -> None:
    """Loadable, every panel has a title and a unit, and every expression is about metrics that exist."""
    board = json.loads(DASHBOARD.read_text())
    assert board == dashboard(), "python -m tools.dashboard > packaging/grafana/jsrpd.json"
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        for target in panel["targets"]:
            used = set(NAME.findall(target["expr"])) - {"jsrpd_group_state"}
            assert used <= names(), panel["title"]
    places = [panel["gridPos"] for panel in board["panels"]]
    for n, a in enumerate(places):
        for b in places[n + 1 :]:
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
            assert apart
    assert all(place["x"] + place["w"] <= 24 for place in places)
