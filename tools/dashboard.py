"""The Grafana dashboard as data: ``python -m tools.dashboard > packaging/grafana/jsrpd.json``.

From the question an operator has first (who owns what, is anything wrong) down to what explains it.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
OWN = 'cluster_id=~"$cluster"'
PICKED = f"on (job, instance) group_left (cluster_id) jsrpd_node_info{{{OWN}}}"
OWN_ROWS = f"on (job, instance, node) group_left (cluster_id) jsrpd_node_info{{{OWN}}}"
YES_NO = [
    {"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}},
]
STATES = ("primary", "secondary", "secondary-hold", "hold", "ineligible", "disabled", "lost")
COLORS = ("green", "blue", "yellow", "purple", "orange", "red", "dark-red")


@dataclass(frozen=True, slots=True)
class Panel:
    """``targets``: expression and legend. ``extra``: more of Grafana's field defaults."""

    kind: str
    title: str
    description: str
    size: tuple[int, int]
    targets: tuple[tuple[str, str], ...]
    unit: str = "none"
    extra: dict[str, Any] = field(default_factory=dict)


def _state() -> str:
    """Number of the state, so that a timeline can colour it."""
    numbered = [f'{n} * (jsrpd_group_state{{jsrpd_group_state="{s}"}} == 1)' for n, s in enumerate(STATES, 1)]
    return f"max by (cluster_id, group, node) (({' or '.join(numbered)}) * {OWN_ROWS})"


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (job, instance, le) (rate(jsrpd_engine_lateness_seconds_bucket[5m])))"


PANELS = (
    Panel(
        "stat",
        "Owners of each group",
        "Open gates per redundancy group, each node asked about itself. One is right.",
        (8, 6),
        ((f"sum by (cluster_id, group) (jsrpd_group_gate_open * {OWN_ROWS})", "cluster {{cluster_id}} group {{group}}"),),
        extra={
            "thresholds": {
                "mode": "absolute",
                "steps": [
                    {"color": "red", "value": None},
                    {"color": "green", "value": 1},
                    {"color": "red", "value": 2},
                ],
            }
        },
    ),
    Panel(
        "stat",
        "Standing conditions",
        "What show chassis cluster status prints as notices.",
        (8, 6),
        ((f"jsrpd_notices * {PICKED}", "{{instance}}"),),
        extra={"thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "orange", "value": 1}]}},
    ),
    Panel(
        "stat",
        "Paths",
        "Whether the peer is heard, by path.",
        (8, 6),
        ((f"jsrpd_path_up * {PICKED}", "{{instance}} {{path}}"),),
        extra={"mappings": YES_NO},
    ),
    Panel(
        "state-timeline",
        "State of each group on each node",
        "Each node asked about itself.",
        (24, 9),
        ((_state(), "group {{group}} node{{node}}"),),
        extra={
            "mappings": [
                {
                    "type": "value",
                    "options": {
                        str(n): {"text": state, "color": color}
                        for n, (state, color) in enumerate(zip(STATES, COLORS, strict=True), 1)
                    },
                }
            ]
        },
    ),
    Panel(
        "timeseries",
        "Weight",
        "255 less what has failed. At 0 or below the group leaves.",
        (12, 8),
        ((f"jsrpd_group_weight * {OWN_ROWS}", "group {{group}} node{{node}}"),),
        extra={"max": 255},
    ),
    Panel(
        "timeseries",
        "Failovers",
        "Moves of a group in five minutes.",
        (12, 8),
        ((f"increase(jsrpd_group_failovers_total[5m]) * {PICKED}", "{{instance}} group {{group}}"),),
    ),
    Panel(
        "timeseries",
        "Lease margin",
        "For how long the gate of a primary would stay open. When it nears zero, acknowledgements are late.",
        (12, 8),
        ((f"jsrpd_group_lease_margin_seconds * {PICKED}", "{{instance}} group {{group}}"),),
        "s",
    ),
    Panel(
        "timeseries",
        "Datagrams dropped",
        "By cause: another key, another cluster, replays, garbage.",
        (12, 8),
        ((f"rate(jsrpd_dropped_datagrams_total[5m]) * {PICKED}", "{{instance}} {{cause}}"),),
        "pps",
    ),
    Panel(
        "timeseries",
        "Engine lateness",
        "By how much its turns began too late: all but one in a thousand, and all but one in a hundred.",
        (12, 8),
        (
            (f"{_quantile(0.999)} * {PICKED}", "{{instance}} 99.9 %"),
            (f"{_quantile(0.99)} * {PICKED}", "{{instance}} 99 %"),
        ),
        "s",
    ),
    Panel(
        "timeseries",
        "Heartbeats lost",
        "Of those that the peer has sent, by path.",
        (12, 8),
        ((f"rate(jsrpd_heartbeats_lost_total[5m]) * {PICKED}", "{{instance}} {{path}}"),),
        "cps",
    ),
    Panel(
        "timeseries",
        "Sessions",
        "Connections in the kernel's table, and messages about them to the peer and from it.",
        (12, 8),
        (
            (f"jsrpd_sessions_table_entries * {PICKED}", "{{instance}} table"),
            (
                f"sum by (job, instance, direction) (rate(jsrpd_sessions_messages_total[5m])) * {PICKED}",
                "{{instance}} {{direction}}/s",
            ),
        ),
    ),
    Panel(
        "timeseries",
        "Sessions in step",
        "How long an event takes until the peer has it. Without cover the standby lacks connections.",
        (12, 8),
        (
            (f"jsrpd_sessions_lag_seconds * {PICKED}", "{{instance}} lag"),
            (f"jsrpd_sessions_covered * {PICKED}", "{{instance}} covered"),
        ),
        "s",
    ),
    Panel(
        "timeseries",
        "Arbiter and log",
        "Whether the third party answers (where one is configured); log messages that found no receiver.",
        (12, 8),
        (
            (f"jsrpd_arbiter_answers * {PICKED}", "{{instance}} {{kind}} answers"),
            (f"rate(jsrpd_log_messages_dropped_total[5m]) * {PICKED}", "{{instance}} {{transport}} lost/s"),
        ),
    ),
    Panel(
        "timeseries",
        "Memory",
        "Resident, by process.",
        (12, 8),
        ((f"jsrpd_process_resident_memory_bytes * {PICKED}", "{{instance}} {{process}}"),),
        "bytes",
    ),
    Panel(
        "timeseries",
        "CPU and restarts",
        "Share of one CPU by process; restarts in ten minutes.",
        (12, 8),
        (
            (f"rate(jsrpd_process_cpu_seconds_total[5m]) * {PICKED}", "{{instance}} {{process}}"),
            (f"increase(jsrpd_process_restarts_total[10m]) * {PICKED} > 0", "{{instance}} {{process}} restarts"),
        ),
        "percentunit",
    ),
)


def dashboard() -> dict[str, Any]:
    """The whole board."""
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        {
            "name": "cluster",
            "type": "query",
            "datasource": DATASOURCE,
            "query": "label_values(jsrpd_node_info, cluster_id)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
        },
    ]
    return {
        "title": "jsrpd chassis cluster",
        "uid": "jsrpd-cluster",
        "tags": ["jsrpd"],
        "schemaVersion": 38,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "panels": _placed(),
    }


def _placed() -> list[dict[str, Any]]:
    """Row after row, each panel right of the one before while there is room."""
    placed: list[dict[str, Any]] = []
    x = y = tallest = 0
    for number, panel in enumerate(PANELS, 1):
        width, height = panel.size
        if x + width > 24:
            x, y, tallest = 0, y + tallest, 0
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": width, "h": height}))
        x, tallest = x + width, max(tallest, height)
    return placed


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": "ABCDEF"[n], "datasource": DATASOURCE, "expr": expression, "legendFormat": legend}
        for n, (expression, legend) in enumerate(panel.targets)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.extra}, "overrides": []},
        "options": {},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=2) + "\n")
