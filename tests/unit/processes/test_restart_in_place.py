"""What one image leaves to the next, and when an engine makes room."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from jsrpd.core.cluster import Cluster
from jsrpd.core.events import SocketsDrained
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.roles import RedundancyMode
from jsrpd.model.time import MILLISECOND, SECOND
from jsrpd.processes import restart_in_place
from jsrpd.processes.options import Options
from jsrpd.processes.restart_in_place import VARIABLE, Kept, KeptChild, Retirement, kept
from tests.unit.core.stage import Stage
from tests.unit.core.views import report

LEFT = Kept(0, 1, {"parent_engine": (0, 2)}, (KeptChild("engine", 17, 3),), RedundancyMode.ACTIVE_BACKUP)
STANDBY = tuple(report(group=number, effective_priority=50) for number in range(3))


def test_what_is_left_is_taken_once() -> None:
    environment = {VARIABLE: LEFT_TEXT, "OTHER": "1"}
    assert kept(environment) == LEFT
    assert environment == {"OTHER": "1"}
    assert kept(environment) is None


LEFT_TEXT = (
    '{"pid_file":0,"lease_map":1,"channels":{"parent_engine":[0,2]},'
    '"children":[{"name":"engine","pid":17,"restarts":3}],"redundancy_mode":1}'
)


def test_the_new_image_has_the_descriptors_and_the_word(tmp_path: Path) -> None:
    """In a process of its own, whose next image is a script that tells what it finds."""
    script = tmp_path / "told.py"
    script.write_text(
        "import os, sys\n"
        "from jsrpd.processes.restart_in_place import kept\n"
        "left = kept()\n"
        "print(sys.argv[1:], os.read(left.pid_file, 5), os.get_inheritable(left.pid_file), left.lease_map, left.children[0].pid)\n"
    )
    begin = (
        "import os, sys\n"
        "from jsrpd.model.roles import RedundancyMode\n"
        "from jsrpd.processes import restart_in_place as r\n"
        "from jsrpd.processes.options import Options\n"
        "read, write = os.pipe(); os.write(write, b'alive')\n"
        "execve = os.execve\n"
        f"os.execve = lambda path, words, env: execve(path, [path, {str(script)!r}, *words[3:]], env)\n"
        "left = r.Kept(read, None, {}, (r.KeptChild('engine', 17, 0),), RedundancyMode.ACTIVE_ACTIVE)\n"
        "r.become(left, Options(log_to_stderr=True, debug_level=3))\n"
    )
    told = subprocess.run([sys.executable, "-c", begin], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['-N', '-l', '-d', '3'] b'alive' False None 17"


def test_an_image_that_cannot_be_had_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object) -> None:
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(os, "execve", refuse)
    read, write = os.pipe()
    before = signal.getsignal(signal.SIGHUP)
    with pytest.raises(OSError, match="Exec format error"):
        restart_in_place.become(Kept(read, None, {"one": (write, write)}, (), RedundancyMode.ACTIVE_ACTIVE), Options())
    assert not os.get_inheritable(read)
    assert not os.get_inheritable(write)
    assert signal.getsignal(signal.SIGHUP) == before
    os.close(read)
    os.close(write)


def test_the_new_program_looks_at_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    (tmp_path / "identity.conf").write_text("cluster-id 1;\nnode 0;\n")
    (tmp_path / "jsrpd.conf").write_text("chassis { cluster { heartbeat-intervall 5; } }\n")
    assert restart_in_place.check().wait(30) != 0


def test_an_engine_goes_with_an_acknowledgement_just_heard() -> None:
    stage = Stage()
    stage.live(2 * SECOND, *STANDBY)
    retirement = Retirement()
    assert not retirement.due(stage.now, stage.cluster)
    retirement.order(stage.now)
    stage.cluster.peer.echoed = stage.cluster.sent.newest - 1
    assert not retirement.due(stage.now, stage.cluster)
    stage.hear(*STANDBY)
    assert not retirement.must_hand_over(stage.cluster)
    sent_at = stage.cluster.sent.newest_at
    assert sent_at is not None
    assert retirement.due(sent_at + MILLISECOND, stage.cluster)
    assert not retirement.due(sent_at + stage.cluster.configuration.timing.interval // 2, stage.cluster)


def test_an_engine_that_hears_nothing_goes_after_two_intervals() -> None:
    stage = Stage()
    stage.live(2 * SECOND, *STANDBY)
    retirement = Retirement()
    retirement.order(stage.now)
    retirement.order(stage.now + SECOND)
    stage.cluster.peer.echoed = 0
    interval = stage.cluster.configuration.timing.interval
    assert not retirement.due(stage.now + interval, stage.cluster)
    assert retirement.due(stage.now + 2 * interval, stage.cluster)


def test_an_engine_alone_goes_with_its_next_heartbeat() -> None:
    cluster = Cluster(ClusterConfiguration(cluster_id=1, node_id=0), SECOND, 1)
    retirement = Retirement()
    retirement.order(SECOND)
    cluster.handle(2 * SECOND, SocketsDrained(2 * SECOND))
    assert retirement.due(2 * SECOND, cluster)


def test_with_a_short_lease_it_hands_over() -> None:
    short = replace(ClusterConfiguration(cluster_id=1, node_id=0), heartbeat_interval_ms=10)
    cluster, retirement = Cluster(short, SECOND, 1), Retirement()
    assert not retirement.must_hand_over(cluster)
    retirement.order(SECOND)
    assert retirement.must_hand_over(cluster)
    assert not retirement.due(9 * SECOND, cluster)
