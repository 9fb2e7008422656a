"""A node looks at itself for ``jsrp doctor``: one process, one look, then it ends.

It is forked by the parent when the gateway asks, or runs alone where there is no daemon. The engine is neither asked
nor waited for, and never notices: what is looked at is the kernel's word and the disk's, at the lowest priority there is.
"""

import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jsrpd import __version__
from jsrpd.configuration.identity import Identity, read_identity
from jsrpd.configuration.key import KeyFileError, read_key
from jsrpd.doctor.firewall import Ruleset, Traffic
from jsrpd.kernel import gate, machine, probes, surroundings, sysctl
from jsrpd.kernel.rtnetlink import RtNetlink
from jsrpd.management import children
from jsrpd.model.addressing import CONTROL_PORT, FABRIC_PORT, MANAGEMENT_PORT, SESSION_PORT
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.survey import (
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
from jsrpd.processes import preflight
from jsrpd.processes.directories import Directories, directories
from jsrpd.processes.kernel import wanted_sysctls
from jsrpd.processes.pid_file import AlreadyRunning, PidFile

SELF_ENDING_S = 20
NICE = 19
MAX_PROBED = 64
"""Gateway addresses asked for duplicates, of each reth."""
MAX_WATCHED = 4
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


def main() -> int:
    """``jsrp doctor`` where no daemon answers: the survey on standard output."""
    places = directories()
    signal.alarm(SELF_ENDING_S)
    sys.stdout.buffer.write(encode_survey(take(places, preflight.configuration_problems(places)[0], _daemon(places))))
    return 0


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
    c = configuration
    identity = _identity(places, c)
    stored, problems = preflight.configuration_problems(places)
    present = frozenset(name for _index, name in socket.if_nameindex())
    wanted = wanted_sysctls(c, present) if c is not None else {}
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
        interfaces=tuple(_interfaces(c)) if c is not None else (),
        probes=tuple(_probes(c)) if c is not None else (),
        duplicates=tuple(_duplicates(c)) if c is not None else (),
        rivals=surroundings.rivals(),
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


def _interfaces(c: ClusterConfiguration) -> Iterator[InterfaceSurvey]:
    xdp = surroundings.with_xdp()
    for name, use in _uses(c).items():
        there, up, carrier, mtu, bridge, switch = surroundings.interface(name)
        yield InterfaceSurvey(name, use, there, up, carrier, mtu, bridge, surroundings.managers(name), name in xdp, switch)


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


def _probes(c: ClusterConfiguration) -> Iterator[ProbeSurvey]:
    ends = [(link.interface, f"control link {link.index}", *c.control_ends(link)) for link in c.control_links]
    ends += [(link.interface, f"fabric link {link.index}", *c.fabric_ends(link)) for link in c.fabric_links]
    for interface, use, own, peer in ends:
        mtu = surroundings.interface(interface)[3]
        version = 6 if ":" in peer else 4
        try:
            large = bool(mtu) and probes.passes(version, interface, own if version == 4 else "", peer, mtu)
            small = large or probes.passes(version, interface, own if version == 4 else "", peer, probes.SMALL)
            yield ProbeSurvey(interface, use, mtu, large, small)
        except OSError as error:
            yield ProbeSurvey(interface, use, mtu, False, False, error.strerror or str(error))


def _duplicates(c: ClusterConfiguration) -> Iterator[DuplicateSurvey]:
    """By a MAC that is not the cluster's. Without a virtual MAC nobody can tell the other node's from a stranger's."""
    ours = {reth.mac.hex(":") for reth in c.reths if reth.mac}
    for reth in c.reths:
        if not reth.mac:
            continue
        addresses = [one.address for one in reth.addresses[:MAX_PROBED]]
        try:
            answered = probes.answerers(reth.child, addresses)
        except OSError:
            continue  # The interface is absent or down, which is a finding of its own.
        for address, mac in sorted(answered):
            if mac not in ours:
                yield DuplicateSurvey(address, reth.child, mac)


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
    sys.exit(main())
