"""The history of configurations: one file a commit, never changed, the newest fifty kept.

A commit's rank orders all commits of both nodes the same way, whoever heard of which first: the number it got, an
operator before the daemon itself, the time, the node. The one that ranks highest is in force. So two histories are made
equal by exchanging what the other lacks, and of two commits made apart, the one that is not in force is still there to be
read and rolled back to.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

DIRECTORY = "commits"
KEPT = 50
OPERATOR, AUTOMATIC, FILE = "operator", "automatic", "file"
"""Who made it: a person, the daemon when nobody confirmed, or somebody with an editor in the file itself."""


class Commit(msgspec.Struct, frozen=True):
    """``time``: seconds since 1970. ``confirm_minutes``: taken back after that many unless followed by another; 0: for good."""

    sequence: int
    node: int
    time: float
    author: str
    comment: str
    text: str
    parent: str = ""
    kind: str = OPERATOR
    confirm_minutes: int = 0
    client: str = "cli"

    @property
    def id(self) -> str:
        """16 hexadecimal digits that no other commit has."""
        said = (self.sequence, self.node, self.time, self.author, self.comment, self.parent, self.kind, self.confirm_minutes)
        return hashlib.sha256(repr(said).encode() + self.text.encode()).hexdigest()[:16]

    @property
    def rank(self) -> tuple[int, int, float, int, str]:
        """Which of two is in force: the higher."""
        return self.sequence, int(self.kind == OPERATOR), self.time, -self.node, self.id


def digest(text: str) -> str:
    """Of a configuration's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def in_place_of(file: str, head: Commit | None) -> tuple[str, str]:
    """What is edited where the file cannot be read, and the warning that says so: whoever commits that replaces the file."""
    what = "the last commit is edited" if head is not None else "an empty configuration is edited"
    return head.text if head is not None else "", f"warning: {file} cannot be read; {what}, and a commit replaces the file"


class Applied(msgspec.Struct, frozen=True):
    """Digests of the file as this program wrote it last, and as it was before: anything else was written by somebody else."""

    now: str = ""
    before: str = ""


class Deadline(msgspec.Struct, frozen=True):
    """When an unconfirmed commit is taken back: on the boot-time clock of one boot, and on the wall clock (both s)."""

    commit: str
    boot: str
    boot_time: float
    wall_time: float


_Kept = TypeVar("_Kept", Applied, Deadline)


class CommitStore:
    """The directory. OSError from what writes: then nothing has changed."""

    def __init__(self, state_directory: Path) -> None:
        self.directory = state_directory / DIRECTORY
        self._commits: dict[str, Commit] = {}
        self._seen: tuple[str, ...] | None = None

    def history(self) -> list[Commit]:
        """The newest first. A file that cannot be read is passed over: it is one past configuration less."""
        names = tuple(sorted(path.name for path in self.directory.glob("*.commit")))
        if names != self._seen:
            self._commits = {commit.id: commit for name in names if (commit := self._read(name)) is not None}
            self._seen = names
        return sorted(self._commits.values(), key=lambda commit: commit.rank, reverse=True)

    def _read(self, name: str) -> Commit | None:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeError):
            return msgspec.json.decode((self.directory / name).read_bytes(), type=Commit)
        return None

    def head(self) -> Commit | None:
        """The commit in force."""
        return next(iter(self.history()), None)

    def find(self, identity: str) -> Commit | None:
        """By its id."""
        self.history()
        return self._commits.get(identity)

    def lineage(self) -> set[str]:
        """Ids of the commit in force and of those it was made upon."""
        found, commit = set[str](), self.head()
        while commit is not None and commit.id not in found:
            found.add(commit.id)
            commit = self._commits.get(commit.parent)
        return found

    def add(self, commits: Iterable[Commit]) -> None:
        """Keep them, safely on the disk when this returns, and forget the oldest beyond what is kept."""
        for commit in commits:
            if self.find(commit.id) is None:
                write_whole(self.directory / f"{commit.sequence:010}-{commit.id}.commit", msgspec.json.encode(commit))
        self._seen = None
        for old in self.history()[KEPT:]:
            with contextlib.suppress(OSError):
                (self.directory / f"{old.sequence:010}-{old.id}.commit").unlink()
        self._seen = None

    def applied(self) -> Applied:
        """What was written last."""
        return self._load("applied", Applied) or Applied()

    def set_applied(self, applied: Applied) -> None:
        """Before the file itself is written."""
        write_whole(self.directory / "applied", msgspec.json.encode(applied))

    def deadline(self) -> Deadline | None:
        """Of the unconfirmed commit in force."""
        return self._load("deadline", Deadline)

    def set_deadline(self, deadline: Deadline) -> None:
        """Kept over a restart of the daemon and of the machine."""
        write_whole(self.directory / "deadline", msgspec.json.encode(deadline))

    def _load(self, name: str, kind: type[_Kept]) -> _Kept | None:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self.directory / name).read_bytes(), type=kind)
        return None


def write_whole(path: Path, data: bytes, mode: int = 0o640) -> None:
    """All of it or nothing, also when the disk is full or the power fails. OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
