"""What the rows about monitors run on: configurations that load, and heartbeats found among other frames."""

import pytest

from bench import monitors
from bench.lateness import LINK_AND_IPV6_AND_UDP, heartbeat_of, intervals_ms
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.lab.topology import Settings
from jsrpd.model.configuration import IpMonitoring
from jsrpd.model.link_messages import Acknowledgement
from tests.unit.wire.nodes import heartbeat, make_link

SETTINGS = Settings(100, 3)


@pytest.mark.parametrize("node", [0, 1])
def test_the_configurations_load(node: int) -> None:
    text = monitors.configuration(SETTINGS, monitors.upstream_statements(), "in-band-heartbeat off;\n")
    loaded = load(text, Identity(1, node))
    ip = loaded.group(1).ip_monitoring
    assert ip is not None
    assert (ip.retry_interval_ms, ip.retry_count, len(ip.targets)) == (200, 5, 2)
    assert not loaded.in_band_heartbeat
    text = monitors.configuration(SETTINGS, monitors.many_statements() + monitors.SCRIPT, monitors.EVERYTHING)
    loaded = load(monitors.configuration(SETTINGS, monitors.watched_statements(), monitors.WATCHED), Identity(1, node))
    assert [target.weight for target in (loaded.group(1).ip_monitoring or IpMonitoring()).targets] == [255, 255]
    loaded = load(text, Identity(1, node))
    ip = loaded.group(1).ip_monitoring
    assert ip is not None
    assert (ip.retry_interval_ms, len(ip.targets), sum(target.weight for target in ip.targets)) == (1000, 256, 0)
    assert all(target.secondary_address for target in ip.targets), "the standby asks, too"
    watched = (loaded.spu_monitoring, loaded.npc_monitoring, loaded.hardware_monitoring, loaded.schedule_monitoring)
    assert None not in watched
    assert len(loaded.group(1).script_monitors) == 1


def test_heartbeats_among_other_frames() -> None:
    speaker, head = make_link(0, "life"), bytes(LINK_AND_IPV6_AND_UDP)
    assert heartbeat_of(head + speaker.heartbeat(0, 7, heartbeat())) == 7
    assert heartbeat_of(head + speaker.acknowledgement(0, Acknowledgement(1, 2, 0))) is None
    assert heartbeat_of(head) is None


def test_an_interval_is_between_neighbours() -> None:
    stamps = [(1, 0), (2, 100_000_000), (4, 300_000_000), (5, 402_500_000)]
    assert list(intervals_ms(stamps)) == [100.0, 102.5]
