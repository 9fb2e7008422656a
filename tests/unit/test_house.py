"""The rules of the house bite: each guard of ``make check`` is shown an offence in a copy of the tree, and must object.

A guard that says nothing about a planted offence is as good as none. The guards run as ``make check`` runs them. Which
room may import which is written here a second time, from the architecture, so that a hole in the contracts shows.
"""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["name"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
BANNED = PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
PURE = ("core", "data_plane", "doctor", "messages", "model", "monitors", "sessions", "wire")
MAY_IMPORT = {
    "model": (),
    "core": ("messages", "model"),
    "wire": ("model",),
    "messages": ("model",),
    "monitors": ("model",),
    "data_plane": ("model",),
    "sessions": ("model",),
    "doctor": ("model",),
    "configuration": ("model",),
    "management": ("model",),
    "kernel": ("data_plane", "model"),
    "cli": ("management", "messages", "configuration", "core", "doctor", "model", "lab"),
    "lab": ("management", "model"),
    "gateway": ("management", "configuration", "model"),
    "processes": None,
}
"""Room by room what it may import of ours (ARCHITECTURE, Rooms); None: everything."""
FORBIDDEN_ARROWS = [
    (room, other)
    for room, allowed in MAY_IMPORT.items()
    if allowed is not None
    for other in MAY_IMPORT
    if other not in (room, *allowed)
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the guards look at."""
    for part in ("src", "simulator"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def commands() -> dict[str, list[str]]:
    """What ``make check`` runs, by the name of the guard."""
    said = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", "check", f"BIN={Path(sys.executable).parent}", "SOURCES=src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MAKEFLAGS": ""},
    ).stdout
    found = [shlex.split(line) for line in said.splitlines() if line.startswith(f"{Path(sys.executable).parent}/")]
    return {" ".join([Path(words[0]).name, *(word for word in words[1:] if word != "src")]): words for words in found}


def judge(tree: Path, command: list[str]) -> tuple[int, str]:
    """Exit code and words of a guard in the copied tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "MYPY_CACHE_DIR": str(tree / "mypy"), "COLUMNS": "300"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def offend(tree: Path, module: str, lines: list[str]) -> str:
    """Plant lines in a module of ours, or in a new one of a room; dotted name of where they stand."""
    path = tree / ("src" if module.startswith("jsrpd") else "") / module.replace(".", "/")
    where, name = (path / "offender.py", f"{module}.offender") if path.is_dir() else (path.with_suffix(".py"), module)
    with where.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    return name


# -- the guards themselves ------------------------------------------------------------------------------------------


def test_make_check_runs_these_guards(commands: dict[str, list[str]]) -> None:
    assert set(commands) == {"ruff check", "ruff format --check", "mypy", "lint-imports"}


# -- who imports whom -----------------------------------------------------------------------------------------------


def pairs(contract: dict[str, Any]) -> list[tuple[str, str]]:
    """(importer, imported) for everything a contract forbids."""
    if contract["type"] == "forbidden":
        return list(itertools.product(contract["source_modules"], contract["forbidden_modules"]))
    assert contract["type"] == "independence", "say here what a contract of this type forbids"
    return list(itertools.permutations(contract["modules"], 2))


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_bites(tree: Path, commands: dict[str, list[str]], name: str) -> None:
    """Each single import it forbids is reported."""
    forbidden = pairs(CONTRACTS[name])
    planted = {
        importer: offend(tree, importer, [f"import {imported}" for one, imported in forbidden if one == importer])
        for importer, _ in forbidden
    }
    code, said = judge(tree, commands["lint-imports"])
    assert code == 1
    assert f"{name} BROKEN" in said
    for importer, imported in forbidden:
        assert f"{planted[importer]} -> {imported} (l." in said


def test_every_room_stands_in_the_table() -> None:
    assert {path.parent.name for path in (ROOT / "src/jsrpd").glob("*/__init__.py")} == set(MAY_IMPORT)


def test_contracts_leave_no_hole(tree: Path, commands: dict[str, list[str]]) -> None:
    """Every arrow that the architecture does not draw is forbidden by some contract."""
    for room, other in FORBIDDEN_ARROWS:
        offend(tree, f"jsrpd.{room}", [f"import jsrpd.{other}"])
    _, said = judge(tree, commands["lint-imports"])
    assert [f"{a} -> {b}" for a, b in FORBIDDEN_ARROWS if f"jsrpd.{a}.offender -> jsrpd.{b} (l." not in said] == []


# -- banned calls ---------------------------------------------------------------------------------------------------

BUILTINS = {"print(1)": "T201", "open('x')": "PTH123", "breakpoint()": "T100"}


def offences(tree: Path, command: list[str]) -> dict[str, set[str]]:
    """Codes that ruff finds, by name of the offending file."""
    found: dict[str, set[str]] = {}
    for one in json.loads(judge(tree, [*command, "--output-format", "json"])[1]):
        found.setdefault(Path(one["filename"]).stem, set()).add(one["code"])
    return found


@pytest.mark.parametrize("room", PURE)
def test_banned_calls_in_a_pure_room(tree: Path, commands: dict[str, list[str]], room: str) -> None:
    """Clock, chance, I/O, logging: every single banned name is found, in every pure room."""
    uses = {name.replace(".", "_"): [f"import {name.split('.')[0]}", "", f"X = {name}"] for name in BANNED}
    uses |= {f"builtin_{n}": [call] for n, call in enumerate(BUILTINS)}
    for name, lines in uses.items():
        (tree / f"src/jsrpd/{room}/use_{name}.py").write_text("\n".join(lines) + "\n")
    found = offences(tree, commands["ruff check"])
    expected = {f"use_{name.replace('.', '_')}": "TID251" for name in BANNED}
    expected |= {f"use_builtin_{n}": code for n, code in enumerate(BUILTINS.values())}
    assert {name: code for name, code in expected.items() if code not in found.get(name, set())} == {}


def test_the_shell_may_call_them(tree: Path, commands: dict[str, list[str]]) -> None:
    """Somebody must read the clock; only a debugger is left nowhere."""
    for room in set(MAY_IMPORT) - set(PURE):
        (tree / f"src/jsrpd/{room}/offender.py").write_text("import time\n\nprint(time.monotonic())\nbreakpoint()\n")
    assert offences(tree, commands["ruff check"])["offender"] == {"T100"}


# -- form and types -------------------------------------------------------------------------------------------------


def test_format_bites(tree: Path, commands: dict[str, list[str]]) -> None:
    offend(tree, "jsrpd.core", ["x = 'single'"])
    code, said = judge(tree, commands["ruff format --check"])
    assert code == 1
    assert "src/jsrpd/core/offender.py" in said


UNTYPED = {
    "no-untyped-def": ["def f(x):", "    return x"],
    "return-value": ["def f(x: int) -> str:", "    return x"],
    "type-arg": ["def f(x: list) -> None: ..."],
    "unused-ignore": ["X = 1  # type: ignore[assignment]"],
    "arg-type": [
        "from enum import Enum",
        "from typing import assert_never",
        "class E(Enum):",
        "    A = 1",
        "    B = 2",
        "def f(e: E) -> int:",
        "    if e is E.A:",
        "        return 1",
        "    assert_never(e)",
    ],
}
"""By mypy's code; the last is a case that was forgotten."""


def test_types_bite(tree: Path, commands: dict[str, list[str]]) -> None:
    for name, lines in UNTYPED.items():
        (tree / f"src/jsrpd/core/offender_{name.replace('-', '_')}.py").write_text("\n".join(lines) + "\n")
    files = [str(path) for path in (tree / "src/jsrpd/core").glob("offender_*.py")]
    code, said = judge(tree, [*commands["mypy"], *files])
    assert code == 1
    for name in UNTYPED:
        (line,) = [line for line in said.splitlines() if f"offender_{name.replace('-', '_')}.py:" in line and ": error:" in line]
        assert line.endswith(f"[{name}]")
