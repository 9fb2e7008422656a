"""What a new owner says, in which order and how much of it a turn; frames go to a list instead of a socket."""

import pytest

from jsrpd.data_plane.announcements import gratuitous_arp, switch_frame, unsolicited_na
from jsrpd.model.configuration import ClusterConfiguration, GroupConfiguration, Reth, RethUnitAddress
from jsrpd.model.time import MILLISECOND
from jsrpd.processes import announcer as module
from jsrpd.processes.announcer import FRAMES_A_TURN, REST, SPREAD, Announcer

V4, V6 = "192.0.2.1", "2001:db8::1"


class Wire:
    """Everything sent, in order; ``gone``: interfaces that are not there, ``stale``: whose next send fails once, ``down``: all."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.gone: set[str] = set()
        self.stale: set[str] = set()
        self.down: set[str] = set()
        self.opened: list[str] = []
        self.closed: list[str] = []


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()

    class Socket:
        def __init__(self, interface: str) -> None:
            if interface in wire.gone:
                raise OSError
            self.interface = interface
            wire.opened.append(interface)

        def send(self, frames: list[bytes]) -> int:
            if self.interface in wire.stale:
                wire.stale.discard(self.interface)
                return 0
            if self.interface in wire.down:
                return 0
            wire.sent += [(self.interface, frame) for frame in frames]
            return len(frames)

        def close(self) -> None:
            wire.closed.append(self.interface)

    monkeypatch.setattr(module, "FrameSocket", Socket)
    return wire


def configuration(groups: int, addresses: tuple[str, ...] = (V4, V6)) -> ClusterConfiguration:
    """Group g owns reth g with these addresses."""
    return ClusterConfiguration(
        cluster_id=1,
        node_id=0,
        groups=tuple(GroupConfiguration(g, gratuitous_arp_count=2) for g in range(1, groups + 1)),
        reths=tuple(
            Reth(
                f"reth{g}", g, g, f"lan{g}", f"lan{g}", bytes(5) + bytes([g]), tuple(RethUnitAddress(one, 24) for one in addresses)
            )
            for g in range(1, groups + 1)
        ),
    )


def frames_of(group: int) -> list[tuple[str, bytes]]:
    mac = bytes(5) + bytes([group])
    return [(f"reth{group}", frame) for frame in (*gratuitous_arp(mac, V4), unsolicited_na(mac, V6))]


def switch(group: int) -> tuple[str, bytes]:
    return f"reth{group}", switch_frame(bytes(5) + bytes([group]))


def test_all_virtual_macs_come_before_any_address(wire: Wire) -> None:
    announcer = Announcer(configuration(2))
    assert announcer.deadline() is None
    for group in (1, 2):
        announcer.announce(0, group, repeat=False)
    assert wire.sent == [switch(1), switch(2)]
    announcer.turn(0, {1, 2})
    assert wire.sent[2:] == [*frames_of(1), *frames_of(2)]
    assert announcer.deadline() is None


def test_a_thousand_addresses_take_many_turns_with_rests_between(wire: Wire) -> None:
    addresses = tuple(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000))
    announcer = Announcer(configuration(1, addresses))
    announcer.announce(0, 1, repeat=False)
    now, turns = 0, 0
    while (due := announcer.deadline()) is not None:
        before, now, turns = len(wire.sent), max(now, due), turns + 1
        announcer.turn(now, {1})
        assert 0 < len(wire.sent) - before <= FRAMES_A_TURN
        announcer.turn(now + REST // 2, {1})
        assert len(wire.sent) - before <= FRAMES_A_TURN, "not before its time"
    assert turns == -(-2000 // FRAMES_A_TURN)
    assert len(wire.sent) == 2001
    assert len(set(wire.sent)) == 2001


def test_repetitions_are_of_groups_that_are_still_owned(wire: Wire) -> None:
    announcer = Announcer(configuration(2))
    for group in (1, 2):
        announcer.announce(0, group, repeat=True)
    announcer.turn(0, {1, 2})
    assert announcer.deadline() == SPREAD
    wire.sent.clear()
    announcer.turn(SPREAD - MILLISECOND, {2})
    assert wire.sent == []
    announcer.turn(SPREAD, {2})
    assert wire.sent == [switch(2), *frames_of(2)]
    assert announcer.deadline() is None


def test_what_is_lost_meanwhile_is_not_announced(wire: Wire) -> None:
    announcer = Announcer(configuration(1))
    announcer.announce(0, 1, repeat=False)
    announcer.turn(0, set())
    assert wire.sent == [switch(1)]
    assert announcer.deadline() is None


def test_a_reth_made_anew_is_opened_anew_and_one_that_is_not_there_is_left(wire: Wire) -> None:
    announcer = Announcer(configuration(2))
    wire.gone.add("reth2")
    announcer.prepare()
    announcer.prepare()
    assert wire.opened == ["reth1"]
    wire.stale.add("reth1")
    for group in (1, 2):
        announcer.announce(0, group, repeat=False)
    assert (wire.closed, wire.opened) == (["reth1"], ["reth1", "reth1"])
    assert wire.sent == [switch(1)]


def test_a_reth_that_is_down_costs_one_try_a_turn(wire: Wire) -> None:
    """Each finds out by opening another socket; with a hundred reths that are just being made nothing else would be done."""
    announcer = Announcer(configuration(2))
    announcer.announce(0, 1, repeat=False)
    wire.down = {"reth1", "reth2"}
    announcer.announce(0, 2, repeat=True)
    assert wire.opened == ["reth1", "reth2", "reth2"], "not one of its addresses is tried"
    announcer.turn(0, {1, 2})
    assert wire.opened[3:] == ["reth1"]
    assert wire.sent == [switch(1)]
    wire.down.clear()
    announcer.turn(SPREAD, {1, 2})
    assert wire.sent[1:] == [switch(2), *frames_of(2)], "its repetition comes all the same"


def test_another_configuration_forgets_what_was_to_be_said(wire: Wire) -> None:
    announcer = Announcer(configuration(2))
    announcer.prepare()
    announcer.announce(0, 2, repeat=True)
    announcer.reconfigure(configuration(1))
    announcer.turn(SPREAD, {1, 2})
    assert wire.closed == ["reth2"], "a close waits for the kernel, so what stays is kept"
    assert [reth for reth, _ in wire.sent] == ["reth2"], "before the change"
    announcer.announce(SPREAD, 7, repeat=True)
    assert announcer.deadline() is None
