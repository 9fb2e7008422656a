"""Which half of which cluster: ``identity.conf``."""

from pathlib import Path

import pytest

from jsrpd.configuration.identity import FILE_NAME, Identity, read_identity, write_identity


@pytest.mark.parametrize("identity", [Identity(1, 0), Identity(255, 1)])
def test_round_trip(tmp_path: Path, identity: Identity) -> None:
    write_identity(tmp_path / "etc", identity)
    assert read_identity(tmp_path / "etc") == identity


def test_not_clustered(tmp_path: Path) -> None:
    """No file, or cluster-id 0, the vendor's way to leave a cluster."""
    assert read_identity(tmp_path) is None
    write_identity(tmp_path, Identity(3, 1))
    write_identity(tmp_path, None)
    assert read_identity(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_set_lines_do(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("set cluster-id 9\nset node 1\n")
    assert read_identity(tmp_path) == Identity(9, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cluster-id must be 0..255"),
        ("cluster-id 256; node 0;", "cluster-id must be 0..255"),
        ("cluster-id -1; node 0;", "cluster-id must be 0..255"),
        ("cluster-id ²; node 0;", "cluster-id must be 0..255"),
        (f"cluster-id {'9' * 5000}; node 0;", "cluster-id must be 0..255"),
        ("cluster-id 1; node 2;", "node must be 0..1"),
        ("cluster-id 1; node;", "node must be 0..1"),
        ("cluster-id 1;\nnode 0", f"{FILE_NAME}:2: ; is missing at the end"),
    ],
)
def test_something_else(tmp_path: Path, text: str, message: str) -> None:
    """It says where and what was expected."""
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_identity(tmp_path)


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="decode"):
        read_identity(tmp_path)
