"""The command line of ``jsrpd``, exactly: ``[-C] [-N] [-X] [-d debug-level] [-l] [-v]`` (SPEC section 2)."""

import getopt
from collections.abc import Sequence
from dataclasses import dataclass

DEBUG_LEVELS = tuple("01234567")


class UsageError(Exception):
    """Anything the usage line does not allow."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator asked for."""

    check: bool = False
    """-C: check the configuration and exit."""
    foreground: bool = False
    """-N"""
    preflight: bool = False
    """-X: -C, and interfaces, kernel facilities, permissions, keys; touches nothing; exit."""
    debug_level: int = 0
    """-d: 0 to 7."""
    log_to_stderr: bool = False
    """-l"""
    version: bool = False
    """-v"""


def parse(arguments: Sequence[str]) -> Options:
    """Options from the words after the program's name; UsageError for anything else."""
    try:
        given, rest = getopt.getopt(list(arguments), "CNXd:lv")
    except getopt.GetoptError as error:
        raise UsageError(str(error)) from error
    if rest:
        raise UsageError(f"unexpected argument {rest[0]}")
    words = dict(given)
    level = words.get("-d", "0")
    if level not in DEBUG_LEVELS:
        raise UsageError(f"debug-level {level} is not within {DEBUG_LEVELS[0]}..{DEBUG_LEVELS[-1]}")
    return Options(
        check="-C" in words,
        foreground="-N" in words,
        preflight="-X" in words,
        debug_level=int(level),
        log_to_stderr="-l" in words,
        version="-v" in words,
    )
