"""net-snmp as it is: snmptrapd takes our traps of both versions, snmpd and snmpwalk show our table by its names."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab.topology import inside, ip_batch
from tests.end_to_end.process_fixtures import CLUSTER_ID, COMMANDS, CONFIGURATION, DAEMON, Node, bare_node
from tests.end_to_end.test_rest import reachable
from tests.peers import LIBRARIES, program

TRAP_PORT, AGENT_PORT = 1162, 1161
MIB = "1.3.6.1.4.1.2636.3.39.1.14.1"
ENGINE = (b"\x80\x00\x1f\x88\x04" + f"jsrpd-{CLUSTER_ID}-0".encode()).hex()
SNMP = f"""
snmp {{
    trap-group noc {{ targets {{ 127.0.0.1; }} destination-port {TRAP_PORT}; categories chassis-cluster; }}
    trap-group safe {{ version v3; user trapper; targets {{ 127.0.0.1; }} destination-port {TRAP_PORT}; }}
    v3 {{ usm {{ local-engine {{ user trapper {{
        authentication-sha256 {{ authentication-password not-a-secret; }}
        privacy-aes128 {{ privacy-password not-a-secret-either; }} }} }} }} }}
}}
"""
RECEIVER = f"""
authCommunity log noc
createUser -e 0x{ENGINE} trapper SHA-256 not-a-secret AES not-a-secret-either
authUser log trapper priv
"""
AGENT = """
rocommunity public 127.0.0.1
pass_persist .1.3.6.1.4.1.8072.9999.9999.106115 {command}
"""


STANDARD = {
    "SNMPv2-SMI": """SNMPv2-SMI DEFINITIONS ::= BEGIN
org OBJECT IDENTIFIER ::= { iso 3 }
dod OBJECT IDENTIFIER ::= { org 6 }
internet OBJECT IDENTIFIER ::= { dod 1 }
private OBJECT IDENTIFIER ::= { internet 4 }
enterprises OBJECT IDENTIFIER ::= { private 1 }
END
""",
    "SNMPv2-TC": """SNMPv2-TC DEFINITIONS ::= BEGIN
DisplayString ::= TEXTUAL-CONVENTION DISPLAY-HINT "255a" STATUS current DESCRIPTION "text" SYNTAX OCTET STRING (SIZE (0..255))
TruthValue ::= TEXTUAL-CONVENTION STATUS current DESCRIPTION "boolean" SYNTAX INTEGER { true(1), false(2) }
END
""",
    "SNMPv2-CONF": "SNMPv2-CONF DEFINITIONS ::= BEGIN END\n",
    "NET-SNMP-MIB": """NET-SNMP-MIB DEFINITIONS ::= BEGIN
IMPORTS enterprises FROM SNMPv2-SMI;
netSnmp OBJECT IDENTIFIER ::= { enterprises 8072 }
netSnmpExperimental OBJECT IDENTIFIER ::= { netSnmp 9999 }
netSnmpPlaypen OBJECT IDENTIFIER ::= { netSnmpExperimental 9999 }
END
""",
}
"""As much of the modules that ours imports as it needs: Debian does not ship the standard ones."""


def environment(directory: Path) -> dict[str, str]:
    modules = directory / "mibs"
    modules.mkdir(exist_ok=True)
    for name, text in STANDARD.items():
        (modules / f"{name}.txt").write_text(text)
    ours = Path(__file__).parents[2] / "packaging/snmp"
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(LIBRARIES),
        "MIBDIRS": f"{modules}:{ours}",
        "SNMPCONFPATH": str(directory),
        "SNMP_PERSISTENT_DIR": str(directory),
    }


class Receiver:
    """snmptrapd in the node's namespace; each trap is a line, values behind tabs."""

    def __init__(self, node: Node, directory: Path) -> None:
        configuration, self.file = directory / "receiver.conf", directory / "traps"
        configuration.write_text(RECEIVER)
        form = "%P\\t%v\\n"
        options = ["-f", "-n", "-C", "-c", str(configuration), "-m", "", "-On", "-F", form, "-Lf", str(self.file)]
        command = [program("snmptrapd"), *options, f"udp:127.0.0.1:{TRAP_PORT}"]
        self.process = subprocess.Popen(inside(node.namespace, *command), env=environment(directory), stderr=subprocess.DEVNULL)
        node.wait(lambda: "NET-SNMP version" in self.text(), "snmptrapd")

    def text(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self.file.read_text()
        return ""

    def traps(self, number: int, version: str) -> list[dict[str, str]]:
        """Values by OID, of one notification, as they came under a version (``TRAP2`` with its community, or ``v3``)."""
        found = []
        for line in self.text().splitlines():
            if f".{MIB}.0.{number}" in line and version in line.partition("\t")[0]:
                pairs = (piece.partition(" = ") for piece in line.split("\t")[1:])
                found.append({oid: value for oid, between, value in pairs if between})
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="jn"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def owner(directory: Path) -> Iterator[tuple[Node, Receiver]]:
    with bare_node() as node:
        receiver = Receiver(node, directory)
        try:
            node.configure(CONFIGURATION + SNMP)
            start(node)
            node.wait_for_answer()
            yield node, receiver
        finally:
            receiver.end()


def start(node: Node) -> None:
    """The receiver is a process of the namespace, too."""
    node.start("-l", complete=False)
    node.wait(lambda: set(node.pids()) >= DAEMON, "all processes of the daemon")


@pytest.mark.parametrize("version", ["TRAP2, SNMP v2c, community noc", "TRAP2, SNMP v3, user trapper"])
def test_traps(owner: tuple[Node, Receiver], version: str) -> None:
    """The start, a cable that is pulled and put back: every notification, its varbinds, their order, all DisplayStrings."""
    node, receiver = owner
    node.wait(lambda: bool(receiver.traps(1, version)), f"a switchover by {version}: {receiver.text()}")
    first = receiver.traps(1, version)[0]
    assert list(first)[1:] == [".1.3.6.1.6.3.1.1.4.1.0", *(f".{MIB}.1.{n}.0" for n in range(1, 7))]
    assert first[".1.3.6.1.6.3.1.1.4.1.0"] == f"OID: .{MIB}.0.1"
    group, cluster, number, old, new, reason = [first[f".{MIB}.1.{n}.0"] for n in range(1, 7)]
    assert group in ('STRING: "0"', 'STRING: "1"')
    assert (cluster, number, old, new) == (f'STRING: "{CLUSTER_ID}"', 'STRING: "0"', 'STRING: "secondary"', 'STRING: "primary"')
    assert reason.startswith('STRING: "')

    def health() -> list[str]:
        return [trap[f".{MIB}.1.18.0"] for trap in receiver.traps(4, version)]

    # While the sessions of a peer might still come, group 1 weighs nothing: that is told, too.
    node.wait(lambda: health()[-1:] == ['STRING: "healthy"'], "the end of the cold synchronisation")
    before = len(health())
    ip_batch(node.client, ["link set lan down"])
    try:
        node.wait(lambda: len(health()) == before + 1, "the weight")
        assert list(receiver.traps(4, version)[-1].values())[2:] == [
            f'STRING: "{CLUSTER_ID}"', 'STRING: "1"', 'STRING: "0"', 'STRING: "unhealthy"', 'STRING: "0"'
        ]  # fmt: skip
    finally:
        ip_batch(node.client, ["link set lan up"])
    node.wait(lambda: health()[before:] == ['STRING: "unhealthy"', 'STRING: "healthy"'], "the recovery")


def test_version_3_after_a_restart(owner: tuple[Node, Receiver]) -> None:
    """A receiver refuses an engine whose boots do not grow (RFC 3414, 3.2)."""
    node, receiver = owner
    before = len(receiver.traps(1, "user trapper"))
    node.started[-1].terminate()
    node.started[-1].wait(20)
    start(node)
    node.wait(lambda: len(receiver.traps(1, "user trapper")) > before, "a trap of the next life")


def test_the_table(owner: tuple[Node, Receiver], directory: Path) -> None:
    node, _ = owner
    node.wait(lambda: reachable(node), "REST")
    (directory / "agent.conf").write_text(AGENT.format(command=COMMANDS / "jsrpd-snmp"))
    options = ["-f", "-C", "-c", str(directory / "agent.conf"), "-Lf", str(directory / "agent.log"), f"udp:127.0.0.1:{AGENT_PORT}"]
    variables = {**environment(directory), "RUNTIME_DIRECTORY": str(node.directory("run"))}
    agent = subprocess.Popen(inside(node.namespace, program("snmpd"), *options), env=variables, stderr=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 20
        while "jsrpdGroupOwner.1 = INTEGER: node0(0)" not in (said := walk(node, directory)):
            assert time.monotonic() < give_up, said
        for line in (
            f"jsrpdClusterId.0 = INTEGER: {CLUSTER_ID}",
            "jsrpdPeerHeard.0 = INTEGER: false(2)",
            "jsrpdGroupNodeState.1.0 = INTEGER: primary(1)",
            "jsrpdGroupNodeState.1.1 = INTEGER: lost(5)",
            "jsrpdGroupNodeWeight.1.0 = INTEGER: 255",
            "jsrpdGroupNodeGateOpen.1.0 = INTEGER: true(1)",
            "jsrpdPathName.1 = STRING: control0",
        ):
            assert line in said
        assert "jsrpdGroupNodeWeight.1.1" not in said
    finally:
        agent.kill()
        agent.wait()


def walk(node: Node, directory: Path) -> str:
    command = [program("snmpwalk"), "-v2c", "-cpublic", "-m", "+JSRPD-MIB", "-Os", f"127.0.0.1:{AGENT_PORT}", "JSRPD-MIB::jsrpdMIB"]
    done = subprocess.run(inside(node.namespace, *command), env=environment(directory), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
