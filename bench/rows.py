"""What is measured, and what SPEC section 14 demands of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

THRESHOLD = 3
"""Silent intervals after which a node counts as lost, in every row."""
GATE_MARGIN_SHARE, GATE_MARGIN_MS = 0.02, 2.0
"""T - L of LEASE.md: the old gate is shut so long before the new one opens."""
LATENESS_MS = 5.0
"""What section 14 grants on top of the computed time."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a run; for all of them less is better. ``key`` names the field of ``Sample``."""

    key: str
    label: str
    by_worst: bool = False
    """A promise is judged by its worst run, everything else by the median."""


MEASURES = (
    Measure("gap_ms", "longest gap, ms"),
    Measure("lost_echo", "lost packets, echo"),
    Measure("lost_push", "lost packets, push"),
    Measure("two_owners_ms", "two owners, ms", by_worst=True),
    Measure("nobody_ms", "nobody owns it, ms"),
    Measure("tcp_died", "TCP connections died", by_worst=True),
)
MEASURE = {measure.key: measure for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Target:
    """At most ``limit`` of a measure and, with ``below_rival``, less than the rival has in the same bench."""

    measure: str
    limit: float
    below_rival: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. ``act`` is a key of ``measure.ACTS``; ``rate`` in packets a second of each stream."""

    name: str
    title: str
    act: str
    interval_ms: int
    targets: tuple[Target, ...]
    rate: float = 1000.0
    one_family: bool = False
    """Runs take IPv4 and IPv6 in turn, because two processes cannot send both at this rate."""


def dead_ms(interval_ms: int) -> float:
    """T: silence after which the peer is lost."""
    return float(interval_ms * THRESHOLD)


def gate_margin_ms(interval_ms: int) -> float:
    """T - L."""
    return max(GATE_MARGIN_SHARE * dead_ms(interval_ms), GATE_MARGIN_MS)


def _node_loss(name: str, title: str, interval_ms: int, *, below_rival: bool) -> Row:
    gap = Target("gap_ms", dead_ms(interval_ms) + LATENESS_MS, below_rival)
    return Row(f"{name}-{interval_ms}", f"{title}, {interval_ms} ms × {THRESHOLD}", name, interval_ms, (gap,))


def _daemon_loss(name: str, title: str) -> Row:
    gap = Target("gap_ms", gate_margin_ms(100) + LATENESS_MS)
    return Row(name, f"{title}, 100 ms × {THRESHOLD}", name, 100, (gap, Target("two_owners_ms", 0)))


def _planned(name: str, title: str, rate: float, *, one_family: bool) -> Row:
    targets = (Target("lost_echo", 0), Target("lost_push", 0))
    return Row(name, f"planned failover at {title}", "planned", 100, targets, rate, one_family)


def _restart(name: str, title: str) -> Row:
    return Row(name, f"{title}, 100 ms × {THRESHOLD}", name, 100, (Target("lost_echo", 0), Target("lost_push", 0)))


ROWS = (
    Row("carrier", f"LAN carrier loss, 100 ms × {THRESHOLD}", "cut-lan", 100, (Target("gap_ms", LATENESS_MS),)),
    Row(
        "silent-lan",
        f"silent LAN failure, carrier stays, 100 ms × {THRESHOLD}",
        "silent-lan",
        100,
        (Target("gap_ms", 1000), Target("tcp_died", 0)),
    ),
    _node_loss("power-off", "power-off", 100, below_rival=True),
    _node_loss("power-off", "power-off", 10, below_rival=True),
    _node_loss("hang", "silent hang", 100, below_rival=False),
    _node_loss("hang", "silent hang", 10, below_rival=False),
    _daemon_loss("killed", "daemon killed"),
    _daemon_loss("hung", "daemon hung"),
    Row(
        "continued",
        f"daemon stopped, then continued, 100 ms × {THRESHOLD}",
        "continued",
        100,
        (Target("two_owners_ms", 0), Target("tcp_died", 0)),
    ),
    Row(
        "heartbeats-cut",
        f"heartbeat paths cut, LAN alive, 100 ms × {THRESHOLD}",
        "heartbeats-cut",
        100,
        (Target("two_owners_ms", 0), Target("nobody_ms", 0), Target("tcp_died", 0)),
    ),
    _restart("restart", "restart in place (keepalived: reload)"),
    _restart("stop-start", "daemon stopped and started"),
    _planned("planned-1k", "1 kHz", 1_000.0, one_family=False),
    _planned("planned-10k", "10 kHz", 10_000.0, one_family=True),
)


def select(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of the ``known`` rows that are named, all without a name; ``hang`` takes hang-100 and hang-10. ValueError for an
    unknown name."""
    for name in names:
        if not any(_is_called(row, name) for row in known):
            raise ValueError(f"{name}: no such row; there are: {', '.join(known)}")
    return tuple(row for row in known if not names or any(_is_called(row, name) for name in names))


def _is_called(row: str, name: str) -> bool:
    return name in (row, row.rpartition("-")[0] or row)
