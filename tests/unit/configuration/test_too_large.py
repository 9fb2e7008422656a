"""A file without an end costs neither memory nor time: a little more than a configuration may have is read, and refused."""

import os
from pathlib import Path

import pytest

from jsrpd.configuration.candidate import MAX_TEXT_BYTES
from jsrpd.configuration.files import parsed, text_at
from jsrpd.configuration.identity import Identity, read_identity
from jsrpd.configuration.junos import SyntaxProblem
from jsrpd.configuration.load import load_file
from jsrpd.configuration.problems import ConfigurationError

ENDLESS = Path("/dev/zero")


@pytest.mark.parametrize("name", ["jsrpd.conf", "jsrpd.yaml", "jsrpd.json"])
def test_a_configuration(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.symlink_to(ENDLESS)
    assert len(text_at(path)) == MAX_TEXT_BYTES + 1
    with pytest.raises(ConfigurationError, match=r"more than a configuration may have \(2 MB\)"):
        load_file(path, Identity(1, 0))
    with pytest.raises(SyntaxProblem, match="more than a configuration may have"):
        parsed("x" * (MAX_TEXT_BYTES + 1), name)


def test_an_identity(tmp_path: Path) -> None:
    path = tmp_path / "identity.conf"
    os.symlink(ENDLESS, path)
    with pytest.raises(ValueError, match=r"identity\.conf"):
        read_identity(tmp_path)
