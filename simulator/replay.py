"""Inspection of cores: replay of a recorded life in a second instance, and the size of everything a core holds."""

from collections import deque

from jsrpd.core.cluster import Cluster
from simulator.checkers import Violation
from simulator.history import History
from simulator.node import ClusterFactory


def replay(history: History, factory: ClusterFactory = Cluster) -> list[Violation]:
    """The same events at the same instants give the same actions and deadlines (needs a recorded run)."""
    violations = []
    for life in history.lives:
        cluster = factory(life.configuration, life.started, life.incarnation, life.adopted)
        for now, event, actions, deadline in life.turns:
            if cluster.handle(now, event) != actions or cluster.deadline() != deadline:
                text = f"life {life.incarnation} answers {type(event).__name__} at {now} differently when replayed"
                violations.append(Violation("replay", now, text))
                break
    return violations


def elements(root: object) -> int:
    """How many elements all containers reachable from ``root`` hold together."""
    total = 0
    seen: set[int] = set()
    todo: list[object] = [root]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | type | None):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            total += len(thing)
            todo += [*thing, *thing.values()]
        elif isinstance(thing, list | tuple | set | frozenset | deque):
            total += len(thing)
            todo += thing
        else:
            todo += getattr(thing, "__dict__", {}).values()
            todo += [getattr(thing, name) for name in _slots(thing) if hasattr(thing, name)]
    return total


def _slots(thing: object) -> list[str]:
    fields = [name for kind in type(thing).__mro__ for name in kind.__dict__.get("__slots__", ())]
    return [*fields, *getattr(type(thing), "__struct_fields__", ())]
