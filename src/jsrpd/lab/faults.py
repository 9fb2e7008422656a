"""What can go wrong in the lab, on demand: cables, daemons, whole nodes. And ``heal``, which mends everything.

What is broken now is a value, kept in a file; ``apply`` makes the switch agree with it. Frames are dropped by one
nftables transaction, so all cables of a node fall silent at the same instant.
"""

import contextlib
import json
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from jsrpd.lab.observe import Interval
from jsrpd.lab.topology import (
    NODES,
    SEGMENTS,
    SWITCH,
    Lab,
    LabError,
    Settings,
    daemon_processes,
    inside,
    ip_batch,
    kill_everything,
    port_of,
    primary_node,
    processes,
    reboot,
    run,
    signal_all,
    start_daemon,
)

ENGINE_TITLE = "jsrpd: engine"


@dataclass(frozen=True, slots=True)
class Broken:
    """Everything that is broken now. Ports are switch ports, ``node0-lan``."""

    cut: frozenset[str] = frozenset()
    """Without carrier."""
    silent: frozenset[str] = frozenset()
    """Carrier stays, every frame is dropped, both ways."""
    hellos_dropped: bool = False
    """The segments carry everything but the nodes' hello frames."""
    loss_percent: int = 0
    """On the control links, each way."""
    off: frozenset[str] = frozenset()
    hung: frozenset[str] = frozenset()

    def cut_ports(self, settings: Settings) -> frozenset[str]:
        """Ports that are down, those of powered-off nodes and the far ends of their direct cables included."""
        own = {port_of(node, cable) for node in self.off for cable in settings.cables}
        direct = [cable for cable in settings.cables if cable not in SEGMENTS]
        far = {port_of(peer_of(node), cable) for node in self.off for cable in direct}
        return self.cut | own | far

    def silent_ports(self, settings: Settings) -> frozenset[str]:
        """Ports that drop everything, those of hung and powered-off nodes included."""
        return self.silent | {port_of(node, cable) for node in self.off | self.hung for cable in settings.cables}


def peer_of(node: str) -> str:
    """The other node."""
    return NODES[1 - NODES.index(node)]


def ruleset(broken: Broken, settings: Settings) -> str:
    """The nftables program of the switch: what each port drops in both directions. Replaces the former one as a whole."""
    ports = [port_of(node, cable) for node in NODES for cable in settings.cables]
    silent = sorted(broken.silent_ports(settings) & set(ports))
    control = [port for port in ports if port.partition("-")[2].startswith("ctl")]
    segments = [port for port in ports if port.partition("-")[2] in SEGMENTS]
    lossy = control if broken.loss_percent else []
    deaf = segments if broken.hellos_dropped else []
    chains = ""
    for hook, word in (("ingress", "iifname"), ("egress", "oifname")):
        rules = [f"{word} {{ {', '.join(silent)} }} drop"] if silent else []
        # On the way in only, so that a frame runs the risk once.
        if lossy and hook == "ingress":
            rules.append(f"{word} {{ {', '.join(control)} }} numgen random mod 100 < {broken.loss_percent} drop")
        if deaf:
            rules.append(f"{word} {{ {', '.join(deaf)} }} ether type 0x88b5 drop")
        lines = "".join(f"        {rule}\n" for rule in rules)
        devices = ", ".join(sorted({*silent, *lossy, *deaf}))
        if lines:
            chains += f"    chain {hook} {{\n        type filter hook {hook} devices = {{ {devices} }} priority 0;\n{lines}    }}\n"
    # Adding before deleting makes the deletion succeed the first time too.
    return f"table netdev lab\ndelete table netdev lab\ntable netdev lab {{\n{chains}}}\n"


# -- state and log ----------------------------------------------------------------------------------------------------


def _state_file(lab: Lab) -> Path:
    return lab.directory / "broken.json"


def _log_file(lab: Lab) -> Path:
    return lab.directory / "faults.log"


def broken(lab: Lab) -> Broken:
    """What is broken now."""
    with contextlib.suppress(FileNotFoundError):
        stored = json.loads(_state_file(lab).read_text())
        sets = {name: frozenset(stored[name]) for name in ("cut", "silent", "off", "hung")}
        return Broken(loss_percent=stored["loss_percent"], hellos_dropped=stored["hellos_dropped"], **sets)
    return Broken()


def _store(lab: Lab, now: Broken) -> None:
    plain = {k: sorted(v) if isinstance(v, frozenset) else v for k, v in asdict(now).items()}
    _state_file(lab).write_text(json.dumps(plain))


def _note(lab: Lab, what: str, at: int) -> None:
    """A line in the log of faults: when it took effect and which ports have been silent since. CLOCK_REALTIME ns."""
    silent = sorted(broken(lab).silent_ports(lab.settings))
    with _log_file(lab).open("a") as log:
        log.write(json.dumps({"at": at, "until": time.time_ns(), "fault": what, "silent": silent}) + "\n")


def history(lab: Lab) -> list[dict[str, object]]:
    """Every fault so far: ``at`` and ``until`` (CLOCK_REALTIME ns), ``fault``, ``silent`` ports from then on."""
    try:
        return [json.loads(line) for line in _log_file(lab).read_text().splitlines()]
    except FileNotFoundError:
        return []


def silences(lab: Lab) -> dict[str, list[Interval]]:
    """When the LAN and WAN cables of each node were silent, by segment."""
    found: dict[str, list[Interval]] = {segment: [] for segment in SEGMENTS}
    since: dict[str, int] = {}
    for entry in [*history(lab), {"at": time.time_ns(), "until": time.time_ns(), "silent": []}]:
        silent, at, until = entry["silent"], entry["at"], entry["until"]
        assert isinstance(silent, list) and isinstance(at, int) and isinstance(until, int)
        for port in silent:
            since.setdefault(port, at)
        for port in [port for port in since if port not in silent]:
            node, _, cable = port.partition("-")
            if cable in found:
                found[cable].append(Interval(NODES.index(node), since.pop(port), until))
    return found


# -- faults -----------------------------------------------------------------------------------------------------------


def _apply(lab: Lab, wanted: Broken) -> None:
    """Make the switch agree with ``wanted``: silence first, which is one instant, then carrier."""
    settings, switch, now = lab.settings, lab.namespace(SWITCH), broken(lab)
    _store(lab, wanted)
    run(*inside(switch, "nft", "-f", "-"), text=ruleset(wanted, settings))
    before, after = now.cut_ports(settings), wanted.cut_ports(settings)
    changes = [(port, "down") for port in after - before] + [(port, "up") for port in before - after]
    ip_batch(switch, [f"link set {port} {state}" for port, state in sorted(changes)])


def _ports(lab: Lab, node: str, kind: str) -> frozenset[str]:
    """Switch ports of a kind of cable: of one node for the segments, of both for the cables between the nodes."""
    if kind in SEGMENTS:
        return frozenset({port_of(node, kind)})
    cables = [cable for cable in lab.settings.cables if cable.startswith("fab" if kind == "fabric" else "ctl")]
    return frozenset(port_of(one, cable) for one in NODES for cable in cables)


def _cut(kind: str) -> Callable[[Lab, str], None]:
    return lambda lab, node: _apply(lab, replace(broken(lab), cut=broken(lab).cut | _ports(lab, node, kind)))


def _silence(kind: str) -> Callable[[Lab, str], None]:
    return lambda lab, node: _apply(lab, replace(broken(lab), silent=broken(lab).silent | _ports(lab, node, kind)))


def _drop_hellos(lab: Lab, _node: str) -> None:
    _apply(lab, replace(broken(lab), hellos_dropped=True))


def _cut_heartbeats(lab: Lab, node: str) -> None:
    """Control and fabric at the same instant, as when their common switch dies."""
    _apply(lab, replace(broken(lab), silent=broken(lab).silent | _ports(lab, node, "control") | _ports(lab, node, "fabric")))


def _freeze_and_kill(pids: list[int]) -> None:
    # A parent must not replace a child that was killed before it, nor a child hand over because its parent died first.
    signal_all(pids, signal.SIGSTOP)
    signal_all(pids, signal.SIGKILL)


def _kill(lab: Lab, node: str) -> None:
    _freeze_and_kill(list(daemon_processes(lab, node)))


def _kill_engine(lab: Lab, node: str) -> None:
    engines = [pid for pid, title in daemon_processes(lab, node).items() if title == ENGINE_TITLE]
    if not engines:
        raise LabError(f"no process titled {ENGINE_TITLE!r} on {node}")
    signal_all(engines, signal.SIGKILL)


def _stop(lab: Lab, node: str) -> None:
    signal_all(daemon_processes(lab, node), signal.SIGSTOP)


def _continue(lab: Lab, node: str) -> None:
    signal_all(daemon_processes(lab, node), signal.SIGCONT)


def _hang(lab: Lab, node: str) -> None:
    _apply(lab, replace(broken(lab), hung=broken(lab).hung | {node}))
    signal_all(processes(lab, node), signal.SIGSTOP)


def _power_off(lab: Lab, node: str) -> None:
    _apply(lab, replace(broken(lab), off=broken(lab).off | {node}))
    kill_everything(lab, node)


def _power_on(lab: Lab, node: str) -> None:
    now = broken(lab)
    if node in now.off:
        reboot(lab, node)
        # The new cables are up; those that are cut for another reason are cut again.
        without = replace(now, off=now.off - {node}, hung=now.hung - {node})
        _apply(lab, without)
        again = [port for port in without.cut_ports(lab.settings) if port.startswith(f"{node}-")]
        ip_batch(lab.namespace(SWITCH), [f"link set {port} down" for port in sorted(again)])
    start_daemon(lab, node)


def _hand_over(lab: Lab, node: str) -> None:
    """``node`` gives group 1 to the other."""
    request(lab, node, "failover", "redundancy-group", "1", "node", str(NODES.index(peer_of(node))))


def request(lab: Lab, node: str, *words: str) -> str:
    """``jsrp request chassis cluster WORDS…`` on a node; what it answers."""
    command = inside(lab.namespace(node), "jsrp", "request", "chassis", "cluster", *words)
    return run(*command, env=lab.environment(node), timeout_s=10)


def heal(lab: Lab) -> None:
    """Plug in every cable, stop all loss, continue what was stopped, power on what was off, start what was killed."""
    at = time.time_ns()
    now = broken(lab)
    _apply(lab, Broken(off=now.off))
    for node in NODES:
        if node in now.off:
            _power_on(lab, node)
        else:
            signal_all(processes(lab, node), signal.SIGCONT)
            start_daemon(lab, node)
    _note(lab, "heal", at)


FAULTS: dict[str, tuple[Callable[[Lab, str], None], str]] = {
    "cut-lan": (_cut("lan"), "the node's LAN link loses carrier"),
    "cut-wan": (_cut("wan"), "the node's WAN link loses carrier"),
    "cut-control": (_cut("control"), "every control link loses carrier"),
    "cut-fabric": (_cut("fabric"), "the fabric link loses carrier"),
    "silent-lan": (_silence("lan"), "the node's LAN link drops everything, its carrier stays"),
    "silent-wan": (_silence("wan"), "the node's WAN link drops everything, its carrier stays"),
    "silent-control": (_silence("control"), "every control link drops everything, carriers stay"),
    "silent-fabric": (_silence("fabric"), "the fabric link drops everything, carriers stay"),
    "silent-hellos": (_drop_hellos, "the hello frames on the LAN and the WAN are dropped, nothing else"),
    "silent-heartbeats": (_cut_heartbeats, "control and fabric links drop everything at once, LAN and WAN stay"),
    "kill": (_kill, "SIGKILL to every jsrpd process of the node"),
    "kill-engine": (_kill_engine, "SIGKILL to the engine process alone"),
    "stop": (_stop, "SIGSTOP to every jsrpd process of the node"),
    "continue": (_continue, "SIGCONT to every jsrpd process of the node"),
    "hang": (_hang, "the whole node freezes, carriers stay"),
    "power-off": (_power_off, "the whole node dies, all its links lose carrier"),
    "power-on": (_power_on, "the node boots again, or its killed daemon is started"),
    "handover": (_hand_over, "the operator moves group 1 to the other node"),
}
"""Faults of one node (those of control and fabric cables take both ends). ``loss`` and ``heal`` stand beside them."""


def inject(lab: Lab, name: str, node: str = "") -> int:
    """Carry out a fault on a node, by default on the primary of group 1; when it began, CLOCK_REALTIME ns."""
    if name not in FAULTS:
        raise LabError(f"{name}: no such fault; there are: {', '.join(FAULTS)}, loss, heal")
    if node and node not in NODES:
        raise LabError(f"{node}: the nodes are {' and '.join(NODES)}")
    for_cables = name.endswith(("-control", "-fabric", "-hellos", "-heartbeats"))
    victim = node or (NODES[0] if for_cables else primary_node(lab))
    at = time.time_ns()
    FAULTS[name][0](lab, victim)
    _note(lab, name if for_cables else f"{name} {victim}", at)
    return at


def lose(lab: Lab, percent: int) -> int:
    """Drop this share of all frames on the control links; when it began, CLOCK_REALTIME ns."""
    if not 0 <= percent <= 100:
        raise LabError(f"loss {percent}: 0..100 per cent")
    at = time.time_ns()
    _apply(lab, replace(broken(lab), loss_percent=percent))
    _note(lab, f"loss {percent}", at)
    return at
