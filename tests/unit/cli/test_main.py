"""``jsrp`` from the words typed to what is printed and the exit code, against a stand-in daemon on a real socket."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jsrpd.configuration.identity
import jsrpd.configuration.junos
import jsrpd.configuration.key  # noqa: F401  Without root there may be nothing to import from.
from jsrpd import __version__
from jsrpd.cli.main import main
from jsrpd.configuration.import_junos import _from_xml
from jsrpd.configuration.junos import parse
from jsrpd.management.requests import NOT_ENABLED, SOCKET_NAME, Reply
from jsrpd.messages.catalogue import CATALOGUE
from tests.unit.management.daemon import cluster, daemon

GOLDEN = Path(__file__).parent / "golden"
NOBODY = 65534
FAILOVER = "request chassis cluster failover redundancy-group 1 node 1"
NODE_1_BLOCK = "node1:\n" + "-" * 74 + "\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One directory for everything."""
    for variable in ("RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(variable, f"{tmp_path}:/elsewhere")
    return tmp_path


@contextlib.contextmanager
def without_root() -> Iterator[None]:
    """Permissions hold for this process, too."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def fails(capsys: pytest.CaptureFixture[str], typed: str, code: int = 1) -> str:
    """What a command that fails says; it prints nothing else."""
    assert main(typed.split()) == code
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def succeeds(capsys: pytest.CaptureFixture[str], typed: str) -> str:
    """What a command that succeeds prints."""
    assert main(typed.split()) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


# -- commands that ask the daemon ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "asked", "reply", "printed"),
    [
        (FAILOVER, {"type": "failover", "group": 1, "node": 1}, Reply(True, "Initiated", 1), NODE_1_BLOCK + "Initiated\n\n"),
        ("req ch cl f red 128 n 0", {"type": "failover", "group": 128, "node": 0}, Reply(True, "x", 1), NODE_1_BLOCK + "x\n\n"),
        (
            "request chassis cluster failover reset",
            {"type": "failover-reset", "group": None},
            Reply(True, "one\ntwo", 1),
            NODE_1_BLOCK + "one\ntwo\n\n",
        ),
        (
            "request chassis cluster failover reset redundancy-group 0 | match one",
            {"type": "failover-reset", "group": 0},
            Reply(True, "one\ntwo", 1),
            "one\n",
        ),
        ("clear chassis cluster failover-count", {"type": "clear-failover-count"}, Reply(True, "Cleared"), "Cleared\n"),
        (
            "clear chassis cluster statistics",
            {"type": "clear-statistics", "control_plane": True, "data_plane": True},
            Reply(True, "a\nb"),
            "a\nb\n",
        ),
        (
            "clear chassis cluster control-plane statistics",
            {"type": "clear-statistics", "control_plane": True, "data_plane": False},
            Reply(True, "a"),
            "a\n",
        ),
        (
            "clear chassis cluster data-plane statistics",
            {"type": "clear-statistics", "control_plane": False, "data_plane": True},
            Reply(True, "b"),
            "b\n",
        ),
    ],
)
def test_a_command_and_its_answer(
    directory: Path, capsys: pytest.CaptureFixture[str], typed: str, asked: object, reply: Reply, printed: str
) -> None:
    with daemon(directory / SOCKET_NAME, reply) as lines:
        assert succeeds(capsys, typed) == printed
    assert [json.loads(line) for line in lines] == [asked]


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("sh ch cl statu | match primary", "node0  200      primary              no      no       None\n"),
        ("sh ch cl int | match reth0", "    reth0        Up          1\n"),
        ("show chassis cluster status | match ^node\\d|^Red | count", "Count: 3 lines\n"),
    ],
)
def test_displays(directory: Path, capsys: pytest.CaptureFixture[str], typed: str, printed: str) -> None:
    with daemon(directory / SOCKET_NAME, Reply(True, node=0, status=cluster())):
        assert succeeds(capsys, typed) == printed


@pytest.mark.parametrize("what", ["status", "interfaces"])
def test_json_display(directory: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    with daemon(directory / SOCKET_NAME, Reply(True, node=0, status=cluster())):
        printed = succeeds(capsys, f"show chassis cluster {what} | display json")
    assert json.loads(printed)["groups"][0]["nodes"][1]["state"] == "secondary"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(False, NOT_ENABLED), "error: Chassis cluster is not enabled\n"),
        (Reply(True), "error: the answer has no status; are jsrp and jsrpd of one version?\n"),
    ],
)
def test_an_answer_without_a_status(directory: Path, capsys: pytest.CaptureFixture[str], reply: Reply, said: str) -> None:
    with daemon(directory / SOCKET_NAME, reply):
        assert fails(capsys, "show chassis cluster status") == said


def test_no_daemon(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = f"error: jsrpd is not running (nobody listens on {directory / SOCKET_NAME}); start it with: jsrpd\n"
    assert fails(capsys, "show chassis cluster status") == expected


@pytest.mark.parametrize(
    "typed",
    [
        "show chassis cluster status",
        "request chassis cluster key generate",
        "set chassis cluster cluster-id 1 node 0",
        "show configuration",
        "release",
    ],
)
def test_without_permission(directory: Path, capsys: pytest.CaptureFixture[str], typed: str) -> None:
    directory.chmod(0)
    with without_root():
        said = fails(capsys, typed)
    directory.chmod(0o700)
    assert said.startswith("error: ")
    assert said.endswith("permission denied; run as root\n")


# -- everything typed is checked before anything is done -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"{FAILOVER} | mtach x", "syntax error at 'mtach' after | (did you mean match?)"),
        (f"{FAILOVER} | match (", "error: '(' is not a regular expression"),
        (f"{FAILOVER} | display json", "error: this command has no display json"),
        (f"{FAILOVER} |", "incomplete command: |"),
        (f"{FAILOVER} now", "syntax error at 'now' after request chassis cluster failover redundancy-group 1 node 1"),
        ("request chassis cluster failover redundancy-group 1 node 7", "error: node 7 is not within range 0..1\n"),
        (
            "request chassis cluster failover redundancy-group 129 node 1",
            "error: redundancy-group 129 is not within range 0..128\n",
        ),
        ("request chassis cluster failover reset redundancy-group x", "error: redundancy-group x is not within range 0..128\n"),
        ("set chassis cluster cluster-id 256 node 0", "error: cluster-id 256 is not within range 0..255\n"),
        ("request chassis cluster key generate | mtach x", "syntax error at 'mtach'"),
        ("la up", "syntax error at 'up' after lab"),
    ],
)
def test_a_typing_error_does_nothing(directory: Path, capsys: pytest.CaptureFixture[str], typed: str, said: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET_NAME))
        listener.listen()
        listener.setblocking(False)
        assert fails(capsys, typed, 64).startswith(said)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert [path.name for path in directory.iterdir()] == [SOCKET_NAME]


# -- commands that work on files -----------------------------------------------------------------------------------------


def test_a_key_is_made_once(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = directory / "cluster.key"
    assert str(path) in succeeds(capsys, "request chassis cluster key generate")
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_text()
    assert fails(capsys, "request chassis cluster key generate").startswith(f"error: {path} exists")
    assert path.read_text() == first
    succeeds(capsys, "request chassis cluster key generate force")
    assert path.read_text() != first


@pytest.mark.parametrize(
    ("typed", "printed", "written"),
    [
        ("set chassis cluster cluster-id 255 node 1", "Successfully enabled chassis cluster.", "cluster-id 255;\nnode 1;\n"),
        ("set chassis cluster cluster-id 0 node 1", "Successfully disabled chassis cluster.", "cluster-id 0;\nnode 0;\n"),
        ("set chassis cluster disable", "Successfully disabled chassis cluster.", "cluster-id 0;\nnode 0;\n"),
    ],
)
def test_identity(directory: Path, capsys: pytest.CaptureFixture[str], typed: str, printed: str, written: str) -> None:
    assert succeeds(capsys, typed).startswith(printed)
    assert (directory / "identity.conf").read_text() == written


CONFIGURATION = """\
system {
    host-name gw;
}
/* two of them */
chassis {
    cluster {
        reth-count 2;
        inactive: heartbeat-interval 100;
        redundancy-group 1 {
            node 0 priority 200;
            preempt {
                delay 60;
            }
            inactive: interface-monitor lan weight 255;
            ip-monitoring {
                family inet {
                    10.1.0.9 {
                        weight 100;
                        interface reth0.0 {
                            secondary-ip-address 10.1.0.2;
                        }
                    }
                }
            }
        }
        hardware-monitoring {
            disk-limit / 90;
        }
    }
}
interfaces {
    fab0 {
        fabric-options {
            member-interfaces fab;
        }
    }
    lan {
        gigether-options {
            redundant-parent reth0;
        }
    }
    reth0 {
        unit 0 {
            family inet {
                address [ 10.1.0.1/24 10.1.0.3/24 ];
            }
        }
    }
}
apply-groups "${node}";
"""


def test_configuration_in_every_form(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is inactive and what is said of a statement is shown; the importer reads the XML as it reads the vendor's."""
    (directory / "jsrpd.conf").write_text(CONFIGURATION)
    for display in ("", "xml", "json", "set"):
        printed = succeeds(capsys, f"show configuration{f' | display {display}' if display else ''}")
        golden = GOLDEN / f"configuration.{display or 'txt'}"
        assert printed == golden.read_text()
    ours, theirs = (
        {" ".join(word.text for word in path) for path in tree.statements()}
        for tree in (parse(CONFIGURATION, keep=True), _from_xml((GOLDEN / "configuration.xml").read_text()))
    )
    # The one list whose entries have a value and no name for it.
    assert theirs - ours == {"chassis cluster hardware-monitoring disk-limit / value 90"}
    assert len(ours - theirs) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "error: {}: No such file or directory"),
        (b"chassis {\n", "error: {}:"),
        (b"\xff", "error: {}: "),
    ],
)
def test_a_configuration_that_cannot_be_shown(
    directory: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    path = directory / "jsrpd.conf"
    if content is not None:
        path.write_bytes(content)
    assert fails(capsys, "show configuration").startswith(said.format(path))


def test_a_directory_that_cannot_be_made(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "file").touch()
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(directory / "file" / "below"))
    assert fails(capsys, "set chassis cluster disable") == f"error: {directory / 'file' / 'below'}: Not a directory\n"


# -- help, version, release, lab -----------------------------------------------------------------------------------------


def test_help_on_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    printed = succeeds(capsys, "help syslog jsrpd_rg_state_change")
    assert printed.startswith("Name:          JSRPD_RG_STATE_CHANGE\nMessage:       Redundancy-group <rg-id> transitioned from")


def test_help_lists_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[0] for line in succeeds(capsys, "help syslog").splitlines()] == list(CATALOGUE)


def test_help_on_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "help syslog JSRPD_X") == "error: no message JSRPD_X; all of them: jsrp help syslog\n"


@pytest.mark.parametrize(
    ("typed", "kept"), [("cluster-id 3 node 1", "cluster-id 3;\nnode 1;\n"), ("disable", "cluster-id 0;\nnode 0;\n")]
)
def test_reboot_is_understood_and_not_made(directory: Path, capsys: pytest.CaptureFixture[str], typed: str, kept: str) -> None:
    said = succeeds(capsys, f"set chassis cluster {typed}")
    assert succeeds(capsys, f"set chassis cluster {typed} reboot") == f"{said}No reboot is needed, and none is made.\n"
    assert (directory / "identity.conf").read_text() == kept


@pytest.mark.parametrize("product", ["junos", "keepalived"])
def test_what_is_no_file_to_import(directory: Path, capsys: pytest.CaptureFixture[str], product: str) -> None:
    assert fails(capsys, f"import {product} {directory}/none") == f"error: {directory}/none: No such file or directory\n"
    large = directory / "large"
    large.touch()
    os.truncate(large, 100 << 20)
    assert fails(capsys, f"import {product} {large}") == f"error: {large} has more than 16 MB and is no configuration\n"


@pytest.mark.parametrize("absolute", [True, False])
def test_includes_are_looked_for_beside_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], absolute: bool) -> None:
    """With wildcards in every part; what is not there is said."""
    for name in ("a", "b"):
        (tmp_path / "parts" / name).mkdir(parents=True)
        text = f"vrrp_instance {name} {{\n interface {name}0\n virtual_ipaddress {{ 192.0.2.1/24 }}\n}}\n"
        (tmp_path / "parts" / name / "vrrp.conf").write_text(text)
    base = f"{tmp_path}/" if absolute else ""
    (tmp_path / "keepalived.conf").write_text(f"include {base}parts/*/*.conf\ninclude {base}none/*.conf\n")
    assert main(["import", "keepalived", f"{tmp_path}/keepalived.conf"]) == 0
    said = capsys.readouterr()
    assert all(f"{name}0 {{" in said.out for name in ("a", "b"))
    assert f"keepalived.conf:2: include {base}none/*.conf: there is no such file" in said.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert succeeds(capsys, "version") == f"jsrpd {__version__}\n"


def test_an_interrupt_ends_quietly(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jsrpd.management.client.begun", interrupt)
    assert fails(capsys, "show chassis cluster status", 130) == ""


@pytest.mark.parametrize("typed", ["?", "help", "--help", "-h"])
def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str], typed: str) -> None:
    printed = succeeds(capsys, typed)
    assert f"jsrp {FAILOVER.replace('1 node 1', 'GROUP node NODE')} " in printed
    assert "jsrp lab " in printed


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("show ?", "chassis"),
        ("req ch cl failover redundancy-group ?", "GROUP"),
        ("help syslog ?", "<[Enter]>"),
        ("version | ?", "count"),
    ],
)
def test_what_may_follow(capsys: pytest.CaptureFixture[str], typed: str, first: str) -> None:
    title, line, *_ = succeeds(capsys, typed).splitlines()
    assert title == "Possible completions:"
    assert line.split()[0] == first


@pytest.mark.parametrize(
    ("code", "out", "err"), [(0, "released 1 reths and 2 objects\n", ""), (75, "", "jsrpd is running; stop it first\n")]
)
def test_release_runs_in_a_process_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str
) -> None:
    started: list[list[str]] = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if code == 0:
        assert succeeds(capsys, "release") == out
    else:
        assert fails(capsys, "release") == f"error: {err}"
    assert started == [[sys.executable, "-m", "jsrpd.processes.release"]]


def test_lab_gets_its_words_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def lab(words: list[str]) -> int:
        seen.append(words)
        return 5

    monkeypatch.setattr("jsrpd.lab.main.main", lab)
    assert main(["lab", "exec", "node0", "--", "sh", "-c", "a | b"]) == 5
    assert seen == [["exec", "node0", "--", "sh", "-c", "a | b"]]


def test_lab_abbreviated_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "la") == "error: write lab in full; what it can do: jsrp lab --help\n"


def jsrp(*words: str) -> list[str]:
    """The command line of a real process."""
    return [sys.executable, "-m", "jsrpd.cli.main", *words]


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as closed:
        done = subprocess.run(jsrp("help", "syslog"), stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_display_imports_only_what_it_needs() -> None:
    """A command answers in 150 ms (SPEC section 11): nothing that is slow to import may creep in."""
    heavy = ("asyncio", "argparse", "cryptography", "subprocess", "difflib", "jsrpd.configuration", "jsrpd.lab", "jsrpd.messages")
    code = (
        "import sys; from jsrpd.cli.main import main; main(['show', 'chassis', 'cluster', 'status']); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
