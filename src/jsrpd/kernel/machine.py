"""What /proc and /sys tell of the machine: CPUs, softnet, conntrack, memory, file systems, temperature, processes, cards.

Each function answers None, or nothing, where this kernel or machine does not tell; none of them raises for that.
"""

import contextlib
import os
from pathlib import Path

PROC, SYS = Path("/proc"), Path("/sys")
COMM_BYTES = 15
"""The kernel keeps so much of a process's name (TASK_COMM_LEN)."""


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def cpus_online() -> frozenset[int]:
    """Numbers of the CPUs that are online."""
    found: set[int] = set()
    for piece in (_text(SYS / "devices/system/cpu/online") or "").strip().split(","):
        first, _, last = piece.partition("-")
        if first.isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def softnet_drops() -> int | None:
    """Packets that all CPUs dropped because their queue was full, since boot (second column)."""
    text = _text(PROC / "net/softnet_stat")
    return None if text is None else sum(int(line.split()[1], 16) for line in text.splitlines() if line.strip())


def conntrack() -> tuple[int, int] | None:
    """Entries of the connection table, and the most there may be."""
    entries = _number(PROC / "sys/net/netfilter/nf_conntrack_count")
    most = _number(PROC / "sys/net/netfilter/nf_conntrack_max")
    return None if entries is None or most is None else (entries, most)


def memory_percent() -> int | None:
    """Memory that is not available to programs, per cent."""
    lines = (line.split() for line in (_text(PROC / "meminfo") or "").splitlines())
    values = {words[0]: int(words[1]) for words in lines if len(words) > 1}
    total, available = values.get("MemTotal:"), values.get("MemAvailable:")
    return None if not total or available is None else 100 - 100 * available // total


def disk_percent(path: str) -> int | None:
    """Use of a file system as its users see it. May block on a dead network file system."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    return None if usable == 0 else 100 - 100 * found.f_bavail // usable


def hottest_celsius() -> int | None:
    """The hottest sensor."""
    sensors = (SYS / "class/hwmon").glob("hwmon*/temp*_input"), (SYS / "class/thermal").glob("thermal_zone*/temp")
    values = [value for paths in sensors for path in paths if (value := _number(path)) is not None]
    return max(values) // 1000 if values else None


def process_of(name: str, last: int = 0) -> int:
    """Pid of a process of that name in this network namespace, 0 for none; ``last``: where it was found before."""
    try:
        here = os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return 0
    if last and _is(last, name, here):
        return last
    pids = (int(entry) for entry in os.listdir(PROC) if entry.isdigit())
    return next((pid for pid in pids if _is(pid, name, here)), 0)


def _is(pid: int, name: str, namespace: int) -> bool:
    if (_text(PROC / str(pid) / "comm") or "").strip() != name[:COMM_BYTES]:
        return False
    state = (_text(PROC / str(pid) / "stat") or "").rpartition(")")[2].split()[:1]
    with contextlib.suppress(OSError):
        return state not in (["Z"], ["X"]) and os.stat(PROC / str(pid) / "ns/net").st_ino == namespace
    return False


def card(interface: str) -> tuple[bool, str, int, int, int, int | None] | None:
    """(device behind it, driver, losses of carrier, errors, transmit timeouts, PCI errors) of an interface, None for no such one.

    PCI errors: uncorrectable ones, fatal or not, that Advanced Error Reporting counted for the device; None where it does not.
    """
    place = SYS / "class/net" / interface
    if not place.exists():
        return None
    driver = place / "device/driver"
    timeouts = [_number(path) or 0 for path in place.glob("queues/tx-*/tx_timeout")]
    errors = [_number(place / "statistics" / name) or 0 for name in ("rx_errors", "tx_errors")]
    name = driver.resolve().name if driver.exists() else ""
    carrier = _number(place / "carrier_down_count") or 0
    return (place / "device").exists(), name, carrier, sum(errors), sum(timeouts), _pci_errors(place / "device")


def _pci_errors(device: Path) -> int | None:
    """Each file ends in a line with the sum (Documentation/ABI/testing/sysfs-bus-pci-devices-aer)."""
    counts = []
    for name in ("aer_dev_fatal", "aer_dev_nonfatal"):
        total = [line.split() for line in (_text(device / name) or "").splitlines() if line.startswith("TOTAL_ERR_")]
        counts += [int(words[1]) for words in total if len(words) == 2 and words[1].isdigit()]
    return sum(counts) if counts else None
