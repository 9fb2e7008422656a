"""The monitors' part of a checked tree, and what is wrong with it as a whole (reference 5.3, 6.1)."""

import ipaddress
import shlex
from collections.abc import Iterator
from decimal import Decimal

from jsrpd.configuration.junos import Node
from jsrpd.model.configuration import (
    ClusterConfiguration,
    GroupConfiguration,
    HardwareMonitoring,
    IpMonitoring,
    IpTarget,
    Notification,
    NpcMonitoring,
    Reth,
    ScriptMonitor,
    Service,
    SpuMonitoring,
)
from jsrpd.model.roles import RG0

MAX_TARGETS = 256
"""Addresses on a node, over all groups (SPEC section 9)."""
MAX_STOP_S = 60
"""Of all services of a group together: less than a service manager waits for the daemon to end (90 s by default)."""


def ip(group: Node) -> IpMonitoring | None:
    """``ip-monitoring`` of a group; None when it watches no address."""
    stated = group.find("ip-monitoring")
    if stated is None:
        return None
    targets = tuple(target for family in ("inet", "inet6") for target in _targets(stated.find("family", family)))
    if not targets:
        return None
    return IpMonitoring(
        global_weight=int(_value(stated, "global-weight", "255")),
        global_threshold=int(_value(stated, "global-threshold", "0")),
        retry_interval_ms=int(Decimal(_value(stated, "retry-interval", "1")) * 1000),
        retry_count=int(_value(stated, "retry-count", "5")),
        targets=targets,
    )


def _targets(family: Node | None) -> Iterator[IpTarget]:
    for text, node in (family.children if family else {}).items():
        if text == "address":
            yield from _targets(node)
            continue
        interfaces = node.find("interface")
        reth, way = next(iter(interfaces.children.items())) if interfaces and interfaces.children else ("", None)
        secondary = _value(way, "secondary-ip-address", "") if way is not None else ""
        yield IpTarget(
            address=str(ipaddress.ip_address(text)),
            weight=int(_value(node, "weight", "255")),
            reth=reth.partition(".")[0],
            secondary_address=str(ipaddress.ip_address(secondary)) if secondary else "",
        )


def scripts(group: Node) -> tuple[ScriptMonitor, ...]:
    """``script-monitor`` of a group, by name."""
    stated = group.find("script-monitor")
    return tuple(
        ScriptMonitor(
            name=name,
            command=tuple(shlex.split(_value(node, "command", ""))),
            interval_s=int(_value(node, "interval", "10")),
            timeout_s=int(_value(node, "timeout", "5")),
            rise=int(_value(node, "rise", "2")),
            fall=int(_value(node, "fall", "3")),
            weight=int(_value(node, "weight", "255")),
        )
        for name, node in (stated.children if stated else {}).items()
    )


def services(group: Node) -> tuple[Service, ...]:
    """``service`` of a group, in the order of the text."""
    stated = group.find("service")
    return tuple(
        Service(
            name=name,
            unit=_value(node, "unit", ""),
            start=tuple(shlex.split(_value(node, "start", ""))),
            stop=tuple(shlex.split(_value(node, "stop", ""))),
            timeout_s=int(_value(node, "timeout", "10")),
        )
        for name, node in (stated.children if stated else {}).items()
    )


def notifications(group: Node) -> tuple[Notification, ...]:
    """``notification`` of a group, by name."""
    stated = group.find("notification")
    return tuple(
        Notification(name, tuple(shlex.split(_value(node, "command", ""))), int(_value(node, "timeout", "30")))
        for name, node in (stated.children if stated else {}).items()
    )


def spu(cluster: Node) -> SpuMonitoring | None:
    """``spu-monitoring``; on by default."""
    stated = cluster.find("spu-monitoring")
    if stated is None:
        return SpuMonitoring()
    if "disable" in stated.children:
        return None
    return SpuMonitoring(
        cpus=tuple(sorted(int(text) for text in _values(stated, "cpu"))),
        latency_limit_ms=int(_value(stated, "latency-limit", "5000")),
        softnet_drop_limit=_limit(stated, "softnet-drop-limit"),
        conntrack_limit_percent=_limit(stated, "conntrack-limit"),
        processes=_values(stated, "process"),
        units=_values(stated, "unit"),
    )


def npc(cluster: Node) -> NpcMonitoring | None:
    """``npc-monitoring``; on by default."""
    stated = cluster.find("npc-monitoring")
    if stated is None:
        return NpcMonitoring()
    if "disable" in stated.children:
        return None
    return NpcMonitoring(
        flap_limit=_limit(stated, "flap-limit"),
        error_limit=_limit(stated, "error-limit"),
        transmit_timeout_limit=_limit(stated, "transmit-timeout-limit"),
    )


def hardware(cluster: Node) -> HardwareMonitoring | None:
    """``hardware-monitoring``; off without a limit."""
    stated = cluster.find("hardware-monitoring")
    if stated is None:
        return None
    disks = stated.find("disk-limit")
    limits = disks.children.items() if disks is not None else ()
    return HardwareMonitoring(
        memory_limit_percent=_limit(stated, "memory-limit"),
        disk_limits_percent=tuple((path, int(next(iter(node.children)))) for path, node in limits),
        temperature_limit_celsius=_limit(stated, "temperature-limit"),
    )


def problems(configuration: ClusterConfiguration) -> Iterator[tuple[str, str]]:
    """(path, message) of what only the whole picture shows."""
    reths = {reth.name: reth for reth in configuration.reths}
    gateways = {unit.address for reth in configuration.reths for unit in (*reth.addresses, *reth.node_local_addresses)}
    for group in configuration.groups:
        path = f"redundancy-group {group.group}"
        if group.group == RG0 and group.ip_monitoring is not None:
            yield f"{path} ip-monitoring", "is not possible for redundancy group 0, which has no interface of its own"
        for script in group.script_monitors:
            if not script.command:
                yield f"{path} script-monitor {script.name}", "needs a command"
        for service in group.services:
            if bool(service.unit) == bool(service.start or service.stop):
                yield f"{path} service {service.name}", "needs a unit, or start and stop commands"
            elif not service.unit and not (service.start and service.stop):
                yield f"{path} service {service.name}", "start and stop go together"
        if group.service_stop_limit_s > MAX_STOP_S:
            message = f"the timeouts add up to {group.service_stop_limit_s} s; a hand-over waits {MAX_STOP_S} s at most"
            yield f"{path} service", message
        for notification in group.notifications:
            if not notification.command:
                yield f"{path} notification {notification.name}", "needs a command"
        for target in group.ip_monitoring.targets if group.ip_monitoring else ():
            for message in _target_problems(group, target, reths.get(target.reth), gateways):
                yield f"{path} ip-monitoring {target.address}", message
    count = sum(len(group.ip_monitoring.targets) for group in configuration.groups if group.ip_monitoring)
    if count > MAX_TARGETS:
        yield "ip-monitoring", f"{count} addresses are more than {MAX_TARGETS}"


def _target_problems(group: GroupConfiguration, target: IpTarget, reth: Reth | None, gateways: set[str]) -> Iterator[str]:
    if target.address in gateways:
        yield "is an address of this cluster"
    if not target.reth:
        return
    if reth is None or reth.group != group.group:
        yield f"{target.reth} is not a reth of this group"
        return
    version = ipaddress.ip_address(target.address).version
    units = [ipaddress.ip_interface(f"{unit.address}/{unit.prefix_length}") for unit in reth.addresses]
    networks = [unit.network for unit in units if unit.version == version]
    if not networks:
        yield f"Family {'inet' if version == 4 else 'inet6'} must be defined on this logical interface"
        return
    if not target.secondary_address:
        return
    if target.secondary_address in gateways:
        yield f"secondary-ip-address {target.secondary_address} is an address of a reth"
    if not any(ipaddress.ip_address(target.secondary_address) in network for network in networks):
        yield f"secondary-ip-address {target.secondary_address} is in no prefix of {target.reth}"


def _value(node: Node, word: str, default: str) -> str:
    found = node.find(word)
    return next(iter(found.children)) if found is not None and found.children else default


def _values(node: Node, word: str) -> tuple[str, ...]:
    found = node.find(word)
    return tuple(found.children) if found is not None else ()


def _limit(node: Node, word: str) -> int | None:
    text = _value(node, word, "")
    return int(text) if text else None
