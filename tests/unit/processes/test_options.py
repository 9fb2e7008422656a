"""The command line to the letter: every option of SPEC section 2, alone and together, and nothing else."""

import pytest

from jsrpd.processes.options import Options, UsageError, parse


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", Options()),
        ("-C", Options(check=True)),
        ("-N", Options(foreground=True)),
        ("-X", Options(preflight=True)),
        ("-l", Options(log_to_stderr=True)),
        ("-v", Options(version=True)),
        ("-NN", Options(foreground=True)),
        ("-CNXlv -d 7", Options(True, True, True, 7, True, True)),
        ("-l -N --", Options(foreground=True, log_to_stderr=True)),
        *((f"-d{level}", Options(debug_level=level)) for level in range(8)),
        *((f"-d {level}", Options(debug_level=level)) for level in range(8)),
    ],
)
def test_accepted(words: str, options: Options) -> None:
    assert parse(words.split()) == options


@pytest.mark.parametrize(
    "words",
    [
        *([f"-{letter}"] for letter in "abcefghijkmnopqrstuwxyzABDEFGHIJKLMOPQRSTUVWYZ0123456789?"),
        ["-Nz"],
        ["--help"],
        ["--version"],
        ["-"],
        ["start"],
        ["-N", "start"],
        ["--", "-N"],
        ["-d"],
        *(["-d", level] for level in ("", "8", "-1", "+1", " 1", "1.0", "x", "07", "10", "²", "٣", "0" * 5000)),
    ],
    ids=lambda words: " ".join(words)[:12],
)
def test_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words)
