"""keepalived's VRRP configuration of one or two routers, as ours. Pure: texts in, text and remarks out.

Instances that move together, because a sync group or an interface joins them, become one redundancy group; an interface
that carries virtual addresses becomes a reth. A weight that is taken from a priority there is a share of 255 here: as
much as it has of the difference between the two routers. Every directive is either translated or a remark with its
line and the reason.
"""

import ipaddress
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from jsrpd.configuration.candidate import Candidate
from jsrpd.configuration.imported import finished
from jsrpd.configuration.junos import root
from jsrpd.configuration.keepalived_syntax import Directive, Include, KeepalivedProblem, Reader
from jsrpd.configuration.places import WrongWord, statements
from jsrpd.model.roles import FULL_WEIGHT

ELSEWHERE = {
    "authentication": "the nodes speak encrypted, with the cluster key: jsrp request chassis cluster key generate",
    "virtual_router_id": "the cluster has one number: jsrp set chassis cluster cluster-id N node 0",
    "state": "which node begins follows from the priorities",
    "use_vmac": "a reth has a virtual MAC of its own",
    "vmac_xmit_base": "a reth has a virtual MAC of its own",
    "accept": "a gateway address always answers",
    "version": "VRRP is not spoken",
    "vrrp_version": "VRRP is not spoken",
    "mcast_src_ip": "heartbeats go over the control links",
    "smtp_alert": "the system log tells of every change",
    "virtual_server": "load balancing is not part of the cluster",
    "virtual_server_group": "load balancing is not part of the cluster",
    "lvs_sync_daemon": "load balancing is not part of the cluster",
    "notification_email": "the system log tells of every change",
    "track_file": "write it as script-monitor NAME { command …; }",
    "vrrp_track_file": "write it as script-monitor NAME { command …; }",
    "notify_master": "write it as service NAME { start …; stop …; }, or notification",
    "notify_backup": "write it as service NAME { start …; stop …; }, or notification",
    "notify_fault": "write it as notification NAME { command …; }",
    "notify_stop": "write it as service NAME { start …; stop …; }",
    "static_ipaddress": "addresses that do not move are the operating system's",
    "static_routes": "routes that do not move are the operating system's",
    "static_rules": "rules that do not move are the operating system's",
    "virtual_rules": "rules are the operating system's; a reth brings the rules it needs",
    "garp_master_delay": "announcements follow at once",
    "track_bfd": "heartbeats watch the other node; watch a router with ip-monitoring",
    "bfd_instance": "heartbeats watch the other node; watch a router with ip-monitoring",
    "global_tracking": "a weight always counts for the whole redundancy group",
    "sync_group_tracking_weight": "a weight always counts for the whole redundancy group",
    "script_user": "scripts run as the daemon does",
    "user": "scripts run as the daemon does",
    "enable_script_security": "scripts run as the daemon does",
    "native_ipv6": "VRRP is not spoken",
    "unicast_ttl": "VRRP is not spoken",
    "strict_mode": "VRRP is not spoken",
    "quorum": "one process is enough",
    "param_match": "the process is found by its name",
    "full_command": "the process is found by its name",
    "linkbeat_use_polling": "the kernel tells of carriers",
    "debug": "the journal holds everything",
}
TRACKED = {
    "track_interface": "interfaces",
    "track_script": "scripts",
    "track_process": "processes",
}
MAX_PRIORITY = 254
DEFAULT_PRIORITY, LOWER_BY, ADVERTISEMENT_S = 100, 50, 1.0
UNICAST = ("unicast_src_ip", "unicast_peer")


@dataclass
class Instance:
    """One ``vrrp_instance`` of one router."""

    name: str
    at: Directive
    interface: str = ""
    router_id: str = ""
    priority: int = DEFAULT_PRIORITY
    preempt: bool = True
    preempt_delay: float = 0.0
    advertisement_s: float = ADVERTISEMENT_S
    announcements: str = ""
    tracks_own: bool = True
    addresses: list[tuple[str, str]] = field(default_factory=list)
    """(address with prefix length, interface)."""
    interfaces: list[tuple[str, int]] = field(default_factory=list)
    """(name, weight; 0: the instance fails with it)."""
    scripts: list[tuple[str, int | None]] = field(default_factory=list)
    processes: list[tuple[str, int | None]] = field(default_factory=list)
    routes: list[list[str]] = field(default_factory=list)
    notify: list[str] = field(default_factory=list)
    source: str = ""
    peers: list[str] = field(default_factory=list)


@dataclass
class Router:
    """One of the two."""

    instances: dict[str, Instance] = field(default_factory=dict)
    sync_groups: dict[str, list[str]] = field(default_factory=dict)
    scripts: dict[str, Directive] = field(default_factory=dict)
    processes: dict[str, Directive] = field(default_factory=dict)
    notify: dict[str, list[str]] = field(default_factory=dict)
    tracked: dict[str, Instance] = field(default_factory=dict)
    """What a sync group watches, as if it were an instance."""


def imported(files: list[tuple[str, str]], include: Include = lambda _pattern, _beside: []) -> tuple[str, list[str]]:
    """``files``: (name, text), of both routers, or one file. ValueError when one cannot be read at all."""
    if not 1 <= len(files) <= 2:
        raise KeepalivedProblem("one file, or the two of the two routers")
    work = _Import(include)
    return work.run(files)


@dataclass
class _Import:
    include: Include
    remarks: list[str] = field(default_factory=list)
    candidate: Candidate = field(default_factory=lambda: Candidate(root()))

    def run(self, files: list[tuple[str, str]]) -> tuple[str, list[str]]:
        """Read, join the two, write."""
        routers = [self._router(directives) for directives in self._read(files)]
        if not any(router.instances for router in routers):
            raise KeepalivedProblem(f"{files[0][0]}: no vrrp_instance in it")
        if len(routers) == 1:
            self.remarks.append("one file only: the other router is taken to be the same with lower priorities")
            routers.append(_mirrored(routers[0]))
        pairs = self._pairs(routers[0], routers[1])
        if _sum(one for one, _ in pairs) < _sum(other for _, other in pairs):
            self.remarks.append("the router with the higher priorities becomes node0: it is the one of the second file")
            routers.reverse()
            pairs = [(other, one) for one, other in pairs]
        self._write(routers, pairs)
        return finished(self.candidate.tree, self.remarks)

    def _read(self, files: list[tuple[str, str]]) -> list[list[Directive]]:
        """The directives of each router; one file with two names in its conditions is the files of two."""
        if len(files) == 2:
            return [self._conditions_apart(*file) for file in files]
        probe = Reader(self.include)
        found = probe.read(files[0][1], files[0][0])
        names = probe.names
        if not names:
            self._reading(probe)
            return [found]
        if len(names) == 1:
            names = [names[0], f"not {names[0]}"]
        if len(names) > 2:
            self.remarks.append(f"conditions name {len(names)} nodes; {names[0]} and {names[1]} are taken")
        readers = [Reader(self.include, node) for node in names[:2]]
        directives = [reader.read(files[0][1], files[0][0]) for reader in readers]
        for reader in readers:
            self._reading(reader)
        return directives

    def _reading(self, reader: Reader) -> None:
        """What the text refers to and is not there."""
        for file, line, pattern in reader.missing:
            self.remarks.append(f"{file}:{line}: include {pattern}: there is no such file; nothing of it is taken")
        for name in reader.undefined:
            self.remarks.append(f"${name} is not defined; it is taken as it stands")

    def _conditions_apart(self, name: str, text: str) -> list[Directive]:
        reader = Reader(self.include)
        found = reader.read(text, name)
        self._reading(reader)
        if reader.names:
            self.remarks.append(f"{name}: lines for {', '.join(reader.names)} are left out: import a file with conditions alone")
        return found

    def _remark(self, at: Directive, reason: str, words: list[str] | None = None) -> None:
        self.remarks.append(f"{at.file}:{at.line}: {' '.join(words or at.words)}: {reason}")

    def _elsewhere(self, at: Directive) -> None:
        words = at.words[:1] if at.block is not None and at.name not in ("virtual_server",) else at.words
        self._remark(at, ELSEWHERE.get(at.name, "no counterpart here") + "; not taken", words)

    # -- one router -----------------------------------------------------------------------------------------------------

    def _router(self, directives: list[Directive]) -> Router:
        router = Router()
        for one in directives:
            name = one.words[1] if len(one.words) > 1 else ""
            match one.name:
                case "vrrp_instance":
                    if name in router.instances:
                        self._remark(one, "given twice; the last one is taken", one.words[:2])
                    router.instances[name] = self._instance(name, one)
                case "vrrp_sync_group":
                    self._sync_group(router, name, one)
                case "vrrp_script":
                    router.scripts[name] = one
                case "vrrp_track_process" | "track_process":
                    router.processes[name] = one
                case "global_defs":
                    for inner in one.inside:
                        self._elsewhere(inner)
                case _:
                    self._elsewhere(one)
        self._watched_by_groups(router)
        self._unwatched(router)
        return router

    def _watched_by_groups(self, router: Router) -> None:
        """What a sync group watches, its first member watches here: they are one redundancy group."""
        for name, watched in router.tracked.items():
            first = next((router.instances[member] for member in router.sync_groups[name] if member in router.instances), None)
            if first is not None:
                for field_ in TRACKED.values():
                    getattr(first, field_).extend(getattr(watched, field_))

    def _unwatched(self, router: Router) -> None:
        scripts = {name for one in router.instances.values() for name, _ in one.scripts}
        processes = {name for one in router.instances.values() for name, _ in one.processes}
        unused = [at for name, at in router.scripts.items() if name not in scripts]
        for at in [*unused, *(at for name, at in router.processes.items() if name not in processes)]:
            self._remark(at, "nothing tracks it; not taken", at.words[:2])

    def _sync_group(self, router: Router, name: str, at: Directive) -> None:
        for one in at.inside:
            if one.name == "group":
                router.sync_groups[name] = [*one.words[1:], *(word for inner in one.inside for word in inner.words)]
            elif one.name == "notify":
                router.notify[name] = one.words[1:]
            elif one.name in TRACKED:
                self._tracked(router.tracked.setdefault(name, Instance(name, at)), one)
            else:
                self._elsewhere(one)
        router.sync_groups.setdefault(name, [])

    def _tracked(self, into: Instance, at: Directive) -> None:
        match at.name:
            case "track_interface":
                into.interfaces += [(self._device(one, one.name), self._weight(one) or 0) for one in at.inside]
            case "track_script":
                into.scripts += [(one.name, self._weight(one)) for one in at.inside]
            case _:
                into.processes += [(one.name, self._weight(one)) for one in at.inside]

    def _device(self, at: Directive, name: str) -> str:
        """Without the label of an alias, which is no interface."""
        device, _, label = name.partition(":")
        if label:
            self._remark(at, f"{name} is an alias; {device} is taken")
        return device

    def _instance(self, name: str, at: Directive) -> Instance:
        made = Instance(name, at)
        for one in at.inside:
            value = one.words[1] if len(one.words) > 1 else ""
            match one.name:
                case "interface":
                    made.interface = self._device(one, value)
                case "virtual_router_id":
                    made.router_id = value
                    self._elsewhere(one)
                case "priority":
                    made.priority = self._priority(one, value)
                case "advert_int":
                    made.advertisement_s = self._seconds(one, value)
                case "nopreempt":
                    made.preempt = False
                case "preempt":
                    made.preempt = True
                case "preempt_delay":
                    made.preempt_delay = self._seconds(one, value)
                case "garp_master_repeat":
                    made.announcements = value
                case "dont_track_primary":
                    made.tracks_own = False
                case "virtual_ipaddress" | "virtual_ipaddress_excluded":
                    made.addresses += list(self._addresses(one))
                case "track_interface" | "track_script" | "track_process":
                    self._tracked(made, one)
                case "virtual_routes":
                    made.routes += [inner.words for inner in one.inside]
                case "notify":
                    made.notify = one.words[1:]
                case "unicast_src_ip":
                    made.source = value
                case "unicast_peer":
                    made.peers = [inner.name for inner in one.inside]
                case _:
                    self._elsewhere(one)
        if made.preempt_delay and not made.preempt:
            self._remark(at, f"preempt_delay {made.preempt_delay:g}: without preemption there is no delay; not taken", at.words[:2])
        # An address without a device is on the interface of the instance, wherever in the block that was said.
        made.addresses = [(address, interface or made.interface) for address, interface in made.addresses]
        return made

    def _number(self, at: Directive, text: str, default: int) -> int:
        if text.lstrip("+-").isdigit():
            return int(text)
        self._remark(at, f"{text or 'nothing'} is no number; {default} is taken")
        return default

    def _priority(self, at: Directive, text: str) -> int:
        wanted = self._number(at, text, DEFAULT_PRIORITY)
        taken = min(max(wanted, 1), MAX_PRIORITY)
        if taken != wanted:
            self._remark(at, f"a priority is 1..{MAX_PRIORITY}; {taken} is taken")
        return taken

    def _seconds(self, at: Directive, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            self._remark(at, f"{text or 'nothing'} is no time; {ADVERTISEMENT_S:g} s is taken")
            return ADVERTISEMENT_S

    def _weight(self, at: Directive) -> int | None:
        found = at.words.index("weight") if "weight" in at.words[:-1] else 0
        for n, word in enumerate(at.words[1:], 1):
            if not found or n not in (found, found + 1):
                self._remark(at, f"{word} has no counterpart")
        return self._number(at, at.words[found + 1], 0) if found else None

    def _addresses(self, block: Directive) -> Iterator[tuple[str, str]]:
        for one in block.inside:
            text = one.name
            try:
                interface = ipaddress.ip_interface(text)
            except ValueError:
                self._remark(one, "no address; not taken")
                continue
            text = f"{interface.ip}/{interface.network.prefixlen}"
            if "/" not in one.name:
                self._remark(one, f"without a prefix length it is {text}; a gateway address has the one of its segment")
            device = one.words[one.words.index("dev") + 1] if "dev" in one.words[:-1] else ""
            rest = [w for n, w in enumerate(one.words[1:], 1) if w != "dev" and one.words[n - 1] != "dev"]
            if rest:
                self._remark(one, f"{' '.join(rest)} has no counterpart; the address is taken")
            yield text, self._device(one, device)

    # -- the two together -----------------------------------------------------------------------------------------------

    def _pairs(self, one: Router, other: Router) -> list[tuple[Instance, Instance]]:
        """Instances of the same name, else of the same virtual router id."""
        pairs = list[tuple[Instance, Instance]]()
        by_id = {instance.router_id: instance for instance in other.instances.values() if instance.router_id}
        for name, instance in one.instances.items():
            match = other.instances.get(name) or by_id.get(instance.router_id)
            if match is None:
                self._remark(
                    instance.at, "only one of the two routers has it; the other is taken to be the same", instance.at.words[:2]
                )
                match = instance
            pairs.append((instance, match))
        matched = {id(match) for _, match in pairs}
        for instance in other.instances.values():
            if id(instance) not in matched:
                self._remark(
                    instance.at, "only one of the two routers has it; the other is taken to be the same", instance.at.words[:2]
                )
                pairs.append((instance, instance))
        return pairs

    def _groups(self, routers: list[Router], pairs: list[tuple[Instance, Instance]]) -> list[list[tuple[Instance, Instance]]]:
        """Joined by a sync group or an interface, in order."""
        groups = [[pair] for pair in pairs]
        wanted = [set(names) for router in routers for names in router.sync_groups.values()]
        by_interface = dict[str, set[str]]()
        for one, _ in pairs:
            for interface in {device for _, device in one.addresses}:
                by_interface.setdefault(interface, set()).add(one.name)
        for interface, names in by_interface.items():
            if len(names) > 1 and not any(names <= group for group in wanted):
                self.remarks.append(
                    f"{interface} carries {', '.join(sorted(names))}: an interface belongs to one group, so they move together"
                )
        for names in [*wanted, *by_interface.values()]:
            joined = [group for group in groups if any(one.name in names for one, _ in group)]
            if len(joined) > 1:
                groups = [group for group in groups if group not in joined]
                groups.append([pair for group in joined for pair in group])
        order = {one.name: n for n, (one, _) in enumerate(pairs)}
        return sorted(groups, key=lambda group: order[group[0][0].name])

    # -- writing --------------------------------------------------------------------------------------------------------

    def _put(self, *words: str, at: Directive | None = None) -> bool:
        try:
            statements(list(words))
        except WrongWord as error:
            if at is not None:
                self._remark(at, f"{error}; not taken", list(words))
            return False
        self.candidate.put([], list(words))
        return True

    def _cluster(self, *words: str, at: Directive | None = None) -> bool:
        return self._put("chassis", "cluster", *words, at=at)

    def _write(self, routers: list[Router], pairs: list[tuple[Instance, Instance]]) -> None:
        interval = round(min(one.advertisement_s for pair in pairs for one in pair) * 1000)
        self._cluster("heartbeat-interval", str(min(max(interval, 5), 2000)))
        self._cluster("heartbeat-threshold", "3")
        if interval > 100:
            self.remarks.append(f"advert_int: heartbeat-interval {interval} ms is taken as it is; 100 is the default here")
        reths = self._interfaces(pairs)
        self._cluster("reth-count", str(len(reths)))
        self._cluster("redundancy-group", "0", "node", "0", "priority", "200")
        self._cluster("redundancy-group", "0", "node", "1", "priority", "100")
        for number, group in enumerate(self._groups(routers, pairs), 1):
            self._group(str(number), group, routers, reths)
        self._control_link(pairs, {interface for both in reths for interface in both})
        if self.candidate.tree.find("groups") is not None:
            self._put("apply-groups", "${node}")

    def _interfaces(self, pairs: list[tuple[Instance, Instance]]) -> dict[tuple[str, str], str]:
        """The reth of each interface that carries addresses, as (on node 0, on node 1)."""
        reths = dict[tuple[str, str], str]()
        for one, other in pairs:
            there = dict(other.addresses)
            for address, interface in one.addresses:
                both = (interface, there.get(address, other.interface if interface == one.interface else interface))
                reth = reths.setdefault(both, f"reth{len(reths)}")
                family = "inet6" if ":" in address else "inet"
                self._put("interfaces", reth, "unit", "0", "family", family, "address", address, at=one.at)
            missing = [address for address, _ in other.addresses if address not in dict(one.addresses)]
            for address in missing:
                self._remark(other.at, f"{address} is on one router only; not taken", other.at.words[:2])
        for (here, there_), reth in reths.items():
            scopes: tuple[tuple[str, ...], ...] = ((),) if here == there_ else (("groups", "node0"), ("groups", "node1"))
            for scope, name in zip(scopes, (here, there_), strict=False):
                self._put(*scope, "interfaces", name, "gigether-options", "redundant-parent", reth)
        return reths

    def _group(
        self, number: str, group: list[tuple[Instance, Instance]], routers: list[Router], reths: dict[tuple[str, str], str]
    ) -> None:
        at = group[0][0].at
        words = ("redundancy-group", number)
        priorities = [max(pair[node].priority for pair in group) for node in (0, 1)]
        if len({pair[0].priority for pair in group}) > 1 or len({pair[1].priority for pair in group}) > 1:
            self._remark(
                at, f"the instances of redundancy group {number} have different priorities; the highest is taken", at.words[:2]
            )
        for node in (0, 1):
            self._cluster(*words, "node", str(node), "priority", str(priorities[node]))
        if all(one.preempt and other.preempt for one, other in group):
            delay = max(one.preempt_delay for pair in group for one in pair)
            self._cluster(*words, "preempt", *(("delay", str(max(1, round(delay)))) if delay else ()))
        for one, _ in group:
            if one.announcements:
                self._cluster(*words, "gratuitous-arp-count", one.announcements, at=one.at)
        mine = {interface for one, _ in group for _, interface in one.addresses}
        for both, reth in reths.items():
            if both[0] in mine:
                self._put("interfaces", reth, "redundant-ether-options", "redundancy-group", number)
        difference = abs(priorities[0] - priorities[1])
        for node in (0, 1):
            for pair in group:
                self._monitors(number, pair[node], node, difference, routers[node], same=_same_monitors(*pair))
        self._actions(number, group, routers)

    def _monitors(self, number: str, one: Instance, node: int, difference: int, router: Router, same: bool) -> None:
        """Of one router; for both at once where they are the same."""
        if same and node == 1:
            return
        scope = () if same else ("groups", f"node{node}")
        group = (*scope, "chassis", "cluster", "redundancy-group", number)
        watched = [(one.interface, 0)] if one.tracks_own and one.interface else []
        watched += [(device, 0) for _, device in one.addresses if device != one.interface and one.tracks_own]
        for interface, weight in dict([*watched, *one.interfaces]).items():
            self._put(*scope, "interfaces", interface, at=one.at)
            if self.candidate.tree.find(*scope, "interfaces", interface) is None:
                continue
            self._put(*group, "interface-monitor", interface, "weight", str(_share(weight, difference)), at=one.at)
        for name, own in one.scripts:
            self._script(group, name, own, difference, router, one.at)
        for name, own in one.processes:
            self._process(group, name, own, difference, router, one.at)

    def _script(self, group: tuple[str, ...], name: str, own: int | None, difference: int, router: Router, at: Directive) -> None:
        stated = router.scripts.get(name)
        if stated is None:
            self._remark(at, f"there is no vrrp_script {name}; not taken", ["track_script", name])
            return
        said = {one.name: one.words[1:] for one in stated.inside if len(one.words) > 1}
        for one in stated.inside:
            if one.name not in ("script", "interval", "timeout", "rise", "fall", "weight"):
                self._elsewhere(one)
        # Quoted, the whole command is one word.
        command = " ".join(said.get("script", []))
        safe = name.replace("_", "-")
        if not self._put(*group, "script-monitor", safe, "command", command, at=stated):
            return
        interval = said.get("interval", ["1"])[0]
        timeout = said.get("timeout", [interval])[0]
        settings = {"interval": self._whole(stated, "interval", interval), "timeout": self._whole(stated, "timeout", timeout)}
        settings |= {word: said.get(word, ["1"])[0] for word in ("rise", "fall")}
        weight = own if own is not None else self._number(stated, said.get("weight", ["0"])[0], 0)
        settings["weight"] = str(_share(weight, difference))
        for word, value in settings.items():
            self._put(*group, "script-monitor", safe, word, value, at=stated)

    def _whole(self, at: Directive, name: str, text: str) -> str:
        """Seconds without a fraction."""
        try:
            whole = str(max(1, math.ceil(float(text))))
        except (ValueError, OverflowError):
            return text
        if "." in text and whole != text:
            self._remark(at, f"{name} {text} becomes {whole}: there are whole seconds only", at.words[:2])
        return whole

    def _process(self, group: tuple[str, ...], name: str, own: int | None, difference: int, router: Router, at: Directive) -> None:
        stated = router.processes.get(name)
        if stated is None:
            self._remark(at, f"there is no vrrp_track_process {name}; not taken", ["track_process", name])
            return
        said = {one.name: one.words[1:] for one in stated.inside if len(one.words) > 1}
        for one in stated.inside:
            if one.name not in ("process", "weight"):
                self._elsewhere(one)
        process = said.get("process", [name])[0].rpartition("/")[2]
        safe = name.replace("_", "-")
        weight = own if own is not None else self._number(stated, said.get("weight", ["0"])[0], 0)
        if self._put(*group, "script-monitor", safe, "command", f"/usr/bin/pgrep -x {process}", at=stated):
            self._put(*group, "script-monitor", safe, "interval", "1")
            self._put(*group, "script-monitor", safe, "weight", str(_share(weight, difference)))

    def _actions(self, number: str, group: list[tuple[Instance, Instance]], routers: list[Router]) -> None:
        """Routes and scripts that follow the role."""
        for one, _ in group:
            for route in one.routes:
                via = route[route.index("via") + 1] if "via" in route[:-1] else ""
                prefix = {"default": "0.0.0.0/0"}.get(route[0], route[0])
                self._cluster("redundancy-group", number, "route", prefix, "next-hop", via or "none", at=one.at)
            if one.notify:
                self._notify(number, one.name, one.notify, one.at)
        names = {one.name for one, _ in group}
        for sync, members in routers[0].sync_groups.items():
            if names & set(members) and sync in routers[0].notify:
                self._notify(number, sync, routers[0].notify[sync], group[0][0].at)

    def _notify(self, number: str, name: str, command: list[str], at: Directive) -> None:
        safe = name.replace("_", "-")
        if self._cluster("redundancy-group", number, "notification", safe, "command", " ".join(command), at=at):
            self._remark(at, "the command is given other arguments here; see the manual", ["notify", *command])

    def _control_link(self, pairs: list[tuple[Instance, Instance]], children: set[str]) -> None:
        """Where the advertisements went, unless it is a segment of a reth: a control link has an interface to itself."""
        for one, other in pairs:
            if not one.interface or {one.interface, other.interface} & children:
                continue
            for node, (own, peer) in enumerate(((one, other), (other, one))):
                scope = () if one.interface == other.interface and not _address(own, peer) else ("groups", f"node{node}")
                link = (*scope, "chassis", "cluster", "control-link", "0")
                self._put(*link, "interface", own.interface)
                here, there = _address(own, peer), _address(peer, own)
                if here and there:
                    self._put(*link, "local-address", here, at=own.at)
                    self._put(*link, "peer-address", there, at=own.at)
            return
        self.remarks.append(
            "to be mended: the advertisements go over the segments themselves; a control link is wanted besides: "
            "set chassis cluster control-link 0 interface NAME"
        )
        for one, other in pairs:
            if one.source or one.peers or other.peers:
                self._remark(
                    one.at, "unicast peers are on a segment of a reth, where hello frames go by themselves", one.at.words[:2]
                )


def _address(one: Instance, other: Instance) -> str:
    """Where an instance speaks from, by its own word or as the only peer of the other."""
    return one.source or (other.peers[0] if len(other.peers) == 1 and one.at is not other.at else "")


def _sum(instances: Iterator[Instance]) -> int:
    return sum(instance.priority for instance in instances)


def _share(weight: int, difference: int) -> int:
    """0 there: the instance fails, so all of it here."""
    if weight == 0:
        return FULL_WEIGHT
    return min(FULL_WEIGHT, -(-FULL_WEIGHT * abs(weight) // (difference + 1)))


def _same_monitors(one: Instance, other: Instance) -> bool:
    return (one.interface, one.interfaces, one.scripts, one.processes, one.tracks_own, [d for _, d in one.addresses]) == (
        other.interface,
        other.interfaces,
        other.scripts,
        other.processes,
        other.tracks_own,
        [d for _, d in other.addresses],
    )


def _mirrored(router: Router) -> Router:
    import copy

    made = copy.deepcopy(router)
    for instance in made.instances.values():
        instance.priority = max(1, instance.priority - LOWER_BY)
    return made
