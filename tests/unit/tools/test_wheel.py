"""The wheel: everything the source has that is needed at run time, with the loop in C where there is a compiler."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from jsrpd import __version__

ROOT = Path(__file__).parents[3]
NEEDED = ("jsrpd/py.typed", "jsrpd/gateway/dashboard.html", "jsrpd/processes/parent.py")
SHOWN = """
import sys
sys.path.insert(0, sys.argv[1])
import jsrpd
from jsrpd.cli.main import main
print(jsrpd.__file__)
sys.exit(main(["help", "syslog", "JSRPD_DUPLICATE"]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, because a build leaves things beside its source."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(source / "dist"), str(source)], check=True)
    (made,) = (source / "dist").glob("*.whl")
    return made


def test_what_is_in_it(wheel: Path) -> None:
    assert wheel.name.startswith(f"jsrpd-{__version__}-")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        for command in ("jsrpd", "jsrp", "jsrpd-snmp"):
            assert f"{command} = jsrpd." in archive.read(points).decode()
    assert set(NEEDED) <= names
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/jsrpd").rglob("*.py")}
    assert sources <= names
    assert not any("tests" in name or "simulator" in name for name in names)
    if shutil.which("cc"):
        assert "-abi3-" in wheel.name
        assert any("_relay.abi3" in name for name in names)


def test_it_runs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run([sys.executable, "-c", SHOWN, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[:2]
    assert first == str(tmp_path / "jsrpd/__init__.py")
    assert second.startswith("Name:")
