"""The candidate and what is shown of it: every operation against the schema, comments and inactive statements kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.configuration.candidate import MAX_TEXT_BYTES, Candidate, EditFailed, read
from jsrpd.configuration.junos import copy, parse, render_set
from jsrpd.configuration.merge import merged
from jsrpd.configuration.render import comparison, same, set_lines, text_of

TEXT = """/* the whole */
system {
    host-name a; # its name
}
chassis {
    cluster {
        reth-count 2;
        control-link 0 { interface ctl; }
        /* first
         * second */
        redundancy-group 1 {
            node 0 priority 200;
            node 1 { priority 100; }
            preempt { delay 60; }
            inactive: hold-down-interval 5;
            interface-monitor lan weight 255;
        }
        inactive: redundancy-group 2 { node 0 priority 1; }
    }
}
interfaces { reth0 { unit 0 { family inet { address [ 10.0.0.1/24 10.0.0.2/24 ]; } } } }
"""
CLUSTER = ["chassis", "cluster"]


@pytest.fixture
def candidate() -> Candidate:
    return Candidate(read(TEXT))


def test_comments_and_inactive_are_kept_over_write_and_read(candidate: Candidate) -> None:
    text = candidate.text()
    for kept in ("/* the whole */", "/* its name */", "/* first", " * second */", "inactive: hold-down-interval 5;"):
        assert kept in text
    assert Candidate(read(text)).text() == text
    assert same(read(text), candidate.tree)


def test_what_is_inactive_has_no_effect(candidate: Candidate) -> None:
    assert "hold-down-interval" not in render_set(parse(candidate.text()))
    assert "redundancy-group 2" not in render_set(parse(candidate.text()))


def test_set_form_says_what_is_inactive(candidate: Candidate) -> None:
    lines = list(set_lines(candidate.tree))
    assert "deactivate chassis cluster redundancy-group 2" in lines
    again = read("".join(f"{line}\n" for line in lines))
    assert render_set(parse(text_of(again))) == render_set(parse(candidate.text()))


def test_several_statements_of_one_line(candidate: Candidate) -> None:
    candidate.put(CLUSTER, ["redundancy-group", "3", "interface-monitor", "lan", "weight", "100"])
    candidate.put([], ["chassis", "cluster", "heartbeat-int", "50", "heartbeat-threshold", "4", "gate", "none"])
    assert "set chassis cluster heartbeat-threshold 4" in set_lines(candidate.tree)
    assert "set chassis cluster gate none" in set_lines(candidate.tree)


def test_a_single_value_is_replaced_and_several_are_added(candidate: Candidate) -> None:
    candidate.put(CLUSTER, ["reth-count", "3"])
    candidate.put(["interfaces", "reth0", "unit", "0", "family", "inet"], ["address", "[", "10.0.0.3/24", "10.0.0.4/24", "]"])
    lines = list(set_lines(candidate.tree))
    assert "set chassis cluster reth-count 3" in lines
    assert "set chassis cluster reth-count 2" not in lines
    assert sum("family inet address" in line for line in lines) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("chassis clusteer", "unknown statement clusteer (did you mean cluster?)"),
        ("chassis cluster heartbeat-interval 9999", "9999 is not within 5..2000 ms"),
        ("chassis cluster heartbeat-interval", "needs a value: 5..2000 ms"),
        ("chassis cluster redundancy-group", "needs 0..128"),
        ("chassis cluster redundancy-group 129", "129 is not within 0..128"),
        ("interfaces reth0 unit 0 vlan-id 5", "is not in this release"),
        ("chassis cluster reth-count [ 2 3 ]", "unknown statement 3"),
        ("interfaces a/b", "is not an interface name"),
    ],
)
def test_what_the_schema_has_not_is_refused_and_nothing_changes(candidate: Candidate, words: str, said: str) -> None:
    before = copy(candidate.tree)
    with pytest.raises(EditFailed) as refused:
        candidate.put([], words.split())
    assert said in str(refused.value)
    assert same(before, candidate.tree)


def test_a_word_that_stands_alone(candidate: Candidate) -> None:
    candidate.put(CLUSTER, ["control-link-recovery"])
    assert "set chassis cluster control-link-recovery" in list(set_lines(candidate.tree))


def test_the_mark_stands_under_the_wrong_word(candidate: Candidate) -> None:
    with pytest.raises(EditFailed) as refused:
        candidate.put([], ["chassis", "clusteer"])
    line, mark, _ = str(refused.value).splitlines()
    assert line[mark.index("^") :] == "clusteer"


def test_delete_takes_empty_containers_and_leaves_what_says_something(candidate: Candidate) -> None:
    candidate.delete([*CLUSTER, "redundancy-group", "1", "preempt", "delay"])
    assert "preempt;" in candidate.text()
    candidate.delete(["interfaces", "reth0", "unit", "0", "family", "inet", "address", "10.0.0.1/24"])
    assert "address 10.0.0.2/24;" in candidate.text()
    candidate.delete(["interfaces", "reth0", "unit", "0", "family", "inet", "address"])
    assert candidate.tree.find("interfaces", "reth0", "unit", "0") is not None
    assert candidate.tree.find("interfaces", "reth0", "unit", "0", "family") is None
    with pytest.raises(EditFailed, match="statement not found"):
        candidate.delete([*CLUSTER, "heartbeat-interval"])
    candidate.delete([])
    assert candidate.text() == ""


def test_activate_deactivate_annotate(candidate: Candidate) -> None:
    candidate.activate([*CLUSTER, "reth-count", "2"], False)
    candidate.activate([*CLUSTER, "redundancy-group", "2"], True)
    candidate.annotate([*CLUSTER, "reth-count"], "two are enough")
    assert "/* two are enough */\n        inactive: reth-count 2;" in candidate.text()
    assert "set chassis cluster redundancy-group 2 node 0 priority 1" in render_set(parse(candidate.text()))
    candidate.annotate([*CLUSTER, "reth-count"], "")
    assert "two are enough" not in candidate.text()


def test_rename_copy_insert(candidate: Candidate) -> None:
    candidate.copy([*CLUSTER, "redundancy-group", "1"], "7")
    candidate.insert([*CLUSTER, "redundancy-group", "7"], True, "1")
    candidate.rename([*CLUSTER, "redundancy-group", "2"], "3")
    groups = candidate.tree.find("chassis", "cluster", "redundancy-group")
    assert groups is not None
    assert list(groups.children) == ["7", "1", "3"]
    candidate.insert([*CLUSTER, "redundancy-group", "7"], False, "3")
    assert list(groups.children) == ["1", "3", "7"]
    for words, said in ((["redundancy-group", "1"], "3"), (["reth-count"], "x"), (["redundancy-group", "1"], "500")):
        with pytest.raises(EditFailed):
            candidate.rename([*CLUSTER, *words], said)


def test_merge_and_replace(candidate: Candidate) -> None:
    other = read("chassis { cluster { reth-count 9; replace: redundancy-group 1 { node 0 priority 5; } } }")
    merged_ = Candidate(copy(candidate.tree))
    merged_.merge(other)
    assert "priority 100;" in merged_.text()
    candidate.replace(other)
    group = candidate.tree.find("chassis", "cluster", "redundancy-group", "1")
    assert group is not None
    assert list(group.children) == ["node"]
    assert "reth-count 9;" in candidate.text()


COMPARISON = """[edit chassis cluster]
-   reth-count 2;
!   active: redundancy-group 2 { ... }
+   redundancy-group 3 {
+       preempt {
+           delay 5;
+       }
+   }
[edit chassis cluster redundancy-group 1 node 0]
-   priority 200;
+   priority 150;
[edit interfaces reth0 unit 0 family inet]
-   address 10.0.0.1/24;
+   address 10.0.0.3/24;
"""


def test_comparison(candidate: Candidate) -> None:
    old = copy(candidate.tree)
    assert comparison(old, candidate.tree) == ""
    candidate.delete([*CLUSTER, "reth-count"])
    candidate.activate([*CLUSTER, "redundancy-group", "2"], True)
    candidate.put(CLUSTER, ["redundancy-group", "3", "preempt", "delay", "5"])
    candidate.put(CLUSTER, ["redundancy-group", "1", "node", "0", "priority", "150"])
    candidate.delete(["interfaces", "reth0", "unit", "0", "family", "inet", "address", "10.0.0.1/24"])
    candidate.put([], ["interfaces", "reth0", "unit", "0", "family", "inet", "address", "10.0.0.3/24"])
    assert comparison(old, candidate.tree) == COMPARISON


def test_an_entry_that_moved_is_shown() -> None:
    one = Candidate(read("interfaces { a; b; reth0; }"))
    old = copy(one.tree)
    one.put([], ["chassis", "cluster", "redundancy-group", "1", "interface-monitor", "a"])
    one.put([], ["chassis", "cluster", "redundancy-group", "1", "interface-monitor", "b"])
    middle = copy(one.tree)
    one.insert(["chassis", "cluster", "redundancy-group", "1", "interface-monitor", "b"], True, "a")
    assert "!   interface-monitor b { ... }" in comparison(middle, one.tree)
    assert comparison(old, middle).startswith("+") or "[edit]" in comparison(old, middle)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * (MAX_TEXT_BYTES + 1), "more than a configuration may have"),
        ("\0", "is not text"),
        ("chassis {", "syntax error: { is not closed"),
        ("groups { a { apply-groups a; } } apply-groups a;", "groups a: unknown statement apply-groups"),
        ("nonsense { a; }", "unknown statement nonsense"),
        ("chassis { cluster { reth-count 999; bogus; } }", "bogus"),
    ],
)
def test_texts_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(EditFailed, match=said.replace("{", r"\{")):
        read(text)


def test_merge_of_two_operators() -> None:
    base = read(TEXT)
    mine, theirs = Candidate(copy(base)), Candidate(copy(base))
    mine.put(CLUSTER, ["heartbeat-interval", "50"])
    mine.delete([*CLUSTER, "redundancy-group", "2"])
    theirs.put(CLUSTER, ["heartbeat-threshold", "4"])
    theirs.annotate([*CLUSTER, "reth-count"], "why")
    tree, conflicts = merged(base, mine.tree, theirs.tree)
    assert conflicts == []
    text = text_of(tree)
    assert "heartbeat-interval 50;" in text
    assert "heartbeat-threshold 4;" in text
    assert "/* why */" in text
    assert "redundancy-group 2" not in text
    theirs.put(CLUSTER, ["heartbeat-interval", "60"])
    theirs.put(CLUSTER, ["redundancy-group", "2", "node", "0", "priority", "9"])
    _, conflicts = merged(base, mine.tree, theirs.tree)
    assert set(conflicts) == {
        ("chassis", "cluster", "heartbeat-interval"),
        ("chassis", "cluster", "redundancy-group", "2", "node", "0", "priority"),
    }


@given(st.text(alphabet='chassis cluster{};[]#/*"\n inactive:reth-count2', max_size=80))
def test_what_is_read_is_written_and_read_again(text: str) -> None:
    try:
        tree = read(text)
    except EditFailed:
        return
    assert same(read(text_of(tree)), tree)
