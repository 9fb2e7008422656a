"""``jsrp``: with a command, one answer; without one, an interactive session (``jsrpd.cli.shell``)."""

import os
import sys
from collections.abc import Sequence

from jsrpd.cli import pipes
from jsrpd.cli.commands import Call, CommandFailed
from jsrpd.cli.grammar import HELP, GrammarError, completions, parse, readable
from jsrpd.cli.modes import Enter, Leave
from jsrpd.cli.tree import COMMANDS, ENTRIES

EX_USAGE = 64
EX_INTERRUPTED = 130
OVERVIEW: tuple[list[str], ...] = ([HELP], ["help"], ["--help"], ["-h"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0; 1 or what the command says when it failed; 64 when it is none, and nothing was done."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["lab"]:
        from jsrpd.lab.main import main as lab

        return lab(words[1:])
    if not words:
        from jsrpd.cli.shell import run

        return run()
    if words[0] == "-c":
        # As sshd calls a login shell with a command.
        words = words[1:]
    try:
        _print(answer(words))
    except (GrammarError, CommandFailed) as error:
        if isinstance(error, CommandFailed):
            _print(error.shown)
        if str(error):
            print(readable(error), file=sys.stderr)
        return error.code if isinstance(error, CommandFailed) else EX_USAGE
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except Enter as enter:
        from jsrpd.cli.shell import run_mode

        return run_mode(enter)
    except Leave:
        return 0
    return 0


def answer(words: Sequence[str]) -> str:
    """What a command prints. Everything typed is checked before anything is done."""
    typed, piped = pipes.split(words)
    if piped and piped[-1] == [HELP]:
        return completions(pipes.PIPES, []) + "\n"
    if typed in OVERVIEW and not piped:
        return "".join(f"jsrp {entry.form:<74} {entry.help}\n" for entry in ENTRIES)
    if typed[-1:] == [HELP] and not piped:
        return completions(COMMANDS, typed[:-1]) + "\n"
    command, values = parse(COMMANDS, typed)
    pipeline = pipes.pipeline(piped, command.displays)
    try:
        return pipeline.apply(command.run(Call(values, pipeline.display)))
    except CommandFailed as failed:
        failed.shown = pipeline.apply(failed.shown)
        raise


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough, as head has; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
