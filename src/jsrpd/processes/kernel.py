"""The kernel process: keeps the data plane as the plan wants it. It may block; the engine never waits for it.

First of all the gates are attached shut, then links go up. Afterwards every netlink notification, role change and
configuration leads to the same thing: observe, plan, execute. What differs without our doing is put back and said.
"""

import contextlib
import errno
import ipaddress
import json
import os
import selectors
import signal
import socket
import time
from dataclasses import astuple
from pathlib import Path

from jsrpd.data_plane.plan import Add, Address, MacVlan, Operation, Remove, describe, desired, movable_addresses, plan
from jsrpd.data_plane.transit import carried
from jsrpd.kernel import sysctl
from jsrpd.kernel.gate import Gate, LeaseMap
from jsrpd.kernel.nftables import CarriedTable
from jsrpd.kernel.rtnetlink import Link, Observed, RtNetlink, concerns_us
from jsrpd.management import children
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.roles import GroupState

DEBOUNCE_S = 0.004
"""Notifications come in bursts; one look covers them all."""
AUDIT_S = 1.0
"""No notification tells of gates and sysctls that somebody changed: look at least this often."""
OBSERVE_S = 30.0
"""Everything else is told. A look at it all the same, for what nobody thought of."""
REPAIR_LOG_S = 10.0
NICE = -10
"""With groups on both nodes packets wait for this process when one moves."""
NOTIFICATIONS = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x80000
"""Links, IPv4 addresses, routes and rules, IPv6 addresses, routes and rules."""
GROUP_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/ip_nonlocal_bind": "1",
    "net/ipv6/ip_nonlocal_bind": "1",
    "net/ipv4/conf/all/rp_filter": "0",
}
SESSION_SYSCTLS = {"net/netfilter/nf_conntrack_events": "1"}
"""With the kernel's default (2) a connection that began before anybody listened never tells of its end (kernel facts)."""
RETH_SYSCTLS = {
    "net/ipv4/conf/{}/arp_ignore": "1",
    "net/ipv4/conf/{}/arp_announce": "2",
    "net/ipv4/conf/{}/rp_filter": "0",
    "net/ipv4/conf/{}/accept_local": "1",
    "net/ipv4/conf/{}/send_redirects": "0",
    "net/ipv6/conf/{}/accept_dad": "0",
    "net/ipv6/conf/{}/accept_ra": "0",
}
CHILD_SYSCTLS = {
    "net/ipv4/conf/{}/arp_ignore": "1",
    "net/ipv4/conf/{}/arp_announce": "2",
    "net/ipv4/conf/{}/rp_filter": "0",
}
FABRIC_SYSCTLS = {"net/ipv4/conf/{}/rp_filter": "0", "net/ipv4/conf/{}/accept_local": "1"}
LINK_SYSCTLS = {"net/ipv4/neigh/{}/retrans_time_ms": "40", "net/ipv6/neigh/{}/retrans_time_ms": "40"}
"""Of control and fabric links. Whoever starts first asks for the peer's address before the peer has it, and the kernel asks again
after a second only: longer than most dead times, so a node would begin by losing its control link. Whole ticks of every
kernel (100, 250, 300 or 1000 a second): of anything else not what was written would be read back."""
HARMLESS = {errno.EEXIST, errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL}
"""The object is already as wanted, or its interface is not there (yet): the next look decides."""


def run(
    engine: socket.socket,
    parent: socket.socket,
    configuration: ClusterConfiguration,
    lease_map: LeaseMap | None,
    state_directory: Path,
) -> None:
    """Until SIGTERM or the parent is gone. The data plane is left in place, behind its gates."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    keeper = Keeper(engine, parent, configuration, lease_map, state_directory)
    keeper.run()


class Journal:
    """What we own and what we found, on disk, so that ``jsrp release`` can undo it after any crash."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "owned.json"
        self.reths: dict[str, str] = {}
        self.sysctls: dict[str, str] = {}
        self.addresses: set[Address] = set()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path.read_text())
            self.reths, self.sysctls = dict(kept["reths"]), dict(kept["sysctls"])
            self.addresses = {Address(*fields) for fields in kept["addresses"]}

    def note(self, reths: dict[str, str], sysctls: dict[str, str], addresses: set[Address]) -> None:
        """Remember reths (name to child), former values of sysctls, and addresses given to links, before any is touched."""
        fresh_reths, fresh_sysctls, fresh_addresses = self.reths | reths, sysctls | self.sysctls, self.addresses | addresses
        if (fresh_reths, fresh_sysctls, fresh_addresses) == (self.reths, self.sysctls, self.addresses):
            return
        self.reths, self.sysctls, self.addresses = fresh_reths, fresh_sysctls, fresh_addresses
        kept = {"reths": self.reths, "sysctls": self.sysctls, "addresses": sorted(map(astuple, self.addresses))}
        with contextlib.suppress(OSError):
            # A full disk must not keep the gateway from working.
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(kept, indent=1))
            fresh.replace(self._path)

    def remove(self) -> None:
        """Nothing is owned any more."""
        self._path.unlink(missing_ok=True)


class Keeper:
    """Observe, plan, execute; and the gates."""

    def __init__(
        self,
        engine: socket.socket,
        parent: socket.socket,
        configuration: ClusterConfiguration,
        lease_map: LeaseMap | None,
        state_directory: Path,
    ) -> None:
        self.engine, self.parent = engine, parent
        self.configuration = configuration
        self.gate = Gate(lease_map) if lease_map is not None else None
        self.rtnetlink = RtNetlink()
        self.carried_table = CarriedTable()
        self.journal = Journal(state_directory)
        # A successor of a crashed kernel process finds the roles where the engine keeps them.
        self.primary = {g.group for g in configuration.groups if lease_map is not None and _is_primary(lease_map, g.group)}
        self.settled = False
        self.links: dict[str, Link] = {}
        """As last observed."""
        self.hopeless = False
        """The kernel refused every reth that it was asked for, and none is there."""
        self.refused_reths: tuple[str, ...] = ()
        self.reported: set[str] = set()
        self.repaired_at: dict[str, float] = {}
        self.movable = movable_addresses(configuration)
        self.notifications = self._listen()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        listener.bind((0, NOTIFICATIONS))
        return listener

    def run(self) -> None:
        """The loop."""
        self._load_gate()
        self._make_ready()
        selector = selectors.DefaultSelector()
        for source in (self.engine, self.parent, self.notifications, self.carried_table.notifications):
            selector.register(source, selectors.EVENT_READ)
        looked = time.monotonic()
        while True:
            ready = {key.fileobj for key, _ in selector.select(AUDIT_S)}
            if self.parent in ready:
                self._read_parent()
            ours = self.engine in ready and self._heed_roles()
            if self.notifications in ready and not ours:
                time.sleep(DEBOUNCE_S)
            told = self._drain_notifications()
            if ours:
                self.settled = False
            if ours or told or not self.settled or time.monotonic() - looked >= OBSERVE_S:
                self.reconcile()
                looked = time.monotonic()
            elif self.carried_table.notifications in ready:
                self._keep_carried()
            elif not ready:
                self._prepare_interfaces()

    def _make_ready(self) -> None:
        """Until then no engine runs here: one that could become primary without a single reth would serve nobody."""
        self.reconcile()
        while self.hopeless:
            time.sleep(AUDIT_S)
            self._read_parent()
            self.reconcile()
        if self.configuration.session_synchronization.on:
            for name, value in SESSION_SYSCTLS.items():
                _set(name, value)
        self._tell(self.parent, children.DataPlaneReady())

    def _read_parent(self) -> None:
        for data in _messages(self.parent):
            message = children.decode(data)
            if isinstance(message, children.ConfigurationLoaded):
                self.configuration = message.configuration
                # What is no longer wanted is still ours to take away.
                self.movable |= movable_addresses(message.configuration)
                self.settled = False
                self._load_gate()

    def _read_engine(self) -> bool:
        """True when a role changed."""
        before = set(self.primary)
        for data in _messages(self.engine):
            message = children.decode(data)
            if isinstance(message, children.RoleChanged):
                (self.primary.add if message.primary else self.primary.discard)(message.group)
        return self.primary != before

    def _drain_notifications(self) -> bool:
        """True when something of ours may have changed."""
        told = False
        while True:
            try:
                told = concerns_us(self.notifications.recv(1 << 16)) or told
            except BlockingIOError:
                return told
            except OSError:
                # ENOBUFS: notifications were lost; the look that follows sees everything.
                told = True

    # -- observe, plan, execute -----------------------------------------------------------------------------------

    def _heed_roles(self) -> bool:
        """What a change of roles alone calls for, at once: with groups on both nodes packets wait for it (decision 0134). True when
        there was one.

        Whatever is refused because the kernel did not look as it should, the look that follows sees.
        """
        before = frozenset(self.primary)
        if not self._read_engine():
            return False
        reths = frozenset(reth.name for reth in self.configuration.reths)
        was, wanted = (desired(self.configuration, primary) for primary in (before, frozenset(self.primary)))
        self.rtnetlink.execute(plan(wanted, was, reths, self.movable), self.links)
        return True

    def reconcile(self) -> None:
        """Make the kernel look as wanted. Reths first, so that gates and sysctls stand before their links go up."""
        reths = frozenset(self.journal.reths) | {reth.name for reth in self.configuration.reths}
        for only_macvlans in (True, False):
            wanted = desired(self.configuration, frozenset(self.primary))
            observed = self.rtnetlink.observe(reths, self._link_names())
            self.links = observed.links
            operations = plan(wanted, frozenset(observed.things), reths, self.movable)
            if only_macvlans:
                operations = [op for op in operations if isinstance(op.thing, MacVlan)]
            present = [op for op in operations if not _waits_for_interface(op, observed)]
            self._note(present, reths)
            refused = self._execute(present, observed)
            if only_macvlans:
                there = any(isinstance(thing, MacVlan) for thing in observed.things)
                asked = [op for op in present if isinstance(op, Add)]
                self.hopeless = not there and bool(asked) and all(op in refused for op in asked)
                self._tell_refused([op.thing.name for op in refused if isinstance(op, Add) and isinstance(op.thing, MacVlan)])
                self._prepare_interfaces()
        self._keep_carried()
        self.settled = True

    def _keep_carried(self) -> None:
        """The table of what passes untracked is as wanted, whatever somebody did to the packet filter."""
        wanted = carried(self.configuration)
        self.carried_table.drain()
        try:
            if self.carried_table.stands(wanted):
                return
            number = self.carried_table.replace(wanted)
        except OSError as error:
            number = error.errno or errno.EIO
        if number == 0 and self.settled:
            self._repaired("packet filter table jsrpd")
        if number and wanted:
            self._report("add packet filter table jsrpd", number)

    def _tell_refused(self, names: list[str]) -> None:
        """An engine that has been restarted meanwhile learns of them at the next look."""
        refused = tuple(sorted(names))
        if refused or refused != self.refused_reths:
            self._tell(self.engine, children.RethsRefused(refused))
        self.refused_reths = refused

    def _link_names(self) -> frozenset[str]:
        return _path_interfaces(self.configuration) | {reth.child for reth in self.configuration.reths}

    def _execute(self, operations: list[Operation], observed: Observed) -> list[Operation]:
        """Those that the kernel refused for good, not because an interface is not there yet."""
        if not operations:
            return []
        refused = []
        results = self.rtnetlink.execute(operations, observed.links)
        for operation, result in zip(operations, results, strict=True):
            what = describe(operation.thing)
            if result == 0:
                if self.settled and isinstance(operation, Add):
                    self._repaired(what)
            elif result not in HARMLESS:
                refused.append(operation)
                self._report(f"{'add' if isinstance(operation, Add) else 'remove'} {what}", result)
        return refused

    def _report(self, what: str, number: int) -> None:
        if what not in self.reported:
            self.reported.add(what)
            self._tell(self.parent, children.DataPlaneFailed(f"cannot {what}: {os.strerror(number)}"))

    def _note(self, operations: list[Operation], reths: frozenset[str]) -> None:
        c = self.configuration
        of_children = (name.format(reth.child) for reth in c.reths for name in CHILD_SYSCTLS)
        of_fabrics = (name.format(fabric.interface) for fabric in c.fabric_links for name in FABRIC_SYSCTLS)
        of_links = (name.format(interface) for interface in _path_interfaces(c) for name in LINK_SYSCTLS)
        former = {}
        of_sessions = SESSION_SYSCTLS if c.session_synchronization.on else {}
        for name in (*GROUP_SYSCTLS, *of_sessions, *of_children, *of_fabrics, *of_links):
            value = sysctl.read(name)
            if value is not None:
                former[name] = value
        added = (operation.thing for operation in operations if isinstance(operation, Add))
        on_links = {thing for thing in added if isinstance(thing, Address) and thing.interface not in reths}
        self.journal.note({reth.name: reth.child for reth in c.reths}, former, on_links)

    def _prepare_interfaces(self) -> None:
        """Sysctls and gates for what exists now and did not when we last looked."""
        links = self.rtnetlink.links()
        for name, value in wanted_sysctls(self.configuration, frozenset(links)).items():
            # The session process puts its own back: it must know that it was told nothing meanwhile (decision 0122).
            if name not in SESSION_SYSCTLS:
                _set(name, value)
        if self.gate is None:
            return
        for reth in self.configuration.reths:
            for interface, attach in ((reth.name, True), (reth.child, False)):
                link = links.get(interface)
                if link is None or self.gate.in_force(link.index):
                    continue
                if attach:
                    self.gate.attach_reth(link.index, reth.group)
                else:
                    self.gate.attach_child(link.index)
                if self.settled:
                    self._repaired(f"gate of {interface}")
                # The kernel takes tens of milliseconds for each, and there may be hundreds.
                self._heed_roles()

    def _repaired(self, what: str) -> None:
        """Say it, but not again and again while somebody keeps undoing it."""
        now = time.monotonic()
        if now - self.repaired_at.get(what, -REPAIR_LOG_S) >= REPAIR_LOG_S:
            self.repaired_at[what] = now
            self._tell(self.engine, children.Repaired(what))

    def _load_gate(self) -> None:
        if self.gate is None:
            return
        for reth in self.configuration.reths:
            self.gate.add_mac(reth.mac, reth.group)
            for unit in reth.addresses:
                self.gate.add_address(ipaddress.ip_address(unit.address).packed, reth.group)

    def _tell(self, channel: socket.socket, message: children.Message) -> None:
        with contextlib.suppress(OSError):
            channel.send(children.encode(message), socket.MSG_DONTWAIT)


def _set(name: str, value: str) -> None:
    if sysctl.read(name) != value:
        sysctl.write(name, value)


def wanted_sysctls(configuration: ClusterConfiguration, present: frozenset[str]) -> dict[str, str]:
    """Value by path of every sysctl this node needs, of those interfaces that are ``present``."""
    settings = dict(GROUP_SYSCTLS)
    if configuration.session_synchronization.on:
        settings |= SESSION_SYSCTLS
    for reth in configuration.reths:
        if reth.name in present:
            settings |= {name.format(reth.name): value for name, value in RETH_SYSCTLS.items()}
        if reth.child in present:
            settings |= {name.format(reth.child): value for name, value in CHILD_SYSCTLS.items()}
    for fabric in configuration.fabric_links:
        if fabric.interface in present:
            settings |= {name.format(fabric.interface): value for name, value in FABRIC_SYSCTLS.items()}
    for interface in _path_interfaces(configuration) & present:
        settings |= {name.format(interface): value for name, value in LINK_SYSCTLS.items()}
    return settings


def _path_interfaces(configuration: ClusterConfiguration) -> frozenset[str]:
    links = (configuration.control_links, configuration.fabric_links)
    return frozenset(link.interface for some in links for link in some)


def _is_primary(lease_map: LeaseMap, group: int) -> bool:
    return lease_map.read(group).state == GroupState.PRIMARY


def _waits_for_interface(operation: Operation, observed: Observed) -> bool:
    """Interfaces that are not there are taken up when they appear; nothing to report until then."""
    if isinstance(operation, Remove):
        return False
    thing = operation.thing
    interface = thing.parent if isinstance(thing, MacVlan) else getattr(thing, "interface", "")
    return bool(interface) and interface not in observed.links


def _messages(channel: socket.socket) -> list[bytes]:
    """All datagrams waiting; the process ends when the other side is gone for good."""
    found: list[bytes] = []
    while True:
        try:
            data = channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        if not data:
            os._exit(0)
        found.append(data)
