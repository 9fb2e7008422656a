"""Who is measured: how each is brought up in a fresh lab, which node is primary, how an operator moves it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Protocol

from bench import keepalived
from bench.rows import THRESHOLD
from bench.table import OWN, RIVAL
from jsrpd.lab import faults, topology
from jsrpd.lab.topology import BY_SEGMENT, NODES, SWITCH, Lab, LabError, Settings, inside, ip_batch, run

SETTLE_S = 20.0
RELOAD_S = 1.0
ENGINE = "jsrpd: engine"
KEEPALIVED_OPTIONS = ("-P", "-n", "-l", "-G", "-f", "keepalived.conf", "-p", "keepalived.pid", "-r", "vrrp.pid")
"""No checker process, and pid files that no other keepalived knows."""


class Contestant(Protocol):
    """One way to make two routers a gateway."""

    name: str

    def start(self, lab: Lab, interval_ms: int) -> None:
        """Build the lab and wait until one node is primary and the other ready; LabError when it does not come to that."""

    def primary(self, lab: Lab) -> str:
        """The node that owns the gateway addresses."""

    def hand_over(self, lab: Lab, node: str) -> None:
        """The operator takes the gateway from ``node``."""

    def restart(self, lab: Lab, node: str) -> None:
        """The daemon of ``node`` takes up its program and configuration anew, the gentlest way it has; when it is done."""

    def stop_and_start(self, lab: Lab, node: str) -> None:
        """The daemon of ``node`` is told to end, and started when it has; when it runs again."""

    def cut_heartbeats(self, lab: Lab, node: str) -> None:
        """The links or frames by which the nodes usually hear each other are lost; the segments carry everything else."""


class Jsrpd:
    """The lab as a newcomer gets it."""

    name = OWN

    def start(self, lab: Lab, interval_ms: int, threshold: int = THRESHOLD) -> None:
        """See ``Contestant``."""
        topology.up(lab, Settings(interval_ms, threshold))
        topology.wait_until(lambda: topology.is_settled(lab), SETTLE_S, "jsrpd: a primary and a secondary in every group")

    def primary(self, lab: Lab) -> str:
        """See ``Contestant``."""
        return topology.primary_node(lab)

    def hand_over(self, lab: Lab, node: str) -> None:
        """See ``Contestant``."""
        faults.inject(lab, "handover", node)

    def restart(self, lab: Lab, node: str) -> None:
        """See ``Contestant``. Another image in the same process."""
        before = _daemons(lab, node)
        os.kill(before["jsrpd"], signal.SIGUSR2)
        topology.wait_until(
            lambda: _daemons(lab, node).get(ENGINE, before[ENGINE]) != before[ENGINE] and topology.is_settled(lab),
            SETTLE_S,
            "jsrpd: restarted in place",
        )

    def stop_and_start(self, lab: Lab, node: str) -> None:
        """See ``Contestant``."""
        os.kill(_daemons(lab, node)["jsrpd"], signal.SIGTERM)
        topology.wait_until(lambda: not _daemons(lab, node), SETTLE_S, "jsrpd: stopped")
        topology.start_daemon(lab, node)
        topology.wait_until(lambda: topology.is_settled(lab), SETTLE_S, "jsrpd: started again")

    def cut_heartbeats(self, lab: Lab, node: str) -> None:
        """See ``Contestant``. Control and fabric at once."""
        faults.inject(lab, "silent-heartbeats", node)


class Keepalived:
    """keepalived and conntrackd in the same namespaces, with files of their own; nothing of the host's is touched."""

    name = RIVAL
    direct = False
    """conntrackd without a cache on the receiving side."""

    def start(self, lab: Lab, interval_ms: int) -> None:
        """See ``Contestant``."""
        try:
            self._start(lab, interval_ms)
        except LabError as error:
            raise LabError(f"{error}; last words: {_last_words(lab)}") from error

    def _start(self, lab: Lab, interval_ms: int) -> None:
        topology.up(lab, Settings(interval_ms, THRESHOLD, daemons=False))
        for number in range(len(NODES)):
            self._prepare(lab, number, interval_ms)
        for node in NODES:
            self._launch(lab, node, "conntrackd", "-C", "conntrackd.conf")
        for node in NODES:
            topology.wait_until(self._answers(lab, node), SETTLE_S, f"conntrackd on {node}")
        for node in NODES:
            self._launch(lab, node, "keepalived", *KEEPALIVED_OPTIONS)
        topology.wait_until(lambda: self._is_settled(lab), SETTLE_S, "keepalived: one node with all gateway addresses")

    def primary(self, lab: Lab) -> str:
        """See ``Contestant``."""
        owners = [node for node in NODES if self._owned(lab, node) == len(NODES) * len(BY_SEGMENT)]
        if len(owners) != 1:
            raise LabError(f"keepalived: the gateway addresses are on {' and '.join(owners) or 'no node'}")
        return owners[0]

    def hand_over(self, lab: Lab, node: str) -> None:
        """See ``Contestant``. Lower the priority by a tracked file, the way that lost least in the reference measurements."""
        (lab.node_directory(node, "run") / "planned").write_text(f"{-keepalived.TRACK_LOSS}\n")

    def restart(self, lab: Lab, node: str) -> None:
        """See ``Contestant``. A reload: it cannot take up a new program without going."""
        os.kill(self._process(lab, node), signal.SIGHUP)
        time.sleep(RELOAD_S)

    def stop_and_start(self, lab: Lab, node: str) -> None:
        """See ``Contestant``. Without conntrackd, which would lose its sessions."""
        process = self._process(lab, node)
        os.kill(process, signal.SIGTERM)
        topology.wait_until(lambda: process not in topology.processes(lab, node), SETTLE_S, "keepalived: stopped")
        self._launch(lab, node, "keepalived", *KEEPALIVED_OPTIONS)
        topology.wait_until(lambda: bool(self._owned(lab, NODES[0])), SETTLE_S, "keepalived: started again")

    def _process(self, lab: Lab, node: str) -> int:
        return int((lab.node_directory(node, "run") / "keepalived.pid").read_text())

    def cut_heartbeats(self, lab: Lab, node: str) -> None:
        """See ``Contestant``. Its heartbeats are the advertisements in the segments."""
        ports = ", ".join(topology.port_of(node, segment) for segment in BY_SEGMENT)
        rules = "".join(f"        ether type {kind} drop\n" for kind in ("ip ip protocol vrrp", "ip6 ip6 nexthdr vrrp"))
        chains = "".join(
            f"    chain {hook} {{\n        type filter hook {hook} devices = {{ {ports} }} priority 1;\n{rules}    }}\n"
            for hook in ("ingress", "egress")
        )
        run(*inside(lab.namespace(SWITCH), "nft", "-f", "-"), text=f"table netdev adverts {{\n{chains}}}\n")

    def _prepare(self, lab: Lab, number: int, interval_ms: int) -> None:
        node = NODES[number]
        directory = lab.node_directory(node, "run")
        for name, text in (
            ("keepalived.conf", keepalived.keepalived_conf(number, interval_ms, directory)),
            ("conntrackd.conf", keepalived.conntrackd_conf(number, directory, direct=self.direct)),
            ("notify", keepalived.notify_script(directory)),
        ):
            (directory / name).write_text(text)
            (directory / name).chmod(0o700 if name == "notify" else 0o600)
        addresses = [
            f"addr add {address} dev {segment.name}{' nodad' * (':' in address)}"
            for segment in BY_SEGMENT.values()
            for address in keepalived.own_addresses(number, segment)
        ]
        ip_batch(lab.namespace(node), [*addresses, f"addr add {keepalived.LINK_ADDRESSES[number]}/30 dev {keepalived.LINK}"])
        run(*inside(lab.namespace(node), "nft", "-f", "-"), text=keepalived.TRACKING)

    def _launch(self, lab: Lab, node: str, *words: str) -> None:
        """Start a daemon on a node; it outlives this process, and ``topology.down`` ends it with the node."""
        directory = lab.node_directory(node, "run")
        with (lab.node_directory(node, "log") / f"{words[0]}.log").open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", *inside(lab.namespace(node), *words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                cwd=directory,
            )

    def _answers(self, lab: Lab, node: str) -> Callable[[], bool]:
        configuration = str(lab.node_directory(node, "run") / "conntrackd.conf")

        def answers() -> bool:
            try:
                run(*inside(lab.namespace(node), "conntrackd", "-C", configuration, "-s"))
            except LabError:
                return False
            return True

        return answers

    def _owned(self, lab: Lab, node: str) -> int:
        """How many gateway addresses a node has."""
        gateways = {address for segment in BY_SEGMENT.values() for address in segment.gateways}
        links = json.loads(run("ip", "-n", lab.namespace(node), "-json", "addr", "show"))
        return sum(address["local"] in gateways for link in links for address in link["addr_info"])

    def _is_settled(self, lab: Lab) -> bool:
        """The first node has every address and its notify script is done with it; the second has none and knows it."""
        wanted = (len(NODES) * len(BY_SEGMENT), 0)
        said = [self._last_state(lab, node) for node in NODES]
        return tuple(self._owned(lab, node) for node in NODES) == wanted and said == ["primary", "backup"]

    def _last_state(self, lab: Lab, node: str) -> str:
        try:
            return (lab.node_directory(node, "run") / "states").read_text().split()[-1]
        except (OSError, IndexError):
            return ""


def _daemons(lab: Lab, node: str) -> dict[str, int]:
    return {title: pid for pid, title in topology.daemon_processes(lab, node).items()}


def _last_words(lab: Lab) -> str:
    """The last line of every log, before the lab takes them away."""
    logs = [log for node in NODES for log in sorted(lab.node_directory(node, "log").glob("*.log"))]
    return " | ".join(f"{log.parent.parent.name}: {line}" for log in logs for line in log.read_text().splitlines()[-1:])
