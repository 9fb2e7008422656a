"""What else is on this machine that could get in the cluster's way: other managers and programs, filters, clocks.

Read-only. Each function answers with nothing where this kernel or machine does not tell; none of them raises for that.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsrpd.kernel import bpf
from jsrpd.kernel.machine import COMM_BYTES
from jsrpd.kernel.netlink import Netlink, attributes
from jsrpd.kernel.rtnetlink import GETLINK, IFLA_IFNAME, LINK

NETWORK, RUN, PROC = Path("/sys/class/net"), Path("/run"), Path("/proc")
RIVALS = ("keepalived", "ucarp", "vrrpd", "conntrackd", "corosync", "pacemakerd")
"""Move addresses or sessions between machines, too; by their kernel names."""
DHCP_CLIENTS = frozenset({"dhclient", "dhcpcd", "udhcpc"})
IFLA_XDP, XDP_ATTACHED = 43, 2
IFF_UP = 1
TIMEX_BYTES, TIME_ERROR = 256, 5
NFT_TIMEOUT_S = 10.0
SEARCHED = ("/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def interface(name: str) -> tuple[bool, bool, bool, int, str, bool]:
    """(present, administratively up, carrier, MTU, bridge it is a port of, port of a switch chip)."""
    place = NETWORK / name
    if not place.exists():
        return False, False, False, 0, "", False
    up = bool(int(_text(place / "flags") or "0", 16) & IFF_UP)
    bridge = (place / "brport/bridge").resolve().name if (place / "brport").exists() else ""
    return True, up, _text(place / "carrier") == "1", int(_text(place / "mtu") or 0), bridge, bool(_text(place / "phys_switch_id"))


@dataclass(frozen=True, slots=True)
class Process:
    """A program that runs in this network namespace. ``name``: the kernel's, cut; ``words``: its command line."""

    name: str
    words: tuple[str, ...]


def processes() -> tuple[Process, ...]:
    """Of this network namespace, in one walk: there may be thousands on the machine."""
    try:
        here = os.stat(f"{PROC}/self/ns/net").st_ino
    except OSError:
        return ()
    return tuple(_processes(here))


def _processes(namespace: int) -> Iterator[Process]:
    for entry in os.listdir(PROC):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                # A zombie has no namespace any more.
                if os.stat(f"{PROC}/{entry}/ns/net").st_ino == namespace:
                    words = Path(PROC, entry, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                    yield Process(_text(Path(PROC, entry, "comm")), tuple(word.decode(errors="replace") for word in words))


def _runs(name: str, among: Iterable[Process]) -> bool:
    return any(process.name == name[:COMM_BYTES] for process in among)


def managers(name: str, among: Sequence[Process]) -> tuple[str, ...]:
    """Which of these processes configure an interface, too."""
    return tuple(_managers(name, _text(NETWORK / name / "ifindex"), among))


def _managers(name: str, index: str, among: Sequence[Process]) -> Iterator[str]:
    # What a manager has written counts only while it lives, and lives in this network namespace.
    link = dict(line.partition("=")[::2] for line in _text(RUN / "systemd/netif/links" / index).splitlines() if "=" in line)
    if index and link.get("ADMIN_STATE", "unmanaged") != "unmanaged" and _runs("systemd-networkd", among):
        yield f"systemd-networkd ({link.get('NETWORK_FILE') or 'no file named'})"
    if index and "managed=true" in _text(RUN / "NetworkManager/devices" / index).split() and _runs("NetworkManager", among):
        yield "NetworkManager"
    for process in among:
        program = Path(process.words[0]).name
        if program in DHCP_CLIENTS and name in process.words:
            yield f"{program} (a DHCP client)"


def rivals(among: Sequence[Process]) -> tuple[str, ...]:
    """Which of ``RIVALS`` are among these processes."""
    return tuple(name for name in RIVALS if _runs(name, among))


def with_xdp() -> frozenset[str]:
    """Interfaces with an XDP program."""
    netlink = Netlink()
    try:
        found = (attributes(body, LINK.size) for _kind, body in netlink.dump(GETLINK, LINK.pack(0, 0, 0, 0, 0, 0)))
        return frozenset(
            link[IFLA_IFNAME].rstrip(b"\0").decode()
            for link in found
            if any(attributes(link.get(IFLA_XDP, b"")).get(XDP_ATTACHED, b""))
        )
    except OSError:
        return frozenset()
    finally:
        netlink.close()


def ruleset() -> tuple[str, str, str]:
    """(the ruleset as nft prints it in JSON, its chains as text, why there is none)."""
    tool = next((f"{place}/nft" for place in SEARCHED if os.access(f"{place}/nft", os.X_OK)), "")
    if not tool:
        return "", "", "nft is not installed"
    said: list[str] = []
    for words in (["-j", "list", "ruleset"], ["list", "chains"]):
        try:
            done = subprocess.run([tool, *words], capture_output=True, timeout=NFT_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return "", "", str(error)
        if done.returncode:
            return "", "", done.stderr.decode(errors="replace").strip()
        said.append(done.stdout.decode(errors="replace"))
    return said[0], said[1], ""


def legacy_tables() -> tuple[str, ...]:
    """Tables of iptables' older kind."""
    places = (("iptables", "net/ip_tables_names"), ("ip6tables", "net/ip6_tables_names"))
    return tuple(f"{tool} {table}" for tool, place in places for table in _text(PROC / place).split())


def clock_synchronized() -> bool | None:
    """Whether somebody keeps the wall clock right (adjtimex(2)); None where the kernel may not be asked."""
    if (RUN / "systemd/timesync/synchronized").exists():
        return True
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    return None if state < 0 else state != TIME_ERROR


def clock_source() -> str:
    """What the kernel tells the time by."""
    return _text(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource"))


def bpf_problem() -> str:
    """Why no gate could be loaded; nothing when one could."""
    try:
        os.close(bpf.map_create(bpf.ARRAY, 4, 8, 1, "jsrpd_doctor"))
    except OSError as error:
        return error.strerror or str(error)
    return ""


SCHEDULERS = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO", os.SCHED_RR: "SCHED_RR", 6: "SCHED_DEADLINE"}


def scheduling(pid: int) -> tuple[str, int, int] | None:
    """(policy, real-time priority, locked memory in kB) of a process; None when it has ended."""
    try:
        policy = os.sched_getscheduler(pid)
        priority = os.sched_getparam(pid).sched_priority
    except OSError:
        return None
    lines = dict(line.partition(":")[::2] for line in _text(PROC / str(pid) / "status").splitlines())
    locked = (lines.get("VmLck") or "0").split()
    return SCHEDULERS.get(policy, f"policy {policy}"), priority, int(locked[0])


def child_of(parent: int, title: str) -> int:
    """Pid of a child with that title; 0 for none."""
    for pid in _text(PROC / f"{parent}/task/{parent}/children").split():
        with contextlib.suppress(OSError):
            if (PROC / pid / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace") == title:
                return int(pid)
    return 0
