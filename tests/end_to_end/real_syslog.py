"""A real rsyslogd that receives a node's log: /dev/log in the BSD form, a UDP port in the structured form.

What it understood is judged, not the bytes: tag, process, severity, structured data as its own parsers took them apart.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jsrpd.lab.topology import inside
from jsrpd.messages.catalogue import CATALOGUE, FACILITY_DAEMON
from tests.peers import LIBRARIES, program

PATIENCE_S = 240.0
"""More than the three minutes after which a node without control links is disabled (SPEC 6.3)."""
ADDRESS, PORT = "127.0.0.1", 514
BSD_PORT = 515
"""For daemons whose /dev/log is not the test's."""
HOSTS = f"""
system {{
    syslog {{
        host {ADDRESS} {{
            structured-data;
        }}
    }}
}}
"""
HOSTS_OF_BOTH_FORMS = HOSTS.replace(
    "    }\n}\n", f"        host 127.0.0.2 {{\n            port {BSD_PORT};\n        }}\n    }}\n}}\n"
)
CONFIGURATION = """
global(workDirectory="{directory}")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
template(name="parsed" type="string"
    string="%protocol-version% %pri% %hostname% %app-name% %procid% %msgid% %structured-data% || %msg%\\n")
input(type="imuxsock" Socket="{directory}/log" ruleset="all")
input(type="imudp" address="{address}" port="{port}" ruleset="all")
input(type="imudp" address="127.0.0.2" port="{bsd_port}" ruleset="all")
ruleset(name="all") {{ action(type="omfile" file="{directory}/received" template="parsed") }}
"""
FORM = re.compile(
    r"(?P<version>\d) (?P<priority>\d+) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) (?P<id>\S+) (?P<data>-|\[.*\]) "
    r"\|\| *(?P<text>.*)"
)
DATA = re.compile(r"\[junos@2636\.1\.1\.1\.2\.129(?P<parameters>(?: [a-z-]+=\"(?:[^\"\\\]]|\\.)*\")*)\]")
PARAMETER = re.compile(r" ([a-z-]+)=\"((?:[^\"\\\]]|\\.)*)\"")


@dataclass(frozen=True, slots=True)
class Received:
    """One message as rsyslogd understood it. ``data``: the structured data, None in the BSD form."""

    tag: str
    text: str
    program: str
    pid: int
    priority: int
    data: dict[str, str] | None


class Rsyslogd:
    """Runs in a namespace, with a directory of its own."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
        configuration = CONFIGURATION.format(directory=directory, address=ADDRESS, port=PORT, bsd_port=BSD_PORT)
        (directory / "conf").write_text(configuration)
        words = [program("rsyslogd"), "-n", "-f", str(directory / "conf"), "-i", str(directory / "pid")]
        if LIBRARIES.exists():
            words += ["-M", str(LIBRARIES / "rsyslog")]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES)}
        self.process = subprocess.Popen(inside(namespace, *words), env=environment, stdin=subprocess.DEVNULL)
        self.wait(lambda: self.socket.exists(), "rsyslogd")

    @property
    def socket(self) -> Path:
        """What /dev/log is to be."""
        return self.directory / "log"

    def end(self) -> None:
        """It takes everything that has arrived with it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def wait(self, predicate: Callable[[], object], what: str) -> None:
        """Poll; fails with what was received and the name of what was waited for."""
        give_up = time.monotonic() + PATIENCE_S
        while not predicate():
            assert time.monotonic() < give_up, f"no {what} among {self.received()}"
            assert self.process.poll() is None, "rsyslogd has ended"
            time.sleep(0.05)

    def received(self) -> list[Received]:
        """Everything so far, in order."""
        path = self.directory / "received"
        return [understood(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, tag: str, text: str = "", since: int = 0) -> None:
        """Until a message of a tag with a text has come in both forms, each as the catalogue has it."""

        def found() -> list[Received]:
            return [one for one in self.received()[since:] if one.tag == tag and text in one.text]

        self.wait(lambda: {one.data is None for one in found()} == {True, False}, f"{tag} with {text!r} in both forms")
        for one in found():
            assert_as_catalogued(one)


def understood(line: str) -> Received:
    """One line of the template."""
    form = FORM.fullmatch(line)
    assert form, line
    if form["version"] == "0":
        tag, _, text = form["text"].partition(": ")
        return Received(tag, text, form["program"], int(form["pid"]), int(form["priority"]), None)
    data: dict[str, str] = {}
    if form["data"] != "-":
        element = DATA.fullmatch(form["data"])
        assert element, line
        data = dict(PARAMETER.findall(element["parameters"]))
    return Received(form["id"], form["text"], form["program"], int(form["pid"]), int(form["priority"]), data)


def assert_as_catalogued(message: Received) -> None:
    """Text, severity, facility and parameter names are those of the catalogue (SPEC section 10)."""
    entry = CATALOGUE[message.tag]
    pieces = re.split(r"<[a-z-]+>", entry.text)
    values = re.fullmatch("(.+)".join(map(re.escape, pieces)), message.text)
    assert values, message
    assert message.priority == FACILITY_DAEMON * 8 + entry.severity
    assert message.program == "jsrpd"
    if message.data is not None:
        assert tuple(message.data)[: len(entry.variables)] == entry.variables
        plain = [re.sub(r"\\(.)", r"\1", message.data[name]) for name in entry.variables]
        assert "".join(value for pair in zip(pieces, [*plain, ""], strict=True) for value in pair) == message.text
