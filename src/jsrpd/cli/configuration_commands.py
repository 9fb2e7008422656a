"""The operational commands around configurations: entering configuration mode, the history of commits, importing."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jsrpd.cli.commands import Call, CommandFailed, InputFailed, ask, configuration_directory, directory, file_problem

MAX_FOREIGN_BYTES = 16 << 20

if TYPE_CHECKING:
    from jsrpd.cli.configure import ConfigureMode
    from jsrpd.cli.render_xml import Element
    from jsrpd.management.requests import CommitLine


def configuration_mode(exclusive: bool = False, private: bool = False) -> "ConfigureMode":
    """Configuration mode of this node. CommandFailed when somebody else has it."""
    from jsrpd.cli.configuration_client import desk
    from jsrpd.cli.configure import ConfigureMode
    from jsrpd.cli.shell import who
    from jsrpd.configuration.candidate import EditFailed
    from jsrpd.management.requests import SOCKET_NAME

    path = directory("RUNTIME_DIRECTORY", "/run/jsrpd") / SOCKET_NAME
    where = desk(path, configuration_directory(), directory("STATE_DIRECTORY", "/var/lib/jsrpd"))
    try:
        return ConfigureMode(where, who("").strip(), exclusive, private)
    except EditFailed as error:
        where.close()
        raise CommandFailed(str(error)) from error


def configure(_call: Call) -> str:
    """``configure``."""
    return _run(configuration_mode())


def configure_exclusive(_call: Call) -> str:
    """``configure exclusive``."""
    return _run(configuration_mode(exclusive=True))


def configure_private(_call: Call) -> str:
    """``configure private``."""
    return _run(configuration_mode(private=True))


def _run(mode: "ConfigureMode") -> str:
    """In a session, its next mode; else the lines of standard input, until one fails."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        from jsrpd.cli.modes import Enter

        raise Enter(mode, mode.banner)
    from jsrpd.cli.configure import run_script

    sys.stdout.write(mode.banner)
    sys.stdout.flush()
    printed, failed = run_script(mode, sys.stdin)
    if failed:
        raise InputFailed(failed, printed)
    return printed


def show_commits(call: Call) -> str:
    """``show system commit``."""
    from jsrpd.management.requests import ShowCommits

    commits = ask(ShowCommits()).commits
    if call.display == "json":
        import msgspec

        return msgspec.json.format(msgspec.json.encode({"commits": commits}), indent=2).decode() + "\n"
    if call.display == "xml":
        from jsrpd.cli import render_xml

        return render_xml.reply(("commit-information", [("commit-history", _commit(one)) for one in commits]))
    return "".join(f"{line}\n" for one in commits for line in _lines(one))


def _commit(one: "CommitLine") -> "list[Element]":
    """As the vendor lists them; where it was made, and what is special about it."""
    leaves: list[Element] = [("sequence-number", one.number), ("user", one.author), ("client", one.client)]
    leaves += [("date-time", _when(one)), ("re-name", f"node{one.node}")]
    return leaves + [(name, said) for name, said in (("log", one.comment), ("note", one.note)) if said]


def _when(one: "CommitLine") -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(one.time)) if one.time else "-"


def _lines(one: "CommitLine") -> list[str]:
    note = f" ({one.note})" if one.note else ""
    return [
        f"{one.number:<3} {_when(one)} by {one.author} via {one.client} on node{one.node}{note}",
        *([f"    {one.comment}"] if one.comment else []),
    ]


def show_rollback(call: Call) -> str:
    """``show system rollback N``."""
    from jsrpd.management.requests import ReadCommit

    told = ask(ReadCommit(call.number("rollback"))).configuration
    text = told.text if told is not None else ""
    if not call.display:
        return text
    from jsrpd.cli.render_configuration import shown
    from jsrpd.configuration.candidate import read

    return shown(read(text), call.display)


def synchronize(_call: Call) -> str:
    """``request chassis cluster configuration-synchronize``."""
    from jsrpd.management.requests import SynchronizeConfiguration

    return ask(SynchronizeConfiguration()).text


def import_junos(call: Call) -> str:
    """``import junos FILE``: our configuration on standard output, what was left out on standard error."""
    from jsrpd.configuration.import_junos import NAMES_FILE, imported, read_names

    (path,) = _paths(call)
    names = path.with_name(NAMES_FILE)
    try:
        table = read_names(names.read_text()) if names.exists() else {}
        return _imported(imported(_foreign(path), path.name, table))
    except OSError as error:
        raise file_problem(error, path) from error
    except ValueError as error:
        raise CommandFailed(f"error: {error}") from error


def import_keepalived(call: Call) -> str:
    """``import keepalived FILE…``: the two nodes' files, or one file with ``@node`` conditions."""
    from jsrpd.configuration.import_keepalived import imported

    paths = _paths(call)
    try:
        return _imported(imported([(str(path), _foreign(path)) for path in paths], _included))
    except OSError as error:
        raise file_problem(error, Path(str(error.filename))) from error
    except ValueError as error:
        raise CommandFailed(f"error: {error}") from error


def _included(pattern: str, beside: str) -> list[tuple[str, str]]:
    """The files an ``include`` names, relative to the file it stands in."""
    import glob

    found = sorted(glob.glob(pattern, root_dir=Path(beside).parent))
    paths = [Path(beside).parent / name for name in found]
    return [(str(path), _foreign(path)) for path in paths if path.is_file()]


def _foreign(path: Path) -> str:
    """Another product's configuration. ValueError for what is too large to be one."""
    if path.stat().st_size > MAX_FOREIGN_BYTES:
        raise ValueError(f"{path} has more than {MAX_FOREIGN_BYTES >> 20} MB and is no configuration")
    return path.read_text(errors="replace")


def _imported(result: "tuple[str, list[str]]") -> str:
    text, remarks = result
    for remark in remarks:
        sys.stderr.write(f"{remark}\n")
    return text


def _paths(call: Call) -> list[Path]:
    return [Path(word) for word in call.values.get("files", "").split()]
