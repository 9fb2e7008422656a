"""Every target takes its seeds, and everything that was ever found; and each says so when something is wrong."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

FINDINGS = Path(__file__).parent / "findings"
FOUND = sorted(path for path in FINDINGS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    seeds = list(TARGETS[name].seeds())
    assert seeds
    for seed in seeds:
        TARGETS[name].run(seed)
        assert len(seed) <= TARGETS[name].longest
    TARGETS[name].run(b"")


@pytest.mark.parametrize("path", FOUND, ids=[f"{path.parent.name} {path.name}" for path in FOUND])
def test_what_was_found_stays_mended(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())
