"""``groups`` and ``apply-groups``: what lies under the main text, for which node."""

import pytest

from jsrpd.configuration.groups import expanded
from jsrpd.configuration.junos import parse, render_set
from tests.unit.configuration.texts import problems, read

MONITOR = "set groups node1 chassis cluster redundancy-group 1 interface-monitor wan weight 100"
BOTH = ("set groups node0 system host-name a", "set groups node1 system host-name b", 'set apply-groups "${node}"')


def seen(text: str, node: int) -> list[str]:
    return render_set(expanded(parse(text), node)).splitlines()


@pytest.mark.parametrize(("node", "name"), [(0, "a"), (1, "b")])
def test_each_node_has_its_own(node: int, name: str) -> None:
    assert read(*BOTH, node=node).host_name == name


def test_groups_do_not_show_when_they_are_not_applied() -> None:
    assert seen("set groups g system host-name a\nset system syslog", 0) == ["set system syslog"]
    assert seen("set apply-groups g\nset system syslog", 0) == ["set system syslog"]


def test_the_main_text_wins_then_the_earlier_group() -> None:
    """Single values; what nobody above said is taken from below."""
    text = """
        set groups g1 chassis cluster heartbeat-interval 200
        set groups g1 chassis cluster heartbeat-threshold 6
        set groups g2 chassis cluster heartbeat-threshold 7
        set groups g2 chassis cluster reth-count 3
        set apply-groups [ g1 g2 ]
        set chassis cluster heartbeat-interval 300
    """
    assert seen(text.replace("        ", ""), 0) == [
        "set chassis cluster heartbeat-interval 300",
        "set chassis cluster heartbeat-threshold 6",
        "set chassis cluster reth-count 3",
    ]


def test_lists_and_entries_are_joined() -> None:
    """Addresses of both; an entry's missing statements; an entry's value of the main text."""
    text = """
        set groups g interfaces reth0 unit 0 family inet address 192.0.2.2/24
        set groups g interfaces reth0 unit 0 node-local-address node 0 192.0.2.9/24
        set groups g interfaces reth0 unit 0 node-local-address node 1 192.0.2.8/24
        set groups g chassis cluster redundancy-group 1 node 0 priority 9
        set groups g chassis cluster redundancy-group 1 node 1 priority 8
        set groups g interfaces lan ether-options redundant-parent reth0
        set apply-groups g
        set interfaces reth0 unit 0 family inet address 192.0.2.1/24
        set interfaces reth0 unit 0 node-local-address node 0 192.0.2.7/24
        set chassis cluster redundancy-group 1 node 0 priority 7
    """
    assert set(seen(text.replace("        ", ""), 0)) == {
        "set interfaces reth0 unit 0 family inet address 192.0.2.1/24",
        "set interfaces reth0 unit 0 family inet address 192.0.2.2/24",
        "set interfaces reth0 unit 0 node-local-address node 0 192.0.2.7/24",
        "set interfaces reth0 unit 0 node-local-address node 1 192.0.2.8/24",
        "set chassis cluster redundancy-group 1 node 0 priority 7",
        "set chassis cluster redundancy-group 1 node 1 priority 8",
        "set interfaces lan ether-options redundant-parent reth0",
    }


def test_a_monitor_in_a_group_is_that_nodes_only() -> None:
    """Unqualified it is each node's own (SPEC section 3)."""
    lines = (MONITOR, *BOTH, "set interfaces wan")
    here, there = read(*lines, node=0).groups[1], read(*lines, node=1).groups[1]
    assert [m.interface for m in here.interface_monitors] == ["lan"]
    assert sorted(m.interface for m in there.interface_monitors) == ["lan", "wan"]
    assert here.peer_interface_monitors == there.interface_monitors
    assert there.peer_interface_monitors == here.interface_monitors


def test_both_nodes_read_one_text() -> None:
    """The digest that they compare is the same, though they see different things."""
    assert read(*BOTH, node=0).digest == read(*BOTH, node=1).digest
    assert read(*BOTH, node=0).digest != read(node=0).digest


def test_a_group_that_is_not_there() -> None:
    """A misspelt name would leave half of the cluster unconfigured, so either node refuses it."""
    wrong = ("set groups node0 system host-name a", "set groups nodel system host-name b", 'set apply-groups "${node}"')
    for node in (0, 1):
        assert problems(*wrong, node=node) == ["apply-groups: no group named node1 (did you mean nodel?)"]
    assert problems("set groups edge system", "set apply-groups egde") == ["apply-groups: no group named egde (did you mean edge?)"]
    assert problems("set apply-groups") == ["apply-groups: needs the name of a group"]


def test_what_is_wrong_on_the_other_node_is_wrong() -> None:
    """The same file stands on both, so neither takes it."""
    lines = (*BOTH, "set groups node1 chassis cluster control-link 1 interface fab", "set chassis cluster control-link 1")
    for node in (0, 1):
        assert "interfaces: fab is both control link 1 and the fabric link" in problems(*lines, node=node)
