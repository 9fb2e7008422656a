"""What can happen to a node, in the past tense. The only things the core ever learns.

Receptions only record; everything is judged when ``SocketsDrained`` ends the turn (LEASE 1).
"""

from dataclasses import dataclass
from typing import TypeAlias

from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import Instant


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    """An authenticated, fresh, well-formed heartbeat of the configured peer. ``received_at``: read after recv returned."""

    path: PathId
    incarnation: Incarnation
    sequence: int
    received_at: Instant
    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True)
class AcknowledgementReceived:
    """The peer echoed a heartbeat of ours at once. Counts as heard."""

    path: PathId
    incarnation: Incarnation
    received_at: Instant
    acknowledgement: Acknowledgement


@dataclass(frozen=True, slots=True)
class SocketsDrained:
    """Ends the turn: every socket was read empty. ``at``: clock read after the drain.

    ``woke_late_by``: how long after the asked-for deadline the turn began (0 when woken by input in time), ns.
    """

    at: Instant
    woke_late_by: int = 0


@dataclass(frozen=True, slots=True)
class MonitorFailed:
    """An object watched for a group failed. ``name`` tells objects of one code apart (an interface name)."""

    group: int
    code: FailureCode
    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class MonitorRecovered:
    """The object is well again."""

    group: int
    code: FailureCode
    name: str


@dataclass(frozen=True, slots=True)
class WatchedInterfacesChanged:
    """New state of this node's ``watched_interfaces``, one bit each. Interface monitors follow from it."""

    up: int


@dataclass(frozen=True, slots=True)
class FailoverRequested:
    """The operator wants ``group`` primary on ``node``. Checked with ``Cluster.refuse_failover`` beforehand."""

    group: int
    node: int


@dataclass(frozen=True, slots=True)
class FailoverReset:
    """The operator ends a manual failover."""

    group: int


@dataclass(frozen=True, slots=True)
class FailoverCountCleared:
    """The operator set the failover counts of all groups to zero."""


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """A new configuration was loaded; untouched groups see nothing."""

    configuration: ClusterConfiguration


@dataclass(frozen=True, slots=True)
class SessionLinkChanged:
    """Whether the peer's session process is heard: only then does a planned hand-over wait for sessions."""

    up: bool


@dataclass(frozen=True, slots=True)
class SessionsDrained:
    """Answers the newest ``DrainSessions``: the peer has every session this node had then."""


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """SIGTERM, or the parent is gone: hand over what is primary, then ``Stopped``."""


Event: TypeAlias = (
    HeartbeatReceived
    | AcknowledgementReceived
    | SocketsDrained
    | MonitorFailed
    | MonitorRecovered
    | WatchedInterfacesChanged
    | FailoverRequested
    | FailoverReset
    | FailoverCountCleared
    | ConfigurationChanged
    | SessionLinkChanged
    | SessionsDrained
    | ShutdownRequested
)
