"""The 25 commissioned messages, to the letter."""

from pathlib import Path

import pytest

from jsrpd.messages import catalogue
from jsrpd.messages.catalogue import CATALOGUE
from jsrpd.messages.help_syslog import render_help, render_help_index

ROOT = Path(__file__).parents[3]
SEED = ROOT.parent / "shared" / "seed" / "jsrpd-system-log-messages.txt"

ERROR, EVENT = "Error: An error occurred", "Event: This message reports an event, not an error"
FACTS = {
    "JSRPD_DAEMONIZE_FAILED": (
        "Aborting, unable to run in the background as a daemon: error-message",
        ERROR,
        "emergency",
    ),
    "JSRPD_DUPLICATE": ("Another copy of this program is running", ERROR, "error"),
    "JSRPD_NODE_STATE_CHANGE": ("Nodechassis-id state due to reason", EVENT, "error"),
    "JSRPD_NOT_ROOT": ("Must be run as root", ERROR, "error"),
    "JSRPD_PID_FILE_LOCK": ("Unable to lock PID file: error-message", ERROR, "error"),
    "JSRPD_PID_FILE_UPDATE": ("Unable to update process PID file: error-message", ERROR, "error"),
    "JSRPD_REDUNDANCY_MODE_CHANGE": (
        "Redundancy mode change will not be effective until all nodes in the cluster are rebooted simultaneously",
        ERROR,
        "warning",
    ),
    "JSRPD_REDUNDANCY_MODE_MISMATCH": (
        "Change in HA redundancy mode detected..please reboot all nodes in the cluster simultaneously!!",
        ERROR,
        "warning",
    ),
    "JSRPD_RG_STATE_CHANGE": (
        "Redundancy-group rg-id transitioned from 'old-state' to 'new-state' state due to reason",
        EVENT,
        "alert",
    ),
    "JSRPD_SET_CS_MON_FAILURE": ("Cold-sync Monitor failed for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_SET_INTF_MON_FAILURE": ("Interface Monitor failed for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_SET_IP_MON_FAILURE": ("IP Monitor failed for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_SET_NPC_MON_FAILURE": ("NPC Monitor failed for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_SET_OTHER_INTF_MON_FAIL": (
        "Interface Monitor failed on other node for redundancy-group rg-id",
        ERROR,
        "error",
    ),
    "JSRPD_SET_SPU_MON_FAILURE": ("SPU Monitor failed for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_SOCKET_CREATION_FAILURE": ("Socket creation (server) failed unexpectedly error-message.", ERROR, "error"),
    "JSRPD_SOCKET_LISTEN_FAILURE": ("Socket listen (server) failed unexpectedly. error-message", ERROR, "error"),
    "JSRPD_SOCKET_RECV_HB_FAILURE": (
        "Socket reception of heartbeat from failed unexpectedly error-message.",
        ERROR,
        "error",
    ),
    "JSRPD_UNSET_CS_MON_FAILURE": ("Cold-sync Monitor failure recovered for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_UNSET_INTF_MON_FAILURE": ("Interface Monitor failure recovered for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_UNSET_IP_MON_FAILURE": ("IP Monitor failure recovered for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_UNSET_NPC_MON_FAILURE": ("NPC Monitor failure recovered for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_UNSET_OTHER_INTF_MON_FAIL": (
        "Interface Monitor failure recovered on other node for redundancy-group rg-id",
        ERROR,
        "error",
    ),
    "JSRPD_UNSET_SPU_MON_FAILURE": ("SPU Monitor failure recovered for redundancy-group rg-id", ERROR, "error"),
    "JSRPD_USAGE": ("Usage: jsrpd [-C] [-N] [-X] [-d debug-level] [-l] [-v]", EVENT, "error"),
}


def seed_facts(text: str) -> dict[str, tuple[str, str, str, str]]:
    """Tag -> text, type, severity, facility, as the commissioning document prints them."""
    facts = {}
    for block in text.split("\nJSRPD_")[1:]:
        lines = [line.strip() for line in ("JSRPD_" + block).splitlines() if line.strip()]

        def field(label: str, lines: list[str] = lines) -> str:
            return lines[lines.index(label) + 1]

        facts[lines[0]] = (field("System Log Message"), field("Type"), field("Severity"), field("Facility"))
    return facts


def bare(text: str) -> str:
    return text.replace("<", "").replace(">", "")


def test_the_25_are_as_commissioned() -> None:
    ours = {
        tag: (bare(entry.text), entry.type_line, entry.severity.label) for tag, entry in CATALOGUE.items() if not entry.addition
    }
    assert ours == FACTS
    assert {entry.facility for entry in CATALOGUE.values()} == {"LOG_DAEMON"}


@pytest.mark.skipif(not SEED.exists(), reason="the commissioning document is not beside this checkout")
def test_the_table_is_the_commissioning_document() -> None:
    seed = seed_facts(SEED.read_text())
    assert len(seed) == 25
    assert seed == {tag: (*facts, "LOG_DAEMON") for tag, facts in FACTS.items()}


def constructor(tag: str) -> str:
    return tag.removeprefix("JSRPD_").lower()


def test_every_message_has_an_emitter() -> None:
    sources = [p.read_text() for p in (ROOT / "src").rglob("*.py") if "messages" not in p.parts]
    silent = {tag for tag in FACTS if not any(constructor(tag) in source for source in sources)}
    assert not silent


def test_every_emitted_message_fills_its_variables() -> None:
    for tag in FACTS:
        function = getattr(catalogue, constructor(tag))
        count = function.__code__.co_argcount
        message = function(*["7"] * count)
        assert message.tag == tag
        assert tuple(name for name, _ in message.values) == CATALOGUE[tag].variables


ADDITIONS = (
    catalogue.ha_control_link_up("ctl0"),
    catalogue.ha_control_link_down("ctl0", "no heartbeat"),
    catalogue.notice("a remark"),
    catalogue.preempt_limit_reached(1, 2, 60),
    catalogue.foreign_change_repaired("address 192.0.2.1 on reth0"),
    catalogue.start_refused("jsrpd.conf:1:1: unexpected }"),
)


@pytest.mark.parametrize("message", ADDITIONS, ids=lambda message: message.tag)
def test_our_own_messages_fill_their_variables(message: catalogue.LogMessage) -> None:
    """They are marked as additions, and every variable of their text has a value."""
    entry = CATALOGUE[message.tag]
    assert entry.addition
    assert tuple(name for name, _ in message.values) == entry.variables


def test_help_has_the_vendors_layout() -> None:
    lines = render_help("JSRPD_RG_STATE_CHANGE").splitlines()
    assert lines[0] == "Name:          JSRPD_RG_STATE_CHANGE"
    assert lines[2] == "               '<new-state>' state due to <reason>"
    assert all(len(line) <= 79 for line in lines)
    assert "Severity:      alert" in lines


def test_help_explains_every_message_in_our_own_words() -> None:
    index = render_help_index()
    seed = SEED.read_text() if SEED.exists() else ""
    for tag, entry in CATALOGUE.items():
        assert tag in index
        assert entry.description not in seed
        assert entry.description in " ".join(render_help(tag).split())
