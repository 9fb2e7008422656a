"""Which of several fabric links carries what is for the peer: the engine chooses, the kernel process changes the routes."""

import contextlib
import socket
from collections.abc import Sequence

from jsrpd.management import children


class FabricChoice:
    """The link in use stays as long as packets pass by it both ways: to go back to another one would gain nothing."""

    def __init__(self) -> None:
        self.index: int | None = None
        """None until packets passed by one of them: who had this task before may have known better."""
        self._told: int | None = None

    def repeat(self) -> None:
        """Say it again: the kernel process may have been started anew."""
        self._told = None

    def turn(self, ways: Sequence[int], kernel: socket.socket) -> None:
        """With the links by which packets pass; of none the choice stays as it is. Kept until the kernel process takes it."""
        if ways and self.index not in ways:
            self.index = ways[-1]
        if self.index is not None and self.index != self._told:
            with contextlib.suppress(OSError):
                kernel.send(children.encode(children.FabricChosen(self.index)), socket.MSG_DONTWAIT)
                self._told = self.index
