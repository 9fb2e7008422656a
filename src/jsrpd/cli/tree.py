"""All commands of ``jsrp``, as a tree of words (reference 7.1)."""

from jsrpd.cli import commands as do
from jsrpd.cli import node_commands
from jsrpd.cli.commands import Command
from jsrpd.cli.grammar import Word
from jsrpd.model.roles import MAX_GROUP, NODE_IDS

Place = Word[Command]
GROUPS = range(MAX_GROUP + 1)
NODES = range(len(NODE_IDS))
CLUSTER_IDS = range(256)
COUNTS = range(1, 1_000_000)


def _number(name: str, within: range, then: Place) -> Place:
    """A number of a range; ``then`` tells what it means and what follows it."""
    return Word(f"{then.help} ({within[0]}..{within[-1]})", then.below, then.command, name, within)


def _group(then: Place) -> Place:
    return Word("Redundancy group", {"GROUP": _number("group", GROUPS, then)})


def _node(help_: str, command: Command) -> Place:
    return Word("Node", {"NODE": _number("node", NODES, Word(help_, command=command))})


def _cluster(below: dict[str, Place]) -> Place:
    return Word("Chassis", {"cluster": Word("Chassis cluster", below)})


_SHOW_IP_MONITORING = Command(do.show_ip_monitoring, ("json",))
_IP_MONITORING: Place = Word(
    "Monitored addresses",
    {
        "status": Word(
            "How they answer this node",
            {"redundancy-group": _group(Word("Those of one group", command=_SHOW_IP_MONITORING))},
            _SHOW_IP_MONITORING,
        )
    },
)
_CLEAR_IP_FAILURE_COUNTS = Command(do.clear_ip_failure_counts)
_CLEAR_IP_MONITORING: Place = Word(
    "Monitored addresses",
    {
        "failure-count": Word(
            "How often each became unreachable",
            {"ip-address": Word("One address", {"ADDRESS": Word("Address", command=_CLEAR_IP_FAILURE_COUNTS, argument="address")})},
            _CLEAR_IP_FAILURE_COUNTS,
        )
    },
)
_EXPLAIN = Command(do.explain, ("json",))
_EVENTS = Command(do.show_events, ("json",))
_LAST: Place = Word("Only the newest", {"COUNT": _number("last", COUNTS, Word("How many", command=_EVENTS))})
_OF_GROUP: Place = Word("Of one group", {"last": _LAST}, _EVENTS)
_SHOW: Place = Word(
    "Show information",
    {
        "chassis": _cluster(
            {
                "status": Word("Redundancy groups on both nodes", command=Command(do.show_status, ("json",))),
                "events": Word(
                    "What happened, across restarts",
                    {"redundancy-group": _group(_OF_GROUP), "last": _LAST},
                    _EVENTS,
                ),
                "explain": Word(
                    "Why each group is where it is, and what would move it",
                    {"redundancy-group": _group(Word("Of one group", command=_EXPLAIN))},
                    _EXPLAIN,
                ),
                "data-plane": Word(
                    "The data plane",
                    {"statistics": Word("Synchronised sessions", command=Command(do.show_data_plane_statistics, ("json",)))},
                ),
                "information": Word(
                    "Details of the cluster",
                    {
                        "detail": Word(
                            "All there is to tell",
                            {"coldsync": Word("Cold synchronisation", command=Command(do.show_cold_sync, ("json",)))},
                        )
                    },
                ),
                "interfaces": Word("Links, reths and monitored interfaces", command=Command(do.show_interfaces, ("json",))),
                "ip-monitoring": _IP_MONITORING,
            }
        ),
        "metrics": Word("What a monitoring system reads, as OpenMetrics", command=Command(do.show_metrics)),
        "configuration": Word("The configuration file", command=Command(do.show_configuration, ("set",))),
    },
)
_RESET: Place = Word(
    "End the manual failover of every group",
    {"redundancy-group": _group(Word("End it for one group", command=Command(do.reset_failover)))},
    Command(do.reset_failover),
)
_TARGET = _node("Make this node primary", Command(do.request_failover))
_FAILOVER: Place = Word(
    "Move a group by hand",
    {"redundancy-group": _group(Word("Number of the group", {"node": _TARGET})), "reset": _RESET},
)
_GENERATE_KEY: Place = Word(
    "Make a new cluster key", {"force": Word("Replace the key", command=Command(do.replace_key))}, Command(do.generate_key)
)
_WHAT_IF: Place = Word(
    "What would happen, on a copy; nothing is changed",
    {
        '"EVENT; EVENT"': Word(
            "interface IF down; after 5s; node 0 lost …", command=Command(do.what_if, ("json",)), argument="events", rest=True
        )
    },
    Command(do.what_if, ("json",)),
)
_MAINTENANCE: Place = Word(
    "Keep this node from owning anything, also after a reboot",
    {
        "on": Word("What the other node can take moves there", command=Command(node_commands.maintenance_on)),
        "off": Word("This node may own groups again", command=Command(node_commands.maintenance_off)),
    },
)
_CLEAR_PREEMPT_COUNT = Command(node_commands.clear_preempt_count)
_REQUEST: Place = Word(
    "Order something",
    {
        "chassis": _cluster(
            {
                "failover": _FAILOVER,
                "maintenance": _MAINTENANCE,
                "rejoin": Word("Take this disabled node back into the cluster", command=Command(node_commands.rejoin)),
                "what-if": _WHAT_IF,
                "key": Word("Cluster key", {"generate": _GENERATE_KEY}),
            },
        )
    },
)
_CLEAR: Place = Word(
    "Clear counters",
    {
        "chassis": _cluster(
            {
                "failover-count": Word("Failover counts of all groups", command=Command(do.clear_failover_count)),
                "ip-monitoring": _CLEAR_IP_MONITORING,
                "preempt-count": Word(
                    "Let groups preempt again that have reached their limit",
                    {"redundancy-group": _group(Word("One group", command=_CLEAR_PREEMPT_COUNT))},
                    _CLEAR_PREEMPT_COUNT,
                ),
            },
        )
    },
)
_SET_CLUSTER_ID: Place = Word(
    "Enable clustering; 0 disables it",
    {
        "ID": _number(
            "cluster", CLUSTER_IDS, Word("Number of the cluster", {"node": _node("This node's number", Command(do.set_identity))})
        )
    },
)
_SET: Place = Word(
    "Set the identity of this node",
    {"chassis": _cluster({"cluster-id": _SET_CLUSTER_ID, "disable": Word("Disable clustering", command=Command(do.disable))})},
)
_HELP: Place = Word(
    "Explain messages",
    {
        "syslog": Word(
            "System log messages",
            {"TAG": Word("One message", command=Command(do.help_tag), argument="tag")},
            Command(do.help_index),
        )
    },
)
COMMANDS: Place = Word(
    "",
    {
        "show": _SHOW,
        "request": _REQUEST,
        "clear": _CLEAR,
        "set": _SET,
        "help": _HELP,
        "replay": Word(
            "Decide a recorded journal once more and compare",
            {
                "JOURNAL [--until TIME] [--verbose]": Word(
                    "A journal's directory or file", command=Command(do.replay), argument="journal", rest=True
                )
            },
            Command(do.replay),
        ),
        "release": Word("Remove everything jsrpd owns from the kernel", command=Command(do.release)),
        "lab": Word("A two-node cluster on this machine (jsrp lab --help)", command=Command(do.lab)),
        "version": Word("Print the version", command=Command(do.version)),
    },
)
