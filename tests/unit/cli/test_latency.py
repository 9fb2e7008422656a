"""What a command imports is most of the time it takes (SPEC section 11: 150 ms). Modules are named, no time is measured."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.cli.tree import ENTRIES
from jsrpd.management.requests import SOCKET_NAME, Reply, decode_request, encode
from jsrpd.model.details import Details
from jsrpd.model.journal import encode_events
from tests.unit.management.daemon import cluster

HEAVY = {
    "argparse",
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "ctypes",
    "difflib",
    "email",
    "http",
    "jsrpd.core",
    "jsrpd.gateway",
    "jsrpd.kernel",
    "jsrpd.lab",
    "jsrpd.messages",
    "jsrpd.processes",
    "jsrpd.sessions",
    "jsrpd.wire",
    "logging",
    "multiprocessing",
    "pysnmp",
    "ssl",
    "starlette",
    "subprocess",
    "urllib.request",
    "uvicorn",
    "xml",
    "yaml",
}
"""Modules, with all below them, that no command which shows something needs."""
PROBE = """
import sys
before = set(sys.modules)
from jsrpd.cli.main import main
code = main(sys.argv[1:])
print(*(set(sys.modules) - before), file=sys.stderr)
sys.exit(code)
"""
SHOWN = sorted(
    entry.form.split(" [")[0].replace("NUMBER", "0") + display
    for entry in ENTRIES
    if entry.form.startswith("show ")
    for display in ("", *(f" | display {one}" for one in entry.command.displays if one != "json"))
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a daemon that has an answer for everything."""
    made = tmp_path_factory.mktemp("run")
    reply = Reply(True, "", 0, status=cluster(), ip_monitoring=(), details=Details((), None), events=encode_events(()))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made / SOCKET_NAME))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as lines:
                    decode_request(lines.readline())
                    connection.sendall(encode(reply))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def imported(directory: Path, words: str) -> set[str]:
    """By a command in an interpreter of its own, which nothing of the tests has filled."""
    places = {name: str(directory) for name in ("RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "STATE_DIRECTORY")}
    command = [sys.executable, "-c", PROBE, *words.split()]
    done = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False, timeout=60)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", SHOWN)
def test_what_shows_imports_nothing_heavy(directory: Path, words: str) -> None:
    found = imported(directory, words)
    assert "jsrpd.cli.tree" in found
    assert {one for one in found for heavy in HEAVY if one == heavy or one.startswith(f"{heavy}.")} == set()
