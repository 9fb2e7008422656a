"""``jsrpd-snmp``: JSRPD-MIB for net-snmp's snmpd, as a program that it keeps running (pass_persist, snmpd.conf(5)).

The vendor's MIB has traps and nothing to poll (reference 9.2); this one has the groups, both nodes' standing in them,
and the paths. It asks the daemon over the REST socket, so whoever runs snmpd needs read access there and no more. What
is asked is answered from one snapshot for a second. State numbers are those that exporters use (reference 9.4).
"""

import http.client
import json
import os
import socket
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

ROOT = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 106115)
"""netSnmpPlaypen, then "js" as two bytes in decimals: we have no number of our own."""
SCALARS, GROUPS, NODES, PATHS = (1, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1)
STATES = {"primary": 1, "secondary": 2, "secondary-hold": 3, "disabled": 4, "lost": 5, "ineligible": 7, "hold": 8}
TRUE, FALSE = 1, 2
"""TruthValue (RFC 2579)."""
NOBODY, BOTH = -1, 2
FRESH_S = 1.0
TIMEOUT_S = 3.0
STATUS_PATH = "/api/v1/show/chassis/cluster/status"
Oid = tuple[int, ...]
Value = tuple[str, str]
"""Type and text, as snmpd reads them."""


def table(status: Mapping[str, Any]) -> dict[Oid, Value]:
    """Every instance, from the JSON of ``show chassis cluster status``."""
    found: dict[Oid, Value] = {}
    peer = [row for group in status["groups"] for row in group["nodes"] if row["node"] != status["node"]]
    heard = any(row["state"] != "lost" for row in peer)
    sessions = status.get("sessions") or {}
    scalars = [
        _integer(status["cluster_id"]),
        _integer(status["node"]),
        _truth(heard),
        _truth(sessions.get("covered", False)),
        ("gauge", str(len(status["notices"]))),
    ]
    found |= {(*SCALARS, n, 0): value for n, value in enumerate(scalars, 1)}
    for group in status["groups"]:
        number = group["group"]
        owners = [row["node"] for row in group["nodes"] if row["state"] == "primary"]
        owner = owners[0] if len(owners) == 1 else BOTH if owners else NOBODY
        columns = [_integer(owner), ("gauge", str(group["failover_count"]))]
        found |= {(*GROUPS, n, number): value for n, value in enumerate(columns, 2)}
        for row in group["nodes"]:
            found |= {(*NODES, n, number, row["node"]): value for n, value in enumerate(_node(row), 2) if value is not None}
    for index, (name, up) in enumerate(_paths(status), 1):
        found |= {(*PATHS, 2, index): ("string", name), (*PATHS, 3, index): _truth(up)}
    return found


def _node(row: Mapping[str, Any]) -> list[Value | None]:
    """The columns of one node's row; None: the peer has not told."""
    weight, failures, manual, gate = row["weight"], row["failures"], row["manual"], row["gate_open"]
    return [
        _integer(STATES.get(row["state"], 0)),
        _integer(row["priority"]),
        None if weight is None else _integer(weight),
        None if failures is None else ("string", " ".join(failures)),
        None if manual is None else _truth(manual),
        None if gate is None else _truth(gate),
    ]


def _paths(status: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    for link in status["control_links"]:
        yield f"control{link['index']}", link["up"]
    if status["fabric_interfaces"]:
        yield "fabric", status["fabric_up"]
    own = [child for child in status["fabric_interfaces"] if child["name"] == f"fab{status['node']}"]
    for index, child in enumerate(own):
        yield f"fabric{index}", bool(child["monitored_up"])


def _integer(value: int) -> Value:
    return "integer", str(value)


def _truth(value: bool) -> Value:
    return _integer(TRUE if value else FALSE)


# -- snmpd ------------------------------------------------------------------------------------------------------------


def serve(requests: TextIO, answers: TextIO, read: Callable[[], dict[Oid, Value]]) -> None:
    """Until snmpd goes away. ``read`` gives the instances below ``ROOT``; what it cannot give is not there."""
    for line in requests:
        command = line.strip().lower()
        if command == "ping":
            said = "PONG"
        elif command in ("get", "getnext"):
            said = _found(requests.readline().strip(), command == "getnext", read())
        elif command == "set":
            requests.readline()
            requests.readline()
            said = "not-writable"
        else:
            said = "NONE"
        answers.write(f"{said}\n")
        answers.flush()


def _found(text: str, after: bool, instances: Mapping[Oid, Value]) -> str:
    try:
        asked = tuple(int(part) for part in text.strip(".").split("."))
    except ValueError:
        return "NONE"
    full = {(*ROOT, *oid): value for oid, value in instances.items()}
    if after:
        ordered = sorted(full)
        place = bisect_right(ordered, asked)
        if place == len(ordered):
            return "NONE"
        asked = ordered[place]
    if asked not in full:
        return "NONE"
    kind, value = full[asked]
    return f".{'.'.join(map(str, asked))}\n{kind}\n{value}"


class Reader:
    """Asks the daemon at most once a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._instances: dict[Oid, Value] = {}
        self._read_at: float | None = None

    def __call__(self) -> dict[Oid, Value]:
        """Nothing while the daemon does not answer."""
        if self._read_at is None or time.monotonic() - self._read_at >= FRESH_S:
            try:
                self._instances = table(self._status())
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                self._instances = {}
            self._read_at = time.monotonic()
        return self._instances

    def _status(self) -> Any:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(TIMEOUT_S)
            connection.sock.connect(str(self._path))
            connection.request("GET", STATUS_PATH)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def main() -> int:
    """The program."""
    directory = Path((os.environ.get("RUNTIME_DIRECTORY") or "/run/jsrpd").split(":")[0])
    serve(sys.stdin, sys.stdout, Reader(directory / "http.sock"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
