"""The cluster key's file: refused with the command that mends it, in every case (SPEC section 15)."""

import os
import re
import stat
from pathlib import Path

import pytest

from jsrpd.configuration.key import FILE_NAME, GENERATE, KEY_BYTES, KeyFileError, generate_key, read_key


def refusal(directory: Path) -> str:
    with pytest.raises(KeyFileError) as caught:
        read_key(directory)
    return str(caught.value)


def write(directory: Path, text: str | bytes, mode: int = 0o600) -> None:
    path = directory / FILE_NAME
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)


def test_generated(tmp_path: Path) -> None:
    """32 random bytes, for its owner only, whatever the umask; nothing else is left behind."""
    before = os.umask(0)
    try:
        path = generate_key(tmp_path / "etc")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(read_key(tmp_path / "etc")) == KEY_BYTES
    assert re.fullmatch(r"[0-9a-f]{64}\n", path.read_text())
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]


def test_generated_once(tmp_path: Path) -> None:
    """A key in use is not replaced by accident, and by ``force`` in one step, over what a crash may have left."""
    first = generate_key(tmp_path).read_text()
    with pytest.raises(KeyFileError, match=f"exists; replace it with: {GENERATE} force"):
        generate_key(tmp_path)
    assert (tmp_path / FILE_NAME).read_text() == first
    (tmp_path / f"{FILE_NAME}.new").write_text("half")
    assert generate_key(tmp_path, force=True).read_text() != first


def test_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path / FILE_NAME} is missing; make one with: {GENERATE}, and copy it to the other node"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_open_to_others(tmp_path: Path, mode: int) -> None:
    """And the command is right."""
    write(tmp_path, "5a" * KEY_BYTES, mode)
    command = refusal(tmp_path).partition(f"{tmp_path / FILE_NAME} can be read by others; mend it with: ")[2]
    assert command == f"chmod 600 {tmp_path / FILE_NAME}"
    (tmp_path / FILE_NAME).chmod(0o600)
    assert read_key(tmp_path) == b"\x5a" * KEY_BYTES


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses(tmp_path: Path) -> None:
    """Whoever owns it can read it."""
    write(tmp_path, "5a" * KEY_BYTES)
    os.chown(tmp_path / FILE_NAME, 65534, 0)
    assert refusal(tmp_path).endswith(f"belongs to another user; mend it with: chown root {tmp_path / FILE_NAME}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("5a" * 31, "has 31 bytes instead of 32"),
        ("5a" * 33, "has 33 bytes instead of 32"),
        ("", "has 0 bytes instead of 32"),
        ("5a" * 1_000_000, "bytes instead of 32"),
        ("secret", "is not hexadecimal"),
    ],
)
def test_not_a_key(tmp_path: Path, content: str, said: str) -> None:
    write(tmp_path, content)
    assert said in refusal(tmp_path)
    assert refusal(tmp_path).endswith(f"make a new key with: {GENERATE} force")


def test_not_even_text(tmp_path: Path) -> None:
    write(tmp_path, b"\xff" * 32)
    assert "cannot be read" in refusal(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    assert "cannot be read" in refusal(tmp_path)


def test_spaces_around_it_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, f"\n {'5a' * KEY_BYTES}\n\n")
    assert read_key(tmp_path) == b"\x5a" * KEY_BYTES
