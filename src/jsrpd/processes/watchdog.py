"""The machine's watchdog (the kernel's watchdog API): armed only while this node is primary for a group, petted by its engine.

The gate already takes an owner whose engine hangs off the network. A watchdog reboots the machine besides, so that it comes back
without anybody's hand. Opening the device arms it; what ends without the magic ``V`` leaves it armed, and that is meant: an engine
that crashes or is restarted in place has the device's timeout to come back and pet it.
"""

import contextlib
import fcntl
import os
import struct

from jsrpd.messages.catalogue import LogMessage, notice
from jsrpd.model.time import SECOND, Duration, Instant

SET_TIMEOUT = 0xC0045706
"""WDIOC_SETTIMEOUT: _IOWR('W', 6, int), in seconds."""
DISARM = b"V"
PET = b"\0"
EVERY: Duration = SECOND
RETRY: Duration = 30 * SECOND


class Watchdog:
    """``device``: its path; empty: none is used. ``timeout_s``: after so long without an engine's turn the machine reboots."""

    def __init__(self, device: str, timeout_s: int) -> None:
        self.device, self.timeout_s = device, timeout_s
        self._descriptor = -1
        self._petted: Instant | None = None
        self._retry_at: Instant = 0
        self._settled = False
        """Whether it is known not to be armed while it need not be: an engine before this one may have left it so."""

    def turn(self, now: Instant, owner: bool) -> list[LogMessage]:
        """The engine has come round; ``owner``: primary for a group. What there is to say of the device."""
        if not self.device or now < self._retry_at:
            return []
        try:
            if owner:
                self._pet(now)
            elif self._descriptor >= 0 or not self._settled:
                self._disarm()
        except OSError as error:
            self._close()
            self._retry_at = now + RETRY
            return [notice(f"watchdog {self.device}: {error.strerror}; tried again in {RETRY // SECOND} s")]
        return []

    def reconfigure(self, device: str, timeout_s: int) -> None:
        """Another device, or another timeout: the old one is disarmed, the next turn takes the new one."""
        if (device, timeout_s) == (self.device, self.timeout_s):
            return
        self.release()
        self.device, self.timeout_s = device, timeout_s
        self._retry_at, self._settled = 0, False

    def release(self) -> None:
        """Disarm it, as far as it was armed here: the daemon ends on purpose."""
        with contextlib.suppress(OSError):
            if self._descriptor >= 0:
                self._disarm()
        self._close()

    def _pet(self, now: Instant) -> None:
        if self._descriptor < 0:
            self._open()
        elif self._petted is not None and now - self._petted < EVERY:
            return
        os.write(self._descriptor, PET)
        self._petted = now

    def _open(self) -> None:
        self._descriptor = os.open(self.device, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._settled = False
        with contextlib.suppress(OSError):  # A device whose timeout is fixed.
            fcntl.ioctl(self._descriptor, SET_TIMEOUT, struct.pack("i", self.timeout_s))

    def _disarm(self) -> None:
        if self._descriptor < 0:
            self._open()
        os.write(self._descriptor, DISARM)
        self._close()
        self._settled = True

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
