"""``jsrp doctor`` on real nodes: a healthy cluster has nothing wrong, and what is put wrong is found, at the node where it is."""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.doctor.checks import COMMIT_HERE, MANY_RESTARTS
from jsrpd.kernel import bpf, gate
from jsrpd.kernel.netlink import Netlink, attribute
from jsrpd.kernel.rtnetlink import LINK, RtNetlink
from jsrpd.lab import demo, topology
from jsrpd.lab.topology import SWITCH, Lab, Settings, ip_batch, run, wait_until
from tests.end_to_end.test_gate import inside

SETTINGS = Settings(interval_ms=100, threshold=5)
PATIENCE_S = 60.0
OF_THE_MACHINE = {"clock", "lateness", "disk", "kernel"}
"""Checks whose outcome is the machine's, not the cluster's, unless a test provokes it."""
NOTHING: set[tuple[str, int | None]] = set()
IFLA_XDP, IFLA_XDP_FD, RTM_SETLINK, XDP_TYPE = 43, 1, 19, 6


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster whose nodes speak with each other."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jd{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        wait_until(lambda: ("peer", 1) not in found(made, "node0"), PATIENCE_S, "the management connection")
        yield made
    finally:
        topology.down(made)


def doctor(lab: Lab, node: str, *wrap: str) -> dict[str, object]:
    """The report of a node, both nodes in it; ``wrap``: words in front of the command."""
    done = subprocess.run(
        topology.inside(
            lab.namespace(node),
            *wrap,
            shutil.which("jsrp", path=lab.environment(node)["PATH"]) or "",
            "doctor",
            "|",
            "display",
            "json",
        ),
        env=lab.environment(node),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    tree: dict[str, object] = json.loads(done.stdout)
    worst = {one["severity"] for one in tree["findings"]}  # type: ignore[attr-defined]
    assert done.returncode == (2 if "critical" in worst else 1 if "warning" in worst else 0), done.stderr
    return tree


def findings(lab: Lab, node: str, *wrap: str) -> list[dict[str, object]]:
    listed = doctor(lab, node, *wrap)["findings"]
    assert isinstance(listed, list)
    return listed


def found(lab: Lab, node: str) -> set[tuple[str, int | None]]:
    """(check, node) of what is wrong with the cluster."""
    return {(one["check"], one["node"]) for one in findings(lab, node) if one["check"] not in OF_THE_MACHINE}  # type: ignore[misc]


def causes(lab: Lab, node: str, *wrap: str) -> str:
    return "\n".join(str(one["cause"]) for one in findings(lab, node, *wrap))


def wait_found(lab: Lab, node: str, *wanted: tuple[str, int | None]) -> None:
    wait_until(lambda: set(wanted) <= found(lab, node), PATIENCE_S, f"findings {wanted}")


@contextlib.contextmanager
def stopped(lab: Lab, node: str, title: str) -> Iterator[int]:
    """A process of the daemon does not run for a while."""
    (pid,) = [pid for pid, name in topology.daemon_processes(lab, node).items() if name == title]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def ruleset(lab: Lab, *nodes: str, text: str) -> Iterator[None]:
    for node in nodes:
        run(*topology.inside(lab.namespace(node), "nft", "-f", "-"), text=text)
    try:
        yield
    finally:
        for node in nodes:
            run(*topology.inside(lab.namespace(node), "nft", "flush", "ruleset"))


@contextlib.contextmanager
def running(lab: Lab, node: str, *command: str) -> Iterator[None]:
    process = subprocess.Popen(topology.inside(lab.namespace(node), *command))
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def batch(namespace: str, do: str, undo: str) -> Iterator[None]:
    ip_batch(namespace, [do])
    try:
        yield
    finally:
        ip_batch(namespace, [undo])


def set_sysctl(lab: Lab, node: str, name: str, value: int) -> None:
    run(*topology.inside(lab.namespace(node), "sh", "-ec", f"echo {value} >/proc/sys/{name}"))


# -- a running cluster ------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_healthy_cluster(lab: Lab) -> None:
    for node in topology.NODES:
        assert found(lab, node) == NOTHING
        assert sorted(doctor(lab, node)["examined"]) == [0, 1]  # type: ignore[call-overload]


def test_filters_that_let_us_pass(lab: Lab) -> None:
    """What a careful administrator writes is understood to the end."""
    text = """
    table inet firewall {
      set links { type ifname; elements = { "ctl0", "fab" } }
      chain links { udp dport { 7273-7275 } accept; tcp dport 7276 accept; icmpv6 type { echo-request, echo-reply } accept; }
      chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        ct state invalid drop
        iifname "lo" accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
        iifname @links ip6 saddr fe80::/10 jump links
        iifname { "lan", "wan" } accept
        counter
      }
      chain output { type filter hook output priority 0; policy accept; oifname vmap { "ctl0" : accept, "fab" : accept }; }
    }
    """
    with ruleset(lab, *topology.NODES, text=text):
        assert found(lab, "node0") == NOTHING


def test_filters_that_do_not(lab: Lab) -> None:
    text = """
    table netdev early { chain in { type filter hook ingress device "lan" priority 0; ether type 0x88b5 drop; }; }
    table inet late { chain in { type filter hook input priority 0; udp dport 7275 reject; }; }
    """
    with ruleset(lab, "node1", text=text):
        assert {("firewall", 1), ("firewall drift", None)} <= found(lab, "node0")
        said = causes(lab, "node0")
        assert "nftables drops hello frames on the segment of reth0 (lan): netdev early in, handle 2 (drop)" in said
        assert "nftables drops sessions on fabric link 0 (fab): inet late in, handle 2 (reject)" in said
        assert "heartbeats on" not in said
    assert found(lab, "node0") == NOTHING


def test_a_filter_that_drops_commits_and_echoes(lab: Lab) -> None:
    """The nodes hear each other as ever, and cannot ask each other any more."""
    text = """
    table inet strict { chain in {
      type filter hook input priority 0;
      tcp dport 7276 drop
      tcp sport 7276 drop
      iifname "fab" icmpv6 type echo-request drop
    }; }
    """
    with ruleset(lab, "node1", text=text):
        wait_found(lab, "node0", ("paths", 0), ("peer", 1))
        assert "the other node does not answer on fabric link 0 (fab): no echo comes back" in causes(lab, "node0")
        assert ("firewall", 1) in found(lab, "node1")
        assert "nftables drops commits on control link 0 (ctl0): inet strict in, handle" in causes(lab, "node1")
    wait_until(lambda: found(lab, "node0") == NOTHING, PATIENCE_S, "the management connection")


def test_a_filter_that_is_not_understood_to_its_end(lab: Lab) -> None:
    text = """
    table inet limits { chain in { type filter hook input priority 0; udp dport 7273 limit rate over 100000/second drop; }; }
    """
    with ruleset(lab, *topology.NODES, text=text):
        (one, other) = [one for one in findings(lab, "node0") if one["check"] == "firewall"]
        assert {one["node"], other["node"]} == {0, 1}
        assert one["severity"] == "note"
        assert "nftables may drop heartbeats on control link 0 (ctl0): inet limits in" in str(one["cause"])


def test_a_flowtable(lab: Lab) -> None:
    text = 'table inet fast { flowtable ft { hook ingress priority 0; devices = { "lan", "wan" }; }; }'
    try:
        with ruleset(lab, "node0", text=text):
            assert ("firewall", 0) in found(lab, "node0")
            assert "inet fast flowtable ft takes connections of lan, wan out" in causes(lab, "node0")
    except topology.LabError as error:
        pytest.skip(f"this kernel has no flow tables: {error}")


def test_large_packets_that_do_not_get_through(lab: Lab) -> None:
    switch = lab.namespace(SWITCH)
    with batch(switch, "link set node1-fab mtu 1300", "link set node1-fab mtu 1500"):
        assert {("paths", 0), ("paths", 1)} <= found(lab, "node0")
        assert "packets of 1500 bytes do not get through on fabric link 0 (fab), small ones do" in causes(lab, "node0")
    with batch(lab.namespace("node1"), "link set fab mtu 1400", "link set fab mtu 1500"):
        assert ("MTU", None) in found(lab, "node0")


@pytest.mark.parametrize(("address", "undo"), [("10.1.0.1/32", "10.1.0.1/32"), ("2001:db8:1::1/128 nodad", "2001:db8:1::1/128")])
def test_a_stranger_that_answers_for_a_gateway_address(lab: Lab, address: str, undo: str) -> None:
    with batch(
        lab.namespace("client"),
        f"addr add {address.replace(' ', ' dev eth0 ', 1) if ' ' in address else address + ' dev eth0'}",
        f"addr del {undo} dev eth0",
    ):
        assert {("duplicates", 0), ("duplicates", 1)} <= found(lab, "node1"), "the standby and the primary both see it"
    assert found(lab, "node1") == NOTHING


def test_somebody_else_sets_sysctls(lab: Lab) -> None:
    """While the kernel process cannot put it back."""
    with stopped(lab, "node0", "jsrpd: kernel"):
        set_sysctl(lab, "node0", "net/ipv4/conf/lan/rp_filter", 1)
        assert ("sysctls", 0) in found(lab, "node1")
        assert "net.ipv4.conf.lan.rp_filter is 1, and this node needs 0" in causes(lab, "node0")
    wait_until(lambda: found(lab, "node0") == NOTHING, PATIENCE_S, "the kernel process to put it back")


def test_a_gate_that_is_gone(lab: Lab) -> None:
    with stopped(lab, "node1", "jsrpd: kernel"):
        with inside(lab.namespace("node1")):
            gate.detach_all(RtNetlink().links()["wan"].index)
        wait_found(lab, "node0", ("gates", 1))
        assert "the gate of wan is not there" in causes(lab, "node0")
    wait_until(lambda: found(lab, "node0") == NOTHING, PATIENCE_S, "the gate to be attached again")


def test_an_interface_that_is_set_down_and_a_reth_that_is_gone(lab: Lab) -> None:
    with stopped(lab, "node1", "jsrpd: kernel"):
        ip_batch(lab.namespace("node1"), ["link del reth1", "link set wan down"])
        assert ("interfaces", 1) in found(lab, "node0")
        said = causes(lab, "node0")
        assert "interface reth1 (reth) is missing" in said
        assert "interface wan (child of reth1) is set down" in said
        ip_batch(lab.namespace("node1"), ["link set wan up"])
    wait_until(lambda: found(lab, "node0") == NOTHING, PATIENCE_S, "the kernel process to make it anew")
    demo.settle(lab, "the interface")


def test_an_xdp_program(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "SCHED_CLS", XDP_TYPE)
    passes = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0)
    program = bpf.prog_load(passes, "foreign")
    with inside(lab.namespace("node0")):
        netlink, index = Netlink(), RtNetlink().links()["lan"].index

        def attach(descriptor: int) -> list[int]:
            body = LINK.pack(0, 0, 0, index, 0, 0) + attribute(IFLA_XDP, attribute(IFLA_XDP_FD, struct.pack("=i", descriptor)))
            return netlink.execute([(RTM_SETLINK, 0, body)])

        if attach(program) != [0]:
            pytest.skip("this kernel takes no XDP program on such an interface")
    try:
        assert ("interfaces", 0) in found(lab, "node1")
        assert "lan (child of reth0) has an XDP program" in causes(lab, "node0")
    finally:
        with inside(lab.namespace("node0")):
            attach(-1)
        os.close(program)


def test_other_programs(lab: Lab, tmp_path: Path) -> None:
    rival = tmp_path / "keepalived"
    shutil.copy("/bin/sleep", rival)
    client = f"exec -a dhclient {sys.executable} -c 'import time; time.sleep(60)' lan"
    with running(lab, "node1", str(rival), "60"), running(lab, "node1", "bash", "-c", client):
        wait_found(lab, "node0", ("managers", 1))
        wait_until(lambda: "dhclient (a DHCP client) configures lan" in causes(lab, "node0"), PATIENCE_S, "the DHCP client")
        assert "keepalived runs beside jsrpd" in causes(lab, "node0")
    assert found(lab, "node0") == NOTHING


def test_a_key_that_others_can_read(lab: Lab) -> None:
    key = lab.node_directory("node1", "etc") / "cluster.key"
    key.chmod(0o644)
    try:
        assert found(lab, "node0") == {("key", 1)}
    finally:
        key.chmod(0o600)


def test_a_file_that_was_edited(lab: Lab) -> None:
    file = lab.node_directory("node0", "etc") / "jsrpd.conf"
    before = file.read_text()
    try:
        file.write_text(before.replace("node 0 priority 200", "node 0 priority 201"))
        assert found(lab, "node1") == {("configuration", 0)}
        file.write_text(before.replace("priority", "prioriti"))
        assert "prioriti" in causes(lab, "node1")
    finally:
        file.write_text(before)


def test_an_edited_file_that_was_loaded(lab: Lab) -> None:
    """It does not travel (decision 0093): the nodes differ until somebody commits."""
    file = lab.node_directory("node0", "etc") / "jsrpd.conf"
    before = file.read_text()
    (parent,) = [pid for pid, title in topology.daemon_processes(lab, "node0").items() if title == "jsrpd"]
    try:
        file.write_text(before.replace("node 0 priority 200", "node 0 priority 201"))
        os.kill(parent, signal.SIGHUP)
        wait_found(lab, "node1", ("configuration drift", None))
        (one,) = [one for one in findings(lab, "node1") if one["check"] == "configuration drift"]
        assert one["mend"] == COMMIT_HERE, "there is no commit that could be taken up"
    finally:
        file.write_text(before)
        os.kill(parent, signal.SIGHUP)
    wait_until(lambda: found(lab, "node1") == NOTHING, PATIENCE_S, "the file as it was")


def test_a_process_that_does_not_stay(lab: Lab) -> None:
    """Each time a moment later: the parent waits longer before it starts it again."""

    def monitors() -> list[int]:
        return [pid for pid, title in topology.daemon_processes(lab, "node0").items() if title == "jsrpd: monitors"]

    for _ in range(MANY_RESTARTS):
        wait_until(lambda: bool(monitors()), PATIENCE_S, "its start")
        (pid,) = monitors()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: pid not in monitors(), PATIENCE_S, "its end")  # type: ignore[misc]
    said = f"the monitors process was restarted {MANY_RESTARTS} times since the daemon started"
    wait_until(lambda: said in causes(lab, "node1"), PATIENCE_S, "the restarts")


def test_an_engine_that_is_not_real_time(lab: Lab) -> None:
    (pid,) = [pid for pid, title in topology.daemon_processes(lab, "node1").items() if title == "jsrpd: engine"]
    policy, parameters = os.sched_getscheduler(pid), os.sched_getparam(pid)
    if policy == os.SCHED_OTHER:
        assert ("real-time", 1) in found(lab, "node0")
        return
    os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
    try:
        assert ("real-time", 1) in found(lab, "node0")
    finally:
        os.sched_setscheduler(pid, policy, parameters)


def test_a_cable_that_is_cut(lab: Lab) -> None:
    switch = lab.namespace(SWITCH)
    with batch(switch, "link set node1-wan down", "link set node1-wan up"):
        assert ("interfaces", 1) in found(lab, "node0")
        assert "interface wan (child of reth1) has no carrier" in causes(lab, "node0")
    demo.settle(lab, "the cable")


def test_an_engine_that_stands_still(lab: Lab) -> None:
    with stopped(lab, "node1", "jsrpd: engine"):
        wait_found(lab, "node0", ("daemon", 1))
        assert "the engine does not answer" in causes(lab, "node1")
    demo.settle(lab, "the stop")
    assert ("daemon", 1) not in found(lab, "node0")


def test_an_engine_that_was_late(lab: Lab) -> None:
    with stopped(lab, "node1", "jsrpd: engine"):
        run("sleep", "0.4")
    wait_until(lambda: "ms late at worst" in causes(lab, "node0"), PATIENCE_S, "the lateness")
    demo.settle(lab, "the stop")


def test_a_node_that_does_not_answer(lab: Lab) -> None:
    with batch(lab.namespace(SWITCH), "link set node0-ctl0 down", "link set node0-ctl0 up"):
        wait_found(lab, "node0", ("peer", 1), ("interfaces", 0))
    demo.settle(lab, "the control link")
    wait_until(lambda: ("peer", 1) not in found(lab, "node0"), PATIENCE_S, "the management connection")


def jsrp(lab: Lab, node: str, *words: str, text: str = "") -> None:
    run(*topology.inside(lab.namespace(node), "jsrp", *words), text=text, env=lab.environment(node))


def test_a_file_that_is_not_what_was_committed(lab: Lab) -> None:
    """And what the doctor recommends mends it."""
    jsrp(lab, "node0", "configure", text="set chassis cluster redundancy-group 1 gratuitous-arp-count 7\ncommit\n")
    file = lab.node_directory("node1", "etc") / "jsrpd.conf"
    (parent,) = [pid for pid, title in topology.daemon_processes(lab, "node1").items() if title == "jsrpd"]
    file.write_text(file.read_text().replace("gratuitous-arp-count 7", "gratuitous-arp-count 8"))
    os.kill(parent, signal.SIGHUP)
    wait_found(lab, "node0", ("configuration", 1), ("configuration drift", None))
    said = [one for one in findings(lab, "node0") if str(one["check"]).startswith("configuration")]
    assert any("configuration not synchronized" in str(one["cause"]) for one in said)
    (mend,) = {str(one["mend"]) for one in said}
    assert mend == "jsrp request chassis cluster configuration-synchronize"
    jsrp(lab, "node1", *mend.split()[1:])
    wait_until(lambda: not {("configuration", 1), ("configuration drift", None)} & found(lab, "node0"), PATIENCE_S, "the mend")


def test_a_rival_that_moves_sessions(lab: Lab, tmp_path: Path) -> None:
    rival = tmp_path / "conntrackd"
    shutil.copy("/bin/sleep", rival)
    with running(lab, "node0", str(rival), "60"):
        wait_until(lambda: "conntrackd runs beside jsrpd" in causes(lab, "node1"), PATIENCE_S, "the rival")


# -- a node whose daemon does not run: these come last -------------------------------------------------------------------


@pytest.fixture(scope="module")
def dead(lab: Lab) -> str:
    """The daemon of node 1 does not run any more."""
    topology.signal_all([pid for pid, title in topology.daemon_processes(lab, "node1").items() if title == "jsrpd"], signal.SIGTERM)
    wait_until(lambda: not topology.daemon_processes(lab, "node1"), PATIENCE_S, "the end of the daemon")
    run(*topology.inside(lab.namespace("node1"), "jsrp", "release"), env=lab.environment("node1"))
    return "node1"


def test_a_daemon_that_does_not_run(lab: Lab, dead: str) -> None:
    assert ("daemon", 1) in found(lab, dead)
    assert ("peer", 0) in found(lab, dead)
    wait_found(lab, "node0", ("peer", 1))


def test_a_configuration_that_cannot_be_used(lab: Lab, dead: str) -> None:
    """Which node this is says the identity, not the file: it is not taken for one in no cluster."""
    file = lab.node_directory(dead, "etc") / "jsrpd.conf"
    before = file.read_text()
    file.write_text(before.replace("priority", "prioriti"))
    try:
        report = doctor(lab, dead)
        said = causes(lab, dead)
    finally:
        file.write_text(before)
    assert report["examined"] == [1]
    assert {("daemon", 1), ("configuration", 1)} <= {(one["check"], one["node"]) for one in report["findings"]}  # type: ignore[attr-defined]
    assert "prioriti" in said
    assert "not in a cluster" not in said


def test_a_node_in_no_cluster(lab: Lab, dead: str) -> None:
    identity = lab.node_directory(dead, "etc") / "identity.conf"
    aside = identity.rename(identity.with_suffix(".aside"))
    try:
        said = causes(lab, dead)
    finally:
        aside.rename(identity)
    assert "this node is not in a cluster" in said
    assert "jsrpd does not run" not in said


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "cluster.key is missing"), ("00", "cluster.key"), ("x" * 64, "cluster.key")]
)
def test_a_key_that_is_none(lab: Lab, dead: str, content: str | None, expected: str) -> None:
    key = lab.node_directory(dead, "etc") / "cluster.key"
    aside = key.rename(key.with_suffix(".aside"))
    try:
        if content is not None:
            key.touch(0o600)
            key.write_text(content)
        (one,) = [one for one in findings(lab, dead) if one["check"] == "key"]
    finally:
        aside.rename(key)
    assert one["severity"] == "critical"
    assert expected in str(one["cause"])


def pretending(tmp_path: Path, files: dict[str, str]) -> tuple[str, ...]:
    """Words in front of a command that sees these contents where the kernel's files are."""
    mounts = []
    for number, (path, content) in enumerate(files.items()):
        (tmp_path / str(number)).write_text(content)
        mounts.append(f"mount --bind {tmp_path / str(number)} {path}")
    return ("unshare", "--mount", "sh", "-ec", f'{"; ".join(mounts)}; exec "$@"', "sh")


def test_a_connection_table_that_is_nearly_full(lab: Lab, dead: str, tmp_path: Path) -> None:
    """The limit is the machine's, so the kernel's word is replaced in place of its table being filled."""
    place = "/proc/sys/net/netfilter"
    wrap = pretending(tmp_path, {f"{place}/nf_conntrack_count": "90\n", f"{place}/nf_conntrack_max": "100\n"})
    assert "the connection table holds 90 of 100" in causes(lab, dead, *wrap)


def test_a_kernel_without_what_is_needed(lab: Lab, dead: str, tmp_path: Path) -> None:
    wrap = pretending(tmp_path, {"/proc/sys/kernel/sched_rt_runtime_us": "0\n"})
    hidden = ("unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none /proc/sys/net/netfilter; exec "$@"', "sh")
    assert "real-time scheduling is off" in causes(lab, dead, *wrap)
    assert "there is no connection tracking" in causes(lab, dead, *hidden)


def test_a_slow_clock(lab: Lab, dead: str, tmp_path: Path) -> None:
    wrap = pretending(tmp_path, {"/sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"})
    assert "the clock source is hpet" in causes(lab, dead, *wrap)


def test_a_badly_prepared_host(lab: Lab, dead: str) -> None:
    namespace = lab.namespace(dead)
    ip_batch(namespace, ["link set wan up", "link add br0 type bridge", "link set wan master br0", "link set fab name fabx"])
    for name, value in (("ipv6/conf/ctl0/disable_ipv6", 1), ("ipv4/conf/all/arp_ignore", 8), ("ipv4/conf/all/arp_filter", 1)):
        set_sysctl(lab, dead, f"net/{name}", value)
    try:
        said = causes(lab, dead)
    finally:
        ip_batch(namespace, ["link set wan nomaster", "link del br0", "link set fabx name fab", "link set fab up"])
        for name in ("ipv6/conf/ctl0/disable_ipv6", "ipv4/conf/all/arp_ignore", "ipv4/conf/all/arp_filter"):
            set_sysctl(lab, dead, f"net/{name}", 0)
    for expected in (
        "interface wan (child of reth1) is a port of the bridge br0",
        "interface fab (fabric link 0) does not exist",
        "IPv6 is off on ctl0",
        "net.ipv4.conf.all.arp_ignore is 8",
        "net.ipv4.conf.all.arp_filter is 1",
    ):
        assert expected in said


@pytest.mark.parametrize(
    ("program", "place", "notes", "expected"),
    [
        (
            "systemd-networkd",
            "/run/systemd/netif/links",
            "ADMIN_STATE=configured\nNETWORK_FILE=/etc/x.network",
            "systemd-networkd (/etc/x.network) configures lan",
        ),
        ("NetworkManager", "/run/NetworkManager/devices", "[device]\nmanaged=true", "NetworkManager configures lan"),
    ],
)
def test_a_manager_of_networks(lab: Lab, dead: str, tmp_path: Path, program: str, place: str, notes: str, expected: str) -> None:
    """Its notes about the interface count while it runs in this network namespace."""
    manager = tmp_path / program
    shutil.copy("/bin/sleep", manager)
    top, index = Path(*Path(place).parts[:3]), topology.INTERFACE_INDEX["lan"]
    write = f"mkdir -p {top}; mount -t tmpfs none {top}; mkdir -p {place}; printf '{notes}\n' >{place}/{index}"
    wrap = ("unshare", "--mount", "sh", "-ec", f'{write}; exec "$@"', "sh")
    assert program not in causes(lab, dead, *wrap)
    with running(lab, dead, str(manager), "60"):
        wait_until(lambda: expected in causes(lab, dead, *wrap), PATIENCE_S, "the manager")


def test_a_clock_of_its_own(lab: Lab, dead: str) -> None:
    assert "boot-time clock of this time namespace" in causes(lab, dead, "unshare", "--time", "--boottime", "1000", "--fork")


def test_a_full_disk(lab: Lab, dead: str) -> None:
    state = lab.node_directory(dead, "lib")
    fill = f"mount -t tmpfs -o size=64k none {state}; head -c 100k /dev/zero >{state}/x || :"
    said = causes(lab, dead, "unshare", "--mount", "sh", "-c", f'{fill}; exec "$@"', "sh")
    assert "file system of the state directory is 100 % full" in said


def test_without_rights(lab: Lab, dead: str) -> None:
    said = causes(lab, dead, "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    assert "the kernel refuses a BPF map" in said
    assert "the packet filter cannot be read" in said


OTHERWISE = """import os, platform, time
import jsrpd
jsrpd.__version__ = "0.0.1"
platform.release = lambda: "6.6.1-other"
now = time.time_ns
time.time_ns = lambda: now() + 90 * 10**9
"""


def test_a_node_that_is_not_like_the_other(lab: Lab, dead: str, tmp_path: Path) -> None:
    """Another release, another kernel, another time, and less room for connections: as its own daemon sees them."""
    (tmp_path / "sitecustomize.py").write_text(OTHERWISE)
    wrap = pretending(tmp_path, {"/proc/sys/net/netfilter/nf_conntrack_max": "1000\n"})
    environment = {**lab.environment(dead), "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    jsrpd = shutil.which("jsrpd", path=environment["PATH"]) or ""
    command = topology.inside(lab.namespace(dead), *wrap, "unshare", "--uts", jsrpd, "-N", "-l")
    with topology.log_file(lab, dead).open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        wait_found(lab, "node0", ("versions", None), ("clocks", None), ("conntrack room", None))
        said = causes(lab, "node0")
        for expected in (
            "0.0.1 on node1",
            "6.6.1-other on node1",
            "the wall clocks of the nodes are about 90 s apart",
            "the connection table of node1 takes 1000 connections",
        ):
            assert expected in said
    finally:
        parents = [pid for pid, title in topology.daemon_processes(lab, dead).items() if title == "jsrpd"]
        topology.signal_all(parents, signal.SIGTERM)
        process.wait(PATIENCE_S)
        wait_until(lambda: not topology.daemon_processes(lab, dead), PATIENCE_S, "the end of the daemon")


def test_a_tool_that_is_missing(lab: Lab, dead: str) -> None:
    hidden = 'for p in /usr/sbin/nft /sbin/nft; do test -e "$p" && mount --bind /dev/null "$p"; done; exec "$@"'
    assert "the packet filter cannot be read: nft is not installed" in causes(
        lab, dead, "unshare", "--mount", "sh", "-c", hidden, "sh"
    )


def test_a_twin(lab: Lab, dead: str) -> None:
    """Both nodes were given one number."""
    identity = lab.node_directory(dead, "etc") / "identity.conf"
    before = identity.read_text()
    identity.write_text(before.replace("node 1;", "node 0;"))
    try:
        topology.start_daemon(lab, dead)
        wait_found(lab, "node0", ("strangers", 0), ("peer", 1))
        assert "heartbeats of this cluster's number were dropped: own node-id" in causes(lab, "node0")
        assert "control link 0: heard, own node-id" in str(topology.cluster_status(lab, "node0")["notices"])
    finally:
        parents = [pid for pid, title in topology.daemon_processes(lab, dead).items() if title == "jsrpd"]
        topology.signal_all(parents, signal.SIGTERM)
        wait_until(lambda: not topology.daemon_processes(lab, dead), PATIENCE_S, "the end of the daemon")
        identity.write_text(before)


def test_another_key(lab: Lab, dead: str) -> None:
    (lab.node_directory(dead, "etc") / "cluster.key").write_text("00" * 32)
    topology.start_daemon(lab, dead)
    wait_until(lambda: "were dropped: key mismatch" in causes(lab, "node0"), PATIENCE_S, "the stranger")
    wait_found(lab, "node0", ("peer", 1))
