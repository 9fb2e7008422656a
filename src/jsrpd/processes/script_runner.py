"""Runs the commands of script monitors, each in a process group of its own, so that a hung one is killed whole."""

import asyncio
import contextlib
import os
import signal

from jsrpd.monitors.events import CommandEnded, CommandNotRun


class ScriptRunner:
    """At most one run by name."""

    def __init__(self) -> None:
        self._running: dict[str, int] = {}
        """Process groups."""

    async def run(self, name: str, command: tuple[str, ...], environment: dict[str, str]) -> CommandEnded | CommandNotRun:
        """Until it ends."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), **environment},
            )
        except (OSError, ValueError) as error:
            return CommandNotRun(str(error.strerror) if isinstance(error, OSError) else str(error))
        self._running[name] = process.pid
        try:
            return CommandEnded(await process.wait())
        finally:
            if self._running.get(name) == process.pid:
                del self._running[name]

    def kill(self, name: str) -> None:
        """The command and whatever it has started."""
        group = self._running.get(name)
        if group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def kill_all(self) -> None:
        """Before this process ends."""
        for name in list(self._running):
            self.kill(name)
