"""Configuration mode as a shell or a script drives it, over a desk that is a list in memory."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jsrpd.cli.commands import CommandFailed
from jsrpd.cli.configure import QUESTION, ConfigureMode, run_script
from jsrpd.cli.grammar import GrammarError, parse
from jsrpd.configuration.candidate import read
from jsrpd.configuration.render import text_of
from jsrpd.management.commits import digest
from jsrpd.management.requests import CommitLine, ConfigurationTold
from tests.unit.configuration.texts import SOUND

BEGUN = text_of(read(SOUND))


@dataclass
class Desk:
    """``texts``: the newest first."""

    texts: list[str] = field(default_factory=lambda: [BEGUN])
    asked: list[tuple[str, int, bool]] = field(default_factory=list)
    closed: bool = False

    def open(self, exclusive: bool) -> ConfigurationTold:
        return ConfigurationTold(self.texts[0], digest(self.texts[0]), ("warning: exclusive",) if exclusive else ())

    def commit(self, text: str, base: str, comment: str, confirm_minutes: int, check: bool) -> tuple[str, ConfigurationTold | None]:
        assert base == digest(self.texts[0])
        self.asked.append((comment, confirm_minutes, check))
        if check:
            return "configuration check succeeds\n", None
        self.texts.insert(0, text)
        return "commit complete\n", ConfigurationTold(text, digest(text))

    def commits(self) -> tuple[CommitLine, ...]:
        return (CommitLine(0, 2, 1700000000.0, "root", "cli", 0, "why"), CommitLine(1, 1, 0.0, "file", "cli", 0))

    def read(self, number: int) -> str:
        return self.texts[number]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def mode(desk: Desk) -> ConfigureMode:
    return ConfigureMode(desk, "root@gw")


def drive(mode: ConfigureMode, *lines: str) -> str:
    return "".join(mode.execute(line) for line in lines)


def test_prompt_context_and_banner(desk: Desk) -> None:
    mode = ConfigureMode(desk, "root@gw", exclusive=True)
    assert mode.banner == "warning: exclusive\nEntering configuration mode exclusive\n"
    assert (mode.prompt, mode.context) == ("root@gw# ", "[edit]")
    drive(mode, "edit chassis cluster redundancy-group 1")
    assert mode.context == "[edit chassis cluster redundancy-group 1]"
    drive(mode, "up")
    assert mode.context == "[edit chassis cluster]"
    drive(mode, "edit redundancy-group 1", "up 2", "exit")
    assert mode.context == "[edit]"


def test_edit_and_commit(mode: ConfigureMode, desk: Desk) -> None:
    drive(mode, "edit chassis cluster", "set heartbeat-interval 50", "top set chassis cluster heartbeat-threshold 4")
    assert mode.context == "[edit chassis cluster]"
    assert drive(mode, "show heartbeat-interval") == "heartbeat-interval 50;\n"
    assert drive(mode, "show | compare") == "[edit chassis cluster]\n+   heartbeat-interval 50;\n+   heartbeat-threshold 4;\n"
    assert "set chassis cluster heartbeat-interval 50\n" in drive(mode, "show | display set")
    assert drive(mode, "show | display set | count") == "Count: 9 lines\n"
    assert '"heartbeat-interval": 50' in drive(mode, "show | display json")
    assert drive(mode, 'commit comment "faster" and-quit') == "commit complete\nExiting configuration mode\n"
    assert desk.asked == [("faster", 0, False)]
    assert mode.finished
    assert desk.closed
    assert "heartbeat-interval 50;" in desk.texts[0]


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("commit check", ("", 0, True)),
        ("commit confirmed", ("", 10, False)),
        ("commit confirmed 3 comment x", ("x", 3, False)),
        ("comm conf 3", ("", 3, False)),
    ],
)
def test_kinds_of_commit(mode: ConfigureMode, desk: Desk, line: str, asked: tuple[str, int, bool]) -> None:
    drive(mode, line)
    assert desk.asked == [asked]


@pytest.mark.parametrize(
    "line",
    [
        "frobnicate",
        "s x",
        "commit confirmed 0",
        "commit soon",
        "rollback 50",
        "load merge",
        "set",
        "rename a b",
        "insert a b",
        "show | display q",
    ],
)
def test_lines_that_mean_nothing(mode: ConfigureMode, line: str) -> None:
    with pytest.raises((GrammarError, CommandFailed)):
        mode.execute(line)
    assert not mode.changed


def test_rollback_and_comparison_with_the_past(mode: ConfigureMode, desk: Desk) -> None:
    drive(mode, "set chassis cluster heartbeat-interval 50", "commit")
    assert drive(mode, "show | compare rollback 1") == "[edit chassis cluster]\n+   heartbeat-interval 50;\n"
    assert drive(mode, "rollback 1", "show | compare") == "load complete\n[edit chassis cluster]\n-   heartbeat-interval 50;\n"
    drive(mode, "rollback")
    assert not mode.changed
    drive(mode, "rollback 1", "commit")
    assert desk.texts[0] == BEGUN


def test_leaving_with_changes_asks(mode: ConfigureMode) -> None:
    drive(mode, "set chassis cluster heartbeat-interval 50")
    assert drive(mode, "exit") == "The configuration has been changed but not committed\n"
    assert mode.prompt == QUESTION
    assert drive(mode, "no") == ""
    assert not mode.finished
    drive(mode, "exit", "yes")
    assert mode.finished


def test_a_text_from_the_terminal(mode: ConfigureMode) -> None:
    assert "Type ^D" in drive(mode, "load merge terminal")
    assert mode.prompt == ""
    drive(mode, "chassis { cluster {", "  heartbeat-interval 70;", "} }")
    assert mode.end_of_input() == "load complete\n"
    assert mode.end_of_input() is None
    assert "heartbeat-interval 70;" in mode.candidate.text()
    drive(mode, "load set terminal", "set chassis cluster heartbeat-threshold 9", "delete chassis cluster reth-count", "\x04")
    assert "heartbeat-threshold 9;" in mode.candidate.text()
    assert "reth-count" not in mode.candidate.text()


def test_a_load_is_all_or_nothing(mode: ConfigureMode, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("set chassis cluster heartbeat-interval 50\nset chassis cluster bogus\n")
    with pytest.raises(CommandFailed, match=r"(?s)lines:2: .*unknown statement bogus.*as it was"):
        drive(mode, f"load set {path}")
    path.write_text("set chassis cluster heartbeat-interval 50\ncommit\n")
    with pytest.raises(CommandFailed, match="'commit' does not edit"):
        drive(mode, f"load set {path}")
    assert not mode.changed


@pytest.mark.parametrize("how", ["merge", "override", "replace", "update"])
def test_a_file(mode: ConfigureMode, tmp_path: Path, how: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("chassis: {cluster: {heartbeat-interval: 80}}\n")
    drive(mode, f"load {how} {path}")
    assert "heartbeat-interval 80;" in mode.candidate.text()
    assert ("interface-monitor" in mode.candidate.text()) == (how in ("merge", "replace"))
    drive(mode, f"save {tmp_path}/out.json", f"load override {tmp_path}/out.json")
    assert "heartbeat-interval 80;" in mode.candidate.text()


def test_what_others_committed_is_taken_up(mode: ConfigureMode, desk: Desk) -> None:
    drive(mode, "set chassis cluster heartbeat-interval 50")
    desk.texts.insert(0, text_of(read(SOUND + "set chassis cluster heartbeat-threshold 8\n")))
    assert drive(mode, "update") == ""
    assert drive(mode, "show | compare") == "[edit chassis cluster]\n+   heartbeat-interval 50;\n"
    desk.texts.insert(0, text_of(read(SOUND + "set chassis cluster heartbeat-interval 90\n")))
    assert "chassis cluster heartbeat-interval" in drive(mode, "update")


def test_status_lists_the_history(mode: ConfigureMode) -> None:
    first, comment, second = drive(mode, "status").splitlines()
    assert first.startswith("0   2023-11-1")
    assert first.endswith("by root via cli on node0")
    assert comment.strip() == "why"
    assert second.startswith("1   - by file")


def test_every_editing_verb(mode: ConfigureMode) -> None:
    drive(
        mode,
        "edit chassis cluster",
        "copy redundancy-group 1 to redundancy-group 2",
        "rename redundancy-group 2 to 3",
        "insert redundancy-group 3 before 0",
        "deactivate redundancy-group 3",
        'annotate redundancy-group 3 "for later"',
        "delete redundancy-group 1 interface-monitor",
    )
    shown = drive(mode, "top", "show chassis cluster")
    assert "/* for later */\ninactive: redundancy-group 3 {" in shown
    assert shown.index("redundancy-group 3") < shown.index("redundancy-group 0")
    drive(mode, "activate chassis cluster redundancy-group 3")
    assert "inactive:" not in drive(mode, "show")


def words_after(mode: ConfigureMode, *typed: str) -> set[str]:
    place = mode.grammar
    for word in typed:
        place = place.below[word]
    return set(place.below)


def test_completion_comes_from_the_schema_and_the_candidate(mode: ConfigureMode) -> None:
    assert {"system", "snmp", "chassis", "interfaces", "groups", "apply-groups"} == words_after(mode, "set")
    assert words_after(mode, "set", "chassis", "cluster", "virtual-mac") == {"local", "juniper", "child"}
    assert words_after(mode, "set", "chassis", "cluster", "redundancy-group") == {"0", "1", "NAME"}
    assert "heartbeat-interval" in words_after(mode, "set", "chassis", "cluster", "heartbeat-threshold", "VALUE")
    assert words_after(mode, "delete", "chassis", "cluster", "redundancy-group") == {"0", "1"}
    assert words_after(mode, "show", "interfaces") == {"fab0", "fab1", "lan", "reth0"}
    drive(mode, "edit chassis cluster redundancy-group 1")
    assert "preempt" in words_after(mode, "set")
    assert mode.grammar.below["set"].below["hold-down-interval"].help.endswith("(default 30 for group 0, else 1)")
    assert parse(mode.grammar, ["commit", "confirmed", "5", "comment", "x"])[0] == "commit"


def test_what_is_not_there_is_deleted_with_a_warning(mode: ConfigureMode) -> None:
    """Automation deletes first and sets then, whether or not there is something to delete."""
    warning = "warning: statement not found\n"
    assert drive(mode, "delete chassis cluster redundancy-group 5") == warning
    text = ["load set terminal", "delete chassis cluster redundancy-group 5", "set chassis cluster heartbeat-interval 50"]
    printed, failed = run_script(mode, [*text, "\x04", "show chassis cluster heartbeat-interval"])
    assert f"terminal:1: {warning}load complete\n" in printed
    assert "heartbeat-interval 50;" in printed
    assert failed == ""


def test_a_line_that_is_no_text_is_shown_as_far_as_it_is(mode: ConfigureMode) -> None:
    _printed, failed = run_script(mode, ["\x1b[2Jset \udcff" + "x" * 100])
    assert failed.splitlines()[-1] == f"line 1 of the input failed: ?[2Jset ?{'x' * 51}; nothing behind it was carried out"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (["chassis {\n", "cluster {"], "terminal:2:9: syntax error: { is not closed\nload failed; the candidate is as it was\n"),
        (["chassis { cluster { heartbeat-interval"], "terminal:1:21: syntax error: ; is missing at the end"),
        (['system { host-name "gw'], "terminal:1:20: syntax error: quoted text is not closed"),
    ],
)
def test_a_text_that_ends_in_its_middle_is_a_failure(mode: ConfigureMode, desk: Desk, text: list[str], said: str) -> None:
    """And not the silent end of a script that worked."""
    _printed, failed = run_script(mode, ["load merge terminal\n", *text])
    assert failed.startswith(said)
    assert failed.endswith("\nthe text at the end of the input was not taken")
    assert (desk.asked, desk.closed) == ([], True)


def test_a_text_without_end_is_refused(mode: ConfigureMode, desk: Desk) -> None:
    """Line by line, in a time that does not grow with what has come before."""
    endless = itertools.chain(["load merge terminal\n"], itertools.repeat("system { host-name gw; }\n"))
    _printed, failed = run_script(mode, endless)
    assert failed.startswith("error: more than a configuration may have (2 MB)\nline 83888 of the input failed")
    assert desk.closed


@pytest.mark.parametrize("line", ["show", "show preempt", "show | display set"])
def test_nothing_is_shown_of_what_is_not_there(mode: ConfigureMode, line: str) -> None:
    """Neither an error, nor everything else, at a level that was entered to make it."""
    drive(mode, "edit chassis cluster redundancy-group 9")
    assert drive(mode, line) == ""


def test_a_script_stops_at_the_first_error(mode: ConfigureMode, desk: Desk) -> None:
    printed, failed = run_script(mode, ["set chassis cluster heartbeat-interval 50\n", "set bogus\n", "commit\n"])
    assert printed == ""
    assert "unknown statement bogus" in failed
    assert failed.endswith("line 2 of the input failed: set bogus; nothing behind it was carried out")
    assert desk.asked == []
    assert desk.closed


def test_a_script_that_ends_without_commit_says_so(mode: ConfigureMode) -> None:
    printed, failed = run_script(mode, ["# a comment", "", "load merge terminal", "chassis { cluster { heartbeat-interval 50; } }"])
    assert failed == ""
    assert printed.endswith("load complete\nwarning: uncommitted changes are discarded\n")
