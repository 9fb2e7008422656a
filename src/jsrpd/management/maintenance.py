"""Maintenance of a node is kept on its disk, so that it comes up in maintenance again, however it went down."""

from pathlib import Path

FILE = "maintenance"


def keep(state_directory: Path, on: bool) -> None:
    """Write it down, or end it. OSError when the directory cannot be written."""
    if on:
        (state_directory / FILE).touch(0o644)
    else:
        (state_directory / FILE).unlink(missing_ok=True)


def is_on(state_directory: Path) -> bool:
    """What was written down; a directory that cannot be read has nothing."""
    return (state_directory / FILE).exists()
