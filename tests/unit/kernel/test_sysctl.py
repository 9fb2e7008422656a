"""Sysctls by path."""

from pathlib import Path

import pytest

from jsrpd.kernel import sysctl


def test_read_and_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not exist reads as None and refuses."""
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "forward").write_text("0\n")
    assert sysctl.read("net/forward") == "0"
    assert sysctl.write("net/forward", "1")
    assert sysctl.read("net/forward") == "1"
    assert sysctl.read("net/none") is None
    assert not sysctl.write("no/such", "1")


def test_the_real_ones() -> None:
    assert sysctl.read("kernel/ostype") == "Linux"
