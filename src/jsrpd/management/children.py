"""Messages between parent, engine, kernel and session process: msgpack on SOCK_SEQPACKET, one message a datagram."""

import msgspec

from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.status import SessionStatus


class ConfigurationLoaded(msgspec.Struct, frozen=True, tag=True):
    """Parent to any child: run with this from now on."""

    configuration: ClusterConfiguration


class RoleChanged(msgspec.Struct, frozen=True, tag=True):
    """Engine to kernel: this node is, or is no longer, primary for the group."""

    group: int
    primary: bool
    generation: int


class FabricChosen(msgspec.Struct, frozen=True, tag=True):
    """Engine to kernel, on each change and twice a second: the index of the fabric link by which what is for the peer shall go."""

    index: int


class DataPlaneReady(msgspec.Struct, frozen=True, tag=True):
    """Kernel to parent: the gates are attached and shut, the plan is carried out as far as interfaces exist."""


class DataPlaneFailed(msgspec.Struct, frozen=True, tag=True):
    """Kernel to parent: something of the plan was refused."""

    problem: str


class ChildRestarted(msgspec.Struct, frozen=True, tag=True):
    """Parent to gateway: this child runs again; how often that was since the daemon was started."""

    name: str
    restarts: int


class RestartRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway to parent: the operator wants the daemon restarted in place."""


class RestartAnswered(msgspec.Struct, frozen=True, tag=True):
    """Parent to gateway: it begins now; or ``problem``: why not, and the daemon runs on as it is."""

    problem: str


class RetireWanted(msgspec.Struct, frozen=True, tag=True):
    """Parent to engine: a successor is ready; go as soon as your newest heartbeat has been acknowledged."""


class RebootWanted(msgspec.Struct, frozen=True, tag=True):
    """Engine to parent: this disabled node shall be rebooted (``control-link-recovery reboot``)."""


class ReloadRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway to parent: the configuration file has changed."""

    number: int


class Reloaded(msgspec.Struct, frozen=True, tag=True):
    """Parent to gateway, after ``ConfigurationLoaded`` where there was a change. ``problem``: why the old one runs on."""

    number: int
    problem: str


class SurveyRequested(msgspec.Struct, frozen=True, tag=True):
    """Gateway to parent: let this node look at itself; ``only_firewall``: at its packet filter only, which is quick."""

    number: int
    only_firewall: bool = False
    watched_group: int | None = None
    """Or at how the gateway addresses of this group answer on their segments, for ``seconds``."""
    seconds: int = 0


class SurveyTaken(msgspec.Struct, frozen=True, tag=True):
    """A process made for it, by the parent's channel to the gateway. ``survey``: what ``model.survey`` has encoded."""

    number: int
    survey: bytes


class Repaired(msgspec.Struct, frozen=True, tag=True):
    """Kernel to engine: somebody had changed this object; it is put back."""

    object: str


class RethsRefused(msgspec.Struct, frozen=True, tag=True):
    """Kernel to engine: which reths this kernel refuses to make, on each change, and again and again while there are any."""

    names: tuple[str, ...]


class Notice(msgspec.Struct, frozen=True, tag=True):
    """Kernel to engine: worth logging."""

    text: str


class OwnershipTold(msgspec.Struct, frozen=True, tag=True):
    """Engine to sessions: the groups this node is primary for, and whether the peer's engine is heard."""

    primary: tuple[int, ...]
    peer_alive: bool


class SessionsReported(msgspec.Struct, frozen=True, tag=True):
    """Sessions to engine, twice a second and on any change of coverage. ``started``: it has not been told the ownership."""

    status: SessionStatus
    started: bool = False


class DrainRequested(msgspec.Struct, frozen=True, tag=True):
    """Engine to sessions: a hand-over is near; say when everything is with the peer."""

    number: int


class Drained(msgspec.Struct, frozen=True, tag=True):
    """Sessions to engine: what had happened when ``DrainRequested`` came is in the peer's kernel."""

    number: int


Message = (
    ConfigurationLoaded
    | RoleChanged
    | FabricChosen
    | DataPlaneReady
    | DataPlaneFailed
    | ChildRestarted
    | RestartRequested
    | RestartAnswered
    | RetireWanted
    | RebootWanted
    | ReloadRequested
    | Reloaded
    | SurveyRequested
    | SurveyTaken
    | Repaired
    | RethsRefused
    | Notice
    | OwnershipTold
    | SessionsReported
    | DrainRequested
    | Drained
)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One datagram."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """msgspec.DecodeError for anything that is not a message."""
    return _decoder.decode(data)
