"""What operators read of a journal, against scenarios: everything that happened, once, and nothing that did not."""

import msgspec
import pytest

from jsrpd.core.actions import Log
from jsrpd.core.events import (
    ConfigurationChanged,
    FailoverRequested,
    MonitorFailed,
    MonitorRecovered,
    ShutdownRequested,
    SocketsDrained,
)
from jsrpd.core.journal import Packer, read_batch
from jsrpd.core.narrator import Narrator
from jsrpd.messages.catalogue import notice
from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import SECOND
from tests.unit.core import recorded

STARTED = [
    "node0 restart: engine of jsrpd 0.1.0 started: every group begins in hold",
    "node0 path: fabric link fab0 up: heard",
    "node0 path: control link ctl0 up: heard",
    "node0 RG0 transition: hold -> secondary: Hold timer expired",
    "node0 RG1 transition: hold -> secondary: Hold timer expired",
    "node0 RG0 transition: secondary -> primary: Better priority (200/100)",
    "node0 RG1 transition: secondary -> primary: Better priority (200/100)",
]


def line(event: JournalEvent) -> str:
    groups = "".join(f" RG{group}" for group in event.groups)
    by = f" (by {event.by})" if event.by else ""
    return f"node{event.node}{groups} {event.kind.value}: {event.text}{by}"


def told(script: str, node: int = 0) -> list[JournalEvent]:
    narrator = Narrator()
    return [
        event
        for life in recorded.lives(script, node)
        for batch in recorded.batches(life, every=7)
        for event in narrator.tell(batch)
    ]


@pytest.mark.parametrize(
    ("script", "node", "expected"),
    [
        (
            "at 2s node0 interface lan down\nat 2500ms node0 interface wan down\nat 4s node0 interface lan up\nuntil 5s\n",
            0,
            [
                "node0 RG1 monitor: interface lan down: weight 255 of redundancy group 1",
                "node0 RG1 transition: primary -> secondary-hold: Monitor failed: IF",
                "node0 RG1 monitor: interface wan down: weight 100 of redundancy group 1",
                "node0 RG1 transition: secondary-hold -> secondary: Ready to become secondary",
                "node0 RG1 monitor: interface lan up: weight 255 of redundancy group 1",
            ],
        ),
        (
            "at 2s node1 interface lan down\nat 3s node0 monitor 1 IP 192.0.2.9 failed 20\n"
            "at 4s node0 monitor 1 IP 192.0.2.9 recovered\nuntil 5s\n",
            0,
            [
                "node1 RG1 monitor: interface lan down: weight 255 of redundancy group 1",
                "node0 RG1 monitor: IP 192.0.2.9 failed: weight 20",
                "node0 message: JSRPD_SET_IP_MON_FAILURE: IP Monitor failed for redundancy-group 1",
                "node0 RG1 monitor: IP 192.0.2.9 recovered",
                "node0 message: JSRPD_UNSET_IP_MON_FAILURE: IP Monitor failure recovered for redundancy-group 1",
            ],
        ),
        (
            "at 2s cut fabric\nat 4s heal fabric\nat 5s cut control\nat 7s heal control\nuntil 8s\n",
            0,
            [
                "node0 path: fabric link fab0 down: silent for 500 ms",
                "node0 path: fabric link fab0 up: heard after 2.1 s of silence",
                "node0 path: control link ctl0 down: no heartbeat",
                "node0 path: control link ctl0 up: heard",
            ],
        ),
        (
            "at 2s node1 stop\nat 4s node1 start\nuntil 6s\n",
            0,
            [
                "node1 restart: node1 says that its daemon has stopped",
                "node0 path: control link ctl0 down: no heartbeat",
                "node0 path: fabric link fab0 down: silent for 500 ms",
                "node0 path: fabric link fab0 up: heard after 2.05 s of silence",
                "node0 path: control link ctl0 up: heard",
                "node1 restart: node1 is heard with a new engine",
            ],
        ),
        (
            "at 2s node1 request failover redundancy-group 1 node 1\nat 3500ms node0 stop\nuntil 5s\n",
            0,
            [
                "node1 RG1 command: failover redundancy-group 1 node 1 (by operator on node1)",
                "node0 RG1 transition: primary -> secondary-hold: Manual failover",
                "node0 RG1 transition: secondary-hold -> secondary: Ready to become secondary",
                "node0 restart: the daemon was told to stop: it hands over what is primary",
                "node0 RG0 transition: primary -> secondary-hold: Node shutdown",
            ],
        ),
    ],
)
def test_events(script: str, node: int, expected: list[str]) -> None:
    events = told(script, node)
    assert [line(event) for event in events] == [*STARTED, *expected]
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_a_transition_carries_its_values() -> None:
    event = told("until 2s\n")[-1]
    assert event.kind is EventKind.TRANSITION
    assert event.reason == "Better priority (200/100)"
    assert event.values == {"old-state": "secondary", "new-state": "primary"}
    assert event.at > recorded.WALL_OFFSET


def test_a_second_life() -> None:
    lines = [line(event) for event in told("at 2s node0 kill\nat 2300ms node0 start\nuntil 4s\n")]
    restart = "node0 RG0 RG1 restart: engine of jsrpd 0.1.0 started: re-adopted the running lease of redundancy group 0, 1"
    assert lines[len(STARTED)] == restart
    assert "node0 RG1 transition: hold -> primary: Restarted in place" in lines


def test_a_gap_is_an_event_and_invents_nothing() -> None:
    """Between the hole and the next checkpoint no path comes up that was up all along."""
    (life,) = recorded.lives("at 9s node0 interface wan down\nuntil 10s\n")
    batches = recorded.batches(life, checkpoints_every=40)
    narrator = Narrator()
    events = [event for n, batch in enumerate(batches) if n not in (6, 7) for event in narrator.tell(batch)]
    lost = batches[7].end - batches[6].first
    assert [line(event) for event in events] == [
        *STARTED,
        f"node0 gap: {lost} records of the journal were lost; replay goes on at the next checkpoint",
        "node0 RG1 monitor: interface wan down: weight 100 of redundancy group 1",
    ]


def test_a_reader_that_comes_in_the_middle_of_a_life() -> None:
    """A gateway that was restarted: nothing is known until the checkpoint it asks for, and that is no gap."""
    (life,) = recorded.lives("at 5s node0 interface lan down\nuntil 6s\n")
    narrator = Narrator()
    lines = [line(event) for batch in recorded.batches(life, checkpoints_every=40)[4:] for event in narrator.tell(batch)]
    assert lines == [
        "node0 RG1 monitor: interface lan down: weight 255 of redundancy group 1",
        "node0 RG1 transition: primary -> secondary-hold: Monitor failed: IF",
        "node0 RG1 transition: secondary-hold -> secondary: Ready to become secondary",
    ]


def test_commands_and_configurations() -> None:
    group = GroupConfiguration(1, (200, 100))
    old = ClusterConfiguration(cluster_id=1, node_id=0, groups=(group, GroupConfiguration(2)))
    new = ClusterConfiguration(
        cluster_id=1, node_id=0, heartbeat_interval_ms=200, groups=(GroupConfiguration(1, (100, 100)), GroupConfiguration(3))
    )
    packer = Packer(9)
    packer.start(SECOND, old, (), "0.1.0")
    packer.command(SECOND, "root", "failover redundancy-group 1 node 1", False, "node1 is lost")
    packer.event(SECOND, ConfigurationChanged(new), [])
    packer.event(SECOND, ConfigurationChanged(new), [])
    packer.event(SECOND, SocketsDrained(SECOND), [])
    events = Narrator().tell(read_batch(packer.close(0)))
    assert [line(event) for event in events[1:]] == [
        "node0 RG1 command: failover redundancy-group 1 node 1: node1 is lost (by root)",
        "node0 configuration: configuration loaded: heartbeat-interval-ms 100 -> 200; redundancy group 1 changed (priorities); "
        "redundancy group 2 removed; redundancy group 3 added",
        "node0 configuration: configuration loaded: nothing that the engine runs on differs",
    ]
    assert events[1].values["outcome"] == "refused"


@pytest.mark.parametrize(
    ("value", "limit", "failed", "recovered"),
    [
        ("7 s", "5 s", "SP cpu 1 failed: 7 s, limit 5 s, weight 255", "SP cpu 1 recovered, 7 s, limit 5 s"),
        ("not running", "", "SP cpu 1 failed: not running, weight 255", "SP cpu 1 recovered, not running"),
        ("", "", "SP cpu 1 failed: weight 255", "SP cpu 1 recovered"),
    ],
)
def test_a_monitor_tells_what_it_found_and_what_is_allowed(value: str, limit: str, failed: str, recovered: str) -> None:
    packer = Packer(9)
    packer.start(SECOND, ClusterConfiguration(cluster_id=1, node_id=0, groups=(GroupConfiguration(1),)), (), "0.1.0")
    packer.event(SECOND, MonitorFailed(1, FailureCode.SP, "cpu 1", 255, value, limit), [])
    packer.event(SECOND, MonitorRecovered(1, FailureCode.SP, "cpu 1", value, limit), [])
    packer.event(SECOND, SocketsDrained(SECOND), [])
    events = Narrator().tell(read_batch(packer.close(0)))[1:]
    assert [event.text for event in events] == [failed, recovered]
    assert [(event.values.get("value", ""), event.values.get("limit", "")) for event in events] == [(value, limit)] * 2


def test_a_damaged_batch_is_a_gap() -> None:
    (life,) = recorded.lives("until 1s\n")
    batch = recorded.batches(life, every=20)[1]
    narrator = Narrator()
    broken = read_batch(Packer(1).close(0))
    assert narrator.tell(broken) == ()
    (event,) = narrator.tell(type(batch)(1, 0, 0, 0, tuple(r for r in batch.records if type(r).__name__ == "HeartbeatRepeated")))
    assert event.kind is EventKind.GAP
    assert event.text == "a part of the journal is not readable: a heartbeat repeats one that is not there"


def test_a_request_that_is_repeated_is_told_once() -> None:
    """The links are slow, so the other node says it in several heartbeats before ours is echoed."""
    lines = [
        line(event) for event in told("at 2s delay all 180ms\nat 3s node1 request failover redundancy-group 1 node 1\nuntil 5s\n")
    ]
    assert sum("command" in one for one in lines) == 1


def test_interfaces_of_a_peer_that_runs_another_configuration_are_not_told() -> None:
    """Its bits have other names."""
    (life,) = recorded.lives("at 4s node1 interface lan down\nuntil 6s\n")
    configuration = msgspec.structs.replace(life.configuration, digest=b"another.")
    life.turns.insert(len(life.turns) // 2, (life.turns[len(life.turns) // 2][0], ConfigurationChanged(configuration), [], None))
    narrator = Narrator()
    lines = [line(event) for batch in recorded.batches(life) for event in narrator.tell(batch)]
    assert not any("interface lan" in one for one in lines)


def test_other_messages_and_broken_checkpoints() -> None:
    packer = Packer(1)
    packer.checkpoint(1, b"\x80")
    (event,) = Narrator().tell(read_batch(packer.close(0)))
    assert event.text.startswith("a part of the journal is not readable: checkpoint: ")
    packer.event(2, SocketsDrained(2), [Log(notice("said"))])
    narrator = Narrator()
    assert [line(event) for event in narrator.tell(read_batch(packer.close(0)))] == ["node0 message: JSRPD_NOTICE: said"]


def test_a_stop_is_told_once_and_what_a_command_says_is_not_said_again() -> None:
    """The engine repeats that it is to stop each turn; a failover that was requested stands with the command."""
    packer = Packer(1)
    packer.start(1, ClusterConfiguration(cluster_id=1, node_id=0), (), "0.1.0")
    for event in (ShutdownRequested(), ShutdownRequested(), FailoverRequested(1, 1)):
        packer.event(2, event, [])
    lines = [line(event) for event in Narrator().tell(read_batch(packer.close(0)))]
    assert lines[1:] == ["node0 restart: the daemon was told to stop: it hands over what is primary"]
