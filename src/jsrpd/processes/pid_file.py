"""The PID file: locked for as long as the parent lives, so a stale file never keeps a daemon from starting."""

import fcntl
import os
from pathlib import Path


class AlreadyRunning(Exception):
    """A live process holds the lock."""


class PidFile:
    """Lock first, write after daemonising: the lock is of the open file and survives the fork."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = -1

    def lock(self) -> None:
        """AlreadyRunning when another parent lives; OSError when the file cannot be opened or locked."""
        while True:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunning from error
            if self._is_in_place():
                return
            os.close(self.descriptor)

    def _is_in_place(self) -> bool:
        """False when a daemon that ended removed the file after we opened it: the next one would not see our lock."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def write(self, pid: int) -> None:
        """Replace whatever a former daemon left. OSError when the file system refuses."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{pid}\n".encode(), 0)

    def remove(self) -> None:
        """On a clean exit."""
        self.path.unlink(missing_ok=True)

    def close_in_child(self) -> None:
        """Children must not keep the lock of a parent that died."""
        os.close(self.descriptor)
