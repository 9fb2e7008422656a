"""Who may use the REST interface over TCP: a file of names and what their tokens hash to, which only root can read.

A token is 32 random bytes, so its plain SHA-256 tells nobody anything; the token itself is shown once and kept nowhere.
"""

import hashlib
import hmac
import os
import secrets
import stat
import time
from pathlib import Path

import msgspec

from jsrpd.model.access import Access

FILE_NAME = "api-tokens"
PREFIX = "jsrp_"
TOKEN_BYTES = 32
MAX_TOKENS = 256
MAX_FILE_BYTES = 256 * 1024
MAX_NAME = 63


class ApiToken(msgspec.Struct, frozen=True):
    """One line of the file. ``digest``: SHA-256 of the token as hexadecimal digits; ``made``: seconds since 1970."""

    name: str
    access: Access
    digest: str
    made: int = 0


class TokenFileError(Exception):
    """Refused; the text is for the operator."""


_decoder = msgspec.json.Decoder(list[ApiToken])


def read_tokens(directory: Path) -> list[ApiToken]:
    """All tokens, none where there is no file. TokenFileError for a file that others can read or that is not understood."""
    path = directory / FILE_NAME
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}") from error
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise TokenFileError(f"{path} can be read by others; mend it with: chmod 600 {path}")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise TokenFileError(f"{path} is not understood: {error}") from error


def make_token(directory: Path, name: str, access: Access) -> str:
    """A new token under a name that is free; the token. TokenFileError, OSError."""
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME and " " not in name):
        raise TokenFileError(f"a token's name is one word of at most {MAX_NAME} characters")
    tokens = read_tokens(directory)
    if any(token.name == name for token in tokens):
        raise TokenFileError(f"there is a token {name} already; take it back with: jsrp request system api-token revoke {name}")
    if len(tokens) >= MAX_TOKENS:
        raise TokenFileError(f"there are {MAX_TOKENS} tokens already")
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    _write(directory, [*tokens, ApiToken(name, access, digest(secret), int(time.time()))])
    return secret


def revoke_token(directory: Path, name: str) -> None:
    """Take a token back. TokenFileError when there is none of the name, OSError."""
    tokens = read_tokens(directory)
    kept = [token for token in tokens if token.name != name]
    if len(kept) == len(tokens):
        raise TokenFileError(f"there is no token {name}; all of them: jsrp show system api-tokens")
    _write(directory, kept)


def digest(secret: str) -> str:
    """As it stands in the file."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def matching(tokens: list[ApiToken], secret: str) -> ApiToken | None:
    """The token that a client has shown. Every one is compared, in constant time each."""
    shown, found = digest(secret), None
    for token in tokens:
        if hmac.compare_digest(token.digest.encode(), shown.encode()):
            found = token
    return found


def _write(directory: Path, tokens: list[ApiToken]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f"{FILE_NAME}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(tokens), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / FILE_NAME)
