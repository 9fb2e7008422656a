"""One production ``Cluster`` on a stage: the test plays the clock and the peer, word by word."""

from jsrpd.core.actions import Action, ChangeRole, Log, SendHeartbeat, StoreLease
from jsrpd.core.cluster import Cluster
from jsrpd.core.events import Event, HeartbeatReceived, SocketsDrained
from jsrpd.core.lease import AdoptedLease
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import ClusterConfiguration, ControlLink, FabricLink, GroupConfiguration
from jsrpd.model.link_messages import GroupReport, Heartbeat, PathId, PeerRequest
from jsrpd.model.roles import GroupState, RedundancyMode
from jsrpd.model.time import MILLISECOND, SECOND, Duration

OURS, THEIRS = 1, 2
"""Incarnations."""
START = 1000 * SECOND
CONFIGURATION = ClusterConfiguration(
    cluster_id=1,
    node_id=0,
    control_links=(ControlLink(0, "ctl0"),),
    fabric_links=(FabricLink(0, "fab", "fab"),),
    # The peer of these tests speaks on the control link only.
    fabric_monitoring=False,
    groups=(GroupConfiguration(0, (200, 100)), GroupConfiguration(1, (200, 100)), GroupConfiguration(2, (100, 200))),
    digest=b"same on ",
)


def heartbeat(**changes: object) -> Heartbeat:
    """What a peer with the same configuration says, of no group."""
    fields: dict[str, object] = {
        "mode": RedundancyMode.ACTIVE_ACTIVE,
        "software_version": "",
        "interval_ms": 100,
        "threshold": 5,
        "configuration_digest": CONFIGURATION.digest,
        "echo_incarnation": OURS,
        "echo_sequence": 0,
        "paths_heard": 1,
        "interfaces_up": 0,
        "groups": (),
    }
    return Heartbeat(**(fields | changes))  # type: ignore[arg-type]


class Stage:
    """``turn`` ends a turn of the loop; ``hear`` is a heartbeat of the peer that echoes what we sent last."""

    def __init__(self, configuration: ClusterConfiguration = CONFIGURATION, adopted: tuple[AdoptedLease, ...] = ()) -> None:
        self.now = START
        self.cluster = Cluster(configuration, START, OURS, adopted)
        self.sequence = 0

    def tell(self, event: Event) -> None:
        """Something else happens."""
        assert self.cluster.handle(self.now, event) == []

    def hear(
        self,
        *reports: GroupReport,
        path: PathId = 0,
        requests: tuple[PeerRequest, ...] = (),
        echo_sequence: int | None = None,
        **changes: object,
    ) -> None:
        """The peer's next heartbeat."""
        self.sequence += 1
        echo = self.cluster.sent.newest if echo_sequence is None else echo_sequence
        word = heartbeat(groups=reports, requests=requests, echo_sequence=echo, **changes)
        self.tell(HeartbeatReceived(path, THEIRS, self.sequence, self.now, word))

    def turn(self, after: Duration = MILLISECOND) -> list[Action]:
        """Time passes, and the loop comes round."""
        self.now += after
        return self.cluster.handle(self.now, SocketsDrained(self.now))

    def live(self, duration: Duration, *reports: GroupReport) -> list[Action]:
        """The peer says the same every 20 ms."""
        actions: list[Action] = []
        for _ in range(duration // (20 * MILLISECOND)):
            self.hear(*reports)
            actions += self.turn(20 * MILLISECOND)
        return actions

    def be_silent(self, duration: Duration) -> list[Action]:
        """Nothing is heard."""
        actions: list[Action] = []
        for _ in range(duration // (20 * MILLISECOND)):
            actions += self.turn(20 * MILLISECOND)
        return actions

    def states(self) -> dict[int, GroupState]:
        """State of each group."""
        return {number: group.state for number, group in self.cluster.groups.items()}


def said(actions: list[Action]) -> list[str]:
    """Texts logged."""
    return [render_text(action.message) for action in actions if isinstance(action, Log)]


def roles(actions: list[Action]) -> list[tuple[int, GroupState]]:
    """Role changes ordered."""
    return [(action.group, action.state) for action in actions if isinstance(action, ChangeRole)]


def stored(actions: list[Action], group: int) -> list[StoreLease]:
    """Stores of a group's slot."""
    return [action for action in actions if isinstance(action, StoreLease) and action.group == group]


def spoken(actions: list[Action]) -> list[Heartbeat]:
    """Heartbeats sent."""
    return [action.heartbeat for action in actions if isinstance(action, SendHeartbeat)]
