"""All commands of ``jsrp`` (reference 7.1). A new one is a line in ``ENTRIES``; whatever reads the grammar then knows it.

Written as one types it: values in capitals (``VALUES``), what may be left out in brackets. Words on the way that have no
help yet get it in ``HELP``.
"""

from collections.abc import Mapping

from jsrpd.cli import cluster_commands as cluster
from jsrpd.cli import commands as do
from jsrpd.cli import configuration_commands as configuration
from jsrpd.cli import detail_commands as detail
from jsrpd.cli import node_commands
from jsrpd.cli import session_commands as session
from jsrpd.cli import statistics_commands as statistics
from jsrpd.cli import token_commands as tokens
from jsrpd.cli.commands import Command
from jsrpd.cli.grammar import Entry, Word, grow
from jsrpd.model.access import Access
from jsrpd.model.roles import MAX_GROUP, NODE_IDS

Place = Word[Command]
FORMATS = ("xml", "json")
JSON = ("json",)
CONFIGURATION_FORMATS = ("set", *FORMATS)


def _numbers(name: str, within: range, help_: str) -> Place:
    return Word(f"{help_} ({within[0]}..{within[-1]})", argument=name, within=within)


WHICH = {
    "0": "node0",
    "1": "node1",
    "all": "Both nodes, as without this",
    "local": "The node that is asked",
    "primary": "The primary of redundancy group 0",
}
VALUES: Mapping[str, Place] = {
    "GROUP": _numbers("group", range(MAX_GROUP + 1), "Number of the group"),
    "WHICH": Word("Which node", argument="which", among=WHICH),
    "NODE": _numbers("node", range(len(NODE_IDS)), "Number of the node"),
    "ID": _numbers("cluster", range(256), "Number of the cluster"),
    "COUNT": _numbers("last", range(1, 1_000_000), "How many"),
    "LINES": _numbers("lines", range(100_000), "Lines; 0: never stop"),
    "COLUMNS": _numbers("columns", range(1025), "Columns; 0: never wrap"),
    "MINUTES": _numbers("minutes", range(100_001), "Minutes; 0: never"),
    "SECONDS": _numbers("seconds", range(1, 3601), "Seconds"),
    "ADDRESS": Word("Address", argument="address"),
    "NUMBER": _numbers("rollback", range(50), "Which, 0 is in force"),
    "FILE": Word("The file", argument="files", rest=True),
    "FILES": Word("The files", argument="files", rest=True),
    "TAG": Word("One message", argument="tag"),
    "NAME": Word("Name of the token", argument="name"),
    "ACCESS": Word("What it may do", argument="access", among={Access.READ.value: "Show", Access.ACT.value: "Show and order"}),
    "TEXT": Word("Text, in quotes", argument="text"),
    "EVENTS": Word('"interface IF down; after 5s; node 0 lost …", in quotes', argument="events", rest=True),
    "JOURNAL": Word("A journal's directory or file; then --until TIME, --verbose", argument="journal", rest=True),
}
HELP: Mapping[str, str] = {
    "show": "Show information",
    "request": "Order something",
    "clear": "Clear counters",
    "set": "Set the identity of this node, or how this session behaves",
    "help": "Explain messages",
    "monitor": "Watch something as it changes",
    "chassis": "Chassis",
    "cluster": "Chassis cluster",
    "redundancy-group": "Redundancy group",
    "node": "Node",
    "last": "Only the newest",
    "interval": "How often the screen is drawn",
    "ip-monitoring": "Monitored addresses",
    "data-plane": "The data plane",
    "control-plane": "The control plane",
    "control-interface": "The control links",
    "detail": "All there is to tell",
    "key": "Cluster key",
    "daemon": "The program itself",
    "maintenance": "Keep this node from owning anything",
    "failover": "Move a group by hand",
    "drill": "Rehearse a failover",
    "ip-address": "One address",
    "cluster-id": "Enable clustering; 0 disables it",
    "complete-on-space": "Whether the space key completes a word",
    "cli": "How this session behaves",
    "system": "This node",
    "api-token": "Tokens for REST over TCP",
    "request system api-token generate": "A new token for REST over TCP, shown once",
    "access": "What its holder may do",
    "import": "Translate another product's configuration",
}
ENTRIES: tuple[Entry[Command], ...] = (
    Entry(
        "show chassis cluster status [redundancy-group GROUP]",
        "Redundancy groups on both nodes",
        Command(do.show_status, FORMATS),
    ),
    Entry("show chassis cluster interfaces", "Links, reths and monitored interfaces", Command(do.show_interfaces, FORMATS)),
    Entry(
        "show chassis cluster information [redundancy-group GROUP] [node WHICH]",
        "How each group came to its state, and what has failed",
        Command(cluster.show_information, FORMATS),
    ),
    Entry(
        "show chassis cluster information detail [redundancy-group GROUP] [node WHICH]",
        "Everything about a node",
        Command(detail.show_detail, FORMATS),
    ),
    Entry(
        "show chassis cluster information detail spu [node WHICH]",
        "What carries packets, and the network cards",
        Command(detail.section("spu"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail interface-monitor [node WHICH]",
        "Watched interfaces",
        Command(detail.section("interface-monitor"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail fabric-link [node WHICH]",
        "The fabric",
        Command(detail.section("fabric-link"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail control-link [node WHICH]",
        "The control links, and the connection for commits",
        Command(detail.section("control-link"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail hardware-monitor [node WHICH]",
        "Memory, file systems, temperature",
        Command(detail.section("hardware-monitor"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail schedule-monitor [node WHICH]",
        "Whether the daemon is woken in time",
        Command(detail.section("schedule-monitor"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail command-history [node WHICH]",
        "What operators ordered",
        Command(detail.section("command-history"), FORMATS),
    ),
    Entry(
        "show chassis cluster information configuration-synchronization [node WHICH]",
        "The configuration beside the peer's",
        Command(detail.section("configuration-synchronization"), FORMATS),
    ),
    Entry(
        "show chassis cluster information detail coldsync [node WHICH]",
        "Cold synchronisation",
        Command(detail.section("coldsync"), FORMATS),
    ),
    Entry("show chassis cluster statistics", "Heartbeats and synchronised sessions", Command(statistics.show_statistics, FORMATS)),
    Entry(
        "show chassis cluster control-plane statistics",
        "Heartbeats on each path",
        Command(statistics.show_control_plane_statistics, FORMATS),
    ),
    Entry("show chassis cluster data-plane statistics", "Synchronised sessions", Command(do.show_data_plane_statistics, FORMATS)),
    Entry("show chassis cluster data-plane interfaces", "Fabric links", Command(cluster.show_data_plane_interfaces, FORMATS)),
    Entry("show chassis cluster control-interface status", "State of each link", Command(cluster.show_control_interfaces, FORMATS)),
    Entry(
        "show chassis cluster ip-monitoring status [redundancy-group GROUP] [node WHICH]",
        "How they answer each node",
        Command(do.show_ip_monitoring, FORMATS),
    ),
    Entry("show chassis cluster services", "What follows the roles on this node", Command(do.show_services, FORMATS)),
    Entry(
        "show chassis cluster events [redundancy-group GROUP] [last COUNT]",
        "What happened, across restarts",
        Command(do.show_events, FORMATS),
    ),
    Entry(
        "show chassis cluster explain [redundancy-group GROUP]",
        "Why each group is where it is, and what would move it",
        Command(do.explain, FORMATS),
    ),
    Entry(
        "monitor chassis cluster [interval SECONDS]",
        "Paths, groups, monitors, sessions and events as they change; q leaves",
        Command(cluster.monitor),
    ),
    Entry("show metrics", "What a monitoring system reads, as OpenMetrics", Command(do.show_metrics, FORMATS)),
    Entry("show configuration", "The configuration file", Command(do.show_configuration, CONFIGURATION_FORMATS)),
    Entry("show system api-tokens", "Who may use REST over TCP", Command(tokens.show_tokens, FORMATS)),
    Entry("show cli", "How this session behaves", Command(session.show_cli, FORMATS)),
    Entry("show version", "Version and name of this host", Command(session.show_version, FORMATS)),
    Entry(
        "request chassis cluster failover redundancy-group GROUP node NODE",
        "Make this node primary",
        Command(do.request_failover),
    ),
    Entry(
        "request chassis cluster failover reset [redundancy-group GROUP]",
        "End the manual failover of every group, or of one",
        Command(do.reset_failover),
    ),
    Entry(
        "request chassis cluster drill redundancy-group GROUP",
        "Rehearse a failover and back, measured; asks first",
        Command(cluster.drill),
    ),
    Entry(
        "request chassis cluster drill redundancy-group GROUP no-confirm",
        "Without asking, for scripts",
        Command(cluster.drill_unasked),
    ),
    Entry(
        "request chassis cluster what-if [EVENTS]",
        "What would happen, on a copy; nothing is changed",
        Command(do.what_if, JSON),
    ),
    Entry("request chassis cluster key generate", "Make a new cluster key", Command(do.generate_key)),
    Entry("request chassis cluster key generate force", "Replace the key", Command(do.replace_key)),
    Entry(
        "request system api-token generate NAME access ACCESS",
        "A new token for REST over TCP, shown once",
        Command(tokens.generate_token),
    ),
    Entry("request system api-token revoke NAME", "Take a token back", Command(tokens.revoke)),
    Entry(
        "request chassis cluster maintenance on",
        "What the other node can take moves there, also after a reboot",
        Command(node_commands.maintenance_on),
    ),
    Entry("request chassis cluster maintenance off", "This node may own groups again", Command(node_commands.maintenance_off)),
    Entry("request chassis cluster rejoin", "Take this disabled node back into the cluster", Command(node_commands.rejoin)),
    Entry(
        "request daemon restart",
        "Start the installed program in the daemon's place; nothing moves",
        Command(node_commands.restart_daemon),
    ),
    Entry("clear chassis cluster failover-count", "Failover counts of all groups", Command(do.clear_failover_count)),
    Entry(
        "clear chassis cluster preempt-count [redundancy-group GROUP]",
        "Let groups preempt again that have reached their limit",
        Command(node_commands.clear_preempt_count),
    ),
    Entry(
        "clear chassis cluster ip-monitoring failure-count [ip-address ADDRESS] [node WHICH]",
        "How often each became unreachable",
        Command(do.clear_ip_failure_counts),
    ),
    Entry("clear chassis cluster information [node WHICH]", "Let what is shown begin anew", Command(statistics.clear_information)),
    Entry("clear chassis cluster statistics", "Counters of both planes", Command(statistics.clear_statistics)),
    Entry("clear chassis cluster control-plane statistics", "Counters of heartbeats", Command(statistics.clear_control_plane)),
    Entry("clear chassis cluster data-plane statistics", "Counters of sessions", Command(statistics.clear_data_plane)),
    Entry(
        "clear chassis cluster service-failures [redundancy-group GROUP]",
        "Let services that did not start be tried again",
        Command(do.clear_service_failures),
    ),
    Entry("set chassis cluster cluster-id ID node NODE", "This node's number", Command(do.set_identity)),
    Entry(
        "set chassis cluster cluster-id ID node NODE reboot",
        "As on an SRX; nothing is rebooted",
        Command(do.set_identity_reboot),
    ),
    Entry("set chassis cluster disable", "Disable clustering", Command(do.disable)),
    Entry("set chassis cluster disable reboot", "As on an SRX; nothing is rebooted", Command(do.disable_reboot)),
    Entry("set cli screen-length LINES", "After how many lines to stop", Command(session.set_screen_length)),
    Entry("set cli screen-width COLUMNS", "How many columns there are", Command(session.set_screen_width)),
    Entry("set cli complete-on-space on", "Complete", Command(session.complete_on_space)),
    Entry("set cli complete-on-space off", "Do not complete", Command(session.no_complete_on_space)),
    Entry("set cli timestamp", "Print the time before each answer", Command(session.timestamp)),
    Entry("set cli timestamp disable", "Do not", Command(session.no_timestamp)),
    Entry("set cli idle-timeout MINUTES", "When an idle session ends", Command(session.idle_timeout)),
    Entry("set cli prompt TEXT", "What to show in place of user@host>", Command(session.prompt)),
    Entry("help syslog", "System log messages", Command(do.help_index)),
    Entry("help syslog TAG", "One message", Command(do.help_tag)),
    Entry("show system commit", "Past commits", Command(configuration.show_commits, FORMATS)),
    Entry("show system rollback NUMBER", "A past configuration", Command(configuration.show_rollback, CONFIGURATION_FORMATS)),
    Entry(
        "request chassis cluster configuration-synchronize",
        "Take up the newest commit of both nodes, over a file that was edited",
        Command(configuration.synchronize),
    ),
    Entry("configure", "Change the configuration of both nodes", Command(configuration.configure)),
    Entry("configure exclusive", "So that nobody else can", Command(configuration.configure_exclusive)),
    Entry("configure private", "A candidate of one's own, as always", Command(configuration.configure_private)),
    Entry("import junos FILE", "Of an SRX cluster", Command(configuration.import_junos)),
    Entry("import keepalived FILES", "Of one or both routers", Command(configuration.import_keepalived)),
    Entry("exit", "Leave", Command(session.leave)),
    Entry("quit", "Leave", Command(session.leave)),
    Entry("doctor", "What is wrong on both nodes, and what mends it", Command(do.doctor, JSON)),
    Entry("replay [JOURNAL]", "Decide a recorded journal once more and compare", Command(do.replay)),
    Entry("release", "Remove everything jsrpd owns from the kernel", Command(do.release)),
    Entry("lab", "A two-node cluster on this machine (jsrp lab --help)", Command(do.lab)),
    Entry("version", "Print the version", Command(do.version)),
)
COMMANDS: Place = grow(ENTRIES, VALUES, HELP)
