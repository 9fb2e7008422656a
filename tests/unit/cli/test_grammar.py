"""Words: abbreviations, ranges, and the messages for what leads nowhere."""

import pytest

from jsrpd.cli.grammar import GrammarError, Word, commands, completions, parse
from jsrpd.cli.tree import COMMANDS

TREE: Word[str] = Word(
    "",
    {
        "show": Word("Show", {"status": Word("Status", command="status"), "statistics": Word("Counts", command="statistics")}),
        "move": Word("Move", {"node": Word("Node", {"NODE": Word("0..1", {}, "move", "node", range(2))})}),
        "stat": Word("Short", {"deep": Word("Deeper", command="deep")}, "short"),
        "state": Word("Long", command="long"),
    },
)


@pytest.mark.parametrize(
    ("typed", "command", "values"),
    [
        ("show status", "status", {}),
        ("sh statu", "status", {}),
        ("m n 1", "move", {"node": "1"}),
        ("stat", "short", {}),  # A whole word is never ambiguous.
        ("stat d", "deep", {}),
    ],
)
def test_words_and_their_abbreviations(typed: str, command: str, values: dict[str, str]) -> None:
    assert parse(TREE, typed.split()) == (command, values)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("s", "'s' is ambiguous: show, stat, state"),
        ("show stat", "'stat' is ambiguous after show: status, statistics"),
        ("sh", "incomplete command: show\nPossible completions:\n  status               Status\n  statistics           Counts"),
        ("shaw", "syntax error at 'shaw' (did you mean show?)\nPossible completions:\n  show                 Show\n"),
        ("sh xyz", "syntax error at 'xyz' after show\nPossible completions:\n  status "),
        ("state more", "syntax error at 'more' after state\nPossible completions:\n  <[Enter]>            Execute this command"),
        ("m n 2", "error: node 2 is not within range 0..1"),
        ("m n -1", "error: node -1 is not within range 0..1"),
        ("m n ²", "error: node ² is not within range 0..1"),
        ("m n one", "error: node one is not within range 0..1"),
    ],
)
def test_what_leads_nowhere_says_what_is_possible(typed: str, message: str) -> None:
    with pytest.raises(GrammarError) as error:
        parse(TREE, typed.split())
    assert str(error.value).startswith(message)


def test_an_empty_word_abbreviates_nothing() -> None:
    with pytest.raises(GrammarError, match="syntax error at '' after move"):
        parse(TREE, ["move", ""])


def test_completions_after_words() -> None:
    assert completions(TREE, ["stat"]).splitlines()[1:] == [
        "  <[Enter]>            Execute this command",
        "  deep                 Deeper",
    ]


@pytest.mark.parametrize(("said", "help_"), commands(COMMANDS))
def test_every_command_of_jsrp_explains_itself(said: str, help_: str) -> None:
    """Its words lead to it, and its help is not empty."""
    typed = said.replace("GROUP", "1").replace("NODE", "1").replace("ID", "1").replace("COUNT", "1")
    command, _ = parse(COMMANDS, typed.split())
    assert command.run.__doc__
    assert help_
