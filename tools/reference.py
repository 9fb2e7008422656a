"""The reference of the configuration, from the schema: ``python -m tools.reference`` writes docs/reference/configuration.md."""

from pathlib import Path

from jsrpd.cli.configure_grammar import VERBS
from jsrpd.configuration.places import EDITABLE
from jsrpd.configuration.schema import TOP
from tools.manual import statements

PATH = Path(__file__).parents[1] / "docs" / "reference" / "configuration.md"
HEAD = """# Reference: configuration

Made from the schema by `python -m tools.reference`; the same schema checks files, completes words and explains `?`.

## Configuration mode

"""


def page() -> str:
    """The whole page."""
    lines = [HEAD.rstrip("\n"), ""]
    lines += ["| command | |", "|---|---|", *(f"| `{verb}` | {help_}. |" for verb, help_ in VERBS.items())]
    for top, statement in EDITABLE.items():
        lines += ["", f"## {top}", "", f"{statement.help[:1].upper()}{statement.help[1:]}.", ""]
        if top in TOP:
            lines += ["| statement | |", "|---|---|"]
            lines += [f"| `{_cell(written)}` | {_cell(' '.join(said))} |" for written, said in statements({top: TOP[top]})]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(page())
