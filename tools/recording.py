"""The tutorial as a terminal shows it: ``python -m tools.recording`` (root) follows it in a lab and writes docs/tutorial.cast.

Asciicast, version 2: a line of JSON with the size, then one line for each piece of output with the time at which it came. What
is printed is what the commands printed then, in a terminal of their own; typing is given a typist's pace, and long waits are cut.
"""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsrpd.lab import topology
from jsrpd.lab.topology import NODES, Lab, inside
from tools import tutorial
from tools.tutorial import PATIENCE_S, Command

RECORDING = tutorial.TUTORIAL.with_suffix(".cast")
COLUMNS, ROWS = 110, 32
KEY_S, PAUSE_S, LONGEST_S = 0.03, 0.8, 1.5
WATCHED_S = 3.0
"""How long the live view is looked at."""
CONFIGURATION_PROMPT = b"# "
HANDS = {
    "copy cluster.key from node0 to node1": "scp -p cluster.key, from node0 to node1",
    "start both daemons": "systemctl enable --now jsrpd, on both nodes",
    "fault cut-lan node0": "the LAN cable of node0 is pulled",
    "heal": "the cable is plugged in again",
}
"""What hands did, for who looks; what is only waited for is not told."""


class Recording:
    """``at``: seconds since its beginning, of which long waits are left out. ``places``: directories of the lab, and where an
    installed node has them."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.at = 0.0
        self._places = places
        self.events: list[tuple[float, str]] = []

    def shown(self, text: str, after_s: float = 0.0) -> None:
        """What the terminal got."""
        for here, installed in self._places.items():
            text = text.replace(here, installed)
        self.at += min(after_s, LONGEST_S)
        self.events.append((round(self.at, 3), text))

    def typed(self, text: str) -> None:
        """At a typist's pace."""
        for key in text:
            self.shown(key, KEY_S)
        self.shown("\r\n", KEY_S)

    def write(self, path: Path) -> None:
        """As asciicast."""
        head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "jsrpd: from nothing to a running pair"}
        lines = [json.dumps(head), *(json.dumps([at, "o", text], ensure_ascii=False) for at, text in self.events)]
        path.write_text("\n".join(lines) + "\n")


class Terminal:
    """A pseudo-terminal with one program on it; what it shows is recorded."""

    def __init__(self, recording: Recording, words: Sequence[str], environment: dict[str, str]) -> None:
        self._recording = recording
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(words, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self._shown_at = time.monotonic()
        self._tail = b""
        """What it has shown last."""

    def type(self, text: str, end: str = "\r") -> None:
        """Its echo is the program's."""
        for key in text + end:
            os.write(self._master, key.encode())
            self.read(KEY_S)

    def read(self, for_s: float, until: bytes = b"") -> None:
        """What comes within that time, or until something has come at the end. TimeoutError when that does not come."""
        give_up = time.monotonic() + for_s
        while not (until and self._tail.endswith(until)) and (remaining := give_up - time.monotonic()) > 0:
            if not select.select([self._master], [], [], remaining)[0]:
                continue
            try:
                piece = os.read(self._master, 1 << 16)
            except OSError:  # The program has ended.
                break
            now = time.monotonic()
            self._recording.shown(piece.decode(errors="replace"), now - self._shown_at)
            self._shown_at, self._tail = now, (self._tail + piece)[-64:]
        if until and not self._tail.endswith(until):
            raise TimeoutError(f"{until!r} was not shown")

    def end(self) -> None:
        """Wait for the program's."""
        self.read(90)
        self._process.wait(PATIENCE_S)
        os.close(self._master)


def record(lab: Lab) -> Recording:
    """The tutorial from its beginning, and a look at the live view."""
    recording = Recording({str(lab.node_directory(node, "etc")): "/etc/jsrpd" for node in NODES})
    tutorial.bare_lab(lab)
    for kind, what in tutorial.steps():
        if kind == "hands":
            if what in HANDS:
                recording.shown(f"\x1b[2m# {HANDS[what]}\x1b[0m\r\n", PAUSE_S)
            tutorial.hands(lab, what)
            time.sleep(PAUSE_S)
        elif kind == "jsrpd.conf":
            tutorial.write_configuration(lab, what)
            shown = what.rstrip().replace("\n", "\r\n")
            recording.shown(f"\x1b[2m# /etc/jsrpd/jsrpd.conf on both nodes:\x1b[0m\r\n{shown}\r\n", PAUSE_S)
        else:
            for command in tutorial.commands(what):
                _run(recording, lab, command)
    _run(recording, lab, Command("node0", "node0#", "jsrp monitor chassis cluster", (), ()), WATCHED_S)
    return recording


def _run(recording: Recording, lab: Lab, command: Command, watched_s: float = 0.0) -> None:
    recording.shown(f"\x1b[1m{command.prompt}\x1b[0m ", PAUSE_S)
    recording.typed(command.line)
    environment = lab.environment(command.member) if command.member in NODES else dict(os.environ)
    named = ("unshare", "--uts", "sh", "-c", 'echo "$0" >/proc/sys/kernel/hostname; exec "$@"', command.member)
    terminal = Terminal(recording, inside(lab.namespace(command.member), *named, *command.words), {**environment, "TERM": "xterm"})
    if command.given:
        for line in (*command.given, "exit"):
            terminal.read(PATIENCE_S, CONFIGURATION_PROMPT)
            terminal.type(line)
    if watched_s:
        terminal.read(watched_s)
        terminal.type("q", "")
    terminal.end()


def main() -> int:
    """0; the lab is removed in any case."""
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(f"jc{os.getpid()}", Path(directory) / "lab")
        try:
            record(lab).write(RECORDING)
        finally:
            topology.down(lab)
    return 0


if __name__ == "__main__":
    sys.exit(main())
