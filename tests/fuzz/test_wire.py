"""Any bytes at a link: an answer or a named cause, never an exception, and the peer is heard as before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from jsrpd.model.link_messages import Acknowledgement, Heartbeat
from jsrpd.wire.envelope import DropCause, Header, Sealer, key_id
from jsrpd.wire.heartbeat import MalformedError, decode_acknowledgement, decode_heartbeat
from jsrpd.wire.link import AcknowledgementHeard, Admitted, Answer, Dropped, HeartbeatHeard, Link, Received
from tests.unit.wire.nodes import KEY, admit, heartbeat, heartbeats, make_link, start_id

PATHS = st.sampled_from([0, 1, 4, 8])
PATH_AT = 11
"""Offset of the path id in the clear header."""


def joined() -> tuple[Link, Link]:
    """Node 0 has admitted node 1, which has sent heartbeat 1 on path 0."""
    a, b = make_link(0, "a"), make_link(1, "b")
    admit(a, b)
    return a, b


def heard_as_before(a: Link, b: Link, sequence: int) -> bool:
    """The next heartbeat of the admitted peer counts."""
    return isinstance(a.receive(0, b.heartbeat(0, sequence, heartbeat())), HeartbeatHeard)


@given(st.lists(st.binary(max_size=200) | st.binary(max_size=200).map(b"JSRP".__add__), max_size=5), PATHS)
@settings(deadline=None)
def test_garbage_is_dropped_and_counted(garbage: list[bytes], path: int) -> None:
    a, b = joined()
    assert all(isinstance(a.receive(path, datagram), Dropped) for datagram in garbage)
    assert sum(a.drops.values()) == len(garbage)
    assert heard_as_before(a, b, 2)


@given(heartbeats(), st.data())
@settings(deadline=None)
def test_no_changed_bit_is_taken(message: Heartbeat, data: st.DataObject) -> None:
    a, b = joined()
    datagram = bytearray(b.heartbeat(0, 2, message))
    bit = data.draw(st.integers(0, 8 * len(datagram) - 1))
    datagram[bit // 8] ^= 1 << bit % 8
    assert isinstance(a.receive(0, bytes(datagram)), Dropped)
    assert heard_as_before(a, b, 3)


@given(heartbeats(), st.data())
@settings(deadline=None)
def test_no_truncated_or_lengthened_datagram_is_taken(message: Heartbeat, data: st.DataObject) -> None:
    a, b = joined()
    datagram = b.heartbeat(0, 2, message)
    cut = datagram[: data.draw(st.integers(0, len(datagram) - 1))]
    longer = datagram + data.draw(st.binary(min_size=1, max_size=20))
    assert isinstance(a.receive(0, cut), Dropped)
    assert a.receive(0, longer) == Dropped(DropCause.NOT_AUTHENTIC)
    assert a.receive(0, datagram) == HeartbeatHeard(b.incarnation, 2, message)


@given(st.sampled_from(["b", "stranger"]), st.integers(0, 255), st.binary(max_size=120), st.integers(0, (1 << 64) - 1))
@settings(max_examples=300, deadline=None)
def test_authentic_nonsense_is_a_value(life: str, kind: int, payload: bytes, sequence: int) -> None:
    """The worst sender: the right key, any type, any body, as the admitted life or as another. None of it admits."""
    a, b = joined()
    header = Header(1, 1, 1, kind, 1, 1, 1, key_id(KEY), start_id(life), sequence)
    received = a.receive(1, Sealer(KEY, start_id(life)).seal(header, payload))
    assert isinstance(received, HeartbeatHeard | AcknowledgementHeard | Answer | Dropped)
    assert life == "b" or isinstance(received, Answer | Dropped)
    assert heard_as_before(a, b, 2)


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: bytes([0, 0, 0, 100, 5]) + bytes(26) + tail))
@settings(max_examples=500, deadline=None)
def test_decoders_raise_malformed_error_only(data: bytes) -> None:
    for decode in (decode_heartbeat, decode_acknowledgement):
        try:
            assert decode(data) is not None
        except MalformedError as error:
            assert str(error)


class Wire:
    """Two nodes that restart at will on a network that keeps, reorders and plays back whatever was ever said."""

    def __init__(self) -> None:
        self.lives = [0, 0]
        self.links = [make_link(node, f"{node} life 0") for node in (0, 1)]
        self.sequences = [0, 0]
        self.recorded: list[list[bytes]] = [[], []]
        self.lives_when_said: dict[bytes, tuple[int, int]] = {}
        self.heard: set[tuple[int, int, bytes]] = set()

    def say(self, node: int, datagram: bytes) -> None:
        """Record what ``node`` sends."""
        self.recorded[node].append(datagram)
        self.lives_when_said[datagram] = (self.lives[0], self.lives[1])

    def send(self, node: int, path: int) -> bytes:
        """A heartbeat and an acknowledgement on one path; the heartbeat."""
        self.sequences[node] += 1
        datagram = self.links[node].heartbeat(path, self.sequences[node], heartbeat())
        self.say(node, datagram)
        self.say(node, self.links[node].acknowledgement(path, Acknowledgement(1, 2, 3)))
        return datagram

    def restart(self, node: int) -> None:
        """A new life."""
        self.lives[node] += 1
        self.links[node] = make_link(node, f"{node} life {self.lives[node]}")
        self.sequences[node] = 0

    def deliver(self, node: int, datagram: bytes) -> Received:
        """Hand a recorded datagram to ``node`` and check what it makes of it."""
        received = self.links[node].receive(datagram[PATH_AT], datagram)
        if isinstance(received, Answer):
            self.say(node, received.datagram)
        if isinstance(received, HeartbeatHeard | AcknowledgementHeard | Admitted):
            # Whatever counts was said in the listener's present life, and counts once.
            assert self.lives_when_said[datagram][node] == self.lives[node]
            assert (node, self.lives[node], datagram) not in self.heard
            self.heard.add((node, self.lives[node], datagram))
        return received

    def converge(self, node: int) -> bool:
        """``node`` hears the living peer after at most eight heartbeats, whatever happened before."""
        for _ in range(8):
            received = self.deliver(node, self.send(1 - node, 0))
            if isinstance(received, HeartbeatHeard):
                return True
            if isinstance(received, Answer):
                proof = self.deliver(1 - node, received.datagram)
                if isinstance(proof, Answer):
                    self.deliver(node, proof.datagram)
        return False


STEPS = st.tuples(
    st.sampled_from(["send", "newest", "older", "older", "converge", "restart"]), st.integers(0, 1), st.integers(0, 40)
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=300, deadline=None)
def test_recordings_never_count_and_the_living_are_always_heard_again(steps: list[tuple[str, int, int]]) -> None:
    wire = Wire()
    for step, node, choice in steps:
        others = wire.recorded[1 - node]
        if step == "send":
            wire.send(node, choice % 2)
        elif step == "converge":
            assert wire.converge(node)
        elif step == "restart":
            wire.restart(node)
        elif others:
            wire.deliver(node, others[-1] if step == "newest" else others[choice % len(others)])
    assert wire.converge(0)
    assert wire.converge(1)
