"""What several end-to-end tests share because it takes long to make."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tools import debian

OWNER = os.getpid()


def _interrupt(number: int, _frame: FrameType | None) -> None:
    if os.getpid() != OWNER:
        # A child that a test has forked: it ends as it would anywhere.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    raise KeyboardInterrupt


@pytest.fixture(scope="session", autouse=True)
def cleaned_up() -> Iterator[None]:
    """Whoever ends the tests by SIGTERM or hangs up leaves no namespaces behind: fixtures come down as after Ctrl-C."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with two versions."""
    if not Path(f"/usr/bin/{debian.PYTHON}").exists():
        pytest.skip(f"the package is for Debian's {debian.PYTHON}, which this machine does not have")
    directory = tmp_path_factory.mktemp("debs")
    for version in ("1.0", "1.1"):
        debian.build(version, directory, compression="gzip")
    return directory
