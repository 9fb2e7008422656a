"""Sysctls of the own network namespace."""

from pathlib import Path

ROOT = Path("/proc/sys")


def read(name: str) -> str | None:
    """Value of a sysctl by path (``net/ipv4/ip_forward``); None when it does not exist."""
    try:
        return (ROOT / name).read_text().strip()
    except OSError:
        return None


def write(name: str, value: str) -> bool:
    """Set it; False where the kernel refuses or has none."""
    try:
        (ROOT / name).write_text(value)
    except OSError:
        return False
    return True
