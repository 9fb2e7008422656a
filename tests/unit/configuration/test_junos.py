"""Junos syntax: braces and ``set`` lines are two ways to write one tree, which remembers where each word stood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.configuration.junos import (
    INACTIVE,
    MAX_DEPTH,
    SET_FORM,
    Node,
    SyntaxProblem,
    Word,
    parse,
    quoted,
    render_braces,
    render_set,
    root,
    without,
)

BRACES = """/* A comment
   of two lines. */
system {
    host-name "fw a"; # to the end of the line
}
apply-groups "${node}";
interfaces {
    reth0 {
        unit 0 family inet {
            address [ 192.0.2.1/24 192.0.2.2/24 ];
        }
        inactive: description off;
    }
    inactive: reth1 {
        unit 0;
    }
}
"""
SET = """# the same
set system host-name "fw a"
set apply-groups ${node}
set interfaces reth0 unit 0 family inet address [ 192.0.2.1/24 192.0.2.2/24 ]
set interfaces reth0 description off
set interfaces reth1 unit 0
deactivate interfaces reth0 description
deactivate interfaces reth1
"""
PATHS = {
    ("system", "host-name", "fw a"),
    ("apply-groups", "${node}"),
    ("interfaces", "reth0", "unit", "0", "family", "inet", "address", "192.0.2.1/24"),
    ("interfaces", "reth0", "unit", "0", "family", "inet", "address", "192.0.2.2/24"),
}


def paths(tree: Node) -> set[tuple[str, ...]]:
    return {tuple(word.text for word in path) for path in tree.statements()}


@pytest.mark.parametrize("text", [BRACES, SET], ids=["braces", "set"])
def test_both_forms_say_the_same(text: str) -> None:
    """Comments, quotes, lists, and what is inactive."""
    assert paths(parse(text)) == PATHS


def test_words_know_where_they_stood() -> None:
    """Lines and columns from 1, behind comments and quotes too."""
    tree = parse(BRACES)
    address = tree.find("interfaces", "reth0", "unit", "0", "family", "inet", "address", "192.0.2.2/24")
    assert address is not None
    assert (address.word.line, address.word.column) == (10, 36)
    assert tree.children["system"].word == Word("system", 3, 1)
    behind = parse("/* a\nb */ system;").children["system"].word
    assert (behind.line, behind.column) == (2, 6)


def test_set_lines_later_lines_win() -> None:
    """Delete takes what is below, and containers that are empty then."""
    tree = parse("set a b c\nset a b d\nset e f\ndelete a b c\ndelete e f\n")
    assert paths(tree) == {("a", "b", "d")}
    assert paths(parse("set a b\ndelete a\n")) == set()


WRONG = {
    "brace not closed": ("a {\n  b;\n", "{ is not closed", 1, 3),
    "brace too many": ("a {\n}\n}\n", "unexpected }", 3, 1),
    "semicolon missing": ("a {\n  b\n}\n", "; is missing before }", 3, 1),
    "semicolon missing at the end": ("a b", "; is missing at the end", 1, 1),
    "nothing before the semicolon": ("a;\n ;\n", "statement is missing before ;", 2, 2),
    "nothing before the brace": ("{ a; }", "statement is missing before {", 1, 1),
    "list without a statement": ("[ a ];", "statement is missing before [", 1, 1),
    "inactive nothing": ("inactive: ;", "statement is missing before ;", 1, 11),
    "list not closed": ("a [ b", "[ is not closed", 1, 3),
    "list in a list": ("a [ b [ c ] ];", "unexpected [", 1, 7),
    "list closed twice": ("a [ b ] ];", "; is missing before ]", 1, 9),
    "quote not closed": ('a "b;\n', "quoted text is not closed", 1, 3),
    "comment not closed": ("a; /* b\n", "comment is not closed", 1, 4),
    "set: unknown verb": ("set a b\nput a b\n", "expected: set | delete | deactivate STATEMENT", 2, 1),
    "set: nothing to set": ("set a\nset\n", "expected: set | delete | deactivate STATEMENT", 2, 1),
    "set: semicolon": ("set a b;\n", "unexpected ;", 1, 8),
    "set: list first": ("set [ a ]\n", "unexpected [", 1, 5),
    "set: list not closed": ("set a [ b\nset c\n", "[ is not closed", 1, 7),
    "set: nothing to delete": ("set a b\ndelete a c\n", "nothing above has set a c", 2, 8),
    "set: nothing to deactivate": ("set a b\n\ndeactivate c d\n", "nothing above has set c d", 3, 12),
    "too deep": ("a " * (MAX_DEPTH + 1) + ";", f"more than {MAX_DEPTH} levels deep", 1, 2 * MAX_DEPTH + 1),
}


@pytest.mark.parametrize(("text", "message", "line", "column"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read(text: str, message: str, line: int, column: int) -> None:
    """The place and what was expected there."""
    with pytest.raises(SyntaxProblem) as caught:
        parse(text)
    assert (caught.value.message, caught.value.line, caught.value.column) == (message, line, column)


def test_a_quoted_word_is_never_syntax() -> None:
    """Nor a verb, nor a mark, nor the start of a comment."""
    tree = parse('"set" "a{b}" "inactive:" "/* c" "#d" "q\\"\\\\";')
    assert paths(tree) == {("set", "a{b}", "inactive:", "/* c", "#d", 'q"\\')}


def test_without_leaves_the_original_alone() -> None:
    tree = parse("a {\n  b c;\n  d;\n}\n")
    assert paths(without(tree, {(2, 3)})) == {("a", "d")}
    assert paths(tree) == {("a", "b", "c"), ("a", "d")}


WORDS = st.one_of(
    st.sampled_from([*SET_FORM, INACTIVE, "${node}", "$x", "/*", "#", "[", "]", "{", "}", ";", '"', "\\", "a b", "", "ge-0/0/1"]),
    st.text(st.characters(exclude_characters="\n"), max_size=6),
)


@st.composite
def trees(draw: st.DrawFn) -> Node:
    """Any tree a text can hold."""
    tree = root()
    for path in draw(st.lists(st.lists(WORDS, min_size=1, max_size=5), max_size=6)):
        node = tree
        for text in path:
            node = node.child(Word(text, 1, 1))
    return tree


@given(trees())
def test_set_lines_and_braces_survive_the_round_trip(tree: Node) -> None:
    """Whatever the words are: written in either form and read again it is the same tree, in the same order."""
    written = render_set(tree)
    assert render_set(parse(written)) == written
    assert render_set(parse(render_braces(tree))) == written


@given(WORDS)
def test_a_word_is_written_as_one_word(text: str) -> None:
    assert paths(parse(f"{quoted(text)};")) == {(text,)}


@given(st.text(alphabet='abc {};[]"#/*\\\n$\t', max_size=40) | st.text(max_size=40))
def test_any_text_is_a_tree_or_a_problem(text: str) -> None:
    """Never another exception, and the place is inside the text."""
    try:
        tree = parse(text)
    except SyntaxProblem as problem:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.column >= 1
    else:
        assert render_set(parse(render_set(tree))) == render_set(tree)
