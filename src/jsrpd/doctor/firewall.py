"""What a packet filter does to the cluster's own packets, and what two filters have in common. Pure.

The input is what ``nft -j list ruleset`` prints (libnftables-json(5)). A rule is read as far as it can be; what cannot
is neither true nor false, and the answer then says that it is not certain.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsrpd.model.survey import BlockedTraffic

Tree = Mapping[str, Any]
ANY = None
"""A value of a packet that is not known beforehand."""
HELLO_ETHER_TYPE = 0x88B5
INCOMING = ("ingress", "prerouting", "input")
OUTGOING = ("output", "postrouting", "egress")
MAX_DEPTH = 16
"""The kernel allows as many jumps (NFT_JUMP_STACK_SIZE)."""
DEVICES = re.compile(r"hook (?:ingress|egress) devices? (?:= )?(.*?) priority")
VOLATILE = frozenset({"handle", "index", "counter", "quota", "packets", "bytes", "used"})
FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets of ours on an interface. ``family`` 0: a frame that is no IP packet; ports and addresses None: any."""

    name: str
    interface: str
    incoming: bool
    family: int = 6
    protocol: str = "udp"
    source: str | None = ANY
    destination: str | None = ANY
    source_port: int | None = ANY
    destination_port: int | None = ANY
    answers: bool = False
    """Of a connection that the other end or we have begun: never the first packet."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule``: which drops, empty for the policy of a chain."""

    drops: bool
    certain: bool = True
    rule: str = ""


class Ruleset:
    """A parsed ruleset. ``chains``: what ``nft list chains`` prints, for the devices of chains, which older releases leave
    out of the other. ValueError for what is not one."""

    def __init__(self, text: str, chains: str = "") -> None:
        try:
            listed = json.loads(text)["nftables"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("not a ruleset of nftables") from error
        if not isinstance(listed, list):
            raise ValueError("not a ruleset of nftables")
        self.objects: list[tuple[str, Tree]] = [
            (kind, value) for one in listed if isinstance(one, dict) for kind, value in one.items() if isinstance(value, dict)
        ]
        found = {_place(chain, "name"): chain for kind, chain in self.objects if kind == "chain"}
        devices = _devices(chains)
        self.chains = {at: {"dev": devices[at], **chain} if at in devices else chain for at, chain in found.items()}
        self.sets = {_place(one, "name"): one for kind, one in self.objects if kind in ("set", "map")}
        self.rules: dict[tuple[str, str, str], list[Tree]] = {}
        for kind, rule in self.objects:
            if kind == "rule":
                self.rules.setdefault(_place(rule, "chain"), []).append(rule)

    def flowtables(self) -> dict[str, tuple[str, ...]]:
        """Devices by flowtable."""
        return {
            f"{one['family']} {one['table']} flowtable {one['name']}": tuple(_listed(one.get("dev", [])))
            for kind, one in self.objects
            if kind == "flowtable"
        }

    def digests(self) -> dict[str, str]:
        """One for each chain, set, map and flowtable, of what does not change by itself."""
        parts: dict[str, list[Any]] = {}
        for kind, one in self.objects:
            if kind == "metainfo":
                continue
            what, name = ("chain", one["chain"]) if kind == "rule" else (kind, one.get("name", ""))
            key = one["name"] if kind == "table" else f"{one.get('table', '')} {what} {name}"
            parts.setdefault(f"{one.get('family', '')} {key}", []).append(_lasting(one))
        return {name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16] for name, part in parts.items()}

    def blocked(self, traffic: Sequence[Traffic]) -> Iterator[BlockedTraffic]:
        """What of it does not get through."""
        for packets in traffic:
            for hook in INCOMING if packets.incoming else OUTGOING:
                for place, chain in self.chains.items():
                    if chain.get("hook") == hook and _sees(chain, packets) and chain.get("type") != "nat":
                        verdict = self._judge(place, packets)
                        if verdict.drops:
                            rule = verdict.rule or f"policy {chain.get('policy', 'drop')}"
                            certain = verdict.certain and (packets.family != 0 or "dev" in chain)
                            yield BlockedTraffic(packets.name, " ".join(place), rule, certain)

    def _judge(self, place: tuple[str, str, str], packets: Traffic) -> Verdict:
        """The most favourable of what a packet may be to connection tracking: both ends speak, so both are a beginning."""
        found = Verdict(False)
        for state in ("established",) if packets.answers else ("new", "established"):
            packet = _Packet(self, packets, state)
            found = packet.through(place)
            if not found.drops:
                return found
        return found


def _place(one: Tree, name: str) -> tuple[str, str, str]:
    return str(one.get("family")), str(one.get("table")), str(one.get(name))


def _sees(chain: Tree, packets: Traffic) -> bool:
    """Whether packets come past a base chain at all."""
    if chain["hook"] in ("ingress", "egress"):
        return "dev" not in chain or packets.interface in _listed(chain["dev"])
    return packets.family != 0 and chain["family"] in FAMILIES[packets.family]


def _devices(text: str) -> dict[tuple[str, str, str], list[str]]:
    """Devices of the base chains that have some, from what ``nft list chains`` prints."""
    found: dict[tuple[str, str, str], list[str]] = {}
    table, chain = ("", ""), ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["table"] and len(words) > 2:
            table = words[1], words[2]
        elif words[:1] == ["chain"] and len(words) > 1:
            chain = words[1]
        elif on := DEVICES.search(line):
            found[*table, chain] = [name for name in on[1].replace('"', " ").replace(",", " ").split() if name not in "{}"]
    return found


def _listed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _lasting(value: Any) -> Any:
    """Without counters, handles, and the elements of sets that fill and empty by themselves."""
    if isinstance(value, dict):
        changing = "timeout" in value or {"dynamic", "timeout"} & set(_listed(value.get("flags", [])))
        left_out = VOLATILE | ({"elem", "expires"} if changing else set())
        return {key: _lasting(part) for key, part in value.items() if key not in left_out}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


class _Packet:
    """One kind of packet on its way through the chains."""

    def __init__(self, ruleset: Ruleset, packets: Traffic, state: str) -> None:
        self.ruleset, self.packets, self.state = ruleset, packets, state
        self.maybe: Verdict | None = None
        """Of a rule that could not be read to the end."""

    def through(self, place: tuple[str, str, str]) -> Verdict:
        """From a base chain to its end."""
        policy = self.ruleset.chains[place].get("policy", "accept")
        found = self._chain(place, 0) or Verdict(policy == "drop")
        doubt = self.maybe
        if doubt is None or doubt.drops == found.drops:
            return found
        # Accepted or dropped by a rule that was not understood: the drop is what one would want to know of.
        return Verdict(True, False, doubt.rule if doubt.drops else found.rule)

    def _chain(self, place: tuple[str, str, str], depth: int) -> Verdict | None:
        """None: the packet came to the end of it."""
        for rule in self.ruleset.rules.get(place, []) if depth < MAX_DEPTH else []:
            found, leaves = self._rule(rule, place, depth)
            if found is not None:
                return found
            if leaves:
                return None
        return None

    def _rule(self, rule: Tree, place: tuple[str, str, str], depth: int) -> tuple[Verdict | None, bool]:
        """What it decides, and whether the packet leaves the chain here."""
        certain = True
        for statement in rule.get("expr", []):
            kind, value = _statement(statement)
            if kind == "match":
                matches = self._matches(value)
                if matches is False:
                    return None, False
                certain = certain and matches is True
            elif kind == "vmap":
                kind, value, sure = self._mapped(value)
                certain = certain and sure
                if not kind:
                    return None, False
            elif kind in ("limit", "xt", "quota", "ct count", "queue"):
                certain = False
            if kind in ("accept", "drop", "reject"):
                verdict = Verdict(kind != "accept", True, _shown(rule))
                if certain:
                    return verdict, False
                self.maybe = self.maybe or verdict
                return None, False
            if kind in ("jump", "goto") and isinstance(value, dict):
                return self._jump(kind, value, place, depth, certain)
            if kind == "return":
                return None, certain
        return None, False

    def _jump(self, kind: str, value: Tree, place: tuple[str, str, str], depth: int, certain: bool) -> tuple[Verdict | None, bool]:
        found = self._chain((place[0], place[1], str(value.get("target"))), depth + 1)
        if found is not None and not certain:
            self.maybe = self.maybe or found
            found = None
        return found, kind == "goto" and certain

    def _mapped(self, value: Tree) -> tuple[str, Any, bool]:
        """Statement that a verdict map leads to, its value, whether that is certain; an empty kind: none."""
        data = value.get("data")
        elements = self._elements(data)
        key = self._value(value.get("key"))
        if elements is None or key is ANY:
            return "", None, False
        for element in elements:
            if isinstance(element, list) and len(element) == 2 and self._equals(key, element[0]) is True:
                kind, target = next(iter(element[1].items()))
                return str(kind), target, True
        return "", None, True

    # -- matches: True, False, or None where it cannot be told ------------------------------------------------------

    def _matches(self, match: Tree) -> bool | None:
        value = self._value(match.get("left"))
        if value is ANY or value is False:
            return None if value is ANY else False
        equal = self._equals(value, match.get("right"))
        match match.get("op"):
            case "==" | "in":
                return equal
            case "!=":
                return None if equal is None else not equal
            case _:
                return None

    def _value(self, left: object) -> str | int | bool | None:
        """Of the packet; False: it has no such header, ANY: not known."""
        if not isinstance(left, dict):
            return ANY
        packets = self.packets
        match left:
            case {"meta": {"key": "iifname" | "iif"}}:
                return packets.interface if packets.incoming else False
            case {"meta": {"key": "oifname" | "oif"}}:
                return False if packets.incoming else packets.interface
            case {"meta": {"key": "l4proto"}}:
                return packets.protocol if packets.family else False
            case {"meta": {"key": "nfproto"}}:
                return {4: "ipv4", 6: "ipv6"}.get(packets.family, False)
            case {"meta": {"key": "protocol"}} | {"payload": {"protocol": "ether", "field": "type"}}:
                return {4: "ip", 6: "ip6"}.get(packets.family, HELLO_ETHER_TYPE)
            case {"ct": {"key": "state"}}:
                return self.state if packets.family else "untracked"
            case {"payload": {"protocol": str(protocol), "field": str(field)}}:
                return self._field(protocol, field)
            case _:
                return ANY

    def _field(self, protocol: str, field: str) -> str | int | bool | None:
        packets = self.packets
        if protocol in ("ip", "ip6"):
            if protocol != {4: "ip", 6: "ip6"}.get(packets.family):
                return False
            known = {"saddr": packets.source, "daddr": packets.destination}
            known |= {"protocol": packets.protocol, "nexthdr": packets.protocol}
            return known.get(field, ANY)
        if protocol in ("tcp", "udp", "th", "icmp", "icmpv6", "sctp"):
            if not packets.family or protocol not in ("th", packets.protocol):
                return False
            return {"sport": packets.source_port, "dport": packets.destination_port}.get(field, ANY)
        return ANY

    def _elements(self, right: object) -> list[Any] | None:
        if isinstance(right, dict) and isinstance(right.get("set"), list):
            return list(right["set"])
        if isinstance(right, str) and right.startswith("@"):
            for (_family, _table, name), one in self.ruleset.sets.items():
                if name == right[1:]:
                    return list(one.get("elem", []))
        return None

    def _equals(self, value: str | int | bool, right: object) -> bool | None:
        elements = right if isinstance(right, list) else self._elements(right)
        if elements is not None:
            found = [self._equals(value, element) for element in elements]
            return True if True in found else None if None in found else False
        if isinstance(right, dict):
            if "elem" in right:
                return self._equals(value, right["elem"].get("val"))
            if "range" in right:
                return _within(value, right["range"][0], right["range"][1])
            if "prefix" in right:
                return _in_prefix(value, right["prefix"])
            return None
        if isinstance(right, str) and right.startswith("@"):
            return None
        if isinstance(right, str) and isinstance(value, str):
            return _same(value, right)
        if isinstance(value, int) and isinstance(right, (int, str)):
            return value == _number(right)
        return str(value) == str(right) if isinstance(right, int) else None


def _number(text: int | str) -> int | None:
    try:
        return int(str(text), 0)
    except ValueError:
        return None


def _same(value: str, right: str) -> bool:
    if right.endswith("*"):
        return value.startswith(right[:-1])
    address, other = _address(value), _address(right)
    return value.lower() == right.lower() if address is None or other is None else address == other


def _address(text: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None


def _within(value: object, low: object, high: object) -> bool | None:
    if isinstance(value, int) and isinstance(low, int) and isinstance(high, int):
        return low <= value <= high
    address, first, last = _address(value), _address(low), _address(high)
    if address is None or first is None or last is None or not address.version == first.version == last.version:
        return None
    return int(first) <= int(address) <= int(last)


def _in_prefix(value: object, prefix: Tree) -> bool | None:
    address = _address(value)
    try:
        network = ipaddress.ip_network(f"{prefix['addr']}/{prefix['len']}", strict=False)
    except (KeyError, ValueError):
        return None
    return None if address is None else address.version == network.version and address in network


def _statement(statement: object) -> tuple[str, Any]:
    """Kind and value."""
    return next(iter(statement.items()), ("", {})) if isinstance(statement, dict) else ("", {})


def _shown(rule: Tree) -> str:
    """A rule for the operator: where to find it, and its last word."""
    last = rule.get("expr", [{}])[-1]
    comment = f' "{rule["comment"]}"' if "comment" in rule else ""
    return f"handle {rule.get('handle', '?')}{comment} ({next(iter(last), '')})"
