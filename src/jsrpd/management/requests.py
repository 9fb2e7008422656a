"""What an operator's command and its answer look like on the management socket: one JSON object a line."""

from typing import Annotated, TypeVar

import msgspec

from jsrpd.model.explanation import GroupExplanation
from jsrpd.model.ip_monitoring import IpGroupStatus
from jsrpd.model.roles import MAX_GROUP, NODE_IDS
from jsrpd.model.status import ClusterStatus

T = TypeVar("T")
SOCKET_NAME = "jsrpd.sock"
MAX_LINE = 64 * 1024
MAX_REPLY = 16 * 1024 * 1024
PIECE_CHARACTERS = 8 * 1024
"""Of a candidate in one line, at most six bytes each in JSON."""
MAX_CONFIRM_MINUTES = 65535
NOT_ENABLED = "error: Chassis cluster is not enabled"

NOT_UNDERSTOOD = (
    f"error: request not understood: groups are 0..{MAX_GROUP}, nodes {NODE_IDS[0]}..{NODE_IDS[-1]}; "
    "jsrp and jsrpd must be of one version"
)
"""One sentence for every mistake a client of our own cannot make: ``jsrp`` checks what is typed."""

# Nothing outside the ranges reaches the engine.
Group = Annotated[int, msgspec.Meta(ge=0, le=MAX_GROUP)]
Node = Annotated[int, msgspec.Meta(ge=NODE_IDS[0], le=NODE_IDS[-1])]


class ShowStatus(msgspec.Struct, frozen=True, tag="show-status"):
    """Snapshot for every display."""


class ShowMetrics(msgspec.Struct, frozen=True, tag="show-metrics"):
    """``show metrics``: the text of ``/metrics``."""


class ShowState(msgspec.Struct, frozen=True, tag="show-state"):
    """All that the core holds, for what-if, which runs in the asking process on this copy."""


class Explain(msgspec.Struct, frozen=True, tag="explain"):
    """``show chassis cluster explain``, every group."""


class Failover(msgspec.Struct, frozen=True, tag="failover"):
    """``request chassis cluster failover redundancy-group GROUP node NODE``."""

    group: Group
    node: Node


class FailoverReset(msgspec.Struct, frozen=True, tag="failover-reset"):
    """``request chassis cluster failover reset [redundancy-group GROUP]``."""

    group: Group | None = None


class ClearFailoverCount(msgspec.Struct, frozen=True, tag="clear-failover-count"):
    """``clear chassis cluster failover-count``."""


class ClearServiceFailures(msgspec.Struct, frozen=True, tag="clear-service-failures"):
    """``clear chassis cluster service-failures [redundancy-group GROUP]``."""

    group: Group | None = None


class ClearPreemptCount(msgspec.Struct, frozen=True, tag="clear-preempt-count"):
    """``clear chassis cluster preempt-count [redundancy-group GROUP]``."""

    group: Group | None = None


class Maintenance(msgspec.Struct, frozen=True, tag="maintenance"):
    """``request chassis cluster maintenance (on | off)``."""

    on: bool


class Rejoin(msgspec.Struct, frozen=True, tag="rejoin"):
    """``request chassis cluster rejoin``."""


class RestartDaemon(msgspec.Struct, frozen=True, tag="restart-daemon"):
    """``request daemon restart``."""


class ShowIpMonitoring(msgspec.Struct, frozen=True, tag="show-ip-monitoring"):
    """``show chassis cluster ip-monitoring status [redundancy-group GROUP]``."""

    group: Group | None = None


class ClearIpFailureCounts(msgspec.Struct, frozen=True, tag="clear-ip-failure-counts"):
    """``clear chassis cluster ip-monitoring failure-count [ip-address ADDRESS]``; an empty address: all of them."""

    address: Annotated[str, msgspec.Meta(max_length=64)] = ""


class OpenConfiguration(msgspec.Struct, frozen=True, tag="open-configuration"):
    """What is there to be edited. ``exclusive``: for this connection alone, until it ends."""

    exclusive: bool = False


class CandidatePiece(msgspec.Struct, frozen=True, tag="candidate-piece"):
    """The next piece of a text that is to be committed by a later request of this connection. Not answered."""

    text: Annotated[str, msgspec.Meta(max_length=PIECE_CHARACTERS)]


class CommitCandidate(msgspec.Struct, frozen=True, tag="commit-candidate"):
    """Commit the pieces. ``base``: what ``OpenConfiguration`` said; ``check``: only say whether it could be."""

    base: Annotated[str, msgspec.Meta(max_length=64)]
    comment: Annotated[str, msgspec.Meta(max_length=512)] = ""
    confirm_minutes: Annotated[int, msgspec.Meta(ge=0, le=MAX_CONFIRM_MINUTES)] = 0
    check: bool = False


class ShowCommits(msgspec.Struct, frozen=True, tag="show-commits"):
    """``show system commit``."""


class ReadCommit(msgspec.Struct, frozen=True, tag="read-commit"):
    """The text of a past configuration; 0: the one in force."""

    number: Annotated[int, msgspec.Meta(ge=0, le=49)]


class SynchronizeConfiguration(msgspec.Struct, frozen=True, tag="synchronize-configuration"):
    """``request chassis cluster configuration-synchronize``."""


ConfigurationRequest = OpenConfiguration | CandidatePiece | CommitCandidate | ShowCommits | ReadCommit | SynchronizeConfiguration
CONFIGURATION_REQUESTS = (
    OpenConfiguration,
    CandidatePiece,
    CommitCandidate,
    ShowCommits,
    ReadCommit,
    SynchronizeConfiguration,
)
"""What the gateway answers by itself."""

Request = (
    ConfigurationRequest
    | ShowStatus
    | ShowMetrics
    | ShowState
    | Explain
    | ShowIpMonitoring
    | ClearIpFailureCounts
    | Failover
    | FailoverReset
    | ClearFailoverCount
    | ClearServiceFailures
    | ClearPreemptCount
    | Maintenance
    | Rejoin
    | RestartDaemon
)


class CoreState(msgspec.Struct, frozen=True):
    """``state`` as ``core.checkpoint`` encodes it, at ``now`` on the boot-time clock; wall clock = that + ``wall_offset``."""

    now: int
    wall_offset: int
    state: bytes


class ConfigurationTold(msgspec.Struct, frozen=True):
    """``text`` as it is in force, ``base`` names it; ``remarks`` for whoever begins to edit."""

    text: str
    base: str
    remarks: tuple[str, ...] = ()


class CommitLine(msgspec.Struct, frozen=True):
    """One commit as it is listed. ``note``: what is special about it. ``time``: seconds since 1970, 0: not known."""

    number: int
    sequence: int
    time: float
    author: str
    client: str
    node: int
    comment: str = ""
    note: str = ""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """``text`` for the operator; ``status`` and ``ip_monitoring`` for displays; ``node`` which node answered."""

    ok: bool
    text: str = ""
    node: int | None = None
    status: ClusterStatus | None = None
    ip_monitoring: tuple[IpGroupStatus, ...] | None = None
    core: CoreState | None = None
    explanations: tuple[GroupExplanation, ...] = ()
    configuration: ConfigurationTold | None = None
    commits: tuple[CommitLine, ...] = ()


_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_reply_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def encode(message: Request | Reply) -> bytes:
    """One line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """msgspec.DecodeError for anything else."""
    return _decode(_request_decoder, line)


def decode_reply(line: bytes) -> Reply:
    """msgspec.DecodeError for anything else."""
    return _decode(_reply_decoder, line)


def _decode(decoder: msgspec.json.Decoder[T], line: bytes) -> T:
    """The decoder lets deep nesting and bad UTF-8 through as errors of other kinds."""
    try:
        return decoder.decode(line)
    except (RecursionError, UnicodeError) as error:
        raise msgspec.DecodeError(str(error)) from error
