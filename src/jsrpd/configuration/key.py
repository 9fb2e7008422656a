"""The cluster key: 32 random bytes as hexadecimal text in a file only root can read, the same on both nodes."""

import os
import secrets
import stat
from pathlib import Path

FILE_NAME = "cluster.key"
KEY_BYTES = 32
MAX_FILE_CHARACTERS = 4096
GENERATE = "jsrp request chassis cluster key generate"


class KeyFileError(Exception):
    """Refused, with the command that mends it."""


def generate_key(directory: Path, force: bool = False) -> Path:
    """Make a new key. KeyFileError when there is one already and ``force`` is not given."""
    path = directory / FILE_NAME
    if path.exists() and not force:
        raise KeyFileError(f"{path} exists; replace it with: {GENERATE} force (and copy it to the other node)")
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f"{FILE_NAME}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path


def read_key(directory: Path) -> bytes:
    """The key. KeyFileError when missing, readable by others, somebody else's, or not a key."""
    path = directory / FILE_NAME
    try:
        with path.open() as file:
            status = os.fstat(file.fileno())
            text = file.read(MAX_FILE_CHARACTERS).strip()
    except FileNotFoundError as error:
        raise KeyFileError(f"{path} is missing; make one with: {GENERATE}, and copy it to the other node") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyFileError(f"{path} can be read by others; mend it with: chmod 600 {path}")
    if status.st_uid not in (0, os.geteuid()):
        raise KeyFileError(f"{path} belongs to another user; mend it with: chown root {path}")
    try:
        key = bytes.fromhex(text)
    except ValueError as error:
        raise KeyFileError(f"{path} is not hexadecimal; make a new key with: {GENERATE} force") from error
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path} has {len(key)} bytes instead of {KEY_BYTES}; make a new key with: {GENERATE} force")
    return key
