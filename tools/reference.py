"""The reference, from the code itself: ``python -m tools.reference`` writes docs/reference/ anew.

Statements from the schema, commands from the grammar, messages from the catalogue, checks from the doctor's tables.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jsrpd.cli.configure_grammar import VERBS
from jsrpd.cli.pipes import ENTRIES as PIPES
from jsrpd.cli.tree import ENTRIES
from jsrpd.configuration.places import EDITABLE
from jsrpd.configuration.schema import TOP
from jsrpd.doctor.checks import NODE_CHECKS, PAIR_CHECKS
from jsrpd.messages.catalogue import CATALOGUE, Entry
from tools.manual import statements

DIRECTORY = Path(__file__).parents[1] / "docs" / "reference"
MADE = "by `python -m tools.reference`"
CONFIGURATION_HEAD = f"""# Reference: configuration

Made from the schema {MADE}; the same schema checks files, completes words and explains `?`.

## Configuration mode

"""
COMMANDS_HEAD = f"""# Reference: commands

Made from the grammar {MADE}; the same grammar parses, completes words and explains `?`. What stands in brackets may be left
out; what is in capitals is a value. Formats: what may follow `| display`, besides text.

| command | | formats |
|---|---|---|
"""
PIPES_HEAD = """
## Pipes

| pipe | |
|---|---|
"""
MESSAGES_HEAD = f"""# Reference: system log messages

Made from the catalogue {MADE}; `jsrp help syslog TAG` shows the same. What is not marked as an
addition has the words of the vendor.
"""
CHECKS_HEAD = f"""# Reference: what the doctor checks

Made from its tables {MADE}. How to read what it says: [operation](../operation.md).

## Each node

| check | looks at |
|---|---|
"""
PAIR_HEAD = """
## Both nodes together

| check | looks at |
|---|---|
"""


def configuration() -> str:
    """Every statement."""
    lines = [CONFIGURATION_HEAD.rstrip("\n"), ""]
    lines += ["| command | |", "|---|---|", *(f"| `{verb}` | {help_}. |" for verb, help_ in VERBS.items())]
    for top, statement in EDITABLE.items():
        lines += ["", f"## {top}", "", f"{statement.help[:1].upper()}{statement.help[1:]}.", ""]
        if top in TOP:
            lines += ["| statement | |", "|---|---|"]
            lines += [f"| `{_cell(written)}` | {_cell(' '.join(said))} |" for written, said in statements({top: TOP[top]})]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every operational command, and the pipes."""
    rows = [f"| `{_cell(one.form)}` | {_cell(one.help)} | {' '.join(one.command.displays)} |" for one in ENTRIES]
    pipes = [f"| `{_cell(one.form)}` | {_cell(one.help)} |" for one in PIPES]
    return COMMANDS_HEAD + "".join(f"{row}\n" for row in rows) + PIPES_HEAD + "".join(f"{row}\n" for row in pipes)


def messages() -> str:
    """Every message."""
    return MESSAGES_HEAD + "".join("".join(f"{line}\n" for line in _message(entry)) for entry in CATALOGUE.values())


def _message(entry: Entry) -> Iterator[str]:
    yield from ("", f"## {entry.tag}", "", f"`{entry.text}`", "", entry.description, "")
    yield f"{entry.severity.label.capitalize()}, {entry.facility}.{' An addition.' if entry.addition else ''}"
    for label, said in (("Cause", entry.causes), ("Action", entry.actions)):
        if said:
            yield ""
            yield from (f"* {label}: {one}" for one in said)


def checks() -> str:
    """Every check of the doctor."""
    rows = ["".join(f"| {name} | {about} |\n" for name, about, _ in table) for table in (NODE_CHECKS, PAIR_CHECKS)]
    return CHECKS_HEAD + rows[0] + PAIR_HEAD + rows[1]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "commands.md": commands,
    "messages.md": messages,
    "doctor.md": checks,
}

if __name__ == "__main__":
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (DIRECTORY / name).write_text(page())
