"""The completion script in a real bash, against the grammar it was made from."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from jsrpd.cli.grammar import Word
from jsrpd.cli.pipes import PIPES
from jsrpd.cli.tree import COMMANDS
from tools.completion import MOST_NUMBERS, bash

BASH = "bash"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "jsrp"
    path.write_text(bash())
    return path


def complete(script: Path, lines: list[list[str]]) -> list[set[str]]:
    """What bash offers for the last word of each line."""
    asked = ['eval "$SCRIPT"']
    for words in lines:
        quoted = " ".join(f"$'{word}'" for word in ["jsrp", *words])
        asked.append(f'COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; COMPREPLY=(); _jsrp; echo "${{COMPREPLY[*]}}"')
    environment = {"SCRIPT": script.read_text(), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([BASH, "-uc", "\n".join(asked)], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [set(line.split()) for line in done.stdout.splitlines()]


def places(place: Word[Any], words: list[str]) -> list[tuple[list[str], Word[Any]]]:
    """Every place that something may follow, with a way to it."""
    found = [(words, place)] if place.below else []
    for name, below in place.below.items():
        example = str(below.within[0]) if below.within else "example"
        found += places(below, [*words, example if below.argument else name])
    return found


def offered(place: Word[Any]) -> set[str]:
    """What can be told about the next word."""
    fixed = {name for name, below in place.below.items() if not below.argument}
    ranges = [below.within for below in place.below.values() if below.within and len(below.within) <= MOST_NUMBERS]
    return fixed | {str(number) for within in ranges for number in within}


def test_every_place_of_the_grammar(script: Path) -> None:
    ways = places(COMMANDS, []) + places(PIPES, ["show", "\\'|\\'"])
    assert len(ways) > 10
    answers = complete(script, [[*words, ""] for words, _ in ways])
    for (words, place), answer in zip(ways, answers, strict=True):
        if words != ["help", "syslog"]:
            assert answer == offered(place), words


def test_abbreviations_and_beginnings(script: Path) -> None:
    answers = complete(
        script,
        [
            ["sh", "chas", "cl", "statu"],
            ["help", "syslog", "JSRPD_RG_"],
            ["re"],
            ["re", ""],
            ["nonsense", ""],
            ["request", "chassis", "cluster", "failover", "redundancy-group", "1", "node", ""],
        ],
    )
    assert answers == [
        {"status"},
        {"JSRPD_RG_STATE_CHANGE"},
        {name for name in COMMANDS.below if name.startswith("re")},
        set(),
        set(),
        {"0", "1"},
    ]
