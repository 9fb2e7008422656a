"""``jsrp doctor`` between a daemon that answers, one that does not, and a peer that is away; text, JSON, exit codes."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.cli.main import main
from jsrpd.management.requests import SOCKET_NAME, AskPeer, Reply, decode_request, encode
from jsrpd.model.survey import Survey, encode_survey
from tests.unit.doctor.test_checks import node

GOLDEN = Path(__file__).parent / "golden"
AWAY = Reply(False, "error: node1 does not answer: control link 0: no answer", 1)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def answering(directory: Path, own: Reply, peer: Reply) -> Iterator[None]:
    """A daemon that is asked about both nodes at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET_NAME))
        listener.listen()
        listener.settimeout(10)

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as lines:
                    asked = decode_request(lines.readline())
                    connection.sendall(encode(peer if isinstance(asked, AskPeer) else own))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(10)


def told(survey: Survey) -> Reply:
    return Reply(True, node=survey.node_id, survey=encode_survey(survey))


def doctor(capsys: pytest.CaptureFixture[str], directory: Path, own: Reply, peer: Reply, *words: str) -> tuple[int, str, str]:
    with answering(directory, own, peer):
        code = main(["doctor", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_all_is_well(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    assert doctor(capsys, directory, told(node(1)), told(node(0))) == (0, (GOLDEN / "doctor-healthy.txt").read_text(), "")


def test_findings(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    own = node(0, rivals=("keepalived",), clock_synchronized=False, running=True, gates={"lan": False})
    peer = node(1, conntrack=(10, 2000), key_problem="k can be read by others; mend it with: chmod 600 k")
    code, out, err = doctor(capsys, directory, told(own), told(peer))
    assert (code, err) == (2, "")
    assert out == (GOLDEN / "doctor-findings.txt").read_text()


def test_a_warning(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    code, out, _ = doctor(capsys, directory, told(node(0)), AWAY)
    assert code == 1
    assert out == (GOLDEN / "doctor-peer-away.txt").read_text()


def test_notes_are_no_failure(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    code, out, _ = doctor(capsys, directory, told(node(0, clock_synchronized=False)), told(node(1)))
    assert code == 0
    assert "24 checks: 1 note" in out


def test_json(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    code, out, _ = doctor(capsys, directory, told(node(0, rivals=("keepalived",))), told(node(1)), "|", "display", "json")
    tree = json.loads(out)
    assert code == 1
    assert tree["examined"] == [0, 1]
    assert [(one["check"], one["severity"], one["node"]) for one in tree["findings"]] == [("managers", "warning", 0)]
    assert tree["surveys"][0]["rivals"] == ["keepalived"]


def test_pipes(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    code, out, _ = doctor(capsys, directory, told(node(0, rivals=("keepalived",))), AWAY, "|", "match", "warning ")
    assert code == 1
    assert len(out.splitlines()) == 2


def test_answers_that_are_not_understood(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    code, out, _ = doctor(capsys, directory, told(node(0)), Reply(True, survey=b"\x80"))
    assert code == 1
    assert "are jsrp and jsrpd of one version?" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="without a daemon only root may look")
def test_without_a_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    """A process of its own looks at this machine, whatever it is; here it is in no cluster."""
    assert main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert "which is in no cluster" in said
    assert "mend: jsrp set chassis cluster cluster-id 1 node 0" in said


def test_without_a_daemon_and_without_root(capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        assert main(["doctor"]) == 1
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert "run as root" in capsys.readouterr().err
