"""What a commit warns of, and what it says it will touch."""

import msgspec

from jsrpd.configuration.lints import Facts, Lint, lints
from jsrpd.configuration.plan import impact
from jsrpd.model.configuration import ClusterConfiguration
from tests.unit.configuration.texts import SOUND, read

QUIET = """
set chassis cluster control-link 1 interface ctl1
set interfaces reth0 unit 0 node-local-address node 0 192.0.2.2/24
set interfaces reth0 unit 0 node-local-address node 1 192.0.2.3/24
"""


def pair(*more: str, text: str = SOUND + QUIET) -> tuple[ClusterConfiguration, ClusterConfiguration]:
    return read(*more, node=0, text=text), read(*more, node=1, text=text)


def said(*more: str, facts: Facts = Facts(), text: str = SOUND + QUIET) -> list[Lint]:  # noqa: B008
    return lints(pair(*more, text=text), 0, facts)


def only(found: list[Lint], text: str, mend: str) -> None:
    matching = [one for one in found if text in one.text]
    assert len(matching) == 1, found
    assert mend in matching[0].mend
    assert len(found) == 1, found


def test_a_good_configuration_is_not_nagged_about() -> None:
    assert said() == []


def test_a_group_without_monitor() -> None:
    text = (SOUND + QUIET).replace("set chassis cluster redundancy-group 1 interface-monitor lan weight 255\n", "")
    found = said(text=text)
    assert {one.text.partition(" and ")[0] for one in found} == {"redundancy group 1 has reth0"}
    assert found[0].mend == "set chassis cluster redundancy-group 1 interface-monitor lan weight 255"


def test_preempt_without_delay() -> None:
    preempt = "set chassis cluster redundancy-group 1 preempt"
    only(said(preempt), "preempts without delay", "preempt delay 60")
    assert said(f"{preempt} delay 30") == []


def test_weights_that_never_reach_255() -> None:
    found = said(text=(SOUND + QUIET).replace("interface-monitor lan weight 255", "interface-monitor lan weight 100"))
    assert all("together cost 100, less than 255: they can never move it" in one.text for one in found)
    assert len(found) == 2


def test_thresholds_of_ip_monitoring() -> None:
    watch = "set chassis cluster redundancy-group 1 ip-monitoring"
    targets = [f"{watch} family inet 192.0.2.{n} weight 50 interface reth0.0" for n in (9, 10)]
    only(said(*targets, f"{watch} global-threshold 101"), "they can never fail", "global-threshold 100")
    only(said(*targets, f"{watch} global-threshold 50"), "the loss of any single address of 2 is a failure", "global-threshold 100")
    assert said(*targets, f"{watch} global-threshold 100") == []


def test_a_target_outside_every_subnet() -> None:
    watch = "set chassis cluster redundancy-group 1 ip-monitoring family inet 203.0.113.1 weight 255 interface reth0.0"
    only(said(watch), "203.0.113.1 is in no subnet of a reth", "ip route get 203.0.113.1")


def test_links() -> None:
    one = SOUND + QUIET.replace("set chassis cluster control-link 1 interface ctl1\n", "")
    only(said(text=one), "one control link only", "control-link 1 interface")
    same = Facts(carriers={"fab": "eth9", "ctl0": "eth9"})
    only(said(facts=same), "fabric member fab is on the same interface as a control link", "fab0 fabric-options")
    second = "".join(f"set interfaces fab{node} fabric-options member-interfaces fab2\n" for node in (0, 1))
    assert said(text=SOUND + QUIET + second) == []
    one_card = Facts(carriers={"fab": "eth9", "fab2": "eth9"})
    only(said(text=SOUND + QUIET + second, facts=one_card), "both fabric members are on eth9", "fab0 fabric-options")
    without = SOUND + "set chassis cluster control-link 1 interface ctl1\n"
    only(said(text=without)[:1], "reth0: no node-local-address of node0", "node-local-address node 0")


def test_facts_of_the_host() -> None:
    only(said(facts=Facts(lateness_ms=200.0)), "this host was 200 ms late at worst", "heartbeat-interval 120")
    only(said(facts=Facts(cluster_id_in_use=True)), "somebody else of cluster 7 is heard", "cluster-id")
    only(said(facts=Facts(firewall_digests=("a", "b"))), "firewall rulesets of the nodes differ", "jsrp doctor")
    assert said(facts=Facts(firewall_digests=("a", "a"), lateness_ms=20.0)) == []


def test_the_plan_names_the_groups_that_are_touched() -> None:
    before = pair()
    assert impact(before, before) == []
    more = pair("set chassis cluster redundancy-group 1 gratuitous-arp-count 8")
    assert impact(before, more) == ["redundancy group 1: changes its gratuitous-arp-count"]
    fresh = pair("set chassis cluster redundancy-group 2 node 0 priority 5")
    assert impact(before, fresh) == ["redundancy group 2: is new"]
    assert impact(fresh, before) == ["redundancy group 2: is removed"]


def test_the_plan_warns_of_what_traffic_will_notice() -> None:
    before = pair()
    turned = pair(text=(SOUND + QUIET).replace("redundancy-group 1 node 0 priority 200", "redundancy-group 1 node 0 priority 50"))
    assert impact(before, turned) == ["redundancy group 1: changes its priorities"]
    moving = pair(
        "set chassis cluster redundancy-group 1 preempt delay 9",
        text=(SOUND + QUIET).replace("redundancy-group 1 node 0 priority 200", "redundancy-group 1 node 0 priority 50"),
    )
    assert "warning: traffic impact: redundancy group 1 moves after 9 s if node1 is not primary for it" in impact(before, moving)
    gone = pair(text=(SOUND + QUIET).replace("set interfaces reth0 unit 0 family inet6 address 2001:db8::1/64\n", ""))
    assert "warning: traffic impact: nobody answers for 2001:db8::1 any more" in impact(before, gone)
    assert "redundancy group 1: reth0 changes" in impact(before, gone)
    juniper = pair("set chassis cluster virtual-mac juniper")
    assert any("reth0 is made anew" in line for line in impact(before, juniper))
    slower = pair("set chassis cluster heartbeat-interval 200")
    assert impact(before, slower) == ["heartbeats: a dead node is noticed after 1000 ms instead of 500 ms"]
    off = pair(
        "set chassis cluster gate none",
        "set chassis cluster in-band-heartbeat off",
        "set chassis cluster session-synchronization off",
    )
    assert sum(line.startswith("warning") for line in impact(before, off)) == 3
    links = pair(text=(SOUND + QUIET).replace("interface ctl0", "interface new0").replace("interface ctl1", "interface new1"))
    assert any("every control link changes at once" in line for line in impact(before, links))


def test_a_reth_that_leaves_or_joins_is_said() -> None:
    before = pair()
    one = [msgspec.structs.replace(configuration, reths=()) for configuration in before]
    lines = impact(before, (one[0], one[1]))
    assert "redundancy group 1: loses reth0" in lines
    assert any("nobody answers for 192.0.2.1, 2001:db8::1 in redundancy group 1 any more" in line for line in lines)
    assert "redundancy group 1: gets reth0" in impact((one[0], one[1]), before)


def test_arbitration_with_a_short_dead_time() -> None:
    probe, interval = "set chassis cluster arbitration probe 198.51.100.9", "set chassis cluster heartbeat-interval"
    assert said(probe) == []
    only(said(probe, f"{interval} 20"), "less than 50 ms to answer", f"{interval} 40")
