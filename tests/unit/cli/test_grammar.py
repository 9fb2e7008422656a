"""Words: abbreviations, ranges, and the messages for what leads nowhere."""

from typing import Any

import pytest

from jsrpd.cli.grammar import Entry, GrammarError, Word, candidates, commands, completions, full, grow, parse, walk
from jsrpd.cli.tree import COMMANDS, ENTRIES, VALUES

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
        ("sh", "incomplete command: show\nPossible completions:\n  statistics           Counts\n  status               Status"),
        ("shaw", "syntax error at 'shaw' (did you mean show?)\nPossible completions:\n  move                 Move\n"),
        ("sh xyz", "syntax error at 'xyz' after show\nPossible completions:\n  statistics "),
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


def example(place: Word[Any], name: str) -> str:
    """A value that is allowed at a place."""
    return str(place.within[-1]) if place.within else next(iter(place.among)) if place.among else name.lower()


def ways(place: Word[Any], words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every complete command, with values."""
    found = [words] if place.command is not None else []
    for name, below in place.below.items():
        found += ways(below, (*words, example(below, name) if below.argument else name))
    return found


@pytest.mark.parametrize("words", ways(COMMANDS), ids=" ".join)
def test_every_command_of_jsrp_explains_itself(words: tuple[str, ...]) -> None:
    """Its words lead to it, and every place on the way has help."""
    command, _ = parse(COMMANDS, words)
    assert command.run.__doc__
    for length in range(1, len(words) + 1):
        assert walk(COMMANDS, words[:length])[0].help


def test_every_entry_is_in_the_tree() -> None:
    assert len({entry.form for entry in ENTRIES}) == len(ENTRIES)
    assert len(commands(COMMANDS)) >= len(ENTRIES)
    assert all(entry.help[:1].isupper() and not entry.help.endswith(".") for entry in ENTRIES)
    assert all(value.argument for value in VALUES.values())


NUMBER: Word[str] = Word("A number (0..9)", argument="number", within=range(10))
COLOUR: Word[str] = Word("A colour", argument="colour", among={"red": "Like blood", "green": "Like grass"})


def test_a_tree_grows_from_lines() -> None:
    """What is optional may stand or not, each alone."""
    tree = grow(
        [Entry("paint wall [colour COLOUR] [coats NUMBER]", "Paint it", "paint"), Entry("paint stop", "Leave it", "stop")],
        {"NUMBER": NUMBER, "COLOUR": COLOUR},
        {"paint": "Paint something", "colour": "In a colour", "coats": "How often"},
    )
    assert parse(tree, ["paint", "wall"]) == ("paint", {})
    assert parse(tree, ["p", "w", "col", "red"]) == ("paint", {"colour": "red"})
    assert parse(tree, ["p", "w", "coa", "2"]) == ("paint", {"number": "2"})
    assert parse(tree, ["p", "w", "col", "green", "coa", "2"]) == ("paint", {"colour": "green", "number": "2"})
    assert parse(tree, ["p", "s"]) == ("stop", {})
    assert [one.help for one in candidates(walk(tree, ["paint"])[0])] == ["Leave it", "Paint it"]
    with pytest.raises(GrammarError, match="colour blue is not one of: red, green"):
        parse(tree, ["paint", "wall", "colour", "blue"])


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([Entry("a", "A", 1), Entry("a", "B", 2)], "two commands are written a"),
        ([Entry("a b", "B", 1)], "no help for: a"),
    ],
)
def test_a_tree_that_says_nothing_or_two_things_is_refused(entries: list[Entry[int]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        grow(entries, {}, {})


def test_candidates_by_their_beginning_and_with_known_values() -> None:
    place = walk(TREE, ["move", "node"])[0]
    assert [(one.shown, one.word) for one in candidates(place)] == [("NODE", "")]
    known = {"node": [("0", "this one"), ("1", "the other")]}
    assert [(one.word, one.help) for one in candidates(place, "", known)] == [("0", "this one"), ("1", "the other")]
    assert [one.word for one in candidates(place, "1", known)] == ["1"]
    assert [one.shown for one in candidates(walk(TREE, ["stat"])[0])] == ["<[Enter]>", "deep"]
    assert [one.word for one in candidates(TREE, "st")] == ["stat", "state"]


def test_an_abbreviation_in_full() -> None:
    assert [full(TREE, word) for word in ("sh", "stat", "st", "x", "")] == ["show", "stat", "st", "x", ""]


def test_an_error_names_the_word() -> None:
    for typed, at in (("show nonsense", 1), ("s", 0), ("move node 7", 2), ("show", None)):
        with pytest.raises(GrammarError) as error:
            parse(TREE, typed.split())
        assert error.value.at == at
