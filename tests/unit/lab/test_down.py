"""A lab that cannot be removed whole is removed as far as it can be."""

from pathlib import Path

import pytest

from jsrpd.lab import topology
from jsrpd.lab.topology import MEMBERS, Lab, LabError


def test_what_one_member_meets_keeps_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that does not die left five namespaces and the other node's daemons behind."""
    killed: list[str] = []
    deleted: list[str] = []

    def kill(_lab: Lab, member: str) -> None:
        killed.append(member)
        if member == "node0":
            raise LabError("node0: processes do not die")

    def run(*words: str) -> str:
        deleted.append(words[-1])
        return ""

    monkeypatch.setattr(topology, "kill_everything", kill)
    monkeypatch.setattr(topology, "run", run)
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    lab = Lab("gone", tmp_path / "labs" / "lab")
    lab.directory.mkdir(parents=True)
    with pytest.raises(LabError, match="do not die"):
        topology.down(lab)
    assert sorted(killed) == sorted(MEMBERS)
    assert sorted(deleted) == sorted(map(lab.namespace, MEMBERS))
    monkeypatch.undo()
    assert not lab.directory.exists()
