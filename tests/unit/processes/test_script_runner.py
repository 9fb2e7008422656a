"""Commands of script monitors on the real system: exit, absence, hanging with children."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from jsrpd.monitors.events import CommandEnded, CommandNotRun
from jsrpd.processes.script_runner import ScriptRunner

PATIENCE_S = 20


def ended(*command: str, environment: dict[str, str] | None = None) -> CommandEnded | CommandNotRun:
    return asyncio.run(ScriptRunner().run("x", command, environment or {}))


@pytest.mark.parametrize(("text", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 127", 127), ("kill -11 $$", -11)])
def test_exit_status(text: str, status: int) -> None:
    assert ended("sh", "-c", text) == CommandEnded(status)


def test_it_knows_what_it_is_asked_for_and_no_more() -> None:
    text = 'test "$GROUP-$NODE-$HOME" = "1-0-" && test "$(pwd)" = /'
    assert ended("sh", "-c", text, environment={"GROUP": "1", "NODE": "0"}) == CommandEnded(0)


def test_what_cannot_be_started(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    assert ended(str(tmp_path / "absent")) == CommandNotRun("No such file or directory")
    assert ended(str(plain)) == CommandNotRun("Permission denied")
    assert isinstance(ended("a\0b"), CommandNotRun)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_hung_command_is_killed_with_its_children(tmp_path: Path) -> None:
    """Though it ignores the polite signals."""
    pids = tmp_path / "pids"

    async def hang() -> CommandEnded | CommandNotRun:
        runner = ScriptRunner()
        script = f"trap '' TERM HUP INT; sleep 1000 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"
        task = asyncio.create_task(runner.run("x", ("sh", "-c", script), {}))
        give_up = time.monotonic() + PATIENCE_S
        while not pids.exists():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.01)
        runner.kill("another")
        assert all(alive(int(pid)) for pid in pids.read_text().split())
        runner.kill_all()
        return await asyncio.wait_for(task, PATIENCE_S)

    assert asyncio.run(hang()) == CommandEnded(-9)
    give_up = time.monotonic() + PATIENCE_S
    while any(alive(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_nothing_to_kill_is_no_error() -> None:
    runner = ScriptRunner()
    runner.kill("x")
    runner.kill_all()
