"""``python -m simulator.compiled``: what ``python -m simulator`` does, its hot modules compiled, in half the time.

The same source files, those of the core that decide included, go through mypyc (a part of mypy) into a copy under
``build/compiled``; nothing of it is installed. The digest of a run (``--hash``) is the same as the interpreter's, which
shows that nothing was decided otherwise. Needs a C compiler; the mutation score, shrinking with planted cores and the
model check stay with the interpreter.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "compiled"
CORE = ("cluster", "peer", "redundancy_group", "election", "lease", "arbitration", "weight")
SIMULATOR = ("node", "arbiter", "world", "network", "clock", "link", "history", "checkers")
SETUP = """from setuptools import setup
from mypyc.build import mypycify
setup(name="compiled", packages=[], py_modules=[], ext_modules=mypycify(["--ignore-missing-imports", *{modules!r}], opt_level="2"))
"""


def build() -> None:
    """A fresh copy of the packages with extension modules beside the sources. CalledProcessError when it cannot be compiled."""
    shutil.rmtree(COPY, ignore_errors=True)
    for package in (ROOT / "src" / "jsrpd", ROOT / "simulator", ROOT / "tests"):
        shutil.copytree(package, COPY / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    modules = [f"jsrpd/core/{name}.py" for name in CORE] + [f"simulator/{name}.py" for name in SIMULATOR]
    (COPY / "setup.py").write_text(SETUP.format(modules=modules))
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    with (COPY / "build.log").open("w") as log:
        subprocess.run(command, cwd=COPY, env=os.environ | {"MYPYPATH": str(COPY)}, stdout=log, stderr=log, check=True)


def main() -> int:
    """Build, then run with the arguments as they are."""
    try:
        build()
    except subprocess.CalledProcessError:
        print(f"error: the simulator cannot be compiled; {COPY / 'build.log'} says why", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "simulator", *sys.argv[1:]]
    return subprocess.run(command, cwd=COPY, env=os.environ | {"PYTHONPATH": str(COPY)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
