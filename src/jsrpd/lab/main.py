"""``jsrp lab``."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    print(f"unknown lab command: {' '.join(arguments)}")
    return 64
