"""``request system api-token`` and ``show system api-tokens``."""

import json
from pathlib import Path

import pytest

from jsrpd.cli.commands import CommandFailed
from jsrpd.cli.grammar import GrammarError
from jsrpd.cli.main import answer
from jsrpd.configuration.api_tokens import FILE_NAME, matching, read_tokens
from jsrpd.model.access import Access

GENERATE = "request system api-token generate"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    return tmp_path


def run(line: str) -> str:
    return answer(line.split())


def test_a_life(directory: Path) -> None:
    assert run("show system api-tokens") == "No tokens\n"
    secret = run(f"{GENERATE} noc access operator").strip()
    found = matching(read_tokens(directory), secret)
    assert found is not None and found.access is Access.ACT
    shown = run("show system api-tokens")
    assert shown.split()[:2] == ["noc", "operator"]
    assert secret not in shown
    (told,) = json.loads(run("show system api-tokens | display json"))
    assert told == {"name": "noc", "access": "operator", "made": found.made}
    assert run("request system api-token revoke noc") == "noc is revoked\n"
    assert read_tokens(directory) == []


def test_refusals(directory: Path) -> None:
    with pytest.raises(GrammarError, match="not one of: read-only, operator"):
        run(f"{GENERATE} noc access all")
    with pytest.raises(CommandFailed, match="no token noc"):
        run("request system api-token revoke noc")
    run(f"{GENERATE} noc access read-only")
    (directory / FILE_NAME).chmod(0o644)
    for line in ("show system api-tokens", f"{GENERATE} two access operator", "request system api-token revoke noc"):
        with pytest.raises(CommandFailed, match="chmod 600"):
            run(line)
