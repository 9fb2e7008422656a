"""What monitors learn, in the past tense, and what they order, in the imperative.

A monitor never sees a socket, a file or a clock: probes tell it what they found, at an instant that is passed in.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jsrpd.model.roles import FailureCode
from jsrpd.model.time import Instant


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The deadline a monitor asked for has come."""


@dataclass(frozen=True, slots=True)
class OwnershipChanged:
    """This node owns the monitor's group and its gate is open (``owner``), or it does not own it.

    None: it owns it behind a shut gate, so nothing it sends would leave and nothing may be concluded.
    """

    owner: bool | None


@dataclass(frozen=True, slots=True)
class EchoHeard:
    """An address answered the request with this sequence number."""

    address: str
    sequence: int


@dataclass(frozen=True, slots=True)
class EchoRefused:
    """A request could not be sent, or a router sent it back. The reason is for the operator; time alone judges."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class FailureCountsCleared:
    """The operator set the failure counts to zero, of one address or of all (empty)."""

    address: str = ""


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """``status``: exit status, negative for the signal that killed it."""

    status: int


@dataclass(frozen=True, slots=True)
class CommandNotRun:
    """It could not be started: that says nothing of what it would have found."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One object as found just now. ``value`` and ``limit`` with their units, for the operator."""

    name: str
    well: bool
    value: str
    limit: str
    groups: tuple[int, ...]
    """Groups that suffer while it is not well."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A round of samples. An object that is not among them keeps its verdict."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """How an address is asked: from this source by this device. Empty: as the kernel's routes say."""

    source: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class SendEcho:
    """One echo request."""

    address: str
    sequence: int
    way: Way


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Start the monitor's command in a process group of its own."""


@dataclass(frozen=True, slots=True)
class KillCommand:
    """It hangs: kill it with its process group."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An object failed for a group."""

    group: int
    code: FailureCode
    name: str
    weight: int
    value: str
    limit: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The object is well again."""

    group: int
    code: FailureCode
    name: str
    value: str
    limit: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An address that arbitrates has answered the request sent at ``asked_at``."""

    asked_at: Instant


@dataclass(frozen=True, slots=True)
class Remark:
    """Worth a line in the log."""

    text: str


Event: TypeAlias = (
    TimePassed | OwnershipChanged | EchoHeard | EchoRefused | FailureCountsCleared | CommandEnded | CommandNotRun | Sampled
)
Action: TypeAlias = SendEcho | RunCommand | KillCommand | Failed | Recovered | Answered | Remark
