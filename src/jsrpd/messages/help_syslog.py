"""``help syslog [TAG]`` in the vendor's layout: values from column 16, wrapped at 79 (reference 8.6)."""

import textwrap

from jsrpd.messages.catalogue import CATALOGUE

LABEL_WIDTH = 15
WIDTH = 79


def render_help(tag: str) -> str:
    """All that is known about one message. KeyError for an unknown tag."""
    entry = CATALOGUE[tag]
    rows = [
        ("Name", entry.tag),
        ("Message", entry.text),
        ("Help", entry.help),
        ("Description", entry.description),
        ("Type", entry.type_line),
        ("Severity", entry.severity.label),
        ("Facility", entry.facility),
        *(("Cause", cause) for cause in entry.causes),
        *(("Action", action) for action in entry.actions),
    ]
    return "\n".join(_row(label, value) for label, value in rows) + "\n"


def _row(label: str, value: str) -> str:
    lines = textwrap.wrap(value, WIDTH - LABEL_WIDTH, break_on_hyphens=False)
    return f"{label + ':':<{LABEL_WIDTH}}" + f"\n{' ' * LABEL_WIDTH}".join(lines)


def render_help_index() -> str:
    """Every tag with its help phrase."""
    width = max(map(len, CATALOGUE)) + 2
    return "".join(f"{tag:<{width}}{entry.help}\n" for tag, entry in CATALOGUE.items())
