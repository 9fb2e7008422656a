"""A rehearsed failover against a cluster played by the test: complete, refused, given up half-way, and what was seen."""

from collections.abc import Callable

import pytest

from jsrpd.cli.commands import CommandFailed
from jsrpd.cli.drill import NOBODY, Drill, Surroundings, run, seen, unfit
from jsrpd.management.requests import AskPeer, Failover, FailoverReset, ReadEvents, Reply, Request, ShowStatus, WatchGateway
from jsrpd.model.journal import EventKind, JournalEvent, encode_events
from jsrpd.model.roles import FailureCode
from jsrpd.model.status import ClusterStatus, GroupStatus, LinkStatus, SessionStatus
from jsrpd.model.survey import GatewayWatch, encode_watches
from tests.unit.management.daemon import IF, cluster, lost, row

MS = 1_000_000
EPOCH = 1_700_000_000_000_000_000


class Cluster:
    """Two nodes; the group follows what is ordered. ``now``: s. ``gap_ms``: how long nobody answers at a move."""

    def __init__(self, gap_ms: float = 0.0) -> None:
        self.owner, self.manual, self.now, self.gap_ms = 0, False, 0.0, gap_ms
        self.moved_at: dict[int, int] = {}
        self.asked: list[Request] = []
        self.said: list[str] = []
        self.before_failover: Callable[[Failover], None] = lambda _request: None
        self.spoiled: dict[str, object] = {}
        self.journal = True

    @property
    def wall(self) -> int:
        return EPOCH + round(self.now * 1e9)

    def around(self) -> Surroundings:
        def sleep(seconds: float) -> None:
            self.now += seconds

        return Surroundings(self.ask, lambda: self.now, lambda: self.wall, sleep, self.said.append)

    def status(self) -> ClusterStatus:
        priorities = (200, 100)
        rows = [
            row(node, priorities[node], "primary" if node == self.owner else "secondary", manual=self.manual) for node in (0, 1)
        ]
        return cluster(GroupStatus(1, 1, (rows[0], rows[1])), **self.spoiled)

    def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        match request:
            case ShowStatus():
                return Reply(True, status=self.status())
            case FailoverReset():
                self.manual = False
            case Failover(_, node):
                self.before_failover(request)
                self.owner, self.manual = node, True
                self.now += 0.005
                self.moved_at[node] = self.wall
            case AskPeer(inner):
                return self._answer(1, inner)
            case ReadEvents() | WatchGateway():
                return self._answer(0, request)
        return Reply(True)

    def _answer(self, node: int, request: Request) -> Reply:
        if isinstance(request, WatchGateway):
            # Times are filled in when the journal is read; here only that there is something.
            self.watching = node
            return Reply(True, watches=encode_watches((GatewayWatch("reth0", "10.1.0.1", (1,), (1,)),)))
        moved = [
            JournalEvent(at, n, EventKind.TRANSITION, "x", (1,), values={"new-state": "primary"}) for n, at in self.moved_at.items()
        ]
        return Reply(True, events=encode_events(tuple(moved) if self.journal else ()))


def test_there_and_back() -> None:
    played = Cluster()
    drill = Drill(1, played.around())
    assert drill.check() == 0
    assert drill.run(0).startswith("The drill of redundancy group 1 is complete: node0 owns it again")
    assert [request for request in played.asked if isinstance(request, Failover)] == [Failover(1, 1), Failover(1, 0)]
    assert (played.owner, played.manual) == (0, False)
    assert played.said[0].startswith("node1 owns redundancy group 1, 5 ms after the request\n  10.1.0.1 (reth0)")
    watches = [request for request in played.asked if isinstance(request, (AskPeer, WatchGateway))]
    assert isinstance(watches[0], AskPeer), "the node that becomes owner watches the other"
    assert isinstance(watches[2], WatchGateway)


def test_it_begins_on_the_other_node_as_well() -> None:
    played = Cluster()
    played.owner = 1
    drill = Drill(1, played.around())
    assert drill.run(drill.check()).startswith("The drill of redundancy group 1 is complete: node1")


SESSIONS = SessionStatus(True, False, True, "")
GROUP = GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 100, "secondary")))


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (cluster(GroupStatus(2, 1, GROUP.nodes)), "redundancy group 1 is not configured"),
        (cluster(GroupStatus(1, 1, (row(0, 200, "primary"), lost(1)))), "node1 is lost"),
        (cluster(GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 0, "ineligible")))), "node1 is ineligible"),
        (cluster(GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 0, "secondary")))), "node1 is not fit"),
        (cluster(GroupStatus(1, 1, (row(0, 200, "primary"), row(1, 100, "secondary", failures=IF)))), "node1 has failures: IF"),
        (
            cluster(GroupStatus(1, 1, (row(0, 200, "primary", failures=1 << FailureCode.CS.value), row(1, 100, "secondary")))),
            "node0 has failures",
        ),
        (cluster(GroupStatus(1, 1, (row(0, 200, "secondary"), row(1, 100, "secondary")))), "not primary on one node"),
        (
            cluster(GroupStatus(1, 1, (row(0, 200, "primary", manual=True), row(1, 100, "secondary")))),
            "a manual failover is in force",
        ),
        (cluster(GROUP, control_links=(LinkStatus(0, "ctl0", False, "no heartbeat"),)), "no control link is up"),
        (cluster(GROUP, fabric_up=False), "no fabric link is up"),
        (cluster(GROUP, sessions=SESSIONS), "session processes"),
    ],
)
def test_nothing_moves_when_a_node_is_not_fit(status: ClusterStatus, problem: str) -> None:
    assert [one for one in unfit(status, 1) if problem in one] != []
    played = Cluster()
    asked: list[Request] = []

    def ask(request: Request) -> Reply:
        asked.append(request)
        return Reply(True, status=status)

    around = played.around()
    drill = Drill(1, Surroundings(ask, around.clock, around.wall_ns, around.sleep, around.say))
    with pytest.raises(CommandFailed, match="nothing has moved"):
        drill.check()
    assert asked == [ShowStatus()]


def test_fit() -> None:
    assert unfit(cluster(GROUP), 1) == []
    assert unfit(cluster(GROUP, fabric_up=False, fabric_interfaces=()), 1) == []


def test_refused_on_the_way_back() -> None:
    played = Cluster()
    drill = Drill(1, played.around())
    drill.check()

    def refuse(request: Failover) -> None:
        if request.node == 0:
            raise CommandFailed("error: node0 is not fit")

    played.before_failover = refuse
    with pytest.raises(CommandFailed, match="error: node0 is not fit") as failed:
        drill.run(0)
    assert "is on node1; bring it back with: request chassis cluster failover reset redundancy-group 1, then" in str(failed.value)


def test_refused_at_once() -> None:
    played = Cluster()
    drill = Drill(1, played.around())
    drill.check()

    def refuse(_request: Failover) -> None:
        raise CommandFailed("error: no")

    played.before_failover = refuse
    with pytest.raises(CommandFailed, match="is on node0, where it was"):
        drill.run(0)


def test_interrupted() -> None:
    played = Cluster()
    drill = Drill(1, played.around())
    drill.check()

    def interrupt(request: Failover) -> None:
        if request.node == 0:
            raise KeyboardInterrupt

    played.before_failover = interrupt
    with pytest.raises(CommandFailed, match="interrupted\nredundancy group 1 is on node1"):
        drill.run(0)


def test_a_node_that_does_not_get_ready() -> None:
    played = Cluster()
    drill = Drill(1, played.around())
    drill.check()
    played.before_failover = lambda _request: played.spoiled.update(fabric_up=False)
    with pytest.raises(CommandFailed, match="waited 60 s in vain for the node that handed over to be fit again"):
        drill.run(0)


def test_a_group_that_moved_back_by_itself() -> None:
    """Preemption, as soon as the mark of the manual failover is gone."""
    played = Cluster()
    drill = Drill(1, played.around())
    plain = played.ask

    def ask(request: Request) -> Reply:
        if isinstance(request, FailoverReset) and played.owner == 1:
            played.owner = 0
        return plain(request)

    drill.around = Surroundings(ask, *(getattr(drill.around, name) for name in ("clock", "wall_ns", "sleep", "say")))
    drill.check()
    assert "is complete: node0" in drill.run(0)
    assert "moved by itself: preempt" in "".join(played.said)


def test_a_journal_that_does_not_tell() -> None:
    played = Cluster()
    played.journal = False
    drill = Drill(1, played.around())
    drill.check()
    drill.run(0)
    assert "not measured: the journal of node1 does not tell" in "".join(played.said)


def watch(*answered_ms: float, asked: int = 10, problem: str = "") -> GatewayWatch:
    return GatewayWatch(
        "reth0", "10.1.0.1", tuple(n * 2 * MS for n in range(asked)), tuple(round(at * MS) for at in answered_ms), problem
    )


def test_what_the_segments_saw() -> None:
    opened = 20 * MS
    assert "answered without a gap: 3 answers, the last 1.5 ms before" in seen(watch(14, 16, 18.5), opened)
    assert "unanswered for 10.0 ms: 4 of 10 questions" in seen(watch(6, 8, 10), opened)
    assert "answered without a gap: 1 answers" in seen(watch(18, 30), opened), "what came later is the new owner's time"
    assert "the former owner did not answer" in seen(watch(), opened)
    assert "the former owner did not answer" in seen(watch(1, asked=0), opened)
    assert "not measured: Network is down" in seen(watch(problem="Network is down"), opened)


def test_nobody_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jsrpd.cli.drill.ask", lambda _request, _timeout: Reply(True, status=cluster(GROUP)))
    with pytest.raises(CommandFailed, match=NOBODY):
        run(1, confirm=True)
