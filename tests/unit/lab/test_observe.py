"""Who owned an address: the pure reading of questions and answers, and of frames."""

import socket

import pytest

from jsrpd.lab.observe import (
    MISSED_PROBES,
    QUESTION,
    Interval,
    Sighting,
    arp_question,
    classify,
    neighbour_solicitation,
    ownership,
    questions,
    without_silenced,
)
from jsrpd.lab.topology import LAN, WAN, Segment

MS = 1_000_000


def sightings(script: str) -> list[Sighting]:
    """One character a millisecond: ``?`` asked, ``0`` and ``1`` answered by that node, ``.`` nothing."""
    return [Sighting(at * MS, QUESTION if c == "?" else int(c)) for at, c in enumerate(script) if c != "."]


def seen(script: str) -> tuple[list[tuple[int, float, float]], float, float]:
    """(node, from, to) of each ownership, two owners, nobody; all in ms."""
    found = ownership("lan", 4, sightings(script), 0, len(script) * MS)
    return [(i.node, i.begin / MS, i.end / MS) for i in found.intervals], found.two_owners_ms, found.nobody_ms


def test_one_owner_throughout() -> None:
    assert seen("?0?0?0") == ([(0, 1, 5)], 0, 0)


def test_a_change_of_owner() -> None:
    assert seen("?0?0?1?1") == ([(0, 1, 3), (1, 5, 7)], 0, 0)


def test_two_owners_at_once_are_counted() -> None:
    """Node 1 answers from 3 to 9, node 0 still until 7."""
    assert seen("?0?1?0?0.1") == ([(0, 1, 7), (1, 3, 9)], 4, 0)


def test_nobody_is_counted_from_answer_to_answer() -> None:
    script = "?0" + "?." * MISSED_PROBES + "?1"
    assert seen(script) == ([(0, 1, 1), (1, len(script) - 1, len(script) - 1)], 0, len(script) - 2)


def test_a_late_answer_is_no_loss_of_ownership() -> None:
    assert seen("?0" + "?." * (MISSED_PROBES - 1) + "0")[0] == [(0, 1, 2 * MISSED_PROBES)]


def test_nobody_ever() -> None:
    found = ownership("lan", 4, sightings("??????????"), 0, 10 * MS)
    assert found.final_owner is None
    assert found.nobody_ms == 9


def test_answers_outside_the_window_do_not_count() -> None:
    assert ownership("lan", 4, sightings("0.........1"), 5 * MS, 20 * MS).final_owner == 1


def test_what_a_silenced_node_says_is_left_out() -> None:
    kept = without_silenced(sightings("0101"), [Interval(0, 0, 1 * MS)])
    assert [s.node for s in kept] == [1, 0, 1]


@pytest.mark.parametrize(("segment", "family"), [(LAN, 4), (LAN, 6), (WAN, 4), (WAN, 6)], ids=str)
def test_the_probers_questions_are_recognised(segment: Segment, family: int) -> None:
    frame = questions(segment)[family == 6]
    code, _ = classify(frame, segment.host) or (0, b"")
    assert code >> 2 == QUESTION
    assert bool(code >> 1 & 1) == (segment is WAN)
    assert bool(code & 1) == (family == 6)


def test_an_answer_names_node_and_mac() -> None:
    mac = bytes.fromhex("0010dbff1001")
    reply = bytearray(arp_question(mac, LAN.gateways[0], LAN.hosts[0]))
    reply[20:22] = (2).to_bytes(2, "big")
    assert classify(bytes(reply), "node1-lan") == (1 << 2, mac)


def test_other_hosts_questions_say_nothing() -> None:
    other = bytes.fromhex("020000000001")
    assert classify(arp_question(other, LAN.hosts[0], LAN.gateways[0]), "client") is None
    assert classify(neighbour_solicitation(other, LAN.hosts[1], LAN.gateways[1]), "client") is None


def test_a_node_asking_for_the_gateway_claims_nothing() -> None:
    solicitation = neighbour_solicitation(bytes.fromhex("020000000001"), LAN.hosts[1], LAN.gateways[1])
    assert classify(solicitation, "node0-lan") is None


def test_the_solicitations_checksum_is_right() -> None:
    """Summed over pseudo header and message it gives all ones (RFC 1071)."""
    frame = neighbour_solicitation(bytes(6), LAN.hosts[1], LAN.gateways[1])
    data = frame[22:54] + (len(frame) - 54).to_bytes(4, "big") + socket.IPPROTO_ICMPV6.to_bytes(4, "big") + frame[54:]
    total = sum(int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
