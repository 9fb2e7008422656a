"""Fuzzing guided by coverage, with atheris: ``make fuzz SECONDS=N``, all targets in turn, or ``TARGET=NAME`` alone.

What is found is written to ``tests/fuzz/findings/TARGET``, where ``test_targets`` holds it from then on. The corpus that a search
has built up stays in ``build/fuzz``, and the next one goes on from there.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
CORPUS = HERE.parents[1] / "build/fuzz"
INPUT_TIMEOUT_S = 20
MEMORY_MB = 2048
WATCHED = ["jsrpd", "h11", "uvicorn.protocols.http"]

with atheris.instrument_imports(include=WATCHED):
    from tests.fuzz.targets import TARGETS


def escaped(word: bytes) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


def search(name: str, seconds: int) -> None:
    """Does not return: the process ends when the time is up, or with something found."""
    target = TARGETS[name]
    corpus, findings = CORPUS / name, HERE / "findings" / name
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-max_len={target.longest}", f"-timeout={INPUT_TIMEOUT_S}"]
    options += [f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={findings}/", "-print_final_stats=1", "-verbosity=1"]
    with tempfile.NamedTemporaryFile("w", suffix=".dict", delete=False) as words:
        words.writelines(f'"{escaped(word)}"\n' for word in target.words)
    if target.words:
        options.append(f"-dict={words.name}")
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


def main() -> None:
    """One target in this process, or each in one of its own for its share of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("--seconds", type=int, default=600, help="in all")
    parser.add_argument("--target", choices=TARGETS)
    chosen = parser.parse_args()
    if chosen.target:
        search(chosen.target, chosen.seconds)
    share = max(1, chosen.seconds // len(TARGETS))
    failed = []
    for name in TARGETS:
        print(f"{name}: {share} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz.guided", "--target", name, "--seconds", str(share)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"found something: {', '.join(failed)}; see tests/fuzz/findings")


if __name__ == "__main__":
    main()
