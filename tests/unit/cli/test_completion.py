"""Tab, blank and ``?`` in the grammar of ``jsrp``."""

import pytest

from jsrpd.cli.completion import caret, complete, root_of
from jsrpd.cli.grammar import GrammarError, parse
from jsrpd.cli.tree import COMMANDS


def values(argument: str) -> list[tuple[str, str]]:
    """Two groups."""
    return [("0", "Primary on node0"), ("1", "Primary on node1")] if argument == "group" else []


def asked(before: str, key: str) -> tuple[str, str]:
    found = complete(root_of(COMMANDS, before), before, key, values)
    return found.more, found.text


@pytest.mark.parametrize(
    ("before", "key", "more"),
    [
        ("sh", " ", "ow "),
        ("sh", "\t", "ow "),
        ("show", " ", " "),
        ("show", "\t", " "),
        ("show chassis cluster i", "\t", ""),
        ("show chassis cluster int", "\t", "erfaces "),
        ("show chassis cluster ip", " ", "-monitoring "),
        ("show chassis cluster status", " ", " "),
        ("show chassis cluster status |", " ", " "),
        ("show chassis cluster status | m", " ", "atch "),
        ("show chassis cluster status | match x", " ", " "),
        ("nonsense", " ", " "),
        ("nonsense x", "\t", ""),
        ("show chassis cluster status redundancy-group 1", " ", " "),
        ("request chassis cluster what-if 'node 0", "\t", ""),
    ],
)
def test_what_is_added(before: str, key: str, more: str) -> None:
    assert asked(before, key)[0] == more


def test_what_is_ambiguous_is_shown_and_the_line_left_alone() -> None:
    more, text = asked("show chassis cluster i", " ")
    assert more == ""
    assert text.splitlines()[0] == "'i' is ambiguous."
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["information", "interfaces", "ip-monitoring"]


def test_help() -> None:
    more, text = asked("show chassis cluster status ", "?")
    assert more == ""
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["<[Enter]>", "redundancy-group", "|"]
    assert "1                    Primary on node1" in asked("show chassis cluster status redundancy-group ", "?")[1]
    assert "NODE" in asked("request chassis cluster failover redundancy-group 1 node ", "?")[1]
    assert asked("show x", "?")[1] == "No completion begins with 'x'"
    assert "|" not in [line.split()[0] for line in asked("version | count ", "?")[1].splitlines()]
    assert "syntax error at 'nonsense'" in asked("nonsense ", "?")[1]


def test_a_mark_under_the_wrong_word() -> None:
    line = "show chassis klister status"
    with pytest.raises(GrammarError) as error:
        parse(COMMANDS, line.split())
    assert caret(line, error.value, 3) == " " * (3 + line.index("klister")) + "^\n"
    assert caret(line, GrammarError("x")) == ""
    assert caret("", GrammarError("x", 4)) == ""
