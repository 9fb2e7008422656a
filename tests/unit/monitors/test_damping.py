"""Rise and fall."""

import pytest

from jsrpd.monitors.damping import Damper


@pytest.mark.parametrize(
    ("findings", "verdicts"),
    [
        ("+++", "..."),
        ("--+--", "....."),
        ("---", "..F"),
        ("---+-+", "..F..."),
        ("---++", "..F.R"),
        ("---++--", "..F.R.."),
    ],
)
def test_a_verdict_needs_a_row_of_contradictions(findings: str, verdicts: str) -> None:
    """Fall 3, rise 2; F and R where the verdict changes."""
    damper = Damper(rise=2, fall=3)
    said = ""
    for finding in findings:
        changed = damper.find(finding == "+")
        said += ("F" if damper.failed else "R") if changed else "."
    assert said == verdicts
