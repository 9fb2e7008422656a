"""Every scenario text still happens as it stands there; a difference is shown as a difference of the text."""

import pytest

from tests.scenario.runner import Run, Scenario, scenarios


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario) -> None:
    """The transcript is the expected one, line for line."""
    assert Run(scenario).transcript().splitlines() == scenario.expected.splitlines()


def test_every_verb_is_known() -> None:
    """A misspelt line is refused instead of passed over."""
    with pytest.raises(ValueError, match="no such word"):
        Run(Scenario("misspelt", "at 0s start\nat 1s node0 no such word\nuntil 2s\n", ""))
