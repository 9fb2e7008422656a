"""Pipes: where a command line is cut, what each pipe does, and that a wrong one is refused with the nearest word."""

import pytest

from jsrpd.cli import pipes
from jsrpd.cli.grammar import GrammarError

TEXT = "node0 primary\nnode1 secondary\n\nlast a|b"


@pytest.mark.parametrize(
    ("words", "command", "piped"),
    [
        (["show", "x"], ["show", "x"], []),
        (["show", "x", "|", "count"], ["show", "x"], [["count"]]),
        (["show x | count"], ["show", "x"], [["count"]]),
        (["show", "x|count"], ["show", "x"], [["count"]]),
        (["show", "x", "| match", "a b"], ["show", "x"], [["match", "a b"]]),
        (["show", "x", "|", "match", "a|b"], ["show", "x"], [["match", "a|b"]]),
        (["show", "x", "|", "ex", "a|b", "|", "count"], ["show", "x"], [["ex", "a|b"], ["count"]]),
        (['show x | match "a|b c" | count'], ["show", "x"], [["match", "a|b c"], ["count"]]),
        (["show x | match 'a\"|b'|count"], ["show", "x"], [["match", 'a"|b'], ["count"]]),
        ([r"show x | match a\.b"], ["show", "x"], [["match", r"a\.b"]]),
        (["show", "x", "|", "match", "it's"], ["show", "x"], [["match", "it's"]]),
        (["show", "x", "|", "match", ""], ["show", "x"], [["match", ""]]),
        (["show x | match a|b"], ["show", "x"], [["match", "a"], ["b"]]),
        (["show", "match", "a|b"], ["show", "match", "a"], [["b"]]),
        (["show", "x", "|"], ["show", "x"], [[]]),
        ([], [], []),
    ],
)
def test_where_a_line_is_cut(words: list[str], command: list[str], piped: list[list[str]]) -> None:
    assert pipes.split(words) == (command, piped)


def test_an_open_quote_is_refused() -> None:
    with pytest.raises(GrammarError, match=r'the quote is not closed: "a\|b'):
        pipes.split(['show x | match "a|b'])


@pytest.mark.parametrize(
    ("piped", "result"),
    [
        ("match NODE", "node0 primary\nnode1 secondary\n"),
        ("match ^node0|last", "node0 primary\nlast a|b"),
        ("except node", "\nlast a|b"),
        ("match a\\|b", "last a|b"),
        ("match nothing", ""),
        ("count", "Count: 4 lines\n"),
        ("no-more", TEXT),
        ("n", TEXT),
        ("display json", TEXT),
    ],
)
def test_what_a_pipe_does(piped: str, result: str) -> None:
    assert pipes.pipeline([piped.split()], ["json"]).apply(TEXT) == result


def test_pipes_apply_from_left_to_right() -> None:
    assert pipes.pipeline([["match", "node"], ["except", "primary"], ["count"]], []).apply(TEXT) == "Count: 1 lines\n"


@pytest.mark.parametrize(("piped", "display"), [([], ""), ([["match", "x"]], ""), ([["d", "j"], ["count"]], "json")])
def test_the_display_asked_for(piped: list[list[str]], display: str) -> None:
    assert pipes.pipeline(piped, ["json"]).display == display


@pytest.mark.parametrize(
    ("piped", "message"),
    [
        ("mtach x", "syntax error at 'mtach' after | (did you mean match?)\nPossible completions:\n  count "),
        ("xyz", "syntax error at 'xyz' after |\nPossible completions:"),
        ("", "incomplete command: |\nPossible completions:\n  count "),
        ("match", "incomplete command: | match\nPossible completions:\n  EXPRESSION "),
        ("match a b", "syntax error at 'b' after | match a\n"),
        ("match (", "error: '(' is not a regular expression: "),
        ("count x", "syntax error at 'x' after | count\n"),
        ("display", "incomplete command: | display\nPossible completions:\n  json "),
        ("display jsno", "syntax error at 'jsno' after | display (did you mean json?)"),
        ("display set", "error: this command has no display set; it has json"),
    ],
)
def test_a_wrong_pipe_says_what_is_meant(piped: str, message: str) -> None:
    with pytest.raises(GrammarError) as error:
        pipes.pipeline([piped.split()], ["json"])
    assert str(error.value).startswith(message)


def test_one_display_at_a_time() -> None:
    with pytest.raises(GrammarError, match="only one display"):
        pipes.pipeline([["display", "json"]] * 2, ["json"])


def test_a_command_without_displays_says_so() -> None:
    with pytest.raises(GrammarError, match="no display json; it has only text"):
        pipes.pipeline([["display", "json"]], [])


LONG = "".join(f"line {number}\n" for number in range(1, 21))


@pytest.mark.parametrize(
    ("piped", "first", "lines"),
    [("find 7", "line 7", 14), ("find nowhere", "Pattern not found", 1), ("last", "line 11", 10), ("last 3", "line 18", 3)],
)
def test_the_end_of_a_text(piped: str, first: str, lines: int) -> None:
    kept = pipes.pipeline([piped.split()], []).apply(LONG).splitlines()
    assert (kept[0], len(kept)) == (first, lines)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("show x | no-more", True),
        ("show x | match y | no", True),
        ("show x", False),
        ("show 'no-more", False),
        ("show no-more", False),
    ],
)
def test_an_answer_in_one_piece(line: str, wanted: bool) -> None:
    assert pipes.whole(line) == wanted
