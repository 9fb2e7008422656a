"""What configuration mode asks for: the daemon's desk over the management socket, or the files where no daemon runs."""

import contextlib
import fcntl
import os
import pwd
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from jsrpd.cli.commands import CommandFailed
from jsrpd.configuration import files
from jsrpd.configuration.candidate import EditFailed
from jsrpd.configuration.identity import Identity, read_identity
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.configuration.render import text_of
from jsrpd.management.commits import FILE, Applied, Commit, CommitStore, digest, in_place_of, write_whole
from jsrpd.management.requests import (
    MAX_REPLY,
    PIECE_CHARACTERS,
    CandidatePiece,
    CommitCandidate,
    CommitLine,
    ConfigurationTold,
    OpenConfiguration,
    ReadCommit,
    Reply,
    Request,
    ShowCommits,
    decode_reply,
    encode,
)

TIMEOUT_S = 60.0
"""Both nodes check, write and load."""
LOCK = "commits.lock"


class Desk(Protocol):
    """Where configurations come from and go to. CommandFailed says why not."""

    def open(self, exclusive: bool) -> ConfigurationTold:
        """What is there to be edited."""

    def commit(self, text: str, base: str, comment: str, confirm_minutes: int, check: bool) -> tuple[str, ConfigurationTold | None]:
        """What is printed, and what is in force afterwards."""

    def commits(self) -> tuple[CommitLine, ...]:
        """The newest first."""

    def read(self, number: int) -> str:
        """The text of a past configuration."""

    def close(self) -> None:
        """Whatever is locked is free."""


def desk(socket_path: Path, configuration: Path, state: Path) -> Desk:
    """The daemon's when it runs."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(socket_path))
    except (FileNotFoundError, ConnectionRefusedError):
        return FilesDesk(configuration, state)
    except OSError as error:
        raise CommandFailed(f"error: {socket_path}: {error.strerror or error}; run as root") from error
    finally:
        connection.close()
    return DaemonDesk(socket_path)


class DaemonDesk:
    """Asks the gateway. One connection is kept while the configuration is held exclusively, else one a question."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: socket.socket | None = None

    def open(self, exclusive: bool) -> ConfigurationTold:
        """As the protocol says."""
        if exclusive:
            self.close()
            self._kept = self._connect()
        reply = self._ask([OpenConfiguration(exclusive)])
        assert reply.configuration is not None
        return reply.configuration

    def commit(self, text: str, base: str, comment: str, confirm_minutes: int, check: bool) -> tuple[str, ConfigurationTold | None]:
        """As the protocol says."""
        pieces: list[Request] = [CandidatePiece(text[at : at + PIECE_CHARACTERS]) for at in range(0, len(text), PIECE_CHARACTERS)]
        reply = self._ask([*pieces, CommitCandidate(base, comment, confirm_minutes, check)])
        return reply.text, reply.configuration

    def commits(self) -> tuple[CommitLine, ...]:
        """As the protocol says."""
        return self._ask([ShowCommits()]).commits

    def read(self, number: int) -> str:
        """As the protocol says."""
        told = self._ask([ReadCommit(number)]).configuration
        return told.text if told is not None else ""

    def close(self) -> None:
        """As the protocol says."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(self.path))
        except OSError as error:
            connection.close()
            raise CommandFailed(f"error: jsrpd does not answer on {self.path}: {error}; look at: journalctl -u jsrpd") from error
        return connection

    def _ask(self, requests: list[Request]) -> Reply:
        connection = self._kept or self._connect()
        try:
            # A gateway that turns this client away has answered and closed before it reads everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for request in requests:
                    connection.sendall(encode(request))
            reply = _reply(connection)
        except (OSError, msgspec.DecodeError) as error:
            if connection is self._kept:
                self.close()
                raise CommandFailed(
                    f"error: the daemon was restarted, the lock is gone: {error}; enter: configure exclusive"
                ) from error
            raise CommandFailed(f"error: jsrpd does not answer: {error}; whether it was done tells: show system commit") from error
        finally:
            if connection is not self._kept:
                connection.close()
        if not reply.ok:
            raise CommandFailed(reply.text)
        return reply


def _reply(connection: socket.socket) -> Reply:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            raise ConnectionError("it closed the connection")
        data += piece
        if len(data) > MAX_REPLY:
            raise ConnectionError("its answer has no end")
    return decode_reply(bytes(data))


class FilesDesk:
    """No daemon runs: the commit is recorded, the file written, and both nodes are one when the daemons meet."""

    def __init__(self, configuration: Path, state: Path) -> None:
        self.directory, self.store = configuration, CommitStore(state)
        self._lock_file = state / LOCK
        self._held: int | None = None

    def open(self, exclusive: bool) -> ConfigurationTold:
        """As the protocol says."""
        if exclusive:
            self._held = self._lock()
        text, remarks = self._to_edit()
        running = "warning: jsrpd is not running; a commit takes effect when it starts"
        return ConfigurationTold(text, digest(text), (running, *remarks))

    def commit(self, text: str, base: str, comment: str, confirm_minutes: int, check: bool) -> tuple[str, ConfigurationTold | None]:
        """As the protocol says."""
        identity = read_identity(self.directory) or Identity(1, 0)
        try:
            load(text, identity, "candidate")
        except ConfigurationError as error:
            raise CommandFailed(f"{error}\nerror: configuration check-out failed") from error
        if check:
            return "configuration check succeeds\n", None
        if confirm_minutes:
            raise CommandFailed("error: jsrpd is not running, and nobody would take the commit back; start it first")
        with self._locked():
            if base != digest(self._to_edit()[0]):
                raise CommandFailed("error: the configuration has changed since; take it up with: update")
            try:
                self._write(text, identity, comment)
            except OSError as error:
                raise CommandFailed(f"error: {error.filename}: {error.strerror}; nothing was committed") from error
        now = self._text()
        return "commit complete\n", ConfigurationTold(now, digest(now))

    def _write(self, text: str, identity: Identity, comment: str) -> None:
        path, head = files.in_use(self.directory), self.store.head()
        found, raw = list[Commit](), files.text_at(path) if path.exists() else ""
        if head is None and raw:
            head = Commit(1, 0, 0.0, "file", "before the first commit", self._kept(raw), "", FILE)
            found = [head]
        elif head is not None and digest(raw) != self.store.applied().now:
            edited = Commit(head.sequence + 1, identity.node_id, path.stat().st_mtime, "file", "", self._kept(raw), head.id, FILE)
            found, head = [edited], edited
        author = pwd.getpwuid(os.getuid()).pw_name
        now, parent = round(time.time(), 3), head.id if head is not None else ""
        commit = Commit(head.sequence + 1 if head else 1, identity.node_id, now, author, comment, text, parent)
        written = files.written(text, path.name)
        self.store.add([*found, commit])
        self.store.set_applied(Applied(digest(written), digest(raw)))
        write_whole(path, written.encode(), path.stat().st_mode & 0o777 if path.exists() else 0o640)

    def _to_edit(self) -> tuple[str, list[str]]:
        """What a candidate begins with, and what must be said of it."""
        try:
            return self._text(), []
        except EditFailed as error:
            text, warning = in_place_of(files.in_use(self.directory).name, self.store.head())
            return text, [*str(error).splitlines(), warning]

    def _text(self) -> str:
        path = files.in_use(self.directory)
        try:
            raw = files.text_at(path)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CommandFailed(f"error: {path}: {error.strerror}") from error
        return text_of(files.read_tree(raw, path.name))

    def _kept(self, raw: str) -> str:
        """For the history: in the native form, or as it is where it cannot be read."""
        try:
            return self._text()
        except EditFailed:
            return raw

    def commits(self) -> tuple[CommitLine, ...]:
        """As the protocol says."""
        return tuple(
            CommitLine(n, one.sequence, one.time, one.author, one.client, one.node, one.comment)
            for n, one in enumerate(self.store.history())
        )

    def read(self, number: int) -> str:
        """As the protocol says."""
        history = self.store.history()
        if number >= len(history):
            raise CommandFailed(f"error: there is no rollback {number}; the history has {len(history)} entries")
        return history[number].text

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = self._held if self._held is not None else self._lock()
        try:
            yield
        finally:
            if descriptor != self._held:
                os.close(descriptor)

    def _lock(self) -> int:
        """The kernel frees it with the process."""
        try:
            self._lock_file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CommandFailed(f"error: {self._lock_file}: {error.strerror}; run as root") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise CommandFailed("error: configuration database locked by another process") from error
        return descriptor

    def close(self) -> None:
        """As the protocol says."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
