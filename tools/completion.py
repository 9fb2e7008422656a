"""Completion of ``jsrp`` for bash, from the command's own grammar. ``python -m tools.completion`` prints it.

The grammar becomes two tables: what has been said so far, with ``*`` for a value, to the words and to the values that
may follow. The function walks them with what was typed, abbreviations included, as ``jsrp`` itself does.
"""

import sys
from typing import TypeVar

from jsrpd.cli.grammar import Word
from jsrpd.cli.pipes import PIPES
from jsrpd.cli.tree import COMMANDS
from jsrpd.messages.catalogue import CATALOGUE

T = TypeVar("T")
MOST_NUMBERS = 9
"""A longer range is not offered: nobody picks from a list of 256."""
UNKNOWN = "?"
"""A value is wanted and cannot be listed."""
FUNCTION = """\
_jsrp() {
    local place=jsrp typed name found
    local current=${COMP_WORDS[COMP_CWORD]}
    for typed in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $typed == [\\'\\"\\\\]\\|* ]]; then
            place='|'
            continue
        fi
        found=
        for name in ${_jsrp_words[$place]-}; do
            if [[ $name == "$typed" ]]; then
                found=$name
                break
            elif [[ $name == "$typed"* ]]; then
                [[ -z $found ]] || found=ambiguous
                [[ -n $found ]] || found=$name
            fi
        done
        if [[ -z $found && -n ${_jsrp_values[$place]-} ]]; then
            found='*'
        fi
        place="$place $found"
    done
    local values=${_jsrp_values[$place]-}
    COMPREPLY=($(compgen -W "${_jsrp_words[$place]-} ${values#[?]}" -- "$current"))
}
complete -F _jsrp jsrp
"""


def bash() -> str:
    """The script."""
    words: dict[str, str] = {}
    values: dict[str, str] = {}
    _tabulate(COMMANDS, "jsrp", words, values)
    _tabulate(PIPES, "|", words, values)
    return "\n".join(["# Completion of jsrp for bash.", *_table("words", words), *_table("values", values), FUNCTION])


def _tabulate(place: Word[T], said: str, words: dict[str, str], values: dict[str, str]) -> None:
    fixed = [name for name, below in place.below.items() if not below.argument]
    if fixed:
        words[said] = " ".join(fixed)
    for name, below in place.below.items():
        if below.argument:
            values[said] = _values(below)
        _tabulate(below, f"{said} {'*' if below.argument else name}", words, values)


def _values(place: Word[T]) -> str:
    if place.argument == "tag":
        return " ".join(CATALOGUE)
    if place.within is not None and len(place.within) <= MOST_NUMBERS:
        return " ".join(map(str, place.within))
    return UNKNOWN


def _table(name: str, entries: dict[str, str]) -> list[str]:
    rows = [f"    ['{said}']='{words}'" for said, words in entries.items()]
    return [f"declare -gA _jsrp_{name}=(", *rows, ")"]


if __name__ == "__main__":
    sys.stdout.write(bash())
