"""The commands of ``jsrp`` as resources of the REST interface: read from the grammar, so that none is forgotten."""

from collections.abc import Iterator
from typing import Any

from jsrpd.cli.commands import Command
from jsrpd.cli.grammar import Entry
from jsrpd.cli.information import Node
from jsrpd.cli.tree import ENTRIES, VALUES
from jsrpd.gateway.resources import DISPLAYS, JSON, TEXT, Parameter, Resource
from jsrpd.model.access import Access
from jsrpd.model.explanation import GroupExplanation
from jsrpd.model.status import ClusterStatus

LEFT_OUT = {
    "show cli": "it is about a session at a terminal",
    "request chassis cluster key generate": "a key belongs on the node and travels by hand",
    "request chassis cluster key generate force": "as above",
    "request system api-token generate": "who has a token shall not make more of them",
    "request system api-token revoke": "as above",
    "request chassis cluster drill": "it asks at a terminal, and takes its time",
    "request chassis cluster drill no-confirm": "as above",
}
"""Commands that look or order and are not offered, by their words without values."""
ORDERS = (
    "request chassis cluster failover",
    "request chassis cluster failover reset",
    "request chassis cluster what-if",
    "request chassis cluster maintenance on",
    "request chassis cluster maintenance off",
    "request chassis cluster rejoin",
    "request chassis cluster configuration-synchronize",
    "request daemon restart",
)
"""What may be requested. A new request is not offered until somebody has thought about it; what shows or clears is at once."""
VERBS = {"show": False, "request": True, "clear": True}
"""Which are offered, and whether they change something."""
NAMED = {"redundancy-group", "node", "last", "ip-address", "interval", "access"}
"""Words that name the value behind them; any other word before a value belongs to the command."""
CONFIDENTIAL = ("show configuration", "show system commit", "show system rollback", "show system api-tokens")
"""Shown to operators only: configurations may hold passwords, comments may hold anything."""
ANSWERS: dict[str, Any] = {
    "show chassis cluster status": ClusterStatus,
    "show chassis cluster interfaces": ClusterStatus,
    "show chassis cluster data-plane statistics": ClusterStatus,
    "show chassis cluster data-plane interfaces": ClusterStatus,
    "show chassis cluster control-interface status": ClusterStatus,
    "show chassis cluster information": tuple[Node, ...],
    "show chassis cluster explain": tuple[GroupExplanation, ...],
}
"""Types of the JSON, where they are declared."""


def resources() -> tuple[Resource, ...]:
    """All that is offered."""
    found = [_resource(entry) for entry in ENTRIES if entry.form.split()[0] in VERBS]
    return tuple(one for one in found if one.command not in LEFT_OUT and (one.command in ORDERS or not _is_request(one)))


def _is_request(resource: Resource) -> bool:
    return resource.command.startswith("request ")


def line(resource: Resource, values: dict[str, str]) -> list[str]:
    """The command as it would be typed, a word or value each. The grammar is the judge of it."""
    form = next(entry.form for entry in ENTRIES if _command(entry) == resource.command)
    words: list[str] = []
    for name, word, value in _places(form):
        if not value:
            words.append(word)
        elif name in values:
            words += ([word] if word else []) + (values[name].split() if VALUES[value].rest else [values[name]])
    return words


def _resource(entry: Entry[Command]) -> Resource:
    command = _command(entry)
    changes = VERBS[entry.form.split()[0]]
    optional = {value for piece in entry.form.split("[")[1:] for value in piece.partition("]")[0].split() if value in VALUES}
    parameters = tuple(
        Parameter(name, VALUES[value].help, value not in optional, VALUES[value].within, tuple(VALUES[value].among))
        for name, _, value in _places(entry.form)
        if value
    )
    has = entry.command.displays
    kinds = tuple(kind for kind, display in DISPLAYS.items() if display in has or kind == TEXT)
    if changes and JSON not in kinds:
        kinds = (JSON, *kinds)
    access = Access.ACT if changes or command in CONFIDENTIAL else Access.READ
    return Resource(command, entry.help, parameters, kinds, access, changes, ANSWERS.get(command))


def _command(entry: Entry[Command]) -> str:
    return " ".join(word for _, word, value in _places(entry.form) if word and not value)


def _places(form: str) -> Iterator[tuple[str, str, str]]:
    """(parameter's name, word, value) in order: words without a value, and values with the word that names them or none."""
    words = form.replace("[", " ").replace("]", " ").split()
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if word in VALUES:
            named = before in NAMED
            yield (before if named else VALUES[word].argument), (before if named else ""), word
        elif not (word in NAMED and words[at + 1 : at + 2] and words[at + 1] in VALUES):
            yield "", word, ""
