"""Tells the service manager how the daemon stands, as sd_notify(3) describes: one datagram of lines to ``NOTIFY_SOCKET``.

Without a service manager, or with one that does not read, nothing happens: whoever waits for us is not worth a stall.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """The receiver of our state; silent when the environment names none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")

    def ready(self, status: str) -> None:
        """Started, or done with reloading; ``status`` is one line for ``systemctl status``."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """SIGHUP is being dealt with; ``ready`` follows in any case."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """SIGTERM: the hand-over begins."""
        self._tell("STOPPING=1", "STATUS=handing over")

    def _tell(self, *lines: str) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        # A leading @ stands for the zero byte of an abstract address (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, address)
