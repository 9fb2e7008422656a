"""Of two fabric links the one in use stays as long as packets pass by it; the kernel process is told, and told again."""

import socket

from jsrpd.management import children
from jsrpd.management.children import FabricChosen
from jsrpd.processes.fabric_choice import FabricChoice


class Chosen:
    """A choice, and the process at the other end."""

    def __init__(self) -> None:
        self.ours, self.process = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process.setblocking(False)
        self.choice = FabricChoice()

    def told(self, *ways: int) -> list[children.Message]:
        """After a turn in which packets pass by these links."""
        self.choice.turn(ways, self.ours)
        found = []
        while True:
            try:
                found.append(children.decode(self.process.recv(1000)))
            except BlockingIOError:
                return found


def test_the_last_one_is_preferred_and_kept() -> None:
    chosen = Chosen()
    assert chosen.told() == [], "an engine that has just begun does not know better than the one before it"
    assert chosen.told(0, 1) == [FabricChosen(1)]
    assert chosen.told(0, 1) == []
    assert chosen.told(0) == [FabricChosen(0)]
    assert chosen.told(0, 1) == []
    assert chosen.told() == [], "there is nothing better"
    assert chosen.told(1) == [FabricChosen(1)]
    assert chosen.choice.index == 1


def test_it_is_said_again() -> None:
    chosen = Chosen()
    chosen.choice.repeat()
    assert chosen.told() == []
    assert chosen.told(0) == [FabricChosen(0)]
    chosen.choice.repeat()
    assert chosen.told() == [FabricChosen(0)]


def test_it_is_kept_until_it_is_taken() -> None:
    chosen = Chosen()
    full = children.encode(children.Notice("x" * 1000))
    while True:
        try:
            chosen.ours.send(full, socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
    chosen.choice.turn((0, 1), chosen.ours)
    while True:
        try:
            chosen.process.recv(2000)
        except BlockingIOError:
            break
    assert chosen.told() == [FabricChosen(1)]
