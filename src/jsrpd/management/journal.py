"""The journal's files: frames that are whole or recognised as torn, in segments that are bounded together.

A frame is ``JSRJ``, the length and the CRC-32 of its compressed content, the content. A reader that finds anything else
looks for the next ``JSRJ``: after a crash or a full disk a frame may be missing, never wrong. What the content means
is not known here.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"JSRJ"
HEAD = len(MAGIC) + 8
MAX_CONTENT = 8 << 20
"""Of one frame, so that a damaged file cannot ask for all memory."""
DIRECTORY = "journal"
"""Of a node's journals, in its state directory."""
SUFFIX = ".journal"
INPUTS, EVENTS = "inputs", "events"
"""Names of the two journals of a node: what its core was told, and what an operator reads of it."""


def frame(content: bytes) -> bytes:
    """One frame."""
    packed = zlib.compress(content, 6)
    return b"".join([MAGIC, len(packed).to_bytes(4, "big"), zlib.crc32(packed).to_bytes(4, "big"), packed])


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset behind the frame, content) of every whole frame."""
    at = 0
    while (at := data.find(MAGIC, at)) >= 0:
        length, check = (int.from_bytes(data[at + n : at + n + 4], "big") for n in (4, 8))
        packed = data[at + HEAD : at + HEAD + length]
        content = _unpacked(packed) if len(packed) == length and zlib.crc32(packed) == check else None
        if content is None:
            at += 1
            continue
        at += HEAD + length
        yield at, content


def _unpacked(packed: bytes) -> bytes | None:
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(packed, MAX_CONTENT)
    except zlib.error:
        return None
    return content if machine.eof else None


def contents(path: Path, name: str = INPUTS) -> Iterator[bytes]:
    """Contents of all whole frames of a file, or of a directory's segments called ``name``, oldest first. OSError."""
    for segment in [path] if path.is_file() else segments(path, name):
        try:
            data = segment.read_bytes()
        except FileNotFoundError:
            continue  # Rotated away while we read.
        for _, content in frames(data):
            yield content


def segments(directory: Path, name: str) -> list[Path]:
    """A journal's files, oldest first."""
    return sorted(directory.glob(f"{name}-*{SUFFIX}"))


class SegmentWriter:
    """Appends frames. At most ``segment_bytes`` in a file (as soon as the caller allows a new one), ``total_bytes`` in all.

    Every method may raise OSError; the next ``append`` then begins a new file, so nothing is written behind a torn frame
    that could not be cut off.
    """

    def __init__(self, directory: Path, name: str, segment_bytes: int, total_bytes: int) -> None:
        self.directory, self.name = directory, name
        self.segment_bytes, self.total_bytes = segment_bytes, total_bytes
        self._file: int | None = None
        self._size = 0

    @property
    def full(self) -> bool:
        """A new segment is due."""
        return self._file is not None and self._size >= self.segment_bytes

    def append(self, content: bytes, may_rotate: bool = True, sync: bool = False) -> None:
        """One frame at the end. ``may_rotate``: a new segment may begin with it; one twice as long as meant begins anyway."""
        data = frame(content)
        if self._file is None or (self.full and (may_rotate or self._size >= 2 * self.segment_bytes)):
            self._open(anew=self._file is not None)
        assert self._file is not None
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(28, os.strerror(28))
            if sync:
                os.fdatasync(self._file)
        except OSError:
            self._abandon()
            raise
        self._size += len(data)

    def close(self) -> None:
        """Nothing is pending."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, anew: bool) -> None:
        """Go on behind the last whole frame of the newest segment, or begin the next one and make room."""
        self.close()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = segments(self.directory, self.name)
        newest = int(known[-1].stem.rpartition("-")[2]) if known else 0
        if known and not anew and (whole := _whole(known[-1])) < self.segment_bytes:
            self._file = os.open(known[-1], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._size = whole
            os.ftruncate(self._file, whole)
            return
        path = self.directory / f"{self.name}-{newest + 1:08}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = 0
        room = self.total_bytes - self.segment_bytes
        for old in reversed(known):
            room -= old.stat().st_size
            if room < 0:
                old.unlink(missing_ok=True)

    def _abandon(self) -> None:
        """Cut off what was written in part; where even that fails, readers skip it."""
        try:
            if self._file is not None:
                os.ftruncate(self._file, self._size)
        except OSError:
            pass
        finally:
            self.close()


def _whole(path: Path) -> int:
    """Bytes up to the end of the last whole frame."""
    return max((end for end, _ in frames(path.read_bytes())), default=0)
