"""``jsrpd -C`` and ``-X``: say everything that would be wrong, touch nothing.

The vendor's meaning of ``-X`` is not public; here it is the pre-flight check (SPEC section 2).
"""

import errno
import os
import platform
import socket
import sys
from pathlib import Path

from jsrpd.configuration.identity import read_identity
from jsrpd.configuration.key import KeyFileError, read_key
from jsrpd.configuration.load import load_file
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.processes.directories import Directories

EX_OK, EX_CONFIG = 0, 78
NOT_CLUSTERED = "not clustered; use: jsrp set chassis cluster cluster-id 1 node 0"
OFFSETS = Path("/proc/self/timens_offsets")
OLDEST_KERNEL = (6, 6)
"""TCX, which the gate is attached by, came with Linux 6.6 (kernel facts)."""


def report(places: Directories, deep: bool) -> int:
    """Print every problem, one a line; 0 when there is none, else 78."""
    configuration, problems = configuration_problems(places)
    if deep:
        problems += _key_problems(places)
        problems += _machine_problems(places)
        if configuration is not None:
            problems += _interface_problems(configuration)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return EX_CONFIG
    print("configuration is valid" if not deep else "ready to start")
    return EX_OK


def configuration_problems(places: Directories) -> tuple[ClusterConfiguration | None, list[str]]:
    """What the file says, where it can be used, and everything that is wrong with it."""
    try:
        identity = read_identity(places.configuration)
    except (OSError, ValueError) as error:
        return None, [str(error)]
    if identity is None:
        return None, [NOT_CLUSTERED]
    try:
        return load_file(places.configuration_file, identity), []
    except ConfigurationError as error:
        return None, str(error).splitlines()
    except OSError as error:
        return None, [f"{places.configuration_file}: {error.strerror}"]


def _key_problems(places: Directories) -> list[str]:
    try:
        read_key(places.configuration)
    except (KeyFileError, OSError) as error:
        return [str(error)]
    return []


def _machine_problems(places: Directories) -> list[str]:
    problems = []
    release = platform.release()
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if version < OLDEST_KERNEL:
        problems.append(f"Linux {release} has no TCX; the gate needs 6.6 or newer (or configure: gate none)")
    try:
        check_clock()
    except OSError as error:
        problems.append(str(error.strerror))
    return problems + directory_problems(places)


def directory_problems(places: Directories) -> list[str]:
    """Runtime and state directory, where nothing can be kept."""
    problems = []
    for directory in (places.runtime, places.state):
        nearest = next(path for path in (directory, *directory.parents) if path.exists())
        if not os.access(nearest, os.W_OK):
            problems.append(f"{directory} cannot be written")
    return problems


def check_clock() -> None:
    """OSError in a time namespace: the gate program reads the machine's boot-time clock, so a lease written by a clock
    that is ahead of it would outlive its engine (time_namespaces(7))."""
    try:
        lines = OFFSETS.read_text().splitlines()
    except FileNotFoundError:
        return  # A kernel without time namespaces.
    for clock, *offset in (line.split() for line in lines):
        if clock == "boottime" and any(int(number) for number in offset):
            raise OSError(errno.EINVAL, "the boot-time clock of this time namespace is not the kernel's; start jsrpd outside")


def _interface_problems(configuration: ClusterConfiguration) -> list[str]:
    wanted = {link.interface: "control link" for link in configuration.control_links}
    wanted |= {link.interface: "fabric link" for link in configuration.fabric_links}
    wanted |= {reth.child: f"child of {reth.name}" for reth in configuration.reths}
    present = {name for _index, name in socket.if_nameindex()}
    problems = [f"interface {name} ({use}) does not exist" for name, use in sorted(wanted.items()) if name not in present]
    for reth in configuration.reths:
        if (Path("/sys/class/net") / reth.child / "brport").exists():
            problems.append(f"interface {reth.child} is a port of a bridge and cannot be a child of {reth.name}")
    return problems
