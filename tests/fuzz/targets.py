"""What is fuzzed, each as a function of bytes that raises when something is wrong, with seeds from the tests' own data.

``make fuzz`` searches with them, guided by coverage (``guided``); ``test_targets`` runs every seed and every finding of the past.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError

import msgspec

from jsrpd.configuration import import_junos, import_keepalived
from jsrpd.configuration.candidate import EditFailed
from jsrpd.configuration.files import read_tree, written
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.junos import Node
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.configuration.render import text_of
from jsrpd.management import peer_messages, requests
from jsrpd.model.link_messages import GroupReport
from jsrpd.sessions import relay
from jsrpd.sessions.audit import Digests, decode_buckets
from jsrpd.sessions.ctnetlink import MalformedMessageError, mended, parts_of, tuple_of
from jsrpd.sessions.expectations import expectation_of, expected, master_request, no_longer_expected, split
from jsrpd.sessions.relay import counted_in_python, told_in_python
from jsrpd.wire.envelope import Header, Sealer, key_id
from jsrpd.wire.heartbeat import (
    MalformedError,
    decode_acknowledgement,
    decode_heartbeat,
    encode_acknowledgement,
    encode_heartbeat,
)
from jsrpd.wire.link import Dropped, HeartbeatHeard
from jsrpd.wire.management import GREETING, LENGTH, BrokenConnectionError, ManagementChannel, frame_length
from jsrpd.wire.neighbours import decode_neighbours
from jsrpd.wire.session import (
    CONTEXT,
    DATAGRAM_TYPE,
    NEWEST,
    VERSION,
    Kind,
    MalformedSessionError,
    RecordKind,
    SessionLink,
    SessionMessage,
    records,
    unpacked,
)
from jsrpd.wire.session import decode_acknowledgement as decode_session_acknowledgement
from tests.fuzz import http_targets
from tests.unit.configuration import test_import_junos, test_import_keepalived
from tests.unit.configuration.texts import SOUND
from tests.unit.sessions.test_ctnetlink import RECORDED
from tests.unit.sessions.test_relay import relay_of
from tests.unit.wire.nodes import KEY, admit, heartbeat, make_link, start_id
from tests.unit.wire.record import DIRECTORY as WIRE_RECORDINGS

GOLDEN = Path(__file__).parents[1] / "unit/configuration/golden"
EXAMPLE = Path(__file__).parents[2] / "docs/examples/two-nodes.conf"
OWNED = frozenset({1})
MAX_PIECES = 16


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` raises on a finding. ``longest``: input that is tried, bytes. ``words``: a dictionary for the search."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    longest: int = 4096
    words: tuple[bytes, ...] = ()


def pieces(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Two small numbers and some bytes each, out of a fuzzer's input: head, length in two bytes, content."""
    at, count = 0, 0
    while at + 4 <= len(data) and count < MAX_PIECES:
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4])
        yield data[at], data[at + 1], data[at + 4 : end]
        at, count = end, count + 1


def piece(one: int, other: int, content: bytes) -> bytes:
    """What ``pieces`` takes apart."""
    return bytes((one, other)) + len(content).to_bytes(2) + content


# -- heartbeats -------------------------------------------------------------------------------------------------------


def bodies(data: bytes) -> None:
    """Whatever is understood can be said again, and means the same."""
    try:
        understood = decode_heartbeat(data)
        assert all(isinstance(report, GroupReport) for report in understood.groups)
        assert decode_heartbeat(encode_heartbeat(understood)) == understood
    except MalformedError:
        pass
    try:
        acknowledged = decode_acknowledgement(data)
    except MalformedError:
        return
    assert decode_acknowledgement(encode_acknowledgement(acknowledged)) == acknowledged


def link(data: bytes) -> None:
    """Datagrams of anybody, of the peer and of strangers who hold the key: the living peer is heard as before."""
    a, b = make_link(0, "a"), make_link(1, "b")
    admit(a, b)
    for sequence, (how, path, content) in enumerate(pieces(data), 100):
        kind, life = how >> 4, ("", "b", "stranger", f"stranger {sequence % 8}")[how & 3]
        datagram = _sealed(life, kind, path, sequence << 32, content) if life else content
        received = a.receive(path, datagram)
        assert life == "b" or not isinstance(received, HeartbeatHeard), "a stranger was heard"
        if not life and content[:4] != b"JSRP":
            assert isinstance(received, Dropped)
        a.overhear(path, datagram)
    # Its own numbers may have been used up in its name: a new life is admitted then.
    after = make_link(1, "b after")
    admit(a, after)
    assert isinstance(a.receive(0, after.heartbeat(0, 2, heartbeat())), HeartbeatHeard)


def _sealed(life: str, kind: int, path: int, sequence: int, content: bytes) -> bytes:
    header = Header(1, 1, 1, kind, 1, 1, path, key_id(KEY), start_id(life), sequence)
    return Sealer(KEY, start_id(life)).seal(header, content)


def wire_recordings() -> list[tuple[int, bytes]]:
    """Path and bytes of each datagram that some release has said."""
    lines = [json.loads(line) for path in sorted(WIRE_RECORDINGS.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [(line["path"], bytes.fromhex(line["datagram"])) for line in lines]


def recorded_bodies() -> Iterator[bytes]:
    """What is inside of the datagrams of two nodes."""
    yield encode_heartbeat(heartbeat())
    for said in (node_says(life) for life in ("a", "b")):
        yield from said


def node_says(life: str) -> Iterator[bytes]:
    """A heartbeat with every field used."""
    yield encode_heartbeat(heartbeat(software_version=life * 30, interfaces_up=1 << 100, paths_heard=0xFFFF, stopped=True))


def recorded_links() -> Iterator[bytes]:
    """A conversation, and what a peer or a stranger might say."""
    yield b"".join(piece(0, path, datagram) for path, datagram in wire_recordings()[:MAX_PIECES])
    body = encode_heartbeat(heartbeat())
    yield b"".join(piece(kind << 4 | life, 0, body) for kind in range(1, 6) for life in (1, 2, 3))


# -- the session link -------------------------------------------------------------------------------------------------


def session(data: bytes) -> None:
    """What an authentic peer may say to the session process: taken apart, or refused as its reader expects."""
    listener = SessionLink(1, 0, KEY, start_id("a"))
    for sequence, (how, path, content) in enumerate(pieces(data), 1):
        if how & 1:
            header = Header(VERSION, VERSION, NEWEST, DATAGRAM_TYPE, 1, 1, path, key_id(KEY), start_id("b"), sequence)
            content = Sealer(KEY, start_id("b"), CONTEXT).seal(header, content)
        opened = listener.open(path, content)
        if opened is not None:
            _session_message(opened.message)


def _session_message(message: SessionMessage) -> None:
    try:
        if message.kind == Kind.DATA:
            for kind, content in records(unpacked(message.body)):
                record(kind, content)
        else:
            decode_session_acknowledgement(message.body)
    except (MalformedSessionError, MalformedMessageError, StructError, ValueError):
        pass  # As the session process takes them (processes.sessions): counted, and everything is told anew.


def record(kind: RecordKind, content: bytes) -> None:
    """One record, as far as it can be taken without a kernel."""
    match kind:
        case RecordKind.CONNECTIONS:
            counted(content)
            for one, _ in split(content):
                assert mended(one, 17) is not None
                tuple_of(parts_of(one)[1])
        case RecordKind.EXPECTATIONS:
            for one, expects in split(content):
                if expects:
                    parts = expectation_of(one)
                    assert master_request(one, parts)
                    assert expected(one, parts)
                    assert no_longer_expected(one, parts)
        case RecordKind.DIGESTS:
            Digests.decode(content)
        case RecordKind.NEIGHBOURS:
            decode_neighbours(content)
        case _:
            decode_buckets(content)


def counted(content: bytes) -> None:
    """The loop in C says what the one in Python says, a refusal included."""
    loops = [counted_in_python] + ([relay.compiled.counted] if relay.compiled else [])
    said = []
    for loop in loops:
        try:
            said.append(loop(content))
        except ValueError:
            said.append([])
    assert all(one == said[0] for one in said), said
    if not said[0] and content:
        raise ValueError("not connections")


def recorded_sessions() -> Iterator[bytes]:
    """Datagrams with each kind of record."""
    events = b"".join(event for kept in list(RECORDED.values())[:3] for event in kept)
    contents = [events, bytes(8), bytes(21), bytes(21), bytes(1024), b"\0\4\2\0\0\0\0\1" + bytes(4), events]
    body = b"".join(bytes((kind,)) + len(content).to_bytes(4) + content for kind, content in zip(RecordKind, contents, strict=True))
    for kind, inside in ((Kind.HELLO, bytes(9)), (Kind.DATA, b"\0" + body), (Kind.ACKNOWLEDGEMENT, bytes(25))):
        yield piece(1, 4, bytes((kind,)) + bytes(12) + inside)


def events(data: bytes) -> None:
    """What a kernel says of connections: both loops tell the peer the same of it."""
    said = []
    messages = [content for _, _, content in pieces(data)]
    for loop in [told_in_python] + ([relay.compiled.told] if relay.compiled else []):
        one = relay_of(loop)
        said.append((one.told(messages, OWNED), dict(one.sent)))
    assert all(one == said[0] for one in said), said


def recorded_events() -> Iterator[bytes]:
    """What Linux has said."""
    for kept in RECORDED.values():
        yield b"".join(piece(0, 0, event) for event in kept)


# -- the management connection ------------------------------------------------------------------------------------------


def management(data: bytes) -> None:
    """Greetings and frames of anybody, messages of the peer, questions of a user."""
    for how, _, content in pieces(data):
        listener, peer = (ManagementChannel(1, node, KEY, bytes((node,)) * 16) for node in (0, 1))
        try:
            if how % 4 == 0:
                listener.greeted(content[: GREETING.size].ljust(GREETING.size, b"\0"))
            listener.greeted(peer.greeting())
            if how % 4 == 1:
                frame_length(content[: LENGTH.size].ljust(LENGTH.size, b"\0"))
                listener.open(content)
            peer.greeted(listener.greeting())
            for frame in peer.seal(content):
                message = listener.open(frame[LENGTH.size :])
                assert message == content
        except BrokenConnectionError:
            assert how % 4 < 2
        with contextlib.suppress(msgspec.DecodeError):
            peer_messages.decode(content) if how % 4 == 2 else requests.decode_request(content)


def recorded_management() -> Iterator[bytes]:
    """Something of each."""
    channel = ManagementChannel(1, 1, KEY, bytes(16))
    asked = peer_messages.encode(peer_messages.Envelope(1, False, peer_messages.Prepare(SOUND, "root")))
    yield piece(0, 0, channel.greeting()) + piece(1, 0, bytes(40)) + piece(2, 0, asked)
    for request in (requests.ShowStatus(), requests.Failover(1, 0)):
        yield piece(3, 0, requests.encode(request))


# -- configuration ------------------------------------------------------------------------------------------------------

FORMS = ("jsrpd.conf", "jsrpd.yaml", "jsrpd.json")


def configuration(data: bytes) -> None:
    """A file in one of its forms: the same outcome on both nodes, and what can be edited survives being written."""
    name, text = FORMS[data[0] % len(FORMS)] if data else FORMS[0], data[1:].decode(errors="replace")
    assert _outcome(text, name, 0) == _outcome(text, name, 1)
    try:
        tree = read_tree(text, name)
    except EditFailed:
        return
    native = text_of(tree)
    assert text_of(read_tree(native, FORMS[0])) == native
    for form in FORMS:
        assert _values(read_tree(written(native, form), form)) == _values(tree), form


def _values(tree: Node) -> str:
    """Without comments, whose places the forms may differ in."""
    return "\n".join(sorted(_lines(tree, ())))


def _lines(node: Node, above: tuple[str, ...]) -> Iterator[str]:
    for text, child in node.children.items():
        yield repr((*above, text, child.inactive))
        yield from _lines(child, (*above, text))


def _outcome(text: str, name: str, node: int) -> str:
    try:
        load(text, Identity(7, node), name)
    except ConfigurationError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in error.problems)
        return str(error)
    return ""


def imports(data: bytes) -> None:
    """Files of others: a configuration of ours that can be read, or the reason."""
    how, text = data[0] % 4 if data else 0, data[1:].decode(errors="replace")
    try:
        match how:
            case 0:
                made, remarks = import_junos.imported(text, "theirs")
            case 1:
                import_junos.read_names(text)
                return
            case 2:
                made, remarks = import_keepalived.imported([("theirs", text)])
            case _:
                one, _, other = text.partition("\f")
                made, remarks = import_keepalived.imported([("one", one), ("other", other)])
    except ValueError as error:
        assert str(error)
        return
    try:
        assert text_of(read_tree(made, FORMS[0])) == made
    except EditFailed:
        assert any(remark.startswith("to be mended") for remark in remarks)


def recorded_configurations() -> Iterator[bytes]:
    """Sound ones and bad ones, in each form."""
    example = EXAMPLE.read_text()
    for text in (SOUND, example):
        for number, form in enumerate(FORMS):
            yield bytes((number,)) + written(text_of(read_tree(text, FORMS[0])), form).encode()
    yield b"\0" + (GOLDEN / "bad.conf").read_bytes()
    yield b"\1chassis: &a {cluster: *a}\n"


def recorded_imports() -> Iterator[bytes]:
    """Configurations of an SRX and of keepalived."""
    yield b"\0" + test_import_junos.BRACES.encode()
    yield b"\0" + test_import_junos.SET.encode()
    cluster = b"<chassis><cluster><reth-count>2</reth-count></cluster></chassis>"
    yield b"\0<rpc-reply><configuration>%b</configuration></rpc-reply>" % cluster
    yield b"\1ge-0/0/1 lan\n# nothing\n"
    router = test_import_keepalived.router
    one, other = router(150, "10.0.0.1", "10.0.0.2", "MASTER"), router(100, "10.0.0.2", "10.0.0.1", "BACKUP")
    yield b"\2" + one.encode()
    yield b"\3" + f"{one}\f{other}".encode()


def words_of(*texts: str) -> tuple[bytes, ...]:
    """What a search puts together: the words of some texts."""
    found = {word.strip('{};[]"') for text in texts for word in text.split()}
    return tuple(sorted(word.encode() for word in found if 1 < len(word) < 40))


TARGETS = {
    "bodies": Target(bodies, recorded_bodies, 2048),
    "link": Target(link, recorded_links),
    "session": Target(session, recorded_sessions, 8192),
    "events": Target(events, recorded_events),
    "management": Target(management, recorded_management),
    "configuration": Target(configuration, recorded_configurations, 4096, words_of(SOUND, EXAMPLE.read_text())),
    "imports": Target(
        imports, recorded_imports, 4096, words_of(test_import_junos.BRACES, test_import_keepalived.router(1, "", "", ""))
    ),
    "scrape": Target(http_targets.scrape, http_targets.scrape_seeds, 9000, http_targets.WORDS),
    "rest": Target(http_targets.rest, http_targets.rest_seeds, 20_000, http_targets.WORDS),
}
