"""Every problem of a bad configuration at once, as the operator reads them."""

from pathlib import Path

import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load, load_file
from jsrpd.configuration.problems import ConfigurationError

GOLDEN = Path(__file__).parent / "golden"


def errors(text: str, node: int = 0) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text, Identity(7, node))
    return f"{caught.value}\n"


@pytest.mark.parametrize("node", [0, 1])
def test_all_at_once(node: int) -> None:
    """Line, column, path, range with unit, nearest known name; nothing twice; no complaint that only follows from another."""
    assert errors((GOLDEN / "bad.conf").read_text(), node) == (GOLDEN / "bad.txt").read_text()


def test_what_cannot_be_read_is_said_alone() -> None:
    assert errors("chassis {\n  cluster {\n}\n") == "jsrpd.conf:1:9: { is not closed\n"


def test_an_empty_text() -> None:
    assert errors("") == "jsrpd.conf:1:1: chassis cluster: no control-link: the nodes cannot hear each other\n"


def test_the_file_is_named(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a problem of the text, not a crash."""
    path = tmp_path / "jsrpd.conf"
    path.write_bytes(b"chassis {\n    \xff\xfe;\n}\n")
    with pytest.raises(ConfigurationError, match=f"^{path}:2:5: chassis: unknown statement"):
        load_file(path, Identity(7, 0))
