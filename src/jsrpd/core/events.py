"""What can happen to a node, in the past tense. The only things the core ever learns.

Receptions only record; everything is judged when ``SocketsDrained`` ends the turn (LEASE 1).
"""

from typing import TypeAlias

import msgspec

from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.link_messages import Acknowledgement, Heartbeat, Incarnation, PathId
from jsrpd.model.roles import FailureCode
from jsrpd.model.time import Duration, Instant


class HeartbeatReceived(msgspec.Struct, frozen=True):
    """An authenticated, fresh, well-formed heartbeat of the configured peer. ``received_at``: read after recv returned."""

    path: PathId
    incarnation: Incarnation
    sequence: int
    received_at: Instant
    heartbeat: Heartbeat


class AcknowledgementReceived(msgspec.Struct, frozen=True):
    """The peer echoed a heartbeat of ours at once. Counts as heard."""

    path: PathId
    incarnation: Incarnation
    received_at: Instant
    acknowledgement: Acknowledgement


class StrangerHeard(msgspec.Struct, frozen=True):
    """A heartbeat under the cluster's key, of a life of the peer that has not proven that it lives: the challenge had no way there,
    or it is a recording. Its word does not count, but it may be about to own what it says, or it does already (decision 0061)."""

    path: PathId
    incarnation: Incarnation
    received_at: Instant
    primary_groups: int
    """Bit g set: it says that it is primary for group g."""
    echo_sequence: int
    """Which heartbeat of this life of ours it echoes; 0: it has not heard it."""
    dead: Duration = 0
    """The dead time it says that it has; 0: older journals do not tell."""


class SocketsDrained(msgspec.Struct, frozen=True):
    """Ends the turn: every socket was read empty. ``at``: clock read after the drain.

    ``woke_late_by``: how long after the asked-for deadline the turn began (0 when woken by input in time), ns.
    """

    at: Instant
    woke_late_by: int = 0


class MonitorFailed(msgspec.Struct, frozen=True):
    """An object watched for a group failed. ``name`` tells objects of one code apart (an interface name)."""

    group: int
    code: FailureCode
    name: str
    weight: int
    value: str = ""
    limit: str = ""
    """What was found, and what it was held against, with their units; for the operator."""


class MonitorRecovered(msgspec.Struct, frozen=True):
    """The object is well again."""

    group: int
    code: FailureCode
    name: str
    value: str = ""
    limit: str = ""


class WatchedInterfacesChanged(msgspec.Struct, frozen=True):
    """New state of this node's ``watched_interfaces``, one bit each. Interface monitors follow from it."""

    up: int


class FailoverRequested(msgspec.Struct, frozen=True):
    """The operator wants ``group`` primary on ``node``. Checked with ``Cluster.refuse_failover`` beforehand."""

    group: int
    node: int


class FailoverReset(msgspec.Struct, frozen=True):
    """The operator ends a manual failover."""

    group: int


class FailoverCountCleared(msgspec.Struct, frozen=True):
    """The operator set the failover counts of all groups to zero."""


class PreemptCountCleared(msgspec.Struct, frozen=True):
    """The operator lets a group preempt again that had reached its limit."""

    group: int


class RejoinRequested(msgspec.Struct, frozen=True):
    """The operator takes this disabled node back into the cluster. Checked with ``Cluster.refuse_rejoin`` beforehand."""


class MaintenanceSet(msgspec.Struct, frozen=True):
    """This node shall own nothing that the other can take, or may own again."""

    on: bool


class ConfigurationChanged(msgspec.Struct, frozen=True):
    """A new configuration was loaded; untouched groups see nothing."""

    configuration: ClusterConfiguration


class ServicesStopped(msgspec.Struct, frozen=True):
    """Answers ``StopServices``: none of the group's services runs here, or what does could not be stopped in its time."""

    group: int


class SessionLinkChanged(msgspec.Struct, frozen=True):
    """Whether the peer's session process is heard: only then does a planned hand-over wait for sessions."""

    up: bool


class SessionsDrained(msgspec.Struct, frozen=True):
    """Answers the newest ``DrainSessions``: the peer has every session this node had then."""


class ArbiterAnswered(msgspec.Struct, frozen=True):
    """A probed address answered the request that was sent at ``asked_at``, read before the send."""

    asked_at: Instant


class WitnessGranted(msgspec.Struct, frozen=True):
    """This node holds the witness's key until ``until`` at the least, and nobody else before that. In answer to
    ``AskWitness(True)``, never to one that was taken back."""

    until: Instant


class ShutdownRequested(msgspec.Struct, frozen=True):
    """SIGTERM, or the parent is gone: hand over what is primary, then ``Stopped``."""


Event: TypeAlias = (
    HeartbeatReceived
    | AcknowledgementReceived
    | StrangerHeard
    | SocketsDrained
    | MonitorFailed
    | MonitorRecovered
    | WatchedInterfacesChanged
    | FailoverRequested
    | FailoverReset
    | FailoverCountCleared
    | PreemptCountCleared
    | RejoinRequested
    | MaintenanceSet
    | ConfigurationChanged
    | ServicesStopped
    | SessionLinkChanged
    | SessionsDrained
    | ArbiterAnswered
    | WitnessGranted
    | ShutdownRequested
)
