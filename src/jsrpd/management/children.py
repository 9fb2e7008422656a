"""Messages between the parent, the engine and the kernel process: msgpack on SOCK_SEQPACKET, one message a datagram."""

import msgspec

from jsrpd.model.configuration import ClusterConfiguration


class ConfigurationLoaded(msgspec.Struct, frozen=True, tag=True):
    """Parent to any child: run with this from now on."""

    configuration: ClusterConfiguration


class RoleChanged(msgspec.Struct, frozen=True, tag=True):
    """Engine to kernel: this node is, or is no longer, primary for the group."""

    group: int
    primary: bool
    generation: int


class DataPlaneReady(msgspec.Struct, frozen=True, tag=True):
    """Kernel to parent: the gates are attached and shut, the plan is carried out as far as interfaces exist."""


class DataPlaneFailed(msgspec.Struct, frozen=True, tag=True):
    """Kernel to parent: something of the plan was refused."""

    problem: str


class ChildRestarted(msgspec.Struct, frozen=True, tag=True):
    """Parent to gateway: this child runs again; how often that was since the daemon was started."""

    name: str
    restarts: int


class Repaired(msgspec.Struct, frozen=True, tag=True):
    """Kernel to engine: somebody had changed this object; it is put back."""

    object: str


class Notice(msgspec.Struct, frozen=True, tag=True):
    """Kernel to engine: worth logging."""

    text: str


Message = ConfigurationLoaded | RoleChanged | DataPlaneReady | DataPlaneFailed | ChildRestarted | Repaired | Notice
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One datagram."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """msgspec.DecodeError for anything that is not a message."""
    return _decoder.decode(data)
