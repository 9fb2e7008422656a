"""Builds the Debian package with nothing but ``dpkg-deb``: ``python -m tools.debian [--version V] [--output DIRECTORY]``.

The package brings its Python libraries along, in an environment of its own below /usr/lib/jsrpd, and uses Debian's
interpreter of the same minor version as the one that builds (docs/decisions/0041-debian-package.md). What goes in is
what is installed here, so a build needs no network, and the same tree gives the same package.
"""

import argparse
import compileall
import gzip
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from jsrpd import __version__
from tools import completion, manual

ROOT = Path(__file__).parents[1]
HOME = "usr/lib/jsrpd"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
COMMANDS = {
    "jsrpd": ("usr/sbin", "jsrpd.processes.parent"),
    "jsrp": ("usr/bin", "jsrpd.cli.main"),
    "jsrpd-snmp": ("usr/sbin", "jsrpd.gateway.snmp_table"),
}
DOCUMENTS = {
    "README.md": ".",
    "CHANGELOG.md": ".",
    "docs/operation.md": ".",
    "docs/metrics.md": ".",
    "docs/rest.md": ".",
    "docs/snmp.md": ".",
    "packaging/prometheus/jsrpd.rules.yml": ".",
    "packaging/grafana/jsrpd.json": ".",
    "docs/examples/two-nodes.conf": "examples",
}
SCRIPTS = ("postinst", "prerm", "postrm")
MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_")


def build(version: str, output: Path, compression: str = "xz") -> Path:
    """The package file."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        libraries = _libraries()
        _environment(tree, libraries)
        _documentation(tree)
        _copy(ROOT / "packaging/snmp/JSRPD-MIB.txt", tree / "usr/share/snmp/mibs/JSRPD-MIB.txt")
        _copy(ROOT / "packaging/systemd/jsrpd.service", tree / "usr/lib/systemd/system/jsrpd.service")
        for kind in ("sysusers", "tmpfiles"):
            _copy(ROOT / f"packaging/debian/jsrpd.{kind}", tree / f"usr/lib/{kind}.d/jsrpd.conf")
        (tree / "etc/jsrpd").mkdir(parents=True)
        _control(tree, version, libraries)
        _set_modes(tree)
        output.mkdir(parents=True, exist_ok=True)
        package = output / f"jsrpd_{version}_{architecture()}.deb"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _epoch()}
        command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(tree), str(package)]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return package


# -- what it brings along -------------------------------------------------------------------------------------------


def _libraries() -> list[Distribution]:
    """What jsrpd needs at run time, and what that needs in turn."""
    found: dict[str, Distribution] = {}
    wanted = list(_requirements(distribution("jsrpd")))
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = distribution(name)
            wanted += _requirements(found[name])
    return [found[name] for name in sorted(found)]


def _requirements(of: Distribution) -> list[str]:
    stated = [Requirement(text) for text in of.requires or ()]
    return [r.name for r in stated if r.marker is None or r.marker.evaluate({"extra": ""})]


def _libc(libraries: list[Distribution]) -> str:
    """The C library that the newest of the binary wheels was made for."""
    needed = (2, 17)
    for library in libraries:
        tags = MANYLINUX.findall(library.read_text("WHEEL") or "")
        if tags:
            needed = max(needed, min((int(major), int(minor)) for major, minor in tags))
    return f"{needed[0]}.{needed[1]}"


def _environment(tree: Path, libraries: list[Distribution]) -> None:
    """A virtual environment of Debian's interpreter, without pip; compiled, because the daemon may not write there."""
    home = tree / HOME
    site = home / "lib" / PYTHON / "site-packages"
    (home / "bin").mkdir(parents=True)
    (home / "bin/python3").symlink_to(f"/usr/bin/{PYTHON}")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    shutil.copytree(ROOT / "src/jsrpd", site / "jsrpd", ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.pyi"))
    for library in libraries:
        for file in library.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                _copy(Path(str(file.locate())), site / str(file))
    for name, (directory, module) in COMMANDS.items():
        command = home / "bin" / name
        command.write_text(f"#!/{HOME}/bin/python3 -I\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n")
        link = tree / directory / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../lib/jsrpd/bin/{name}")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(site, quiet=1, stripdir=str(tree), prependdir="/", invalidation_mode=mode):
        raise SystemExit("some modules do not compile")


def _documentation(tree: Path) -> None:
    for name, make in manual.PAGES.items():
        page = tree / f"usr/share/man/man{name[-1]}" / f"{name}.gz"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(gzip.compress(make().encode(), mtime=0))
    script = tree / "usr/share/bash-completion/completions/jsrp"
    script.parent.mkdir(parents=True)
    script.write_text(completion.bash())
    for name, below in DOCUMENTS.items():
        _copy(ROOT / name, tree / "usr/share/doc/jsrpd" / below / Path(name).name)


# -- what dpkg reads ------------------------------------------------------------------------------------------------


def _control(tree: Path, version: str, libraries: list[Distribution]) -> None:
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files)
    control = tree / "DEBIAN"
    control.mkdir()
    (control / "md5sums").write_text(sums)
    text = (ROOT / "packaging/debian/control").read_text()
    size = sum(path.stat().st_size for path in files) // 1024
    values = {
        "version": version,
        "architecture": architecture(),
        "installed_size": str(size),
        "python": PYTHON,
        "libc": _libc(libraries),
    }
    (control / "control").write_text(text.format_map(values))
    for name in SCRIPTS:
        _copy(ROOT / "packaging/debian" / name, control / name)


def _set_modes(tree: Path) -> None:
    """As if made with the usual umask, whatever it is here."""
    programs = {tree / HOME / "bin" / name for name in COMMANDS} | {tree / "DEBIAN" / name for name in SCRIPTS}
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in programs else 0o644)


def architecture() -> str:
    """As dpkg names it."""
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()


def _epoch() -> str:
    """Date of the files in the package: of the last commit, so that one tree gives one package."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if stated:
        return stated
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "0"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="build the Debian package")
    parser.add_argument("--version", default=__version__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    sys.stdout.write(f"{build(arguments.version, arguments.output)}\n")


if __name__ == "__main__":
    main()
