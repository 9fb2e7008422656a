"""The system-log messages as data: the 25 of the commissioning document, then our own additions.

Tag, text, severity, facility and type of the 25 are a contract, to the letter; ``<words>`` are the variables, and
their names are the parameter names of the structured form. Descriptions, causes and actions are our own. Everything
that emits, renders, documents or tests a message goes through ``CATALOGUE``.
"""

from enum import IntEnum

import msgspec


class Severity(IntEnum):
    """Syslog severities by the names of the commissioning document (RFC 5424 table 2)."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7

    @property
    def label(self) -> str:
        """The word as printed."""
        return self.name.lower()


TYPE_LINES = {
    "Error": "Error: An error occurred",
    "Event": "Event: This message reports an event, not an error",
}
FACILITY_DAEMON = 3


class LogMessage(msgspec.Struct, frozen=True):
    """One message to be sent: its tag and the values of its variables in the order of the sentence."""

    tag: str
    values: tuple[tuple[str, str], ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    """Structured fields that do not stand in the text."""


class Entry(msgspec.Struct, frozen=True):
    """What is known about a message."""

    tag: str
    text: str
    severity: Severity
    type: str
    help: str
    description: str
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    facility: str = "LOG_DAEMON"
    addition: bool = False
    """Not in the commissioning document."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables in the order of the sentence."""
        return tuple(piece.split(">")[0] for piece in self.text.split("<")[1:])

    @property
    def type_line(self) -> str:
        """The type as the reference prints it."""
        return TYPE_LINES[self.type]


def _monitor(kind: str, name: str, what: str, action: str) -> list[Entry]:
    """The SET and UNSET pair of one monitor."""
    return [
        Entry(
            f"JSRPD_SET_{kind}_MON_FAILURE",
            f"{name} Monitor failed for redundancy-group <rg-id>",
            Severity.ERROR,
            "Error",
            f"{name} monitoring found a failure",
            f"{what} The weight of the failure now counts against the redundancy group on this node; when nothing is "
            "left of the group's 255, it moves to the other node if that one is fit.",
            actions=(action,),
        ),
        Entry(
            f"JSRPD_UNSET_{kind}_MON_FAILURE",
            f"{name} Monitor failure recovered for redundancy-group <rg-id>",
            Severity.ERROR,
            "Error",
            f"{name} monitoring failure is over",
            f"Nothing that {name} monitoring watches for this redundancy group is failed any more. The weight is "
            "restored; the group comes back only if preempt is configured.",
            actions=("None.",),
        ),
    ]


_START = "The daemon does not start."
_ENTRIES = [
    Entry(
        "JSRPD_DAEMONIZE_FAILED",
        "Aborting, unable to run in the background as a daemon: <error-message>",
        Severity.EMERGENCY,
        "Error",
        "Could not go to the background",
        f"The operating system refused the new process or session that a background daemon needs. {_START}",
        causes=("The limit of processes is reached, or memory is exhausted.",),
        actions=("Free processes or memory, or start with -N under a service manager.",),
    ),
    Entry(
        "JSRPD_DUPLICATE",
        "Another copy of this program is running",
        Severity.ERROR,
        "Error",
        "A daemon is running already",
        f"A live process holds the lock on the PID file. This second daemon ends; the first is not affected. {_START}",
        actions=("Use the running daemon, or stop it first.",),
    ),
    Entry(
        "JSRPD_NODE_STATE_CHANGE",
        "Node<chassis-id> <state> due to <reason>",
        Severity.ERROR,
        "Event",
        "A node was disabled or recovers",
        "The node as a whole left the cluster, or is on its way back, for the reason given.",
        causes=(
            "A link between the nodes failed and this node, being secondary, was disabled.",
            "The link has recovered and the disabled node restarts to join again.",
        ),
        actions=("Look at: show chassis cluster interfaces. Repair the link that failed.",),
    ),
    Entry(
        "JSRPD_NOT_ROOT",
        "Must be run as root",
        Severity.ERROR,
        "Error",
        "Started without root privileges",
        f"Addresses, gates and real-time scheduling need root. {_START}",
        actions=("Start it as root, best by its systemd unit.",),
    ),
    Entry(
        "JSRPD_PID_FILE_LOCK",
        "Unable to lock PID file: <error-message>",
        Severity.ERROR,
        "Error",
        "PID file could not be locked",
        f"The PID file could not be opened or locked, so a second daemon could not be told apart. {_START}",
        actions=("Make the runtime directory writable on a local file system.",),
    ),
    Entry(
        "JSRPD_PID_FILE_UPDATE",
        "Unable to update process PID file: <error-message>",
        Severity.ERROR,
        "Error",
        "PID file could not be written",
        f"The PID file is locked but the process number could not be written to it. {_START}",
        actions=("Free space on the file system of the runtime directory.",),
    ),
    Entry(
        "JSRPD_REDUNDANCY_MODE_CHANGE",
        "Redundancy mode change will not be effective until all nodes in the cluster are rebooted simultaneously",
        Severity.WARNING,
        "Error",
        "Redundancy mode changed in the configuration",
        "A commit changed redundancy-mode. The mode in force was latched at start and stays until both daemons start anew.",
        actions=("Restart both nodes at the same time, in a maintenance window.",),
    ),
    Entry(
        "JSRPD_REDUNDANCY_MODE_MISMATCH",
        "Change in HA redundancy mode detected..please reboot all nodes in the cluster simultaneously!!",
        Severity.WARNING,
        "Error",
        "The nodes run different redundancy modes",
        "The other node runs another redundancy mode than this one: only one of them was restarted after a change.",
        actions=("Restart both nodes at the same time.",),
    ),
    Entry(
        "JSRPD_RG_STATE_CHANGE",
        "Redundancy-group <rg-id> transitioned from '<old-state>' to '<new-state>' state due to <reason>",
        Severity.ALERT,
        "Event",
        "A redundancy group changed its state",
        "The redundancy group changed its state on this node for the reason given. The owner of the group's addresses is "
        "the node in state primary.",
        actions=("None when the change was expected; otherwise see: show chassis cluster status.",),
    ),
    *_monitor("CS", "Cold-sync", "The sessions of this node are not yet, or no longer, in step.", "See the fabric link."),
    *_monitor("INTF", "Interface", "An interface monitored for the group is down.", "Repair the cable, port or switch."),
    *_monitor("IP", "IP", "Addresses monitored for the group do not answer.", "Look for the failure upstream."),
    *_monitor("NPC", "NPC", "A network card that carries the group is in trouble.", "See the kernel log for the card."),
    Entry(
        "JSRPD_SET_OTHER_INTF_MON_FAIL",
        "Interface Monitor failed on other node for redundancy-group <rg-id>",
        Severity.ERROR,
        "Error",
        "The other node lost a monitored interface",
        "The other node reports that an interface monitored for the redundancy group is down there.",
        actions=("Repair the link on the other node; until then it may be unfit to take the group.",),
    ),
    *_monitor("SPU", "SPU", "A CPU or process that carries packets is not running.", "See the load and the processes."),
    Entry(
        "JSRPD_SOCKET_CREATION_FAILURE",
        "Socket creation (server) failed unexpectedly <error-message>.",
        Severity.ERROR,
        "Error",
        "The management socket could not be made",
        "The operating system refused the socket that operators' commands come in by. The cluster itself runs on.",
        actions=("Raise the limit of open files; the daemon tries again by itself.",),
    ),
    Entry(
        "JSRPD_SOCKET_LISTEN_FAILURE",
        "Socket listen (server) failed unexpectedly. <error-message>",
        Severity.ERROR,
        "Error",
        "The management socket does not listen",
        "The socket that operators' commands come in by could not be bound or listened on. The cluster itself runs on.",
        actions=("Make the runtime directory writable; the daemon tries again by itself.",),
    ),
    Entry(
        "JSRPD_SOCKET_RECV_HB_FAILURE",
        "Socket reception of heartbeat from failed unexpectedly <error-message>.",
        Severity.ERROR,
        "Error",
        "A heartbeat could not be received",
        "The operating system reported an error instead of a heartbeat on one path. "
        "It is logged once until the path is heard again.",
        causes=("Connection refused: the other node is up but its daemon is not running.",),
        actions=("Start the daemon on the other node, or repair the link.",),
    ),
    Entry(
        "JSRPD_UNSET_OTHER_INTF_MON_FAIL",
        "Interface Monitor failure recovered on other node for redundancy-group <rg-id>",
        Severity.ERROR,
        "Error",
        "The other node's monitored interfaces are back",
        "The other node reports that no interface monitored for the redundancy group is down there any more.",
        actions=("None.",),
    ),
    Entry(
        "JSRPD_USAGE",
        "Usage: jsrpd [-C] [-N] [-X] [-d debug-level] [-l] [-v]",
        Severity.ERROR,
        "Event",
        "Started with wrong options",
        f"An option or argument is not known, or the debug level is not 0 to 7. {_START}",
        actions=("Use the options shown.",),
    ),
    Entry(
        "JSRPD_HA_CONTROL_LINK_UP",
        "HA control link monitor status is marked up",
        Severity.NOTICE,
        "Event",
        "A control link carries heartbeats",
        "Heartbeats of the other node arrive on a control link, for the first time or again.",
        actions=("None.",),
        addition=True,
    ),
    Entry(
        "JSRPD_HA_CONTROL_LINK_DOWN",
        "HA control link monitor status is marked down",
        Severity.ERROR,
        "Event",
        "A control link lost its heartbeats",
        "No heartbeat arrived on a control link for the dead time. The structured form names the link and the cause.",
        actions=("Look at: show chassis cluster interfaces.",),
        addition=True,
    ),
    Entry(
        "JSRPD_MONITOR_FAILED",
        "Monitor <code> for redundancy-group <rg-id>: <object> failed: <value>, limit <limit>",
        Severity.WARNING,
        "Event",
        "One monitored object failed",
        "A monitor has found an object beyond its limit often enough to call it failed. Its weight counts against the "
        "redundancy group until it has recovered.",
        actions=("Look at the object named; what it was found as, and what is allowed, stand in the message.",),
        addition=True,
    ),
    Entry(
        "JSRPD_MONITOR_RECOVERED",
        "Monitor <code> for redundancy-group <rg-id>: <object> recovered: <value>, limit <limit>",
        Severity.NOTICE,
        "Event",
        "One monitored object is well again",
        "The object was found within its limit often enough. Its weight no longer counts against the redundancy group.",
        actions=("None.",),
        addition=True,
    ),
    Entry(
        "JSRPD_PREEMPT_LIMIT",
        "Preemption of redundancy-group <rg-id> stopped after <limit> moves within <period> seconds",
        Severity.WARNING,
        "Event",
        "A redundancy group has preempted as often as it may",
        "The group would move to the node with the higher priority once more, but has done so as often as its preempt limit "
        "allows. It stays where it is until the operator clears the count; failures still move it.",
        causes=("Something on the preferred node fails and recovers again and again.",),
        actions=("Mend the cause, then: clear chassis cluster preempt-count redundancy-group N.",),
        addition=True,
    ),
    Entry(
        "JSRPD_ARBITRATION_LOST",
        "Arbitration: <arbiter> has not answered this node for the dead time",
        Severity.WARNING,
        "Event",
        "The address that decides between the nodes does not answer",
        "No address under chassis cluster arbitration probe answers this node. While the nodes hear each other that changes "
        "nothing; were the other node silent, this one would own no redundancy group.",
        causes=("The address is down.", "This node is cut off from it.", "Something on the way drops ICMP echo."),
        actions=("Mend the way to the address, or name one that answers both nodes.",),
        addition=True,
    ),
    Entry(
        "JSRPD_ARBITRATION_ANSWERS",
        "Arbitration: <arbiter> answers this node",
        Severity.NOTICE,
        "Event",
        "The address that decides between the nodes answers",
        "An address under chassis cluster arbitration probe answers this node, for the first time or again.",
        actions=("None.",),
        addition=True,
    ),
    Entry(
        "JSRPD_NOTICE",
        "<text>",
        Severity.NOTICE,
        "Event",
        "Something worth knowing happened",
        "A plain remark of the daemon about its own running.",
        addition=True,
    ),
    Entry(
        "JSRPD_REPAIRED",
        "Foreign change undone: <object>",
        Severity.WARNING,
        "Event",
        "An object of the cluster was put back",
        "Somebody removed or changed an address, route, rule, interface or gate that the cluster owns; it was put back.",
        actions=("Find out which program did it, for example a network manager.",),
        addition=True,
    ),
    Entry(
        "JSRPD_CONFIGURATION_INVALID",
        "<error-message>",
        Severity.ERROR,
        "Error",
        "The configuration or a precondition is not acceptable",
        "The daemon did not start, or did not take a new configuration, because of the problems listed.",
        actions=("Mend the lines named; check with: jsrpd -C.",),
        addition=True,
    ),
]

CATALOGUE: dict[str, Entry] = {entry.tag: entry for entry in sorted(_ENTRIES, key=lambda entry: entry.tag)}
"""All messages by tag."""


def node_state_change(node: int, state: str, reason: str) -> LogMessage:
    """A node was disabled, is taken back, or is rebooted to come back."""
    return LogMessage("JSRPD_NODE_STATE_CHANGE", (("chassis-id", str(node)), ("state", state), ("reason", reason)))


def redundancy_mode_change() -> LogMessage:
    """A commit changed the redundancy mode, which is latched."""
    return LogMessage("JSRPD_REDUNDANCY_MODE_CHANGE")


def redundancy_mode_mismatch() -> LogMessage:
    """The peer runs the other redundancy mode."""
    return LogMessage("JSRPD_REDUNDANCY_MODE_MISMATCH")


def preempt_limit_reached(group: int, limit: int, period_s: int) -> LogMessage:
    """A group that would preempt again stays where it is."""
    values = (("rg-id", str(group)), ("limit", str(limit)), ("period", str(period_s)))
    return LogMessage("JSRPD_PREEMPT_LIMIT", values)


def rg_state_change(group: int, old_state: str, new_state: str, reason: str) -> LogMessage:
    """A redundancy group changed its state."""
    values = (("rg-id", str(group)), ("old-state", old_state), ("new-state", new_state), ("reason", reason))
    return LogMessage("JSRPD_RG_STATE_CHANGE", values)


def _of_group(tag: str, group: int) -> LogMessage:
    return LogMessage(tag, (("rg-id", str(group)),))


def set_cs_mon_failure(group: int) -> LogMessage:
    """This node lacks connections of the group, or the session process cannot say that it has them."""
    return _of_group("JSRPD_SET_CS_MON_FAILURE", group)


def unset_cs_mon_failure(group: int) -> LogMessage:
    """This node has the connections of the group."""
    return _of_group("JSRPD_UNSET_CS_MON_FAILURE", group)


def set_intf_mon_failure(group: int) -> LogMessage:
    """The first monitored interface of the group went down here."""
    return _of_group("JSRPD_SET_INTF_MON_FAILURE", group)


def unset_intf_mon_failure(group: int) -> LogMessage:
    """The last failed monitored interface of the group is back here."""
    return _of_group("JSRPD_UNSET_INTF_MON_FAILURE", group)


def set_ip_mon_failure(group: int) -> LogMessage:
    """Too many of the group's monitored addresses do not answer this node."""
    return _of_group("JSRPD_SET_IP_MON_FAILURE", group)


def unset_ip_mon_failure(group: int) -> LogMessage:
    """Enough of them answer again."""
    return _of_group("JSRPD_UNSET_IP_MON_FAILURE", group)


def set_npc_mon_failure(group: int) -> LogMessage:
    """The first network card that carries the group is in trouble here."""
    return _of_group("JSRPD_SET_NPC_MON_FAILURE", group)


def unset_npc_mon_failure(group: int) -> LogMessage:
    """The last of them is well again."""
    return _of_group("JSRPD_UNSET_NPC_MON_FAILURE", group)


def set_spu_mon_failure(group: int) -> LogMessage:
    """The first CPU, process or table that carries packets is in trouble here."""
    return _of_group("JSRPD_SET_SPU_MON_FAILURE", group)


def unset_spu_mon_failure(group: int) -> LogMessage:
    """The last of them is well again."""
    return _of_group("JSRPD_UNSET_SPU_MON_FAILURE", group)


def set_other_intf_mon_fail(group: int) -> LogMessage:
    """The peer reports an interface-monitor failure."""
    return _of_group("JSRPD_SET_OTHER_INTF_MON_FAIL", group)


def unset_other_intf_mon_fail(group: int) -> LogMessage:
    """The peer's interface-monitor failure is over."""
    return _of_group("JSRPD_UNSET_OTHER_INTF_MON_FAIL", group)


def daemonize_failed(error_message: str) -> LogMessage:
    """fork or setsid was refused."""
    return LogMessage("JSRPD_DAEMONIZE_FAILED", (("error-message", error_message),))


def duplicate() -> LogMessage:
    """The PID file is locked by a live daemon."""
    return LogMessage("JSRPD_DUPLICATE")


def not_root() -> LogMessage:
    """Effective user is not root."""
    return LogMessage("JSRPD_NOT_ROOT")


def pid_file_lock(error_message: str) -> LogMessage:
    """The PID file cannot be opened or locked."""
    return LogMessage("JSRPD_PID_FILE_LOCK", (("error-message", error_message),))


def pid_file_update(error_message: str) -> LogMessage:
    """The PID file cannot be written."""
    return LogMessage("JSRPD_PID_FILE_UPDATE", (("error-message", error_message),))


def usage() -> LogMessage:
    """Wrong options."""
    return LogMessage("JSRPD_USAGE")


def socket_creation_failure(error_message: str) -> LogMessage:
    """socket(2) of the management server failed."""
    return LogMessage("JSRPD_SOCKET_CREATION_FAILURE", (("error-message", error_message),))


def socket_listen_failure(error_message: str) -> LogMessage:
    """bind(2) or listen(2) of the management server failed."""
    return LogMessage("JSRPD_SOCKET_LISTEN_FAILURE", (("error-message", error_message),))


def socket_recv_hb_failure(error_message: str, peer: str) -> LogMessage:
    """recv(2) on a path failed; the seed's text has no place for the peer, the structured form has."""
    return LogMessage("JSRPD_SOCKET_RECV_HB_FAILURE", (("error-message", error_message),), (("peer", peer),))


def ha_control_link_up(link: str) -> LogMessage:
    """Heartbeats arrive on a control link."""
    return LogMessage("JSRPD_HA_CONTROL_LINK_UP", (), (("link", link),))


def ha_control_link_down(link: str, cause: str) -> LogMessage:
    """No heartbeat on a control link for the dead time."""
    return LogMessage("JSRPD_HA_CONTROL_LINK_DOWN", (), (("link", link), ("cause", cause)))


def arbitration_denies(arbiter: str) -> LogMessage:
    """No probed address has answered for the dead time."""
    return LogMessage("JSRPD_ARBITRATION_LOST", (("arbiter", arbiter),))


def arbitration_allows(arbiter: str) -> LogMessage:
    """A probed address answers."""
    return LogMessage("JSRPD_ARBITRATION_ANSWERS", (("arbiter", arbiter),))


def notice(text: str) -> LogMessage:
    """A remark."""
    return LogMessage("JSRPD_NOTICE", (("text", text),))


def monitor_failed(group: int, code: str, name: str, value: str, limit: str) -> LogMessage:
    """One object of a monitor failed."""
    values = (("code", code), ("rg-id", str(group)), ("object", name), ("value", value), ("limit", limit))
    return LogMessage("JSRPD_MONITOR_FAILED", values)


def monitor_recovered(group: int, code: str, name: str, value: str, limit: str) -> LogMessage:
    """It is well again."""
    values = (("code", code), ("rg-id", str(group)), ("object", name), ("value", value), ("limit", limit))
    return LogMessage("JSRPD_MONITOR_RECOVERED", values)


def foreign_change_repaired(what: str) -> LogMessage:
    """An object of ours was put back."""
    return LogMessage("JSRPD_REPAIRED", (("object", what),))


def start_refused(error_message: str) -> LogMessage:
    """The configuration, key or a precondition is not acceptable."""
    return LogMessage("JSRPD_CONFIGURATION_INVALID", (("error-message", error_message),))
