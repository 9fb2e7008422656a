"""What the commands do. Each gets a ``Call`` and returns what is printed; ``CommandFailed`` tells the operator why not.

Imports stay inside the functions: a command shall answer in 150 ms (SPEC section 11), and most need only the socket.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsrpd.core.cluster import Cluster
    from jsrpd.management.requests import CoreState, Reply, Request
    from jsrpd.model.configuration import ClusterConfiguration
    from jsrpd.model.status import ClusterStatus, GroupStatus


via: "ContextVar[Callable[[Request], Reply] | None]" = ContextVar("via", default=None)
"""Who answers in place of the management socket: set by the daemon's own gateway, which runs commands for REST clients."""
NO_REBOOT = "No reboot is needed, and none is made.\n"
BANNER_TIMEOUT_S = 0.5
"""A prompt does not wait for a daemon that hangs."""


class CommandFailed(Exception):
    """The text is for the operator, none where all is said; ``shown``: what was to be printed before it; ``code``: of exit."""

    def __init__(self, text: str, shown: str = "", code: int = 1) -> None:
        super().__init__(text)
        self.shown, self.code = shown, code


class InputFailed(CommandFailed):
    """Of a command that reads lines of standard input: those behind the one that failed were meant for it and for nobody else."""


@dataclass(frozen=True, slots=True)
class Call:
    """The values among the words, by name, within their ranges; ``display``: the format asked for, empty for text."""

    values: dict[str, str] = field(default_factory=dict)
    display: str = ""

    def number(self, name: str) -> int:
        """A value that has a range."""
        return int(self.values[name])


@dataclass(frozen=True, slots=True)
class Command:
    """``displays``: the formats besides text."""

    run: Callable[[Call], str]
    displays: tuple[str, ...] = ()


def show_status(call: Call) -> str:
    """``show chassis cluster status [redundancy-group N]``."""
    snapshot = snapshot_of_groups(call)
    if call.display == "json":
        from jsrpd.cli import render_json

        return render_json.snapshot(snapshot)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_xml.status(snapshot), snapshot=snapshot)
    from jsrpd.cli import render_text

    return render_text.status(snapshot)


def show_interfaces(call: Call) -> str:
    """``show chassis cluster interfaces``."""
    snapshot = snapshot_now()
    if call.display == "json":
        from jsrpd.cli import render_json

        return render_json.snapshot(snapshot)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_xml.interfaces(snapshot), snapshot=snapshot)
    from jsrpd.cli import render_text

    return render_text.interfaces(snapshot)


def doctor(call: Call) -> str:
    """``doctor``: what is wrong with the surroundings of both nodes."""
    from jsrpd.cli.doctor import run

    return run(call.display)


def show_metrics(call: Call) -> str:
    """``show metrics``."""
    from jsrpd.management.requests import ShowMetrics

    text = ask(ShowMetrics()).text
    if not call.display:
        return text
    from jsrpd.cli import render_metrics, render_xml

    families = render_metrics.families(text)
    return render_metrics.as_json(families) if call.display == "json" else render_xml.reply(render_metrics.as_xml(families))


def show_ip_monitoring(call: Call) -> str:
    """``show chassis cluster ip-monitoring status [redundancy-group N] [node WHICH]``: as either node sees it."""
    from jsrpd.cli import both_nodes, render_ip_monitoring
    from jsrpd.management.requests import ShowIpMonitoring

    if "group" in call.values:
        snapshot_of_groups(call)
    (answers,) = both_nodes.asked(call, ShowIpMonitoring(call.number("group") if "group" in call.values else None))
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_ip_monitoring.as_xml(answers))
    return (render_ip_monitoring.as_json if call.display == "json" else render_ip_monitoring.as_text)(answers)


def clear_ip_failure_counts(call: Call) -> str:
    """``clear chassis cluster ip-monitoring failure-count [ip-address ADDRESS] [node WHICH]``."""
    from jsrpd.cli import both_nodes
    from jsrpd.cli.render_text import node_block
    from jsrpd.management.requests import ClearIpFailureCounts

    answers = both_nodes.ordered(call, ClearIpFailureCounts(call.values.get("address", "")))
    return "".join(node_block(one.node, one.reply.text if one.reply is not None else one.problem) for one in answers)


def show_events(call: Call) -> str:
    """``show chassis cluster events [redundancy-group N] [last N]``: from the disk, so also of a daemon that is dead."""
    from jsrpd.cli import history

    try:
        every = history.events(journal())
    except OSError as error:
        raise file_problem(error, journal()) from error
    group, last = (call.number(name) if name in call.values else None for name in ("group", "last"))
    shown = history.chosen(every, group, last)
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(history.events_xml(shown))
    return (history.events_json if call.display == "json" else history.events_text)(shown)


def explain(call: Call) -> str:
    """``show chassis cluster explain [redundancy-group N]``."""
    from jsrpd.cli import history, render_explain
    from jsrpd.management.requests import Explain

    explained = ask(Explain()).explanations
    if "group" in call.values:
        explained = tuple(group for group in explained if group.group == call.number("group"))
        if not explained:
            raise CommandFailed(f"error: redundancy group {call.number('group')} is not configured")
    with contextlib.suppress(OSError):  # Without a readable journal there is less to tell.
        explained = render_explain.with_history(explained, history.events(journal()))
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_explain.xml(explained))
    return (render_explain.json if call.display == "json" else render_explain.text)(explained)


def what_if(call: Call) -> str:
    """``request chassis cluster what-if "EVENT; EVENT"``: runs here, on a copy of the core's state."""
    from jsrpd.cli import what_if
    from jsrpd.core.what_if import rehearse

    state, cluster = core_copy()
    candidate = _candidate if via.get() is None else _no_candidate
    try:
        plan = what_if.parse(call.values.get("events", ""), cluster, candidate)
    except what_if.NotUnderstood as error:
        raise CommandFailed(str(error)) from error
    outcome = rehearse(cluster, state.now, plan)
    return (what_if.json if call.display == "json" else what_if.text)(outcome)


def _candidate(path: Path) -> "tuple[ClusterConfiguration, ClusterConfiguration]":
    """A configuration file as either node would load it."""
    from jsrpd.configuration.identity import Identity, read_identity
    from jsrpd.configuration.load import load_file
    from jsrpd.configuration.problems import ConfigurationError

    try:
        identity = read_identity(configuration_directory())
        cluster = identity.cluster_id if identity else 0
        return load_file(path, Identity(cluster, 0)), load_file(path, Identity(cluster, 1))
    except (ConfigurationError, ValueError) as error:
        raise CommandFailed(f"error: {path} would be refused:\n{error}") from error
    except OSError as error:
        raise file_problem(error, path) from error


def _no_candidate(_path: Path) -> "tuple[ClusterConfiguration, ClusterConfiguration]":
    """For who is elsewhere: he shall not have files of this node read."""
    raise CommandFailed("error: commit FILE is understood on the node only")


def replay(call: Call) -> str:
    """``replay JOURNAL [--until TIME] [--verbose]``."""
    from jsrpd.cli import history

    words = call.values.get("journal", "").split()
    verbose = "--verbose" in words
    words = [word for word in words if word != "--verbose"]
    path, *until = words or [str(journal())]
    if until[:1] not in ([], ["--until"]) or len(until) == 1:
        raise CommandFailed(f"error: '{' '.join(until)}' is not understood; it is: jsrp replay JOURNAL [--until TIME] [--verbose]")
    shown: list[str] = []
    try:
        shown += history.replayed(Path(path), " ".join(until[1:]), verbose)
    except history.ReplayFailed as failed:
        raise CommandFailed(str(failed), "".join(shown)) from failed
    except OSError as error:
        raise file_problem(error, Path(path)) from error
    return "".join(shown)


def show_data_plane_statistics(call: Call) -> str:
    """``show chassis cluster data-plane statistics``."""
    from jsrpd.cli import render_json, render_sessions

    snapshot = snapshot_now()
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_xml.services(snapshot), snapshot=snapshot)
    return (render_json.snapshot if call.display == "json" else render_sessions.data_plane_statistics)(snapshot)


def show_configuration(call: Call) -> str:
    """``show configuration``: the file, not what the daemon runs with; what is inactive in it is shown as such."""
    from jsrpd.cli import render_configuration
    from jsrpd.configuration import files, junos

    path = files.in_use(configuration_directory())
    try:
        tree = files.parsed(files.text_at(path, errors="strict"), path.name, keep=True)
    except (OSError, UnicodeDecodeError) as error:
        raise file_problem(error, path) from error
    except junos.SyntaxProblem as error:
        raise CommandFailed(f"error: {path}:{error.line}:{error.column}: {error.message}") from error
    return render_configuration.shown(tree, call.display)


def request_failover(call: Call) -> str:
    """``request chassis cluster failover redundancy-group N node M``."""
    from jsrpd.management.requests import Failover

    return _done(ask(Failover(call.number("group"), call.number("node"))))


def reset_failover(call: Call) -> str:
    """``request chassis cluster failover reset [redundancy-group N]``."""
    from jsrpd.management.requests import FailoverReset

    return _done(ask(FailoverReset(call.number("group") if "group" in call.values else None)))


def clear_failover_count(_call: Call) -> str:
    """``clear chassis cluster failover-count``."""
    from jsrpd.management.requests import ClearFailoverCount

    return ask(ClearFailoverCount()).text + "\n"


def show_services(call: Call) -> str:
    """``show chassis cluster services``: what follows the roles on this node."""
    from jsrpd.cli import render_services

    snapshot = snapshot_now()
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(render_services.as_xml(snapshot), snapshot=snapshot)
    return (render_services.as_json if call.display == "json" else render_services.as_text)(snapshot)


def clear_service_failures(call: Call) -> str:
    """``clear chassis cluster service-failures [redundancy-group N]``."""
    from jsrpd.management.requests import ClearServiceFailures

    return _done(ask(ClearServiceFailures(call.number("group") if "group" in call.values else None)))


def generate_key(_call: Call) -> str:
    """``request chassis cluster key generate``."""
    return _generate_key(force=False)


def replace_key(_call: Call) -> str:
    """``request chassis cluster key generate force``: over an existing key."""
    return _generate_key(force=True)


def _generate_key(force: bool) -> str:
    from jsrpd.configuration.key import KeyFileError, generate_key

    directory = configuration_directory()
    try:
        path = generate_key(directory, force)
    except KeyFileError as error:
        raise CommandFailed(f"error: {error}") from error
    except OSError as error:
        raise file_problem(error, directory) from error
    return f"{path} written; copy it to the other node (mode 0600), then restart both daemons\n"


def set_identity(call: Call) -> str:
    """``set chassis cluster cluster-id N node M``; cluster-id 0 disables, as in Junos."""
    return _write_identity(call.number("cluster"), call.number("node"))


def disable(_call: Call) -> str:
    """``set chassis cluster disable``."""
    return _write_identity(0, 0)


def _write_identity(cluster_id: int, node: int) -> str:
    from jsrpd.configuration.identity import Identity, write_identity

    directory = configuration_directory()
    try:
        write_identity(directory, Identity(cluster_id, node) if cluster_id else None)
    except OSError as error:
        raise file_problem(error, directory) from error
    return f"Successfully {'enabled' if cluster_id else 'disabled'} chassis cluster. Restart jsrpd for this to take effect.\n"


def set_identity_reboot(call: Call) -> str:
    """``set chassis cluster cluster-id N node M reboot``, as hands know it: nothing here needs a reboot, so there is none."""
    return set_identity(call) + NO_REBOOT


def disable_reboot(call: Call) -> str:
    """``set chassis cluster disable reboot``."""
    return disable(call) + NO_REBOOT


def help_index(_call: Call) -> str:
    """``help syslog``."""
    from jsrpd.messages.help_syslog import render_help_index

    return render_help_index()


def help_tag(call: Call) -> str:
    """``help syslog TAG``."""
    from jsrpd.messages.help_syslog import render_help

    tag = call.values["tag"].upper()
    try:
        return render_help(tag)
    except KeyError as error:
        raise CommandFailed(f"error: no message {tag}; all of them: jsrp help syslog") from error


def version(_call: Call) -> str:
    """``version``."""
    from jsrpd import __version__

    return f"jsrpd {__version__}\n"


def release(_call: Call) -> str:
    """``release``: in a process of its own, because it works on the kernel like the daemon does."""
    import subprocess

    if os.geteuid() != 0:
        raise CommandFailed("error: permission denied; run as root")
    done = subprocess.run([sys.executable, "-m", "jsrpd.processes.release"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"error: {done.stderr.strip()}")
    return done.stdout


def lab(_call: Call) -> str:
    """``lab`` has options of its own and is started before any word is parsed; here only an abbreviation arrives."""
    raise CommandFailed("error: write lab in full; what it can do: jsrp lab --help")


def snapshot_of_groups(call: Call) -> "ClusterStatus":
    """How things are; of one group only where the call names one."""
    return chosen_groups(call, snapshot_now())


def chosen_groups(call: Call, snapshot: "ClusterStatus") -> "ClusterStatus":
    """With the group that the call names, or with all. CommandFailed when it is not configured."""
    import msgspec

    if "group" not in call.values:
        return snapshot
    groups = tuple(group for group in snapshot.groups if group.group == call.number("group"))
    if not groups:
        raise CommandFailed(f"error: redundancy group {call.number('group')} is not configured")
    return msgspec.structs.replace(snapshot, groups=groups)


def snapshot_now(timeout_s: float | None = None) -> "ClusterStatus":
    """How things are."""
    from jsrpd.management.requests import ShowStatus

    status = ask(ShowStatus(), timeout_s).status
    if status is None:
        raise CommandFailed("error: the answer has no status; are jsrp and jsrpd of one version?")
    return status


def core_copy() -> "tuple[CoreState, Cluster]":
    """The engine's core, copied."""
    from jsrpd.core.checkpoint import CheckpointError, decode
    from jsrpd.management.requests import ShowState

    core = ask(ShowState()).core
    if core is None:
        raise CommandFailed("error: the answer has no state; are jsrp and jsrpd of one version?")
    try:
        return core, decode(core.state)
    except CheckpointError as error:
        raise CommandFailed("error: the daemon's state is not understood; jsrp and jsrpd must be of one version") from error


def ask(request: "Request", timeout_s: float | None = None) -> "Reply":
    """The daemon's answer; CommandFailed with what it refuses."""
    with begun(request, timeout_s) as answer:
        return answer()


@contextlib.contextmanager
def begun(request: "Request", timeout_s: float | None = None) -> "Iterator[Callable[[], Reply]]":
    """A question that is under way: what is yielded waits for its answer. CommandFailed from both."""
    from jsrpd.management import client
    from jsrpd.management.requests import SOCKET_NAME

    in_place = via.get()
    if in_place is not None:
        yield lambda: _granted(in_place(request))
        return
    path = directory("RUNTIME_DIRECTORY", "/run/jsrpd") / SOCKET_NAME
    try:
        with client.begun(path, request, timeout_s or client.TIMEOUT_S) as answer:
            yield lambda: _granted(answer())
    except client.DaemonUnreachable as error:
        raise CommandFailed(f"error: {error}") from error


def _granted(reply: "Reply") -> "Reply":
    if not reply.ok:
        raise CommandFailed(reply.text)
    return reply


def _done(reply: "Reply") -> str:
    from jsrpd.cli.render_text import node_block

    return node_block(reply.node or 0, reply.text)


def journal() -> Path:
    """Directory of this node's journals."""
    from jsrpd.management.journal import DIRECTORY

    return directory("STATE_DIRECTORY", "/var/lib/jsrpd") / DIRECTORY


def configuration_directory() -> Path:
    """Where configuration, identity and key are."""
    return directory("CONFIGURATION_DIRECTORY", "/etc/jsrpd")


def directory(variable: str, default: str) -> Path:
    """systemd may list several paths; the first counts."""
    return Path((os.environ.get(variable) or default).split(":")[0])


def file_problem(error: Exception, path: Path) -> CommandFailed:
    """In words for the operator."""
    if isinstance(error, PermissionError):
        return CommandFailed(f"error: {error.filename or path}: permission denied; run as root")
    if isinstance(error, OSError):
        return CommandFailed(f"error: {error.filename or path}: {error.strerror}")
    return CommandFailed(f"error: {path}: {error}")


# -- for the interactive session ------------------------------------------------------------------------------------------


def banner() -> str:
    """``{primary:node0}``: what this node is for redundancy group 0; empty when that cannot be told."""
    try:
        return banner_of(snapshot_now(BANNER_TIMEOUT_S))
    except CommandFailed:
        return ""


def banner_of(snapshot: "ClusterStatus") -> str:
    """The same of a snapshot."""
    states = {node.node: node.state for group in snapshot.groups if group.group == 0 for node in group.nodes}
    return f"{{{states[snapshot.node]}:node{snapshot.node}}}" if snapshot.node in states else ""


def known_values(argument: str) -> list[tuple[str, str]]:
    """Values of an argument of the grammar, with help; empty where they cannot be listed."""
    if argument == "node":
        return [("0", "node0"), ("1", "node1")]
    if argument == "tag":
        from jsrpd.messages.catalogue import CATALOGUE

        return [(tag, entry.text[:50]) for tag, entry in CATALOGUE.items()]
    if argument == "group":
        with contextlib.suppress(CommandFailed):
            return [(str(group.group), _owner(group)) for group in snapshot_now().groups]
    return []


def _owner(group: "GroupStatus") -> str:
    owners = [f"node{node.node}" for node in group.nodes if node.state == "primary"]
    return f"Primary on {owners[0]}" if owners else "Primary on no node"
