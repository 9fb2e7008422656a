"""The management socket's lines and the engine's datagrams: what goes in comes out, anything else is a DecodeError."""

import msgspec
import pytest

from jsrpd.management import children, engine_link, requests
from jsrpd.management.requests import (
    ClearFailoverCount,
    ClearPreemptCount,
    Failover,
    FailoverReset,
    Maintenance,
    Rejoin,
    Reply,
    ShowStatus,
)
from jsrpd.model.configuration import ClusterConfiguration, SyslogHost
from jsrpd.model.status import GroupStatus
from tests.unit.management.daemon import cluster, lost, row

PEER_LOST = cluster(GroupStatus(1, 3, (row(0, 200, "primary"), lost(1))), drops={"replayed": 3}, notices=("one",))


@pytest.mark.parametrize(
    "request_",
    [
        ShowStatus(),
        Failover(0, 0),
        Failover(128, 1),
        FailoverReset(),
        FailoverReset(5),
        ClearFailoverCount(),
        ClearPreemptCount(),
        Maintenance(True),
        Rejoin(),
    ],
)
def test_requests(request_: requests.Request) -> None:
    line = requests.encode(request_)
    assert line.endswith(b"}\n")
    assert requests.decode_request(line) == request_


@pytest.mark.parametrize("reply", [Reply(False, "no"), Reply(True, "a\nb", 1), Reply(True, node=0, status=PEER_LOST)])
def test_replies_are_one_line(reply: Reply) -> None:
    line = requests.encode(reply)
    assert line.count(b"\n") == 1
    assert requests.decode_reply(line) == reply


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"null\n",
        b"\xff\xfe\n",
        b'{"type":"shutdown"}\n',
        b'{"type":"failover","group":1}\n',
        b'{"type":"failover","group":"1","node":1}\n',
        b'{"type":"failover","group":1.5,"node":1}\n',
        b'{"type":"failover","group":129,"node":1}\n',
        b'{"type":"failover","group":-1,"node":1}\n',
        b'{"type":"failover","group":1,"node":7}\n',
        b'{"type":"failover-reset","group":129}\n',
        b'{"type":"show-status"} {"type":"show-status"}\n',
        b'{"type":"show-status","x":' + b"[" * 60_000 + b"\n",
        b'{"type":"\xed\xa0\x80"}\n',
    ],
    ids=lambda line: line[:50].decode("latin-1").strip(),
)
def test_anything_else_is_no_request(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        requests.decode_request(line)


@pytest.mark.parametrize(
    "message",
    [
        engine_link.StatusRequested(1),
        engine_link.FailoverCommanded(2, 128, 1),
        engine_link.FailoverCommanded(2, 128, 1, "root"),
        engine_link.FailoverResetCommanded(3, None, "root"),
        engine_link.FailoverCountsCleared(4, "uid 1000"),
        engine_link.StateRequested(6),
        engine_link.StateReported(6, 2**40, -(2**40), b"state"),
        engine_link.CheckpointWanted(),
        engine_link.JournalClosed(bytes(range(256))),
        engine_link.StatusReported(5, PEER_LOST),
        engine_link.CommandReplied(2**62, False, "no"),
    ],
)
def test_questions_to_the_engine(message: engine_link.Message) -> None:
    assert engine_link.decode(engine_link.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        children.ConfigurationLoaded(ClusterConfiguration(7, 1, syslog_hosts=(SyslogHost("192.0.2.9"),))),
        children.RoleChanged(1, True, 2**40),
        children.DataPlaneReady(),
        children.DataPlaneFailed("reth0"),
        children.Repaired("route"),
        children.Notice("text"),
    ],
)
def test_messages_between_the_children(message: children.Message) -> None:
    assert children.decode(children.encode(message)) == message


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x81\xa4type\xa1X", b"garbage"])
def test_garbage_between_processes(data: bytes) -> None:
    for decode in (engine_link.decode, children.decode):
        with pytest.raises(msgspec.DecodeError):
            decode(data)
