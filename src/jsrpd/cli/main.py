"""``jsrp``: one command, one answer. Imports stay lean, because a command shall answer in 150 ms.

What needs the configuration, the catalogue or the lab imports it when it is asked for.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jsrpd.cli import pipes
from jsrpd.cli.grammar import Arguments, GrammarError, Word, commands, parse
from jsrpd.management.client import DaemonUnreachable, ask
from jsrpd.management.requests import (
    SOCKET_NAME,
    ClearFailoverCount,
    Failover,
    FailoverReset,
    Reply,
    Request,
    ShowStatus,
)

EX_USAGE = 64


class CommandFailed(Exception):
    """The text is for the operator."""


def _directory(variable: str, default: str) -> Path:
    return Path((os.environ.get(variable) or default).split(":")[0])


def _ask(request: Request) -> Reply:
    path = _directory("RUNTIME_DIRECTORY", "/run/jsrpd") / SOCKET_NAME
    try:
        reply = ask(path, request)
    except DaemonUnreachable as error:
        raise CommandFailed(f"error: {error}") from error
    if not reply.ok:
        raise CommandFailed(reply.text)
    return reply


class Commands:
    """The commands. ``format``: what ``| display`` asked for."""

    def __init__(self, display: str) -> None:
        self.display = display

    def status(self, _arguments: Arguments) -> str:
        """show chassis cluster status"""
        return self._show("status")

    def interfaces(self, _arguments: Arguments) -> str:
        """show chassis cluster interfaces"""
        return self._show("interfaces")

    def _show(self, what: str) -> str:
        import msgspec

        from jsrpd.cli import render_text

        snapshot = _ask(ShowStatus()).status
        assert snapshot is not None
        if self.display == "json":
            return msgspec.json.format(msgspec.json.encode(snapshot), indent=2).decode() + "\n"
        return render_text.status(snapshot) if what == "status" else render_text.interfaces(snapshot)

    def failover(self, arguments: Arguments) -> str:
        """request chassis cluster failover redundancy-group N node M"""
        group, node = _number(arguments, "group", 0, 128), _number(arguments, "node", 0, 1)
        return self._done(_ask(Failover(group, node)))

    def reset(self, arguments: Arguments) -> str:
        """request chassis cluster failover reset [redundancy-group N]"""
        group = _number(arguments, "group", 0, 128) if "group" in arguments.values else None
        return self._done(_ask(FailoverReset(group)))

    def _done(self, reply: Reply) -> str:
        from jsrpd.cli.render_text import node_block

        return node_block(reply.node or 0, reply.text)

    def clear_count(self, _arguments: Arguments) -> str:
        """clear chassis cluster failover-count"""
        return _ask(ClearFailoverCount()).text + "\n"

    def key(self, arguments: Arguments) -> str:
        """request chassis cluster key generate [force]"""
        from jsrpd.configuration.key import KeyFileError, generate_key

        try:
            path = generate_key(_directory("CONFIGURATION_DIRECTORY", "/etc/jsrpd"), "force" in arguments.values)
        except (KeyFileError, OSError) as error:
            raise CommandFailed(f"error: {error}") from error
        return f"{path} written; copy it to the other node (mode 0600), then restart both daemons\n"

    def key_force(self, arguments: Arguments) -> str:
        """The same, over an existing key."""
        arguments.values["force"] = "yes"
        return self.key(arguments)

    def identity(self, arguments: Arguments) -> str:
        """set chassis cluster cluster-id N node M"""
        from jsrpd.configuration.identity import Identity, write_identity

        identity = Identity(_number(arguments, "cluster", 0, 255), _number(arguments, "node", 0, 1))
        directory = _directory("CONFIGURATION_DIRECTORY", "/etc/jsrpd")
        try:
            write_identity(directory, identity if identity.cluster_id else None)
        except OSError as error:
            raise CommandFailed(f"error: {directory}: {error.strerror}") from error
        enabled = "enabled" if identity.cluster_id else "disabled"
        return f"Successfully {enabled} chassis cluster. Restart jsrpd for this to take effect.\n"

    def disable(self, _arguments: Arguments) -> str:
        """set chassis cluster disable"""
        return self.identity(Arguments({"cluster": "0", "node": "0"}))

    def configuration(self, _arguments: Arguments) -> str:
        """show configuration"""
        from jsrpd.configuration import junos

        path = _directory("CONFIGURATION_DIRECTORY", "/etc/jsrpd") / "jsrpd.conf"
        try:
            tree = junos.parse(path.read_text())
        except OSError as error:
            raise CommandFailed(f"error: {path}: {error.strerror}") from error
        except junos.SyntaxProblem as error:
            raise CommandFailed(f"{path}:{error.line}:{error.column}: {error.message}") from error
        return junos.render_set(tree) if self.display == "set" else junos.render_braces(tree)

    def help_index(self, _arguments: Arguments) -> str:
        """help syslog"""
        from jsrpd.messages.help_syslog import render_help_index

        return render_help_index()

    def help_tag(self, arguments: Arguments) -> str:
        """help syslog TAG"""
        from jsrpd.messages.help_syslog import render_help

        tag = arguments.values["tag"].upper()
        try:
            return render_help(tag)
        except KeyError as error:
            raise CommandFailed(f"error: no message {tag}; all of them: jsrp help syslog") from error

    def version(self, _arguments: Arguments) -> str:
        """version"""
        from jsrpd import __version__

        return f"jsrpd {__version__}\n"

    def release(self, _arguments: Arguments) -> str:
        """release: in a process of its own, because it works on the kernel like the daemon does"""
        import subprocess

        done = subprocess.run([sys.executable, "-m", "jsrpd.processes.release"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandFailed(done.stderr.strip())
        return done.stdout


def _number(arguments: Arguments, name: str, low: int, high: int) -> int:
    text = arguments.values[name]
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise CommandFailed(f"error: {name} {text} is not within {low}..{high}")
    return int(text)


def grammar(do: Commands) -> Word:
    """All commands."""

    def group(then: Word) -> Word:
        return Word("Redundancy group", {"GROUP": Word("0..128", then.below, "group", then.command)})

    failover_node = Word("", {"node": Word("Node", {"NODE": Word("0 or 1", {}, "node", do.failover)})})
    reset = Word("End a manual failover", {"redundancy-group": group(Word("", command=do.reset))}, command=do.reset)
    failover = Word("Move a group by hand", {"redundancy-group": group(failover_node), "reset": reset})
    generate = Word("Make a new cluster key", {"force": Word("Replace the key", command=do.key_force)}, command=do.key)
    cluster_id = Word(
        "Enable clustering",
        {"ID": Word("1..255", {"node": Word("Node", {"NODE": Word("0 or 1", {}, "node", do.identity)})}, "cluster")},
    )
    return Word(
        "",
        {
            "show": Word(
                "Show information",
                {
                    "chassis": _cluster(
                        status=Word("Redundancy groups on both nodes", command=do.status),
                        interfaces=Word("Links, reths and monitored interfaces", command=do.interfaces),
                    ),
                    "configuration": Word("The configuration file", command=do.configuration),
                },
            ),
            "request": Word(
                "Order something", {"chassis": _cluster(failover=failover, key=Word("Cluster key", {"generate": generate}))}
            ),
            "clear": Word(
                "Clear counters",
                {"chassis": _cluster(**{"failover-count": Word("Failover counts of all groups", command=do.clear_count)})},
            ),
            "set": Word(
                "Set the identity of this node",
                {"chassis": _cluster(**{"cluster-id": cluster_id, "disable": Word("Disable clustering", command=do.disable)})},
            ),
            "help": Word(
                "Explain messages",
                {
                    "syslog": Word(
                        "System log messages",
                        {"TAG": Word("A message", {}, "tag", do.help_tag)},
                        command=do.help_index,
                    )
                },
            ),
            "release": Word("Remove everything jsrpd owns from the kernel", command=do.release),
            "lab": Word("A two-node cluster on this machine (jsrp lab --help)"),
            "version": Word("Print the version", command=do.version),
        },
    )


def _cluster(**below: Word) -> Word:
    return Word("Chassis", {"cluster": Word("Chassis cluster", below)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0, 1 when the command failed, 64 when it is none."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["lab"]:
        from jsrpd.lab.main import main as lab

        return lab(words[1:])
    words, piped = pipes.split(words)
    do = Commands(pipes.display(piped))
    tree = grammar(do)
    if not words or words in (["?"], ["help"], ["--help"], ["-h"]):
        print("".join(f"jsrp {said:<62} {help_}\n" for said, help_ in commands(tree)), end="")
        return 0
    try:
        command, values = parse(tree, words)
        print(pipes.apply(command(values), piped), end="")
    except (GrammarError, pipes.PipeError) as error:
        print(error, file=sys.stderr)
        return EX_USAGE
    except CommandFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
