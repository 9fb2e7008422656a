"""Configuration mode on a running cluster: a commit on one node is in force on both, or on neither, whatever dies midway.

What is in force is asked of the daemons (by what they show) and of the files. Every change goes through the installed
command, as a script would drive it.
"""

import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.topology import NODES, Lab, Settings, inside, wait_until
from jsrpd.model.addressing import MANAGEMENT_PORT, control_address

SETTINGS = Settings(interval_ms=100, threshold=5, control_links=2)
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster of its own name."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jc{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        wait_until(lambda: has_peer(made), PATIENCE_S, "the management connection")
        yield made
    finally:
        topology.down(made)


def has_peer(lab: Lab) -> bool:
    """A check reaches the other node."""
    return configure(lab, "node0", "commit check").stdout.count("configuration check succeeds") == 2


def jsrp(lab: Lab, node: str, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        inside(lab.namespace(node), "jsrp", *words),
        env=lab.environment(node),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def configure(lab: Lab, node: str, *lines: str, how: str = "") -> subprocess.CompletedProcess[str]:
    words = ["configure", how] if how else ["configure"]
    return jsrp(lab, node, *words, text="".join(f"{line}\n" for line in lines))


def file(lab: Lab, node: str) -> str:
    return (lab.node_directory(node, "etc") / "jsrpd.conf").read_text()


def history(lab: Lab, node: str) -> list[dict[str, object]]:
    listed = json.loads(jsrp(lab, node, "show", "system", "commit", "|", "display", "json").stdout)["commits"]
    return [dict(one) for one in listed]


def both_have(lab: Lab, statement: str) -> bool:
    return all(statement in file(lab, node) for node in NODES)


def are_one(lab: Lab) -> bool:
    """The same file, the same history, and nothing shown as failed."""
    if file(lab, "node0") != file(lab, "node1"):
        return False
    ids = [[(one["sequence"], one["author"], one["comment"]) for one in history(lab, node)] for node in NODES]
    return ids[0] == ids[1] and not any("CF" in failures(lab, node) for node in NODES)


def failures(lab: Lab, node: str) -> str:
    """The column of monitor failures, own rows and the peer's."""
    return jsrp(lab, node, "show", "chassis", "cluster", "status").stdout.split("Node   Priority", 1)[-1]


def pid(lab: Lab, node: str, title: str) -> int:
    return next(pid for pid, name in topology.daemon_processes(lab, node).items() if name == title)


def test_a_commit_on_one_node_changes_both(lab: Lab) -> None:
    owner = topology.primary_node(lab)
    done = configure(
        lab,
        "node1",
        "edit chassis cluster",
        "set redundancy-group 1 gratuitous-arp-count 6",
        "show | compare",
        'commit comment "more announcements"',
    )
    assert done.returncode == 0, done.stderr
    assert "[edit chassis cluster redundancy-group 1]\n" in done.stdout
    assert "+   gratuitous-arp-count 6;" in done.stdout
    assert "redundancy group 1: changes its gratuitous-arp-count" in done.stdout
    assert "node0:\ncommit complete\nnode1:\ncommit complete\n" in done.stdout
    assert both_have(lab, "gratuitous-arp-count 6;")
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")
    assert history(lab, "node0")[0]["comment"] == "more announcements"
    assert topology.primary_node(lab) == owner, "a reload moves nothing"
    for node in NODES:
        log = topology.log_file(lab, node).read_text()
        assert "commit 2 of root on node1 is in force: more announcements" in log


def test_what_is_wrong_is_done_nowhere(lab: Lab) -> None:
    before = file(lab, "node0")
    done = configure(lab, "node0", "set chassis cluster redundancy-group 1 interface-monitor nowhere weight 255", "commit")
    assert done.returncode == 1
    assert "Interface must be defined before configuring monitoring" in done.stderr
    assert file(lab, "node0") == file(lab, "node1") == before


def test_the_peer_is_dead_midway_and_takes_it_over_when_it_returns(lab: Lab) -> None:
    """Its gateway is stopped, not dead, when it is asked: the leader waits, says so, and commits alone."""
    stopped = pid(lab, "node1", "jsrpd: gateway")
    os.kill(stopped, signal.SIGSTOP)
    try:
        done = configure(lab, "node0", "set chassis cluster redundancy-group 1 gratuitous-arp-count 7", "commit")
        assert done.returncode == 0, done.stderr
        assert "it takes over commit" in done.stdout
        assert "gratuitous-arp-count 7;" in file(lab, "node0")
        assert "gratuitous-arp-count 6;" in file(lab, "node1")
        wait_until(lambda: "CF" in failures(lab, "node0"), PATIENCE_S, "CF while the peer lacks the commit")
    finally:
        os.kill(stopped, signal.SIGKILL)
    wait_until(lambda: both_have(lab, "gratuitous-arp-count 7;"), PATIENCE_S, "the commit on the node that was away")
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")


def test_the_engine_is_killed_midway(lab: Lab) -> None:
    """The commit goes on without it, and its successor begins with what was committed."""
    os.kill(pid(lab, "node0", "jsrpd: engine"), signal.SIGKILL)
    done = configure(lab, "node0", "set chassis cluster redundancy-group 1 gratuitous-arp-count 8", "commit")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: both_have(lab, "gratuitous-arp-count 8;"), PATIENCE_S, "the commit on both")
    demo.settle(lab, "the new engine")
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")


def test_both_commit_alone_and_both_commits_are_in_both_histories(lab: Lab) -> None:
    """The control links are cut, the segments still join the nodes: neither can ask the other."""
    faults.inject(lab, "cut-control")
    for node, count in (("node0", 9), ("node1", 10)):
        done = configure(
            lab, node, f"set chassis cluster redundancy-group 1 gratuitous-arp-count {count}", f"commit comment alone{count}"
        )
        assert done.returncode == 0, done.stderr
        assert "warning:" in done.stdout
        assert f"gratuitous-arp-count {count};" in file(lab, node)
    faults.heal(lab)
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")
    assert {"alone9", "alone10"} <= {str(one["comment"]) for one in history(lab, "node1")}
    assert any(one["note"] == "made beside another, not in force" for one in history(lab, "node0"))


def test_two_operators(lab: Lab) -> None:
    """One holds the configuration exclusively; the lock is gone with him, however he goes."""
    holder = subprocess.Popen(
        inside(lab.namespace("node0"), "jsrp", "configure", "exclusive"),
        env=lab.environment("node0"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    while "Entering configuration mode" not in holder.stdout.readline():
        pass
    for node in NODES:
        refused = configure(lab, node, "set chassis cluster redundancy-group 1 gratuitous-arp-count 11", "commit")
        assert refused.returncode == 1
        assert "configuration database locked by" in refused.stderr
    assert "locked by" in configure(lab, "node0", "show", how="exclusive").stderr
    holder.kill()
    holder.communicate()
    done = configure(lab, "node1", "set chassis cluster redundancy-group 1 gratuitous-arp-count 11", "commit")
    assert done.returncode == 0, done.stderr
    assert both_have(lab, "gratuitous-arp-count 11;")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: path.write_bytes(os.urandom(5000)), "is not text"),
        (lambda path: path.write_text("chassis { cluster {"), "{ is not closed"),
        (lambda path: path.write_text("a: &a\n  b: *a\n"), "leads to itself"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 100 << 20), "100 MB is more than"),
    ],
)
def test_bad_files_are_refused(lab: Lab, tmp_path: Path, made: object, said: str) -> None:
    assert callable(made)
    path = tmp_path / ("bad.yaml" if "itself" in said else "bad.conf")
    made(path)
    before = file(lab, "node0")
    done = configure(lab, "node0", f"load override {path}", "commit")
    assert done.returncode == 1
    assert said in done.stderr
    assert file(lab, "node0") == file(lab, "node1") == before


RECURSIVE = "groups { a { apply-groups b; } b { apply-groups a; } } apply-groups a;"
INPUTS = {
    "an unknown command": (b"sett chassis cluster reth-count 2\ncommit\n", "syntax error at 'sett'"),
    "a wrong value": (b"set chassis cluster reth-count 999\ncommit\n", "999 is not within"),
    "half a line": (b"set chassis cluster reth-cou", "needs a value: 1..128"),
    "half a text": (b"load merge terminal\nchassis { cluster {\n", "{ is not closed"),
    "garbage": (random.Random(2).randbytes(100_000), "syntax error"),
    "one line of 100 MB": (b"x" * (100 << 20), "syntax error at 'xxx"),
    "a text of 100 MB": (b"load override terminal\n" + b"system { host-name x; }\n" * (100 << 20 >> 5), "2 MB"),
    "recursive groups": (f"load override terminal\n{RECURSIVE}\n\x04\ncommit\n".encode(), "unknown statement apply-groups"),
}


@pytest.mark.parametrize(("typed", "said"), INPUTS.values(), ids=INPUTS)
def test_bad_input_is_refused(lab: Lab, typed: bytes, said: str) -> None:
    """Whatever comes down the pipe: said what is wrong, nothing changed, and nothing locked."""
    before = file(lab, "node0")
    done = subprocess.run(
        inside(lab.namespace("node0"), "jsrp", "configure", "exclusive"),
        env=lab.environment("node0"),
        input=typed,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert len(done.stderr) < 10_000
    assert file(lab, "node0") == file(lab, "node1") == before
    again = configure(lab, "node1", "commit check", how="exclusive")
    assert again.stdout.count("configuration check succeeds") == 2, again.stderr


def test_operators_on_both_nodes_commit_at_once(lab: Lab) -> None:
    """Again and again: each is told what came of it, both nodes end with the same, and no commit is missing in the history."""

    def begin(node: str, number: int) -> "subprocess.Popen[str]":
        typed = (
            f'set chassis cluster redundancy-group {number % 2} gratuitous-arp-count {number}\ncommit comment "{node} {number}"\n'
        )
        begun = subprocess.Popen(
            inside(lab.namespace(node), "jsrp", "configure"),
            env=lab.environment(node),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert begun.stdin is not None
        begun.stdin.write(typed)
        begun.stdin.close()
        return begun

    accepted = set[str]()
    for number in range(2, 7):
        under_way = {node: begin(node, number) for node in NODES}
        for node, commit in under_way.items():
            assert commit.stdout is not None and commit.stderr is not None
            shown, problem = commit.stdout.read(), commit.stderr.read()
            if commit.wait(60) == 0:
                assert "commit complete" in shown
                accepted.add(f"{node} {number}")
            else:
                assert "; nothing was committed on either node" in problem or "is committing on" in problem
    assert accepted
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")
    assert accepted <= {str(one["comment"]) for one in history(lab, "node0")}


def test_an_engine_that_stands_still(lab: Lab) -> None:
    """A commit does not wait for it; what is asked of it says so."""
    stopped = pid(lab, "node0", "jsrpd: engine")
    os.kill(stopped, signal.SIGSTOP)
    try:
        done = configure(lab, "node0", "set chassis cluster redundancy-group 1 gratuitous-arp-count 5", "commit")
        shown = jsrp(lab, "node0", "show", "chassis", "cluster", "status")
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert done.returncode == 0, done.stderr
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error: the engine does not answer")
    wait_until(lambda: both_have(lab, "gratuitous-arp-count 5;"), PATIENCE_S, "the commit on both")
    demo.settle(lab, "the engine")
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")


def test_a_large_configuration_goes_in_pieces(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "large.conf"
    path.write_text(f"/* {'x' * 400_000} */\nsystem {{ syslog {{ host 192.0.2.77; }} }}\n")
    done = configure(lab, "node0", f"load merge {path}", "commit")
    assert done.returncode == 0, done.stderr
    assert "node1:\ncommit complete" in done.stdout
    assert both_have(lab, "x" * 400_000)
    done = configure(lab, "node1", 'annotate system ""', "delete system syslog", "commit")
    assert done.returncode == 0, done.stderr
    assert not both_have(lab, "xxx")


def test_strangers_on_the_management_port_change_nothing(lab: Lab) -> None:
    """Garbage, silence and a greeting without the key, from the other end of the link."""
    address = control_address(topology.CLUSTER_ID, 0, 0)
    script = f"""
import os, socket
for said in (os.urandom(4096), b"", b"JSRM" + bytes([1, {topology.CLUSTER_ID}, 1]) + bytes(20)):
    for _ in range(20):
        with socket.create_connection(("{address}%ctl0", {MANAGEMENT_PORT}), 5) as stranger:
            stranger.sendall(said)
"""
    topology.run(*inside(lab.namespace("node1"), "python3", "-"), text=script)
    wait_until(lambda: has_peer(lab), PATIENCE_S, "the management connection")
    assert are_one(lab)


def test_a_confirmed_commit_that_nobody_confirms(lab: Lab) -> None:
    """The committing node's whole daemon is killed, the links between the nodes are cut: each takes it back by itself."""
    before = file(lab, "node0")
    done = configure(lab, "node0", "set chassis cluster redundancy-group 1 gratuitous-arp-count 12", "commit confirmed 1")
    assert "will be automatically rolled back in 1 minutes unless confirmed" in done.stdout
    assert both_have(lab, "gratuitous-arp-count 12;")
    faults.inject(lab, "kill", "node0")
    wait_until(lambda: file(lab, "node1") == before, 90, "node1 takes it back alone")
    faults.heal(lab)
    wait_until(lambda: file(lab, "node0") == before, PATIENCE_S, "node0 takes it back when it runs again")
    demo.settle(lab, "the healing")
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")
    assert "was not confirmed" in str(history(lab, "node1")[0]["comment"])


def test_rollback(lab: Lab) -> None:
    done = configure(lab, "node1", "rollback 2", "show | compare", "commit and-quit")
    assert done.returncode == 0, done.stderr
    assert "Exiting configuration mode" in done.stdout
    wait_until(lambda: are_one(lab), PATIENCE_S, "the same history on both")


def test_a_commit_warns_of_packet_filters_that_differ(lab: Lab) -> None:
    """And of timers that are faster than this host has been."""
    difference = "the firewall rulesets of the nodes differ"
    wait_until(lambda: has_peer(lab), PATIENCE_S, "the management connection")
    assert difference not in configure(lab, "node0", "commit check").stdout
    nft = inside(lab.namespace("node1"), "nft")
    topology.run(*nft, "add", "table", "inet", "mine")
    try:
        wait_until(lambda: difference in configure(lab, "node0", "commit check").stdout, PATIENCE_S, "the remark")
    finally:
        topology.run(*nft, "flush", "ruleset")
    (engine,) = [pid for pid, title in topology.daemon_processes(lab, "node0").items() if title == "jsrpd: engine"]
    os.kill(engine, signal.SIGSTOP)
    topology.run("sleep", "0.4")
    os.kill(engine, signal.SIGCONT)
    wait_until(lambda: "ms late at worst" in configure(lab, "node0", "commit check").stdout, PATIENCE_S, "the remark")
