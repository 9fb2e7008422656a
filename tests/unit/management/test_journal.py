"""The journal's files: whole frames come back, torn and damaged ones are skipped, and they never outgrow their bounds."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.management import journal
from jsrpd.management.journal import MAGIC, SegmentWriter, contents, frame, frames, segments

CONTENT = st.lists(st.binary(max_size=200), max_size=8)


def read(data: bytes) -> list[bytes]:
    return [content for _, content in frames(data)]


@given(CONTENT)
def test_frames_come_back(written: list[bytes]) -> None:
    data = b"".join(map(frame, written))
    assert read(data) == written
    assert [end for end, _ in frames(data)][-1:] == [len(data)][: len(written)]


@given(CONTENT, st.integers(0, 2000), st.binary(max_size=40))
def test_a_torn_tail_is_skipped(written: list[bytes], cut: int, rubbish: bytes) -> None:
    """Whatever is cut off or stands behind: what comes back was written, in order, and only the last may be missing."""
    data = b"".join(map(frame, written))
    torn = data[: max(0, len(data) - cut)] + rubbish
    found = read(torn)
    assert found == written[: len(found)]
    whole = [content for end, content in frames(data) if end <= len(data) - cut]
    assert len(found) >= len(whole)


@given(CONTENT.filter(bool), st.data())
def test_a_damaged_byte_costs_one_frame_at_most(written: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(frame, written)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    found = read(bytes(whole))
    assert len(found) == len(written) - 1
    remaining = iter(written)
    assert all(one in remaining for one in found)


def test_a_frame_that_wants_all_memory_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    data = frame(bytes(5000)) + frame(b"small")
    monkeypatch.setattr(journal, "MAX_CONTENT", 4000)
    assert read(data) == [b"small"]


# -- segments -------------------------------------------------------------------------------------------------------------


def writer(directory: Path, segment: int = 400, total: int = 2000) -> SegmentWriter:
    return SegmentWriter(directory / "journal", "inputs", segment, total)


def test_restarts_go_on_where_it_ended(tmp_path: Path) -> None:
    for part in range(3):
        one = writer(tmp_path)
        one.append(b"%d" % part)
        one.close()
    (segment,) = segments(tmp_path / "journal", "inputs")
    assert segment.stat().st_mode & 0o777 == 0o600
    assert segment.parent.stat().st_mode & 0o777 == 0o700
    assert list(contents(tmp_path / "journal")) == list(contents(segment)) == [b"0", b"1", b"2"]


def test_a_torn_tail_is_cut_off_before_anything_is_written_behind_it(tmp_path: Path) -> None:
    one = writer(tmp_path)
    one.append(b"first")
    one.close()
    (segment,) = segments(tmp_path / "journal", "inputs")
    with segment.open("ab") as file:
        file.write(frame(b"torn")[:-3])
    one = writer(tmp_path)
    one.append(b"second")
    one.close()
    assert segment.read_bytes() == frame(b"first") + frame(b"second")


def test_segments_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    one = writer(tmp_path)
    written = [os.urandom(100) for _ in range(100)]
    for content in written:
        one.append(content)
        kept = segments(tmp_path / "journal", "inputs")
        assert sum(path.stat().st_size for path in kept) <= 2000 + 400
    assert len(kept) > 3
    found = list(contents(tmp_path / "journal"))
    assert found == written[-len(found) :]
    assert len(found) > 10


def test_a_segment_begins_where_the_caller_allows(tmp_path: Path) -> None:
    """And at twice its length anyway, so that it is bounded even when nobody allows it."""
    one = writer(tmp_path)
    for number in range(6):
        one.append(os.urandom(100), may_rotate=False)
        assert one.full == (number >= 3)
    assert len(segments(tmp_path / "journal", "inputs")) == 1
    one.append(b"beginning", may_rotate=True)
    assert [len(list(contents(path))) for path in segments(tmp_path / "journal", "inputs")] == [6, 1]
    for _ in range(12):
        one.append(os.urandom(100), may_rotate=False)
    assert all(path.stat().st_size <= 1000 for path in segments(tmp_path / "journal", "inputs"))


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that was written in part is cut off; later ones follow."""
    one = writer(tmp_path)
    one.append(b"before")
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr("os.write", half)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        one.append(b"lost")
    monkeypatch.setattr("os.write", write)
    one.append(b"after")
    (segment,) = segments(tmp_path / "journal", "inputs")
    assert segment.read_bytes() == frame(b"before") + frame(b"after")


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file is in the way")
    one = writer(tmp_path)
    for _ in range(2):
        with pytest.raises(OSError, match="File exists"):
            one.append(b"x")
    (tmp_path / "journal").unlink()
    one.append(b"y")
    assert list(contents(tmp_path / "journal")) == [b"y"]


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    assert list(contents(tmp_path)) == []
    assert list(contents(tmp_path / "absent")) == []


def test_magic_inside_of_contents(tmp_path: Path) -> None:
    one = writer(tmp_path)
    written = [MAGIC, MAGIC + bytes(8), frame(b"inner"), b""]
    for content in written:
        one.append(content)
    assert list(contents(tmp_path / "journal")) == written
