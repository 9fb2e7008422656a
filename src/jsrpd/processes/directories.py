"""Where things live: systemd's directory variables, with the usual defaults, so several nodes can run on one host."""

import os
from dataclasses import dataclass
from pathlib import Path

from jsrpd.configuration.files import in_use


@dataclass(frozen=True, slots=True)
class Directories:
    """Configuration, runtime, state and logs of one node (SPEC section 2)."""

    configuration: Path
    runtime: Path
    state: Path
    logs: Path

    @property
    def configuration_file(self) -> Path:
        """The configuration, in whichever of its forms it is."""
        return in_use(self.configuration)

    @property
    def pid_file(self) -> Path:
        """One per node; locked by the running parent."""
        return self.runtime / "jsrpd.pid"


def directories() -> Directories:
    """From the environment. systemd may list several paths; the first counts."""

    def first(variable: str, default: str) -> Path:
        return Path((os.environ.get(variable) or default).split(":")[0])

    return Directories(
        configuration=first("CONFIGURATION_DIRECTORY", "/etc/jsrpd"),
        runtime=first("RUNTIME_DIRECTORY", "/run/jsrpd"),
        state=first("STATE_DIRECTORY", "/var/lib/jsrpd"),
        logs=first("LOGS_DIRECTORY", "/var/log/jsrpd"),
    )
