"""What every display says in every state of a cluster: one golden file for each, read by eye as a session at a terminal.

The daemon is a stand-in that answers each question as a daemon in that state would; what no daemon is asked for (journal,
configuration) has tests of its own.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from jsrpd.cli.main import main
from jsrpd.cli.tree import ENTRIES
from jsrpd.management.requests import NOT_ENABLED, SOCKET_NAME, AskPeer, Reply, Request, decode_request, encode
from jsrpd.model.details import Details, Synchronization
from jsrpd.model.ip_monitoring import IpGroupStatus, IpTargetStatus
from jsrpd.model.journal import JournalEvent, encode_events
from jsrpd.model.status import ClusterStatus
from tests.unit.cli.test_structured_displays import CLUSTERS, PATHS, transition

GOLDEN = Path(__file__).parent / "golden"
NO_ANSWER = "error: node1 does not answer: no management connection"
SHOWN = (
    "status",
    "interfaces",
    "information",
    "information detail",
    "statistics",
    "control-plane statistics",
    "data-plane statistics",
    "data-plane interfaces",
    "control-interface status",
    "ip-monitoring status",
    "services",
)
OWN_JSON = ("status", "information", "information detail", "control-plane statistics", "ip-monitoring status", "services")
"""The other displays have the JSON of the status."""
COMMANDS = (
    *(f"show chassis cluster {words}{display}" for words in SHOWN for display in ("", " | display xml")),
    *(f"show chassis cluster {words} | display json" for words in OWN_JSON),
)
WORDS = {"GROUP": "1", "NODE": "0", "WHICH": "all", "ADDRESS": "192.0.2.1", "EVENTS": "node 1 lost", "NUMBER": "0"}
OF_NO_DAEMON = ("show chassis cluster events", "show configuration", "show cli", "show version", "show system api-tokens")
WITHOUT_A_CLUSTER = ("request chassis cluster key", "request system api-token", "request daemon restart", "show metrics")


@dataclass
class Daemon:
    """Of node 0; ``peer``: node 1 answers as well."""

    status: ClusterStatus
    peer: bool = True
    events: tuple[JournalEvent, ...] = ()
    asked: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        """To everything that displays ask."""
        self.asked.append(request)
        node = 1 if isinstance(request, AskPeer) else 0
        if node and not self.peer:
            return Reply(False, NO_ANSWER, 1)
        events = encode_events(tuple(event for event in self.events if event.node == node))
        target = IpTargetStatus("192.0.2.1", "reachable" if node else "unreachable", node, 100, "" if node else "no response")
        details = Details((), Synchronization(self.peer, "" if self.peer else "no answer", "", "commit 7 by root on node0"))
        return Reply(
            True,
            "",
            node,
            msgspec.structs.replace(self.status, node=node),
            (IpGroupStatus(1, 255, 100, 0, (target,)),),
            details=details,
            events=events,
        )


@contextlib.contextmanager
def answering(path: Path, answer: "Daemon | None") -> Iterator[None]:
    """None: the daemon of a node that is in no cluster."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as lines:
                        request = decode_request(lines.readline())
                        connection.sendall(encode(Reply(False, NOT_ENABLED) if answer is None else answer.answer(request)))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(autouse=True)
def path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of the daemon's socket; times of day do not depend on where the tests run."""
    directory = tmp_path_factory.mktemp("run")
    for variable in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY"):
        monkeypatch.setenv(variable, str(directory))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield directory / SOCKET_NAME
    time.tzset()


def transcript(name: str, capsys: pytest.CaptureFixture[str], path: Path) -> str:
    events = (
        transition(0, 0, "hold", "secondary", "Hold timer expired"),
        transition(1, 1, "hold", "secondary", "Hold timer expired"),
        transition(0, 2, "secondary", "primary", "Better priority (200/100)"),
    )
    status = msgspec.structs.replace(
        CLUSTERS[name], paths=PATHS, heartbeat_interval_ms=100, heartbeat_threshold=5, control_link_recovery="rejoin"
    )
    said = []
    with answering(path, Daemon(status, name != "peer-lost", events)):
        for command in COMMANDS:
            assert main(command.split()) == 0
            printed = capsys.readouterr()
            assert printed.err == ""
            said.append(f"operator@gw-a> {command}\n{printed.out}")
    return "\n".join(said)


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_display_in_every_state(name: str, capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert transcript(name, capsys, path) == (GOLDEN / f"state-{name}.txt").read_text()


def asking() -> list[str]:
    """Every command that shows, requests or clears something of the cluster, in its longest form."""
    forms = [entry.form.replace("[", "").replace("]", "") for entry in ENTRIES]
    offered = [form for form in forms if form.startswith(("show", "request", "clear")) and not form.startswith(OF_NO_DAEMON)]
    wanted = [form for form in offered if not form.startswith(WITHOUT_A_CLUSTER) and "drill redundancy-group GROUP no" not in form]
    return [" ".join(WORDS.get(word, word) for word in form.split()) for form in wanted]


@pytest.mark.parametrize("command", asking())
def test_on_a_node_in_no_cluster_all_say_so(command: str, capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """With the vendor's words, and nothing else (reference 7.1)."""
    with answering(path, None):
        assert main(command.split()) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{NOT_ENABLED}\n")
