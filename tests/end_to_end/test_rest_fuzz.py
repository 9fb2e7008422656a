"""schemathesis against the REST interface of a real daemon: whatever is sent, the answers are those that are documented.

It makes requests from the daemon's own OpenAPI document, good ones and every kind of bad one. ``make fuzz-http`` does the
same for longer.
"""

import os
import subprocess
import sys
from pathlib import Path

from jsrpd.lab.topology import inside
from tests.end_to_end.process_fixtures import Node
from tests.end_to_end.test_rest import owner, reachable
from tests.peers import UNPACKED, library

__all__ = ["owner"]
SECONDS = int(os.environ.get("JSRPD_FUZZ_SECONDS", "20"))


def test_schemathesis(owner: Node, tmp_path: Path) -> None:
    library()
    token = owner.run("jsrp", *["request", "system", "api-token", "generate", "fuzz", "access", "operator"]).stdout.strip()
    before = owner.pids()
    address = "https://127.0.0.1:9470/api/v1/openapi.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", address, "--tls-verify=false", "--exclude-path=/api/v1/stream"]
    # A restart is answered, but what comes after it is not there for a moment.
    command += ["--exclude-path=/api/v1/request/daemon/restart"]
    options = [f"--max-time={SECONDS}", "--continue-on-failure", "--no-color", "--request-timeout=10"]
    done = subprocess.run(
        inside(owner.namespace, *command, "-H", f"Authorization: Bearer {token}", *options),
        env={**os.environ, "PYTHONPATH": str(UNPACKED / "schemathesis")},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert reachable(owner)
    assert owner.pids() == before
    assert owner.log.find("JSRPD_NOTICE", "REST") == []
