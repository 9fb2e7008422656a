"""An automation library for Junos devices drives ``jsrp`` as a login shell over a real sshd."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jsrpd import __version__
from jsrpd.management.requests import SOCKET_NAME, Reply
from jsrpd.model.status import GroupStatus
from tests.peers import LIBRARIES, library, program
from tests.unit.management.daemon import cluster, daemon, row

USER, PASSWORD = "operator", "not-a-secret"
COMMANDS = ("show chassis cluster status", "show version", "help syslog", "show chassis klister", "version | count")
DRIVER = """
import json, sys
from netmiko import ConnectHandler

port, *commands = sys.argv[1:]
device = ConnectHandler(
    device_type="juniper_junos", host="127.0.0.1", port=int(port), username="operator", password="not-a-secret", conn_timeout=30
)
answers = [device.send_command(command) for command in commands]
print(json.dumps([device.find_prompt(), *answers]))
device.disconnect()
"""
MANY = 64
"""Questions the stand-in daemon answers: one a command, one a prompt."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """An sshd in a mount namespace, where the user ``operator`` has ``jsrp`` as shell."""
    if os.geteuid() != 0:
        pytest.skip("another passwd in a mount namespace needs root")
    sshd = program("sshd")
    for tool in ("unshare", "openssl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    shell = tmp_path / "jsrp"
    shell.write_text(f'#!/bin/sh\nexec {sys.executable} -m jsrpd.cli.main "$@"\n')
    shell.chmod(0o755)
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    users = f"sshd:x:64999:65534::/nonexistent:/usr/sbin/nologin\n{USER}:x:0:0::{tmp_path}:{shell}\n"
    (tmp_path / "passwd").write_text(Path("/etc/passwd").read_text() + users)
    (tmp_path / "shadow").write_text(f"{USER}:{hashed}:19000:0:99999:7:::\n")
    (tmp_path / "shadow").chmod(0o600)
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(key)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    (tmp_path / "sshd.conf").write_text(
        f"Port {number}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/key\nPidFile none\nUsePAM no\nPermitRootLogin yes\n"
        f"PasswordAuthentication yes\nStrictModes no\nPrintMotd no\nSetEnv RUNTIME_DIRECTORY={tmp_path}\n"
    )
    script = (
        "mkdir -p /run/sshd && mount -t tmpfs -o mode=0755 none /run/sshd && "
        f"mount --bind {tmp_path}/passwd /etc/passwd && mount --bind {tmp_path}/shadow /etc/shadow && "
        f"exec {sshd} -D -e -f {tmp_path}/sshd.conf"
    )
    with (tmp_path / "log").open("w") as log:
        environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES)}
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=log, env=environment)
    give_up = time.monotonic() + 20
    while "listening" not in (tmp_path / "log").read_text():
        assert process.poll() is None and time.monotonic() < give_up, (tmp_path / "log").read_text()
        time.sleep(0.05)
    yield number
    process.terminate()
    process.wait()


def test_netmiko_drives_jsrp(port: int, tmp_path: Path) -> None:
    """Its driver for Junos, as it is: it turns off pages and completion, and strips echo, banner and prompt."""
    environment = {**os.environ, "PYTHONPATH": str(library())}
    snapshot = cluster(GroupStatus(0, 1, (row(0, 200, "primary"), row(1, 100, "secondary"))))
    with daemon(tmp_path / SOCKET_NAME, *[Reply(True, node=0, status=snapshot)] * MANY, patient=False):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, str(port), *COMMANDS], env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    prompt, status, version, syslog, wrong, count = json.loads(done.stdout)
    assert prompt == f"{USER}@{socket.gethostname().partition('.')[0]}>"
    assert "node0  200      primary              no      no       None" in status
    assert "{primary:node0}" not in status
    assert version.splitlines()[-1] == f"jsrpd: {__version__}"
    assert "more" not in syslog and len(syslog.splitlines()) > 25
    assert "syntax error at 'klister'" in wrong
    assert count.strip() == "Count: 1 lines"
