"""``arbitration witness etcd`` against a real etcd of three members: slow, gone, without its majority, with its lease run out.

Every path between the nodes is cut, LAN and WAN live on; who owns the gateway addresses is seen from outside.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology, traffic
from jsrpd.lab.topology import NODES, Lab, Settings, run, wait_until
from tests.end_to_end import third_party
from tests.end_to_end.test_arbitration_probe import CLAIM, OPTIONS, PATIENCE_S, cut_everything, judge
from tests.end_to_end.test_cluster import log_of, says_all, transitions
from tests.end_to_end.test_doctor import findings
from tests.peers import program

SETTINGS = Settings(interval_ms=100, threshold=5)
CLIENT_PORTS, PEER_PORTS = (2379, 2479, 2579), (2380, 2480, 2580)
SLOW_PORT, SLOWNESS_S = 2679, 0.06
ENDPOINTS = [f"http://{third_party.ADDRESS}:{port}" for port in CLIENT_PORTS]
RELAY = """
import asyncio, sys
listen, towards, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
async def pump(reader, writer):
    while data := await reader.read(65536):
        await asyncio.sleep(delay)
        writer.write(data)
    writer.close()
async def serve(reader, writer):
    there = await asyncio.open_connection(listen, towards)
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, listen, int(sys.argv[4]))
    await server.serve_forever()
asyncio.run(main())
"""


class Etcd:
    """Three members beside the arbiter's address."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.members: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        """One member, with what it wrote before it ended."""
        every = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(PEER_PORTS))
        client, peer = ENDPOINTS[number], f"http://127.0.0.1:{PEER_PORTS[number]}"
        flags = {
            "name": f"m{number}",
            "data-dir": str(self.directory / f"m{number}"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": every,
        }
        command = (program("etcd"), *(f"--{name}={value}" for name, value in flags.items()))
        self.members[number] = third_party.start(self.lab, *command, log=self.directory / f"m{number}.log")

    def signal(self, which: int, *numbers: int) -> None:
        """To these members."""
        for number in numbers:
            self.members[number].send_signal(which)

    def kill(self, number: int) -> None:
        """It is gone."""
        member = self.members.pop(number)
        member.kill()
        member.wait()

    def end(self) -> None:
        """All of them."""
        for number in list(self.members):
            self.kill(number)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster beside an arbiter's host."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    program("etcd")
    made = Lab(f"jw{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        third_party.attach(made)
        yield made
    finally:
        third_party.detach(made)
        topology.down(made)


@pytest.fixture(scope="module")
def etcd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """The witness, which both nodes have found."""
    made = Etcd(lab, tmp_path_factory.mktemp("etcd"))
    try:
        for number in range(len(ENDPOINTS)):
            made.start(number)
        third_party.configure(lab, f"witness {{ etcd {{ endpoints [ {' '.join(ENDPOINTS)} ]; }} }}")
        wait_until(lambda: all("the witness answers" in log_of(lab, node) for node in NODES), PATIENCE_S, "the witness")
        yield made
    finally:
        made.end()


@pytest.fixture
def primary(lab: Lab, etcd: Etcd) -> str:
    """The primary of group 1 in a healthy cluster with a whole witness, whose key nobody holds."""
    for number in range(len(ENDPOINTS)):
        if number not in etcd.members:
            etcd.start(number)
    etcd.signal(signal.SIGCONT, *etcd.members)
    third_party.silence(lab)
    faults.heal(lab)
    demo.settle(lab, "healing")
    wait_until(lambda: holder(lab) == "", PATIENCE_S, "a witness whose key is free")
    return topology.primary_node(lab)


def holder(lab: Lab) -> str:
    """The node that stands under the key; empty for nobody, ``?`` while the witness does not say."""
    ask = (
        "import asyncio, sys; from jsrpd.processes.etcd_client import EtcdClient; "
        "held = asyncio.run(EtcdClient(sys.argv[2:]).read(sys.argv[1])); print(held.value.split()[0] if held else '')"
    )
    with contextlib.suppress(topology.LabError):
        key = f"/jsrpd/cluster-{topology.CLUSTER_ID}/owner"
        inside = topology.inside(third_party.namespace(lab), sys.executable, "-c", ask, key, *ENDPOINTS)
        return run(*inside).strip()
    return "?"


def healed(lab: Lab) -> int:
    """Every path works again; when that began, CLOCK_REALTIME ns."""
    at = time.time_ns()
    faults.heal(lab)
    third_party.silence(lab)
    demo.settle(lab, "a complete cut")
    return at


def test_the_metrics_of_a_witness_that_nobody_needs(lab: Lab, primary: str) -> None:
    """It answers both, and holds nothing for either."""
    answers = 'jsrpd_arbiter_answers{kind="witness"}'
    for node in (primary, faults.peer_of(primary)):
        wait_until(lambda node=node: third_party.metric(lab, node, answers) == "1", PATIENCE_S, answers)  # type: ignore[misc]
        assert third_party.metric(lab, node, 'jsrpd_arbitration_held{kind="witness"}') == "0"


def test_a_cut_moves_nothing(lab: Lab, primary: str) -> None:
    """The owner has the key before its lease has run out and before the other asks; in contact it is let go."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = cut_everything(lab)
        wait_until(lambda: holder(lab) == primary, PATIENCE_S, "the key")
        wait_until(lambda: f"the witness has given its key to {primary}" in log_of(lab, other), PATIENCE_S, "a refusal")
        assert third_party.hold_still(lambda: not transitions(lab, begin, time.time_ns(), other), 2)
        end = healed(lab)
        wait_until(lambda: holder(lab) == "", PATIENCE_S, "a key that is let go")
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, end) if stream.lost] == []
    assert transitions(lab, begin, time.time_ns(), primary) == []
    judge(result, begin, primary)


def test_the_owner_that_loses_the_witness_as_well_is_replaced(lab: Lab, primary: str) -> None:
    """It is shut by then."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = cut_everything(lab, primary)
        wait_until(lambda: says_all(lab, begin, other, CLAIM), PATIENCE_S, "a claim by silence")
        wait_until(
            lambda: says_all(lab, begin, primary, ("primary > secondary: Lease expired",)), PATIENCE_S, "the end of the role"
        )
        healed(lab)
        result = flow.finish(now=True)
    assert transitions(lab, begin, time.time_ns(), other) == list(CLAIM)
    judge(result, begin, other)


def test_a_dead_owner_is_replaced(lab: Lab, primary: str) -> None:
    """It held no key, so none has to lapse."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = time.time_ns()
        faults.inject(lab, "kill", primary)
        wait_until(lambda: says_all(lab, begin, other, CLAIM), PATIENCE_S, "a claim by silence")
        faults.heal(lab)
        demo.settle(lab, "a killed daemon")
        result = flow.finish(now=True)
    judge(result, begin, other)


def test_in_contact_the_witness_may_be_gone(lab: Lab, etcd: Etcd, primary: str) -> None:
    begin = time.time_ns()
    with traffic.running(lab, OPTIONS) as flow:
        for number in range(len(ENDPOINTS)):
            etcd.kill(number)
        time.sleep(2)
        result = flow.finish(now=True)
    assert [stream for stream in result.window(begin, result.end) if stream.lost] == []
    assert [transitions(lab, begin, time.time_ns(), node) for node in NODES] == [[], []]
    assert topology.primary_node(lab) == primary


def test_without_a_witness_who_is_alone_owns_nothing(lab: Lab, etcd: Etcd, primary: str) -> None:
    """Two of three members hang: a minority gives no key. When they go on, one node has it, and it alone owns."""
    with traffic.running(lab, OPTIONS) as flow:
        etcd.signal(signal.SIGSTOP, 1, 2)
        begin = cut_everything(lab)
        wait_until(
            lambda: says_all(lab, begin, primary, ("primary > secondary: Lease expired",)), PATIENCE_S, "the end of the role"
        )
        assert transitions(lab, begin, time.time_ns(), faults.peer_of(primary)) == []
        etcd.signal(signal.SIGCONT, 1, 2)
        wait_until(lambda: any(CLAIM[0] in transitions(lab, begin, time.time_ns(), node) for node in NODES), PATIENCE_S, "a claim")
        owner = holder(lab)
        healed(lab)
        result = flow.finish(now=True)
    assert topology.primary_node(lab) == owner
    judge(result, begin, owner)


def test_one_member_of_three_may_be_away(lab: Lab, etcd: Etcd, primary: str) -> None:
    """The first one that is asked hangs."""
    with traffic.running(lab, OPTIONS) as flow:
        etcd.signal(signal.SIGSTOP, 0)
        wait_until(lambda: holder(lab) == "", PATIENCE_S, "a majority")
        begin = cut_everything(lab)
        wait_until(lambda: holder(lab) == primary, PATIENCE_S, "the key")
        assert third_party.hold_still(lambda: not transitions(lab, begin, time.time_ns(), primary), 1)
        etcd.signal(signal.SIGCONT, 0)
        healed(lab)
        result = flow.finish(now=True)
    assert transitions(lab, begin, time.time_ns(), faults.peer_of(primary)) == []
    judge(result, begin, primary)


def test_an_owner_whose_lease_runs_out_is_shut_before_the_key_is_free(lab: Lab, primary: str) -> None:
    """It is cut off from the witness while it holds the key: the other gets it when it has lapsed, and not before."""
    other = faults.peer_of(primary)
    with traffic.running(lab, OPTIONS) as flow:
        begin = cut_everything(lab)
        wait_until(lambda: holder(lab) == primary, PATIENCE_S, "the key")
        third_party.silence(lab, primary)
        wait_until(lambda: says_all(lab, begin, other, CLAIM), PATIENCE_S, "a claim by silence")
        healed(lab)
        result = flow.finish(now=True)
    judge(result, begin, other)


@pytest.mark.usefixtures("primary")
def test_a_slow_witness_is_waited_for(lab: Lab, etcd: Etcd) -> None:
    """Each way takes longer, but all of it less than the lease."""
    arguments = (third_party.ADDRESS, str(CLIENT_PORTS[0]), str(SLOWNESS_S), str(SLOW_PORT))
    relay = third_party.start(lab, sys.executable, "-c", RELAY, *arguments, log=etcd.directory / "relay.log")
    try:
        third_party.configure(lab, f"witness {{ etcd {{ endpoints http://{third_party.ADDRESS}:{SLOW_PORT}; }} }}")
        with traffic.running(lab, OPTIONS) as flow:
            begin = cut_everything(lab)
            wait_until(lambda: holder(lab) != "", PATIENCE_S, "the key")
            owner = holder(lab)
            wait_until(lambda: alone_with_the_group(lab, owner), PATIENCE_S, "its owner")
            healed(lab)
            result = flow.finish(now=True)
        judge(result, begin, owner)
    finally:
        relay.kill()
        relay.wait()
        third_party.configure(lab, f"witness {{ etcd {{ endpoints [ {' '.join(ENDPOINTS)} ]; }} }}")


def alone_with_the_group(lab: Lab, node: str) -> bool:
    """It owns group 1 behind an open gate and does not hear the other."""
    states = topology.group_states(lab, node).get(1, ("", ""))
    return sorted(states) == ["lost", "primary"] and states[NODES.index(node)] == "primary"


def test_the_doctor_asks_every_member(lab: Lab, etcd: Etcd, primary: str) -> None:
    """One that is away is worth knowing; without a majority none of them answers, and that is more."""

    def said() -> list[tuple[object, ...]]:
        found = [one for one in findings(lab, primary) if one["check"] == "arbitration" and one["node"] == 0]
        return [(one["severity"], str(one["cause"])) for one in found]

    assert said() == []
    etcd.kill(0)
    away = [("note", f"the arbitration witness {ENDPOINTS[0]} does not answer: connection refused")]
    # Where it led the others, they choose anew first.
    wait_until(lambda: said() == away, PATIENCE_S, "one member that is away")
    etcd.kill(1)
    wait_until(lambda: [severity for severity, _ in said()] == ["warning"] * 3, PATIENCE_S, "a member that knows it is alone")
