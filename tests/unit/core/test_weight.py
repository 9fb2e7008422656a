"""Weight and effective priority: recomputed from what is failed now, never adjusted (SPEC 6.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.core.weight import effective_priority, failure_bits, weight_of
from jsrpd.model.roles import FailureCode, codes_of, render_codes

FAILURES = st.dictionaries(st.tuples(st.sampled_from(FailureCode), st.sampled_from(["ge-0/0/1", "ge-0/0/2"])), st.integers(0, 255))


def test_nothing_failed() -> None:
    assert weight_of({}) == 255
    assert failure_bits({}) == 0


def test_may_be_negative() -> None:
    """Two failures of full weight: one recovery alone does not make the node fit."""
    assert weight_of({(FailureCode.IF, "ge-0/0/1"): 255, (FailureCode.IF, "ge-0/0/2"): 255}) == -255


@given(FAILURES)
def test_the_sum_and_the_codes(failures: dict[tuple[FailureCode, str], int]) -> None:
    assert weight_of(failures) == 255 - sum(failures.values())
    assert set(codes_of(failure_bits(failures))) == {code for code, _ in failures}


def test_codes_as_operators_read_them() -> None:
    assert render_codes(failure_bits([(FailureCode.IP, ""), (FailureCode.CS, ""), (FailureCode.IF, "a")])) == "CS IF IP"


@pytest.mark.parametrize(
    ("weight", "eligible", "manual", "expected"),
    [
        (255, True, False, 100),
        (1, True, False, 100),
        (0, True, False, 0),
        (-10, True, False, 0),
        (255, False, False, 0),
        (255, True, True, 255),
        (0, True, True, 0),
        (255, False, True, 0),
    ],
)
def test_effective_priority(weight: int, eligible: bool, manual: bool, expected: int) -> None:
    """Unfit or not eligible counts before the operator's 255."""
    assert effective_priority(100, weight, eligible=eligible, manual_here=manual) == expected
