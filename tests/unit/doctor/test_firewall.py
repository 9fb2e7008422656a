"""Rulesets as nftables lists them, and what they do to packets of ours."""

import json
from typing import Any

import pytest

from jsrpd.doctor.firewall import Ruleset, Traffic

HEARTBEATS = Traffic("heartbeats", "ctl0", True, 6, "udp", "fe80::2", "fe80::1", 7273, 7273)
OWN_HEARTBEATS = Traffic("own heartbeats", "ctl0", False, 6, "udp", "fe80::1", "fe80::2", 7273, 7273)
COMMITS = Traffic("commits", "ctl0", True, 6, "tcp", "fe80::2", "fe80::1", None, 7276)
HELLOS = Traffic("hellos", "lan", True, 0, "")
ROUTED = Traffic("routed", "ctl0", True, 4, "udp", "192.0.2.2", "192.0.2.1", 7273, 7273)
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol: str, field: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": field}}, right, op)


def meta(key: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": key}}, right, op)


STATE = {"ct": {"key": "state"}}
PORTS = {"set": [22, {"range": [7273, 7275]}]}


def ruleset(*rules: list[Any], policy: str = "accept", more: tuple[dict[str, Any], ...] = (), **chain: Any) -> Ruleset:
    """One base chain, input unless said otherwise, with these rules."""
    where = {"family": "inet", "table": "t"}
    base = {**where, "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": policy, **chain}
    family = base["family"]
    listed: list[dict[str, Any]] = [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": family, "name": "t"}}, {"chain": base}]
    listed += more
    listed += [
        {"rule": {"family": family, "table": "t", "chain": "in", "handle": number, "expr": expr}}
        for number, expr in enumerate(rules, 2)
    ]
    return Ruleset(json.dumps({"nftables": listed}))


def chain(name: str, *rules: list[Any]) -> tuple[dict[str, Any], ...]:
    """A chain that others jump to."""
    where = {"family": "inet", "table": "t"}
    made: list[dict[str, Any]] = [{"chain": {**where, "name": name}}]
    return (*made, *({"rule": {**where, "chain": name, "handle": 99, "expr": expr}} for expr in rules))


def said(rules: Ruleset, *traffic: Traffic) -> list[str]:
    """``drops heartbeats: rule``, with a question mark where it is not certain."""
    return [f"{'' if one.certain else '? '}{one.traffic}: {one.rule}" for one in rules.blocked(traffic or (HEARTBEATS,))]


DROPPED = ["heartbeats: handle 2 (drop)"]
POLICY = ["heartbeats: policy drop"]


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ([], True),
        ([meta("iifname", "ctl0")], True),
        ([meta("iifname", "ctl1")], False),
        ([meta("iifname", "ctl*")], True),
        ([meta("iifname", "lan", "!=")], True),
        ([meta("iif", {"set": ["lan", "ctl0"]})], True),
        ([meta("oifname", "ctl0")], False),
        ([meta("nfproto", "ipv6")], True),
        ([meta("nfproto", "ipv4")], False),
        ([meta("protocol", "ip6")], True),
        ([meta("l4proto", "udp")], True),
        ([meta("l4proto", {"set": ["tcp", "icmpv6"]})], False),
        ([payload("udp", "dport", 7273)], True),
        ([payload("udp", "dport", PORTS)], True),
        ([payload("udp", "dport", {"range": [1, 1023]})], False),
        ([payload("udp", "sport", 7273, "!=")], False),
        ([payload("th", "dport", 7273)], True),
        ([payload("tcp", "dport", 7273)], False),
        ([payload("ip6", "saddr", "fe80::2")], True),
        ([payload("ip6", "saddr", "FE80:0::2")], True),
        ([payload("ip6", "saddr", {"prefix": {"addr": "fe80::", "len": 10}})], True),
        ([payload("ip6", "daddr", {"prefix": {"addr": "2001:db8::", "len": 32}})], False),
        ([payload("ip6", "daddr", {"range": ["fe80::", "fe80::ffff"]})], True),
        ([payload("ip6", "nexthdr", "udp")], True),
        ([payload("ip", "saddr", "192.0.2.1")], False),
        ([match(STATE, ["established", "related"], "in"), meta("iifname", "ctl1")], False),
        ([payload("udp", "dport", {"set": [{"elem": {"val": 7273, "comment": "ours"}}]})], True),
        ([{"counter": {"packets": 9, "bytes": 9}}], True),
        ([{"log": {"prefix": "x"}}], True),
    ],
)
def test_matches(expression: list[Any], matches: bool) -> None:
    assert said(ruleset([*expression, DROP])) == (DROPPED if matches else [])
    assert said(ruleset([*expression, ACCEPT], policy="drop")) == ([] if matches else POLICY)


@pytest.mark.parametrize(
    "expression",
    [
        [meta("mark", 1)],
        [payload("ip6", "hoplimit", 255)],
        [{"limit": {"rate": 5, "per": "second"}}],
        [{"xt": None}],
        [match({"&": [{"meta": {"key": "mark"}}, 255]}, 1)],
        [payload("udp", "dport", {"concat": [1, 2]})],
        [meta("iifname", "ctl0", "<")],
        [payload("udp", "dport", "@absent")],
        [meta("iifname", "@absent")],
        [match({"rt": {"key": "classid"}}, 1)],
        [payload("udp", "length", 100)],
        [payload("@ll", "x", 1)],
        [match({"meta": 7}, 1)],
        [match("text", 1)],  # type: ignore[arg-type]
    ],
)
def test_what_is_not_understood_is_said(expression: list[Any]) -> None:
    assert said(ruleset([*expression, DROP])) == ["? heartbeats: handle 2 (drop)"]
    assert said(ruleset([*expression, ACCEPT], policy="drop")) == ["? heartbeats: policy drop"]
    assert said(ruleset([*expression, DROP], policy="drop")) == POLICY
    assert said(ruleset([*expression, {"jump": {"target": "more"}}], more=chain("more", [DROP]))) == [
        "? heartbeats: handle 99 (drop)"
    ]


def test_the_first_that_decides() -> None:
    assert said(ruleset([ACCEPT], [DROP])) == []
    assert said(ruleset([meta("iifname", "lan"), ACCEPT], [{"reject": {}}])) == ["heartbeats: handle 3 (reject)"]
    named = ruleset([DROP])
    named.rules["inet", "t", "in"][0] = {**named.rules["inet", "t", "in"][0], "comment": "no udp"}
    assert said(named) == ['heartbeats: handle 2 "no udp" (drop)']


def test_jumps() -> None:
    more = chain("more", [meta("iifname", "lan"), DROP], [payload("udp", "dport", PORTS), {"return": None}], [DROP])
    assert said(ruleset([{"jump": {"target": "more"}}, DROP], more=more)) == []
    assert said(ruleset([{"jump": {"target": "more"}}], more=more), COMMITS) == ["commits: handle 99 (drop)"]
    assert said(ruleset([{"goto": {"target": "more"}}], [DROP], more=more)) == []
    assert said(ruleset([{"jump": {"target": "more"}}], [DROP], more=more)) == ["heartbeats: handle 3 (drop)"]
    circle = chain("more", [{"jump": {"target": "more"}}])
    assert said(ruleset([{"jump": {"target": "more"}}], policy="drop", more=circle)) == POLICY


def test_verdict_maps() -> None:
    where = {"family": "inet", "table": "t"}
    named = ({"map": {**where, "name": "verdicts", "type": "inet_service", "map": "verdict", "elem": [[7273, DROP]]}},)
    key = {"payload": {"protocol": "udp", "field": "dport"}}
    assert said(ruleset([{"vmap": {"key": key, "data": "@verdicts"}}], more=named)) == ["heartbeats: handle 2 (vmap)"]
    assert said(ruleset([{"vmap": {"key": key, "data": {"set": [[{"range": [1, 99]}, DROP]]}}}])) == []
    to = {"set": [["ctl0", {"jump": {"target": "more"}}]]}
    rules = ruleset([{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": to}}], more=chain("more", [DROP]))
    assert said(rules) == ["heartbeats: handle 99 (drop)"]
    assert said(ruleset([{"vmap": {"key": {"meta": {"key": "mark"}}, "data": to}}])) == []
    assert said(ruleset([{"vmap": {"key": key, "data": "@absent"}}])) == []


def test_named_sets() -> None:
    ports = (
        {"set": {"family": "inet", "table": "t", "name": "ports", "type": "inet_service", "elem": [22, {"range": [7000, 8000]}]}},
    )
    assert said(ruleset([payload("udp", "dport", "@ports"), ACCEPT], policy="drop", more=ports)) == []


def test_both_ends_speak_first() -> None:
    """A filter that lets answers in lets heartbeats in: the node's own are what they seem to answer."""
    stateful = ruleset([match(STATE, ["established", "related"], "in"), ACCEPT], policy="drop")
    assert said(stateful) == []
    assert said(ruleset([match(STATE, "new"), DROP])) == []
    assert said(stateful, Traffic("answers", "ctl0", True, 6, "tcp", answers=True)) == []
    assert said(ruleset([match(STATE, "established", "in"), DROP]), Traffic("answers", "ctl0", True, answers=True)) == [
        "answers: handle 2 (drop)"
    ]


def test_which_chains_see_what() -> None:
    everything = HEARTBEATS, OWN_HEARTBEATS, COMMITS, HELLOS, ROUTED
    assert [line.split(":")[0] for line in said(ruleset([DROP]), *everything)] == ["heartbeats", "commits", "routed"]
    assert [line.split(":")[0] for line in said(ruleset([DROP], hook="output"), *everything)] == ["own heartbeats"]
    assert [line.split(":")[0] for line in said(ruleset([DROP], hook="forward"), *everything)] == []
    assert [line.split(":")[0] for line in said(ruleset([DROP], type="nat"), *everything)] == []
    assert [line.split(":")[0] for line in said(ruleset([DROP], family="ip"), *everything)] == ["routed"]
    ingress = ruleset([DROP], family="netdev", hook="ingress", dev="lan")
    assert [line.split(":")[0] for line in said(ingress, *everything)] == ["hellos"]
    several = ruleset([payload("ether", "type", 0x88B5), DROP], family="netdev", hook="ingress", dev=["lan", "ctl0"])
    assert [line.split(":")[0] for line in said(several, *everything)] == ["hellos"]
    no_ip = ruleset([meta("l4proto", "udp"), DROP], [match(STATE, "untracked"), DROP], family="netdev", hook="ingress", dev="lan")
    assert said(no_ip, HELLOS) == ["hellos: handle 3 (drop)"]


NETDEV: dict[str, Any] = {"family": "netdev", "hook": "ingress"}


@pytest.mark.parametrize(
    ("device", "expected"),
    [('device "lan"', ["hellos: handle 2 (drop)"]), ("devices = { ctl0, lan }", ["hellos: handle 2 (drop)"]), ("device wan", [])],
)
def test_devices_that_json_leaves_out(device: str, expected: list[str]) -> None:
    """As nftables 1.0.6 does. Where nothing tells them, the answer is not certain."""
    silent = ruleset([meta("protocol", 34997), DROP], **NETDEV)
    assert said(silent, HELLOS) == ["? hellos: handle 2 (drop)"]
    listed = f"table netdev t {{\n\tchain in {{\n\t\ttype filter hook ingress {device} priority filter; policy accept;\n\t}}\n}}\n"
    objects = [{kind: one} for kind, one in silent.objects]
    assert said(Ruleset(json.dumps({"nftables": objects}), listed), HELLOS) == expected


def test_digests() -> None:
    """What counts and what times out is left out, what was written is not."""
    plain = ruleset([{"counter": {"packets": 1, "bytes": 60}}, ACCEPT])
    later = ruleset([{"counter": {"packets": 999, "bytes": 60000}}, ACCEPT])
    assert plain.digests() == later.digests()
    assert set(plain.digests()) == {"inet t", "inet t chain in"}
    assert plain.digests() != ruleset([DROP]).digests()
    where = {"family": "inet", "table": "t", "type": "ipv4_addr"}

    def with_set(elements: list[str], **more: Any) -> dict[str, str]:
        return ruleset(more=({"set": {**where, "name": "s", "elem": elements, **more}},)).digests()

    assert with_set(["192.0.2.1"]) != with_set(["192.0.2.2"])
    assert with_set(["192.0.2.1"], flags=["dynamic"]) == with_set(["192.0.2.2"], flags=["dynamic"])
    assert with_set(["192.0.2.1"], timeout=60) == with_set([], timeout=60)


def test_flowtables() -> None:
    where = {"family": "inet", "table": "t", "name": "ft", "hook": "ingress", "prio": 0}
    assert ruleset(more=({"flowtable": {**where, "dev": ["lan", "wan"]}},)).flowtables() == {"inet t flowtable ft": ("lan", "wan")}
    assert ruleset(more=({"flowtable": {**where, "dev": "lan"}},)).flowtables() == {"inet t flowtable ft": ("lan",)}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": 7}', "\0", "[" * 100_000])
def test_no_ruleset(text: str) -> None:
    with pytest.raises(ValueError, match="not a ruleset"):
        Ruleset(text)
