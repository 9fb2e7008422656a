"""The end of every import: the text, and what is still to be mended in it."""

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.junos import Node
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.configuration.render import text_of


def finished(tree: Node, remarks: list[str]) -> tuple[str, list[str]]:
    """The configuration and what an operator must know of it, each thing once. It is checked as a commit would check it."""
    text = text_of(tree)
    problems: list[str] = []
    try:
        load(text, Identity(1, 0), "result")
    except ConfigurationError as error:
        problems = [f"to be mended: {line}" for line in str(error).splitlines()]
    return text, list(dict.fromkeys([*remarks, *problems]))
