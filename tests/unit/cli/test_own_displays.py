"""Displays that the vendor has not, or has elsewhere: each as text, XML and JSON against golden files."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jsrpd.cli import render_metrics
from jsrpd.cli.main import main
from jsrpd.cli.settings import SETTINGS
from jsrpd.cli.tree import ENTRIES
from jsrpd.configuration.api_tokens import make_token
from jsrpd.management.requests import SOCKET_NAME, CommitLine, ConfigurationTold, Reply
from jsrpd.model.access import Access
from jsrpd.model.status import ServiceStatus
from tests.unit.management.daemon import cluster, daemon

GOLDEN = Path(__file__).parent / "golden"
DISPLAYS = {"txt": "", "xml": " | display xml", "json": " | display json"}
AT = 1_764_050_000
SERVICES = cluster(
    services=(
        ServiceStatus(1, "web", "running"),
        ServiceStatus(1, "dhcp", "failed", "exit status 1: <no lease file>"),
        ServiceStatus(2, "vpn", "stopped"),
    )
)
COMMITS = (
    CommitLine(0, 7, AT, "fred", "cli", 0, 'the "new" uplink', "to be confirmed until 05:53"),
    CommitLine(1, 6, 0, "root", "file", 1),
)
METRICS = """\
# HELP jsrpd_group_priority Effective priority, "0" unfit.
# TYPE jsrpd_group_priority gauge
jsrpd_group_priority{group="0",node="0"} 200
jsrpd_group_priority{group="1",node="0"} 0
# TYPE jsrpd_up counter
jsrpd_up_total 1.5
# TYPE jsrpd_build info
jsrpd_build_info{version="1.0",note="a \\"b\\" \\\\ c\\nd"} 1
# EOF
"""
TEXT = "chassis {\n    cluster {\n        reth-count 2;\n    }\n}\n"
ANSWERS = {
    "show chassis cluster services": Reply(True, node=0, status=SERVICES),
    "show system commit": Reply(True, node=0, commits=COMMITS),
    "show system rollback 3": Reply(True, node=0, configuration=ConfigurationTold(TEXT, "x")),
    "show metrics": Reply(True, METRICS, 0),
    "show cli": None,
    "show system api-tokens": None,
}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One directory for everything, and one time zone."""
    for variable in ("RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(variable, str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield tmp_path
    time.tzset()


def printed(capsys: pytest.CaptureFixture[str], directory: Path, typed: str, reply: Reply | None) -> str:
    if reply is None:
        assert main(typed.split()) == 0
    else:
        with daemon(directory / SOCKET_NAME, reply):
            assert main(typed.split()) == 0
        (directory / SOCKET_NAME).unlink()
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


@pytest.mark.parametrize("form", DISPLAYS)
@pytest.mark.parametrize("command", ANSWERS)
def test_every_format(
    capsys: pytest.CaptureFixture[str], directory: Path, monkeypatch: pytest.MonkeyPatch, command: str, form: str
) -> None:
    monkeypatch.setattr(SETTINGS, "screen_length", 24)
    monkeypatch.setattr("jsrpd.configuration.api_tokens.time.time", lambda: AT)
    make_token(directory, "noc", Access.ACT)
    said = printed(capsys, directory, command + DISPLAYS[form], ANSWERS[command])
    assert said == (GOLDEN / f"own-{command.removeprefix('show ').replace(' ', '-')}.{form}").read_text()
    if form == "xml":
        assert ElementTree.fromstring(said).tag == "rpc-reply"
    elif form == "json":
        json.loads(said)


def test_nothing_is_an_answer_too(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    nothing = Reply(True, node=1, status=cluster(node=1))
    said = printed(capsys, directory, "show chassis cluster services | display xml", nothing)
    (item,) = ElementTree.fromstring(said).iter("multi-routing-engine-item")
    assert [(one.tag, one.text, len(one)) for one in item] == [("re-name", "node1", 0), ("chassis-cluster-services", None, 0)]
    assert printed(capsys, directory, "show metrics | display json", Reply(True, "# EOF\n", 0)) == "[]\n"


def test_metrics_are_read_as_they_were_meant() -> None:
    priority, up, build = render_metrics.families(METRICS)
    assert [(sample.labels, sample.value) for sample in priority.samples] == [
        ({"group": "0", "node": "0"}, 200),
        ({"group": "1", "node": "0"}, 0),
    ]
    assert (priority.type, up.type, up.help) == ("gauge", "counter", "")
    assert build.samples[0].labels["note"] == 'a "b" \\ c\nd'


def test_whatever_is_shown_is_shown_in_every_format() -> None:
    """For scripts of both kinds."""
    shows = [entry for entry in ENTRIES if entry.form.startswith("show ")]
    assert len(shows) > 20
    assert [entry.form for entry in shows if not {"xml", "json"} <= set(entry.command.displays)] == []
