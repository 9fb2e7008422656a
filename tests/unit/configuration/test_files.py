"""YAML and JSON: the same tree in other clothes, with lines of its own in every problem."""

from pathlib import Path

import pytest

from jsrpd.configuration.candidate import EditFailed, read
from jsrpd.configuration.files import as_json, as_yaml, in_use, parsed, read_tree, written
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.junos import SyntaxProblem, parse, render_set
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.configuration.render import text_of
from tests.unit.configuration.test_candidate import TEXT
from tests.unit.configuration.texts import SOUND


@pytest.mark.parametrize("name", ["x.yaml", "x.json", "x.conf"])
@pytest.mark.parametrize("text", [TEXT, SOUND], ids=["with comments", "sound"])
def test_every_form_says_the_same(name: str, text: str) -> None:
    native = text_of(read(text))
    other = written(native, name)
    assert text_of(read_tree(other, name)) == native
    assert render_set(parsed(other, name)) == render_set(parse(native))


def test_a_yaml_file_is_loaded() -> None:
    tree = read(SOUND)
    for text, name in ((as_yaml(tree), "jsrpd.yaml"), (as_json(tree), "jsrpd.json")):
        made = load(text, Identity(7, 0), name)
        assert made.groups == load(SOUND, Identity(7, 0)).groups
        assert made.reths == load(SOUND, Identity(7, 0)).reths


def test_words_that_yaml_takes_for_others_stay_words() -> None:
    text = "chassis: {cluster: {in-band-heartbeat: off, redundancy-group: {1: {preempt: true, gratuitous-arp-count: 4}}}}"
    assert render_set(parsed(text, "a.yaml")).splitlines() == [
        "set chassis cluster in-band-heartbeat off",
        "set chassis cluster redundancy-group 1 preempt",
        "set chassis cluster redundancy-group 1 gratuitous-arp-count 4",
    ]


def test_a_value_of_several_can_be_inactive() -> None:
    native = text_of(
        read("interfaces { reth0 { unit 0 { family inet { address 10.0.0.1/24; inactive: address 10.0.0.2/24; } } } }")
    )
    for name in ("a.yaml", "a.json"):
        assert text_of(read_tree(written(native, name), name)) == native
        assert "10.0.0.2" not in render_set(parsed(written(native, name), name))


def test_problems_have_the_lines_of_the_file() -> None:
    with pytest.raises(EditFailed, match="reth-cuont"):
        read_tree("chassis:\n  cluster:\n    reth-cuont: 2\n", "a.yaml")
    with pytest.raises(ConfigurationError, match=r"jsrpd.yaml:\d+:\d+.*reth-cuont"):
        load("chassis:\n  cluster:\n    reth-cuont: 2\n", Identity(7, 0), "jsrpd.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x\n  b: *x\n", "an alias that leads to itself"),
        ("a: [1\n", "expected"),
        ("a: 1\na: 2\n", "a is given twice"),
        ("? [a, b]\n: c\n", "a statement is one word"),
        ("a: [[b]]\n", "a sequence holds values only"),
        ('"@nowhere": {inactive: true}\n', "belongs to no statement"),
        ('a: {"@": {colour: red}}\n', "neither inactive nor comment"),
        ("{" * 3000, "not readable|expected|levels"),
        ("\x01", "not readable"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(SyntaxProblem, match=said):
        parsed(text, "a.yaml", keep=True)


def test_an_alias_bomb_stays_small() -> None:
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40)]
    with pytest.raises(SyntaxProblem, match="more than"):
        parsed("\n".join(lines), "a.yaml", keep=True)


def test_which_file_is_in_use(tmp_path: Path) -> None:
    assert in_use(tmp_path).name == "jsrpd.conf"
    (tmp_path / "jsrpd.json").touch()
    assert in_use(tmp_path).name == "jsrpd.json"
    (tmp_path / "jsrpd.yaml").touch()
    assert in_use(tmp_path).name == "jsrpd.yaml"
    (tmp_path / "jsrpd.conf").touch()
    assert in_use(tmp_path).name == "jsrpd.conf"
