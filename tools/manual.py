"""The manual pages jsrpd(8), jsrp(1) and jsrpd.conf(5): what can be listed is listed from the code itself.

Commands come from the grammar, statements with ranges and defaults from the schema, messages from the catalogue, so
that a page cannot lag behind. ``python -m tools.manual DIRECTORY`` writes the three.
"""

import sys
from pathlib import Path

from jsrpd import __version__
from jsrpd.cli.pipes import ENTRIES as PIPES
from jsrpd.cli.tree import ENTRIES
from jsrpd.configuration.schema import TOP, Statement
from jsrpd.gateway.snmp_table import ROOT
from jsrpd.messages.catalogue import CATALOGUE
from tools.roff import heading, item, literal, paragraph, text, title

EXAMPLE = Path(__file__).parents[1] / "docs/examples/two-nodes.conf"
OPTIONS = {
    "-C": "Check the configuration, print every problem with line, column and suggestion, and leave. Needs no root.",
    "-N": "Stay in the foreground.",
    "-X": "Pre-flight: as -C, and the key, the interfaces, the kernel and the directories. Touches nothing.",
    "-d debug-level": "0 to 7.",
    "-l": "Copy log messages to standard error.",
    "-v": "Print the version and leave.",
}
SIGNALS = {
    "SIGTERM": "Every group that is primary here is handed over, then the daemon ends. Addresses stay, behind a shut gate.",
    "SIGHUP": "Load the configuration again. Groups whose configuration is equal see nothing; a broken file changes nothing.",
    "SIGUSR2": "Restart in place: the installed program is checked, then runs in this daemon's place. Nothing moves.",
}
EXITS = {
    "0": "Ended by SIGTERM, or checked and found good.",
    "64": "Wrong option.",
    "71": "PID file or daemonising failed, or the gate cannot be made.",
    "75": "Another instance runs.",
    "77": "Not root.",
    "78": "Configuration, identity or key are not acceptable.",
}
EXITS_OF_COMMANDS = {
    "0": "Done. jsrp doctor: nothing, or notes only.",
    "1": "The command failed; standard error says why. jsrp doctor: warnings.",
    "2": "jsrp doctor: something is critical.",
    "64": "Not a command; nothing was done.",
    "130": "Interrupted.",
}
FILES = {
    "/etc/jsrpd/jsrpd.conf": "Configuration, the same on both nodes: jsrpd.conf(5). CONFIGURATION_DIRECTORY moves it.",
    "/etc/jsrpd/identity.conf": "Which node of which cluster this is; written by jsrp set chassis cluster.",
    "/etc/jsrpd/cluster.key": "The key of the cluster, mode 0600, the same on both nodes.",
    "/run/jsrpd/jsrpd.pid": "PID file, locked while the daemon lives. RUNTIME_DIRECTORY moves it.",
    "/etc/jsrpd/api-tokens": "Who may use REST over TCP, mode 0600; written by jsrp request system api-token.",
    "/run/jsrpd/jsrpd.sock": "Management socket, for jsrp(1).",
    "/run/jsrpd/http.sock": "REST, dashboard and metrics, for root and the group jsrp.",
    "/var/lib/jsrpd/owned.json": "What the daemon has put into the kernel, for jsrp release. STATE_DIRECTORY moves it.",
}
KEYS = {
    "Ctrl-A, Ctrl-E, Home, End": "To the beginning and the end of the line.",
    "Ctrl-B, Ctrl-F, Alt-B, Alt-F, arrows": "A character or a word back and forward.",
    "Ctrl-P, Ctrl-N, arrows": "Older and newer lines of this session.",
    "Ctrl-U, Ctrl-K, Ctrl-W, Ctrl-Y": "Delete the line, to its end, a word; put it back.",
    "Ctrl-L": "Clear the screen.",
}
AGENT_ROOT = f".{'.'.join(map(str, ROOT))}"
NOTIFY = "NOTIFY_SOCKET: the daemon tells a service manager when it is ready, reloading and stopping, as sd_notify(3) describes."


def daemon_page() -> str:
    """jsrpd(8)."""
    return _page(
        title("jsrpd", 8, __version__),
        _name("jsrpd", "chassis-cluster daemon for two Linux routers or firewalls"),
        heading("SYNOPSIS"),
        " ".join(["\\fBjsrpd\\fR", *(f"[\\fB{text(option)}\\fR]" for option in OPTIONS)]),
        heading("DESCRIPTION"),
        paragraph(
            "jsrpd joins two nodes into one cluster.",
            "Redundancy groups own gateway addresses on redundant Ethernet interfaces (reth); each group is primary on one node.",
            "When a link, a node or a daemon fails, the group moves to the other node and the traffic goes on.",
            "A BPF program at each reth lets frames pass only while the daemon keeps renewing a lease, so a node that hangs goes"
            " quiet by itself before the other takes over.",
        ),
        heading("OPTIONS"),
        *_items(OPTIONS),
        paragraph("The vendor's meaning of -X and -l is not public; the above is ours."),
        heading("SIGNALS"),
        *_items(SIGNALS),
        heading("EXIT STATUS"),
        *_items(EXITS),
        heading("ENVIRONMENT"),
        paragraph("CONFIGURATION_DIRECTORY, RUNTIME_DIRECTORY, STATE_DIRECTORY, LOGS_DIRECTORY: as systemd.exec(5) sets them."),
        paragraph(NOTIFY),
        heading("FILES"),
        *_items(FILES),
        heading("MESSAGES"),
        paragraph("Sent to /dev/log and to configured hosts. Each is explained by: jsrp help syslog TAG."),
        *(item(tag, f"{entry.severity.label}: {entry.text}") for tag, entry in CATALOGUE.items()),
        heading("SEE ALSO"),
        _see(("jsrp", 1), ("jsrpd.conf", 5)),
    )


def command_page() -> str:
    """jsrp(1)."""
    return _page(
        title("jsrp", 1, __version__),
        _name("jsrp", "show and order things of a chassis cluster"),
        heading("SYNOPSIS"),
        "\\fBjsrp\\fR [\\fIcommand\\fR [\\fB|\\fR \\fIpipe\\fR]\\&...]",
        heading("DESCRIPTION"),
        paragraph(
            "With a command, one answer, in the words of Junos.",
            "Without one, an interactive session; jsrp may be a user's login shell.",
            "Words may be abbreviated as long as they are unique; a ? in place of a word shows what is possible there.",
            "A command that talks to the daemon must be run by root on a node of the cluster.",
        ),
        heading("INTERACTIVE SESSION"),
        paragraph(
            "Above the prompt stands what this node is for redundancy group 0.",
            "Tab and the space key complete a word, ? shows what may follow, both without Enter.",
            "Ctrl-C gives up the line or interrupts what runs; Ctrl-D, exit and quit leave.",
            "Long answers stop after each page: space for the next, Enter for a line, q for no more; | no-more and"
            " set cli screen-length 0 print in one piece.",
            "From a pipe or a file, one command a line is read, without prompt and pages.",
        ),
        *_items(KEYS),
        heading("COMMANDS"),
        paragraph("What stands in brackets may be left out; what is in capitals is a value."),
        *(item(entry.form, entry.help + ".") for entry in ENTRIES),
        heading("PIPES"),
        *(item(f"| {entry.form}", entry.help + ".") for entry in PIPES),
        heading("EXIT STATUS"),
        *_items(EXITS_OF_COMMANDS),
        heading("EXAMPLES"),
        literal("jsrp show chassis cluster status\njsrp request chassis cluster failover redundancy-group 1 node 1"),
        literal("jsrp show chassis cluster status '|' display json"),
        heading("SEE ALSO"),
        _see(("jsrpd", 8), ("jsrpd.conf", 5)),
    )


def configuration_page() -> str:
    """jsrpd.conf(5)."""
    return _page(
        title("jsrpd.conf", 5, __version__),
        _name("jsrpd.conf", "configuration of jsrpd"),
        heading("DESCRIPTION"),
        paragraph(
            "The Junos hierarchy, in braces or as lines that begin with set.",
            "The file is the same on both nodes.",
            'What differs stands in the groups node0 and node1, applied by: apply-groups "${node}".',
            "Which node this is stands elsewhere: jsrp set chassis cluster cluster-id 1 node 0.",
            "jsrpd -C checks the file and prints every problem; SIGHUP or systemctl reload jsrpd loads it.",
        ),
        heading("STATEMENTS"),
        *(item(statement, *said) for statement, said in statements(TOP)),
        heading("EXAMPLE"),
        literal(EXAMPLE.read_text()),
        heading("SEE ALSO"),
        _see(("jsrp", 1), ("jsrpd", 8)),
    )


def statements(allowed: dict[str, Statement], path: str = "") -> list[tuple[str, list[str]]]:
    """Every statement that takes something or stands for itself: how it is written, and what is to be said of it."""
    found: list[tuple[str, list[str]]] = []
    for word, statement in allowed.items():
        said = " ".join(filter(None, (path, word, _upper(word) if statement.key else "")))
        if statement.value or not statement.below or statement.key:
            written = f"{said} {'[ VALUE ... ]' if statement.many else 'VALUE'}" if statement.value else said
            found.append((written, _explained(word, statement)))
        found += statements(statement.below, said)
    return found


def _upper(word: str) -> str:
    """The placeholder for a key: the last part of the statement's word."""
    return (word or "name").rpartition("-")[2].upper()


def _explained(word: str, statement: Statement) -> list[str]:
    sentences = [_sentence(statement.help)]
    if statement.key:
        sentences.append(f"{_upper(word)}: {statement.key.description}.")
    if statement.value:
        sentences.append(_sentence(f"Value: {statement.value.description}"))
    if statement.default:
        sentences.append(f"Default: {statement.default}.")
    if statement.refuse:
        sentences.append(f"Refused: it {statement.refuse}.")
    return sentences


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."


def _items(entries: dict[str, str]) -> list[str]:
    return [item(term, said) for term, said in entries.items()]


def _name(name: str, what: str) -> str:
    return f"{heading('NAME')}\n{text(name)} \\- {text(what)}"


def _see(*pages: tuple[str, int]) -> str:
    return ",\n".join(f".BR {text(name)} ({section})" for name, section in pages).replace(",\n", " ,\n")


def _page(*parts: str) -> str:
    return "\n".join(parts) + "\n"


def agent_page() -> str:
    """jsrpd-snmp(8)."""
    return _page(
        title("jsrpd-snmp", 8, __version__),
        _name("jsrpd-snmp", "JSRPD-MIB for the agent of net-snmp"),
        heading("SYNOPSIS"),
        f"\\fBpass_persist\\fR {AGENT_ROOT} \\fB/usr/sbin/jsrpd-snmp\\fR",
        heading("DESCRIPTION"),
        paragraph(
            "Run by snmpd(8), as its line in snmpd.conf(5) says; nobody else starts it.",
            "It asks jsrpd(8) over the REST socket for the status of the cluster, at most once a second, and answers from that.",
            "While the daemon does not answer, there is nothing below its OID.",
            "The user that snmpd runs as must be able to read: set system services rest other-users read-only.",
        ),
        heading("FILES"),
        *_items({"/usr/share/snmp/mibs/JSRPD-MIB.txt": "The MIB.", "/run/jsrpd/http.sock": "RUNTIME_DIRECTORY moves it."}),
        heading("SEE ALSO"),
        _see(("jsrpd", 8), ("snmpd.conf", 5)),
    )


PAGES = {"jsrpd.8": daemon_page, "jsrpd-snmp.8": agent_page, "jsrp.1": command_page, "jsrpd.conf.5": configuration_page}


def main(directory: Path) -> None:
    """Write all pages."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (directory / name).write_text(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
