"""A cluster on one machine: two nodes, a client, a server and the cables between them, as network namespaces.

Every cable runs from a node to a fifth namespace, ``switch``, where a bridge joins it with its other end. So each
cable can be cut (its switch port goes down, the node loses carrier) or go silent (frames are dropped, the carrier
stays) without touching the node. The nodes run the installed commands, each with directories of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from jsrpd.lab.firewall import FABRICS, SYSCTLS, more_server_addresses, ruleset

NODES = ("node0", "node1")
HOSTS = ("client", "server")
SWITCH = "switch"
MEMBERS = (SWITCH, *NODES, *HOSTS)
SEGMENTS = ("lan", "wan")
CLUSTER_ID = 1
INTERFACE_INDEX = {"ctl0": 11, "ctl1": 12, "fab": 13, "lan": 14, "wan": 15, "ctl2": 16, "ctl3": 17, "fab2": 18}
PORT_BASE = {"node0": 100, "node1": 200}
"""Both ends of a cable get distinct indexes: with equal ones the kernel reports carrier loss up to 1 s late (kernel facts)."""
HOST_INDEX, HOST_PORT = 21, {"client": 301, "server": 302}
ROOT_VARIABLE, NAME_VARIABLE = "JSRPD_LAB_DIRECTORY", "JSRPD_LAB_NAME"
MAX_NAME = 40
DEATH_S = 60.0
"""A killed process dies when its call into the kernel ends, and one about interfaces may stand behind those of every other
namespace: the deletion of one with a hundred interfaces holds them up for longer than ten seconds."""
FORK_S = 2.0
"""How long a command that was started in a namespace may take to appear there."""


class LabError(Exception):
    """Something the operator should read: a command failed, the lab is not up, a wrong argument."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One side of the gateway: its reth, the gateway addresses, and the host that lives there."""

    name: str
    reth: str
    host: str
    gateways: tuple[str, str]
    """IPv4 and IPv6."""
    hosts: tuple[str, str]

    def of_node(self, node: int) -> tuple[str, str]:
        """A node's own addresses, IPv4 and IPv6, where it has any."""
        first, second = (gateway.removesuffix("1") for gateway in self.gateways)
        return f"{first}{2 + node}", f"{second}{2 + node}"


LAN = Segment("lan", "reth0", "client", ("10.1.0.1", "2001:db8:1::1"), ("10.1.0.100", "2001:db8:1::100"))
WAN = Segment("wan", "reth1", "server", ("10.2.0.1", "2001:db8:2::1"), ("10.2.0.100", "2001:db8:2::100"))
BY_SEGMENT = {segment.name: segment for segment in (LAN, WAN)}


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``up`` may be asked for."""

    interval_ms: int = 100
    threshold: int = 5
    control_links: int = 1
    fabric_links: int = 1
    firewall: bool = False
    """Whether the nodes have a strict firewall with NAT towards the WAN."""
    both_active: bool = False
    """Whether group 1 has the WAN alone, rather on node 0, and group 2 the LAN, rather on node 1; else group 1 has both."""
    virtual_mac: str = "local"
    """As the statement. With ``child`` each node has addresses of its own on both segments besides."""
    daemons: bool = True
    """Whether the nodes run jsrpd; without, somebody else starts on them what they run."""

    @property
    def cables(self) -> tuple[str, ...]:
        """Interfaces of each node."""
        return (*(f"ctl{n}" for n in range(self.control_links)), *self.fabrics, *SEGMENTS)

    @property
    def fabrics(self) -> tuple[str, ...]:
        """The members of ``fab0`` and ``fab1``."""
        return FABRICS[: self.fabric_links]


@dataclass(frozen=True, slots=True)
class Lab:
    """Names and places of one lab; several may run side by side under different names."""

    name: str
    directory: Path

    def namespace(self, member: str) -> str:
        """Network namespace of a member."""
        return f"{self.name}-{member}"

    def node_directory(self, node: str, kind: str = "") -> Path:
        """``kind``: etc, run, lib or log of a node."""
        return self.directory / node / kind if kind else self.directory / node

    @property
    def settings_file(self) -> Path:
        """Present exactly while the lab is complete."""
        return self.directory / "lab.json"

    @property
    def settings(self) -> Settings:
        """Of the lab that is up; LabError when none is."""
        try:
            return Settings(**json.loads(self.settings_file.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise LabError(f"the lab {self.name} is not up; start it with: jsrp lab up") from error

    def environment(self, node: str) -> dict[str, str]:
        """Environment of commands on a node: its directories, and the installed commands first in PATH."""
        own = {
            "CONFIGURATION_DIRECTORY": str(self.node_directory(node, "etc")),
            "RUNTIME_DIRECTORY": str(self.node_directory(node, "run")),
            "STATE_DIRECTORY": str(self.node_directory(node, "lib")),
            "LOGS_DIRECTORY": str(self.node_directory(node, "log")),
        }
        return {**with_commands(os.environ), **own}


def default_lab() -> Lab:
    """The lab that the environment names."""
    name = os.environ.get(NAME_VARIABLE, "jsrpd")
    if not name or len(name) > MAX_NAME or not all(c.isalnum() or c in "-_" for c in name):
        raise LabError(f"{NAME_VARIABLE}={name!r}: letters, digits, - and _ only, at most {MAX_NAME}")
    return Lab(name, Path(os.environ.get(ROOT_VARIABLE, "/run/jsrpd-lab")) / name)


def with_commands(environment: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """``environment`` with the directory of this Python first in PATH, where ``jsrpd`` and ``jsrp`` are installed."""
    path = f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"
    return {**environment, "PATH": path}


# -- commands -----------------------------------------------------------------------------------------------------


def run(*command: str, text: str = "", env: dict[str, str] | None = None, timeout_s: float = 30) -> str:
    """Standard output of a command; LabError with what it said when it fails or hangs."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=env, timeout=timeout_s, errors="replace"
        )
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: no answer within {timeout_s:g} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(command)}: {said or f'exit {done.returncode}'}")
    return done.stdout


def ip_batch(namespace: str, lines: Iterable[str]) -> None:
    """Several ``ip`` commands in one process, stopping at the first error."""
    run("ip", "-n", namespace, "-batch", "-", text="".join(f"{line}\n" for line in lines))


def inside(namespace: str, *command: str) -> list[str]:
    """The command line that runs ``command`` in a namespace."""
    return ["ip", "netns", "exec", namespace, *command]


def _set_sysctls(namespace: str, values: dict[str, int]) -> None:
    script = "".join(f"echo {value} > /proc/sys/{name}\n" for name, value in values.items())
    run(*inside(namespace, "sh", "-e"), text=script)


# -- up and down --------------------------------------------------------------------------------------------------


def is_up(lab: Lab) -> bool:
    """Complete: settings written and every namespace present."""
    return lab.settings_file.exists() and all(Path("/run/netns", lab.namespace(m)).exists() for m in MEMBERS)


def up(lab: Lab, settings: Settings) -> None:
    """Build the lab and start both daemons. What a crashed lab left is removed first; a complete one is kept."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and must run as root")
    if is_up(lab):
        if lab.settings != settings:
            raise LabError(f"the lab {lab.name} is up with other settings; first: jsrp lab down")
    else:
        down(lab)
        try:
            _build(lab, settings)
        except BaseException:
            down(lab)
            raise
    for node in NODES:
        start_daemon(lab, node)


def _build(lab: Lab, settings: Settings) -> None:
    lab.directory.mkdir(parents=True, mode=0o755)
    for member in MEMBERS:
        run("ip", "netns", "add", lab.namespace(member))
    _set_sysctls(lab.namespace(SWITCH), {"net/ipv6/conf/all/disable_ipv6": 1, "net/ipv6/conf/default/disable_ipv6": 1})
    bridges = [f"br{cable}" for cable in settings.cables]
    ip_batch(lab.namespace(SWITCH), [line for n, name in enumerate(bridges) for line in _bridge(name, 401 + n)])
    for segment in BY_SEGMENT.values():
        _build_host(lab, segment)
    more = [f"addr add {address} dev eth0 nodad" for address in more_server_addresses(WAN)]
    ip_batch(lab.namespace(WAN.host), [line.removesuffix(" nodad") if "." in line else line for line in more])
    key = os.urandom(32).hex()
    for node in NODES:
        _cable_node(lab, settings, node)
        _write_configuration(lab, settings, node, key)
    lab.settings_file.write_text(json.dumps(asdict(settings)))


def _bridge(name: str, index: int) -> list[str]:
    return [
        f"link add {name} index {index} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"link set {name} up",
    ]


def _cable(port: str, port_index: int, interface: str, index: int, namespace: str, bridge: str) -> list[str]:
    return [
        f"link add {port} index {port_index} type veth peer name {interface} index {index} netns {namespace}",
        f"link set {port} master {bridge} up",
    ]


def _build_host(lab: Lab, segment: Segment) -> None:
    """The client or the server: one interface, both families, default routes by the gateway addresses."""
    namespace = lab.namespace(segment.host)
    _set_sysctls(namespace, {"net/ipv6/conf/default/accept_ra": 0, "net/ipv6/conf/default/accept_dad": 0})
    cable = _cable(segment.host, HOST_PORT[segment.host], "eth0", HOST_INDEX, namespace, f"br{segment.name}")
    ip_batch(lab.namespace(SWITCH), cable)
    ip_batch(
        namespace,
        [
            "link set lo up",
            "link set eth0 up",
            f"addr add {segment.hosts[0]}/24 dev eth0",
            f"addr add {segment.hosts[1]}/64 dev eth0 nodad",
            f"route add default via {segment.gateways[0]}",
            f"route add ::/0 via {segment.gateways[1]}",
        ],
    )


def _cable_node(lab: Lab, settings: Settings, node: str) -> None:
    """A node as a router just booted: forwarding on, cables plugged in, no addresses."""
    namespace = lab.namespace(node)
    _set_sysctls(
        namespace,
        {
            "net/ipv6/conf/default/accept_ra": 0,
            "net/ipv6/conf/default/accept_dad": 0,
            "net/ipv4/ip_forward": 1,
            "net/ipv6/conf/all/forwarding": 1,
        },
    )
    if settings.firewall:
        _set_sysctls(namespace, SYSCTLS)
        run(*inside(namespace, "nft", "-f", "-"), text=ruleset(LAN, WAN))
    lines = []
    for cable in settings.cables:
        index = INTERFACE_INDEX[cable]
        lines += _cable(port_of(node, cable), PORT_BASE[node] + index, cable, index, namespace, f"br{cable}")
    ip_batch(lab.namespace(SWITCH), lines)
    ip_batch(namespace, ["link set lo up", *(f"link set {cable} up" for cable in settings.cables)])


def port_of(node: str, cable: str) -> str:
    """The switch port a node's cable ends in."""
    return f"{node}-{cable}"


def down(lab: Lab) -> None:
    """Remove everything a lab of this name may have left: processes, cables, namespaces, directory. LabError when something
    stays: of the rest nothing does."""
    left = [member for member in MEMBERS if Path("/run/netns", lab.namespace(member)).exists()]
    with contextlib.ExitStack() as stack:
        # Last registered, first done; whatever one of them meets, all others are done as well.
        stack.callback(_forget_directory, lab)
        for member in left:
            stack.callback(run, "ip", "netns", "del", lab.namespace(member))
        for member in left:
            stack.callback(kill_everything, lab, member)


def _forget_directory(lab: Lab) -> None:
    shutil.rmtree(lab.directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        lab.directory.parent.rmdir()


def reboot(lab: Lab, node: str) -> None:
    """A node that was powered off, as after a boot: a new namespace, nothing of the kernel's state or /run is left."""
    kill_everything(lab, node)
    settings, switch = lab.settings, lab.namespace(SWITCH)
    for cable in settings.cables:
        # By the switch side, because a deleted namespace gives its interfaces up later than the command returns.
        if interface_exists(switch, port_of(node, cable)):
            run("ip", "-n", switch, "link", "del", port_of(node, cable))
    run("ip", "netns", "del", lab.namespace(node))
    run("ip", "netns", "add", lab.namespace(node))
    shutil.rmtree(lab.node_directory(node, "run"), ignore_errors=True)
    lab.node_directory(node, "run").mkdir()
    _cable_node(lab, settings, node)


def interface_exists(namespace: str, interface: str) -> bool:
    """Whether a namespace has an interface of that name."""
    listed = json.loads(run("ip", "-n", namespace, "-json", "link", "show") or "[]")
    return any(link["ifname"] == interface for link in listed)


# -- nodes --------------------------------------------------------------------------------------------------------


def _write_configuration(lab: Lab, settings: Settings, node: str, key: str) -> None:
    for kind in ("etc", "run", "lib", "log"):
        lab.node_directory(node, kind).mkdir(parents=True)
    etc = lab.node_directory(node, "etc")
    (etc / "jsrpd.conf").write_text(configuration(settings))
    (etc / "identity.conf").write_text(f"cluster-id {CLUSTER_ID};\nnode {NODES.index(node)};\n")
    key_file = etc / "cluster.key"
    key_file.touch(mode=0o600)
    key_file.write_text(f"{key}\n")


def configuration(settings: Settings) -> str:
    """``jsrpd.conf``, the same on both nodes: each group owns gateway addresses and watches their links.

    Group 0 sits out one second after a change instead of the default thirty, so that the lab is soon ready again.
    """
    links = "\n".join(
        f"        control-link {n} {{\n            interface ctl{n};\n        }}" for n in range(settings.control_links)
    )
    # NAT uses addresses of the WAN: its group is the lower one (decision 0135).
    members = "".join(f"                {fabric};\n" for fabric in settings.fabrics)
    split = _group(1, 200, 100, WAN) + _group(2, 100, 200, LAN)
    groups = split if settings.both_active else _group(1, 200, 100, LAN, WAN)
    return f"""chassis {{
    cluster {{
        reth-count 2;
        heartbeat-interval {settings.interval_ms};
        heartbeat-threshold {settings.threshold};
        virtual-mac {settings.virtual_mac};
{links}
        redundancy-group 0 {{
            node 0 priority 200;
            node 1 priority 100;
            hold-down-interval 1;
        }}
{groups}    }}
}}
interfaces {{
    lan {{
        gigether-options {{
            redundant-parent reth0;
        }}
    }}
    wan {{
        gigether-options {{
            redundant-parent reth1;
        }}
    }}
    fab0 {{
        fabric-options {{
            member-interfaces {{
{members}            }}
        }}
    }}
    fab1 {{
        fabric-options {{
            member-interfaces {{
{members}            }}
        }}
    }}
{_reth(settings, LAN, 2 if settings.both_active else 1)}{_reth(settings, WAN, 1)}}}
"""


def _group(number: int, priority_0: int, priority_1: int, *segments: Segment) -> str:
    watched = "".join(f"            interface-monitor {segment.name} weight 255;\n" for segment in segments)
    return f"""        redundancy-group {number} {{
            node 0 priority {priority_0};
            node 1 priority {priority_1};
{watched}        }}
"""


def _reth(settings: Settings, segment: Segment, group: int) -> str:
    own = [(n, f"{v4}/24", f"{v6}/64") for n in (0, 1) for v4, v6 in [segment.of_node(n)] if settings.virtual_mac == "child"]
    stated = "".join(f"            node-local-address node {n} {address};\n" for n, *both in own for address in both)
    return f"""    {segment.reth} {{
        redundant-ether-options {{
            redundancy-group {group};
        }}
        unit 0 {{
{stated}            family inet {{
                address {segment.gateways[0]}/24;
            }}
            family inet6 {{
                address {segment.gateways[1]}/64;
            }}
        }}
    }}
"""


def log_file(lab: Lab, node: str) -> Path:
    """What the daemon of a node copied to standard error."""
    return lab.node_directory(node, "log") / "stderr.log"


def start_daemon(lab: Lab, node: str) -> None:
    """Start ``jsrpd -N -l`` on a node, unless it runs or the lab is to have none. It outlives this process."""
    if not lab.settings.daemons or daemon_processes(lab, node):
        return
    name_and_run = 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"'
    command = inside(lab.namespace(node), "unshare", "--uts", "sh", "-c", name_and_run, node, "jsrpd", "-N", "-l")
    with log_file(lab, node).open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", *command],
            env=lab.environment(node),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
            cwd="/",
        )
    give_up = time.monotonic() + FORK_S
    wait_until(lambda: _has_started(lab, node, give_up), 10, f"jsrpd on {node}")


def _has_started(lab: Lab, node: str, give_up: float) -> bool:
    """True once the daemon runs; LabError with its last words when nothing runs at the monotonic time ``give_up``."""
    if daemon_processes(lab, node):
        return True
    if not processes(lab, node) and time.monotonic() > give_up:
        said = log_file(lab, node).read_text(errors="replace").splitlines()[-5:]
        raise LabError(f"jsrpd on {node} has ended: " + "; ".join(said))
    return False


def cluster_status(lab: Lab, node: str) -> "dict[str, object]":
    """``show chassis cluster status`` of a node as JSON; LabError while it gives none."""
    command = inside(lab.namespace(node), "jsrp", "show", "chassis", "cluster", "status", "|", "display", "json")
    said = run(*command, env=lab.environment(node), timeout_s=5)
    try:
        status = json.loads(said)
    except ValueError as error:
        raise LabError(f"{node} gives no status: {said.strip()}") from error
    if not isinstance(status, dict):
        raise LabError(f"{node} gives no status: {said.strip()}")
    return status


def group_states(lab: Lab, node: str) -> dict[int, tuple[str, str]]:
    """State of node 0 and of node 1 in each group, as one node sees them; empty while it gives no status."""
    try:
        status = cluster_status(lab, node)
    except LabError:
        return {}
    states: dict[int, tuple[str, str]] = {}
    groups = status.get("groups")
    for group in groups if isinstance(groups, list) else []:
        rows = {row["node"]: str(row["state"]) for row in group["nodes"]}
        states[int(group["group"])] = (rows.get(0, "lost"), rows.get(1, "lost"))
    return states


def primary_node(lab: Lab, group: int = 1) -> str:
    """The node that says it is primary for a group; LabError when none or both do."""
    found = [node for n, node in enumerate(NODES) if group_states(lab, node).get(group, ("", ""))[n] == "primary"]
    if len(found) != 1:
        raise LabError(f"no single primary for group {group}: {', '.join(found) or 'none'}")
    return found[0]


def is_settled(lab: Lab) -> bool:
    """Both nodes answer, agree, and every group is primary on one and secondary on the other."""
    views = [group_states(lab, node) for node in NODES]
    return bool(views[0]) and views[0] == views[1] and all(sorted(v) == ["primary", "secondary"] for v in views[0].values())


def wait_until(predicate: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until true; LabError naming ``what`` when it stays false."""
    give_up = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > give_up:
            raise LabError(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(0.05)


# -- processes ----------------------------------------------------------------------------------------------------


def processes(lab: Lab, member: str) -> dict[int, str]:
    """Command line by pid of every process in a member's namespace but this one (zombies have left it)."""
    try:
        namespace = os.stat(f"/run/netns/{lab.namespace(member)}")
    except FileNotFoundError:
        return {}
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                its = os.stat(f"/proc/{entry}/ns/net")
                if (its.st_dev, its.st_ino) == (namespace.st_dev, namespace.st_ino):
                    words = Path(f"/proc/{entry}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                    found[int(entry)] = b" ".join(words).decode(errors="replace")
    return found


def daemon_processes(lab: Lab, node: str) -> dict[int, str]:
    """Those of a node that belong to jsrpd, by title; ``jsrpd`` is the parent."""
    return {pid: title for pid, title in processes(lab, node).items() if _is_daemon(title)}


def _is_daemon(title: str) -> bool:
    first, _, rest = title.partition(" ")
    script = rest.partition(" ")[0]
    return first in ("jsrpd", "jsrpd:") or Path(first).name == "jsrpd" or Path(script).name == "jsrpd"


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_everything(lab: Lab, member: str) -> None:
    """SIGKILL all processes of a member and wait until they are gone."""
    give_up = time.monotonic() + DEATH_S
    while left := processes(lab, member):
        # Frozen first: a parent must not replace the first child killed while the others die.
        signal_all(left, signal.SIGSTOP)
        signal_all(left, signal.SIGKILL)
        if time.monotonic() > give_up:
            raise LabError(f"{member}: processes do not die: {', '.join(left.values())}")
        time.sleep(0.01)
