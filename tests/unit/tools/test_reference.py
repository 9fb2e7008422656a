"""The reference is what schema, grammar, catalogue and checks say today."""

import pytest

from jsrpd.cli.tree import ENTRIES
from jsrpd.doctor.checks import NODE_CHECKS, PAIR_CHECKS
from jsrpd.messages.catalogue import CATALOGUE
from tools.reference import DIRECTORY, PAGES, checks, commands, configuration, messages


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_up_to_date(name: str) -> None:
    """Make it anew with: python -m tools.reference."""
    assert (DIRECTORY / name).read_text() == PAGES[name]()


def test_every_statement_with_a_range_or_default_is_in_it() -> None:
    text = configuration()
    assert "`chassis cluster heartbeat-interval VALUE` | Time between heartbeats. Value: 5..2000 ms. Default: 100. |" in text
    assert "## groups" in text


def test_every_command_message_and_check_is_in_it() -> None:
    text = commands()
    assert all(f"`{entry.form}`" in text for entry in ENTRIES)
    assert "| `show chassis cluster status [redundancy-group GROUP]` | Redundancy groups on both nodes | xml json |" in text
    assert all(f"## {tag}\n" in messages() for tag in CATALOGUE)
    assert all(f"| {name} |" in checks() for name, *_ in (*NODE_CHECKS, *PAIR_CHECKS))
