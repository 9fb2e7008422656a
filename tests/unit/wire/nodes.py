"""Two nodes for the tests of the wire: links with readable start ids, sample messages, and strategies for any message."""

import hashlib
from collections.abc import Callable

from hypothesis import strategies as st

from jsrpd.model.link_messages import Acknowledgement, GroupReport, Heartbeat, PathId, PeerRequest, RequestKind
from jsrpd.model.roles import GroupState, RedundancyMode
from jsrpd.wire.link import Admitted, Answer, Link

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))


def start_id(life: str) -> bytes:
    """16 bytes named by a word."""
    return hashlib.sha256(life.encode()).digest()[:16]


def repeatable_random(life: str) -> Callable[[int], bytes]:
    """A source of bytes that never repeats and differs between lives."""
    calls = 0

    def random_bytes(length: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.sha256(f"{life} {calls}".encode()).digest()[:length]

    return random_bytes


def make_link(node: int, life: str, *, key: bytes = KEY, cluster: int = 1, versions: tuple[int, int] = (1, 1)) -> Link:
    """One life of one node."""
    return Link(cluster, node, key, start_id=start_id(life), random_bytes=repeatable_random(life), versions=versions)


def report(group: int, **changes: object) -> GroupReport:
    """A healthy primary's line."""
    fields: dict[str, object] = {
        "group": group,
        "state": GroupState.PRIMARY,
        "configured_priority": 200,
        "effective_priority": 200,
        "weight": 255,
        "failures": 0,
        "manual": False,
        "gate_open": True,
        "generation": 7,
    }
    return GroupReport(**(fields | changes))  # type: ignore[arg-type]


def heartbeat(**changes: object) -> Heartbeat:
    """What a healthy node with one group says."""
    fields: dict[str, object] = {
        "mode": RedundancyMode.ACTIVE_ACTIVE,
        "software_version": "0.1.0",
        "interval_ms": 100,
        "threshold": 5,
        "configuration_digest": b"digest78",
        "echo_incarnation": 3,
        "echo_sequence": 4,
        "paths_heard": 0b11,
        "interfaces_up": 0b101,
        "groups": (report(0),),
    }
    return Heartbeat(**(fields | changes))  # type: ignore[arg-type]


def admit(listener: Link, speaker: Link, path: PathId = 0, sequence: int = 1) -> None:
    """``speaker`` sends its heartbeat ``sequence`` and proves to ``listener`` that it lives."""
    challenge = listener.receive(path, speaker.heartbeat(path, sequence, heartbeat()))
    assert isinstance(challenge, Answer)
    response = speaker.receive(path, challenge.datagram)
    assert isinstance(response, Answer)
    assert listener.receive(path, response.datagram) == Admitted(speaker.incarnation)


def _unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


@st.composite
def reports(draw: st.DrawFn, group: int) -> GroupReport:
    """Any line the format carries exactly."""
    configured = draw(st.integers(0, 254))
    return GroupReport(
        group=group,
        state=draw(st.sampled_from(GroupState)),
        configured_priority=configured,
        effective_priority=draw(st.sampled_from([0, configured, 255])),
        weight=draw(st.integers(-32768, 32767)),
        failures=draw(_unsigned(24)),
        manual=draw(st.booleans()),
        gate_open=draw(st.booleans()),
        generation=draw(_unsigned(24)),
    )


@st.composite
def heartbeats(draw: st.DrawFn) -> Heartbeat:
    """Any heartbeat the format carries exactly."""
    groups = sorted(draw(st.sets(st.integers(0, 128), max_size=6)))
    request = st.builds(PeerRequest, _unsigned(32), st.sampled_from(RequestKind), _unsigned(8), _unsigned(8))
    return Heartbeat(
        mode=draw(st.sampled_from(RedundancyMode)),
        software_version=draw(st.text(st.characters(codec="ascii"), max_size=32)),
        interval_ms=draw(st.integers(1, 65535)),
        threshold=draw(st.integers(1, 255)),
        configuration_digest=draw(st.binary(min_size=8, max_size=8)),
        echo_incarnation=draw(_unsigned(64)),
        echo_sequence=draw(_unsigned(64)),
        paths_heard=draw(_unsigned(16)),
        interfaces_up=draw(_unsigned(256)),
        groups=tuple(draw(reports(group)) for group in groups),
        requests=tuple(draw(st.lists(request, max_size=16))),
        stopped=draw(st.booleans()),
    )


def acknowledgements() -> st.SearchStrategy[Acknowledgement]:
    """Any acknowledgement."""
    return st.builds(Acknowledgement, _unsigned(64), _unsigned(64), _unsigned(129))
