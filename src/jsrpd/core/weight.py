"""Weight and effective priority, recomputed from the set of present failures, never adjusted (SPEC 6.1)."""

from collections.abc import Iterable, Mapping

from jsrpd.model.roles import FULL_WEIGHT, MANUAL_PRIORITY, FailureCode

Failures = Mapping[tuple[FailureCode, str], int]
"""What has failed now: (code, object name) -> weight."""


def weight_of(failures: Failures) -> int:
    """255 less the weights of everything that has failed; may be negative, never clamped (reference 2.4)."""
    return FULL_WEIGHT - sum(failures.values())


def failure_bits(failures: Iterable[tuple[FailureCode, str]]) -> int:
    """The 24-bit failure field of the heartbeat."""
    bits = 0
    for code, _name in failures:
        bits |= 1 << code
    return bits


def effective_priority(configured: int, weight: int, *, eligible: bool, manual_here: bool) -> int:
    """0 when unfit or not eligible, 255 when the operator put the group here, else as configured (SPEC 6.1)."""
    if weight <= 0 or not eligible:
        return 0
    return MANUAL_PRIORITY if manual_here else configured
