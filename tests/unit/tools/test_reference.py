"""The reference is what the schema says today."""

from tools.reference import PATH, page


def test_the_reference_is_up_to_date() -> None:
    """Make it anew with: python -m tools.reference."""
    assert PATH.read_text() == page()


def test_every_statement_with_a_range_or_default_is_in_it() -> None:
    text = page()
    assert "`chassis cluster heartbeat-interval VALUE` | Time between heartbeats. Value: 5..2000 ms. Default: 100. |" in text
    assert "## groups" in text
