"""The file of tokens: made, found again, taken back; and refused when others could read it."""

from pathlib import Path

import pytest

from jsrpd.configuration import api_tokens
from jsrpd.configuration.api_tokens import FILE_NAME, TokenFileError, make_token, matching, read_tokens, revoke_token
from jsrpd.model.access import Access


def test_a_life(tmp_path: Path) -> None:
    assert read_tokens(tmp_path) == []
    reader, operator = make_token(tmp_path, "r", Access.READ), make_token(tmp_path, "o", Access.ACT)
    path = tmp_path / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert reader not in path.read_text()
    found = matching(read_tokens(tmp_path), operator)
    assert found is not None and (found.name, found.access) == ("o", Access.ACT)
    revoke_token(tmp_path, "o")
    assert matching(read_tokens(tmp_path), operator) is None
    assert matching(read_tokens(tmp_path), reader) is not None
    assert matching(read_tokens(tmp_path), "\udcff") is None


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_token(tmp_path, "a", Access.READ)
    for name, said in (("a", "already"), ("", "one word"), ("b c", "one word"), ("x" * 64, "one word"), ("ä", "one word")):
        with pytest.raises(TokenFileError, match=said):
            make_token(tmp_path, name, Access.READ)
    with pytest.raises(TokenFileError, match="no token b"):
        revoke_token(tmp_path, "b")
    monkeypatch.setattr(api_tokens, "MAX_TOKENS", 1)
    with pytest.raises(TokenFileError, match="1 tokens"):
        make_token(tmp_path, "b", Access.READ)
    path = tmp_path / FILE_NAME
    path.chmod(0o640)
    with pytest.raises(TokenFileError, match="chmod 600"):
        read_tokens(tmp_path)
    path.chmod(0o600)
    for content in (b"{", b"[" * 100_000, b"[1]"):
        path.write_bytes(content)
        with pytest.raises(TokenFileError, match="not understood"):
            read_tokens(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(TokenFileError):
        read_tokens(tmp_path)


def test_access() -> None:
    assert Access.ACT.covers(Access.READ) and Access.READ.covers(Access.READ)
    assert not Access.READ.covers(Access.ACT)
    assert not Access.NONE.covers(Access.READ)
