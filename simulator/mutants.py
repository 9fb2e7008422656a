"""``python -m simulator.mutants``: small faults planted in the core one at a time, and how many of them the tests find.

A mutant is one changed operator, constant or removed statement in ``src/jsrpd/core``. It is killed by a scenario whose transcript
differs, by a unit test of the core, or by a checker in a few seeds; what lives is a fault that no test would notice, or a change
that changes nothing. Each mutant runs in a process of its own, forked before the core is imported.
"""

import argparse
import ast
import copy
import importlib.util
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import hypothesis  # noqa: F401  # Here and not in each child: it takes a second.
import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "jsrpd" / "core"
UNIT_TESTS = [
    ROOT / "tests" / path
    for path in ("unit/core", "simulation/test_findings.py", "simulation/test_mutants.py")
    if (ROOT / "tests" / path).exists()
]
FLIPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
}
TIME_LIMIT_S = 120
SURVIVED, KILLED_BY = "survived", ("transcript", "unit test", "seed", "exception", "time limit")
ORDER = ("timeline-t2-split-and-heal", "manual-failover", "control-link-lost", "preempt-delay", "owner-restarted-in-place")
"""Scenarios that see most go first."""


@dataclass(frozen=True)
class Mutant:
    """One change. ``source`` is the whole changed module."""

    module: str
    line: int
    what: str
    source: str

    @property
    def key(self) -> str:
        """Tells it from every other."""
        return sha256(f"{self.module} {self.source}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"core/{self.module}.py:{self.line} {self.what}"


# -- planting -----------------------------------------------------------------------------------------------------------


def mutants(path: Path) -> Iterator[Mutant]:
    """All mutants of one module, in order of its lines."""
    tree = ast.parse(path.read_text())
    places = [(index, node) for index, node in enumerate(ast.walk(tree)) if hasattr(node, "lineno")]
    inert = _inert(tree)
    for index, node in sorted(places, key=lambda place: (place[1].lineno, place[0])):
        if id(node) in inert:
            continue
        what = _change(node)
        if what is None:
            continue
        changed = copy.deepcopy(tree)
        _apply(next(twin for position, twin in enumerate(ast.walk(changed)) if position == index))
        yield Mutant(path.stem, node.lineno, what, ast.unparse(ast.fix_missing_locations(changed)))


def _inert(tree: ast.Module) -> set[int]:
    """Nodes that are no behaviour: annotations, docstrings, assertions, what kind of struct a class is."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign | ast.arg):
            parts.append(node.annotation)
        if isinstance(node, ast.ClassDef):
            parts += node.keywords
        if isinstance(node, ast.FunctionDef):
            parts += [node.returns, *node.decorator_list]
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            parts.append(node)
        found |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    return found


def _change(node: ast.AST) -> str | None:
    """What ``_apply`` does to a node; None when nothing."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in FLIPS:
            return f"{type(operator).__name__} -> {FLIPS[type(operator)].__name__}"
        case ast.BoolOp():
            return "and -> or" if isinstance(node.op, ast.And) else "or -> and"
        case ast.UnaryOp(op=ast.Not()):
            return "not removed"
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            return f"{type(node.op).__name__} -> {ARITHMETIC[type(node.op)].__name__}"
        case ast.Constant(value=bool() as value):
            return f"{value} -> {not value}"
        case ast.Constant(value=int() as value):
            return f"{value} -> {value + 1}"
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            return f"{name} -> {'max' if name == 'min' else 'min'}"
        case ast.Expr() | ast.AugAssign() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return f"removed: {ast.unparse(node)[:70]}"
        case _:
            return None


def _apply(node: ast.AST) -> None:
    match node:
        case ast.Compare():
            node.ops = [FLIPS[type(node.ops[0])]()]
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case ast.BinOp():
            node.op = ARITHMETIC[type(node.op)]()
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else int(str(node.value)) + 1
        case ast.Call():
            assert isinstance(node.func, ast.Name)
            node.func.id = "max" if node.func.id == "min" else "min"
        case ast.Expr():
            node.value = ast.Constant(None)
        case ast.Assign() | ast.AugAssign():
            node.value = ast.IfExp(ast.Constant(True), _target(node), node.value)
            if isinstance(node, ast.AugAssign):
                node.value, node.op = ast.Constant(0), ast.Add()


def _target(node: ast.Assign | ast.AugAssign) -> ast.expr:
    """Assigning what stands there already is as good as not assigning; where nothing stands, the module does not survive."""
    target = copy.deepcopy(node.targets[0] if isinstance(node, ast.Assign) else node.target)
    for inner in ast.walk(target):
        if hasattr(inner, "ctx"):
            inner.ctx = ast.Load()
    return target


# -- running ------------------------------------------------------------------------------------------------------------


class _Planted(MetaPathFinder, Loader):
    """Gives the interpreter the changed source instead of the file."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name != f"jsrpd.core.{self.mutant.module}":
            return None
        return importlib.util.spec_from_loader(name, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.mutant.source, str(self.mutant), "exec"), module.__dict__)


def verdict(mutant: Mutant, seeds: int) -> str:
    """What killed a mutant, or ``survived``; the quickest tests go first."""
    own = [path for path in (ROOT / "tests" / "unit" / "core" / f"test_{mutant.module}.py",) if path.exists()]
    tests = (
        partial(_unit_tests_object, own),
        partial(_transcripts_differ),
        partial(_unit_tests_object, UNIT_TESTS),
        partial(_seeds_break, seeds),
    )
    outcomes = (_in_a_child(mutant, test) for test in tests)
    return next((outcome for outcome in outcomes if outcome != SURVIVED), SURVIVED)


def _in_a_child(mutant: Mutant, test: "partial[bool]") -> str:
    child = os.fork()
    if child == 0:
        _child(mutant, test)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "time limit"
    code = os.waitstatus_to_exitcode(status)
    return SURVIVED if code == 0 else KILLED_BY[code - 1]


def _child(mutant: Mutant, test: "partial[bool]") -> NoReturn:
    signal.alarm(TIME_LIMIT_S)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    sys.meta_path.insert(0, _Planted(mutant))
    try:
        code = 1 + KILLED_BY.index(TESTS[test.func]) if test() else 0
    except BaseException:
        code = 1 + KILLED_BY.index("exception")
    os._exit(code)


def _transcripts_differ() -> bool:
    from tests.scenario.runner import Run, scenarios

    ordered = sorted(scenarios(), key=lambda one: (one.name not in ORDER, one.name))
    return any(Run(scenario).transcript() != scenario.expected for scenario in ordered)


def _seeds_break(seeds: int) -> bool:
    from simulator.swarm import simulate

    return any(simulate(seed).violations for seed in range(seeds))


def _unit_tests_object(tests: Sequence[Path]) -> bool:
    return bool(tests) and pytest.main(["-q", "-x", "-p", "no:cacheprovider", *map(str, tests)]) != 0


TESTS: dict[Callable[..., bool], str] = {
    _transcripts_differ: "transcript",
    _unit_tests_object: "unit test",
    _seeds_break: "seed",
}


def _known(results: Path | None) -> dict[str, str]:
    """Verdicts of an earlier run. A mutant of a module that has changed since is another one."""
    lines = results.read_text().splitlines() if results is not None and results.exists() else []
    return dict(line.split(" ", 1) for line in lines)


def main() -> int:
    """Print every survivor, then the score."""
    parser = argparse.ArgumentParser(prog="python -m simulator.mutants", description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th mutant (1)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds each mutant must live through (3)")
    parser.add_argument("--module", metavar="NAME", help="only this module of the core")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep verdicts there, and go on from those it has")
    options = parser.parse_args()
    planted = [m for path in sorted(CORE.glob("*.py")) if options.module in (None, path.stem) for m in mutants(path)]
    known = _known(options.results)
    outcomes: Counter[str] = Counter()
    for mutant in planted[:: options.every]:
        outcome = known.get(mutant.key) or verdict(mutant, options.seeds)
        if options.results is not None and mutant.key not in known:
            with options.results.open("a") as results:
                print(mutant.key, outcome, file=results)
        outcomes[outcome] += 1
        if outcome == SURVIVED:
            print(f"survived: {mutant}", flush=True)
    total = outcomes.total()
    print(", ".join(f"{name} {count}" for name, count in outcomes.most_common()))
    print(f"score {100 * (total - outcomes[SURVIVED]) / max(1, total):.1f} % of {total} mutants ({len(planted)} possible)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
