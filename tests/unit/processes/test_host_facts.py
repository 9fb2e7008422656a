"""What the lints at commit are told of this host and of both packet filters."""

import asyncio

import msgspec

from jsrpd.configuration.lints import Facts
from jsrpd.model.status import ClusterStatus
from jsrpd.model.survey import FirewallSurvey, Survey
from jsrpd.processes.host_facts import gather
from tests.unit.management.daemon import cluster


def survey(**digests: str) -> Survey:
    return Survey(1, "gw", "1.0", "6.8", firewall=FirewallSurvey(digests=digests))


UNREADABLE = msgspec.structs.replace(survey(), firewall=FirewallSurvey("nft is not installed"))


def facts(status: ClusterStatus | None, filters: tuple[Survey, Survey] | None) -> Facts:
    async def ask_status() -> ClusterStatus | None:
        return status

    async def ask_filters() -> tuple[Survey, Survey] | None:
        return filters

    return asyncio.run(gather(ask_status, ask_filters))


def test_what_the_engine_tells() -> None:
    told = facts(cluster(lateness_ns=42_000_000, drops={"key mismatch": 1}), None)
    assert (told.lateness_ms, told.cluster_id_in_use, told.firewall_digests) == (42.0, True, ("", ""))
    assert not facts(cluster(drops={"replayed": 1}), None).cluster_id_in_use
    assert facts(None, None).lateness_ms == 0.0


def test_packet_filters() -> None:
    same = facts(None, (survey(a="1", b="2"), survey(b="2", a="1"))).firewall_digests
    assert same[0] == same[1] != ""
    other = facts(None, (survey(a="1"), survey(a="2"))).firewall_digests
    assert other[0] != other[1]
    assert facts(None, (survey(a="1"), UNREADABLE)).firewall_digests[1] == ""
