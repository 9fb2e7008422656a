"""Where a node's files are: systemd's variables, the first of several paths, the defaults (SPEC section 2)."""

from pathlib import Path

import pytest

from jsrpd.processes.directories import Directories, directories

VARIABLES = {
    "configuration": ("CONFIGURATION_DIRECTORY", "/etc/jsrpd"),
    "runtime": ("RUNTIME_DIRECTORY", "/run/jsrpd"),
    "state": ("STATE_DIRECTORY", "/var/lib/jsrpd"),
    "logs": ("LOGS_DIRECTORY", "/var/log/jsrpd"),
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _ in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def test_defaults() -> None:
    assert directories() == Directories(**{kind: Path(default) for kind, (_, default) in VARIABLES.items()})


@pytest.mark.parametrize("kind", VARIABLES)
@pytest.mark.parametrize(("value", "path"), [("/a", "/a"), ("/a:/b", "/a"), ("", None)])
def test_each_variable_alone(monkeypatch: pytest.MonkeyPatch, kind: str, value: str, path: str | None) -> None:
    """It moves its own directory and no other; empty counts as unset."""
    variable, default = VARIABLES[kind]
    monkeypatch.setenv(variable, value)
    found = directories()
    assert getattr(found, kind) == Path(path or default)
    assert [getattr(found, other) for other in VARIABLES if other != kind] == [
        Path(default) for other, (_, default) in VARIABLES.items() if other != kind
    ]


def test_files() -> None:
    node = Directories(Path("/c"), Path("/r"), Path("/s"), Path("/l"))
    assert (node.configuration_file, node.pid_file) == (Path("/c/jsrpd.conf"), Path("/r/jsrpd.pid"))
