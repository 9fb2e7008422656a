"""What is broken, as a value: which ports are cut or silent, and the program that drops their frames."""

from jsrpd.lab.faults import Broken, ruleset
from jsrpd.lab.topology import Settings

SETTINGS = Settings(control_links=1)


def test_a_node_without_power_takes_the_far_ends_of_its_direct_cables_with_it() -> None:
    cut = Broken(off=frozenset({"node0"})).cut_ports(SETTINGS)
    assert cut == {"node0-ctl0", "node0-fab", "node0-lan", "node0-wan", "node1-ctl0", "node1-fab"}


def test_a_hung_node_keeps_its_carriers_and_says_nothing() -> None:
    broken = Broken(hung=frozenset({"node1"}))
    assert broken.cut_ports(SETTINGS) == frozenset()
    assert broken.silent_ports(SETTINGS) == {"node1-ctl0", "node1-fab", "node1-lan", "node1-wan"}


def test_silent_ports_drop_both_ways() -> None:
    text = ruleset(Broken(silent=frozenset({"node0-lan"})), SETTINGS)
    assert "hook ingress" in text
    assert "hook egress" in text
    assert text.count("{ node0-lan } drop") == 2


def test_loss_is_on_control_links_in_one_direction_of_each_port() -> None:
    text = ruleset(Broken(loss_percent=7), SETTINGS)
    assert text.count("numgen random mod 100 < 7 drop") == 1
    assert "node0-ctl0, node1-ctl0" in text
    assert "lan" not in text.replace("table netdev lab", "")


def test_nothing_broken_leaves_an_empty_table() -> None:
    assert "chain" not in ruleset(Broken(), SETTINGS)
