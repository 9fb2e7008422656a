"""What an operator's command and its answer look like on the management socket: one JSON object a line."""

import msgspec

from jsrpd.model.status import ClusterStatus

SOCKET_NAME = "jsrpd.sock"
MAX_LINE = 64 * 1024
NOT_ENABLED = "error: Chassis cluster is not enabled"


class ShowStatus(msgspec.Struct, frozen=True, tag="show-status"):
    """Snapshot for every display."""


class Failover(msgspec.Struct, frozen=True, tag="failover"):
    """``request chassis cluster failover redundancy-group GROUP node NODE``."""

    group: int
    node: int


class FailoverReset(msgspec.Struct, frozen=True, tag="failover-reset"):
    """``request chassis cluster failover reset [redundancy-group GROUP]``."""

    group: int | None = None


class ClearFailoverCount(msgspec.Struct, frozen=True, tag="clear-failover-count"):
    """``clear chassis cluster failover-count``."""


Request = ShowStatus | Failover | FailoverReset | ClearFailoverCount


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """``text`` for the operator; ``status`` for displays; ``node`` which node answered."""

    ok: bool
    text: str = ""
    node: int | None = None
    status: ClusterStatus | None = None


_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_reply_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def encode(message: Request | Reply) -> bytes:
    """One line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """msgspec.DecodeError for anything else."""
    return _request_decoder.decode(line)


def decode_reply(line: bytes) -> Reply:
    """msgspec.DecodeError for anything else."""
    return _reply_decoder.decode(line)
