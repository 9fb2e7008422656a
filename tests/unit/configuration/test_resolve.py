"""What needs the whole picture: constraints between statements, and what a reload changes."""

import pytest

from tests.unit.configuration.texts import SOUND, problems, read


def test_sound() -> None:
    assert problems() == problems(node=1) == []


def less(*lines: str) -> str:
    """The sound text without some of its lines."""
    for line in lines:
        assert f"set {line}\n" in SOUND
    return "".join(kept for kept in SOUND.splitlines(keepends=True) if kept.strip().removeprefix("set ") not in lines)


MISSING = {
    "control link": (
        ["chassis cluster control-link 0 interface ctl0"],
        ["chassis cluster: no control-link: the nodes cannot hear each other"],
    ),
    "group of a reth": (
        ["interfaces reth0 redundant-ether-options redundancy-group 1"],
        ["interfaces reth0: A redundancy group should be defined"],
    ),
    "reth": (
        [
            "interfaces reth0 redundant-ether-options redundancy-group 1",
            "interfaces reth0 unit 0 family inet address 192.0.2.1/24",
            "interfaces reth0 unit 0 family inet6 address 2001:db8::1/64",
        ],
        ["interfaces lan: reth0 is not defined"],
    ),
    "child": (
        ["interfaces lan gigether-options redundant-parent reth0"],
        [
            "redundancy-group 1 interface-monitor lan: Interface must be defined before configuring monitoring",
            "interfaces reth0: has no child on node0",
            "interfaces reth0: has no child on node1",
        ],
    ),
    "one fabric": (
        ["interfaces fab1 fabric-options member-interfaces fab"],
        ["interfaces: fab0 and fab1 need the same number of member-interfaces"],
    ),
}


@pytest.mark.parametrize(("lines", "expected"), MISSING.values(), ids=MISSING)
def test_what_is_missing(lines: list[str], expected: list[str]) -> None:
    assert problems(text=less(*lines)) == expected


CONTRADICTIONS = {
    "set chassis cluster redundancy-group 0 preempt": "redundancy-group 0: preempt is not possible for redundancy group 0",
    "set chassis cluster control-link 4 interface ctl4": "chassis cluster control-link: 4 is not within 0..3",
    "set chassis cluster control-link 1 local-address 192.0.2.9": "control-link 1: needs an interface",
    "set chassis cluster control-link 0 local-address 192.0.2.9": "control-link 0: local-address and peer-address go together",
    "set chassis cluster control-link 1 interface ctl0": "interfaces: ctl0 is both control link 0 and control link 1",
    "set chassis cluster control-link 1 interface lan": "interfaces: lan is both control link 1 and child of reth0",
    "set interfaces fab0 fabric-options member-interfaces fab2": "interfaces: fab0 and fab1 need the same number of member-interf",
    "set interfaces fab1 fabric-options member-interfaces [ a b ]": "interfaces fab1: has 3 member-interfaces, takes 2 at most",
    "set interfaces reth128 redundant-ether-options redundancy-group 1": "interfaces reth128: reth interfaces are named",
    "set interfaces reth00": "interfaces reth00: reth interfaces are named reth0 to reth127",
    "set interfaces reth²": "interfaces reth²: reth interfaces are named reth0 to reth127",
    "set interfaces wan ether-options redundant-parent reth0": "interfaces reth0: has several children (lan, wan)",
    "set interfaces wan ether-options redundant-parent retho": "interfaces wan: retho is not defined (did you mean reth0?)",
    "set interfaces lan ether-options redundant-parent reth1": "interfaces: lan is both child of reth0 and child of reth1",
    "set interfaces lan unit 0": "interfaces lan: Logical unit is not allowed on redundant-ethernet member",
    "set interfaces wan unit 0 family inet address 192.0.2.5/24": "interfaces wan: only a reth has units",
    "set interfaces wan redundant-ether-options redundancy-group 1": "interfaces wan: redundant-ether-options are for reth",
    "set interfaces fab2 fabric-options member-interfaces x": "interfaces fab2: fabric-options are for fab0 and fab1 only",
    "set interfaces reth0 unit 0 family inet address 169.254.0.1/16": "interfaces reth0: 169.254.0.1/16 is link-local",
    "set interfaces reth0 unit 0 family inet6 address fe80::1/64": "interfaces reth0: fe80::1/64 is link-local and cannot",
    "set interfaces reth0 unit 0 family inet address 224.0.0.1/24": "interfaces reth0: 224.0.0.1/24 is not an address of one",
    "set interfaces reth0 unit 0 family inet6 address ::/64": "interfaces reth0: ::/64 is not an address of one host",
    "set interfaces reth0 unit 0 family inet address 127.0.0.1/8": "interfaces reth0: 127.0.0.1/8 is not an address of one",
    "set interfaces reth0 unit 0 family inet address 192.0.2.0/24": "interfaces reth0: 192.0.2.0/24 is the network's own",
    "set interfaces reth0 unit 0 family inet address 192.0.2.255/24": "interfaces reth0: 192.0.2.255/24 is the network's",
    "set interfaces reth0 unit 0 family inet6 address 2001:DB8:0::1/64": "interfaces reth0: 2001:db8::1 is on reth0 and on",
    "set interfaces reth0 unit 0 node-local-address node 0 192.0.2.1/24": "interfaces reth0: 192.0.2.1 is on reth0 and on",
    "set interfaces reth0 unit 0 node-local-address node 1 198.51.100.1/24": "interfaces reth0: 198.51.100.1/24 is not on",
    "set chassis cluster redundancy-group 1 interface-monitor wan": "redundancy-group 1 interface-monitor wan: Interface must",
}


@pytest.mark.parametrize(("line", "expected"), CONTRADICTIONS.items())
def test_contradiction(line: str, expected: str) -> None:
    """Said on either node."""
    for node in (0, 1):
        said = problems(line, node=node)
        assert any(problem.startswith(expected) for problem in said), said


def test_reth_count() -> None:
    lines = (
        "set interfaces wan ether-options redundant-parent reth7",
        "set interfaces reth7 redundant-ether-options redundancy-group 1",
    )
    assert problems(*lines) == ["reth-count: must be at least 8 for reth7"]


def test_a_point_to_point_prefix_has_no_broadcast() -> None:
    assert read("set interfaces reth0 unit 0 family inet address 203.0.113.0/31").reths[0].addresses[1].prefix_length == 31


# -- reload is a value diff -------------------------------------------------------------------------------------------


def test_the_way_it_is_written_is_no_change() -> None:
    """Comments, order of unrelated lines, a statement that says the default."""
    lines = SOUND.strip().splitlines()
    again = read(text="# a comment\n" + "\n".join(sorted(lines, key=lambda line: "interfaces" in line)) + "\n")
    assert again == read()
    spelt_out = read("set chassis cluster heartbeat-threshold 5")
    assert spelt_out.groups == read().groups
    assert spelt_out.timing == read().timing


def test_only_the_group_that_changed_differs() -> None:
    """The core compares groups one by one, so the others see nothing."""
    before, after = read(), read("set chassis cluster redundancy-group 1 hold-down-interval 7")
    assert [a == b for a, b in zip(before.groups, after.groups, strict=True)] == [True, False]
    assert before.reths == after.reths
    assert before.digest != after.digest
