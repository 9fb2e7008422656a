"""``jsrp lab``: build the two-node cluster on this machine, break it, measure it, look around in it, remove it."""

import argparse
import asyncio
import json
import os
import sys
import time
from datetime import datetime

from jsrpd.lab import demo, faults, forward, topology, traffic
from jsrpd.lab.topology import MEMBERS, NODES, Lab, LabError, Settings

EX_USAGE, EX_NOPERM = 64, 77


def main(argv: list[str]) -> int:
    """Exit 0, 1 when something failed, 64 for a wrong command line, 77 when not root."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as error:
        return EX_USAGE if error.code else 0
    if os.geteuid() != 0:
        print("jsrp lab makes network namespaces: run it as root (sudo jsrp lab …)", file=sys.stderr)
        return EX_NOPERM
    try:
        code: int = arguments.command(topology.default_lab(), arguments)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jsrp lab", description="A two-node cluster on this machine, with real traffic.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    up = commands.add_parser("up", help="build the lab and start both nodes")
    _add_settings(up)
    up.set_defaults(command=_up)

    commands.add_parser("down", help="remove everything").set_defaults(command=_down)
    commands.add_parser("status", help="what runs, what is broken, who is primary").set_defaults(command=_status)

    known = "; ".join(f"{name}: {what}" for name, (_, what) in faults.FAULTS.items())
    fault = commands.add_parser("fault", help="break something, or heal everything", epilog=f"{known}; loss PERCENT; heal")
    fault.add_argument("name", metavar="NAME", choices=[*faults.FAULTS, "loss", "heal"], help="see below")
    fault.add_argument("node", metavar="NODE|PERCENT", nargs="?", default="", help="default: the primary of group 1")
    fault.set_defaults(command=_fault)

    page = commands.add_parser("dashboard", help="serve both nodes' dashboards to a browser on this machine")
    page.add_argument("--port", type=int, default=forward.FIRST_PORT, help="of node0; node1 has the next")
    page.set_defaults(command=_dashboard)

    run = commands.add_parser("traffic", help="send packets both ways and print what was lost, as JSON")
    run.add_argument("--seconds", type=float, default=10.0)
    run.add_argument("--rate", type=float, default=1000.0, help="packets a second of each stream")
    run.add_argument("--families", default="4,6", help="4, 6 or 4,6")
    run.add_argument("--connections", type=int, default=20, help="TCP connections per family")
    run.set_defaults(command=_traffic)

    execute = commands.add_parser("exec", help="run a command on a member", usage="jsrp lab exec MEMBER -- COMMAND …")
    execute.add_argument("member", choices=MEMBERS)
    execute.add_argument("words", metavar="COMMAND", nargs=argparse.REMAINDER)
    execute.set_defaults(command=_exec)

    shell = commands.add_parser("shell", help="a shell on a member")
    shell.add_argument("member", choices=MEMBERS)
    shell.set_defaults(command=_shell)

    show = commands.add_parser("demo", help="up, every fault under traffic with what it cost, down")
    _add_settings(show)
    show.add_argument("--only", metavar="FAULT", action="append", help="only this step; may be repeated", default=[])
    show.set_defaults(command=_demo, firewall=True)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    defaults = Settings()
    parser.add_argument("--interval-ms", type=int, default=defaults.interval_ms, help="heartbeat interval")
    parser.add_argument("--threshold", type=int, default=defaults.threshold, help="missed heartbeats until a node counts as lost")
    parser.add_argument(
        "--firewall",
        action=argparse.BooleanOptionalAction,
        default=defaults.firewall,
        help="a strict firewall with NAT on both nodes: only connections that were carried over survive a failover",
    )
    parser.add_argument("--control-links", type=int, choices=(1, 2, 3, 4), default=defaults.control_links)
    parser.add_argument("--virtual-mac", choices=("local", "juniper", "child"), default=defaults.virtual_mac)
    parser.add_argument("--fabric-links", type=int, choices=(1, 2), default=defaults.fabric_links)


def _settings(arguments: argparse.Namespace) -> Settings:
    a = arguments
    return Settings(a.interval_ms, a.threshold, a.control_links, a.fabric_links, a.firewall, virtual_mac=a.virtual_mac)


def _up(lab: Lab, arguments: argparse.Namespace) -> int:
    topology.up(lab, _settings(arguments))
    topology.wait_until(lambda: topology.is_settled(lab), 30, "a primary and a secondary in every group")
    print(f"the lab {lab.name} is up; next: jsrp lab status, jsrp lab fault cut-lan, jsrp lab traffic, jsrp lab down")
    return 0


def _down(lab: Lab, _arguments: argparse.Namespace) -> int:
    topology.down(lab)
    return 0


def _status(lab: Lab, _arguments: argparse.Namespace) -> int:
    settings = lab.settings
    links = ", ".join(settings.cables)
    print(f"lab {lab.name}: heartbeats every {settings.interval_ms} ms, lost after {settings.threshold}; links {links}")
    broken = faults.broken(lab)
    for node in NODES:
        running = topology.daemon_processes(lab, node)
        state = "off" if node in broken.off else "hung" if node in broken.hung else "running" if running else "daemon not running"
        print(f"{node}: {state}{' ' * bool(running)}{', '.join(f'{pid} {title}' for pid, title in sorted(running.items()))}")
    print("cut: " + (", ".join(sorted(broken.cut_ports(settings))) or "none"))
    print("silent: " + (", ".join(sorted(broken.silent_ports(settings))) or "none"))
    if broken.loss_percent:
        print(f"control links lose {broken.loss_percent} %")
    for entry in faults.history(lab)[-5:]:
        at = entry["at"]
        assert isinstance(at, int)
        print(f"{datetime.fromtimestamp(at / 1e9):%H:%M:%S.%f} {entry['fault']}")
    print(demo.status_text(lab), end="")
    return 0


def _dashboard(lab: Lab, arguments: argparse.Namespace) -> int:
    if not topology.is_up(lab):
        raise LabError(f"the lab {lab.name} is not up; start it with: jsrp lab up")
    try:
        asyncio.run(_serve_dashboards(lab, arguments.port))
    except OSError as error:
        raise LabError(f"{error.strerror or error}; choose another: --port PORT") from error
    return 0


async def _serve_dashboards(lab: Lab, first: int) -> None:
    for node, port in zip(NODES, range(first, first + len(NODES)), strict=True):
        await forward.forward(lab.node_directory(node, "run") / "http.sock", port)
        print(f"{node}: http://localhost:{port}/", flush=True)
    print("Ctrl-C ends it", flush=True)
    await asyncio.Event().wait()


def _fault(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.settings  # noqa: B018  (LabError when the lab is not up)
    if arguments.name == "heal":
        faults.heal(lab)
    elif arguments.name == "loss":
        if not arguments.node.isdigit():
            raise LabError("loss needs a percentage, for example: jsrp lab fault loss 5")
        faults.lose(lab, int(arguments.node))
    else:
        faults.inject(lab, arguments.name, arguments.node)
    return 0


def _traffic(lab: Lab, arguments: argparse.Namespace) -> int:
    families = traffic.families_of(arguments.families)
    options = traffic.Options(arguments.seconds, arguments.rate, families, arguments.connections)
    with traffic.running(lab, options) as run:
        print(f"traffic since {time.strftime('%H:%M:%S')}, for {arguments.seconds:g} s", file=sys.stderr)
        print(json.dumps(run.finish().as_json(), indent=2))
    return 0


def _exec(lab: Lab, arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise LabError("no command; for example: jsrp lab exec node0 -- jsrp show chassis cluster status")
    return _become(lab, arguments.member, words)


def _shell(lab: Lab, arguments: argparse.Namespace) -> int:
    return _become(lab, arguments.member, [os.environ.get("SHELL") or "/bin/sh"])


def _become(lab: Lab, member: str, words: list[str]) -> int:
    """Replace this process by a command in a member's namespace, with a node's environment on nodes."""
    lab.settings  # noqa: B018  (LabError when the lab is not up)
    environment = lab.environment(member) if member in NODES else topology.with_commands(os.environ)
    os.execvpe("ip", topology.inside(lab.namespace(member), *words), environment)


def _demo(lab: Lab, arguments: argparse.Namespace) -> int:
    return demo.demo(lab, _settings(arguments), arguments.only)
