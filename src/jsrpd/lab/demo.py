"""``make lab``: brings the cluster up, breaks it in every way a newcomer can think of, and prints what each cost.

Every figure comes from packets: what the client and the server did not receive, and by which switch port the gateway
addresses were answered for. The daemons are only asked for their log.
"""

import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jsrpd.lab import faults, topology, traffic
from jsrpd.lab.observe import Ownership
from jsrpd.lab.topology import NODES, Lab, LabError, Settings, inside, run, wait_until
from jsrpd.lab.traffic import Result, StreamResult, TcpResult

LEAD_S = 0.5
"""Traffic before the fault, shown for comparison."""
SETTLE_S = 60.0
OPTIONS = traffic.Options(duration_s=120.0, rate=1000.0, connections=20)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to the cluster. ``observe_s``: how long its traffic is watched."""

    name: str
    title: str
    act: Callable[[Lab, str], None]
    """Gets the node that is primary for group 1."""
    observe_s: float = 2.0
    both_active: bool = False
    """Needs a lab with a group on either node."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step cost, from the fault to the return, and what must not have happened."""

    step: Step
    streams: tuple[StreamResult, ...]
    owners: tuple[Ownership, ...]
    tcp: tuple[TcpResult, ...]
    problems: tuple[str, ...]


def _fault(name: str) -> Callable[[Lab, str], None]:
    def act(lab: Lab, primary: str) -> None:
        faults.inject(lab, name, primary)

    return act


def _fault_of_the_other(name: str) -> Callable[[Lab, str], None]:
    def act(lab: Lab, primary: str) -> None:
        faults.inject(lab, name, faults.peer_of(primary))

    return act


def _reset_manual(lab: Lab) -> None:
    groups = [str(group) for group in topology.group_states(lab, NODES[0]) if group]
    for node in NODES:
        for group in groups:
            faults.request(lab, node, "failover", "reset", "redundancy-group", group)


def steps(settings: Settings) -> list[Step]:
    """The demonstration, in order. Each step starts from a healthy cluster."""
    dead_s = settings.interval_ms * settings.threshold / 1000
    wait_s = 1.5 + 2 * dead_s
    return [
        Step("cut-lan", "the LAN link of the primary is cut", _fault("cut-lan"), wait_s),
        Step("cut-wan", "the WAN link of the primary is cut", _fault("cut-wan"), wait_s),
        Step("silent-lan", "the LAN link of the primary falls silent, its carrier stays", _fault("silent-lan"), wait_s),
        Step("kill-engine", "the engine process of the primary is killed (its parent restarts it)", _fault("kill-engine"), wait_s),
        Step("kill", "every daemon process of the primary is killed", _fault("kill"), wait_s),
        Step("stop", "the daemon of the primary is stopped (SIGSTOP); it continues afterwards", _fault("stop"), wait_s),
        Step("cut-control", "the control link is cut", _fault("cut-control"), wait_s),
        Step(
            "silent-heartbeats",
            "control and fabric links fall silent at once, LAN and WAN stay",
            _fault("silent-heartbeats"),
            wait_s,
        ),
        Step("power-off", "the primary is powered off", _fault("power-off"), wait_s),
        Step("handover", "the operator moves group 1 to the other node", _fault("handover"), wait_s),
        Step(
            "both-active",
            "both nodes active, one group each; the one with the LAN is powered off",
            _fault_of_the_other("power-off"),
            wait_s,
            both_active=True,
        ),
    ]


def demo(lab: Lab, settings: Settings, only: Sequence[str] = ()) -> int:
    """Run all steps, or only those named. 0 when the cluster survived every one. Always ends with the lab removed."""
    wanted = [step for step in steps(settings) if not only or step.name in only]
    if not wanted:
        raise LabError(f"no such step; there are: {', '.join(step.name for step in steps(settings))}")
    if topology.is_up(lab):
        raise LabError(f"the lab {lab.name} is up already; first: jsrp lab down")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(lab, settings, wanted)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nremoving the lab", flush=True)
        topology.down(lab)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _demo(lab: Lab, settings: Settings, wanted: Sequence[Step]) -> int:
    dead_ms = settings.interval_ms * settings.threshold
    print("Two Linux nodes share the gateway addresses of a LAN and a WAN; a client in the LAN talks to a server in the WAN.")
    if settings.firewall:
        print("Both nodes have a strict firewall and source NAT: a connection survives only where its session was carried over.")
    print(f"Heartbeats every {settings.interval_ms} ms; a node counts as lost after {dead_ms} ms of silence.")
    print("building the lab (network namespaces on this machine, nothing else is touched)", flush=True)
    built = False
    outcomes = []
    for number, step in enumerate(wanted, 1):
        if not built or lab.settings.both_active != step.both_active:
            _rebuild(lab, replace(settings, both_active=step.both_active))
            built = True
            print(status_text(lab), flush=True)
        print(f"── {number}/{len(wanted)}  {step.title} " + "─" * max(0, 90 - len(step.title)), flush=True)
        outcomes.append(_play(lab, step))
    print("── summary: the worst of all streams and addresses " + "─" * 50)
    print("\n".join(_summary(outcomes)))
    failures = [f"{outcome.step.name}: {problem}" for outcome in outcomes for problem in outcome.problems]
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{len(wanted)} faults, {len(failures)} problems" if failures else f"the cluster survived all {len(wanted)} faults")
    return 1 if failures else 0


def _rebuild(lab: Lab, settings: Settings) -> None:
    """A fresh lab with these settings and, with both nodes active, each group on the node it is rather to be on."""
    topology.down(lab)
    topology.up(lab, settings)
    settle(lab, "the first election")
    for group, node in ((1, NODES[0]), (2, NODES[1])) if settings.both_active else ():
        other = faults.peer_of(node)
        if topology.primary_node(lab, group) == other:
            # The node that was there first has taken both.
            faults.request(lab, other, "failover", "redundancy-group", str(group), "node", str(NODES.index(node)))
            settle(lab, "the move of a group")
    _reset_manual(lab)


def settle(lab: Lab, what: str) -> None:
    """Wait until both nodes are well and agree; LabError with their last words otherwise."""
    try:
        wait_until(lambda: topology.is_settled(lab), SETTLE_S, f"a healthy cluster after {what}")
    except LabError as error:
        said = "\n".join(line for _, line in messages(lab, 0, time.time_ns())[-20:])
        raise LabError(f"{error}\n{said}\n{status_text(lab)}") from error


def _play(lab: Lab, step: Step) -> Outcome:
    """One step under traffic, then the return to health, printed."""
    primary = topology.primary_node(lab)
    with traffic.running(lab, OPTIONS) as flow:
        time.sleep(LEAD_S)
        fault_at = time.time_ns()
        step.act(lab, primary)
        time.sleep(step.observe_s)
        fault_end = time.time_ns()
        faults.heal(lab)
        settle(lab, step.name)
        _reset_manual(lab)
        time.sleep(LEAD_S)
        result = flow.finish(now=True)
    window = (fault_at - int(0.1e9), fault_end)
    print(f"primary was {primary}; fault at {_clock(fault_at)}")
    print("\n".join(_table(result, window, (fault_end, result.end))))
    owners = result.ownerships(*window)
    print("\n".join(_owner_lines(owners, fault_at)))
    tcp = ", ".join(f"IPv{t.family} {t.alive} of {t.connections} (longest wait {t.longest_stall_ms:.0f} ms)" for t in result.tcp)
    print(f"TCP connections alive: {tcp}")
    for _, line in messages(lab, *window):
        print(f"  {line}")
    print("  … healed:")
    for _, line in messages(lab, fault_end, time.time_ns()):
        print(f"  {line}")
    return Outcome(step, tuple(result.window(*window)), tuple(owners), result.tcp, tuple(_problems(result, window, owners)))


def _problems(result: Result, window: tuple[int, int], owners: Sequence[Ownership]) -> Iterator[str]:
    """What must not happen in any step."""
    late = window[1] - int(0.5e9)
    for stream in result.window(late, window[1]):
        if stream.lost == stream.sent:
            yield f"IPv{stream.family} {stream.name} did not recover"
    for tcp in result.tcp:
        if tcp.alive != tcp.connections:
            dead = tcp.connections - tcp.alive
            yield f"{dead} of {tcp.connections} IPv{tcp.family} TCP connections died: {', '.join(tcp.broken)}"
    for owner in owners:
        if owner.final_owner is None:
            yield f"nobody answered for the {owner.segment} gateway (IPv{owner.family})"


# -- printing ---------------------------------------------------------------------------------------------------------


def _table(result: Result, during: tuple[int, int], after: tuple[int, int]) -> list[str]:
    """Lost packets and longest gap of each stream, for the fault and for the return to health."""
    lines = [f"{'stream':<22}{'sent':>8}{'lost':>8}{'longest gap':>14}   │ return:{'lost':>7}{'longest gap':>14}"]
    for fault, healed in zip(result.window(*during), result.window(*after), strict=True):
        name = f"IPv{fault.family} {fault.name}"
        figures = f"{fault.sent:>8}{fault.lost:>8}{fault.longest_gap_ms:>11.1f} ms"
        lines.append(f"{name:<22}{figures}   │        {healed.lost:>7}{healed.longest_gap_ms:>11.1f} ms")
    return lines


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    """One line a step."""
    width = max(len(outcome.step.title) for outcome in outcomes)
    lines = [f"{'':<{width}}{'lost':>7}{'longest gap':>14}{'two owners':>13}{'TCP alive':>11}"]
    for outcome in outcomes:
        lost = max(stream.lost for stream in outcome.streams)
        gap = max(stream.longest_gap_ms for stream in outcome.streams)
        both = max(owner.two_owners_ms for owner in outcome.owners)
        alive = f"{sum(t.alive for t in outcome.tcp)}/{sum(t.connections for t in outcome.tcp)}"
        lines.append(f"{outcome.step.title:<{width}}{lost:>7}{gap:>11.1f} ms{both:>10.1f} ms{alive:>11}")
    return lines


def _owner_lines(owners: Sequence[Ownership], fault_at: int) -> list[str]:
    """Who answered for each gateway address, in ms from the fault."""
    lines = []
    for owner in owners:
        spans = ", ".join(
            f"node{i.node} {(i.begin - fault_at) / 1e6:+.0f}…{(i.end - fault_at) / 1e6:+.0f} ms" for i in owner.intervals
        )
        both = f"two at once {owner.two_owners_ms:.1f} ms, nobody {owner.nobody_ms:.0f} ms"
        lines.append(f"{owner.segment.upper()} gateway IPv{owner.family} answered by: {spans or 'nobody'} ({both})")
    return lines


def _clock(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e9):%H:%M:%S.%f}"[:-3]


STAMPED = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d) (?:\S+ )?jsrpd\[\d+\]: (.*)$")


def messages(lab: Lab, begin: int, end: int) -> list[tuple[int, str]]:
    """The messages both nodes logged between two instants, in order: (CLOCK_REALTIME ns, ``hh:mm:ss.mmm node0 TAG: text``)."""
    found = []
    for node in NODES:
        log = topology.log_file(lab, node)
        for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
            match = STAMPED.match(line)
            if match:
                at = int(datetime.fromisoformat(match[1]).timestamp() * 1e6) * 1000
                if begin <= at <= end:
                    found.append((at, f"{_clock(at)} {node} {match[2]}"))
    return sorted(found)


def status_text(lab: Lab) -> str:
    """``show chassis cluster status`` of the first node that answers."""
    for node in NODES:
        try:
            return run(*inside(lab.namespace(node), "jsrp", "show", "chassis", "cluster", "status"), env=lab.environment(node))
        except LabError as error:
            said = str(error)
    return f"no node gives its status: {said}\n"
