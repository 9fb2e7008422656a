"""What several end-to-end tests share because it takes long to make."""

from pathlib import Path

import pytest

from tools import debian


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with two versions."""
    if not Path(f"/usr/bin/{debian.PYTHON}").exists():
        pytest.skip(f"the package is for Debian's {debian.PYTHON}, which this machine does not have")
    directory = tmp_path_factory.mktemp("debs")
    for version in ("1.0", "1.1"):
        debian.build(version, directory, compression="gzip")
    return directory
