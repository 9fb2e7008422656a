"""A node looks at itself for ``jsrp doctor``: one process, one look, then it ends.

It is forked by the parent when the gateway asks, or runs alone where there is no daemon. The engine is neither asked
nor waited for, and never notices: what is looked at is the kernel's word and the disk's, at the lowest priority there is.
"""

import asyncio
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import NoReturn

import msgspec

from jsrpd import __version__
from jsrpd.configuration.identity import Identity, read_identity
from jsrpd.configuration.key import KeyFileError, read_key
from jsrpd.doctor.firewall import Ruleset, Traffic
from jsrpd.kernel import gate, machine, probes, surroundings, sysctl
from jsrpd.kernel.rtnetlink import RtNetlink
from jsrpd.management import children
from jsrpd.model.addressing import CONTROL_PORT, FABRIC_PORT, MANAGEMENT_PORT, SESSION_PORT
from jsrpd.model.configuration import Arbitration, ClusterConfiguration, Reth
from jsrpd.model.survey import (
    ArbiterSurvey,
    DuplicateSurvey,
    EngineSurvey,
    FirewallSurvey,
    GatewayWatch,
    InterfaceSurvey,
    ProbeSurvey,
    Survey,
    encode_survey,
    encode_watches,
)
from jsrpd.monitors.arbiter import way
from jsrpd.monitors.events import Way
from jsrpd.processes import preflight
from jsrpd.processes.directories import Directories, directories
from jsrpd.processes.etcd_client import EtcdClient, EtcdError
from jsrpd.processes.kernel import wanted_sysctls
from jsrpd.processes.pid_file import AlreadyRunning, PidFile
from jsrpd.processes.witness_keeper import owner_key

SELF_ENDING_S = 20
NICE = 19
MAX_PROBED = 64
"""Gateway addresses asked for duplicates, of each reth."""
MAX_WATCHED = 4
MAX_ASKED_AT_ONCE = 32
WITNESS_PATIENCE_S = 3.0
"""For the name of a witness may be asked of a name server that is away."""
NO_ANSWER = "no answer"
MACHINE_SYSCTLS = ("kernel/sched_rt_runtime_us", "net/ipv4/conf/all/arp_ignore", "net/ipv4/conf/all/arp_filter")
HELLOS = "hello frames"


def run(
    channel: socket.socket, asked: children.SurveyRequested, places: Directories, configuration: ClusterConfiguration | None
) -> None:
    """In a child of the parent: look, tell the gateway, end."""
    signal.alarm(SELF_ENDING_S)
    if asked.watched_group is not None:
        told = encode_watches(tuple(_watch(configuration, asked.watched_group, asked.seconds)))
    else:
        os.nice(NICE)
        told = encode_survey(firewall_only(configuration) if asked.only_firewall else take(places, configuration, os.getppid()))
    channel.send(children.encode(children.SurveyTaken(asked.number, told)))


def main() -> NoReturn:
    """``jsrp doctor`` where no daemon answers: the survey on standard output."""
    places = directories()
    signal.alarm(SELF_ENDING_S)
    sys.stdout.buffer.write(encode_survey(take(places, preflight.configuration_problems(places)[0], _daemon(places))))
    sys.stdout.flush()
    # A question to a name server that does not answer is not waited for any more.
    os._exit(0)


def _daemon(places: Directories) -> int:
    """Pid of a parent that lives although its gateway does not answer; 0: none."""
    pid_file = PidFile(places.pid_file)
    try:
        if not places.pid_file.exists():
            return 0
        pid_file.lock()
    except AlreadyRunning:
        return int(places.pid_file.read_text().strip() or 0)
    except (OSError, ValueError):
        return 0
    pid_file.close_in_child()
    return 0


def take(places: Directories, configuration: ClusterConfiguration | None, daemon: int) -> Survey:
    """Everything that one look tells. ``daemon``: pid of the parent, 0 where none runs."""
    answered = _asked(configuration) if configuration is not None else None
    seen = _seen(places, configuration, daemon)
    return answered(seen) if answered is not None else seen


def _seen(places: Directories, c: ClusterConfiguration | None, daemon: int) -> Survey:
    """What nobody else need be asked for."""
    identity = _identity(places, c)
    stored, problems = preflight.configuration_problems(places)
    present = frozenset(name for _index, name in socket.if_nameindex())
    wanted = wanted_sysctls(c, present) if c is not None else {}
    running = surroundings.processes()
    looked_at = [*wanted, *MACHINE_SYSCTLS, *(f"net/ipv6/conf/{name}/disable_ipv6" for name in ("all", *_ipv6_links(c)))]
    return Survey(
        taken_at=time.time_ns(),
        host_name=socket.gethostname(),
        version=__version__,
        kernel=platform.release(),
        cluster_id=identity.cluster_id if identity is not None else 0,
        node_id=identity.node_id if identity is not None else 0,
        running=bool(daemon),
        problems=(*(one for one in problems if one != preflight.NOT_CLUSTERED), *preflight.directory_problems(places)),
        key_problem=_key_problem(places) if identity is not None else "",
        clock_problem=_clock_problem(),
        clock_synchronized=surroundings.clock_synchronized(),
        clock_source=surroundings.clock_source(),
        sysctls={name: sysctl.read(name) for name in looked_at},
        wanted_sysctls=wanted,
        bpf_problem=surroundings.bpf_problem() if c is not None and c.gate == "bpf" else "",
        gates=_gates(c) if c is not None and daemon else {},
        interfaces=tuple(_interfaces(c, running)) if c is not None else (),
        rivals=surroundings.rivals(running),
        firewall=_firewall(c),
        conntrack=machine.conntrack(),
        engine=_engine(daemon),
        disk_percent=machine.disk_percent(str(_existing(places.state))),
        dead_time_ns=c.timing.dead if c is not None else 0,
        session_synchronization=c is not None and c.session_synchronization.on,
        control_links=len(c.control_links) if c is not None else 0,
        configuration_digest=c.digest.hex() if c is not None else "",
        file_differs=bool(daemon) and stored is not None and stored != c,
    )


def _identity(places: Directories, configuration: ClusterConfiguration | None) -> Identity | None:
    """Which node this is, also when its configuration cannot be used; None: in no cluster, or that cannot be told."""
    if configuration is not None:
        return Identity(configuration.cluster_id, configuration.node_id)
    try:
        return read_identity(places.configuration)
    except (OSError, ValueError):
        return None


def firewall_only(configuration: ClusterConfiguration | None) -> Survey:
    """The packet filter, and nothing else."""
    return Survey(time.time_ns(), socket.gethostname(), __version__, platform.release(), firewall=_firewall(configuration))


def _watch(configuration: ClusterConfiguration | None, group: int, seconds: int) -> list[GatewayWatch]:
    """Of the first address of either family of each reth; from the segments, so only what another node answers is seen."""
    reths = [reth for reth in configuration.reths if reth.group == group][:MAX_WATCHED] if configuration is not None else []
    watched: list[tuple[str, str, bytes, str]] = []
    for reth in reths:
        addresses = [one.address for one in reth.addresses]
        firsts = (next((one for one in addresses if sign in one), "") for sign in (".", ":"))
        watched += [(reth.name, reth.child, reth.mac, first) for first in firsts if first]
    return probes.watch(watched, seconds)


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())


def _key_problem(places: Directories) -> str:
    try:
        read_key(places.configuration)
    except (KeyFileError, OSError) as error:
        return str(error)
    return ""


def _clock_problem() -> str:
    try:
        preflight.check_clock()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _engine(daemon: int) -> EngineSurvey | None:
    pid = surroundings.child_of(daemon, "jsrpd: engine") if daemon else 0
    told = surroundings.scheduling(pid) if pid else None
    return EngineSurvey(*told) if told is not None else None


def _uses(c: ClusterConfiguration) -> dict[str, str]:
    """What each interface is for."""
    uses = {link.interface: f"control link {link.index}" for link in c.control_links}
    uses |= {link.interface: f"fabric link {link.index}" for link in c.fabric_links}
    for reth in c.reths:
        uses |= {reth.child: f"child of {reth.name}", reth.name: "reth"}
    return uses


def _ipv6_links(c: ClusterConfiguration | None) -> list[str]:
    """Interfaces whose derived addresses are IPv6."""
    if c is None:
        return []
    return [link.interface for link in c.control_links if not link.local_address] + [link.interface for link in c.fabric_links]


def _interfaces(c: ClusterConfiguration, running: Sequence[surroundings.Process]) -> Iterator[InterfaceSurvey]:
    xdp = surroundings.with_xdp()
    for name, use in _uses(c).items():
        there, up, carrier, mtu, bridge, switch = surroundings.interface(name)
        yield InterfaceSurvey(name, use, there, up, carrier, mtu, bridge, surroundings.managers(name, running), name in xdp, switch)


def _gates(c: ClusterConfiguration) -> dict[str, bool]:
    if c.gate != "bpf":
        return {}
    rtnetlink = RtNetlink()
    try:
        links = rtnetlink.links()
    finally:
        rtnetlink.close()
    names = [name for reth in c.reths for name in (reth.name, reth.child) if name in links]
    return {name: gate.stands(links[name].index) for name in names}


def _asked(c: ClusterConfiguration) -> Callable[[Survey], Survey]:
    """Ask everybody at once, beside the rest of the look; what is returned waits for the answers and adds them."""
    stated = c.arbitration or Arbitration()
    pool = ThreadPoolExecutor(MAX_ASKED_AT_ONCE)
    duplicates = pool.submit(_duplicates, c.reths)
    paths = [pool.submit(_probe, *end) for end in _ends(c)]
    arbiters = {address: pool.submit(_arbiter, address, way(address, c.reths)) for address in stated.probes}
    arbiters |= {endpoint: pool.submit(_witness, endpoint, c.cluster_id) for endpoint in stated.endpoints}
    pool.shutdown(wait=False)

    def answered(survey: Survey) -> Survey:
        wait(arbiters.values(), WITNESS_PATIENCE_S)
        return msgspec.structs.replace(
            survey,
            probes=tuple(path.result() for path in paths),
            duplicates=duplicates.result(),
            arbiters=tuple(one.result() if one.done() else ArbiterSurvey(name, NO_ANSWER) for name, one in arbiters.items()),
        )

    return answered


def _ends(c: ClusterConfiguration) -> Iterator[tuple[str, str, str, str]]:
    """(interface, use, own address, the peer's) of each link."""
    for control in c.control_links:
        yield control.interface, f"control link {control.index}", *c.control_ends(control)
    for fabric in c.fabric_links:
        yield fabric.interface, f"fabric link {fabric.index}", *c.fabric_ends(fabric)


def _probe(interface: str, use: str, own: str, peer: str) -> ProbeSurvey:
    mtu = surroundings.interface(interface)[3]
    version = 6 if ":" in peer else 4
    sizes = (mtu, probes.SMALL) if mtu else (probes.SMALL,)
    try:
        passed, _refused = probes.passing(version, interface, own if version == 4 else "", peer, sizes)
    except OSError as error:
        return ProbeSurvey(interface, use, mtu, False, False, error.strerror or str(error))
    return ProbeSurvey(interface, use, mtu, mtu in passed, bool(passed))


def _duplicates(reths: Sequence[Reth]) -> tuple[DuplicateSurvey, ...]:
    """By a MAC that is not the cluster's. Without a virtual MAC nobody can tell the other node's from a stranger's."""
    known = [reth for reth in reths if reth.mac]
    ours = {reth.mac.hex(":") for reth in known}
    wanted: dict[str, list[str]] = {}
    for reth in known:
        wanted.setdefault(reth.child, []).extend(one.address for one in reth.addresses[:MAX_PROBED])
    answered = sorted(probes.answerers(wanted))
    return tuple(DuplicateSurvey(address, interface, mac) for interface, address, mac in answered if mac not in ours)


def _arbiter(address: str, asked_by: Way) -> ArbiterSurvey:
    """As the monitors process asks it."""
    try:
        passed, refused = probes.passing(6 if ":" in address else 4, asked_by.device, asked_by.source, address, (probes.SMALL,))
    except OSError as error:
        return ArbiterSurvey(address, (error.strerror or str(error)).lower())
    return ArbiterSurvey(address, "" if passed else refused or NO_ANSWER)


def _witness(endpoint: str, cluster_id: int) -> ArbiterSurvey:
    """One member, which answers only with a majority behind it."""
    try:
        asyncio.run(EtcdClient([endpoint]).read(owner_key(cluster_id)))
    except EtcdError as error:
        return ArbiterSurvey(endpoint, str(error))
    return ArbiterSurvey(endpoint)


def _firewall(c: ClusterConfiguration | None) -> FirewallSurvey:
    legacy = surroundings.legacy_tables()
    text, chains, problem = surroundings.ruleset()
    if problem:
        return FirewallSurvey(problem, legacy=legacy)
    try:
        ruleset = Ruleset(text, chains)
    except ValueError as error:
        return FirewallSurvey(str(error), legacy=legacy)
    blocked = tuple(ruleset.blocked(list(_traffic(c)))) if c is not None else ()
    return FirewallSurvey("", ruleset.digests(), blocked, ruleset.flowtables(), legacy)


def _traffic(c: ClusterConfiguration) -> Iterator[Traffic]:
    """All that the nodes say to each other."""
    for control in c.control_links:
        own, peer = c.control_ends(control)
        what = f"control link {control.index} ({control.interface})"
        yield from _both_ways(f"heartbeats on {what}", control.interface, own, peer, CONTROL_PORT)
        yield from _commits(c, f"commits on {what}", control.interface, own, peer)
        if not c.fabric_links and c.session_synchronization.on:
            yield from _both_ways(f"sessions on {what}", control.interface, own, peer, SESSION_PORT)
    for fabric in c.fabric_links:
        own, peer = c.fabric_ends(fabric)
        what = f"fabric link {fabric.index} ({fabric.interface})"
        yield from _both_ways(f"heartbeats on {what}", fabric.interface, own, peer, FABRIC_PORT)
        if c.session_synchronization.on:
            yield from _both_ways(f"sessions on {what}", fabric.interface, own, peer, SESSION_PORT)
    for reth in c.in_band_segments:
        for incoming in (True, False):
            yield Traffic(f"{HELLOS} on the segment of {reth.name} ({reth.child})", reth.child, incoming, 0, "")


def _commits(c: ClusterConfiguration, name: str, interface: str, own: str, peer: str) -> Iterator[Traffic]:
    """Node 0 listens, node 1 calls."""
    listens, family = c.node_id == 0, 6 if ":" in own else 4
    near, far = (MANAGEMENT_PORT, None) if listens else (None, MANAGEMENT_PORT)
    yield Traffic(name, interface, True, family, "tcp", peer, own, far, near, answers=not listens)
    yield Traffic(name, interface, False, family, "tcp", own, peer, near, far, answers=listens)


def _both_ways(name: str, interface: str, own: str, peer: str, port: int) -> Iterator[Traffic]:
    family = 6 if ":" in own else 4
    yield Traffic(name, interface, True, family, "udp", peer, own, port, port)
    yield Traffic(name, interface, False, family, "udp", own, peer, port, port)


if __name__ == "__main__":
    main()
